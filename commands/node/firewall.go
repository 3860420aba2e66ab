package node

import (
	"slices"
	"strings"

	"whybot/runners"
)

// FirewallProbes reads the node's packet filters. iptables has two back ends that do
// not see one another's rules, so each is listed by its own program; the
// plain name is one of the two, and the only one there is on older systems.
func FirewallProbes() []runners.Probe {
	return []runners.Probe{
		{Name: "iptables-version", Argv: []string{"iptables", "-V"}},
		{Name: "iptables-save", Sudo: true, Argv: []string{"iptables-save", "-c"}},
		{Name: "iptables-legacy-save", Sudo: true, Argv: []string{"iptables-legacy-save", "-c"}},
		{Name: "iptables-nft-save", Sudo: true, Argv: []string{"iptables-nft-save", "-c"}},
		{Name: "nft-ruleset", Sudo: true, Argv: []string{"nft", "-j", "list", "ruleset"}},
		{Name: "nft-text", Sudo: true, Argv: []string{"nft", "list", "ruleset"}},
		{Name: "ebtables-version", Argv: []string{"ebtables", "-V"}},
		{Name: "ebtables-save", Sudo: true, Argv: []string{"ebtables-save", "-c"}},
		{Name: "ebtables-legacy-save", Sudo: true, Argv: []string{"ebtables-legacy-save", "-c"}},
		{Name: "ebtables-nft-save", Sudo: true, Argv: []string{"ebtables-nft-save", "-c"}},
		{Name: "ipset-save", Sudo: true, Argv: []string{"ipset", "save"}},
		{Name: "bridge-nf", Argv: []string{"cat", "/proc/sys/net/bridge/bridge-nf-call-iptables"}},
		{Name: "ip-forward", Argv: []string{"cat", "/proc/sys/net/ipv4/ip_forward"}},
	}
}

// FirewallProbesIPv6 reads what FirewallProbes does not, of frames of IPv6.
func FirewallProbesIPv6() []runners.Probe {
	return []runners.Probe{
		{Name: "ip6tables-version", Argv: []string{"ip6tables", "-V"}},
		{Name: "ip6tables-save", Sudo: true, Argv: []string{"ip6tables-save", "-c"}},
		{Name: "ip6tables-legacy-save", Sudo: true, Argv: []string{"ip6tables-legacy-save", "-c"}},
		{Name: "ip6tables-nft-save", Sudo: true, Argv: []string{"ip6tables-nft-save", "-c"}},
		{Name: "bridge-nf6", Argv: []string{"cat", "/proc/sys/net/bridge/bridge-nf-call-ip6tables"}},
	}
}

// RuleFilesIPv6 are RuleFiles of ip6tables.
var RuleFilesIPv6 = []string{"/etc/sysconfig/ip6tables", "/etc/iptables/rules.v6"}

// RuleFiles are where distributions keep the rules iptables starts with.
var RuleFiles = []string{"/etc/sysconfig/iptables", "/etc/iptables/rules.v4"}

// RuleFileProbe prints one of RuleFiles.
func RuleFileProbe(file string) runners.Probe {
	return runners.Probe{Name: "rulefile " + file, Sudo: true, Argv: []string{"cat", file}}
}

// ForeignTables reads `nft list ruleset`, with what it says on stderr in
// front, and returns the tables that are not
// iptables' own, hook into forwarding or bridging, and hold something that can
// drop (a drop or reject, or a base chain whose policy is drop), as
// "family name". Those of ip6 meet frames of IPv6 only.
func ForeignTables(text string) []string {
	return foreignTables(text, "prerouting", "forward", "postrouting", "ingress", "egress")
}

// LocalTables is ForeignTables for what the node itself receives and sends.
func LocalTables(text string) []string {
	return foreignTables(text, "prerouting", "input", "output", "postrouting", "ingress", "egress")
}

func foreignTables(text string, hooks ...string) []string {
	var found []string
	managed := map[string]bool{}
	t := nftTable{hooks: hooks}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(line, "# Warning: table "); ok {
			name, _, _ := strings.Cut(rest, " is managed by iptables")
			managed[name] = true
			continue
		}
		words := strings.Fields(line)
		if len(words) >= 3 && words[0] == "table" {
			found = t.appendIfForeign(found, managed)
			t = nftTable{name: words[1] + " " + words[2], hooks: hooks}
			continue
		}
		t.read(words)
	}
	return t.appendIfForeign(found, managed)
}

// nftTable is what ForeignTables needs to know of one table.
type nftTable struct {
	hooks         []string // those that count
	name          string
	hooked, drops bool
	neutrons      bool // the chain being read is neutron's own
}

func (t *nftTable) read(words []string) {
	if len(words) > 3 && words[0] == "type" && words[2] == "hook" {
		t.hooked = t.hooked || slices.Contains(t.hooks, words[3])
	}
	switch {
	case len(words) == 0:
		return
	case words[0] == "chain" && len(words) > 1:
		// What neutron's agent keeps in ebtables against spoofing drops what
		// does not come from the port's own MAC; a guest's DHCP does.
		t.neutrons = strings.HasPrefix(words[1], "neutronMAC-") || strings.HasPrefix(words[1], "neutronARP-")
		return
	case words[0] == "set" || words[0] == "map" || t.neutrons:
		return
	}
	for _, w := range words {
		switch strings.Trim(w, ";,{}") {
		case "drop", "reject":
			t.drops = true
		}
	}
}

func (t *nftTable) appendIfForeign(found []string, managed map[string]bool) []string {
	family, _, _ := strings.Cut(t.name, " ")
	switch {
	case t.name == "" || !t.hooked || !t.drops:
	case family == "arp":
	case managed[t.name] && strings.HasPrefix(family, "ip"): // read through iptables-save and ip6tables-save
	default:
		found = append(found, t.name)
	}
	return found
}
