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
	"slices"
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

var errUsage = errors.New("usage: accuracy [-whybot FILE] [-run ID[/VARIANT]] [-labs N] [-out FILE]")

// defaultOut is where the report goes when all of the lab was measured.
const defaultOut = "docs/accuracy.md"

// defaultLabs is how many labs two processors bear: most of the time of a case
// is spent waiting for a guest.
const defaultLabs = 3

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("accuracy", flag.ContinueOnError)
	flags.SetOutput(stderr)
	binary := flags.String("whybot", "bin/whybot", "the whybot to measure")
	only := flags.String("run", "", "one catalogue id or ID/VARIANT, and the pairs it is in, instead of everything")
	labs := flags.Int("labs", defaultLabs, "how many labs are up at a time")
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
	m := measurement{binary: path, faults: slices.Concat(lab.Faults(), lab.PingFaults(), lab.VolumeFaults(), lab.ConsoleFaults()), pairs: lab.Pairs(), labs: *labs, file: *out}
	if *only != "" {
		m.pairs = lab.FindPairs(*only)
		if m.faults, err = lab.FindFaults(*only); err != nil && len(m.pairs) == 0 {
			return err
		}
	} else if m.file == "" {
		m.file = defaultOut
	}
	return m.do(ctx, stdout, stderr)
}

// A measurement is what is to be measured and where the report goes.
type measurement struct {
	binary string
	faults []lab.Fault
	pairs  []lab.Pair
	labs   int
	file   string
}

func (m measurement) do(ctx context.Context, stdout, stderr io.Writer) error {
	results, err := accuracy.Run(ctx, m.binary, m.faults, m.labs, stderr)
	if err != nil {
		return err
	}
	pairs, err := accuracy.RunPairs(ctx, m.binary, m.pairs, m.labs, stderr)
	if err != nil {
		return err
	}
	if err := accuracy.Write(stdout, results, pairs); err != nil {
		return err
	}
	if m.file != "" {
		if err := writeFile(m.file, results, pairs); err != nil {
			return err
		}
	}
	return accuracy.Summarize(results, pairs).Err()
}

func writeFile(file string, results []accuracy.Result, pairs []accuracy.PairResult) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(accuracy.Write(f, results, pairs), f.Close())
}
