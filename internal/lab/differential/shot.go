package differential

import (
	"fmt"
	"net"
	"net/netip"
	"slices"

	"whybot/commands/netfilter"
)

// A kind says what a shot is.
type kind string

// Kinds of shots.
const (
	dhcpRequest  kind = "dhcp-request"
	dhcpReply    kind = "dhcp-reply"
	udp          kind = "udp"
	tcpSYN       kind = "tcp-syn"
	echo         kind = "echo-request"
	stray        kind = "stray-echo-reply" // an answer that nobody asked for
	arpRequest   kind = "arp-request"
	arpReply     kind = "arp-reply"
	routerAdvert kind = "router-advertisement"
	solicit      kind = "dhcpv6-solicit"
	advertise    kind = "dhcpv6-advertise"
)

// A shot is one packet that is really sent.
type shot struct {
	Kind kind `json:"kind"`
	// V6 says that a udp, tcp-syn or echo-request shot is an IPv6 one.
	V6 bool `json:"v6,omitempty"`
	// From is the interface whose far machine sends, or the node. To is the
	// interface behind which the receiver is, the node, or everyone.
	From  string `json:"from"`
	To    string `json:"to"`
	Sport uint16 `json:"sport,omitempty"`
	Dport uint16 `json:"dport,omitempty"`
	// Answers is the number, from 1, of the shot of its volley whose answer
	// this is: where that one arrived, this one belongs to its connection.
	Answers int `json:"answers,omitempty"`
	// Established is set when the shot is sent: what it answers has arrived.
	Established bool `json:"established,omitempty"`
}

func (s shot) v6() bool {
	return s.V6 || s.Kind == routerAdvert || s.Kind == solicit || s.Kind == advertise
}

func (s shot) arp() bool { return s.Kind == arpRequest || s.Kind == arpReply }

// String names the shot.
func (s shot) String() string {
	v := ""
	if s.V6 {
		v = "6"
	}
	text := fmt.Sprintf("%s%s from %s to %s", s.Kind, v, s.From, s.To)
	if s.Dport != 0 {
		text += fmt.Sprintf(", port %d to %d", s.Sport, s.Dport)
	}
	if s.Answers != 0 {
		text += fmt.Sprintf(", answering shot %d (established: %v)", s.Answers, s.Established)
	}
	return text
}

// bridged says that the shot crosses the bridge from port to port.
func (s shot) bridged() bool { return isPort(s.From) && (isPort(s.To) || s.To == everyone) }

var (
	broadcastMAC = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	allNodes     = netip.MustParseAddr("ff02::1")
	allServers   = netip.MustParseAddr("ff02::1:2")
)

// multicastMAC is where a frame for an IPv6 multicast address goes.
func multicastMAC(a netip.Addr) net.HardwareAddr {
	b := a.As16()
	return net.HardwareAddr{0x33, 0x33, b[12], b[13], b[14], b[15]}
}

// linkLocal is the link-local address of the machine behind a port.
func linkLocal(name string) netip.Addr {
	return netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 15: farMAC(name)[5] + 1})
}

// src and dst are the addresses that the packet carries.
func (s shot) src() netip.Addr {
	switch s.Kind {
	case dhcpRequest:
		return netip.IPv4Unspecified()
	case routerAdvert, solicit, advertise:
		return linkLocal(s.From)
	default:
		if s.From == host {
			return nearIP(s.To, s.V6)
		}
		return farIP(s.From, s.V6)
	}
}

func (s shot) dst() netip.Addr {
	switch s.Kind {
	case dhcpRequest:
		return netip.AddrFrom4([4]byte{255, 255, 255, 255})
	case routerAdvert:
		return allNodes
	case solicit:
		return allServers
	case advertise:
		return linkLocal(s.To)
	case arpRequest:
		return farIP(ports[(slices.Index(ports, s.From)+1)%len(ports)], false)
	default:
		if s.To == host {
			return nearIP(s.From, s.V6)
		}
		return farIP(s.To, s.V6)
	}
}

// macs are the addresses on the frame.
func (s shot) macs() (src, dst net.HardwareAddr) {
	switch {
	case s.From == host:
		return nearMAC(s.To), farMAC(s.To)
	case s.Kind == dhcpRequest || s.Kind == arpRequest:
		return farMAC(s.From), broadcastMAC
	case s.To == everyone:
		return farMAC(s.From), multicastMAC(s.dst())
	case s.bridged():
		return farMAC(s.From), farMAC(s.To)
	default:
		return farMAC(s.From), nearMAC(s.From)
	}
}

// packet is the shot as it enters the node, before anyone decides where it
// goes; a frame that comes in by a port is shown to the IP layer.
func (s shot) packet() netfilter.Packet {
	p := netfilter.Packet{
		Family: netfilter.IPv4, Src: s.src(), Dst: s.dst(), CT: netfilter.CTNew,
		Mark: netfilter.Is[uint32](0), PacketType: netfilter.TypeUnicast,
		In: netfilter.Is(device(s.From)), Out: netfilter.Is(""), PhysIn: netfilter.Is(""), PhysOut: netfilter.Is(""),
	}
	p.SrcMAC, p.DstMAC = s.macs()
	p.VLAN, p.Local = netfilter.Is[uint16](0), netfilter.Is(local)
	if s.arp() {
		s.question(&p)
	}
	if s.v6() {
		p.Family = netfilter.IPv6
	}
	if s.From == host {
		p.In, p.SrcMAC, p.DstMAC = netfilter.Is(""), nil, nil
	}
	if isPort(s.From) {
		p.PhysIn = netfilter.Is(s.From)
	}
	if s.To == everyone {
		p.PacketType = netfilter.TypeMulticast
		if !s.v6() {
			p.PacketType = netfilter.TypeBroadcast
		}
	}
	if s.Established {
		p.CT = netfilter.CTEstablished
	}
	s.transport(&p)
	return p
}

// transport fills in what the transport header says.
func (s shot) transport(p *netfilter.Packet) {
	p.Sport, p.Dport = netfilter.Is(s.Sport), netfilter.Is(s.Dport)
	switch s.Kind {
	case dhcpRequest, dhcpReply, udp, solicit, advertise:
		p.Proto = netfilter.Is(netfilter.ProtoUDP)
	case tcpSYN:
		p.Proto, p.TCPFlags = netfilter.Is(netfilter.ProtoTCP), netfilter.Is[uint8](2)
	default:
		p.Sport, p.Dport = netfilter.Fact[uint16]{}, netfilter.Fact[uint16]{}
		s.control(p)
	}
}

// control fills in the type of an ICMP shot. Connection tracking leaves
// neighbour discovery, of which a router advertisement is part, alone.
func (s shot) control(p *netfilter.Packet) {
	p.Proto, p.ICMPCode = netfilter.Is(netfilter.ProtoICMP), netfilter.Is[uint8](0)
	if s.v6() {
		p.Proto = netfilter.Is(netfilter.ProtoICMPv6)
	}
	switch {
	case s.Kind == routerAdvert:
		p.ICMPType, p.CT = netfilter.Is[uint8](134), netfilter.CTUntracked
	case s.Kind == stray && s.V6:
		p.ICMPType, p.CT = netfilter.Is[uint8](129), netfilter.CTInvalid
	case s.Kind == stray:
		p.ICMPType, p.CT = netfilter.Is[uint8](0), netfilter.CTInvalid
	case s.V6:
		p.ICMPType = netfilter.Is[uint8](128)
	case s.Kind == echo:
		p.ICMPType = netfilter.Is[uint8](8)
	default:
		p.Proto, p.ICMPCode = netfilter.Fact[uint8]{}, netfilter.Fact[uint8]{} // ARP has no protocol
	}
}

// question fills in what an ARP packet says; it is no IP packet.
func (s shot) question(p *netfilter.Packet) {
	p.EtherType = netfilter.Is(netfilter.EtherTypeARP)
	p.ARP = netfilter.ARP{
		Operation: netfilter.Is[uint16](1), SenderMAC: farMAC(s.From), TargetMAC: make(net.HardwareAddr, 6),
		SenderIP: p.Src, TargetIP: p.Dst,
	}
	if s.Kind == arpReply {
		p.ARP.Operation, p.ARP.TargetMAC = netfilter.Is[uint16](2), farMAC(s.To)
	}
	p.Family, p.Src, p.Dst = 0, netip.Addr{}, netip.Addr{}
}
