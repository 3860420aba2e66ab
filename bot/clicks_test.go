package bot_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"whybot/commands"
	"whybot/internal/slackfake"
)

func TestDoubleClicksApplyOnce(t *testing.T) {
	f := newFixture(t, setup{})
	root := f.answered()
	f.DuplicateNext(20)
	var people sync.WaitGroup
	for i := range 10 {
		user := []string{slackfake.UserApprover, slackfake.UserApprover2}[i%2]
		people.Go(func() {
			d, err := f.Click(user, slackfake.ChannelOps, root.TS, "apply-0", slackfake.OnRevision(len(f.History(slackfake.ChannelOps, root.TS))-1))
			if err != nil { // the button may have gone meanwhile
				if !strings.Contains(err.Error(), "nothing called") {
					t.Error(err)
				}
				return
			}
			if err := d.Wait(f.soon()); err != nil {
				t.Error(err)
			}
		})
	}
	people.Wait()
	f.shows("Applied and verified")
	f.wantCounts(1, 1, 0)
}

// TestStaleClick presses a button that has gone from the message since.
func TestStaleClick(t *testing.T) {
	f := newFixture(t, setup{})
	root := f.answered()
	asked := len(f.History(slackfake.ChannelOps, root.TS)) - 1
	f.press(slackfake.UserApprover, root.TS, "apply-0")
	f.shows("Applied and verified")
	f.press(slackfake.UserApprover2, root.TS, "apply-0", slackfake.OnRevision(asked))
	f.shows("This fix is verified already", "ephemeral to "+slackfake.UserApprover2)
	f.wantCounts(1, 1, 0)
}

func TestRepeatedQuestionIsAskedOnce(t *testing.T) {
	f := newFixture(t, setup{slack: func(o *slackfake.Options) {
		o.Subscriptions = []string{"app_mention", "message.im", "message.channels"}
	}})
	f.DuplicateNext(4)
	d := f.done(f.Mention(slackfake.UserOperator, slackfake.ChannelOps, "", "why can't web-1 get an IP"))
	if d.Twin == nil {
		t.Fatal("the mention came as one event")
	}
	if err := d.Twin.Wait(f.soon()); err != nil {
		t.Fatal(err)
	}
	f.shows("Proposed fix")
	f.wantCounts(1, 0, 0)
}

// TestUnrecordedDeliveryComesAgain lets the store refuse a delivery: it must not
// be acknowledged, and works when Slack brings it again.
func TestUnrecordedDeliveryComesAgain(t *testing.T) {
	f := newFixture(t, setup{})
	f.memory.refuse(1)
	d, err := f.Mention(slackfake.UserOperator, slackfake.ChannelOps, "", "why can't web-1 get an IP")
	if err != nil {
		t.Fatal(err)
	}
	f.logged("delivery not recorded")
	if d.Acked() {
		t.Fatal("acknowledged what was not recorded")
	}
	f.clock.Advance(4 * time.Second)
	if err := d.Wait(f.soon()); err != nil {
		t.Fatal(err)
	}
	f.shows("Proposed fix")
	f.wantCounts(1, 0, 0)
}

// TestRestart goes on with a new bot that knows only what is in the store.
func TestRestart(t *testing.T) {
	f := newFixture(t, setup{})
	root := f.answered()
	f.restart()
	f.press(slackfake.UserApprover, root.TS, "apply-0")
	f.shows("Applied and verified")
	f.restart()
	f.press(slackfake.UserApprover, root.TS, "undo-1")
	f.shows("The fix was undone", "unknown", "Ask again")
	f.wantCounts(1, 1, 1)
}

// TestRestartInTheMiddle stops the bot while it looks. The question ends with a
// word to the asker, and so does one whose process was killed.
func TestRestartInTheMiddle(t *testing.T) {
	f := newFixture(t, setup{})
	begun := make(chan struct{})
	f.engine.during = func(ctx context.Context, _ func(string)) error {
		close(begun)
		<-ctx.Done()
		return context.Cause(ctx)
	}
	f.why("why can't web-1 get an IP")
	<-begun
	f.shows("Looking at")
	f.restart()
	f.shows("No answer about", "stopped while it was looking")

	f.engine.during = nil
	if err := f.halt(); err != nil {
		t.Fatal(err)
	}
	api := slack.New("xoxb-fake-bot", slack.OptionAPIURL(f.URL()))
	_, ts, err := api.PostMessage(slackfake.ChannelOps, slack.MsgOptionText("Looking at web-9…", false))
	if err != nil {
		t.Fatal(err)
	}
	q := commands.Question{Kind: commands.KindDHCP, Subjects: map[string]string{"vm": "web-9"}}
	inc := commands.Incident{
		Opened: f.clock.Now(), Question: q, Asker: commands.Actor{Via: "slack", ID: slackfake.UserOperator},
		Thread: commands.Thread{Team: "T0HOME", Channel: slackfake.ChannelOps, Root: ts},
	}
	if _, err := f.memory.OpenIncident(t.Context(), inc); err != nil {
		t.Fatal(err)
	}
	f.stop()
	f.start()
	f.shows("No answer about", "web-9", "restarted while it was looking")
	again := len(f.History(slackfake.ChannelOps, ts))
	f.restart()
	if now := len(f.History(slackfake.ChannelOps, ts)); now != again {
		t.Errorf("ended twice: %d states, then %d", again, now)
	}
}

// TestShutdownWaitsForTheFix stops the bot while a fix is being applied.
func TestShutdownWaitsForTheFix(t *testing.T) {
	f := newFixture(t, setup{})
	root := f.answered()
	begun, finish := make(chan struct{}), make(chan struct{})
	f.engine.during = func(ctx context.Context, _ func(string)) error {
		close(begun)
		select {
		case <-finish:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	f.press(slackfake.UserApprover, root.TS, "apply-0")
	<-begun
	f.shows("Being applied by")
	if buttons := f.Buttons(slackfake.ChannelOps, root.TS); len(buttons) != 0 {
		t.Errorf("buttons while it is being applied: %v", buttons)
	}
	time.AfterFunc(time.Second, func() { close(finish) })
	f.wantCounts(1, 1, 0)
	if m, _ := f.Message(slackfake.ChannelOps, root.TS); !strings.Contains(seen(m), "Applied and verified") {
		t.Errorf("Run returned before the outcome was shown: %s", seen(m))
	}
}

func TestAnnounce(t *testing.T) {
	f := newFixture(t, setup{})
	root := f.answered()
	p, err := f.memory.ChangeProposal(t.Context(), "fx-accept", func(p *commands.Proposal) ([]commands.Event, error) {
		p.State, p.Outcome = commands.Undecided, "whybot was stopped in the middle of this and the node does not show how it ended."
		return nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	f.bot.Announce(t.Context(), []commands.Proposal{p, {ID: "fx-gone"}})
	now := f.shows("Outcome unknown", "A packet filter drops the reply")
	if now.TS != root.TS {
		t.Errorf("not shown on the root message but on %s", now.TS)
	}
	reply := f.shows("Outcome unknown", "does not show how it ended")
	if reply.TS == "" {
		t.Error("no reply")
	}
}

func TestDecline(t *testing.T) {
	f := newFixture(t, setup{})
	root := f.answered()
	f.press(slackfake.UserOperator, root.TS, "Not now")
	f.shows("Only", "ephemeral to "+slackfake.UserOperator)
	f.Inject(slackfake.Fault{Method: "chat.update", Reset: true})
	f.press(slackfake.UserApprover, root.TS, "Not now")
	f.shows("3 fixes are off the table")
	root = f.shows("Declined: ", "A packet filter drops the reply")
	f.press(slackfake.UserOperator, root.TS, "Ask again")
	f.shows("inc-2", "Proposed fix")
	f.wantCounts(2, 0, 0)
}

// TestFixInThread applies a fix whose button is in the thread, and expects that
// button to go.
func TestFixInThread(t *testing.T) {
	f := newFixture(t, setup{})
	f.answered()
	evidence := f.shows("Evidence of inc-1", "Comment the rule out")
	f.press(slackfake.UserApprover, evidence.TS, "Apply: Comment the rule out in rules.v4 on compute01")
	f.shows("Applied and verified", "Comment the rule out", "rules.v4")
	f.wantCounts(1, 1, 0)
	if buttons := f.Buttons(slackfake.ChannelOps, evidence.TS); len(buttons) != 0 {
		t.Errorf("the thread still has %v", buttons)
	}
}

func TestExpiredClick(t *testing.T) {
	f := newFixture(t, setup{})
	root := f.answered()
	f.clock.Advance(31 * time.Minute)
	f.press(slackfake.UserApprover, root.TS, "apply-0")
	f.shows("has expired", "ephemeral to "+slackfake.UserApprover)
	f.shows("the proposed fix has expired")
	f.wantCounts(1, 0, 0)
	buttons := f.Buttons(slackfake.ChannelOps, root.TS)
	if len(buttons) != 1 || buttons[0].Label != "Ask again" {
		t.Errorf("buttons of an expired fix: %v", buttons)
	}
}

// TestForeignButtons presses buttons that somebody with the bot's token put up.
func TestForeignButtons(t *testing.T) {
	f := newFixture(t, setup{violations: []string{"missing_text"}})
	f.answered()
	api := slack.New("xoxb-fake-bot", slack.OptionAPIURL(f.URL()))
	put := func(channel, action, value string) string {
		b := slack.NewButtonBlockElement(action, value, slack.NewTextBlockObject(slack.PlainTextType, "Win", false, false))
		_, ts, err := api.PostMessage(channel, slack.MsgOptionText("Click", false), slack.MsgOptionBlocks(slack.NewActionBlock("x", b),
			slack.NewSectionBlock(slack.NewTextBlockObject(slack.PlainTextType, "Click", false, false), nil, nil)))
		if err != nil {
			t.Fatal(err)
		}
		return ts
	}
	for _, c := range []struct{ channel, action, value, want string }{
		{slackfake.ChannelOps, "apply-0", "fx-accept", "not in the conversation of inc-1"},
		{slackfake.ChannelPrivate, "apply-0", "fx-accept", "not in the conversation of inc-1"},
		{slackfake.ChannelOps, "apply-0", "fx-unheard-of", "no longer known"},
		{slackfake.ChannelOps, "of_tomorrow", "", "no longer known"},
		{slackfake.ChannelOps, "apply-0", "`<!channel>`", "no longer known"},
		{slackfake.ChannelOps, "apply-0", strings.Repeat("x", 2000), "no longer known"},
	} {
		ts := put(c.channel, c.action, c.value)
		f.done(f.Click(slackfake.UserApprover, c.channel, ts, "Win"))
		f.showsIn(c.channel, c.want, "ephemeral to "+slackfake.UserApprover)
	}
	f.wantCounts(1, 0, 0)
}

func TestChannelsForApproval(t *testing.T) {
	f := newFixture(t, setup{rule: func(r *commands.Rule) { r.Channels = []string{slackfake.ChannelPrivate} }})
	root := f.answered()
	f.press(slackfake.UserApprover, root.TS, "apply-0")
	f.shows("not decided on in this channel", "in <#"+slackfake.ChannelPrivate+">", "ephemeral to "+slackfake.UserApprover)
	f.wantCounts(1, 0, 0)
}

func TestTwoApprovals(t *testing.T) {
	f := newFixture(t, setup{})
	f.engine.answer.Fixes = f.engine.answer.Fixes[:1]
	f.engine.answer.Fixes[0].Approvals = 2
	f.why("why can't web-1 get an IP")
	root := f.shows("Needs 2 people; 0 agreed")
	f.press(slackfake.UserApprover, root.TS, "apply-0")
	f.shows("1 of 2 people have agreed", "ephemeral to "+slackfake.UserApprover)
	f.shows("Needs 2 people; 1 agreed")
	f.press(slackfake.UserApprover2, root.TS, "apply-0")
	f.shows("Applied and verified")
	f.wantCounts(1, 1, 0)
}

// TestNotCured shows the next verdict when the fix did not help.
func TestNotCured(t *testing.T) {
	f := newFixture(t, setup{})
	root := f.answered()
	f.engine.end = commands.Applied
	f.engine.proof = commands.Verdict{State: commands.Probable, Cause: "DHCP-10", Title: "dnsmasq does not know the port", Summary: "The host file lacks the MAC.", Missing: "dnsmasq's log"}
	f.press(slackfake.UserApprover, root.TS, "apply-0")
	f.shows("Asked again:", "dnsmasq does not know the port", "probable, not proven")
	f.wantCounts(1, 1, 0)
	m := f.shows("dnsmasq does not know the port", "Missing fact:", "Applied by")
	var labels []string
	for _, b := range f.Buttons(slackfake.ChannelOps, m.TS) {
		labels = append(labels, b.Label)
	}
	if got := strings.Join(labels, "|"); !strings.Contains(got, "Undo: Accept") || !strings.Contains(got, "Ask again") || len(labels) > 3 {
		t.Errorf("buttons: %s", got)
	}
}

func TestRefusedByTheWorld(t *testing.T) {
	f := newFixture(t, setup{})
	root := f.answered()
	f.engine.during = func(context.Context, func(string)) error {
		return &commands.Error{Code: commands.CodeChanged, Public: "It is not as it was when the fix was planned: the rule is gone.", Hint: "Ask again."}
	}
	f.press(slackfake.UserApprover, root.TS, "apply-0")
	f.shows("the rule is gone", "ephemeral to "+slackfake.UserApprover)
	f.shows("Not applied by", "the rule is gone", "Proposed fix")
}

// TestButtonsCarryOnlyIDs reads every button that is ever shown.
func TestButtonsCarryOnlyIDs(t *testing.T) {
	f := newFixture(t, setup{})
	root := f.answered()
	known := map[string]bool{"fx-accept": true, "fx-delete": true, "fx-comment": true}
	n := 0
	for _, m := range f.Messages(slackfake.ChannelOps) {
		for _, b := range f.Buttons(slackfake.ChannelOps, m.TS) {
			n++
			if !known[b.Value] {
				t.Errorf("button %q carries %q", b.Label, b.Value)
			}
			if strings.HasPrefix(b.Label, "Apply") && (!strings.Contains(b.Confirm, "compute01# iptables") || !strings.Contains(b.Confirm, "undone")) {
				t.Errorf("the dialog of %q does not say what, where and the way back: %q", b.Label, b.Confirm)
			}
		}
	}
	if n != 4 {
		t.Errorf("%d buttons, want 3 on the root message and 1 in the thread", n)
	}
	var blocks []json.RawMessage
	if m, _ := f.Message(slackfake.ChannelOps, root.TS); json.Unmarshal(m.Blocks, &blocks) != nil || len(blocks) > 7 {
		t.Errorf("%d blocks on the root message", len(blocks))
	}
}
