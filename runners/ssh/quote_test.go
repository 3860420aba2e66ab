package ssh

import (
	"errors"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
)

func feedAll(nonce string, b []byte, chunk int) (*stream, error) {
	var left atomic.Int64
	left.Store(1 << 20)
	s := newStream(nonce, 2, 64, &left)
	for len(b) > 0 && !s.done {
		n := min(chunk, len(b))
		if err := s.feed(b[:n]); err != nil {
			return s, err
		}
		b = b[n:]
	}
	return s, nil
}

// checkQuote runs a word through a real shell and compares bytes.
func checkQuote(t *testing.T, w string, shell ...string) {
	t.Helper()
	q, err := quote(w)
	if strings.Contains(w, "\x00") {
		if !errors.Is(err, errNUL) {
			t.Errorf("NUL in %q: %v", w, err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	args := append(append([]string{}, shell[1:]...), "-c", "printf %s "+q)
	got, err := exec.Command(shell[0], args...).Output()
	if err != nil || string(got) != w {
		t.Errorf("%v printed %q for %q (%v)", shell, got, w, err)
	}
}

var hostile = []string{
	"", "a", "a b", "'", "''", `\`, `\'`, `'\''`, "!", "!!", "$HOME", "`id`", "$(id)", "a\nb", "\n", "-n", "--", "*", "~", ";id", "\x1b]0;x\a",
	"\x80\xff", "a\x00b", "%s%n", "-oProxyCommand=id", "\u202e", strings.Repeat("'", 300), strings.Repeat("x", 4096),
}

func TestQuoteInEveryShellThere(t *testing.T) {
	for _, shell := range [][]string{{"sh"}, {"dash"}, {"bash"}, {"busybox", "sh"}, {"zsh"}, {"ksh"}, {"fish"}} {
		if _, err := exec.LookPath(shell[0]); err != nil {
			t.Logf("%s is not here", shell[0])
			continue
		}
		for _, w := range hostile {
			checkQuote(t, w, shell...)
		}
	}
}

func FuzzQuote(f *testing.F) {
	for _, w := range hostile {
		f.Add(w)
	}
	f.Fuzz(func(t *testing.T, w string) {
		if len(w) > 8192 {
			return
		}
		checkQuote(t, w, "sh")
	})
}

func TestScriptsHaveNoNewlines(t *testing.T) {
	for _, s := range []string{probesScript, captureScript} {
		if s == "" || strings.Contains(s, "\n") || strings.Contains(s, "#!") {
			t.Errorf("not one line: %q", s)
		}
	}
}
