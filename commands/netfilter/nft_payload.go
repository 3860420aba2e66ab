package netfilter

import (
	"net"
	"net/netip"
)

// payloadSelector reads a field of a header.
func payloadSelector(proto, field string) *selector {
	s := &selector{text: proto + " " + field, kind: kindNumber}
	header, ok := headers[proto]
	if !ok {
		return s
	}
	if f, ok := header.fields[field]; ok {
		s.kind = f.kind
		s.read = func(v *view) reading {
			r := unread(notModelled)
			if f.read != nil {
				r = f.read(v)
			}
			return r.within(header.in(v))
		}
		return s
	}
	s.read = func(v *view) reading { return unread(notModelled).within(header.in(v)) }
	return s
}

// A header is a protocol whose fields rules compare.
type header struct {
	// in says whether the packet has the header, and why not.
	in     func(*view) (Tri, string)
	fields map[string]field
}

type field struct {
	kind *kind
	read func(*view) reading // nil: not modelled
}

var ports = map[string]field{
	"sport": {kindPort, func(v *view) reading { return readPort(v, true) }},
	"dport": {kindPort, func(v *view) reading { return readPort(v, false) }},
}

var headers = map[string]header{
	"ether": {hasEther, map[string]field{
		"saddr": {kindMAC, func(v *view) reading { return readMAC(v, v.p.SrcMAC, "the source MAC is not known") }},
		"daddr": {kindMAC, func(v *view) reading { return readMAC(v, v.p.DstMAC, "the destination MAC is not known") }},
		"type":  {kindEther, readEtherType},
	}},
	"vlan": {hasVLAN, map[string]field{
		"id":   {kindNumber, func(v *view) reading { return readFact(v.p.VLAN, number[uint16], "the VLAN tag is not known") }},
		"type": {kindEther, readProtocol}, "dei": {kindNumber, nil}, "cfi": {kindNumber, nil}, "pcp": {kindNumber, nil},
	}},
	"arp": {hasARP, map[string]field{
		"operation": {kindARPOperation, func(v *view) reading {
			return readFact(v.p.ARP.Operation, number[uint16], "the ARP operation is not known")
		}},
		"saddr ip":    {kindIPv4, func(v *view) reading { return readAddress(v.p.ARP.SenderIP, "the ARP sender's address") }},
		"daddr ip":    {kindIPv4, func(v *view) reading { return readAddress(v.p.ARP.TargetIP, "the ARP target's address") }},
		"saddr ether": {kindMAC, func(v *view) reading { return readBodyMAC(v.p.ARP.SenderMAC, "the ARP sender's MAC") }},
		"daddr ether": {kindMAC, func(v *view) reading { return readBodyMAC(v.p.ARP.TargetMAC, "the ARP target's MAC") }},
		"htype":       {kindNumber, always(1)},
		"ptype":       {kindEther, always(uint64(EtherTypeIPv4))},
		"hlen":        {kindNumber, always(6)},
		"plen":        {kindNumber, always(4)},
	}},
	"ip": {hasIPv4, map[string]field{
		"saddr":    {kindIPv4, func(v *view) reading { return readAddressOf(v, true) }},
		"daddr":    {kindIPv4, func(v *view) reading { return readAddressOf(v, false) }},
		"protocol": {kindProto, readProto},
		"version":  {kindNumber, always(4)},
		"frag-off": {kindNumber, readFragment},
		"dscp":     {kindWord, nil}, "ecn": {kindWord, nil}, "ttl": {kindNumber, nil},
	}},
	"ip6": {hasIPv6, map[string]field{
		"saddr":   {kindIPv6, func(v *view) reading { return readAddressOf(v, true) }},
		"daddr":   {kindIPv6, func(v *view) reading { return readAddressOf(v, false) }},
		"nexthdr": {kindProto, readNextHeader},
		"version": {kindNumber, always(6)},
	}},
	"icmp": {has(IPv4, ProtoICMP), map[string]field{
		"type": {kindICMPType, readICMPType},
		"code": {kindICMPCode, readICMPCode},
	}},
	"icmpv6": {has(IPv6, ProtoICMPv6), map[string]field{
		"type": {kindICMPv6Type, readICMPType},
		"code": {kindICMPv6Code, readICMPCode},
	}},
	"tcp": {has(0, ProtoTCP), map[string]field{
		"sport": ports["sport"], "dport": ports["dport"],
		"flags": {kindTCPFlags, readTCPFlags},
	}},
	"udp":     {has(0, ProtoUDP), ports},
	"udplite": {has(0, 136), ports},
	"sctp":    {has(0, 132), ports},
	"dccp":    {has(0, 33), ports},
	"th":      {hasPorts, ports},
	"ah":      {has(0, 51), nil},
	"esp":     {has(0, 50), nil},
	"comp":    {has(0, 108), nil},
	"igmp":    {has(IPv4, 2), nil},
}

func always(n uint64) func(*view) reading {
	return func(*view) reading { return readingOf(number(n)) }
}

// hasEther says whether the packet's Ethernet header is still, or already,
// there.
func hasEther(v *view) (Tri, string) {
	if v.layer == LayerIP && (v.hook == Output || v.hook == Postrouting) {
		return Unknown, "whether the packet has an Ethernet header here is not known"
	}
	return Yes, ""
}

func hasVLAN(v *view) (Tri, string) {
	return truthOf(v.p.VLAN, func(id uint16) bool { return id != 0 }), "the frame has no VLAN tag"
}

func hasARP(v *view) (Tri, string) {
	return truthOf(v.p.etherType(), func(n uint16) bool { return n == EtherTypeARP }), "the packet is not ARP"
}

func hasIPv4(v *view) (Tri, string) { return v.p.is(IPv4), "the packet is not IPv4" }

func hasIPv6(v *view) (Tri, string) { return v.p.is(IPv6), "the packet is not IPv6" }

// has asks for a transport protocol, of one IP version if family is one.
func has(family Family, proto uint8) func(*view) (Tri, string) {
	return func(v *view) (Tri, string) {
		is := min(v.isIP(), truthOf(v.p.Proto, func(n uint8) bool { return n == proto }))
		if family != 0 {
			is = min(is, v.p.is(family))
		}
		return is, "the packet is not " + protoName(proto)
	}
}

// hasPorts is for "th", which reads the same bytes of any transport header:
// they are ports in some of them.
func hasPorts(v *view) (Tri, string) {
	is := v.isIP()
	if !v.p.Proto.known {
		is = min(is, Unknown)
	}
	return is, "the packet has no transport header"
}

func readPort(v *view, src bool) reading {
	const sctp, dccp, udplite = 132, 33, 136
	switch proto, _ := v.p.Proto.Get(); proto {
	case ProtoTCP, ProtoUDP, sctp, dccp, udplite:
	default:
		return unread("the packet has no ports")
	}
	if src {
		return readFact(v.port(true), number[uint16], v.why("the source port", changeSrc))
	}
	return readFact(v.port(false), number[uint16], v.why("the destination port", changeDst))
}

func readMAC(v *view, mac net.HardwareAddr, why string) reading {
	if v.rewritten(changeMAC) {
		return unread(v.why("the frame's header", changeMAC))
	}
	if mac == nil {
		return unread(why)
	}
	return readingOf(macValue(mac))
}

func readBodyMAC(mac net.HardwareAddr, what string) reading {
	if mac == nil {
		return unread(what + " is not known")
	}
	return readingOf(macValue(mac))
}

func readAddress(a netip.Addr, what string) reading {
	if !a.Is4() {
		return unread(what + " is not known")
	}
	return readingOf(addressValue(a))
}

func readAddressOf(v *view, src bool) reading {
	a, known := v.address(src)
	if !known {
		return unread(addressCond{src: src}.fact(v))
	}
	return readingOf(addressValue(a))
}

// readEtherType reads the type on the wire: a tagged frame's is the tag's.
func readEtherType(v *view) reading {
	switch {
	case v.rewritten(changeMAC):
		return unread(v.why("the frame's header", changeMAC))
	case v.p.VLAN.known && v.p.VLAN.value != 0:
		return readingOf(number(EtherTypeVLAN))
	case !v.p.VLAN.known && v.layer != LayerIP:
		return unread("whether the frame has a VLAN tag is not known")
	default:
		return readProtocol(v)
	}
}

// readFragment knows of a whole packet that it has no offset and no more
// fragments; whether it may be cut is not known.
func readFragment(*view) reading {
	const offsetAndMore = 0x3fff
	r := unread("whether the packet may be fragmented is not known")
	r.known = number[uint16](offsetAndMore).or(low(16).not())
	return r
}

// readNextHeader knows no extension headers but those in front of multicast
// listener reports.
func readNextHeader(v *view) reading {
	kind, known := v.p.ICMPType.Get()
	if v.p.Proto == Is(ProtoICMPv6) && (!known || kind >= 130 && kind <= 132 || kind == 143) {
		return unread("whether an extension header comes first is not known")
	}
	return readProto(v)
}

func readICMPType(v *view) reading {
	return readFact(v.p.ICMPType, number[uint8], "the ICMP type is not known")
}

func readICMPCode(v *view) reading {
	return readFact(v.p.ICMPCode, number[uint8], "the ICMP code is not known")
}

func readTCPFlags(v *view) reading {
	const ecnCwr = 0xc0
	f, known := v.p.TCPFlags.Get()
	if !known {
		return unread("the TCP flags are not known")
	}
	return readingOf(number(f &^ ecnCwr))
}
