package bot_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"whybot/bot"
	"whybot/internal/slackfake"
)

func TestRateLimits(t *testing.T) {
	f := newFixture(t, setup{})
	f.Inject(slackfake.Fault{Method: "chat.postMessage", RateLimit: time.Second})
	f.Inject(slackfake.Fault{Method: "chat.update", RateLimit: time.Second, Times: 2})
	f.why("why can't web-1 get an IP")
	root := f.shows("A packet filter drops the reply", "Proposed fix")
	f.shows("Evidence of inc-1, part 1")
	f.Inject(slackfake.Fault{Method: "chat.update", RateLimit: time.Second, Times: 2})
	f.press(slackfake.UserApprover, root.TS, "apply-0")
	f.shows("Applied and verified", "The guest gets its address")
	f.wantCounts(1, 1, 0)
}

// roots counts the root messages that are in the channel.
func (f *fixture) roots() int {
	n := 0
	for _, m := range f.Messages(slackfake.ChannelOps) {
		if m.ThreadTS == "" && m.EphemeralTo == "" && !m.Deleted && m.User == slackfake.UserWhybot {
			n++
		}
	}
	return n
}

// TestLostAnswers cuts the connection after, and before, Slack did what it was
// asked: in both cases there is one root message in the end.
func TestLostAnswers(t *testing.T) {
	for name, fault := range map[string]slackfake.Fault{
		"after": {Method: "chat.postMessage", ResetAfterCommit: true}, "before": {Method: "chat.postMessage", Reset: true},
		"update": {Method: "chat.update", ResetAfterCommit: true}, "update before": {Method: "chat.update", Reset: true}, "error": {Method: "chat.postMessage", Status: 500},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, setup{})
			f.Inject(fault)
			f.why("why can't web-1 get an IP")
			f.shows("A packet filter drops the reply", "Proposed fix")
			f.wantCounts(1, 0, 0)
			if n := f.roots(); n != 1 {
				t.Errorf("%d root messages", n)
			}
		})
	}
}

// TestLostAnswerInThread is TestLostAnswers for a root message in a thread.
func TestLostAnswerInThread(t *testing.T) {
	f := newFixture(t, setup{})
	f.Inject(slackfake.Fault{Method: "chat.postMessage", ResetAfterCommit: true})
	f.done(f.Mention(slackfake.UserOperator, slackfake.ChannelOps, "", "why can't web-1 get an IP"))
	f.shows("Proposed fix")
	f.wantCounts(1, 0, 0)
	n := 0
	for _, m := range f.Messages(slackfake.ChannelOps) {
		if strings.Contains(m.Text, "packet filter") || strings.Contains(m.Text, "Looking at") {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d root messages", n)
	}
}

// TestUnconfirmed may not read the channel, so it cannot know whether its
// message is there: it asks nothing and says so.
func TestUnconfirmed(t *testing.T) {
	f := newFixture(t, setup{slack: func(o *slackfake.Options) {
		o.Workspace.Scopes = slices.DeleteFunc(o.Workspace.Scopes, func(s string) bool { return strings.HasSuffix(s, ":history") })
	}})
	f.Inject(slackfake.Fault{Method: "chat.postMessage", ResetAfterCommit: true})
	f.why("why can't web-1 get an IP")
	f.shows("did not say whether", "ephemeral to "+slackfake.UserOperator)
	f.wantCounts(0, 0, 0)
}

// TestRefusedBlocks has Slack refuse the layout: the words get through.
func TestRefusedBlocks(t *testing.T) {
	f := newFixture(t, setup{})
	f.Inject(slackfake.Fault{Method: "chat.postMessage", Error: "invalid_blocks"})
	f.why("why can't web-1 get an IP")
	f.shows("Proposed fix")
	f.wantCounts(1, 0, 0)
}

func TestResponseURLFails(t *testing.T) {
	f := newFixture(t, setup{})
	f.Inject(slackfake.Fault{Method: slackfake.MethodResponseURL, Status: 500})
	f.why("help")
	f.shows("/why can't web-1", "ephemeral to "+slackfake.UserOperator)
	if strings.Contains(f.logs.String(), "/commands/T0HOME") {
		t.Error("a response URL is in the log")
	}
}

// TestReconnects asks while sockets come and go.
func TestReconnects(t *testing.T) {
	f := newFixture(t, setup{})
	if n := f.Disconnect(slackfake.DisconnectRefresh, 1); n != 1 {
		t.Fatal("nothing to disconnect")
	}
	f.why("why can't web-1 get an IP")
	f.shows("Proposed fix")
	f.CutSockets()
	if err := f.WaitSockets(f.soon(), 2); err != nil {
		t.Fatal(err)
	}
	f.why("why can't web-2 get an IP")
	f.shows("web-2", "Proposed fix")
	f.wantCounts(2, 0, 0)
}

// TestNoReconnectStorm switches Socket Mode off in the app's settings, which
// closes every socket as soon as it is open.
func TestNoReconnectStorm(t *testing.T) {
	f := newFixture(t, setup{})
	before := len(f.Calls("apps.connections.open"))
	f.SetSocketMode(false)
	time.Sleep(3 * time.Second)
	// Two clients, with pauses of 0.5, 1 and 2 s.
	if n := len(f.Calls("apps.connections.open")) - before; n < 2 || n > 6 {
		t.Errorf("%d sockets asked for in 3 s", n)
	}
}

func TestBadTokenEndsRun(t *testing.T) {
	s := slackfake.New(slackfake.Options{})
	t.Cleanup(s.Close)
	memory := openNotebook(t, t.TempDir()+"/whybot.db", time.Now)
	for _, c := range []struct{ bot, app, want string }{
		{"xoxb-wrong", "xapp-fake-app", "slack refuses the bot token"}, {"xoxb-fake-bot", "xapp-wrong", "check the app token"},
	} {
		b, err := bot.New(bot.Options{
			Mode: bot.Socket, BotToken: c.bot, AppToken: c.app, APIURL: s.URL(), Engine: &scripted{}, Memory: memory, Deliveries: memory,
		})
		if err != nil {
			t.Fatal(err)
		}
		err = b.Run(t.Context())
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "wrong") {
			t.Errorf("Run with %s and %s: %v", c.bot, c.app, err)
		}
	}
}
