package commands

import (
	"cmp"
	"net"
	"net/netip"
	"slices"
	"strings"

	"whybot/commands/netfilter"
	"whybot/runners"
)

// A Crossing is a guest's frame going through one bridge.
type Crossing struct {
	Branch    Branch
	Exchange  Exchange
	Direction Direction
	// In, Bridge and Out are the hops in the frame's own direction.
	In, Bridge, Out Hop
}

// Edge is where a frame that the bridge's node filters out is lost: it is
// seen on the bridge and not behind it.
func (c Crossing) Edge() Edge { return Edge{From: c.Bridge, To: c.Out, Direction: c.Direction} }

// Crossings returns every bridge that the frames of branch b go through, of
// each exchange the requests first.
func (p *Pass) Crossings(b Branch) []Crossing {
	var all []Crossing
	for _, e := range b.Exchanges {
		all = append(all, p.crossings(b, e)...)
	}
	return all
}

func (p *Pass) crossings(b Branch, e Exchange) []Crossing {
	flow := p.Path.Flow(b)
	var requests, replies []Crossing
	for i := 1; i+1 < len(flow); i++ {
		if flow[i].Kind != HopBridge || flow[i-1].Node != flow[i].Node || flow[i+1].Node != flow[i].Node {
			continue
		}
		requests = append(requests, Crossing{Branch: b, Exchange: e, Direction: Request, In: flow[i-1], Bridge: flow[i], Out: flow[i+1]})
		replies = append([]Crossing{{Branch: b, Exchange: e, Direction: Reply, In: flow[i+1], Bridge: flow[i], Out: flow[i-1]}}, replies...)
	}
	return append(requests, replies...)
}

// EdgeOf is where a frame that ends at e is lost: what is called before
// forwarding sees it before a capture on the bridge does.
func (c Crossing) EdgeOf(e netfilter.Ending) Edge {
	if beforeBridge(e) {
		return Edge{From: c.In, To: c.Bridge, Direction: c.Direction}
	}
	return c.Edge()
}

func beforeBridge(e netfilter.Ending) bool {
	return e.Base != nil && (e.Base.Hook == netfilter.Prerouting || e.Base.Hook == netfilter.Ingress)
}

// A Ruling is what a node's firewall does to a frame at a crossing.
type Ruling struct {
	// Verdict is Undecided when something that may drop it is not known.
	Verdict netfilter.Verdict
	// View and Decision are what decides; when all of it accepts, what the IP
	// layer says, or with Bypassed set the bridge's own.
	View     View
	Decision netfilter.Decision
	// Bypassed says why the IP layer's rules do not see the frame; empty when
	// they do.
	Bypassed string
	// Why says what is not known when Undecided.
	Why string
}

// Rule says what the firewall does to the guest's frame at c.
func (p *Pass) Rule(f *Firewall, c Crossing) Ruling {
	calls, why := f.calls(c)
	packet := p.packet(c, c.Out.Device)
	decisions := f.bridged(packet, calls != netfilter.No)
	r := f.ruling(decisions)
	if calls == netfilter.No {
		r.Bypassed = why
	}
	if calls == netfilter.Unknown && r.Verdict.Lost() && !f.bridged(packet, false).lost() {
		r.Verdict, r.Why = netfilter.Undecided, why
	}
	return f.others(r, c.Exchange.V6())
}

// calls says whether the IP layer's rules see a frame at c.
func (f *Firewall) calls(c Crossing) (netfilter.Tri, string) {
	l := f.links[c.Bridge.Device]
	switches, own := f.switches, l.NFCallIPTables
	if c.Exchange.V6() {
		switches, own = f.switches6, l.NFCallIP6Tables
	}
	if own != nil {
		switches.Bridge = netfilter.Truth(*own)
	}
	return switches.Calls()
}

// decisions are what several layers do to one frame, in the order they see it.
type decisions []netfilter.Decision

// bridged says what every layer does to a frame that crosses a bridge.
func (f *Firewall) bridged(packet netfilter.Packet, shownToIP bool) decisions {
	hooks := []netfilter.Hook{netfilter.Prerouting, netfilter.Forward, netfilter.Postrouting}
	in, _ := packet.PhysIn.Get()
	out, _ := packet.PhysOut.Get()
	all := decisions{
		netfilter.TraverseDevice(f.merged, packet, netfilter.Ingress, in),
		netfilter.LayerBridge.Traverse(f.merged, packet, hooks...),
	}
	if shownToIP {
		all = append(all, netfilter.LayerIP.Traverse(f.merged, packet, hooks...))
	}
	return append(all, netfilter.TraverseDevice(f.merged, packet, netfilter.Egress, out))
}

func (ds decisions) lost() bool {
	return slices.ContainsFunc(ds, func(d netfilter.Decision) bool { return d.Verdict.Lost() })
}

// stage orders the hooks that a bridged frame passes.
func stage(d netfilter.Decision) int {
	if d.Base == nil {
		return 0
	}
	return slices.Index([]netfilter.Hook{netfilter.Ingress, netfilter.Prerouting, netfilter.Forward, netfilter.Postrouting, netfilter.Egress}, d.Base.Hook)
}

// turn orders two layers at one hook: br_netfilter shows a frame to the IP layer
// at priority 0 of the bridge's hooks, and after all of them at POSTROUTING.
func turn(d netfilter.Decision) int {
	switch {
	case d.Base == nil || d.Base.Family != "bridge":
		return 1
	case d.Base.Priority > 0 && d.Base.Hook != netfilter.Postrouting:
		return 2
	}
	return 0
}

// ruling chooses the decision that counts: the first that is lost, else one
// that is not decided, else what accepts it last in the IP layer.
func (f *Firewall) ruling(all decisions) Ruling {
	weight := func(d netfilter.Decision) int {
		switch {
		case d.Verdict.Lost():
			return 0
		case d.Verdict == netfilter.Undecided:
			return 1
		}
		return 2
	}
	d := slices.MinFunc(all, func(a, b netfilter.Decision) int {
		if c := cmp.Compare(weight(a), weight(b)); c != 0 || weight(a) != 0 {
			return c
		}
		return cmp.Or(cmp.Compare(stage(a), stage(b)), cmp.Compare(turn(a), turn(b)))
	})
	if d.Verdict == netfilter.Accept {
		d = all[len(all)-2] // the IP layer, or the bridge's where that does not see it
	}
	r := Ruling{Verdict: d.Verdict, View: f.view(d.Ending), Decision: d}
	if d.Verdict == netfilter.Undecided && len(d.Blockers) > 0 {
		r.Why = d.Blockers[0].String()
	}
	return r
}

// others makes an acceptance undecided where something was not evaluated that
// packets of that IP version meet.
func (f *Firewall) others(r Ruling, v6 bool) Ruling {
	if r.Verdict != netfilter.Accept {
		return r
	}
	other := "ip6 "
	if v6 {
		other = "ip "
	}
	foreign := slices.DeleteFunc(slices.Clone(f.Foreign), func(table string) bool { return strings.HasPrefix(table, other) })
	switch {
	case f.Hidden != nil:
		r.Verdict, r.Why = netfilter.Undecided, publicWhy(f.Hidden)
	case len(foreign) > 0:
		r.Verdict, r.Why = netfilter.Undecided, "nft table "+strings.Join(foreign, ", ")+" could not be evaluated: nft did not list it as JSON"
	}
	return r
}

// packet is the guest's frame as iptables sees it leaving by the bridge port
// out.
func (p *Pass) packet(c Crossing, out string) netfilter.Packet {
	if p.Peer != nil {
		return p.pingPacket(c, out)
	}
	if c.Exchange.V6() {
		return p.packet6(c, out)
	}
	guest, _ := net.ParseMAC(p.Port.Port.MAC)
	if c.Direction == Request {
		return netfilter.DHCPRequest(guest, c.In.Device, out, c.Bridge.Device)
	}
	server, _ := net.ParseMAC(c.Branch.Port.MAC)
	return netfilter.DHCPReply(firstIPv4(c.Branch.Port), firstIPv4(p.Port.Port), server, guest, c.In.Device, out, c.Bridge.Device)
}

func firstIPv4(port runners.Port) netip.Addr {
	for _, ip := range port.FixedIPs {
		if a, err := netip.ParseAddr(ip.Address); err == nil && a.Is4() {
			return a
		}
	}
	return netip.Addr{}
}
