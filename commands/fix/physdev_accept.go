package fix

import (
	"cmp"
	"fmt"

	"whybot/commands"
	"whybot/commands/capture"
)

// PhysdevAccept lets the DHCP frames of one bridge port pass above the rule
// that drops them. Args: binary; chain and position of the base-chain rule to
// stand above (position "" appends), before (that rule's line); port (the
// bridge port of the guest or the server); guest ("yes" on the guest's side,
// where the port is filtered by security groups and only DHCP may pass);
// request and reply ("yes" for each direction that is dropped).
var PhysdevAccept = register(&commands.Fix{
	Name: "physdev-accept",
	Doc: `Insert a narrow ACCEPT above the rule that drops the frames.

The rule matches one bridge port by name, so nothing else on the node is
opened. On the guest's side it is narrowed to DHCP, because an ACCEPT of
everything above neutron's chains would bypass the security groups. A restart
of the firewall forgets it.`,
	Class: commands.F1,
	Title: func(s commands.Suggestion) string {
		return fmt.Sprintf("Accept %s of %s on %s", cmp.Or(s.Args["exchange"], string(capture.DHCP)), s.Args["port"], s.Node)
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
		return []string{"Only frames of bridge port " + s.Args["port"] + " on " + s.Node + ". It is gone after a restart of the firewall."}
	},
})

// icmpv6 are the types of router discovery.
var icmpv6 = map[string]string{"request": "133", "reply": "134"}

// acceptSpecs returns the rules in the form iptables-save prints them.
func acceptSpecs(args map[string]string) [][]string {
	var specs [][]string
	add := func(direction, flag, sport, dport string) {
		if args[direction] != "yes" {
			return
		}
		match := []string{"-m", "physdev", flag, args["port"], "--physdev-is-bridged"}
		if args["guest"] != "yes" {
			specs = append(specs, append(match, "-j", "ACCEPT"))
			return
		}
		if kind := icmpv6[direction]; args["exchange"] == string(capture.RA) {
			spec := append([]string{"-p", "ipv6-icmp"}, match...)
			specs = append(specs, append(spec, "-m", "icmp6", "--icmpv6-type", kind, "-j", "ACCEPT"))
			return
		}
		spec := append([]string{"-p", "udp"}, match...)
		specs = append(specs, append(spec, "-m", "udp", "--sport", sport, "--dport", dport, "-j", "ACCEPT"))
	}
	request, reply := "--physdev-out", "--physdev-in"
	if args["guest"] == "yes" {
		request, reply = reply, request
	}
	client, server := "68", "67"
	if args["exchange"] == string(capture.DHCPv6) {
		client, server = "546", "547"
	}
	add("request", request, client, server)
	add("reply", reply, server, client)
	return specs
}
