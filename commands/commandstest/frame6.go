package commandstest

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
)

// A message6 is what a word means in DHCPv6 or router discovery.
type message6 struct {
	kind  byte // of DHCPv6, or of ICMPv6 when router is set
	reply bool
	// gives says that the message has the guest's address in it, refuses that it
	// says that there is none.
	gives, refuses bool
	router         bool
	flags          byte // of an advertisement
	prefix         string
}

var messages6 = map[string]message6{
	"solicit": {kind: 1}, "request6": {kind: 3}, "information": {kind: 11},
	"advertise6": {kind: 2, reply: true, gives: true}, "reply6": {kind: 7, reply: true, gives: true},
	"options6": {kind: 7, reply: true}, "refuse6": {kind: 2, reply: true, refuses: true},
	"rs": {kind: 133, router: true}, "ra": {kind: 134, router: true, reply: true},
	"ra-managed": {kind: 134, router: true, reply: true, flags: 0x80}, "ra-other": {kind: 134, router: true, reply: true, flags: 0x40},
	"ra-foreign": {kind: 134, router: true, reply: true, prefix: "fd00:bad::/64"},
}

// An end6 is one end of a conversation of IPv6.
type end6 struct {
	mac net.HardwareAddr
	ip  netip.Addr
}

// linkLocal is the address a link makes of its MAC (RFC 4291, appendix A).
func linkLocal(mac net.HardwareAddr) end6 {
	b := [16]byte{0xfe, 0x80}
	copy(b[8:], []byte{mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]})
	return end6{mac, netip.AddrFrom16(b)}
}

// group is a multicast address and where its frames go.
func group(address string) end6 {
	ip := netip.MustParseAddr(address)
	b := ip.As16()
	return end6{net.HardwareAddr{0x33, 0x33, b[12], b[13], b[14], b[15]}, ip}
}

// strange is the MAC of a router that is not Neutron's.
var strange = net.HardwareAddr{0x00, 0x00, 0x5e, 0x00, 0x02, 0x01}

// frame6 is a frame of IPv6, tagged when vlan is not 0.
func (w *world) frame6(m message6, line frameLine, guest end, vlan uint16) ([]byte, error) {
	client := linkLocal(guest.mac)
	if !m.reply {
		to := "ff02::1:2"
		if m.router {
			to = "ff02::2"
		}
		return ethernet6(client, group(to), vlan, m.body(w, client.mac)), nil
	}
	mac, err := w.sender(m, line)
	if err != nil {
		return nil, err
	}
	to := client
	if m.router {
		to = group("ff02::1")
	}
	return ethernet6(linkLocal(mac), to, vlan, m.body(w, client.mac)), nil
}

// sender is the MAC that a reply comes from.
func (w *world) sender(m message6, line frameLine) (net.HardwareAddr, error) {
	key := "dhcp"
	if m.router {
		key = "router"
	}
	all := w.f.cloud[key]
	if line.from == "outside" {
		return strange, nil
	}
	if line.from == "" && len(all) != 1 {
		return nil, fmt.Errorf("the %s at %s does not say from which of %d", line.word, line.at, len(all))
	}
	for _, words := range all {
		if line.from == "" || words["ip6"] == line.from {
			return net.ParseMAC(words["mac"])
		}
	}
	return nil, fmt.Errorf("there is no %s %q", key, line.from)
}

// body is what follows the IPv6 header, with the protocol in front.
func (m message6) body(w *world, client net.HardwareAddr) []byte {
	if m.router {
		return append([]byte{58}, m.discovery(w)...)
	}
	ports := []uint16{546, 547}
	if m.reply {
		ports = []uint16{547, 546}
	}
	message := m.dhcpv6(w, client)
	b := binary.BigEndian.AppendUint16([]byte{17}, ports[0])
	b = binary.BigEndian.AppendUint16(b, ports[1])
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(message))) //nolint:gosec // a few hundred bytes
	return append(append(b, 0, 0), message...)                   // nobody here checks the sum
}

// dhcpv6 is the message itself (RFC 8415).
func (m message6) dhcpv6(w *world, client net.HardwareAddr) []byte {
	b := append([]byte{m.kind, 0x7b, 0x61, 0xfb, 0, 1, 0, 10, 0, 3, 0, 1}, client...)
	association := make([]byte, 12)
	switch address, err := netip.ParseAddr(w.f.cloud.first("port")["ip6"]); {
	case m.gives && err == nil:
		association = append(append(association, 0, 5, 0, 24), address.AsSlice()...)
		association = append(association, 0, 1, 0x51, 0x80, 0, 1, 0x51, 0x80) // preferred and valid for a day
	case m.refuses:
		association = append(association, 0, 13, 0, 2, 0, 2) // NoAddrsAvail
	default:
		return b
	}
	b = append(b, 0, 3, 0, byte(len(association))) //nolint:gosec // at most 40
	return append(b, association...)
}

// discovery is a solicitation or an advertisement (RFC 4861).
func (m message6) discovery(w *world) []byte {
	b := []byte{m.kind, 0, 0, 0}
	if !m.reply {
		return append(b, 0, 0, 0, 0)
	}
	b = append(b, 64, m.flags, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0) // a default router for 1800 s
	prefix, err := netip.ParsePrefix(m.prefix)
	if m.prefix == "" {
		prefix, err = w.prefix6()
	}
	if err != nil {
		return b
	}
	use := byte(0xc0) // on the link, and for guests to make addresses in
	if m.flags&0x80 != 0 {
		use = 0x80
	}
	b = append(b, 3, 4, byte(prefix.Bits()), use, 0, 1, 0x51, 0x80, 0, 0, 0x38, 0x40, 0, 0, 0, 0) //nolint:gosec // at most 128
	return append(b, prefix.Addr().AsSlice()...)
}

// prefix6 is the network's IPv6 subnet.
func (w *world) prefix6() (netip.Prefix, error) {
	for _, words := range w.f.cloud["subnet"] {
		if p, err := netip.ParsePrefix(words[""]); err == nil && p.Addr().Is6() {
			return p, nil
		}
	}
	return netip.Prefix{}, fmt.Errorf("the network has no IPv6 subnet")
}

// ethernet6 is a frame of IPv6 with a body that begins with its protocol.
func ethernet6(src, dst end6, vlan uint16, body []byte) []byte {
	b := append(append([]byte{}, dst.mac...), src.mac...)
	if vlan != 0 {
		b = binary.BigEndian.AppendUint16(append(b, 0x81, 0x00), vlan)
	}
	b = append(b, 0x86, 0xdd, 0x60, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(len(body)-1)) //nolint:gosec // a few hundred bytes
	b = append(b, body[0], 255)
	b = append(append(b, src.ip.AsSlice()...), dst.ip.AsSlice()...)
	return append(b, body[1:]...)
}
