package commands

import (
	"testing"

	"whybot/commands/capture"
)

// Without a server of the cloud's, listening can only tell whether another one
// answers: it is worth it while that is what is missing.
func TestWorthListening(t *testing.T) {
	t.Parallel()
	served, unserved := webPass(t, "controller01"), webPass(t)
	off := webPass(t)
	off.Path = &Path{}
	for _, c := range []struct {
		name string
		pass *Pass
		v    Verdict
		want bool
	}{
		{"a server, nothing found", served, Verdict{State: Unclear}, true},
		{"a server, proven", served, Verdict{State: Proven, Exchange: capture.DHCP}, false},
		{"no server, a fact missing", unserved, Verdict{State: Probable}, true},
		{"no server, proven", unserved, Verdict{State: Proven}, false},
		{"no server, nothing found", unserved, Verdict{State: Unclear}, false},
		{"no server and no tap", off, Verdict{State: Probable}, false},
	} {
		if got := c.pass.worthListening(c.v, nil); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
	if got := unserved.awaited(); len(got) != 1 || got[0] != capture.DHCP {
		t.Errorf("awaited %v", got)
	}
}
