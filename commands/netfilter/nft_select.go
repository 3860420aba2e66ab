package netfilter

import (
	"strings"
)

// A reading is what a selector finds in a packet.
type reading struct {
	// applies is No where the packet has no such field: the rule does not match
	// then, whatever it asks of it.
	applies Tri
	value   value
	known   value // the bits of value that are known
	// why says what is missing, or why it does not apply.
	why string
}

func readingOf(v value) reading { return reading{applies: Yes, value: v, known: allOnes} }

func unread(why string) reading { return reading{applies: Yes, why: why} }

// readFact makes a reading of a fact.
func readFact[T any](f Fact[T], convert func(T) value, why string) reading {
	if v, known := f.Get(); known {
		return readingOf(convert(v))
	}
	return unread(why)
}

// within makes a reading depend on the packet having the header it is in.
func (r reading) within(has Tri, why string) reading {
	if has < r.applies {
		r.applies = has
		if has == No || r.why == "" {
			r.why = why
		}
	}
	return r
}

// A selector is a property of packets that rules compare.
type selector struct {
	text string // as nft lists it
	kind *kind
	// read is nil for properties that are not modelled; the reading says then
	// only whether the packet has it.
	read func(*view) reading
}

const notModelled = "this property of a packet is not modelled"

func (s *selector) of(v *view) reading {
	if s.read == nil {
		return unread(notModelled)
	}
	return s.read(v)
}

// metaSelectors are keyed by nft's name after "meta".
var metaSelectors = map[string]*selector{
	"iifname":     {kind: kindName, read: readIn},
	"oifname":     {kind: kindName, read: readOut},
	"iif":         {kind: kindName, read: readIn},
	"oif":         {kind: kindName, read: readOut},
	"ibrname":     {kind: kindName, read: readBridgeIn},
	"obrname":     {kind: kindName, read: readBridgeOut},
	"ibridgename": {kind: kindName, read: readBridgeIn},
	"obridgename": {kind: kindName, read: readBridgeOut},
	"iiftype":     {kind: kindARPHRD, read: readInType},
	"oiftype":     {kind: kindARPHRD},
	"l4proto":     {kind: kindProto, read: readProto},
	"nfproto":     {kind: kindNFProto, read: readNFProto},
	"protocol":    {kind: kindEther, read: readProtocol},
	"mark":        {kind: kindMark, read: readMark},
	"pkttype":     {kind: kindPacketType, read: readPacketType},
	"skuid":       {kind: kindNumber, read: readOwner},
	"skgid":       {kind: kindNumber, read: readOwner},
	"ibrvproto":   {kind: kindEther},
	"secpath":     {kind: kindNumber},
	"iifkind":     {kind: kindQuoted},
	"oifkind":     {kind: kindQuoted},
	"hour":        {kind: kindQuoted},
	"time":        {kind: kindQuoted},
	"day":         {kind: kindQuoted},
}

// bareMeta are the keys that nft lists without "meta".
var bareMeta = map[string]bool{"iif": true, "oif": true, "iifname": true, "oifname": true, "iifgroup": true, "oifgroup": true}

func metaSelector(key string) *selector {
	s := selector{kind: kindNumber}
	if known := metaSelectors[key]; known != nil {
		s = *known
	}
	if s.text = key; !bareMeta[key] {
		s.text = "meta " + key
	}
	return &s
}

func readIn(v *view) reading {
	return readFact(v.in(), nameValue, v.why("the in interface", 0))
}

func readOut(v *view) reading {
	return readFact(v.out(), nameValue, v.why("the out interface", changeDst))
}

// readBridgeIn reads the bridge of the port in; only tables of the bridge ask.
func readBridgeIn(v *view) reading {
	if v.hook == Output || v.hook == Postrouting {
		return unread("what the bridge of the port in is here differs between kernels")
	}
	return readFact(v.p.In, nameValue, "the bridge is not known")
}

func readBridgeOut(v *view) reading {
	if v.hook == Prerouting || v.hook == Input {
		return unread("what the bridge of the port out is here differs between kernels")
	}
	return readFact(v.p.Out, nameValue, "the bridge is not known")
}

func readInType(v *view) reading {
	const ether = 1
	name, known := v.p.PhysIn.Get()
	if v.p.Bridged || known && name != "" {
		return readingOf(number[uint16](ether))
	}
	return unread("the type of the in interface is not known")
}

func readProto(v *view) reading {
	return readFact(v.p.Proto, number[uint8], "the protocol is not known").within(v.isIP(), "the packet is no IP packet")
}

func (v *view) isIP() Tri {
	return or(v.p.is(IPv4), v.p.is(IPv6)).orUnknown(v.p.family() == 0 && !v.p.EtherType.known)
}

func readNFProto(v *view) reading {
	switch {
	case v.layer != LayerIP:
		return unread("nfproto is not modelled outside of the IP layer")
	case v.p.family() == IPv4:
		return readingOf(number[uint8](2))
	case v.p.family() == IPv6:
		return readingOf(number[uint8](10))
	default:
		return unread("whether the packet is IPv4 or IPv6 is not known")
	}
}

func readProtocol(v *view) reading {
	return readFact(v.p.etherType(), number[uint16], "what the frame carries is not known")
}

func readMark(v *view) reading {
	return readFact(v.mark(), number[uint32], v.why("the mark", changeMark))
}

// readPacketType reads the class as the kernel keeps it: a unicast frame that
// crosses a bridge is for another host, which br_netfilter hides from the IP
// layer.
func readPacketType(v *view) reading {
	const host, broadcast, multicast, other = 0, 1, 2, 3
	switch {
	case v.rewritten(changeType):
		return unread(v.why("the packet type", changeType))
	case v.p.PacketType == TypeBroadcast:
		return readingOf(number[uint8](broadcast))
	case v.p.PacketType == TypeMulticast:
		return readingOf(number[uint8](multicast))
	case v.p.PacketType == TypeUnknown:
		return unread("the link-layer packet type is not known")
	case v.layer == LayerDevice:
		return unread("whether the device takes the frame for its own is not known")
	case v.layer == LayerBridge && v.p.Bridged:
		return readingOf(number[uint8](other))
	default:
		return readingOf(number[uint8](host))
	}
}

// readOwner is about the socket a packet belongs to: one that is passed on has
// none.
func readOwner(v *view) reading {
	r := unread("the socket is not known")
	if v.hook == Forward || v.layer == LayerBridge && v.p.Bridged {
		r.applies, r.why = No, "the packet belongs to no socket of this node"
	}
	return r
}

// ctSelector reads a key of connection tracking.
func ctSelector(key, dir string) *selector {
	s := &selector{text: "ct " + key, kind: kindNumber}
	if dir != "" {
		s.text = "ct " + dir + " " + key
	}
	switch {
	case key == "state":
		s.kind, s.read = kindState, readState
	case key == "status":
		s.kind, s.read = kindStatus, readStatus
	case key == "direction":
		s.kind, s.read = kindDirection, readDirection
	case key == "mark":
		s.kind, s.read = kindMark, tracked
	case strings.HasSuffix(key, "addr"):
		s.kind, s.read = ctAddressKind(key), tracked
	case key == "expiration":
		s.kind, s.read = kindSeconds, tracked
	case key == "helper":
		s.kind, s.read = kindQuoted, tracked
	default:
		s.read = tracked
	}
	return s
}

func ctAddressKind(key string) *kind {
	if strings.HasPrefix(key, "ip6") {
		return kindIPv6
	}
	return kindIPv4
}

var stateBits = map[CTState]uint32{CTInvalid: 1, CTEstablished: 2, CTRelated: 4, CTNew: 8, CTUntracked: 64}

func readState(v *view) reading {
	state := v.ct()
	if state == CTUnknown {
		return unread(v.why("the connection's state", changeCT))
	}
	return readingOf(number(stateBits[state]))
}

// tracked is a reading of which only this is known: packets without a
// connection have none.
func tracked(v *view) reading {
	r := unread("this is not known of the connection")
	switch v.ct() {
	case CTInvalid, CTUntracked:
		r.applies, r.why = No, "the packet belongs to no connection"
	case CTUnknown:
		r.applies = Unknown
	default:
	}
	return r
}

// readStatus knows the first packet of a connection best: nothing has answered
// it, and it is translated only if a rule of these has done it.
func readStatus(v *view) reading {
	r := tracked(v)
	if v.ct() == CTNew && !v.rewritten(changeDst) && !v.rewritten(changeSrc) {
		const seenReply, assured, confirmed = 2, 4, 8
		r.known = number[uint32](seenReply | assured | confirmed | statusSNAT | statusDNAT)
		r.why = "of the connection's status only that it is new and not translated is known"
		r.known = r.known.or(low(32).not())
	}
	return r
}

func readDirection(v *view) reading {
	r := tracked(v)
	if v.ct() == CTNew {
		r.known = allOnes
	}
	return r
}

// fibSelector reads a route lookup. Only the type of an address is modelled.
func fibSelector(result string, flags []string) *selector {
	s := &selector{text: "fib " + strings.Join(flags, " . ") + " " + result, kind: kindNumber}
	if strings.HasPrefix(result, "oif") {
		s.kind = kindWord
	}
	if result == "type" {
		s.kind = kindFIBType
		if len(flags) == 1 && (flags[0] == "saddr" || flags[0] == "daddr") {
			src := flags[0] == "saddr"
			s.read = func(v *view) reading { return readAddressType(v, src) }
		}
	}
	return s
}

func readAddressType(v *view, src bool) reading {
	a, known := v.address(src)
	if !known {
		return unread(addressCond{src: src}.fact(v)).within(v.isIP(), "the packet is no IP packet")
	}
	if t := v.addressType(a); t != "" {
		return readingOf(number(fibTypes[strings.ToLower(t)]))
	}
	return unread("the type of " + a.String() + " depends on the node's addresses and routes")
}
