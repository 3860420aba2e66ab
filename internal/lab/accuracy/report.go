package accuracy

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// A Summary is what a run comes to.
type Summary struct {
	Faults, Decoys           int
	Exact, Hedged, Undecided int // of the faults
	Guessed, Wrong, Failed   int // of faults and decoys
	Quiet                    int // of the decoys
	Fixes, Cured, Undoable   int
	Undone, WrongOffers      int
	MedianMS, WorstMS        int
	Pairs, GoodPairs         int
}

// minimumRight is the share of faults, in percent, of which the cause and the
// edge must be named.
const minimumRight = 95

// Right tells of how many faults, in percent, cause and edge were named.
func (s Summary) Right() float64 { return 100 * float64(s.Exact+s.Hedged) / float64(max(s.Faults, 1)) }

// Summarize counts the results.
func Summarize(results []Result, pairs []PairResult) Summary {
	var s Summary
	s.Pairs = len(pairs)
	for _, p := range pairs {
		if p.Good() {
			s.GoodPairs++
		}
	}
	var times []int
	for _, r := range results {
		s.count(r)
		s.WrongOffers += r.WrongOffers()
		if r.Grade != Failed {
			times = append(times, r.Answer.TookMS)
		}
		for _, f := range r.Fixes {
			s.countFix(f)
		}
	}
	slices.Sort(times)
	if len(times) > 0 {
		s.MedianMS, s.WorstMS = times[len(times)/2], times[len(times)-1]
	}
	return s
}

func (s *Summary) count(r Result) {
	if r.Fault.Decoy() {
		s.Decoys++
		if r.Quiet() {
			s.Quiet++
		}
	} else {
		s.Faults++
		s.countAnswer(r.Grade)
	}
	switch r.Grade {
	case Guessed:
		s.Guessed++
	case Wrong:
		s.Wrong++
	case Failed:
		s.Failed++
	case Exact, Hedged, Undecided: // no offence
	}
}

func (s *Summary) countAnswer(g Grade) {
	switch g {
	case Exact:
		s.Exact++
	case Hedged:
		s.Hedged++
	case Undecided:
		s.Undecided++
	case Guessed, Wrong, Failed: // counted for decoys too
	}
}

func (s *Summary) countFix(f FixResult) {
	s.Fixes++
	if f.Cured {
		s.Cured++
	}
	if f.UndoOffered {
		s.Undoable++
	}
	if f.Undone {
		s.Undone++
	}
}

// Err tells what the run must not come to: a wrong answer given with
// confidence, no answer, a decoy that was not quiet, a fix that did not cure,
// did not go back or was for something else, a pair of faults of which one was
// not named, and too few faults named.
func (s Summary) Err() error {
	var bad []string
	say := func(n int, what string) {
		if n > 0 {
			bad = append(bad, fmt.Sprintf("%d %s", n, what))
		}
	}
	say(s.Wrong, "wrong with confidence")
	say(s.Failed, "without an answer")
	say(s.Decoys-s.Quiet, "decoys not quiet")
	say(s.Fixes-s.Cured, "fixes that did not cure")
	say(s.Undoable-s.Undone, "fixes that were not undone")
	say(s.WrongOffers, "fixes offered for what was not broken")
	say(s.Pairs-s.GoodPairs, "pairs of faults not told apart")
	if s.Faults > 0 && s.Right() < minimumRight {
		bad = append(bad, fmt.Sprintf("cause and edge right of %.1f %% of the faults only", s.Right()))
	}
	if bad == nil {
		return nil
	}
	return fmt.Errorf("accuracy: %s", strings.Join(bad, ", "))
}

// line is one result for a person who waits.
func (r Result) line() string {
	s := fmt.Sprintf("%-36s %-9s %-8s %-8s %6d ms", r.Fault.Name(), r.Grade, r.Answer.Verdict.State, said(r), r.Answer.TookMS)
	for _, f := range r.Fixes {
		s += "  " + f.Name + ": " + f.word()
	}
	if r.Problem != "" {
		s += "  " + oneLine(r.Problem)
	}
	return s
}

func (f FixResult) word() string {
	switch {
	case f.Problem != "":
		return oneLine(f.Problem)
	case f.Undone:
		return "cured, undone"
	}
	return "cured"
}

// said is the cause in the answer, or its state where it names none.
func said(r Result) string {
	switch {
	case r.Grade == Failed:
		return "(no answer)"
	case r.Answer.Verdict.Cause != "":
		return r.Answer.Verdict.Cause
	}
	return r.Answer.Verdict.State
}

// wanted is what should have been said.
func wanted(r Result) string {
	if r.Fault.Decoy() {
		return healthy
	}
	return r.Fault.Want.Cause
}

const healthy = "healthy"

// Write writes the report as Markdown. Its layout depends on the results
// alone; only the measured times differ between two equal runs.
func Write(w io.Writer, results []Result, pairs []PairResult) error {
	var b strings.Builder
	b.WriteString("# Accuracy\n\nWritten by `make accuracy`: every fault and every decoy of the kernel lab (internal/lab), " +
		"each in a lab of its own, the question \"" + fmt.Sprintf(question, "GUEST") + "\" put to the built whybot; then pairs of " +
		"faults, of which the second must be named when the first is gone. A wrong answer called proven, a decoy that is " +
		"taken for a fault, a fix that does not cure, does not go back or is for something else makes it fail; so does a cause or edge " +
		"that is not named in more than one case of twenty.\n\n" +
		"Exact: the cause and the edge, and as sure as it can be. Probable: the cause and the edge, with a fact missing that could " +
		"have been had. Undecided: no claim. Several labs share the machine while this is measured: alone, answers come faster.\n\n")
	writeSummary(&b, Summarize(results, pairs))
	writeIDs(&b, results)
	writeMatrix(&b, results)
	writeCases(&b, results)
	writeFixes(&b, results)
	writePairs(&b, pairs)
	_, err := io.WriteString(w, b.String())
	return err
}

func writeSummary(b *strings.Builder, s Summary) {
	b.WriteString("| | |\n|---|---|\n")
	row := func(what, value string) { fmt.Fprintf(b, "| %s | %s |\n", what, value) }
	row("faults answered exactly (state, cause, edge)", fmt.Sprintf("%d of %d", s.Exact, s.Faults))
	row("right, but only probable", fmt.Sprint(s.Hedged))
	row("undecided", fmt.Sprint(s.Undecided))
	row("**cause and edge right**", fmt.Sprintf("**%.1f %%**", s.Right()))
	row("guessed wrong (called probable)", fmt.Sprint(s.Guessed))
	row("**wrong with confidence**", fmt.Sprintf("**%d**", s.Wrong))
	row("no answer", fmt.Sprint(s.Failed))
	row("decoys quiet", fmt.Sprintf("%d of %d", s.Quiet, s.Decoys))
	row("run-time fixes that cured", fmt.Sprintf("%d of %d", s.Cured, s.Fixes))
	row("fixes undone, of those with an undo", fmt.Sprintf("%d of %d", s.Undone, s.Undoable))
	row("**fixes offered for what was not broken**", fmt.Sprintf("**%d**", s.WrongOffers))
	row("pairs of faults told apart", fmt.Sprintf("%d of %d", s.GoodPairs, s.Pairs))
	row("time to verdict, median", fmt.Sprintf("%d ms", s.MedianMS))
	row("time to verdict, worst", fmt.Sprintf("%d ms", s.WorstMS))
	b.WriteString("\n")
}

// writeIDs writes what became of the faults of every catalogue id.
func writeIDs(b *strings.Builder, results []Result) {
	byID := map[string][]Result{}
	for _, r := range results {
		byID[r.Fault.ID] = append(byID[r.Fault.ID], r)
	}
	b.WriteString("## By catalogue id\n\n| id | faults | exact | probable, right | undecided | wrong | decoys quiet | median ms | worst ms |\n" +
		"|---|---|---|---|---|---|---|---|---|\n")
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		s := Summarize(byID[id], nil)
		fmt.Fprintf(b, "| %s | %d | %d | %d | %d | %d | %d of %d | %d | %d |\n", id, s.Faults, s.Exact, s.Hedged, s.Undecided,
			s.Faults-s.Exact-s.Hedged-s.Undecided, s.Quiet, s.Decoys, s.MedianMS, s.WorstMS)
	}
	b.WriteString("\n")
}

// writePairs writes what became of the pairs.
func writePairs(b *strings.Builder, pairs []PairResult) {
	if len(pairs) == 0 {
		return
	}
	b.WriteString("\n## Pairs\n\nTwo faults at once, the one that the packets meet first on the left.\n\n" +
		"| pair | first answer | taken away by | second answer | taken away by | |\n|---|---|---|---|---|---|\n")
	for _, p := range pairs {
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s |\n", p.Pair.Name(), cell(graded(p.First, p.FirstGrade)), cell(p.FirstCure),
			cell(graded(p.Second, p.SecondGrade)), cell(p.SecondCure), cell(p.Problem))
	}
}

// graded is an answer and its grade in a few words.
func graded(a Answer, g Grade) string {
	edge := ""
	if e := a.Verdict.Edge; e != nil {
		edge = e.From + " → " + e.To + " (" + e.Direction + ")"
	}
	return strings.Join(strings.Fields(fmt.Sprintf("%s: %s %s %s", g, a.Verdict.State, a.Verdict.Cause, edge)), " ")
}

func writeMatrix(b *strings.Builder, results []Result) {
	cells := map[[2]string]int{}
	rows, columns := map[string]bool{}, map[string]bool{}
	for _, r := range results {
		cells[[2]string{wanted(r), said(r)}]++
		rows[wanted(r)], columns[said(r)] = true, true
	}
	heads := slices.Sorted(maps.Keys(columns))
	fmt.Fprintf(b, "## Confusion matrix\n\nRows: what was broken. Columns: what whybot said.\n\n| | %s |\n|---|%s\n",
		strings.Join(heads, " | "), strings.Repeat("---|", len(heads)))
	for _, row := range slices.Sorted(maps.Keys(rows)) {
		fmt.Fprintf(b, "| **%s** |", row)
		for _, head := range heads {
			n := cells[[2]string{row, head}]
			if n == 0 {
				b.WriteString(" |")
				continue
			}
			fmt.Fprintf(b, " %d |", n)
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
}

func writeCases(b *strings.Builder, results []Result) {
	b.WriteString("## Cases\n\n| case | what it is | said | edge | grade | ms |\n|---|---|---|---|---|---|\n")
	for _, r := range results {
		v := r.Answer.Verdict
		edge := ""
		if v.Edge != nil {
			edge = v.Edge.From + " → " + v.Edge.To + " (" + v.Edge.Direction + ")"
		}
		answer := strings.TrimSpace(v.State + " " + v.Cause)
		if r.Problem != "" {
			answer = strings.TrimSpace(answer + " " + r.Problem)
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %d |\n", r.Fault.Name(), cell(r.Fault.Doc), cell(answer), cell(edge), r.Grade, r.Answer.TookMS)
	}
	b.WriteString("\n")
}

func writeFixes(b *strings.Builder, results []Result) {
	b.WriteString("## Fixes\n\n| case | fix | class | cured | undone | |\n|---|---|---|---|---|---|\n")
	for _, r := range results {
		for _, f := range r.Fixes {
			undone := yesNo(f.Undone)
			if !f.UndoOffered {
				undone = "not offered"
			}
			fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s |\n", r.Fault.Name(), cell(f.Name), cell(f.Class), yesNo(f.Cured), undone, cell(f.Problem))
		}
	}
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "**no**"
}

// cell makes text fit for a Markdown table: what whybot printed is not trusted
// to keep within its cell.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "`", "'").Replace(oneLine(s))
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// firstDifference names the first line in which two texts differ.
func firstDifference(before, after string) string {
	a, b := strings.Split(before, "\n"), strings.Split(after, "\n")
	for i := range max(len(a), len(b)) {
		was, is := "(nothing)", "(nothing)"
		if i < len(a) {
			was = a[i]
		}
		if i < len(b) {
			is = b[i]
		}
		if was != is {
			return fmt.Sprintf("was %q, is %q", was, is)
		}
	}
	return "no difference"
}
