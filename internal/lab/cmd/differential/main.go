// Command differential compares the netfilter evaluator with the kernel on
// random rule sets and writes docs/differential.md. It needs root. It exits 1
// when they disagree, or when the evaluator leaves too much open.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"whybot/internal/lab/differential"
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

var errUsage = errors.New("usage: differential [-rulesets N] [-seed N] [-families A,B] [-workers N] [-out FILE] | [-keep DIR] -replay FAMILY/SEED")

// A request is what the command line asks for.
type request struct {
	options     differential.Options
	replay      string
	out, keepIn string
}

func parse(args []string, stderr io.Writer) (request, error) {
	flags := flag.NewFlagSet("differential", flag.ContinueOnError)
	flags.SetOutput(stderr)
	var r request
	flags.IntVar(&r.options.RuleSets, "rulesets", 2000, "how many rule sets to compare")
	flags.Uint64Var(&r.options.Seed, "seed", rand.Uint64N(1<<40), "the first seed; random if it is not given")
	flags.IntVar(&r.options.Workers, "workers", 2, "how many nodes work side by side")
	names := flags.String("families", "", "which families, separated by commas; all of them: "+strings.Join(differential.Families(), ","))
	flags.StringVar(&r.out, "out", "docs/differential.md", "where the report goes; empty for nowhere")
	flags.StringVar(&r.replay, "replay", "", "compare this one rule set again, FAMILY/SEED, and write no report")
	flags.StringVar(&r.keepIn, "keep", "", "with -replay: keep what the kernel did in files in this directory")
	if err := flags.Parse(args); err != nil {
		return r, err
	}
	if flags.NArg() > 0 {
		return r, fmt.Errorf("%w: not %q", errUsage, flags.Arg(0))
	}
	if r.keepIn != "" && r.replay == "" {
		return r, fmt.Errorf("%w: -keep goes with -replay", errUsage)
	}
	if *names != "" {
		r.options.Families = strings.Split(*names, ",")
	}
	return r, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	r, err := parse(args, stderr)
	if err != nil {
		return err
	}
	if r.replay != "" {
		return again(ctx, r, stdout)
	}
	fmt.Fprintf(stderr, "%d rule sets, first seed %d\n", r.options.RuleSets, r.options.Seed)
	report, err := differential.Run(ctx, r.options)
	if err != nil {
		return err
	}
	if err := report.Write(stdout); err != nil {
		return err
	}
	if r.out != "" {
		if err := writeFile(r.out, &report); err != nil {
			return err
		}
	}
	return report.Err()
}

// again replays one rule set.
func again(ctx context.Context, r request, stdout io.Writer) error {
	report, fixtures, err := differential.Replay(ctx, r.replay, r.options)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s: %d packets, %d disagreements\n", r.replay, report.Total.Packets, report.Total.Disagreements)
	if r.keepIn != "" {
		for i, f := range fixtures {
			name := fmt.Sprintf("%s-%d.json", strings.ReplaceAll(r.replay, "/", "-"), i+1)
			if err := f.WriteFile(filepath.Join(r.keepIn, name)); err != nil {
				return err
			}
		}
	}
	return report.Err()
}

func writeFile(file string, r *differential.Report) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(r.Write(f), f.Close())
}
