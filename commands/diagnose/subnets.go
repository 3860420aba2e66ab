package diagnose

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"whybot/commands"
	"whybot/commands/capture"
	"whybot/commands/fix"
	"whybot/commands/node"
	"whybot/runners"
)

// DHCPOff is DHCP-13: Neutron is told not to serve this port by DHCP.
var DHCPOff = register(&commands.Diagnosis{
	Name:  "DHCP-13",
	Title: "Neutron is told not to serve this port by DHCP",
	Doc: `enable_dhcp is off for every subnet that the port has an address in, of IPv4 where
it has any, the port has no address at all, or the network is set down. Where
Neutron has no DHCP port in such a subnet, another server may be meant to serve
it: then it is only probable, unless the guest was seen to ask in vain. A VM with
another port that is served is not asked about: such a port is meant to be so.`,
	Explains: []commands.Kind{commands.KindDHCP},
	Probes: func(s commands.Scope) []runners.Probe {
		if !s.Serves {
			return nil
		}
		return []runners.Probe{node.DnsmasqProbe()}
	},
	Run: func(_ context.Context, p *commands.Pass) error {
		if f, ok := networkDown(p); ok {
			p.Report(f)
		}
		if f, ok := portUnserved(p); ok {
			p.Report(f)
			return nil
		}
		p.Good(commands.Hop{}, "DHCP is on for the port's subnets", "neutron: GET subnets")
		return nil
	},
})

func networkDown(p *commands.Pass) (commands.Finding, bool) {
	n := p.Port.Network
	f := commands.Finding{
		State: commands.Proven, Causes: []string{"DHCP-09", "DHCP-12"},
		Summary:  fmt.Sprintf("Network %s is set down (admin_state_up false): its DHCP agents end their dnsmasq", n.Name),
		Evidence: []commands.Evidence{{Source: "neutron: GET networks/" + n.ID, Text: `"admin_state_up": false` + "\n"}},
		Fixes:    []commands.Suggestion{{Fix: fix.NetworkUp, Args: map[string]string{"id": n.ID, "name": n.Name}}},
	}
	unlessServed(p, &f)
	return f, !n.AdminUp
}

// portUnserved is the finding for a port that no subnet serves by DHCP.
func portUnserved(p *commands.Pass) (commands.Finding, bool) {
	f := commands.Finding{State: commands.Proven, Causes: []string{"DHCP-09", "DHCP-10", "DHCP-12"}}
	if len(p.Port.Port.FixedIPs) == 0 {
		f.Summary = fmt.Sprintf("Port %s has no address in Neutron, so DHCP has none to give", p.Port.Port.ID)
		f.Evidence = []commands.Evidence{{Source: "neutron: GET ports", Text: `"fixed_ips": []` + "\n"}}
		f.Advice = []string{"Give it one: openstack port set --fixed-ip subnet=SUBNET " + p.Port.Port.ID}
		return f, true
	}
	concerned, family := concernedSubnets(p.Port)
	if len(concerned) == 0 || slices.ContainsFunc(concerned, func(s runners.Subnet) bool { return s.DHCP }) {
		return f, false // none: the subnets of its addresses are not shown to this role
	}
	var listed strings.Builder
	for _, s := range concerned {
		fmt.Fprintf(&listed, "%s %s: enable_dhcp false\n", s.ID, s.CIDR)
		f.Fixes = append(f.Fixes, commands.Suggestion{Fix: fix.EnableDHCP, Args: map[string]string{"id": s.ID, "cidr": s.CIDR}})
	}
	f.Summary = fmt.Sprintf("DHCP is off for %s, the only %ssubnet of port %s (enable_dhcp false)", concerned[0].CIDR, family, p.Port.Port.ID)
	if len(concerned) > 1 {
		f.Summary = fmt.Sprintf("DHCP is off for all %d %ssubnets of port %s (enable_dhcp false)", len(concerned), family, p.Port.Port.ID)
	}
	f.Evidence = []commands.Evidence{{Source: "neutron: GET subnets", Text: listed.String()}}
	f.Advice = []string{"If another DHCP server is meant to serve it, leave it off: whybot does not know that server, look at it instead."}
	if len(p.Port.Served(6)) > 0 {
		f.Exchange = capture.DHCP // IPv6 goes its own way
	}
	unlessServed(p, &f)
	unlessMeant(p, &f, concerned)
	return f, true
}

// concernedSubnets are those that the port is to be served in: of IPv4, or where
// it has none all of its. family names them where the port has others too.
func concernedSubnets(a runners.Attachment) (concerned []runners.Subnet, family string) {
	own := a.OwnSubnets()
	v4 := slices.DeleteFunc(slices.Clone(own), func(s runners.Subnet) bool { return s.IPVersion != 4 })
	switch len(v4) {
	case 0:
		return own, ""
	case len(own):
		return own, ""
	}
	return v4, "IPv4 "
}

// unlessMeant makes a finding that Neutron does not serve these subnets less
// sure where another server may be meant to: Neutron has none of its own in
// them, and the guest was not seen to ask in vain.
func unlessMeant(p *commands.Pass, f *commands.Finding, subnets []runners.Subnet) {
	for _, port := range p.Port.DHCPPorts {
		for _, ip := range port.FixedIPs {
			if slices.ContainsFunc(subnets, func(s runners.Subnet) bool { return s.ID == ip.SubnetID }) {
				return
			}
		}
	}
	f.State, f.Missing = commands.Probable, "whether another DHCP server is meant to serve it: none was listened for"
	tap, ok := p.Path.Tap()
	if !ok || p.Packets == nil || !listened(p, tap) {
		return
	}
	asked := 0
	for _, frame := range p.Packets.Seen[tap].Frames {
		switch {
		case frame.Exchange.V6() != (subnets[0].IPVersion == 6):
		case frame.Reply:
			f.Missing = fmt.Sprintf("whether the server that answers the guest (%s, %s) is the one meant to", frame.Src, frame.SrcMAC)
			return
		default:
			asked++
		}
	}
	if asked == 0 {
		f.Missing = "whether another DHCP server is meant to serve it: the guest did not ask while whybot listened"
		return
	}
	f.State, f.Missing = commands.Proven, ""
	f.Summary += fmt.Sprintf("; nobody answered what the guest asked while whybot listened (%d)", asked)
	f.Evidence = append(f.Evidence, p.Frames(tap))
}

// PoolExhausted is DHCP-14: a subnet has no address left for the DHCP server's
// own port, or for the guest's.
var PoolExhausted = register(&commands.Diagnosis{
	Name:  "DHCP-14",
	Title: "The subnet has no address left to give",
	Doc: `Every address of the allocation pools is taken, and the DHCP agent has no port on
the network (it needs an address of its own), or the guest's port has none. A full
subnet in which both have theirs harms nobody who is there. Addresses that are
known to lie outside of the pools are not counted.`,
	Explains: []commands.Kind{commands.KindDHCP},
	Run: func(_ context.Context, p *commands.Pass) error {
		lacking := ""
		switch {
		case len(p.Port.Port.FixedIPs) == 0:
			lacking = "the guest's port has none"
		case serverLacksIPv4(p.Port):
			lacking = "the DHCP agent's own port could not get one, so nobody serves the network"
		default:
			return nil
		}
		use, known := p.Port.Use.Get()
		if !known {
			return &runners.Error{Kind: runners.Hidden, Runner: "openstack", Target: "neutron", Op: "how full the subnets are", Hint: p.Port.Use.Why()}
		}
		full, listed := fullSubnets(p.Port, use)
		if len(full) == 0 {
			return nil
		}
		p.Report(commands.Finding{
			State: commands.Proven, Causes: []string{"DHCP-13", "DHCP-12", "DHCP-09", "DHCP-10"},
			Summary:  fmt.Sprintf("No address is left in %s, and %s", strings.Join(full, ", "), lacking),
			Evidence: []commands.Evidence{{Source: "neutron: GET network-ip-availabilities/" + p.Port.Network.ID, Text: listed}},
			Advice: []string{
				"Look for ports that nobody uses any more: openstack port list --network " + p.Port.Network.ID + " --long (DOWN, without a device).",
				"Or widen the pools: openstack subnet set --allocation-pool start=FIRST,end=LAST SUBNET",
			},
		})
		return nil
	},
})

// serverLacksIPv4 reports whether IPv4 is to be served and no DHCP port has an
// address of it.
func serverLacksIPv4(a runners.Attachment) bool {
	return len(a.Served(4)) > 0 && !slices.ContainsFunc(a.DHCPPorts, func(port runners.Port) bool {
		return slices.ContainsFunc(port.FixedIPs, func(ip runners.FixedIP) bool {
			addr, err := netip.ParseAddr(ip.Address)
			return err != nil || addr.Is4() // what is not understood is no proof
		})
	})
}

// fullSubnets returns the IPv4 subnets that have no address left, of those that
// the port is in, or of all when it is in none; nothing when one of them has.
func fullSubnets(a runners.Attachment, use map[string]runners.AddressUse) (full []string, listed string) {
	subnets := a.OwnSubnets()
	if len(subnets) == 0 {
		subnets = a.Subnets
	}
	var b strings.Builder
	for _, s := range subnets {
		u, ok := use[s.ID]
		if s.IPVersion != 4 || !s.DHCP && len(a.Port.FixedIPs) > 0 || !ok {
			continue
		}
		outside := outsidePools(a, s)
		if u.Total == 0 || u.Used < u.Total+outside {
			return nil, ""
		}
		full = append(full, fmt.Sprintf("%s (%d of %d taken)", s.CIDR, u.Used-outside, u.Total))
		fmt.Fprintf(&b, "%s %s: used_ips %d, total_ips %d, known to be outside of the pools %d\n", s.ID, s.CIDR, u.Used, u.Total, outside)
	}
	return full, b.String()
}

// outsidePools counts the addresses of known ports in a subnet that its pools do
// not have: Neutron counts them as used all the same.
func outsidePools(a runners.Attachment, s runners.Subnet) uint64 {
	n := uint64(0)
	for _, port := range slices.Concat([]runners.Port{a.Port}, a.DHCPPorts, a.RouterPorts) {
		for _, ip := range port.FixedIPs {
			if addr, err := netip.ParseAddr(ip.Address); ip.SubnetID == s.ID && err == nil && !inPools(addr, s.Pools) {
				n++
			}
		}
	}
	return n
}

func inPools(addr netip.Addr, pools []runners.Pool) bool {
	return slices.ContainsFunc(pools, func(p runners.Pool) bool {
		from, err1 := netip.ParseAddr(p.Start)
		to, err2 := netip.ParseAddr(p.End)
		return err1 == nil && err2 == nil && addr.Compare(from) >= 0 && addr.Compare(to) <= 0
	})
}
