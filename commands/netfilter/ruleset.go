package netfilter

import "strings"

// A Ruleset is one firewall view: the tables one listing showed. A Ruleset
// without tables is what a kernel holds that never was asked for any; it lets
// everything pass.
//
// The rules of a Ruleset are shared by the Decisions made from it: do not
// change them.
type Ruleset struct {
	Tables []*Table
	// Generator names the program and version that wrote the listing, such as
	// "iptables-save v1.8.9 (nf_tables)"; empty when the listing does not say.
	Generator string

	ipsets *IPSets
}

// A Table holds chains in the order they were listed.
type Table struct {
	// Family is "ip", "ip6", "inet", "bridge", "arp" or "netdev"; empty when the
	// listing does not say whether its rules are for IPv4 or IPv6.
	Family string
	Name   string
	Chains []*Chain

	byName map[string]*Chain
	sets   map[string]*nftSet
	// tracks says that a rule needs connection tracking, which turns it on.
	tracks bool
}

// A Chain is a list of rules. A base chain has a Hook and a Policy; a user
// chain has neither and is reached by jumps only.
type Chain struct {
	Family, Table, Name string
	// Handle is what nft calls the chain; 0 in listings of other programs.
	Handle uint64
	Hook   Hook
	// Devices are those a chain at Ingress or Egress is bound to. Old versions
	// of nft do not list them.
	Devices []string
	// Priority orders the base chains of one hook; lower runs first.
	Priority int
	// NAT marks a base chain that only the first packet of a connection
	// traverses.
	NAT    bool
	Policy Verdict
	// Packets and Bytes count what the policy decided, where Counted.
	Packets, Bytes uint64
	Counted        bool
	Rules          []*Rule
}

// A Rule is one rule of a chain.
type Rule struct {
	Family, Table, Chain string
	// Handle is what nft takes to delete the rule; 0 in listings of other
	// programs.
	Handle uint64
	// Index is the position in the chain, from 1: what -I and -D take.
	Index int
	// Packets and Bytes are what the rule matched so far. They mean nothing
	// unless Counted: a listing without counters does not say zero. Nor does a
	// rule of nft without a counter, or with one in front of its matches.
	Packets, Bytes uint64
	Counted        bool
	// Spec is the text that re-creates or deletes the rule: all of the line but
	// the counters and "-A CHAIN". For a rule of nft it is what creates the rule;
	// its Handle deletes it.
	Spec string
	// Words is Spec as an argument vector, with the listing's quotes removed.
	Words   []string
	Matches []Match
	Target  Target

	// effects are what the rule does to a packet before it is done matching.
	effects []effect
	line    string // as nft lists it
	short   string // the same without counters, comment and handle
}

// Line returns the rule as iptables-save prints it, without counters; a rule of
// nft as "nft -a list ruleset" prints it, with its counter and handle.
func (r *Rule) Line() string {
	if r.line != "" {
		return r.line
	}
	if r.Spec == "" {
		return "-A " + r.Chain
	}
	return "-A " + r.Chain + " " + r.Spec
}

// Table returns the first table so named, of whatever family, or nil when the
// listing has none.
func (rs *Ruleset) Table(name string) *Table {
	for _, t := range rs.Tables {
		if t.Name == name {
			return t
		}
	}
	return nil
}

// Chain returns the chain so named in the first table so named, or nil when the
// listing has none.
func (rs *Ruleset) Chain(table, name string) *Chain {
	if t := rs.Table(table); t != nil {
		return t.byName[name]
	}
	return nil
}

// Find returns the rules that want accepts, in the order of the listing.
func (rs *Ruleset) Find(want func(*Rule) bool) []*Rule {
	var found []*Rule
	for _, t := range rs.Tables {
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				if want(r) {
					found = append(found, r)
				}
			}
		}
	}
	return found
}

// Matches returns the rules of a chain that read exactly spec: deleting by
// specification removes the first of them only.
func (rs *Ruleset) Matches(table, chain, spec string) []*Rule {
	c := rs.Chain(table, chain)
	if c == nil {
		return nil
	}
	var found []*Rule
	for _, r := range c.Rules {
		if r.Spec == spec {
			found = append(found, r)
		}
	}
	return found
}

// Priorities of the tables that iptables knows (linux/netfilter_ipv4.h).
const (
	priorityRaw       = -300
	priorityConntrack = -200 // when connection tracking looks at a packet
	priorityMangle    = -150
	priorityDstNAT    = -100
	priorityFilter    = 0
	prioritySecurity  = 50
	prioritySrcNAT    = 100
	// The nft back end attaches the security table later than the kernel's own
	// iptables does, behind the nat table's INPUT.
	prioritySecurityNFT = 150
)

// attachments says at which hooks, and when, each table of iptables is called.
var attachments = map[string]map[Hook]int{
	"raw": {Prerouting: priorityRaw, Output: priorityRaw},
	"mangle": {
		Prerouting: priorityMangle, Input: priorityMangle, Forward: priorityMangle,
		Output: priorityMangle, Postrouting: priorityMangle,
	},
	"nat": {
		Prerouting: priorityDstNAT, Output: priorityDstNAT,
		Input: prioritySrcNAT, Postrouting: prioritySrcNAT,
	},
	"filter":   {Input: priorityFilter, Forward: priorityFilter, Output: priorityFilter},
	"security": {Input: prioritySecurity, Forward: prioritySecurity, Output: prioritySecurity},
}

// printable makes text of a listing fit for one line of a report: control
// characters and other invisible runes show as escapes.
func printable(s string) string {
	var b strings.Builder
	for _, r := range s {
		b.WriteString(printableRune(r))
	}
	return b.String()
}
