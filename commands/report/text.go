package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"whybot/commands"
)

// Style says how to write for a terminal.
type Style struct {
	Color bool
	// Width is the terminal's width in columns; 0 means 100.
	Width int
}

const (
	bold  = "1"
	dim   = "2"
	red   = "31"
	green = "32"
	amber = "33"
	cyan  = "36"
)

func (s Style) paint(code, text string) string {
	if !s.Color {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

var stateColor = map[commands.State]string{
	commands.Proven: red, commands.Probable: amber, commands.Healthy: green, commands.Unclear: amber,
}

// Answer writes an answer for a person: the verdict first, then what was
// counted, found, ruled out and not seen, and at the end what can be done.
func Answer(w io.Writer, a commands.Answer, s Style) {
	v := a.Verdict
	head := strings.ToUpper(string(v.State))
	if v.Cause != "" {
		head += "  " + v.Cause
	}
	fmt.Fprintf(w, "\n%s  %s\n", s.paint(bold+";"+stateColor[v.State], head), s.paint(bold, clean(v.Title)))
	s.paragraph(w, "  ", v.Summary)
	if v.Edge != nil {
		fmt.Fprintf(w, "  %s %s  %s  %s  (%s)\n", s.paint(dim, "lost:"), clean(v.Edge.From), s.paint(red, "-x->"), clean(v.Edge.To), v.Edge.Direction)
	}
	if v.Missing != "" {
		s.paragraph(w, "  ", "What would settle it: "+v.Missing+".")
	}
	s.path(w, a)
	for i, f := range a.Findings {
		s.finding(w, f, i == 0 || f.Cause != v.Cause, f.Summary != v.Summary)
	}
	s.lines(w, "Looked at and good", a.GoodByNode(), green)
	s.lines(w, "Could not be seen", blindLines(a.Unknown), amber)
	s.lines(w, "Also true", a.Notes, cyan)
	for i, p := range a.Fixes {
		s.fix(w, p, i+1)
	}
	fmt.Fprintf(w, "\n%s\n", s.paint(dim, fmt.Sprintf("%s · %.1f s", a.Incident, a.Took.Seconds())))
}

func (s Style) path(w io.Writer, a commands.Answer) {
	if len(a.Path) == 0 {
		return
	}
	s.title(w, "Path", counted(a))
	width := 0
	for _, h := range a.Path {
		width = max(width, len(h.String()))
	}
	for _, h := range a.Path {
		mark, count := " ", s.paint(dim, "not observed: "+clean(h.Why))
		if !h.Captured() {
			count = s.paint(dim, "(behind the tap)")
		}
		if h.Observed {
			count = fmt.Sprintf("%2d requests  %2d replies", h.Requests, h.Replies)
		}
		if e := a.Verdict.Edge; e != nil && (h.String() == e.From || h.String() == e.To) {
			mark = s.paint(red, "x")
		}
		fmt.Fprintf(w, "  %s %-*s  %s\n", mark, width, clean(h.String()), count)
	}
}

// counted says what the numbers along a path are.
func counted(a commands.Answer) string {
	if a.Question.Kind == commands.KindPing {
		return "one VM -> the other; ARP and echoes of a ping from " + clean(a.VM) + " counted"
	}
	return "guest -> DHCP server; DHCP frames of " + clean(a.VM) + " counted"
}

func (s Style) finding(w io.Writer, f commands.Finding, evidence, summary bool) {
	s.title(w, "Found", fmt.Sprintf("%s, %s", f.Cause, f.State))
	if summary {
		s.paragraph(w, "  ", f.Summary)
	}
	if f.Missing != "" {
		s.paragraph(w, "  ", "Missing for a proof: "+f.Missing+".")
	}
	if evidence {
		for _, e := range f.Evidence {
			fmt.Fprintf(w, "  %s\n", s.paint(dim, "$ "+clean(e.Source)))
			for line := range strings.Lines(e.Text) {
				fmt.Fprintf(w, "    %s\n", commands.Clean(strings.TrimRight(line, "\n"), 220))
			}
		}
	}
	for _, line := range f.Advice {
		s.paragraph(w, "  - ", line)
	}
}

func (s Style) fix(w io.Writer, p commands.Proposal, n int) {
	kind := "until the next restart of what it changes"
	if p.InCloud() {
		kind = "stays until it is changed in OpenStack again"
	}
	if len(p.Undo) == 0 {
		kind = "done once"
	}
	if p.Persistent {
		kind = "survives a reboot, changes nothing now"
	}
	s.title(w, fmt.Sprintf("Fix %d", n), fmt.Sprintf("%s, class %s, %s", p.ID, p.Class, kind))
	s.paragraph(w, "  ", p.Title+".")
	for _, c := range p.Commands {
		fmt.Fprintf(w, "    %s\n", clean(c))
	}
	if len(p.Undo) == 0 {
		fmt.Fprintf(w, "  %s\n", s.paint(dim, "undo: nothing to take back"))
	}
	for _, c := range p.Undo {
		fmt.Fprintf(w, "  %s %s\n", s.paint(dim, "undo:"), clean(c))
	}
	for _, t := range p.Touches {
		s.paragraph(w, "  - ", t)
	}
	if p.Approvals > 1 {
		s.paragraph(w, "  ", fmt.Sprintf("Needs %d people; %d agreed.", p.Approvals, len(p.Approved)))
	}
	if p.State == commands.Proposed {
		fmt.Fprintf(w, "  %s whybot fix apply %s   %s\n", s.paint(dim, "apply:"), p.ID, s.paint(dim, "(until "+p.Expires.UTC().Format("15:04 MST")+")"))
		return
	}
	fmt.Fprintf(w, "  %s %s\n", s.paint(dim, "state:"), p.State)
	if p.Outcome != "" {
		s.paragraph(w, "  ", p.Outcome)
	}
}

// Proposal writes one fix on offer.
func Proposal(w io.Writer, p commands.Proposal, s Style) { s.fix(w, p, 1) }

// Outcome writes what came of applying or undoing a fix.
func Outcome(w io.Writer, o commands.Outcome, s Style) {
	p := o.Proposal
	color := outcomeColor(p.State)
	fmt.Fprintf(w, "\n%s  %s\n", s.paint(bold+";"+color, strings.ToUpper(string(p.State))), s.paint(bold, clean(p.Title)))
	s.paragraph(w, "  ", p.Outcome)
	if o.Proof != nil {
		s.path(w, *o.Proof)
		if o.Proof.Verdict.State != commands.Healthy {
			s.paragraph(w, "  ", "Asked again: "+o.Proof.Verdict.Summary)
		}
	}
	if len(p.Undo) > 0 && slices.Contains([]commands.ProposalState{commands.Applied, commands.Verified, commands.NotCured}, p.State) {
		fmt.Fprintf(w, "  %s whybot fix undo %s\n", s.paint(dim, "undo:"), p.ID)
	}
	if o.Proof != nil {
		for i, q := range o.Proof.Fixes {
			s.fix(w, q, i+1)
		}
	}
}

func outcomeColor(state commands.ProposalState) string {
	switch state {
	case commands.Verified, commands.Undone:
		return green
	case commands.Failed, commands.Undecided, commands.NotCured:
		return red
	default:
		return amber
	}
}

// Timeline writes events, oldest first.
func Timeline(w io.Writer, events []commands.Event, s Style) {
	day := ""
	for _, e := range events {
		if d := e.At.UTC().Format("Monday 2006-01-02 (MST)"); d != day {
			day = d
			fmt.Fprintf(w, "%s\n", s.paint(bold, d))
		}
		who := ""
		if e.Actor.ID != "" {
			who = " " + s.paint(cyan, clean(e.Actor.String())+":")
		}
		s.paragraph(w, fmt.Sprintf("  %s  %-8s %-9s", e.At.UTC().Format("15:04:05"), e.Incident, e.Kind), strings.TrimSpace(who+" "+clean(e.Text)))
	}
}

// Incidents writes a list of incidents, newest first.
func Incidents(w io.Writer, incs []commands.Incident, s Style) {
	for _, inc := range incs {
		state, summary := "open", clean(inc.Question.Text)
		if inc.Verdict != nil {
			state = string(inc.Verdict.State)
			if inc.Verdict.Cause != "" {
				state += " " + inc.Verdict.Cause
			}
		}
		fmt.Fprintf(w, "%-8s %s  %-18s %s\n", inc.ID, inc.Opened.UTC().Format(time.DateTime), state, summary)
	}
}

func blindLines(blinds []commands.Blind) []string {
	lines := make([]string, 0, len(blinds))
	for _, b := range blinds {
		lines = append(lines, b.What+": "+b.Why)
	}
	return lines
}

func (s Style) title(w io.Writer, head, rest string) {
	fmt.Fprintf(w, "\n%s %s\n", s.paint(bold, head), s.paint(dim, clean(rest)))
}

func (s Style) lines(w io.Writer, head string, lines []string, color string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\n", s.paint(bold, head))
	for _, l := range lines {
		s.paragraph(w, "  "+s.paint(color, "·")+" ", l)
	}
}

// paragraph writes text wrapped to the width, the first line behind lead and
// the others under it.
func (s Style) paragraph(w io.Writer, lead, text string) {
	width := s.Width
	if width == 0 {
		width = 100
	}
	indent := visible(lead)
	line := lead
	used := indent
	for _, word := range strings.Fields(clean(text)) {
		n := len([]rune(word))
		if used+n > width && used > indent {
			fmt.Fprintln(w, strings.TrimRight(line, " "))
			line, used = strings.Repeat(" ", indent), indent
		}
		line += word + " "
		used += n + 1
	}
	fmt.Fprintln(w, strings.TrimRight(line, " "))
}

// visible counts the columns of text without its colour codes.
func visible(text string) int {
	n, inCode := 0, false
	for _, r := range text {
		switch {
		case r == '\x1b':
			inCode = true
		case inCode:
			inCode = r != 'm'
		default:
			n++
		}
	}
	return n
}

func clean(text string) string { return commands.Clean(text, 4000) }
