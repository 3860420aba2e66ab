package commands

import (
	"strings"
	"testing"

	"whybot/commands/capture"
)

// cutting is a proven finding on the last edge of a branch: its server.
func cutting(p *Pass, branch int, state State) Finding {
	b := p.Path.Branches[branch]
	n := len(b.Hops)
	return Finding{
		Cause: "DHCP-09", Title: "dnsmasq is not running", State: state, Node: b.Node, Branch: b.Node, Summary: "no dnsmasq on " + b.Node,
		Edge: Edge{b.Hops[n-3], b.Hops[n-1], Request},
	}
}

// atGuest is a proven finding on the guest's own part.
func atGuest(p *Pass) Finding {
	return Finding{
		Cause: "DHCP-16", Title: "The tap is not in its bridge", State: Proven, Node: p.Path.Node, Summary: "tap in no bridge",
		Edge: Edge{p.Path.Guest[0], p.Path.Guest[1], Request},
	}
}

// everywhere is a packet stage in which every hop saw the same of
// controller01.
func everywhere(p *Pass, requests, replies int) *Packets {
	ps := &Packets{Seen: map[Hop]HopFrames{}}
	for _, h := range capturable(p.Path) {
		ps.Seen[h] = sees(requests, replies, serverOf["controller01"])
	}
	return ps
}

func TestJudge(t *testing.T) {
	t.Parallel()
	two := []string{"controller01", "controller02"}
	unreachable := []Blind{{What: "controller02", Why: "unreachable"}}
	for _, c := range []struct {
		name    string
		servers []string
		// set prepares what was seen and found.
		set           func(p *Pass) []Finding
		unseen        []Blind
		state         State
		cause         string
		summary, miss string // parts of the text
	}{
		{
			name: "one working branch is enough", servers: two, state: Healthy, summary: "acknowledged its lease",
			set: func(p *Pass) []Finding {
				p.Packets = everywhere(p, 2, 2)
				return []Finding{cutting(p, 1, Proven)}
			},
		},
		{
			name: "both branches cut alike", servers: two, state: Proven, cause: "DHCP-09", summary: "no dnsmasq on controller01",
			set: func(p *Pass) []Finding {
				p.Packets = everywhere(p, 2, 0)
				return []Finding{cutting(p, 1, Proven), cutting(p, 0, Proven)}
			},
		},
		{
			name: "a cut at the guest cuts every branch", servers: two, state: Proven, cause: "DHCP-16",
			set: func(p *Pass) []Finding { return []Finding{cutting(p, 0, Proven), atGuest(p)} },
		},
		{
			name: "the second branch is only probably cut", servers: two, state: Probable, cause: "DHCP-09", summary: "no dnsmasq on controller02",
			set: func(p *Pass) []Finding { return []Finding{cutting(p, 0, Proven), cutting(p, 1, Probable)} },
		},
		{
			name: "proven on one branch, the other not seen", servers: two, state: Unclear, unseen: unreachable, summary: "Not seen: controller02",
			set: func(p *Pass) []Finding { return []Finding{cutting(p, 0, Proven)} },
		},
		{
			name: "lost before what was found", servers: []string{"controller01"}, state: Unclear, summary: "none arrived at compute01/brq91e78b9c-cf",
			miss: "compute01",
			set: func(p *Pass) []Finding {
				p.Packets = everywhere(p, 0, 0)
				p.Packets.Seen[p.Path.Guest[0]] = sees(3, 0, serverOf["controller01"])
				return []Finding{cutting(p, 0, Proven)}
			},
		},
		{
			name: "lost between the nodes, nothing found", servers: []string{"controller01"}, state: Unclear, miss: "port groups",
			set: func(p *Pass) []Finding {
				p.Packets = everywhere(p, 0, 0)
				for _, h := range p.Path.Guest {
					p.Packets.Seen[h] = sees(3, 0, serverOf["controller01"])
				}
				return nil
			},
		},
		{
			name: "the server is silent, nothing found", servers: []string{"controller01"}, state: Unclear, miss: "its log",
			set: func(p *Pass) []Finding { p.Packets = everywhere(p, 3, 0); return nil },
		},
		{
			name: "nothing found without packets is not healthy", servers: []string{"controller01"}, state: Unclear, miss: "a capture",
			set: func(*Pass) []Finding { return nil },
		},
		{
			name: "no hop could be listened to", servers: []string{"controller01"}, state: Unclear, summary: "could not be followed",
			set: func(p *Pass) []Finding {
				p.Packets = everywhere(p, 0, 0)
				for h := range p.Packets.Seen {
					p.Packets.Seen[h] = notSeenAt(h)
				}
				return nil
			},
		},
		{
			name: "a silent guest", servers: []string{"controller01"}, state: Unclear, miss: "a DHCP request of the guest",
			set: func(p *Pass) []Finding { p.Packets = everywhere(p, 0, 0); return nil },
		},
		{
			name: "a silent guest that answers for its address", servers: []string{"controller01"}, state: Healthy, summary: "answers for its address",
			set: func(p *Pass) []Finding {
				p.Packets = everywhere(p, 0, 0)
				p.Packets.Holder = guestMAC
				return nil
			},
		},
		{
			name: "another machine answers for its address", servers: []string{"controller01"}, state: Unclear,
			set: func(p *Pass) []Finding {
				p.Packets = everywhere(p, 0, 0)
				p.Packets.Holder = "fa:16:3e:00:00:99"
				return nil
			},
		},
		{
			name: "it holds its address, the path is cut", servers: []string{"controller01"}, state: Proven, cause: "DHCP-09", summary: "the next renewal may fail",
			set: func(p *Pass) []Finding {
				p.Packets = everywhere(p, 0, 0)
				p.Packets.Holder = guestMAC
				return []Finding{cutting(p, 0, Proven)}
			},
		},
		{
			name: "no server is known", state: Unclear, miss: "which DHCP server",
			set: func(*Pass) []Finding { return nil },
		},
		{
			name: "no server is known, but the guest is cut off", state: Proven, cause: "DHCP-16",
			set: func(p *Pass) []Finding { return []Finding{atGuest(p)} },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := webPass(t, c.servers...)
			v, _, _ := judge(p, c.set(p), c.unseen)
			if v.State != c.state || v.Cause != c.cause {
				t.Errorf("verdict %s %q, want %s %q: %s", v.State, v.Cause, c.state, c.cause, v.Summary)
			}
			if !strings.Contains(v.Summary, c.summary) || !strings.Contains(v.Missing, c.miss) {
				t.Errorf("summary %q, missing %q; want %q and %q in them", v.Summary, v.Missing, c.summary, c.miss)
			}
		})
	}
}

// What rests on nothing having happened yields to what cuts every branch, and
// stands where nothing else does.
func TestJudgeYields(t *testing.T) {
	t.Parallel()
	silent := func(p *Pass) Finding {
		f := atGuest(p)
		f.Cause, f.Yields = "DHCP-42", true
		return f
	}
	p := webPass(t, "controller01", "controller02")
	all := []Finding{silent(p), cutting(p, 0, Proven), cutting(p, 1, Proven)}
	if v, _, _ := judge(p, all, nil); v.Cause != "DHCP-09" {
		t.Errorf("both servers dead: verdict %s %s", v.State, v.Cause)
	}
	if v, _, _ := judge(p, all[:2], nil); v.Cause != "DHCP-42" {
		t.Errorf("one server dead: verdict %s %s", v.State, v.Cause)
	}
}

// What brings another finding about is named in its place, on the edge that the
// other one cuts; without the other it is no cause.
func TestJudgeNamesTheRoot(t *testing.T) {
	t.Parallel()
	agent := func(node string, s State) Finding {
		return Finding{Cause: "DHCP-25", Title: "The L2 agent is dead", State: s, Node: node, Summary: "dead", Causes: []string{"DHCP-16"}, Aside: true}
	}
	for _, c := range []struct {
		name     string
		findings func(p *Pass) []Finding
		cause    string
	}{
		{"both", func(p *Pass) []Finding { return []Finding{atGuest(p), agent(p.Path.Node, Proven)} }, "DHCP-25"},
		{"on any node", func(p *Pass) []Finding { return []Finding{atGuest(p), agent("", Proven)} }, "DHCP-25"},
		{"on another node", func(p *Pass) []Finding { return []Finding{atGuest(p), agent("controller01", Proven)} }, "DHCP-16"},
		{"less sure than what it explains", func(p *Pass) []Finding { return []Finding{atGuest(p), agent(p.Path.Node, Probable)} }, "DHCP-16"},
		{"alone", func(p *Pass) []Finding { return []Finding{agent(p.Path.Node, Proven)} }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := webPass(t, "controller01")
			v, _, _ := judge(p, c.findings(p), nil)
			if v.Cause != c.cause {
				t.Fatalf("verdict %s %s, want %q", v.State, v.Cause, c.cause)
			}
			if want := atGuest(p).Edge.JSON(); c.cause != "" && (v.Edge == nil || *v.Edge != *want) {
				t.Errorf("edge %v, want %v", v.Edge, want)
			}
		})
	}
}

// A proven root does not make certain what may follow from it: the agent is
// dead, and yet the packets may pass.
func TestJudgeRootOfWhatIsProbable(t *testing.T) {
	t.Parallel()
	p := webPass(t, "controller01")
	effect := atGuest(p)
	effect.State, effect.Missing = Probable, "a packet"
	root := Finding{Cause: "DHCP-25", Title: "The L2 agent is dead", State: Proven, Node: p.Path.Node, Causes: []string{"DHCP-16"}, Aside: true}
	v, _, _ := judge(p, []Finding{effect, root}, nil)
	if v.State != Probable || v.Cause != "DHCP-25" || v.Missing != "a packet" {
		t.Errorf("verdict %s %s, missing %q", v.State, v.Cause, v.Missing)
	}
}

// A guest that needs IPv6 as well is judged by the worse of the two, unless
// nothing was seen of IPv6 or the question is about it.
func TestJudgeSeveralExchanges(t *testing.T) {
	t.Parallel()
	dual := func(t *testing.T) *Pass {
		t.Helper()
		p := webPass(t, "controller01")
		p.Path.Branches[0].Exchanges = []Exchange{capture.DHCP, capture.DHCPv6}
		p.Packets = everywhere(p, 2, 2)
		return p
	}
	v6 := func(p *Pass) Finding {
		f := cutting(p, 0, Proven)
		f.Exchange = capture.DHCPv6
		return f
	}
	t.Run("IPv6 unseen", func(t *testing.T) {
		t.Parallel()
		p := dual(t)
		v, _, rest := judge(p, nil, nil)
		if v.State != Healthy || len(rest) != 1 || !strings.Contains(rest[0], "DHCPv6: unknown") {
			t.Errorf("verdict %s, rest %q", v.State, rest)
		}
	})
	t.Run("IPv6 unseen and asked about", func(t *testing.T) {
		t.Parallel()
		p := dual(t)
		p.Question.Text = "web-1 gets no IPv6 address"
		if v, _, _ := judge(p, nil, nil); v.State != Unclear {
			t.Errorf("verdict %s: %s", v.State, v.Summary)
		}
	})
	t.Run("IPv6 cut", func(t *testing.T) {
		t.Parallel()
		p := dual(t)
		v, _, rest := judge(p, []Finding{v6(p)}, nil)
		if v.State != Proven || len(rest) != 1 || !strings.Contains(rest[0], "DHCP: healthy") {
			t.Errorf("verdict %s, rest %q", v.State, rest)
		}
	})
}

// That the guest answers for its IPv4 address ends the wait for packets only
// where it is IPv4 that is asked about: a proof of IPv6 once listened for half a
// second because of it.
func TestHeldIsAsked(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{"why can't web-1 get an IP": true, "why does web-1 get no IPv6 address": false} {
		p := webPass(t, "controller01")
		p.Path.Branches[0].Exchanges = []Exchange{capture.DHCP, capture.DHCPv6}
		p.Question.Text = text
		if got := p.heldIsAsked(); got != want {
			t.Errorf("%q: %t for %s", text, got, p.address())
		}
	}
}

// While Nova moves a server, what is missing on a node proves nothing.
func TestJudgeOnTheMove(t *testing.T) {
	t.Parallel()
	p := webPass(t, "controller01")
	p.Server.TaskState = "migrating"
	v, _, _ := judge(p, []Finding{atGuest(p)}, nil)
	if v.State != Probable || !strings.Contains(v.Missing, "migrating") {
		t.Errorf("verdict %s, missing %q", v.State, v.Missing)
	}
}

// The guest itself comes first, and what is missing altogether where requests
// end.
func TestJudgeSortsWhatIsNoHop(t *testing.T) {
	t.Parallel()
	p := webPass(t, "controller01")
	silent := Finding{Cause: "DHCP-42", State: Proven, Edge: Edge{Hop{Node: p.Path.Node, Device: "web-1"}, p.Path.Guest[0], Request}}
	nobody := Finding{Cause: "DHCP-12", State: Proven}
	_, got, _ := judge(p, []Finding{nobody, atGuest(p), silent}, nil)
	var order []string
	for _, f := range got {
		order = append(order, f.Cause)
	}
	if s := strings.Join(order, " "); s != "DHCP-42 DHCP-16 DHCP-12" {
		t.Errorf("order %s", s)
	}
}

// Findings come back proven first, then in the order frames travel.
func TestJudgeSortsFindings(t *testing.T) {
	t.Parallel()
	p := webPass(t, "controller01", "controller02")
	reply := cutting(p, 0, Proven)
	reply.Cause, reply.Edge = "DHCP-01", Edge{p.Path.Branches[0].Hops[2], p.Path.Branches[0].Hops[1], Reply}
	_, got, _ := judge(p, []Finding{cutting(p, 0, Probable), reply, cutting(p, 1, Proven), atGuest(p)}, nil)
	var order []string
	for _, f := range got {
		order = append(order, f.Cause+" "+f.Node+" "+string(f.State))
	}
	want := "DHCP-16 compute01 proven,DHCP-09 controller02 proven,DHCP-01 controller01 proven,DHCP-09 controller01 probable"
	if s := strings.Join(order, ","); s != want {
		t.Errorf("order %s\nwant  %s", s, want)
	}
}

func TestWithin(t *testing.T) {
	t.Parallel()
	flow := []Hop{{Device: "0"}, {Device: "1"}, {Device: "2"}, {Device: "3"}, {Device: "4"}}
	edge := func(from, to int, d Direction) Edge { return Edge{flow[from], flow[to], d} }
	elsewhere := Hop{Node: "other", Device: "1"}
	for _, c := range []struct {
		name        string
		found, lost Edge
		want        bool
	}{
		{"the same", edge(1, 2, Request), edge(1, 2, Request), true},
		{"inside a longer one", edge(1, 2, Request), edge(0, 3, Request), true},
		{"at its end", edge(2, 3, Request), edge(0, 3, Request), true},
		{"replies run backwards", edge(3, 2, Reply), edge(4, 1, Reply), true},
		{"longer than it", edge(0, 3, Request), edge(1, 2, Request), false},
		{"behind it", edge(2, 3, Request), edge(1, 2, Request), false},
		{"before it", edge(0, 1, Request), edge(1, 2, Request), false},
		{"the other direction", edge(2, 1, Reply), edge(1, 2, Request), false},
		{"off the flow", Edge{elsewhere, flow[2], Request}, edge(0, 3, Request), false},
		{"no edge", Edge{}, edge(0, 3, Request), false},
	} {
		if got := Within(flow, c.found, c.lost); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
