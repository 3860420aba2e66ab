package lab

import (
	"context"
	"slices"
)

// Changes of a VXLAN device's forwarding: $1 is the device, $2 the peer, $3 a
// guest.
const (
	// anywhere is the address whose entries say where to send what has no
	// known place: broadcasts above all.
	anywhere   = "00:00:00:00:00:00"
	dropFlood  = `bridge fdb del ` + anywhere + ` dev "$1" dst "$2"`
	addFlood   = `bridge fdb append ` + anywhere + ` dev "$1" dst "$2"`
	dropHost   = `bridge fdb del "$3" dev "$1" dst "$2"`
	addHost    = `bridge fdb replace "$3" dev "$1" dst "$2"`
	rejectRest = "INPUT -j REJECT --reject-with icmp-host-prohibited"
)

// Devices of vx-1's network.
var (
	vxGuest  = newPlan(Options{VXLAN: L2Pop}).guestNamed(VX1).Port
	vxBridge = paymentsApp.Bridge()
	vxDevice = paymentsApp.Uplink()
)

// vxlanFaults are the faults of VXLAN networks, and the ordinary ones on them.
func vxlanFaults() []Fault {
	fs := slices.Concat(dhcp30(), dhcp31(), vxlanWiring())
	for i := range fs {
		fs[i].Guest = VX1
	}
	return fs
}

// tunnelIn is where a packet of the tunnel is on the NIC and not in the device.
func tunnelIn(cause, machine, direction string) Want {
	return Want{
		State: proven, Cause: cause, FromNode: machine, FromDevice: tunnelNIC,
		ToNode: machine, ToDevice: vxDevice, Direction: direction,
	}
}

// tunnelOut is where a frame is in the device and no packet of it on the NIC.
func tunnelOut(cause, machine, direction string) Want {
	return Want{
		State: proven, Cause: cause, FromNode: machine, FromDevice: vxDevice,
		ToNode: machine, ToDevice: tunnelNIC, Direction: direction,
	}
}

// dhcp30 is a firewall that does not let the tunnel in.
func dhcp30() []Fault {
	return []Fault{
		{
			ID: "DHCP-30", Variant: "reject-controller", Options: Options{VXLAN: L2Pop},
			Doc:    "INPUT of the network node lacks the rule for the tunnel: the REJECT at its end takes the DISCOVER",
			Want:   tunnelIn("DHCP-30", Controller01, request),
			Inject: brokenFor(VX1, on(Controller01, "iptables -D "+tunnelAccept)),
			Heal:   healed(on(Controller01, "iptables -I "+tunnelAccept)),
		},
		{
			ID: "DHCP-30", Variant: "policy-drop-compute", Options: Options{VXLAN: Multicast},
			Doc:    "INPUT of the compute node lacks the rule for the tunnel and its policy is DROP: the OFFER dies",
			Want:   tunnelIn("DHCP-30", Compute01, reply),
			Inject: brokenFor(VX1, on(Compute01, "iptables -D "+tunnelAccept+"; iptables -D "+rejectRest+"; iptables -P INPUT DROP")),
			Heal:   healed(on(Compute01, "iptables -P INPUT ACCEPT; iptables -A "+tunnelAccept+"; iptables -A "+rejectRest)),
		},
	}
}

// dhcp31 is an l2population that did not tell a node of its peer.
func dhcp31() []Fault {
	onController := []change{
		on(Controller01, dropFlood, vxDevice, vtep(Compute01)),
		on(Controller01, dropHost, vxDevice, vtep(Compute01), vxGuest.MAC),
	}
	return []Fault{
		{
			ID: "DHCP-31", Variant: "missing-on-compute", Options: Options{VXLAN: L2Pop},
			Doc:    "the compute node's device does not flood to the network node: the DISCOVER goes to the other peer only",
			Want:   tunnelOut("DHCP-31", Compute01, request),
			Inject: brokenFor(VX1, on(Compute01, dropFlood, vxDevice, vtep(Controller01))),
			Heal:   healed(on(Compute01, addFlood, vxDevice, vtep(Controller01))),
		},
		{
			ID: "DHCP-31", Variant: "missing-on-controller", Options: Options{VXLAN: L2Pop},
			Doc:  "the network node's device does not flood to the compute node, and vx-1 wants its replies broadcast",
			Want: tunnelOut("DHCP-31", Controller01, reply),
			Inject: func(ctx context.Context, l *Lab) error {
				if err := all(ctx, l, onController); err != nil {
					return err
				}
				return l.VM(VX1).AskForBroadcasts(ctx)
			},
			Heal: healed(on(Controller01, addFlood, vxDevice, vtep(Compute01)),
				on(Controller01, addHost, vxDevice, vtep(Compute01), vxGuest.MAC)),
		},
	}
}

// vxlanWiring are the faults of every network, on a VXLAN network.
func vxlanWiring() []Fault {
	step := func(cause, machine, from, to, direction string) Want {
		return Want{
			State: proven, Cause: cause, FromNode: machine, FromDevice: from,
			ToNode: machine, ToDevice: to, Direction: direction,
		}
	}
	rules := Options{Distro: RHEL}.rulesFile()
	return []Fault{
		{
			ID: "DHCP-01", Variant: "vxlan", Options: Options{VXLAN: L2Pop, Style: OldStyle},
			Doc:    "the REJECT in FORWARD of the network node, on a VXLAN network",
			Want:   step("DHCP-01", Controller01, vxBridge, vxDevice, reply),
			Inject: brokenFor(VX1, on(Controller01, addReject, rules)), Heal: healed(on(Controller01, dropReject, rules)),
		},
		{
			ID: "DHCP-16", Variant: "vxlan-guest-tap-out", Options: Options{VXLAN: Multicast},
			Doc:    "vx-1's tap is in no bridge",
			Want:   step("DHCP-16", Compute01, vxGuest.Tap(), vxBridge, request),
			Inject: brokenFor(VX1, on(Compute01, unplug, vxGuest.Tap())), Heal: healed(on(Compute01, plug, vxGuest.Tap(), vxBridge)),
		},
		{
			ID: "DHCP-17", Variant: "vxlan-missing-on-compute", Options: Options{VXLAN: Multicast},
			Doc:    "the compute node has no vxlan-1207",
			Want:   step("DHCP-17", Compute01, vxBridge, vxDevice, request),
			Inject: brokenFor(VX1, on(Compute01, `ip link del "$1"`, vxDevice)), Heal: healed(on(Compute01, restartAgent)),
		},
		{
			ID: "DHCP-17", Variant: "vxlan-out-of-bridge-on-controller", Options: Options{VXLAN: L2Pop},
			Doc:    "vxlan-1207 of the network node is in no bridge",
			Want:   step("DHCP-17", Controller01, vxDevice, vxBridge, request),
			Inject: brokenFor(VX1, on(Controller01, unplug, vxDevice)), Heal: healed(on(Controller01, plug, vxDevice, vxBridge)),
		},
		{
			ID: "DHCP-18", Variant: "vxlan-device-down", Options: Options{VXLAN: L2Pop},
			Doc:    "vxlan-1207 of the compute node is down",
			Want:   step("DHCP-18", Compute01, vxBridge, vxDevice, request),
			Inject: brokenFor(VX1, on(Compute01, setDown, vxDevice)), Heal: healed(on(Compute01, setUp, vxDevice), on(Compute01, restartAgent)),
		},
		{
			ID: "DHCP-18", Variant: "vxlan-nic-down", Options: Options{VXLAN: Multicast},
			Doc:    "eth1 of the compute node, below its tunnels, is down",
			Want:   tunnelOut("DHCP-18", Compute01, request),
			Inject: brokenFor(VX1, on(Compute01, setDown, tunnelNIC)), Heal: healed(on(Compute01, setUp, tunnelNIC)),
		},
	}
}

// vxlanDecoys look like a fault of vx-1's tunnel and are none.
func vxlanDecoys() []Fault {
	other := paymentsJob.Uplink()
	const nobody = "172.30.200.99"
	ds := []Fault{
		{
			ID: "DHCP-30", Variant: "decoy-other-port", Options: Options{VXLAN: L2Pop},
			Doc:    "INPUT of the network node drops the VXLAN port of others",
			Inject: harmlessFor(VX1, on(Controller01, "iptables -I INPUT -p udp -m udp --dport 4789 -j DROP")),
			Heal:   healed(on(Controller01, "iptables -D INPUT -p udp -m udp --dport 4789 -j DROP")),
		},
		{
			ID: "DHCP-30", Variant: "decoy-behind-accept", Options: Options{VXLAN: Multicast},
			Doc:    "INPUT of the network node drops the tunnel's port behind the rule that lets it in",
			Inject: harmlessFor(VX1, on(Controller01, "iptables -A INPUT -p udp -m udp --dport 8472 -j DROP")),
			Heal:   healed(on(Controller01, "iptables -D INPUT -p udp -m udp --dport 8472 -j DROP")),
		},
		{
			ID: "DHCP-31", Variant: "decoy-stale-peers", Options: Options{VXLAN: L2Pop},
			Doc:    "the devices flood to a peer that is no more, too",
			Inject: harmlessFor(VX1, on(Compute01, addFlood, vxDevice, nobody), on(Controller01, addFlood, vxDevice, nobody)),
			Heal:   healed(on(Compute01, dropFlood, vxDevice, nobody), on(Controller01, dropFlood, vxDevice, nobody)),
		},
		{
			ID: "DHCP-31", Variant: "decoy-other-peer", Options: Options{VXLAN: L2Pop},
			Doc:    "the compute node's device does not flood to the other compute node, which serves nothing",
			Inject: harmlessFor(VX1, on(Compute01, dropFlood, vxDevice, vtep(Compute02))),
			Heal:   healed(on(Compute01, addFlood, vxDevice, vtep(Compute02))),
		},
		{
			ID: "DHCP-31", Variant: "decoy-one-of-two", Options: Options{VXLAN: L2Pop, SecondController: true},
			Doc:    "the compute node's device does not flood to one of two network nodes; the other serves",
			Inject: harmlessFor(VX1, on(Compute01, dropFlood, vxDevice, vtep(Controller02))),
			Heal:   healed(on(Compute01, addFlood, vxDevice, vtep(Controller02))),
		},
		{
			ID: "DHCP-31", Variant: "decoy-other-vni", Options: Options{VXLAN: L2Pop},
			Doc:    "another network's device on the same node knows no peer",
			Inject: harmlessFor(VX1, on(Compute01, dropFlood, other, vtep(Controller01))),
			Heal:   healed(on(Compute01, addFlood, other, vtep(Controller01))),
		},
	}
	for i := range ds {
		ds[i].Guest, ds[i].Want.State = VX1, healthy
	}
	return ds
}
