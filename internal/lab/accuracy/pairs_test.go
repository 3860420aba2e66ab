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

// oneAfterTheOther writes a whybot that gives its answers one after the other
// and drops the REJECT when it is told to apply a fix.
func oneAfterTheOther(t *testing.T, applied string, answers ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i, a := range answers {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), []byte(a), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	body := fmt.Sprintf(`#!/bin/sh
n=$(cat '%[1]s/n' 2>/dev/null || echo 0)
case "$1 $2" in
"ask --config") cat "%[1]s/$n"; echo $((n + 1)) >'%[1]s/n' ;;
"fix apply") ssh -n -F ssh_config.root controller01 '%[2]s'; echo '{"state":"%[3]s"}'; [ %[3]s = verified ] ;;
*) exit 2 ;;
esac
`, dir, dropRule, applied)
	file := filepath.Join(dir, "whybot")
	if err := os.WriteFile(file, []byte(body), 0o755); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestKernelPairsAreToldApartOrNot(t *testing.T) {
	needLab(t)
	t.Parallel()
	const tapOut = `{"verdict":{"state":"proven","cause":"DHCP-16","edge":{"from":"compute01/tap3d1c2f4a-0b",` +
		`"to":"compute01/brq91e78b9c-cf","direction":"request"}},"fixes":[]}`
	const both = `{"verdict":{"state":"proven","cause":"DHCP-16","edge":{"from":"compute01/tap3d1c2f4a-0b",` +
		`"to":"compute01/brq91e78b9c-cf","direction":"request"}},"fixes":[{"id":"fx-1","name":"drop-rule","class":"F1","undo":["x"]}]}`
	pair := lab.FindPairs("DHCP-16/guest-tap-out + DHCP-01/rhel-nft")
	if len(pair) != 1 {
		t.Fatalf("%d pairs", len(pair))
	}
	for _, c := range []struct {
		name, whybot  string
		first, second Grade
		good          bool
		problem       string
	}{
		{"one after the other", oneAfterTheOther(t, "verified", tapOut, goodAnswer, healthyAnswer), Exact, Exact, true, ""},
		{"the second at once", oneAfterTheOther(t, "verified", goodAnswer, goodAnswer, healthyAnswer), Wrong, Exact, false, ""},
		{"the first for ever", oneAfterTheOther(t, "verified", tapOut, tapOut, healthyAnswer), Exact, Wrong, false, ""},
		{"cures the second first", oneAfterTheOther(t, "not-cured", both, tapOut, goodAnswer, healthyAnswer), Exact, Exact, true, ""},
		{"never content", oneAfterTheOther(t, "verified", tapOut, goodAnswer, tapOut), Exact, Exact, false, "whybot says proven DHCP-16"},
		{"refuses its own fix", oneAfterTheOther(t, "refused", tapOut, goodAnswer, healthyAnswer), Exact, Exact, false, `ended as "refused"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			results, err := RunPairs(t.Context(), c.whybot, pair, 1, io.Discard)
			if err != nil || len(results) != 1 {
				t.Fatalf("RunPairs = %d results, %v", len(results), err)
			}
			r := results[0]
			if r.FirstGrade != c.first || r.SecondGrade != c.second || r.Good() != c.good {
				t.Errorf("graded %s and %s, good %t (%s); want %s, %s, %t", r.FirstGrade, r.SecondGrade, r.Good(), r.Problem, c.first, c.second, c.good)
			}
			if !strings.Contains(r.Problem, c.problem) || (c.problem == "") != (r.Problem == "") {
				t.Errorf("problem %q, want %q", r.Problem, c.problem)
			}
		})
	}
}
