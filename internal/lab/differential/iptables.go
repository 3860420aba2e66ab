package differential

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"whybot/commands/netfilter"
)

// builtin lists the base chains of each table of iptables.
var builtin = []struct {
	table string
	hooks []netfilter.Hook
}{
	{"raw", []netfilter.Hook{netfilter.Prerouting, netfilter.Output}},
	{"mangle", []netfilter.Hook{netfilter.Prerouting, netfilter.Input, netfilter.Forward, netfilter.Output, netfilter.Postrouting}},
	{"nat", []netfilter.Hook{netfilter.Prerouting, netfilter.Input, netfilter.Output, netfilter.Postrouting}},
	{"filter", []netfilter.Hook{netfilter.Input, netfilter.Forward, netfilter.Output}},
	{"security", []netfilter.Hook{netfilter.Input, netfilter.Forward, netfilter.Output}},
}

// iptablesTables draws the tables of iptables or ip6tables: always all five,
// so that loading them replaces what was there; most hold rules in filter only.
func (g *generator) iptablesTables() []table {
	var tables []table
	for _, b := range builtin {
		t := table{Name: b.table}
		if b.table == "filter" || g.chance(4) {
			t.Chains = g.iptablesChains(b.table, b.hooks)
		} else {
			for _, h := range b.hooks {
				t.Chains = append(t.Chains, chain{Name: string(h), Policy: "ACCEPT"})
			}
		}
		tables = append(tables, t)
	}
	return tables
}

func (g *generator) iptablesChains(table string, bases []netfilter.Hook) []chain {
	all := g.skeletons(bases)
	chains := make([]chain, len(all))
	for i, s := range all {
		c := chain{Name: s.name, Policy: "-"}
		if s.base {
			c.Policy = "ACCEPT"
			if table != "nat" && g.chance(6) {
				c.Policy = "DROP"
			}
		}
		for range 1 + g.rnd.IntN(6) {
			c.Rules = append(c.Rules, g.iptablesRule(table, all, i))
		}
		chains[i] = c
	}
	return chains
}

func (g *generator) iptablesRule(table string, all []skeleton, nth int) rule {
	at := all[nth]
	var r rule
	s, w := g.subject(at.hooks)
	for range oneOf(g, 0, 1, 1, 1, 2, 2) {
		if m := g.iptablesMatch(s, w, at); m != "" {
			r.Matches = append(r.Matches, m)
		}
	}
	slices.SortStableFunc(r.Matches, protocolFirst)
	r.Matches = oneOfEach(r.Matches)
	r.Action = g.iptablesAction(table, at)
	if callee, ok := g.callee(all, nth); ok && (g.chance(2) || at.base && g.chance(2)) {
		r.Action = oneOf(g, "-j ", "-j ", "-g ") + callee
	}
	return r
}

// iptablesAction draws what a rule does that calls no chain. A rule without
// matches had better not end everything too often.
func (g *generator) iptablesAction(table string, at skeleton) string {
	actions := []string{"", "", "-j RETURN", "-j ACCEPT", "-j ACCEPT", "-j MARK --set-xmark 0x1/0xffffffff"}
	if table != "nat" {
		actions = append(actions, "-j DROP", "-j DROP")
	} else if !slices.ContainsFunc(at.hooks, func(h netfilter.Hook) bool { return h != netfilter.Postrouting }) {
		actions = append(actions, "-j MASQUERADE")
	}
	if table == "raw" {
		actions = append(actions, "-j CT --notrack")
	}
	if table == "filter" {
		reject := "-j REJECT --reject-with icmp-host-prohibited"
		if g.v6 {
			reject = "-j REJECT --reject-with icmp6-adm-prohibited"
		}
		actions = append(actions, reject, reject)
	}
	return oneOf(g, actions...)
}

// protocolFirst puts -p before the matches that need it.
func protocolFirst(a, b string) int {
	rank := func(m string) int {
		if strings.HasPrefix(m, "-p") || strings.HasPrefix(m, "! -p") {
			return 0
		}
		return 1
	}
	return rank(a) - rank(b)
}

// oneOfEach leaves out a second match with an option that is there already.
func oneOfEach(matches []string) []string {
	seen := map[string]bool{}
	return slices.DeleteFunc(matches, func(m string) bool {
		duplicate := false
		for word := range strings.FieldsSeq(m) {
			if strings.HasPrefix(word, "-") && word != "-m" {
				duplicate = duplicate || seen[word]
				seen[word] = true
			}
		}
		return duplicate
	})
}

// iptablesMatch draws a match, mostly one that is true of the shot on its way.
func (g *generator) iptablesMatch(s shot, w *way, at skeleton) string {
	if g.opaque && g.chance(6) {
		return oneOf(g, "-m statistic --mode random --probability 0.5", "-m limit --limit 1/sec --limit-burst 2",
			`-m string --string "whyb" --algo bm`, "-m length --length 0:60")
	}
	if w == nil || g.chance(6) {
		s = g.shots[g.rnd.IntN(len(g.shots))]
		ways := s.ways(g.layer, g.shown)
		w = &ways[g.rnd.IntN(len(ways))]
	}
	if g.sets != nil && g.chance(3) {
		return g.setMatch()
	}
	aspects := []func() string{
		func() string { return g.protoMatch(s) }, func() string { return g.protoMatch(s) },
		func() string { return g.addressMatch(w.packet) }, func() string { return g.addressMatch(w.packet) },
		func() string { return g.deviceMatch(w.packet, at) }, func() string { return g.physdevMatch(w.packet, at) },
		func() string { return g.physdevMatch(w.packet, at) }, g.stateMatch,
		func() string { return g.linkMatch(s, at) },
		func() string {
			return "-m mark " + g.not() + "--mark " + oneOf(g, "0x0", "0x0", "0x1", "0x0/0xff", "0x1/0x1")
		},
		func() string { return g.typeMatch(w.packet) },
	}
	return oneOf(g, aspects...)()
}

// protoMatch asks for the protocol, alone or with its ports, flags or type.
func (g *generator) protoMatch(s shot) string {
	p := s.packet()
	switch proto, _ := p.Proto.Get(); proto {
	case netfilter.ProtoUDP:
		return g.portMatch("udp", s)
	case netfilter.ProtoTCP:
		if g.chance(4) {
			return "-p tcp -m tcp " + oneOf(g, "--tcp-flags FIN,SYN,RST,ACK SYN", "! --tcp-flags FIN,SYN,RST,ACK SYN", "--tcp-flags SYN,ACK SYN,ACK", "--tcp-flags ACK NONE")
		}
		return g.portMatch("tcp", s)
	default:
		kind, _ := p.ICMPType.Get()
		if g.v6 {
			return oneOf(g, g.not()+"-p ipv6-icmp", "-p ipv6-icmp -m icmp6 "+g.not()+"--icmpv6-type "+oneOf(g, fmt.Sprint(kind), fmt.Sprintf("%d/0", kind), "128", "135"))
		}
		return oneOf(g, g.not()+"-p icmp", "-p icmp -m icmp "+g.not()+"--icmp-type "+oneOf(g, fmt.Sprint(kind), fmt.Sprintf("%d/0", kind), "8/1", "0", "any"))
	}
}

func (g *generator) portMatch(proto string, s shot) string {
	port := oneOf(g, s.Dport, s.Dport, serverPorts[g.rnd.IntN(len(serverPorts))])
	spans := func() string {
		return oneOf(g, fmt.Sprint(port), fmt.Sprintf("%d:%d", port-min(port, 5), port), fmt.Sprintf("%d:", port), fmt.Sprintf(":%d", port))
	}
	closed := func() string { return oneOf(g, fmt.Sprint(port), fmt.Sprintf("%d:65535", port)) }
	switch g.rnd.IntN(6) {
	case 0:
		return g.not() + "-p " + proto
	case 1:
		return "-p " + proto + " -m " + proto + " " + g.not() + "--sport " + oneOf(g, fmt.Sprint(s.Sport), "1024:", ":1023")
	case 2, 3:
		return "-p " + proto + " -m " + proto + " " + g.not() + "--dport " + spans()
	default:
		return "-p " + proto + " -m multiport " + g.not() + oneOf(g, "--dports ", "--dports ", "--sports ", "--ports ") + oneOf(g, closed(), "22,53,"+closed(), "1,"+closed()+",5900:5910")
	}
}

// addressMatch asks for a prefix around an address of the packet.
func (g *generator) addressMatch(p netfilter.Packet) string {
	option, a := "-s ", p.Src
	if g.chance(2) {
		option, a = "-d ", p.Dst
	}
	if g.chance(4) {
		a = farIP(oneOf(g, links...), g.v6)
	}
	if a.Is4() && g.chance(8) {
		return g.not() + option + "10.0.0.1/255.0.0.255"
	}
	if a.Is4() && g.chance(8) && p.PacketType == netfilter.TypeUnicast {
		first, last := a, a.Next()
		if a.As4()[3] > 1 {
			first = a.Prev()
		}
		return "-m iprange " + g.not() + map[string]string{"-s ": "--src-range ", "-d ": "--dst-range "}[option] + first.String() + "-" + last.String()
	}
	bits := oneOf(g, a.BitLen(), a.BitLen(), a.BitLen()-2, 24, 16, 8)
	return g.not() + option + netip.PrefixFrom(a, bits).Masked().String()
}

// deviceMatch asks for an interface where iptables lets a chain ask for it.
func (g *generator) deviceMatch(p netfilter.Packet, at skeleton) string {
	option, fact := "-i ", p.In
	if g.chance(2) {
		option, fact = "-o ", p.Out
	}
	if at.base && (option == "-i " && !hears(at, netfilter.Prerouting, netfilter.Input, netfilter.Forward) ||
		option == "-o " && !hears(at, netfilter.Forward, netfilter.Output, netfilter.Postrouting)) {
		return ""
	}
	name, _ := fact.Get()
	if name == "" || g.chance(3) {
		name = oneOf(g, bridge, "br+", "r0", "r+", "p0", "lo")
	}
	return g.not() + option + name
}

func hears(at skeleton, hooks ...netfilter.Hook) bool {
	return slices.ContainsFunc(hooks, func(h netfilter.Hook) bool { return slices.Contains(at.hooks, h) })
}

// physdevMatch asks for bridge ports. The kernel takes no port out in a chain
// that the node's own packets can reach.
func (g *generator) physdevMatch(p netfilter.Packet, at skeleton) string {
	named := func(f netfilter.Fact[string]) string {
		if name, _ := f.Get(); name != "" && !g.chance(3) {
			return name
		}
		return oneOf(g, "p0", "p1", "p2", "p+", "q+")
	}
	in := g.not() + "--physdev-in " + named(p.PhysIn)
	if hears(at, netfilter.Output) {
		return "-m physdev " + oneOf(g, in, g.not()+"--physdev-is-in")
	}
	out := g.not() + "--physdev-out " + named(p.PhysOut)
	return "-m physdev " + oneOf(g, in, out, out+" --physdev-is-bridged", in+" "+out+" --physdev-is-bridged",
		g.not()+"--physdev-is-in", g.not()+"--physdev-is-out", g.not()+"--physdev-is-bridged")
}

func (g *generator) stateMatch() string {
	state := oneOf(g, "NEW", "NEW", "RELATED,ESTABLISHED", "RELATED,ESTABLISHED", "INVALID", "INVALID,NEW", "UNTRACKED", "INVALID,NEW,UNTRACKED")
	return oneOf(g, "-m state "+g.not()+"--state ", "-m conntrack "+g.not()+"--ctstate ") + state
}

// linkMatch asks what only the frame tells.
func (g *generator) linkMatch(s shot, at skeleton) string {
	if g.chance(2) || hears(at, netfilter.Output, netfilter.Postrouting) {
		return "-m pkttype " + g.not() + "--pkt-type " + oneOf(g, "unicast", "unicast", "broadcast", "multicast")
	}
	mac := farMAC(oneOf(g, links...))
	if s.From != host && !g.chance(3) {
		mac = farMAC(s.From)
	}
	return "-m mac " + g.not() + "--mac-source " + mac.String()
}

// typeMatch asks for the type of an address, where it tells by itself.
func (g *generator) typeMatch(p netfilter.Packet) string {
	if g.v6 {
		return `-m comment --comment "a \"b\" -j DROP"`
	}
	if p.PacketType == netfilter.TypeBroadcast && g.chance(2) {
		return "-m addrtype " + g.not() + oneOf(g, "--dst-type ", "--src-type ") + oneOf(g, "BROADCAST", "MULTICAST", "LOCAL", "UNICAST")
	}
	return oneOf(g, `-m comment --comment "a \"b\" -j DROP"`, "-m addrtype "+g.not()+"--dst-type MULTICAST")
}

// iptablesText is what iptables-restore reads.
func (rs *ruleSet) iptablesText() string {
	var b strings.Builder
	for _, t := range rs.Tables {
		fmt.Fprintf(&b, "*%s\n", t.Name)
		for _, c := range t.Chains {
			fmt.Fprintf(&b, ":%s %s [0:0]\n", c.Name, c.Policy)
		}
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				fmt.Fprintf(&b, "-A %s %s\n", c.Name, r.text())
			}
		}
		b.WriteString("COMMIT\n")
	}
	return b.String()
}
