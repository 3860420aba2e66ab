package lab

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// A claim is a lab's place on this machine: a suffix for its names, a directory
// and a management network nobody else uses.
type claim struct {
	suffix, dir string
	subnet      int // N of 10.199.N.0/24
}

func (c claim) namespace(name string) string { return name + "-" + c.suffix }

// rootVeth is the lab's only device in the root namespace.
func (c claim) rootVeth() string { return "wl-" + c.suffix }

// address is the management address of a machine; number 1 is this side.
func (c claim) address(number int) string { return fmt.Sprintf("10.199.%d.%d", c.subnet, number) }

// newClaim takes a place under parent. The owner is this process.
func newClaim(parent string) (claim, error) {
	unlock, err := lockParent(parent)
	if err != nil {
		return claim{}, err
	}
	defer unlock()
	subnet, err := freeSubnet(parent)
	if err != nil {
		return claim{}, err
	}
	suffix := strings.ToLower(rand.Text()[:5])
	c := claim{suffix: suffix, dir: filepath.Join(parent, suffix), subnet: subnet}
	if err := os.Mkdir(c.dir, 0o755); err != nil {
		return claim{}, fmt.Errorf("lab: directory: %w", err)
	}
	born, err := startTime(os.Getpid())
	if err != nil {
		return claim{}, err
	}
	owner := fmt.Sprintf("%d %s %d\n", os.Getpid(), born, subnet)
	return c, os.WriteFile(filepath.Join(c.dir, "owner"), []byte(owner), 0o600)
}

// lockParent keeps labs that come and go from seeing half a claim.
func lockParent(parent string) (unlock func(), err error) {
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return nil, fmt.Errorf("lab: directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(parent, ".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lab: lock: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("lab: lock %s: %w", f.Name(), err), f.Close())
	}
	return func() { _ = f.Close() }, nil // closing gives the lock back
}

// freeSubnet finds an N for which no lab holds 10.199.N.0/24 and this machine
// has no address in it.
func freeSubnet(parent string) (int, error) {
	claims, err := claims(parent)
	if err != nil {
		return 0, err
	}
	taken := map[int]bool{}
	for _, c := range claims {
		taken[c.subnet] = true
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return 0, fmt.Errorf("lab: addresses of this machine: %w", err)
	}
	for _, a := range addrs {
		if ip, _, err := net.ParseCIDR(a.String()); err == nil && ip.To4() != nil && ip.To4()[0] == 10 && ip.To4()[1] == 199 {
			taken[int(ip.To4()[2])] = true
		}
	}
	for n := range 256 {
		if !taken[n] {
			return n, nil
		}
	}
	return 0, errors.New("lab: every network of 10.199.0.0/16 is taken; close some labs or run whylab sweep")
}

type ownedClaim struct {
	claim
	alive bool
}

// claims lists the labs under parent.
func claims(parent string) ([]ownedClaim, error) {
	entries, err := os.ReadDir(parent)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	var found []ownedClaim
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		c := ownedClaim{claim: claim{suffix: e.Name(), dir: filepath.Join(parent, e.Name()), subnet: -1}}
		if text, err := os.ReadFile(filepath.Join(c.dir, "owner")); err == nil {
			c.readOwner(strings.Fields(string(text)))
		}
		found = append(found, c)
	}
	return found, nil
}

func (c *ownedClaim) readOwner(fields []string) {
	if len(fields) != 3 {
		return // written half by a process that died: nobody's
	}
	pid, err := strconv.Atoi(fields[0])
	if err != nil {
		return
	}
	if n, err := strconv.Atoi(fields[2]); err == nil {
		c.subnet = n
	}
	born, err := startTime(pid)
	c.alive = err == nil && born == fields[1]
}

// startTime tells a process from a later one with the same number.
func startTime(pid int) (string, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 20 {
		return "", fmt.Errorf("lab: /proc/%d/stat is cut short", pid)
	}
	return fields[19], nil
}

// Sweep removes what labs under parent (DefaultParent when empty) left behind
// when their owner was killed: namespaces, devices, mounts and directories.
// Labs whose owner lives are left alone. It returns the names it removed.
func Sweep(ctx context.Context, parent string) ([]string, error) {
	if err := rootOnly(); err != nil {
		return nil, err
	}
	if parent == "" {
		parent = DefaultParent
	}
	unlock, err := lockParent(parent)
	if err != nil {
		return nil, err
	}
	defer unlock()
	labs, err := claims(parent)
	if err != nil {
		return nil, err
	}
	var swept []string
	var errs []error
	for _, c := range labs {
		if c.alive {
			continue
		}
		errs = append(errs, c.remove(ctx))
		swept = append(swept, c.suffix)
	}
	return swept, errors.Join(errs...)
}

// remove takes away everything that carries the claim's names. The machines
// are dead by then: their pid 1 ends with the owner.
func (c claim) remove(ctx context.Context) error {
	var errs []error
	if _, err := os.Stat("/sys/class/net/" + c.rootVeth()); err == nil {
		_, err := run(ctx, "", "ip", "link", "del", c.rootVeth())
		errs = append(errs, err)
	}
	errs = append(errs, c.removeNamespaces(ctx))
	for _, mount := range []string{"bpf", "fs"} {
		err := syscall.Unmount(filepath.Join(c.dir, mount), syscall.MNT_DETACH)
		if err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOENT) {
			errs = append(errs, fmt.Errorf("lab: unmount %s: %w", mount, err))
		}
	}
	return errors.Join(append(errs, os.RemoveAll(c.dir))...)
}

func (c claim) removeNamespaces(ctx context.Context) error {
	entries, err := os.ReadDir("/run/netns")
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	var batch strings.Builder
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), "-"+c.suffix) {
			fmt.Fprintf(&batch, "netns del %s\n", e.Name())
		}
	}
	if batch.Len() == 0 {
		return nil
	}
	_, err = run(ctx, batch.String(), "ip", "-force", "-batch", "-")
	return err
}
