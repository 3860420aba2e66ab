package slackfake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	ackDeadline = 3 * time.Second
	maxAck      = 20 * 1024 // Slack silently drops acknowledgements of this size.
)

// retryDelays are the waits before the first, second and third redelivery.
var retryDelays = []time.Duration{0, time.Minute, 5 * time.Minute}

// Kind is the type of an envelope.
type Kind string

// Kinds of deliveries.
const (
	KindEvent       Kind = "events_api"
	KindCommand     Kind = "slash_commands"
	KindInteractive Kind = "interactive"
)

// Attempt is one try to deliver.
type Attempt struct {
	At     time.Time
	Socket int    // The number of the connection it went out on; zero when there was none and in HTTP mode.
	Reason string // Why it was a retry, as Slack words it; empty for the first.
	Result string // acked, timeout, connection_failed, http_error, …; empty while it is waiting.
}

type deliveryState int

const (
	stateWaiting deliveryState = iota // Sent, the deadline runs.
	stateBetween                      // Failed, a retry is scheduled.
	stateAcked
	stateGivenUp
)

// Delivery is the handle of something that Slack tells the app. The exported fields do not change.
type Delivery struct {
	Kind        Kind
	EventID     string // Only events have one.
	TriggerID   string
	ResponseURL string
	TS          string // Of the message that a person wrote, or of the message that was clicked.
	Payload     json.RawMessage
	Twin        *Delivery // The message event that goes with an app_mention, when subscribed.

	server     *Server
	channel    string
	user       string
	accepts    bool // Whether the acknowledgement may carry a payload.
	retries    bool
	onAck      func(payload []byte)
	target     string // URL in HTTP mode.
	state      deliveryState
	envelopeID string
	socket     *socket
	attempts   []Attempt
	ack        json.RawMessage
	stray      int
	stop       func()
	cancel     func() // Ends the HTTP exchange of the current attempt.
}

// Acked reports whether an acknowledgement arrived in time.
func (d *Delivery) Acked() bool {
	d.server.mu.Lock()
	defer d.server.mu.Unlock()
	return d.state == stateAcked
}

// AckPayload returns what the acknowledgement carried; nil when it was empty or has not come.
func (d *Delivery) AckPayload() json.RawMessage {
	d.server.mu.Lock()
	defer d.server.mu.Unlock()
	return slices.Clone(d.ack)
}

// Attempts returns every try so far.
func (d *Delivery) Attempts() []Attempt {
	d.server.mu.Lock()
	defer d.server.mu.Unlock()
	return slices.Clone(d.attempts)
}

// StrayAcks counts acknowledgements that came too late or over another connection and therefore did not count.
func (d *Delivery) StrayAcks() int {
	d.server.mu.Lock()
	defer d.server.mu.Unlock()
	return d.stray
}

// Wait returns nil once the delivery is acknowledged and an error when Slack gave up or the context ended.
func (d *Delivery) Wait(ctx context.Context) error {
	err := d.server.await(ctx, func() bool { return d.state >= stateAcked })
	if err != nil {
		return fmt.Errorf("wait for the acknowledgement of %s: %w", d.Kind, err)
	}
	if !d.Acked() {
		return errors.New("slack gave up: no acknowledgement of " + string(d.Kind) + " arrived in time")
	}
	return nil
}

// WaitAttempts returns once at least n attempts were made.
func (d *Delivery) WaitAttempts(ctx context.Context, n int) error {
	if err := d.server.await(ctx, func() bool { return len(d.attempts) >= n }); err != nil {
		return fmt.Errorf("wait for attempt %d of %s: %w", n, d.Kind, err)
	}
	return nil
}

// sendLocked starts the delivery.
func (s *Server) sendLocked(d *Delivery, payload map[string]any) *Delivery {
	raw, err := json.Marshal(payload)
	if err != nil {
		panic(fmt.Sprintf("slackfake: payload of %s does not encode: %v", d.Kind, err)) // A bug of this package.
	}
	d.server, d.Payload = s, raw
	if s.options.HTTP != nil {
		d.target, d.retries = s.options.HTTP.address(d.Kind), d.Kind == KindEvent
	} else {
		d.retries = true
	}
	s.attemptLocked(d, "")
	return d
}

func (s *Server) attemptLocked(d *Delivery, reason string) {
	n := len(d.attempts)
	// Slack often, not always, repeats the envelope id: the first retry keeps it here, later ones get a new one.
	if n != 1 {
		delete(s.pending, d.envelopeID)
		d.envelopeID = s.newIDLocked("envelope-")
	}
	s.pending[d.envelopeID] = d
	d.attempts = append(d.attempts, Attempt{At: s.clock.Now(), Reason: reason})
	d.state = stateWaiting
	s.notifyLocked()
	if d.target != "" {
		s.postLocked(d, n, reason)
		return
	}
	if !s.sendEnvelopeLocked(d, n, reason) {
		s.failLocked(d, n, "connection_failed")
		return
	}
	d.stop = s.later(ackDeadline, func() { s.failLocked(d, n, "timeout") })
}

// sendEnvelopeLocked puts the envelope on one open socket, and on a second one when a duplicate was asked for.
func (s *Server) sendEnvelopeLocked(d *Delivery, n int, reason string) bool {
	envelope := map[string]any{
		"envelope_id": d.envelopeID, "type": d.Kind, "payload": d.Payload, "accepts_response_payload": d.accepts,
	}
	if n > 0 || d.Kind == KindEvent {
		envelope["retry_attempt"], envelope["retry_reason"] = n, reason
	}
	copies := 1
	if s.duplicates > 0 {
		s.duplicates--
		copies = 2
	}
	sent := false
	for range copies {
		k := s.nextSocketLocked()
		if k == nil || !k.send(envelope) {
			continue
		}
		if !sent {
			d.socket, d.attempts[n].Socket = k, k.number
		}
		sent = true
	}
	return sent
}

// failLocked ends attempt n, if it is still the current one, and schedules the next.
func (s *Server) failLocked(d *Delivery, n int, result string) {
	if d.state != stateWaiting || len(d.attempts)-1 != n {
		return
	}
	d.stopTimer()
	d.attempts[n].Result = result
	if n == 0 && d.Kind != KindEvent {
		s.showTimeoutLocked(d)
	}
	if !d.retries || n >= len(retryDelays) {
		d.state = stateGivenUp
		delete(s.pending, d.envelopeID)
		s.notifyLocked()
		return
	}
	d.state = stateBetween
	s.notifyLocked()
	if retryDelays[n] == 0 {
		s.attemptLocked(d, result)
		return
	}
	d.stop = s.later(retryDelays[n], func() { s.attemptLocked(d, result) })
}

// ackedLocked accepts the acknowledgement of the current attempt.
func (s *Server) ackedLocked(d *Delivery, payload json.RawMessage) {
	d.stopTimer()
	d.attempts[len(d.attempts)-1].Result = "acked"
	d.state, d.ack = stateAcked, payload
	if payload != nil && !d.accepts {
		s.violateLocked("ack_payload_ignored", string(d.Kind), "this delivery does not accept a payload: %.200s", payload)
	} else if d.onAck != nil {
		d.onAck(payload)
	}
	s.notifyLocked()
}

func (d *Delivery) stopTimer() {
	if d.stop != nil {
		d.stop()
		d.stop = nil
	}
}

func (d *Delivery) abandonLocked() {
	d.stopTimer()
	if d.cancel != nil {
		d.cancel()
	}
	if d.state < stateAcked {
		d.state = stateGivenUp
	}
}

// showTimeoutLocked lets the person see what Slack shows when an app does not answer.
func (s *Server) showTimeoutLocked(d *Delivery) {
	text := "Operation timed out. Apps need to respond within three seconds. (operation_timeout)"
	s.storeLocked(Message{Channel: d.channel, User: slackbot, EphemeralTo: d.user}, content{text: text})
}

// slackbot is the author of what Slack itself tells a person.
const slackbot = "USLACKBOT"

// DuplicateNext makes each of the next n envelopes arrive twice with the same ids, on two sockets if there are two.
func (s *Server) DuplicateNext(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.duplicates += n
}

// emptyAck reports whether a payload says nothing.
func emptyAck(raw json.RawMessage) bool {
	switch string(raw) {
	case "", "null", `""`, "{}":
		return true
	}
	return false
}
