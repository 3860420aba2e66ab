package main

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"whybot/bot"
	"whybot/commands"
	"whybot/config"
)

func (e environment) serve(ctx context.Context) error {
	var configFile string
	words, err := flags("serve", e.args, func(fs *flag.FlagSet) { fs.StringVar(&configFile, "config", "", "") })
	if err != nil {
		return err
	}
	if len(words) > 0 {
		return usageError{errors.New("serve takes no words")}
	}
	a, err := e.open(ctx, configFile)
	if err != nil {
		return err
	}
	defer a.close()
	if a.config.Slack == nil {
		return usageError{errors.New(a.config.File + ": there is no slack section, so there is nothing to serve; add one, or use whybot ask")}
	}
	b, err := bot.New(a.botOptions())
	if err != nil {
		return usageError{err}
	}
	a.log.Info("serving", slog.String("mode", string(a.config.Slack.Mode)), slog.Bool("http", a.config.Slack.Mode == config.HTTP))
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return b.Run(ctx) })
	g.Go(func() error { return a.every(ctx, "those that are due for another look", b, a.engine.LookAgain) })
	g.Go(func() error { return a.every(ctx, "those that were left half-made", b, a.engine.Recover) })
	return g.Wait()
}

// lookEvery is how often changes are looked for that are due for another look,
// or that nobody knows the outcome of.
const lookEvery = 20 * time.Second

// every looks at changes, at once and then again and again until ctx ends, and
// shows in their threads those that are no longer what they were.
func (a *app) every(ctx context.Context, what string, b *bot.Bot, look func(context.Context) ([]commands.Proposal, error)) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		found, err := look(ctx)
		if err != nil && ctx.Err() == nil {
			a.log.Error("changes not looked at", slog.String("what", what), slog.Any("error", err))
		}
		b.Announce(ctx, found)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
