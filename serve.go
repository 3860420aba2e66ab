package main

import (
	"context"
	"errors"
	"flag"
	"log/slog"

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
	return b.Run(ctx)
}
