package differential

import (
	"fmt"
	"net/netip"
	"strings"

	"whybot/commands/netfilter"
)

// op draws a comparison.
func (t *nftTable) op() string {
	if t.chance(5) {
		return "!= "
	}
	return ""
}

// match draws a match, mostly one that is true of the shot on its way.
func (t *nftTable) match(s shot, w *way, at skeleton) string {
	if t.opaque && t.chance(6) {
		return oneOf(t.generator, "numgen random mod 2 == 0", "limit rate 1/second burst 2 packets", "meta length < 60", "@nh,64,8 != 0x40")
	}
	if t.Family == "ip" && s.v6() || t.Family == "ip6" && !s.v6() {
		return t.anyFamily(w, at)
	}
	if s.arp() {
		return t.arp(w, at)
	}
	aspects := []func() string{
		func() string { return t.transport(s) }, func() string { return t.transport(s) }, func() string { return t.transport(s) },
		func() string { return t.addressIs(s, w.packet) }, func() string { return t.addressIs(s, w.packet) },
		func() string { return t.anyFamily(w, at) }, func() string { return t.anyFamily(w, at) },
		func() string { return t.concatenation(s, w.packet) },
	}
	return oneOf(t.generator, aspects...)()
}

// anyFamily asks what does not depend on the IP version.
func (t *nftTable) anyFamily(w *way, at skeleton) string {
	aspects := []func() string{
		func() string { return t.interfaceIs(w.packet) }, func() string { return t.interfaceIs(w.packet) },
		func() string {
			return "meta mark " + oneOf(t.generator, "0x0", "0x1", "!= 0x1", "& 0x1 == 0x1", "& 0x10 == 0x0", "0x0-0xf", "{ 0x0, 0x10 }")
		},
		func() string { return "meta pkttype " + t.op() + t.packetTypes() },
		func() string { return t.link(w.packet, at) },
	}
	if t.layer == netfilter.LayerIP {
		aspects = append(aspects, t.state, t.state)
	}
	return oneOf(t.generator, aspects...)()
}

func (t *nftTable) packetTypes() string {
	types := []string{"host", "host", "broadcast", "multicast", "{ broadcast, multicast }"}
	if t.layer == netfilter.LayerBridge {
		types = append(types, "other", "other")
	}
	return oneOf(t.generator, types...)
}

// interfaceIs asks for an interface; in the bridge, for a port.
func (t *nftTable) interfaceIs(p netfilter.Packet) string {
	key, fact := "iifname ", p.In
	if t.chance(2) {
		key, fact = "oifname ", p.Out
	}
	if t.layer == netfilter.LayerBridge {
		if fact = p.PhysIn; key == "oifname " {
			fact = p.PhysOut
		}
	}
	name, _ := fact.Get()
	if name == "" || t.chance(3) {
		name = oneOf(t.generator, bridge, "r0", "p0", "p1", "lo")
	}
	return key + t.op() + oneOf(t.generator, quoted(name), quoted(name[:1]+"*"), "{ "+quoted(name)+`, "zz0" }`, `{ "zz*", `+quoted(name)+" }")
}

func (t *nftTable) state() string {
	return "ct state " + oneOf(t.generator, "new", "new", "!= new", "established,related", "established,related", "invalid", "untracked", "{ new, untracked }", "!= { established, invalid }", "new,invalid")
}

// link asks what only the frame tells, where the kernel still has it.
func (t *nftTable) link(p netfilter.Packet, at skeleton) string {
	if t.layer == netfilter.LayerIP && hears(at, netfilter.Output, netfilter.Postrouting) {
		return ""
	}
	key, mac := "ether saddr ", p.SrcMAC
	if t.chance(2) {
		key, mac = "ether daddr ", p.DstMAC
	}
	if mac == nil || t.chance(3) {
		mac = farMAC(oneOf(t.generator, links...))
	}
	return key + oneOf(t.generator, t.op()+mac.String(), t.op()+"{ "+mac.String()+", 02:00:00:00:00:77 }",
		t.op()+"02:00:00:00:00:00-02:00:00:00:00:01", "& 01:00:00:00:00:00 == 00:00:00:00:00:00")
}

// transport asks for the protocol, its ports, its flags or its type.
func (t *nftTable) transport(s shot) string {
	p := s.packet()
	proto, _ := p.Proto.Get()
	if t.chance(4) {
		return t.protocol(s)
	}
	switch {
	case proto == netfilter.ProtoTCP && t.chance(3):
		return oneOf(t.generator, "tcp flags syn", "tcp flags & (fin | syn | rst | ack) == syn", "tcp flags & (syn | ack) == syn | ack", "tcp flags != syn", "tcp flags & ack == 0x0")
	case proto == netfilter.ProtoTCP:
		return t.ports("tcp", s)
	case proto == netfilter.ProtoUDP:
		return t.ports("udp", s)
	case s.v6():
		return "icmpv6 type " + t.op() + oneOf(t.generator, "echo-request", "nd-router-advert", "{ echo-request, echo-reply }", "{ nd-router-advert, nd-neighbor-solicit }", "128-129")
	default:
		return "icmp " + oneOf(t.generator, "type "+t.op()+"echo-request", "type { echo-request, echo-reply }", "code 0", "type 0-8", "code != 0")
	}
}

func (t *nftTable) protocol(s shot) string {
	choices := []string{"meta l4proto " + t.op() + oneOf(t.generator, "udp", "tcp", "{ tcp, udp }", "icmp", "ipv6-icmp")}
	if s.v6() {
		choices = append(choices, "ip6 nexthdr "+t.op()+oneOf(t.generator, "udp", "tcp", "{ tcp, ipv6-icmp }"))
	} else {
		choices = append(choices, "ip protocol "+t.op()+oneOf(t.generator, "udp", "tcp", "{ tcp, icmp }"))
	}
	switch t.Family {
	case "inet":
		choices = append(choices, "meta nfproto "+t.op()+oneOf(t.generator, "ipv4", "ipv6"))
	case "bridge":
		choices = append(choices, oneOf(t.generator, "ether type ", "meta protocol ")+t.op()+oneOf(t.generator, "ip", "ip6", "arp", "{ ip, arp }"))
	}
	return oneOf(t.generator, choices...)
}

func (t *nftTable) ports(proto string, s shot) string {
	key, port := "dport ", s.Dport
	if t.chance(4) {
		key, port = "sport ", s.Sport
	}
	if t.chance(3) {
		port = serverPorts[t.rnd.IntN(len(serverPorts))]
	}
	low, high := port-min(port, 10), port+min(65535-port, 10)
	span := fmt.Sprintf("%d-%d", low, high)
	if t.chance(6) {
		proto = "th"
	}
	return proto + " " + key + oneOf(t.generator, t.op()+fmt.Sprint(port), t.op()+span, t.op()+fmt.Sprintf("{ %d, 3, 9 }", max(port, 10)),
		fmt.Sprintf("{ %s, 65534 }", span), fmt.Sprintf("> %d", low), fmt.Sprintf("<= %d", high),
		t.op()+t.name("set", fmt.Sprintf("type inet_service; flags interval; elements = { %s }", span)),
		t.op()+t.name("set", fmt.Sprintf("type inet_service; elements = { %d, 2 }", max(port, 3))))
}

// addressIs asks for an address, a network, a range, a set or some bits.
func (t *nftTable) addressIs(s shot, p netfilter.Packet) string {
	key, a := " saddr ", p.Src
	if t.chance(2) {
		key, a = " daddr ", p.Dst
	}
	if t.chance(4) {
		a = farIP(oneOf(t.generator, links...), s.v6())
	}
	key = ipOf(s.v6()) + key
	// Of an IPv6 address the kernel asks the routing rules, which are peculiar on
	// this node.
	if t.Family == "ip" && t.chance(6) {
		return "fib " + oneOf(t.generator, "saddr", "daddr") + " type " + t.op() + oneOf(t.generator, "local", "unicast", "multicast", "broadcast", "{ local, broadcast }")
	}
	bits := oneOf(t.generator, a.BitLen(), a.BitLen()-2, 24, 16, 8)
	network := netip.PrefixFrom(a, bits).Masked().String()
	first := netip.PrefixFrom(a, a.BitLen()-3).Masked().Addr()
	span := first.String() + "-" + a.Next().String()
	if !a.Next().IsValid() {
		span = network
	}
	choices := []string{
		t.op() + a.String(), t.op() + network, t.op() + span, t.op() + "{ " + network + " }",
		t.op() + t.name("set", fmt.Sprintf("type %s; flags interval; elements = { %s }", addressType(s.v6()), network)),
		t.op() + t.name("set", fmt.Sprintf("type %s; elements = { %s }", addressType(s.v6()), a)),
	}
	if a.Is4() {
		choices = append(choices, "& 255.0.0.255 == 10.0.0.1", "& 0.0.0.1 == 0.0.0.0")
	}
	return key + oneOf(t.generator, choices...)
}

// concatenation asks for several things at once.
func (t *nftTable) concatenation(s shot, p netfilter.Packet) string {
	v := ipOf(s.v6())
	src, dst := t.networks(s)
	proto, known := p.Proto.Get()
	if !known {
		return ""
	}
	port := max(s.Dport, 2)
	choices := []string{
		fmt.Sprintf("%s saddr . %s daddr %s{ %s . %s }", v, v, t.op(), p.Src, p.Dst),
		fmt.Sprintf("%s saddr . %s daddr %s", v, v, t.name("set", fmt.Sprintf("type %s . %s; flags interval; elements = { %s . %s }", addressType(s.v6()), addressType(s.v6()), src, dst))),
		fmt.Sprintf("meta l4proto . th dport %s{ %d . %d, tcp . 1 }", t.op(), proto, port),
	}
	if t.layer == netfilter.LayerIP {
		in, _ := p.In.Get()
		if in == "" {
			in = "lo"
		}
		choices = append(choices, fmt.Sprintf("iifname . %s saddr { %s . %s }", v, quoted(in), p.Src))
	}
	return oneOf(t.generator, choices...)
}

// arp asks about an ARP packet.
func (t *nftTable) arp(w *way, at skeleton) string {
	body := w.packet.ARP
	return oneOf(t.generator, "arp operation "+t.op()+oneOf(t.generator, "request", "reply"),
		strings.Join([]string{"arp saddr ip", t.op() + body.SenderIP.String()}, " "),
		strings.Join([]string{"arp daddr ip", t.op() + body.TargetIP.String() + "/30"}, " "),
		"arp saddr ether "+t.op()+body.SenderMAC.String(), "ether type arp", "meta protocol "+t.op()+"arp", t.anyFamily(w, at))
}
