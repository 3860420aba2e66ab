package differential

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Write renders a report as Markdown.
func (r *Report) Write(w io.Writer) error {
	var b strings.Builder
	b.WriteString("# The evaluator against the kernel\n\n" +
		"Written by `make differential`: random rule sets are loaded into a throwaway network namespace, real packets are sent " +
		"through them, and what arrived and what every rule counted is compared with what `commands/netfilter` says of the listing. " +
		"One difference, or more than " + percent(Ceiling) + " of the verdicts left open, makes it fail.\n\n| | |\n|---|---|\n")
	for _, line := range r.summary() {
		fmt.Fprintf(&b, "| %s | %s |\n", line[0], line[1])
	}
	b.WriteString("\nA verdict is the fate of one copy of a packet: a broadcast has several. Left open is counted in rule sets that a " +
		"listing decides; one rule set in ten also holds matches that nobody could decide (statistic, limit, payload), and there an " +
		"open verdict is right.\n\n## Families\n\n" +
		"| family | rule sets | packets | verdicts | lost | left open | counters compared | of them grown | disagreements | seconds |\n" +
		"|---|---|---|---|---|---|---|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(r.Families)) {
		t := r.Families[name]
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %s | %s | %d | %d | %d | %.1f |\n", name, t.RuleSets, t.Packets, t.Verdicts,
			percent(share(t.Lost, t.Verdicts)), percent(t.UnknownShare()), t.Counters, t.Grown, t.Disagreements, t.Took.Seconds())
	}
	b.WriteString("\n## Where packets were lost\n\n| by | copies |\n|---|---|\n")
	for _, by := range slices.SortedFunc(maps.Keys(r.Total.LostBy), func(x, y string) int {
		return cmp.Or(cmp.Compare(r.Total.LostBy[y], r.Total.LostBy[x]), cmp.Compare(x, y))
	}) {
		fmt.Fprintf(&b, "| %s | %d |\n", by, r.Total.LostBy[by])
	}
	for _, f := range r.Failures {
		fmt.Fprintf(&b, "\n## Disagreement\n\n```\n%s\n```\n", strings.ReplaceAll(f.String(), "```", "'''"))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Report) summary() [][2]string {
	t := r.Total
	return [][2]string{
		{"rule sets", fmt.Sprint(t.RuleSets)},
		{"refused by the family's tool, and drawn anew", fmt.Sprint(t.Refused)},
		{"families", fmt.Sprint(len(r.Families))},
		{"packets sent", fmt.Sprint(t.Packets)},
		{"verdicts compared", fmt.Sprint(t.Verdicts)},
		{"agreements", fmt.Sprint(t.Packets - t.Disagreements)},
		{"**disagreements**", fmt.Sprintf("**%d**", t.Disagreements)},
		{"verdicts left open", fmt.Sprintf("%d (%s)", t.Unknown-t.Opaque, percent(t.UnknownShare()))},
		{"the same where a match is undecidable", fmt.Sprintf("%d (%s)", t.Opaque, percent(share(t.Opaque, t.OpaqueVerdicts)))},
		{"packets lost", percent(share(t.Lost, t.Verdicts))},
		{"counters compared", fmt.Sprintf("%d, of which %d grew", t.Counters, t.Grown)},
		{"first seed", fmt.Sprint(r.Options.Seed)},
		{"time", fmt.Sprintf("%v, %d nodes side by side on %d CPUs", r.Took.Round(time.Second), r.Options.Workers, runtime.NumCPU())},
		{"kernel", kernel()},
	}
}

func share(part, whole int) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

func percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }

// kernel is the release of the running kernel, up to its first dash: what
// follows is the builder's.
func kernel() string {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return "not known"
	}
	release, _, _ := strings.Cut(unix.ByteSliceToString(name.Release[:]), "-")
	return "Linux " + release
}
