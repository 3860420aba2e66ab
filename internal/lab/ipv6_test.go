package lab

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// vain6 is how long a guest that solicits every few seconds must be without an
// IPv6 address.
const vain6 = 8 * time.Second

// checkFault6 proves that a fault takes the IPv6 address of its guest away and
// leaves the IPv4 one, and that the guest gets it when healed; or that a decoy
// leaves it.
func checkFault6(ctx context.Context, l *Lab, f Fault) error {
	vm := l.VM(f.Asked())
	if err := wantAddress6(ctx, vm); err != nil {
		return fmt.Errorf("before the fault: %w", err)
	}
	if err := f.Inject(ctx, l); err != nil {
		return fmt.Errorf("inject: %w", err)
	}
	if f.Decoy() {
		return errors.Join(vm.RenewIPv6(ctx), wantAddress6(ctx, vm), f.Heal(ctx, l))
	}
	vain, cancel := context.WithTimeout(ctx, vain6)
	defer cancel()
	if ip, err := vm.WaitAddress6(vain); err == nil {
		return fmt.Errorf("%s gets %s in spite of the fault", vm.Name, ip)
	}
	if _, ok := vm.Lease(); !ok {
		return fmt.Errorf("%s has lost its IPv4 lease too", vm.Name)
	}
	if err := f.Heal(ctx, l); err != nil {
		return fmt.Errorf("heal: %w", err)
	}
	if err := wantAddress6(ctx, vm); err != nil {
		return fmt.Errorf("after healing: %w", err)
	}
	return nil
}

func wantAddress6(ctx context.Context, vm *VM) error {
	ip, err := vm.WaitAddress6(ctx)
	if err == nil && ip != vm.Port.Address6 {
		err = fmt.Errorf("%s has %s, want %s", vm.Name, ip, vm.Port.Address6)
	}
	return err
}

func TestPlanOfIPv6(t *testing.T) {
	for mode, want := range map[IPv6Mode]string{
		NoIPv6: "", SLAAC: "2001:db8:3092:0:f816:3eff:fe4b:1011", Stateful: "2001:db8:3092::101",
	} {
		p := newPlan(Options{IPv6: mode})
		if got := p.guestNamed(Web1).Port.Address6; got != want {
			t.Errorf("%q: web-1 has %q, want %q", mode, got, want)
		}
		if got := p.guestNamed(DB1).Port.Address6; got != "" {
			t.Errorf("%q: db-1, whose network has no IPv6, has %q", mode, got)
		}
		if p.ipv6() != (mode != NoIPv6) || (len(p.routerPorts) == 1) != (mode != NoIPv6) {
			t.Errorf("%q: ipv6 %t, %d routers", mode, p.ipv6(), len(p.routerPorts))
		}
		model := newModel(p, Options{IPv6: mode})
		line := "fa:16:3e:4b:10:11,tag:dhcpv6,host-2001-db8-3092--101.openstacklocal,[2001:db8:3092::101]\n"
		if host := dhcpOrders(p.dhcpPorts[0], hostsOf(&model, paymentsNet.ID))["host"]; strings.Contains(host, line) != (mode == Stateful) || strings.Contains(host, "fe4b") {
			t.Errorf("%q: host file\n%s", mode, host)
		}
	}
}

func TestUsable6(t *testing.T) {
	for line, want := range map[string]string{
		"20010db83092000000000000000000ff 02 80 00 80     eth0": "2001:db8:3092::ff",
		"20010db83092000000000000000000ff 02 80 00 c0     eth0": "", // tentative
		"20010db83092000000000000000000ff 02 80 00 08     eth0": "", // somebody else has it
		"fe80000000000000f8163efffe4b1011 02 40 20 80     eth0": "",
		"00000000000000000000000000000001 01 80 10 80       lo": "",
		"20010db8 02 80 00 80 eth0":                             "",
		"":                                                      "",
	} {
		if got, ok := usable6(strings.Fields(line)); ok != (want != "") || ok && got != want {
			t.Errorf("%q: %q, %t; want %q", line, got, ok, want)
		}
	}
}
