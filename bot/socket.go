package bot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/slackevents"
	"github.com/slack-go/slack/socketmode"
)

const (
	sockets    = 2       // one carries on while slack-go replaces the other
	frameLimit = 4 << 20 // bytes of one WebSocket message
	accepting  = 64      // deliveries being recorded at once
)

// socketMode is Slack over WebSockets.
type socketMode struct {
	b       *Bot
	clients []*socketmode.Client
	slots   chan struct{}
	reading sync.WaitGroup // clients that may still take deliveries
	running sync.WaitGroup // deliveries being recorded
}

func newSocketMode(b *Bot) *socketMode {
	s := &socketMode{b: b, slots: make(chan struct{}, accepting)}
	s.reading.Add(sockets)
	for range sockets {
		http := newHTTPClient()
		b.closers = append(b.closers, http.CloseIdleConnections)
		api := newAPI(b.o.BotToken, b.o.AppToken, b.o.APIURL, &pacedClient{next: http})
		s.clients = append(s.clients, socketmode.New(api, socketmode.OptionReadLimit(frameLimit)))
	}
	return s
}

// serve takes deliveries until taking is done, and keeps the sockets open for
// acknowledgements until living is. It returns early when Slack refuses the
// app for good.
func (s *socketMode) serve(taking, living context.Context) error {
	living, stop := context.WithCancelCause(living)
	defer stop(nil)
	var all sync.WaitGroup
	for _, c := range s.clients {
		all.Go(func() {
			err := c.RunContext(living)
			if living.Err() == nil {
				stop(fmt.Errorf("socket mode: %w; check the app token, its scope connections:write, and that Socket Mode is on", err))
			}
		})
		all.Go(func() { s.read(taking, living, c) })
	}
	all.Wait()
	if err := context.Cause(living); !errors.Is(err, context.Canceled) && !errors.Is(err, errStopped) {
		return err
	}
	return nil
}

// settled waits, once taking is done, until nothing more can come.
func (s *socketMode) settled() {
	s.reading.Wait()
	s.running.Wait()
}

// read takes what one client delivers.
func (s *socketMode) read(taking, living context.Context, c *socketmode.Client) {
	defer s.reading.Done()
	for {
		select {
		case <-taking.Done():
			return
		case <-living.Done():
			return
		case evt := <-c.Events:
			s.take(living, c, evt)
		}
	}
}

// take starts the work on one event of a client; it waits only when too many
// deliveries are being recorded.
func (s *socketMode) take(living context.Context, c *socketmode.Client, evt socketmode.Event) {
	switch evt.Type {
	case socketmode.EventTypeEventsAPI, socketmode.EventTypeInteractive, socketmode.EventTypeSlashCommand, socketmode.EventTypeErrorBadMessage:
	case socketmode.EventTypeConnectionError, socketmode.EventTypeIncomingError, socketmode.EventTypeErrorWriteFailed:
		s.b.log.Warn("socket mode", slog.String("event", string(evt.Type)))
		return
	default:
		return
	}
	select {
	case s.slots <- struct{}{}:
	case <-living.Done():
		return
	}
	s.running.Go(func() {
		defer func() { <-s.slots }()
		s.b.intake.guarded(living, func(ctx context.Context) { s.deliver(ctx, c, evt) })
	})
}

// deliver records one delivery, acknowledges it and lets it work.
func (s *socketMode) deliver(ctx context.Context, c *socketmode.Client, evt socketmode.Event) {
	envelope, r := s.translate(evt)
	if envelope == "" {
		return
	}
	first := false
	if r != nil {
		if r.key == "" {
			r.key = "envelope:" + envelope
		}
		var err error
		if first, err = s.b.intake.record(ctx, r); err != nil {
			return // not acknowledged, so Slack brings it again
		}
	}
	if err := c.AckCtx(ctx, envelope, nil); err != nil {
		s.b.log.Warn("not acknowledged", slog.String("envelope", envelope), slog.Any("error", err))
	}
	if first {
		s.b.intake.start(r)
	}
}

// translate returns the envelope to acknowledge and what there is to do.
func (s *socketMode) translate(evt socketmode.Event) (envelope string, r *request) {
	if bad, ok := evt.Data.(*socketmode.ErrorBadMessage); ok {
		var e struct {
			EnvelopeID string `json:"envelope_id"`
		}
		_ = json.Unmarshal(bad.Message, &e) // without an id there is nothing to acknowledge
		s.b.log.Warn("delivery not understood", slog.Any("error", bad.Cause))
		return e.EnvelopeID, nil
	}
	if evt.Request == nil {
		return "", nil
	}
	switch data := evt.Data.(type) {
	case slackevents.EventsAPIEvent:
		r = s.b.event(data)
	case slack.SlashCommand:
		r = s.b.command(data)
	case slack.InteractionCallback:
		r = s.b.interaction(data)
	}
	return evt.Request.EnvelopeID, r
}
