package capture_test

import (
	"bytes"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"whybot/commands/capture"
)

var (
	guest  = net.HardwareAddr{0xfa, 0x16, 0x3e, 0x11, 0x11, 0x11}
	server = net.HardwareAddr{0xfa, 0x16, 0x3e, 0, 0, 2}
)

// offer builds an Ethernet frame with a DHCP offer, tagged when vlan is not 0.
func offer(t *testing.T, vlan uint16) []byte {
	t.Helper()
	eth := &layers.Ethernet{SrcMAC: server, DstMAC: guest, EthernetType: layers.EthernetTypeIPv4}
	ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: net.IPv4(10, 30, 92, 2), DstIP: net.IPv4(10, 30, 92, 11)}
	udp := &layers.UDP{SrcPort: 67, DstPort: 68}
	if err := udp.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	dhcp := &layers.DHCPv4{
		Operation: layers.DHCPOpReply, HardwareType: layers.LinkTypeEthernet, HardwareLen: 6, Xid: 0xa7b61fb,
		ClientHWAddr: guest, YourClientIP: net.IPv4(10, 30, 92, 11),
		Options: layers.DHCPOptions{layers.NewDHCPOption(layers.DHCPOptMessageType, []byte{byte(layers.DHCPMsgTypeOffer)})},
	}
	stack := []gopacket.SerializableLayer{eth, ip, udp, dhcp}
	if vlan != 0 {
		eth.EthernetType = layers.EthernetTypeDot1Q
		stack = []gopacket.SerializableLayer{eth, &layers.Dot1Q{VLANIdentifier: vlan, Type: layers.EthernetTypeIPv4}, ip, udp, dhcp}
	}
	buf := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, stack...); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func pcap(t *testing.T, frames ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := pcapgo.NewWriter(&b)
	if err := w.WriteFileHeader(65535, layers.LinkTypeEthernet); err != nil {
		t.Fatal(err)
	}
	for _, f := range frames {
		at := time.Date(2026, 11, 23, 15, 9, 23, 88e6, time.UTC)
		if err := w.WritePacket(gopacket.CaptureInfo{Timestamp: at, CaptureLength: len(f), Length: len(f)}, f); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func TestReadDecodesTaggedAndUntagged(t *testing.T) {
	arp := append(append([]byte{}, bytes.Repeat([]byte{0xff}, 6)...), append(guest, 0x08, 0x06, 0, 1)...)
	stream := pcap(t, offer(t, 0), arp, offer(t, 3092))
	var got []capture.Frame
	if err := capture.Read(bytes.NewReader(stream), func(f capture.Frame) { got = append(got, f) }); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 {
		t.Fatalf("%d frames, want 2", len(got))
	}
	for i, vlan := range []int{0, 3092} {
		f := got[i]
		if !f.Reply || f.Type != "Offer" || f.Client != guest.String() || f.VLAN != vlan || f.XID != 0xa7b61fb || f.Yours.String() != "10.30.92.11" {
			t.Errorf("frame %d = %+v", i, f)
		}
	}
	if s := got[1].String(); !strings.Contains(s, "vlan 3092 10.30.92.2 > 10.30.92.11 DHCP Offer") {
		t.Errorf("line = %q", s)
	}
}

// udpSum is where the UDP checksum stands in an untagged frame.
const udpSum = 14 + 20 + 6

func TestReadJudgesChecksums(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func([]byte) []byte
		want  capture.Checksum
	}{
		"as sent":                    {func(b []byte) []byte { return b }, capture.ChecksumGood},
		"left to the card":           {func(b []byte) []byte { b[udpSum], b[udpSum+1] = 0x15, 0x64; return b }, capture.ChecksumBad},
		"a byte of the message lost": {func(b []byte) []byte { b[udpSum+20] ^= 0x40; return b }, capture.ChecksumBad},
		"another receiver":           {func(b []byte) []byte { b[14+19]++; return b }, capture.ChecksumBad},
		"left out by the sender":     {func(b []byte) []byte { b[udpSum], b[udpSum+1] = 0, 0; return b }, capture.ChecksumNotTold},
		"said to be longer":          {func(b []byte) []byte { b[udpSum-2] = 0x7f; return b }, capture.ChecksumNotTold},
		"padded by the wire":         {func(b []byte) []byte { return append(b, 0xaa, 0xbb, 0xcc) }, capture.ChecksumGood},
	} {
		t.Run(name, func(t *testing.T) {
			var got []capture.Frame
			if err := capture.Read(bytes.NewReader(pcap(t, c.spoil(offer(t, 0)))), func(f capture.Frame) { got = append(got, f) }); err != nil {
				t.Fatal(err)
			}
			if len(got) != 1 || got[0].Checksum != c.want {
				t.Fatalf("frames %+v, want one with checksum %q", got, c.want)
			}
			if said := strings.Contains(got[0].String(), "bad udp cksum"); said != (c.want == capture.ChecksumBad) {
				t.Errorf("line %q", got[0])
			}
		})
	}
}

// A capture is cut anywhere when tcpdump is stopped: what came before counts.
func TestReadOfACutStream(t *testing.T) {
	stream := pcap(t, offer(t, 0), offer(t, 0))
	for cut := range stream {
		n := 0
		if err := capture.Read(bytes.NewReader(stream[:cut]), func(capture.Frame) { n++ }); err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		if n > 1 {
			t.Fatalf("cut at %d: %d frames", cut, n)
		}
	}
	if err := capture.Read(strings.NewReader("tcpdump: syntax error in filter expression"), func(capture.Frame) {}); err == nil {
		t.Error("text was taken for a capture")
	}
}

func TestFilter(t *testing.T) {
	got, err := capture.Filter("FA:16:3E:11:11:11", 3092)
	if err != nil {
		t.Fatal(err)
	}
	want := "udp[36:4] = 0xfa163e11 and udp[40:2] = 0x1111) or (vlan 3092 and udp"
	if !strings.Contains(got, want) {
		t.Errorf("filter = %q", got)
	}
	if _, err := capture.Filter("fa:16:3e:11:11:11 or ip", 0); err == nil {
		t.Error("a filter was made from rubbish")
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("\xd4\xc3\xb2\xa1\x02\x00\x04\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = capture.Read(bytes.NewReader(b), func(capture.Frame) {})
		// The same bytes as the only frame of a capture.
		_ = capture.Read(bytes.NewReader(pcap(t, b)), func(f capture.Frame) { _ = f.String() })
	})
}
