package lab

import (
	"cmp"
	"context"
	"fmt"
)

// A Pair is two faults at once. The packets meet the first one first: as long
// as it stands nothing can be seen of what the second does to them.
type Pair struct {
	First, Second Fault
	// Options make a lab in which both are faults.
	Options Options
}

// Name is the names of both.
func (p Pair) Name() string { return p.First.Name() + " + " + p.Second.Name() }

// Inject breaks the lab in both ways, the far one first.
func (p Pair) Inject(ctx context.Context, l *Lab) error {
	if err := p.Second.Inject(ctx, l); err != nil {
		return fmt.Errorf("%s: %w", p.Second.Name(), err)
	}
	if err := p.First.Inject(ctx, l); err != nil {
		return fmt.Errorf("%s: %w", p.First.Name(), err)
	}
	return nil
}

// pairNames are the pairs, nearer fault first: on one edge, on one node, on
// both nodes, in both directions, and in OpenStack and on a node.
var pairNames = [][2]string{
	{"DHCP-16/guest-tap-out", "DHCP-01/rhel-nft"},
	{"DHCP-10/entry-missing", "DHCP-01/rhel-nft"},
	{"DHCP-18/sub-interface-down", "DHCP-09/one-controller"},
	{"DHCP-12/no-agent", "DHCP-03/firewalld-controller"},
	{"DHCP-16/guest-tap-out", "DHCP-17/out-of-bridge-on-controller"},
	{"DHCP-02/policy-drop-compute", "DHCP-02/policy-drop-controller"},
	{"DHCP-03/firewalld-controller", "DHCP-09/one-controller"},
	{"DHCP-04/legacy-rule-compute", "DHCP-10/entry-missing"},
	{"DHCP-18/nic-down", "DHCP-03/firewalld-controller"},
	{"DHCP-43/egress-without-dhcp", "DHCP-10/entry-missing"},
	{"DHCP-17/missing-on-compute", "DHCP-39/lease-of-deleted-port"},
	{"DHCP-16/dhcp-tap-out", "DHCP-09/one-controller"},
	{"DHCP-16/guest-tap-out", "DHCP-13/subnet-without-dhcp"},
	{"DHCP-42/no-carrier", "DHCP-09/one-controller"},
	{"DHCP-25/compute", "DHCP-11/newer-guest"},
	{"DHCP-11/dnsmasq-dead-too", "DHCP-41/nova-chains"},
	{"DHCP-03/bridge-family-compute", "DHCP-43/ingress-without-dhcp"},
	{"DHCP-18/no-carrier", "DHCP-16/dhcp-tap-out"},
	{"DHCP-15/agent-dead", "DHCP-10/entry-missing"},
	{"DHCP-43/other-mac", "DHCP-04/legacy-rule-controller"},
	{"DHCP-39/lease-of-deleted-port", "DHCP-41/nova-chains"},
	{"DHCP-18/port-admin-down", "DHCP-02/policy-drop-controller"},
}

// Pairs returns every pair of faults.
func Pairs() []Pair {
	byName := map[string]Fault{}
	for _, f := range Faults() {
		byName[f.Name()] = f
	}
	pairs := make([]Pair, 0, len(pairNames))
	for _, n := range pairNames {
		first, second := byName[n[0]], byName[n[1]]
		pairs = append(pairs, Pair{First: first, Second: second, Options: first.Options.with(second.Options)})
	}
	return pairs
}

// FindPairs returns the pairs of which one fault has the name or the id.
func FindPairs(name string) []Pair {
	var found []Pair
	for _, p := range Pairs() {
		for _, f := range []Fault{p.First, p.Second} {
			if f.Name() == name || f.ID == name || p.Name() == name {
				found = append(found, p)
				break
			}
		}
	}
	return found
}

// with fills what these options leave open from others.
func (o Options) with(other Options) Options {
	o.Distro, o.Backend, o.Style = cmp.Or(o.Distro, other.Distro), cmp.Or(o.Backend, other.Backend), cmp.Or(o.Style, other.Style)
	o.SecondController, o.Flat = o.SecondController || other.SecondController, o.Flat || other.Flat
	o.TwoPorts = o.TwoPorts || other.TwoPorts
	o.VXLAN = cmp.Or(o.VXLAN, other.VXLAN)
	o.IPv6 = cmp.Or(o.IPv6, other.IPv6)
	return o
}
