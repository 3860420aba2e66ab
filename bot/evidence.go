package bot

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/slack-go/slack"

	"whybot/commands"
)

const (
	maxEvidence    = 900  // characters of one piece of evidence that a message shows
	maxPieces      = 3    // pieces of evidence of one finding that messages show
	maxListed      = 12   // lines of a list that messages show
	maxItem        = 200  // characters of one
	maxReplies     = 5    // messages of evidence
	replyBudget    = 2800 // characters of one
	maxReplyBlocks = 20
)

// evidence collects what a verdict rests on: blocks for messages, and the
// whole of it as plain text for a file, for when the messages had to be cut.
type evidence struct {
	names  []string
	blocks []slack.Block
	full   strings.Builder
	cut    bool
}

// postEvidence puts an answer's evidence into the thread.
func (b *Bot) postEvidence(ctx context.Context, thread commands.Thread, a commands.Answer) {
	e := collect(a, b.picture(thread, a))
	messages := e.messages(a.Incident)
	if len(messages) > maxReplies {
		messages, e.cut = messages[:maxReplies], true
	}
	for _, m := range messages {
		b.reply(ctx, thread, m)
	}
	if !e.cut {
		return
	}
	name := bare(a.Incident) + "-evidence.txt"
	err := b.out.upload(ctx, thread.Channel, threadOf(thread), name, "All evidence of "+bare(a.Incident), e.full.String())
	if err != nil {
		b.log.Error("evidence not uploaded", slog.String("incident", a.Incident), slog.Any("error", err))
		b.reply(ctx, thread, simple("This evidence is cut; all of it could not be uploaded."))
	}
}

func (b *Bot) picture(thread commands.Thread, a commands.Answer) picture {
	inc := commands.Incident{ID: a.Incident, Question: a.Question, Verdict: &a.Verdict, Thread: thread}
	return picture{inc: inc, proposals: a.Fixes, fact: fact{vm: a.VM}, now: b.o.Now()}
}

// collect lays out all evidence of an answer.
func collect(a commands.Answer, p picture) *evidence {
	e := &evidence{names: p.names()}
	for _, h := range a.Path {
		e.names = append(e.names, h.Node, h.Device, h.String())
	}
	e.path(a.Path)
	for _, f := range a.Findings {
		e.finding(f)
	}
	unseen := make([]string, 0, len(a.Unknown))
	for _, u := range a.Unknown {
		unseen = append(unseen, u.What+" — "+u.Why)
	}
	e.list("Could not be seen", unseen)
	e.list("Looked at and good", a.GoodByNode())
	e.list("Notes", a.Notes)
	root := offerOf(p.inc, p.proposals, p.now).onRoot()
	for _, f := range a.Fixes {
		e.fix(f, !slices.ContainsFunc(root, func(r commands.Proposal) bool { return r.ID == f.ID }))
	}
	return e
}

func (e *evidence) heading(text string) { fmt.Fprintf(&e.full, "== %s\n", commands.Clean(text, 300)) }

// path shows requests and replies at each hop.
func (e *evidence) path(hops []commands.HopSeen) {
	if len(hops) == 0 {
		return
	}
	width := 0
	for _, h := range hops {
		width = max(width, utf8.RuneCountInString(bare(h.String())))
	}
	table := fmt.Sprintf("%-*s  req  rep\n", width, "hop")
	for _, h := range hops {
		name := bare(h.String())
		name += strings.Repeat(" ", width-utf8.RuneCountInString(name))
		if h.Observed {
			table += fmt.Sprintf("%s  %3d  %3d\n", name, h.Requests, h.Replies)
			continue
		}
		table += fmt.Sprintf("%s    -    -  %s\n", name, commands.Clean(cmp.Or(h.Why, "not seen"), 80))
	}
	what := "requests and replies seen at each hop"
	e.heading("Path: " + what)
	e.code("Path. ", strings.ToUpper(what[:1])+what[1:]+":", table, maxText-200)
}

// code adds a line of prose and a block of code, cut to limit characters.
func (e *evidence) code(label, prose, text string, limit int) {
	fmt.Fprintf(&e.full, "%s\n\n", strings.TrimRight(text, "\n"))
	shown, whole := lines(text, limit)
	if !whole {
		e.cut = true
		shown += "\n[cut]"
	}
	e.add(newRich(e.names).bold(label).prose(prose, maxSummary).block(shown))
}

func (e *evidence) add(r *rich) {
	if b := r.done(); b != nil {
		e.blocks = append(e.blocks, b)
	}
}

// finding shows one thing that is wrong with what was seen of it.
func (e *evidence) finding(f commands.Finding) {
	head := fmt.Sprintf("%s %s (%s)", f.Cause, f.Title, f.State)
	e.heading(head)
	fmt.Fprintf(&e.full, "%s\n\n", commands.Clean(f.Summary, 2000))
	r := newRich(append(slices.Clone(e.names), f.Node)).bold(bare(head)).text(" ").prose(f.Summary, maxSummary)
	if f.Missing != "" {
		r.newline().bold("Missing fact: ").prose(f.Missing, 200)
	}
	e.add(r)
	for i, piece := range f.Evidence {
		if i >= maxPieces {
			e.cut = true
			fmt.Fprintf(&e.full, "%s\n%s\n\n", commands.Clean(piece.Source, 300), cleanAll(piece.Text))
			continue
		}
		fmt.Fprintf(&e.full, "%s\n", commands.Clean(piece.Source, 300))
		e.piece(piece)
	}
	e.list("Advice", f.Advice)
}

// piece shows verbatim output with where it comes from.
func (e *evidence) piece(v commands.Evidence) {
	fmt.Fprintf(&e.full, "%s\n\n", cleanAll(v.Text))
	shown, whole := lines(v.Text, maxEvidence)
	if !whole {
		e.cut = true
		shown += "\n[cut]"
	}
	e.add(newRich(nil).code(v.Source).block(shown))
}

// cleanAll makes text safe for a file that people open.
func cleanAll(text string) string {
	shown, _ := lines(text, 64<<10)
	return shown
}

// list shows lines under a label.
func (e *evidence) list(label string, items []string) {
	if len(items) == 0 {
		return
	}
	e.heading(label)
	r := newRich(e.names).bold(label)
	for i, item := range items {
		fmt.Fprintf(&e.full, "- %s\n", commands.Clean(item, 2000))
		if i < maxListed {
			r.text("\n• ").prose(item, maxItem)
			e.cut = e.cut || utf8.RuneCountInString(item) > maxItem
		}
	}
	e.full.WriteByte('\n')
	if n := len(items) - maxListed; n > 0 {
		e.cut = true
		r.text(fmt.Sprintf("\n• and %d more", n))
	}
	e.add(r)
}

// fix shows everything a fix does; one that the root message has no button for
// gets its own here.
func (e *evidence) fix(p commands.Proposal, withButton bool) {
	e.heading("Fix: " + p.Title)
	head := fmt.Sprintf("%s: %s, %s.", p.Class, undoWord(p), lastWord(p))
	for _, t := range p.Touches {
		head += " " + sentence(t)
	}
	e.code("Fix: ", sentence(p.Title)+" "+head, strings.Join(p.Commands, "\n"), maxEvidence)
	if len(p.Undo) > 0 {
		e.code("Undo: ", "takes it back with", strings.Join(p.Undo, "\n"), maxEvidence)
	}
	if withButton {
		b := applyButton(p)
		b.ActionID += "-0"
		e.blocks = append(e.blocks, slack.NewActionBlock("", b))
	}
}

// messages spreads the blocks over messages. A button stays with what stands
// before it.
func (e *evidence) messages(incident string) []message {
	var all []message
	size := 0
	for i, b := range e.blocks {
		_, isButton := b.(*slack.ActionBlock)
		n := blockSize(b)
		last := len(all) - 1
		if last < 0 || !isButton && (size+n > replyBudget || len(all[last].blocks) >= maxReplyBlocks) {
			all = append(all, message{})
			last, size = len(all)-1, 0
		}
		all[last].add(e.blocks[i])
		size += n
	}
	for i := range all {
		all[i].text = notice(fmt.Sprintf("Evidence of %s, part %d of %d", bare(incident), i+1, len(all)))
	}
	return all
}
