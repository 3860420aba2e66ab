package netfilter

import (
	"net"
	"net/netip"
)

// ICMPv6 types of neighbour discovery and of ping, and ICMP types of ping.
const (
	icmpEchoReply, icmpEchoRequest     uint8 = 0, 8
	icmpv6EchoRequest, icmpv6EchoReply uint8 = 128, 129
	icmpv6RouterSolicit                uint8 = 133
	icmpv6RouterAdvert                 uint8 = 134
)

// A Way is how a frame crosses a bridge.
type Way struct{ In, Out, Bridge string }

// frame is an untagged frame on the way.
func (w Way) frame(src, dst net.HardwareAddr) Packet {
	return Packet{
		VLAN: Is[uint16](0), PacketType: typeOf(dst),
		In: Is(w.Bridge), Out: Is(w.Bridge), Bridged: true, PhysIn: Is(w.In), PhysOut: Is(w.Out),
		SrcMAC: src, DstMAC: dst, Mark: Is[uint32](0),
	}
}

// typeOf is the class of a destination.
func typeOf(mac net.HardwareAddr) PacketType {
	switch {
	case mac == nil:
		return TypeUnknown
	case mac.String() == broadcastMAC.String():
		return TypeBroadcast
	case mac[0]&1 != 0:
		return TypeMulticast
	default:
		return TypeUnicast
	}
}

var broadcastMAC = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// multicastMAC is where an IPv6 multicast address is sent.
func multicastMAC(group netip.Addr) net.HardwareAddr {
	b := group.As16()
	return net.HardwareAddr{0x33, 0x33, b[12], b[13], b[14], b[15]}
}

var (
	allNodes       = netip.MustParseAddr("ff02::1")
	allRouters     = netip.MustParseAddr("ff02::2")
	allDHCPServers = netip.MustParseAddr("ff02::1:2")
)

// ARPRequest asks all of the network who has an address. For a probe, sender
// is 0.0.0.0.
func ARPRequest(mac net.HardwareAddr, sender, target netip.Addr, w Way) Packet {
	p := w.frame(mac, broadcastMAC)
	p.EtherType = Is(EtherTypeARP)
	p.ARP = ARP{Operation: Is[uint16](1), SenderMAC: mac, TargetMAC: make(net.HardwareAddr, 6), SenderIP: sender, TargetIP: target}
	return p
}

// ARPReply answers an ARPRequest of target.
func ARPReply(mac net.HardwareAddr, sender netip.Addr, targetMAC net.HardwareAddr, target netip.Addr, w Way) Packet {
	p := w.frame(mac, targetMAC)
	p.EtherType = Is(EtherTypeARP)
	p.ARP = ARP{Operation: Is[uint16](2), SenderMAC: mac, TargetMAC: targetMAC, SenderIP: sender, TargetIP: target}
	return p
}

// DHCPv6Solicit is the multicast of a client that looks for servers; src is
// its link-local address, the zero Addr where that is not known.
func DHCPv6Solicit(mac net.HardwareAddr, src netip.Addr, w Way) Packet {
	p := w.frame(mac, multicastMAC(allDHCPServers))
	p.Family, p.Proto, p.Src, p.Dst = IPv6, Is(ProtoUDP), src, allDHCPServers
	p.Sport, p.Dport, p.CT = Is[uint16](546), Is[uint16](547), CTNew
	return p
}

// DHCPv6Advertise is the unicast answer of a server. As with DHCPReply it opens
// a connection of its own: the client asked a multicast address.
func DHCPv6Advertise(server, client netip.Addr, serverMAC, clientMAC net.HardwareAddr, w Way) Packet {
	p := w.frame(serverMAC, clientMAC)
	p.Family, p.Proto, p.Src, p.Dst = IPv6, Is(ProtoUDP), server, client
	p.Sport, p.Dport, p.CT = Is[uint16](547), Is[uint16](546), CTNew
	return p
}

// RouterSolicitation asks all routers of the network. Connection tracking
// leaves neighbour discovery alone.
func RouterSolicitation(mac net.HardwareAddr, src netip.Addr, w Way) Packet {
	return discovery(mac, src, allRouters, icmpv6RouterSolicit, w)
}

// RouterAdvertisement tells all nodes of the network.
func RouterAdvertisement(mac net.HardwareAddr, router netip.Addr, w Way) Packet {
	return discovery(mac, router, allNodes, icmpv6RouterAdvert, w)
}

func discovery(mac net.HardwareAddr, src, dst netip.Addr, kind uint8, w Way) Packet {
	p := w.frame(mac, multicastMAC(dst))
	p.Family, p.Proto, p.Src, p.Dst, p.CT = IPv6, Is(ProtoICMPv6), src, dst, CTUntracked
	p.ICMPType, p.ICMPCode = Is(kind), Is[uint8](0)
	return p
}

// EchoRequest is the first packet of a ping, of the version of its addresses.
func EchoRequest(src, dst netip.Addr, srcMAC, dstMAC net.HardwareAddr, w Way) Packet {
	return echo(src, dst, icmpEchoRequest, icmpv6EchoRequest, CTNew, w.frame(srcMAC, dstMAC))
}

// EchoReply answers an EchoRequest that has passed here.
func EchoReply(src, dst netip.Addr, srcMAC, dstMAC net.HardwareAddr, w Way) Packet {
	return echo(src, dst, icmpEchoReply, icmpv6EchoReply, CTEstablished, w.frame(srcMAC, dstMAC))
}

func echo(src, dst netip.Addr, v4, v6 uint8, state CTState, p Packet) Packet {
	p.Src, p.Dst, p.CT, p.ICMPCode = src, dst, state, Is[uint8](0)
	p.Family, p.Proto, p.ICMPType = IPv4, Is(ProtoICMP), Is(v4)
	if dst.Is6() {
		p.Family, p.Proto, p.ICMPType = IPv6, Is(ProtoICMPv6), Is(v6)
	}
	return p
}
