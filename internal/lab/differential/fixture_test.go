package differential_test

import (
	"flag"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"whybot/commands/netfilter"
	"whybot/internal/lab/differential"
)

var update = flag.Bool("update", false, "let the kernel write the fixtures in testdata anew")

func fixtures(t *testing.T) map[string]differential.Fixture {
	t.Helper()
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	all := map[string]differential.Fixture{}
	for _, file := range files {
		f, err := differential.ReadFixture(file)
		if err != nil {
			t.Fatal(err)
		}
		all[file] = f
	}
	return all
}

// TestFixtures holds the evaluator against what the kernel once did.
func TestFixtures(t *testing.T) {
	for file, f := range fixtures(t) {
		wrong, err := f.Check(netfilter.Layer.Traverse, nil)
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		for _, w := range wrong {
			t.Errorf("%s: %s\n%s", file, f.Note, w)
		}
	}
}

// TestFixturesCanFail shows each fixture an evaluator that takes every target
// for another: one of them must be noticed.
func TestFixturesCanFail(t *testing.T) {
	for file, f := range fixtures(t) {
		lazy := func(_ netfilter.Layer, _ *netfilter.Ruleset, p netfilter.Packet, _ ...netfilter.Hook) netfilter.Decision {
			return netfilter.Decision{Ending: netfilter.Ending{Verdict: netfilter.Accept}, Possible: []netfilter.Ending{{Verdict: netfilter.Accept}}, Packet: p}
		}
		wrong, err := f.Check(lazy, nil)
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if len(wrong) == 0 && len(f.Rules) > 0 && f.Shown {
			t.Errorf("%s: an evaluator that lets everything pass and counts nothing agrees with it", file)
		}
	}
}

// TestKernelFixtures repeats every fixture: this kernel does what the one did
// that it was recorded with.
func TestKernelFixtures(t *testing.T) {
	requireKernel(t)
	for file, f := range fixtures(t) {
		again, err := f.Record(t.Context())
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if *update {
			if err := again.WriteFile(file); err != nil {
				t.Error(err)
			}
			continue
		}
		if !slices.Equal(again.Arrived, f.Arrived) || !slices.Equal(withoutDates(again.After), withoutDates(f.After)) {
			t.Errorf("%s: the kernel does something else now: arrived %v, was %v\n%s\nwas\n%s",
				file, again.Arrived, f.Arrived, strings.Join(again.After, "\n"), strings.Join(f.After, "\n"))
		}
	}
}

// withoutDates leaves out the comments, which say when a listing was made.
func withoutDates(listing []string) []string {
	return slices.DeleteFunc(slices.Clone(listing), func(line string) bool { return strings.HasPrefix(line, "#") })
}
