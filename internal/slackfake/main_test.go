package slackfake_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/slack-go/slack"
	"go.uber.org/goleak"

	"whybot/internal/slackfake"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// noon is when the manual clocks of these tests start.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// fixture is a fake with a manual clock and an independent client of it.
type fixture struct {
	*slackfake.Server
	clock *slackfake.ManualClock
	api   *slack.Client
	space slackfake.Workspace
}

func newFixture(t *testing.T, change ...func(*slackfake.Options)) *fixture {
	t.Helper()
	clock := slackfake.NewManualClock(noon)
	options := slackfake.Options{Clock: clock, Workspace: slackfake.DefaultWorkspace(), PingInterval: 50 * time.Millisecond}
	for _, f := range change {
		f(&options)
	}
	s := slackfake.New(options)
	t.Cleanup(s.Close)
	return &fixture{Server: s, clock: clock, space: options.Workspace, api: clientOf(t, s, options.Workspace)}
}

func clientOf(t *testing.T, s *slackfake.Server, w slackfake.Workspace) *slack.Client {
	t.Helper()
	return slack.New(w.BotToken, slack.OptionAppLevelToken(w.AppToken), slack.OptionAPIURL(s.URL()), slack.OptionHTTPClient(httpClient(t)))
}

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func (f *fixture) post(t *testing.T, options ...slack.MsgOption) string {
	t.Helper()
	_, ts, err := f.api.PostMessageContext(soon(t), slackfake.ChannelOps, options...)
	if err != nil {
		t.Fatalf("post: %v", err)
	}
	return ts
}

// wantError asserts Slack's error code.
func wantError(t *testing.T, err error, code string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), code) {
		t.Fatalf("error = %v, want %s", err, code)
	}
}

func wantNoViolations(t *testing.T, s *slackfake.Server) {
	t.Helper()
	for _, v := range s.Violations() {
		t.Errorf("violation: %s", v)
	}
}

func wantViolation(t *testing.T, s *slackfake.Server, code string) {
	t.Helper()
	for _, v := range s.Violations() {
		if v.Code == code {
			return
		}
	}
	t.Fatalf("violations = %v, want %s", s.Violations(), code)
}

func section(id, text string) *slack.SectionBlock {
	return slack.NewSectionBlock(slack.NewTextBlockObject(slack.MarkdownType, text, false, true), nil, nil, slack.SectionBlockOptionBlockID(id))
}

func applyButton(id string) *slack.ActionBlock {
	apply := slack.NewButtonBlockElement("apply", "p-1", slack.NewTextBlockObject(slack.PlainTextType, "Apply fix", false, false))
	apply.Style = slack.StylePrimary
	word := func(s string) *slack.TextBlockObject {
		return slack.NewTextBlockObject(slack.PlainTextType, s, false, false)
	}
	apply.Confirm = slack.NewConfirmationBlockObject(word("Apply?"), word("Deletes one rule."), word("Apply"), word("Cancel"))
	later := slack.NewButtonBlockElement("later", "p-1", word("Not now"))
	return slack.NewActionBlock(id, apply, later)
}
