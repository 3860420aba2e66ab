package endtoend

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"whybot/internal/lab"
)

// binary is the whybot under test.
var binary string

// TestMain builds whybot once. It runs all groups of tests at once, whatever
// the number of processors: each has its own lab and mostly waits.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "whybot-endtoend-")
	if err == nil && obstacle() == nil {
		err = build(dir)
	}
	if err == nil {
		err = flag.Set("test.parallel", "8") // -parallel on the command line still wins
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, errors.Join(err, os.RemoveAll(dir)))
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if err := os.RemoveAll(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
		os.Exit(code)
	}))
}

// build makes whybot as it is shipped: without the race detector, also when
// this test has it.
func build(dir string) error {
	binary = os.Getenv("WHYBOT_BINARY")
	if binary != "" {
		return nil
	}
	binary = filepath.Join(dir, "whybot")
	out, err := exec.Command("go", "build", "-race=false", "-o", binary, "whybot").CombinedOutput()
	if err != nil {
		return fmt.Errorf("build whybot: %w\n%s", err, out)
	}
	return nil
}

// obstacle says why there can be no lab here; nil when there can.
func obstacle() error {
	if uid := os.Geteuid(); uid != 0 {
		return fmt.Errorf("the kernel lab needs root, this is uid %d", uid)
	}
	return lab.EnsureTools()
}

// needLab skips a test where no lab can be made, or fails it where one must be.
func needLab(tb testing.TB) {
	tb.Helper()
	switch err := obstacle(); {
	case err == nil:
	case os.Getenv("WHYBOT_REQUIRE_LAB") == "1":
		tb.Fatalf("WHYBOT_REQUIRE_LAB=1, but there can be no lab: %v", err)
	default:
		tb.Skipf("SKIPPED, NOT TESTED: %v", err)
	}
}
