// Command whylab keeps a kernel lab up for people and scripts.
//
//	whylab up [flags] [FAULT...]   make a lab, inject the faults, print where it is
//	                               as shell assignments, and stay until standard
//	                               input closes or a signal comes
//	whylab faults                  list the faults and decoys
//	whylab fault|heal NAME         inject or take away a fault in a running lab
//	whylab lease|renew|silence VM  look at a guest, make it ask anew, make it silent
//	whylab sweep                   remove what killed labs left behind
//
// The subcommands that talk to a running lab take --dir DIR (WHYLAB_DIR of
// `whylab up`) when several are up.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"whybot/internal/lab"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case errors.Is(err, errUsage):
		fmt.Fprintf(os.Stderr, "whylab: %v\n", err)
		os.Exit(2)
	case err != nil:
		fmt.Fprintf(os.Stderr, "whylab: %v\n", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("usage: whylab up|faults|fault|heal|lease|renew|silence|sweep")

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return errUsage
	}
	verb, args := args[0], args[1:]
	switch verb {
	case "up":
		return up(ctx, args, stdin, stdout, stderr)
	case "faults":
		return list(stdout)
	case "sweep":
		swept, err := lab.Sweep(ctx, "")
		fmt.Fprintf(stdout, "swept %d: %s\n", len(swept), strings.Join(swept, " "))
		return err
	case "fault", "heal", "lease", "renew", "silence":
		return ask(ctx, verb, args, stdout, stderr)
	}
	return fmt.Errorf("%w: not %q", errUsage, verb)
}

func list(w io.Writer) error {
	for _, f := range lab.Faults() {
		if _, err := fmt.Fprintf(w, "%-36s %s\n", f.Name(), f.Doc); err != nil {
			return err
		}
	}
	return nil
}

// options reads the flags of up; a fault's own options win, so that
// `whylab up DHCP-01/rhel-nft` makes the lab in which it is one.
func options(args []string, stderr io.Writer) (lab.Options, []lab.Fault, error) {
	flags := flag.NewFlagSet("whylab up", flag.ContinueOnError)
	flags.SetOutput(stderr)
	var o lab.Options
	distro := flags.String("distro", string(lab.RHEL), "where rules are saved: rhel or debian")
	backend := flags.String("backend", string(lab.NFT), "iptables-nft or iptables-legacy")
	style := flags.String("style", string(lab.NewStyle), "how Neutron accepts trusted ports: new (both directions) or old")
	flags.BoolVar(&o.SecondController, "second-controller", false, "a second node that serves DHCP")
	flags.BoolVar(&o.TwoPorts, "two-ports", false, "web-1 has a second NIC")
	flags.StringVar((*string)(&o.IPv6), "ipv6", "", "IPv6 too: slaac or stateful")
	flags.BoolVar(&o.Flat, "flat", false, "a flat network too")
	vxlan := flags.String("vxlan", string(lab.NoVXLAN), "VXLAN networks too, by multicast or l2population")
	flags.StringVar(&o.User, "user", "root", "login in ssh_config: root, whyprobe or nosudo")
	verbose := flags.Bool("v", false, "log what the lab does")
	if err := flags.Parse(args); err != nil {
		return o, nil, err
	}
	o.Distro, o.Backend, o.Style = lab.Distro(*distro), lab.Backend(*backend), lab.Style(*style)
	o.VXLAN = lab.VXLANMode(*vxlan)
	if *verbose {
		o.Log = slog.New(slog.NewTextHandler(stderr, nil))
	}
	var faults []lab.Fault
	for _, name := range flags.Args() {
		found, err := lab.FindFaults(name)
		if err != nil {
			return o, nil, err
		}
		if len(found) > 1 {
			return o, nil, fmt.Errorf("%w: %s has several variants, name one as whylab faults lists them", errUsage, name)
		}
		faults = append(faults, found[0])
		o = demanded(o, found[0].Options)
	}
	return o, faults, nil
}

func demanded(o, by lab.Options) lab.Options {
	if by.Distro != "" {
		o.Distro = by.Distro
	}
	if by.Backend != "" {
		o.Backend = by.Backend
	}
	if by.Style != "" {
		o.Style = by.Style
	}
	if by.VXLAN != lab.NoVXLAN {
		o.VXLAN = by.VXLAN
	}
	if by.IPv6 != lab.NoIPv6 {
		o.IPv6 = by.IPv6
	}
	o.SecondController = o.SecondController || by.SecondController
	o.Flat = o.Flat || by.Flat
	return o
}

func up(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) (err error) {
	o, faults, err := options(args, stderr)
	if err != nil {
		return err
	}
	l, err := lab.Up(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }() //nolint:contextcheck // a lab is taken down also when ctx has ended
	for _, f := range faults {
		if err := f.Inject(ctx, l); err != nil {
			return fmt.Errorf("inject %s: %w", f.Name(), err)
		}
	}
	control, err := listen(ctx, l)
	if err != nil {
		return err
	}
	defer func() { _ = control.Close() }() // the socket goes with the lab's directory
	if err := printEnvironment(stdout, l); err != nil {
		return err
	}
	gone := make(chan struct{})
	go func() { // ends with standard input, or with the process
		_, _ = io.Copy(io.Discard, stdin)
		close(gone)
	}()
	select {
	case <-ctx.Done():
	case <-gone:
	}
	return nil
}

func printEnvironment(w io.Writer, l *lab.Lab) error {
	_, err := fmt.Fprintf(w, "WHYLAB_DIR=%s\nWHYBOT_CONFIG=%s\nSSH_CONFIG=%s\nOS_CLIENT_CONFIG_FILE=%s\nOS_CLOUD=%s\nOS_AUTH_URL=%s\n",
		l.Dir, l.Config(), filepath.Join(l.Dir, "ssh_config"), filepath.Join(l.Dir, "clouds.yaml"), lab.CloudName, l.Cloud.AuthURL())
	return err
}
