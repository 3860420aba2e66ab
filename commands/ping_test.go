package commands

import (
	"strings"
	"testing"

	"whybot/runners"
)

// TestNamed takes an address for the port that has it, and puts it in front: a
// ping goes to one address. One that is nobody's own is not the way that is
// followed.
func TestNamed(t *testing.T) {
	t.Parallel()
	port := func(id string, addresses ...string) runners.Attachment {
		a := runners.Attachment{Port: runners.Port{ID: id}}
		for _, address := range addresses {
			a.Port.FixedIPs = append(a.Port.FixedIPs, runners.FixedIP{Address: address})
		}
		return a
	}
	e := end{runners.Server{Name: "web-1"}, []runners.Attachment{port("a", "10.0.0.5"), port("b", "10.0.1.5", "10.0.1.6", "fd00::6")}}
	for ref, want := range map[string]string{"web-1": "", "10.0.0.5": "a 10.0.0.5", "10.0.1.6": "b 10.0.1.6", "10.0.1.5": "b 10.0.1.5", "fd00:0::6": "b fd00::6"} {
		ports, err := named(e, ref)
		switch {
		case err != nil:
			t.Errorf("%s: %v", ref, err)
		case want == "" && len(ports) != 2, want != "" && (len(ports) != 1 || ports[0].Port.ID+" "+ports[0].Port.FixedIPs[0].Address != want):
			t.Errorf("%s: %+v, want %q", ref, ports, want)
		}
	}
	if ports, err := named(e, "203.0.113.7"); CodeOf(err) != CodeInvalid || !strings.Contains(Public(err), "203.0.113.7 leads to web-1") {
		t.Errorf("a floating IP: %+v, %v", ports, err)
	}
	if first := e.ports[1].Port.FixedIPs[0].Address; first != "10.0.1.5" {
		t.Errorf("the caller's own list was changed: it begins with %s", first)
	}
}
