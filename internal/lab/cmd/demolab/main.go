// Command demolab is the demo on real kernels: it makes a kernel lab with the
// seed's fault in it, has the built whybot asked, fixed, proven and undone, and
// prints the conversation. It needs root and exits 1 unless all of it came out
// as it must.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"whybot/internal/lab"
)

const (
	fault    = "DHCP-01/rhel-nft"
	question = "why can't web-1 get an IP"
	patience = 30 * time.Second
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "demolab: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	flags := flag.NewFlagSet("demolab", flag.ContinueOnError)
	binary := flags.String("whybot", "bin/whybot", "the whybot to show")
	if err := flags.Parse(args); err != nil {
		return err
	}
	path, err := filepath.Abs(*binary)
	if err != nil {
		return err
	}
	if err := lab.EnsureTools(); err != nil {
		return err
	}
	faults, err := lab.FindFaults(fault)
	if err != nil {
		return err
	}
	l, err := lab.Up(ctx, faults[0].Options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }() //nolint:contextcheck // a lab is taken down also when ctx has ended
	s := &show{out: out, lab: l, binary: path}
	return s.hold(ctx, faults[0])
}

// A show is one run of the demo in a lab.
type show struct {
	out    io.Writer
	lab    *lab.Lab
	binary string
}

func (s *show) hold(ctx context.Context, f lab.Fault) error {
	fmt.Fprintf(s.out, "A lab of namespaces: controller01, compute01, compute02, real sshd, bridges, iptables, dnsmasq.\nThe fault: %s (%s)\n", f.Doc, f.Name())
	if err := s.lease(ctx, true); err != nil {
		return err
	}
	if err := f.Inject(ctx, s.lab); err != nil {
		return err
	}
	if err := s.whybot(ctx, "ask", question); err != nil {
		return err
	}
	fix, incident, err := s.firstFix(ctx)
	if err != nil {
		return err
	}
	if err := s.whybot(ctx, "fix", "apply", fix, "--yes"); err != nil {
		return err
	}
	if err := s.lease(ctx, true); err != nil {
		return err
	}
	if err := s.whybot(ctx, "fix", "undo", fix, "--yes"); err != nil {
		return err
	}
	if err := s.lab.VM(lab.Web1).Renew(ctx); err != nil {
		return err
	}
	if err := s.lease(ctx, false); err != nil {
		return err
	}
	if err := s.whybot(ctx, "timeline", incident); err != nil {
		return err
	}
	return s.whybot(ctx, "timeline", "verify")
}

// whybot runs the binary and shows what it prints.
func (s *show) whybot(ctx context.Context, args ...string) error {
	fmt.Fprintf(s.out, "\n$ whybot %s\n", quoted(args))
	cmd := exec.CommandContext(ctx, s.binary, append(args, "--config", s.lab.Config())...)
	cmd.Stdout, cmd.Stderr = s.out, s.out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("whybot %s: %w", args[0], err)
	}
	return nil
}

func quoted(args []string) string {
	text := ""
	for _, a := range args {
		if a == question {
			a = `"` + a + `"`
		}
		text += a + " "
	}
	return text
}

// firstFix returns the first fix that was offered, and its incident.
func (s *show) firstFix(ctx context.Context) (fix, incident string, err error) {
	const only = "inc-1" // the lab's store is new
	text, err := exec.CommandContext(ctx, s.binary, "timeline", "--json", only, "--config", s.lab.Config()).Output()
	if err != nil {
		return "", "", fmt.Errorf("whybot timeline --json: %w", err)
	}
	var events []struct {
		Kind string
		Refs map[string]string
	}
	if err := json.Unmarshal(text, &events); err != nil {
		return "", "", err
	}
	for _, e := range events {
		if e.Kind == "proposed" {
			return e.Refs["proposal"], only, nil
		}
	}
	return "", "", errors.New("no fix was offered")
}

// lease says whether web-1 has its address, and fails unless that is as wanted.
func (s *show) lease(ctx context.Context, wanted bool) error {
	vm := s.lab.VM(lab.Web1)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if !wanted {
		if err := vm.WaitVerdict(ctx); err != nil {
			return fmt.Errorf("after the undo: %w", err)
		}
		if ip, ok := vm.Lease(); ok {
			return fmt.Errorf("after the undo web-1 still got %s", ip)
		}
		fmt.Fprintln(s.out, "\nweb-1 asked again and got no address: the fault is back.")
		return nil
	}
	ip, err := vm.WaitLease(ctx)
	if err != nil {
		return fmt.Errorf("web-1 has no address: %w", err)
	}
	fmt.Fprintf(s.out, "\nweb-1 has its address: %s\n", ip)
	return nil
}
