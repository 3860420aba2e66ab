package bot

import (
	"context"
	"log/slog"
	"time"

	"whybot/commands"
)

// interruptedWithin is how old a question may be that a former run left
// unanswered, for its message to be ended.
const interruptedWithin = 24 * time.Hour

// Announce shows in their threads what Engine.Recover has settled.
func (b *Bot) Announce(ctx context.Context, settled []commands.Proposal) {
	for _, p := range settled {
		_, inc, err := b.proposalOf(ctx, p.ID)
		if err != nil {
			b.log.Error("recovered fix not shown", slog.String("proposal", p.ID), slog.Any("error", err))
			continue
		}
		b.drawn(inc.ID, b.drawRoot(ctx, inc.Thread, inc.ID))
		b.reply(ctx, inc.Thread, outcomeLine(inc, commands.Outcome{Proposal: p}))
	}
}

// endInterrupted ends the messages of questions that a former run was still
// working on: nobody is, any more.
func (b *Bot) endInterrupted(ctx context.Context) {
	const why = "whybot was restarted while it was looking. Ask again."
	now := b.o.Now()
	incs, err := b.o.Memory.ListIncidents(ctx, commands.IncidentQuery{Since: now.Add(-interruptedWithin)})
	if err != nil {
		b.log.Error("interrupted questions not looked for", slog.Any("error", err))
		return
	}
	for _, inc := range incs {
		if inc.Verdict != nil || inc.Thread.Root == "" || b.ended(ctx, inc.ID) {
			continue
		}
		b.drawn(inc.ID, b.paint(ctx, inc.Thread, unanswered(inc, why)))
		event := commands.Event{Incident: inc.ID, Kind: commands.EventFailed, At: now, Text: why}
		if err := b.o.Memory.Append(ctx, event); err != nil {
			b.log.Error("event lost", slog.String("incident", inc.ID), slog.Any("error", err))
		}
	}
}

// ended reports whether an incident without a verdict has been told why.
func (b *Bot) ended(ctx context.Context, id string) bool {
	events, err := b.o.Memory.Events(ctx, commands.EventQuery{Incident: id})
	if err != nil {
		b.log.Error("events not read", slog.String("incident", id), slog.Any("error", err))
		return true
	}
	for _, e := range events {
		if e.Kind == commands.EventFailed {
			return true
		}
	}
	return false
}
