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
	Undone                   int
	MedianMS, WorstMS        int
}

// Summarize counts the results.
func Summarize(results []Result) Summary {
	var s Summary
	var times []int
	for _, r := range results {
		s.count(r)
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
// confidence, no answer, a decoy that was not quiet, a fix that did not cure
// or did not go back.
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
func Write(w io.Writer, results []Result) error {
	var b strings.Builder
	b.WriteString("# Accuracy\n\nWritten by `make accuracy`: every fault and every decoy of the kernel lab (internal/lab), " +
		"one at a time, the question \"" + question + "\" put to the built whybot. A wrong answer called proven, a decoy that is " +
		"taken for a fault, a fix that does not cure or does not go back makes it fail.\n\n")
	writeSummary(&b, Summarize(results))
	writeMatrix(&b, results)
	writeCases(&b, results)
	writeFixes(&b, results)
	_, err := io.WriteString(w, b.String())
	return err
}

func writeSummary(b *strings.Builder, s Summary) {
	b.WriteString("| | |\n|---|---|\n")
	row := func(what, value string) { fmt.Fprintf(b, "| %s | %s |\n", what, value) }
	row("faults answered exactly (state, cause, edge)", fmt.Sprintf("%d of %d", s.Exact, s.Faults))
	row("right, but only probable", fmt.Sprint(s.Hedged))
	row("undecided", fmt.Sprint(s.Undecided))
	row("guessed wrong (called probable)", fmt.Sprint(s.Guessed))
	row("**wrong with confidence**", fmt.Sprintf("**%d**", s.Wrong))
	row("no answer", fmt.Sprint(s.Failed))
	row("decoys quiet", fmt.Sprintf("%d of %d", s.Quiet, s.Decoys))
	row("run-time fixes that cured", fmt.Sprintf("%d of %d", s.Cured, s.Fixes))
	row("fixes undone, of those with an undo", fmt.Sprintf("%d of %d", s.Undone, s.Undoable))
	row("time to verdict, median", fmt.Sprintf("%d ms", s.MedianMS))
	row("time to verdict, worst", fmt.Sprintf("%d ms", s.WorstMS))
	b.WriteString("\n")
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
