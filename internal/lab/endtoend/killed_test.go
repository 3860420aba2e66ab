package endtoend

import (
	"slices"
	"strings"
	"testing"
	"time"

	"whybot/internal/lab"
)

// A whybot that is killed while it listens leaves nothing on the nodes, and its
// store can be used by the next one.
func TestKernelKilledWhileListening(t *testing.T) { //nolint:tparallel // its scenes follow one another on one stage
	s := parallelStage(t, lab.Options{}, "")
	if err := s.VM(lab.Web1).StopAsking(t.Context()); err != nil { // a silent guest keeps whybot listening
		t.Fatal(err)
	}
	s.play(t,
		scene{"as root", func(s stage) { killedWhileListening(s.t, s, "root") }},
		scene{"as whyprobe", func(s stage) { killedWhileListening(s.t, s, "whyprobe") }},
	)
}

func killedWhileListening(t *testing.T, s stage, user string) {
	t.Helper()
	w := newWhybot(t, s.Lab, asUser(s.Lab, user))
	cmd := w.command(t.Context(), "ask", questionAbout(lab.Web1))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	const hops = 8
	listening := func() bool { return len(s.captures(t)) == hops }
	eventually(t, 15*time.Second, "whybot listens on all hops", listening)
	if t.Failed() {
		t.Logf("it listens with %q", s.captures(t))
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // killed: always an error
	took := eventually(t, 30*time.Second, "nothing of whybot is left on the nodes", func() bool {
		return len(s.processes(t, "tcpdump"))+len(s.processes(t, "timeout")) == 0
	})
	t.Logf("killed as %s: tcpdump and timeout were gone everywhere %s later", user, took)
	if left := s.captures(t); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	w.verify(t)
	if got := kinds(w.events(t, "inc-1")); !slices.Equal(got, []string{"asked"}) {
		t.Errorf("the timeline reads %q", got)
	}
	w.ask(t, lab.DB1, "--no-capture")
}

// captures lists the tcpdumps that are not only about to be.
func (s stage) captures(t *testing.T) []string {
	t.Helper()
	return slices.DeleteFunc(s.processes(t, "tcpdump"), func(p string) bool { return !strings.Contains(p, " -i ") })
}
