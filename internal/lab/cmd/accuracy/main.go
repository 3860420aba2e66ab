// Command accuracy measures a built whybot against every fault and decoy of the
// kernel lab and writes docs/accuracy.md. It needs root. It exits 1 when an
// answer was wrong with confidence, a decoy was not quiet, or a fix did not
// cure or did not go back.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"whybot/internal/lab"
	"whybot/internal/lab/accuracy"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp), errors.Is(err, errUsage):
		fmt.Fprintf(os.Stderr, "%v\n", err)
		os.Exit(2)
	case err != nil:
		fmt.Fprintf(os.Stderr, "%v\n", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("usage: accuracy [-whybot FILE] [-run ID[/VARIANT]] [-out FILE]")

// defaultOut is where the report goes when all of the lab was measured.
const defaultOut = "docs/accuracy.md"

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("accuracy", flag.ContinueOnError)
	flags.SetOutput(stderr)
	binary := flags.String("whybot", "bin/whybot", "the whybot to measure")
	only := flags.String("run", "", "one catalogue id or ID/VARIANT instead of everything")
	out := flags.String("out", "", "where the report goes; "+defaultOut+" when everything is measured, nowhere else with -run")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%w: not %q", errUsage, flags.Arg(0))
	}
	path, err := filepath.Abs(*binary)
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("%w (make build makes it)", err)
	}
	faults, file := lab.Faults(), *out
	if *only != "" {
		if faults, err = lab.FindFaults(*only); err != nil {
			return err
		}
	} else if file == "" {
		file = defaultOut
	}
	return measure(ctx, path, faults, file, stdout, stderr)
}

func measure(ctx context.Context, binary string, faults []lab.Fault, file string, stdout, stderr io.Writer) error {
	results, err := accuracy.Run(ctx, binary, faults, stderr)
	if err != nil {
		return err
	}
	if err := accuracy.Write(stdout, results); err != nil {
		return err
	}
	if file != "" {
		if err := writeFile(file, results); err != nil {
			return err
		}
	}
	return accuracy.Summarize(results).Err()
}

func writeFile(file string, results []accuracy.Result) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(accuracy.Write(f, results), f.Close())
}
