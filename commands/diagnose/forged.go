package diagnose

import (
	"context"
	"errors"
	"fmt"

	"whybot/commands"
	"whybot/commands/fix"
)

// ForgedTransmits is DHCP-05: the virtual switch below a node drops what the node
// sends for others.
var ForgedTransmits = register(&commands.Diagnosis{
	Name:  "DHCP-05",
	Title: "The port group under the node rejects forged transmits",
	Doc: `The node is a VMware virtual machine whose port drops frames with another source
address than the card's: every guest's. The frames are seen on the node's NIC and
not on the other node's. A VLAN that ends on the way looks the same, so frames of
the node's own address are sent along: they arrive, the guest's do not. Without
vCenter it is probable only.`,
	Explains: alongTheWay,
	Run: func(_ context.Context, p *commands.Pass) error {
		var found []commands.Finding
		for _, c := range crossings(p) {
			if v, ok := p.VSwitchPort(c.from.Node); ok {
				found = append(found, forged(p, c, v)...)
			}
		}
		for _, f := range wholePath(p, found) {
			p.Report(f)
		}
		return errors.Join(unreadSwitches(p)...)
	},
})

func forged(p *commands.Pass, c crossing, v commands.VSwitchPort) []commands.Finding {
	allowed, known := v.Card.Group.Forged.Allowed.Get()
	known = known && v.Err == nil
	f := commands.Finding{Node: c.from.Node, Branch: c.branch.Node, Edge: c.out(v), Evidence: c.lines(p, v)}
	switch {
	case c.crossed(p):
		return nil
	case known && allowed:
		p.Good(v.Hop, where(v)+" accepts forged transmits", "vCenter")
		return nil
	case !known:
		if own, _ := c.own(p); !c.lost(p) || own != commands.ControlPassed || c.toOne(p) && !delivers(p, c) {
			return nil // DHCP-06 says it, with this as what is missing
		}
		f.Summary = fmt.Sprintf("Frames of %s's own address reach %s and the guests' do not, as where a virtual switch rejects forged transmits", c.from.Node, c.to.Node)
		return []commands.Finding{firmly(f, "forged transmits of the port group under "+c.from.Node+": "+why(v, v.Card.Group.Forged.Allowed.Why()))}
	}
	f.Summary = fmt.Sprintf("%s rejects forged transmits (set at the %s): it drops what %s sends for guests and servers", where(v), v.Card.Group.Forged.From, c.from.Node)
	f.Advice = forgedAdvice(v)
	f.Fixes = []commands.Suggestion{{Fix: fix.AcceptForged, Node: c.from.Node}, {Fix: fix.AcceptBoth, Node: c.from.Node}}
	if !c.lost(p) {
		return []commands.Finding{firmly(f, "frames of the guest that leave "+c.from.String()+" and do not arrive at "+c.to.String())}
	}
	return []commands.Finding{firmly(f, c.withoutOwn(p))}
}

// forgedAdvice is what to do in vCenter.
func forgedAdvice(v commands.VSwitchPort) []string {
	return []string{
		"In vCenter set Forged transmits of " + where(v) + " to Accept" + everyHost(v) + ". Any machine on that port group may then send under any address: a port group of the nodes' own keeps that to them.",
		"Before that see that spanning tree is off on every bridge behind that NIC: once their frames get out, so do BPDUs, and a physical switch with BPDU guard shuts the host's port.",
	}
}

// everyHost says that a standard switch is each host's own.
func everyHost(v commands.VSwitchPort) string {
	if v.Card.Group.Host == "" {
		return ""
	}
	return ", on every host that the machine may run on"
}
