package bot

import (
	"context"
	"fmt"

	"github.com/slack-go/slack"

	"whybot/commands"
)

// click does what a button says. Every click has an effect or gets an answer
// that only the person who clicked sees; all it needs is in the store.
func (b *Bot) click(ctx context.Context, c click) {
	p, inc, err := b.proposalOf(ctx, c.value)
	if err != nil {
		b.whisperError(ctx, c, err)
		if commands.CodeOf(err) == commands.CodeMissing {
			b.strip(ctx, c)
		}
		return
	}
	if why := misplaced(c, inc); why != "" {
		b.out.whisper(ctx, c.from, simple(why, inc.ID))
		return
	}
	switch c.action {
	case actApply:
		b.change(ctx, c, p, inc, b.o.Engine.Apply)
	case actUndo:
		b.change(ctx, c, p, inc, b.o.Engine.Undo)
	case actDecline:
		b.decline(ctx, c, inc)
	case actAgain:
		b.again(ctx, c, inc)
	default:
		b.out.whisper(ctx, c.from, simple("This version of whybot does not know that button. Ask the question again."))
	}
}

// proposalOf finds what a button is about.
func (b *Bot) proposalOf(ctx context.Context, id string) (commands.Proposal, commands.Incident, error) {
	gone := &commands.Error{Code: commands.CodeMissing, Public: "This proposal is no longer known.", Hint: "Ask the question again."}
	if id == "" {
		return commands.Proposal{}, commands.Incident{}, gone
	}
	ps, err := b.o.Memory.ListProposals(ctx, commands.ProposalQuery{ID: id})
	if err != nil {
		return commands.Proposal{}, commands.Incident{}, err
	}
	if len(ps) == 0 {
		return commands.Proposal{}, commands.Incident{}, gone
	}
	incs, err := b.o.Memory.ListIncidents(ctx, commands.IncidentQuery{ID: ps[0].Incident})
	if err != nil {
		return commands.Proposal{}, commands.Incident{}, err
	}
	if len(incs) == 0 {
		return commands.Proposal{}, commands.Incident{}, gone
	}
	return ps[0], incs[0], nil
}

// misplaced says why a button may not be used where it was pressed. Whoever
// holds the bot's token can post a button anywhere; one that counts is on the
// incident's root message or in its thread. In which channels fixes are decided
// on is for the policy to say.
func misplaced(c click, inc commands.Incident) string {
	t := inc.Thread
	if t.Root == "" || c.from.channel != t.Channel || c.ts != t.Root && (c.parent == "" || c.parent != threadOf(t)) {
		return "This button is not in the conversation of " + inc.ID + ", so it does nothing. Use the one there."
	}
	return ""
}

// changing is the Engine's way to apply or undo.
type changing func(context.Context, string, commands.Actor, func(commands.Progress)) (commands.Outcome, error)

// change applies or undoes a fix and shows how it goes: the buttons go at once,
// then comes what is being done, then what came of it.
func (b *Bot) change(ctx context.Context, c click, p commands.Proposal, inc commands.Incident, do changing) {
	progress := follow(ctx, 0, func(ctx context.Context, line string) error {
		return b.drawProgress(ctx, inc.Thread, inc.ID, line)
	})
	outcome, err := func() (o commands.Outcome, err error) {
		defer b.recovered(&err)
		return do(ctx, p.ID, c.decider(), func(line commands.Progress) { progress.say(line.Text) })
	}()
	progress.stop()
	ctx, cancel := b.ending(ctx)
	defer cancel()
	if err != nil {
		b.whisperError(ctx, c, err)
	}
	now := outcome.Proposal
	if commands.CodeOf(err) == commands.CodeDenied && err != nil && now.State == p.State {
		return // nothing has changed
	}
	b.drawn(inc.ID, b.drawRoot(ctx, inc.Thread, inc.ID))
	if c.ts != inc.Thread.Root {
		b.strip(ctx, c)
	}
	switch {
	case now.ID == "" || now.State == p.State && now.Outcome == p.Outcome && err != nil:
	case err == nil && now.State == commands.Proposed:
		b.out.whisper(ctx, c.from, simple(fmt.Sprintf("Your approval counts: %d of %d people have agreed.", len(now.Approved), now.Approvals)))
	case commands.CodeOf(err) != commands.CodeGone || err == nil:
		b.reply(ctx, inc.Thread, outcomeLine(inc, outcome))
		b.showNext(ctx, inc.Thread, outcome.Proof)
	}
}

// showNext posts the evidence of the next fault, when another one was found
// behind the one that a fix was for.
func (b *Bot) showNext(ctx context.Context, thread commands.Thread, proof *commands.Answer) {
	if proof != nil && len(proof.Findings) > 0 && proof.Verdict.State != commands.Healthy {
		b.facts.keep(proof.Incident, *proof)
		b.postEvidence(ctx, thread, *proof)
	}
}

// outcomeLine tells the thread what came of a change.
func outcomeLine(inc commands.Incident, o commands.Outcome) message {
	p := o.Proposal
	m := message{text: notice(fmt.Sprintf("%s: %s %s", outcomeWord(p.State), sentence(p.Title), p.Outcome))}
	r := newRich(namesOf(inc, []commands.Proposal{p}, fact{})).outcome(p, "", maxSummary)
	if o.Proof != nil && o.Proof.Verdict.State != commands.Healthy {
		v := o.Proof.Verdict
		r.newline().bold("Asked again: ").prose(sentence(title(v)), 90).text(" ("+stateWord(v.State)+") ").prose(v.Summary, maxSummary)
	}
	m.add(r.done())
	return m
}

// decline takes all fixes of an incident off the table.
func (b *Bot) decline(ctx context.Context, c click, inc commands.Incident) {
	ps, err := b.o.Memory.ListProposals(ctx, commands.ProposalQuery{Incident: inc.ID})
	if err != nil {
		b.whisperError(ctx, c, err)
		return
	}
	done := 0
	var first error
	for _, p := range ps {
		if p.State != commands.Proposed {
			continue
		}
		if _, err := b.o.Engine.Decline(ctx, p.ID, c.decider(), ""); err != nil {
			first = err
			break
		}
		done++
	}
	switch {
	case first != nil:
		b.whisperError(ctx, c, first)
	case done == 0:
		b.out.whisper(ctx, c.from, simple("There is nothing left to decline: it was decided on before."))
	}
	if commands.CodeOf(first) == commands.CodeDenied && first != nil && done == 0 {
		return
	}
	b.drawn(inc.ID, b.drawRoot(ctx, inc.Thread, inc.ID))
	if done > 0 {
		m := message{text: notice("Declined: " + inc.ID)}
		m.add(newRich(nil).bold("Declined").text(" by ").person(c.who).text(". " + count(done, "fix is", "fixes are") + " off the table; ask again for a fresh one.").done())
		b.reply(ctx, inc.Thread, m)
	}
}

// again asks an incident's question once more, as a new one.
func (b *Bot) again(ctx context.Context, c click, inc commands.Incident) {
	a := asked{key: c.key, who: c.who, from: c.from, parent: inc.Thread.Parent, text: inc.Question.Text}
	if b.welcome(ctx, a) {
		b.answer(ctx, a, inc.Question)
	}
}

// strip redraws the message that was clicked without the buttons that nothing
// can come of any more.
func (b *Bot) strip(ctx context.Context, c click) {
	if len(c.shown.Blocks.BlockSet) == 0 || c.shown.Text == "" {
		return // an ephemeral message, which Slack does not show us
	}
	m := message{text: c.shown.Text}
	changed := false
	for _, block := range c.shown.Blocks.BlockSet {
		actions, ok := block.(*slack.ActionBlock)
		if !ok {
			m.add(block)
			continue
		}
		alive := b.alive(ctx, actions)
		changed = changed || len(alive) < len(actions.Elements.ElementSet)
		if len(alive) > 0 {
			m.add(slack.NewActionBlock("", alive...))
		}
	}
	if !changed || len(m.blocks) == 0 {
		return
	}
	defer b.locks.lock(c.from.channel + c.ts)()
	b.drawn(c.value, b.out.update(ctx, c.from.channel, c.ts, m))
}

// alive returns the buttons whose fix can still be applied.
func (b *Bot) alive(ctx context.Context, actions *slack.ActionBlock) []slack.BlockElement {
	var alive []slack.BlockElement
	for _, e := range actions.Elements.ElementSet {
		button, ok := e.(*slack.ButtonBlockElement)
		if !ok {
			continue
		}
		p, _, err := b.proposalOf(ctx, button.Value)
		gone := commands.CodeOf(err) == commands.CodeMissing && err != nil
		if !gone && (err != nil || p.State == commands.Proposed && b.o.Now().Before(p.Expires)) {
			alive = append(alive, e)
		}
	}
	return alive
}
