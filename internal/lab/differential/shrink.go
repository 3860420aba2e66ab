package differential

import (
	"context"
	"slices"
)

// shrink takes pieces out of a rule set for as long as it fails: shots, rules,
// matches, chains nobody calls. It gives up when no single piece can go, or
// after tries attempts; what cannot be loaded does not fail.
func shrink(ctx context.Context, rs *ruleSet, tries int, fails func(*ruleSet) bool) *ruleSet {
	for again := true; again; {
		again = false
		cuts := rs.cuts()
		for i := 0; i < len(cuts); {
			c := cuts[i]()
			if c == nil {
				i++
				continue
			}
			if tries--; tries < 0 || ctx.Err() != nil {
				return rs
			}
			if !fails(c) {
				i++
				continue
			}
			rs, again = c, true
			cuts = rs.cuts() // what was the next piece has this one's place
		}
	}
	return rs
}

// A cut returns a smaller rule set, or nil where nothing is to be cut.
type cut func() *ruleSet

// cuts lists the ways to make a rule set smaller, the greatest first.
func (rs *ruleSet) cuts() []cut {
	cuts := rs.shotCuts()
	for i := range rs.Tables {
		cuts = append(cuts, rs.edit(func(c *ruleSet) bool { return emptied(&c.Tables[i]) }))
	}
	for i, t := range rs.Tables {
		for j := range t.Chains {
			cuts = append(cuts,
				rs.edit(func(c *ruleSet) bool { return halved(&c.Tables[i].Chains[j], true) }),
				rs.edit(func(c *ruleSet) bool { return halved(&c.Tables[i].Chains[j], false) }))
		}
	}
	for i, t := range rs.Tables {
		for j := len(t.Chains) - 1; j >= 0; j-- {
			cuts = append(cuts, rs.chainCuts(i, j)...)
		}
		for j := range t.Sets {
			cuts = append(cuts, rs.edit(func(c *ruleSet) bool { return remove(&c.Tables[i].Sets, j) }))
		}
	}
	for i := range rs.Sets {
		cuts = append(cuts, rs.edit(func(c *ruleSet) bool { return remove(&c.Sets, i) }))
	}
	return cuts
}

// edit makes a cut of a change to a copy.
func (rs *ruleSet) edit(change func(*ruleSet) bool) cut {
	return func() *ruleSet {
		c := rs.clone()
		if !change(c) {
			return nil
		}
		return c
	}
}

// shotCuts leave one shot, with the one it answers, or leave one out.
func (rs *ruleSet) shotCuts() []cut {
	var cuts []cut
	for _, s := range rs.Shots {
		alone := []shot{s}
		if s.Answers != 0 {
			alone = []shot{rs.Shots[s.Answers-1], s}
			alone[1].Answers = 1
		}
		if len(alone) < len(rs.Shots) {
			cuts = append(cuts, rs.edit(func(c *ruleSet) bool { c.Shots = alone; return true }))
		}
	}
	return cuts
}

func (rs *ruleSet) chainCuts(table, nth int) []cut {
	chain := rs.Tables[table].Chains[nth]
	cuts := []cut{rs.edit(func(c *ruleSet) bool {
		return chain.user() && len(chain.Rules) == 0 && remove(&c.Tables[table].Chains, nth)
	})}
	for k := len(chain.Rules) - 1; k >= 0; k-- {
		cuts = append(cuts, rs.edit(func(c *ruleSet) bool { return remove(&c.Tables[table].Chains[nth].Rules, k) }))
	}
	for k, r := range chain.Rules {
		for m := range r.Matches {
			cuts = append(cuts, rs.edit(func(c *ruleSet) bool { return remove(&c.Tables[table].Chains[nth].Rules[k].Matches, m) }))
		}
	}
	return cuts
}

// user says that the chain is reached by jumps only.
func (c chain) user() bool { return c.Base == "" && (c.Policy == "-" || c.Policy == "") }

// emptied takes all rules out of a table.
func emptied(t *table) (changed bool) {
	for i := range t.Chains {
		changed = changed || len(t.Chains[i].Rules) > 0
		t.Chains[i].Rules = nil
	}
	return changed
}

// halved takes the first or the last half of its rules out of a chain.
func halved(c *chain, first bool) bool {
	half := len(c.Rules) / 2
	if half < 2 {
		return false
	}
	if first {
		c.Rules = c.Rules[half:]
	} else {
		c.Rules = c.Rules[:len(c.Rules)-half]
	}
	return true
}

// remove takes one element out of a list.
func remove[T any](list *[]T, i int) bool {
	if i >= len(*list) {
		return false
	}
	*list = slices.Delete(*list, i, i+1)
	return true
}
