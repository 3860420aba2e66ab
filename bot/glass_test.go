package bot_test

import (
	"strings"
	"testing"

	"whybot/commands"
	"whybot/internal/slackfake"
)

// twoPeople is a rule of two people, with an operator for emergencies.
func twoPeople(r *commands.Rule) {
	r.Needed, r.AskerMay = 2, false
	r.Glass = commands.Glass{Users: []string{slackfake.UserOperator, slackfake.UserGuest}, Channel: slackfake.ChannelPrivate}
}

// TestBreakGlass applies alone what needs two others, and expects the channel
// to be told before.
func TestBreakGlass(t *testing.T) {
	f := newFixture(t, setup{rule: twoPeople})
	for i := range f.engine.answer.Fixes {
		f.engine.answer.Fixes[i].Approvals = 2
	}
	root := f.answered()
	f.press(slackfake.UserOperator, root.TS, "apply-0")
	f.shows("Only", "2 people have to agree", "/why break-glass fx-accept REASON", "ephemeral to "+slackfake.UserOperator)
	f.why("break-glass fx-accept payments are down & nobody answers <!channel>")
	told := f.showsIn(slackfake.ChannelPrivate, "Break-glass: ", "applies alone", "payments are down & nobody answers <!channel>", "fx-accept", "Accept DHCP of tap3d1c2f4a-0b")
	if strings.Contains(told.Text, "<!channel>") {
		t.Errorf("the reason notifies a channel: %q", told.Text)
	}
	f.shows("Applied and verified", "alone (break-glass: payments are down", "The guest gets its address")
	f.wantCounts(1, 1, 0)
}

func TestBreakGlassRefused(t *testing.T) {
	for _, c := range []struct {
		name, user, channel, text, says string
		rule                            func(*commands.Rule)
		fault                           *slackfake.Fault
	}{
		{"not named", slackfake.UserApprover, slackfake.ChannelOps, "break-glass fx-accept now", "not among those who may break the glass", twoPeople, nil},
		{"a guest who is named", slackfake.UserGuest, slackfake.ChannelOps, "break-glass fx-accept now", "Guests may not", twoPeople, nil},
		{"nobody is named", slackfake.UserOperator, slackfake.ChannelOps, "break-glass fx-accept now", "not among those", func(*commands.Rule) {}, nil},
		{"no reason", slackfake.UserOperator, slackfake.ChannelOps, "break-glass fx-accept", "why it cannot wait", twoPeople, nil},
		{"a reason of nothing", slackfake.UserOperator, slackfake.ChannelOps, "break-glass fx-accept \u202e\u200b", "needs a reason", twoPeople, nil},
		{"elsewhere", slackfake.UserOperator, slackfake.ChannelPrivate, "break-glass fx-accept now", "not the channel of inc-1", twoPeople, nil},
		{"no such fix", slackfake.UserOperator, slackfake.ChannelOps, "break-glass fx-none now", "no longer known", twoPeople, nil},
		{
			"another channel's business", slackfake.UserOperator, slackfake.ChannelOps, "break-glass fx-accept now", "not decided on in this channel",
			func(r *commands.Rule) { twoPeople(r); r.Channels = []string{slackfake.ChannelPrivate} }, nil,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t, setup{rule: c.rule, slack: func(o *slackfake.Options) {
				for i := range o.Workspace.Channels {
					if o.Workspace.Channels[i].ID == slackfake.ChannelPrivate {
						o.Workspace.Channels[i].Members = append(o.Workspace.Channels[i].Members, c.user)
					}
				}
			}})
			f.answered()
			f.done(f.Slash(c.user, c.channel, "/why", c.text))
			f.showsIn(c.channel, c.says, "ephemeral to "+c.user)
			f.wantCounts(1, 0, 0)
			for _, m := range f.Messages(slackfake.ChannelPrivate) {
				if strings.Contains(seen(m), "applies alone") {
					t.Errorf("told although it was refused: %s", seen(m))
				}
			}
		})
	}
}

// TestBreakGlassThatCannotBeTold names a channel that the bot is not in:
// nothing may be applied then.
func TestBreakGlassThatCannotBeTold(t *testing.T) {
	f := newFixture(t, setup{rule: func(r *commands.Rule) { twoPeople(r); r.Glass.Channel = slackfake.ChannelSecret }})
	f.answered()
	f.why("break-glass fx-accept payments are down")
	f.shows("could not be told", "ephemeral to "+slackfake.UserOperator)
	f.wantCounts(1, 0, 0)
}
