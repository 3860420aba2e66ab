package fix

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"whybot/commands"
	"whybot/runners"
)

// HostNetwork gives a network that no DHCP agent hosts to one that is alive.
var HostNetwork = register(&commands.Fix{
	Name: "host-network",
	Doc: `Have a live DHCP agent host the network.

The agent with the fewest networks is taken, the first by name of several. It
makes the namespace, the DHCP port and the dnsmasq, which takes some seconds.
Undo takes the network off that agent again.`,
	Class: commands.F1,
	Title: func(s commands.Suggestion) string { return "Have the DHCP agent of " + s.Node + " host the network" },
	Plan: func(p *commands.Pass, s commands.Suggestion) ([]commands.Step, error) {
		agent, ok := SpareDHCPAgent(p.Port.Agents.Or(nil))
		if !ok || agent.Host != s.Node {
			return nil, &commands.Error{
				Code: commands.CodeMissing, Public: "No DHCP agent is alive and enabled to host the network.",
				Hint: "Look at openstack network agent list --agent-type dhcp.",
			}
		}
		return []commands.Step{{
			Kind: hosting.Name,
			Args: map[string]string{"agent": agent.ID, "network": p.Port.Network.ID, "host": agent.Host},
		}}, nil
	},
	Touches: func(p *commands.Pass, s commands.Suggestion) []string {
		return []string{fmt.Sprintf("All of network %s: %s starts a DHCP server for it.", p.Port.Network.Name, s.Node)}
	},
})

// SpareDHCPAgent returns the DHCP agent that a network is best given to: alive,
// enabled, with the fewest networks.
func SpareDHCPAgent(agents []runners.Agent) (runners.Agent, bool) {
	usable := slices.DeleteFunc(slices.Clone(agents), func(a runners.Agent) bool {
		return a.Type != "DHCP agent" || !a.Alive || !a.AdminUp
	})
	if len(usable) == 0 {
		return runners.Agent{}, false
	}
	return slices.MinFunc(usable, func(a, b runners.Agent) int {
		return cmp.Or(cmp.Compare(a.Networks.Or(math.MaxInt), b.Networks.Or(math.MaxInt)), cmp.Compare(a.Host, b.Host))
	}), true
}
