package commands

import (
	"testing"

	"whybot/commands/capture"
)

// places are the columns of the truth table: what lies between the two nodes'
// segments, the NICs, is listened to in a test of its own.
var places = []string{"c.tap", "c.brq", "c.eth", "n.eth", "n.brq", "n.tap"}

// placed names the hops of web-1's path to controller01 as the table does.
func placed(p *Path) map[string]Hop {
	b := p.Branches[0]
	return map[string]Hop{
		"c.tap": p.Guest[0], "c.brq": p.Guest[1], "c.eth": p.Guest[2], "c.nic": p.Guest[3],
		"n.nic": b.Hops[0], "n.eth": b.Hops[1], "n.brq": b.Hops[2], "n.tap": b.Hops[3], "dnsmasq": b.Hops[5],
	}
}

// A row is requests and replies at each of the places.
type row [6][2]int

func (r row) packets(p *Path) *Packets {
	at := placed(p)
	ps := &Packets{Seen: map[Hop]HopFrames{}}
	for i, place := range places {
		ps.Seen[at[place]] = sees(r[i][0], r[i][1], p.Branches[0].Port)
	}
	return ps
}

// TestTraceTruthTable is the table of DHCP captures made with a real kernel:
// one row for each fault.
func TestTraceTruthTable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fault     string
		row       row
		state     FlowState
		from, to  string
		direction Direction
		lost      int
	}{
		{"healthy", row{{2, 2}, {2, 2}, {2, 2}, {2, 2}, {2, 2}, {2, 2}}, FlowDelivered, "", "", "", 0},
		{"REJECT, one direction accepted", row{{3, 0}, {3, 0}, {3, 0}, {3, 0}, {3, 3}, {3, 3}}, FlowLost, "n.brq", "n.eth", Reply, 3},
		{"REJECT, policy DROP, nft or legacy reject", row{{2, 0}, {2, 0}, {2, 0}, {2, 0}, {2, 0}, {0, 0}}, FlowLost, "n.brq", "n.tap", Request, 2},
		{"forged transmits rejected", row{{2, 0}, {2, 0}, {2, 0}, {0, 0}, {0, 0}, {0, 0}}, FlowLost, "c.eth", "n.eth", Request, 2},
		{"promiscuous mode rejected", row{{2, 0}, {2, 0}, {2, 0}, {2, 2}, {2, 2}, {2, 2}}, FlowLost, "n.eth", "c.eth", Reply, 2},
		{"promiscuous with teaming reflection", row{{4, 0}, {4, 2}, {4, 2}, {2, 2}, {2, 2}, {2, 2}}, FlowLost, "c.brq", "c.tap", Reply, 2},
		{"port group disconnected, wrong VLAN", row{{2, 0}, {2, 0}, {2, 0}, {0, 0}, {0, 0}, {0, 0}}, FlowLost, "c.eth", "n.eth", Request, 2},
		{"dnsmasq dead, no host entry", row{{2, 0}, {2, 0}, {2, 0}, {2, 0}, {2, 0}, {2, 0}}, FlowLost, "n.tap", "dnsmasq", Request, 2},
		{"tap not in bridge, STP listening", row{{2, 0}, {0, 0}, {0, 0}, {0, 0}, {0, 0}, {0, 0}}, FlowLost, "c.tap", "c.brq", Request, 2},
		{"uplink down", row{{2, 0}, {2, 0}, {0, 0}, {0, 0}, {0, 0}, {0, 0}}, FlowLost, "c.brq", "c.eth", Request, 2},
		{"guest silent", row{}, FlowSilent, "", "", "", 0},
	} {
		t.Run(c.fault, func(t *testing.T) {
			t.Parallel()
			p := webPath(t, "controller01")
			at := placed(p)
			got := c.row.packets(p).Trace(p, p.Branches[0], capture.DHCP)
			want := Flow{State: c.state, Lost: c.lost}
			if c.state == FlowLost {
				want.Edge = Edge{at[c.from], at[c.to], c.direction}
			}
			if got != want {
				t.Errorf("got %+v\nwant %+v", got, want)
			}
		})
	}
}

// A hop that was not observed is stepped over: the edge spans it, and nothing
// is said that only it could show.
func TestTraceOverUnseenHops(t *testing.T) {
	t.Parallel()
	seed := row{{3, 0}, {3, 0}, {3, 0}, {3, 0}, {3, 3}, {3, 3}}
	dead := row{{2, 0}, {2, 0}, {2, 0}, {2, 0}, {2, 0}, {2, 0}}
	healthy := row{{2, 2}, {2, 2}, {2, 2}, {2, 2}, {2, 2}, {2, 2}}
	for _, c := range []struct {
		name      string
		row       row
		unseen    []string
		state     FlowState
		from, to  string
		direction Direction
	}{
		{"the edge spans a bridge", seed, []string{"n.brq"}, FlowLost, "n.tap", "n.eth", Reply},
		{"the edge spans the way between the nodes", seed, []string{"c.eth", "n.eth"}, FlowLost, "n.brq", "c.brq", Reply},
		{"the guest's tap is not needed for a loss", seed, []string{"c.tap"}, FlowLost, "n.brq", "n.eth", Reply},
		{"the server's tap is needed for its silence", dead, []string{"n.tap"}, FlowBlind, "", "", ""},
		{"the whole network node", seed, []string{"n.eth", "n.brq", "n.tap"}, FlowBlind, "", "", ""},
		{"the guest's tap is needed for a delivery", healthy, []string{"c.tap"}, FlowBlind, "", "", ""},
		{"the guest's tap is needed for a silence", row{}, []string{"c.tap"}, FlowBlind, "", "", ""},
		{"a delivery needs nothing else", healthy, []string{"c.brq", "c.eth", "n.eth", "n.brq", "n.tap"}, FlowDelivered, "", "", ""},
		{"nothing at all", healthy, places, FlowBlind, "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := webPath(t, "controller01")
			at, ps := placed(p), c.row.packets(p)
			for _, place := range c.unseen {
				ps.Seen[at[place]] = notSeenAt(at[place])
			}
			got := ps.Trace(p, p.Branches[0], capture.DHCP)
			var edge Edge
			if c.state == FlowLost {
				edge = Edge{at[c.from], at[c.to], c.direction}
			}
			if got.State != c.state || got.Edge != edge {
				t.Errorf("got %+v, want %s %+v", got, c.state, edge)
			}
		})
	}
}

// The replies of one server say nothing of another.
func TestTraceTellsServersApart(t *testing.T) {
	t.Parallel()
	p := webPath(t, "controller01", "controller02")
	ps := &Packets{Seen: map[Hop]HopFrames{}}
	for _, h := range capturable(p) {
		ps.Seen[h] = sees(2, 2, serverOf["controller01"])
	}
	if got := ps.Trace(p, p.Branches[0], capture.DHCP); got.State != FlowDelivered {
		t.Errorf("controller01: %+v", got)
	}
	b := p.Branches[1]
	want := Edge{b.Hops[3], b.Hops[5], Request}
	if got := ps.Trace(p, b, capture.DHCP); got.State != FlowLost || got.Edge != want {
		t.Errorf("controller02: %+v, want lost on %+v", got, want)
	}
}

// A renewal is sent to one server: another server's branch is not cut because
// it does not see it.
func TestTraceIgnoresUnicast(t *testing.T) {
	t.Parallel()
	p := webPath(t, "controller01", "controller02")
	ps := &Packets{Seen: map[Hop]HopFrames{}}
	for _, h := range capturable(p) {
		ps.Seen[h] = HopFrames{}
	}
	renewal := capture.Frame{Exchange: capture.DHCP, At: firstFrame, SrcMAC: guestMAC, DstMAC: serverOf["controller01"].MAC, Type: "Request"}
	ps.Seen[p.Guest[0]] = HopFrames{Frames: []capture.Frame{renewal}}
	if got := ps.Trace(p, p.Branches[1], capture.DHCP); got.State == FlowLost {
		t.Errorf("controller02: %+v", got)
	}
}

// A server on the guest's own node is reached at the bridge: the wire is no
// part of its flow.
func TestTraceOfALocalServer(t *testing.T) {
	t.Parallel()
	p := webPath(t, "compute01")
	b := p.Branches[0]
	flow := p.Flow(b)
	if !b.Local || len(flow) != 5 || flow[1].Kind != HopBridge || flow[2].Kind != HopTap {
		t.Fatalf("flow = %v", flow)
	}
	ps := &Packets{Seen: map[Hop]HopFrames{
		flow[0]: sees(2, 0, b.Port), flow[1]: sees(2, 0, b.Port), flow[2]: {},
		p.Guest[2]: {}, p.Guest[3]: {}, // silent wire: no loss
	}}
	if got, want := ps.Trace(p, b, capture.DHCP), (Flow{State: FlowLost, Lost: 2, Edge: Edge{flow[1], flow[2], Request}}); got != want {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}
