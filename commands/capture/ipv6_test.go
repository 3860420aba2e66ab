package capture_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"whybot/commands/capture"
)

var (
	guestLL  = net.ParseIP("fe80::f816:3eff:fe11:1111")
	serverLL = net.ParseIP("fe80::f816:3eff:fe00:2")
	agents   = net.ParseIP("ff02::1:2")
	allNodes = net.ParseIP("ff02::1")
	routers  = net.ParseIP("ff02::2")
)

func multicast(ip net.IP) net.HardwareAddr {
	return append(net.HardwareAddr{0x33, 0x33}, ip[12:]...)
}

// ipv6Frame builds an Ethernet frame of IPv6, tagged when vlan is not 0.
func ipv6Frame(t *testing.T, src, dst net.HardwareAddr, vlan uint16, ip *layers.IPv6, rest ...gopacket.SerializableLayer) []byte {
	t.Helper()
	ip.Version, ip.HopLimit = 6, 255
	eth := &layers.Ethernet{SrcMAC: src, DstMAC: dst, EthernetType: layers.EthernetTypeIPv6}
	stack := []gopacket.SerializableLayer{eth}
	if vlan != 0 {
		eth.EthernetType = layers.EthernetTypeDot1Q
		stack = append(stack, &layers.Dot1Q{VLANIdentifier: vlan, Type: layers.EthernetTypeIPv6})
	}
	stack = append(append(stack, ip), rest...)
	buf := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, stack...); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func dhcpv6(t *testing.T, kind layers.DHCPv6MsgType, vlan uint16, options ...layers.DHCPv6Option) []byte {
	t.Helper()
	src, dst, from, to, sport, dport := guest, multicast(agents), guestLL, agents, layers.UDPPort(546), layers.UDPPort(547)
	if kind == layers.DHCPv6MsgTypeAdvertise || kind == layers.DHCPv6MsgTypeReply {
		src, dst, from, to, sport, dport = server, guest, serverLL, guestLL, 547, 546
	}
	ip := &layers.IPv6{NextHeader: layers.IPProtocolUDP, SrcIP: from, DstIP: to}
	udp := &layers.UDP{SrcPort: sport, DstPort: dport}
	if err := udp.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	return ipv6Frame(t, src, dst, vlan, ip, udp, &layers.DHCPv6{MsgType: kind, TransactionID: []byte{0x7b, 0x61, 0xfb}, Options: options})
}

// option is a DHCPv6 option, as DHCPv6 messages and associations hold them.
func option(code layers.DHCPv6Opt, data []byte) layers.DHCPv6Option {
	return layers.NewDHCPv6Option(code, data)
}

// association is an IA_NA with options in it.
func association(options ...[]byte) layers.DHCPv6Option {
	return option(layers.DHCPv6OptIANA, append(make([]byte, 12), bytes.Join(options, nil)...))
}

func inner(code uint16, data []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, code)
	return append(binary.BigEndian.AppendUint16(b, uint16(len(data))), data...)
}

func iaAddress(address string, valid uint32) []byte {
	b := netip.MustParseAddr(address).AsSlice()
	b = binary.BigEndian.AppendUint32(b, valid)
	return inner(5, binary.BigEndian.AppendUint32(b, valid))
}

func icmp(t *testing.T, kind uint8, vlan uint16, src, dst net.HardwareAddr, from, to net.IP, body gopacket.SerializableLayer) []byte {
	t.Helper()
	ip := &layers.IPv6{NextHeader: layers.IPProtocolICMPv6, SrcIP: from, DstIP: to}
	head := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(kind, 0)}
	if err := head.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	return ipv6Frame(t, src, dst, vlan, ip, head, body)
}

func solicitation(t *testing.T, vlan uint16) []byte {
	t.Helper()
	return icmp(t, layers.ICMPv6TypeRouterSolicitation, vlan, guest, multicast(routers), guestLL, routers, &layers.ICMPv6RouterSolicitation{})
}

func advertisement(t *testing.T, vlan uint16, to net.HardwareAddr) []byte {
	t.Helper()
	info := append([]byte{64, 0xc0, 0, 1, 0x51, 0x80, 0, 0, 0x38, 0x40, 0, 0, 0, 0}, net.ParseIP("fd00:30:92::").To16()...)
	return icmp(t, layers.ICMPv6TypeRouterAdvertisement, vlan, server, to, serverLL, allNodes, &layers.ICMPv6RouterAdvertisement{
		HopLimit: 64, Flags: 0xc0, RouterLifetime: 1800,
		Options: layers.ICMPv6Options{{Type: layers.ICMPv6OptPrefixInfo, Data: info}},
	})
}

func read(t *testing.T, frames ...[]byte) []capture.Frame {
	t.Helper()
	var got []capture.Frame
	if err := capture.Read(bytes.NewReader(pcap(t, frames...)), func(f capture.Frame) { got = append(got, f) }); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestReadDHCPv6(t *testing.T) {
	t.Parallel()
	own := net.HardwareAddr{0xfa, 0x16, 0x3e, 0x22, 0x22, 0x22}
	llt := option(layers.DHCPv6OptClientID, append([]byte{0, 1, 0, 1, 1, 2, 3, 4}, own...))
	ll := option(layers.DHCPv6OptClientID, append([]byte{0, 3, 0, 1}, own...))
	uuid := option(layers.DHCPv6OptClientID, append([]byte{0, 4}, make([]byte, 16)...))
	none := inner(13, append([]byte{0, 2}, "no addresses available"...))
	fine := inner(13, []byte{0, 0})
	for _, c := range []struct {
		name         string
		frame        []byte
		kind, client string
		reply        bool
		yours        string
	}{
		{"solicit", dhcpv6(t, layers.DHCPv6MsgTypeSolicit, 0, llt), "Solicit", own.String(), false, ""},
		{"tagged", dhcpv6(t, layers.DHCPv6MsgTypeSolicit, 3092, ll), "Solicit", own.String(), false, ""},
		{"an identifier without a MAC", dhcpv6(t, layers.DHCPv6MsgTypeRequest, 0, uuid), "Request", guest.String(), false, ""},
		{"information request", dhcpv6(t, layers.DHCPv6MsgTypeInformationRequest, 0), "InformationRequest", guest.String(), false, ""},
		{"advertise", dhcpv6(t, layers.DHCPv6MsgTypeAdvertise, 0, association(iaAddress("fd00:30:92::11", 86400))), "Advertise", guest.String(), true, "fd00:30:92::11"},
		{"reply", dhcpv6(t, layers.DHCPv6MsgTypeReply, 0, ll, association(fine, iaAddress("fd00:30:92::11", 86400))), "Reply", own.String(), true, "fd00:30:92::11"},
		{"options only", dhcpv6(t, layers.DHCPv6MsgTypeReply, 0), "Reply", guest.String(), true, ""},
		{"no address in the association", dhcpv6(t, layers.DHCPv6MsgTypeReply, 0, association(none)), capture.Refusal, guest.String(), true, ""},
		{"no address at all", dhcpv6(t, layers.DHCPv6MsgTypeAdvertise, 0, option(layers.DHCPv6OptStatusCode, []byte{0, 2})), capture.Refusal, guest.String(), true, ""},
		{"an address taken back", dhcpv6(t, layers.DHCPv6MsgTypeReply, 0, association(none, iaAddress("fd00:30:92::11", 0))), capture.Refusal, guest.String(), true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := read(t, c.frame)
			if len(got) != 1 {
				t.Fatalf("%d frames", len(got))
			}
			f := got[0]
			yours := ""
			if f.Yours.IsValid() {
				yours = f.Yours.String()
			}
			if f.Exchange != capture.DHCPv6 || f.Type != c.kind || f.Client != c.client || f.Reply != c.reply || yours != c.yours || f.XID != 0x7b61fb {
				t.Errorf("got %+v", f)
			}
		})
	}
}

func TestReadRouterDiscovery(t *testing.T) {
	t.Parallel()
	echo := icmp(t, layers.ICMPv6TypeEchoRequest, 0, guest, server, guestLL, serverLL, &layers.ICMPv6Echo{})
	got := read(t, solicitation(t, 0), echo, advertisement(t, 3092, multicast(allNodes)))
	if len(got) != 2 {
		t.Fatalf("%d frames, want 2: %v", len(got), got)
	}
	if f := got[0]; f.Exchange != capture.RA || f.Reply || f.Type != capture.Solicitation || f.Client != guest.String() {
		t.Errorf("solicitation = %+v", f)
	}
	f := got[1]
	if f.Exchange != capture.RA || !f.Reply || f.VLAN != 3092 || f.Src.String() != "fe80::f816:3eff:fe00:2" {
		t.Errorf("advertisement = %+v", f)
	}
	want := &capture.Router{Managed: true, Other: true, Lifetime: 30 * time.Minute, Prefixes: []capture.Prefix{
		{Prefix: netip.MustParsePrefix("fd00:30:92::/64"), Autonomous: true, Valid: 24 * time.Hour},
	}}
	if !reflect.DeepEqual(f.Router, want) {
		t.Errorf("it says %+v, want %+v", f.Router, want)
	}
	if s := f.String(); !strings.HasSuffix(s, "vlan 3092 fe80::f816:3eff:fe00:2 > ff02::1 ICMPv6 RouterAdvertisement lifetime 1800 s managed other prefix fd00:30:92::/64 auto") {
		t.Errorf("line = %q", s)
	}
}

// TestFilterIPv6Selects lets tcpdump itself apply the filter to a file: what the
// guest needs passes, tagged or not, and nothing else does.
func TestFilterIPv6Selects(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("tcpdump")
	if err != nil {
		t.Skip("SKIPPED: tcpdump is not installed, so no program can apply the filter")
	}
	other := net.HardwareAddr{0xfa, 0x16, 0x3e, 0x33, 0x33, 0x33}
	move := func(frame []byte, at int) []byte { // the same frame of or to another guest
		b := bytes.Clone(frame)
		copy(b[at:], other)
		return b
	}
	for _, vlan := range []uint16{0, 3092} {
		mine := [][]byte{
			offer(t, vlan), dhcpv6(t, layers.DHCPv6MsgTypeSolicit, vlan), dhcpv6(t, layers.DHCPv6MsgTypeReply, vlan), solicitation(t, vlan),
			advertisement(t, vlan, multicast(allNodes)), advertisement(t, vlan, guest),
		}
		foreign := [][]byte{
			move(mine[1], 6), move(mine[2], 0), move(mine[3], 6), advertisement(t, vlan, other),
			icmp(t, layers.ICMPv6TypeEchoRequest, vlan, guest, server, guestLL, serverLL, &layers.ICMPv6Echo{}),
		}
		if vlan != 0 {
			foreign = append(foreign, solicitation(t, 3093), dhcpv6(t, layers.DHCPv6MsgTypeSolicit, 3093))
		}
		filter, err := capture.FilterIPv6(guest.String(), int(vlan))
		if err != nil {
			t.Fatal(err)
		}
		all := append(append([][]byte{}, mine...), foreign...)
		got := selected(t, program, filter, pcap(t, all...))
		if len(got) != len(mine) {
			t.Errorf("vlan %d: %d frames of %d pass: %v", vlan, len(got), len(mine), got)
		}
		for _, f := range got {
			if f.VLAN != int(vlan) || f.SrcMAC == other.String() || f.DstMAC == other.String() {
				t.Errorf("vlan %d: passes: %s", vlan, f)
			}
		}
	}
}

func selected(t *testing.T, program, filter string, stream []byte) []capture.Frame {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "-r", "-", "-w", "-", filter)
	cmd.Stdin = bytes.NewReader(stream)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tcpdump: %v: %s", err, stderr.String())
	}
	var got []capture.Frame
	if err := capture.Read(bytes.NewReader(out), func(f capture.Frame) { got = append(got, f) }); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestFilterIPv6RefusesRubbish(t *testing.T) {
	t.Parallel()
	if f, err := capture.FilterIPv6("fa:16:3e:11:11:11 or ip6", 0); err == nil {
		t.Errorf("a filter was made from rubbish: %s", f)
	}
}
