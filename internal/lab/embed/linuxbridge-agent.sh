#!/bin/sh
# What neutron-linuxbridge-agent does when it starts: bridges, sub-interfaces
# and taps in their places, and its chains at the top of the filter table.
set -eu
lib=/usr/lib/whylab

$lib/vxlan

while read -r bridge uplink nic vlan; do
	[ -e "/sys/class/net/$bridge" ] || ip link add "$bridge" type bridge forward_delay 0 stp_state 0
	ip link set "$bridge" up
	[ -e "/sys/class/net/$uplink" ] || ip link add link "$nic" name "$uplink" type vlan id "$vlan"
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
if iptables -C FORWARD -j neutron-linuxbri-FORWARD 2>/dev/null && [ "$(iptables-save | rules)" -ge "$(rules <$lib/chains)" ]; then
	exit 0
fi
iptables-save | sed '/^-[AI] neutron-/d; /^:neutron-/d; / -j neutron-/d' | iptables-restore
iptables-restore --noflush <$lib/chains
