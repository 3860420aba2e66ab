package fix

import (
	"whybot/commands"
	"whybot/runners"
)

// hosting has a DHCP agent serve a network. Args: agent, network, host.
var hosting = registerKind(&commands.StepKind{
	Name: "host-network", Delayed: true,
	Ref: func(s commands.Step) runners.CloudRef {
		return runners.CloudRef{Kind: runners.HostingAgents, ID: s.Args["network"]}
	},
	Compare: func(s commands.Step, agents runners.CloudObject) (commands.StepState, string) {
		_, ours := agents[s.Args["agent"]]
		switch {
		case ours:
			return commands.StepDone, "the DHCP agent of " + s.Args["host"] + " hosts the network"
		case len(agents) == 0:
			return commands.StepPending, "no DHCP agent hosts the network"
		}
		return commands.StepChanged, "another DHCP agent hosts the network now"
	},
	Do: func(s commands.Step) []commands.Action {
		return []commands.Action{hostNetwork(s.Args["agent"], s.Args["network"])}
	},
	Undo: func(s commands.Step) []commands.Action {
		return []commands.Action{dropNetwork(s.Args["agent"], s.Args["network"])}
	},
})

func hostNetwork(agent, network string) commands.Action {
	return commands.Action{Call: &commands.CloudCall{
		Op: runners.CloudAddDHCPNetwork, Args: map[string]string{"agent": agent, "network": network},
		Show: "openstack network agent add network --dhcp " + runners.DisplayQuote(agent) + " " + runners.DisplayQuote(network),
	}}
}

func dropNetwork(agent, network string) commands.Action {
	return commands.Action{Call: &commands.CloudCall{
		Op: runners.CloudRemoveDHCPNetwork, Args: map[string]string{"agent": agent, "network": network},
		Show: "openstack network agent remove network --dhcp " + runners.DisplayQuote(agent) + " " + runners.DisplayQuote(network),
	}}
}
