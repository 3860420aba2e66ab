package netfilter

import (
	"fmt"
	"strings"
)

// A StepKind says what a WalkStep is about.
type StepKind uint8

// Kinds of steps.
const (
	StepRule    StepKind = iota // a rule was compared with the packet
	StepEnd                     // a chain came to its end; Rule is the jump that called it
	StepPolicy                  // a base chain's policy applies
	StepAgain                   // a chain that was walked before, with the same outcome
	StepSkipped                 // a nat chain that this packet does not traverse
)

// A WalkStep is one step of a Decision's walk. Where a match is unknown the
// walk follows both continuations, so steps after it may not happen.
type WalkStep struct {
	Kind  StepKind
	Chain *Chain
	// Rule is the rule compared; for StepEnd the calling rule, nil in a base
	// chain.
	Rule *Rule
	// Result says whether Rule matched.
	Result Tri

	match *Match
	view  *view
	// target is the verdict that a verdict map gives.
	target *Target
}

// Explain renders the walk for a person, one line a step. Long runs of rules
// that do not match are drawn together.
func (d Decision) Explain() []string {
	lines := make([]string, 0, min(len(d.Walk), 64)+2)
	for i := 0; i < len(d.Walk); {
		run := quietRun(d.Walk[i:])
		if run > 4 {
			first, last := d.Walk[i+1].Rule, d.Walk[i+run-2].Rule
			lines = append(lines, d.line(d.Walk[i]),
				fmt.Sprintf("%s rules %d to %d: no match", d.Walk[i].Chain.place(), first.Index, last.Index),
				d.line(d.Walk[i+run-1]))
			i += run
			continue
		}
		if s := d.line(d.Walk[i]); s != "" {
			lines = append(lines, s)
		}
		i++
	}
	return append(lines, d.conclusion()...)
}

// quietRun counts the rules of one chain at the start of a walk that do not
// match.
func quietRun(walk []WalkStep) int {
	n := 0
	for n < len(walk) && walk[n].Kind == StepRule && walk[n].Result == No && walk[n].Chain == walk[0].Chain {
		n++
	}
	return n
}

func (d Decision) conclusion() []string {
	if d.Verdict != Undecided {
		if d.Table == "" {
			return []string{fmt.Sprintf("no chain listens at %s: accept", joinHooks(d.Hooks))}
		}
		return nil
	}
	lines := []string{"undecided: the packet may end in any of these ways"}
	for _, e := range d.Possible {
		lines = append(lines, "possible: "+e.String())
	}
	for _, b := range d.Blockers {
		lines = append(lines, "cannot tell: "+b.String())
	}
	return lines
}

func joinHooks(hooks []Hook) string {
	names := make([]string, len(hooks))
	for i, h := range hooks {
		names[i] = string(h)
	}
	return strings.Join(names, ", ")
}

// line renders one step; the end of a base chain says nothing of its own.
func (d Decision) line(s WalkStep) string {
	chain := s.Chain.place()
	switch s.Kind {
	case StepRule:
		return s.Rule.place() + ": " + d.ruleText(s)
	case StepPolicy:
		return fmt.Sprintf("%s: policy %s%s", chain, strings.ToUpper(s.Chain.Policy.String()), d.policyNote(s.Chain))
	case StepAgain:
		return chain + ": walked above, with the same outcome"
	case StepSkipped:
		return fmt.Sprintf("%s: not consulted, the packet's state is %s and nat sees the first packet of a connection only", chain, s.view.ct())
	default:
		if s.Rule == nil {
			return ""
		}
		return fmt.Sprintf("%s: end of chain, back to %s after rule %d", chain, printable(s.Rule.Chain), s.Rule.Index)
	}
}

func (d Decision) policyNote(c *Chain) string {
	if d.ByPolicy && d.where == c.place() {
		return " decides"
	}
	return ""
}

func (d Decision) ruleText(s WalkStep) string {
	switch s.Result {
	case No:
		return fmt.Sprintf("%s: no match (%s)", printable(s.match.text), s.match.cond.fact(s.view))
	case Unknown:
		return fmt.Sprintf("%s: unknown (%s); %s may apply", printable(s.match.text), s.match.cond.fact(s.view), s.Rule.Target.describe())
	default:
		return s.Rule.brief() + ": " + d.effect(s.Rule, s.target)
	}
}

// effect says what a rule that matches does.
func (d Decision) effect(r *Rule, t *Target) string {
	if t == nil {
		t = &r.Target
	}
	switch t.act {
	case actCall:
		how := "jump"
		if t.Goto {
			how = "goto"
		}
		if r.Target.act == actMap {
			how += " " + printable(t.Name)
		}
		return how
	case actMap:
		return "one of several verdicts"
	case actReturn:
		return "return"
	case actNothing:
		return "goes on"
	case actOpaque:
		return "unknown target"
	case actHandOff:
		return t.handOff()
	default:
		if d.Rule == r {
			return "decides"
		}
		if t.act == actAccept {
			return t.verdict(r)
		}
		return "would decide"
	}
}

// describe names the target of a rule for a sentence.
func (t *Target) describe() string {
	if t.Name == "" {
		return "its counter"
	}
	return printable(t.Text)
}

// verdict says what an accept ends.
func (t *Target) verdict(r *Rule) string {
	if r.Handle != 0 {
		return "ends chain " + printable(r.Chain)
	}
	return "ends table " + r.Table
}

// handOff says who decides instead of the rules.
func (t *Target) handOff() string {
	if t.why != "" {
		return t.why
	}
	return "a program in user space decides"
}

// briefly is the rule without its comments, and its handle if it has one.
func (r *Rule) briefly() string {
	if r.Handle == 0 {
		return r.brief()
	}
	return fmt.Sprintf("%s, handle %d", r.brief(), r.Handle)
}

// brief is the rule without its comments and extension names.
func (r *Rule) brief() string {
	if r.short != "" {
		return printable(r.short)
	}
	var parts []string
	for i := range r.Matches {
		if _, comment := r.Matches[i].cond.(alwaysCond); !comment && !r.Matches[i].implied {
			parts = append(parts, r.Matches[i].text)
		}
	}
	if r.Target.Text != "" {
		parts = append(parts, r.Target.Text)
	}
	if parts == nil {
		return "every packet"
	}
	return printable(strings.Join(parts, " "))
}
