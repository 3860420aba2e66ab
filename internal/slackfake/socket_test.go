package slackfake_test

import (
	"context"
	"encoding/json"
	"io"
	"log"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/slack-go/slack"
	"github.com/slack-go/slack/slackevents"
	"github.com/slack-go/slack/socketmode"

	"whybot/internal/slackfake"
)

// app is a Socket Mode client that acknowledges what the test lets it.
type app struct {
	mute atomic.Bool // While set, nothing is acknowledged.
	seen chan socketmode.Event
}

// listen runs a Socket Mode client until the test ends.
func (f *fixture) listen(t *testing.T, answer any) *app {
	t.Helper()
	a := &app{seen: make(chan socketmode.Event, 64)}
	client := socketmode.New(f.api, socketmode.OptionPingInterval(2*time.Second), socketmode.OptionLog(log.New(io.Discard, "", 0)))
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = client.RunContext(ctx) })
	running.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case e := <-client.Events:
				a.take(ctx, client, e, answer)
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return a
}

// connected is a fixture with an app that listens.
func connected(t *testing.T) (*fixture, *app) {
	t.Helper()
	f := newFixture(t)
	a := f.listen(t, nil)
	if err := f.WaitSockets(soon(t), 1); err != nil {
		t.Fatal(err)
	}
	return f, a
}

func (a *app) take(ctx context.Context, client *socketmode.Client, e socketmode.Event, answer any) {
	if e.Request == nil || e.Request.EnvelopeID == "" {
		return
	}
	if !a.mute.Load() {
		payload := answer
		if !e.Request.AcceptsResponsePayload {
			payload = nil
		}
		_ = client.AckCtx(ctx, e.Request.EnvelopeID, payload)
	}
	a.seen <- e
}

func (a *app) next(t *testing.T) socketmode.Event {
	t.Helper()
	select {
	case e := <-a.seen:
		return e
	case <-time.After(10 * time.Second):
		t.Fatal("nothing was delivered")
		return socketmode.Event{}
	}
}

func TestSocketModeDeliversAndTakesTheAck(t *testing.T) {
	f, a := connected(t)
	d, err := f.Slash(slackfake.UserOperator, slackfake.ChannelOps, "/why", "can't web-1 reach db.prod.io & @approver in #ops")
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Wait(soon(t)); err != nil {
		t.Fatal(err)
	}
	cmd, ok := a.next(t).Data.(slack.SlashCommand)
	if !ok || cmd.UserID != slackfake.UserOperator || cmd.TriggerID != d.TriggerID || cmd.ResponseURL != d.ResponseURL {
		t.Fatalf("command = %+v", cmd)
	}
	if want := "can't web-1 reach <http://db.prod.io|db.prod.io> &amp; <@U0APPROVER|approver> in <#C0OPS|ops>"; cmd.Text != want {
		t.Fatalf("text = %q\nwant   %q", cmd.Text, want)
	}
	if got := d.Attempts(); len(got) != 1 || got[0].Result != "acked" || d.AckPayload() != nil || !d.Acked() {
		t.Fatalf("attempts = %+v", got)
	}
	f.clock.Advance(10 * time.Minute)
	if got := d.Attempts(); len(got) != 1 {
		t.Fatalf("an acknowledged delivery was repeated: %+v", got)
	}
	wantNoViolations(t, f.Server)
}

func TestUnackedEnvelopesComeAgain(t *testing.T) {
	f := newFixture(t)
	a := f.listen(t, nil)
	a.mute.Store(true)
	if err := f.WaitSockets(soon(t), 1); err != nil {
		t.Fatal(err)
	}
	d, err := f.Mention(slackfake.UserOperator, slackfake.ChannelOps, "", "why is web-1 down")
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for n, step := range []time.Duration{3 * time.Second, time.Minute + 3*time.Second, 5*time.Minute + 3*time.Second} {
		e := a.next(t)
		outer := e.Data.(slackevents.EventsAPIEvent).Data.(*slackevents.EventsAPICallbackEvent)
		if outer.EventID != d.EventID || e.Request.RetryAttempt != n {
			t.Fatalf("attempt %d: event %s, retry_attempt %d", n, outer.EventID, e.Request.RetryAttempt)
		}
		if n > 0 && e.Request.RetryReason != "timeout" {
			t.Fatalf("retry_reason = %q", e.Request.RetryReason)
		}
		ids = append(ids, e.Request.EnvelopeID)
		f.clock.Advance(step - time.Millisecond)
		if len(d.Attempts()) != n+1 {
			t.Fatalf("attempts before the time: %+v", d.Attempts())
		}
		f.clock.Advance(time.Millisecond)
	}
	last := a.next(t)
	if ids[0] != ids[1] || ids[1] == ids[2] || last.Request.RetryAttempt != 3 {
		t.Fatalf("envelope ids %v, last attempt %d", ids, last.Request.RetryAttempt)
	}
	f.clock.Advance(time.Hour)
	if err := d.Wait(soon(t)); err == nil || d.Acked() || len(d.Attempts()) != 4 {
		t.Fatalf("after four attempts Slack gives up: %v, %+v", err, d.Attempts())
	}
}

func TestTheUserSeesATimeoutOfACommand(t *testing.T) {
	f := newFixture(t)
	a := f.listen(t, nil)
	a.mute.Store(true)
	if err := f.WaitSockets(soon(t), 1); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Slash(slackfake.UserOperator, slackfake.ChannelOps, "/why", "x"); err != nil {
		t.Fatal(err)
	}
	a.next(t)
	f.clock.Advance(3 * time.Second)
	if !strings.Contains(f.Transcript(), "slackbot (only operator sees this): Operation timed out") {
		t.Fatalf("transcript:\n%s", f.Transcript())
	}
}

func TestEventsWithoutASocketArriveByRetry(t *testing.T) {
	f := newFixture(t)
	d, err := f.Mention(slackfake.UserOperator, slackfake.ChannelOps, "", "hello")
	if err != nil {
		t.Fatal(err)
	}
	a := f.listen(t, nil)
	if err := f.WaitSockets(soon(t), 1); err != nil {
		t.Fatal(err)
	}
	f.clock.Advance(time.Minute)
	e := a.next(t)
	if e.Request.RetryAttempt != 2 || e.Request.RetryReason != "connection_failed" {
		t.Fatalf("request = %+v", e.Request)
	}
	if err := d.Wait(soon(t)); err != nil {
		t.Fatal(err)
	}
}

func TestDuplicatesCarryTheSameIDs(t *testing.T) {
	f := newFixture(t)
	a, b := f.listen(t, nil), f.listen(t, nil)
	if err := f.WaitSockets(soon(t), 2); err != nil {
		t.Fatal(err)
	}
	f.DuplicateNext(1)
	d, err := f.Mention(slackfake.UserOperator, slackfake.ChannelOps, "", "hello")
	if err != nil {
		t.Fatal(err)
	}
	if x, y := a.next(t), b.next(t); x.Request.EnvelopeID != y.Request.EnvelopeID {
		t.Fatalf("envelopes %s and %s", x.Request.EnvelopeID, y.Request.EnvelopeID)
	}
	if err := d.Wait(soon(t)); err != nil {
		t.Fatal(err)
	}
	wantNoViolations(t, f.Server)
}

func TestDeliveriesAreSplitOverSockets(t *testing.T) {
	f := newFixture(t)
	a, b := f.listen(t, nil), f.listen(t, nil)
	if err := f.WaitSockets(soon(t), 2); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		d, err := f.Mention(slackfake.UserOperator, slackfake.ChannelOps, "", "hello")
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Wait(soon(t)); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		a.next(t)
		b.next(t)
	}
}

func TestPolitelyDisconnectedClientsComeBack(t *testing.T) {
	for _, reason := range []slackfake.DisconnectReason{slackfake.DisconnectWarning, slackfake.DisconnectRefresh, slackfake.DisconnectLinkOff} {
		t.Run(string(reason), func(t *testing.T) {
			f := newFixture(t)
			a := f.listen(t, nil)
			if err := f.WaitSockets(soon(t), 1); err != nil {
				t.Fatal(err)
			}
			if n := f.Disconnect(reason, 5); n != 1 {
				t.Fatalf("told %d sockets", n)
			}
			waitCalls(t, f.Server, "apps.connections.open", 2)
			if err := f.WaitSockets(soon(t), 1); err != nil {
				t.Fatal(err)
			}
			d, err := f.Slash(slackfake.UserOperator, slackfake.ChannelOps, "/why", "x")
			if err != nil {
				t.Fatal(err)
			}
			a.next(t)
			if err := d.Wait(soon(t)); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestSwitchedOffSocketModeAnswersHelloAndDisconnect(t *testing.T) {
	f := newFixture(t)
	f.SetSocketMode(false)
	conn := dial(t, openURL(t, f))
	if kind := readFrame(t, conn)["type"]; kind != "hello" {
		t.Fatalf("first frame %v", kind)
	}
	if frame := readFrame(t, conn); frame["type"] != "disconnect" || frame["reason"] != "link_disabled" {
		t.Fatalf("second frame %v", frame)
	}
	if f.Sockets() != 0 {
		t.Fatal("the socket counts as open")
	}
}

func TestTicketsAreUsedOnceAndExpire(t *testing.T) {
	f := newFixture(t)
	url := openURL(t, f)
	dial(t, url)
	for _, bad := range []string{url, expiredURL(t, f)} {
		conn, resp, err := websocket.DefaultDialer.DialContext(soon(t), bad, nil)
		if err == nil {
			conn.Close()
			t.Fatal("a used or expired address was accepted")
		}
		if resp == nil || resp.StatusCode != 403 {
			t.Fatalf("answer %v, %v", resp, err)
		}
		resp.Body.Close()
	}
}

func expiredURL(t *testing.T, f *fixture) string {
	t.Helper()
	url := openURL(t, f)
	f.clock.Advance(31 * time.Second)
	return url
}

func TestTheEleventhSocketIsRefused(t *testing.T) {
	f := newFixture(t)
	for range 10 {
		dial(t, openURL(t, f))
	}
	if err := f.WaitSockets(soon(t), 10); err != nil {
		t.Fatal(err)
	}
	if frame := readFrame(t, dial(t, openURL(t, f))); frame["reason"] != "too_many_websockets" {
		t.Fatalf("frame %v", frame)
	}
	f.CutSockets()
	if err := f.WaitSockets(soon(t), 0); err != nil {
		t.Fatal(err)
	}
}

func TestBadAcksAreRecorded(t *testing.T) {
	f := newFixture(t)
	right := dial(t, openURL(t, f))
	readFrame(t, right)
	// Deliveries go to the longest idle socket: the one that is there first.
	if err := f.WaitSockets(soon(t), 1); err != nil {
		t.Fatal(err)
	}
	wrong := dial(t, openURL(t, f))
	readFrame(t, wrong)
	if err := f.WaitSockets(soon(t), 2); err != nil {
		t.Fatal(err)
	}
	d, err := f.Slash(slackfake.UserOperator, slackfake.ChannelOps, "/why", "x")
	if err != nil {
		t.Fatal(err)
	}
	frame := readFrame(t, right)
	id, _ := frame["envelope_id"].(string)
	if frame["accepts_response_payload"] != true || id == "" {
		t.Fatalf("frame %v", frame)
	}
	write := func(c *websocket.Conn, text string) {
		t.Helper()
		if err := c.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	write(right, `{"envelope_id":"`+id+`","payload":{"text":"`+strings.Repeat("x", 20*1024)+`"}}`)
	write(right, `not json`)
	write(right, `{"envelope_id":"envelope-none"}`)
	waitViolations(t, f.Server, 3)
	for i, code := range []string{"ack_too_large", "bad_ack", "unknown_envelope"} {
		if got := f.Violations()[i].Code; got != code {
			t.Fatalf("violation %d = %s, want %s", i, got, code)
		}
	}
	write(wrong, `{"envelope_id":"`+id+`"}`)
	waitFor(t, func() bool { return d.StrayAcks() == 1 })
	if d.Acked() {
		t.Fatal("an acknowledgement over another socket counted")
	}
	write(right, `{"envelope_id":"`+id+`","payload":{"text":"On it."}}`)
	if err := d.Wait(soon(t)); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(f.Transcript(), "whybot (only operator sees this): On it.") {
		t.Fatalf("transcript:\n%s", f.Transcript())
	}
}

func openURL(t *testing.T, f *fixture) string {
	t.Helper()
	_, url, err := f.api.StartSocketModeContext(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	return url
}

func dial(t *testing.T, url string) *websocket.Conn {
	t.Helper()
	conn, resp, err := websocket.DefaultDialer.DialContext(soon(t), url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	t.Cleanup(func() { conn.Close() })
	return conn
}

func readFrame(t *testing.T, conn *websocket.Conn) map[string]any {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	_, raw, err := conn.ReadMessage()
	if err != nil {
		t.Fatal(err)
	}
	var frame map[string]any
	if err := json.Unmarshal(raw, &frame); err != nil {
		t.Fatal(err)
	}
	return frame
}

func waitFor(t *testing.T, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if cond() {
			return
		}
	}
	t.Fatal("the condition did not become true")
}

func waitCalls(t *testing.T, s *slackfake.Server, method string, n int) {
	t.Helper()
	waitFor(t, func() bool { return len(s.Calls(method)) >= n })
}

func waitViolations(t *testing.T, s *slackfake.Server, n int) {
	t.Helper()
	waitFor(t, func() bool { return len(s.Violations()) >= n })
}
