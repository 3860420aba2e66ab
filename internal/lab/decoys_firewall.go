package lab

// firewallDecoys are rules that look deadly and are never met by web-1.
func firewallDecoys() []Fault {
	debian := Options{Distro: Debian}
	const (
		otherBridge = `nft -f - <<-NFT
		table inet firewalld {
			chain filter_FORWARD {
				type filter hook forward priority filter + 10; policy accept;
				iifname "$1" counter reject with icmpx admin-prohibited
				oifname "$1" counter reject with icmpx admin-prohibited
			}
		}
		NFT`
		unreached = `nft -f - <<-NFT
		table bridge hardening {
			chain no_dhcp {
				ether type ip udp dport 67 counter drop
			}
			chain forward {
				type filter hook forward priority filter; policy accept;
				ether saddr 52:54:00:00:00:01 jump no_dhcp
			}
		}
		NFT`
		legacyRule = `FORWARD -s 203.0.113.0/24 -j DROP`
		noJump     = `iptables -D FORWARD -j nova-filter-top`
		novaJump   = `iptables -I FORWARD -j nova-filter-top; `
	)
	return []Fault{
		{
			ID: "DHCP-03", Variant: "decoy-other-bridge", Doc: "firewalld rejects what crosses the other network's bridge",
			Inject: harmless(on(Controller01, otherBridge, dbBridge)), Heal: healed(on(Controller01, dropFirewalld)),
		},
		{
			ID: "DHCP-03", Variant: "decoy-unreached-chain", Doc: "a chain that drops DHCP requests, to which only another MAC's frames are sent",
			Inject: harmless(on(Compute01, unreached)), Heal: healed(on(Compute01, dropHardening)),
		},
		{
			ID: "DHCP-04", Variant: "decoy-legacy-harmless", Doc: "iptables-legacy has rules beside iptables-nft, for another network's packets",
			Inject: harmless(on(Controller01, "iptables-legacy -A "+legacyRule)), Heal: healed(on(Controller01, "iptables-legacy -D "+legacyRule)),
		},
		{
			ID: "DHCP-40", Variant: "decoy-compute", Doc: "br_netfilter is off on the compute node: no security groups, and DHCP works",
			Inject: harmless(on(Compute01, "sysctl -qw net.bridge.bridge-nf-call-iptables=0")),
			Heal:   healed(on(Compute01, "sysctl -qw net.bridge.bridge-nf-call-iptables=1")),
		},
		{
			ID: "DHCP-40", Variant: "decoy-everywhere", Options: debian, Doc: "br_netfilter is off on every node of the path",
			Inject: harmless(on(Compute01, "sysctl -qw net.bridge.bridge-nf-call-iptables=0"), on(Controller01, "sysctl -qw net.bridge.bridge-nf-call-iptables=0")),
			Heal:   healed(on(Compute01, "sysctl -qw net.bridge.bridge-nf-call-iptables=1"), on(Controller01, "sysctl -qw net.bridge.bridge-nf-call-iptables=1")),
		},
		{
			ID: "DHCP-41", Variant: "decoy-no-jump", Doc: "nova-compute's chains are there and nothing leads to them",
			Inject: harmless(on(Compute01, novaChains+"\n"+noJump, webAddress)), Heal: healed(on(Compute01, novaJump+dropNova)),
		},
		{
			ID: "DHCP-43", Variant: "decoy-other-guest", Doc: "another guest's ingress chain does not return DHCP replies",
			Inject: harmless(on(Compute01, forgetReturn, chainName("i", "7c25e8f1-3a94-4b6d-a1c8-f0e9d8c7b6a5"), "sport 67.*dport 68.*RETURN")),
			Heal:   healed(on(Compute01, renewChains)),
		},
		{
			ID: "DHCP-22", Variant: "decoy-forwarding", Doc: "spanning tree is on, and every port forwards",
			Inject: harmless(on(Compute01, `ip link set "$1" type bridge forward_delay 200 stp_state 1`, webBridge)),
			Heal: healed(on(Compute01, `ip link set "$1" type bridge stp_state 0
ip link set "$1" type bridge forward_delay 0`, webBridge)),
		},
		{
			ID: "DHCP-23", Variant: "decoy-offload", Doc: "captures show bad checksums, because the card is to fill them in; web-1 takes the replies",
			Inject: harmless(on(Controller01, txChecksums, paymentsNet.ID, dhcpDevice(dhcpPortIDs[0][Controller01]), "on")),
			Heal:   healed(on(Controller01, txChecksums, paymentsNet.ID, dhcpDevice(dhcpPortIDs[0][Controller01]), "off")),
		},
	}
}
