package main

import (
	"context"
	"errors"
	"flag"

	"whybot/internal/demo"
)

func (e environment) demo(ctx context.Context) error {
	var script bool
	words, err := flags("demo", e.args, func(fs *flag.FlagSet) { fs.BoolVar(&script, "script", false, "") })
	if err != nil {
		return err
	}
	if len(words) > 0 {
		return usageError{errors.New("demo takes no words; it asks for them")}
	}
	ok, err := demo.Run(ctx, demo.Options{Script: script, In: e.in, Out: e.out, Style: style(e.out)})
	if err != nil {
		return err
	}
	if !ok {
		return silentError{exitFailed}
	}
	return nil
}
