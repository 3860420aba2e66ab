package differential

import (
	"fmt"
	"slices"
	"strings"
)

// A ruleSet is a generated rule set and the volley that is sent through it, in
// a shape that can be made smaller: every rule and every match is a piece.
type ruleSet struct {
	Family string
	Seed   uint64
	// Opaque says that matches are in it which nobody could decide from a
	// listing; elsewhere an undecided verdict is a weakness of the evaluator.
	Opaque bool
	// Shown says that bridged frames visit the hooks of the IP layer.
	Shown bool
	// Sets are commands for ipset.
	Sets   []string
	Tables []table
	Shots  []shot
}

// name is what a rule set is replayed by.
func (rs *ruleSet) name() string { return fmt.Sprintf("%s/%d", rs.Family, rs.Seed) }

// text shows a rule set to a person.
func (rs *ruleSet) text() string {
	var b strings.Builder
	if f, err := findFamily(rs.Family); err == nil {
		b.WriteString(f.render(rs))
	}
	fmt.Fprintf(&b, "bridged frames are shown to the IP layer: %v\n", rs.Shown)
	for i, s := range rs.Shots {
		fmt.Fprintf(&b, "shot %d: %v\n", i+1, s)
	}
	return b.String()
}

type table struct {
	Family, Name string
	Sets         []string // declarations inside the table
	Chains       []chain
}

type chain struct {
	Name string
	// Base is what attaches a base chain to its hook, in the family's syntax;
	// empty for a user chain.
	Base   string
	Policy string
	Rules  []rule
}

type rule struct {
	Matches []string
	Action  string
}

func (r rule) text() string {
	return strings.TrimSpace(strings.Join(append(slices.Clone(r.Matches), r.Action), " "))
}

// clone copies a rule set as deep as it is cut.
func (rs *ruleSet) clone() *ruleSet {
	c := *rs
	c.Sets, c.Shots, c.Tables = slices.Clone(rs.Sets), slices.Clone(rs.Shots), slices.Clone(rs.Tables)
	for i := range c.Tables {
		t := &c.Tables[i]
		t.Sets, t.Chains = slices.Clone(t.Sets), slices.Clone(t.Chains)
		for j := range t.Chains {
			rules := slices.Clone(t.Chains[j].Rules)
			for k := range rules {
				rules[k].Matches = slices.Clone(rules[k].Matches)
			}
			t.Chains[j].Rules = rules
		}
	}
	return &c
}

// contains says whether a rule does one of the things.
func (rs *ruleSet) contains(words ...string) bool {
	for _, t := range rs.Tables {
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				if slices.ContainsFunc(words, func(w string) bool { return strings.Contains(r.Action, w) }) {
					return true
				}
			}
		}
	}
	return false
}
