package netfilter

import "net/netip"

// A view is a packet as one chain sees it: the hook hides some of its fields
// and earlier rules may have rewritten others. Views are immutable.
type view struct {
	p     *Packet
	layer Layer
	hook  Hook
	// device is the one a chain of LayerDevice is bound to.
	device string
	// untraced says that connection tracking has not seen the packet yet.
	untraced bool
	// atTracking says that the chain is called at the same time as connection
	// tracking, and which comes first is not known.
	atTracking bool
	changed    changes
	// sets are the ipsets of the node; nil when they were not listed.
	sets *IPSets
}

// changes records what may have been rewritten, and the first rule that may
// have done it. The zero changes are those of a place that no packet reaches.
type changes struct {
	reached bool
	bits    change
	by      [allChanges]*Rule
	// mark is the packet's mark by now.
	mark Fact[uint32]
	// untracked says that a rule keeps the packet from connection tracking.
	untracked bool
}

// markBy and ctBy are the places of changeMark and changeCT in changes.by.
const (
	markBy = 0
	ctBy   = 3
)

// arrival is what is known of a packet that no rule has touched.
func arrival(p *Packet) changes { return changes{reached: true, mark: p.Mark} }

// with adds what r may rewrite.
func (c changes) with(bits change, r *Rule) changes {
	if bits&changeMark != 0 {
		c.mark = Fact[uint32]{}
	}
	for i := range c.by {
		if bits&(1<<i) != 0 && c.bits&(1<<i) == 0 {
			c.by[i] = r
		}
	}
	c.bits |= bits
	return c
}

// join is what may have happened on either of two ways.
func (c changes) join(o changes) changes {
	if !c.reached {
		return o
	}
	if !o.reached {
		return c
	}
	if c.mark != o.mark {
		c.mark = Fact[uint32]{}
		c.bits |= changeMark
	}
	if c.untracked != o.untracked {
		c.untracked = false
		c.bits |= changeCT
	}
	for i := range c.by {
		if c.by[i] == nil {
			c.by[i] = o.by[i]
		}
	}
	c.bits |= o.bits
	return c
}

// culprit names the first rule that may have made the change.
func (c changes) culprit(bit change) *Rule {
	for i := range c.by {
		if bit == 1<<i {
			return c.by[i]
		}
	}
	return nil
}

func (v *view) with(c changes) *view {
	if c.bits == v.changed.bits && c.mark == v.changed.mark && c.untracked == v.changed.untracked {
		return v
	}
	next := *v
	next.changed = c
	return &next
}

func (v *view) rewritten(bit change) bool { return v.changed.bits&bit != 0 }

// why explains an unknown field: rewritten by a rule, or not told.
func (v *view) why(what string, bit change) string {
	if r := v.changed.culprit(bit); r != nil {
		return what + " may have been changed by " + r.place() + " (" + r.brief() + ")"
	}
	return what + " is not known"
}

// in is what -i sees.
func (v *view) in() Fact[string] {
	switch {
	case v.layer == LayerDevice:
		return v.deviceIn()
	case v.layer == LayerBridge:
		return v.portIn()
	case v.hook == Output:
		return Is("")
	case v.hook == Postrouting:
		if v.p.Bridged {
			return Is("")
		}
		return Fact[string]{} // kernels differ in what they show here
	default:
		return v.p.In
	}
}

// out is what -o sees.
func (v *view) out() Fact[string] {
	switch {
	case v.layer == LayerDevice:
		return v.deviceOut()
	case v.layer == LayerBridge:
		return v.portOut()
	case v.hook == Prerouting || v.hook == Input:
		return Is("")
	case v.rewritten(changeDst):
		return Fact[string]{} // another destination may take another way
	default:
		return v.p.Out
	}
}

// bridgeInfo says whether the packet carries the note of the bridge it came
// by, without which -m physdev knows no port.
func (v *view) bridgeInfo() Tri {
	switch {
	case v.hook == Output:
		return No
	case v.p.Bridged:
		return Yes
	default:
		return truthOf(v.p.PhysIn, func(name string) bool { return name != "" })
	}
}

// physOut is the bridge port the frame leaves by: decided from FORWARD on, and
// only for frames that stay in the bridge.
func (v *view) physOut() Fact[string] {
	switch {
	case !v.p.Bridged || v.hook != Forward && v.hook != Postrouting:
		return Is("")
	case v.rewritten(changeDst):
		return Fact[string]{}
	default:
		return v.p.PhysOut
	}
}

func (v *view) address(src bool) (netip.Addr, bool) {
	a, bit := v.p.Dst, changeDst
	if src {
		a, bit = v.p.Src, changeSrc
	}
	return a, a.IsValid() && !v.rewritten(bit)
}

func (v *view) port(src bool) Fact[uint16] {
	f, bit := v.p.Dport, changeDst
	if src {
		f, bit = v.p.Sport, changeSrc
	}
	if v.rewritten(bit) {
		return Fact[uint16]{}
	}
	return f
}

func (v *view) mark() Fact[uint32] { return v.changed.mark }

// portIn is the bridge port that a chain of the bridge sees the frame come in
// by.
func (v *view) portIn() Fact[string] {
	if v.hook == Output || v.hook == Postrouting {
		return Is("")
	}
	return v.p.PhysIn
}

// portOut is the bridge port that a chain of the bridge sees the frame leave by.
func (v *view) portOut() Fact[string] {
	if v.hook == Prerouting || v.hook == Input {
		return Is("")
	}
	if v.rewritten(changeDst) {
		return Fact[string]{} // another destination may have another port
	}
	return v.p.PhysOut
}

// deviceIn and deviceOut are what a chain sees that is bound to a device.
func (v *view) deviceIn() Fact[string] {
	if v.hook == Ingress {
		return Is(v.device)
	}
	return Fact[string]{}
}

func (v *view) deviceOut() Fact[string] {
	if v.hook == Egress {
		return Is(v.device)
	}
	return Is("")
}

// ct is what -m state sees. Before connection tracking has run every packet
// looks INVALID, but for those of the loopback, which were tracked on their
// way out, and those a rule keeps from it, which are UNTRACKED at once.
func (v *view) ct() CTState {
	switch {
	case v.layer == LayerDevice:
		return CTInvalid
	case v.layer != LayerIP:
		return CTUnknown // depends on which connection tracking the bridge has
	case v.rewritten(changeCT) || v.atTracking:
		return CTUnknown
	case v.changed.untracked:
		return CTUntracked
	case v.untraced && v.hook == Output:
		return CTInvalid
	case v.untraced:
		if in, known := v.p.In.Get(); known && in != "lo" {
			return CTInvalid
		}
		return CTUnknown
	default:
		return v.p.CT
	}
}
