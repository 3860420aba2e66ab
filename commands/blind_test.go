package commands_test

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"whybot/commands"
	"whybot/commands/commandstest"
	"whybot/commands/diagnose"
)

var fixtures = filepath.Join("diagnose", "testdata")

func loadFixture(t *testing.T, file string) *commandstest.Fixture {
	t.Helper()
	f, err := commandstest.Load(filepath.Join(fixtures, "base.txtar"), file)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestSeeingLessProvesNoMore takes away, from every world that is recorded,
// whatever chance picks: nodes, readings, captures. An answer may become less
// sure by that. It must never become healthy, or proven, or name another cause,
// but for one: what was proven before as the effect of the cause named may stand
// for itself when the root of it is out of sight.
func TestSeeingLessProvesNoMore(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(fixtures, "*", "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no fixtures in %s: %v", fixtures, err)
	}
	seen := map[string]commands.Answer{}
	rapid.Check(t, func(rt *rapid.T) {
		file := rapid.SampledFrom(files).Draw(rt, "file")
		before, known := seen[file]
		if !known {
			before = answer(t, loadFixture(t, file))
			seen[file] = before
		}
		f := loadFixture(t, file)
		for range rapid.IntRange(1, 4).Draw(rt, "blinds") {
			blind(rt, f)
		}
		was, after := before.Verdict, answer(t, f).Verdict
		if after.State == commands.Healthy && was.State != commands.Healthy {
			rt.Errorf("%s became healthy: %s", was.State, after.Summary)
		}
		if after.State == commands.Proven && (was.State != commands.Proven || was.Cause != after.Cause && !effect(before, after.Cause)) {
			rt.Errorf("%s %s became proven %s: %s", was.State, was.Cause, after.Cause, after.Summary)
		}
	})
}

// effect reports whether the answer has a proven finding of the cause which it
// says to follow from the one that it names, at once or in several steps.
func effect(a commands.Answer, cause string) bool {
	roots := []string{a.Verdict.Cause}
	for range a.Findings {
		for _, f := range a.Findings {
			if slices.Contains(roots, f.Cause) {
				roots = append(roots, f.Causes...)
			}
		}
	}
	return slices.Contains(roots, cause) && slices.ContainsFunc(a.Findings, func(f commands.Finding) bool {
		return f.Cause == cause && f.State == commands.Proven
	})
}

// answer asks the fixture's question in simulated time.
func answer(t *testing.T, f *commandstest.Fixture) commands.Answer {
	t.Helper()
	var a commands.Answer
	synctest.Test(t, func(t *testing.T) {
		var complaints []string
		var err error
		if a, complaints, err = f.Ask(t.Context(), diagnose.All(), forgetful{}); err != nil || len(complaints) > 0 {
			t.Error(err, complaints)
		}
	})
	return a
}

// forgetful takes what an answer writes down and keeps nothing: thousands of
// answers must not wait for a disk. It cannot do anything else.
type forgetful struct{ commands.Memory }

func (forgetful) OpenIncident(_ context.Context, inc commands.Incident, _ ...commands.Event) (commands.Incident, error) {
	inc.ID = "inc-1"
	return inc, nil
}

func (forgetful) ChangeIncident(_ context.Context, _ string, fn func(*commands.Incident) ([]commands.Event, error)) (commands.Incident, error) {
	var inc commands.Incident
	_, err := fn(&inc)
	return inc, err
}

func (forgetful) Append(context.Context, ...commands.Event) error { return nil }

func (forgetful) Propose(context.Context, []commands.Proposal, ...commands.Event) error { return nil }

// blind takes one thing away from what f shows.
func blind(rt *rapid.T, f *commandstest.Fixture) {
	node := rapid.SampledFrom(f.Nodes()).Draw(rt, "node")
	failure := "error: " + rapid.SampledFrom([]string{"unreachable", "sudo", "missing program", "too slow"}).Draw(rt, "failure") + "\n"
	section := "node/" + node
	switch rapid.IntRange(0, 3).Draw(rt, "what") {
	case 0:
	case 1:
		section = "capture/" + node + "/*"
	case 2:
		section = "probe/" + node + "/" + rapid.SampledFrom(f.Probes(node)).Draw(rt, "probe")
	case 3:
		section = "probe2/" + node + "/" + rapid.SampledFrom([]string{"iptables-save", "ip-link"}).Draw(rt, "probe")
	}
	if err := f.Set(section, failure); err != nil {
		rt.Fatalf("%s: %v", strings.TrimSpace(section), err)
	}
}
