#!/bin/sh
# What neutron-l3-agent does for ports of IPv6: l3-agent sync | stop ROUTER |
# remove ROUTER. What Neutron would tell it is in /usr/lib/whylab/routers.
set -eu
ra=/var/lib/neutron/ra
pids=/var/lib/neutron/external/pids

stop() { # ROUTER: its radvd
	[ -s "$pids/$1.pid.radvd" ] || return 0
	pid=$(cat "$pids/$1.pid.radvd")
	rm -f "$pids/$1.pid.radvd"
	grep -qs -- "$1" "/proc/$pid/cmdline" || return 0 # the number is somebody else's by now
	for p in $(pgrep -f -- "radvd.*$1"); do kill -KILL "$p" 2>/dev/null || :; done
	while [ -e "/proc/$pid" ]; do sleep 0.02; done
}

plug() { # ROUTER PORT MAC ADDRESS BRIDGE
	ns=qrouter-$1 device=$(printf 'qr-%.11s' "$2") tap=$(printf 'tap%.11s' "$2")
	if [ ! -e "/run/netns/$ns" ]; then
		ip netns add "$ns"
		ip -n "$ns" link set lo up
		ip netns exec "$ns" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv6.conf.default.accept_ra=0
	fi
	[ -e "/sys/class/net/$tap" ] || ip link add "$tap" type veth peer name "$device" address "$3" netns "$ns"
	ip netns exec "$ns" ethtool -K "$device" tx off >/dev/null
	ip -n "$ns" link set "$device" up
	ip -n "$ns" -6 addr replace "$4/64" dev "$device" nodad
	ip link set "$tap" master "$5" up
}

configure() { # ROUTER PORT PREFIX MODE: Neutron's template; a lab has no time for its 30 and 100 seconds
	managed='' autonomous=on
	if [ "$4" = stateful ]; then managed='AdvManagedFlag on;' autonomous=off; fi
	mkdir -p "$ra" "$pids"
	cat >"$ra/$1.radvd.conf" <<-CONF
		interface $(printf 'qr-%.11s' "$2")
		{
		   AdvSendAdvert on;
		   MinRtrAdvInterval 3;
		   MaxRtrAdvInterval 4;

		   AdvLinkMTU 1500;

		   $managed

		   prefix $3
		   {
		        AdvOnLink on;
		        AdvAutonomous $autonomous;
		   };

		};
	CONF
}

sync() {
	while read -r router port mac address prefix bridge mode; do
		plug "$router" "$port" "$mac" "$address" "$bridge"
		configure "$router" "$port" "$prefix" "$mode"
		stop "$router"
		ip netns exec "qrouter-$router" radvd -C "$ra/$router.radvd.conf" -p "$pids/$router.pid.radvd" -m syslog -u root
	done </usr/lib/whylab/routers
}

remove() { # ROUTER: no port of it is left
	stop "$1"
	rm -f "$ra/$1.radvd.conf"
	for device in $(ip -n "qrouter-$1" -o link show type veth | sed -n 's/^[0-9]*: qr-\([^:@]*\).*/\1/p'); do
		ip link del "tap$device"
	done
	ip netns del "qrouter-$1"
}

case $1 in
sync) sync ;;
stop | remove) "$1" "$2" ;;
esac
