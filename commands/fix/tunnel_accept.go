package fix

import (
	"fmt"

	"whybot/commands"
)

// TunnelAccept lets the VXLAN packets of one peer into the node, or out of it.
// Args: binary; chain (INPUT or OUTPUT) and position of the rule to stand above
// (position "" appends), before (that rule's line); peer (its tunnel's address)
// and port.
var TunnelAccept = register(&commands.Fix{
	Name: "tunnel-accept",
	Doc: `Insert an ACCEPT for the tunnel's UDP port and one peer above the rule that
drops its packets. A restart of the firewall forgets it.`,
	Class: commands.F1,
	Title: func(s commands.Suggestion) string {
		return fmt.Sprintf("Accept VXLAN (UDP %s) of %s in %s on %s", s.Args["port"], s.Args["peer"], s.Args["chain"], s.Node)
	},
	Plan: func(_ *commands.Pass, s commands.Suggestion) ([]commands.Step, error) {
		side := map[string]string{"INPUT": "-s", "OUTPUT": "-d"}[s.Args["chain"]]
		if side == "" {
			return nil, &commands.Error{Code: commands.CodeInvalid, Public: fmt.Sprintf("%q is no chain that a node's own packets pass.", s.Args["chain"])}
		}
		return []commands.Step{{
			Kind: insertRule.Name, Node: s.Node,
			Words: []string{side, s.Args["peer"] + "/32", "-p", "udp", "-m", "udp", "--dport", s.Args["port"], "-j", "ACCEPT"},
			Args:  map[string]string{"binary": s.Args["binary"], "chain": s.Args["chain"], "position": s.Args["position"], "before": s.Args["before"]},
		}}, nil
	},
	Touches: func(_ *commands.Pass, s commands.Suggestion) []string {
		return []string{
			"Every VXLAN network between " + s.Node + " and " + s.Args["peer"] + ". It is gone after a restart of the firewall.",
		}
	},
})
