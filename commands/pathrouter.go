package commands

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"whybot/commands/capture"
	"whybot/runners"
)

// IPv6 modes of a subnet, as Neutron names them.
const (
	ModeSLAAC     = "slaac"
	ModeStateful  = "dhcpv6-stateful"
	ModeStateless = "dhcpv6-stateless"
)

// RouterDevice returns the namespace end of a router port.
func RouterDevice(portID string) string { return "qr-" + head(portID) }

// addRouters adds the branches of the routers that advertise to the guest: a
// guest learns from them how to get an IPv6 address, whatever the mode.
func (p *Path) addRouters(a runners.Attachment) {
	var ours, foreign []runners.Subnet
	for _, s := range a.OwnSubnets() {
		switch {
		case s.IPVersion != 6:
		case s.RAMode == "":
			foreign = append(foreign, s)
		default:
			ours = append(ours, s)
		}
	}
	routers := RouterPortsOf(a, ours)
	for _, port := range routers {
		p.addRouter(a, port, ours)
	}
	if len(ours) > 0 && len(routers) == 0 {
		p.addBeyond(runners.Port{}, ours, "Neutron shows no router on "+a.Network.Name)
	}
	if len(foreign) > 0 {
		p.addBeyond(runners.Port{}, foreign, "the router of "+foreign[0].CIDR+" is not Neutron's")
	}
	for i := range p.Branches {
		p.Branches[i].others = a.RouterPorts
	}
}

// RouterPortsOf returns the router ports that have an address in one of subnets.
func RouterPortsOf(a runners.Attachment, subnets []runners.Subnet) []runners.Port {
	return slices.DeleteFunc(slices.Clone(a.RouterPorts), func(port runners.Port) bool {
		return !slices.ContainsFunc(port.FixedIPs, func(ip runners.FixedIP) bool {
			return slices.ContainsFunc(subnets, func(s runners.Subnet) bool { return s.ID == ip.SubnetID })
		})
	})
}

// addRouter adds the branch of one router port.
func (p *Path) addRouter(a runners.Attachment, port runners.Port, subnets []runners.Subnet) {
	nodeName := port.HostID.Or("")
	if nodeName == "" {
		p.addBeyond(port, subnets, fmt.Sprintf("the node of router port %s is not known (%s)", port.ID, cmp.Or(port.HostID.Why(), "it is bound to no host")))
		return
	}
	p.Branches = append(p.Branches, Branch{
		Node: nodeName, Exchanges: []Exchange{capture.RA}, Port: port, Local: nodeName == p.Node,
		Agent: runners.NotKnown[runners.Agent]("a router is not run by a DHCP agent"),
		Hops:  p.hopsTo(port, RouterDevice(port.ID), Radvd, a),
		Makes: makes(subnets),
	})
}

// addBeyond adds the branch of a router that cannot be looked at: the guest's
// part of the path is all there is to follow. One such is enough for routers
// without a port, which cannot be told apart.
func (p *Path) addBeyond(port runners.Port, subnets []runners.Subnet, why string) {
	if port.ID == "" && slices.ContainsFunc(p.Branches, func(b Branch) bool { return b.Beyond != "" && b.Port.ID == "" }) {
		return
	}
	p.Branches = append(p.Branches, Branch{
		Beyond: why, Exchanges: []Exchange{capture.RA}, Port: port, Makes: makes(subnets),
		Agent: runners.NotKnown[runners.Agent](why), Hops: []Hop{{Device: Router, Kind: HopServer}},
	})
}

// makes returns the subnets in which guests make their own addresses.
func makes(subnets []runners.Subnet) []netip.Prefix {
	var all []netip.Prefix
	for _, s := range subnets {
		if p, err := netip.ParsePrefix(s.CIDR); err == nil && (s.AddressMode == ModeSLAAC || s.AddressMode == ModeStateless) {
			all = append(all, p.Masked())
		}
	}
	return all
}

// routersOn returns the ids of the routers on a node that advertise.
func (p *Path) routersOn(nodeName string) []string {
	var ids []string
	for _, b := range p.Branches {
		if b.Node == nodeName && b.Runs(Radvd) {
			ids = appendNew(ids, b.Port.DeviceID)
		}
	}
	return ids
}
