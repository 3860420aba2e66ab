package lab

import (
	"context"
	"slices"
)

// decoys look like a fault and are none: web-1 gets its address.
func decoys() []Fault {
	rules := Options{Distro: RHEL}.rulesFile()
	ds := []Fault{
		{
			ID: "DHCP-01", Variant: "decoy-behind-accept",
			Doc:    "the REJECT stands behind a Neutron that accepts both directions",
			Inject: harmless(on(Controller01, addReject, rules)), Heal: healed(on(Controller01, dropReject, rules)),
		},
		{
			ID: "DHCP-01", Variant: "decoy-bridge-nf-off", Options: Options{Style: OldStyle},
			Doc: "the deadly REJECT is listed, but bridged frames do not visit iptables",
			Inject: harmless(on(Controller01, "sysctl -qw net.bridge.bridge-nf-call-iptables=0"),
				on(Controller01, addReject, rules)),
			Heal: healed(on(Controller01, dropReject, rules), on(Controller01, "sysctl -qw net.bridge.bridge-nf-call-iptables=1")),
		},
		{
			ID: "DHCP-01", Variant: "decoy-other-node",
			Doc:    "the REJECT stands above Neutron's jumps on a compute node that is not on the path",
			Inject: harmless(on(Compute02, "iptables -I "+rejectRule)), Heal: healed(on(Compute02, "iptables -D "+rejectRule)),
		},
		{
			ID: "DHCP-01", Variant: "decoy-stale-counter",
			Doc:    "a rule has dropped many packets, none of them ours",
			Inject: harmless(on(Controller01, "iptables -I FORWARD -s 203.0.113.0/24 -c 52713 4321987 -j DROP")),
			Heal:   healed(on(Controller01, "iptables -D FORWARD -s 203.0.113.0/24 -j DROP")),
		},
		{
			ID: "DHCP-02", Variant: "decoy-other-node",
			Doc:    "policy DROP without Neutron's chains on a compute node that is not on the path",
			Inject: harmless(on(Compute02, loseNeutron+policyDrop)), Heal: healed(on(Compute02, policyAccept+restartAgent)),
		},
		{
			ID: "DHCP-02", Variant: "decoy-neutron-accepts",
			Doc:    "policy DROP behind a Neutron that accepts both directions",
			Inject: harmless(on(Controller01, policyDrop)), Heal: healed(on(Controller01, policyAccept)),
		},
		{
			ID: "DHCP-09", Variant: "decoy-one-of-two", Options: Options{SecondController: true},
			Doc:    "one of two dnsmasq is dead, the other serves",
			Inject: harmless(on(Controller02, killDnsmasq, paymentsNet.ID)), Heal: healed(on(Controller02, syncDHCP, paymentsNet.ID)),
		},
		{
			ID: "DHCP-10", Variant: "decoy-other-guest",
			Doc:    "another guest's line in the host file is stale",
			Inject: harmless(on(Controller01, moveHost, paymentsNet.ID, "fa:16:3e:4b:10:12", staleAddress)),
			Heal:   healed(on(Controller01, syncDHCP, paymentsNet.ID)),
		},
		{
			ID: "DHCP-16", Variant: "decoy-other-guest",
			Doc:    "another guest's tap on the same node is in no bridge",
			Inject: harmless(on(Compute01, unplug, dbTap)), Heal: healed(on(Compute01, plug, dbTap, dbBridge)),
		},
		{
			ID: "DHCP-18", Variant: "decoy-other-vlan",
			Doc:    "another network's sub-interface on the same NIC is down",
			Inject: harmless(on(Compute01, setDown, dbSub)), Heal: healed(on(Compute01, setUp, dbSub)),
		},
		{
			ID: "DHCP-11", Variant: "decoy-still-serves",
			Doc:    "the DHCP agent is dead, its dnsmasq is not and knows web-1",
			Inject: harmless(on(Controller01, stopDHCPAgent)), Heal: healed(on(Controller01, startDHCPAgent)),
		},
	}
	ds = slices.Concat(ds, []Fault{busyNeighbour(), quietLeaseholder()}, firewallDecoys(), neutronDecoys())
	for i := range ds {
		ds[i].Want.State = healthy
	}
	return ds
}

// busyNeighbour is DHCP traffic of another network on the same NICs.
func busyNeighbour() Fault {
	return Fault{
		ID: "DHCP-19", Variant: "decoy-other-network-busy",
		Doc: "a guest of another VLAN on the same node asks again and again",
		Inject: func(ctx context.Context, l *Lab) error {
			if err := l.VM(DB1).AskOften(ctx); err != nil {
				return err
			}
			return harmless()(ctx, l)
		},
		Heal: func(ctx context.Context, l *Lab) error { return l.VM(DB1).Renew(ctx) },
	}
}

// quietLeaseholder has its address and therefore no reason to ask.
func quietLeaseholder() Fault {
	return Fault{
		ID: "DHCP-42", Variant: "decoy-has-its-lease",
		Doc: "web-1 is silent because it has its address",
		Inject: func(ctx context.Context, l *Lab) error {
			if err := l.VM(Web1).Renew(ctx); err != nil {
				return err
			}
			_, err := l.VM(Web1).WaitLease(ctx)
			return err
		},
		Heal: func(context.Context, *Lab) error { return nil },
	}
}
