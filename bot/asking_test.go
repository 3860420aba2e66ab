package bot_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"whybot/bot"
	"whybot/commands"
	"whybot/internal/slackfake"
)

func TestAnswersInPrivate(t *testing.T) {
	f := newFixture(t, setup{})
	for _, c := range []struct{ command, text, want string }{
		{"/why", "help", "why can't web-1 get an IP"},
		{"/why", "", "no question in that"},
		{"/why", "hello there", "no question in that"},
		{"/why", "why no ip", "Which one is it about"},
		{"/why", "metadata service unreachable from web-1", "questions about \"metadata\" are not in it"},
		{"/timeline", "help", "Whose history?"},
		{"/timeline", "inc-99", "nothing about inc-99"},
		{"/timeline", "web-77", "nothing about web-77"},
		{"/timeline", "`<!channel>`", "nothing about"},
	} {
		f.done(f.Slash(slackfake.UserApprover2, slackfake.ChannelOps, c.command, c.text))
		f.shows(c.want, "ephemeral to "+slackfake.UserApprover2)
		f.clock.Advance(10 * time.Second)
	}
	f.wantCounts(0, 0, 0)
	for _, m := range f.Messages(slackfake.ChannelOps) {
		if m.EphemeralTo == "" {
			t.Errorf("everybody sees %q", m.Text)
		}
	}
}

func TestTimeline(t *testing.T) {
	f := newFixture(t, setup{})
	f.answered()
	f.done(f.Slash(slackfake.UserApprover, slackfake.ChannelOps, "/timeline", "inc-1"))
	f.shows("Newest events of inc-1", "asked", "verdict", "proposed", "ephemeral to "+slackfake.UserApprover)
	f.done(f.Slash(slackfake.UserApprover2, slackfake.ChannelOps, "/timeline", "web-1"))
	f.shows("Newest events of web-1", "ephemeral to "+slackfake.UserApprover2)
	golden(t, "timeline.txt", f.Transcript())
}

func TestMentionInThread(t *testing.T) {
	f := newFixture(t, setup{})
	f.done(f.Mention(slackfake.UserApprover, slackfake.ChannelOps, "", "help"))
	f.shows("/why can't web-1", "ephemeral to "+slackfake.UserApprover)
	parent := f.shows("@").TS
	d := f.done(f.Mention(slackfake.UserOperator, slackfake.ChannelOps, parent, "web-1 拿不到 IP"))
	root := f.shows("A packet filter drops the reply", "Proposed fix")
	if root.ThreadTS != parent || d.TS == root.TS {
		t.Errorf("answered in thread %q, asked in %q", root.ThreadTS, parent)
	}
	f.shows("Fix: ", "Comment the rule out")
	f.press(slackfake.UserApprover, root.TS, "apply-0")
	f.shows("Applied and verified by", "Proven")
	f.wantCounts(1, 1, 0)
	golden(t, "mention.txt", f.Transcript())
}

func TestDirectMessage(t *testing.T) {
	f := newFixture(t, setup{})
	f.done(f.Say(slackfake.UserOperator, slackfake.ChannelDM, "", "why can't web-1 get an IP?"))
	m := f.showsIn(slackfake.ChannelDM, "Proposed fix")
	if m.ThreadTS != "" {
		t.Error("the answer to a direct message is in a thread")
	}
	f.wantCounts(1, 0, 0)
}

func TestIgnored(t *testing.T) {
	f := newFixture(t, setup{})
	f.done(f.Mention(slackfake.UserOtherBot, slackfake.ChannelOps, "", "why can't web-1 get an IP"))
	f.done(f.OpenHome(slackfake.UserOperator))
	f.done(f.Shortcut(slackfake.UserOperator, "diagnose_global", "", ""))
	f.why("why can't web-1 get an IP") // by the time of this answer the others would have theirs
	f.shows("Proposed fix")
	f.wantCounts(1, 0, 0)
}

func TestStrangersAreNotAnswered(t *testing.T) {
	f := newFixture(t, setup{})
	f.done(f.Mention(slackfake.UserStranger, slackfake.ChannelShared, "", "why can't web-1 get an IP"))
	f.showsIn(slackfake.ChannelShared, "own workspace only", "ephemeral to "+slackfake.UserStranger)
	f.wantCounts(0, 0, 0)
}

func TestNotInChannel(t *testing.T) {
	f := newFixture(t, setup{})
	f.done(f.Slash(slackfake.UserOperator, slackfake.ChannelLounge, "/why", "why can't web-1 get an IP"))
	f.showsIn(slackfake.ChannelLounge, "/invite @whybot", "ephemeral to "+slackfake.UserOperator)
	f.wantCounts(0, 0, 0)
}

func TestFailedQuestion(t *testing.T) {
	f := newFixture(t, setup{})
	f.engine.during = func(context.Context, func(string)) error {
		return &commands.Error{Code: commands.CodeMissing, Public: "There is no server \"web-1\".", Hint: "Nearest names: web-10.", Err: errors.New("secret detail")}
	}
	f.why("why can't web-1 get an IP")
	f.shows("No answer about", "There is no server", "Nearest names", "inc-1")
	f.engine.during = func(context.Context, func(string)) error { return errors.New("secret detail") }
	f.why("why can't web-2 get an IP")
	f.shows("No answer about", "web-2", "Something went wrong inside whybot")
	if strings.Contains(f.Transcript(), "secret detail") {
		t.Error("the cause of an error is shown")
	}
}

func TestPanicEndsOneQuestionOnly(t *testing.T) {
	f := newFixture(t, setup{})
	f.engine.during = func(context.Context, func(string)) error { panic("boom") }
	f.why("why can't web-1 get an IP")
	f.shows("Something went wrong inside whybot", "ephemeral to "+slackfake.UserOperator)
	f.logged("panicked")
	f.engine.during = nil
	f.why("why can't web-2 get an IP")
	f.shows("web-2", "Proposed fix")
}

func TestTooManyQuestions(t *testing.T) {
	f := newFixture(t, setup{})
	f.engine.answer = commands.Answer{Verdict: cured} // no evidence to wait for
	for i := range 12 {
		f.why(fmt.Sprintf("why can't web-%d get an IP", i))
	}
	f.shows("many questions at once", "ephemeral to "+slackfake.UserOperator)
	f.wantCounts(10, 0, 0)
}

// TestBusy fills the question lane: what has no room is told so, and a click
// still works.
func TestBusy(t *testing.T) {
	f := newFixture(t, setup{tune: func(o *bot.Options) { o.Workers = 1 }})
	root := f.answered()
	release := make(chan struct{})
	f.engine.during = func(ctx context.Context, _ func(string)) error {
		select {
		case <-release:
		case <-ctx.Done():
		}
		return nil
	}
	for i, user := range []string{slackfake.UserOperator, slackfake.UserApprover2, slackfake.UserGuest} {
		for j := range 5 {
			f.done(f.Slash(user, slackfake.ChannelOps, "/why", fmt.Sprintf("why can't web-%d%d get an IP", i, j)))
		}
	}
	f.shows("busy with other questions")
	f.press(slackfake.UserApprover, root.TS, "apply-0")
	f.shows("Being applied by")
	close(release)
	f.shows("Applied and verified")
}

// TestHostileNames puts what would ping, format or break the layout wherever a
// name can come from.
func TestHostileNames(t *testing.T) {
	names := []string{
		"<!channel>", "<!here|here>", "<@U0APPROVER>", "<!subteam^S0APPROVERS>", "```\n@everyone\n```", "`<!channel>`", "*bold*_it_~x~",
		"\u202egnp.exe", "a\u0000b\x1b[31mred", "https://evil.example/?q=<!channel>", "&lt;!channel&gt;", "<https://evil.example|login>", strings.Repeat("長い名", 1400),
	}
	for i, name := range names {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			f := newFixture(t, setup{rule: func(r *commands.Rule) { r.Groups = nil }})
			a := blockedReply()
			a.VM = name
			a.Verdict.Summary, a.Verdict.Missing = "rule "+name+" drops", name
			a.Verdict.Edge = &commands.EdgeJSON{From: name, To: name, Direction: commands.Reply}
			a.Path[0].Device, a.Path[1].Why, a.Path[1].Observed = name, name, false
			a.Findings[0].Summary, a.Findings[0].Evidence[0] = name, commands.Evidence{Source: name, Text: name + "\n" + name}
			a.Findings[0].Advice, a.Notes = []string{name}, []string{name}
			a.Unknown[0] = commands.Blind{What: name, Why: name}
			a.Checked[0].What = name
			for i := range a.Fixes {
				a.Fixes[i].Title, a.Fixes[i].Touches = name, []string{name}
				a.Fixes[i].Commands, a.Fixes[i].Undo = []string{name}, []string{name}
			}
			f.engine.answer = a
			f.why("why can't web-1 get an IP")
			root := f.shows("DHCP-01", "Certainty")
			f.shows("Evidence of inc-1, part 1")
			wantSmall(t, f, root)
			f.press(slackfake.UserApprover, root.TS, "apply-0")
			f.shows("Nobody may decide", "ephemeral to "+slackfake.UserApprover)
			f.done(f.Slash(slackfake.UserApprover, slackfake.ChannelOps, "/timeline", "inc-1"))
			f.shows("Newest events of inc-1")
			f.wantCounts(1, 0, 0)
			for _, m := range f.AllMentions() {
				if m.Kind != slackfake.MentionUser || m.Value != slackfake.UserOperator {
					t.Errorf("a name became %v", m)
				}
			}
			for _, r := range f.Transcript() {
				if r == '\u202e' || r == '\x1b' || r == 0 {
					t.Errorf("%U is shown", r)
				}
			}
		})
	}
}

// wantSmall asserts that a root message fits a phone.
func wantSmall(t *testing.T, f *fixture, root slackfake.Message) {
	t.Helper()
	var blocks []json.RawMessage
	if err := json.Unmarshal(root.Blocks, &blocks); err != nil || len(blocks) > 7 {
		t.Errorf("%d blocks, %v", len(blocks), err)
	}
	shown := strings.TrimPrefix(seen(root), root.Text)
	if n := utf8.RuneCountInString(shown); n > 1500 {
		t.Errorf("%d characters", n)
	}
	if b := f.Buttons(root.Channel, root.TS); len(b) > 3 {
		t.Errorf("%d buttons", len(b))
	}
}

func TestChineseQuestion(t *testing.T) {
	f := newFixture(t, setup{})
	f.why("web-1 为什么拿不到IP地址？")
	root := f.shows("A packet filter drops the reply")
	if !strings.Contains(seen(root), "web-1") {
		t.Errorf("the VM's name is lost: %s", seen(root))
	}
	f.wantCounts(1, 0, 0)
}

// TestLargeEvidence has more evidence than fits the thread: it is cut there, and
// a file has all of it.
func TestLargeEvidence(t *testing.T) {
	f := newFixture(t, setup{})
	var rules strings.Builder
	for i := range 400 {
		fmt.Fprintf(&rules, "-A FORWARD -s 10.0.0.%d -j DROP\n", i)
	}
	f.engine.answer.Findings[0].Evidence = append(f.engine.answer.Findings[0].Evidence,
		commands.Evidence{Source: "compute01: iptables-save", Text: rules.String()}, commands.Evidence{Source: "a", Text: "b"}, commands.Evidence{Source: "c", Text: "the last word"})
	f.why("why can't web-1 get an IP")
	f.shows("[cut]")
	f.wantCounts(1, 0, 0) // waits for the file, too
	files := f.Files()
	if len(files) != 1 || !strings.Contains(string(files[0].Data), "10.0.0.399") || !strings.Contains(string(files[0].Data), "the last word") {
		t.Fatalf("files: %v", files)
	}
	if root := f.shows("Proposed fix"); files[0].ThreadTS != root.TS {
		t.Errorf("the file is in thread %q", files[0].ThreadTS)
	}
}

func TestUnknownVerdict(t *testing.T) {
	f := newFixture(t, setup{})
	a := blockedReply()
	a.Verdict = commands.Verdict{State: commands.Unclear, Title: "Not enough could be seen", Summary: "The packets could not be followed on controller01.", Missing: "tcpdump on controller01"}
	a.Findings, a.Fixes = nil, nil
	f.engine.answer = a
	f.why("why can't web-1 get an IP")
	root := f.shows("Not enough could be seen", "unknown", "Missing fact:", "Not seen:", "tcpdump: program missing")
	if b := f.Buttons(slackfake.ChannelOps, root.TS); len(b) != 0 {
		t.Errorf("buttons without a fix: %v", b)
	}
	f.shows("Could not be seen")
	golden(t, "unknown.txt", f.Transcript())
}

// TestProgressIsCoalesced tells a hundred lines in three seconds.
func TestProgressIsCoalesced(t *testing.T) {
	f := newFixture(t, setup{})
	f.engine.during = func(ctx context.Context, tell func(string)) error {
		for i := range 100 {
			tell(fmt.Sprintf("line %d", i))
			time.Sleep(25 * time.Millisecond)
		}
		return nil
	}
	f.why("why can't web-1 get an IP")
	root := f.shows("Proposed fix")
	states := f.History(slackfake.ChannelOps, root.TS)
	// The first paint, at most one for each second, and the verdict.
	if n := len(states); n < 3 || n > 2+4 {
		t.Errorf("%d states of the root message", n)
	}
	for i, s := range states[:len(states)-1] {
		if strings.Contains(s.Text, "packet filter") {
			t.Errorf("state %d of %d is the verdict already: something was drawn after it", i, len(states))
		}
	}
}
