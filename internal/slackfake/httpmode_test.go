package slackfake_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"whybot/internal/slackfake"
)

const signingSecret = "shhh"

// receiver is an app that listens over HTTP.
type receiver struct {
	mu      sync.Mutex
	headers []http.Header
	bodies  []string
	reply   func(http.ResponseWriter, string)
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	r.mu.Lock()
	r.headers, r.bodies = append(r.headers, req.Header.Clone()), append(r.bodies, string(body))
	reply := r.reply
	r.mu.Unlock()
	if reply != nil {
		reply(w, string(body))
	}
}

func (r *receiver) last() (http.Header, string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.headers[len(r.headers)-1], r.bodies[len(r.bodies)-1]
}

func newHTTPFixture(t *testing.T, reply func(http.ResponseWriter, string)) (*fixture, *receiver) {
	t.Helper()
	r := &receiver{reply: reply}
	app := httptest.NewServer(r)
	t.Cleanup(app.Close)
	f := newFixture(t, func(o *slackfake.Options) {
		o.HTTP = &slackfake.HTTPTarget{EventsURL: app.URL, CommandsURL: app.URL, InteractivityURL: app.URL, SigningSecret: signingSecret}
	})
	return f, r
}

func TestHTTPDeliveriesAreSigned(t *testing.T) {
	f, r := newHTTPFixture(t, func(w http.ResponseWriter, _ string) { _, _ = io.WriteString(w, "On it.") })
	d, err := f.Slash(slackfake.UserOperator, slackfake.ChannelOps, "/why", "x")
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Wait(soon(t)); err != nil {
		t.Fatal(err)
	}
	header, body := r.last()
	form, err := url.ParseQuery(body)
	if err != nil || form.Get("command") != "/why" || form.Get("response_url") != d.ResponseURL {
		t.Fatalf("body %q, %v", body, err)
	}
	timestamp, signature := slackfake.Sign(signingSecret, noon.Unix(), []byte(body))
	if header.Get("X-Slack-Request-Timestamp") != timestamp || header.Get("X-Slack-Signature") != signature {
		t.Fatalf("header %v", header)
	}
	if !strings.Contains(f.Transcript(), "whybot (only operator sees this): On it.") {
		t.Fatalf("transcript:\n%s", f.Transcript())
	}
}

func TestSignatureAgreesWithAnIndependentVerifier(t *testing.T) {
	body := []byte("payload=%7B%7D")
	timestamp, signature := slackfake.Sign(signingSecret, time.Now().Unix(), body)
	verifier, err := slack.NewSecretsVerifier(http.Header{"X-Slack-Request-Timestamp": {timestamp}, "X-Slack-Signature": {signature}}, signingSecret)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = verifier.Write(body)
	if err := verifier.Ensure(); err != nil {
		t.Fatal(err)
	}
}

func TestHTTPEventsAreRetried(t *testing.T) {
	f, r := newHTTPFixture(t, func(w http.ResponseWriter, _ string) { w.WriteHeader(http.StatusBadGateway) })
	d, err := f.Mention(slackfake.UserOperator, slackfake.ChannelOps, "", "x")
	if err != nil {
		t.Fatal(err)
	}
	// The first retry follows at once, the others after one and after five minutes.
	for _, next := range []struct {
		attempts int
		wait     time.Duration
	}{{2, time.Minute}, {3, 5 * time.Minute}} {
		waitFor(t, func() bool {
			a := d.Attempts()
			return len(a) == next.attempts && a[next.attempts-1].Result == "http_error"
		})
		f.clock.Advance(next.wait)
	}
	if err := d.Wait(soon(t)); err == nil {
		t.Fatal("an app that answers 502 was taken as acknowledging")
	}
	header, _ := r.last()
	if header.Get("X-Slack-Retry-Num") != "3" || header.Get("X-Slack-Retry-Reason") != "http_error" {
		t.Fatalf("header %v", header)
	}
}

func TestNoRetryHeaderStopsRetries(t *testing.T) {
	f, _ := newHTTPFixture(t, func(w http.ResponseWriter, _ string) {
		w.Header().Set("X-Slack-No-Retry", "1")
		w.WriteHeader(http.StatusInternalServerError)
	})
	d, err := f.Mention(slackfake.UserOperator, slackfake.ChannelOps, "", "x")
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Wait(soon(t)); err == nil || len(d.Attempts()) != 1 {
		t.Fatalf("%v, %+v", err, d.Attempts())
	}
}

func TestHTTPTimeoutAndClose(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	f, _ := newHTTPFixture(t, func(http.ResponseWriter, string) { <-hang })
	d, err := f.Slash(slackfake.UserOperator, slackfake.ChannelOps, "/why", "x")
	if err != nil {
		t.Fatal(err)
	}
	f.clock.Advance(3 * time.Second)
	if err := d.Wait(soon(t)); err == nil || d.Attempts()[0].Result != "http_timeout" {
		t.Fatalf("%v, %+v", err, d.Attempts())
	}
	if _, err := f.Mention(slackfake.UserOperator, slackfake.ChannelOps, "", "x"); err != nil {
		t.Fatal(err)
	}
	f.Close() // Must not wait for the app.
}

func TestURLVerification(t *testing.T) {
	f, _ := newHTTPFixture(t, func(w http.ResponseWriter, body string) {
		var in map[string]string
		_ = json.Unmarshal([]byte(body), &in)
		_, _ = io.WriteString(w, in["challenge"])
	})
	if err := f.VerifyURL(soon(t)); err != nil {
		t.Fatal(err)
	}
	wrong, _ := newHTTPFixture(t, func(w http.ResponseWriter, _ string) { _, _ = io.WriteString(w, "hello") })
	if err := wrong.VerifyURL(soon(t)); err == nil {
		t.Fatal("a wrong answer passed")
	}
}
