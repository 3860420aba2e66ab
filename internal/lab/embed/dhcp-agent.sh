#!/bin/sh
# What neutron-dhcp-agent does: dhcp-agent enable|reload|disable NETWORK,
# dhcp-agent sync; and spawn NETWORK, which starts dnsmasq on the files as they are.
# What Neutron would tell it is in /usr/lib/whylab/dhcp/NETWORK; what it made of
# that is in /var/lib/neutron/dhcp/NETWORK, as on a real node.
set -eu
neutron=/usr/lib/whylab/dhcp
state=/var/lib/neutron/dhcp

kill_dnsmasq() { # NETWORK
	[ -s "$state/$1/pid" ] || return 0
	pid=$(cat "$state/$1/pid")
	grep -qs -- "$1" "/proc/$pid/cmdline" || return 0 # the number is somebody else's by now
	kill -KILL "$pid"
	while [ -e "/proc/$pid" ]; do sleep 0.02; done
}

plug() { # NETWORK PORT MAC ADDRESS BRIDGE
	ns=qdhcp-$1 device=$(printf 'ns-%.11s' "$2") tap=$(printf 'tap%.11s' "$2")
	if [ ! -e "/run/netns/$ns" ]; then
		ip netns add "$ns"
		ip -n "$ns" link set lo up
	fi
	[ -e "/sys/class/net/$tap" ] || ip link add "$tap" type veth peer name "$device" address "$3" netns "$ns"
	# Neutron fills in the checksum of replies with an iptables rule in the
	# namespace; not to leave it to the card comes to the same.
	ip netns exec "$ns" ethtool -K "$device" tx off >/dev/null
	ip -n "$ns" addr replace "$4/24" dev "$device"
	ip -n "$ns" link set "$device" up
	[ ! -s "$neutron/$1/port6" ] || plug6 "$1" "$device"
	ip link set "$tap" master "$5" up
}

plug6() { # NETWORK DEVICE
	read -r subnet6 address6 rest6 <"$neutron/$1/port6"
	ip netns exec "qdhcp-$1" sysctl -qw "net.ipv6.conf.$2.accept_ra=0"
	ip -n "qdhcp-$1" -6 addr replace "$address6/64" dev "$2" nodad
}

range6() { # NETWORK: what dnsmasq is told where it gives addresses of IPv6
	[ -s "$neutron/$1/port6" ] || return 0
	read -r subnet6 address6 prefix6 mode6 <"$neutron/$1/port6"
	[ "$mode6" != stateful ] || echo "--dhcp-range=set:subnet-$subnet6,$prefix6,static,64,86400s"
}

reload() { # NETWORK: the host file is written anew
	cp "$neutron/$1/host" "$neutron/$1/addn_hosts" "$state/$1/"
	[ ! -s "$state/$1/pid" ] || kill -HUP "$(cat "$state/$1/pid")" 2>/dev/null || spawn "$1"
}

init_leases() { # NETWORK: as Neutron does, so that dnsmasq knows its clients again
	now=$(date +%s)
	while IFS=, read -r mac name address; do
		case $name in tag:*) continue ;; esac # of IPv6
		echo "$((now + 86400)) $mac $address ${name%%.*} *"
	done <"$neutron/$1/host" >"$state/$1/leases"
}

spawn() { # NETWORK
	kill_dnsmasq "$1"
	read -r port mac address bridge subnet range mtu <"$neutron/$1/port"
	# shellcheck disable=SC2046 # one word or none
	ip netns exec "qdhcp-$1" dnsmasq $(range6 "$1") --no-hosts --no-resolv --pid-file="$state/$1/pid" \
		--dhcp-hostsfile="$state/$1/host" --addn-hosts="$state/$1/addn_hosts" \
		--dhcp-optsfile="$state/$1/opts" --dhcp-leasefile="$state/$1/leases" \
		--dhcp-match=set:ipxe,175 --dhcp-userclass=set:ipxe6,iPXE --local-service --bind-dynamic \
		--dhcp-range="set:subnet-$subnet,$range,static,255.255.255.0,86400s" \
		--dhcp-option-force="option:mtu,$mtu" --dhcp-lease-max=256 --conf-file=/dev/null --domain=openstacklocal
}

enable() { # NETWORK
	read -r port mac address bridge subnet range mtu <"$neutron/$1/port"
	plug "$1" "$port" "$mac" "$address" "$bridge"
	kill_dnsmasq "$1"
	mkdir -p "$state/$1"
	cp "$neutron/$1/host" "$neutron/$1/addn_hosts" "$neutron/$1/opts" "$state/$1/"
	printf 'ns-%.11s' "$port" >"$state/$1/interface"
	init_leases "$1"
	spawn "$1"
}

disable() { # NETWORK
	kill_dnsmasq "$1"
	if [ -s "$state/$1/interface" ]; then # a namespace dies when it likes; its cable must be gone now
		read -r device <"$state/$1/interface" || :
		ip link del "tap${device#ns-}" 2>/dev/null || :
	fi
	[ ! -e "/run/netns/qdhcp-$1" ] || ip netns del "qdhcp-$1"
	rm -rf "${state:?}/$1"
}

case $1 in
enable | reload | disable | spawn) "$1" "$2" ;;
sync)
	for d in "$state"/*/; do [ ! -e "$d" ] || [ -e "$neutron/$(basename "$d")/port" ] || disable "$(basename "$d")"; done
	for d in "$neutron"/*/; do [ ! -e "$d/port" ] || enable "$(basename "$d")"; done
	;;
esac
