package diagnose_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"whybot/commands/diagnose"
)

// TestCausesDocument keeps docs/causes.md what the diagnoses say of themselves
// (go test ./commands/diagnose -update writes it).
func TestCausesDocument(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("# What whybot can name\n\nWritten by `go test ./commands/diagnose -update` from the diagnoses themselves.\n")
	for _, d := range diagnose.All() {
		fmt.Fprintf(&b, "\n## %s: %s\n\n%s\n", d.Name, d.Title, d.Doc)
	}
	file := filepath.Join("..", "..", "docs", "causes.md")
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != b.String() {
		t.Errorf("%s is not what the diagnoses say (go test ./commands/diagnose -update writes it)", file)
	}
}
