package capture_test

import (
	"bytes"
	"net"
	"os/exec"
	"slices"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"whybot/commands/capture"
)

var (
	peer    = net.HardwareAddr{0xfa, 0x16, 0x3e, 0x22, 0x22, 0x22}
	toAll   = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	guestIP = net.IPv4(10, 30, 92, 11)
	peerIP  = net.IPv4(10, 30, 92, 14)
)

// tagged puts a VLAN tag behind the Ethernet header when vlan is not 0.
func tagged(t *testing.T, eth *layers.Ethernet, vlan uint16, stack ...gopacket.SerializableLayer) []byte {
	t.Helper()
	if vlan == 0 {
		return serialized(t, append([]gopacket.SerializableLayer{eth}, stack...)...)
	}
	tag := &layers.Dot1Q{VLANIdentifier: vlan, Type: eth.EthernetType}
	eth.EthernetType = layers.EthernetTypeDot1Q
	return serialized(t, append([]gopacket.SerializableLayer{eth, tag}, stack...)...)
}

func arp(t *testing.T, operation, vlan uint16, src, dst net.HardwareAddr, from, to net.IP) []byte {
	t.Helper()
	return tagged(t, &layers.Ethernet{SrcMAC: src, DstMAC: dst, EthernetType: layers.EthernetTypeARP}, vlan, &layers.ARP{
		AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4, HwAddressSize: 6, ProtAddressSize: 4, Operation: operation,
		SourceHwAddress: src, SourceProtAddress: from.To4(), DstHwAddress: make([]byte, 6), DstProtAddress: to.To4(),
	})
}

func echo(t *testing.T, kind uint8, vlan uint16, src, dst net.HardwareAddr, from, to net.IP) []byte {
	t.Helper()
	return tagged(t, &layers.Ethernet{SrcMAC: src, DstMAC: dst, EthernetType: layers.EthernetTypeIPv4}, vlan,
		&layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolICMPv4, SrcIP: from, DstIP: to},
		&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(kind, 0), Id: 7, Seq: 3}, gopacket.Payload("abcdefgh"))
}

// conversation is a ping of the peer by the guest, as far as it is one.
func conversation(t *testing.T, vlan uint16) [][]byte {
	t.Helper()
	return [][]byte{
		arp(t, 1, vlan, guest, toAll, guestIP, peerIP), arp(t, 2, vlan, peer, guest, peerIP, guestIP),
		echo(t, 8, vlan, guest, peer, guestIP, peerIP), echo(t, 0, vlan, peer, guest, peerIP, guestIP),
	}
}

var conversationLines = []string{
	"15:09:23.088000 fa:16:3e:11:11:11 > ff:ff:ff:ff:ff:ff ARP, Request who-has 10.30.92.14 tell 10.30.92.11",
	"15:09:23.088000 fa:16:3e:22:22:22 > fa:16:3e:11:11:11 ARP, Reply 10.30.92.14 is-at fa:16:3e:22:22:22",
	"15:09:23.088000 fa:16:3e:11:11:11 > fa:16:3e:22:22:22 10.30.92.11 > 10.30.92.14 ICMP echo request, id 7, seq 3",
	"15:09:23.088000 fa:16:3e:22:22:22 > fa:16:3e:11:11:11 10.30.92.14 > 10.30.92.11 ICMP echo reply, id 7, seq 3",
}

func TestReadPing(t *testing.T) {
	t.Parallel()
	var got []string
	var replies []bool
	if err := capture.Read(bytes.NewReader(pcap(t, conversation(t, 0)...)), func(f capture.Frame) {
		got, replies = append(got, f.String()), append(replies, f.Reply)
	}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, conversationLines) || !slices.Equal(replies, []bool{false, true, false, true}) {
		t.Errorf("read %q, replies %v", got, replies)
	}
}

// The real tcpdump lets through what the two say to one another, tagged and not,
// whatever address they use, and nothing of others.
func TestFilterPingSelects(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("tcpdump")
	if err != nil {
		t.Skip("SKIPPED: tcpdump is not installed, so no program can apply the filter")
	}
	stranger := net.HardwareAddr{0xfa, 0x16, 0x3e, 0x33, 0x33, 0x33}
	for _, vlan := range []uint16{0, 3092} {
		mine := append(conversation(t, vlan), arp(t, 1, vlan, guest, toAll, net.IPv4(10, 30, 92, 99), peerIP), arp(t, 2, vlan, stranger, guest, peerIP, guestIP))
		foreign := [][]byte{
			arp(t, 1, vlan, stranger, toAll, guestIP, peerIP), echo(t, 8, vlan, stranger, stranger, guestIP, peerIP),
			echo(t, 3, vlan, guest, peer, guestIP, peerIP), offer(t, vlan),
		}
		if vlan != 0 {
			foreign = append(foreign, conversation(t, 3093)...)
		}
		filter, err := capture.FilterPing(guest.String(), peer.String(), int(vlan))
		if err != nil {
			t.Fatal(err)
		}
		if got := selected(t, program, filter, pcap(t, append(slices.Clone(mine), foreign...)...)); len(got) != len(mine) {
			t.Errorf("vlan %d: %d frames of %d pass: %v", vlan, len(got), len(mine), got)
		}
	}
	filter, err := capture.TunnelFilterPing(guest.String(), peer.String(), 1207, 8472)
	if err != nil {
		t.Fatal(err)
	}
	var inside [][]byte
	for _, f := range append(conversation(t, 0), arp(t, 1, 0, stranger, toAll, guestIP, peerIP), offer(t, 0)) {
		inside = append(inside, inTunnel(t, f, 1207, 8472))
	}
	inside = append(inside, inTunnel(t, conversation(t, 0)[0], 1208, 8472))
	if got := selected(t, program, filter, pcap(t, inside...)); len(got) != 4 || got[0].VNI != 1207 {
		t.Errorf("of a tunnel %d frames pass: %v", len(got), got)
	}
}

func TestFilterPingRefusesRubbish(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]string{{"fa:16:3e:11:11:11 or ip", peer.String()}, {guest.String(), ""}, {guest.String(), "not 1"}} {
		if f, err := capture.FilterPing(c[0], c[1], 0); err == nil {
			t.Errorf("%q made the filter %q", c, f)
		}
		if f, err := capture.TunnelFilterPing(c[0], c[1], 1207, 8472); err == nil {
			t.Errorf("%q made the filter %q", c, f)
		}
	}
	if f, err := capture.TunnelFilterPing(guest.String(), peer.String(), 0, 8472); err == nil {
		t.Errorf("no network made the filter %q", f)
	}
}
