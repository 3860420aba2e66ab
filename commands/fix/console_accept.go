package fix

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"

	"whybot/commands"
	"whybot/runners"
)

// ConsoleAccept lets console proxies in to the VNC ports of a compute node. Args:
// binary; chain (INPUT) and position of the rule to stand above (position ""
// appends, where a policy decides), before (that rule's line); sources (the
// proxies' addresses, with commas); ports (one, or a range with a colon); leaves
// (whose consoles it does not open).
var ConsoleAccept = register(&commands.Fix{
	Name: "console-accept",
	Doc: `Insert an ACCEPT for the console proxies and the VNC ports of the node's guests
above the rule that ends their connections. Nobody else is let in. A restart of the
firewall forgets it.`,
	Class: commands.F1,
	Title: func(s commands.Suggestion) string {
		return fmt.Sprintf("Let %s in to TCP port %s on %s", listed(s.Args["sources"]), strings.ReplaceAll(s.Args["ports"], ":", "-"), s.Node)
	},
	Plan: func(_ *commands.Pass, s commands.Suggestion) ([]commands.Step, error) {
		specs, err := consoleSpecs(s.Args)
		if err != nil {
			return nil, err
		}
		steps := make([]commands.Step, 0, len(specs))
		for _, spec := range specs {
			steps = append(steps, consoleStep(s.Node, s.Args, spec))
		}
		return steps, nil
	},
	Touches: func(_ *commands.Pass, s commands.Suggestion) []string {
		lines := []string{"Only connections from " + listed(s.Args["sources"]) + " to " + s.Node + ". It is gone after a restart of the firewall."}
		if !strings.Contains(s.Args["ports"], ":") && s.Args["leaves"] != "" {
			lines = append(lines, "Only this guest's port: left out are "+commands.Clean(s.Args["leaves"], 300)+", and whoever gets this guest's console after its port changes.")
		}
		return lines
	},
})

func consoleStep(nodeName string, args map[string]string, spec []string) commands.Step {
	return commands.Step{
		Kind: insertRule.Name, Node: nodeName, Words: spec,
		Args: map[string]string{"binary": args["binary"], "chain": args["chain"], "position": args["position"], "before": args["before"]},
	}
}

var portRange = regexp.MustCompile(`^[1-9][0-9]{0,4}(:[1-9][0-9]{0,4})?$`)

// consoleSpecs returns the rules in the form iptables-save prints them.
func consoleSpecs(args map[string]string) ([][]string, error) {
	if args["chain"] != "INPUT" || !portRange.MatchString(args["ports"]) {
		return nil, &commands.Error{Code: commands.CodeInvalid, Public: fmt.Sprintf("The ports %q of chain %q are none to open for consoles.", commands.Clean(args["ports"], 40), commands.Clean(args["chain"], 40))}
	}
	var specs [][]string
	for source := range strings.SplitSeq(args["sources"], ",") {
		a, err := netip.ParseAddr(source)
		if err != nil || a.IsUnspecified() {
			return nil, &commands.Error{Code: commands.CodeInvalid, Public: "The address of a console proxy is not known, and nobody else is to be let in."}
		}
		specs = append(specs, []string{"-s", netip.PrefixFrom(a, a.BitLen()).String(), "-p", "tcp", "-m", "tcp", "--dport", args["ports"], "-j", "ACCEPT"})
	}
	return specs, nil
}

// ConsoleCommands are what the fix would run, as a person would type it: for
// nodes on which it is not offered. Arguments without a plan have none.
func ConsoleCommands(args map[string]string) []string {
	specs, err := consoleSpecs(args)
	if err != nil {
		return nil
	}
	all := make([]string, 0, len(specs))
	for _, spec := range specs {
		for _, a := range insertRule.Do(consoleStep("", args, spec)) {
			all = append(all, runners.Probe{Argv: a.Command.Argv}.Command())
		}
	}
	return all
}
