#!/bin/sh
# dhclient's hook for IPv6: configures what was leased.
case $reason in
BOUND6 | RENEW6 | REBIND6)
	[ -z "$new_ip6_address" ] || ip -6 addr replace "$new_ip6_address/128" dev "$interface" nodad
	;;
esac
exit 0
