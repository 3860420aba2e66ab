package lab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
)

// A Want is what whybot should say about a fault. An empty field is not
// compared.
type Want struct {
	// State is the least that must be claimed: proven, or probable where
	// nothing can prove it; healthy marks a decoy.
	State    string
	Cause    string // catalogue id
	FromNode string
	// FromDevice is the last hop that sees the packet.
	FromDevice string
	ToNode     string
	// ToDevice is the first hop that does not.
	ToDevice  string
	Direction string // request or reply
}

// A Fault breaks a healthy lab in one way, or, as a decoy, makes it look broken
// while it works.
type Fault struct {
	ID      string // catalogue id; of a decoy, the id it looks like
	Variant string
	Doc     string
	// Options are what the lab must be made with.
	Options Options
	// Guest is whom the question is about: web-1 when empty.
	Guest string
	// Question is what is asked; empty for why the guest gets no address.
	Question string
	// IPv6 says that the question is about the guest's IPv6 address: its IPv4
	// one is not looked at.
	IPv6 bool
	// Inject breaks the lab and leaves the guest as an operator would find it:
	// a faulty lab's guest has no address, a decoy's has one and asks for it
	// again every few seconds.
	Inject func(context.Context, *Lab) error
	// Heal takes the fault away; the guest then gets its address by itself.
	Heal func(context.Context, *Lab) error
	Want Want
	// Also are other catalogue ids whose predicates, as the catalogue words
	// them, hold as well: an answer with one of them is not wrong.
	Also []string
	// Passing says that the fault ends by itself: what undoes its fix does not
	// bring it back.
	Passing bool
}

// Name is ID/Variant.
func (f Fault) Name() string { return f.ID + "/" + f.Variant }

// Asked is the guest that the question is about.
func (f Fault) Asked() string { return cmp.Or(f.Guest, Web1) }

// Server is the name of the server that the question is about: the guest's.
func (f Fault) Server() string { return newPlan(f.Options).guestNamed(f.Asked()).Server }

// Decoy tells whether DHCP works in spite of the fault.
func (f Fault) Decoy() bool { return f.Want.State == healthy }

const (
	proven   = "proven"
	probable = "probable"
	healthy  = "healthy"
	request  = "request"
	reply    = "reply"
)

// Faults returns every fault and decoy, in the order of their ids, decoys last.
func Faults() []Fault {
	return slices.Concat(dhcp01(), dhcp02(), dhcp03(), dhcp04(), dhcp09(), dhcp10(), dhcp11(),
		dhcp12(), dhcp13(), dhcp14(), dhcp15(), dhcp16(), dhcp17(), dhcp18(), dhcp19(),
		dhcp22(), dhcp23(), dhcp24(), dhcp25(), dhcp26(), dhcp38(), dhcp39(), dhcp41(), dhcp42(), dhcp43(), secondPort(),
		vxlanFaults(), flatFaults(), ipv6Faults(), decoys(), vxlanDecoys(), flatDecoys(), ipv6Decoys())
}

// FindFaults returns the faults with the name ID/VARIANT or with the ID.
func FindFaults(name string) ([]Fault, error) {
	found := slices.DeleteFunc(slices.Concat(Faults(), PingFaults(), VolumeFaults(), ConsoleFaults()), func(f Fault) bool { return f.Name() != name && f.ID != name })
	if len(found) == 0 {
		return nil, fmt.Errorf("lab: no fault %q; whylab faults lists them", name)
	}
	return found, nil
}

// A change is something done on one machine by a shell script; its $1, $2, ...
// are args.
type change struct {
	machine string
	script  string
	args    []string
}

func on(machine, script string, args ...string) change { return change{machine, script, args} }

func (c change) do(ctx context.Context, l *Lab) error {
	m := l.Machine(c.machine)
	if m == nil {
		return fmt.Errorf("lab: this lab has no %s", c.machine)
	}
	_, err := m.Sh(ctx, c.script, c.args...)
	return err
}

// broken makes an Inject of changes after which web-1 asks in vain.
func broken(changes ...change) func(context.Context, *Lab) error { return brokenFor(Web1, changes...) }

// brokenFor makes an Inject of changes after which a guest asks in vain.
func brokenFor(guest string, changes ...change) func(context.Context, *Lab) error {
	return func(ctx context.Context, l *Lab) error {
		if err := all(ctx, l, changes); err != nil {
			return err
		}
		return l.VM(guest).Renew(ctx)
	}
}

// harmless makes an Inject of changes in spite of which web-1 gets its address.
func harmless(changes ...change) func(context.Context, *Lab) error {
	return harmlessFor(Web1, changes...)
}

// harmlessFor makes an Inject of changes in spite of which a guest gets its
// address.
func harmlessFor(guest string, changes ...change) func(context.Context, *Lab) error {
	return func(ctx context.Context, l *Lab) error {
		if err := all(ctx, l, changes); err != nil {
			return err
		}
		if err := l.VM(guest).Renew(ctx); err != nil {
			return err
		}
		if _, err := l.VM(guest).WaitLease(ctx); err != nil {
			return err
		}
		return l.VM(guest).AskOften(ctx)
	}
}

// healed makes a Heal of changes.
func healed(changes ...change) func(context.Context, *Lab) error {
	return func(ctx context.Context, l *Lab) error { return all(ctx, l, changes) }
}

func all(ctx context.Context, l *Lab, changes []change) error {
	var errs []error
	for _, c := range changes {
		errs = append(errs, c.do(ctx, l))
	}
	return errors.Join(errs...)
}

// Devices that the faults are about.
var (
	webTap    = TapName(webPortID)
	dbTap     = TapName("7c25e8f1-3a94-4b6d-a1c8-f0e9d8c7b6a5")
	dhcpTap   = TapName(dhcpPortIDs[0][Controller01])
	webBridge = paymentsNet.Bridge()
	webSub    = paymentsNet.Uplink()
	dbBridge  = paymentsDBNet.Bridge()
	dbSub     = paymentsDBNet.Uplink()
)

// web-1's port.
const (
	webServerID = "6a1f5b7e-3c52-4d0e-9a9c-0b7d1f2e3a41"
	webPortID   = "3d1c2f4a-0b6e-4c8d-9e7f-a1b2c3d4e5f6"
	webMAC      = "fa:16:3e:4b:10:11"
	webAddress  = "10.30.92.101"
)

// restartAgent is the cure-all for wiring and chains.
const restartAgent = "systemctl restart neutron-linuxbridge-agent"
