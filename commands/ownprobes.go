package commands

import (
	"whybot/commands/node"
	"whybot/runners"
)

// OwnProbes lists what an Engine itself runs on a node of scope to answer a
// question, beside what its diagnoses ask for; address is the guest's, bridge its
// network's. Who lists what whybot runs on nodes, such as sudoers, needs it.
func OwnProbes(s Scope, address, bridge string) []runners.Probe {
	probes := append([]runners.Probe{
		node.LinksProbe(), node.AddressProbe(), node.VendorProbe(), node.IdentityProbe(), node.OwnFrameProbe(bridge), node.LearntProbe(bridge),
	}, (&Engine{}).counterProbes(s)...)
	return append(probes, node.HolderProbes(s.NetworkID, address)...)
}
