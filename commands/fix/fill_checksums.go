package fix

import (
	"fmt"

	"whybot/commands"
	"whybot/commands/node"
)

// FillChecksums has the DHCP server's replies leave its namespace with their
// checksums filled in. Args: network, device (ns-…).
var FillChecksums = register(&commands.Fix{
	Name: "fill-checksums",
	Doc: `Switch transmit checksum offload off on the DHCP port.

The kernel then fills checksums in before a frame leaves the namespace. An
iptables rule with -o TAP cannot do it: a bridged frame leaves by the bridge for
iptables. It costs a little CPU time for this server's few packets, and is
forgotten when the agent makes the port anew.`,
	Class: commands.F1,
	Title: func(s commands.Suggestion) string {
		return fmt.Sprintf("Fill in the checksums of %s on %s", s.Args["device"], s.Node)
	},
	Plan: func(_ *commands.Pass, s commands.Suggestion) ([]commands.Step, error) {
		return []commands.Step{{Kind: txOff.Name, Node: s.Node, Args: map[string]string{
			"namespace": node.Namespace(s.Args["network"]), "device": s.Args["device"],
		}}}, nil
	},
	Touches: func(_ *commands.Pass, s commands.Suggestion) []string {
		return []string{"What the DHCP server on " + s.Node + " sends on this network, to every guest. It is gone when neutron-dhcp-agent makes " + s.Args["device"] + " anew."}
	},
})
