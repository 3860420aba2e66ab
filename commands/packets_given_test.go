package commands

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"whybot/commands/capture"
	"whybot/runners"
)

// said is what was said at the guest's tap, in order: a guest's word, or a
// server's behind its node's name.
func said(words ...string) HopFrames {
	var s HopFrames
	stranger := runners.Port{MAC: "fa:16:3e:66:66:66", FixedIPs: []runners.FixedIP{{Address: "192.168.92.66"}}}
	stale := runners.Port{MAC: "fa:16:3e:99:99:99", FixedIPs: serverOf["controller01"].FixedIPs}
	server := map[string]runners.Port{"stale": stale, "our": serverOf["controller01"], "other": serverOf["controller02"], "foreign": stranger}
	for i, w := range words {
		f := capture.Frame{Exchange: capture.DHCP, At: firstFrame.Add(time.Duration(i) * time.Second), SrcMAC: guestMAC, DstMAC: Broadcast, Type: w}
		for who, port := range server {
			if kind, ok := strings.CutPrefix(w, who+" "); ok {
				f.Type, f.Reply, f.SrcMAC, f.Src = kind, true, port.MAC, netip.MustParseAddr(port.FixedIPs[0].Address)
			}
		}
		s.Frames = append(s.Frames, f)
	}
	s.all = s.Frames
	return s
}

// What counts as having been given an address: once, any server's
// acknowledgement did, and a guest that a rogue server had served was healthy.
func TestWhatTheGuestWasGiven(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		words  []string
		state  FlowState
		served bool
		enough int
	}{
		{"our acknowledgement", []string{"Discover", "our Offer", "Request", "our Ack"}, FlowDelivered, true, 2},
		{"our offers only", []string{"Discover", "our Offer", "Discover", "our Offer"}, FlowOffered, false, 3},
		{"a foreign acknowledgement", []string{"Discover", "foreign Offer", "our Offer", "Request", "foreign Ack"}, FlowOffered, false, 2},
		{"a stale copy's acknowledgement", []string{"Discover", "stale Offer", "our Offer", "Request", "stale Ack"}, FlowOffered, false, 2},
		{"both acknowledge", []string{"Discover", "our Offer", "Request", "foreign Ack", "our Ack"}, FlowDelivered, true, 2},
		{"refused by another, and it stays", []string{"Discover", "our Offer", "Request", "foreign Nak", "our Ack"}, FlowDelivered, true, 2},
		{"refused by another, and it begins anew", []string{"Discover", "our Offer", "Request", "foreign Nak", "our Ack", "Discover", "our Offer"}, FlowOffered, false, 2},
		{"its old address refused, then served", []string{"Request", "our Nak", "Discover", "our Offer", "Request", "our Ack"}, FlowDelivered, true, 2},
		{"served, and asks anew later", []string{"Discover", "our Offer", "Request", "our Ack", "Discover"}, FlowDelivered, true, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := webPath(t, "controller01")
			ps := &Packets{Seen: map[Hop]HopFrames{}}
			for _, h := range capturable(p) {
				ps.Seen[h] = said(c.words...)
			}
			if got := ps.Trace(p, p.Branches[0], capture.DHCP); got.State != c.state {
				t.Errorf("the flow is %s, want %s", got.State, c.state)
			}
			if got := len(ps.Granted(p)) == 1; got != c.served {
				t.Errorf("acknowledged: %t", got)
			}
			if got := ps.enough(p.Guest[0], capture.DHCP); got != c.enough {
				t.Errorf("%d requests are enough, want %d", got, c.enough)
			}
		})
	}
}

// The other server of the path may be the one that acknowledges.
func TestAcknowledgedByAnyServerOfThePath(t *testing.T) {
	t.Parallel()
	p := webPath(t, "controller01", "controller02")
	ps := &Packets{Seen: map[Hop]HopFrames{p.Guest[0]: said("Discover", "our Offer", "other Offer", "Request", "other Ack")}}
	if len(ps.Granted(p)) != 1 {
		t.Error("the second server's acknowledgement does not count")
	}
	if b := p.Branches[0]; b.Sent(ps.Seen[p.Guest[0]].Frames[4]) || !b.Sent(ps.Seen[p.Guest[0]].Frames[1]) {
		t.Error("a frame is not told from another server's")
	}
}

// Where Neutron does not show a port's MAC, its address has to do.
func TestOwnsByAddress(t *testing.T) {
	t.Parallel()
	hidden := runners.Port{FixedIPs: []runners.FixedIP{{Address: "192.168.92.2"}}}
	if !hidden.Owns("fa:16:3e:00:00:02", "192.168.92.2") || hidden.Owns("fa:16:3e:00:00:02", "192.168.92.3") {
		t.Error("a port without a MAC is not told by its address")
	}
}
