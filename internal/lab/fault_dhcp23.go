package lab

import "context"

// Transmit checksums of the DHCP port are left to the card: $1 is the network,
// $2 the device in its namespace, $3 on or off.
const txChecksums = `ip netns exec "qdhcp-$1" ethtool -K "$2" tx "$3" >/dev/null`

const (
	// giveOldNIC puts another NIC before the guest's: eth0 is the far end of
	// what the hypervisor's process copies the frames to.
	giveOldNIC = `ip link set eth0 down
ip link set eth0 name vnet0
sysctl -qw net.ipv6.conf.vnet0.disable_ipv6=1
ip link set vnet0 arp off up
ip link add vnet1 type veth peer name eth0 address "$1"
sysctl -qw net.ipv6.conf.vnet1.disable_ipv6=1
ip link set vnet1 arp off up
ip link set eth0 up`
	takeOldNIC = `ip link del vnet1
ip link set vnet0 down arp on
ip link set vnet0 name eth0
ip link set eth0 up`
)

// dhcp23 is a reply whose checksum nobody fills in, and a guest that minds. A
// guest of today does not: its kernel tells the DHCP client that the frame never
// left the machine. Behind a hypervisor that does not pass this on it does.
func dhcp23() []Fault {
	fault := func(variant, doc, guest string) Fault {
		g := newPlan(Options{}).guestNamed(guest)
		device := dhcpDevice(dhcpPortIDs[0][Controller01])
		return Fault{
			ID: "DHCP-23", Variant: variant, Doc: doc, Guest: guest,
			Want: Want{
				State: probable, Cause: "DHCP-23", FromNode: g.Port.Machine, FromDevice: g.Port.Tap(),
				ToNode: g.Port.Machine, Direction: reply,
			},
			Inject: inOrder(oldNIC(guest), brokenFor(guest, on(Controller01, txChecksums, paymentsNet.ID, device, "on"))),
			Heal:   inOrder(healed(on(Controller01, txChecksums, paymentsNet.ID, device, "off")), newNIC(guest)),
		}
	}
	return []Fault{
		fault("across", "the DHCP port leaves checksums to its card, and web-1's hypervisor does not know", Web1),
		fault("same-node", "the same with a guest on the network node itself", AIO1),
	}
}

func oldNIC(guest string) step {
	return func(ctx context.Context, l *Lab) error {
		vm := l.VM(guest)
		if err := vm.StopAsking(ctx); err != nil {
			return err
		}
		if _, err := vm.Run(ctx, "sh", "-euc", giveOldNIC, "sh", vm.Port.MAC); err != nil {
			return err
		}
		return l.addRelay(guest, "/run/netns/"+l.claim.namespace("vm-"+guest), "vnet0", "vnet1", 0)
	}
}

func newNIC(guest string) step {
	return func(ctx context.Context, l *Lab) error {
		vm := l.VM(guest)
		if err := vm.StopAsking(ctx); err != nil {
			return err
		}
		l.dropRelay(guest)
		if _, err := vm.Run(ctx, "sh", "-euc", takeOldNIC); err != nil {
			return err
		}
		return vm.Renew(ctx)
	}
}
