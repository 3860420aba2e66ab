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

Of those on nodes whose live L2 agent maps the physical network, or has a tunnel
address, the one with the fewest networks is taken, the first by name of several. It
makes the namespace, the DHCP port and the dnsmasq, which takes some seconds.
Undo takes the network off that agent again.`,
	Class: commands.F1,
	Title: func(s commands.Suggestion) string { return "Have the DHCP agent of " + s.Node + " host the network" },
	Plan: func(p *commands.Pass, s commands.Suggestion) ([]commands.Step, error) {
		agent, ok := SpareDHCPAgent(p.Port.Agents.Or(nil), p.Port.Network)
		if !ok || agent.Host != s.Node {
			return nil, &commands.Error{
				Code: commands.CodeMissing, Public: "No DHCP agent is alive and enabled to host the network on a node whose L2 agent can wire it.",
				Hint: "Look at openstack network agent list: the node needs a live L2 agent that maps the physical network, or has a tunnel address.",
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
// enabled, on a node whose L2 agent can wire the network, with the fewest
// networks.
func SpareDHCPAgent(agents []runners.Agent, n runners.Network) (runners.Agent, bool) {
	usable := slices.DeleteFunc(slices.Clone(agents), func(a runners.Agent) bool {
		return a.Type != "DHCP agent" || !a.Alive || !a.AdminUp || !slices.ContainsFunc(agents, func(l2 runners.Agent) bool {
			return l2.Host == a.Host && l2.Alive && l2.AdminUp && carries(l2, n)
		})
	})
	if len(usable) == 0 {
		return runners.Agent{}, false
	}
	return slices.MinFunc(usable, func(a, b runners.Agent) int {
		return cmp.Or(cmp.Compare(a.Networks.Or(math.MaxInt), b.Networks.Or(math.MaxInt)), cmp.Compare(a.Host, b.Host))
	}), true
}

// carries reports whether an L2 agent is known to be able to wire a network on
// its node: by its physical network, or through tunnels.
func carries(l2 runners.Agent, n runners.Network) bool {
	switch kind := n.Type.Or(""); kind {
	case "vlan", "flat":
		physnet := n.PhysicalNet.Or("")
		_, byNIC := l2.InterfaceMappings[physnet]
		_, byBridge := l2.BridgeMappings[physnet]
		return physnet != "" && (byNIC || byBridge)
	case "vxlan":
		return l2.TunnelingIP != "" && (len(l2.TunnelTypes) == 0 || slices.Contains(l2.TunnelTypes, kind))
	}
	return false
}
