package lab

import (
	"context"
	"slices"

	"whybot/internal/cloudfake"
)

const (
	rejectRule6 = "FORWARD -j REJECT --reject-with icmp6-adm-prohibited"
	addReject6  = "ip6tables -A " + rejectRule6
	dropReject6 = "ip6tables -D " + rejectRule6
	// loseNeutron6 is what a restart of the ip6tables service does.
	loseNeutron6  = "for t in filter raw; do ip6tables -t $t -F; ip6tables -t $t -X; done; "
	policyDrop6   = "ip6tables -P FORWARD DROP; "
	policyAccept6 = "ip6tables -P FORWARD ACCEPT; "

	dropDHCPv6      = "ip6tables -I FORWARD -p udp -m udp --sport 547 -j DROP"
	undropDHCPv6    = "ip6tables -D FORWARD -p udp -m udp --sport 547 -j DROP"
	killRadvd       = `/usr/lib/whylab/l3-agent stop "$1"`
	stopRadvd       = `pkill -STOP -x radvd`
	restartL3Agent  = "systemctl restart neutron-l3-agent"
	removeRouter    = `/usr/lib/whylab/l3-agent remove "$1"`
	forgetHost6     = `sed -i "/^$2,tag:dhcpv6,/d" "/var/lib/neutron/dhcp/$1/host"` + reloadDnsmasq
	bridgeNF6Off    = "sysctl -qw net.bridge.bridge-nf-call-ip6tables=0"
	bridgeNF6On     = "sysctl -qw net.bridge.bridge-nf-call-ip6tables=1"
	onlyIPv4        = "iptables -A " + rejectRule
	withoutOnlyIPv4 = "iptables -D " + rejectRule
)

// ipv6Faults take web-1's IPv6 address away and leave its IPv4 one.
func ipv6Faults() []Fault {
	return slices.Concat(ipv6Lost(SLAAC), noAdvertisements(), dhcpv6Faults())
}

// ipv6Lost are rules of ip6tables that what the guest needs does not pass.
func ipv6Lost(mode IPv6Mode) []Fault {
	advertised := Want{
		State: proven, Cause: "DHCP-01", FromNode: Controller01, FromDevice: webBridge,
		ToNode: Controller01, ToDevice: webSub, Direction: reply,
	}
	solicited := Want{
		State: proven, Cause: "DHCP-02", FromNode: Compute01, FromDevice: webBridge,
		ToNode: Compute01, ToDevice: webSub, Direction: request,
	}
	return []Fault{
		{
			ID: "DHCP-01", Variant: "ipv6-" + string(mode), IPv6: true, Want: advertised, Options: Options{IPv6: mode, Style: OldStyle},
			Doc:    "REJECT in FORWARD of the network node's ip6tables; IPv4 works",
			Inject: broken6(on(Controller01, addReject6)), Heal: healed(on(Controller01, dropReject6)),
		},
		{
			ID: "DHCP-02", Variant: "ipv6-" + string(mode), IPv6: true, Want: solicited, Also: []string{"DHCP-01"}, Options: Options{IPv6: mode},
			Doc:    "ip6tables was restarted on the compute node and its FORWARD policy is DROP; IPv4 works",
			Inject: broken6(on(Compute01, loseNeutron6+policyDrop6)), Heal: healed(on(Compute01, policyAccept6+restartAgent)),
		},
	}
}

// noAdvertisements are routers that are silent, and none at all. A guest of
// DHCPv6 that asks without being told to gets its address all the same.
func noAdvertisements() []Fault {
	o := Options{IPv6: SLAAC}
	want := Want{State: proven, Cause: "DHCP-44"}
	isRouter := func(p *cloudfake.Port) bool { return p.ID == routerPortID }
	router := newPlan(o).routerPorts[0]
	fault := func(variant, doc string, break6, heal step) Fault {
		return Fault{
			ID: "DHCP-44", Variant: variant + "-slaac", IPv6: true, Doc: doc, Options: o, Want: want,
			Inject: inOrder(break6, askAnew6), Heal: heal,
		}
	}
	return []Fault{
		fault("radvd-dead", "the router's radvd died", healed(on(Controller01, killRadvd, routerID)), healed(on(Controller01, restartL3Agent))),
		fault("radvd-stopped", "the router's radvd is stopped by a signal", healed(on(Controller01, stopRadvd)), healed(on(Controller01, restartL3Agent))),
		fault("no-router", "no router has a port on the subnet",
			inOrder(neutron(withoutPorts(isRouter)), healed(on(Controller01, removeRouter, routerID))),
			inOrder(neutron(func(m *cloudfake.Model) { m.Ports = append(m.Ports, modelRouterPort(router)) }), healed(on(Controller01, restartL3Agent)))),
	}
}

// dhcpv6Faults are what DHCPv6 alone can suffer.
func dhcpv6Faults() []Fault {
	o := Options{IPv6: Stateful}
	atDoor := Want{
		State: proven, Cause: "DHCP-02", FromNode: Compute01, FromDevice: webBridge,
		ToNode: Compute01, ToDevice: webTap, Direction: reply,
	}
	unknown := Want{State: proven, Cause: "DHCP-10"}
	sync := healed(on(Controller01, syncDHCP, paymentsNet.ID))
	return []Fault{
		{
			ID: "DHCP-02", Variant: "ipv6-reply", IPv6: true, Options: o, Want: atDoor, Also: []string{"DHCP-01", "DHCP-41"},
			Doc:    "a rule of ip6tables on the compute node drops what DHCPv6 servers send; advertisements pass",
			Inject: broken6(on(Compute01, dropDHCPv6)), Heal: healed(on(Compute01, undropDHCPv6)),
		},
		{
			ID: "DHCP-10", Variant: "ipv6-entry-missing", IPv6: true, Options: o, Want: unknown, Heal: sync,
			Doc:    "web-1's line for DHCPv6 is missing from dnsmasq's host file; the one for IPv4 is there",
			Inject: broken6(on(Controller01, forgetHost6, paymentsNet.ID, webMAC)),
		},
		{
			ID: "DHCP-09", Variant: "ipv6", IPv6: true, Options: o, Want: Want{State: proven, Cause: "DHCP-09"},
			Doc:    "dnsmasq died; web-1 keeps its IPv4 lease and gets no IPv6 address",
			Inject: broken6(on(Controller01, killDnsmasq, paymentsNet.ID)), Heal: sync,
		},
	}
}

// ipv6Decoys look like a fault of IPv6 and are none.
func ipv6Decoys() []Fault {
	slaac := Options{IPv6: SLAAC}
	old := Options{IPv6: SLAAC, Style: OldStyle}
	nothing := func(context.Context, *Lab) error { return nil }
	quiet := func(id, variant, doc string, o Options, inject, heal step) Fault {
		return Fault{
			ID: id, Variant: "decoy-ipv6-" + variant, IPv6: true, Doc: doc, Options: o,
			Inject: inOrder(inject, serves6), Heal: heal, Want: Want{State: healthy},
		}
	}
	unseen := healed(on(Controller01, bridgeNF6Off), on(Controller01, addReject6))
	seen := healed(on(Controller01, dropReject6), on(Controller01, bridgeNF6On))
	return []Fault{
		quiet("DHCP-44", "slaac", "IPv6 by SLAAC, and nothing is wrong", slaac, nothing, nothing),
		quiet("DHCP-01", "bridge-nf-off", "the deadly REJECT is listed, but bridged frames do not visit ip6tables", old, unseen, seen),
		quiet("DHCP-01", "behind-accept", "the REJECT stands behind a Neutron that accepts both directions", slaac,
			healed(on(Controller01, addReject6)), healed(on(Controller01, dropReject6))),
		quiet("DHCP-01", "ipv4-only", "the REJECT is in iptables and not in ip6tables: IPv4 fails, of which nobody asks", old,
			healed(on(Controller01, onlyIPv4)), healed(on(Controller01, withoutOnlyIPv4))),
	}
}

// broken6 makes an Inject of changes after which web-1 asks for its IPv6 address
// in vain.
func broken6(changes ...change) step { return inOrder(healed(changes...), askAnew6) }

// askAnew6 makes web-1 forget its IPv6 address and ask again.
func askAnew6(ctx context.Context, l *Lab) error { return l.VM(Web1).RenewIPv6(ctx) }

// serves6 sees web-1 get its IPv6 address, and makes it ask again and again.
func serves6(ctx context.Context, l *Lab) error {
	if err := askAnew6(ctx, l); err != nil {
		return err
	}
	if _, err := l.VM(Web1).WaitAddress6(ctx); err != nil {
		return err
	}
	return l.VM(Web1).AskOftenIPv6(ctx)
}
