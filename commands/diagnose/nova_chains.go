package diagnose

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"whybot/commands"
	"whybot/commands/netfilter"
)

// NovaChains is DHCP-41: nova's own firewall beside neutron's.
var NovaChains = register(&commands.Diagnosis{
	Name:  "DHCP-41",
	Title: "Nova's own firewall chains stand beside neutron's",
	Doc: `nova-compute or nova-network once wrote chains of their own (nova-…) and nobody
took them away, or firewall_driver still has nova write them. That they are
there is no reason for an outage; it is one when the evaluator says that one of
them drops the frames, which is then proven as DHCP-01 is.`,
	Explains: alongTheWay,
	Probes:   firewallProbes,
	Run: func(_ context.Context, p *commands.Pass) error {
		dropping := map[string]bool{}
		err := filtered(p, func(o obstacle) bool {
			ours := o.cause() == "DHCP-41"
			dropping[o.crossing.Bridge.Node] = dropping[o.crossing.Bridge.Node] || ours
			return ours
		})
		errs := []error{err}
		for _, n := range p.Path.Nodes() {
			if !dropping[n] {
				errs = append(errs, twoFirewalls(p, n))
			}
		}
		return errors.Join(errs...)
	},
})

// novas reports whether a chain is one of nova's.
func novas(chain string) bool {
	return slices.ContainsFunc([]string{"nova-compute-", "nova-network-", "nova-api-", "nova-filter-top"}, func(prefix string) bool {
		return strings.HasPrefix(chain, prefix)
	})
}

// twoFirewalls reports chains of nova's and of neutron's on one node.
func twoFirewalls(p *commands.Pass, nodeName string) error {
	f, err := p.Firewall(nodeName)
	if err != nil {
		return err
	}
	for _, v := range f.Views {
		if v.Rules == nil {
			continue
		}
		nova, neutron := chainsOf(v.Rules, novas), chainsOf(v.Rules, func(c string) bool { return strings.HasPrefix(c, "neutron-") })
		switch {
		case len(neutron) == 0:
		case len(nova) == 0:
			p.Good(commands.Hop{Node: nodeName}, "no chain of nova's is beside neutron's", v.Probe)
		default:
			p.Report(commands.Finding{
				State: commands.Probable, Node: nodeName, Aside: true, Missing: "frames that one of them is seen to drop",
				Summary:  fmt.Sprintf("%s has %d chains of nova's (%s, …) beside %d of neutron's: two firewalls", nodeName, len(nova), nova[0], len(neutron)),
				Evidence: []commands.Evidence{{Source: nodeName + ": " + v.Probe, Text: strings.Join(nova, "\n") + "\n"}},
				Advice:   []string{retireNova(nodeName)},
			})
		}
	}
	return nil
}

func chainsOf(rules *netfilter.Ruleset, want func(string) bool) []string {
	var names []string
	for _, t := range rules.Tables {
		for _, c := range t.Chains {
			if want(c.Name) && !slices.Contains(names, c.Name) {
				names = append(names, c.Name)
			}
		}
	}
	return names
}

func retireNova(nodeName string) string {
	return "Set firewall_driver = nova.virt.firewall.NoopFirewallDriver in nova.conf of " + nodeName +
		" where nova still has the option, and take its left-over chains away by hand in a maintenance window: which of them still guard something only people know."
}
