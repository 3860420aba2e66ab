package bot

import (
	"context"

	"whybot/commands"
)

// An Asker answers questions.
type Asker interface {
	Ask(ctx context.Context, who commands.Actor, q commands.Question, o commands.AskOptions) (commands.Answer, error)
}

// A Fixer applies, takes back and takes off the table what was proposed.
type Fixer interface {
	Apply(ctx context.Context, id string, who commands.Actor, progress func(commands.Progress)) (commands.Outcome, error)
	Undo(ctx context.Context, id string, who commands.Actor, progress func(commands.Progress)) (commands.Outcome, error)
	Decline(ctx context.Context, id string, who commands.Actor, reason string) (commands.Proposal, error)
}

// A GlassBreaker applies a fix on the word of one person, in an emergency.
type GlassBreaker interface {
	BreakGlass(ctx context.Context, id string, who commands.Actor, reason string, progress func(commands.Progress)) (commands.Outcome, error)
}

// An Engine does the work; *commands.Engine is one.
type Engine interface {
	Asker
	Fixer
	GlassBreaker
}
