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

// OldLease is DHCP-39: dnsmasq holds the guest's address for somebody else.
var OldLease = register(&commands.Diagnosis{
	Name:  "DHCP-39",
	Title: "dnsmasq has leased the guest's address to another MAC",
	Doc: `dnsmasq knows the guest, and does not use the address it has for it while another
MAC has a lease of it: "not using configured address … because it is leased
to". That is what is left when the lease of a deleted port was not released. A
lease that has run out, one under another client id of the guest itself, and
one of a MAC in the guest's own entry are no hindrance.`,
	Explains: []commands.Kind{commands.KindDHCP},
	Probes: func(s commands.Scope) []runners.Probe {
		if !s.Serves {
			return nil
		}
		return []runners.Probe{node.DnsmasqProbe(), node.HostsProbe(s.NetworkID), node.LeasesProbe(s.NetworkID), node.TimeProbe()}
	},
	Run: func(_ context.Context, p *commands.Pass) error {
		return eachBranch(p, leasedToAnother)
	},
})

func leasedToAnother(p *commands.Pass, b commands.Branch) error {
	all, err := processes(p, b.Node)
	if err != nil {
		return err
	}
	network := p.Port.Network.ID
	probe := node.LeasesProbe(network)
	d, running := node.Serving(all, network, commands.NetnsDevice(b.Port.ID))
	switch {
	case !running:
		return nil // DHCP-09 says so
	case d.LeaseFile != "" && d.LeaseFile != probe.Argv[1], strings.Contains(d.Args, "--leasefile-ro"):
		return &runners.Error{Kind: runners.NotFound, Runner: "ssh", Target: b.Node, Op: "lease file", Hint: "dnsmasq keeps its leases elsewhere"}
	}
	hosts, err := p.Text(b.Node, node.HostsProbe(network).Name)
	if err != nil {
		return err
	}
	text, err := p.Text(b.Node, probe.Name)
	if err != nil {
		return err
	}
	clock, err := p.Text(b.Node, node.TimeProbe().Name)
	if err != nil {
		return err
	}
	now, err := node.ParseTime(clock)
	if err != nil {
		return &runners.Error{Kind: runners.Invalid, Runner: "ssh", Target: b.Node, Op: "date", Hint: err.Error()}
	}
	own := ownAddresses(p, hosts)
	held := slices.DeleteFunc(node.ParseLeases(text), func(l node.Lease) bool {
		return !slices.Contains(own, l.Address) || l.MAC == p.Port.Port.MAC || l.Over(now) || sharesEntry(hosts, p.Port.Port.MAC, l.MAC)
	})
	if len(own) == 0 || len(held) < len(own) {
		if len(own) > 0 {
			p.Good(b.Hops[len(b.Hops)-1], "no other MAC has leased the guest's address", probe.Command())
		}
		return nil
	}
	p.Report(leased(p, b, held[0], linesWith(hosts, p.Port.Port.MAC)))
	return nil
}

// ownAddresses are the IPv4 addresses that the host file has for the guest and
// that its port really has.
func ownAddresses(p *commands.Pass, hosts string) []netip.Addr {
	own := addresses(p.Port, netip.Addr.Is4)
	return slices.DeleteFunc(slices.Clone(node.HostEntries(hosts)[p.Port.Port.MAC]), func(a netip.Addr) bool { return !slices.Contains(own, a) })
}

// sharesEntry reports whether one line of the host file has both MACs: such
// clients may take the address from one another.
func sharesEntry(hosts, mac, other string) bool {
	for line := range strings.Lines(linesWith(hosts, mac)) {
		if strings.Contains(strings.ToLower(line), other) {
			return true
		}
	}
	return false
}

func leased(p *commands.Pass, b commands.Branch, l node.Lease, entry string) commands.Finding {
	until := "for ever"
	if !l.Expires.IsZero() {
		until = "until " + l.Expires.UTC().Format("2006-01-02 15:04:05 MST")
	}
	network := p.Port.Network.ID
	f := commands.Finding{
		State: commands.Proven, Node: b.Node, Branch: b.Node, Edge: serverEdge(b), Exchange: capture.DHCP,
		Summary: fmt.Sprintf("dnsmasq on %s knows %s, and has leased its address %s to %s %s: it gives it to nobody else", b.Node, p.Port.Port.MAC, l.Address, l.MAC, until),
		Evidence: []commands.Evidence{
			p.Evidence(b.Node, node.LeasesProbe(network), l.Line+"\n"),
			p.Evidence(b.Node, node.HostsProbe(network), entry),
		},
		Fixes: []commands.Suggestion{{Fix: fix.DHCPRelease, Node: b.Node, Args: map[string]string{
			"network": network, "device": commands.NetnsDevice(b.Port.ID), "address": l.Address.String(), "mac": l.MAC, "client": l.ClientID,
		}}},
		Advice: []string{"neutron-dhcp-agent releases the leases of ports that go: it was not running then, or dhcp_release (dnsmasq-utils) is not installed on " + b.Node + ". Its log says \"Could not release\" or the like."},
	}
	if !lostOn(p, b, f.Edge) {
		f.State, f.Missing = commands.Probable, "a DISCOVER that dnsmasq is seen not to answer"
	}
	return f
}
