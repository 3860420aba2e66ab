package fix

import (
	"fmt"

	"whybot/commands"
	"whybot/commands/node"
)

// DHCPRelease has dnsmasq forget a lease. Args: network, device (ns-…), address,
// mac, client (its client id in hex, "" for none).
var DHCPRelease = register(&commands.Fix{
	Name: "dhcp-release",
	Doc: `Release the old lease in the name of the MAC that has it.

It is what neutron-dhcp-agent does when a port goes. There is nothing to undo: a
client that still wants the address asks for it again, and gets it if it is
still its own. It is not offered while that MAC answers for the address.`,
	Class: commands.F1,
	Title: func(s commands.Suggestion) string {
		return fmt.Sprintf("Release %s, leased to %s, on %s", s.Args["address"], s.Args["mac"], s.Node)
	},
	Plan: func(p *commands.Pass, s commands.Suggestion) ([]commands.Step, error) {
		if p.Packets != nil && p.Packets.Holder == s.Args["mac"] {
			return nil, &commands.Error{
				Code: commands.CodeInvalid, Public: fmt.Sprintf("%s answers for %s now: the address is in use.", s.Args["mac"], s.Args["address"]),
				Hint: "Find that machine first: openstack port list --mac-address " + s.Args["mac"],
			}
		}
		if p.Packets == nil || !p.Packets.Asked || p.Packets.Holder != "" {
			return nil, &commands.Error{
				Code: commands.CodeInvalid, Public: "Whether " + s.Args["address"] + " is in use is not known: nobody could be asked for it from the DHCP namespace.",
				Hint: "Ping it from there first (diagnose.arp_check allows whybot to).",
			}
		}
		return []commands.Step{{Kind: release.Name, Node: s.Node, Args: map[string]string{
			"network": s.Args["network"], "namespace": node.Namespace(s.Args["network"]), "device": s.Args["device"],
			"address": s.Args["address"], "mac": s.Args["mac"], "client": s.Args["client"],
		}}}, nil
	},
	Touches: func(_ *commands.Pass, s commands.Suggestion) []string {
		return []string{"The lease of " + s.Args["mac"] + ": if that machine is still there, it goes on using " + s.Args["address"] + " until it renews, and the address is in use twice."}
	},
})
