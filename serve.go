package main

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"whybot/bot"
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
	settled, err := a.engine.Recover(ctx)
	if err != nil {
		return err
	}
	b.Announce(ctx, settled)
	a.log.Info("serving", slog.String("mode", string(a.config.Slack.Mode)), slog.Bool("http", a.config.Slack.Mode == config.HTTP))
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return b.Run(ctx) })
	g.Go(func() error { return a.lookAgain(ctx, b) })
	return g.Wait()
}

// lookEvery is how often changes are looked for that are due for another look.
const lookEvery = 20 * time.Second

// lookAgain shows in their threads the changes that do not stand, until ctx
// ends.
func (a *app) lookAgain(ctx context.Context, b *bot.Bot) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		gone, err := a.engine.LookAgain(ctx)
		if err != nil && ctx.Err() == nil {
			a.log.Error("changes not looked at again", slog.Any("error", err))
		}
		b.Announce(ctx, gone)
	}
}
