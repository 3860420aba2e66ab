package bot_test

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"whybot/bot"
	"whybot/internal/slackfake"
)

const secret = "8f742231b10e8888abcd99yyyzzz85a5"

// newHTTPFixture is a workspace that posts signed requests.
func newHTTPFixture(t *testing.T) *fixture {
	t.Helper()
	var f *fixture
	ready := make(chan struct{})
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-ready
		f.bot.Handler().ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	f = newFixture(t, setup{
		slack: func(o *slackfake.Options) {
			o.HTTP = &slackfake.HTTPTarget{EventsURL: front.URL, CommandsURL: front.URL, InteractivityURL: front.URL, SigningSecret: secret}
		},
		tune: func(o *bot.Options) { o.Mode, o.SigningSecret, o.AppToken = bot.HTTP, secret, "" },
	})
	close(ready)
	f.logged("connected to Slack")
	return f
}

func TestHTTPConversation(t *testing.T) {
	f := newHTTPFixture(t)
	if err := f.VerifyURL(f.soon()); err != nil {
		t.Fatal(err)
	}
	root := f.answered()
	f.press(slackfake.UserApprover, root.TS, "apply-0")
	f.shows("Applied and verified")
	f.done(f.Mention(slackfake.UserOperator, slackfake.ChannelOps, "", "why can't web-2 get an IP"))
	f.shows("web-2", "Proposed fix")
	f.wantCounts(2, 1, 0)
}

// TestHTTPUnrecorded refuses what the store did not take: Slack brings it again.
func TestHTTPUnrecorded(t *testing.T) {
	f := newHTTPFixture(t)
	f.memory.refuse(1)
	d := f.done(f.Mention(slackfake.UserOperator, slackfake.ChannelOps, "", "why can't web-1 get an IP"))
	if a := d.Attempts(); len(a) != 2 || a[0].Result != "http_error" {
		t.Errorf("attempts: %+v", a)
	}
	f.shows("Proposed fix")
	f.wantCounts(1, 0, 0)
}

// signedBody is a valid question and its headers.
func signedBody(at time.Time, trigger string) ([]byte, http.Header) {
	body := []byte(url.Values{
		"command": {"/why"}, "text": {"why can't web-1 get an IP"}, "team_id": {"T0HOME"}, "channel_id": {slackfake.ChannelOps},
		"user_id": {slackfake.UserOperator}, "trigger_id": {trigger},
	}.Encode())
	stamp, signature := slackfake.Sign(secret, at.Unix(), body)
	h := http.Header{}
	h.Set("Content-Type", "application/x-www-form-urlencoded")
	h.Set("X-Slack-Request-Timestamp", stamp)
	h.Set("X-Slack-Signature", signature)
	return body, h
}

// send hands one request to the handler.
func send(f *fixture, h http.Header, body io.Reader) int {
	r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/", body)
	r.Header = h
	w := httptest.NewRecorder()
	f.bot.Handler().ServeHTTP(w, r)
	return w.Code
}

func TestForgedRequests(t *testing.T) {
	f := newHTTPFixture(t)
	for name, c := range map[string]struct {
		change func(body *[]byte, h http.Header)
		want   int
	}{
		"tampered body":       {func(b *[]byte, _ http.Header) { (*b)[3] ^= 1 }, 401},
		"longer body":         {func(b *[]byte, _ http.Header) { *b = append(*b, "&x=1"...) }, 401},
		"no signature":        {func(_ *[]byte, h http.Header) { h.Del("X-Slack-Signature") }, 401},
		"no time":             {func(_ *[]byte, h http.Header) { h.Del("X-Slack-Request-Timestamp") }, 401},
		"empty signature":     {func(_ *[]byte, h http.Header) { h.Set("X-Slack-Signature", "v0=") }, 401},
		"other version":       {func(_ *[]byte, h http.Header) { h.Set("X-Slack-Signature", "v1"+h.Get("X-Slack-Signature")[2:]) }, 401},
		"not hex":             {func(_ *[]byte, h http.Header) { h.Set("X-Slack-Signature", "v0=zz") }, 401},
		"two signatures":      {func(_ *[]byte, h http.Header) { h.Add("X-Slack-Signature", h.Get("X-Slack-Signature")) }, 401},
		"two times":           {func(_ *[]byte, h http.Header) { h.Add("X-Slack-Request-Timestamp", "0") }, 401},
		"time not a number":   {func(_ *[]byte, h http.Header) { h.Set("X-Slack-Request-Timestamp", "now") }, 401},
		"301 s old":           {func(b *[]byte, h http.Header) { *b = resign(h, *b, noon.Add(-301*time.Second), secret) }, 401},
		"301 s ahead":         {func(b *[]byte, h http.Header) { *b = resign(h, *b, noon.Add(301*time.Second), secret) }, 401},
		"other secret":        {func(b *[]byte, h http.Header) { *b = resign(h, *b, noon, "other") }, 401},
		"1 MiB and a byte":    {func(b *[]byte, h http.Header) { *b = resign(h, make([]byte, 1<<20+1), noon, secret) }, 413},
		"other content type":  {func(_ *[]byte, h http.Header) { h.Set("Content-Type", "text/plain") }, 415},
		"no content type":     {func(_ *[]byte, h http.Header) { h.Del("Content-Type") }, 415},
		"as it came":          {func(*[]byte, http.Header) {}, 200},
		"299 s old":           {func(b *[]byte, h http.Header) { *b = resign(h, *b, noon.Add(-299*time.Second), secret) }, 200},
		"unintelligible":      {func(b *[]byte, h http.Header) { *b = resign(h, []byte("payload=%7B"), noon, secret) }, 200},
		"nothing of interest": {func(b *[]byte, h http.Header) { *b = resign(h, []byte("ssl_check=1"), noon, secret) }, 200},
	} {
		body, h := signedBody(noon, "trigger")
		c.change(&body, h)
		if got := send(f, h, bytes.NewReader(body)); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
		// Of unknown length, as with chunks.
		if got := send(f, h, io.MultiReader(bytes.NewReader(body))); got != c.want {
			t.Errorf("%s, in chunks: %d, want %d", name, got, c.want)
		}
	}
	f.shows("Proposed fix")
	f.wantCounts(1, 0, 0) // the one trigger, however often
}

func resign(h http.Header, body []byte, at time.Time, key string) []byte {
	stamp, signature := slackfake.Sign(key, at.Unix(), body)
	h.Set("X-Slack-Request-Timestamp", stamp)
	h.Set("X-Slack-Signature", signature)
	return body
}

// TestMutatedRequests flips bits everywhere: nothing gets through.
func TestMutatedRequests(t *testing.T) {
	f := newHTTPFixture(t)
	for i := range 10000 {
		body, h := signedBody(noon, "trigger")
		n := rand.IntN(8 * len(body))
		switch i % 3 {
		case 0:
			body[n/8] ^= 1 << (n % 8)
		case 1:
			sig := []byte(h.Get("X-Slack-Signature"))
			sig[n%len(sig)] ^= 2 // never only the case of a digit
			h.Set("X-Slack-Signature", string(sig))
		case 2:
			h.Set("X-Slack-Request-Timestamp", h.Get("X-Slack-Request-Timestamp")+"0")
		}
		if got := send(f, h, bytes.NewReader(body)); got != 401 {
			t.Fatalf("mutation %d: %d", i, got)
		}
	}
	f.wantCounts(0, 0, 0)
}

// TestReplay sends one valid request again, at once and after a restart.
func TestReplay(t *testing.T) {
	f := newHTTPFixture(t)
	body, h := signedBody(noon, "trigger")
	for range 5 {
		if got := send(f, h, bytes.NewReader(body)); got != 200 {
			t.Fatal(got)
		}
	}
	f.shows("Proposed fix")
	before := strings.Count(f.logs.String(), "connected to Slack")
	f.restart()
	for range 500 {
		if strings.Count(f.logs.String(), "connected to Slack") > before {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if got := send(f, h, bytes.NewReader(body)); got != 200 {
		t.Fatal(got)
	}
	f.clock.Advance(301 * time.Second)
	if got := send(f, h, bytes.NewReader(body)); got != 401 {
		t.Fatal(got)
	}
	f.wantCounts(1, 0, 0)
}

// TestListen lets Run itself listen, and ends it while a request is under way.
func TestListen(t *testing.T) {
	f := newFixture(t, setup{tune: func(o *bot.Options) {
		o.Mode, o.SigningSecret, o.AppToken, o.Listen = bot.HTTP, secret, "", "127.0.0.1:1x"
	}})
	f.logged("connected to Slack")
	if err := f.halt(); err == nil || !strings.Contains(err.Error(), "slack.listen") {
		t.Errorf("Run on an impossible address: %v", err)
	}
	f.stop()
	f.tune = func(o *bot.Options) {
		o.Mode, o.SigningSecret, o.AppToken, o.Listen = bot.HTTP, secret, "", "127.0.0.1:0"
	}
	f.start()
	if got := send(f, http.Header{}, strings.NewReader("")); got != 415 {
		t.Error(got)
	}
}
