package diagnose

import (
	"context"
	"fmt"
	"slices"

	"whybot/commands"
	"whybot/runners"
)

// NotRouted is PING-10: the two are on different networks that no router joins.
var NotRouted = register(&commands.Diagnosis{
	Name:  "PING-10",
	Title: "The two VMs are on different networks without a common router",
	Doc: `The ports are on different networks of Neutron, and no router has an interface on
both. That is proven only for an account that is shown everybody's ports. Provider
networks may be joined by a router that is not Neutron's: then it is probable.`,
	Explains: aboutPing,
	Run: func(_ context.Context, p *commands.Pass) error {
		own, peer := p.Port, p.Peer.Port
		if own.Network.ID == peer.Network.ID {
			p.Good(commands.Hop{}, "both are on network "+own.Network.Name, "neutron: GET ports")
			return nil
		}
		for _, r := range own.RouterPorts {
			if slices.ContainsFunc(peer.RouterPorts, func(o runners.Port) bool { return o.DeviceID == r.DeviceID }) {
				p.Good(commands.Hop{}, fmt.Sprintf("router %s has a port on both networks", r.DeviceID), "neutron: GET ports")
				return nil
			}
		}
		f := commands.Finding{
			State: commands.Proven,
			Summary: fmt.Sprintf("%s is on %s and %s on %s, and no router of Neutron has a port on both",
				p.Server.Name, own.Network.Name, p.Peer.Server.Name, peer.Network.Name),
			Evidence: []commands.Evidence{{Source: "neutron: GET ports of both networks", Text: routersOf(own) + routersOf(peer)}},
			Advice:   []string{"If they are meant to reach one another: openstack router add subnet ROUTER SUBNET, for a router that is on the other network."},
		}
		_, all := own.DHCPAgents.Get()
		physical := own.Network.PhysicalNet.Or("?") != "" || peer.Network.PhysicalNet.Or("?") != ""
		switch {
		case !all:
			f.State, f.Missing = commands.Probable, "the routers of other projects, which whybot's account is not shown"
		case physical:
			f.State, f.Missing = commands.Probable, "whether a router of the physical network joins the two: one of them is a provider network"
		}
		p.Report(f)
		return nil
	},
})

func routersOf(a runners.Attachment) string {
	text := "network " + a.Network.Name + ": routers "
	var ids []string
	for _, r := range a.RouterPorts {
		ids = append(ids, r.DeviceID)
	}
	return text + listOr(ids, "none") + "\n"
}
