package bot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/slack-go/slack"
)

const (
	ackFlush  = 300 * time.Millisecond // for acknowledgements that are on their way out
	lastWords = 10 * time.Second       // for answers that are on their way out at the end
	showTime  = 2 * time.Minute        // for all that is shown of one answer
	hello     = 30 * time.Second       // the longest wait between two tries to reach Slack at the start
)

// errStopped is why work ends when Run does.
var errStopped = errors.New("whybot is being stopped")

// A Bot is whybot in Slack.
type Bot struct {
	o       Options
	log     *slog.Logger
	api     *slack.Client
	out     *sender
	intake  *intake
	hook    *webhook
	limits  *throttle
	locks   locks
	facts   facts
	me      atomic.Pointer[slack.AuthTestResponse]
	closed  atomic.Bool     // nothing new is taken
	last    context.Context //nolint:containedctx // what is shown while Run ends outlives the work it is about
	hush    context.CancelFunc
	closers []func()
}

// New checks o. It neither speaks with Slack nor listens.
func New(o Options) (*Bot, error) {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return nil, err
	}
	client := newHTTPClient()
	b := &Bot{o: o, log: o.Log, api: newAPI(o.BotToken, "", o.APIURL, client), limits: newThrottle(o.Now)}
	b.last, b.hush = context.WithCancel(context.Background())
	b.closers = append(b.closers, b.hush, client.CloseIdleConnections)
	b.out = newSender(b.api, o.APIURL, o.Log)
	b.intake = newIntake(o.Deliveries, o.Workers, o.Log, b.busy)
	b.hook = &webhook{b}
	return b, nil
}

// Handler serves Slack's requests in mode HTTP. It refuses them for now until
// Run has introduced itself to Slack.
func (b *Bot) Handler() http.Handler { return b.hook }

// Run serves until ctx is done and then ends in order: it takes nothing new,
// ends the questions, waits for fixes that are being applied, and returns. An
// error says that Slack refuses the app, or that the address is taken. A Bot
// runs once.
func (b *Bot) Run(ctx context.Context) error {
	defer func() {
		for _, f := range b.closers {
			f()
		}
	}()
	if err := b.introduce(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	b.endInterrupted(ctx)
	living, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(errStopped)
	taking, quit := context.WithCancel(ctx)
	defer quit()
	ended := make(chan error, 1)
	serve, settled := b.transport()
	go func() { ended <- serve(taking, living) }()

	var err error
	select {
	case <-ctx.Done():
		b.closed.Store(true)
		b.intake.end(askLane, errStopped)
		settled()
		_ = wait(living, ackFlush)
		stop(errStopped)
		err = <-ended
	case err = <-ended:
		b.closed.Store(true)
		b.intake.end(askLane, errStopped)
		quit()
		settled()
	}
	b.drain()
	return err
}

// transport returns what serves, and what waits until nothing more is taken.
func (b *Bot) transport() (serve func(taking, living context.Context) error, settled func()) {
	if b.o.Mode == HTTP {
		return b.listen, func() {}
	}
	s := newSocketMode(b)
	return s.serve, s.settled
}

// listen serves HTTP; without an address it waits for the end.
func (b *Bot) listen(taking, _ context.Context) error {
	if b.o.Listen == "" {
		<-taking.Done()
		return nil
	}
	l, err := new(net.ListenConfig).Listen(taking, "tcp", b.o.Listen)
	if err != nil {
		return fmt.Errorf("slack.listen: %w; choose an address that is free", err)
	}
	server := &http.Server{
		Handler: b.hook, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-taking.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(taking), lastWords)
	defer cancel()
	return server.Shutdown(ctx)
}

// drain waits for what is being worked on. Fixes get the time that Options
// gives them; after that their context ends, which changes nothing more.
func (b *Bot) drain() {
	idle := b.intake.idle()
	timer := time.NewTimer(b.o.Drain)
	defer timer.Stop()
	select {
	case <-idle:
	case <-timer.C:
		b.log.Warn("fixes are still being applied; ending them")
		b.intake.end(fixLane, errStopped)
		b.lastWords(idle)
	}
	b.intake.end(fixLane, errStopped)
}

// lastWords gives what is still being shown a moment, and waits for the rest,
// which has been told to end.
func (b *Bot) lastWords(idle <-chan struct{}) {
	timer := time.NewTimer(lastWords)
	defer timer.Stop()
	select {
	case <-idle:
	case <-timer.C:
		b.hush()
		<-idle
	}
}

// introduce learns who the bot is. It tries until Slack answers.
func (b *Bot) introduce(ctx context.Context) error {
	for pause := time.Second; ; pause = min(2*pause, hello) {
		me, err := b.api.AuthTestContext(ctx)
		if err == nil {
			b.me.Store(me)
			b.log.Info("connected to Slack", slog.String("team_id", me.TeamID), slog.String("user_id", me.UserID))
			return nil
		}
		if _, refused := errors.AsType[slack.SlackErrorResponse](err); refused {
			return fmt.Errorf("slack refuses the bot token: %w; install the app anew and set its xoxb- token", err)
		}
		b.log.Warn("Slack does not answer yet", slog.Any("error", err))
		if limit, ok := errors.AsType[*slack.RateLimitedError](err); ok {
			pause = max(pause, limit.RetryAfter)
		}
		if err := wait(ctx, pause); err != nil {
			return err
		}
	}
}

// busy answers what there was no room for.
func (b *Bot) busy(ctx context.Context, to place) {
	ctx, cancel := b.ending(ctx)
	defer cancel()
	b.out.whisper(ctx, to, simple("whybot is busy with other questions. Ask again in a moment."))
}

// ending returns a context for what is still to be shown when the work under
// ctx is over, be it because ctx is done. It ends with the bot's last words.
func (b *Bot) ending(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), showTime)
	stop := context.AfterFunc(b.last, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}
