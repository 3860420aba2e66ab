package main

import (
	"os"
	"strings"
	"testing"

	"whybot/commands"
)

// slackScene is a scene with a slack section: its tokens are never used, and
// its Slack is a port on which nothing listens.
func slackScene(t *testing.T, approvals string) *scene {
	t.Helper()
	s := newScene(t)
	s.write("bot", "xoxb-1\n")
	s.write("app", "xapp-1\n")
	s.configure("slack:\n  bot_token_file: bot\n  app_token_file: app\n  api_url: http://127.0.0.1:1/api/\n" +
		"  approvers: {users: [U0NAMED], groups: [S0OPS]}\n  channels: [C0OPS]\n" + approvals)
	return s
}

const strict = `approvals:
  classes:
    F2: {needed: 2, asker_may_approve: false, terminal: deny}
  fixes:
    delete-rule: {users: [U0SENIOR], terminal: [alice]}
  break_glass: {users: [U0CHIEF], terminal: [chief], channel: C0WAR}
  people: {ann: [U0NAMED, "terminal:ann"]}
`

func TestPolicyTest(t *testing.T) {
	s := slackScene(t, strict)
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"--user U0NAMED --channel C0OPS --fix link-up", exitAnswered, "ALLOWED This approval is enough."},
		{"--user U0NAMED --channel C0LOUNGE --fix link-up", exitFailed, "REFUSED This fix is not decided on in this channel."},
		{"--user U0NAMED --fix link-up", exitFailed, "not decided on in this channel"},
		{"--user U0OTHER --channel C0OPS --fix link-up", exitFailed, "Membership in S0OPS is not known here"},
		{"--user U0OTHER --channel C0OPS --fix link-up --groups S0OPS,S0X", exitAnswered, "ALLOWED"},
		{"--user U0OTHER --channel C0OPS --fix link-up --groups S0X", exitFailed, "not among those who may approve"},
		{"--user U0NAMED --channel C0OPS --fix link-up --class F2", exitAnswered, "counts as 1 of the 2 that are needed"},
		{"--user U0NAMED --channel C0OPS --class f2 --asker terminal:ann", exitFailed, "Whoever asked may not approve here"},
		{"--user U0NAMED --channel C0OPS --class F1 --asker U0NAMED", exitAnswered, "ALLOWED"},
		{"--user U0NAMED --channel C0OPS --class F3", exitFailed, "are advice"},
		{"--user U0NAMED --channel C0OPS --fix delete-rule --groups S0OPS", exitFailed, "not among those"},
		{"--user U0SENIOR --channel C0OPS --fix delete-rule", exitAnswered, "in Slack U0SENIOR; in C0OPS"},
		{"--user terminal:bob --fix link-up", exitAnswered, "everyone who can read the configuration"},
		{"--user terminal:bob --fix delete-rule", exitFailed, "bob may not approve in the terminal"},
		{"--user terminal:alice --fix delete-rule", exitAnswered, "in terminal alice"},
		{"--user terminal:alice --class F2", exitFailed, "alice may not approve in the terminal"},
		{"--user U0CHIEF --channel C0OPS --class F2 --break-glass", exitAnswered, "break-glass U0CHIEF, terminal:chief; C0WAR is told"},
		{"--user terminal:chief --class F2 --break-glass", exitAnswered, "ALLOWED"},
		{"--user U0NAMED --channel C0OPS --class F2 --break-glass", exitFailed, "not among those who may break the glass"},
	} {
		r := s.run(append([]string{"policy", "test"}, strings.Fields(c.args)...)...)
		if out := strings.Join(strings.Fields(r.out), " "); r.code != c.code || !strings.Contains(out, c.says) {
			t.Errorf("%s: exit code %d, want %d with %q:\n%s%s", c.args, r.code, c.code, c.says, r.out, r.err)
		}
	}
	if _, err := os.Stat(s.path("whybot.db")); err == nil {
		t.Error("a store was made for a question about the configuration")
	}
}

func TestPolicyUsage(t *testing.T) {
	s := slackScene(t, strict)
	for args, says := range map[string]string{
		"": "policy can test", "show": "policy can test", "test": "needs --user", "test --user U0X": "needs --fix",
		"test --user U0X --fix delete-rules": `there is no fix "delete-rules"`, "test --user U0X --class F7": `there is no class "F7"`,
		"test --user U0X --who U0Y": "policy has no flag --who",
	} {
		s.run(append([]string{"policy"}, strings.Fields(args)...)...).want(t, exitUsage, "", says)
	}
	bad := slackScene(t, "approvals:\n  fixes:\n    delete-rules: {needed: 2, terminal: deny}\n")
	bad.run("policy", "test", "--user", "U0X", "--class", "F1").want(t, exitUsage, "", "approvals.fixes.delete-rules: whybot has no such fix; did you mean delete-rule?")
	bad.run("timeline").want(t, exitUsage, "", "whybot.yaml:13:5")
}

// Two people are needed: one name counts once, two names in all, and what a
// relaxed configuration would say does not matter to what is on offer.
func TestTerminalApprovalsOfTwo(t *testing.T) {
	s := newScene(t)
	s.configure("approvals: {needed: 2, terminal: [alice, bob, annie], people: {ann: [\"terminal:alice\", \"terminal:annie\"]}}\n")
	p := s.propose(func(p *commands.Proposal) { p.Approvals = 2 })
	apply := func(as string) result { return s.run("fix", "apply", p.ID, "--yes", "--as", as) }
	s.run("fix", "show", p.ID).want(t, exitAnswered, "Needs 2 people; 0 agreed.", "")
	apply("mallory").want(t, exitFailed, "", "mallory may not approve in the terminal")
	apply("alice").want(t, exitFailed, "", "1 of 2 people have agreed")
	apply("alice").want(t, exitFailed, "", "approved this already")
	apply("annie").want(t, exitFailed, "", "approved this already")
	s.configure("approvals: {needed: 1}\n")
	if got := s.stored(p.ID); got.State != commands.Proposed || len(got.Approved) != 1 || got.Approvals != 2 {
		t.Fatalf("stored %+v", got)
	}
	// The node of this scene does not answer: getting that far is what counts.
	apply("bob").want(t, exitFailed, "", "could not be read")
	if got := s.stored(p.ID); got.State != commands.Refused || len(got.Approved) != 2 {
		t.Errorf("stored %+v", got)
	}
}

// A configuration that asks for more people than when the fix was offered wins.
func TestTightenedConfigurationWins(t *testing.T) {
	s := newScene(t)
	p := s.propose(nil)
	s.configure("approvals: {needed: 2, terminal: [alice, bob]}\n")
	s.run("fix", "apply", p.ID, "--yes", "--as", "alice").want(t, exitFailed, "", "1 of 2 people have agreed")
	s.configure("")
	s.run("fix", "apply", p.ID, "--yes", "--as", "alice").want(t, exitFailed, "", "approved this already")
	if got := s.stored(p.ID); got.State != commands.Proposed || got.Approvals != 2 {
		t.Errorf("stored %+v", got)
	}
}

func TestBreakGlassAtTheTerminal(t *testing.T) {
	s := slackScene(t, strict)
	p := s.propose(func(p *commands.Proposal) { p.Class, p.Approvals = commands.F2, 2 })
	apply := func(args ...string) result {
		return s.run(append([]string{"fix", "apply", p.ID, "--yes"}, args...)...)
	}
	apply("--break-glass", "--as", "chief").want(t, exitUsage, "", "needs --reason")
	s.run("fix", "undo", p.ID, "--yes", "--break-glass", "--reason", "x").want(t, exitUsage, "", "--break-glass is for fix apply")
	apply("--as", "chief").want(t, exitFailed, "", "--break-glass --reason TEXT")
	apply("--as", "mallory", "--break-glass", "--reason", "fire").want(t, exitFailed, "", "mallory may not break the glass")
	// The channel is in a Slack that does not answer: nothing may happen.
	apply("--as", "chief", "--break-glass", "--reason", "payments are down\x1b[31m").want(t, exitFailed, "", "could not be told, so nothing was changed")
	if got := s.stored(p.ID); got.State != commands.Proposed || len(got.Approved) != 0 {
		t.Errorf("stored %+v", got)
	}
	r := s.run("timeline", p.Incident)
	words := strings.Join(strings.Fields(r.out), " ")
	for _, want := range []string{"alarm chief (terminal): break-glass: " + p.Title + ": payments are down[31m", "nobody could be told", "refused: mallory"} {
		if !strings.Contains(words, want) {
			t.Errorf("the timeline does not say %q:\n%s", want, r.out)
		}
	}
	s.run("timeline", "verify").want(t, exitAnswered, "every hash and link is right", "")
}
