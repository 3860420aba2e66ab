package netfilter

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// addressCond is -s and -d.
type addressCond struct {
	src  bool
	nets []network
}

// A network is an address and a mask. IPv4 masks may have holes.
type network struct {
	v4         bool
	addr, mask uint32       // IPv4
	prefix     netip.Prefix // IPv6
}

func (c addressCond) test(v *view) Tri {
	a, known := v.address(c.src)
	if !known {
		if f := v.p.family(); f != 0 && !slices.ContainsFunc(c.nets, func(n network) bool { return n.v4 == (f == IPv4) }) {
			return No
		}
		return Unknown
	}
	return Truth(slices.ContainsFunc(c.nets, func(n network) bool { return n.contains(a) }))
}

func (c addressCond) fact(v *view) string {
	if a, known := v.address(c.src); known {
		return side(c.src) + " is " + a.String()
	}
	if c.src {
		return v.why("the source address", changeSrc)
	}
	return v.why("the destination address", changeDst)
}

func side(src bool) string {
	if src {
		return "source"
	}
	return "destination"
}

func (n network) contains(a netip.Addr) bool {
	a = a.Unmap()
	if !n.v4 {
		return n.prefix.Contains(a)
	}
	return a.Is4() && word4(a)&n.mask == n.addr&n.mask
}

func word4(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

// parseAddresses reads "10.0.0.0/8", "10.0.0.1", a mask in dots, or a list.
func parseAddresses(s string, src bool) condition {
	c := addressCond{src: src}
	for part := range strings.SplitSeq(s, ",") {
		n, ok := parseNetwork(part)
		if !ok {
			return nil
		}
		c.nets = append(c.nets, n)
	}
	return c
}

func parseNetwork(s string) (network, bool) {
	host, mask, masked := strings.Cut(s, "/")
	a, err := netip.ParseAddr(host)
	if err != nil || a.Zone() != "" {
		return network{}, false
	}
	a = a.Unmap()
	bits := a.BitLen()
	if masked && strings.Contains(mask, ".") {
		m, err := netip.ParseAddr(mask)
		if err != nil || !m.Is4() || !a.Is4() {
			return network{}, false
		}
		return network{v4: true, addr: word4(a), mask: word4(m)}, true
	}
	if masked {
		if bits, err = strconv.Atoi(mask); err != nil || bits < 0 || bits > a.BitLen() {
			return network{}, false
		}
	}
	if a.Is4() {
		return network{v4: true, addr: word4(a), mask: ^uint32(0) << (32 - bits)}, true
	}
	return network{prefix: netip.PrefixFrom(a, bits)}, true
}

// macCond is -m mac --mac-source.
type macCond struct{ mac string }

func parseMAC(s string) condition {
	mac, err := net.ParseMAC(s)
	if err != nil || len(mac) != 6 {
		return nil
	}
	return macCond{string(mac)}
}

func (c macCond) test(v *view) Tri {
	if v.p.SrcMAC == nil || v.hook == Output || v.hook == Postrouting {
		return Unknown
	}
	return Truth(string(v.p.SrcMAC) == c.mac)
}

func (c macCond) fact(v *view) string {
	if c.test(v) == Unknown {
		return "the source MAC is not known here"
	}
	return "source MAC is " + v.p.SrcMAC.String()
}

// packetTypeCond is -m pkttype.
type packetTypeCond struct{ want PacketType }

func parsePacketType(s string) condition {
	switch strings.ToLower(s) {
	case "unicast", "host":
		return packetTypeCond{TypeUnicast}
	case "broadcast":
		return packetTypeCond{TypeBroadcast}
	case "multicast":
		return packetTypeCond{TypeMulticast}
	default:
		return nil
	}
}

func (c packetTypeCond) test(v *view) Tri {
	if v.p.PacketType == TypeUnknown {
		return Unknown
	}
	return Truth(v.p.PacketType == c.want)
}

func (c packetTypeCond) fact(v *view) string {
	if v.p.PacketType == TypeUnknown {
		return "the link-layer packet type is not known"
	}
	return "the packet is " + v.p.PacketType.String()
}

// addressTypeCond is -m addrtype. Only what the address itself tells is
// decided; the rest is in the node's routing tables.
type addressTypeCond struct {
	src   bool
	types []string
}

var addressTypes = []string{
	"UNSPEC", "UNICAST", "LOCAL", "BROADCAST", "ANYCAST", "MULTICAST",
	"BLACKHOLE", "UNREACHABLE", "PROHIBIT", "THROW", "NAT", "XRESOLVE",
}

func parseAddressType(s string, src bool) condition {
	types := strings.Split(strings.ToUpper(s), ",")
	for _, t := range types {
		if !slices.Contains(addressTypes, t) {
			return nil
		}
	}
	return addressTypeCond{src: src, types: types}
}

func (c addressTypeCond) test(v *view) Tri {
	a, known := v.address(c.src)
	if !known {
		return Unknown
	}
	if t := v.addressType(a); t != "" {
		return Truth(slices.Contains(c.types, t))
	}
	if !slices.ContainsFunc(c.types, func(t string) bool { return t != "MULTICAST" || a.Is6() }) {
		return No // an IPv4 address outside 224.0.0.0/4 is no multicast address
	}
	return Unknown
}

func (c addressTypeCond) fact(v *view) string {
	a, known := v.address(c.src)
	if !known {
		return addressCond{src: c.src}.fact(v)
	}
	if t := v.addressType(a); t != "" {
		return side(c.src) + " " + a.String() + " is " + t
	}
	return "the type of " + a.String() + " depends on the node's addresses and routes"
}

// addressType is the type that the kernel's table of local addresses gives an
// address: UNICAST is what is not in it. "" is not known.
func (v *view) addressType(a netip.Addr) string {
	if t := ownType(a); t != "" {
		return t
	}
	local, known := v.p.Local.Get()
	switch {
	case !known:
		return ""
	case a.IsLoopback() || slices.ContainsFunc(local, func(n netip.Prefix) bool { return n.Addr() == a }):
		return "LOCAL"
	case !a.Is4():
		return "" // IPv6 asks its routes
	case slices.ContainsFunc(local, func(n netip.Prefix) bool { return lastOf(n) == a }):
		return "BROADCAST"
	default:
		return "UNICAST"
	}
}

// lastOf is the broadcast address of an IPv4 network, or no address.
func lastOf(n netip.Prefix) netip.Addr {
	if !n.Addr().Is4() || n.Bits() > 30 {
		return netip.Addr{}
	}
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], word4(n.Addr())|(1<<(32-n.Bits())-1))
	return netip.AddrFrom4(b)
}

// ownType is the type that an address has on every node, or "".
func ownType(a netip.Addr) string {
	switch {
	case a.Is4() && (a == netip.IPv4Unspecified() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255})):
		return "BROADCAST"
	case a.Is4() && a.IsMulticast():
		return "MULTICAST"
	default:
		return ""
	}
}
