package bot

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"whybot/commands"
)

const (
	rootBudget  = 1500 // characters of the root message
	maxSummary  = 420
	maxCommands = 300 // characters of commands that the root message shows
	maxLines    = 4   // of commands
	maxOutcomes = 2   // fixes whose outcome the root message shows
)

// picture is everything the root message is drawn from.
type picture struct {
	inc       commands.Incident
	proposals []commands.Proposal
	fact      fact
	working   string // what is being done just now
	now       time.Time
}

// looking is the first paint: it needs nothing but the question.
func looking(q commands.Question, asker commands.Actor, working string) message {
	about := subject(q, fact{})
	m := message{text: notice("Looking at " + bare(about) + "…")}
	m.add(section(":mag: *Looking at " + code(about) + "…*"))
	if working != "" {
		m.add(newRich([]string{about}).prose(working, 300).done())
	}
	m.add(contextLine("asked by " + person(asker)))
	return m
}

// unanswered ends a question that could not be worked on.
func unanswered(inc commands.Incident, why string) message {
	about := subject(inc.Question, fact{})
	m := message{text: notice(fmt.Sprintf("No answer about %s: %s %s", bare(about), why, inc.ID))}
	m.add(
		section(":warning: *No answer about "+code(about)+"*"),
		newRich(namesOf(inc, nil, fact{})).prose(why, maxSummary).done(),
		contextLine(strings.Join([]string{entities.Replace(bare(inc.ID)), "asked by " + person(inc.Asker)}, " · ")),
	)
	return m
}

// draw makes the root message of an answered question. When it is longer than
// a phone likes, what the thread shows as well is left out.
func (p picture) draw() message {
	for _, summary := range []int{maxSummary, maxSummary / 2, maxSummary / 4} {
		if m := p.layout(summary, summary == maxSummary); m.size() <= rootBudget || summary == maxSummary/4 {
			return m
		}
	}
	return message{}
}

func (p picture) layout(summary int, withCommands bool) message {
	o := offerOf(p.inc, p.proposals, p.now)
	if o.stale {
		p.inc.Verdict = &commands.Verdict{
			State: commands.Unclear, Title: "The fix was undone",
			Summary: "What it cured may be back. Before the undo: " + p.inc.Verdict.Summary,
		}
		p.fact.blind = ""
	}
	m := message{text: p.notice(o)}
	m.add(
		p.headline(), p.cause(summary), p.fields(), p.outcomes(), p.proposed(o, withCommands),
		o.buttons(p.proposals), contextLine(p.smallPrint(o)),
	)
	return m
}

func (p picture) names() []string { return namesOf(p.inc, p.proposals, p.fact) }

// headline is the verdict with the word for how sure it is.
func (p picture) headline() slack.Block {
	v := *p.inc.Verdict
	r := newRich(p.names()).emoji(mark(v.State)).text(" ").codeBold(subject(p.inc.Question, p.fact))
	return r.bold(": " + commands.Clean(title(v), 90)).text(" — ").bold(stateWord(v.State)).done()
}

// cause is what kills the frame, and what is missing to be sure.
func (p picture) cause(limit int) slack.Block {
	v := *p.inc.Verdict
	r := newRich(p.names())
	if v.Cause != "" {
		r.bold("Cause ").code(v.Cause).text(" ")
	}
	r.prose(v.Summary, limit)
	for _, more := range []struct{ label, text string }{{"Missing fact: ", v.Missing}, {"Not seen: ", p.blind()}} {
		if more.text != "" {
			r.newline().bold(more.label).prose(sentence(more.text), limit/2)
		}
	}
	return r.done()
}

// blind is what could not be seen, where that may have changed the verdict.
func (p picture) blind() string {
	if s := p.inc.Verdict.State; s == commands.Healthy || s == commands.Proven {
		return ""
	}
	return p.fact.blind
}

// fields say where it is lost, for whom, and how sure that is.
func (p picture) fields() slack.Block {
	v := *p.inc.Verdict
	var fields []*slack.TextBlockObject
	field := func(label, value string) { fields = append(fields, mrkdwn("*"+label+"*\n"+value)) }
	if e := v.Edge; e != nil {
		field("Where lost", fmt.Sprintf("%s → %s (%s)", code(e.From), code(e.To), entities.Replace(bare(string(e.Direction)))))
	}
	if len(fields) == 0 {
		return nil
	}
	field("VM", code(subject(p.inc.Question, p.fact)))
	field("Certainty", stateWord(v.State))
	return slack.NewSectionBlock(nil, fields, nil)
}

// outcomes show what became of fixes, the latest last.
func (p picture) outcomes() slack.Block {
	var shown []commands.Proposal
	for _, q := range p.proposals {
		if q.State != commands.Proposed {
			shown = append(shown, q)
		}
	}
	r := newRich(p.names())
	for i, q := range shown[max(0, len(shown)-maxOutcomes):] {
		if i > 0 {
			r.newline()
		}
		r.outcome(q, p.working, 160)
	}
	return r.done()
}

// outcome says in one line what became of a proposal.
func (r *rich) outcome(q commands.Proposal, working string, limit int) *rich {
	r.bold(outcomeWord(q.State))
	if who, ok := approver(q); ok && q.State != commands.Undone && q.State != commands.Undoing {
		r.text(" by ").person(who)
	}
	if q.BreakGlass != "" {
		r.text(" alone (break-glass: ").prose(q.BreakGlass, 120).text(")")
	}
	r.text(": ").prose(sentence(q.Title), maxLabel+15)
	switch q.State {
	case commands.Applying, commands.Undoing:
		return r.text(" ").prose(working, limit)
	default:
	}
	return r.text(" ").prose(q.Outcome, limit)
}

// proposed shows the fix that the first button applies.
func (p picture) proposed(o offer, withCommands bool) slack.Block {
	fixes := o.onRoot()
	if len(fixes) == 0 || o.moving {
		return nil
	}
	f := fixes[0]
	r := newRich(p.names())
	label := "Proposed fix: "
	if f.Persistent && len(o.applied) > 0 {
		label = "To make it last: "
	}
	r.bold(label).prose(sentence(f.Title), maxLabel+15)
	r.text(fmt.Sprintf(" %s: %s, %s.", f.Class, undoWord(f), lastWord(f)))
	if len(f.Touches) > 0 {
		r.text(" ").prose(f.Touches[0], 120)
	}
	if f.Approvals > 1 {
		r.text(fmt.Sprintf(" Needs %d people; %d agreed.", f.Approvals, len(f.Approved)))
	}
	shown, whole := lines(strings.Join(f.Commands, "\n"), maxCommands)
	if withCommands && whole && len(f.Commands) <= maxLines {
		return r.block(shown).done()
	}
	return r.text(" The commands are in the thread.").done()
}

func (p picture) smallPrint(o offer) string {
	parts := []string{entities.Replace(bare(p.inc.ID)), "asked by " + person(p.inc.Asker)}
	if p.fact.took > 0 {
		parts = append(parts, duration(p.fact.took))
	}
	if p.fact.checked > 0 {
		parts = append(parts, count(p.fact.checked, "check good", "checks good"))
	}
	if p.fact.unseen > 0 {
		parts = append(parts, fmt.Sprintf(":warning: %d not seen", p.fact.unseen))
	}
	if fixes := o.onRoot(); len(fixes) > 0 && !o.moving {
		parts = append(parts, "valid until "+when(fixes[0].Expires))
	} else if p.lapsed() {
		parts = append(parts, "the proposed fix has expired")
	}
	return strings.Join(parts, " · ")
}

// lapsed reports whether a fix went by unused.
func (p picture) lapsed() bool {
	cured := p.inc.Verdict.State == commands.Healthy
	return !cured && slices.ContainsFunc(p.proposals, func(q commands.Proposal) bool {
		return q.State == commands.Expired || q.State == commands.Proposed && q.Expires.Before(p.now)
	})
}

// notice is the message for ears and lock screens: the verdict, the cause, what
// comes next.
func (p picture) notice(o offer) string {
	v := *p.inc.Verdict
	text := fmt.Sprintf("%s: %s (%s). %s", bare(subject(p.inc.Question, p.fact)), title(v), stateWord(v.State), sentence(commands.Clean(v.Summary, 300)))
	for _, q := range p.proposals {
		if q.State != commands.Proposed {
			text += " " + outcomeWord(q.State) + ": " + sentence(commands.Clean(q.Title, 90))
		}
	}
	if fixes := o.onRoot(); len(fixes) > 0 && !o.moving {
		text += " Fix proposed: " + sentence(commands.Clean(fixes[0].Title, 90))
	}
	return notice(text + " " + p.inc.ID)
}
