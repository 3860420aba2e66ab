package commands

import (
	"testing"

	"whybot/commands/netfilter"
	"whybot/runners"
)

// TestAdmits takes one rule at a time: a rule of another direction, version,
// protocol, type or remote admits nothing.
func TestAdmits(t *testing.T) {
	t.Parallel()
	number := func(n int) *int { return &n }
	remote := runners.Port{SecurityGroups: []string{"g-web"}, FixedIPs: []runners.FixedIP{{Address: "10.30.92.11"}}}
	for name, c := range map[string]struct {
		rule runners.SecurityRule
		want netfilter.Tri
	}{
		"everything":           {runners.SecurityRule{}, netfilter.Yes},
		"any protocol":         {runners.SecurityRule{Protocol: "any"}, netfilter.Yes},
		"ICMP":                 {runners.SecurityRule{Protocol: "ICMP"}, netfilter.Yes},
		"ICMP by number":       {runners.SecurityRule{Protocol: "1"}, netfilter.Yes},
		"echo requests":        {runners.SecurityRule{Protocol: "icmp", PortMin: number(8), PortMax: number(0)}, netfilter.Yes},
		"another type":         {runners.SecurityRule{Protocol: "icmp", PortMin: number(3)}, netfilter.No},
		"another code":         {runners.SecurityRule{Protocol: "icmp", PortMin: number(8), PortMax: number(1)}, netfilter.No},
		"TCP":                  {runners.SecurityRule{Protocol: "tcp"}, netfilter.No},
		"ICMPv6":               {runners.SecurityRule{Protocol: "ipv6-icmp"}, netfilter.No},
		"the other way":        {runners.SecurityRule{Direction: egress}, netfilter.No},
		"IPv6":                 {runners.SecurityRule{EtherType: "IPv6"}, netfilter.No},
		"its prefix":           {runners.SecurityRule{RemotePrefix: "10.30.92.0/24"}, netfilter.Yes},
		"itself":               {runners.SecurityRule{RemotePrefix: "10.30.92.11/32"}, netfilter.Yes},
		"another prefix":       {runners.SecurityRule{RemotePrefix: "10.30.93.0/24"}, netfilter.No},
		"no prefix":            {runners.SecurityRule{RemotePrefix: "rubbish"}, netfilter.No},
		"its group":            {runners.SecurityRule{RemoteGroup: "g-web"}, netfilter.Yes},
		"another group":        {runners.SecurityRule{RemoteGroup: "g-db"}, netfilter.No},
		"an address group":     {runners.SecurityRule{RemoteAddresses: "ag-1"}, netfilter.Unknown},
		"another way, unknown": {runners.SecurityRule{Direction: egress, RemoteAddresses: "ag-1"}, netfilter.No},
	} {
		if c.rule.Direction == "" {
			c.rule.Direction = ingress
		}
		if c.rule.EtherType == "" {
			c.rule.EtherType = "IPv4"
		}
		if got := admits(c.rule, ingress, remote); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
