package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"whybot/internal/lab"
)

func TestOptionsOfAFaultWin(t *testing.T) {
	o, faults, err := options([]string{"-distro", "rhel", "-style", "new", "DHCP-01/debian-legacy", "DHCP-09/two-controllers"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if o.Distro != lab.Debian || o.Backend != lab.Legacy || o.Style != lab.OldStyle || !o.SecondController || len(faults) != 2 {
		t.Errorf("options = %+v with %d faults; want those that both faults need", o, len(faults))
	}
}

func TestBadCommandLines(t *testing.T) {
	for _, c := range []struct {
		args  []string
		say   string
		usage bool
	}{
		{nil, "usage", true},
		{[]string{"explode"}, `"explode"`, true},
		{[]string{"up", "DHCP-99"}, `no fault "DHCP-99"`, false},
		{[]string{"up", "DHCP-01"}, "several variants", true},
		{[]string{"up", "-nonsense"}, "nonsense", false},
		{[]string{"lease"}, "NAME", true},
		{[]string{"lease", "web-1\nfault x"}, "NAME", true},
		{[]string{"lease", "-dir", "/nonexistent", "web-1"}, "no lab answers", false},
	} {
		err := run(t.Context(), c.args, strings.NewReader(""), io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), c.say) || errors.Is(err, errUsage) != c.usage {
			t.Errorf("whylab %q: %v; want %q, usage %t", c.args, err, c.say, c.usage)
		}
	}
}

func TestFaultsAreListed(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), []string{"faults"}, strings.NewReader(""), &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Count(out.String(), "\n"), len(lab.Faults()); got != want || !strings.Contains(out.String(), "DHCP-01/rhel-nft ") {
		t.Errorf("%d lines, want %d:\n%s", got, want, out.String())
	}
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

// A lab stays up while its standard input is open, takes orders, and is gone
// when standard input closes.
func TestKernelUpTakesOrdersUntilStdinCloses(t *testing.T) {
	needLab(t)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	stdin, hold := io.Pipe()
	said, stdout := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, []string{"up", "DHCP-42/silent"}, stdin, stdout, io.Discard)
		_ = stdout.Close()
		ended <- err
	}()
	dir := ""
	for lines := bufio.NewScanner(said); dir == "" && lines.Scan(); {
		dir, _ = strings.CutPrefix(lines.Text(), "WHYLAB_DIR=")
	}
	go func() { _, _ = io.Copy(io.Discard, said) }() // the rest of the environment
	if dir == "" {
		t.Fatalf("no lab: %v", <-ended)
	}
	order := func(verb, word string) string {
		var out strings.Builder
		if err := run(ctx, []string{verb, "-dir", dir, word}, strings.NewReader(""), &out, io.Discard); err != nil {
			return err.Error()
		}
		return strings.TrimSpace(out.String())
	}
	for _, c := range [][3]string{
		{"lease", "web-1", "none"},
		{"lease", "nobody", `no guest "nobody" in this lab`},
		{"fault", "DHCP-18", "DHCP-18 has several variants, name one as whylab faults lists them"},
		{"heal", "DHCP-42/silent", "healed DHCP-42/silent"},
	} {
		if got := order(c[0], c[1]); got != c[2] {
			t.Errorf("%s %s: %q, want %q", c[0], c[1], got, c[2])
		}
	}
	for order("lease", "web-1") != "10.30.92.101" {
		if ctx.Err() != nil {
			t.Fatal("web-1 got no address after healing")
		}
		time.Sleep(50 * time.Millisecond)
	}
	if err := hold.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("up ended with %v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there: %v", dir, err)
	}
}
