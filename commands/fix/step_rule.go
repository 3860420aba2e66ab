package fix

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"whybot/commands"
	"whybot/commands/netfilter"
	"whybot/runners"
)

// insertRule puts one rule into a chain of the filter table. Args: binary,
// chain, position (from 1; "" appends), before (the line of the rule that
// stands at position now). Words: the rule's specification. Two steps of one
// plan may share a position: the later one then goes above the earlier.
var insertRule = registerKind(&commands.StepKind{
	Name: "insert-rule",
	Read: readRules,
	State: func(s commands.Step, results []runners.Result) (commands.StepState, string) {
		rules, err := parseRules(results)
		if err != nil {
			return commands.StepChanged, err.Error()
		}
		same := equalRules(rules, s)
		switch {
		case len(same) == 1:
			return commands.StepDone, "the rule is in " + s.Args["chain"]
		case len(same) > 1:
			return commands.StepChanged, fmt.Sprintf("the rule is in %s %d times", s.Args["chain"], len(same))
		case !standsAt(rules, s):
			return commands.StepChanged, fmt.Sprintf("%s rule %s is no longer %q", s.Args["chain"], s.Args["position"], s.Args["before"])
		}
		return commands.StepPending, "the rule is not in " + s.Args["chain"]
	},
	Do: func(s commands.Step) []commands.Action {
		if s.Args["position"] == "" {
			return ruleCommand(s, "-A", s.Args["chain"])
		}
		return ruleCommand(s, "-I", s.Args["chain"], s.Args["position"])
	},
	Undo:  func(s commands.Step) []commands.Action { return ruleCommand(s, "-D", s.Args["chain"]) },
	Guard: listTable,
})

// deleteRule takes the only rule of its text out of a chain of the filter
// table. Args: binary, chain, position (where it stands and will stand again),
// rest (a hash of the chain's other rules, in order). Words: the rule's
// specification.
var deleteRule = registerKind(&commands.StepKind{
	Name: "delete-rule",
	Read: readRules,
	State: func(s commands.Step, results []runners.Result) (commands.StepState, string) {
		rules, err := parseRules(results)
		if err != nil {
			return commands.StepChanged, err.Error()
		}
		chain := rules.Chain("filter", s.Args["chain"])
		if chain == nil {
			return commands.StepChanged, "there is no chain " + s.Args["chain"]
		}
		same := equalRules(rules, s)
		switch {
		case len(same) > 1:
			return commands.StepChanged, fmt.Sprintf("the rule is in %s %d times", s.Args["chain"], len(same))
		case len(same) == 1 && strconv.Itoa(same[0].Index) != s.Args["position"]:
			return commands.StepChanged, fmt.Sprintf("the rule stands at %d now, not at %s", same[0].Index, s.Args["position"])
		case len(same) == 1:
			return commands.StepPending, "the rule is in " + s.Args["chain"]
		case restOf(chain, nil) != s.Args["rest"]:
			return commands.StepChanged, "the rule is gone, and the other rules of " + s.Args["chain"] + " have changed"
		}
		return commands.StepDone, "the rule is not in " + s.Args["chain"]
	},
	Do: func(s commands.Step) []commands.Action { return ruleCommand(s, "-D", s.Args["chain"]) },
	Undo: func(s commands.Step) []commands.Action {
		return ruleCommand(s, "-I", s.Args["chain"], s.Args["position"])
	},
	Guard: listTable,
})

// listTable lists the filter table without its counters. All of it: the words
// are always the same, and sudo can allow just them.
func listTable(s commands.Step) []runners.Probe {
	return []runners.Probe{{Name: "table", Sudo: true, Argv: []string{s.Args["binary"], "-w", "5", "-S"}}}
}

func readRules(s commands.Step) []runners.Probe {
	return []runners.Probe{{Name: "rules", Sudo: true, Argv: []string{s.Args["binary"] + "-save"}}}
}

func parseRules(results []runners.Result) (*netfilter.Ruleset, error) {
	out := results[0].Output
	if out.ExitCode != 0 || out.Truncated {
		return nil, fmt.Errorf("%s could not list its rules", results[0].Probe.Argv[0])
	}
	return netfilter.Parse(out.Stdout)
}

// equalRules returns the rules of the step's chain that read as its words.
func equalRules(rules *netfilter.Ruleset, s commands.Step) []*netfilter.Rule {
	return rules.Find(func(r *netfilter.Rule) bool {
		return r.Table == "filter" && r.Chain == s.Args["chain"] && slices.Equal(r.Words, s.Words)
	})
}

// restOf is a hash of the chain's rules but one, in order.
func restOf(chain *netfilter.Chain, but *netfilter.Rule) string {
	lines := make([]string, 0, len(chain.Rules))
	for _, r := range chain.Rules {
		if r != but {
			lines = append(lines, r.Line())
		}
	}
	return sum(strings.Join(lines, "\n"))
}

// standsAt reports whether the rule to go above is where the plan says, or
// one further down because another step of the plan has been made. A step
// that appends has none.
func standsAt(rules *netfilter.Ruleset, s commands.Step) bool {
	if s.Args["position"] == "" {
		return true
	}
	n, err := strconv.Atoi(s.Args["position"])
	c := rules.Chain("filter", s.Args["chain"])
	if err != nil || c == nil || n < 1 {
		return false
	}
	for i := n; i <= n+1 && i <= len(c.Rules); i++ {
		if c.Rules[i-1].Line() == s.Args["before"] {
			return true
		}
	}
	return false
}

// ruleCommand waits up to 5 s for the lock that agents take as well.
func ruleCommand(s commands.Step, words ...string) []commands.Action {
	argv := append([]string{s.Args["binary"], "-w", "5"}, words...)
	return []commands.Action{{Command: runners.Probe{Name: "change-rule", Sudo: true, Argv: append(argv, s.Words...)}}}
}
