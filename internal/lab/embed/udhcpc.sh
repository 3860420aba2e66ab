#!/bin/sh
# busybox udhcpc's hook: configures what was leased and keeps it in $LEASE. With
# KEEP an address stays while the client asks anew.
case $1 in
deconfig)
	[ -z "$KEEP" ] || exit 0
	rm -f "$LEASE"
	ip -4 addr flush dev "$interface"
	;;
leasefail)
	echo "no lease"
	;;
bound | renew)
	ip addr replace "$ip/${mask:-24}" dev "$interface"
	[ -z "$router" ] || ip route replace default via "${router%% *}"
	echo "$ip" >"$LEASE.new"
	mv "$LEASE.new" "$LEASE"
	;;
esac
