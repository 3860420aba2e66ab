package fix

import (
	"fmt"
	"slices"

	"whybot/commands"
	"whybot/runners"
)

// AcceptForged lets a node send for its guests.
var AcceptForged = register(&commands.Fix{
	Name: "accept-forged",
	Doc: `Set forged transmits of the port group under the node to accept; of a standard
switch on every host of the cluster.

Whatever else the port group is set to stays. It is not offered while spanning tree
is on on a bridge behind the NIC: its frames would get out, too, and a physical switch
with BPDU guard shuts the host's port for them. Undo puts the policy back as it was,
what was inherited included.`,
	Class: commands.F1,
	Title: func(s commands.Suggestion) string { return "Accept forged transmits under " + s.Node },
	Plan: func(p *commands.Pass, s commands.Suggestion) ([]commands.Step, error) {
		return planSecurity(p, s.Node, func(to *runners.VSecurity) { to.Forged = new(true) })
	},
	Touches: func(p *commands.Pass, s commands.Suggestion) []string {
		return touched(p, s.Node, "may send under any address")
	},
})

// LearnAddresses lets frames in that are addressed to a node's guests, and no
// others.
var LearnAddresses = register(&commands.Fix{
	Name: "learn-addresses",
	Doc: `Turn MAC learning on for the distributed port group under the node, with unicast
flooding and room for 4096 addresses a port.

Promiscuous mode stays off, so no machine sees what is not for it. Undo puts the
policy back as it was.`,
	Class: commands.F1,
	Title: func(s commands.Suggestion) string { return "Turn MAC learning on under " + s.Node },
	Plan: func(p *commands.Pass, s commands.Suggestion) ([]commands.Step, error) {
		if v, ok := p.VSwitchPort(s.Node); ok && v.Card.Group.Kind != runners.DistributedSwitch {
			return nil, &commands.Error{Code: commands.CodeInvalid, Public: "A standard switch learns no addresses."}
		}
		return planSecurity(p, s.Node, func(to *runners.VSecurity) {
			to.Forged = new(true)
			to.Learning = &runners.VLearningRule{Enabled: true, Flooding: new(true), Limit: new(int32(4096)), Policy: "DROP"}
		})
	},
	Touches: func(p *commands.Pass, s commands.Suggestion) []string {
		return touched(p, s.Node, "may send and receive under up to 4096 addresses")
	},
})

// AcceptBoth is the older way: forged transmits and promiscuous mode.
var AcceptBoth = register(&commands.Fix{
	Name: "accept-promiscuous",
	Doc: `Set promiscuous mode and forged transmits of the port group under the node to accept;
of a standard switch on every host of the cluster.

It works on every switch, and it costs: every machine on the port group sees all of
its traffic, and the hosts copy it to each. With more than one active uplink frames
come back to the node that sent them, so it is not offered there. Undo puts the
policy back as it was.`,
	Class: commands.F1,
	Title: func(s commands.Suggestion) string {
		return "Accept promiscuous mode and forged transmits under " + s.Node
	},
	Plan: func(p *commands.Pass, s commands.Suggestion) ([]commands.Step, error) {
		v, _ := p.VSwitchPort(s.Node)
		if active, known := v.Card.Group.Active.Get(); !known || len(active) > 1 {
			return nil, &commands.Error{
				Code: commands.CodeInvalid, Public: "Promiscuous mode with more than one active uplink, or with uplinks that are not known, brings frames back to the node that sent them.",
				Hint: "Set /Net/ReversePathFwdCheckPromisc to 1 on the hosts, or leave the port group one active uplink.",
			}
		}
		return planSecurity(p, s.Node, func(to *runners.VSecurity) { to.Forged, to.Promiscuous = new(true), new(true) })
	},
	Touches: func(p *commands.Pass, s commands.Suggestion) []string {
		return touched(p, s.Node, "may send under any address, and sees all traffic of the port group")
	},
})

// planSecurity is the change of the port group under a node, on every host that
// the node may run on.
func planSecurity(p *commands.Pass, nodeName string, change func(*runners.VSecurity)) ([]commands.Step, error) {
	groups, err := groupsUnder(p, nodeName)
	if err != nil {
		return nil, err
	}
	if err := noSpanningTree(p, nodeName); err != nil {
		return nil, err
	}
	var steps []commands.Step
	for _, g := range groups {
		own, known := g.Own.Get()
		if !known || g.Ref == (runners.CloudRef{}) {
			return nil, notPlanned("The policy of port group " + g.Name + " cannot be changed by whybot: " + g.Own.Why() + ".")
		}
		to := own
		to.Inherited = false
		change(&to)
		if to.JSON() == own.JSON() {
			continue // as it should be already
		}
		at := fmt.Sprintf("vCenter: port group %s of %s", runners.DisplayQuote(g.Name), runners.DisplayQuote(g.Switch))
		if g.Host != "" {
			at += " on " + runners.DisplayQuote(g.Host)
		}
		steps = append(steps, commands.Step{Kind: setSecurity.Name, Args: map[string]string{
			"kind": g.Ref.Kind, "id": g.Ref.ID, "from": own.JSON(), "to": to.JSON(), "version": g.Version,
			"shown": at + ": " + policyText(to), "unshown": at + ": " + policyText(own),
		}})
	}
	if len(steps) == 0 {
		return nil, notPlanned("The port group itself is set so already.")
	}
	return steps, nil
}

func notPlanned(why string) error {
	return &commands.Error{Code: commands.CodeInvalid, Public: why}
}

// groupsUnder are the port groups that have to be alike: the one under a node, and
// of a standard switch those of its name on the other hosts.
func groupsUnder(p *commands.Pass, nodeName string) ([]runners.VGroup, error) {
	v, ok := p.VSwitchPort(nodeName)
	switch {
	case !ok:
		return nil, notPlanned("No virtual switch is known under " + nodeName + ".")
	case v.Err != nil:
		return nil, notPlanned("The virtual switch under " + nodeName + " could not be read.")
	case v.Card.Group.Kind != runners.StandardSwitch && v.Card.Group.Kind != runners.DistributedSwitch:
		return nil, notPlanned("The switch under " + nodeName + " is not vCenter's own: whoever manages it, such as NSX, has to change it.")
	case v.Card.Group.Forged.From == "port" || v.Card.Group.Promiscuous.From == "port":
		return nil, notPlanned("The port of " + nodeName + " has a policy of its own, which the port group's does not change.")
	}
	others, known := v.Card.Elsewhere.Get()
	if !known {
		return nil, notPlanned("The port groups on the other hosts that " + nodeName + " may run on are not known: " + v.Card.Elsewhere.Why() + ".")
	}
	present := slices.DeleteFunc(slices.Clone(others), func(g runners.VGroup) bool { return g.Missing })
	return append([]runners.VGroup{v.Card.Group}, present...), nil
}

// noSpanningTree refuses while a bridge behind the NIC speaks it.
func noSpanningTree(p *commands.Pass, nodeName string) error {
	v, _ := p.VSwitchPort(nodeName)
	links, err := p.Links(nodeName)
	if err != nil {
		return notPlanned("Whether spanning tree is on on " + nodeName + " could not be read.")
	}
	for _, l := range links {
		if l.Name != v.NIC.Device && l.Parent != v.NIC.Device || l.Master == "" {
			continue
		}
		if bridge := links[l.Master]; bridge.STP != "0" {
			return &commands.Error{
				Code:   commands.CodeInvalid,
				Public: fmt.Sprintf("Spanning tree is on, or not known to be off, on %s of %s: its frames would reach the physical switch, whose BPDU guard shuts the host's port.", l.Master, nodeName),
				Hint:   "Switch it off there first: ip link set dev " + l.Master + " type bridge stp_state 0",
			}
		}
	}
	return nil
}

// touched says who else is on the port group.
func touched(p *commands.Pass, nodeName, what string) []string {
	v, _ := p.VSwitchPort(nodeName)
	g := v.Card.Group
	lines := []string{fmt.Sprintf("Every machine on port group %s of %s %s: it should be the nodes' own.", commands.Clean(g.Name, 80), commands.Clean(g.Switch, 80), what)}
	if others, _ := v.Card.Elsewhere.Get(); slices.ContainsFunc(others, func(g runners.VGroup) bool { return g.Missing }) {
		lines = append(lines, "Some hosts of the cluster have no port group of this name: the node has no network there.")
	}
	return lines
}
