package commands

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestClean(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		limit      int
		want       string
	}{
		{"plain", "web-1 ACTIVE", 80, "web-1 ACTIVE"},
		{"lines become one", "a\nb\r\nc\td\u2028e", 80, "a b  c d e"},
		{"control characters go", "a\x00\x1b[31mred\x7f\u0085", 80, "a[31mred"},
		{"direction overrides go", "abc\u202etxt.exe\u2066", 80, "abctxt.exe"},
		{"invisible characters go", "a\u200bb\ufeffc\u00add", 80, "abcd"},
		{"broken UTF-8 goes", "a\xff\xfeb", 80, "ab"},
		{"letters of all scripts stay", "Größe 容量 объём", 80, "Größe 容量 объём"},
		{"cut by runes", "容量容量", 3, "容量容…"},
		{"exactly the limit", "abc", 3, "abc"},
		{"empty", "", 3, ""},
	} {
		if got := Clean(c.text, c.limit); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("a\u202eb\n\x1b]0;x\a", 5)
	f.Add("\xff", 0)
	f.Fuzz(func(t *testing.T, text string, limit int) {
		limit = max(0, min(limit, 1<<12))
		got := Clean(text, limit)
		if !utf8.ValidString(got) || utf8.RuneCountInString(got) > limit+1 {
			t.Errorf("Clean(%q, %d) = %q", text, limit, got)
		}
		if strings.ContainsFunc(got, func(r rune) bool {
			return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029'
		}) {
			t.Errorf("Clean(%q, %d) = %q", text, limit, got)
		}
	})
}
