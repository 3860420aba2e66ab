package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRunServesUntilItEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	file := filepath.Join(t.TempDir(), "inventory.json")
	if err := os.WriteFile(file, []byte(`{"hosts": 1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- run(ctx, []string{"-inventory", file}, w, io.Discard); _ = w.Close() }()
	lines := bufio.NewScanner(r)
	if !lines.Scan() || !strings.HasPrefix(lines.Text(), "https://127.0.0.1:") {
		t.Fatalf("address %q", lines.Text())
	}
	if !lines.Scan() || strings.Count(lines.Text(), ":") != 31 {
		t.Errorf("thumbprint %q", lines.Text())
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestRunRefuses(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.json")
	if err := os.WriteFile(bad, []byte(`{"hosts": -1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"-nothing"}, {"-inventory", bad}, {"-inventory", bad + ".gone"}} {
		if err := run(t.Context(), args, io.Discard, io.Discard); err == nil {
			t.Errorf("%q was taken", args)
		}
	}
}
