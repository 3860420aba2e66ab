package config_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"whybot/config"
)

// TestRules asks what holds for a fix, where the file says it in several places.
func TestRules(t *testing.T) {
	scene(t)
	c := mustLoad(t, "good-approvals.yaml")
	base := config.Rule{
		Users: []string{"U0AAAAAAA"}, Groups: []string{"S0BBBBBBB"}, Channels: []string{"C0CCCCCCC"},
		Needed: 1, AskerMayApprove: true, Expires: 20 * time.Minute,
	}
	f2 := base
	f2.Users, f2.Groups, f2.Needed, f2.AskerMayApprove = nil, []string{"S0DDDDDDD"}, 2, false
	rule := func(r config.Rule, change func(*config.Rule)) config.Rule {
		change(&r)
		return r
	}
	for _, x := range []struct {
		fix, class string
		want       config.Rule
		terminal   string // who may there
	}{
		{"link-up", "F1", base, "alice carol"},
		{"comment-rule-in-file", "F2", f2, "alice"},
		{"delete-rule", "F1", rule(base, func(r *config.Rule) { r.Channels, r.Expires, r.Needed = []string{"C0EEEEEEE"}, 10*time.Minute, 3 }), ""},
		{"delete-rule", "F2", rule(f2, func(r *config.Rule) { r.Channels, r.Expires, r.Needed = []string{"C0EEEEEEE"}, 10*time.Minute, 3 }), ""},
		{"resync-dhcp", "F2", rule(f2, func(r *config.Rule) { r.AskerMayApprove = true }), "alice"},
	} {
		got := c.Rule(x.fix, x.class)
		for _, name := range []string{"alice", "carol"} {
			if want := slices.Contains(strings.Fields(x.terminal), name); got.Terminal.Allows(name) != want {
				t.Errorf("%s of %s: terminal allows %s: %v", x.fix, x.class, name, !want)
			}
		}
		got.Terminal = config.Terminal{}
		if !reflect.DeepEqual(got, x.want) {
			t.Errorf("%s of %s:\ngot  %+v\nwant %+v", x.fix, x.class, got, x.want)
		}
	}
	if want := (config.BreakGlass{Users: []string{"U0AAAAAAA"}, Terminal: []string{"alice"}, Channel: "C0FFFFFFF"}); !reflect.DeepEqual(c.Approvals.BreakGlass, want) {
		t.Errorf("break_glass %+v", c.Approvals.BreakGlass)
	}
	if want := []string{"U0AAAAAAA", "terminal:alice", "terminal:asmith"}; !slices.Equal(c.Approvals.People["alice"], want) {
		t.Errorf("people %v", c.Approvals.People)
	}
}

// A rule for a fix that does not exist protects nothing, so it is an error with
// its place.
func TestRuleForNoFix(t *testing.T) {
	scene(t)
	c := mustLoad(t, "good-approvals.yaml")
	if err := c.CheckFixes([]string{"delete-rule", "resync-dhcp", "link-up"}); err != nil {
		t.Errorf("known fixes: %v", err)
	}
	err := c.CheckFixes([]string{"delete-rules", "link-up"})
	if err == nil {
		t.Fatal("unknown fixes are taken")
	}
	for _, want := range []string{
		"good-approvals.yaml:17:5: approvals.fixes.delete-rule: whybot has no such fix; did you mean delete-rules?",
		"good-approvals.yaml:18:5: approvals.fixes.resync-dhcp: whybot has no such fix; the fixes are",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
