#!/bin/sh
# What neutron-linuxbridge-agent does when it starts: bridges, sub-interfaces
# and taps in their places, and its chains at the top of the filter table.
set -eu
lib=/usr/lib/whylab

$lib/vxlan

while read -r bridge uplink nic vlan; do
	[ -e "/sys/class/net/$bridge" ] || ip link add "$bridge" type bridge forward_delay 0 stp_state 0
	echo 1 >"/proc/sys/net/ipv6/conf/$bridge/disable_ipv6" # the node is no host of the tenants' networks
	ip link set "$bridge" up
	[ -e "/sys/class/net/$uplink" ] || ip link add link "$nic" name "$uplink" type vlan id "$vlan"
	[ "$uplink" = "$nic" ] || echo 1 >"/proc/sys/net/ipv6/conf/$uplink/disable_ipv6"
	ip link set "$uplink" master "$bridge" up
done <$lib/networks

while read -r tap bridge; do
	[ ! -e "/sys/class/net/$tap" ] || ip link set "$tap" master "$bridge" up
done <$lib/taps

# what keeps a guest from using another MAC or another guest's address
while read -r tap mac address; do
	! ebtables -t nat -L "neutronMAC-$tap" >/dev/null 2>&1 || continue
	ebtables -t nat -N "neutronMAC-$tap" -P DROP
	ebtables -t nat -A PREROUTING -i "$tap" -j "neutronMAC-$tap"
	ebtables -t nat -A "neutronMAC-$tap" -i "$tap" --among-src "$mac" -j RETURN
	ebtables -t nat -N "neutronARP-$tap" -P DROP
	ebtables -t nat -A PREROUTING -p ARP -i "$tap" -j "neutronARP-$tap"
	ebtables -t nat -A "neutronARP-$tap" -p ARP --arp-ip-src "$address" -j ACCEPT
done <$lib/guests

# its rules, when any of them is missing
rules() { grep -c '^-A neutron-' || :; }
restore() { # PROGRAM CHAINS
	if "$1" -C FORWARD -j neutron-linuxbri-FORWARD 2>/dev/null && [ "$("$1-save" | rules)" -ge "$(rules <"$2")" ]; then
		return 0
	fi
	"$1-save" | sed '/^-[AI] neutron-/d; /^:neutron-/d; / -j neutron-/d' | "$1-restore"
	"$1-restore" --noflush <"$2"
}
restore iptables $lib/chains
[ ! -e $lib/chains6 ] || restore ip6tables $lib/chains6
