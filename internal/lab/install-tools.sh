#!/bin/sh
# Installs what internal/lab needs on Debian. Idempotent: does nothing, not even
# an update of the package lists, when everything is there.
set -eu
packages="bash bridge-utils busybox-static dnsmasq-base ebtables ethtool iproute2 ipset iptables iputils-ping
isc-dhcp-client mount nftables openssh-client openssh-server procps radvd sudo tcpdump util-linux"

missing=
for p in $packages; do
	[ "$(dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || missing="$missing $p"
done
[ -n "$missing" ] || exit 0
[ "$(id -u)" = 0 ] || {
	echo "install-tools: run as root to install:$missing" >&2
	exit 1
}

# The lab starts its own daemons; the packages must not start theirs.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
	trap 'rm -f "$policy"' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
# shellcheck disable=SC2086 # a list of words
apt-get install -q -y --no-install-recommends $missing
