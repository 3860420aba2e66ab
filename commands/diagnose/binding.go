package diagnose

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"whybot/commands"
	"whybot/runners"
)

// NotBound is DHCP-15: Neutron could not bind the guest's port to its node, so
// nothing is plugged there.
var NotBound = register(&commands.Diagnosis{
	Name:  "DHCP-15",
	Title: "The guest's port could not be bound to its node",
	Doc: `binding:vif_type is binding_failed, or unbound although Nova has put the guest on a
node. Why is asked in this order: no L2 agent of that host name, a dead one, one
without the physical network, or something only neutron-server's log tells. A
guest that does not run is unbound without harm.`,
	Explains: alongTheWay,
	Run: func(_ context.Context, p *commands.Pass) error {
		vif, known := p.Port.Port.VIFType.Get()
		switch {
		case !known, p.GuestOff():
			return nil // the path says what is hidden; DHCP-42 that it does not run
		case vif != "binding_failed" && (vif != "unbound" || p.Path.Node == ""):
			p.Good(commands.Hop{}, "the guest's port is bound as "+vif, "neutron: GET ports")
			return nil
		}
		p.Report(unbound(p, vif))
		return nil
	},
})

func unbound(p *commands.Pass, vif string) commands.Finding {
	host := p.Path.Node
	why, cure := whyUnbound(p, host)
	f := commands.Finding{
		State: commands.Proven, Node: host, Causes: []string{"DHCP-16", "DHCP-17", "DHCP-18", "DHCP-42"},
		Summary: fmt.Sprintf("Port %s is %s on %s: %s", p.Port.Port.ID, vif, host, why),
		Evidence: []commands.Evidence{{
			Source: "neutron: GET ports/" + p.Port.Port.ID, Text: fmt.Sprintf("binding:vif_type %s, binding:host_id %s\n", vif, p.Port.Port.HostID.Or("")),
		}},
		Advice: append(cure, fmt.Sprintf("Then have it bound anew, which takes the guest away for a moment: openstack server reboot --hard %s", p.Server.ID)),
	}
	if tap, ok := p.Path.Tap(); ok {
		f.Edge = commands.Edge{From: commands.Hop{Node: tap.Node, Device: p.Server.Name}, To: tap, Direction: commands.Request}
	}
	if p.Server.Status == "BUILD" {
		f.State, f.Missing = commands.Probable, "the end of its building: the port is bound in the course of it"
	}
	return f
}

// whyUnbound returns what keeps the port from being bound to host, and what to
// do about it.
func whyUnbound(p *commands.Pass, host string) (why string, cure []string) {
	const logged = `neutron-server's log says "Refusing to bind port" or "Failed to bind port"`
	agents, known := p.Port.Agents.Get()
	if !known {
		return "why is not known, because agents are hidden from whybot (" + p.Port.Agents.Why() + ")", []string{"Look why: " + logged + "."}
	}
	a, listed := l2AgentOf(p, agents, host)
	physnet, needs := p.Port.Network.PhysicalNet.Get()
	_, mapped := a.InterfaceMappings[physnet]
	_, bridged := a.BridgeMappings[physnet]
	switch {
	case !listed:
		why = "Neutron has no L2 agent of that host name"
		if near := sameMachine(agents, host); near != "" {
			why += fmt.Sprintf(", but one of %s", near)
		}
		return why, []string{fmt.Sprintf("If an agent runs on %s, host in its neutron.conf is not what Nova calls the node (host in nova.conf): make them equal, and restart it.", host)}
	case !a.Alive:
		return "its L2 agent is dead: " + agentOf{a, a.Binary}.heard(p), []string{fmt.Sprintf("Start %s on %s.", a.Binary, host)}
	case needs && physnet != "" && !mapped && !bridged:
		return fmt.Sprintf("its L2 agent maps nothing to %s (it has: %s)", physnet, listOr(slices.Sorted(maps.Keys(a.InterfaceMappings)), "none")),
			[]string{fmt.Sprintf("Add %s to physical_interface_mappings in linuxbridge_agent.ini on %s, and restart the agent.", physnet, host)}
	}
	return fmt.Sprintf("its L2 agent is alive and has what network type %s needs; the agent may not support it, or the port's vnic_type", p.Port.Network.Type.Or("(hidden)")),
		[]string{"Look why: " + logged + "."}
}

// l2AgentOf returns the L2 agent of a host.
func l2AgentOf(p *commands.Pass, agents []runners.Agent, host string) (runners.Agent, bool) {
	if a, ok := p.Port.L2Agents.Or(nil)[host]; ok {
		return a, true
	}
	i := slices.IndexFunc(agents, func(a runners.Agent) bool { return a.Host == host && a.InterfaceMappings != nil })
	if i < 0 {
		return runners.Agent{}, false
	}
	return agents[i], true
}

// sameMachine returns the host name of an L2 agent that looks like the same
// machine called by another name: with a domain or without, or localhost.
func sameMachine(agents []runners.Agent, host string) string {
	short, _, _ := strings.Cut(host, ".")
	for _, a := range agents {
		s, _, _ := strings.Cut(a.Host, ".")
		if a.InterfaceMappings != nil && (strings.EqualFold(s, short) || s == "localhost") {
			return a.Host
		}
	}
	return ""
}

func listOr(words []string, none string) string {
	if len(words) == 0 {
		return none
	}
	return strings.Join(words, ", ")
}
