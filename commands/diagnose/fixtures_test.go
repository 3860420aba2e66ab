package diagnose_test

import (
	"flag"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"whybot/commands"
	"whybot/commands/commandstest"
	"whybot/commands/diagnose"
)

var update = flag.Bool("update", false, "write what was found into the fixtures")

// base is the healthy world that fixtures differ from.
var base = filepath.Join("testdata", "base.txtar")

var fixtureName = regexp.MustCompile(`^(fires|quiet|blind)[a-z-]*\.txtar$`)

// TestFixtures runs every fixture of every diagnosis. Each diagnosis must have
// one that fires, one that looks alike and is none, and one in which what it
// needs cannot be seen.
func TestFixtures(t *testing.T) {
	t.Parallel()
	for _, d := range diagnose.All() {
		for _, kind := range []string{"fires", "quiet", "blind"} {
			files, err := filepath.Glob(filepath.Join("testdata", d.Name, kind+"*.txtar"))
			if err != nil {
				t.Fatal(err)
			}
			if len(files) == 0 {
				t.Errorf("%s has no fixture %s*.txtar", d.Name, kind)
			}
			for _, file := range files {
				t.Run(d.Name+"/"+strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
					t.Parallel()
					runFixture(t, d, kind, file)
				})
			}
		}
	}
}

// TestEveryFixtureIsRun finds files that TestFixtures would pass over.
func TestEveryFixtureIsRun(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, d := range diagnose.All() {
		known[d.Name] = true
	}
	files, err := filepath.Glob(filepath.Join("testdata", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if filepath.Dir(file) == replays {
			continue // TestReplays runs them
		}
		if !known[filepath.Base(filepath.Dir(file))] || !fixtureName.MatchString(filepath.Base(file)) {
			t.Errorf("%s belongs to no diagnosis, or is of no kind", file)
		}
	}
}

func runFixture(t *testing.T, d *commands.Diagnosis, kind, file string) {
	t.Helper()
	f, err := commandstest.Load(base, file)
	if err != nil {
		t.Fatal(err)
	}
	if f.Comment == "" {
		t.Error("the fixture does not say what it shows")
	}
	a := f.Run(t, diagnose.All())
	diff := f.Diff(a)
	if len(diff) > 0 && *update {
		if err := f.Rewrite(commandstest.Lines(a)); err != nil {
			t.Fatal(err)
		}
	} else if len(diff) > 0 {
		t.Errorf("want (-), got (+):\n%s\nsummary: %s", strings.Join(diff, "\n"), a.Verdict.Summary)
	}
	held(t, d.Name, kind, a)
}

// held checks what must be true of a kind of fixture whatever it wants.
func held(t *testing.T, id, kind string, a commands.Answer) {
	t.Helper()
	switch kind {
	case "fires":
		if a.Verdict.Cause != id && !aside(a, id) {
			t.Errorf("the verdict is %s %s, not %s", a.Verdict.State, a.Verdict.Cause, id)
		}
	case "quiet":
		if a.Verdict.Cause == id {
			t.Errorf("the verdict is %s %s: %s", a.Verdict.State, id, a.Verdict.Summary)
		}
	case "blind":
		if a.Verdict.State == commands.Healthy || a.Verdict.State == commands.Proven {
			t.Errorf("the verdict is %s although not all could be seen: %s", a.Verdict.State, a.Verdict.Summary)
		}
		if len(a.Unknown) == 0 && a.Verdict.Missing == "" {
			t.Error("what could not be seen is not named")
		}
	}
}

// aside reports whether the answer has a finding of the diagnosis that is
// wrong without stopping the guest's packets.
func aside(a commands.Answer, id string) bool {
	return slices.ContainsFunc(a.Findings, func(f commands.Finding) bool { return f.Cause == id && f.Aside })
}
