package differential_test

import (
	"reflect"
	"strings"
	"testing"

	"whybot/commands/netfilter"
	"whybot/internal/lab/differential"
)

// undecided answers nothing, ever, and so is never wrong.
func undecided(_ netfilter.Layer, _ *netfilter.Ruleset, p netfilter.Packet, hooks ...netfilter.Hook) netfilter.Decision {
	every := []netfilter.Ending{{Verdict: netfilter.Accept}, {Verdict: netfilter.Drop}}
	return netfilter.Decision{Possible: every, Packet: p, Hooks: hooks}
}

// unbridged takes every bridged frame for one that is routed.
func unbridged(l netfilter.Layer, rs *netfilter.Ruleset, p netfilter.Packet, hooks ...netfilter.Hook) netfilter.Decision {
	p.Bridged = false
	return l.Traverse(rs, p, hooks...)
}

// deaf does not know that an ACCEPT lets a packet pass in one table only: it
// forgets the hooks behind the first.
func deaf(l netfilter.Layer, rs *netfilter.Ruleset, p netfilter.Packet, hooks ...netfilter.Hook) netfilter.Decision {
	return l.Traverse(rs, p, hooks[:min(1, len(hooks))]...)
}

// TestKernelNegativeControl shows the comparison evaluators that are wrong in
// one thing: each must be caught, or else agreement proves nothing.
func TestKernelNegativeControl(t *testing.T) {
	requireKernel(t)
	const within = 60 // rule sets
	for _, c := range []struct {
		name, family string
		misread      func(string) string
		evaluate     differential.Evaluator
	}{
		{name: "takes goto for jump", family: "iptables-legacy", misread: replacing(" -g ", " -j ")},
		{name: "overlooks a negated port", family: "iptables-legacy", misread: replacing("! --physdev-in", "--physdev-in")},
		{name: "takes dports for sports", family: "iptables-nft", misread: replacing("--dports", "--sports")},
		{name: "takes NEW for ESTABLISHED", family: "iptables-nft", misread: replacing("state NEW", "state ESTABLISHED")},
		{name: "overlooks RETURN", family: "iptables-legacy", misread: replacing("-j RETURN", "")},
		{name: "overlooks policies", family: "iptables-legacy", misread: replacing(" DROP [", " ACCEPT [")},
		{name: "takes a drop for a pass", family: "ip6tables-nft", misread: replacing("-j DROP", "-j ACCEPT")},
		{name: "knows no bridge", family: "iptables-legacy", evaluate: unbridged},
		{name: "stops at the first hook", family: "ip6tables-legacy", evaluate: deaf},
	} {
		t.Run(c.name, func(t *testing.T) {
			report, err := differential.Run(t.Context(), differential.Options{
				Families: []string{c.family}, RuleSets: within, Seed: 1, Workers: 1, Failures: 1, Evaluate: c.evaluate, Misread: c.misread,
			})
			if err != nil {
				t.Fatal(err)
			}
			if report.Total.Disagreements == 0 || report.Err() == nil {
				t.Fatalf("not caught within %d rule sets", within)
			}
			f := report.Failures[0]
			if n := strings.Count(f.Rules, "\n-A "); n > 6 {
				t.Errorf("%d rules are left, that is not small:\n%v", n, f)
			}
			for _, kept := range f.Fixtures {
				if wrong, err := kept.Check(netfilter.Layer.Traverse, nil); err != nil || len(wrong) > 0 {
					t.Errorf("the right evaluator does not agree with what was kept: %v %v", wrong, err)
				}
			}
		})
	}
}

func replacing(from, to string) func(string) string {
	return func(listing string) string { return strings.ReplaceAll(listing, from, to) }
}

// TestKernelUndecidedIsCaught: an evaluator that answers nothing is never wrong
// and must fail all the same.
func TestKernelUndecidedIsCaught(t *testing.T) {
	requireKernel(t)
	report, err := differential.Run(t.Context(), differential.Options{
		Families: []string{"iptables-legacy"}, RuleSets: 20, Seed: 1, Failures: 1, Evaluate: undecided,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := report.Err(); err == nil || !strings.Contains(err.Error(), "of the verdicts open") {
		t.Errorf("the ceiling lets it pass: %v", err)
	}
}

// TestKernelSeedsRepeat: a seed makes the same rule set and the same packets,
// which fare the same.
func TestKernelSeedsRepeat(t *testing.T) {
	requireKernel(t)
	for _, family := range differential.Families() {
		var told []differential.Tally
		for range 2 {
			report, _, err := differential.Replay(t.Context(), family+"/42", differential.Options{})
			if err != nil {
				t.Fatal(err)
			}
			report.Total.Took = 0
			told = append(told, report.Total)
		}
		if !reflect.DeepEqual(told[0], told[1]) {
			t.Errorf("%s: the same seed twice:\n%+v\n%+v", family, told[0], told[1])
		}
	}
}
