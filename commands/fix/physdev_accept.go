package fix

import (
	"cmp"
	"fmt"
	"strings"

	"whybot/commands"
	"whybot/commands/capture"
)

// PhysdevAccept lets the DHCP frames of one bridge port pass above the rule
// that drops them. Args: binary; chain and position of the base-chain rule to
// stand above (position "" appends), before (that rule's line); port (the
// bridge port of the guest or the server, or several with commas); exchange (what
// of IPv6 is dropped, several with commas; empty for DHCP); guest ("yes" on the
// guest's side, where the port is filtered by security groups and only that may
// pass); request and reply ("yes" for each direction that is dropped).
var PhysdevAccept = register(&commands.Fix{
	Name: "physdev-accept",
	Doc: `Insert a narrow ACCEPT above the rule that drops the frames.

The rule matches one bridge port by name, so nothing else on the node is
opened. On the guest's side it is narrowed to DHCP, because an ACCEPT of
everything above neutron's chains would bypass the security groups. A restart
of the firewall forgets it.`,
	Class: commands.F1,
	Title: func(s commands.Suggestion) string {
		return fmt.Sprintf("Accept %s of %s on %s", listed(cmp.Or(s.Args["exchange"], string(capture.DHCP))), listed(s.Args["port"]), s.Node)
	},
	Plan: func(_ *commands.Pass, s commands.Suggestion) ([]commands.Step, error) {
		var steps []commands.Step
		for _, spec := range acceptSpecs(s.Args) {
			steps = append(steps, commands.Step{
				Kind: insertRule.Name, Node: s.Node, Words: spec,
				Args: map[string]string{"binary": s.Args["binary"], "chain": s.Args["chain"], "position": s.Args["position"], "before": s.Args["before"]},
			})
		}
		if len(steps) == 0 {
			return nil, &commands.Error{Code: commands.CodeInvalid, Public: "No direction of the frames is known to be dropped."}
		}
		return steps, nil
	},
	Touches: func(_ *commands.Pass, s commands.Suggestion) []string {
		return []string{"Only frames of bridge port " + listed(s.Args["port"]) + " on " + s.Node + ". It is gone after a restart of the firewall."}
	},
})

// listed is a list of words for a person.
func listed(words string) string { return strings.ReplaceAll(words, ",", " and ") }

// icmpv6 are the types of router discovery.
var icmpv6 = map[string]string{"request": "133", "reply": "134"}

// acceptSpecs returns the rules in the form iptables-save prints them.
func acceptSpecs(args map[string]string) [][]string {
	var specs [][]string
	for _, port := range strings.Split(args["port"], ",") {
		if args["guest"] != "yes" {
			specs = append(specs, portSpecs(args, port)...)
			continue
		}
		for _, exchange := range strings.Split(args["exchange"], ",") {
			specs = append(specs, guestSpecs(args, port, commands.Exchange(exchange))...)
		}
	}
	return specs
}

// portSpecs accept all that a server's port sends or is sent.
func portSpecs(args map[string]string, port string) [][]string {
	var specs [][]string
	for _, d := range [][2]string{{"request", "--physdev-out"}, {"reply", "--physdev-in"}} {
		if args[d[0]] == "yes" {
			specs = append(specs, []string{"-m", "physdev", d[1], port, "--physdev-is-bridged", "-j", "ACCEPT"})
		}
	}
	return specs
}

// guestSpecs accept one exchange of a guest's port.
func guestSpecs(args map[string]string, port string, exchange commands.Exchange) [][]string {
	client, server := "68", "67"
	if exchange == capture.DHCPv6 {
		client, server = "546", "547"
	}
	var specs [][]string
	for _, d := range [][4]string{{"request", "--physdev-in", client, server}, {"reply", "--physdev-out", server, client}} {
		if args[d[0]] != "yes" {
			continue
		}
		protocol, match := "udp", []string{"-m", "udp", "--sport", d[2], "--dport", d[3]}
		if exchange == capture.RA {
			protocol, match = "ipv6-icmp", []string{"-m", "icmp6", "--icmpv6-type", icmpv6[d[0]]}
		}
		spec := []string{"-p", protocol, "-m", "physdev", d[1], port, "--physdev-is-bridged"}
		specs = append(specs, append(append(spec, match...), "-j", "ACCEPT"))
	}
	return specs
}
