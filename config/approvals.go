package config

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// Approvals are the rules for applying a fix. What a fix says wins over what
// its class says, and that over what stands here; who may approve in Slack, and
// in which channels, stands in the slack section.
type Approvals struct {
	Terminal Terminal
	// Expires is how long a proposal can be approved.
	Expires time.Duration
	// AskerMayApprove lets the person who asked approve the fix.
	AskerMayApprove bool
	// Needed is how many people must agree.
	Needed int
	// Classes change the rule for all fixes of a class.
	Classes Classes
	// Fixes change the rule for one fix, by its name.
	Fixes map[string]*Override
	// BreakGlass says who may approve alone in an emergency.
	BreakGlass BreakGlass
	// People joins identities that are one person: a name of your choice, and
	// the member ids and "terminal:NAME" that belong to it.
	People map[string][]string
}

// Classes are the classes of fixes that whybot applies.
type Classes struct{ F1, F2 Override }

// An Override changes some of a rule; its zero fields change nothing. Naming
// users or groups replaces both.
type Override struct {
	Users           []string
	Groups          []string
	Channels        []string
	Terminal        *Terminal
	Needed          int
	AskerMayApprove *bool
	Expires         time.Duration
	// Line and Column are where the override of a fix stands.
	Line, Column int
}

// BreakGlass says who may approve alone in an emergency.
type BreakGlass struct {
	Users    []string // Slack member ids
	Terminal []string // names in a terminal
	// Channel is the id of the Slack channel that is told, and why.
	Channel string
}

// A Rule is what holds for one fix.
type Rule struct {
	Users           []string
	Groups          []string
	Channels        []string
	Terminal        Terminal
	Needed          int
	AskerMayApprove bool
	Expires         time.Duration
}

// Rule returns what holds for a fix of a class.
func (c *Config) Rule(fix, class string) Rule {
	a := c.Approvals
	r := Rule{Terminal: a.Terminal, Needed: a.Needed, AskerMayApprove: a.AskerMayApprove, Expires: a.Expires}
	if c.Slack != nil {
		r.Users, r.Groups, r.Channels = c.Slack.Approvers.Users, c.Slack.Approvers.Groups, c.Slack.Channels
	}
	switch class {
	case "F1":
		r = r.with(a.Classes.F1)
	case "F2":
		r = r.with(a.Classes.F2)
	}
	if o := a.Fixes[fix]; o != nil {
		r = r.with(*o)
	}
	return r
}

// with returns the rule as an override changes it.
func (r Rule) with(o Override) Rule {
	if o.Users != nil || o.Groups != nil {
		r.Users, r.Groups = o.Users, o.Groups
	}
	if o.Channels != nil {
		r.Channels = o.Channels
	}
	if o.Terminal != nil {
		r.Terminal = *o.Terminal
	}
	if o.Needed != 0 {
		r.Needed = o.Needed
	}
	if o.AskerMayApprove != nil {
		r.AskerMayApprove = *o.AskerMayApprove
	}
	if o.Expires != 0 {
		r.Expires = o.Expires
	}
	return r
}

// Everyone reports whether whoever is at the terminal may approve, and Names
// who may otherwise.
func (t Terminal) Everyone() bool { return t.everyone }

// Names returns those who may approve from a terminal when not everyone may.
func (t Terminal) Names() []string { return slices.Clone(t.names) }

// CheckFixes returns Problems when a rule is for a fix that is not in the list:
// it would protect nothing.
func (c *Config) CheckFixes(known []string) error {
	var ps Problems
	for _, name := range slices.Sorted(maps.Keys(c.Approvals.Fixes)) {
		if slices.Contains(known, name) {
			continue
		}
		o := c.Approvals.Fixes[name]
		cure := "the fixes are " + fmt.Sprintf("%q", known)
		if near, ok := nearest(name, known); ok {
			cure = "did you mean " + near + "?"
		}
		ps = append(ps, Problem{File: c.File, Line: o.Line, Column: o.Column, Path: fixesSection + "." + name, What: "whybot has no such fix", Cure: cure})
	}
	if len(ps) == 0 {
		return nil
	}
	ps.sort()
	return ps
}
