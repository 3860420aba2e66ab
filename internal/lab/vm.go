package lab

import (
	"context"
	"os"
	"path/filepath"
	"strings"
)

// A VM is a running guest. It asks for an address as a small image does: three
// DISCOVERs two seconds apart, a pause of three seconds, and again, until it
// has one.
type VM struct {
	Guest

	lab  *Lab
	cell *cell
	dir  string
}

func (l *Lab) startVM(ctx context.Context, g Guest) (*VM, error) {
	dir := filepath.Join(l.fs(), "vm-"+g.Name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	for _, s := range []string{"udhcpc.sh", "dhclient.sh", "ask6.sh"} {
		if err := os.WriteFile(filepath.Join(dir, s), script(s), 0o755); err != nil {
			return nil, err
		}
	}
	c, err := startCell(ctx, l.claim.namespace("vm-"+g.Name), 0, filepath.Join(l.Dir, "vm-"+g.Name+".log"),
		"sh", filepath.Join(l.Dir, "guest.sh"), dir, g.Name, string(g.Port.Network.Six.Mode))
	if err != nil {
		return nil, err
	}
	vm := &VM{Guest: g, lab: l, cell: c, dir: dir}
	orders := []string{"ask"}
	if g.Port.Address6 != "" {
		orders = append(orders, "ask6")
	}
	if err := vm.orders(ctx, orders...); err != nil {
		c.kill()
		return nil, err
	}
	return vm, nil
}

// Lease returns the address that the guest has leased and configured.
func (v *VM) Lease() (ip string, ok bool) {
	b, err := os.ReadFile(filepath.Join(v.dir, "lease"))
	return strings.TrimSpace(string(b)), err == nil
}

// WaitLease waits until the guest has an address.
func (v *VM) WaitLease(ctx context.Context) (ip string, err error) {
	err = until(ctx, "the lease of "+v.Name, func() bool {
		var ok bool
		ip, ok = v.Lease()
		return ok
	})
	return ip, err
}

// WaitVerdict waits until the guest either has an address or has once given up
// asking: then it is known whether DHCP works for it.
func (v *VM) WaitVerdict(ctx context.Context) error {
	return until(ctx, v.Name+" to get an address or to give up", func() bool {
		_, ok := v.Lease()
		return ok || v.Attempts() > 0
	})
}

// Renew makes the guest forget its address and ask again.
func (v *VM) Renew(ctx context.Context) error {
	return v.orders(ctx, "stop", "forget", "ask")
}

// AskOften makes the guest keep its address and yet ask for it anew every three
// seconds, so that DHCP can be watched while it works.
func (v *VM) AskOften(ctx context.Context) error {
	return v.orders(ctx, "stop", "ask-often")
}

// Attempts returns how often the guest has given up asking, three DISCOVERs
// each, since it last forgot its address.
func (v *VM) Attempts() int {
	b, err := os.ReadFile(filepath.Join(v.dir, "log"))
	if err != nil {
		return 0
	}
	return strings.Count(string(b), "no lease")
}

// AskForBroadcasts makes the guest forget its address and ask again, from now on
// for replies to everybody (the broadcast flag).
func (v *VM) AskForBroadcasts(ctx context.Context) error {
	return v.orders(ctx, "stop", "forget", "broadcast", "ask")
}

// StopAsking makes the guest forget its address and fall silent.
func (v *VM) StopAsking(ctx context.Context) error {
	return v.orders(ctx, "stop", "forget")
}

// Ping makes the guest ping an address, once a second, until StopPing.
func (v *VM) Ping(ctx context.Context, address string) error {
	return v.orders(ctx, "stop-ping", "ping "+address)
}

// StopPing ends what Ping began.
func (v *VM) StopPing(ctx context.Context) error { return v.orders(ctx, "stop-ping") }

func (v *VM) orders(ctx context.Context, lines ...string) error {
	for _, o := range lines {
		if err := v.cell.order(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

// Run runs a program inside the guest and returns what it printed.
func (v *VM) Run(ctx context.Context, argv ...string) (string, error) {
	return v.cell.run(ctx, "", argv...)
}

// AnswersARP tells whether the guest answers for its address when the DHCP
// port on controller01 asks who has it.
func (v *VM) AnswersARP(ctx context.Context) bool {
	for _, p := range v.lab.plan.dhcpPorts {
		if p.Machine != Controller01 || p.Network.ID != v.Port.Network.ID {
			continue
		}
		_, err := v.lab.Machine(Controller01).Run(ctx, "ip", "netns", "exec", DHCPNamespace(p.Network.ID),
			"busybox", "arping", "-q", "-f", "-c", "3", "-w", "3", "-I", dhcpDevice(p.ID), v.Port.Address)
		return err == nil
	}
	return false
}
