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

if iptables -C FORWARD -j neutron-linuxbri-FORWARD 2>/dev/null; then
	exit 0
fi
while read -r table chain target; do
	iptables -t "$table" -D "$chain" -j "$target" 2>/dev/null || true
done <$lib/jumps
iptables-restore --noflush <$lib/chains
