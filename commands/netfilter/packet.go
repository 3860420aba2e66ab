package netfilter

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
)

// A Hook is a place where the kernel shows packets to the firewall.
type Hook string

// The hooks of the IP families.
const (
	Prerouting  Hook = "PREROUTING"
	Input       Hook = "INPUT"
	Forward     Hook = "FORWARD"
	Output      Hook = "OUTPUT"
	Postrouting Hook = "POSTROUTING"
)

// The hooks of a device, see TraverseDevice.
const (
	Ingress Hook = "INGRESS"
	Egress  Hook = "EGRESS"
)

// before lists the hooks that a packet at h has passed already: what their
// rules did to it (a mark, a translated address) is still on it. There is more
// than one way when the packet does not tell.
func (h Hook) before(p *Packet) [][]Hook {
	switch h {
	case Input, Forward:
		return [][]Hook{{Prerouting}}
	case Postrouting:
		return routeTo(p)
	default:
		return nil
	}
}

// routeTo is the way to POSTROUTING: from a wire, from this node, or, when the
// packet does not tell, whatever either way may have done.
func routeTo(p *Packet) [][]Hook {
	in, known := p.In.Get()
	switch {
	case p.Bridged || known && in != "":
		return [][]Hook{{Prerouting, Forward}}
	case known:
		return [][]Hook{{Output}}
	default:
		return [][]Hook{{Prerouting, Forward}, {Output}}
	}
}

// CTState is how connection tracking sees a packet. The zero CTState is not
// known.
type CTState uint8

// Connection tracking states.
const (
	CTUnknown CTState = iota
	CTNew
	CTEstablished
	CTRelated
	CTInvalid
	CTUntracked
)

var ctNames = [...]string{"unknown", "NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED"}

// String returns the state as iptables spells it, or "unknown".
func (s CTState) String() string {
	if int(s) >= len(ctNames) {
		return fmt.Sprintf("CTState(%d)", s)
	}
	return ctNames[s]
}

// PacketType is the link-layer destination class. The zero PacketType is not
// known.
type PacketType uint8

// Link-layer destination classes, as -m pkttype names them.
const (
	TypeUnknown PacketType = iota
	TypeUnicast
	TypeBroadcast
	TypeMulticast
)

var packetTypeNames = [...]string{"unknown", "unicast", "broadcast", "multicast"}

// String returns the class as iptables spells it, or "unknown".
func (t PacketType) String() string {
	if int(t) >= len(packetTypeNames) {
		return fmt.Sprintf("PacketType(%d)", t)
	}
	return packetTypeNames[t]
}

// Protocol numbers that packets here carry.
const (
	ProtoICMP   uint8 = 1
	ProtoTCP    uint8 = 6
	ProtoUDP    uint8 = 17
	ProtoICMPv6 uint8 = 58
)

// A Family is an IP version.
type Family uint8

// Families. The zero Family is not known.
const (
	IPv4 Family = 4
	IPv6 Family = 6
)

// EtherTypes that packets here carry.
const (
	EtherTypeIPv4 uint16 = 0x0800
	EtherTypeARP  uint16 = 0x0806
	EtherTypeVLAN uint16 = 0x8100
	EtherTypeIPv6 uint16 = 0x86dd
)

// An ARP is the body of an ARP packet. What is not known of it has its zero
// value.
type ARP struct {
	Operation            Fact[uint16] // 1 is a request, 2 a reply
	SenderMAC, TargetMAC net.HardwareAddr
	SenderIP, TargetIP   netip.Addr
}

// A Packet is one whole packet (never a later fragment) as it entered this
// node. Every field whose zero value would be a guess is a Fact; the zero
// Packet is a packet of which nothing is known.
//
// Addresses and ports are those the packet came with. Where a nat rule may
// have rewritten them on the way to the hook asked about, the evaluator takes
// them for unknown there.
type Packet struct {
	// EtherType is what the frame carries, behind a VLAN tag if it has one; it
	// follows from Family where that is known.
	EtherType Fact[uint16]
	// VLAN is the tag the frame has on the wire or inside the bridge; Is(0) is a
	// frame without one.
	VLAN Fact[uint16]
	// ARP is looked at where EtherType is EtherTypeARP.
	ARP ARP

	Family     Family
	Proto      Fact[uint8]
	Src, Dst   netip.Addr // the zero Addr is unknown
	Sport      Fact[uint16]
	Dport      Fact[uint16]
	ICMPType   Fact[uint8]
	ICMPCode   Fact[uint8]
	TCPFlags   Fact[uint8] // FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32
	PacketType PacketType

	// In and Out are what -i and -o see; Is("") is "none". For a frame that
	// crosses a bridge both are the bridge, not its ports.
	In, Out Fact[string]
	// Bridged says that the frame crosses a bridge from port to port. A packet
	// that is routed or meant for this node is not, even if it came in by a
	// bridge.
	Bridged bool
	// PhysIn and PhysOut are the bridge ports. PhysIn also counts when a packet
	// came in by a bridge port and goes up the stack; Is("") is "no port".
	PhysIn, PhysOut Fact[string]

	SrcMAC, DstMAC net.HardwareAddr // nil is unknown
	CT             CTState
	// Mark is the mark the packet entered with: Is(0) for a frame that comes
	// off a wire, unless tc or a native nft rule may set one.
	Mark Fact[uint32]
	// Local are the node's own addresses with the length of their networks'
	// prefixes: what addrtype and fib ask for.
	Local Fact[[]netip.Prefix]
}

// etherType is what the frame carries, told by its family if by nothing else.
func (p *Packet) etherType() Fact[uint16] {
	switch {
	case p.EtherType.known:
		return p.EtherType
	case p.family() == IPv4:
		return Is(EtherTypeIPv4)
	case p.family() == IPv6:
		return Is(EtherTypeIPv6)
	default:
		return Fact[uint16]{}
	}
}

// is says whether the packet is of an IP version.
func (p *Packet) is(f Family) Tri {
	if p.family() != 0 {
		return Truth(p.family() == f)
	}
	if p.EtherType.known {
		return No
	}
	return Unknown
}

func (p *Packet) family() Family {
	switch {
	case p.Family != 0:
		return p.Family
	case p.EtherType == Is(EtherTypeIPv4):
		return IPv4
	case p.EtherType == Is(EtherTypeIPv6):
		return IPv6
	case p.Src.Is4() || p.Dst.Is4():
		return IPv4
	case p.Src.Is6() || p.Dst.Is6():
		return IPv6
	default:
		return 0
	}
}

// String describes the packet in one line, leaving out what is not known.
func (p Packet) String() string {
	s := endpoint(p.Src, p.Sport) + " to " + endpoint(p.Dst, p.Dport)
	if proto, ok := p.Proto.Get(); ok {
		s = protoName(proto) + " " + s
	}
	in, out := p.In, p.Out
	if p.Bridged {
		in, out = p.PhysIn, p.PhysOut
	}
	if name, ok := in.Get(); ok && name != "" {
		s += ", in by " + printable(name)
	}
	if name, ok := out.Get(); ok && name != "" {
		s += ", out by " + printable(name)
	}
	return s
}

func endpoint(a netip.Addr, port Fact[uint16]) string {
	host := "?"
	if a.IsValid() {
		host = a.String()
	}
	if n, ok := port.Get(); ok {
		return net.JoinHostPort(host, strconv.Itoa(int(n)))
	}
	return host
}
