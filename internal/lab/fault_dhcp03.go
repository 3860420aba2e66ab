package lab

// Firewalls that iptables does not show. $1 is what the rule counts with:
// "counter", or nothing as firewalld writes it.
const (
	firewalldReject = `nft -f - <<-NFT
	table inet firewalld {
		chain filter_FORWARD {
			type filter hook forward priority filter + 10; policy accept;
			ct state { established, related } accept
			ct status dnat accept
			iifname "lo" accept
			jump filter_FORWARD_POLICIES
			ct state invalid drop
			$1 reject with icmpx admin-prohibited
		}
		chain filter_FORWARD_POLICIES {
			iifname "eth0" oifname "eth0" accept
		}
	}
	NFT`
	bridgeDrop = `nft -f - <<-NFT
	table bridge hardening {
		chain no_dhcp {
			ether type ip udp dport 67 counter drop
		}
		chain forward {
			type filter hook forward priority filter; policy accept;
			jump no_dhcp
		}
	}
	NFT`
	ipPolicyDrop = `nft -f - <<-NFT
	table ip site {
		chain forward {
			type filter hook forward priority filter - 5; policy drop;
			ct state established,related accept
			ip protocol icmp accept
		}
	}
	NFT`
	dropFirewalld = "nft delete table inet firewalld"
	dropHardening = "nft delete table bridge hardening"
	dropSite      = "nft delete table ip site"
)

// requestLostAt is a request that a firewall on a node drops in its bridge.
func requestLostAt(cause, node string) Want {
	to := webSub
	if node != Compute01 {
		to = dhcpTap
	}
	return Want{
		State: proven, Cause: cause, FromNode: node, FromDevice: webBridge,
		ToNode: node, ToDevice: to, Direction: request,
	}
}

// withState is the same Want that claims less.
func (w Want) withState(state string) Want {
	w.State = state
	return w
}

// dhcp03 is a native nftables rule; iptables accepts everything.
func dhcp03() []Fault {
	at := func(node string) Want { return requestLostAt("DHCP-03", node) }
	return []Fault{
		{
			ID: "DHCP-03", Variant: "firewalld-controller", Want: at(Controller01),
			Doc:    "firewalld's forward chain on the network node rejects what is not in a zone; the rule has a counter",
			Inject: broken(on(Controller01, firewalldReject, "counter")), Heal: healed(on(Controller01, dropFirewalld)),
		},
		{
			ID: "DHCP-03", Variant: "firewalld-no-counter-compute", Want: at(Compute01).withState(probable),
			Doc:    "the same on the compute node, as firewalld writes it: without a counter",
			Inject: broken(on(Compute01, firewalldReject, "")), Heal: healed(on(Compute01, dropFirewalld)),
		},
		{
			ID: "DHCP-03", Variant: "bridge-family-compute", Want: at(Compute01),
			Doc:    "a bridge table of the compute node drops DHCP requests, in a chain that its forward chain jumps to",
			Inject: broken(on(Compute01, bridgeDrop)), Heal: healed(on(Compute01, dropHardening)),
		},
		{
			ID: "DHCP-03", Variant: "ip-policy-drop-controller", Want: at(Controller01).withState(probable),
			Doc:     "the policy of a forward chain in an ip table of the network node is drop; a policy has no counter",
			Options: Options{Distro: Debian},
			Inject:  broken(on(Controller01, ipPolicyDrop)), Heal: healed(on(Controller01, dropSite)),
		},
	}
}

// dhcp04 is a REJECT in the iptables back end that the node's iptables does not
// speak.
func dhcp04() []Fault {
	fault := func(variant, node, doc, other string, o Options) Fault {
		return Fault{
			ID: "DHCP-04", Variant: variant, Want: requestLostAt("DHCP-04", node), Doc: doc, Options: o,
			Inject: broken(on(node, other+" -A "+rejectRule)), Heal: healed(on(node, other+" -D "+rejectRule)),
		}
	}
	return []Fault{
		fault("legacy-rule-controller", Controller01,
			"iptables of the network node is iptables-nft, the REJECT is in iptables-legacy", "iptables-legacy", Options{}),
		fault("legacy-rule-compute", Compute01,
			"the same on the compute node", "iptables-legacy", Options{Distro: Debian}),
		fault("nft-rule-controller", Controller01,
			"iptables of the network node is iptables-legacy, the REJECT is in iptables-nft", "iptables-nft", Options{Distro: Debian, Backend: Legacy}),
		fault("nft-rule-compute", Compute01,
			"the same on the compute node", "iptables-nft", Options{Distro: Debian, Backend: Legacy}),
	}
}
