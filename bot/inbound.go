package bot

import (
	"context"
	"strings"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/slackevents"

	"whybot/commands"
)

// Slash commands.
const (
	cmdWhy      = "/why"
	cmdTimeline = "/timeline"
)

// An asked is one question as it came in.
type asked struct {
	key    string // tells this question from all others
	who    commands.Actor
	from   place
	parent string // the thread that the answer goes to; empty for the channel
	text   string
}

// command turns a slash command into a request; nil when there is nothing to
// do about it.
func (b *Bot) command(c slack.SlashCommand) *request {
	a := asked{
		key:  "command:" + c.TriggerID,
		who:  commands.Actor{Via: viaSlack, ID: c.UserID, Team: c.TeamID, Name: bare(c.UserName)},
		from: place{channel: c.ChannelID, user: c.UserID, hook: c.ResponseURL},
		text: c.Text,
	}
	switch c.Command {
	case cmdTimeline:
		return a.request(c.TriggerID, b.timelineCommand)
	case cmdWhy:
		return b.typed(a, c.TriggerID)
	}
	return a.request(c.TriggerID, b.unknownCommand)
}

// request wraps work on a question; id is empty when Slack named none.
func (a asked) request(id string, work func(context.Context, asked)) *request {
	if id == "" {
		a.key = ""
	}
	return &request{key: a.key, lane: askLane, from: a.from, work: func(ctx context.Context) { work(ctx, a) }}
}

// typed is the request for what somebody typed: a question or, in an emergency,
// a decision, which goes the way of the clicks.
func (b *Bot) typed(a asked, id string) *request {
	if !wantsGlass(a.text) {
		return a.request(id, b.question)
	}
	r := a.request(id, b.breakGlass)
	r.lane = fixLane
	return r
}

// event turns an event into a request; nil for the many that do not matter.
func (b *Bot) event(e slackevents.EventsAPIEvent) *request {
	switch m := e.InnerEvent.Data.(type) {
	case *slackevents.AppMentionEvent:
		if m.BotID != "" || m.Edited != nil {
			return nil
		}
		return b.mention(said{
			user: m.User, channel: m.Channel, ts: m.TimeStamp, thread: m.ThreadTimeStamp, text: m.Text,
			team: e.TeamID, userTeam: m.UserTeam, sourceTeam: m.SourceTeam,
		})
	case *slackevents.MessageEvent:
		// In channels only mentions count. Those come as app_mention, and as
		// a message besides when the app is subscribed to messages.
		if !m.IsIM() || m.SubType != "" || m.BotID != "" {
			return nil
		}
		return b.mention(said{
			user: m.User, channel: m.Channel, ts: m.TimeStamp, thread: m.ThreadTimeStamp, text: m.Text,
			team: e.TeamID, userTeam: m.UserTeam, sourceTeam: m.SourceTeam, direct: true,
		})
	}
	return nil
}

// said is a message that is meant for the bot.
type said struct {
	user, channel, ts, thread, text string
	team, userTeam, sourceTeam      string
	direct                          bool
}

// mention turns a message into a request. Its key is the message itself, not
// the event_id: a message that comes as two events is one question, and one
// event that comes again has the same message.
func (b *Bot) mention(m said) *request {
	me := b.me.Load()
	if m.user == "" || m.user == me.UserID || m.ts == "" {
		return nil
	}
	team := m.team
	for _, foreign := range []string{m.userTeam, m.sourceTeam} {
		if foreign != "" {
			team = foreign
		}
	}
	a := asked{
		key:    "message:" + m.channel + ":" + m.ts,
		who:    commands.Actor{Via: viaSlack, ID: m.user, Team: team},
		from:   place{channel: m.channel, user: m.user, thread: m.thread},
		parent: m.thread,
		text:   strings.TrimSpace(strings.ReplaceAll(m.text, "<@"+me.UserID+">", " ")),
	}
	if a.parent == "" && !m.direct {
		a.parent = m.ts // the answer to a mention stays with it
	}
	return b.typed(a, m.ts)
}

// A click is a pressed button.
type click struct {
	key    string
	action string // what it does, without the number that makes it unique
	value  string // the id of the proposal it is about
	who    commands.Actor
	from   place
	ts     string // the message it is on
	parent string // the thread of that message
	shown  slack.Message
}

// decider is the person who clicked, with the channel they did it in.
func (c click) decider() commands.Actor {
	who := c.who
	who.Channel = c.from.channel
	return who
}

// interaction turns a pressed button into a request; nil for anything else.
func (b *Bot) interaction(c slack.InteractionCallback) *request {
	if c.Type != slack.InteractionTypeBlockActions || len(c.ActionCallback.BlockActions) != 1 {
		return nil
	}
	pressed := c.ActionCallback.BlockActions[0]
	action, _, _ := strings.Cut(pressed.ActionID, "-")
	team := c.User.TeamID
	if team == "" {
		team = c.Team.ID
	}
	channel := c.Channel.ID
	if channel == "" {
		channel = c.Container.ChannelID
	}
	if channel == "" {
		return nil // on a view; whybot shows none
	}
	k := click{
		action: action, value: pressed.Value,
		who:  commands.Actor{Via: viaSlack, ID: c.User.ID, Team: team, Name: bare(c.User.Name)},
		from: place{channel: channel, thread: c.Container.ThreadTs, user: c.User.ID, hook: c.ResponseURL},
		ts:   c.Container.MessageTs, parent: c.Container.ThreadTs, shown: c.Message,
	}
	if c.TriggerID != "" {
		k.key = "click:" + c.TriggerID
	}
	return &request{key: k.key, lane: fixLane, from: k.from, work: func(ctx context.Context) { b.click(ctx, k) }}
}
