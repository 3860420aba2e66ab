package bot

import (
	"context"
	"log/slog"

	"whybot/commands"
)

// load reads an incident and its proposals.
func (b *Bot) load(ctx context.Context, id string) (picture, error) {
	p := picture{now: b.o.Now(), fact: b.facts.of(id)}
	incs, err := b.o.Memory.ListIncidents(ctx, commands.IncidentQuery{ID: id})
	if err != nil {
		return p, err
	}
	if len(incs) == 0 {
		return p, &commands.Error{Code: commands.CodeMissing, Public: "There is no incident " + bare(id) + "."}
	}
	p.inc = incs[0]
	p.proposals, err = b.o.Memory.ListProposals(ctx, commands.ProposalQuery{Incident: id})
	return p, err
}

// drawRoot brings the root message of an incident up to what the store says.
// Whoever draws last has read last: reading and drawing are under one lock.
func (b *Bot) drawRoot(ctx context.Context, thread commands.Thread, id string) error {
	return b.redraw(ctx, thread, id, "", b.out.update)
}

// drawProgress is drawRoot for what may be skipped.
func (b *Bot) drawProgress(ctx context.Context, thread commands.Thread, id, working string) error {
	return b.redraw(ctx, thread, id, working, b.out.try)
}

type updater func(ctx context.Context, channel, ts string, m message) error

func (b *Bot) redraw(ctx context.Context, thread commands.Thread, id, working string, update updater) error {
	if thread.Root == "" {
		return nil // asked elsewhere
	}
	defer b.locks.lock(thread.Channel + thread.Root)()
	p, err := b.load(ctx, id)
	if err != nil {
		return err
	}
	p.working = working
	if p.inc.Verdict == nil {
		return update(ctx, thread.Channel, thread.Root, looking(p.inc.Question, p.inc.Asker, working))
	}
	return update(ctx, thread.Channel, thread.Root, p.draw())
}

// paint puts m into a root message that has no verdict to show.
func (b *Bot) paint(ctx context.Context, thread commands.Thread, m message) error {
	defer b.locks.lock(thread.Channel + thread.Root)()
	return b.out.update(ctx, thread.Channel, thread.Root, m)
}

// threadOf is what messages in the thread of an incident are replies to.
func threadOf(t commands.Thread) string {
	if t.Parent != "" {
		return t.Parent
	}
	return t.Root
}

// reply posts into the thread of an incident.
func (b *Bot) reply(ctx context.Context, t commands.Thread, m message) {
	if t.Root == "" {
		return
	}
	if err := b.out.post(ctx, t.Channel, threadOf(t), m); err != nil {
		b.log.Error("reply lost", slog.String("channel", t.Channel), slog.Any("error", err))
	}
}

// drawn logs an error of drawing: the store is right, only the screen is not.
func (b *Bot) drawn(id string, err error) {
	if err != nil {
		b.log.Error("message not drawn", slog.String("incident", id), slog.Any("error", err))
	}
}
