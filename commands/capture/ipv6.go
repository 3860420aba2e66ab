package capture

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// Types of frames that a Frame of RA can have.
const (
	Solicitation  = "RouterSolicitation"
	Advertisement = "RouterAdvertisement"
)

// Refusal is the Type of a DHCPv6 message in which the server says that it has
// no address for the client: an ADVERTISE or REPLY with nothing in it.
const Refusal = "Refusal"

// A Router is what a router advertisement says.
type Router struct {
	// Managed sends the guest to DHCPv6 for its address, Other for the rest.
	Managed, Other bool
	// Lifetime is how long the guest may use it as its default router; 0 for
	// not at all.
	Lifetime time.Duration
	Prefixes []Prefix
}

// A Prefix is a range of addresses that a router advertises.
type Prefix struct {
	netip.Prefix
	Autonomous bool // a guest makes its own address in it
	Valid      time.Duration
}

// Offers reports whether guests may make themselves an address in p.
func (r *Router) Offers(p netip.Prefix) bool {
	return r != nil && slices.ContainsFunc(r.Prefixes, func(q Prefix) bool { return q.Prefix.Masked() == p && q.Autonomous && q.Valid > 0 })
}

// String returns what the advertisement says as words.
func (r Router) String() string {
	words := []string{fmt.Sprintf("lifetime %d s", int(r.Lifetime.Seconds()))}
	if r.Managed {
		words = append(words, "managed")
	}
	if r.Other {
		words = append(words, "other")
	}
	for _, p := range r.Prefixes {
		words = append(words, "prefix "+p.String())
		if p.Autonomous {
			words = append(words, "auto")
		}
	}
	return strings.Join(words, " ")
}

// FilterIPv6 is Filter for a guest that is meant to get an IPv6 address as
// well: its DHCPv6 by its own link address, its router solicitations, and the
// router advertisements to it or to all. Offsets are fixed ones: libpcap's
// protochain does not work behind a VLAN tag.
func FilterIPv6(mac string, vlan int) (string, error) {
	ipv4, err := Filter(mac, 0)
	if err != nil {
		return "", err
	}
	hw, _ := net.ParseMAC(mac) // Filter has just read it
	all := fmt.Sprintf("(%s) or (ether host %s and ip6 and udp and (port 546 or port 547))"+
		" or (ether src %s and ip6[6] = 58 and ip6[40] = 133)"+
		" or (ip6[6] = 58 and ip6[40] = 134 and (ether dst 33:33:00:00:00:01 or ether dst %s))", ipv4, hw, hw, hw)
	if vlan == 0 {
		return all, nil
	}
	return fmt.Sprintf("%s or (vlan %d and (%s))", all, vlan, all), nil
}

// decodeIPv6 reads what IPv6 guests get their addresses by.
func decodeIPv6(pkt gopacket.Packet, f *Frame) bool {
	ip, ok := pkt.Layer(layers.LayerTypeIPv6).(*layers.IPv6)
	if !ok {
		return false
	}
	f.Src, _ = netip.AddrFromSlice(ip.SrcIP)
	f.Dst, _ = netip.AddrFromSlice(ip.DstIP)
	if d, ok := pkt.Layer(layers.LayerTypeDHCPv6).(*layers.DHCPv6); ok {
		return decodeDHCPv6(d, f)
	}
	if _, ok := pkt.Layer(layers.LayerTypeICMPv6RouterSolicitation).(*layers.ICMPv6RouterSolicitation); ok {
		f.Exchange, f.Type, f.Client = RA, Solicitation, f.SrcMAC
		return true
	}
	if ra, ok := pkt.Layer(layers.LayerTypeICMPv6RouterAdvertisement).(*layers.ICMPv6RouterAdvertisement); ok {
		f.Exchange, f.Type, f.Reply = RA, Advertisement, true
		f.Router = &Router{
			Managed: ra.ManagedAddressConfig(), Other: ra.OtherConfig(),
			Lifetime: time.Duration(ra.RouterLifetime) * time.Second, Prefixes: prefixes(ra.Options),
		}
		return true
	}
	return false
}

// prefixes reads the prefix options of an advertisement (RFC 4861, 4.6.2).
func prefixes(options layers.ICMPv6Options) []Prefix {
	var all []Prefix
	for _, o := range options {
		if o.Type != layers.ICMPv6OptPrefixInfo || len(o.Data) < 30 {
			continue
		}
		addr, ok := netip.AddrFromSlice(o.Data[14:30])
		if p := netip.PrefixFrom(addr, int(o.Data[0])); ok && p.IsValid() {
			all = append(all, Prefix{p, o.Data[1]&0x40 != 0, time.Duration(binary.BigEndian.Uint32(o.Data[2:6])) * time.Second})
		}
	}
	return all
}

// fromServer are the DHCPv6 messages that servers send.
var fromServer = []layers.DHCPv6MsgType{layers.DHCPv6MsgTypeAdvertise, layers.DHCPv6MsgTypeReply, layers.DHCPv6MsgTypeReconfigure}

// decodeDHCPv6 reads a message between client and server; what a relay wraps is
// passed over.
func decodeDHCPv6(d *layers.DHCPv6, f *Frame) bool {
	if d.MsgType == layers.DHCPv6MsgTypeUnspecified || d.MsgType > layers.DHCPv6MsgTypeInformationRequest || len(d.TransactionID) != 3 {
		return false
	}
	f.Exchange, f.Type, f.Reply = DHCPv6, d.MsgType.String(), slices.Contains(fromServer, d.MsgType)
	f.XID = uint32(d.TransactionID[0])<<16 | uint32(d.TransactionID[1])<<8 | uint32(d.TransactionID[2])
	f.Client = f.SrcMAC
	if f.Reply {
		f.Client = f.DstMAC
	}
	refused := false
	for _, o := range d.Options {
		refused = readOption(o, f) || refused
	}
	if f.Reply && refused && !f.Yours.IsValid() {
		f.Type = Refusal
	}
	return true
}

// readOption reads what an option says of the client and its address, and
// whether it is a refusal.
func readOption(o layers.DHCPv6Option, f *Frame) (refused bool) {
	switch o.Code {
	case layers.DHCPv6OptClientID:
		if mac, ok := macOfDUID(o.Data); ok {
			f.Client = mac
		}
	case layers.DHCPv6OptIANA:
		var yours netip.Addr
		if yours, refused = readIANA(o.Data); yours.IsValid() {
			f.Yours = yours
		}
	case layers.DHCPv6OptStatusCode:
		return failed(o.Data)
	default:
	}
	return refused
}

// macOfDUID returns the link address in a client's identifier, of those kinds
// that have one: by link address, with (1) or without (3) a time (RFC 8415,
// 11).
func macOfDUID(duid []byte) (string, bool) {
	if len(duid) < 4 || binary.BigEndian.Uint16(duid[2:]) != 1 { // Ethernet
		return "", false
	}
	switch kind := binary.BigEndian.Uint16(duid); {
	case kind == 1 && len(duid) == 14:
		return net.HardwareAddr(duid[8:]).String(), true
	case kind == 3 && len(duid) == 10:
		return net.HardwareAddr(duid[4:]).String(), true
	}
	return "", false
}

// Options inside an association of addresses (RFC 8415, 21).
const (
	optIAAddress  = 5
	optStatusCode = 13
	iaHeader      = 12 // its id and two times
)

// readIANA returns the address in an association, and whether it says that
// there is none.
func readIANA(b []byte) (yours netip.Addr, refused bool) {
	if len(b) < iaHeader {
		return netip.Addr{}, false
	}
	for b = b[iaHeader:]; len(b) >= 4; {
		code, n := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		if len(b) < 4+n {
			break
		}
		body := b[4 : 4+n]
		switch {
		case code == optIAAddress && n >= 24 && binary.BigEndian.Uint32(body[20:]) > 0: // not one that is taken back
			yours, _ = netip.AddrFromSlice(body[:16])
		case code == optStatusCode:
			refused = refused || failed(body)
		}
		b = b[4+n:]
	}
	return yours, refused
}

// failed reports whether a status is another than success.
func failed(status []byte) bool {
	return len(status) >= 2 && binary.BigEndian.Uint16(status) != 0
}
