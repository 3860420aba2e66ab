package differential

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"whybot/commands/netfilter"
)

// A Tally counts what was compared.
type Tally struct {
	RuleSets, Packets int
	// Refused counts drawn rule sets that could not be loaded; another was
	// drawn for each.
	Refused int
	// Verdicts counts the copies of packets whose fate was compared: a
	// broadcast has several. Unknown are those of them that the evaluator left
	// undecided, and Opaque those of these in rule sets that nobody could decide.
	Verdicts, Unknown, Opaque int
	// OpaqueVerdicts are the verdicts asked for in undecidable rule sets.
	OpaqueVerdicts int
	Lost           int
	// Counters counts the counters that were compared, Grown those that grew.
	Counters, Grown int
	Disagreements   int
	// LostBy says what lost the packets: a target, a policy, and where.
	LostBy map[string]int
	// Took is how long the nodes worked at it.
	Took time.Duration
}

// UnknownShare is the share of verdicts that were left open, of those that a
// listing decides.
func (t Tally) UnknownShare() float64 {
	if t.Verdicts == t.OpaqueVerdicts {
		return 0
	}
	return float64(t.Unknown-t.Opaque) / float64(t.Verdicts-t.OpaqueVerdicts)
}

func (t *Tally) add(o Tally) {
	t.RuleSets += o.RuleSets
	t.Packets += o.Packets
	t.Refused += o.Refused
	t.Verdicts += o.Verdicts
	t.Unknown += o.Unknown
	t.Opaque += o.Opaque
	t.OpaqueVerdicts += o.OpaqueVerdicts
	t.Lost += o.Lost
	t.Counters += o.Counters
	t.Grown += o.Grown
	t.Disagreements += o.Disagreements
	t.Took += o.Took
	if t.LostBy == nil {
		t.LostBy = map[string]int{}
	}
	for by, n := range o.LostBy {
		t.LostBy[by] += n
	}
}

// A sighting is what the kernel did with one shot: where it arrived, and the
// listings around it.
type sighting struct {
	layer         netfilter.Layer
	shot          shot
	arrived       map[string]bool
	before, after reading
}

// compare holds a sighting against what the evaluator says of the rules, and
// returns every difference.
func compare(evaluate Evaluator, s sighting, shown, opaque bool) (Tally, []string) {
	t := Tally{Packets: 1, LostBy: map[string]int{}}
	p := predict(evaluate, s.layer, s.after.rules, s.shot, shown)
	wrong := slices.Clone(p.errors)
	for _, w := range s.shot.ways(s.layer, shown) {
		wrong = append(wrong, t.fate(w, p.fates[w.to], s.arrived[w.to], opaque)...)
	}
	wrong = append(wrong, s.strangers(shown)...)
	growth, err := s.after.rules.Sub(s.before.rules)
	if err != nil {
		return t, append(wrong, "reading the counters: "+err.Error())
	}
	for _, g := range growth {
		if g.Rule != nil && countsMore(g.Rule) {
			continue
		}
		t.Counters++
		if g.Packets > 0 {
			t.Grown++
		}
		if n, want := int(g.Packets), p.wants(g); n < want.low || n > want.high {
			wrong = append(wrong, fmt.Sprintf("%v: the kernel counted %d at %s, the evaluator says %v", s.shot, n, place(g), want))
		}
	}
	wrong = append(wrong, p.deciders(growth)...)
	if len(wrong) > 0 {
		t.Disagreements++
	}
	return t, wrong
}

// countsMore says that a rule's counter stands in front of a verdict map: it
// counts the packets that the map has no verdict for as well.
func countsMore(r *netfilter.Rule) bool {
	counter := strings.Index(r.Spec, "counter")
	return counter >= 0 && strings.Index(r.Spec, " vmap ") > counter
}

// wants is how much a rule or policy must have counted.
func (p *prediction) wants(g netfilter.Growth) bound {
	if g.Rule != nil {
		return p.rules[g.Rule]
	}
	return p.policies[g.Chain]
}

// place names what counted.
func place(g netfilter.Growth) string {
	if g.Rule != nil {
		return fmt.Sprintf("%s %s rule %d (%s)", g.Rule.Table, g.Rule.Chain, g.Rule.Index, g.Rule.Line())
	}
	return g.Chain.Table + " " + g.Chain.Name + " policy"
}

// String says how often.
func (b bound) String() string {
	if b.low == b.high {
		return fmt.Sprint(b.low)
	}
	return fmt.Sprintf("%d to %d", b.low, b.high)
}

// fate compares where one copy of a shot ended. A verdict that is left open
// must still allow for what happened.
func (t *Tally) fate(w way, d netfilter.Decision, arrived, opaque bool) []string {
	t.Verdicts++
	if opaque {
		t.OpaqueVerdicts++
	}
	if !arrived {
		t.Lost++
		t.LostBy[lostBy(w, d)]++
	}
	if d.Verdict == netfilter.Undecided {
		t.Unknown++
		if opaque {
			t.Opaque++
		}
		return t.possible(w, d, arrived)
	}
	if want := d.Verdict == netfilter.Accept && !w.unwanted; want != arrived {
		return []string{fmt.Sprintf("%v, to %s: arrived is %v, but the evaluator says %v\n  %s",
			w.packet, w.to, arrived, d, strings.Join(d.Explain(), "\n  "))}
	}
	return nil
}

func (t *Tally) possible(w way, d netfilter.Decision, arrived bool) []string {
	for _, e := range d.Possible {
		if e.Verdict == netfilter.Undecided || e.Verdict.Lost() != (arrived || w.unwanted) {
			return nil
		}
	}
	return []string{fmt.Sprintf("%v, to %s: arrived is %v, which is none of %v", w.packet, w.to, arrived, d.Possible)}
}

// lostBy classifies a loss.
func lostBy(w way, d netfilter.Decision) string {
	switch {
	case d.Verdict == netfilter.Undecided:
		return "undecided"
	case !d.Verdict.Lost() || w.unwanted:
		return "not by a rule"
	case d.ByPolicy:
		return "policy"
	case len(d.Path) > 0:
		return d.Verdict.String() + " in a user chain"
	default:
		return d.Verdict.String() + " in a base chain"
	}
}

// strangers finds copies that arrived where none was sent.
func (s sighting) strangers(shown bool) []string {
	var wrong []string
	ways := s.shot.ways(s.layer, shown)
	for to, arrived := range s.arrived {
		if arrived && !slices.ContainsFunc(ways, func(w way) bool { return w.to == to }) {
			wrong = append(wrong, fmt.Sprintf("%v arrived at %s too", s.shot, to))
		}
	}
	return wrong
}

// deciders checks that a rule which surely decides has counted.
func (p *prediction) deciders(growth []netfilter.Growth) []string {
	var wrong []string
	for to, d := range p.fates {
		if !d.Certain() || d.Rule == nil || !d.Rule.Counted {
			continue
		}
		if g, ok := netfilter.GrowthOf(growth, d.Rule); !ok || g.Packets == 0 {
			wrong = append(wrong, fmt.Sprintf("to %s: %v is said to decide, and has not counted", to, d.Ending))
		}
	}
	return wrong
}
