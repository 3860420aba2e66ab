package netfilter

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// protoNumbers holds the protocol names that iptables prints.
var protoNumbers = map[string]uint8{
	"icmp": ProtoICMP, "igmp": 2, "ipencap": 4, "tcp": ProtoTCP, "egp": 8, "udp": ProtoUDP, "dccp": 33,
	"ipv6": 41, "rsvp": 46, "gre": 47, "esp": 50, "ah": 51, "ipv6-icmp": ProtoICMPv6, "icmpv6": ProtoICMPv6,
	"icmp6": ProtoICMPv6, "eigrp": 88, "ospf": 89, "ipip": 94, "pim": 103, "vrrp": 112, "l2tp": 115,
	"sctp": 132, "mobility-header": 135, "ipv6-mh": 135, "udplite": 136,
}

func protoName(n uint8) string {
	for _, name := range slices.Sorted(maps.Keys(protoNumbers)) {
		if protoNumbers[name] == n {
			return name
		}
	}
	return "protocol " + strconv.Itoa(int(n))
}

// protoCond is -p; number 0 is any protocol.
type protoCond struct{ number uint8 }

func parseProto(s string) condition {
	name := strings.ToLower(s)
	if name == "all" {
		return protoCond{}
	}
	if n, ok := protoNumbers[name]; ok {
		return protoCond{n}
	}
	n, err := strconv.ParseUint(s, 10, 8)
	if err != nil {
		return nil
	}
	return protoCond{uint8(n)}
}

func (c protoCond) test(v *view) Tri {
	if c.number == 0 {
		return Yes
	}
	return truthOf(v.p.Proto, func(n uint8) bool { return n == c.number })
}

func (c protoCond) fact(v *view) string {
	if n, known := v.p.Proto.Get(); known {
		return "protocol is " + protoName(n)
	}
	return "the protocol is not known"
}

// portCond is --sport, --dport and -m multiport. The protocol is left to -p,
// without which iptables takes none of them.
type portCond struct {
	src, dst  bool
	intervals []interval
}

// An interval of ports, both ends included.
type interval struct{ from, to uint16 }

func addPortReaders(readers map[string]optionReader) {
	for _, proto := range []string{"tcp", "udp", "udplite", "sctp", "dccp"} {
		src := one(func(v string) condition { return parsePorts(v, portCond{src: true}) })
		dst := one(func(v string) condition { return parsePorts(v, portCond{dst: true}) })
		readers[proto+" --sport"], readers[proto+" --source-port"] = src, src
		readers[proto+" --dport"], readers[proto+" --destination-port"] = dst, dst
	}
	src := one(func(v string) condition { return parsePorts(v, portCond{src: true}) })
	dst := one(func(v string) condition { return parsePorts(v, portCond{dst: true}) })
	readers["multiport --sports"], readers["multiport --source-ports"] = src, src
	readers["multiport --dports"], readers["multiport --destination-ports"] = dst, dst
	readers["multiport --ports"] = one(func(v string) condition { return parsePorts(v, portCond{src: true, dst: true}) })
}

// parsePorts reads "67", "1024:", ":1023", "5900:5999" or a list of those.
func parsePorts(s string, c portCond) condition {
	for part := range strings.SplitSeq(s, ",") {
		low, high, ranged := strings.Cut(part, ":")
		if !ranged {
			high = low
		}
		from, ok1 := parsePort(low, 0, ranged)
		to, ok2 := parsePort(high, math.MaxUint16, ranged)
		if !ok1 || !ok2 {
			return nil
		}
		c.intervals = append(c.intervals, interval{from, to})
	}
	return c
}

// parsePort reads a number; an open end of a range is empty. Service names are
// not understood: they are the node's to translate.
func parsePort(s string, open uint16, ranged bool) (uint16, bool) {
	if s == "" && ranged {
		return open, true
	}
	n, err := strconv.ParseUint(s, 10, 16)
	return uint16(n), err == nil
}

func (c portCond) test(v *view) Tri {
	t := No
	if c.src {
		t = or(t, c.has(v.port(true)))
	}
	if c.dst {
		t = or(t, c.has(v.port(false)))
	}
	return t
}

func (c portCond) has(port Fact[uint16]) Tri {
	return truthOf(port, func(n uint16) bool {
		return slices.ContainsFunc(c.intervals, func(i interval) bool { return i.from <= n && n <= i.to })
	})
}

func (c portCond) fact(v *view) string {
	var facts []string
	if c.src {
		facts = append(facts, portNumberFact("source port", v.port(true), v, changeSrc))
	}
	if c.dst {
		facts = append(facts, portNumberFact("destination port", v.port(false), v, changeDst))
	}
	return strings.Join(facts, ", ")
}

func portNumberFact(what string, f Fact[uint16], v *view, bit change) string {
	if n, known := f.Get(); known {
		return what + " is " + strconv.Itoa(int(n))
	}
	return v.why("the "+what, bit)
}

const (
	flagFIN uint8 = 1 << iota
	flagSYN
	flagRST
	flagPSH
	flagACK
	flagURG
)

var tcpFlagNames = map[string]uint8{
	"FIN": flagFIN, "SYN": flagSYN, "RST": flagRST, "PSH": flagPSH, "ACK": flagACK, "URG": flagURG,
	"ALL": flagFIN | flagSYN | flagRST | flagPSH | flagACK | flagURG, "NONE": 0,
}

// tcpFlagsCond is --tcp-flags and --syn.
type tcpFlagsCond struct{ mask, set uint8 }

var synCond = tcpFlagsCond{mask: flagFIN | flagSYN | flagRST | flagACK, set: flagSYN}

func parseTCPFlags(mask, set string) condition {
	m, ok1 := tcpFlags(mask)
	s, ok2 := tcpFlags(set)
	if !ok1 || !ok2 {
		return nil
	}
	return tcpFlagsCond{m, s}
}

func tcpFlags(s string) (flags uint8, ok bool) {
	for name := range strings.SplitSeq(s, ",") {
		f, known := tcpFlagNames[strings.ToUpper(name)]
		if !known {
			return 0, false
		}
		flags |= f
	}
	return flags, true
}

func (c tcpFlagsCond) test(v *view) Tri {
	return truthOf(v.p.TCPFlags, func(f uint8) bool { return f&c.mask == c.set })
}

func (c tcpFlagsCond) fact(v *view) string {
	flags, known := v.p.TCPFlags.Get()
	if !known {
		return "the TCP flags are not known"
	}
	var names []string
	for _, n := range []string{"FIN", "SYN", "RST", "PSH", "ACK", "URG"} {
		if flags&tcpFlagNames[n] != 0 {
			names = append(names, n)
		}
	}
	if names == nil {
		return "no TCP flag is set"
	}
	return "TCP flags are " + strings.Join(names, ",")
}

// icmpCond is --icmp-type and --icmpv6-type.
type icmpCond struct {
	any   bool
	kind  uint8
	coded bool // false: every code
	code  uint8
}

var icmpNames = map[string]icmpCond{
	"any": {any: true}, "255": {any: true},
	"echo-reply": {kind: 0}, "pong": {kind: 0}, "destination-unreachable": {kind: 3},
	"network-unreachable": {kind: 3, coded: true, code: 0}, "host-unreachable": {kind: 3, coded: true, code: 1},
	"port-unreachable":     {kind: 3, coded: true, code: 3},
	"fragmentation-needed": {kind: 3, coded: true, code: 4},
	"source-quench":        {kind: 4}, "redirect": {kind: 5}, "echo-request": {kind: 8}, "ping": {kind: 8},
	"router-advertisement": {kind: 9}, "router-solicitation": {kind: 10}, "time-exceeded": {kind: 11},
	"ttl-exceeded": {kind: 11}, "parameter-problem": {kind: 12},
}

var icmpv6Names = map[string]icmpCond{
	"destination-unreachable": {kind: 1}, "packet-too-big": {kind: 2}, "time-exceeded": {kind: 3}, "ttl-exceeded": {kind: 3},
	"parameter-problem": {kind: 4}, "echo-request": {kind: 128}, "ping": {kind: 128}, "echo-reply": {kind: 129}, "pong": {kind: 129},
	"router-solicitation": {kind: 133}, "router-advertisement": {kind: 134},
	"neighbour-solicitation": {kind: 135}, "neighbor-solicitation": {kind: 135},
	"neighbour-advertisement": {kind: 136}, "neighbor-advertisement": {kind: 136}, "redirect": {kind: 137},
}

func parseICMPType(s string) condition   { return parseICMP(s, icmpNames) }
func parseICMPv6Type(s string) condition { return parseICMP(s, icmpv6Names) }

func parseICMP(s string, names map[string]icmpCond) condition {
	if c, ok := names[strings.ToLower(s)]; ok {
		return c
	}
	kind, code, coded := strings.Cut(s, "/")
	k, err := strconv.ParseUint(kind, 10, 8)
	if err != nil {
		return nil
	}
	c := icmpCond{kind: uint8(k), coded: coded}
	if coded {
		n, err := strconv.ParseUint(code, 10, 8)
		if err != nil {
			return nil
		}
		c.code = uint8(n)
	}
	return c
}

func (c icmpCond) test(v *view) Tri {
	if c.any {
		return Yes
	}
	kind := truthOf(v.p.ICMPType, func(n uint8) bool { return n == c.kind })
	if kind == No || !c.coded {
		return kind
	}
	return min(kind, truthOf(v.p.ICMPCode, func(n uint8) bool { return n == c.code }))
}

func (c icmpCond) fact(v *view) string {
	kind, known := v.p.ICMPType.Get()
	if !known {
		return "the ICMP type is not known"
	}
	s := "ICMP type is " + strconv.Itoa(int(kind))
	if code, known := v.p.ICMPCode.Get(); known {
		s += "/" + strconv.Itoa(int(code))
	}
	return s
}
