package commands

import (
	"net/netip"
	"testing"
	"time"

	"whybot/commands/capture"
	"whybot/runners"
)

// The small cloud that the tests of the core share: web-1 on compute01, one
// VLAN network, a DHCP server on each of the controllers named.

const (
	netID    = "91e78b9c-cf41-4f6e-9d0a-5b1e6f7c2a30"
	guestMAC = "fa:16:3e:4b:10:11"
)

// serverOf is the DHCP port on a controller.
var serverOf = map[string]runners.Port{
	"controller01": dhcpPort("004b787f-9b2e-4d1c-8a57-6f0c3e91d2b4", "fa:16:3e:0d:9b:02", "192.168.92.2", "controller01"),
	"controller02": dhcpPort("5e8d1a2c-7f90-4b3e-a6d5-c4b3a2918070", "fa:16:3e:0d:9b:03", "192.168.92.3", "controller02"),
	"compute01":    dhcpPort("77aa1a2c-7f90-4b3e-a6d5-c4b3a2918070", "fa:16:3e:0d:9b:04", "192.168.92.4", "compute01"),
}

func dhcpPort(id, mac, ip, host string) runners.Port {
	return runners.Port{ID: id, MAC: mac, HostID: runners.Known(host), FixedIPs: []runners.FixedIP{{Address: ip}}}
}

func webServer() runners.Server {
	return runners.Server{ID: "6a1f5b7e", Name: "web-1", Status: "ACTIVE", Host: runners.Known("compute01")}
}

// webPort is web-1's port with a DHCP server on each of the nodes.
func webPort(servers ...string) runners.Attachment {
	a := runners.Attachment{
		Port: runners.Port{
			ID: "3d1c2f4a-0b6e-4c8d-9e7f-a1b2c3d4e5f6", MAC: guestMAC, HostID: runners.Known("compute01"), VIFType: runners.Known("bridge"),
			FixedIPs: []runners.FixedIP{{Address: "192.168.92.11"}},
		},
		Network: runners.Network{
			ID: netID, Name: "payments-net", Type: runners.Known("vlan"), PhysicalNet: runners.Known("physnet1"), SegmentationID: runners.Known(3092),
		},
		DHCPAgents: runners.Known([]runners.Agent{}),
	}
	l2 := map[string]runners.Agent{}
	for _, n := range append([]string{"compute01"}, servers...) {
		l2[n] = runners.Agent{Host: n, InterfaceMappings: map[string]string{"physnet1": "eth3"}}
	}
	a.L2Agents = runners.Known(l2)
	for _, n := range servers {
		a.DHCPPorts = append(a.DHCPPorts, serverOf[n])
	}
	return a
}

func webPath(t *testing.T, servers ...string) *Path {
	t.Helper()
	p, err := BuildPath(webServer(), webPort(servers...))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// webPass is a pass over web-1's path, before anything was read.
func webPass(t *testing.T, servers ...string) *Pass {
	t.Helper()
	a := webPort(servers...)
	return newPass(Question{Kind: KindDHCP}, webServer(), a, webPath(t, servers...))
}

var firstFrame = time.Unix(1_795_000_000, 0)

// sees is what a hop saw: so many requests, and so many replies of server.
func sees(requests, replies int, server runners.Port) HopFrames {
	var s HopFrames
	for i := range requests {
		s.Frames = append(s.Frames, capture.Frame{Exchange: capture.DHCP, At: firstFrame.Add(time.Duration(i) * time.Second), SrcMAC: guestMAC, DstMAC: Broadcast, Type: "Discover"})
	}
	for i := range replies {
		s.Frames = append(s.Frames, capture.Frame{
			Exchange: capture.DHCP, At: firstFrame.Add(time.Duration(i)*time.Second + time.Millisecond), SrcMAC: server.MAC, DstMAC: guestMAC, Reply: true, Type: "Ack",
			Src: netip.MustParseAddr(server.FixedIPs[0].Address),
		})
	}
	s.all = s.Frames
	return s
}

// notSeenAt is a hop that could not be captured.
func notSeenAt(h Hop) HopFrames {
	return HopFrames{Err: &runners.Error{Kind: runners.MissingProgram, Target: h.Node, Op: "capture on " + h.Device}}
}
