package diagnose

import (
	"context"
	"fmt"

	"whybot/commands"
)

// GroupVLAN is DHCP-20: the port group under a node does not carry the network's
// VLAN.
var GroupVLAN = register(&commands.Diagnosis{
	Name:  "DHCP-20",
	Title: "The port group under the node does not carry the VLAN",
	Doc: `The node is a VMware virtual machine, its frames have the network's tag, and the
port group is no trunk with that id in it. The frames are seen on the node's NIC
and not on the other node's, and frames of the node's own address on that VLAN are
lost as well: with forged transmits rejected those would arrive.`,
	Explains: alongTheWay,
	Run: func(_ context.Context, p *commands.Pass) error {
		id, ok := p.Port.Network.SegmentationID.Get()
		if !ok || p.Port.Network.Type.Or("") != "vlan" {
			return nil
		}
		var found []commands.Finding
		for _, c := range crossings(p) {
			if c.direction == commands.Reply {
				continue // what stops replies for this stops requests before
			}
			if v, ok := p.VSwitchPort(c.from.Node); ok && v.Err == nil {
				found = append(found, carried(p, c, v, c.out(v), id)...)
			}
			if v, ok := p.VSwitchPort(c.to.Node); ok && v.Err == nil {
				found = append(found, carried(p, c, v, c.in(v), id)...)
			}
		}
		for _, f := range wholePath(p, found) {
			p.Report(f)
		}
		return nil
	},
})

func carried(p *commands.Pass, c crossing, v commands.VSwitchPort, edge commands.Edge, id int) []commands.Finding {
	vlans, known := v.Card.Group.VLANs.Get()
	switch {
	case !known || c.crossed(p):
		return nil
	case vlans.Carries(id):
		p.Good(v.Hop, fmt.Sprintf("%s carries VLAN %d", where(v), id), "vCenter")
		return nil
	}
	f := commands.Finding{
		Node: v.NIC.Node, Branch: c.branch.Node, Edge: edge, Evidence: c.lines(p, v),
		Summary: fmt.Sprintf("%s does not carry VLAN %d of network %s (%s)", where(v), id, p.Port.Network.Name, vlanText(vlans)),
		Advice:  []string{fmt.Sprintf("In vCenter have %s carry VLAN %d%s: a distributed port group as a trunk with it in a range, a standard one with VLAN 4095.", where(v), id, everyHost(v))},
	}
	missing := ""
	switch own, _ := c.own(p); {
	case !c.lost(p):
		missing = "frames that leave " + c.from.String() + " and do not arrive at " + c.to.String()
	case own == commands.ControlPassed:
		missing = "how frames of " + c.from.Node + "'s own address get through on this VLAN all the same"
	case own == commands.ControlUnknown:
		missing = "whether frames of " + c.from.Node + "'s own address are lost on this VLAN as well"
	}
	return []commands.Finding{firmly(f, missing)}
}
