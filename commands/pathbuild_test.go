package commands

import (
	"errors"
	"strings"
	"testing"

	"whybot/runners"
)

func TestBuildPath(t *testing.T) {
	t.Parallel()
	const gap = "is not shown this"
	for _, c := range []struct {
		name    string
		servers []string
		change  func(s *runners.Server, a *runners.Attachment)
		want    string // hops by branch
		gaps    []string
	}{
		{
			name: "vlan", servers: []string{"controller01"},
			want: "compute01: tap3d1c2f4a-0b brq91e78b9c-cf eth3.3092 eth3 | controller01: eth3 eth3.3092 brq91e78b9c-cf tap004b787f-9b ns-004b787f-9b dnsmasq",
		},
		{
			name: "flat", servers: []string{"controller01"},
			change: func(_ *runners.Server, a *runners.Attachment) {
				a.Network.Type, a.Network.SegmentationID = runners.Known("flat"), runners.Known(0)
			},
			want: "compute01: tap3d1c2f4a-0b brq91e78b9c-cf eth3 | controller01: eth3 brq91e78b9c-cf tap004b787f-9b ns-004b787f-9b dnsmasq",
		},
		{
			name: "vxlan", servers: []string{"controller01"},
			change: func(_ *runners.Server, a *runners.Attachment) {
				a.Network.Type, a.Network.SegmentationID, a.Network.PhysicalNet = runners.Known("vxlan"), runners.Known(71), runners.Known("")
			},
			want: "compute01: tap3d1c2f4a-0b brq91e78b9c-cf vxlan-71 | controller01: vxlan-71 brq91e78b9c-cf tap004b787f-9b ns-004b787f-9b dnsmasq",
		},
		{
			name: "a server on the guest's own node, and another", servers: []string{"controller01", "compute01"},
			want: "compute01: tap3d1c2f4a-0b brq91e78b9c-cf eth3.3092 eth3 | compute01: tap77aa1a2c-7f ns-77aa1a2c-7f dnsmasq | " +
				"controller01: eth3 eth3.3092 brq91e78b9c-cf tap004b787f-9b ns-004b787f-9b dnsmasq",
		},
		{
			name: "a bridge of the operator's own", servers: []string{"controller01"},
			change: func(_ *runners.Server, a *runners.Attachment) {
				agents, _ := a.L2Agents.Get()
				agents["compute01"] = runners.Agent{
					InterfaceMappings: map[string]string{"physnet1": "eth3"}, BridgeMappings: map[string]string{"physnet1": "br-payments"},
				}
			},
			want: "compute01: tap3d1c2f4a-0b br-payments | controller01: eth3 eth3.3092 brq91e78b9c-cf tap004b787f-9b ns-004b787f-9b dnsmasq",
			gaps: []string{"a bridge of the operator's own"},
		},
		{
			name: "no mapping on the guest's node", servers: []string{"controller01"},
			change: func(_ *runners.Server, a *runners.Attachment) {
				agents, _ := a.L2Agents.Get()
				agents["compute01"] = runners.Agent{InterfaceMappings: map[string]string{"physnet9": "eth9"}}
			},
			want: "compute01: tap3d1c2f4a-0b brq91e78b9c-cf | controller01: eth3 eth3.3092 brq91e78b9c-cf tap004b787f-9b ns-004b787f-9b dnsmasq",
			gaps: []string{`maps no interface to "physnet1"`},
		},
		{
			name: "no agent on the server's node", servers: []string{"controller01"},
			change: func(_ *runners.Server, a *runners.Attachment) {
				agents, _ := a.L2Agents.Get()
				delete(agents, "controller01")
			},
			want: "compute01: tap3d1c2f4a-0b brq91e78b9c-cf eth3.3092 eth3 | controller01: brq91e78b9c-cf tap004b787f-9b ns-004b787f-9b dnsmasq",
			gaps: []string{"lists no L2 agent on controller01"},
		},
		{
			name: "agents hidden", servers: []string{"controller01"},
			change: func(_ *runners.Server, a *runners.Attachment) {
				a.L2Agents = runners.NotKnown[map[string]runners.Agent](gap)
			},
			want: "compute01: tap3d1c2f4a-0b brq91e78b9c-cf | controller01: brq91e78b9c-cf tap004b787f-9b ns-004b787f-9b dnsmasq",
			gaps: []string{gap, gap},
		},
		{
			name: "provider fields hidden", servers: []string{"controller01"},
			change: func(_ *runners.Server, a *runners.Attachment) { a.Network.Type = runners.NotKnown[string](gap) },
			want:   "compute01: tap3d1c2f4a-0b brq91e78b9c-cf | controller01: brq91e78b9c-cf tap004b787f-9b ns-004b787f-9b dnsmasq",
			gaps:   []string{gap, gap},
		},
		{
			name: "a type nobody knows", servers: []string{"controller01"},
			change: func(_ *runners.Server, a *runners.Attachment) { a.Network.Type = runners.Known("gre") },
			want:   "compute01: tap3d1c2f4a-0b brq91e78b9c-cf | controller01: brq91e78b9c-cf tap004b787f-9b ns-004b787f-9b dnsmasq",
			gaps:   []string{"network type gre", "network type gre"},
		},
		{
			name: "the server's node hidden, or not bound", servers: []string{"controller01", "controller02"},
			change: func(_ *runners.Server, a *runners.Attachment) {
				a.DHCPPorts[0].HostID, a.DHCPPorts[1].HostID = runners.NotKnown[string](gap), runners.Known("")
			},
			want: "compute01: tap3d1c2f4a-0b brq91e78b9c-cf eth3.3092 eth3",
			gaps: []string{gap, "bound to no host"},
		},
		{
			name: "the port's binding hidden, Nova tells", servers: nil,
			change: func(_ *runners.Server, a *runners.Attachment) {
				a.Port.HostID, a.Port.VIFType = runners.NotKnown[string](gap), runners.NotKnown[string](gap)
			},
			want: "compute01: tap3d1c2f4a-0b brq91e78b9c-cf eth3.3092 eth3",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, a := webServer(), webPort(c.servers...)
			if c.change != nil {
				c.change(&s, &a)
			}
			p, err := BuildPath(s, a)
			if err != nil {
				t.Fatal(err)
			}
			if got := told(p); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if len(p.Gaps) != len(c.gaps) {
				t.Fatalf("gaps %q, want %q", p.Gaps, c.gaps)
			}
			for i, g := range p.Gaps {
				if !strings.Contains(g.Why, c.gaps[i]) || g.What == "" {
					t.Errorf("gap %+v, want %q", g, c.gaps[i])
				}
			}
		})
	}
}

// told is a path as text: the guest's hops, then each branch's.
func told(p *Path) string {
	line := func(node string, hops []Hop) string {
		s := node + ":"
		for _, h := range hops {
			s += " " + h.Device
		}
		return s
	}
	parts := []string{line(p.Node, p.Guest)}
	for _, b := range p.Branches {
		parts = append(parts, line(b.Node, b.Hops))
	}
	return strings.Join(parts, " | ")
}

func TestBuildPathRefuses(t *testing.T) {
	t.Parallel()
	s, a := webServer(), webPort("controller01")
	a.Port.VIFType = runners.Known("ovs")
	_, err := BuildPath(s, a)
	var e *Error
	if !errors.As(err, &e) || e.Code != CodeInvalid || !strings.Contains(e.Error(), `"ovs"`) {
		t.Errorf("err = %v", err)
	}
}

// A guest on no known node has a path without hops that says why, and a verdict
// that claims nothing.
func TestBuildPathOfNoNode(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(s *runners.Server, a *runners.Attachment)
		why    string
	}{
		{"node hidden", func(s *runners.Server, a *runners.Attachment) {
			s.Host, a.Port.HostID = runners.NotKnown[string]("may not see it"), runners.NotKnown[string]("may not see it")
		}, "may not see it"},
		{"on no node", func(s *runners.Server, a *runners.Attachment) {
			s.Host, s.Status, a.Port.HostID, a.Port.VIFType = runners.Known(""), "ERROR", runners.Known(""), runners.Known("unbound")
		}, "status ERROR"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, a := webServer(), webPort("controller01")
			c.change(&s, &a)
			p, err := BuildPath(s, a)
			if err != nil {
				t.Fatal(err)
			}
			if len(p.Hops()) != 0 || len(p.Gaps) != 1 || !strings.Contains(p.Gaps[0].Why, c.why) {
				t.Errorf("hops %v, gaps %v", p.Hops(), p.Gaps)
			}
			v, _, _ := judge(newPass(Question{Kind: KindDHCP}, s, a, p), nil, p.Gaps)
			if v.State != Unclear || !strings.Contains(v.Summary, c.why) {
				t.Errorf("verdict %s: %s", v.State, v.Summary)
			}
		})
	}
}

// The path lists each node once, the guest's first, and every hop once.
func TestPathNodes(t *testing.T) {
	t.Parallel()
	p := webPath(t, "controller02", "controller01", "compute01")
	if got := strings.Join(p.Nodes(), " "); got != "compute01 controller01 controller02" {
		t.Errorf("nodes = %s", got)
	}
	seen := map[Hop]bool{}
	for _, h := range p.Hops() {
		if seen[h] {
			t.Errorf("%s is there twice", h)
		}
		seen[h] = true
	}
	if got := p.On("compute01", HopTap); len(got) != 2 {
		t.Errorf("taps on compute01 = %v", got)
	}
}
