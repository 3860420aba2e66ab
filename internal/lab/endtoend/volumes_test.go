package endtoend

import (
	"testing"

	"whybot/internal/lab"
)

// TestKernelVolumes asks about every fault and decoy of volumes, one after the
// other in one lab: what they are about is in the cloud and in logs.
func TestKernelVolumes(t *testing.T) {
	s := parallelStage(t, lab.Options{}, "")
	w := newWhybot(t, s.Lab)
	for _, f := range lab.VolumeFaults() {
		if err := f.Inject(t.Context(), s.Lab); err != nil {
			t.Fatalf("%s: %v", f.Name(), err)
		}
		r := w.run(t.Context(), "ask", "--json", f.Question)
		if r.code != 0 {
			t.Errorf("%s: exit %d\n%s%s", f.Name(), r.code, r.out, r.err)
			continue
		}
		a, cause := decode[answer](t, r), f.Want.Cause
		if f.Decoy() {
			cause = ""
		}
		if a.Verdict.State != f.Want.State || a.Verdict.Cause != cause {
			t.Errorf("%s (%s): %s %s, want %s %s: %s", f.Name(), f.Doc, a.Verdict.State, a.Verdict.Cause, f.Want.State, cause, a.Verdict.Summary)
		}
		if len(a.Path) > 0 || f.Decoy() && len(a.Fixes) > 0 {
			t.Errorf("%s: path %v, fixes %v", f.Name(), a.Path, a.Fixes)
		}
		if err := f.Heal(t.Context(), s.Lab); err != nil {
			t.Fatalf("%s: heal: %v", f.Name(), err)
		}
	}
	w.verify(t)
}
