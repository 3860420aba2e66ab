package fix

import (
	"fmt"
	"strconv"
	"strings"

	"whybot/commands"
	"whybot/commands/netfilter"
)

// DeleteRule takes the rule that drops the frames out of FORWARD. Args:
// binary, chain, spec (the rule's text in iptables-save's form).
var DeleteRule = register(&commands.Fix{
	Name: "delete-rule",
	Doc: `Delete the rule that drops the frames, remembering its position.

Wider than an ACCEPT for one port: whatever else the rule kept out comes in as
well, routed traffic too when ip_forward is 1. It is offered only when exactly
one rule has this text and the chain belongs to no agent.`,
	Class: commands.F1,
	Title: func(s commands.Suggestion) string {
		return fmt.Sprintf("Delete the %s rule from %s on %s", target(s.Args["spec"]), s.Args["chain"], s.Node)
	},
	Plan: func(p *commands.Pass, s commands.Suggestion) ([]commands.Step, error) {
		f, err := p.Firewall(s.Node)
		if err != nil {
			return nil, &commands.Error{Code: commands.CodeOutside, Public: "The rules of " + s.Node + " could not be read."}
		}
		for _, v := range f.Views {
			if v.Binary == s.Args["binary"] {
				return deleteStep(v.Rules, s)
			}
		}
		return nil, &commands.Error{Code: commands.CodeMissing, Public: "The rules of " + s.Args["binary"] + " on " + s.Node + " were not read."}
	},
	Touches: func(p *commands.Pass, s commands.Suggestion) []string {
		lines := []string{"Everything the rule kept out on " + s.Node + ", not only DHCP."}
		f, err := p.Firewall(s.Node)
		if err != nil || f.IPForward == netfilter.Unknown {
			return append(lines, "Whether routed traffic is opened too is not known (ip_forward could not be read).")
		}
		if f.IPForward == netfilter.Yes {
			lines = append(lines, "ip_forward is 1: routed traffic through "+s.Node+" is opened too.")
		}
		return lines
	},
})

func deleteStep(rules *netfilter.Ruleset, s commands.Suggestion) ([]commands.Step, error) {
	chain := rules.Chain("filter", s.Args["chain"])
	same := rules.Matches("filter", s.Args["chain"], s.Args["spec"])
	if len(same) != 1 {
		return nil, &commands.Error{
			Code:   commands.CodeInvalid,
			Public: fmt.Sprintf("%s on %s has %d rules that read %q; deleting needs exactly one.", s.Args["chain"], s.Node, len(same), s.Args["spec"]),
		}
	}
	return []commands.Step{{
		Kind: deleteRule.Name, Node: s.Node, Words: same[0].Words,
		Args: map[string]string{
			"binary": s.Args["binary"], "chain": s.Args["chain"],
			"position": strconv.Itoa(same[0].Index), "rest": restOf(chain, same[0]),
		},
	}}, nil
}

// target names what a rule does: "REJECT".
func target(spec string) string {
	_, after, found := strings.Cut(" "+spec, " -j ")
	if !found {
		return "blocking"
	}
	word, _, _ := strings.Cut(after, " ")
	return word
}
