package accuracy

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"whybot/internal/lab"
)

// standIn writes a whybot that knows one answer and, for its one fix, runs the
// given commands on controller01 as root. It understands
// just the command lines of the contract.
func standIn(t *testing.T, answer, apply, applied, undo, undone string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "whybot")
	body := fmt.Sprintf(`#!/bin/sh
# the harness runs whybot in the lab's directory
on() { ssh -n -F ssh_config.root controller01 "$1"; }
case "$1 $2" in
"ask --config") [ "$4" = --json ] || exit 2; echo '%s' ;;
"fix apply") on '%s'; echo '{"state":"%s"}'; [ %s = verified ] ;;
"fix undo") on '%s'; echo '{"state":"%s"}'; [ %s = undone ] ;;
*) exit 2 ;;
esac
`, answer, apply, applied, applied, undo, undone, undone)
	if err := os.WriteFile(file, []byte(body), 0o755); err != nil {
		t.Fatal(err)
	}
	return file
}

func needLab(t *testing.T) {
	t.Helper()
	err := lab.EnsureTools()
	if err == nil && os.Geteuid() == 0 {
		return
	}
	if os.Getenv("WHYBOT_REQUIRE_LAB") == "1" {
		t.Fatalf("WHYBOT_REQUIRE_LAB=1, but there can be no lab: uid %d, %v", os.Geteuid(), err)
	}
	t.Skipf("SKIPPED, NOT TESTED: needs root and the lab's tools: uid %d, %v", os.Geteuid(), err)
}

const (
	goodAnswer = `{"incident":"inc-1","verdict":{"state":"proven","cause":"DHCP-01","edge":{"from":"controller01/brq91e78b9c-cf",` +
		`"to":"controller01/eth3.3092","direction":"reply"}},"fixes":[{"id":"fx-1","name":"drop-rule","class":"F1","undo":["x"],"persistent":false},` +
		`{"id":"fx-2","name":"edit-file","class":"F2","undo":["x"],"persistent":true}],"took_ms":17}`
	healthyAnswer = `{"incident":"inc-1","verdict":{"state":"healthy"},"fixes":[],"took_ms":5}`
	dropRule      = "iptables -D FORWARD -j REJECT --reject-with icmp-host-prohibited"
	addRule       = "iptables -A FORWARD -j REJECT --reject-with icmp-host-prohibited"
)

func TestKernelHarnessSeesThroughEveryPretence(t *testing.T) {
	needLab(t)
	t.Parallel()
	for _, c := range []struct {
		name, fault   string
		whybot        string
		grade         Grade
		cured, undone bool
		problem       string // in the first fix, or in the case
	}{
		{"honest", "DHCP-01/rhel-nft", standIn(t, goodAnswer, dropRule, "verified", addRule, "undone"), Exact, true, true, ""},
		{"says verified and does nothing", "DHCP-01/rhel-nft", standIn(t, goodAnswer, "true", "verified", addRule, "undone"), Exact, false, false, "web-1 has no address"},
		{"says not cured", "DHCP-01/rhel-nft", standIn(t, goodAnswer, "true", "not-cured", "true", "undone"), Exact, false, false, `"not-cured", want verified`},
		{"says undone and does nothing", "DHCP-01/rhel-nft", standIn(t, goodAnswer, dropRule, "verified", "true", "undone"), Exact, true, false, "did not restore"},
		{"undoes something else", "DHCP-01/rhel-nft", standIn(t, goodAnswer, dropRule, "verified", "iptables -I FORWARD -j REJECT --reject-with icmp-host-prohibited", "undone"), Exact, true, false, "did not restore"},
		{"refuses to undo", "DHCP-01/rhel-nft", standIn(t, goodAnswer, dropRule, "verified", "true", "refused"), Exact, true, false, `"refused", want undone`},
		{"calls a decoy a fault", "DHCP-01/decoy-behind-accept", standIn(t, goodAnswer, "true", "verified", "true", "undone"), Wrong, false, false, ""},
		{"is quiet", "DHCP-01/decoy-behind-accept", standIn(t, healthyAnswer, "true", "verified", "true", "undone"), Exact, false, false, ""},
		{"gives the all-clear for a fault", "DHCP-01/rhel-nft", standIn(t, healthyAnswer, "true", "verified", "true", "undone"), Wrong, false, false, ""},
		{"prints no JSON", "DHCP-01/rhel-nft", standIn(t, "all is well", "true", "verified", "true", "undone"), Failed, false, false, "no JSON"},
		{"knows a state of its own", "DHCP-01/rhel-nft", standIn(t, `{"verdict":{"state":"fine"}}`, "true", "verified", "true", "undone"), Failed, false, false, "contract"},
		{"is not there", "DHCP-01/rhel-nft", "/nonexistent/whybot", Failed, false, false, "no such file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			results, err := Run(t.Context(), c.whybot, []lab.Fault{fault(t, c.fault)}, 1, io.Discard)
			if err != nil || len(results) != 1 {
				t.Fatalf("Run = %d results, %v", len(results), err)
			}
			r := results[0]
			if r.Grade != c.grade {
				t.Errorf("graded %s (%s), want %s", r.Grade, r.Problem, c.grade)
			}
			said, fix := r.Problem, FixResult{}
			if len(r.Fixes) > 0 {
				fix = r.Fixes[0]
				said += fix.Problem
			}
			if fix.Cured != c.cured || fix.Undone != c.undone {
				t.Errorf("cured %t undone %t (%s), want %t %t", fix.Cured, fix.Undone, said, c.cured, c.undone)
			}
			if !strings.Contains(said, c.problem) || (c.problem == "") != (said == "") {
				t.Errorf("problem %q, want %q", said, c.problem)
			}
			if len(r.Fixes) > 1 {
				t.Errorf("%d fixes were tried: the persistent one is not to be", len(r.Fixes))
			}
		})
	}
}
