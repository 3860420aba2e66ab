package commands

import (
	"net/netip"
	"slices"
	"time"

	"whybot/commands/capture"
	"whybot/commands/node"
	"whybot/runners"
)

// A HopFrames is what a capture at one hop saw.
type HopFrames struct {
	// Err is why the hop was not observed; nil when it was.
	Err error
	// Frames are those of the window in which all hops were watched.
	Frames []capture.Frame
	// Strays are frames of the guest that pass a NIC with another VLAN's tag than
	// the network's.
	Strays []capture.Frame
	// all are the frames the capture saw, the window's and a few around it:
	// counters are read before and after the window, never at its very ends.
	all []capture.Frame
	// Foreign are frames of a ping's two ends that use another address than theirs.
	Foreign []capture.Frame
}

// Packets is what the packet stage saw.
type Packets struct {
	Seen map[Hop]HopFrames
	// raw is Seen with both directions of a ping in it.
	raw map[Hop]HopFrames
	// Took is how long all hops were listening together.
	Took time.Duration
	// Before and After are the firewall readings taken while all captures
	// ran, by node: their difference is what the rules saw in that time.
	Before, After map[string]reading
	// Holder is the MAC that answered for the guest's address from a DHCP
	// namespace, empty when none did; Asked says that the question was put.
	Holder string
	Asked  bool
	// TapBefore and TapAfter are the guest's tap with its counters at the ends
	// of the window; nil when not read.
	TapBefore, TapAfter *node.Link
}

// A FlowState is what became of a guest's frames on one branch.
type FlowState string

// States of a flow.
const (
	FlowDelivered FlowState = "delivered" // this server's acknowledgement reached the guest's tap
	FlowOffered   FlowState = "offered"   // its offers did, and no acknowledgement that the guest kept
	FlowRefused   FlowState = "refused"   // it said to the guest that it has no address for it
	FlowLost      FlowState = "lost"      // frames end on one edge
	FlowSilent    FlowState = "silent"    // the guest sent nothing
	FlowBlind     FlowState = "blind"     // not enough hops were observed
)

// A Flow is where the frames of one branch end.
type Flow struct {
	State FlowState
	Edge  Edge
	// Lost counts the frames that went onto the edge and did not come out.
	Lost int
}

// Trace follows a guest's frames of one exchange along the branch b. Of DHCP
// only broadcast requests count: a renewal goes to one server and says nothing
// of the others. Hops that were not observed are stepped over, so an edge may
// span them; a loss behind an unobserved guest's tap is a loss all the same,
// but only the tap itself can show that a reply was delivered or that the guest
// is silent.
func (ps *Packets) Trace(p *Path, b Branch, e Exchange) Flow {
	hops := ps.observed(p.Flow(b))
	if len(hops) == 0 {
		return Flow{State: FlowBlind}
	}
	t := trace{ps: ps, path: p, branch: b, exchange: e, hops: hops}
	first, asked := hops[0], t.requests(hops[0])
	atGuest := first == p.Guest[0]
	if given := t.given(); atGuest && given != "" {
		return Flow{State: given}
	}
	switch {
	case asked == 0 && e == capture.RA:
		return t.unasked(atGuest)
	case asked == 0 && atGuest:
		return Flow{State: FlowSilent}
	case asked == 0:
		return Flow{State: FlowBlind}
	}
	if lost, ok := t.lostRequest(); ok {
		return lost
	}
	last := hops[len(hops)-1]
	switch {
	case t.replies(first) > 0, !p.isDoor(b, last):
		return Flow{State: FlowBlind}
	case t.replies(last) == 0:
		return Flow{State: FlowLost, Lost: t.requests(last), Edge: Edge{last, b.Server(), Request}}
	}
	return t.lostReply()
}

// granted and offered are the replies that give a guest its address, and those
// that only announce one.
var (
	granted = map[Exchange]string{capture.DHCP: "Ack", capture.DHCPv6: "Reply", capture.RA: capture.Advertisement, capture.ARP: capture.AnswerType, capture.Echo: capture.AnswerType}
	offered = map[Exchange]string{capture.DHCP: "Offer", capture.DHCPv6: "Advertise"}
)

// given says what the first hop saw the guest being given: its address, the
// offer of it, that there is none, or nothing (""). An acknowledgement may be that of a renewal,
// which goes to one server.
func (t trace) given() FlowState {
	first := t.hops[0]
	acknowledged := t.gave(first)
	switch {
	case acknowledged && !t.ps.turnedAway(first):
		return FlowDelivered
	case acknowledged || t.saw(first, offered[t.exchange]):
		return FlowOffered
	case t.saw(first, capture.Refusal), t.saw(first, capture.Advertisement): // of other prefixes
		return FlowRefused
	}
	return ""
}

// A trace is one exchange with one server, at the hops that were observed.
type trace struct {
	ps       *Packets
	path     *Path
	branch   Branch
	exchange Exchange
	hops     []Hop
}

// observed returns the hops at which a capture ran.
func (ps *Packets) observed(flow []Hop) []Hop {
	return slices.DeleteFunc(flow, func(h Hop) bool {
		s, ok := ps.Seen[h]
		return !ok || s.Err != nil
	})
}

// unasked follows advertisements that come of themselves.
func (t trace) unasked(atGuest bool) Flow {
	switch {
	case slices.ContainsFunc(t.hops, func(h Hop) bool { return t.replies(h) > 0 }):
		return t.lostReply()
	case atGuest:
		return Flow{State: FlowSilent}
	}
	return Flow{State: FlowBlind}
}

// lostRequest finds the first edge that requests go onto and do not leave.
func (t trace) lostRequest() (Flow, bool) {
	for i := 1; i < len(t.hops); i++ {
		if t.requests(t.hops[i]) == 0 && !t.strayed(i) {
			return Flow{State: FlowLost, Lost: t.requests(t.hops[i-1]), Edge: Edge{t.hops[i-1], t.hops[i], Request}}, true
		}
	}
	return Flow{}, false
}

// strayed reports whether frames passed hop i with a wrong tag and arrived
// behind it all the same: both ends are wrong alike.
func (t trace) strayed(i int) bool {
	return len(t.ps.Seen[t.hops[i]].Strays) > 0 &&
		slices.ContainsFunc(t.hops[i+1:], func(h Hop) bool { return h.Kind != HopNIC && t.requests(h) > 0 })
}

// lostReply finds the edge, on the way back, that replies go onto and do not
// leave.
func (t trace) lostReply() Flow {
	for i := len(t.hops) - 1; i > 0; i-- {
		if t.replies(t.hops[i]) > 0 && t.replies(t.hops[i-1]) == 0 {
			return Flow{State: FlowLost, Lost: t.replies(t.hops[i]), Edge: Edge{t.hops[i], t.hops[i-1], Reply}}
		}
	}
	return Flow{State: FlowBlind}
}

// Broadcast is the link address that a DISCOVER goes to.
const Broadcast = "ff:ff:ff:ff:ff:ff"

// requests counts the requests seen at h that go to every server.
func (t trace) requests(h Hop) int {
	n := 0
	for _, f := range t.ps.Seen[h].Frames {
		if f.Exchange == t.exchange && toAll(f) && t.path.reaches(f, t.branch.Node) {
			n++
		}
	}
	return n
}

// toAll reports whether f is a request to every server of the segment.
func toAll(f capture.Frame) bool {
	return !f.Reply && (f.DstMAC == Broadcast || f.Exchange.V6() || slices.Contains(pings, f.Exchange))
}

// replies counts the frames of the branch's server seen at h.
func (t trace) replies(h Hop) int {
	n := 0
	for _, f := range t.ps.Seen[h].Frames {
		if f.Exchange == t.exchange && f.Reply && fromServer(f, t.branch) && t.path.reaches(f, t.path.Node) {
			n++
		}
	}
	return n
}

// gave reports whether h saw the branch's server give the guest its address, or
// what it makes it of.
func (t trace) gave(h Hop) bool {
	return slices.ContainsFunc(t.ps.Seen[h].Frames, func(f capture.Frame) bool {
		return f.Exchange == t.exchange && f.Reply && f.Type == granted[t.exchange] && fromServer(f, t.branch) && t.branch.suffices(f)
	})
}

// suffices reports whether a reply has what the guest needs of it: an address of
// DHCPv6, unless it gives options only, and of a router the prefixes.
func (b Branch) suffices(f capture.Frame) bool {
	switch f.Exchange {
	case capture.DHCPv6:
		return b.Stateless || f.Yours.IsValid()
	case capture.RA:
		return !slices.ContainsFunc(b.Makes, func(p netip.Prefix) bool { return !f.Router.Offers(p) })
	default:
		return true
	}
}

// saw reports whether a frame of the branch's server of that type was seen at
// h.
func (t trace) saw(h Hop, kind string) bool {
	return slices.ContainsFunc(t.ps.Seen[h].Frames, func(f capture.Frame) bool {
		return f.Exchange == t.exchange && f.Reply && f.Type == kind && fromServer(f, t.branch)
	})
}

// refused reports whether a server's refusal was seen at h.
func (ps *Packets) refused(h Hop) bool { return ps.sawReply(h, "Nak") }

// turnedAway reports whether a guest that was refused at h began anew although
// it had been acknowledged: it lost what one server gave it to another.
func (ps *Packets) turnedAway(h Hop) bool {
	if !ps.refused(h) {
		return false
	}
	given := false
	for _, f := range ps.Seen[h].Frames {
		given = given || f.Reply && f.Type == granted[capture.DHCP]
		if given && !f.Reply && f.Type == "Discover" {
			return true
		}
	}
	return false
}

// sawReply reports whether a reply of that type was seen at h, whoever sent it.
func (ps *Packets) sawReply(h Hop, kind string) bool {
	return slices.ContainsFunc(ps.Seen[h].Frames, func(f capture.Frame) bool { return f.Reply && f.Type == kind })
}

// Sent reports whether the branch's server sent f.
func (b Branch) Sent(f capture.Frame) bool { return fromServer(f, b) }

// fromServer reports whether the branch's server sent f: by the link address
// where Neutron shows it, as a stale copy of a server answers from the same IP
// address. A router that is not Neutron's has no port to know it by: it is any
// that is not one of those.
func fromServer(f capture.Frame, b Branch) bool {
	if b.Beyond != "" && b.Port.ID == "" {
		return !slices.ContainsFunc(b.others, func(port runners.Port) bool { return port.Owns(f.SrcMAC, f.Src.String()) })
	}
	return b.Port.Owns(f.SrcMAC, f.Src.String())
}

// Count returns the requests and replies seen at h, whoever sent them.
func (ps *Packets) Count(h Hop) (requests, replies int) {
	for _, f := range ps.Seen[h].Frames {
		if f.Reply {
			replies++
		} else {
			requests++
		}
	}
	return requests, replies
}

// Granted returns the exchanges by which the guest's tap saw its address being
// given to it by a server of the path: any other may give it anything.
func (ps *Packets) Granted(p *Path) []Exchange {
	tap, ok := p.Tap()
	if !ok {
		return nil
	}
	return slices.DeleteFunc(p.Exchanges(), func(e Exchange) bool {
		return e == capture.DHCP && ps.turnedAway(tap) || !slices.ContainsFunc(p.Of(e), func(b Branch) bool {
			return trace{ps: ps, path: p, branch: b, exchange: e}.gave(tap)
		})
	})
}

// Acknowledged reports whether DHCP gave the guest its IPv4 address.
func (ps *Packets) Acknowledged(p *Path) bool { return slices.Contains(ps.Granted(p), capture.DHCP) }

// Advertised returns what b's router advertised at h.
func (ps *Packets) Advertised(b Branch, h Hop) []*capture.Router {
	var all []*capture.Router
	for _, f := range ps.Seen[h].Frames {
		if f.Router != nil && fromServer(f, b) {
			all = append(all, f.Router)
		}
	}
	return all
}

// Lines returns the frames seen at h as text, at most limit of them.
func (ps *Packets) Lines(h Hop, limit int) string {
	text := ""
	for i, f := range ps.Seen[h].Frames {
		if i == limit {
			return text + "…\n"
		}
		text += f.String() + "\n"
	}
	if text == "" {
		return "(no frame of the guest)\n"
	}
	return text
}
