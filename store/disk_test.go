package store

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"whybot/commands"
)

// TestDiskFull fills a file system of a megabyte.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("whybot-test", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("NOT TESTED: what a full disk does; mounting a small file system takes root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	ballast := filepath.Join(dir, "ballast")
	ok(t, os.WriteFile(ballast, make([]byte, 300<<10), 0o600))
	s := openAt(t, Options{Path: filepath.Join(dir, "whybot.db")})
	id := newIncident(t, s, "web-1")

	taken, err := fill(t, s, id)
	wantError(t, err, commands.CodeInternal, "its disk is full", "Nothing was changed", "Free some space")
	if taken == 0 {
		t.Fatal("nothing was taken before the disk was full")
	}
	if first, err := s.First(t.Context(), "key"); err == nil && !first {
		t.Error("on a full disk a first delivery was taken for a repeated one")
	}
	wantEvents(t, s, taken)
	events, err := s.Events(t.Context(), commands.EventQuery{Entity: "web-1", Limit: 1})
	if err != nil || len(events) != 1 {
		t.Errorf("read on a full disk: %d events, %v", len(events), err)
	}

	ok(t, os.Remove(ballast))
	ok(t, s.Append(t.Context(), note(id, "after")))
	wantEvents(t, s, taken+1)
	t.Logf("%d events taken before the disk was full", taken)
}

// fill appends until the disk is full.
func fill(t *testing.T, s *Store, id string) (taken int, err error) {
	t.Helper()
	for range 1000 {
		if err := s.Append(t.Context(), note(id, strings.Repeat("x", 8<<10))); err != nil {
			return taken, err
		}
		taken++
	}
	return taken, nil
}

// TestDiskFullFromTheStart opens a store where there is no room for one.
func TestDiskFullFromTheStart(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("whybot-test", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("NOT TESTED: what a full disk does; mounting a small file system takes root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	ballast := filepath.Join(dir, "ballast")
	ok(t, os.WriteFile(ballast, make([]byte, 60<<10), 0o600))
	path := filepath.Join(dir, "whybot.db")
	_, err := Open(t.Context(), Options{Path: path})
	wantError(t, err, commands.CodeInternal, "its disk is full", "Free some space")
	ok(t, os.Remove(ballast))
	s := openAt(t, Options{Path: path})
	newIncident(t, s)
}
