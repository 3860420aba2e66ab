package diagnose

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"whybot/commands"
	"whybot/commands/capture"
	"whybot/commands/node"
	"whybot/runners"
)

// NoRouter is DHCP-44: nothing advertises a router to the guest, so it gets no
// IPv6 address, whatever the mode of its subnet.
var NoRouter = register(&commands.Diagnosis{
	Name:  "DHCP-44",
	Title: "No router advertises on the network",
	Doc: `The subnet leaves advertisements to Neutron (ipv6_ra_mode is set) and no router
has a port on it; or the router is there and its radvd is not: no process with
the router's configuration, and none that holds a raw socket in its namespace. A
subnet without ipv6_ra_mode has a router outside, of which nothing is said.`,
	Explains: []commands.Kind{commands.KindDHCP},
	Probes: func(s commands.Scope) []runners.Probe {
		var probes []runners.Probe
		for _, id := range s.Routers {
			probes = append(probes, node.RadvdProbe(), node.RawProbe(id))
		}
		return probes
	},
	Run: func(_ context.Context, p *commands.Pass) error {
		noRouterPort(p)
		var errs []error
		for _, b := range p.Path.Branches {
			if b.Runs(commands.Radvd) {
				errs = append(errs, radvdRuns(p, b))
			}
		}
		return errors.Join(errs...)
	},
})

// noRouterPort reports subnets that Neutron should advertise on and has no
// router for. Who is not shown the agents is not shown other projects' ports
// either.
func noRouterPort(p *commands.Pass) {
	subnets := slices.DeleteFunc(p.Port.OwnSubnets(), func(s runners.Subnet) bool { return s.IPVersion != 6 || s.RAMode == "" })
	if len(subnets) == 0 {
		return
	}
	if len(commands.RouterPortsOf(p.Port, subnets)) > 0 {
		p.Good(commands.Hop{}, "a router has a port on "+subnets[0].CIDR, "neutron: GET ports")
		return
	}
	s := subnets[0]
	f := commands.Finding{
		State: commands.Proven, Exchange: capture.RA,
		Summary: fmt.Sprintf("No router has a port on %s of network %s, and its ipv6_ra_mode %s leaves advertisements to Neutron's routers: nobody sends any",
			s.CIDR, p.Port.Network.Name, s.RAMode),
		Evidence: []commands.Evidence{{
			Source: "neutron: GET ports, subnets",
			Text:   fmt.Sprintf("subnet %s %s ipv6_ra_mode=%s ipv6_address_mode=%s\nports of routers on the network with an address in it: none\n", s.ID, s.CIDR, s.RAMode, s.AddressMode),
		}},
		Advice: []string{"Give a router a port on it: openstack router add subnet ROUTER " + s.ID + ". Where a router outside is meant to advertise, the subnet was made with the wrong mode: ipv6_ra_mode cannot be changed later."},
	}
	if _, admin := p.Port.DHCPAgents.Get(); !admin {
		f.State, f.Missing = commands.Probable, "the ports of other projects, which this account may not see: a router of theirs may be there"
	}
	for _, b := range p.Path.Of(capture.RA) {
		if flow := p.Path.Flow(b); b.Beyond != "" && b.Port.ID == "" && len(flow) > 1 {
			f.Edge = commands.Edge{From: flow[len(flow)-2], To: b.Server(), Direction: commands.Request}
		}
	}
	p.Report(f)
}

// radvdRuns reports a router whose radvd is not running.
func radvdRuns(p *commands.Pass, b commands.Branch) error {
	probe := node.RadvdProbe()
	out, err := p.Output(b.Node, probe.Name)
	if err != nil {
		return err
	}
	if out.ExitCode > 1 || out.ExitCode == 1 && strings.TrimSpace(out.Stderr) != "" || out.Truncated {
		return &runners.Error{Kind: runners.Invalid, Runner: "ssh", Target: b.Node, Op: "ps", Hint: fmt.Sprintf("exit code %d", out.ExitCode)}
	}
	router := b.Port.DeviceID
	own := node.Advertising(node.ParseRadvd(out.Stdout), router)
	f := commands.Finding{
		State: commands.Proven, Node: b.Node, Branch: b.Node, Exchange: capture.RA, Edge: serverEdge(b),
		Evidence: []commands.Evidence{p.Evidence(b.Node, probe, orNothing(out.Stdout))},
	}
	switch stopped := slices.IndexFunc(own, func(r node.Radvd) bool { return r.Stopped }); {
	case stopped >= 0:
		f.Summary = fmt.Sprintf("The radvd of router %s on %s (pid %s) is stopped: it is there and sends nothing", router, b.Node, own[stopped].PID)
		f.Advice = []string{"Somebody or something sent it SIGSTOP, or it is a zombie. kill -CONT " + own[stopped].PID + " lets a stopped one go on; restarting neutron-l3-agent replaces it."}
		p.Report(f)
		return nil
	case len(own) > 0:
		p.Good(b.Server(), "radvd advertises for router "+router, "ps: pid "+own[0].PID)
		return nil
	}
	raw := node.RawProbe(router)
	seen, err := noRawSocket(p, b, raw)
	if err != nil {
		return err
	}
	f.Summary = fmt.Sprintf("No radvd runs for router %s on %s, which has port %s on the network: no process, and %s",
		router, b.Node, commands.RouterDevice(b.Port.ID), seen)
	out, _ = p.Output(b.Node, raw.Name) // noRawSocket has read it
	f.Evidence = append(f.Evidence, p.Evidence(b.Node, raw, orNothing(out.Stdout+out.Stderr)))
	f.Advice = []string{
		"Neutron starts radvd with the router's ports: restart neutron-l3-agent on " + b.Node + ", or take the port off the router and put it back (openstack router remove subnet, add subnet).",
		"Find out why it died: the system's log on " + b.Node + " and l3-agent.log say so.",
	}
	p.Report(f)
	return nil
}

// noRawSocket says that no radvd is seen in the router's namespace either, or
// why that cannot be said.
func noRawSocket(p *commands.Pass, b commands.Branch, raw runners.Probe) (string, error) {
	out, err := p.Output(b.Node, raw.Name)
	namespace := node.RouterNamespace(b.Port.DeviceID)
	switch {
	case err != nil:
		return "", err
	case out.ExitCode != 0 && strings.Contains(out.Stderr, "No such file"):
		return "the namespace " + namespace + " does not exist", nil
	case out.ExitCode != 0 || out.Truncated:
		return "", &runners.Error{Kind: runners.Invalid, Runner: "ssh", Target: b.Node, Op: "ss in " + namespace, Hint: fmt.Sprintf("exit code %d", out.ExitCode)}
	case strings.Contains(out.Stdout, `"radvd"`):
		return "", &runners.Error{
			Kind: runners.Invalid, Runner: "ssh", Target: b.Node, Op: "radvd",
			Hint: "a radvd holds a raw socket in " + namespace + ", but none with the router's configuration is in the process list",
		}
	}
	return "none holds a raw socket in " + namespace, nil
}
