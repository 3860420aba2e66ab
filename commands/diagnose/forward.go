package diagnose

import (
	"context"
	"errors"
	"slices"

	"whybot/commands"
	"whybot/commands/node"
	"whybot/runners"
)

// The diagnoses of this file are one reading: what filters the guest's frames
// on each bridge they cross. They differ in whose filter it is.

// ForwardReject is DHCP-01: a REJECT or DROP rule that comes before neutron's
// accept, or that neutron's accept of the other direction does not cover.
var ForwardReject = filter("DHCP-01", "A REJECT rule in FORWARD drops the packets", `
The listing alone proves nothing: the same rule is harmless behind neutron's
ACCEPT and with bridge-nf-call-iptables=0. Each bridge the guest's frames cross
is evaluated rule by rule; it is proven when frames end on exactly that edge
and the rule's counter grew by the frames lost.`)

// ForwardPolicy is DHCP-02: the policy of FORWARD, or a rule on a node where
// neutron accepts nothing for the port (docker, libvirt, neutron's chains
// lost).
var ForwardPolicy = filter("DHCP-02", "FORWARD drops by policy, or neutron's accept rules are not there", `
Docker sets the policy of FORWARD to DROP; a restart of the iptables service
throws neutron's chains away. Evaluated and proven as DHCP-01; it differs in
what drops: a policy, or a rule on a node that has no accept for the port.`)

// NFTReject is DHCP-03: a rule of nftables (firewalld, or an administrator's)
// or of ebtables that iptables does not show.
var NFTReject = filter("DHCP-03", "nftables drops the packets where iptables shows nothing", `
Every table of nftables is evaluated, whatever its family and priority: a drop
in any of them drops. Evaluated and proven as DHCP-01. firewalld's rules carry
no counters; a drop by one of them is probable, however plain the rules read.`)

// OtherBackend is DHCP-04: the rule is in the iptables back end that the plain
// iptables does not list.
var OtherBackend = filter("DHCP-04", "The rule that drops is in the other iptables back end", `
iptables-nft and iptables-legacy do not show one another's rules, and the kernel
consults both. Evaluated and proven as DHCP-01; it differs in which program
lists, and deletes, the rule.`)

// OwnChains is DHCP-43: a chain that neutron wrote itself.
var OwnChains = register(&commands.Diagnosis{
	Name:  "DHCP-43",
	Title: "Neutron's own chains drop the guest's DHCP packets",
	Doc: `Neutron's agent lets DHCP pass whatever the security groups say, so its chains
drop it only when they are not what Neutron means (the agent did not finish, or
was stopped), or when the guest sends from another MAC or address than its
port's. Evaluated and proven as DHCP-01; another MAC by what the guest sent and
what neutron's chain for its tap dropped.`,
	Explains: []commands.Kind{commands.KindDHCP},
	Probes:   firewallProbes,
	Run: func(_ context.Context, p *commands.Pass) error {
		return errors.Join(filtered(p, func(o obstacle) bool { return o.cause() == "DHCP-43" }), otherMAC(p))
	},
})

// filter registers a diagnosis of a filter that drops the guest's frames.
func filter(id, title, doc string) *commands.Diagnosis {
	return register(&commands.Diagnosis{
		Name: id, Title: title, Doc: doc[1:], Explains: alongTheWay, Probes: firewallProbes,
		Run: func(_ context.Context, p *commands.Pass) error {
			return filtered(p, func(o obstacle) bool { return o.cause() == id })
		},
	})
}

func firewallProbes(s commands.Scope) []runners.Probe {
	probes, files := node.FirewallProbes(), node.RuleFiles
	if s.IPv6 {
		probes, files = append(probes, node.FirewallProbesIPv6()...), slices.Concat(files, node.RuleFilesIPv6)
	}
	for _, f := range files {
		probes = append(probes, node.RuleFileProbe(f))
	}
	return probes
}
