package capture

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// Types of frames of ARP and Echo.
const (
	AskType    = "Request"
	AnswerType = "Reply"
)

// FilterPing returns the BPF expression for what two guests of a network have to
// say to one another when one pings the other: ARP and echoes from or to the
// address of either, whatever IP addresses they use. vlan is as for Filter.
func FilterPing(a, b string, vlan int) (string, error) {
	first, err := net.ParseMAC(a)
	if err != nil || len(first) != 6 {
		return "", fmt.Errorf("not an Ethernet address: %q", a)
	}
	second, err := net.ParseMAC(b)
	if err != nil || len(second) != 6 {
		return "", fmt.Errorf("not an Ethernet address: %q", b)
	}
	// ICMP types 8 and 0; an IP header without options, as ping sends it, is not
	// taken for granted: icmp[] counts from the end of the header.
	what := fmt.Sprintf("(ether host %s or ether host %s) and (arp or (icmp and (icmp[0] = 8 or icmp[0] = 0)))", first, second)
	if vlan == 0 {
		return what, nil
	}
	return fmt.Sprintf("(%s) or (vlan %d and %s)", what, vlan, what), nil
}

// TunnelFilterPing is FilterPing for frames inside VXLAN over IPv4: UDP to one of
// the ports, the network's identifier, and inside it ARP or ICMP from or to
// either guest.
func TunnelFilterPing(a, b string, vni int, ports ...int) (string, error) {
	head, err := tunnelHead(vni, ports)
	if err != nil {
		return "", err
	}
	either := ""
	for _, mac := range []string{a, b} {
		hw, err := net.ParseMAC(mac)
		if err != nil || len(hw) != 6 {
			return "", fmt.Errorf("not an Ethernet address: %q", mac)
		}
		if either != "" {
			either += " or "
		}
		either += fmt.Sprintf("(%s) or (%s)", macAt(hw, innerMAC), macAt(hw, innerMAC+6))
	}
	return fmt.Sprintf("%s and (%s) and (udp[%d:2] = 0x0806 or (udp[%d:2] = 0x0800 and udp[%d] = 1))",
		head, either, innerIP-2, innerIP-2, innerIP+9), nil
}

// macAt compares six bytes of a UDP datagram with an address.
func macAt(hw net.HardwareAddr, at int) string {
	return fmt.Sprintf("udp[%d:4] = 0x%08x and udp[%d:2] = 0x%04x", at, binary.BigEndian.Uint32(hw[:4]), at+4, binary.BigEndian.Uint16(hw[4:]))
}

// decodePing reads ARP for IPv4 and ICMP echoes.
func decodePing(pkt gopacket.Packet, f *Frame) bool {
	if arp, ok := pkt.Layer(layers.LayerTypeARP).(*layers.ARP); ok {
		return decodeARP(arp, f)
	}
	ip, ok := pkt.Layer(layers.LayerTypeIPv4).(*layers.IPv4)
	if !ok || ip.FragOffset != 0 {
		return false
	}
	icmp, ok := pkt.Layer(layers.LayerTypeICMPv4).(*layers.ICMPv4)
	if !ok {
		return false
	}
	switch icmp.TypeCode.Type() {
	case layers.ICMPv4TypeEchoRequest:
		f.Type = AskType
	case layers.ICMPv4TypeEchoReply:
		f.Type, f.Reply = AnswerType, true
	default:
		return false
	}
	f.Exchange, f.XID = Echo, uint32(icmp.Id)<<16|uint32(icmp.Seq)
	f.Src, _ = netip.AddrFromSlice(ip.SrcIP.To4())
	f.Dst, _ = netip.AddrFromSlice(ip.DstIP.To4())
	return true
}

func decodeARP(arp *layers.ARP, f *Frame) bool {
	if arp.Protocol != layers.EthernetTypeIPv4 || len(arp.SourceProtAddress) != 4 || len(arp.DstProtAddress) != 4 {
		return false
	}
	switch arp.Operation {
	case layers.ARPRequest:
		f.Type = AskType
	case layers.ARPReply:
		f.Type, f.Reply = AnswerType, true
	default:
		return false
	}
	f.Exchange = ARP
	f.Src, _ = netip.AddrFromSlice(arp.SourceProtAddress)
	f.Dst, _ = netip.AddrFromSlice(arp.DstProtAddress)
	return true
}

// pingLine is the frame for a person, close to tcpdump's own words.
func (f Frame) pingLine() string {
	switch {
	case f.Exchange == ARP && f.Reply:
		return fmt.Sprintf(" ARP, Reply %s is-at %s", f.Src, f.SrcMAC)
	case f.Exchange == ARP:
		return fmt.Sprintf(" ARP, Request who-has %s tell %s", f.Dst, f.Src)
	case f.Reply:
		return fmt.Sprintf(" %s > %s ICMP echo reply, id %d, seq %d", f.Src, f.Dst, f.XID>>16, f.XID&0xffff)
	}
	return fmt.Sprintf(" %s > %s ICMP echo request, id %d, seq %d", f.Src, f.Dst, f.XID>>16, f.XID&0xffff)
}
