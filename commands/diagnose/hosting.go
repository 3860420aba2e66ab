package diagnose

import (
	"context"
	"fmt"
	"slices"

	"whybot/commands"
	"whybot/commands/capture"
	"whybot/commands/fix"
	"whybot/commands/node"
	"whybot/runners"
)

// NotHosted is DHCP-12: no DHCP agent hosts the network.
var NotHosted = register(&commands.Diagnosis{
	Name:  "DHCP-12",
	Title: "No DHCP agent hosts the network",
	Doc: `Neutron lists no DHCP agent for it although DHCP is on for a subnet. Only an
account that sees other agents can tell: a member is shown an empty list of
anything. Where OVN answers DHCP an empty list is normal and nothing is said. A
DHCP port may be left over from before (reserved_dhcp_port).`,
	Explains: []commands.Kind{commands.KindDHCP},
	Probes: func(s commands.Scope) []runners.Probe {
		if !s.Serves {
			return nil
		}
		return []runners.Probe{node.DnsmasqProbe()}
	},
	Run: func(_ context.Context, p *commands.Pass) error {
		hosting, ok := p.Port.DHCPAgents.Get()
		if !ok {
			return hiddenAgents(p)
		}
		agents := p.Port.Agents.Or(nil)
		bridged := slices.ContainsFunc(agents, func(a runners.Agent) bool { return a.Binary == node.LinuxbridgeAgent })
		switch {
		case len(hosting) > 0:
			p.Good(commands.Hop{}, fmt.Sprintf("DHCP agents that host the network: %d", len(hosting)), "neutron: GET networks/{id}/dhcp-agents")
			return nil
		case !bridged || !wantsDHCP(p):
			return nil
		}
		p.Report(notHosted(p, agents))
		return nil
	},
})

// hiddenAgents says that it is not known who serves, where that is what is
// missing.
func hiddenAgents(p *commands.Pass) error {
	if len(p.Path.Branches) > 0 {
		return nil
	}
	return &runners.Error{Kind: runners.Hidden, Runner: "openstack", Target: "neutron", Op: "the DHCP agents of the network", Hint: p.Port.DHCPAgents.Why()}
}

// wantsDHCP reports whether a subnet that concerns the guest is to be served.
func wantsDHCP(p *commands.Pass) bool {
	return len(p.Port.Served(4)) > 0 || len(p.Port.Served(6)) > 0
}

func notHosted(p *commands.Pass, agents []runners.Agent) commands.Finding {
	n := p.Port.Network
	f := commands.Finding{
		State: commands.Proven, Causes: []string{"DHCP-09"},
		Summary: fmt.Sprintf("No DHCP agent hosts network %s, so nobody serves it", n.Name),
		Evidence: []commands.Evidence{{
			Source: "neutron: GET networks/" + n.ID + "/dhcp-agents", Text: `{"agents": []}` + "\n",
		}},
	}
	for _, port := range p.Port.DHCPPorts {
		f.Summary += fmt.Sprintf("; a DHCP port is left over (%s)", port.ID)
	}
	if spare, ok := fix.SpareDHCPAgent(agents, n); ok {
		f.Fixes = []commands.Suggestion{{Fix: fix.HostNetwork, Node: spare.Host}}
		f.Advice = []string{"Find out who took it off, or why it was not scheduled: neutron-server's log says \"Unable to schedule network\" or \"No more DHCP agents\"."}
	} else {
		f.Summary += "; no DHCP agent is alive and enabled to take it on a node whose L2 agent can wire it"
		f.Advice = []string{"Start a DHCP agent, or enable one, on a node whose L2 agent is alive and maps the physical network: openstack network agent list"}
	}
	unlessServed(p, &f)
	return f
}

// unlessServed makes a finding that says that nobody serves less sure where a
// dnsmasq of the network runs all the same, or could not be looked for.
func unlessServed(p *commands.Pass, f *commands.Finding) {
	for _, b := range p.Path.Branches {
		if !slices.ContainsFunc(b.Exchanges, func(e commands.Exchange) bool { return e != capture.RA }) && len(b.Exchanges) > 0 {
			continue // a router's
		}
		all, err := processes(p, b.Node)
		if err != nil {
			f.State, f.Missing = commands.Probable, "whether a dnsmasq of the network still runs on "+b.Node
			continue
		}
		if d, ok := node.Serving(all, p.Port.Network.ID, commands.NetnsDevice(b.Port.ID)); ok && !d.Stopped {
			f.State, f.Missing = commands.Probable, fmt.Sprintf("whether the dnsmasq left on %s (process %s) answers this guest", b.Node, d.PID)
			return
		}
	}
}
