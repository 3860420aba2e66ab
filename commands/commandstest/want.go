package commandstest

import (
	"cmp"
	"fmt"
	"strings"

	"whybot/commands"
)

// Lines is an answer as a want section has it: the verdict's state, cause,
// edge and missing fact, then every finding, fix, unseen thing and note.
func Lines(a commands.Answer) []string {
	out := []string{"state: " + string(a.Verdict.State)}
	if a.Verdict.Cause != "" {
		out = append(out, "cause: "+a.Verdict.Cause)
	}
	if e := a.Verdict.Edge; e != nil {
		out = append(out, fmt.Sprintf("edge: %s -> %s (%s)", e.From, e.To, e.Direction))
	}
	if a.Verdict.Missing != "" {
		out = append(out, "missing: "+a.Verdict.Missing)
	}
	for _, f := range a.Findings {
		line := fmt.Sprintf("finding: %s %s on %s", f.Cause, f.State, cmp.Or(f.Node, "OpenStack"))
		if f.Aside {
			line += " (aside)"
		}
		out = append(out, line)
	}
	for _, p := range a.Fixes {
		out = append(out, "fix: "+p.Fix)
	}
	for _, u := range a.Unknown {
		out = append(out, "unknown: "+u.What+": "+u.Why)
	}
	for _, n := range a.Notes {
		out = append(out, "note: "+n)
	}
	return out
}

// Diff returns what differs between the answer and what the fixture wants, a
// line each. Of missing facts, unseen things and notes a part of the text is
// enough; nothing may be there that is not wanted.
func (f *Fixture) Diff(a commands.Answer) []string {
	got := Lines(a)
	var diff []string
	for _, want := range f.want {
		at := -1
		for i, line := range got {
			if fits(want, line) {
				at = i
				break
			}
		}
		if at < 0 {
			diff = append(diff, "- "+want)
			continue
		}
		got = append(got[:at:at], got[at+1:]...)
	}
	for _, line := range got {
		diff = append(diff, "+ "+line)
	}
	return diff
}

func fits(want, got string) bool {
	if want == got {
		return true
	}
	key, part, _ := strings.Cut(want, ": ")
	have, text, _ := strings.Cut(got, ": ")
	switch key {
	case "missing", "unknown", "note":
		return key == have && strings.Contains(text, part)
	}
	return false
}
