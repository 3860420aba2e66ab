package differential

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"whybot/commands/netfilter"
)

// keepTracking is a chain that no packet visits, see newNode.
const keepTracking = "table inet tracking { chain unused { ct state new counter; }; }\n"

func clearNFT(ctx context.Context) error {
	_, err := run(ctx, "flush ruleset\n"+keepTracking, "nft", "-f", "-")
	return err
}

func nftFamily(name string, t traffic, layer netfilter.Layer, tables ...string) *family {
	return &family{
		name: name, traffic: t, layer: layer,
		draw:   func(g *generator, rs *ruleSet) { rs.Tables = g.nftTables(tables) },
		render: func(rs *ruleSet) string { return "flush ruleset\n" + keepTracking + rs.nftText() },
		load: func(ctx context.Context, text string) error {
			_, err := run(ctx, text, "nft", "-f", "-")
			return err
		},
		clear: clearNFT,
		list:  func(ctx context.Context) (string, error) { return run(ctx, "", "nft", "-j", "list", "ruleset") },
		parse: netfilter.ParseNFT,
	}
}

// nftText is what nft -f reads.
func (rs *ruleSet) nftText() string {
	var b strings.Builder
	for _, t := range rs.Tables {
		fmt.Fprintf(&b, "table %s %s {\n", t.Family, t.Name)
		for _, s := range t.Sets {
			fmt.Fprintf(&b, "\t%s\n", s)
		}
		for _, c := range t.Chains {
			fmt.Fprintf(&b, "\tchain %s {\n", c.Name)
			if c.Base != "" {
				fmt.Fprintf(&b, "\t\t%s; policy %s;\n", c.Base, c.Policy)
			}
			for _, r := range c.Rules {
				fmt.Fprintf(&b, "\t\t%s\n", nftRule(r))
			}
			b.WriteString("\t}\n")
		}
		b.WriteString("}\n")
	}
	return b.String()
}

// nftRule puts the counter behind the matches, so that it counts what the rule
// matches.
func nftRule(r rule) string {
	return strings.Join(append(slices.Clone(r.Matches), strings.TrimSpace("counter "+r.Action)), " ")
}

// nftTables draws one table of each of the families, sometimes two of one.
func (g *generator) nftTables(families []string) []table {
	if g.chance(3) {
		families = append(slices.Clone(families), oneOf(g, families...))
	}
	var tables []table
	for i, f := range families {
		t := nftTable{generator: g, table: table{Family: f, Name: fmt.Sprintf("t%d", i)}}
		t.draw()
		tables = append(tables, t.table)
	}
	return tables
}

// An nftTable draws one table.
type nftTable struct {
	*generator
	table
	all []skeleton
}

var nftHooks = []netfilter.Hook{netfilter.Prerouting, netfilter.Input, netfilter.Forward, netfilter.Output, netfilter.Postrouting}

// draw makes base chains, several of them at one hook, and user chains.
func (t *nftTable) draw() {
	var bases []netfilter.Hook
	for range 1 + t.rnd.IntN(4) {
		h := oneOf(t.generator, nftHooks...)
		if t.chance(2) {
			h = netfilter.Forward // where most of the traffic goes
		}
		bases = append(bases, h)
	}
	t.all = t.skeletons(bases)
	for i := range t.all {
		if t.all[i].base {
			t.all[i].name = fmt.Sprintf("b%d", i)
		}
	}
	for i, s := range t.all {
		c := chain{Name: s.name}
		if s.base {
			c.Base = fmt.Sprintf("type filter hook %s priority %d", strings.ToLower(string(s.hooks[0])), oneOf(t.generator, 0, 0, -300, -150, 10, 50, -1))
			c.Policy = "accept"
			if t.chance(6) {
				c.Policy = "drop"
			}
		}
		for range 1 + t.rnd.IntN(6) {
			c.Rules = append(c.Rules, t.rule(i))
		}
		t.Chains = append(t.Chains, c)
	}
	t.dropUnused()
}

// dropUnused takes out the named sets that no rule looks into.
func (t *nftTable) dropUnused() {
	var all strings.Builder
	for _, c := range t.Chains {
		for _, r := range c.Rules {
			fmt.Fprintln(&all, r.text())
		}
	}
	text := all.String()
	t.Sets = slices.DeleteFunc(t.Sets, func(set string) bool {
		name := "@" + strings.Fields(set)[1]
		return !strings.Contains(text, name+" ") && !strings.Contains(text, name+"\n")
	})
}

func (t *nftTable) rule(nth int) rule {
	at := t.all[nth]
	s, w := t.subject(at.hooks)
	if w == nil || t.chance(6) { // about something that does not come by here
		s = t.shots[t.rnd.IntN(len(t.shots))]
		ways := s.ways(t.layer, t.shown)
		w = &ways[t.rnd.IntN(len(ways))]
	}
	var r rule
	for range oneOf(t.generator, 0, 1, 1, 1, 2, 2) {
		if m := t.match(s, w, at); m != "" && compatible(append(r.Matches, m)) {
			r.Matches = append(r.Matches, m)
		}
	}
	r.Action = t.verdict(nth)
	if t.chance(6) {
		if m := t.verdictMap(s, nth); compatible(append(r.Matches, m)) {
			r.Action = m
		}
	}
	return r
}

// compatible says whether nft takes the conditions in one rule: it refuses what
// it sees can never be true together.
func compatible(conditions []string) bool {
	transports, networks := 0, 0
	for _, c := range conditions {
		words := strings.Fields(c)
		has := func(w ...string) bool {
			return slices.ContainsFunc(words, func(word string) bool { return slices.Contains(w, word) })
		}
		if has("tcp", "udp", "th", "icmp", "icmpv6", "l4proto", "protocol", "nexthdr") {
			transports++
		}
		if has("nfproto", "protocol", "type") && !has("fib") {
			networks += len(conditions) // alone among those that need a network header
		}
		if has("ip", "ip6", "arp", "icmp", "icmpv6", "fib") {
			networks++
		}
	}
	return transports < 2 && networks <= len(conditions)+1 || len(conditions) == 1
}

// verdict draws what a rule does.
func (t *nftTable) verdict(nth int) string {
	at := t.all[nth]
	if callee, ok := t.callee(t.all, nth); ok && (t.chance(2) || at.base && t.chance(2)) {
		return oneOf(t.generator, "jump ", "jump ", "goto ") + callee
	}
	actions := []string{"", "continue", "return", "accept", "accept", "drop", "drop", "meta mark set 0x1", "meta mark set meta mark | 0x10"}
	if t.Family != "bridge" && !hears(at, netfilter.Postrouting, netfilter.Prerouting) {
		actions = append(actions, "reject", map[string]string{
			"ip": "reject with icmp host-prohibited", "ip6": "reject with icmpv6 admin-prohibited", "inet": "reject with icmpx admin-prohibited",
		}[t.Family])
	}
	return oneOf(t.generator, actions...)
}

// simple draws a verdict for an element of a map.
func (t *nftTable) simple(nth int) string {
	if callee, ok := t.callee(t.all, nth); ok && t.chance(2) {
		return oneOf(t.generator, "jump ", "goto ") + callee
	}
	return oneOf(t.generator, "accept", "drop", "return", "continue")
}

// name declares a named set or map and returns how rules refer to it.
func (t *nftTable) name(kind, body string) string {
	name := fmt.Sprintf("n%d", len(t.Sets))
	t.Sets = append(t.Sets, fmt.Sprintf("%s %s { %s }", kind, name, body))
	return "@" + name
}

// verdictMap draws a rule that looks its verdict up: without a name or in a map
// that has one, by ports, interfaces, addresses, states or several at once.
func (t *nftTable) verdictMap(s shot, nth int) string {
	v := func() string { return t.simple(nth) }
	port := serverPorts[t.rnd.IntN(len(serverPorts))]
	if s.Dport != 0 && !t.chance(3) {
		port = s.Dport
	}
	src, dst := t.networks(s)
	from := s.From
	if from == host {
		from = "lo"
	}
	maps := []func() string{
		func() string {
			return fmt.Sprintf("udp dport vmap { %d : %s, 1-21 : %s, 60000-65535 : %s }", max(port, 22), v(), v(), v())
		},
		func() string { return fmt.Sprintf("tcp dport vmap { %d : %s, 23 : %s }", max(port, 24), v(), v()) },
		func() string {
			return "iifname vmap { " + quoted(t.deviceOf(from)) + " : " + v() + ", \"zz0\" : " + v() + " }"
		},
		func() string {
			return fmt.Sprintf("%s saddr . th dport vmap { %s . %d : %s, %s . 1-1023 : %s }", ipOf(s.v6()), src, port, v(), dst, v())
		},
		func() string {
			m := t.name("map", fmt.Sprintf("type %s : verdict; flags interval; elements = { %s : %s }", addressType(s.v6()), src, v()))
			return ipOf(s.v6()) + " saddr vmap " + m
		},
		func() string {
			m := t.name("map", fmt.Sprintf("type inet_service : verdict; elements = { %d : %s }", port, v()))
			return "th dport vmap " + m
		},
	}
	if t.layer == netfilter.LayerIP {
		maps = append(maps, func() string {
			return fmt.Sprintf("ct state vmap { new : %s, established : %s, invalid : %s, untracked : %s }", v(), v(), v(), v())
		})
	}
	if t.Family == "ip" && s.v6() || t.Family == "ip6" && !s.v6() {
		maps = maps[:3]
	}
	if s.arp() {
		return fmt.Sprintf("arp operation vmap { request : %s, reply : %s }", v(), v())
	}
	return oneOf(t.generator, maps...)()
}

// networks are prefixes around the addresses of a shot.
func (t *nftTable) networks(s shot) (src, dst string) {
	around := func(a netip.Addr) string {
		return netip.PrefixFrom(a, oneOf(t.generator, a.BitLen(), a.BitLen()-2, a.BitLen()-4, 24)).Masked().String()
	}
	return around(s.src()), around(s.dst())
}

func ipOf(v6 bool) string {
	if v6 {
		return "ip6"
	}
	return "ip"
}

func addressType(v6 bool) string {
	if v6 {
		return "ipv6_addr"
	}
	return "ipv4_addr"
}

func quoted(s string) string { return `"` + s + `"` }

// deviceOf is what a table of this layer calls an interface.
func (t *nftTable) deviceOf(name string) string {
	if t.layer == netfilter.LayerBridge {
		return name
	}
	return device(name)
}
