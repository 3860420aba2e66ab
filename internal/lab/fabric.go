package lab

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
)

// vswitchName is the namespace that holds the bridges between the machines.
const vswitchName = "vswitch"

// makeFabric makes every namespace and cable of the lab.
func (l *Lab) makeFabric(ctx context.Context) error {
	var b strings.Builder
	ns := l.claim.namespace
	fmt.Fprintf(&b, "netns add %s\n", ns(vswitchName))
	for _, m := range l.plan.machines {
		fmt.Fprintf(&b, "netns add %s\n", ns(m))
	}
	for _, g := range l.plan.guests {
		fmt.Fprintf(&b, "netns add %s\n", ns("vm-"+g.Name))
	}
	fmt.Fprintf(&b, "link add %s type veth peer name oob-root netns %s\n", l.claim.rootVeth(), ns(vswitchName))
	fmt.Fprintf(&b, "addr add %s/24 dev %s\n", l.claim.address(1), l.claim.rootVeth())
	fmt.Fprintf(&b, "link set %s up\n", l.claim.rootVeth())
	for _, m := range l.plan.machines {
		for _, c := range l.cables(m) {
			fmt.Fprintf(&b, "link add %s netns %s type veth peer name %s address %s netns %s\n",
				c.port, ns(vswitchName), c.nic, nicMAC(m, c.nic), ns(m))
		}
	}
	for _, g := range l.plan.guests {
		b.WriteString(l.guestCable(g) + "\n")
	}
	if _, err := run(ctx, b.String(), "ip", "-batch", "-"); err != nil {
		return fmt.Errorf("lab: make the fabric: %w", err)
	}
	return l.configureFabric(ctx)
}

// guestCable is the order to ip that makes a guest's NIC and its tap. libvirt
// gives a tap the guest's MAC with fe in front.
func (l *Lab) guestCable(g Guest) string {
	return fmt.Sprintf("link add %s address fe%s netns %s type veth peer name eth0 address %s netns %s",
		g.Port.Tap(), g.Port.MAC[2:], l.claim.namespace(g.Port.Machine), g.Port.MAC, l.claim.namespace("vm-"+g.Name))
}

// A cable joins a machine's NIC to a bridge of the virtual switch.
type cable struct{ nic, port, bridge string }

func (l *Lab) cables(machine string) []cable {
	n := machineNumber(machine)
	cs := []cable{
		{"eth0", fmt.Sprintf("oob-%d", n), "oob"},
		{"eth1", fmt.Sprintf("mgmt-%d", n), "mgmt"},
	}
	for _, p := range l.plan.physnets() {
		cs = append(cs, cable{nics[p], fmt.Sprintf("%s-%d", p, n), p})
	}
	return cs
}

func (l *Lab) configureFabric(ctx context.Context) error {
	batches := map[string]string{vswitchName: l.switchBatch()}
	for _, m := range l.plan.machines {
		batches[m] = l.machineBatch(m)
	}
	for _, g := range l.plan.guests {
		batches["vm-"+g.Name] = "link set lo up\nlink set eth0 up\n"
	}
	var wg sync.WaitGroup
	errs := make(chan error, len(batches))
	for name, batch := range batches {
		wg.Go(func() {
			_, err := run(ctx, batch, "ip", "-n", l.claim.namespace(name), "-batch", "-")
			errs <- err
		})
	}
	wg.Wait()
	close(errs)
	var all []error
	for err := range errs {
		all = append(all, err)
	}
	return errors.Join(all...)
}

func (l *Lab) switchBatch() string {
	var b strings.Builder
	b.WriteString("link set lo up\n")
	for _, bridge := range append([]string{"oob", "mgmt"}, l.plan.physnets()...) {
		fmt.Fprintf(&b, "link add %s type bridge forward_delay 0 stp_state 0\nlink set %s up\n", bridge, bridge)
	}
	b.WriteString("link set oob-root master oob up\n")
	for _, m := range l.plan.machines {
		for _, c := range l.cables(m) {
			fmt.Fprintf(&b, "link set %s master %s up\n", c.port, c.bridge)
		}
	}
	return b.String()
}

func (l *Lab) machineBatch(machine string) string {
	n := machineNumber(machine)
	var b strings.Builder
	b.WriteString("link set lo up\n")
	fmt.Fprintf(&b, "addr add %s/24 dev eth0\n", l.claim.address(n))
	fmt.Fprintf(&b, "addr add 172.30.200.%d/24 dev eth1\n", n)
	for _, c := range l.cables(machine) {
		fmt.Fprintf(&b, "link set %s up\n", c.nic)
	}
	return b.String()
}

// Cable plugs in (or pulls) the cable of a machine's NIC at the switch's end:
// the machine sees its carrier come and go.
func (l *Lab) Cable(ctx context.Context, machine, nic string, in bool) error {
	state := "down"
	if in {
		state = "up"
	}
	for _, c := range l.cables(machine) {
		if c.nic == nic {
			_, err := run(ctx, "", "ip", "-n", l.claim.namespace(vswitchName), "link", "set", c.port, state)
			return err
		}
	}
	return fmt.Errorf("lab: %s has no NIC %s", machine, nic)
}
