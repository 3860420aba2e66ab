package netfilter

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrNoCounters reports listings made without -c: what they do not say is not
// zero.
var ErrNoCounters = errors.New("the listing has no counters: list with -c")

// A Growth is how much one rule, or one base chain's policy, counted between
// two listings.
type Growth struct {
	// Rule is the rule in the later listing; nil for a policy.
	Rule *Rule
	// Chain is the base chain whose policy counted; nil for a rule.
	Chain          *Chain
	Packets, Bytes uint64
}

// A StructureChange reports that two listings do not show the same rules.
type StructureChange struct {
	// Added and Gone hold rule lines with their table; Reset those whose
	// counters were set back in between.
	Added, Gone, Reset []string
}

// Error counts the changes and names the first of each sort.
func (e *StructureChange) Error() string {
	var parts []string
	for _, sort := range []struct {
		what  string
		lines []string
	}{{"added", e.Added}, {"gone", e.Gone}, {"counters reset", e.Reset}} {
		if len(sort.lines) > 0 {
			parts = append(parts, fmt.Sprintf("%d %s (%s)", len(sort.lines), sort.what, printable(sort.lines[0])))
		}
	}
	return "the rules changed between the two listings: " + strings.Join(parts, ", ")
}

// Sub returns what every rule and policy of rs counted since before, in the
// order of rs. Rules are paired by table, chain, text and occurrence, those of
// nft by their handle.
//
// nft counts only where a rule says so: growth does not cover the rules that do
// not count, nor its policies. A listing in which nothing counts is
// ErrNoCounters.
//
// If rules came, went or were reset in between, the error is a
// *StructureChange and the growth covers only the rules that can be paired
// without doubt.
func (rs *Ruleset) Sub(before *Ruleset) ([]Growth, error) {
	if !rs.counted() || !before.counted() {
		return nil, ErrNoCounters
	}
	var change StructureChange
	older, newer := before.occurrences(), rs.occurrences()
	before.gone(rs, older, newer, &change)
	var growth []Growth
	for _, t := range rs.Tables {
		for _, c := range t.Chains {
			growth = append(growth, c.growth(before.chainLike(c), &change)...)
			growth = append(growth, ruleGrowth(c, older, newer, &change)...)
		}
	}
	if change.Added != nil || change.Gone != nil || change.Reset != nil {
		return growth, &change
	}
	return growth, nil
}

// GrowthOf returns how much a rule counted, and whether growth covers it.
func GrowthOf(growth []Growth, r *Rule) (Growth, bool) {
	for _, g := range growth {
		if g.Rule != nil && g.Rule.Family == r.Family && g.Rule.Table == r.Table && g.Rule.Chain == r.Chain && g.Rule.Index == r.Index && g.Rule.Handle == r.Handle && g.Rule.Spec == r.Spec {
			return g, true
		}
	}
	return Growth{}, false
}

// ruleKey identifies rules that read alike.
type ruleKey struct {
	family, table, chain, spec string
	handle                     uint64
}

func (r *Rule) key() ruleKey { return ruleKey{r.Family, r.Table, r.Chain, r.Spec, r.Handle} }

// chainLike returns the chain of the same name and family.
func (rs *Ruleset) chainLike(c *Chain) *Chain {
	for _, t := range rs.Tables {
		if t.Family == c.Family && t.Name == c.Table {
			return t.byName[c.Name]
		}
	}
	return nil
}

func (rs *Ruleset) occurrences() map[ruleKey][]*Rule {
	found := map[ruleKey][]*Rule{}
	for _, t := range rs.Tables {
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				found[r.key()] = append(found[r.key()], r)
			}
		}
	}
	return found
}

// counted says whether the listing has counters: for every rule, or, of nft,
// for any.
func (rs *Ruleset) counted() bool {
	if rs.Find(func(r *Rule) bool { return !r.Counted && r.Handle == 0 }) != nil {
		return false
	}
	native := rs.Find(func(r *Rule) bool { return r.Handle != 0 })
	return len(native) == 0 || slices.ContainsFunc(native, func(r *Rule) bool { return r.Counted })
}

// gone notes the base chains and rules of rs that later does not have.
func (rs *Ruleset) gone(later *Ruleset, older, newer map[ruleKey][]*Rule, change *StructureChange) {
	for _, t := range rs.Tables {
		for _, c := range t.Chains {
			if c.Hook != "" && later.chainLike(c) == nil {
				change.Gone = append(change.Gone, "policy of "+c.place())
			}
			for _, r := range c.Rules {
				if key := r.key(); len(newer[key]) < len(older[key]) && older[key][len(newer[key])] == r {
					change.Gone = append(change.Gone, fmt.Sprintf("%s: %s (%d of %d left)", r.listedIn(), r.Line(), len(newer[key]), len(older[key])))
				}
			}
		}
	}
}

// growth pairs the policies of a base chain.
func (c *Chain) growth(before *Chain, change *StructureChange) []Growth {
	switch {
	case c.Hook == "":
		return nil
	case before == nil || before.Policy != c.Policy:
		change.Added = append(change.Added, "policy of "+c.place())
		return nil
	case !c.Counted || !before.Counted:
		return nil
	case c.Packets < before.Packets || c.Bytes < before.Bytes:
		change.Reset = append(change.Reset, "policy of "+c.place())
		return nil
	}
	return []Growth{{Chain: c, Packets: c.Packets - before.Packets, Bytes: c.Bytes - before.Bytes}}
}

// listedIn is what must be said of a rule besides its line.
func (r *Rule) listedIn() string {
	if r.Handle == 0 {
		return r.Table
	}
	return where(r.Family, r.Table, r.Chain, r.Handle)
}

func ruleGrowth(c *Chain, older, newer map[ruleKey][]*Rule, change *StructureChange) []Growth {
	var growth []Growth
	seen := map[ruleKey]int{}
	for _, r := range c.Rules {
		key := r.key()
		nth := seen[key]
		seen[key]++
		old := older[key]
		switch {
		case nth >= len(old):
			change.Added = append(change.Added, r.listedIn()+": "+r.Line())
		case len(old) != len(newer[key]):
			// Which of several equal rules came or went cannot be told.
		case !r.Counted || !old[nth].Counted:
		case r.Packets < old[nth].Packets || r.Bytes < old[nth].Bytes:
			change.Reset = append(change.Reset, r.listedIn()+": "+r.Line())
		default:
			growth = append(growth, Growth{Rule: r, Packets: r.Packets - old[nth].Packets, Bytes: r.Bytes - old[nth].Bytes})
		}
	}
	return growth
}
