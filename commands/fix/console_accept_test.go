package fix_test

import (
	"slices"
	"strings"
	"testing"

	"whybot/commands"
	"whybot/commands/fix"
)

func consoleArgs(changes ...string) map[string]string {
	args := map[string]string{
		"binary": "iptables", "chain": "INPUT", "position": "7", "before": "-A INPUT -j REJECT --reject-with icmp-host-prohibited",
		"sources": "172.30.200.31,172.30.200.32", "ports": "5900:6099",
	}
	for i := 0; i+1 < len(changes); i += 2 {
		args[changes[i]] = changes[i+1]
	}
	return args
}

func TestConsoleAcceptPlan(t *testing.T) {
	s := commands.Suggestion{Fix: fix.ConsoleAccept, Node: "compute01", Args: consoleArgs()}
	steps, err := fix.ConsoleAccept.Plan(nil, s)
	if err != nil || len(steps) != 2 {
		t.Fatalf("%d steps, %v: want one a proxy", len(steps), err)
	}
	want := []string{
		"iptables -w 5 -I INPUT 7 -s 172.30.200.31/32 -p tcp -m tcp --dport 5900:6099 -j ACCEPT",
		"iptables -w 5 -I INPUT 7 -s 172.30.200.32/32 -p tcp -m tcp --dport 5900:6099 -j ACCEPT",
	}
	if got := fix.ConsoleCommands(s.Args); !slices.Equal(got, want) {
		t.Errorf("commands %q, want %q", got, want)
	}
	if steps[0].Kind != "insert-rule" || steps[0].Node != "compute01" || steps[0].Args["before"] == "" {
		t.Errorf("step %+v", steps[0])
	}
	if lines := fix.ConsoleAccept.Touches(nil, s); len(lines) != 1 {
		t.Errorf("the range leaves nobody out: %q", lines)
	}
	s.Args = consoleArgs("ports", "5901", "leaves", "web-2, db-1")
	if lines := fix.ConsoleAccept.Touches(nil, s); len(lines) != 2 || !strings.Contains(lines[1], "web-2, db-1") {
		t.Errorf("one port leaves the others out: %q", lines)
	}
}

// Where a policy decides, the rule goes to the end: there is none to stand above.
func TestConsoleAcceptWherePolicyDecides(t *testing.T) {
	got := fix.ConsoleCommands(consoleArgs("position", "", "before", "", "sources", "fd00::31"))
	if want := []string{"iptables -w 5 -A INPUT -s fd00::31/128 -p tcp -m tcp --dport 5900:6099 -j ACCEPT"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// Nobody is let in whom the plan does not name.
func TestConsoleAcceptRefuses(t *testing.T) {
	for _, bad := range [][]string{
		{"sources", ""},
		{"sources", "0.0.0.0"},
		{"sources", "::"},
		{"sources", "172.30.200.0/24"},
		{"sources", "172.30.200.31 -j ACCEPT"},
		{"sources", "172.30.200.31,"},
		{"ports", ""},
		{"ports", "0:65535"},
		{"ports", "5900,22"},
		{"ports", "5900 -j ACCEPT"},
		{"chain", "FORWARD"},
	} {
		args := consoleArgs(bad...)
		_, err := fix.ConsoleAccept.Plan(nil, commands.Suggestion{Fix: fix.ConsoleAccept, Node: "compute01", Args: args})
		if commands.CodeOf(err) != commands.CodeInvalid || len(fix.ConsoleCommands(args)) != 0 {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
