package main

import (
	"whybot/bot"
	"whybot/config"
)

// workspaceOptions are for asking Slack who is who.
func (a *app) workspaceOptions() bot.WorkspaceOptions {
	s := a.config.Slack
	return bot.WorkspaceOptions{BotToken: s.BotToken.Reveal(), APIURL: s.APIURL, Log: a.log}
}

func (a *app) botOptions() bot.Options {
	s := a.config.Slack
	mode := bot.Socket
	if s.Mode == config.HTTP {
		mode = bot.HTTP
	}
	return bot.Options{
		Mode: mode, BotToken: s.BotToken.Reveal(), AppToken: s.AppToken.Reveal(), SigningSecret: s.SigningSecret.Reveal(),
		Listen: s.Listen, APIURL: s.APIURL,
		Engine: a.engine, Memory: a.store, Deliveries: a.store, Log: a.log,
	}
}
