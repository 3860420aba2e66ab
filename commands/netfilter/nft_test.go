package netfilter

import (
	"strings"
	"testing"
)

func parseNFT(t testing.TB, text string) *Ruleset {
	t.Helper()
	rs, err := ParseNFT(text)
	if err != nil {
		t.Fatal(err)
	}
	return rs
}

// The text was listed by "nft -a list ruleset" from the same kernel state as
// the JSON. Every rule must read the same.
func TestNFTRulesReadAsNFTListsThem(t *testing.T) {
	rs := parseNFT(t, sample(t, "nft_everything.json"))
	var want []string
	for line := range strings.Lines(sample(t, "nft_everything.txt")) {
		line = strings.TrimSpace(line)
		rule, handle, ok := strings.Cut(line, " # handle ")
		if !ok || strings.HasSuffix(rule, "{") {
			continue
		}
		want = append(want, rule+" # handle "+handle)
	}
	all := rs.Find(func(*Rule) bool { return true })
	if len(all) != len(want) {
		t.Fatalf("%d rules, want %d", len(all), len(want))
	}
	for i, r := range all {
		if r.Line() != want[i] {
			t.Errorf("rule of %s:\n got %s\nwant %s", r.place(), r.Line(), want[i])
		}
	}
}
