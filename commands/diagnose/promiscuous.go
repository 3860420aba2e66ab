package diagnose

import (
	"cmp"
	"context"
	"fmt"

	"whybot/commands"
	"whybot/commands/fix"
	"whybot/commands/node"
	"whybot/runners"
)

// NoWayIn is DHCP-06: the virtual switch delivers nothing that is addressed to a
// guest.
var NoWayIn = register(&commands.Diagnosis{
	Name:  "DHCP-06",
	Title: "The port group does not deliver frames addressed to guests",
	Doc: `The node is a VMware virtual machine whose port takes frames to the card's own
address and to all: promiscuous mode is rejected and there is no MAC learning.
What goes to all arrives, and what goes to the guest is seen on the sender's NIC
and not on this node's. A sender whose port group rejects forged transmits looks
the same and comes first (DHCP-05); frames of the sender's own address tell it from
a VLAN that ends on the way.`,
	Explains: alongTheWay,
	Run: func(_ context.Context, p *commands.Pass) error {
		var found []commands.Finding
		for _, c := range crossings(p) {
			if v, ok := p.VSwitchPort(c.to.Node); ok {
				found = append(found, wayIn(p, c, v)...)
			}
		}
		for _, f := range wholePath(p, found) {
			p.Report(f)
		}
		return nil
	},
})

func wayIn(p *commands.Pass, c crossing, v commands.VSwitchPort) []commands.Finding {
	missing := wayInMissing(p, c)
	f := commands.Finding{Node: c.to.Node, Branch: c.branch.Node, Edge: c.in(v), Evidence: c.lines(p, v)}
	switch {
	case c.crossed(p), c.direction == commands.Request && p.Peer == nil: // a guest that wants an address asks all
		return nil
	case missing == "" && !shut(v):
		p.Good(v.Hop, where(v)+" delivers frames to guests", "vCenter")
		return nil
	case missing != "":
		if own, _ := c.own(p); !c.lost(p) || !c.toOne(p) || own != commands.ControlPassed || senderRejects(p, c) {
			return nil
		}
		f.Summary = fmt.Sprintf("Frames to all reach %s and frames to its guests do not, as where a virtual switch neither is promiscuous nor learns addresses", c.to.Node)
		return []commands.Finding{firmly(f, missing)}
	}
	f.Summary = fmt.Sprintf("%s rejects promiscuous mode (set at the %s) and learns no addresses: frames to guests of %s are not delivered", where(v), v.Card.Group.Promiscuous.From, c.to.Node)
	f.Advice = wayInAdvice(v)
	if v.Card.Group.Kind == runners.DistributedSwitch {
		f.Fixes = []commands.Suggestion{{Fix: fix.LearnAddresses, Node: c.to.Node}}
	}
	f.Fixes = append(f.Fixes, commands.Suggestion{Fix: fix.AcceptBoth, Node: c.to.Node})
	if !c.toOne(p) || !c.lost(p) {
		return []commands.Finding{firmly(f, "frames to the guest that leave "+c.from.String()+" and do not arrive at "+c.to.String())}
	}
	return []commands.Finding{firmly(f, cmp.Or(senderMissing(p, c), c.withoutOwn(p)))}
}

// shut reports whether a port that was read lets no frame in that is addressed to
// a guest.
func shut(v commands.VSwitchPort) bool {
	return !v.Card.Group.Promiscuous.Allowed.Or(false) && !v.Card.Group.Learning.Or(runners.VLearning{}).Enabled
}

// delivers reports whether the receiver's side is known to take frames to guests.
func delivers(p *commands.Pass, c crossing) bool {
	v, ok := p.VSwitchPort(c.to.Node)
	return wayInMissing(p, c) == "" && (!ok || !shut(v))
}

// wayInMissing is what is not known of whether the receiver's switch delivers
// frames to guests; empty when it is, or when there is no such switch.
func wayInMissing(p *commands.Pass, c crossing) string {
	v, ok := p.VSwitchPort(c.to.Node)
	if !ok {
		return notVirtual(p, c.to.Node)
	}
	g := v.Card.Group
	_, promiscuous := g.Promiscuous.Allowed.Get()
	_, learning := g.Learning.Get()
	if v.Err == nil && (promiscuous && learning || !shut(v)) {
		return ""
	}
	return "promiscuous mode and MAC learning of the port group under " + c.to.Node + ": " + why(v, cmp.Or(g.Promiscuous.Allowed.Why(), g.Learning.Why()))
}

// notVirtual is what is missing where a node could not be asked what it is.
func notVirtual(p *commands.Pass, nodeName string) string {
	if _, err := p.Text(nodeName, node.VendorProbe().Name); err != nil {
		return "whether " + nodeName + " is a virtual machine"
	}
	return ""
}

// senderRejects reports whether the sender's switch is known to drop what it
// sends for others.
func senderRejects(p *commands.Pass, c crossing) bool {
	v, ok := p.VSwitchPort(c.from.Node)
	return ok && v.Err == nil && !v.Card.Group.Forged.Allowed.Or(true)
}

// senderMissing is what is not known of the sender's own switch, which would come
// first; empty when it lets the frames out, or when there is none.
func senderMissing(p *commands.Pass, c crossing) string {
	v, ok := p.VSwitchPort(c.from.Node)
	switch {
	case !ok:
		return notVirtual(p, c.from.Node)
	case senderRejects(p, c):
		return "whether they get out of the switch under " + c.from.Node + ", whose port group rejects forged transmits"
	case v.Err == nil && v.Card.Group.Forged.Allowed.Or(false):
		return ""
	}
	return "forged transmits of the port group under " + c.from.Node + ": " + why(v, v.Card.Group.Forged.Allowed.Why())
}

// wayInAdvice is what to do in vCenter, the better way first.
func wayInAdvice(v commands.VSwitchPort) []string {
	var all []string
	if v.Card.Group.Host == "" {
		all = append(all, "In vCenter turn MAC learning on for "+where(v)+", with unicast flooding, limit 4096: distributed switches 6.6 and later have it.")
	}
	last := "Or set Promiscuous mode of " + where(v) + " to Accept" + everyHost(v) + ": every machine on that port group then sees all of its traffic."
	if active, known := v.Card.Group.Active.Get(); !known || len(active) > 1 {
		last += " With several active uplinks frames come back to the node that sent them, unless the hosts have /Net/ReversePathFwdCheckPromisc set."
	}
	return append(all, last)
}
