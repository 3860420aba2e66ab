package netfilter

import (
	"slices"
	"strconv"
)

// A Verdict is what becomes of a packet. The zero Verdict is Undecided.
type Verdict uint8

// Verdicts.
const (
	Undecided Verdict = iota // the listing or the packet does not tell
	Accept
	Drop
	Reject
)

var verdictNames = [...]string{"undecided", "accept", "drop", "reject"}

// String returns the verdict in lower case.
func (v Verdict) String() string {
	if int(v) >= len(verdictNames) {
		return "Verdict(" + strconv.Itoa(int(v)) + ")"
	}
	return verdictNames[v]
}

// Lost says whether the packet ends here: dropped or rejected.
func (v Verdict) Lost() bool { return v == Drop || v == Reject }

// An Ending is one way for a walk to end.
type Ending struct {
	Verdict Verdict
	// Rule decides; nil when a policy does, or when no chain listens at the
	// hook (then Table is empty too).
	Rule                 *Rule
	Family, Table, Chain string
	ByPolicy             bool
	// Base is the base chain whose walk ends here; nil where none listens.
	Base *Chain
	// Path holds the jumps that led to Rule, the one in the base chain first;
	// empty when Rule is in the base chain itself.
	Path []*Rule

	where   string // names the chain for a person
	filters bool   // the base chain is there to filter
}

// BaseRule returns the rule of the base chain that led to the ending: the
// first jump, or the deciding rule itself. It is nil when a policy decides.
// A rule inserted above it in the base chain is consulted earlier.
func (e Ending) BaseRule() *Rule {
	if len(e.Path) > 0 {
		return e.Path[0]
	}
	return e.Rule
}

// same says whether two endings come from the same rule or policy.
func (e Ending) same(o Ending) bool {
	return e.Verdict == o.Verdict && e.Rule == o.Rule && e.Family == o.Family && e.Table == o.Table && e.Chain == o.Chain
}

// String names what decides.
func (e Ending) String() string {
	switch {
	case e.Rule != nil:
		return e.Rule.place() + " (" + e.Rule.briefly() + "): " + e.Verdict.String()
	case e.ByPolicy:
		return e.where + " policy: " + e.Verdict.String()
	default:
		return e.Verdict.String()
	}
}

// A Blocker is a rule that kept a Decision from being known.
type Blocker struct {
	Rule *Rule
	// Match is the condition that could not be evaluated, or the target whose
	// effect is not known.
	Match string
	Why   string
}

// String names the rule, the condition and the reason.
func (b Blocker) String() string {
	return b.Rule.place() + ": " + printable(b.Match) + ": " + b.Why
}

// A Decision is what the rules do to a packet.
//
// The embedded Ending is the deciding one. If several endings are possible and
// all mean the same (the packet passes, or it is lost) the verdict is known
// and the first of them is given; if they differ, the Verdict is Undecided and
// Blockers names the rules that stand in the way. A packet that passes is
// reported with the accepting rule or policy of the filter table, where that
// table listens.
type Decision struct {
	Ending
	// Possible holds every different ending, at most a handful of each verdict.
	Possible []Ending
	Blockers []Blocker
	Walk     []WalkStep
	Hooks    []Hook
	Packet   Packet
}

// Certain says whether exactly one ending is possible: its rule's counter must
// grow with every such packet.
func (d Decision) Certain() bool { return d.Verdict != Undecided && len(d.Possible) == 1 }

// conclude fills in the verdict from the possible endings.
func (d *Decision) conclude() {
	passes := func(e Ending) bool { return e.Verdict == Accept }
	undecided := slices.ContainsFunc(d.Possible, func(e Ending) bool { return e.Verdict == Undecided })
	accepted := slices.ContainsFunc(d.Possible, passes)
	lost := slices.ContainsFunc(d.Possible, func(e Ending) bool { return e.Verdict.Lost() })
	if undecided || accepted == lost {
		return
	}
	d.Ending, d.Blockers = d.Possible[0], nil
}

// place names a rule for a person: "filter FORWARD rule 3" of iptables, "inet
// firewalld filter_FORWARD rule 3" of nft.
func (r *Rule) place() string {
	return where(r.Family, r.Table, r.Chain, r.Handle) + " rule " + strconv.Itoa(r.Index)
}

// place names a chain for a person.
func (c *Chain) place() string { return where(c.Family, c.Table, c.Name, c.Handle) }

// where names a chain. Who reads "filter FORWARD" thinks of iptables and IPv4;
// every other family is named.
func where(family, table, chain string, handle uint64) string {
	name := printable(table) + " " + printable(chain)
	if family == "" || family == familyIP && handle == 0 {
		return name
	}
	return family + " " + name
}
