package commands

import (
	"net"
	"net/netip"

	"whybot/commands/capture"
	"whybot/commands/netfilter"
)

// packet6 is the guest's frame of IPv6 as ip6tables sees it leaving by the
// bridge port out.
func (p *Pass) packet6(c Crossing, out string) netfilter.Packet {
	guestMAC, _ := net.ParseMAC(p.Port.Port.MAC)
	serverMAC, _ := net.ParseMAC(c.Branch.Port.MAC) // none of a router outside
	guest, server := p.linkLocal(c, Request, guestMAC), p.linkLocal(c, Reply, serverMAC)
	reply, answered := p.seenOf(c, Reply)
	way := netfilter.Way{In: c.In.Device, Out: out, Bridge: c.Bridge.Device}
	switch {
	case c.Exchange == capture.RA && c.Direction == Request:
		return netfilter.RouterSolicitation(guestMAC, guest, way)
	case c.Exchange == capture.RA:
		packet := netfilter.RouterAdvertisement(serverMAC, server, way)
		if answered && !reply.Dst.IsMulticast() { // radvd answers who asked, and tells the others later
			packet.Dst, packet.DstMAC, packet.PacketType = reply.Dst, guestMAC, netfilter.TypeUnicast
		}
		return packet
	case c.Direction == Request:
		return netfilter.DHCPv6Solicit(guestMAC, guest, way)
	}
	return netfilter.DHCPv6Advertise(server, guest, serverMAC, guestMAC, way)
}

// linkLocal is the address that frames of c in a direction come from: the one
// they were seen with, else the one that the kernel makes of the MAC, and that
// neutron lets pass.
func (p *Pass) linkLocal(c Crossing, d Direction, mac net.HardwareAddr) netip.Addr {
	if f, ok := p.seenOf(c, d); ok {
		return f.Src
	}
	if len(mac) != 6 {
		return netip.Addr{}
	}
	b := [16]byte{0xfe, 0x80}
	copy(b[8:], []byte{mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]})
	return netip.AddrFrom16(b)
}

// seenOf returns the first frame that was seen of c's exchange in a direction.
func (p *Pass) seenOf(c Crossing, d Direction) (capture.Frame, bool) {
	if p.Packets == nil {
		return capture.Frame{}, false
	}
	for _, h := range p.Path.Flow(c.Branch) {
		for _, f := range p.Packets.Seen[h].Frames {
			if f.Exchange == c.Exchange && f.Reply == (d == Reply) && (!f.Reply || fromServer(f, c.Branch)) {
				return f, true
			}
		}
	}
	return capture.Frame{}, false
}
