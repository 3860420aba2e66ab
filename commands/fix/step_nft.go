package fix

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"whybot/commands"
	"whybot/commands/netfilter"
	"whybot/runners"
)

// insertNFT puts one rule into a chain of nftables. Args: family, table, chain;
// handle and before (the text) of the rule to stand above, both empty to stand
// last; comment, by which the rule is known again; found, the rule's own handle,
// once it has been read. Words: the rule's matches and statements.
var insertNFT = registerKind(&commands.StepKind{
	Name: "insert-nft-rule",
	Read: func(s commands.Step) []runners.Probe {
		return []runners.Probe{{Name: "chain", Sudo: true, Argv: []string{"nft", "-j", "list", "table", s.Args["family"], s.Args["table"]}}}
	},
	State: func(s commands.Step, results []runners.Result) (commands.StepState, string) {
		chain, err := nftChain(s, results)
		if err != nil {
			return commands.StepChanged, err.Error()
		}
		ours := commented(chain, s.Args["comment"])
		anchor := slices.IndexFunc(chain.Rules, func(r *netfilter.Rule) bool {
			return strconv.FormatUint(r.Handle, 10) == s.Args["handle"] && r.Spec == s.Args["before"]
		})
		switch {
		case len(ours) > 1:
			return commands.StepChanged, fmt.Sprintf("whybot's rule is in %s %d times", s.Args["chain"], len(ours))
		case len(ours) == 1:
			return commands.StepDone, "the rule is in " + s.Args["chain"]
		case s.Args["handle"] != "" && anchor < 0:
			return commands.StepChanged, fmt.Sprintf("rule %s of %s is no longer %q", s.Args["handle"], s.Args["chain"], s.Args["before"])
		}
		return commands.StepPending, "the rule is not in " + s.Args["chain"]
	},
	Do: func(s commands.Step) []commands.Action {
		where := []string{"rule", s.Args["family"], s.Args["table"], s.Args["chain"]}
		if s.Args["handle"] == "" {
			return nftCommand(slices.Concat([]string{"add"}, where, s.Words, []string{"comment", quoted(s.Args["comment"])}))
		}
		return nftCommand(slices.Concat([]string{"insert"}, where, []string{"position", s.Args["handle"]}, s.Words, []string{"comment", quoted(s.Args["comment"])}))
	},
	Undo: func(s commands.Step) []commands.Action {
		handle := cmp.Or(s.Args["found"], "(of the rule commented "+s.Args["comment"]+")")
		return nftCommand([]string{"delete", "rule", s.Args["family"], s.Args["table"], s.Args["chain"], "handle", handle})
	},
	Resolve: func(s commands.Step, results []runners.Result) (commands.Step, error) {
		chain, err := nftChain(s, results)
		if err != nil {
			return s, err
		}
		ours := commented(chain, s.Args["comment"])
		if len(ours) != 1 {
			return s, fmt.Errorf("whybot's rule is in %s %d times", s.Args["chain"], len(ours))
		}
		s.Args = maps.Clone(s.Args)
		s.Args["found"] = strconv.FormatUint(ours[0].Handle, 10)
		return s, nil
	},
})

// nftChain returns the step's chain as it is listed now.
func nftChain(s commands.Step, results []runners.Result) (*netfilter.Chain, error) {
	out := results[0].Output
	if out.ExitCode != 0 || out.Truncated {
		return nil, fmt.Errorf("chain %s of table %s could not be listed", s.Args["chain"], s.Args["table"])
	}
	rules, err := netfilter.ParseNFT(out.Stdout)
	if err != nil {
		return nil, err
	}
	if c := rules.Chain(s.Args["table"], s.Args["chain"]); c != nil {
		return c, nil
	}
	return nil, fmt.Errorf("there is no chain %s in table %s", s.Args["chain"], s.Args["table"])
}

// commented returns the rules of a chain with that comment.
func commented(c *netfilter.Chain, comment string) []*netfilter.Rule {
	return slices.DeleteFunc(slices.Clone(c.Rules), func(r *netfilter.Rule) bool {
		return !strings.Contains(r.Spec, "comment "+quoted(comment))
	})
}

func nftCommand(words []string) []commands.Action {
	return []commands.Action{{Command: runners.Probe{Name: "change-rule", Sudo: true, Argv: append([]string{"nft"}, words...)}}}
}
