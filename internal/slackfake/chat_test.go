package slackfake_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"whybot/internal/slackfake"
)

func TestAuthTestSaysWhoTheBotIs(t *testing.T) {
	f := newFixture(t)
	who, err := f.api.AuthTestContext(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	if who.UserID != slackfake.UserWhybot || who.TeamID != "T0HOME" || who.BotID != "B0WHYBOT" {
		t.Fatalf("auth.test = %+v", who)
	}
}

func TestTokensAndScopesAreChecked(t *testing.T) {
	f := newFixture(t)
	with := func(token string) *slack.Client {
		return slack.New(token, slack.OptionAPIURL(f.URL()), slack.OptionHTTPClient(httpClient(t)))
	}
	_, err := with("xoxb-wrong").AuthTestContext(soon(t))
	wantError(t, err, "invalid_auth")
	_, err = with("").AuthTestContext(soon(t))
	wantError(t, err, "not_authed")
	_, err = with(f.space.AppToken).AuthTestContext(soon(t))
	wantError(t, err, "not_allowed_token_type")
	_, _, err = slack.New(f.space.BotToken, slack.OptionAppLevelToken(f.space.BotToken), slack.OptionAPIURL(f.URL()), slack.OptionHTTPClient(httpClient(t))).
		StartSocketModeContext(soon(t))
	wantError(t, err, "not_allowed_token_type")

	f.SetScopes("users:read")
	_, _, err = f.api.PostMessageContext(soon(t), slackfake.ChannelOps, slack.MsgOptionText("x", false))
	var answer slack.SlackErrorResponse
	if !errors.As(err, &answer) || answer.Err != "missing_scope" || answer.Needed != "chat:write" || answer.Provided != "users:read" {
		t.Fatalf("error = %#v, want missing_scope with needed and provided", err)
	}
	f.FailAuth("token_revoked")
	_, err = f.api.AuthTestContext(soon(t))
	wantError(t, err, "token_revoked")
}

func TestRequestsMustBeWellFormed(t *testing.T) {
	f := newFixture(t)
	cases := []struct{ name, method, target, contentType, body, want string }{
		{"unknown method", "POST", "chat.shout", "application/x-www-form-urlencoded", "a=b", "unknown_method"},
		{"token in the query", "GET", "auth.test?token=" + f.space.BotToken, "", "", "invalid_auth"},
		{"token in a JSON body", "POST", "auth.test", "application/json", `{"token":"` + f.space.BotToken + `"}`, "not_authed"},
		{"no content type", "POST", "auth.test", "", "token=x", "missing_post_type"},
		{"wrong content type", "POST", "auth.test", "text/plain", "token=x", "invalid_post_type"},
		{"broken JSON", "POST", "auth.test", "application/json", "{", "invalid_json"},
		{"broken form", "POST", "auth.test", "application/x-www-form-urlencoded", "%zz", "invalid_form_data"},
		{"put", "PUT", "auth.test", "application/json", "{}", "invalid_post_type"},
		{"too large", "POST", "auth.test", "application/json", strings.Repeat("x", 1<<20+1), "request_too_large"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			body := request(t, c.method, f.URL()+c.target, c.contentType, c.body, "")
			if !strings.Contains(body, `"error":"`+c.want+`"`) {
				t.Fatalf("answer %s, want %s", body, c.want)
			}
		})
	}
	read := request(t, "POST", f.URL()+"users.info", "application/json", `{"user":"U0OPERATOR"}`, f.space.BotToken)
	if !strings.Contains(read, "invalid_arguments") {
		t.Fatalf("users.info took JSON: %s", read)
	}
	ok := request(t, "POST", f.URL()+"chat.postMessage", "application/json", `{"channel":"C0OPS","text":"hi","unfurl_links":false}`, f.space.BotToken)
	if !strings.Contains(ok, `"ok":true`) {
		t.Fatalf("chat.postMessage as JSON: %s", ok)
	}
	wantNoViolations(t, f.Server)
	request(t, "POST", f.URL()+"chat.postMessage", "application/x-www-form-urlencoded",
		url.Values{"token": {f.space.BotToken}, "channel": {"C0OPS"}, "text": {"hi"}, "thread": {"1"}}.Encode(), "")
	wantViolation(t, f.Server, "unknown_argument")
}

func TestChannelMembershipIsChecked(t *testing.T) {
	f := newFixture(t)
	for channel, want := range map[string]string{
		slackfake.ChannelLounge: "not_in_channel",
		slackfake.ChannelSecret: "channel_not_found",
		"C0NOWHERE":             "channel_not_found",
		"#ops":                  "channel_not_found",
	} {
		_, _, err := f.api.PostMessageContext(soon(t), channel, slack.MsgOptionText("x", false))
		wantError(t, err, want)
	}
	f.SetScopes("chat:write", "chat:write.public")
	if _, _, err := f.api.PostMessageContext(soon(t), slackfake.ChannelLounge, slack.MsgOptionText("x", false)); err != nil {
		t.Fatalf("chat:write.public: %v", err)
	}
	_, _, err := f.api.PostMessageContext(soon(t), slackfake.ChannelSecret, slack.MsgOptionText("x", false))
	wantError(t, err, "channel_not_found")
	if err := f.AddMember(slackfake.ChannelSecret, slackfake.UserWhybot); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.api.PostMessageContext(soon(t), slackfake.ChannelSecret, slack.MsgOptionText("x", false)); err != nil {
		t.Fatalf("after the invitation: %v", err)
	}
}

func TestTimestampsAreUniqueAndOrderedWithinTheChannel(t *testing.T) {
	f := newFixture(t)
	last := ""
	for range 5 {
		ts := f.post(t, slack.MsgOptionText("x", false))
		if ts <= last || len(ts) != 17 {
			t.Fatalf("ts %q after %q", ts, last)
		}
		last = ts
	}
	if !strings.HasPrefix(last, "1795435200.") {
		t.Fatalf("ts %q does not come from the clock", last)
	}
}

func TestThreadsHangOnParentsOnly(t *testing.T) {
	f := newFixture(t)
	parent := f.post(t, slack.MsgOptionText("parent", false))
	answer := f.post(t, slack.MsgOptionText("reply", false), slack.MsgOptionTS(parent))
	_, _, err := f.api.PostMessageContext(soon(t), slackfake.ChannelOps, slack.MsgOptionText("x", false), slack.MsgOptionTS("1795435200.999999"))
	wantError(t, err, "thread_not_found")
	wantNoViolations(t, f.Server)
	_, _, err = f.api.PostMessageContext(soon(t), slackfake.ChannelOps, slack.MsgOptionText("x", false), slack.MsgOptionTS(answer))
	wantError(t, err, "cannot_reply_to_message")
	wantViolation(t, f.Server, "thread_of_reply")

	replies, _, _, err := f.api.GetConversationRepliesContext(soon(t), &slack.GetConversationRepliesParameters{ChannelID: slackfake.ChannelOps, Timestamp: parent})
	if err != nil || len(replies) != 2 || replies[0].ReplyCount != 1 || replies[1].Text != "reply" {
		t.Fatalf("replies = %+v, %v", replies, err)
	}
	history, err := f.api.GetConversationHistoryContext(soon(t), &slack.GetConversationHistoryParameters{ChannelID: slackfake.ChannelOps})
	if err != nil || len(history.Messages) != 1 || history.Messages[0].Text != "parent" {
		t.Fatalf("history = %+v, %v", history, err)
	}
}

func TestHistoryComesInPages(t *testing.T) {
	f := newFixture(t)
	for _, text := range []string{"one", "two", "three"} {
		f.post(t, slack.MsgOptionText(text, false))
	}
	ask := &slack.GetConversationHistoryParameters{ChannelID: slackfake.ChannelOps, Limit: 2}
	first, err := f.api.GetConversationHistoryContext(soon(t), ask)
	if err != nil || !first.HasMore || len(first.Messages) != 2 || first.Messages[0].Text != "three" {
		t.Fatalf("first page = %+v, %v", first, err)
	}
	ask.Cursor = first.ResponseMetaData.NextCursor
	second, err := f.api.GetConversationHistoryContext(soon(t), ask)
	if err != nil || second.HasMore || len(second.Messages) != 1 || second.Messages[0].Text != "one" {
		t.Fatalf("second page = %+v, %v", second, err)
	}
}

func TestUpdateReplacesBlocksAndKeepsHistory(t *testing.T) {
	f := newFixture(t)
	ts := f.post(t, slack.MsgOptionText("Checking.", false), slack.MsgOptionBlocks(section("s-0", "*Checking*")))
	f.clock.Advance(time.Second)
	_, _, _, err := f.api.UpdateMessageContext(soon(t), slackfake.ChannelOps, ts, slack.MsgOptionText("Found.", false), slack.MsgOptionBlocks(section("s-1", "*Found*")))
	if err != nil {
		t.Fatal(err)
	}
	wantNoViolations(t, f.Server)
	past := f.History(slackfake.ChannelOps, ts)
	if len(past) != 2 || !strings.Contains(string(past[0].Blocks), "Checking") || past[1].At.Sub(past[0].At) != time.Second {
		t.Fatalf("history = %+v", past)
	}
	if m, _ := f.Message(slackfake.ChannelOps, ts); m.Edited || m.Text != "Found." || m.Revision != 1 {
		t.Fatalf("message = %+v", m)
	}
}

func TestUpdateWithTextAloneRemovesTheBlocks(t *testing.T) {
	f := newFixture(t)
	ts := f.post(t, slack.MsgOptionText("Checking.", false), slack.MsgOptionBlocks(section("s-0", "*Checking*")))
	if _, _, _, err := f.api.UpdateMessageContext(soon(t), slackfake.ChannelOps, ts, slack.MsgOptionText("Found.", false)); err != nil {
		t.Fatal(err)
	}
	m, ok := f.Message(slackfake.ChannelOps, ts)
	if !ok || m.Blocks != nil || !m.Edited {
		t.Fatalf("message = %+v", m)
	}
	wantViolation(t, f.Server, "blocks_removed")
}

func TestUpdateReusingABlockIDIsAViolation(t *testing.T) {
	f := newFixture(t)
	ts := f.post(t, slack.MsgOptionText("a", false), slack.MsgOptionBlocks(section("same", "a")))
	if _, _, _, err := f.api.UpdateMessageContext(soon(t), slackfake.ChannelOps, ts, slack.MsgOptionText("b", false), slack.MsgOptionBlocks(section("same", "b"))); err != nil {
		t.Fatal(err)
	}
	wantViolation(t, f.Server, "block_id_reused")
}

func TestOnlyOwnLastingMessagesChange(t *testing.T) {
	f := newFixture(t)
	if _, err := f.Say(slackfake.UserOperator, slackfake.ChannelOps, "", "mine"); err != nil {
		t.Fatal(err)
	}
	theirs := f.Messages(slackfake.ChannelOps)[0].TS
	_, _, _, err := f.api.UpdateMessageContext(soon(t), slackfake.ChannelOps, theirs, slack.MsgOptionText("x", false))
	wantError(t, err, "cant_update_message")
	_, _, err = f.api.DeleteMessageContext(soon(t), slackfake.ChannelOps, theirs)
	wantError(t, err, "cant_delete_message")
	ephemeral, err := f.api.PostEphemeralContext(soon(t), slackfake.ChannelOps, slackfake.UserOperator, slack.MsgOptionText("psst", false))
	if err != nil {
		t.Fatal(err)
	}
	wantNoViolations(t, f.Server)
	_, _, _, err = f.api.UpdateMessageContext(soon(t), slackfake.ChannelOps, ephemeral, slack.MsgOptionText("x", false))
	wantError(t, err, "message_not_found")
	wantViolation(t, f.Server, "ephemeral_update")
	own := f.post(t, slack.MsgOptionText("own", false))
	if _, _, err = f.api.DeleteMessageContext(soon(t), slackfake.ChannelOps, own); err != nil {
		t.Fatal(err)
	}
	_, _, err = f.api.DeleteMessageContext(soon(t), slackfake.ChannelOps, own)
	wantError(t, err, "message_not_found")
}

func TestEphemeralNeedsAMemberAndAnActiveThread(t *testing.T) {
	f := newFixture(t)
	text := slack.MsgOptionText("psst", false)
	_, err := f.api.PostEphemeralContext(soon(t), slackfake.ChannelOps, slackfake.UserStranger, text)
	wantError(t, err, "user_not_in_channel")
	_, err = f.api.PostEphemeralContext(soon(t), slackfake.ChannelLounge, slackfake.UserOperator, text)
	wantError(t, err, "not_in_channel")
	parent := f.post(t, slack.MsgOptionText("parent", false))
	if _, err := f.api.PostEphemeralContext(soon(t), slackfake.ChannelOps, slackfake.UserOperator, text, slack.MsgOptionTS(parent)); err != nil {
		t.Fatal(err)
	}
	wantViolation(t, f.Server, "ephemeral_in_inactive_thread")
	if strings.Contains(f.Transcript(), "psst") {
		t.Fatalf("the transcript shows what nobody sees:\n%s", f.Transcript())
	}
}

func TestBadBlocksAreRefusedWithPointers(t *testing.T) {
	f := newFixture(t)
	long := section("s", strings.Repeat("x", 3001))
	_, _, err := f.api.PostMessageContext(soon(t), slackfake.ChannelOps, slack.MsgOptionText("x", false), slack.MsgOptionBlocks(long))
	var answer slack.SlackErrorResponse
	if !errors.As(err, &answer) || answer.Err != "invalid_blocks" {
		t.Fatalf("error = %v", err)
	}
	if m := answer.ResponseMetadata.Messages; len(m) != 1 || !strings.Contains(m[0], "[json-pointer:/blocks/0/text/text]") {
		t.Fatalf("messages = %q", m)
	}
	var many []slack.Block
	for range 4 {
		many = append(many, slack.NewSectionBlock(slack.NewTextBlockObject(slack.MarkdownType, strings.Repeat("x", 2900), false, true), nil, nil))
	}
	_, _, err = f.api.PostMessageContext(soon(t), slackfake.ChannelOps, slack.MsgOptionText("x", false), slack.MsgOptionBlocks(many...))
	wantError(t, err, "msg_blocks_too_long")
	_, _, err = f.api.PostMessageContext(soon(t), slackfake.ChannelOps)
	wantError(t, err, "no_text")
	wantViolation(t, f.Server, "too_long")
}

func TestPeople(t *testing.T) {
	f := newFixture(t)
	u, err := f.api.GetUserInfoContext(soon(t), slackfake.UserGuest)
	if err != nil || !u.IsRestricted || u.IsBot || u.TeamID != "T0HOME" {
		t.Fatalf("guest = %+v, %v", u, err)
	}
	u, err = f.api.GetUserInfoContext(soon(t), slackfake.UserOperator)
	if err != nil || u.TZ != "Europe/Berlin" || u.TZOffset != 3600 {
		t.Fatalf("operator = %+v, %v", u, err)
	}
	stranger, err := f.api.GetUserInfoContext(soon(t), slackfake.UserStranger)
	if err != nil || stranger.TeamID != "T0AWAY" || !stranger.IsStranger {
		t.Fatalf("stranger = %+v, %v", stranger, err)
	}
}

func TestGroups(t *testing.T) {
	f := newFixture(t)
	members, err := f.api.GetUserGroupMembersContext(soon(t), slackfake.GroupApprovers)
	if err != nil || len(members) != 2 {
		t.Fatalf("members = %v, %v", members, err)
	}
	_, err = f.api.GetUserGroupMembersContext(soon(t), slackfake.GroupSwitchedOff)
	wantError(t, err, "no_such_subteam")
	groups, err := f.api.GetUserGroupsContext(soon(t))
	if err != nil || len(groups) != 1 || groups[0].ID != slackfake.GroupApprovers {
		t.Fatalf("groups = %+v, %v", groups, err)
	}
	free := newFixture(t, func(o *slackfake.Options) { o.Workspace.FreePlan = true })
	_, err = free.api.GetUserGroupMembersContext(soon(t), slackfake.GroupApprovers)
	wantError(t, err, "plan_upgrade_required")
}

func TestConversationsAndReactionsAndPermalinks(t *testing.T) {
	f := newFixture(t)
	info, err := f.api.GetConversationInfoContext(soon(t), &slack.GetConversationInfoInput{ChannelID: slackfake.ChannelShared})
	if err != nil || !info.IsExtShared || !info.IsMember {
		t.Fatalf("info = %+v, %v", info, err)
	}
	dm, _, _, err := f.api.OpenConversationContext(soon(t), &slack.OpenConversationParameters{Users: []string{slackfake.UserApprover}})
	if err != nil || dm.ID != "D0APPROVER" {
		t.Fatalf("open = %+v, %v", dm, err)
	}
	ts := f.post(t, slack.MsgOptionText("x", false))
	ref := slack.NewRefToMessage(slackfake.ChannelOps, ts)
	if err := f.api.AddReactionContext(soon(t), "eyes", ref); err != nil {
		t.Fatal(err)
	}
	wantError(t, f.api.AddReactionContext(soon(t), "eyes", ref), "already_reacted")
	if err := f.api.RemoveReactionContext(soon(t), "eyes", ref); err != nil {
		t.Fatal(err)
	}
	wantError(t, f.api.RemoveReactionContext(soon(t), "eyes", ref), "no_reaction")
	link, err := f.api.GetPermalinkContext(soon(t), &slack.PermalinkParameters{Channel: slackfake.ChannelOps, Ts: ts})
	if err != nil || !strings.HasSuffix(link, "/archives/C0OPS/p"+strings.Replace(ts, ".", "", 1)) {
		t.Fatalf("permalink = %q, %v", link, err)
	}
}

func TestFaults(t *testing.T) {
	f := newFixture(t)
	post := func() error {
		_, _, err := f.api.PostMessageContext(soon(t), slackfake.ChannelOps, slack.MsgOptionText("x", false))
		return err
	}
	f.Inject(slackfake.Fault{Method: "chat.postMessage", RateLimit: 7 * time.Second})
	var limited *slack.RateLimitedError
	if err := post(); !errors.As(err, &limited) || limited.RetryAfter != 7*time.Second {
		t.Fatalf("error = %v, want a rate limit of 7 s", err)
	}
	f.Inject(slackfake.Fault{Method: slackfake.AnyMethod, Status: http.StatusInternalServerError})
	var status slack.StatusCodeError
	if err := post(); !errors.As(err, &status) || status.Code != 500 {
		t.Fatalf("error = %v, want status 500", err)
	}
	f.Inject(slackfake.Fault{Method: "chat.postMessage", Error: "fatal_error"})
	wantError(t, post(), "fatal_error")
	f.Inject(slackfake.Fault{Method: "chat.postMessage", Reset: true})
	if post() == nil || len(f.Messages(slackfake.ChannelOps)) != 0 {
		t.Fatal("a reset before the work must fail and store nothing")
	}
	f.Inject(slackfake.Fault{Method: "chat.postMessage", ResetAfterCommit: true})
	if post() == nil || len(f.Messages(slackfake.ChannelOps)) != 1 {
		t.Fatal("a reset after the commit must fail and store the message")
	}
	if err := post(); err != nil {
		t.Fatalf("faults must be used up: %v", err)
	}
	f.Inject(slackfake.Fault{Method: "chat.update", Error: "fatal_error", Times: -1})
	f.ClearFaults()
	if got := len(f.Calls("chat.postMessage")); got != 6 {
		t.Fatalf("%d calls logged, want 6", got)
	}
	for _, c := range f.Calls("") {
		if _, leaked := c.Args["token"]; leaked {
			t.Fatal("the call log keeps the token")
		}
	}
}

func TestSlowFaultWaitsOnTheFakesClock(t *testing.T) {
	f := newFixture(t)
	f.Inject(slackfake.Fault{Method: "auth.test", Slow: time.Minute})
	done := make(chan error, 1)
	go func() {
		_, err := f.api.AuthTestContext(soon(t))
		done <- err
	}()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		f.clock.Advance(time.Minute)
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
	t.Fatal("the slow call never ended")
}

// upload uploads a picture into the thread of a new message, and returns a
// block that shows it.
func upload(t *testing.T, f *fixture) (parent, file string, image *slack.ImageBlock) {
	t.Helper()
	parent = f.post(t, slack.MsgOptionText("parent", false))
	sum, err := f.api.UploadFileContext(soon(t), slack.UploadFileParameters{
		Reader: strings.NewReader("PNG!"), FileSize: 4, Filename: "path.png", Title: "The path", AltTxt: "vm to switch: lost at eth3.3092",
		Channel: slackfake.ChannelOps, ThreadTimestamp: parent,
	})
	if err != nil {
		t.Fatal(err)
	}
	return parent, sum.ID, slack.NewImageBlockSlackFile(&slack.SlackFileObject{ID: sum.ID}, "the path", "img", nil)
}

func TestFilesAppearAfterADelay(t *testing.T) {
	f := newFixture(t)
	parent, id, image := upload(t, f)
	_, _, err := f.api.PostMessageContext(soon(t), slackfake.ChannelOps, slack.MsgOptionText("x", false), slack.MsgOptionBlocks(image))
	wantError(t, err, "invalid_blocks")
	file, _, _, err := f.api.GetFileInfoContext(soon(t), id, 0, 0)
	if err != nil || file.Mimetype != "" || len(file.Shares.Public) != 0 {
		t.Fatalf("before the delay: %+v, %v", file, err)
	}
	f.clock.Advance(2 * time.Second)
	file, _, _, err = f.api.GetFileInfoContext(soon(t), id, 0, 0)
	if err != nil || file.Mimetype != "image/png" || len(file.Shares.Public[slackfake.ChannelOps]) != 1 {
		t.Fatalf("after the delay: %+v, %v", file, err)
	}
	if got := f.Files(); len(got) != 1 || string(got[0].Data) != "PNG!" || !got[0].Shared || got[0].ThreadTS != parent {
		t.Fatalf("files = %+v", got)
	}
	if _, _, err = f.api.PostMessageContext(soon(t), slackfake.ChannelOps, slack.MsgOptionText("x", false), slack.MsgOptionBlocks(image)); err != nil {
		t.Fatal(err)
	}
}

func TestFilesAreShownUntilTheyAreDeleted(t *testing.T) {
	f := newFixture(t)
	_, id, _ := upload(t, f)
	f.clock.Advance(2 * time.Second)
	if !strings.Contains(f.Transcript(), "      whybot: [file path.png: The path: vm to switch: lost at eth3.3092]\n") {
		t.Fatalf("transcript:\n%s", f.Transcript())
	}
	if err := f.api.DeleteFileContext(soon(t), id); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(f.Transcript(), "path.png") {
		t.Fatal("the deleted file is still shown")
	}
}

func TestUploadsAreChecked(t *testing.T) {
	f := newFixture(t)
	up, err := f.api.GetUploadURLExternalContext(soon(t), slack.GetUploadURLExternalParameters{FileName: "a.txt", FileSize: 3})
	if err != nil {
		t.Fatal(err)
	}
	err = f.api.UploadToURL(soon(t), slack.UploadToURLParameters{UploadURL: up.UploadURL, Filename: "a.txt", Content: "four"})
	if err == nil {
		t.Fatal("a wrong length was taken")
	}
	_, err = f.api.CompleteUploadExternalContext(soon(t), slack.CompleteUploadExternalParameters{Files: []slack.FileSummary{{ID: up.FileID}}, Channel: slackfake.ChannelOps})
	wantError(t, err, "file_not_found")
	_, err = f.api.CompleteUploadExternalContext(soon(t), slack.CompleteUploadExternalParameters{Files: []slack.FileSummary{{ID: up.FileID}}, ThreadTimestamp: "1795435200.000000"})
	wantError(t, err, "invalid_arguments")
	if _, err := f.api.GetUploadURLExternalContext(soon(t), slack.GetUploadURLExternalParameters{FileName: "a.png", FileSize: 3}); err != nil {
		t.Fatal(err)
	}
	wantViolation(t, f.Server, "missing_alt_text")
}
