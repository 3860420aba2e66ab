package capture_test

import (
	"bytes"
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"whybot/commands/capture"
)

// inTunnel puts a frame into a VXLAN packet.
func inTunnel(t *testing.T, inner []byte, vni uint32, port layers.UDPPort) []byte {
	t.Helper()
	eth := &layers.Ethernet{SrcMAC: server, DstMAC: net.HardwareAddr{0, 0x50, 0x56, 1, 2, 3}, EthernetType: layers.EthernetTypeIPv4}
	ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: net.IPv4(172, 30, 200, 31), DstIP: net.IPv4(172, 30, 200, 41)}
	udp := &layers.UDP{SrcPort: 34128, DstPort: port}
	if err := udp.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	return serialized(t, eth, ip, udp, &layers.VXLAN{ValidIDFlag: true, VNI: vni}, gopacket.Payload(inner))
}

func serialized(t *testing.T, stack ...gopacket.SerializableLayer) []byte {
	t.Helper()
	buf := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, stack...); err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(buf.Bytes())
}

// ipv6 is a frame of what IPv6 guests use: UDP from one port to another, or
// ICMPv6 of a type.
func ipv6(t *testing.T, src, dst net.HardwareAddr, sport, dport layers.UDPPort, icmp uint8) []byte {
	t.Helper()
	eth := &layers.Ethernet{SrcMAC: src, DstMAC: dst, EthernetType: layers.EthernetTypeIPv6}
	ip := &layers.IPv6{Version: 6, HopLimit: 255, NextHeader: layers.IPProtocolUDP, SrcIP: net.ParseIP("fe80::1"), DstIP: net.ParseIP("ff02::1")}
	if icmp != 0 {
		ip.NextHeader = layers.IPProtocolICMPv6
		i := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(icmp, 0)}
		if err := i.SetNetworkLayerForChecksum(ip); err != nil {
			t.Fatal(err)
		}
		return serialized(t, eth, ip, i, gopacket.Payload(make([]byte, 12)))
	}
	udp := &layers.UDP{SrcPort: sport, DstPort: dport}
	if err := udp.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	return serialized(t, eth, ip, udp, gopacket.Payload(make([]byte, 20)))
}

// A frame inside a tunnel is read as outside of it, and says where it was.
func TestReadDecodesTunnels(t *testing.T) {
	for _, port := range []layers.UDPPort{8472, 4789, 17001} {
		var got []capture.Frame
		if err := capture.Read(bytes.NewReader(pcap(t, inTunnel(t, offer(t, 0), 1207, port))), func(f capture.Frame) { got = append(got, f) }); err != nil {
			t.Fatal(err)
		}
		if len(got) != 1 {
			t.Fatalf("port %d: %d frames, want 1", port, len(got))
		}
		f := got[0]
		if f.VNI != 1207 || f.OuterSrc.String() != "172.30.200.31" || f.OuterDst.String() != "172.30.200.41" {
			t.Errorf("port %d: the tunnel is %d, %s > %s", port, f.VNI, f.OuterSrc, f.OuterDst)
		}
		if !f.Reply || f.Type != "Offer" || f.Client != guest.String() || f.SrcMAC != server.String() || f.DstMAC != guest.String() || f.Src.String() != "10.30.92.2" {
			t.Errorf("port %d: frame %+v", port, f)
		}
		if s := f.String(); !strings.HasSuffix(s, "(in VXLAN 1207, 172.30.200.31 > 172.30.200.41)") {
			t.Errorf("line = %q", s)
		}
	}
}

// What only looks like a tunnel, or has nothing of DHCP in it, is passed over;
// a tunnel in a tunnel is not the guest's.
func TestReadPassesOverOtherTunnels(t *testing.T) {
	good := inTunnel(t, offer(t, 0), 1207, 8472)
	const header = 14 + 20 + 8
	changed := func(at int, b byte) []byte {
		f := bytes.Clone(good)
		f[header+at] = b
		return f
	}
	for name, frame := range map[string][]byte{
		"no identifier": changed(0, 0), "reserved flags": changed(0, 0x0c), "reserved bits": changed(2, 1), "a group policy": changed(7, 1),
		"cut in the header": good[:header+5], "cut behind it": good[:header+8], "cut inside": good[:header+8+30],
		"of nothing":  inTunnel(t, nil, 1207, 8472),
		"of ARP":      inTunnel(t, append(append(bytes.Repeat([]byte{0xff}, 6), guest...), 0x08, 0x06, 0, 1), 1207, 8472),
		"network 0":   inTunnel(t, offer(t, 0), 0, 8472),
		"plain bytes": serialized(t, &layers.Ethernet{SrcMAC: server, DstMAC: guest, EthernetType: layers.EthernetTypeIPv4}, gopacket.Payload([]byte{8, 0, 0, 0})),
	} {
		if err := capture.Read(bytes.NewReader(pcap(t, frame)), func(f capture.Frame) { t.Errorf("%s: frame %+v", name, f) }); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	deep := inTunnel(t, inTunnel(t, offer(t, 0), 1207, 8472), 7, 8472)
	if err := capture.Read(bytes.NewReader(pcap(t, deep)), func(f capture.Frame) { t.Errorf("a tunnel in a tunnel: frame %+v", f) }); err != nil {
		t.Error(err)
	}
}

func TestTunnelFilterRefuses(t *testing.T) {
	for _, c := range []struct {
		mac   string
		vni   int
		ports []int
	}{
		{"fa:16:3e:11:11:11 or ip", 1207, []int{8472}},
		{guest.String(), 0, []int{8472}},
		{guest.String(), 1 << 24, []int{8472}},
		{guest.String(), -1, []int{8472}},
		{guest.String(), 1207, nil},
	} {
		if f, err := capture.TunnelFilter(c.mac, c.vni, c.ports...); err == nil {
			t.Errorf("%+v made the filter %q", c, f)
		}
	}
}

// The real tcpdump lets through what is the guest's in this network, and
// nothing else.
func TestTunnelFilterSelects(t *testing.T) {
	tcpdump, err := exec.LookPath("tcpdump")
	if err != nil {
		t.Skipf("SKIPPED, NOT TESTED: %v", err)
	}
	filter, err := capture.TunnelFilter(guest.String(), 1207, 8472, 4789)
	if err != nil {
		t.Fatal(err)
	}
	other := bytes.ReplaceAll(offer(t, 0), guest, net.HardwareAddr{0xfa, 0x16, 0x3e, 0x11, 0x11, 0x12})
	toAll, routers := net.HardwareAddr{0x33, 0x33, 0, 0, 0, 1}, net.HardwareAddr{0x33, 0x33, 0, 0, 0, 2}
	for _, c := range []struct {
		name  string
		frame []byte
		want  bool
	}{
		{"DHCP", inTunnel(t, offer(t, 0), 1207, 8472), true},
		{"DHCP on the other port", inTunnel(t, offer(t, 0), 1207, 4789), true},
		{"DHCPv6 of the guest", inTunnel(t, ipv6(t, guest, toAll, 546, 547, 0), 1207, 8472), true},
		{"DHCPv6 to the guest", inTunnel(t, ipv6(t, server, guest, 547, 546, 0), 1207, 8472), true},
		{"an advertisement to all", inTunnel(t, ipv6(t, server, toAll, 0, 0, 134), 1207, 8472), true},
		{"the guest's solicitation", inTunnel(t, ipv6(t, guest, routers, 0, 0, 133), 1207, 8472), true},

		{"another port", inTunnel(t, offer(t, 0), 1207, 8473), false},
		{"another network", inTunnel(t, offer(t, 0), 1208, 8472), false},
		{"a network that begins alike", inTunnel(t, offer(t, 0), 1207<<8&0xffffff, 8472), false},
		{"another guest", inTunnel(t, other, 1207, 8472), false},
		{"another guest's DHCPv6", inTunnel(t, ipv6(t, server, server, 547, 546, 0), 1207, 8472), false},
		{"another guest's solicitation", inTunnel(t, ipv6(t, server, routers, 0, 0, 133), 1207, 8472), false},
		{"a neighbour's question", inTunnel(t, ipv6(t, guest, toAll, 0, 0, 135), 1207, 8472), false},
		{"some UDP of the guest", inTunnel(t, ipv6(t, guest, toAll, 5353, 5353, 0), 1207, 8472), false},
		{"DHCP outside", offer(t, 0), false},
	} {
		cmd := exec.Command(tcpdump, "-r", "-", "-w", "-", filter)
		cmd.Stdin = bytes.NewReader(pcap(t, c.frame))
		var complaint bytes.Buffer
		cmd.Stderr = &complaint
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v: %s", c.name, err, complaint.String())
		}
		const fileHeader = 24
		if got := len(out) > fileHeader; got != c.want {
			t.Errorf("%s: selected %v, want %v", c.name, got, c.want)
		}
	}
}

func FuzzReadTunnels(f *testing.F) {
	f.Add([]byte{8, 0, 0, 0, 0, 4, 0xb7, 0})
	f.Fuzz(func(t *testing.T, payload []byte) {
		eth := &layers.Ethernet{SrcMAC: server, DstMAC: guest, EthernetType: layers.EthernetTypeIPv4}
		ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: net.IPv4(1, 2, 3, 4), DstIP: net.IPv4(1, 2, 3, 5)}
		udp := &layers.UDP{SrcPort: 1, DstPort: 8472}
		if len(payload) > 60000 || udp.SetNetworkLayerForChecksum(ip) != nil {
			return
		}
		frame := serialized(t, eth, ip, udp, gopacket.Payload(payload))
		_ = capture.Read(bytes.NewReader(pcap(t, frame)), func(capture.Frame) {})
	})
}
