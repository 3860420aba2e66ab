package commands

import (
	"slices"
	"time"

	"whybot/commands/capture"
	"whybot/commands/node"
)

// A HopFrames is what a capture at one hop saw.
type HopFrames struct {
	// Err is why the hop was not observed; nil when it was.
	Err error
	// Frames are those of the window in which all hops were watched.
	Frames []capture.Frame
	// all are the frames the capture saw, the window's and a few around it:
	// counters are read before and after the window, never at its very ends.
	all []capture.Frame
}

// Packets is what the packet stage saw.
type Packets struct {
	Seen map[Hop]HopFrames
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
	FlowOffered   FlowState = "offered"   // its offers did, and no acknowledgement
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

// Trace follows a guest's frames along the branch b. Only broadcast requests
// count: a renewal goes to one server and says nothing of the others. Hops
// that were not observed are stepped over, so an edge may span them; a loss
// behind an unobserved guest's tap is a loss all the same, but only the tap
// itself can show that a reply was delivered or that the guest is silent.
func (ps *Packets) Trace(p *Path, b Branch) Flow {
	hops := ps.observed(p.Flow(b))
	if len(hops) == 0 {
		return Flow{State: FlowBlind}
	}
	first, last := hops[0], hops[len(hops)-1]
	atGuest := first == p.Guest[0]
	switch {
	case atGuest && ps.saw(first, b, "Ack"):
		return Flow{State: FlowDelivered} // also of a renewal, which goes to one server
	case atGuest && ps.saw(first, b, "Offer"):
		return Flow{State: FlowOffered}
	case ps.requests(first) == 0 && atGuest:
		return Flow{State: FlowSilent}
	case ps.requests(first) == 0:
		return Flow{State: FlowBlind}
	}
	if lost, ok := ps.lostRequest(hops); ok {
		return lost
	}
	switch {
	case ps.replies(first, b) > 0, last.Node != b.Node || last.Kind != HopTap:
		return Flow{State: FlowBlind}
	case ps.replies(last, b) == 0:
		return Flow{State: FlowLost, Lost: ps.requests(last), Edge: Edge{last, b.Hops[len(b.Hops)-1], Request}}
	}
	return ps.lostReply(hops, b)
}

// observed returns the hops at which a capture ran.
func (ps *Packets) observed(flow []Hop) []Hop {
	return slices.DeleteFunc(flow, func(h Hop) bool {
		s, ok := ps.Seen[h]
		return !ok || s.Err != nil
	})
}

// lostRequest finds the first edge that requests go onto and do not leave.
func (ps *Packets) lostRequest(hops []Hop) (Flow, bool) {
	for i := 1; i < len(hops); i++ {
		if ps.requests(hops[i]) == 0 {
			return Flow{State: FlowLost, Lost: ps.requests(hops[i-1]), Edge: Edge{hops[i-1], hops[i], Request}}, true
		}
	}
	return Flow{}, false
}

// lostReply finds the edge, on the way back, that b's replies go onto and do
// not leave.
func (ps *Packets) lostReply(hops []Hop, b Branch) Flow {
	for i := len(hops) - 1; i > 0; i-- {
		if ps.replies(hops[i-1], b) == 0 {
			return Flow{State: FlowLost, Lost: ps.replies(hops[i], b), Edge: Edge{hops[i], hops[i-1], Reply}}
		}
	}
	return Flow{State: FlowBlind}
}

const broadcast = "ff:ff:ff:ff:ff:ff"

// requests counts the broadcast requests seen at h.
func (ps *Packets) requests(h Hop) int {
	n := 0
	for _, f := range ps.Seen[h].Frames {
		if !f.Reply && f.DstMAC == broadcast {
			n++
		}
	}
	return n
}

// replies counts the frames of b's server seen at h.
func (ps *Packets) replies(h Hop, b Branch) int {
	n := 0
	for _, f := range ps.Seen[h].Frames {
		if f.Reply && fromServer(f, b) {
			n++
		}
	}
	return n
}

// saw reports whether a frame of b's server of that DHCP type was seen at h.
func (ps *Packets) saw(h Hop, b Branch, kind string) bool {
	return slices.ContainsFunc(ps.Seen[h].Frames, func(f capture.Frame) bool {
		return f.Reply && f.Type == kind && fromServer(f, b)
	})
}

func fromServer(f capture.Frame, b Branch) bool {
	if f.SrcMAC == b.Port.MAC {
		return true
	}
	for _, ip := range b.Port.FixedIPs {
		if f.Src.String() == ip.Address {
			return true
		}
	}
	return false
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

// Acknowledged reports whether the guest's tap saw a lease being granted.
func (ps *Packets) Acknowledged(p *Path) bool {
	return slices.ContainsFunc(ps.Seen[p.Guest[0]].Frames, func(f capture.Frame) bool { return f.Type == "Ack" })
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
		return "(no DHCP frame of the guest)\n"
	}
	return text
}
