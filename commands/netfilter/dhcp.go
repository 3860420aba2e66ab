package netfilter

import (
	"net"
	"net/netip"
)

// DHCPRequest is the broadcast of a client without an address (DISCOVER, and
// the REQUEST that follows it) crossing bridge from port physIn to port
// physOut.
//
// Its state is NEW however often it is repeated: no reply ever comes from
// 255.255.255.255, so the connection is never confirmed in both directions.
func DHCPRequest(mac net.HardwareAddr, physIn, physOut, bridge string) Packet {
	return Packet{
		Family: IPv4, VLAN: Is[uint16](0), Proto: Is(ProtoUDP),
		Src: netip.IPv4Unspecified(), Dst: netip.AddrFrom4([4]byte{255, 255, 255, 255}),
		Sport: Is[uint16](68), Dport: Is[uint16](67),
		PacketType: TypeBroadcast,
		In:         Is(bridge), Out: Is(bridge), Bridged: true, PhysIn: Is(physIn), PhysOut: Is(physOut),
		SrcMAC: mac, DstMAC: net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		CT: CTNew, Mark: Is[uint32](0),
	}
}

// DHCPReply is the unicast answer of a server (OFFER, ACK) crossing bridge from
// port physIn to port physOut.
//
// Its state is NEW by default: it does not belong to the connection
// 0.0.0.0 -> 255.255.255.255 that the broadcast opened, so a rule for
// ESTABLISHED does not let it pass. Where the client has renewed by unicast a
// short while ago (180 s, the kernel's default) the state is ESTABLISHED
// instead: set CT to CTUnknown when that may be so and both must be allowed
// for. Clients that ask for it (the broadcast flag) are answered at
// 255.255.255.255: set Dst, DstMAC and PacketType for those.
func DHCPReply(server, client netip.Addr, serverMAC, clientMAC net.HardwareAddr, physIn, physOut, bridge string) Packet {
	return Packet{
		Family: IPv4, VLAN: Is[uint16](0), Proto: Is(ProtoUDP),
		Src: server, Dst: client,
		Sport: Is[uint16](67), Dport: Is[uint16](68),
		PacketType: TypeUnicast,
		In:         Is(bridge), Out: Is(bridge), Bridged: true, PhysIn: Is(physIn), PhysOut: Is(physOut),
		SrcMAC: serverMAC, DstMAC: clientMAC,
		CT: CTNew, Mark: Is[uint32](0),
	}
}

// TCPConnect is the first packet (SYN) of a connection to this node's port
// dport, arriving by the interface in, which is no bridge: what a console
// proxy sends to a compute node.
func TCPConnect(src, dst netip.Addr, dport uint16, in string) Packet {
	family := IPv4
	if dst.Is6() {
		family = IPv6
	}
	return Packet{
		Family: family, Proto: Is(ProtoTCP),
		Src: src, Dst: dst, Dport: Is(dport), TCPFlags: Is(flagSYN),
		PacketType: TypeUnicast,
		VLAN:       Is[uint16](0), In: Is(in), Out: Is(""), PhysIn: Is(""), PhysOut: Is(""),
		CT: CTNew, Mark: Is[uint32](0),
	}
}
