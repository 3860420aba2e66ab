package bot

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"whybot/commands"
)

// whisperError shows an error to the person who caused it. A refusal says who
// may instead.
func (b *Bot) whisperError(ctx context.Context, c click, err error) {
	public := b.public(err)
	no, ok := errors.AsType[*commands.Refusal](err)
	if !ok || no.Expired {
		b.out.whisper(ctx, c.from, simple(public))
		return
	}
	text := entities.Replace(commands.Clean(public, maxText/4)) + " " + whoMay(*no)
	if no.MayBreakGlass {
		text += " In an emergency you may approve it alone: " + code("/why "+glassWord+" "+c.value+" REASON") +
			". Channel <#" + no.Rule.Glass.Channel + "> is told."
	}
	m := message{text: text}
	m.add(section(":no_entry: " + text))
	b.out.whisper(ctx, c.from, m)
}

// whoMay names who may decide, as mrkdwn of our own making: the ids come from
// the configuration.
func whoMay(no commands.Refusal) string {
	names := make([]string, 0, len(no.Rule.Users)+len(no.Rule.Groups))
	for _, g := range no.Rule.Groups {
		names = append(names, "<!subteam^"+g+">")
	}
	for _, u := range no.Rule.Users {
		names = append(names, "<@"+u+">")
	}
	if len(names) == 0 {
		return "Nobody may decide on this fix in Slack: no approvers are configured for it."
	}
	text := "Only " + strings.Join(names, ", ") + " may decide on fixes like this one"
	if len(no.Rule.Channels) > 0 {
		text += " in <#" + strings.Join(no.Rule.Channels, ">, <#") + ">"
	}
	text += "."
	if no.Needed > 1 {
		text += fmt.Sprintf(" %d people have to agree.", no.Needed)
	}
	if !no.Rule.AskerMay {
		text += " Whoever asked does not count."
	}
	return text
}
