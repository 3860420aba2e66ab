package differential_test

import (
	"flag"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"

	"whybot/internal/lab/differential"
)

var (
	replay   = flag.String("replay", "", "compare this rule set, FAMILY/SEED, and no other")
	ruleSets = flag.Int("rulesets", 0, "how many rule sets to compare, instead of 1200, or 120 with -short")
)

// requireKernel skips, loudly, where the kernel cannot be asked.
func requireKernel(t *testing.T) {
	t.Helper()
	missing := ""
	if os.Getuid() != 0 {
		missing = "not root"
	}
	for _, tool := range differential.Tools() {
		if _, err := exec.LookPath(tool); err != nil {
			missing = tool + " is not installed"
		}
	}
	if missing == "" {
		return
	}
	if os.Getenv("WHYBOT_REQUIRE_LAB") == "1" {
		t.Fatalf("WHYBOT_REQUIRE_LAB=1, but %s", missing)
	}
	t.Skipf("THE EVALUATOR IS NOT COMPARED WITH THE KERNEL: %s", missing)
}

// count is how many rule sets to compare.
func count(t *testing.T) int {
	t.Helper()
	switch {
	case *ruleSets > 0:
		return *ruleSets
	case testing.Short():
		return 120
	default:
		return 1200
	}
}

// TestKernelDifferential compares random rule sets of every family.
func TestKernelDifferential(t *testing.T) {
	requireKernel(t)
	if *replay != "" {
		report, _, err := differential.Replay(t.Context(), *replay, differential.Options{})
		check(t, report, err)
		return
	}
	o := differential.Options{RuleSets: count(t), Seed: rand.Uint64N(1 << 40), Workers: 2}
	t.Logf("first seed %d", o.Seed)
	report, err := differential.Run(t.Context(), o)
	check(t, report, err)
	if got := report.Total.RuleSets; got != o.RuleSets {
		t.Errorf("%d rule sets were compared, want %d", got, o.RuleSets)
	}
	if lost := float64(report.Total.Lost) / float64(report.Total.Verdicts); lost < 0.25 || lost > 0.75 {
		t.Errorf("%.0f %% of the packets are lost: the rules are no test", 100*lost)
	}
}

func check(t *testing.T, report differential.Report, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if err := report.Err(); err != nil {
		t.Error(err)
	}
	t.Logf("%v: %+v", report.Took, report.Total)
}
