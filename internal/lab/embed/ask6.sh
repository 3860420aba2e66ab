#!/bin/sh
# What a guest does for its IPv6 address: ask6.sh DIRECTORY MODE once|often. The
# kernel solicits routers until one answers, and makes its address of the prefix
# that is offered for that. Where DHCPv6 gives the address, dhclient asks as well.
directory=$1 mode=$2 often=$3
conf=/proc/sys/net/ipv6/conf/eth0
again() { # from the link-local address on
	echo 1 >$conf/disable_ipv6
	echo 0 >$conf/disable_ipv6
}
has_address() { ip -6 -o addr show dev eth0 scope global | grep -q inet6; }
settled() { # dhclient ends at once while its link-local address is still tentative
	for _ in $(seq 50); do
		ip -6 -o addr show dev eth0 scope link -tentative | grep -q inet6 && return
		sleep 0.1
	done
}
lease() { # for some seconds; as the same client every time, or the server has no address left for it
	settled
	rm -f "$directory/leases6"
	timeout --foreground -s KILL 6 dhclient -6 -1 -d -D LL -cf /dev/null -sf "$directory/dhclient.sh" -lf "$directory/leases6" -pf "$directory/pid6" eth0
}
echo -1 >$conf/router_solicitations
echo 1 >$conf/router_solicitation_interval
echo 3 >$conf/router_solicitation_max_interval
again
case $mode/$often in
stateful/once) until has_address; do lease; done ;;
stateful/often)
	while :; do
		lease
		again
	done
	;;
*/often)
	while :; do
		sleep 5
		again
	done
	;;
esac
