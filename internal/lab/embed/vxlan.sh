#!/bin/sh
# What neutron-linuxbridge-agent does for VXLAN networks: a device each, in the
# agent's own words (ensure_vxlan), and with l2_population the entries that the
# server sends it (fdb_add): where to send what has no known place, and the
# place of every port.
set -eu
lib=/usr/lib/whylab

while read -r order device rest; do
	set -- $rest
	case $order in
	device) # VNI NIC PORT GROUP
		[ ! -e "/sys/class/net/$device" ] || continue
		group="group $4"
		[ "$4" != - ] || group=''
		ip link add "$device" type vxlan id "$1" dev "$2" srcport 0 0 dstport "$3" $group ageing 300
		ip link set "$device" up
		;;
	flood) bridge fdb append 00:00:00:00:00:00 dev "$device" dst "$1" ;;
	host) bridge fdb replace "$1" dev "$device" dst "$2" ;;
	esac
done <$lib/vxlans
