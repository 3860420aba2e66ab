package diagnose

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"whybot/commands"
	"whybot/commands/netfilter"
)

// GroupsNotEnforced is DHCP-40: security groups are written and no frame is
// shown to them.
var GroupsNotEnforced = register(&commands.Diagnosis{
	Name:  "DHCP-40",
	Title: "Security groups are not enforced: bridged frames bypass iptables",
	Doc: `Neutron's agent has written a security group's rules for the guest's tap, and
bridge-nf-call-iptables is 0 or br_netfilter is not loaded, so nothing meets
them. It stops no packet and is never the cause; it is why the sysctl is no way
to get rid of a rule that drops.`,
	Explains: []commands.Kind{commands.KindDHCP},
	Probes:   firewallProbes,
	Run: func(_ context.Context, p *commands.Pass) error {
		tap, ok := p.Path.Tap()
		if !ok {
			return nil
		}
		f, err := p.Firewall(tap.Node)
		if err != nil {
			return err
		}
		if security, known := p.Port.Port.PortSecurity.Get(); known && !security || !filteredPort(f, tap.Device) {
			return nil
		}
		if why, bypassed := bypass(p, f); bypassed {
			p.Report(unenforced(p, tap, why))
		} else if text, err := p.Text(tap.Node, "bridge-nf"); err != nil {
			return err
		} else if strings.TrimSpace(text) == "1" {
			p.Good(commands.Hop{Node: tap.Node}, "bridged frames meet the security groups", "net.bridge.bridge-nf-call-iptables is 1")
		}
		return nil
	},
})

// filteredPort reports whether the agent has put a port under security groups.
func filteredPort(f *commands.Firewall, device string) bool {
	return slices.ContainsFunc(f.Views, func(v commands.View) bool {
		return v.Rules != nil && len(v.Rules.Find(func(r *netfilter.Rule) bool {
			return strings.HasPrefix(r.Chain, "neutron-") && slices.Contains(r.Words, device) && strings.HasSuffix(r.Words[len(r.Words)-1], "-sg-chain")
		})) > 0
	})
}

// bypass says why the guest's frames are not shown to iptables on its bridge, if
// they are not.
func bypass(p *commands.Pass, f *commands.Firewall) (why string, bypassed bool) {
	for _, b := range p.Path.Branches {
		for _, c := range p.Crossings(b) {
			if c.Bridge.Node == p.Path.Node {
				why = p.Rule(f, c).Bypassed
				return why, why != ""
			}
		}
	}
	return "", false
}

func unenforced(p *commands.Pass, tap commands.Hop, why string) commands.Finding {
	n := tap.Node
	f := commands.Finding{
		State: commands.Proven, Node: n, Aside: true,
		Summary: fmt.Sprintf("The security groups of %s are not enforced on %s: %s", p.Server.Name, n, why),
		Advice: []string{
			"This opens every guest of " + n + " to its neighbours and stops none. To enforce them: modprobe br_netfilter, then sysctl net.bridge.bridge-nf-call-iptables=1, and keep both over a reboot (/etc/modules-load.d, /etc/sysctl.d).",
			"Before that, ask again what iptables would do to DHCP: rules that nothing meets now are met then. Do not set it to 0 anywhere to be rid of a rule that drops.",
		},
	}
	if out, err := p.Output(n, "bridge-nf"); err == nil {
		f.Evidence = []commands.Evidence{{Source: n + ": cat /proc/sys/net/bridge/bridge-nf-call-iptables", Text: orNothing(out.Stdout + out.Stderr)}}
	}
	return f
}
