package commands

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"whybot/commands/capture"
	"whybot/commands/netfilter"
	"whybot/runners"
)

const (
	guestEnd  = "172.30.200.41"
	serverEnd = "172.30.200.31"
	otherEnd  = "172.30.200.42"
)

// vxlanLinks is a node's tunnel, as far as the path needs to know it.
func vxlanLinks(details string) string {
	return "3: eth1@if7: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 state UP\n    veth\n" +
		"9: vxlan-1207: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1450 master brq91e78b9c-cf state UNKNOWN\n    vxlan id 1207 " + details + "\n"
}

func addressesOf(ends ...string) string {
	text := "1: lo    inet 127.0.0.1/8 scope host lo\n"
	for _, a := range ends {
		text += "3: eth1    inet " + a + "/24 scope global eth1\n"
	}
	return text
}

// ordinary is a tunnel with l2_population.
const ordinary = "dev eth1 srcport 0 0 dstport 8472 ageing 300"

// vxlanPass is a pass over web-1's path on a VXLAN network, with both nodes
// read; change may change what Neutron says and what was read.
func vxlanPass(t *testing.T, change func(l2 map[string]runners.Agent, read map[string]map[string]string)) *Pass {
	t.Helper()
	a := webPort("controller01")
	a.Network.Type, a.Network.SegmentationID, a.Network.PhysicalNet = runners.Known("vxlan"), runners.Known(1207), runners.Known("")
	l2, _ := a.L2Agents.Get()
	read := map[string]map[string]string{}
	for node, end := range map[string]string{"compute01": guestEnd, "controller01": serverEnd} {
		l2[node] = runners.Agent{Host: node, TunnelingIP: end, L2Population: runners.Known(true)}
		read[node] = map[string]string{"ip-link": vxlanLinks(ordinary), "addresses": addressesOf(end)}
	}
	if change != nil {
		change(l2, read)
	}
	path, err := BuildPath(webServer(), a)
	if err != nil {
		t.Fatal(err)
	}
	p := newPass(Question{Kind: KindDHCP}, webServer(), a, path)
	p.readings = map[string]reading{}
	for node, probes := range read {
		p.readings[node] = readingOf(probes)
	}
	p.findTunnels()
	return p
}

// The NIC behind a VXLAN device is what the node says, and what cannot be known
// is a gap, never a guess.
func TestPathThroughATunnel(t *testing.T) {
	t.Parallel()
	const (
		whole   = "compute01: tap3d1c2f4a-0b brq91e78b9c-cf vxlan-1207 eth1 | controller01: eth1 vxlan-1207 brq91e78b9c-cf tap004b787f-9b ns-004b787f-9b dnsmasq"
		without = "compute01: tap3d1c2f4a-0b brq91e78b9c-cf vxlan-1207 | controller01: eth1 vxlan-1207 brq91e78b9c-cf tap004b787f-9b ns-004b787f-9b dnsmasq"
	)
	for _, c := range []struct {
		name   string
		change func(l2 map[string]runners.Agent, read map[string]map[string]string)
		want   string
		gap    string // of compute01
		ends   string
	}{
		{"both say the same", nil, whole, "", guestEnd},
		{"the agent tells no address", func(l2 map[string]runners.Agent, _ map[string]map[string]string) {
			l2["compute01"] = runners.Agent{}
		}, whole, "", guestEnd},
		{"the device is missing", func(_ map[string]runners.Agent, read map[string]map[string]string) {
			read["compute01"]["ip-link"] = strings.Split(vxlanLinks(""), "9: ")[0]
		}, whole, "", guestEnd},
		{"the device names no NIC", func(_ map[string]runners.Agent, read map[string]map[string]string) {
			read["compute01"]["ip-link"] = vxlanLinks("local " + guestEnd + " dstport 4789")
		}, whole, "", guestEnd},
		{"another address than Neutron knows", func(_ map[string]runners.Agent, read map[string]map[string]string) {
			read["compute01"]["addresses"] = addressesOf("172.30.200.141")
		}, whole, "", guestEnd + ", 172.30.200.141"},
		{"its own address", func(_ map[string]runners.Agent, read map[string]map[string]string) {
			read["compute01"]["ip-link"] = vxlanLinks("local 10.9.9.9 dev eth1 dstport 4789")
			read["compute01"]["addresses"] = addressesOf()
		}, whole, "", guestEnd + ", 10.9.9.9"},

		{"nobody has the agent's address", func(_ map[string]runners.Agent, read map[string]map[string]string) {
			read["compute01"]["ip-link"], read["compute01"]["addresses"] = vxlanLinks("dstport 8472"), addressesOf("10.1.1.1")
		}, without, "no device of the node has the agent's tunneling_ip", guestEnd},
		{"nobody knows an address", func(l2 map[string]runners.Agent, read map[string]map[string]string) {
			l2["compute01"] = runners.Agent{}
			read["compute01"]["addresses"] = addressesOf()
		}, without, "tells Neutron no tunneling_ip", ""},
		{"addresses unread and no device", func(_ map[string]runners.Agent, read map[string]map[string]string) {
			read["compute01"]["ip-link"] = vxlanLinks("dstport 8472")
			delete(read["compute01"], "addresses")
		}, without, "the probe was not sent", guestEnd},
		{"the address is on the loopback", func(l2 map[string]runners.Agent, read map[string]map[string]string) {
			l2["compute01"] = runners.Agent{TunnelingIP: "127.0.0.1"}
			read["compute01"]["ip-link"] = vxlanLinks("dstport 8472")
		}, without, "routing chooses the NIC", "127.0.0.1"},
		{"the address is on a dummy", func(_ map[string]runners.Agent, read map[string]map[string]string) {
			read["compute01"]["ip-link"] = strings.Replace(vxlanLinks(ordinary), "    veth", "    dummy", 1)
		}, without, "routing chooses the NIC", guestEnd},
		{"over IPv6", func(l2 map[string]runners.Agent, _ map[string]map[string]string) {
			l2["compute01"] = runners.Agent{TunnelingIP: "fd00::41"}
		}, without, "over IPv6", "fd00::41, " + guestEnd},
		{"a group of IPv6", func(_ map[string]runners.Agent, read map[string]map[string]string) {
			read["compute01"]["ip-link"] = vxlanLinks("group6 ff05::1 dev eth1 dstport 8472")
		}, without, "over IPv6", guestEnd},
		{"the node could not be read, which is said elsewhere", func(_ map[string]runners.Agent, read map[string]map[string]string) {
			delete(read, "compute01")
		}, without, "", guestEnd},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := vxlanPass(t, c.change)
			if got := told(p.Path); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			gap := ""
			for _, g := range p.Path.Gaps {
				if g.Node == "compute01" {
					gap += g.Why
				}
			}
			if !strings.Contains(gap, c.gap) || c.gap == "" && gap != "" {
				t.Errorf("gap %q, want %q", gap, c.gap)
			}
			if ends := p.Path.Tunnels["compute01"].Addresses(); ends != c.ends {
				t.Errorf("ends %q, want %q", ends, c.ends)
			}
		})
	}
	if p := webPass(t, "controller01"); p.vxlanOn("compute01") != "" || p.Path.Tunnels != nil {
		t.Errorf("a VLAN network has the tunnels %v", p.Path.Tunnels)
	}
}

// inTunnelTo is what a NIC sees of frames in the tunnel to an end.
func inTunnelTo(end string, s HopFrames) HopFrames {
	s.Frames = slices.Clone(s.Frames)
	for i := range s.Frames {
		f := &s.Frames[i]
		f.VNI, f.OuterSrc, f.OuterDst = 1207, netip.MustParseAddr(guestEnd), netip.MustParseAddr(end)
		if f.Reply {
			f.OuterSrc = netip.MustParseAddr(serverEnd)
		}
	}
	s.all = s.Frames
	return s
}

// Copies for other peers are not on the branch's way.
func TestTraceThroughATunnel(t *testing.T) {
	t.Parallel()
	type at struct {
		end               string
		requests, replies int
	}
	for _, c := range []struct {
		name          string
		guest, server at // the NICs
		inner, far    [2]int
		from, to      string
		direction     Direction
	}{
		{"request lost in the network", at{serverEnd, 3, 0}, at{serverEnd, 0, 0}, [2]int{3, 0}, [2]int{0, 0}, "compute01/eth1", "controller01/eth1", Request},
		{"request lost behind the NIC", at{serverEnd, 3, 0}, at{serverEnd, 3, 0}, [2]int{3, 0}, [2]int{0, 0}, "controller01/eth1", "controller01/vxlan-1207", Request},
		{"by multicast", at{"224.0.0.1", 3, 0}, at{"224.0.0.1", 3, 0}, [2]int{3, 0}, [2]int{0, 0}, "controller01/eth1", "controller01/vxlan-1207", Request},
		{"only copies for another peer", at{otherEnd, 3, 0}, at{serverEnd, 0, 0}, [2]int{3, 0}, [2]int{0, 0}, "compute01/vxlan-1207", "compute01/eth1", Request},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := vxlanPass(t, nil)
			port := p.Path.Branches[0].Port
			ps := &Packets{Seen: map[Hop]HopFrames{}}
			for _, h := range p.Path.Hops() {
				switch {
				case !h.Captured():
				case p.Path.isUnderlay(h) && h.Node == "compute01":
					ps.Seen[h] = inTunnelTo(c.guest.end, sees(c.guest.requests, c.guest.replies, port))
				case p.Path.isUnderlay(h):
					ps.Seen[h] = inTunnelTo(c.server.end, sees(c.server.requests, c.server.replies, port))
				case h.Node == "compute01":
					ps.Seen[h] = sees(c.inner[0], c.inner[1], port)
				default:
					ps.Seen[h] = sees(c.far[0], c.far[1], port)
				}
			}
			got := ps.Trace(p.Path, p.Path.Branches[0], capture.DHCP)
			if got.State != FlowLost || got.Edge.From.String() != c.from || got.Edge.To.String() != c.to || got.Edge.Direction != c.direction {
				t.Errorf("got %+v, want %s -> %s (%s)", got, c.from, c.to, c.direction)
			}
		})
	}
}

// A capture below a tunnel looks for every port that a node of the path uses,
// and keeps only what goes to one of them.
func TestCaptureBelowATunnel(t *testing.T) {
	t.Parallel()
	p := vxlanPass(t, func(_ map[string]runners.Agent, read map[string]map[string]string) {
		read["controller01"]["ip-link"] = vxlanLinks("dev eth1 dstport 4789")
	})
	w := &watch{x: &examination{e: &Engine{}, pass: p}}
	nic := p.Path.underlay("compute01")
	spec, err := w.spec(nic)
	if err != nil {
		t.Fatal(err)
	}
	want, err := capture.TunnelFilter(guestMAC, 1207, 4789, 8472)
	if err != nil || spec.Device != "eth1" || spec.Filter != want {
		t.Errorf("spec %+v, %v; want %s", spec, err, want)
	}
	p.Path.Tunnels = map[string]Tunnel{"compute01": {NIC: "eth1"}}
	if spec, err = w.spec(nic); err != nil || !strings.Contains(spec.Filter, "dst port 4789 or dst port 8472") {
		t.Errorf("with no port known: %+v, %v", spec, err)
	}
	p.Port.Network.SegmentationID = runners.Known(0)
	if _, err := w.spec(nic); err == nil {
		t.Error("a capture was made without a network identifier")
	}

	p = vxlanPass(t, nil)
	for end, want := range map[string]bool{serverEnd: true, guestEnd: true, otherEnd: false, "224.0.0.1": true} {
		if got := p.Path.onWay(capture.Frame{VNI: 1207, OuterDst: netip.MustParseAddr(end)}); got != want {
			t.Errorf("a frame to %s is on the way: %v", end, got)
		}
	}
	if !p.Path.onWay(capture.Frame{}) {
		t.Error("a frame in no tunnel is not on the way")
	}
}

// A packet of the tunnel is new to connection tracking, unless its source port
// may be the tunnel's own.
func TestTunnelPacket(t *testing.T) {
	t.Parallel()
	p := vxlanPass(t, nil)
	in := p.tunnelPacket(stepOf(t, p, false, Request))
	if dport, _ := in.Dport.Get(); in.Src.String() != guestEnd || in.Dst.String() != serverEnd || dport != 8472 || in.CT != netfilter.CTNew {
		t.Errorf("into the server's node: %+v", in)
	}
	if name, _ := in.In.Get(); name != "eth1" {
		t.Errorf("it comes in by %q", name)
	}
	out := p.tunnelPacket(stepOf(t, p, true, Reply))
	if name, _ := out.Out.Get(); name != "eth1" || out.Src.String() != serverEnd || out.Dst.String() != guestEnd {
		t.Errorf("out of the server's node: %+v", out)
	}
}

// stepOf is the step of a direction into web-1's tunnel, or out of it.
func stepOf(t *testing.T, p *Pass, leaves bool, d Direction) TunnelStep {
	t.Helper()
	for _, s := range p.TunnelSteps(p.Path.Branches[0]) {
		if s.Leaves() == leaves && s.Direction == d {
			return s
		}
	}
	t.Fatal("no such step")
	return TunnelStep{}
}

// Where the packet may be one of several, nothing is guessed; one that was
// captured says which.
func TestTunnelPacketInDoubt(t *testing.T) {
	t.Parallel()
	p := vxlanPass(t, func(_ map[string]runners.Agent, read map[string]map[string]string) {
		read["compute01"]["ip-link"] = vxlanLinks("group 239.1.1.7 dev eth1 srcport 8472 8473 dstport 8472")
		read["controller01"]["addresses"] = addressesOf(serverEnd, "172.30.200.100")
	})
	in := p.tunnelPacket(stepOf(t, p, false, Request))
	if in.CT != netfilter.CTUnknown || in.Dst.String() != "239.1.1.7" || in.PacketType != netfilter.TypeMulticast {
		t.Errorf("with a group and a fixed source: %+v", in)
	}
	if in = p.tunnelPacket(stepOf(t, p, false, Reply)); in.Src.IsValid() {
		t.Errorf("of two addresses one was chosen: %+v", in)
	}
	p.Packets = &Packets{Seen: map[Hop]HopFrames{p.Path.underlay("compute01"): inTunnelTo(guestEnd, sees(0, 2, p.Path.Branches[0].Port))}}
	if in = p.tunnelPacket(stepOf(t, p, false, Reply)); in.Src.String() != serverEnd || in.Dst.String() != guestEnd || in.PacketType != netfilter.TypeUnicast {
		t.Errorf("as it was captured: %+v", in)
	}
}

// A branch on the guest's own node goes through no tunnel.
func TestNoTunnelOnTheGuestsNode(t *testing.T) {
	t.Parallel()
	p := vxlanPass(t, nil)
	b := p.Path.Branches[0]
	if n := len(p.TunnelSteps(b)); n != 4 {
		t.Errorf("%d steps to another node, want 4", n)
	}
	b.Local = true
	if steps := p.TunnelSteps(b); steps != nil {
		t.Errorf("steps on one node: %+v", steps)
	}
}
