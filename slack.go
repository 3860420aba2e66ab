package main

import (
	"whybot/bot"
	"whybot/config"
)

// authorizerOptions says who may decide on fixes in Slack. Whether the asker
// may is for app.allow to say, on every transport alike.
func (a *app) authorizerOptions() bot.AuthorizerOptions {
	s := a.config.Slack
	return bot.AuthorizerOptions{
		BotToken: s.BotToken.Reveal(), APIURL: s.APIURL, Log: a.log,
		Approvers: bot.Approvers{Users: s.Approvers.Users, Groups: s.Approvers.Groups},
	}
}

func (a *app) botOptions() bot.Options {
	s := a.config.Slack
	mode := bot.Socket
	if s.Mode == config.HTTP {
		mode = bot.HTTP
	}
	return bot.Options{
		Mode: mode, BotToken: s.BotToken.Reveal(), AppToken: s.AppToken.Reveal(), SigningSecret: s.SigningSecret.Reveal(),
		Listen: s.Listen, APIURL: s.APIURL, Channels: s.Channels,
		Engine: a.engine, Memory: a.store, Deliveries: a.store, Authorizer: a.slack, Log: a.log,
	}
}
