package bot

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/slack-go/slack/socketmode"
)

// TestNotUnderstood acknowledges what slack-go cannot read: Slack would bring
// it again and again.
func TestNotUnderstood(t *testing.T) {
	s := &socketMode{b: &Bot{log: slog.New(slog.DiscardHandler)}}
	for raw, want := range map[string]string{
		`{"envelope_id":"e-1","type":"of_tomorrow"}`: "e-1", `{"type":"of_tomorrow"}`: "", `not json`: "",
	} {
		bad := &socketmode.ErrorBadMessage{Message: json.RawMessage(raw), Cause: io.ErrUnexpectedEOF}
		envelope, r := s.translate(socketmode.Event{Type: socketmode.EventTypeErrorBadMessage, Data: bad})
		if envelope != want || r != nil {
			t.Errorf("%s: envelope %q, request %v", raw, envelope, r)
		}
	}
	if envelope, r := s.translate(socketmode.Event{Type: socketmode.EventTypeEventsAPI}); envelope != "" || r != nil {
		t.Errorf("an event without a request: %q, %v", envelope, r)
	}
}

// TestSocketAddress refuses plain text to anywhere but this machine.
func TestSocketAddress(t *testing.T) {
	for address, ok := range map[string]bool{
		"wss://wss-primary.slack.com/link/?ticket=1": true, "ws://127.0.0.1:1/link": true, "ws://[::1]:1/link": true,
		"ws://slack.example/link": false, "http://127.0.0.1/": false, "wss://u@slack.com/": false, "ws://127.0.0.1.evil.example/": false,
	} {
		body := `{"ok":true,"url":"` + address + `"}`
		resp, err := checkedOpen(&http.Response{Body: io.NopCloser(strings.NewReader(body))})
		if (err == nil) != ok {
			t.Errorf("%s: %v", address, err)
		}
		if err != nil {
			continue
		}
		if got, _ := io.ReadAll(resp.Body); string(got) != body {
			t.Errorf("the answer became %q", got)
		}
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestTrustedHooks answers only to Slack, or to the stand-in in its place.
func TestTrustedHooks(t *testing.T) {
	real, fake := &sender{apiURL: slackAPI}, &sender{apiURL: "http://127.0.0.1:4103/api/"}
	for hook, want := range map[string][2]bool{
		"https://hooks.slack.com/commands/T1/2/x":          {true, true},
		"http://127.0.0.1:4103/commands/T1/2":              {false, true},
		"http://127.0.0.1:22/":                             {false, false},
		"http://hooks.slack.com/x":                         {false, false},
		"https://hooks.slack.com.evil.example/x":           {false, false},
		"https://hooks.slack.com@evil.example/x":           {false, false},
		"https://user@hooks.slack.com/x":                   {false, false},
		"https://hooks.slack.com:8443/x":                   {false, false},
		"https://slack.com/api/chat.postMessage":           {false, false},
		"http://169.254.169.254/latest/meta-data":          {false, false},
		"http://2130706433:4103/commands":                  {false, false},
		"file:///etc/passwd":                               {false, false},
		"":                                                 {false, false},
		"://":                                              {false, false},
		"https://hooks.slack.com\\@evil.example/commands/": {false, false},
	} {
		if got := [2]bool{real.trusted(hook), fake.trusted(hook)}; got != want {
			t.Errorf("%q: %v, want %v", hook, got, want)
		}
	}
}

func TestThrottle(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	th := newThrottle(func() time.Time { return now })
	ask := func(who string, n int) (taken int) {
		for range n {
			if th.take(who) {
				taken++
			}
		}
		return taken
	}
	if got := ask("a", 20); got != questionBurst {
		t.Errorf("%d at once", got)
	}
	if got := ask("b", 1); got != 1 {
		t.Error("one person's questions count for another")
	}
	now = now.Add(2 * questionEvery)
	if got := ask("a", 20); got != 2 {
		t.Errorf("%d after a while", got)
	}
	now = now.Add(time.Hour)
	if ask("c", 1); len(th.full) != 1 {
		t.Errorf("%d people are remembered", len(th.full))
	}
}

// TestProseShowsNames puts names, and only whole names, into code spans.
func TestProseShowsNames(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"web-1 is on compute01.", "`web-1`| is on |`compute01`|."},
		{"web-10 is not web-1", "web-10 is not |`web-1`"},
		{"compute01/eth1.10: lost", "`compute01/eth1.10`|: lost"},
		{"see compute01/.", "see |`compute01`|/."},
		{"為web-1而設", "為|`web-1`|而設"},
		{"", ""},
	} {
		r := newRich([]string{"web-1", "compute01", "", "x"}).prose(c.text, 100)
		var got []string
		for _, e := range r.line {
			raw, _ := json.Marshal(e)
			var x struct {
				Text  string
				Style struct{ Code bool }
			}
			_ = json.Unmarshal(raw, &x)
			if x.Style.Code {
				x.Text = "`" + x.Text + "`"
			}
			got = append(got, x.Text)
		}
		if s := strings.Join(got, "|"); s != c.want {
			t.Errorf("%q: %s, want %s", c.text, s, c.want)
		}
	}
}

func TestLinesSayWhenCut(t *testing.T) {
	for _, c := range []struct {
		text  string
		limit int
		want  string
		whole bool
	}{
		{"a\r\nb\tc\x1b[0m\n", 100, "a\nb    c[0m", true},
		{"abc", 2, "ab…", false},
		{"長い名前", 3, "長い名…", false},
		{"", 3, "", true},
		{"1\n2\n3\n4", 4, "1\n2", false},
	} {
		if got, whole := lines(c.text, c.limit); got != c.want || whole != c.whole {
			t.Errorf("%q to %d: %q %v", c.text, c.limit, got, whole)
		}
	}
}
