package accuracy

import (
	"context"
	"fmt"
	"time"

	"whybot/internal/lab"
)

// vainTimeout is how long a guest that solicits every few seconds is given to
// show that it gets no IPv6 address.
const vainTimeout = 10 * time.Second

// waitAddress waits until the guest has the address that w is asked about, and
// wants it to be the one that Neutron gave it.
func (w whybot) waitAddress(ctx context.Context, l *lab.Lab) error {
	wait, want := waitLease, l.VM(w.guest).Port.Address
	if w.ipv6 {
		wait, want = waitAddress6, l.VM(w.guest).Port.Address6
	}
	ip, err := wait(ctx, l, w.guest)
	if err != nil {
		return fmt.Errorf("%s has no address: %w", w.guest, err)
	}
	if ip != want {
		return fmt.Errorf("%s has %s instead of %s", w.guest, ip, want)
	}
	return nil
}

// askOften makes the guest ask again and again for what w is asked about.
func (w whybot) askOften(ctx context.Context, l *lab.Lab) error {
	if w.ipv6 {
		return l.VM(w.guest).AskOftenIPv6(ctx)
	}
	return l.VM(w.guest).AskOften(ctx)
}

func waitAddress6(ctx context.Context, l *lab.Lab, guest string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, leaseTimeout, fmt.Errorf("no IPv6 address within %s", leaseTimeout))
	defer cancel()
	return l.VM(guest).WaitAddress6(ctx)
}

func asksInVain6(ctx context.Context, vm *lab.VM) error {
	if err := vm.RenewIPv6(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, vainTimeout)
	defer cancel()
	if ip, err := vm.WaitAddress6(ctx); err == nil {
		return fmt.Errorf("after the undo %s gets %s: the fault did not come back", vm.Name, ip)
	}
	return nil
}
