package netfilter

import (
	"encoding/binary"
	"encoding/json"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// A value is what nft loads into a register: up to 128 bits in network order,
// the last byte last. An interface's name is 16 bytes, filled up with zeros.
type value struct{ hi, lo uint64 }

var allOnes = value{^uint64(0), ^uint64(0)}

func number[T ~uint8 | ~uint16 | ~uint32 | ~uint64](n T) value { return value{lo: uint64(n)} }

func (a value) and(b value) value { return value{a.hi & b.hi, a.lo & b.lo} }
func (a value) or(b value) value  { return value{a.hi | b.hi, a.lo | b.lo} }
func (a value) xor(b value) value { return value{a.hi ^ b.hi, a.lo ^ b.lo} }
func (a value) not() value        { return value{^a.hi, ^a.lo} }
func (a value) zero() bool        { return a == value{} }

func (a value) less(b value) bool { return a.hi < b.hi || a.hi == b.hi && a.lo < b.lo }

// low has the n lowest bits set.
func low(n int) value {
	switch {
	case n >= 128:
		return allOnes
	case n > 64:
		return value{1<<(n-64) - 1, ^uint64(0)}
	case n == 64:
		return value{0, ^uint64(0)}
	default:
		return value{0, 1<<n - 1}
	}
}

func addressValue(a netip.Addr) value {
	if a.Is4() {
		return number(word4(a))
	}
	b := a.As16()
	return value{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func macValue(mac net.HardwareAddr) value {
	var b [8]byte
	copy(b[2:], mac)
	return number(binary.BigEndian.Uint64(b[:]))
}

func nameValue(name string) value {
	var b [16]byte
	copy(b[:], name)
	return value{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func (a value) name() string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], a.hi)
	binary.BigEndian.PutUint64(b[8:], a.lo)
	name, _, _ := strings.Cut(string(b[:]), "\x00")
	return name
}

// A span of values, both ends included.
type span struct{ from, to value }

// everything is the span of all values.
var everything = span{to: allOnes}

func exactly(v value) span { return span{v, v} }

// has says whether the span holds a value of which only some bits are known.
func (s span) has(r reading) Tri {
	switch {
	case s == everything:
		return Yes
	case r.known == allOnes:
		return Truth(!r.value.less(s.from) && !s.to.less(r.value))
	case s.from == s.to && !r.value.xor(s.from).and(r.known).zero():
		return No
	default:
		return Unknown
	}
}

// A kind is one of nft's data types: how its values are spelt.
type kind struct {
	bits    int
	symbols map[string]uint64
	parse   func(string) (value, bool)
	// flags marks bit fields, of which "in" and "!" ask for single bits.
	flags bool
	// quoted kinds are listed in quotes.
	quoted bool
	// show spells a value for a person; as a decimal number when nil.
	show func(value) string
	// digits is how many hexadecimal ones nft lists a number with at least; 0
	// for decimal numbers.
	digits int
}

func parseAddressValue(want4 bool) func(string) (value, bool) {
	return func(s string) (value, bool) {
		a, err := netip.ParseAddr(s)
		return addressValue(a), err == nil && a.Is4() == want4
	}
}

func show4(v value) string {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(v.lo&(1<<32-1)))
	return netip.AddrFrom4(b).String()
}

func show6(v value) string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], v.hi)
	binary.BigEndian.PutUint64(b[8:], v.lo)
	return netip.AddrFrom16(b).String()
}

func showMAC(v value) string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], v.lo)
	return net.HardwareAddr(b[2:]).String()
}

func showHex(digits int) func(value) string {
	return func(v value) string {
		s := strconv.FormatUint(v.lo, 16)
		return "0x" + strings.Repeat("0", max(0, digits-len(s))) + s
	}
}

// The kinds that rules compare.
var (
	kindNumber = &kind{bits: 64}
	// kindSeconds is a time.
	kindSeconds = &kind{bits: 64}
	// kindRaw is bytes of a header that have no name.
	kindRaw  = &kind{bits: 128, digits: 1}
	kindIPv4 = &kind{bits: 32, parse: parseAddressValue(true), show: show4}
	kindIPv6 = &kind{bits: 128, parse: parseAddressValue(false), show: show6}
	kindMAC  = &kind{bits: 48, show: showMAC, parse: func(s string) (value, bool) {
		mac, err := net.ParseMAC(s)
		return macValue(mac), err == nil && len(mac) == 6
	}}
	kindName = &kind{bits: 128, quoted: true, show: value.name, parse: func(s string) (value, bool) {
		return nameValue(s), len(s) < 16
	}}
	// kindQuoted is other text: helpers, operating systems.
	kindQuoted = &kind{quoted: true}
	// kindWord is a word, or several, that is not modelled.
	kindWord  = &kind{}
	kindPort  = &kind{bits: 16}
	kindMark  = &kind{bits: 32, show: showHex(8), digits: 8}
	kindProto = &kind{bits: 8, symbols: protocolSymbols(), show: func(v value) string { return protoName(uint8(v.lo & 0xff)) }}
	kindEther = &kind{bits: 16, digits: 4, symbols: etherSymbols, show: showSymbol(etherSymbols, showHex(4))}

	kindICMPType = &kind{bits: 8, symbols: map[string]uint64{
		"echo-reply": 0, "destination-unreachable": 3, "source-quench": 4, "redirect": 5, "echo-request": 8,
		"router-advertisement": 9, "router-solicitation": 10, "time-exceeded": 11, "parameter-problem": 12,
		"timestamp-request": 13, "timestamp-reply": 14, "info-request": 15, "info-reply": 16,
		"address-mask-request": 17, "address-mask-reply": 18,
	}}
	kindICMPCode = &kind{bits: 8, symbols: map[string]uint64{
		"net-unreachable": 0, "host-unreachable": 1, "prot-unreachable": 2, "port-unreachable": 3, "frag-needed": 4,
		"net-prohibited": 9, "host-prohibited": 10, "admin-prohibited": 13,
	}}
	kindICMPv6Type = &kind{bits: 8, symbols: map[string]uint64{
		"destination-unreachable": 1, "packet-too-big": 2, "time-exceeded": 3, "parameter-problem": 4,
		"echo-request": 128, "echo-reply": 129, "mld-listener-query": 130, "mld-listener-report": 131,
		"mld-listener-done": 132, "mld-listener-reduction": 132, "nd-router-solicit": 133, "nd-router-advert": 134,
		"nd-neighbor-solicit": 135, "nd-neighbor-advert": 136, "nd-redirect": 137, "router-renumbering": 138,
		"ind-neighbor-solicit": 141, "ind-neighbor-advert": 142, "mld2-listener-report": 143,
	}}
	kindICMPv6Code = &kind{bits: 8, symbols: map[string]uint64{
		"no-route": 0, "admin-prohibited": 1, "addr-unreachable": 3, "port-unreachable": 4, "policy-fail": 5, "reject-route": 6,
	}}
	kindARPOperation = &kind{bits: 16, symbols: map[string]uint64{
		"request": 1, "reply": 2, "rrequest": 3, "rreply": 4, "inrequest": 8, "inreply": 9, "nak": 10,
	}}
	kindTCPFlags = &kind{bits: 8, flags: true, digits: 1, symbols: map[string]uint64{
		"fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "urg": 32, "ecn": 64, "cwr": 128,
	}, show: showHex(2)}
	kindState = &kind{bits: 32, flags: true, symbols: map[string]uint64{
		"invalid": 1, "established": 2, "related": 4, "new": 8, "untracked": 64,
	}, show: showSymbol(map[string]uint64{"invalid": 1, "established": 2, "related": 4, "new": 8, "untracked": 64}, showHex(8))}
	kindStatus = &kind{bits: 32, flags: true, symbols: map[string]uint64{
		"expected": 1, "seen-reply": 2, "assured": 4, "confirmed": 8, "snat": statusSNAT, "dnat": statusDNAT, "dying": 512,
	}, show: showHex(8)}
	kindDirection  = &kind{bits: 8, symbols: map[string]uint64{"original": 0, "reply": 1}}
	kindPacketType = &kind{bits: 8, symbols: packetTypeSymbols, show: showSymbol(packetTypeSymbols, nil)}
	kindNFProto    = &kind{bits: 8, symbols: map[string]uint64{"ipv4": 2, "ipv6": 10}}
	kindFIBType    = &kind{bits: 8, symbols: fibTypes, show: showSymbol(fibTypes, nil)}
	kindARPHRD     = &kind{bits: 16, symbols: map[string]uint64{"ether": 1, "ppp": 512, "ipip": 768, "ipip6": 769, "loopback": 772, "sit": 776, "ipgre": 778}}
)

const (
	statusSNAT = 0x10
	statusDNAT = 0x20
)

var (
	etherSymbols      = map[string]uint64{"ip": 0x0800, "arp": 0x0806, "ip6": 0x86dd, "8021q": 0x8100, "8021ad": 0x88a8, "vlan": 0x8100}
	packetTypeSymbols = map[string]uint64{"host": 0, "unicast": 0, "broadcast": 1, "multicast": 2, "other": 3}
	fibTypes          = map[string]uint64{
		"unspec": 0, "unicast": 1, "local": 2, "broadcast": 3, "anycast": 4, "multicast": 5,
		"blackhole": 6, "unreachable": 7, "prohibit": 8, "throw": 9, "nat": 10, "xresolve": 11,
	}
)

func protocolSymbols() map[string]uint64 {
	all := map[string]uint64{"comp": 108, "ipip": 4, "udplite": 136}
	for name, n := range protoNumbers {
		all[name] = uint64(n)
	}
	return all
}

// showSymbol spells a value by its name; of several, the one nft lists.
func showSymbol(symbols map[string]uint64, other func(value) string) func(value) string {
	names := map[uint64]string{}
	for name, n := range symbols {
		if name != "vlan" && name != "unicast" || n == 1 {
			names[n] = name
		}
	}
	return func(v value) string {
		if name, ok := names[v.lo]; ok && v.hi == 0 {
			return name
		}
		if other != nil {
			return other(v)
		}
		return strconv.FormatUint(v.lo, 10)
	}
}

// spell writes a value for a person.
func (k *kind) spell(v value) string {
	if k.show != nil {
		return k.show(v)
	}
	return strconv.FormatUint(v.lo, 10)
}

// scalar reads one value as JSON gives it: a number, a name, or several flags.
func (k *kind) scalar(x any) (value, bool) {
	switch x := x.(type) {
	case json.Number:
		n, err := strconv.ParseUint(x.String(), 10, 64)
		return number(n), err == nil && k != kindName && k.fits(number(n))
	case string:
		return k.text(x)
	case []any:
		return k.union(x)
	case map[string]any:
		list, ok := x["|"].([]any)
		return k.unionIf(list, ok)
	default:
		return value{}, false
	}
}

func (k *kind) unionIf(list []any, ok bool) (value, bool) {
	if !ok {
		return value{}, false
	}
	return k.union(list)
}

func (k *kind) text(s string) (value, bool) {
	if n, ok := k.symbols[s]; ok {
		return number(n), true
	}
	if k.parse != nil {
		return k.parse(s)
	}
	n, err := strconv.ParseUint(s, 0, 64)
	return number(n), err == nil && k.fits(number(n))
}

func (k *kind) fits(v value) bool { return v.and(low(k.bits).not()).zero() }

// union is several flags together.
func (k *kind) union(list []any) (value, bool) {
	var all value
	for _, x := range list {
		v, ok := k.scalar(x)
		if !ok {
			return value{}, false
		}
		all = all.or(v)
	}
	return all, k.flags && len(list) > 0
}

// span reads one value, a range, a prefix, or an interface's name with a
// wildcard.
func (k *kind) span(x any) (span, bool) {
	switch x := x.(type) {
	case map[string]any:
		if ends, ok := x["range"].([]any); ok && len(ends) == 2 {
			return k.between(ends[0], ends[1])
		}
		if p, ok := x["prefix"].(map[string]any); ok {
			return k.prefix(p)
		}
	case string:
		if k == kindName {
			return nameSpan(x)
		}
	}
	v, ok := k.scalar(x)
	return exactly(v), ok
}

func (k *kind) between(from, to any) (span, bool) {
	a, ok1 := k.scalar(from)
	b, ok2 := k.scalar(to)
	// Old versions print ranges of interface names as two empty strings.
	return span{a, b}, ok1 && ok2 && !b.less(a) && k != kindName
}

func (k *kind) prefix(p map[string]any) (span, bool) {
	length, ok := integer(p["len"])
	addr, known := k.scalar(p["addr"])
	host := k.bits - int(length&0xff)
	if !ok || !known || length > 128 || host < 0 {
		return span{}, false
	}
	rest := low(host)
	return span{addr.and(rest.not()), addr.or(rest)}, true
}

// nameSpan reads an interface's name: a "*" at the end, not behind a
// backslash, stands for any rest.
func nameSpan(s string) (span, bool) {
	prefix, wild := strings.CutSuffix(s, "*")
	literal, escaped := strings.CutSuffix(prefix, `\`)
	switch {
	case wild && escaped:
		v, ok := kindName.parse(literal + "*")
		return exactly(v), ok
	case wild && len(prefix) < 16:
		v := nameValue(prefix)
		return span{v, v.or(low(128 - 8*len(prefix)))}, true
	default:
		v, ok := kindName.parse(s)
		return exactly(v), ok
	}
}

// integer reads a whole number of JSON.
func integer(x any) (uint64, bool) {
	n, ok := x.(json.Number)
	if !ok {
		return 0, false
	}
	v, err := strconv.ParseUint(n.String(), 10, 64)
	return v, err == nil
}
