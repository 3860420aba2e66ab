package commands_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"whybot/commands"
	"whybot/commands/commandstest"
)

// consoleAnswer is the answer of a fixture about a console.
func consoleAnswer(t *testing.T, file string) commands.Answer {
	t.Helper()
	return answer(t, loadFixture(t, filepath.Join(fixtures, file)))
}

// TestConsoleFix: the range for all proxies that are stopped is offered first,
// above the rule that stops them, and then the one port, which says what it
// leaves out.
func TestConsoleFix(t *testing.T) {
	t.Parallel()
	a := consoleAnswer(t, "CONS-01/fires-two-proxies.txtar")
	if len(a.Fixes) != 2 {
		t.Fatalf("%d fixes", len(a.Fixes))
	}
	want := []string{
		"compute01# iptables -w 5 -I INPUT 7 -s 172.30.200.31/32 -p tcp -m tcp --dport 5900:6099 -j ACCEPT",
		"compute01# iptables -w 5 -I INPUT 7 -s 172.30.200.32/32 -p tcp -m tcp --dport 5900:6099 -j ACCEPT",
	}
	if !slices.Equal(a.Fixes[0].Commands, want) {
		t.Errorf("%q, want %q", a.Fixes[0].Commands, want)
	}
	if undo := strings.Join(a.Fixes[0].Undo, "\n"); strings.Count(undo, "-D INPUT -s 172.30.200.3") != 2 {
		t.Errorf("undo %q", undo)
	}
	if one := a.Fixes[1]; !strings.Contains(one.Commands[0], "--dport 5900 -j") || !strings.Contains(strings.Join(one.Touches, " "), "web-2") {
		t.Errorf("%q touches %q", one.Commands, one.Touches)
	}
}

// TestConsoleOtherComputes: the other nodes that lack the rule are told, with the
// command, and one that has it is not.
func TestConsoleOtherComputes(t *testing.T) {
	t.Parallel()
	a := consoleAnswer(t, "CONS-01/fires-other-computes.txtar")
	advice := strings.Join(a.Findings[0].Advice, "\n")
	if !strings.Contains(advice, "compute02 lacks it too: iptables -w 5 -I INPUT 7 -s 172.30.200.31/32 -p tcp -m tcp --dport 5900:6099 -j ACCEPT") || strings.Contains(advice, "compute03") {
		t.Errorf("advice:\n%s", advice)
	}
}

// TestConsoleShowsNoToken: the tokens of a proxy's log are in nothing that is
// answered.
func TestConsoleShowsNoToken(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"CONS-09/fires.txtar", "CONS-10/fires.txtar"} {
		a := consoleAnswer(t, file)
		shown := strings.Join(commandstest.Lines(a), "\n") + a.Verdict.Summary
		for _, f := range a.Findings {
			shown += f.Summary + strings.Join(f.Advice, "\n")
			for _, e := range f.Evidence {
				shown += e.Source + e.Text
			}
		}
		if strings.Contains(shown, "dc93adfc") || !strings.Contains(shown, "***") {
			t.Errorf("%s: a token is shown, or no line of the log is:\n%s", file, shown)
		}
	}
}
