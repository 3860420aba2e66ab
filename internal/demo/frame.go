package demo

import (
	"encoding/binary"
	"encoding/hex"
	"net"
	"net/netip"
	"strings"

	"whybot/commands/netfilter"
)

// A mac is an Ethernet address.
type mac [6]byte

// everyone is the broadcast address.
var everyone = mac{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

func (m mac) String() string { return net.HardwareAddr(m[:]).String() }

// parseMAC reads twelve hexadecimal digits with or without colons.
func parseMAC(s string) (m mac, ok bool) {
	digits := strings.ReplaceAll(s, ":", "")
	if len(digits) != hex.EncodedLen(len(m)) {
		return mac{}, false
	}
	_, err := hex.Decode(m[:], []byte(digits))
	return m, err == nil
}

// A frame is one Ethernet frame. Exactly one of dhcp, arp and icmp is set.
type frame struct {
	src, dst mac
	vlan     int // 0 for untagged
	// ipSrc and ipDst are the addresses asked about for ARP.
	ipSrc, ipDst netip.Addr
	// state is what connection tracking makes of the packet; the sender knows
	// whether it answers something.
	state netfilter.CTState
	dhcp  *dhcpMessage
	arp   *arpMessage
	icmp  *icmpMessage
}

// An arpMessage asks for the address ipDst, or answers for ipSrc.
type arpMessage struct{ reply bool }

// An icmpMessage is an echo or its answer.
type icmpMessage struct{ reply bool }

// A dhcpMessage is what a client and a server tell each other.
type dhcpMessage struct {
	kind   dhcpKind
	xid    uint32
	client mac
	yours  netip.Addr // what the server offers or gives
	ciaddr netip.Addr // the client's address when it renews
	wanted netip.Addr // the address that the client requests
	server netip.Addr // the server that is meant, or speaks
	lease  uint32     // seconds
}

// A dhcpKind is the value of option 53.
type dhcpKind byte

const (
	discover dhcpKind = 1
	offer    dhcpKind = 2
	request  dhcpKind = 3
	ack      dhcpKind = 5
)

func (k dhcpKind) reply() bool { return k == offer || k == ack }

// ports are the UDP ports a message travels between.
func (k dhcpKind) ports() (from, to uint16) {
	if k.reply() {
		return 67, 68
	}
	return 68, 67
}

// ip reports whether iptables gets to see the frame.
func (f frame) ip() bool { return f.arp == nil }

// packet is the frame as netfilter sees it crossing bridge from one of its
// ports to another.
func (f frame) packet(bridge, in, out string) netfilter.Packet {
	p := netfilter.Packet{
		Family: netfilter.IPv4, Src: f.ipSrc, Dst: f.ipDst, PacketType: netfilter.TypeUnicast,
		In: netfilter.Is(bridge), Out: netfilter.Is(bridge), Bridged: true,
		PhysIn: netfilter.Is(in), PhysOut: netfilter.Is(out),
		SrcMAC: f.src[:], DstMAC: f.dst[:], CT: f.state, Mark: netfilter.Is[uint32](0),
	}
	if f.dst == everyone {
		p.PacketType = netfilter.TypeBroadcast
	}
	if f.dhcp != nil {
		from, to := f.dhcp.kind.ports()
		p.Proto, p.Sport, p.Dport = netfilter.Is(netfilter.ProtoUDP), netfilter.Is(from), netfilter.Is(to)
		return p
	}
	kind := uint8(8)
	if f.icmp != nil && f.icmp.reply {
		kind = 0
	}
	p.Proto, p.ICMPType, p.ICMPCode = netfilter.Is(netfilter.ProtoICMP), netfilter.Is(kind), netfilter.Is[uint8](0)
	return p
}

// Sizes in bytes.
const (
	ipHeader, udpHeader = 20, 8
	bootpSize           = 300 // the least that clients and servers send
	echoSize            = 84
	arpSize             = 28
)

// size is the length of the frame's payload: what counters add up.
func (f frame) size() uint64 {
	switch {
	case f.dhcp != nil:
		return ipHeader + udpHeader + bootpSize
	case f.arp != nil:
		return arpSize
	}
	return echoSize
}

// bytes is a DHCP frame as it looks on the wire.
func (f frame) bytes() []byte {
	b := append(append([]byte{}, f.dst[:]...), f.src[:]...)
	if f.vlan != 0 {
		b = binary.BigEndian.AppendUint16(append(b, 0x81, 0x00), uint16(f.vlan))
	}
	b = append(b, 0x08, 0x00)
	body := f.dhcp.bytes()
	b = append(b, f.ipv4(len(body))...)
	from, to := f.dhcp.kind.ports()
	b = binary.BigEndian.AppendUint16(b, from)
	b = binary.BigEndian.AppendUint16(b, to)
	b = binary.BigEndian.AppendUint16(b, uint16(udpHeader+len(body)))
	b = append(b, 0, 0) // no checksum: allowed for UDP over IPv4
	return append(b, body...)
}

// ipv4 is the header in front of size bytes of UDP payload.
func (f frame) ipv4(size int) []byte {
	h := make([]byte, ipHeader)
	h[0], h[8], h[9] = 0x45, 64, netfilter.ProtoUDP
	binary.BigEndian.PutUint16(h[2:], uint16(ipHeader+udpHeader+size))
	putAddr(h[12:], f.ipSrc)
	putAddr(h[16:], f.ipDst)
	var sum uint32
	for i := 0; i < ipHeader; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(h[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(h[10:], ^uint16(sum))
	return h
}

func putAddr(b []byte, a netip.Addr) {
	if a.Is4() {
		four := a.As4()
		copy(b, four[:])
	}
}

// appendOption adds an option that holds an address, if there is one.
func appendOption(b []byte, code byte, a netip.Addr) []byte {
	if !a.Is4() {
		return b
	}
	four := a.As4()
	return append(append(b, code, 4), four[:]...)
}

// bytes is the BOOTP message with its options (RFC 2131).
func (m dhcpMessage) bytes() []byte {
	b := make([]byte, 236, bootpSize)
	b[0], b[1], b[2] = 1, 1, 6 // a request, over Ethernet
	if m.kind.reply() {
		b[0] = 2
	}
	binary.BigEndian.PutUint32(b[4:], m.xid)
	putAddr(b[12:], m.ciaddr)
	putAddr(b[16:], m.yours)
	copy(b[28:], m.client[:])
	b = append(b, 99, 130, 83, 99, 53, 1, byte(m.kind))
	b = appendOption(b, 50, m.wanted)
	b = appendOption(b, 54, m.server)
	if m.lease != 0 {
		b = binary.BigEndian.AppendUint32(append(b, 51, 4), m.lease)
	}
	b = append(b, 255)
	return append(b, make([]byte, bootpSize-len(b))...)
}
