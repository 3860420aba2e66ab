package endtoend

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"whybot/internal/lab"
)

// A stage is a running lab that a group of tests plays on.
type stage struct {
	*lab.Lab
	t *testing.T // the test that plays on it now
}

// stageTimeout bounds one thing done to a lab.
const stageTimeout = 60 * time.Second

// newStage makes a lab in which web-1 has its address, and then injects the
// named fault, or none.
func newStage(tb testing.TB, o lab.Options, faultName string) stage {
	tb.Helper()
	needLab(tb)
	var fault lab.Fault
	if faultName != "" {
		found, err := lab.FindFaults(faultName)
		if err != nil || len(found) != 1 {
			tb.Fatalf("%d faults are named %s: %v", len(found), faultName, err)
		}
		fault, o = found[0], found[0].Options
	}
	ctx, cancel := context.WithTimeoutCause(tb.Context(), stageTimeout, errors.New("the lab took too long"))
	defer cancel()
	l, err := lab.Up(ctx, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := l.Close(); err != nil {
			tb.Errorf("close the lab: %v", err)
		}
	})
	if _, err := l.VM(lab.Web1).WaitLease(ctx); err != nil {
		tb.Fatal(err)
	}
	if faultName != "" {
		if err := fault.Inject(ctx, l); err != nil {
			tb.Fatal(err)
		}
	}
	return stage{Lab: l}
}

// parallelStage is newStage for a test that runs beside others.
func parallelStage(t *testing.T, o lab.Options, faultName string) stage {
	t.Helper()
	t.Parallel()
	return newStage(t, o, faultName)
}

// A scene is one test on a stage that it leaves as it found it.
type scene struct {
	name string
	play func(stage)
}

// play plays scenes one after the other.
func (s stage) play(t *testing.T, scenes ...scene) {
	t.Helper()
	for _, sc := range scenes {
		t.Run(sc.name, func(t *testing.T) { sc.play(stage{s.Lab, t}) })
	}
}

// sh runs a script on a machine, as root.
func (s stage) sh(t *testing.T, machine, script string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), stageTimeout) // clean-up runs it too
	defer cancel()
	out, err := s.Machine(machine).Sh(ctx, script, args...)
	if err != nil {
		t.Fatalf("on %s: %v", machine, err)
	}
	return out
}

// until has a script run on a machine for the length of a test and another one
// after it.
func (s stage) until(t *testing.T, machine, do, undo string) {
	t.Helper()
	s.sh(t, machine, do)
	t.Cleanup(func() { s.sh(t, machine, undo) })
}

// machines are the names of the lab's machines.
func (s stage) machines() []string {
	all := []string{lab.Controller01, lab.Controller02, lab.Compute01, lab.Compute02}
	var here []string
	for _, m := range all {
		if s.Machine(m) != nil {
			here = append(here, m)
		}
	}
	return here
}

// processes lists what runs on all machines under a name, one line each.
func (s stage) processes(t *testing.T, name string) []string {
	t.Helper()
	var found []string
	for _, m := range s.machines() {
		for line := range strings.Lines(s.sh(t, m, `pgrep -a -x "$1" || [ $? = 1 ]`, name)) {
			found = append(found, m+": "+strings.TrimSpace(line))
		}
	}
	return found
}

// canaries lists the files that a command hidden in a name would have made, on
// the machines and here.
func (s stage) canaries(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, m := range s.machines() {
		for line := range strings.Lines(s.sh(t, m, `find / /home /root /tmp -xdev -maxdepth 2 -name canary 2>/dev/null | sort -u`)) {
			found = append(found, m+": "+strings.TrimSpace(line))
		}
	}
	if _, err := os.Stat("/canary"); err == nil {
		found = append(found, "here: /canary")
	}
	return found
}

// eventually waits for something to become true and returns how long it took.
func eventually(t *testing.T, limit time.Duration, what string, done func() bool) time.Duration {
	t.Helper()
	start := time.Now()
	for !done() {
		if time.Since(start) > limit {
			t.Errorf("not within %s: %s", limit, what)
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	return time.Since(start)
}
