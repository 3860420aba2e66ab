package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"whybot/config"
)

// FuzzLoad checks that no file makes Load panic, and that what it says is
// always a list of whole problems, each on its line.
func FuzzLoad(f *testing.F) {
	names, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(names) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, "LOG_LEVEL", "debug")
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte, variable, value string) {
		name := filepath.Join(dir, "whybot.yaml")
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := config.Load(name, []string{"WHYBOT_" + variable + "=" + value})
		if err == nil {
			return
		}
		ps, ok := errors.AsType[config.Problems](err)
		if !ok {
			t.Fatalf("error is %T: %v", err, err)
		}
		checkForm(t, ps)
	})
}
