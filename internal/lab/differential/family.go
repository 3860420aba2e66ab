package differential

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"

	"whybot/commands/netfilter"
)

// A family is one way to put rules into the kernel and to list them.
type family struct {
	name    string
	traffic traffic
	layer   netfilter.Layer
	draw    func(g *generator, rs *ruleSet)
	// render is what load takes: the text for the family's tool.
	render func(rs *ruleSet) string
	// load replaces the family's rules, and nothing else.
	load func(ctx context.Context, text string) error
	// clear removes what load put there.
	clear func(ctx context.Context) error
	list  func(ctx context.Context) (string, error)
	// parse reads what list printed.
	parse func(listing string) (*netfilter.Ruleset, error)
}

var families = []*family{
	iptablesFamily("iptables-legacy", "iptables-legacy", false),
	iptablesFamily("iptables-nft", "iptables-nft", false),
	iptablesFamily("ip6tables-legacy", "ip6tables-legacy", true),
	iptablesFamily("ip6tables-nft", "ip6tables-nft", true),
	nftFamily("nft-ip", traffic{v4: true}, netfilter.LayerIP, "ip"),
	nftFamily("nft-inet", traffic{v4: true, v6: true}, netfilter.LayerIP, "inet"),
	nftFamily("nft-mixed", traffic{v4: true, v6: true}, netfilter.LayerIP, "inet", "ip", "ip6"),
	nftFamily("nft-bridge", traffic{v4: true, v6: true, arp: true, bridge: true}, netfilter.LayerBridge, "bridge"),
	ebtablesFamily(),
	withSets("iptables-legacy-ipset", "iptables-legacy"),
	withSets("iptables-nft-ipset", "iptables-nft"),
}

// Families names the families of rule sets that are compared.
func Families() []string {
	var names []string
	for _, f := range families {
		names = append(names, f.name)
	}
	return names
}

func findFamily(name string) (*family, error) {
	i := slices.IndexFunc(families, func(f *family) bool { return f.name == name })
	if i < 0 {
		return nil, fmt.Errorf("no family %q: there are %s", name, strings.Join(Families(), ", "))
	}
	return families[i], nil
}

// volleySize is how many packets go through one rule set.
const volleySize = 6

// generate draws the rule set of a seed; another attempt draws another.
func (f *family) generate(seed uint64, attempt int) *ruleSet {
	h := fnv.New64a()
	_, _ = fmt.Fprint(h, f.name, attempt) // never fails
	rnd := rand.New(rand.NewPCG(seed, h.Sum64()))
	rs := &ruleSet{Family: f.name, Seed: seed, Opaque: rnd.IntN(10) == 0, Shown: rnd.IntN(8) != 0}
	rs.Shots = volley(rnd, f.traffic, volleySize)
	f.draw(&generator{rnd: rnd, layer: f.layer, shots: rs.Shots, shown: rs.Shown, opaque: rs.Opaque, v6: f.traffic.v6 && !f.traffic.v4}, rs)
	rs.settle()
	return rs
}

// settle makes strangers of answers where rules keep packets from connection
// tracking or translate them: to whose connection an answer belongs is then
// another question than the one asked here.
func (rs *ruleSet) settle() {
	if !rs.contains("--notrack", "notrack", "MASQUERADE", "masquerade") {
		return
	}
	for i := range rs.Shots {
		rs.Shots[i].Answers = 0
	}
}

func iptablesFamily(name, tool string, v6 bool) *family {
	restore := func(ctx context.Context, text string) error {
		_, err := run(ctx, text, tool+"-restore", "-w", "20")
		return err
	}
	clear := func(ctx context.Context) error { return restore(ctx, noRules().iptablesText()) }
	if strings.HasSuffix(tool, "-nft") {
		clear = clearNFT
	}
	return &family{
		name: name, traffic: traffic{v4: !v6, v6: v6},
		draw:   func(g *generator, rs *ruleSet) { rs.Tables = g.iptablesTables() },
		render: (*ruleSet).iptablesText,
		load:   restore,
		clear:  clear,
		list:   func(ctx context.Context) (string, error) { return run(ctx, "", tool+"-save", "-c") },
		parse:  netfilter.Parse,
	}
}

// noRules is all tables of iptables, empty.
func noRules() *ruleSet {
	empty := &ruleSet{}
	for _, b := range builtin {
		t := table{Name: b.table}
		for _, h := range b.hooks {
			t.Chains = append(t.Chains, chain{Name: string(h), Policy: "ACCEPT"})
		}
		empty.Tables = append(empty.Tables, t)
	}
	return empty
}

// Tools names the programs that must be there.
func Tools() []string {
	return []string{
		"ip", "bridge", "nft", "iptables-nft-restore", "iptables-nft-save", "iptables-legacy-restore", "iptables-legacy-save",
		"ebtables-nft-restore", "ebtables-nft-save", "ipset",
		"ip6tables-nft-restore", "ip6tables-nft-save", "ip6tables-legacy-restore", "ip6tables-legacy-save",
	}
}
