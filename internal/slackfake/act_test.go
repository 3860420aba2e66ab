package slackfake_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/slackevents"

	"whybot/internal/slackfake"
)

func TestMentionComesTwiceWhenBothEventsAreSubscribed(t *testing.T) {
	f := newFixture(t, func(o *slackfake.Options) { o.Subscriptions = []string{"app_mention", "message.channels"} })
	a := f.listen(t, nil)
	if err := f.WaitSockets(soon(t), 1); err != nil {
		t.Fatal(err)
	}
	d, err := f.Mention(slackfake.UserOperator, slackfake.ChannelOps, "", "why is <web-1> down")
	if err != nil {
		t.Fatal(err)
	}
	if d.Twin == nil || d.Twin.EventID == d.EventID || d.Twin.TS != d.TS {
		t.Fatalf("twin = %+v", d.Twin)
	}
	for range 2 {
		inner := a.next(t).Data.(slackevents.EventsAPIEvent).InnerEvent.Data
		switch e := inner.(type) {
		case *slackevents.AppMentionEvent:
			if e.Text != "<@U0WHYBOT> why is &lt;web-1&gt; down" || e.TimeStamp != d.TS {
				t.Fatalf("mention = %+v", e)
			}
		case *slackevents.MessageEvent:
			if e.ChannelType != "channel" || e.TimeStamp != d.TS {
				t.Fatalf("message = %+v", e)
			}
		default:
			t.Fatalf("event %T", inner)
		}
	}
}

func TestPeopleCannotDoWhatSlackForbids(t *testing.T) {
	f := newFixture(t)
	for name, act := range map[string]func() error{
		"unknown command": func() error { _, err := f.Slash(slackfake.UserOperator, slackfake.ChannelOps, "/no", ""); return err },
		"deactivated user": func() error {
			_, err := f.Slash(slackfake.UserDeactivated, slackfake.ChannelOps, "/why", "")
			return err
		},
		"not a member": func() error { _, err := f.Slash(slackfake.UserStranger, slackfake.ChannelOps, "/why", ""); return err },
		"bot not there": func() error {
			_, err := f.Mention(slackfake.UserOperator, slackfake.ChannelLounge, "", "x")
			return err
		},
		"no such thread": func() error {
			_, err := f.Mention(slackfake.UserOperator, slackfake.ChannelOps, "1795435200.000000", "x")
			return err
		},
		"no such message": func() error {
			_, err := f.Click(slackfake.UserOperator, slackfake.ChannelOps, "1", "apply")
			return err
		},
		"two lines": func() error {
			_, err := f.Slash(slackfake.UserOperator, slackfake.ChannelOps, "/why", "a\nb")
			return err
		},
	} {
		if act() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestClickCarriesWhatIsOnTheMessage(t *testing.T) {
	f, a := connected(t)
	ts := f.post(t, slack.MsgOptionText("Proposed.", false), slack.MsgOptionBlocks(section("s-0", "*Fix*"), applyButton("a-0")))
	if got := f.Buttons(slackfake.ChannelOps, ts); len(got) != 2 || got[0].Confirm != "Apply?: Deletes one rule." || got[0].Style != "primary" {
		t.Fatalf("buttons = %+v", got)
	}
	d, err := f.Click(slackfake.UserApprover, slackfake.ChannelOps, ts, "Apply fix")
	if err != nil {
		t.Fatal(err)
	}
	got := a.next(t).Data.(slack.InteractionCallback)
	if action := got.ActionCallback.BlockActions[0]; action.ActionID != "apply" || action.BlockID != "a-0" || action.Value != "p-1" {
		t.Fatalf("action = %+v", action)
	}
	if got.Message.Timestamp != ts || got.Container.ChannelID != slackfake.ChannelOps || got.User.ID != slackfake.UserApprover || got.ResponseURL != d.ResponseURL {
		t.Fatalf("callback = %+v", got)
	}
	wantNoViolations(t, f.Server)
}

func TestClickOnARevisionThatIsGone(t *testing.T) {
	f, a := connected(t)
	ts := f.post(t, slack.MsgOptionText("Proposed.", false), slack.MsgOptionBlocks(section("s-0", "*Fix*"), applyButton("a-0")))
	if _, _, _, err := f.api.UpdateMessageContext(soon(t), slackfake.ChannelOps, ts, slack.MsgOptionText("Done.", false), slack.MsgOptionBlocks(section("s-1", "done"))); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Click(slackfake.UserApprover, slackfake.ChannelOps, ts, "apply"); err == nil {
		t.Fatal("clicked a button that is gone")
	}
	if _, err := f.Click(slackfake.UserApprover, slackfake.ChannelOps, ts, "apply", slackfake.OnRevision(0)); err != nil {
		t.Fatalf("stale click: %v", err)
	}
	stale := a.next(t).Data.(slack.InteractionCallback)
	if len(stale.Message.Blocks.BlockSet) != 2 {
		t.Fatalf("stale message = %+v", stale.Message)
	}
	wantNoViolations(t, f.Server)
}

func TestChoosingFromAMenuOnAnEphemeral(t *testing.T) {
	f, a := connected(t)
	word := func(s string) *slack.TextBlockObject {
		return slack.NewTextBlockObject(slack.PlainTextType, s, false, false)
	}
	menu := slack.NewOptionsSelectBlockElement(slack.OptTypeStatic, word("Which web?"), "pick",
		slack.NewOptionBlockObject("id-1", word("web-1"), nil), slack.NewOptionBlockObject("id-2", word("web-2"), nil))
	ts, err := f.api.PostEphemeralContext(soon(t), slackfake.ChannelOps, slackfake.UserOperator,
		slack.MsgOptionText("Which one?", false), slack.MsgOptionBlocks(slack.NewActionBlock("m", menu)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Click(slackfake.UserApprover, slackfake.ChannelOps, ts, "pick", slackfake.Choosing("web-2")); err == nil {
		t.Fatal("somebody else used an ephemeral message")
	}
	d, err := f.Click(slackfake.UserOperator, slackfake.ChannelOps, ts, "pick", slackfake.Choosing("web-2"))
	if err != nil {
		t.Fatal(err)
	}
	got := a.next(t).Data.(slack.InteractionCallback)
	if got.ActionCallback.BlockActions[0].SelectedOption.Value != "id-2" || !got.Container.IsEphemeral || got.Message.Timestamp != "" {
		t.Fatalf("callback = %+v", got)
	}
	if _, _, _, err := f.api.SendMessageContext(soon(t), "", slack.MsgOptionReplaceOriginal(d.ResponseURL), slack.MsgOptionText("web-2 it is.", false)); err != nil {
		t.Fatal(err)
	}
	if want := "#ops\n  whybot (only operator sees this): web-2 it is.\n"; f.Transcript() != want {
		t.Fatalf("transcript:\n%s", f.Transcript())
	}
	if _, _, _, err := f.api.SendMessageContext(soon(t), "", slack.MsgOptionDeleteOriginal(d.ResponseURL)); err != nil {
		t.Fatal(err)
	}
	if f.Transcript() != "#ops\n" {
		t.Fatalf("transcript:\n%s", f.Transcript())
	}
}

func TestResponseURLHasFiveUsesAndHalfAnHour(t *testing.T) {
	f := newFixture(t)
	d, err := f.Slash(slackfake.UserOperator, slackfake.ChannelLounge, "/why", "x")
	if err != nil {
		t.Fatal(err)
	}
	send := func(kind string) error {
		_, _, _, err := f.api.SendMessageContext(soon(t), "", slack.MsgOptionResponseURL(d.ResponseURL, kind), slack.MsgOptionText("hi", false))
		return err
	}
	for i, kind := range []string{"ephemeral", "in_channel", "ephemeral", "ephemeral", "ephemeral"} {
		if left := f.ResponseURLUses(d.ResponseURL); left != 5-i {
			t.Fatalf("%d uses left before use %d", left, i)
		}
		if err := send(kind); err != nil {
			t.Fatalf("use %d: %v", i, err)
		}
	}
	if send("ephemeral") == nil {
		t.Fatal("a sixth use was accepted")
	}
	// The first message is Slack's own: nothing listened to the command.
	if m := f.Messages(slackfake.ChannelLounge); len(m) != 6 || m[1].EphemeralTo != slackfake.UserOperator || m[2].EphemeralTo != "" {
		t.Fatalf("messages = %+v", m)
	}
	late, err := f.Slash(slackfake.UserOperator, slackfake.ChannelLounge, "/why", "x")
	if err != nil {
		t.Fatal(err)
	}
	f.clock.Advance(30 * time.Minute)
	if body := request(t, "POST", late.ResponseURL, "application/json", `{"text":"x"}`, ""); !strings.Contains(body, "expired_url") {
		t.Fatalf("answer %s", body)
	}
}

func TestTriggersLiveThreeSecondsAndOnce(t *testing.T) {
	f := newFixture(t)
	trigger := func() string {
		t.Helper()
		d, err := f.Slash(slackfake.UserOperator, slackfake.ChannelOps, "/why", "x")
		if err != nil {
			t.Fatal(err)
		}
		return d.TriggerID
	}
	first := trigger()
	opened, err := f.api.OpenViewContext(soon(t), first, modal("cause"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.api.OpenViewContext(soon(t), first, modal("cause"))
	wantError(t, err, "exchanged_trigger_id")
	slow := trigger()
	f.clock.Advance(3 * time.Second)
	_, err = f.api.OpenViewContext(soon(t), slow, modal("cause"))
	wantError(t, err, "expired_trigger_id")
	_, err = f.api.OpenViewContext(soon(t), "nonsense", modal("cause"))
	wantError(t, err, "invalid_trigger_id")

	for range 2 {
		if _, err := f.api.PushViewContext(soon(t), trigger(), modal("cause")); err != nil {
			t.Fatal(err)
		}
	}
	_, err = f.api.PushViewContext(soon(t), trigger(), modal("cause"))
	wantError(t, err, "push_limit_reached")
	_, err = f.api.UpdateViewContext(soon(t), modal("cause"), "", "stale", opened.ID)
	wantError(t, err, "hash_conflict")
	if _, err = f.api.UpdateViewContext(soon(t), modal("reason"), "", opened.Hash, opened.ID); err != nil {
		t.Fatal(err)
	}
}

func modal(action string) slack.ModalViewRequest {
	word := func(s string) *slack.TextBlockObject {
		return slack.NewTextBlockObject(slack.PlainTextType, s, false, false)
	}
	input := slack.NewInputBlock("why", word("Reason"), nil, slack.NewPlainTextInputBlockElement(nil, action).WithMaxLength(10))
	return slack.ModalViewRequest{
		Type: slack.VTModal, Title: word("Confirm"), Submit: word("Go"), CallbackID: "confirm", PrivateMetadata: "p-1",
		Blocks: slack.Blocks{BlockSet: []slack.Block{input}},
	}
}

func TestSubmittingAView(t *testing.T) {
	f := newFixture(t)
	answer := map[string]any{"response_action": "errors", "errors": map[string]string{"why": "say more"}}
	a := f.listen(t, answer)
	if err := f.WaitSockets(soon(t), 1); err != nil {
		t.Fatal(err)
	}
	a.mute.Store(true)
	d, err := f.Slash(slackfake.UserOperator, slackfake.ChannelOps, "/why", "x")
	if err != nil {
		t.Fatal(err)
	}
	a.next(t)
	v, err := f.api.OpenViewContext(soon(t), d.TriggerID, modal("cause"))
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []map[string]string{{}, {"cause": "far too long a reason"}, {"cause": "ok", "nothing": "x"}} {
		if _, err := f.SubmitView(slackfake.UserOperator, v.ID, bad); err == nil {
			t.Fatalf("submitted %v", bad)
		}
	}
	a.mute.Store(false)
	sent, err := f.SubmitView(slackfake.UserOperator, v.ID, map[string]string{"cause": "ok"})
	if err != nil {
		t.Fatal(err)
	}
	got := a.next(t).Data.(slack.InteractionCallback)
	if got.View.State.Values["why"]["cause"].Value != "ok" || got.View.PrivateMetadata != "p-1" {
		t.Fatalf("view = %+v", got.View)
	}
	if err := sent.Wait(soon(t)); err != nil {
		t.Fatal(err)
	}
	if open := f.Modals(slackfake.UserOperator); len(open) != 1 || !json.Valid(sent.AckPayload()) {
		t.Fatalf("errors must keep the view open: %+v", open)
	}
	if d, err := f.CloseView(slackfake.UserOperator, v.ID); err != nil || d != nil || len(f.Modals(slackfake.UserOperator)) != 0 {
		t.Fatalf("close: %v, %v", d, err)
	}
	wantNoViolations(t, f.Server)
}

func TestTranscript(t *testing.T) {
	f := newFixture(t)
	d, err := f.Mention(slackfake.UserOperator, slackfake.ChannelOps, "", "why can't web-1 get an IP")
	if err != nil {
		t.Fatal(err)
	}
	word := func(s string) *slack.TextBlockObject {
		return slack.NewTextBlockObject(slack.MarkdownType, s, false, true)
	}
	root := f.post(t, slack.MsgOptionText("Checking.", false), slack.MsgOptionTS(d.TS))
	blocks := []slack.Block{
		slack.NewHeaderBlock(slack.NewTextBlockObject(slack.PlainTextType, "web-1 has no IP", false, false)),
		section("s-1", "*Cause.* a rule on `controller01`\nnamed &lt;!channel&gt; &amp; co"),
		slack.NewSectionBlock(nil, []*slack.TextBlockObject{word("*Where*\neth3.3092"), word("*Since* <!date^1795446749^{time}|15:12 UTC>")}, nil, slack.SectionBlockOptionBlockID("f-1")),
		applyButton("a-1"), slack.NewDividerBlock(),
		slack.NewContextBlock("c-1", word("inc-1"), word("asked by <@U0OPERATOR>"), word("<https://evil.example|docs>")),
	}
	_, _, _, err = f.api.UpdateMessageContext(soon(t), slackfake.ChannelOps, root, slack.MsgOptionText("web-1 has no IP.", false), slack.MsgOptionBlocks(blocks...))
	if err != nil {
		t.Fatal(err)
	}
	f.post(t, slack.MsgOptionText("Fixed.", false), slack.MsgOptionTS(d.TS), slack.MsgOptionBroadcast())
	if _, err := f.api.PostEphemeralContext(soon(t), slackfake.ChannelOps, slackfake.UserGuest, slack.MsgOptionText("Only approvers can apply.", false)); err != nil {
		t.Fatal(err)
	}
	home := slack.HomeTabViewRequest{Type: slack.VTHomeTab, Blocks: slack.Blocks{BlockSet: []slack.Block{section("h", "1 open incident")}}}
	if _, err := f.api.PublishViewContext(soon(t), slack.PublishViewContextRequest{UserID: slackfake.UserOperator, View: home}); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join("testdata", "transcript.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Transcript(); got != string(want) {
		t.Fatalf("transcript:\n%s\nwant:\n%s", got, want)
	}
	wantNoViolations(t, f.Server)
	var kinds []string
	m, _ := f.Message(slackfake.ChannelOps, root)
	for _, x := range m.Mentions {
		kinds = append(kinds, string(x.Kind)+" "+x.Value)
	}
	if got := strings.Join(kinds, ", "); got != "user U0OPERATOR, link https://evil.example" {
		t.Fatalf("mentions = %s", got)
	}
}
