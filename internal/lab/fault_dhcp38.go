package lab

import (
	"context"
	"fmt"
	"time"
)

const (
	// startRogue runs a second DHCP server on web-1's segment: $1 is the
	// bridge, $2 its address, the rest what its dnsmasq is told. Its port is
	// none of Neutron's.
	startRogue = `bridge=$1; shift
ip netns add rogue
ip link add vnet9 type veth peer name eth0 address 52:54:00:9c:3e:07 netns rogue
ip link set vnet9 master "$bridge" up
ip -n rogue link set lo up
ip -n rogue addr add "$1/24" dev eth0; shift
ip -n rogue link set eth0 up
ip netns exec rogue dnsmasq --no-hosts --no-resolv --port=0 --pid-file=/run/rogue.pid --conf-file=/dev/null --user=root \
	--interface=eth0 --bind-interfaces --no-ping --dhcp-leasefile=/run/rogue.leases "$@"`
	stopRogue = `kill "$(cat /run/rogue.pid)"; rm -f /run/rogue.*
ip link del vnet9
ip netns del rogue`

	// farServer puts a wire before the DHCP server on which a frame takes its
	// time, so that it answers after a nearer one: $1 is the network, $2 the
	// tap, $3 the device in the namespace. nearServer takes it away.
	farServer = `ns=qdhcp-$1 mac=$(ip netns exec "qdhcp-$1" cat "/sys/class/net/$3/address")
master=$(basename "$(readlink "/sys/class/net/$2/master")")
address=$(ip -n "$ns" -o -4 addr show "$3" | awk '{print $4}')
ip link del "$2"
ip link add "$2" type veth peer name far0 netns "$ns"
ip -n "$ns" link add near0 type veth peer name "$3" address "$mac"
for d in far0 near0; do
	ip netns exec "$ns" sysctl -qw net.ipv6.conf.$d.disable_ipv6=1
	ip -n "$ns" link set $d arp off up
done
ip netns exec "$ns" ethtool -K "$3" tx off >/dev/null
ip -n "$ns" addr add "$address" dev "$3"
ip -n "$ns" link set "$3" up
ip link set "$2" master "$master" up
/usr/lib/whylab/dhcp-agent spawn "$1"`
	nearServer = `ip link del "$2"
ip -n "qdhcp-$1" link del near0
/usr/lib/whylab/dhcp-agent enable "$1"`

	farDelay = 60 * time.Millisecond
)

// dhcp38 is a DHCP server that is not Neutron's and is nearer to the guest.
func dhcp38() []Fault {
	far := []string{paymentsNet.ID, dhcpTap, dhcpDevice(dhcpPortIDs[0][Controller01])}
	fault := func(variant, doc, node string, ends step, args ...string) Fault {
		return Fault{
			ID: "DHCP-38", Variant: variant, Doc: doc, Want: Want{State: proven, Cause: "DHCP-38"},
			Inject: inOrder(healed(on(Controller01, farServer, far...)), farWire,
				healed(on(node, startRogue, append([]string{webBridge}, args...)...)), ends),
			Heal: inOrder(healed(on(node, stopRogue)), nearWire, healed(on(Controller01, nearServer, far...)), askAnew),
		}
	}
	return []Fault{
		fault("wrong-address", "a DHCP server on compute02 hands out addresses of its own, and is faster", Compute02, misled,
			"10.30.92.250", "--dhcp-broadcast", "--dhcp-range=10.30.92.200,10.30.92.220,255.255.255.0,2m"),
		// A client believes a refusal only from the server that it asked, so
		// this one has that server's address.
		fault("nak", "a stale copy of the network's DHCP server, with its address, refuses web-1, which is newer", Compute02, askAnew,
			"10.30.92.10", "--dhcp-range=10.30.92.0,static"),
	}
}

func farWire(_ context.Context, l *Lab) error {
	netns := fmt.Sprintf("/proc/%d/root/run/netns/qdhcp-%s", l.Machine(Controller01).cell.pid(), paymentsNet.ID)
	return l.addRelay("far", netns, "far0", "near0", farDelay)
}

func nearWire(_ context.Context, l *Lab) error {
	l.dropRelay("far")
	return nil
}

// misled waits until web-1 has taken an address, which is the wrong one, and
// makes it ask again and again.
func misled(ctx context.Context, l *Lab) error {
	if err := l.VM(Web1).Renew(ctx); err != nil {
		return err
	}
	if _, err := l.VM(Web1).WaitLease(ctx); err != nil {
		return err
	}
	return l.VM(Web1).AskOften(ctx)
}
