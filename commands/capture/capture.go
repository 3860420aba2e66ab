// Package capture reads DHCP and DHCPv6 frames, router advertisements, ARP and
// echoes out of packet captures: what tcpdump writes with -w, decoded frame by
// frame while it still runs.
package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// An Exchange is a way in which a guest gets its address, or a step of a ping.
type Exchange string

// Exchanges. A router advertisement is the reply of RA; a guest that listens to
// the periodic ones sends no request.
const (
	DHCP   Exchange = "DHCP"                 // DISCOVER, OFFER, REQUEST, ACK
	DHCPv6 Exchange = "DHCPv6"               // SOLICIT, ADVERTISE, REQUEST, REPLY
	RA     Exchange = "router advertisement" // router solicitation and advertisement
	ARP    Exchange = "ARP"                  // who has the address, and who says so
	Echo   Exchange = "ping"                 // ICMP echo request and reply
)

// V6 reports whether the exchange gives IPv6 addresses.
func (e Exchange) V6() bool { return e == DHCPv6 || e == RA }

// A Frame is one frame of an exchange seen at one hop.
type Frame struct {
	Exchange       Exchange
	At             time.Time // by the clock of the node that captured it
	SrcMAC, DstMAC string
	VLAN           int // 0 for untagged
	// VNI is the VXLAN the frame was seen inside of, 0 for none; OuterSrc and
	// OuterDst are then the ends of the tunnel.
	VNI                int
	OuterSrc, OuterDst netip.Addr
	Src, Dst           netip.Addr
	Reply              bool
	Type               string // "Discover", "Offer", "Request", "Ack", "Nak", "Decline", ...; "" when the option is missing
	XID                uint32
	Client             string // chaddr, lower case; of IPv6 the identifier's link address, or the frame's own
	Yours              netip.Addr
	Checksum           Checksum // of UDP
	Router             *Router  // what a router advertisement says; nil for other frames
}

// A Checksum says whether a frame's UDP checksum is right.
type Checksum string

// Checksums. A sender may leave it out, and a frame that was cut cannot be
// summed up: then nothing is told.
const (
	ChecksumNotTold Checksum = ""
	ChecksumGood    Checksum = "good"
	ChecksumBad     Checksum = "bad"
)

// String returns the frame as one line for a person, close to tcpdump's own.
func (f Frame) String() string {
	s := fmt.Sprintf("%s %s > %s", f.At.UTC().Format("15:04:05.000000"), f.SrcMAC, f.DstMAC)
	if f.VLAN != 0 {
		s += fmt.Sprintf(" vlan %d", f.VLAN)
	}
	if f.Exchange == ARP || f.Exchange == Echo {
		return s + f.pingLine() + f.tunnelLine()
	}
	s += fmt.Sprintf(" %s > %s", f.Src, f.Dst)
	if f.Exchange == RA {
		s += " ICMPv6 " + f.Type
		if f.Router != nil {
			s += " " + f.Router.String()
		}
		return s
	}
	s += fmt.Sprintf(" %s %s xid 0x%08x", f.Exchange, f.Type, f.XID)
	if f.Reply && f.Yours.IsValid() && !f.Yours.IsUnspecified() {
		s += " your-ip " + f.Yours.String()
	}
	if f.Checksum == ChecksumBad {
		s += " [bad udp cksum]"
	}
	return s + f.tunnelLine()
}

func (f Frame) tunnelLine() string {
	if f.VNI == 0 {
		return ""
	}
	return fmt.Sprintf(" (in VXLAN %d, %s > %s)", f.VNI, f.OuterSrc, f.OuterDst)
}

// Filter returns the BPF expression for a guest's DHCP frames: both
// directions are matched by the client hardware address inside the BOOTP
// message, because a reply may be broadcast and a relay changes the outer
// addresses. vlan is the tag to look behind on a trunk, 0 for none; `vlan`
// moves all later offsets, so the untagged form stands first.
func Filter(mac string, vlan int) (string, error) {
	hw, err := net.ParseMAC(mac)
	if err != nil || len(hw) != 6 {
		return "", fmt.Errorf("not an Ethernet address: %q", mac)
	}
	// chaddr lies 28 bytes into the BOOTP message, behind the UDP header's 8.
	client := fmt.Sprintf("udp and (port 67 or port 68) and udp[36:4] = 0x%08x and udp[40:2] = 0x%04x",
		binary.BigEndian.Uint32(hw[:4]), binary.BigEndian.Uint16(hw[4:]))
	if vlan == 0 {
		return client, nil
	}
	return fmt.Sprintf("(%s) or (vlan %d and %s)", client, vlan, client), nil
}

// Read decodes a pcap stream until it ends and calls emit for each frame of an
// exchange; other frames are passed over. A stream that ends in the middle of a
// record, as it does when tcpdump is stopped, is not an error.
func Read(r io.Reader, emit func(Frame)) error {
	src, err := pcapgo.NewReader(r)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("not a capture: %w", err)
	}
	for {
		data, info, err := src.ReadPacketData()
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading a capture: %w", err)
		}
		if f, ok := decode(data, info.Timestamp, src.LinkType()); ok {
			emit(f)
		}
	}
}

func decode(data []byte, at time.Time, link layers.LinkType) (Frame, bool) {
	pkt := gopacket.NewPacket(data, link, gopacket.DecodeOptions{NoCopy: true, Lazy: false})
	t, ok := tunnelOf(pkt)
	if !ok {
		return decodePacket(pkt, at)
	}
	// What is in it is read as it is: a tunnel in a tunnel is not the guest's.
	f, ok := decodePacket(gopacket.NewPacket(t.inner, layers.LinkTypeEthernet, gopacket.DecodeOptions{NoCopy: true, Lazy: false}), at)
	f.VNI, f.OuterSrc, f.OuterDst = t.vni, t.src, t.dst
	return f, ok
}

func decodePacket(pkt gopacket.Packet, at time.Time) (Frame, bool) {
	f := Frame{At: at}
	if eth, ok := pkt.Layer(layers.LayerTypeEthernet).(*layers.Ethernet); ok {
		f.SrcMAC, f.DstMAC = eth.SrcMAC.String(), eth.DstMAC.String()
	}
	if tag, ok := pkt.Layer(layers.LayerTypeDot1Q).(*layers.Dot1Q); ok {
		f.VLAN = int(tag.VLANIdentifier)
	}
	ok := decodeDHCP(pkt, &f) || decodeIPv6(pkt, &f) || decodePing(pkt, &f)
	return f, ok
}

// decodeDHCP reads a DHCP message for IPv4.
func decodeDHCP(pkt gopacket.Packet, f *Frame) bool {
	d, ok := pkt.Layer(layers.LayerTypeDHCPv4).(*layers.DHCPv4)
	if !ok {
		return false
	}
	f.Exchange, f.XID, f.Client, f.Reply, f.Type = DHCP, d.Xid, d.ClientHWAddr.String(), d.Operation == layers.DHCPOpReply, messageType(d)
	f.Yours, _ = netip.AddrFromSlice(d.YourClientIP.To4())
	if ip, ok := pkt.Layer(layers.LayerTypeIPv4).(*layers.IPv4); ok {
		f.Src, _ = netip.AddrFromSlice(ip.SrcIP.To4())
		f.Dst, _ = netip.AddrFromSlice(ip.DstIP.To4())
		f.Checksum = checksum(ip)
	}
	return true
}

// checksum verifies the UDP checksum of a datagram that is there whole (RFC
// 768): the sum over the pseudo header and the datagram is all ones.
func checksum(ip *layers.IPv4) Checksum {
	const header = 8
	datagram := ip.Payload
	if ip.Protocol != layers.IPProtocolUDP || ip.FragOffset != 0 || ip.Flags&layers.IPv4MoreFragments != 0 || len(datagram) < header {
		return ChecksumNotTold
	}
	size := int(binary.BigEndian.Uint16(datagram[4:]))
	if size < header || size > len(datagram) || binary.BigEndian.Uint16(datagram[6:]) == 0 {
		return ChecksumNotTold
	}
	sum := uint32(ip.Protocol) + uint32(size) //nolint:gosec // a length that was read from 16 bits
	for _, part := range [][]byte{ip.SrcIP.To4(), ip.DstIP.To4(), datagram[:size]} {
		sum += words(part)
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	if sum == 0xffff {
		return ChecksumGood
	}
	return ChecksumBad
}

// words adds up b as 16-bit numbers, the last byte as the upper half of one.
func words(b []byte) uint32 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	if len(b)%2 == 1 {
		sum += uint32(b[len(b)-1]) << 8
	}
	return sum
}

func messageType(d *layers.DHCPv4) string {
	for _, o := range d.Options {
		if o.Type == layers.DHCPOptMessageType && len(o.Data) == 1 {
			return layers.DHCPMsgType(o.Data[0]).String()
		}
	}
	return ""
}
