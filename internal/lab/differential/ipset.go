package differential

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"whybot/commands/netfilter"
)

// setsBelow stands between what iptables-save and what ipset save printed.
const setsBelow = "# ipset save\n"

// withSets makes a family of iptables' whose rules look into ipsets.
func withSets(name, tool string) *family {
	plain := iptablesFamily(name, tool, false)
	f := *plain
	f.draw = func(g *generator, rs *ruleSet) {
		rs.Sets = g.ipsets()
		plain.draw(g, rs)
	}
	f.render = func(rs *ruleSet) string {
		return strings.Join(rs.Sets, "\n") + "\n" + setsBelow + plain.render(rs)
	}
	// The sets stay: the kernel lets go of those that were asked by rules which
	// are gone only a while later. No other family looks into them.
	f.load = func(ctx context.Context, text string) error {
		sets, rules, _ := strings.Cut(text, setsBelow)
		if _, err := run(ctx, sets, "ipset", "restore"); err != nil {
			return err
		}
		return plain.load(ctx, rules)
	}
	f.list = func(ctx context.Context) (string, error) {
		rules, err := plain.list(ctx)
		if err != nil {
			return "", err
		}
		sets, err := run(ctx, "", "ipset", "save")
		return rules + setsBelow + sets, err
	}
	f.parse = parseWithSets
	return &f
}

func parseWithSets(listing string) (*netfilter.Ruleset, error) {
	rules, saved, _ := strings.Cut(listing, setsBelow)
	rs, err := netfilter.Parse(rules)
	if err != nil {
		return nil, err
	}
	sets, err := netfilter.ParseIPSets(saved)
	if err != nil {
		return nil, err
	}
	return rs.WithSets(sets), nil
}

// ipsets draws the sets that rules look into, about the addresses and ports of the shots.
func (g *generator) ipsets() []string {
	g.sets = map[string]string{
		"s0": "src", "s1": "src", "s2": "src,dst", "s3": "src,dst", "s4": "dst", "s5": "src",
	}
	sets := []string{
		"create s0 hash:ip family inet -exist", "create s1 hash:net family inet -exist", "create s2 hash:ip,port family inet -exist",
		"create s3 hash:net,port family inet -exist", "create s4 bitmap:port range 0-65535 -exist", "create s5 list:set -exist",
		"flush", "add s5 s0", "add s5 s1",
	}
	for _, s := range g.shots {
		if g.chance(2) {
			continue
		}
		if s.src() != netip.IPv4Unspecified() {
			sets = append(sets, "add s0 "+s.src().String()+" -exist", "add s1 "+netip.PrefixFrom(s.src(), oneOf(g, 24, 30, 32)).Masked().String()+" -exist")
			if g.chance(4) {
				sets = append(sets, "add s1 "+s.src().String()+" nomatch -exist")
			}
		}
		if s.Dport == 0 {
			continue
		}
		sets = append(sets, fmt.Sprintf("add s4 %d -exist", s.Dport))
		proto := "udp"
		if s.Kind == tcpSYN {
			proto = "tcp"
		}
		if s.src() != netip.IPv4Unspecified() {
			sets = append(sets, fmt.Sprintf("add s2 %s,%s:%d -exist", s.src(), proto, s.Dport),
				fmt.Sprintf("add s3 %s/24,%s:%d-%d -exist", s.src(), proto, s.Dport, s.Dport+min(4, 65535-s.Dport)))
		}
	}
	return sets
}

// setMatch asks whether a packet is in a set.
func (g *generator) setMatch() string {
	name := fmt.Sprintf("s%d", g.rnd.IntN(len(g.sets)))
	direction := g.sets[name]
	if g.chance(6) {
		direction = strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(direction, "src", "x"), "dst", "src"), "x", "dst")
	}
	return "-m set " + g.not() + "--match-set " + name + " " + direction
}
