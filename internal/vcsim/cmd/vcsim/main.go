// Vcsim serves a simulated vCenter until it is told to end.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"whybot/internal/vcsim"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run prints the address and the thumbprint of the certificate, each on a line,
// and serves until ctx ends.
func run(ctx context.Context, args []string, out, usage io.Writer) error {
	fs := flag.NewFlagSet("vcsim", flag.ContinueOnError)
	fs.SetOutput(usage)
	listen := fs.String("listen", "127.0.0.1:0", "address to listen on")
	user := fs.String("user", "probe", "who may log in")
	password := fs.String("password", "vcsim", "the password")
	file := fs.String("inventory", "", "JSON `file` of hosts, switches and machines")
	if err := fs.Parse(args); err != nil {
		return err
	}
	o := vcsim.Options{Listen: *listen, User: *user, Password: *password}
	if *file != "" {
		f, err := os.Open(*file)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }() // only read from
		if o.Inventory, err = vcsim.ReadInventory(f); err != nil {
			return fmt.Errorf("%s: %w", *file, err)
		}
	}
	s, err := vcsim.Start(ctx, o)
	if err != nil {
		return err
	}
	defer s.Close()
	fmt.Fprintf(out, "%s\n%s\n", s.URL(), s.Thumbprint())
	<-ctx.Done()
	return nil
}
