package main

import (
	"errors"
	"flag"
	"slices"
	"strings"
	"testing"
)

func TestFlags(t *testing.T) {
	for _, c := range []struct {
		line  string
		words string
		as    string
		yes   bool
		fails string
	}{
		{line: "apply fx-1", words: "apply fx-1"},
		{line: "--yes apply fx-1 --as bob", words: "apply fx-1", as: "bob", yes: true},
		{line: "apply --as=bob fx-1 --yes", words: "apply fx-1", as: "bob", yes: true},
		{line: "apply -yes -as bob fx-1", words: "apply fx-1", as: "bob", yes: true},
		{line: "--yes=false apply", words: "apply"},
		{line: "--as --yes apply", words: "apply", as: "--yes"},
		{line: "apply -- --yes --as", words: "apply --yes --as"},
		{line: "-- -- x", words: "-- x"},
		{line: "why -5 -x", words: "why -5 -x"},
		{line: "why - x", words: "why - x"},
		{line: "--as a --as b", as: "b"},
		{line: ""},
		{line: "apply --as", fails: "needs an argument"},
		{line: "apply --force", fails: "fix has no flag --force; it has --as, --yes"},
		{line: "--force=1 apply", fails: "--force=1"},
		{line: "--yes=perhaps apply", fails: "perhaps"},
		{line: "---yes apply", fails: "---yes"},
		{line: "--=x", fails: "--=x"},
	} {
		t.Run(c.line, func(t *testing.T) {
			var as string
			var yes bool
			args := strings.Fields(c.line)
			kept := slices.Clone(args)
			words, err := flags("fix", args, func(fs *flag.FlagSet) {
				fs.StringVar(&as, "as", "", "")
				fs.BoolVar(&yes, "yes", false, "")
			})
			if c.fails != "" {
				var usage usageError
				if !errors.As(err, &usage) || !strings.Contains(err.Error(), c.fails) {
					t.Errorf("error %v, want one of usage with %q", err, c.fails)
				}
				return
			}
			if err != nil || strings.Join(words, " ") != c.words || as != c.as || yes != c.yes {
				t.Errorf("words %q, as %q, yes %t, %v", words, as, yes, err)
			}
			if !slices.Equal(args, kept) {
				t.Errorf("the arguments were changed to %q", args)
			}
		})
	}
}
