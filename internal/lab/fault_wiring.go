package lab

import (
	"context"

	"whybot/internal/cloudfake"
)

// Changes of the wiring: $1 is the device, $2 the bridge.
const (
	unplug  = `ip link set "$1" nomaster`
	plug    = `ip link set "$1" master "$2"`
	setDown = `ip link set "$1" down`
	setUp   = `ip link set "$1" up`
)

// dhcp16 is a tap that is not in its bridge.
func dhcp16() []Fault {
	atCompute := Want{
		State: proven, Cause: "DHCP-16", FromNode: Compute01, FromDevice: webTap,
		ToNode: Compute01, ToDevice: webBridge, Direction: request,
	}
	atController := Want{
		State: proven, Cause: "DHCP-16", FromNode: Controller01, FromDevice: webBridge,
		ToNode: Controller01, ToDevice: dhcpTap, Direction: request,
	}
	return []Fault{
		{
			ID: "DHCP-16", Variant: "guest-tap-out", Want: atCompute, Doc: "web-1's tap is in no bridge",
			Inject: broken(on(Compute01, unplug, webTap)), Heal: healed(on(Compute01, plug, webTap, webBridge)),
		},
		{
			ID: "DHCP-16", Variant: "dhcp-tap-out", Want: atController, Doc: "the DHCP port's tap is in no bridge",
			Inject: broken(on(Controller01, unplug, dhcpTap)), Heal: healed(on(Controller01, plug, dhcpTap, webBridge)),
		},
		{
			ID: "DHCP-16", Variant: "guest-tap-in-wrong-bridge", Want: atCompute, Doc: "web-1's tap is in the other network's bridge",
			Inject: broken(on(Compute01, plug, webTap, dbBridge)), Heal: healed(on(Compute01, plug, webTap, webBridge)),
		},
	}
}

// dhcp17 is a VLAN sub-interface that is missing or not in its bridge.
func dhcp17() []Fault {
	atCompute := Want{
		State: proven, Cause: "DHCP-17", FromNode: Compute01, FromDevice: webBridge,
		ToNode: Compute01, ToDevice: webSub, Direction: request,
	}
	atController := Want{
		State: proven, Cause: "DHCP-17", FromNode: Controller01, FromDevice: webSub,
		ToNode: Controller01, ToDevice: webBridge, Direction: request,
	}
	return []Fault{
		{
			ID: "DHCP-17", Variant: "missing-on-compute", Want: atCompute, Doc: "the compute node has no eth3.3092",
			Inject: broken(on(Compute01, `ip link del "$1"`, webSub)), Heal: healed(on(Compute01, restartAgent)),
		},
		{
			ID: "DHCP-17", Variant: "out-of-bridge-on-controller", Want: atController, Doc: "eth3.3092 of the network node is in no bridge",
			Inject: broken(on(Controller01, unplug, webSub)), Heal: healed(on(Controller01, plug, webSub, webBridge)),
		},
		{
			ID: "DHCP-17", Variant: "in-wrong-bridge", Want: atCompute, Doc: "eth3.3092 of the compute node is in the other network's bridge",
			Inject: broken(on(Compute01, plug, webSub, dbBridge)), Heal: healed(on(Compute01, plug, webSub, webBridge)),
		},
	}
}

// dhcp18 is an uplink that is down.
func dhcp18() []Fault {
	sub := Want{
		State: proven, Cause: "DHCP-18", FromNode: Compute01, FromDevice: webBridge,
		ToNode: Compute01, ToDevice: webSub, Direction: request,
	}
	// With the NIC down an answer may name the NIC or its sub-interface.
	nic := Want{State: proven, Cause: "DHCP-18", FromNode: Compute01, ToNode: Compute01, Direction: request}
	return []Fault{
		{
			ID: "DHCP-18", Variant: "sub-interface-down", Want: sub, Doc: "eth3.3092 of the compute node is down",
			Inject: broken(on(Compute01, setDown, webSub)), Heal: healed(on(Compute01, setUp, webSub)),
		},
		{
			ID: "DHCP-18", Variant: "nic-down", Want: nic, Doc: "eth3 of the compute node is down",
			Inject: broken(on(Compute01, setDown, "eth3")), Heal: healed(on(Compute01, setUp, "eth3")),
		},
		{
			ID: "DHCP-18", Variant: "no-carrier", Want: nic, Doc: "the cable of the compute node's eth3 is out",
			Inject: func(ctx context.Context, l *Lab) error {
				if err := l.Cable(ctx, Compute01, "eth3", false); err != nil {
					return err
				}
				return l.VM(Web1).Renew(ctx)
			},
			Heal: func(ctx context.Context, l *Lab) error { return l.Cable(ctx, Compute01, "eth3", true) },
		},
		{
			ID: "DHCP-18", Variant: "nic-down-on-controller", Doc: "eth3 of the network node is down",
			Want:   Want{State: proven, Cause: "DHCP-18", ToNode: Controller01, Direction: request},
			Inject: broken(on(Controller01, setDown, "eth3")), Heal: healed(on(Controller01, setUp, "eth3")),
		},
		{
			ID: "DHCP-18", Variant: "sub-interface-down-on-controller", Doc: "eth3.3092 of the network node is down",
			Want: Want{
				State: proven, Cause: "DHCP-18", FromNode: Controller01, FromDevice: "eth3",
				ToNode: Controller01, ToDevice: webSub, Direction: request,
			},
			Inject: broken(on(Controller01, setDown, webSub)), Heal: healed(on(Controller01, setUp, webSub)),
		},
		{
			ID: "DHCP-18", Variant: "no-carrier-on-controller", Doc: "the cable of the network node's eth3 is out",
			Want: Want{State: proven, Cause: "DHCP-18", ToNode: Controller01, Direction: request},
			Inject: func(ctx context.Context, l *Lab) error {
				if err := l.Cable(ctx, Controller01, "eth3", false); err != nil {
					return err
				}
				return l.VM(Web1).Renew(ctx)
			},
			Heal: func(ctx context.Context, l *Lab) error { return l.Cable(ctx, Controller01, "eth3", true) },
		},
		{
			ID: "DHCP-18", Variant: "port-admin-down", Doc: "web-1's port is administratively down: the agent has set its tap down",
			Want:   Want{State: proven, Cause: "DHCP-18", FromNode: Compute01, ToNode: Compute01, Direction: request},
			Inject: inOrder(neutron(changePort(webPortID, func(p *cloudfake.Port) { p.AdminDown, p.Status = true, "DOWN" })), askAnew),
			Heal:   inOrder(neutron(changePort(webPortID, func(p *cloudfake.Port) { p.AdminDown, p.Status = false, "" })), askAnew),
		},
	}
}
