package main

import (
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
)

// flags reads a command line on which flags may stand before and between the
// words: an operator writes `fix apply fx-1 --yes` as well as `fix --yes apply
// fx-1`. A word that starts with a dash and is no flag of this command is a
// word; everything behind -- is.
func flags(name string, args []string, define func(*flag.FlagSet)) (words []string, err error) {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	define(fs)
	for len(args) > 0 {
		arg := args[0]
		if arg == "--" {
			return append(words, args[1:]...), nil
		}
		f := lookup(fs, arg)
		if f == nil {
			if strings.HasPrefix(arg, "--") {
				return nil, usageError{fmt.Errorf("%s has no flag %s; it has %s", name, arg, names(fs))}
			}
			words, args = append(words, arg), args[1:]
			continue
		}
		take := 1
		if !isBool(f) && !strings.Contains(arg, "=") {
			take = min(2, len(args))
		}
		if err := fs.Parse(args[:take]); err != nil {
			return nil, usageError{fmt.Errorf("%s: %w", name, err)}
		}
		args = args[take:]
	}
	return words, nil
}

func lookup(fs *flag.FlagSet, arg string) *flag.Flag {
	if !strings.HasPrefix(arg, "-") {
		return nil
	}
	name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
	return fs.Lookup(name)
}

func isBool(f *flag.Flag) bool {
	b, ok := f.Value.(interface{ IsBoolFlag() bool })
	return ok && b.IsBoolFlag()
}

func names(fs *flag.FlagSet) string {
	var all []string
	fs.VisitAll(func(f *flag.Flag) { all = append(all, "--"+f.Name) })
	slices.Sort(all)
	return strings.Join(all, ", ")
}
