package commands

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"whybot/commands/capture"
	"whybot/runners"
)

const (
	subnet6  = "c0ffee00-0000-4000-8000-000000000006"
	routerID = "b7e1c0d9-58a3-4f6e-9c2b-1d0e9f8a7b6c"
)

// ipv6 gives web-1 an address in an IPv6 subnet of these modes, and its network
// routers on these nodes ("" for one whose node is not shown).
func ipv6(a *runners.Attachment, mode, ra string, dhcp bool, routers ...string) {
	a.Subnets = append(a.Subnets, runners.Subnet{ID: subnet6, CIDR: "fd00:30:92::/64", IPVersion: 6, DHCP: dhcp, AddressMode: mode, RAMode: ra})
	a.Port.FixedIPs = append(a.Port.FixedIPs, runners.FixedIP{SubnetID: subnet6, Address: "fd00:30:92::11"})
	for i, n := range routers {
		port := runners.Port{
			ID: fmt.Sprintf("%df0a1b2c-3d4e-4f50-8192-a3b4c5d6e7f8", i), MAC: fmt.Sprintf("fa:16:3e:0a:92:%02d", i), DeviceID: routerID,
			FixedIPs: []runners.FixedIP{{SubnetID: subnet6, Address: "fd00:30:92::1"}}, HostID: runners.Known(n),
		}
		if n == "" {
			port.HostID = runners.NotKnown[string]("is not shown this by its role")
		}
		a.RouterPorts = append(a.RouterPorts, port)
	}
}

// v4 gives the port its IPv4 subnet too.
func v4(a *runners.Attachment) {
	a.Subnets = append(a.Subnets, runners.Subnet{ID: "v4", CIDR: "192.168.92.0/24", IPVersion: 4, DHCP: true})
	a.Port.FixedIPs[0].SubnetID = "v4"
}

func TestBuildPathIPv6(t *testing.T) {
	t.Parallel()
	const dnsmasq = "controller01/dnsmasq"
	for _, c := range []struct {
		name  string
		setup func(a *runners.Attachment)
		want  []string // server: exchanges
	}{
		{
			"slaac beside IPv4", func(a *runners.Attachment) { v4(a); ipv6(a, ModeSLAAC, ModeSLAAC, true, "controller01") },
			[]string{dnsmasq + " DHCP", "controller01/radvd router advertisement"},
		},
		{
			"slaac alone needs no dnsmasq", func(a *runners.Attachment) { ipv6(a, ModeSLAAC, ModeSLAAC, true, "controller01") },
			[]string{"controller01/radvd router advertisement"},
		},
		{
			"stateful alone", func(a *runners.Attachment) { ipv6(a, ModeStateful, ModeStateful, true, "controller01") },
			[]string{dnsmasq + " DHCPv6", "controller01/radvd router advertisement"},
		},
		{
			"stateful beside IPv4", func(a *runners.Attachment) { v4(a); ipv6(a, ModeStateful, ModeStateful, true, "controller01") },
			[]string{dnsmasq + " DHCP DHCPv6", "controller01/radvd router advertisement"},
		},
		{
			"the router is outside", func(a *runners.Attachment) { v4(a); ipv6(a, ModeSLAAC, "", true) },
			[]string{"outside/router router advertisement", dnsmasq + " DHCP"},
		},
		{
			"no router", func(a *runners.Attachment) { v4(a); ipv6(a, ModeSLAAC, ModeSLAAC, true) },
			[]string{"outside/router router advertisement", dnsmasq + " DHCP"},
		},
		{
			"the router's node is hidden", func(a *runners.Attachment) { v4(a); ipv6(a, ModeSLAAC, ModeSLAAC, true, "") },
			[]string{"outside/router router advertisement", dnsmasq + " DHCP"},
		},
		{
			"two routers, one with the guest", func(a *runners.Attachment) { ipv6(a, ModeSLAAC, ModeSLAAC, false, "controller01", "compute01") },
			[]string{"compute01/radvd router advertisement", "controller01/radvd router advertisement"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := webPort("controller01")
			a.Port.FixedIPs = slices.Clone(a.Port.FixedIPs)
			c.setup(&a)
			if a.Port.FixedIPs[0].SubnetID == "" { // without an IPv4 subnet
				a.Port.FixedIPs = a.Port.FixedIPs[1:]
			}
			p, err := BuildPath(webServer(), a)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, b := range p.Branches {
				line := b.Server().String()
				for _, e := range b.Exchanges {
					line += " " + string(e)
				}
				got = append(got, line)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got  %s\nwant %s", strings.Join(got, " | "), strings.Join(c.want, " | "))
			}
			if slices.Contains(p.Nodes(), "") {
				t.Error("a router outside has made a node without a name")
			}
			seen := map[Hop]bool{}
			for _, h := range p.Hops() {
				if seen[h] {
					t.Errorf("%s is there twice", h)
				}
				seen[h] = true
			}
		})
	}
}

// webPathIPv6 is a path on which web-1 makes its own address.
func webPathIPv6(t *testing.T, routers ...string) *Path {
	t.Helper()
	a := webPort("controller01")
	a.Port.FixedIPs = slices.Clone(a.Port.FixedIPs)
	v4(&a)
	ipv6(&a, ModeSLAAC, ModeSLAAC, true, routers...)
	p, err := BuildPath(webServer(), a)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func advertisement(mac, prefix string) capture.Frame {
	return capture.Frame{
		Exchange: capture.RA, At: firstFrame, SrcMAC: mac, Reply: true, Type: capture.Advertisement,
		Router: &capture.Router{Prefixes: []capture.Prefix{{Prefix: netip.MustParsePrefix(prefix), Autonomous: true, Valid: 1}}},
	}
}

func TestTraceOfAdvertisements(t *testing.T) {
	t.Parallel()
	const own, foreign = "fd00:30:92::/64", "fd00:bad::/64"
	rs := capture.Frame{Exchange: capture.RA, At: firstFrame, SrcMAC: guestMAC, Type: capture.Solicitation}
	routerMAC := "fa:16:3e:0a:92:00"
	ra := advertisement(routerMAC, own)
	for _, c := range []struct {
		name    string
		routers []string
		frames  func(h Hop) []capture.Frame
		state   FlowState
		edge    string
	}{
		{"unasked and heard", []string{"controller01"}, func(Hop) []capture.Frame { return []capture.Frame{ra} }, FlowDelivered, ""},
		{"unasked and lost between the nodes", []string{"controller01"}, func(h Hop) []capture.Frame {
			if h.Node == "controller01" {
				return []capture.Frame{ra}
			}
			return nil
		}, FlowLost, "controller01/eth3 compute01/eth3 reply"},
		{"silence", []string{"controller01"}, func(Hop) []capture.Frame { return nil }, FlowSilent, ""},
		{"asked in vain", []string{"controller01"}, func(Hop) []capture.Frame { return []capture.Frame{rs} }, FlowLost, "controller01/tap0f0a1b2c-3d controller01/radvd request"},
		{"another prefix", []string{"controller01"}, func(Hop) []capture.Frame { return []capture.Frame{advertisement(routerMAC, foreign)} }, FlowRefused, ""},
		{"another router's", []string{"controller01"}, func(Hop) []capture.Frame { return []capture.Frame{advertisement("00:00:5e:00:02:01", own)} }, FlowSilent, ""},
		{"asked in vain, outside", nil, func(Hop) []capture.Frame { return []capture.Frame{rs} }, FlowLost, "compute01/eth3 outside/router request"},
		{"heard from outside", nil, func(Hop) []capture.Frame { return []capture.Frame{rs, advertisement("00:00:5e:00:02:01", own)} }, FlowDelivered, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := webPathIPv6(t, c.routers...)
			ps := &Packets{Seen: map[Hop]HopFrames{}}
			for _, h := range capturable(p) {
				ps.Seen[h] = HopFrames{Frames: c.frames(h)}
			}
			got := ps.Trace(p, p.Of(capture.RA)[0], capture.RA)
			edge := ""
			if got.State == FlowLost {
				edge = fmt.Sprintf("%s %s %s", got.Edge.From, got.Edge.To, got.Edge.Direction)
			}
			if got.State != c.state || edge != c.edge {
				t.Errorf("got %s %s, want %s %s", got.State, edge, c.state, c.edge)
			}
		})
	}
}
