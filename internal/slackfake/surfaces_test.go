package slackfake_test

import (
	"strings"
	"testing"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/slackevents"

	"whybot/internal/slackfake"
)

func TestHomeReachesTheApp(t *testing.T) {
	f, a := connected(t)
	if _, err := f.OpenHome(slackfake.UserOperator); err != nil {
		t.Fatal(err)
	}
	home, ok := a.next(t).Data.(slackevents.EventsAPIEvent).InnerEvent.Data.(*slackevents.AppHomeOpenedEvent)
	if !ok || home.Tab != "home" || home.User != slackfake.UserOperator {
		t.Fatalf("event = %+v", home)
	}
	if err := f.Deactivate(slackfake.UserOperator); err != nil {
		t.Fatal(err)
	}
	if _, err := f.OpenHome(slackfake.UserOperator); err == nil {
		t.Fatal("a deactivated user opened the Home tab")
	}
}

func TestShortcutsReachTheApp(t *testing.T) {
	f, a := connected(t)
	ts := f.post(t, slack.MsgOptionText("x", false))
	if _, err := f.Shortcut(slackfake.UserOperator, "diagnose_message", slackfake.ChannelOps, ts); err != nil {
		t.Fatal(err)
	}
	if got := a.next(t).Data.(slack.InteractionCallback); got.Type != slack.InteractionTypeMessageAction || got.CallbackID != "diagnose_message" || got.Message.Timestamp != ts {
		t.Fatalf("callback = %+v", got)
	}
	d, err := f.Shortcut(slackfake.UserOperator, "diagnose_global", "", "")
	if err != nil {
		t.Fatal(err)
	}
	if got := a.next(t).Data.(slack.InteractionCallback); got.Type != slack.InteractionTypeShortcut || got.TriggerID != d.TriggerID {
		t.Fatalf("callback = %+v", got)
	}
}

func TestInvitationReachesTheApp(t *testing.T) {
	f, a := connected(t)
	if err := f.AddMember(slackfake.ChannelSecret, slackfake.UserWhybot); err != nil {
		t.Fatal(err)
	}
	joined, ok := a.next(t).Data.(slackevents.EventsAPIEvent).InnerEvent.Data.(*slackevents.MemberJoinedChannelEvent)
	if !ok || joined.User != slackfake.UserWhybot || joined.Channel != slackfake.ChannelSecret {
		t.Fatalf("event = %+v", joined)
	}
}

func TestWorkspaceChangesAreSeenByTheAPI(t *testing.T) {
	f := newFixture(t)
	if err := f.SetGroup(slackfake.GroupApprovers, slackfake.UserGuest); err != nil {
		t.Fatal(err)
	}
	if got, err := f.api.GetUserGroupMembersContext(soon(t), slackfake.GroupApprovers); err != nil || len(got) != 1 || got[0] != slackfake.UserGuest {
		t.Fatalf("members = %v, %v", got, err)
	}
	if err := f.RemoveMember(slackfake.ChannelOps, slackfake.UserWhybot); err != nil {
		t.Fatal(err)
	}
	_, _, err := f.api.PostMessageContext(soon(t), slackfake.ChannelOps, slack.MsgOptionText("x", false))
	wantError(t, err, "not_in_channel")
	for _, err := range []error{f.SetGroup("S0NONE"), f.RemoveMember("C0NONE", "U"), f.Deactivate("U0NONE"), f.AddMember("C0NONE", "U")} {
		if err == nil {
			t.Fatal("an unknown object was changed")
		}
	}
}

func TestDirectMessageAndMetadataAndWaiting(t *testing.T) {
	f, a := connected(t)
	if _, err := f.Say(slackfake.UserOperator, slackfake.ChannelDM, "", "mail a@b.org"); err != nil {
		t.Fatal(err)
	}
	said, ok := a.next(t).Data.(slackevents.EventsAPIEvent).InnerEvent.Data.(*slackevents.MessageEvent)
	if !ok || said.ChannelType != "im" || said.Text != "mail <mailto:a@b.org|a@b.org>" {
		t.Fatalf("event = %+v", said)
	}
	meta := slack.SlackMetadata{EventType: "whybot", EventPayload: map[string]any{"revision": 1}}
	if _, _, err := f.api.PostMessageContext(soon(t), slackfake.UserOperator, slack.MsgOptionText("hi", false), slack.MsgOptionMetadata(meta)); err != nil {
		t.Fatal(err)
	}
	m, err := f.WaitMessage(soon(t), slackfake.ChannelDM, func(m slackfake.Message) bool { return m.Text == "hi" })
	if err != nil || !strings.Contains(string(m.Metadata), `"revision":1`) {
		t.Fatalf("message = %+v, %v", m, err)
	}
	wantNoViolations(t, f.Server)
}

func TestRicherBlocksInTheTranscript(t *testing.T) {
	f := newFixture(t)
	body := `{"channel":"C0OPS","text":"A table.","blocks":[
		{"type":"table","rows":[[{"type":"raw_text","text":"node"},{"type":"raw_text","text":"lost"}],[{"type":"raw_text","text":"net-1"},{"type":"raw_number","value":3}]],"column_settings":[null,{"align":"right"}]},
		{"type":"rich_text","elements":[{"type":"rich_text_section","elements":[{"type":"text","text":"<!here>","style":{"code":true}},{"type":"text","text":" by "},{"type":"user","user_id":"U0APPROVER"}]},
			{"type":"rich_text_list","style":"bullet","elements":[{"type":"rich_text_section","elements":[{"type":"text","text":"one"}]},{"type":"rich_text_section","elements":[{"type":"usergroup","usergroup_id":"S0APPROVERS"}]}]}]},
		{"type":"container","title":{"type":"plain_text","text":"Evidence"},"child_blocks":[{"type":"context","elements":[{"type":"image","image_url":"https://a/b.png","alt_text":"a hop"},{"type":"mrkdwn","text":"<#C0OPS> <!subteam^S0APPROVERS>"}]}]},
		{"type":"section","text":{"type":"mrkdwn","text":"pick"},"accessory":{"type":"overflow","action_id":"o","options":[{"text":{"type":"plain_text","text":"Reopen"},"value":"r"}]}}]}`
	if answer := request(t, "POST", f.URL()+"chat.postMessage", "application/json", body, f.space.BotToken); !strings.Contains(answer, `"ok":true`) {
		t.Fatal(answer)
	}
	want := "#ops\n  whybot:\n" +
		"    | node | lost |\n    | net-1 | 3 |\n" +
		"    `<!here>` by @approver\n    - one\n    - @approvers\n" +
		"    > Evidence\n      ~ [image: a hop] · #ops @approvers\n" +
		"    pick\n    […: Reopen]\n"
	if got := f.Transcript(); got != want {
		t.Fatalf("transcript:\n%s\nwant:\n%s", got, want)
	}
}

func TestSubmissionAnswersChangeTheStack(t *testing.T) {
	next := modal("again")
	for name, c := range map[string]struct {
		answer    any
		open      int
		violation string
	}{
		"nothing closes":       {nil, 0, ""},
		"clear":                {map[string]any{"response_action": "clear"}, 0, ""},
		"update":               {map[string]any{"response_action": "update", "view": next}, 1, ""},
		"push":                 {map[string]any{"response_action": "push", "view": next}, 2, ""},
		"error for no input":   {map[string]any{"response_action": "errors", "errors": map[string]string{"nope": "x"}}, 1, "bad_ack_payload"},
		"unknown action":       {map[string]any{"response_action": "explode"}, 1, "bad_ack_payload"},
		"update without views": {map[string]any{"response_action": "update", "view": map[string]any{"type": "modal"}}, 1, "required"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			d, err := f.Slash(slackfake.UserOperator, slackfake.ChannelOps, "/why", "x")
			if err != nil {
				t.Fatal(err)
			}
			v, err := f.api.OpenViewContext(soon(t), d.TriggerID, modal("cause"))
			if err != nil {
				t.Fatal(err)
			}
			f.listen(t, c.answer)
			if err := f.WaitSockets(soon(t), 1); err != nil {
				t.Fatal(err)
			}
			sent, err := f.SubmitView(slackfake.UserOperator, v.ID, map[string]string{"cause": "ok"})
			if err != nil {
				t.Fatal(err)
			}
			if err := sent.Wait(soon(t)); err != nil {
				t.Fatal(err)
			}
			if got := len(f.Modals(slackfake.UserOperator)); got != c.open {
				t.Fatalf("%d views open, want %d", got, c.open)
			}
			if c.violation != "" {
				wantViolation(t, f.Server, c.violation)
				return
			}
			wantNoViolations(t, f.Server)
		})
	}
}
