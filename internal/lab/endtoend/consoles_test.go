package endtoend

import (
	"os"
	"strings"
	"testing"

	"whybot/internal/cloudfake"
	"whybot/internal/lab"
)

// webServer is the id of web-1.
const webServer = "6a1f5b7e-3c52-4d0e-9a9c-0b7d1f2e3a41"

// TestKernelConsoles asks about every fault and decoy of consoles, one after the
// other in one lab, with real connections through real rules; and applies and
// undoes what is offered against the first.
func TestKernelConsoles(t *testing.T) {
	s := parallelStage(t, lab.Options{}, "")
	w := newWhybot(t, s.Lab)
	fixed := false
	for _, f := range lab.ConsoleFaults() {
		if err := f.Inject(t.Context(), s.Lab); err != nil {
			t.Fatalf("%s: %v", f.Name(), err)
		}
		a := askConsole(t, w, f)
		if len(a.Fixes) > 0 && !fixed {
			fixed = true
			fixConsole(t, s, w, a)
		}
		if err := f.Heal(t.Context(), s.Lab); err != nil {
			t.Fatalf("%s: heal: %v", f.Name(), err)
		}
	}
	if !fixed {
		t.Error("no fix was offered")
	}
	w.verify(t)
	noToken(t, w)
}

// askConsole asks a fault's question and compares the verdict.
func askConsole(t *testing.T, w whybot, f lab.Fault) answer {
	t.Helper()
	r := w.run(t.Context(), "ask", "--json", f.Question)
	if r.code != 0 {
		t.Errorf("%s: exit %d\n%s%s", f.Name(), r.code, r.out, r.err)
		return answer{}
	}
	if strings.Contains(r.out+r.err, cloudfake.ConsoleToken(webServer)[:8]) || strings.Contains(r.out+r.err, "dc93adfc") {
		t.Errorf("%s: a token is shown: %s", f.Name(), r.out)
	}
	a, cause := decode[answer](t, r), f.Want.Cause
	if f.Decoy() {
		cause = ""
	}
	if a.Verdict.State != f.Want.State || a.Verdict.Cause != cause || a.Question.Kind != "console" {
		t.Errorf("%s (%s): %s %s, want %s %s: %s, unknown %v", f.Name(), f.Doc, a.Verdict.State, a.Verdict.Cause, f.Want.State, cause, a.Verdict.Summary, a.Unknown)
	}
	if strings.Contains(r.out, "DHCP") || len(a.Path) > 0 || f.Decoy() && len(a.Fixes) > 0 {
		t.Errorf("%s: path %v, fixes %v, or DHCP in %s", f.Name(), a.Path, a.Fixes, r.out)
	}
	if f.Want.FromNode == "" {
		return a
	}
	want := edge{From: f.Want.FromNode + "/" + f.Want.FromDevice, To: f.Want.ToNode + "/" + f.Want.ToDevice, Direction: f.Want.Direction}
	if a.Verdict.Edge == nil || *a.Verdict.Edge != want {
		t.Errorf("%s: edge %v, want %v", f.Name(), a.Verdict.Edge, want)
	}
	return a
}

// fixConsole applies the first fix on offer, which must cure and be undone
// without a trace.
func fixConsole(t *testing.T, s stage, w whybot, a answer) {
	t.Helper()
	before, err := s.Machine(lab.Compute01).Run(t.Context(), "iptables", "-S", "INPUT")
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ verb, state string }{{"apply", "verified"}, {"undo", "undone"}} {
		r := w.run(t.Context(), "fix", step.verb, a.Fixes[0].ID, "--yes", "--json")
		if o := decode[outcome](t, r); o.State != step.state {
			t.Errorf("%s %q: %s, want %s\n%s%s", step.verb, a.Fixes[0].Commands, o.State, step.state, r.out, r.err)
		}
	}
	after, err := s.Machine(lab.Compute01).Run(t.Context(), "iptables", "-S", "INPUT")
	if err != nil || after != before {
		t.Errorf("after the undo: %v\n%s\nbefore:\n%s", err, after, before)
	}
}

// noToken looks for tokens in what whybot keeps.
func noToken(t *testing.T, w whybot) {
	t.Helper()
	kept, err := os.ReadFile(w.store)
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{cloudfake.ConsoleToken(webServer), "dc93adfc-81bf"} {
		if strings.Contains(string(kept), token) {
			t.Errorf("the token %s is in the store", token)
		}
	}
}
