package diagnose

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"whybot/commands"
	"whybot/commands/fix"
	"whybot/commands/node"
	"whybot/runners"
)

// SpanningTree is DHCP-22: a port of the network's bridge does not forward.
var SpanningTree = register(&commands.Diagnosis{
	Name:  "DHCP-22",
	Title: "Spanning tree keeps a bridge port from forwarding",
	Doc: `A port on the path is up and in the bridge, and its state is not forwarding.
Listening and learning pass by themselves after twice the forward delay, which
is longer than many guests ask; blocking does not. A port that goes on waiting
after spanning tree was switched off waits all the same.`,
	Explains: alongTheWay,
	Probes:   linkProbes,
	Run: func(_ context.Context, p *commands.Pass) error {
		kinds := []commands.HopKind{commands.HopTap, commands.HopSegment}
		if p.Port.Network.Type.Or("") == "flat" {
			kinds = []commands.HopKind{commands.HopTap, commands.HopNIC}
		}
		var errs []error
		for _, kind := range kinds {
			errs = append(errs, eachHop(p, kind, func(h, bridge commands.Hop, branch string, links node.Links) error {
				return portState(p, h, bridge, branch, links)
			}))
		}
		return errors.Join(errs...)
	},
})

// portState reports a port of the path's bridge that does not forward. One that
// is down, or in no bridge, is said by the diagnoses of those.
func portState(p *commands.Pass, h, bridge commands.Hop, branch string, links node.Links) error {
	l, ok := links[h.Device]
	switch {
	case !ok || l.Master != bridge.Device || !l.Up || !l.Carrier:
		return nil
	case l.PortState == "":
		return &runners.Error{Kind: runners.Invalid, Runner: "ssh", Target: h.Node, Op: "state of bridge port " + h.Device, Hint: "ip -d link does not print it"}
	case l.PortState == "forwarding":
		p.Good(h, h.Device+" forwards", "ip -d link")
		return nil
	}
	tree := links[bridge.Device]
	f := commands.Finding{
		State: commands.Probable, Missing: "a frame of the guest that ends there: the state passes by itself", Node: h.Node, Branch: branch, Edge: edgeBetween(p, h, bridge, branch),
		Summary:  fmt.Sprintf("%s on %s is a bridge port in state %s: no frame passes it%s", h.Device, h.Node, l.PortState, passing(l, tree)),
		Evidence: []commands.Evidence{linkEvidence(p, h.Node, h.Device), linkEvidence(p, h.Node, bridge.Device)},
	}
	if slices.ContainsFunc(p.Path.Branches, func(b commands.Branch) bool { return lostOn(p, b, f.Edge) }) {
		f.State, f.Missing = commands.Proven, ""
	}
	switch tree.STP {
	case "1":
		f.Fixes = []commands.Suggestion{{Fix: fix.STPOff, Node: h.Node, Args: map[string]string{"bridge": bridge.Device, "port": h.Device}}}
		f.Advice = []string{"neutron-linuxbridge-agent makes its bridges without spanning tree: find out who switched it on for " + bridge.Device + "."}
	case "0":
		f.Advice = []string{"Spanning tree is off on " + bridge.Device + " and the state was left over: ip link set dev " + h.Device + " type bridge_slave state 3 makes the port forward at once."}
	default:
		f.Advice = []string{"The spanning tree of " + bridge.Device + " is not the kernel's own: ask the program that runs it (mstpd) why it holds the port."}
	}
	p.Report(f)
	return nil
}

// passing says how long the state lasts at most.
func passing(port, bridge node.Link) string {
	switch port.PortState {
	case "listening":
		return within(port, port.PortTimer+bridge.ForwardDelay, bridge)
	case "learning":
		return within(port, port.PortTimer, bridge)
	}
	return ", and it does not begin to by itself"
}

func within(port node.Link, left time.Duration, bridge node.Link) string {
	if port.PortTimer == 0 { // an older iproute2 does not print it
		left = 2 * bridge.ForwardDelay
	}
	return fmt.Sprintf(" for another %.0f s at most (forward delay %.0f s)", left.Seconds(), bridge.ForwardDelay.Seconds())
}
