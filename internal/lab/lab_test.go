package lab

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// needLab skips a test where no lab can be made, or fails it where one must be.
func needLab(t *testing.T) {
	t.Helper()
	err := rootOnly()
	if err == nil {
		err = EnsureTools()
	}
	if err == nil {
		return
	}
	if os.Getenv("WHYBOT_REQUIRE_LAB") == "1" {
		t.Fatalf("WHYBOT_REQUIRE_LAB=1, but there can be no lab: %v", err)
	}
	t.Skipf("SKIPPED, NOT TESTED: %v", err)
}

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func mustUp(t *testing.T, o Options) *Lab {
	t.Helper()
	needLab(t)
	l, err := Up(testContext(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return l
}

func waitLeases(ctx context.Context, l *Lab) error {
	for _, g := range l.plan.guests {
		ip, err := l.VM(g.Name).WaitLease(ctx)
		if err != nil {
			return err
		}
		if ip != g.Port.Address {
			return fmt.Errorf("%s leased %s, Neutron gave it %s", g.Name, ip, g.Port.Address)
		}
	}
	return nil
}

func TestKernelEveryKindOfLabGivesEveryGuestItsAddress(t *testing.T) {
	for _, o := range []Options{
		{},
		{Distro: Debian, Backend: Legacy, Style: OldStyle},
		{SecondController: true, Flat: true},
		{VXLAN: Multicast},
		{VXLAN: L2Pop, SecondController: true},
	} {
		t.Run(fmt.Sprintf("%+v", o), func(t *testing.T) {
			l, ctx := mustUp(t, o), testContext(t)
			if err := waitLeases(ctx, l); err != nil {
				t.Fatal(err)
			}
			for _, g := range l.plan.guests {
				if !l.VM(g.Name).AnswersARP(ctx) {
					t.Errorf("%s does not answer ARP for its address", g.Name)
				}
			}
		})
	}
}

// onlyFault tries the faults whose name contains a text.
var onlyFault = flag.String("fault", "", "try the faults whose name contains this only")

// Every fault really stops the guest's lease, its packets die where Want says, and
// it gets its address when healed. Every decoy leaves it working.
func TestKernelFaultsAreWhatTheyClaim(t *testing.T) {
	needLab(t)
	faults := slices.DeleteFunc(Faults(), func(f Fault) bool { return !strings.Contains(f.Name(), *onlyFault) })
	results := make([]error, len(faults))
	var wg sync.WaitGroup
	slots := make(chan struct{}, 6) // labs mostly wait; more than this starves them
	for i, f := range faults {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			results[i] = checkFault(t.Context(), f)
		})
	}
	wg.Wait()
	for i, f := range faults {
		t.Run(f.Name(), func(t *testing.T) {
			if results[i] != nil {
				t.Error(results[i])
			}
		})
	}
}

// Of every pair either fault alone keeps the guest from its address, and it gets
// it when both are gone.
func TestKernelPairsAreTwoFaults(t *testing.T) {
	needLab(t)
	pairs := slices.DeleteFunc(Pairs(), func(p Pair) bool { return !strings.Contains(p.Name(), *onlyFault) })
	results := make([]error, len(pairs))
	var wg sync.WaitGroup
	slots := make(chan struct{}, 6)
	for i, p := range pairs {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			results[i] = checkPair(t.Context(), p)
		})
	}
	wg.Wait()
	for i, p := range pairs {
		t.Run(p.Name(), func(t *testing.T) {
			if results[i] != nil {
				t.Error(results[i])
			}
		})
	}
}

func checkPair(ctx context.Context, p Pair) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 90*time.Second)
	defer cancel()
	l, err := Up(ctx, p.Options)
	if err != nil {
		return err
	}
	defer func() { //nolint:contextcheck // a lab is taken down also when ctx has ended
		err = errors.Join(err, l.Close())
	}()
	if err := waitLeases(ctx, l); err != nil {
		return fmt.Errorf("before the faults: %w", err)
	}
	if err := p.Inject(ctx, l); err != nil {
		return err
	}
	if err := p.First.Heal(ctx, l); err != nil {
		return fmt.Errorf("heal the first: %w", err)
	}
	if err := checkSecond(ctx, l, p.Second); err != nil {
		return fmt.Errorf("with the first away: %w", err)
	}
	if err := p.Second.Heal(ctx, l); err != nil {
		return fmt.Errorf("heal the second: %w", err)
	}
	_, err = l.VM(p.First.Asked()).WaitLease(ctx)
	return err
}

// checkSecond proves that the second fault is still there.
func checkSecond(ctx context.Context, l *Lab, f Fault) error {
	if err := l.VM(f.Asked()).Renew(ctx); err != nil {
		return err
	}
	return checkLoss(ctx, l, f)
}

func checkFault(ctx context.Context, f Fault) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 90*time.Second)
	defer cancel()
	l, err := Up(ctx, f.Options)
	if err != nil {
		return err
	}
	defer func() { //nolint:contextcheck // a lab is taken down also when ctx has ended
		if closeErr := l.Close(); err == nil {
			err = closeErr
		}
	}()
	if err := waitLeases(ctx, l); err != nil {
		return fmt.Errorf("before the fault: %w", err)
	}
	if f.IPv6 {
		return checkFault6(ctx, l, f)
	}
	if err := f.Inject(ctx, l); err != nil {
		return fmt.Errorf("inject: %w", err)
	}
	if f.Decoy() {
		err = checkDecoy(ctx, l, f.Asked())
	} else {
		err = checkLoss(ctx, l, f)
	}
	if err != nil {
		return err
	}
	if err := f.Heal(ctx, l); err != nil {
		return fmt.Errorf("heal: %w", err)
	}
	if f.Decoy() {
		return nil
	}
	ip, err := l.VM(f.Asked()).WaitLease(ctx)
	if err == nil && ip != l.VM(f.Asked()).Port.Address {
		err = fmt.Errorf("%s got %s", f.Asked(), ip)
	}
	if err != nil {
		return fmt.Errorf("after healing: %w", err)
	}
	return nil
}

// checkDecoy proves that the guest gets its address while the decoy stands.
func checkDecoy(ctx context.Context, l *Lab, guest string) error {
	vm := l.VM(guest)
	if ip, ok := vm.Lease(); !ok || ip != vm.Port.Address {
		return fmt.Errorf("%s has the lease %q: the decoy is a fault", guest, ip)
	}
	if !vm.AnswersARP(ctx) {
		return fmt.Errorf("%s has its lease and does not answer ARP", guest)
	}
	return nil
}

// A traffic is what a capture counted: the guest's requests, and replies to it.
type traffic struct{ requests, replies int }

func (c traffic) of(direction string) int {
	if direction == request {
		return c.requests
	}
	return c.replies
}

// count captures on a device while the guest sends three DISCOVERs and pauses.
// A device that is missing or down carries nothing.
func count(ctx context.Context, l *Lab, guest Port, machine, device string) traffic {
	filter := "(ether host " + guest.MAC + " or ether broadcast) and udp and (port 67 or port 68)"
	if device == tunnelNIC {
		filter = fmt.Sprintf("udp port %d and host %s and host %s", tunnelPort, vtep(guest.Machine), vtep(Controller01))
		if l.options.VXLAN == Multicast {
			filter = fmt.Sprintf("udp port %d", tunnelPort)
		}
	}
	out, _ := l.Machine(machine).Run(ctx, "timeout", "8", "tcpdump", "-l", "-nn", "-e", "-i", device, filter) // its exit code is timeout's

	return traffic{strings.Count(out, "BOOTP/DHCP, Request from "+guest.MAC), strings.Count(out, "BOOTP/DHCP, Reply")}
}

// actualPort is the guest's port with the MAC that its NIC really has; a guest
// without a NIC sends nothing, whatever its MAC.
func actualPort(ctx context.Context, vm *VM) (Port, error) {
	port := vm.Port
	out, err := vm.Run(ctx, "ip", "-o", "link", "show", "eth0")
	if exit, ok := errors.AsType[*CommandError](err); ok && exit.Code == 1 {
		return port, nil
	}
	if m := regexp.MustCompile(`link/ether (\S+)`).FindStringSubmatch(out); m != nil {
		port.MAC = m[1]
	}
	return port, err
}

func checkLoss(ctx context.Context, l *Lab, f Fault) error {
	var from, to, server, tap traffic
	var wg sync.WaitGroup
	vm := l.VM(f.Asked())
	port, err := actualPort(ctx, vm)
	if err != nil {
		return err
	}
	if f.Want.FromDevice != "" && f.Want.FromNode != "" {
		wg.Go(func() { from = count(ctx, l, port, f.Want.FromNode, f.Want.FromDevice) })
		wg.Go(func() { to = count(ctx, l, port, f.Want.ToNode, f.Want.ToDevice) })
	}
	wg.Go(func() { server = count(ctx, l, port, Controller01, l.plan.serverTap(vm.Port.Network)) })
	wg.Go(func() { tap = count(ctx, l, port, vm.Port.Machine, vm.Port.Tap()) })
	wg.Wait()
	if ip, ok := vm.Lease(); ok && (f.ID != "DHCP-38" || ip == vm.Port.Address) {
		return fmt.Errorf("%s got %s in spite of the fault", vm.Name, ip)
	}
	if d := f.Want.Direction; f.Want.FromDevice != "" && f.Want.FromNode != "" && (from.of(d) == 0 || to.of(d) != 0) {
		return fmt.Errorf("%s: %s/%s saw %+v, %s/%s saw %+v", d, f.Want.FromNode, f.Want.FromDevice, from, f.Want.ToNode, f.Want.ToDevice, to)
	}
	return checkEnds(f, tap, server)
}

// checkEnds holds what the guest's tap and the server's tap saw against what
// the fault's id means.
func checkEnds(f Fault, tap, server traffic) error {
	answered := f.ID == "DHCP-23" || f.ID == "DHCP-38"
	ok := tap.requests > 0 && (tap.replies > 0) == answered
	switch {
	case f.Want.ToDevice == "dnsmasq", slices.Contains([]string{"DHCP-09", "DHCP-11", "DHCP-39"}, f.ID), f.Name() == "DHCP-10/entry-missing":
		ok = ok && server.requests > 0 && server.replies == 0
	case f.Name() == "DHCP-10/entry-stale", f.ID == "DHCP-01", f.ID == "DHCP-23":
		ok = ok && server.requests > 0 && server.replies > 0
	case slices.Contains([]string{"DHCP-12", "DHCP-13", "DHCP-14"}, f.ID):
		ok = ok && server.replies == 0
	}
	if f.ID == "DHCP-42" || f.ID == "DHCP-15" || f.Name() == "DHCP-18/port-admin-down" {
		ok = tap == traffic{}
	}
	if !ok {
		return fmt.Errorf("the guest's tap saw %+v, the server's %+v", tap, server)
	}
	return nil
}

func TestFaultNamesAreUniqueAndSayWhatTheyWant(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range Faults() {
		if seen[f.Name()] {
			t.Errorf("%s twice", f.Name())
		}
		seen[f.Name()] = true
		if f.Doc == "" || f.Want.State == "" || (f.Want.Cause == "") != f.Decoy() {
			t.Errorf("%s: doc %q, want %+v", f.Name(), f.Doc, f.Want)
		}
		if f.Decoy() != strings.HasPrefix(f.Variant, "decoy-") {
			t.Errorf("%s: a decoy's variant begins with decoy-, a fault's does not", f.Name())
		}
	}
	if _, err := FindFaults("DHCP-99"); err == nil {
		t.Error("FindFaults found DHCP-99")
	}
	if fs, err := FindFaults("DHCP-09"); err != nil || len(fs) != 4 {
		t.Errorf("FindFaults(DHCP-09) = %d faults, %v; want the three and the decoy", len(fs), err)
	}
}

func TestKernelTwoLabsDoNotMeet(t *testing.T) {
	a, b, ctx := mustUp(t, Options{}), mustUp(t, Options{}), testContext(t)
	if a.claim.subnet == b.claim.subnet || a.Dir == b.Dir {
		t.Fatalf("both labs are %v", a.claim)
	}
	for _, l := range []*Lab{a, b} {
		if err := waitLeases(ctx, l); err != nil {
			t.Fatal(err)
		}
	}
	if err := broken(on(Controller01, killDnsmasq, paymentsNet.ID))(ctx, a); err != nil {
		t.Fatal(err)
	}
	if err := b.VM(Web1).Renew(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := b.VM(Web1).WaitLease(ctx); err != nil {
		t.Errorf("a fault in one lab reached the other: %v", err)
	}
}

// leftovers lists everything on this machine that a lab may leave behind.
func leftovers(t *testing.T, suffix string) []string {
	t.Helper()
	var found []string
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	links, err := exec.Command("ip", "-br", "link").Output()
	if err != nil {
		t.Fatal(err)
	}
	namespaces, err := exec.Command("ip", "netns", "list").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{string(mounts), string(links), string(namespaces)} {
		for line := range strings.Lines(text) {
			if strings.Contains(line, suffix) {
				found = append(found, strings.TrimSpace(line))
			}
		}
	}
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range commands {
		if text, err := os.ReadFile(c); err == nil && strings.Contains(string(text), suffix) {
			found = append(found, c)
		}
	}
	if _, err := os.Stat(filepath.Join(DefaultParent, suffix)); err == nil {
		found = append(found, filepath.Join(DefaultParent, suffix))
	}
	return found
}

// netNamespaces counts the network namespaces of all processes and names.
func netNamespaces(t *testing.T, pids []int) int {
	t.Helper()
	n := 0
	for _, p := range pids {
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", p)); err == nil {
			n++
		}
	}
	return n
}

func TestKernelCloseLeavesNothing(t *testing.T) {
	l, ctx := mustUp(t, Options{SecondController: true, Flat: true}), testContext(t)
	if err := waitLeases(ctx, l); err != nil {
		t.Fatal(err)
	}
	if len(leftovers(t, l.claim.suffix)) == 0 {
		t.Fatal("a running lab is not seen: the check is blind")
	}
	pids := labProcesses(t, l)
	if len(pids) < 20 {
		t.Fatalf("only %d processes of a running lab found: the check is blind", len(pids))
	}
	start := time.Now()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("closed in %v", time.Since(start))
	if found := leftovers(t, l.claim.suffix); len(found) > 0 {
		t.Errorf("left behind:\n%s", strings.Join(found, "\n"))
	}
	if n := netNamespaces(t, pids); n > 0 {
		t.Errorf("%d of %d processes are alive", n, len(pids))
	}
	if err := l.Close(); err != nil {
		t.Errorf("Close again: %v", err)
	}
}

// labProcesses are all processes in the pid namespaces of the lab.
func labProcesses(t *testing.T, l *Lab) []int {
	t.Helper()
	inside := map[string]bool{}
	note := func(pid int) {
		ns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", pid))
		if err != nil {
			t.Fatal(err)
		}
		inside[ns] = true
	}
	for _, m := range l.machines {
		note(m.cell.pid())
	}
	for _, v := range l.vms {
		note(v.cell.pid())
	}
	links, err := filepath.Glob("/proc/[0-9]*/ns/pid")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, link := range links {
		var pid int
		if _, err := fmt.Sscanf(link, "/proc/%d/", &pid); err != nil {
			continue
		}
		if ns, err := os.Readlink(link); err == nil && inside[ns] {
			pids = append(pids, pid)
		}
	}
	return pids
}

// A lab whose owner was killed leaves no process; Sweep removes the rest and
// spares labs whose owner lives.
func TestKernelSweep(t *testing.T) {
	if os.Getenv("LAB_TEST_OWNER") != "" {
		l, err := Up(context.Background(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println("DIR " + l.Dir) // to the parent test
		select {}
	}
	mine, ctx := mustUp(t, Options{}), testContext(t)
	dir := killedLab(t)
	suffix := filepath.Base(dir)
	err := until(ctx, "the end of the killed lab's processes", func() bool {
		return !slices.ContainsFunc(leftovers(t, suffix), func(s string) bool { return strings.HasPrefix(s, "/proc/") })
	})
	if err != nil {
		t.Fatal(err)
	}
	swept, err := Sweep(ctx, "")
	if err != nil || !slices.Contains(swept, suffix) {
		t.Fatalf("Sweep = %q, %v; want %s among them", swept, err, suffix)
	}
	if slices.Contains(swept, mine.claim.suffix) {
		t.Error("Sweep removed a lab whose owner lives")
	}
	if found := leftovers(t, suffix); len(found) > 0 {
		t.Errorf("left behind:\n%s", strings.Join(found, "\n"))
	}
	if err := waitLeases(ctx, mine); err != nil {
		t.Errorf("the living lab: %v", err)
	}
}

// killedLab makes a lab in another process and kills that process.
func killedLab(t *testing.T) string {
	t.Helper()
	cmd := exec.CommandContext(testContext(t), os.Args[0], "-test.run=^TestKernelSweep$")
	cmd.Env = append(os.Environ(), "LAB_TEST_OWNER=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	dir := ""
	buf := make([]byte, 4096)
	for dir == "" {
		n, err := out.Read(buf)
		said.Write(buf[:n])
		if m := regexp.MustCompile(`DIR (\S+)\n`).FindStringSubmatch(said.String()); m != nil {
			dir = m[1]
		}
		if err != nil && dir == "" {
			t.Fatalf("the other process made no lab: %v: %s", err, said.String())
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed: always an error
	return dir
}

func TestUpRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, o := range []Options{{Distro: "gentoo"}, {Backend: "ipfw"}, {Style: "modern"}, {User: "admin; reboot"}} {
		l, err := Up(t.Context(), o)
		if err == nil {
			_ = l.Close()
			t.Errorf("Up(%+v) made a lab", o)
		}
	}
}

func TestKernelUpGivesUpCleanly(t *testing.T) {
	needLab(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := fmt.Errorf("the caller lost interest")
	cancel(cause)
	before, err := claims(DefaultParent)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Up(ctx, Options{}); err == nil || !strings.Contains(err.Error(), cause.Error()) {
		t.Fatalf("Up with a cancelled context = %v; want the cause", err)
	}
	after, err := claims(DefaultParent)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range after {
		known := slices.ContainsFunc(before, func(b ownedClaim) bool { return b.suffix == c.suffix })
		if born, err := startTime(os.Getpid()); err == nil && !known && c.alive {
			text, _ := os.ReadFile(filepath.Join(c.dir, "owner"))
			if strings.HasPrefix(string(text), fmt.Sprintf("%d %s ", os.Getpid(), born)) {
				t.Errorf("%s was left behind", c.dir)
			}
		}
	}
}
