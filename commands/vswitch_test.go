package commands_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"whybot/commands"
)

// TestStandardSwitchesAreChangedOnEveryHost: after a move the node meets the port
// group of another host, so all of them are changed by one fix.
func TestStandardSwitchesAreChangedOnEveryHost(t *testing.T) {
	t.Parallel()
	a := answer(t, loadFixture(t, filepath.Join(fixtures, "DHCP-05", "fires-cluster.txtar")))
	i := slices.IndexFunc(a.Fixes, func(p commands.Proposal) bool { return p.Fix == "accept-forged" })
	if i < 0 {
		t.Fatalf("not offered: %+v", a.Fixes)
	}
	p := a.Fixes[i]
	if len(p.Steps) != 3 || len(p.Commands) != 3 || len(p.Undo) != 3 {
		t.Fatalf("%d steps: %q, %q", len(p.Steps), p.Commands, p.Undo)
	}
	for i, host := range []string{"esx1", "esx2", "esx3"} {
		s := p.Steps[i]
		if !strings.Contains(p.Commands[i], host) || !strings.Contains(p.Undo[2-i], host) {
			t.Errorf("%q, %q: want %s", p.Commands[i], p.Undo[2-i], host)
		}
		if s.Node != "" || s.Args["from"] == s.Args["to"] || !strings.Contains(s.Args["to"], `"forged":true`) || !strings.Contains(s.Args["to"], `"promiscuous":false`) {
			t.Errorf("%+v", s)
		}
	}
}

// TestNothingIsOfferedThatCannotBeDone: while spanning tree is on, or the other
// hosts are not known, the answer says why there is no button.
func TestNothingIsOfferedThatCannotBeDone(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{"fires-spanning-tree": "BPDU guard", "fires-hosts-hidden": "other hosts", "fires-server-side": ""} {
		a := answer(t, loadFixture(t, filepath.Join(fixtures, "DHCP-05", file+".txtar")))
		if a.Verdict.State != commands.Proven || len(a.Findings) == 0 {
			t.Fatalf("%s: %+v", file, a.Verdict)
		}
		said := strings.Join(a.Findings[0].Advice, "\n")
		if want == "" {
			if len(a.Fixes) == 0 {
				t.Errorf("%s: nothing is offered: %s", file, said)
			}
			continue
		}
		if len(a.Fixes) > 0 || !strings.Contains(said, "Not offered: ") || !strings.Contains(said, want) {
			t.Errorf("%s: offered %d, said %q; want %q", file, len(a.Fixes), said, want)
		}
	}
}
