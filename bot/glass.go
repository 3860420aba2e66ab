package bot

import (
	"context"
	"regexp"
	"strings"

	"whybot/commands"
)

// glassWord begins what is typed to approve a fix alone.
const glassWord = "break-glass"

// glassForm is the whole of it: which fix, and why it cannot wait.
var glassForm = regexp.MustCompile(`(?s)^` + glassWord + `\s+(fx-[a-z0-9-]{1,60})\s+(\S.*)$`)

// unescaped takes back Slack's escaping of typed text.
var unescaped = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&")

// wantsGlass reports whether typed text is about breaking the glass.
func wantsGlass(text string) bool {
	first, _, _ := strings.Cut(strings.TrimSpace(text), " ")
	return first == glassWord
}

// breakGlass approves a fix alone, for a reason that somebody typed in the
// channel of the incident. Whether they may is for the engine's policy to say.
func (b *Bot) breakGlass(ctx context.Context, a asked) {
	if !b.welcome(ctx, a) {
		return
	}
	words := glassForm.FindStringSubmatch(strings.TrimSpace(a.text))
	if words == nil {
		b.out.whisper(ctx, a.from, simple("Say which fix, and why it cannot wait for another person: /why "+glassWord+" fx-… REASON"))
		return
	}
	id, reason := words[1], unescaped.Replace(words[2])
	c := click{key: a.key, action: actApply, value: id, who: a.who, from: a.from}
	p, inc, err := b.proposalOf(ctx, id)
	if err != nil {
		b.whisperError(ctx, c, err)
		return
	}
	if inc.Thread.Root == "" || inc.Thread.Channel != a.from.channel {
		b.out.whisper(ctx, a.from, simple("This is not the channel of "+inc.ID+". Break the glass where its fix was offered.", inc.ID))
		return
	}
	c.ts, c.parent = inc.Thread.Root, inc.Thread.Parent
	b.change(ctx, c, p, inc, func(ctx context.Context, id string, who commands.Actor, progress func(commands.Progress)) (commands.Outcome, error) {
		return b.o.Engine.BreakGlass(ctx, id, who, reason, progress)
	})
}
