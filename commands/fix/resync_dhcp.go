package fix

import (
	"fmt"
	"net/netip"

	"whybot/commands"
)

// ResyncDHCP makes a DHCP agent build its network anew. Args: device (ns-…),
// address (of the guest's, where it is about one).
var ResyncDHCP = register(&commands.Fix{
	Name: "resync-dhcp",
	Doc: `Take the network off its DHCP agent and put it back.

The agent then writes the host file and starts dnsmasq anew. For some seconds
this server answers nobody on the network; leases that are held stay held. It
needs a live agent, and it ends as it began, so there is nothing to undo.`,
	Class: commands.F2,
	Title: func(s commands.Suggestion) string {
		return fmt.Sprintf("Resync the network on the DHCP agent of %s", s.Node)
	},
	Plan: func(p *commands.Pass, s commands.Suggestion) ([]commands.Step, error) {
		agent, err := liveAgent(p, s.Node)
		if err != nil {
			return nil, err
		}
		address, ok := given(p, s)
		if !ok {
			return nil, &commands.Error{Code: commands.CodeInvalid, Public: "The port has no address that DHCP could give."}
		}
		return []commands.Step{{
			Kind: resync.Name, Node: s.Node,
			Args: map[string]string{
				"agent": agent, "network": p.Port.Network.ID, "device": s.Args["device"],
				"mac": p.Port.Port.MAC, "address": address,
			},
		}}, nil
	},
	Touches: func(p *commands.Pass, s commands.Suggestion) []string {
		return []string{fmt.Sprintf("All of network %s: its DHCP server on %s is away for some seconds.", p.Port.Network.Name, s.Node)}
	},
})

// given returns the address of the guest's that must stand in the host file
// afterwards: the one that the suggestion is about, else that of IPv4, else one
// that DHCPv6 gives. A guest that gets only options there has none.
func given(p *commands.Pass, s commands.Suggestion) (address string, ok bool) {
	if address = s.Args["address"]; address != "" {
		return address, true
	}
	for _, ip := range p.Port.Port.FixedIPs {
		if addr, err := netip.ParseAddr(ip.Address); err == nil && addr.Is4() {
			return ip.Address, true
		}
	}
	for _, subnet := range p.Port.Served(6) {
		ok = ok || subnet.AddressMode == commands.ModeStateless
		for _, ip := range p.Port.Port.FixedIPs {
			if ip.SubnetID == subnet.ID && subnet.AddressMode == commands.ModeStateful {
				return ip.Address, true
			}
		}
	}
	return "", ok
}

// liveAgent returns the id of the DHCP agent on node, if it is alive.
func liveAgent(p *commands.Pass, node string) (string, error) {
	for _, b := range p.Path.Branches {
		if b.Node != node || !b.Runs(commands.Dnsmasq) {
			continue
		}
		a, ok := b.Agent.Get()
		switch {
		case !ok:
			return "", &commands.Error{Code: commands.CodeOutside, Public: "The DHCP agent of " + node + " is not known: " + b.Agent.Why() + "."}
		case !a.Alive:
			return "", &commands.Error{
				Code: commands.CodeInvalid, Public: "The DHCP agent of " + node + " is dead, so it would not do it.",
				Hint: "Start neutron-dhcp-agent there first.",
			}
		}
		return a.ID, nil
	}
	return "", &commands.Error{Code: commands.CodeMissing, Public: "No DHCP server of the network is on " + node + "."}
}
