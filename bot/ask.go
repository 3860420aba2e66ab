package bot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"

	"github.com/slack-go/slack"

	"whybot/commands"
	"whybot/commands/ask"
)

// question answers what somebody typed.
func (b *Bot) question(ctx context.Context, a asked) {
	if !b.welcome(ctx, a) {
		return
	}
	q := ask.Parse(a.text)
	switch {
	case q.Kind == commands.KindHelp:
		b.out.whisper(ctx, a.from, help(""))
	case q.Kind == commands.KindNone:
		b.out.whisper(ctx, a.from, help("There is no question in that which whybot knows."))
	case q.AsksBack:
		b.out.whisper(ctx, a.from, help("Which one is it about? Name it in the question."))
	case q.Kind == commands.KindHistory:
		b.history(ctx, a)
	case slices.Contains(b.o.Kinds, q.Kind):
		b.answer(ctx, a, q)
	default:
		b.refuseKind(ctx, a, q)
	}
}

// welcome reports whether the person may ask now, and tells them if not.
func (b *Bot) welcome(ctx context.Context, a asked) bool {
	if me := b.me.Load(); me != nil && a.who.Team != "" && a.who.Team != me.TeamID {
		b.out.whisper(ctx, a.from, simple("whybot answers members of its own workspace only."))
		return false
	}
	if !b.limits.take(a.who.ID) {
		b.out.whisper(ctx, a.from, simple("That were many questions at once. Wait a minute, then ask again."))
		return false
	}
	return true
}

// ask lets the Engine work; a panic of it is an error, so that the message that
// says "looking" does not stay.
func (b *Bot) ask(ctx context.Context, who commands.Actor, q commands.Question, o commands.AskOptions) (a commands.Answer, err error) {
	defer b.recovered(&err)
	return b.o.Engine.Ask(ctx, who, q, o)
}

// recovered turns a panic into an error.
func (b *Bot) recovered(err *error) {
	if p := recover(); p != nil {
		b.log.Error("engine panicked", slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
		*err = fmt.Errorf("panic: %v", p)
	}
}

// refuseKind lets the Engine say why it does not work on a kind of question.
func (b *Bot) refuseKind(ctx context.Context, a asked, q commands.Question) {
	answer, err := b.ask(ctx, a.who, q, commands.AskOptions{})
	if err != nil {
		b.out.whisper(ctx, a.from, simple(b.public(err), answer.Incident))
		return
	}
	b.facts.keep(answer.Incident, answer)
	inc := commands.Incident{ID: answer.Incident, Question: q, Asker: a.who, Verdict: &answer.Verdict}
	b.out.whisper(ctx, a.from, picture{inc: inc, fact: b.facts.of(inc.ID), now: b.o.Now()}.draw())
}

// public is what a person is shown of an error; the rest is logged.
func (b *Bot) public(err error) string {
	e, ok := errors.AsType[*commands.Error](err)
	if !ok || e.Err != nil {
		b.log.Warn("shown in part", slog.Any("error", err), slog.String("cause", causeOf(e)))
	}
	return commands.Public(err)
}

func causeOf(e *commands.Error) string {
	if e == nil || e.Err == nil {
		return ""
	}
	return commands.Clean(e.Err.Error(), 500)
}

// answer posts the root message at once, lets the Engine work, and shows what
// comes of it.
func (b *Bot) answer(ctx context.Context, a asked, q commands.Question) {
	root, err := b.out.postRoot(ctx, a.from.channel, a.parent, a.key, looking(q, a.who, ""))
	if err != nil {
		b.log.Warn("root message not posted", slog.String("channel", a.from.channel), slog.Any("error", err))
		out, cancel := b.ending(ctx)
		defer cancel()
		b.out.whisper(out, a.from, simple(noRoot(err)))
		return
	}
	thread := commands.Thread{Team: a.who.Team, Channel: a.from.channel, Root: root, Parent: a.parent}
	p := follow(ctx, progressEvery, func(ctx context.Context, line string) error {
		return b.paintTry(ctx, thread, looking(q, a.who, line))
	})
	answer, err := b.ask(ctx, a.who, q, commands.AskOptions{
		Thread: thread, Progress: func(line commands.Progress) { p.say(line.Text) },
	})
	p.stop()
	stopped := ctx.Err() != nil
	ctx, cancel := b.ending(ctx)
	defer cancel()
	if err != nil {
		b.noAnswer(ctx, a, commands.Incident{ID: answer.Incident, Question: q, Asker: a.who, Thread: thread}, err, stopped)
		return
	}
	b.show(ctx, a, thread, answer)
}

func (b *Bot) paintTry(ctx context.Context, thread commands.Thread, m message) error {
	defer b.locks.lock(thread.Channel + thread.Root)()
	return b.out.try(ctx, thread.Channel, thread.Root, m)
}

// noRoot says why no message could be posted.
func noRoot(err error) string {
	if errors.Is(err, errUnconfirmed) {
		return "Slack did not say whether the answer's message was posted, so whybot did not go on. If there is none, ask again."
	}
	e, _ := errors.AsType[slack.SlackErrorResponse](err)
	switch e.Err {
	case "not_in_channel", "channel_not_found":
		return "whybot is not in this channel. Type /invite @whybot, then ask again."
	case "is_archived", "restricted_action", "restricted_action_read_only_channel":
		return "whybot may not post in this channel. Ask in another one."
	}
	return "whybot could not post here just now. Ask again in a moment."
}

// noAnswer ends the root message of a question that came to nothing. One that
// the Engine did not even open an incident for leaves no message behind.
func (b *Bot) noAnswer(ctx context.Context, a asked, inc commands.Incident, err error, stopped bool) {
	why := b.public(err)
	if stopped {
		why = "whybot was stopped while it was looking. Ask again."
	}
	if inc.ID != "" {
		b.drawn(inc.ID, b.paint(ctx, inc.Thread, unanswered(inc, why)))
		return
	}
	if err := b.out.remove(ctx, inc.Thread.Channel, inc.Thread.Root); err != nil {
		b.log.Warn("message not removed", slog.Any("error", err))
	}
	b.out.whisper(ctx, a.from, simple(why))
}

// show draws the verdict and posts the evidence into the thread.
func (b *Bot) show(ctx context.Context, a asked, thread commands.Thread, answer commands.Answer) {
	b.facts.keep(answer.Incident, answer)
	if err := b.drawRoot(ctx, thread, answer.Incident); err != nil {
		b.drawn(answer.Incident, err)
		// The store may be unreadable while the answer is at hand.
		inc := commands.Incident{ID: answer.Incident, Question: answer.Question, Asker: a.who, Verdict: &answer.Verdict, Thread: thread}
		p := picture{inc: inc, proposals: answer.Fixes, fact: b.facts.of(inc.ID), now: b.o.Now()}
		b.drawn(answer.Incident, b.paint(ctx, thread, p.draw()))
	}
	b.postEvidence(ctx, thread, answer)
}
