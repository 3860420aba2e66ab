package differential

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"whybot/commands/netfilter"
)

// ebtablesBuiltin lists the base chains of the tables of ebtables.
var ebtablesBuiltin = []struct {
	table string
	hooks []netfilter.Hook
}{
	{"filter", []netfilter.Hook{netfilter.Input, netfilter.Forward, netfilter.Output}},
	{"nat", []netfilter.Hook{netfilter.Prerouting, netfilter.Output, netfilter.Postrouting}},
}

func ebtablesFamily() *family {
	return &family{
		name: "ebtables-nft", traffic: traffic{v4: true, v6: true, arp: true, bridge: true}, layer: netfilter.LayerBridge,
		draw:   func(g *generator, rs *ruleSet) { rs.Tables = g.ebtablesTables() },
		render: (*ruleSet).ebtablesText,
		load: func(ctx context.Context, text string) error {
			_, err := run(ctx, text, "ebtables-nft-restore")
			return err
		},
		clear: clearNFT,
		list:  func(ctx context.Context) (string, error) { return run(ctx, "", "ebtables-nft-save", "-c") },
		parse: netfilter.ParseEbtables,
	}
}

// ebtablesText is what ebtables-nft-restore reads: both tables, so that it
// replaces both.
func (rs *ruleSet) ebtablesText() string {
	var b strings.Builder
	for _, t := range rs.Tables {
		fmt.Fprintf(&b, "*%s\n", t.Name)
		for _, c := range t.Chains {
			fmt.Fprintf(&b, ":%s %s\n", c.Name, c.Policy)
		}
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				fmt.Fprintf(&b, "-A %s %s\n", c.Name, r.text())
			}
		}
	}
	return b.String()
}

func (g *generator) ebtablesTables() []table {
	var tables []table
	for _, b := range ebtablesBuiltin {
		t := table{Name: b.table}
		for i, all := 0, g.skeletons(b.hooks); i < len(all); i++ {
			c := chain{Name: all[i].name, Policy: "ACCEPT"}
			if !all[i].base {
				c.Name = b.table[:1] + c.Name
				c.Policy = oneOf(g, "RETURN", "RETURN", "ACCEPT", "DROP") // user chains of ebtables have policies
			} else if g.chance(6) {
				c.Policy = "DROP"
			}
			if b.table == "filter" || g.chance(3) {
				for range 1 + g.rnd.IntN(5) {
					c.Rules = append(c.Rules, g.ebtablesRule(b.table, all, i))
				}
			}
			t.Chains = append(t.Chains, c)
		}
		tables = append(tables, t)
	}
	return tables
}

func (g *generator) ebtablesRule(table string, all []skeleton, nth int) rule {
	at := all[nth]
	s, w := g.subject(at.hooks)
	if w == nil {
		w = &s.ways(g.layer, g.shown)[0]
	}
	var r rule
	for range oneOf(g, 0, 1, 1, 2, 2) {
		if m := g.ebtablesMatch(s, w.packet, at); m != "" {
			r.Matches = append(r.Matches, m)
		}
	}
	r.Matches = oneOfEach(r.Matches)
	actions := []string{"-j CONTINUE", "-j ACCEPT", "-j ACCEPT", "-j DROP", "-j DROP", "-j mark --mark-set 0x1 --mark-target CONTINUE"}
	if !at.base {
		actions = append(actions, "-j RETURN")
	}
	r.Action = oneOf(g, actions...)
	if callee, ok := g.callee(all, nth); ok && (g.chance(2) || at.base && g.chance(2)) {
		r.Action = "-j " + table[:1] + callee
	}
	return r
}

// ebtablesMatch draws a match, mostly one that is true of the shot.
func (g *generator) ebtablesMatch(s shot, p netfilter.Packet, at skeleton) string {
	switch g.rnd.IntN(6) {
	case 0:
		return g.ebtablesPort(p, at)
	case 1:
		mac, option := p.SrcMAC, "-s "
		if g.chance(2) {
			mac, option = p.DstMAC, "-d "
		}
		if g.chance(3) {
			mac = farMAC(oneOf(g, links...))
		}
		return option + g.not() + oneOf(g, mac.String(), mac.String()+"/ff:ff:ff:ff:ff:fc", "01:00:00:00:00:00/01:00:00:00:00:00")
	case 2:
		return "--pkttype-type " + g.not() + oneOf(g, "otherhost", "otherhost", "host", "broadcast", "multicast")
	case 3:
		return "--mark " + g.not() + oneOf(g, "0x0", "0x1", "0x1/0x1")
	default:
		return g.ebtablesProtocol(s, p)
	}
}

// ebtablesPort asks for a port, where the chain lets it be asked.
func (g *generator) ebtablesPort(p netfilter.Packet, at skeleton) string {
	option, fact := "-i ", p.PhysIn
	if g.chance(2) {
		option, fact = "-o ", p.PhysOut
	}
	if option == "-i " && hears(at, netfilter.Output, netfilter.Postrouting) || option == "-o " && hears(at, netfilter.Prerouting, netfilter.Input) {
		return ""
	}
	name, _ := fact.Get()
	if name == "" || g.chance(3) {
		name = oneOf(g, "p0", "p1", "p+")
	}
	return option + g.not() + name
}

// ebtablesProtocol asks for what the frame carries, and in that.
func (g *generator) ebtablesProtocol(s shot, p netfilter.Packet) string {
	around := func(a netip.Addr) string {
		return netip.PrefixFrom(a, oneOf(g, a.BitLen(), a.BitLen()-2, 24)).Masked().String()
	}
	proto, _ := p.Proto.Get()
	ported := proto == netfilter.ProtoUDP || proto == netfilter.ProtoTCP
	port := fmt.Sprintf("%d:%d", s.Dport-min(s.Dport, 3), s.Dport)
	switch {
	case s.arp():
		return oneOf(g, "-p "+g.not()+"ARP", "-p ARP --arp-op "+oneOf(g, "Request", "Reply"), "-p ARP --arp-ip-src "+g.not()+p.ARP.SenderIP.String(),
			"-p ARP --arp-ip-dst "+around(p.ARP.TargetIP), "-p ARP --arp-mac-src "+g.not()+p.ARP.SenderMAC.String())
	case s.v6():
		choices := []string{"-p " + g.not() + "IPv6", "-p IPv6 --ip6-src " + g.not() + around(p.Src), "-p IPv6 --ip6-dst " + around(p.Dst), fmt.Sprintf("-p IPv6 --ip6-proto %d", proto)}
		if ported {
			choices = append(choices, fmt.Sprintf("-p IPv6 --ip6-proto %d --ip6-dport %s%s", proto, g.not(), port))
		}
		return oneOf(g, choices...)
	default:
		choices := []string{"-p " + g.not() + "IPv4", "-p IPv4 --ip-src " + g.not() + around(p.Src), "-p IPv4 --ip-dst " + around(p.Dst), fmt.Sprintf("-p IPv4 --ip-proto %s%d", g.not(), proto)}
		if ported {
			choices = append(choices, fmt.Sprintf("-p IPv4 --ip-proto %d --ip-dport %s%s", proto, g.not(), port))
		}
		return oneOf(g, choices...)
	}
}
