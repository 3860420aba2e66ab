package capture

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// Offsets from the beginning of the outer UDP header, as BPF counts them: the
// VXLAN header, the inner Ethernet header, and an inner IP header behind it.
const (
	udpHeader   = 8
	vxlanHeader = 8
	innerMAC    = udpHeader + vxlanHeader
	innerIP     = innerMAC + 14
	innerUDP4   = innerIP + 20 // of an IPv4 header without options, as DHCP has it
	innerUDP6   = innerIP + 40 // of an IPv6 header without extensions
	innerBOOTP  = innerUDP4 + udpHeader
)

// vniFlag is the bit that says that the VXLAN header has a network identifier.
const vniFlag = 0x08

// TunnelFilter returns the BPF expression for a guest's frames inside VXLAN
// over IPv4: UDP to one of the ports, the network's identifier, and inside it
// DHCP by the client hardware address, or what IPv6 guests use by the guest's
// own address; advertisements to everybody belong to every guest.
func TunnelFilter(mac string, vni int, ports ...int) (string, error) {
	hw, err := net.ParseMAC(mac)
	if err != nil || len(hw) != 6 {
		return "", fmt.Errorf("not an Ethernet address: %q", mac)
	}
	head, err := tunnelHead(vni, ports)
	if err != nil {
		return "", err
	}
	is := func(at int) string { return macAt(hw, at) }
	dhcp := fmt.Sprintf("udp[%d:2] = 0x0800 and udp[%d] = 0x45 and udp[%d] = 17 and (udp[%d:2] = 67 or udp[%d:2] = 67) and %s",
		innerIP-2, innerIP, innerIP+9, innerUDP4, innerUDP4+2, is(innerBOOTP+28))
	guests := fmt.Sprintf("((%s) or (%s))", is(innerMAC), is(innerMAC+6))
	dhcpv6 := fmt.Sprintf("udp[%d] = 17 and (udp[%d:2] = 547 or udp[%d:2] = 547) and %s", innerIP+6, innerUDP6, innerUDP6+2, guests)
	ra := fmt.Sprintf("udp[%d] = 58 and (udp[%d] = 134 or (udp[%d] = 133 and %s))", innerIP+6, innerUDP6, innerUDP6, guests)
	return fmt.Sprintf("%s and ((%s) or (udp[%d:2] = 0x86dd and ((%s) or (%s))))", head, dhcp, innerIP-2, dhcpv6, ra), nil
}

// tunnelHead matches the packets of one VXLAN: UDP to one of the ports, with the
// network's identifier.
func tunnelHead(vni int, ports []int) (string, error) {
	switch {
	case vni <= 0 || vni >= 1<<24:
		return "", fmt.Errorf("not a VXLAN network identifier: %d", vni)
	case len(ports) == 0:
		return "", fmt.Errorf("no UDP port to look for VXLAN %d on", vni)
	}
	to := make([]string, len(ports))
	for i, p := range ports {
		to[i] = fmt.Sprintf("dst port %d", p)
	}
	return fmt.Sprintf("udp and (%s) and udp[%d] & %d != 0 and udp[%d:4] & 0xffffff00 = 0x%08x",
		strings.Join(to, " or "), udpHeader, vniFlag, udpHeader+4, vni<<8), nil
}

// A tunnelled frame is what a VXLAN packet carries.
type tunnelled struct {
	vni      int
	src, dst netip.Addr
	inner    []byte
}

// tunnelOf returns what a packet carries if it is VXLAN: UDP that is not DHCP
// itself, with a header that has an identifier and nothing in its reserved
// bits. The filter has chosen the port.
func tunnelOf(pkt gopacket.Packet) (tunnelled, bool) {
	udp, ok := pkt.Layer(layers.LayerTypeUDP).(*layers.UDP)
	if !ok || udp.DstPort == 67 || udp.DstPort == 68 {
		return tunnelled{}, false
	}
	ip, ok := pkt.Layer(layers.LayerTypeIPv4).(*layers.IPv4)
	b := udp.LayerPayload()
	if !ok || len(b) < vxlanHeader || b[0] != vniFlag || b[1]|b[2]|b[3]|b[7] != 0 {
		return tunnelled{}, false
	}
	t := tunnelled{vni: int(b[4])<<16 | int(b[5])<<8 | int(b[6]), inner: b[vxlanHeader:]}
	t.src, _ = netip.AddrFromSlice(ip.SrcIP.To4())
	t.dst, _ = netip.AddrFromSlice(ip.DstIP.To4())
	return t, t.vni != 0
}
