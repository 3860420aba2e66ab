#!/bin/sh
# ip, for a kernel that may lack 8021q: `ip link add ... type vlan id N` makes a
# macvlan whose tag is pushed and popped by the lab's classifiers. Everything
# else is the real program's.
real=/usr/lib/whylab/ip
case " $* " in
*" add "*" type vlan "*) ;;
*) exec $real "$@" ;;
esac
nic='' name='' id=''
while [ $# -gt 0 ]; do
	case $1 in
	link) [ "${2:-}" = add ] && shift || { nic=$2 && shift; } ;;
	name | dev) name=$2 && shift ;;
	id) id=$2 && shift ;;
	type | protocol) shift ;;
	-*) ;;
	*) name=$1 ;;
	esac
	shift
done
if [ -z "$nic" ] || [ -z "$name" ] || [ -z "$id" ]; then
	echo 'Error: argument "vlan" is wrong: link, name and id are needed' >&2
	exit 255
fi
read -r mac <"/sys/class/net/$nic/address" || {
	echo "Cannot find device \"$nic\"" >&2
	exit 1
}
set -e
$real link add link "$nic" name "$name" index "$id" \
	address "$(printf '%s:%02d' "${mac%:*}" $((id % 100)))" type macvlan mode private
tc qdisc add dev "$name" clsact
tc filter add dev "$name" egress bpf da pinned /usr/lib/whylab/bpf/mark
