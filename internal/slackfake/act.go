package slackfake

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

func (s *Server) subscribed(event string) bool {
	return slices.Contains(s.options.Subscriptions, event)
}

// deliverEventLocked wraps an inner event as the Events API does and sends it.
func (s *Server) deliverEventLocked(event map[string]any, ch *Channel) *Delivery {
	d := &Delivery{Kind: KindEvent, EventID: s.newIDLocked("Ev"), TS: wordOf(event, "ts"), user: wordOf(event, "user")}
	shared := false
	if ch != nil {
		d.channel, shared = ch.ID, ch.ExtShared
	}
	p := s.people
	return s.sendLocked(d, map[string]any{
		"type": "event_callback", "token": "legacy", "team_id": p.TeamID, "api_app_id": p.AppID, "event_id": d.EventID,
		"event_time": s.clock.Now().Unix(), "event": event, "is_ext_shared_channel": shared,
		"event_context": "4-" + d.EventID,
		"authorizations": []any{map[string]any{
			"enterprise_id": nil, "team_id": p.TeamID, "user_id": p.BotUserID, "is_bot": true, "is_enterprise_install": false,
		}},
	})
}

func wordOf(o map[string]any, key string) string {
	s, _ := o[key].(string)
	return s
}

// actorLocked checks that the user can act in the channel at all.
func (s *Server) actorLocked(user, channel string) (*User, *Channel, error) {
	u, ch := s.people.users[user], s.people.channels[channel]
	switch {
	case u == nil:
		return nil, nil, fmt.Errorf("no user %s in the workspace", user)
	case ch == nil:
		return nil, nil, fmt.Errorf("no channel %s in the workspace", channel)
	case u.Deactivated:
		return nil, nil, fmt.Errorf("user %s is deactivated and cannot act", user)
	case !ch.has(user):
		return nil, nil, fmt.Errorf("user %s is not a member of %s", user, channel)
	}
	return u, ch, nil
}

// Slash types a command into the channel's message box. With should_escape, @names, #names and links in text arrive in
// their <…> form, as from Slack.
func (s *Server) Slash(user, channel, command, text string) (*Delivery, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, ch, err := s.actorLocked(user, channel)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(s.options.Commands, func(c Command) bool { return c.Name == command })
	switch {
	case i < 0:
		return nil, fmt.Errorf("%s is not a valid command", command)
	case strings.Contains(text, "\n"):
		return nil, errors.New("a command is one line")
	}
	if s.options.Commands[i].ShouldEscape {
		text = s.wireTextLocked(text)
	}
	name := ch.Name
	switch {
	case ch.IM:
		name = "directmessage"
	case ch.Private:
		name = "privategroup"
	}
	d := &Delivery{Kind: KindCommand, TriggerID: s.newTriggerLocked(user), ResponseURL: s.newHookLocked(channel, user, nil), channel: channel, user: user, accepts: true}
	d.onAck = func(payload []byte) { s.commandAckedLocked(d, command+" "+text, payload) }
	return s.sendLocked(d, map[string]any{
		"token": "legacy", "team_id": u.TeamID, "team_domain": s.people.Domain, "channel_id": channel, "channel_name": name,
		"user_id": user, "user_name": u.Name, "command": command, "text": text, "api_app_id": s.people.AppID,
		"is_enterprise_install": "false", "response_url": d.ResponseURL, "trigger_id": d.TriggerID,
	}), nil
}

// Mention posts a message in which the bot is mentioned; threadTS is the parent's ts or empty. Text is what a person
// types: @name becomes a mention, and names that look like hosts or mail addresses become links, as clients do. A text
// without the bot's name gets it in front. The app gets app_mention and, when subscribed to messages of such channels,
// also a message event with the same ts and another event_id, which is the Twin.
func (s *Server) Mention(user, channel, threadTS, text string) (*Delivery, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if raw := "<@" + s.people.BotUserID; !strings.Contains(text, raw) && !strings.Contains(text, "@"+s.people.BotName) {
		text = "@" + s.people.BotName + " " + text
	}
	m, ch, err := s.sayLocked(user, channel, threadTS, text)
	if err != nil {
		return nil, err
	}
	if !ch.has(s.people.BotUserID) {
		return nil, fmt.Errorf("%s is not in %s: Slack offers to invite it and delivers nothing", s.people.BotName, channel)
	}
	twin := s.messageEventLocked(m, ch)
	if ch.IM || !s.subscribed("app_mention") {
		if twin == nil {
			return nil, errors.New("the app is not subscribed to this event")
		}
		return twin, nil
	}
	event := s.userMessageLocked(m)
	event["type"] = "app_mention"
	d := s.deliverEventLocked(event, ch)
	d.Twin = twin
	return d, nil
}

// Say posts a message of a user. The delivery is nil when the app is not subscribed to messages of such channels.
func (s *Server) Say(user, channel, threadTS, text string) (*Delivery, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, ch, err := s.sayLocked(user, channel, threadTS, text)
	if err != nil {
		return nil, err
	}
	return s.messageEventLocked(m, ch), nil
}

func (s *Server) sayLocked(user, channel, threadTS, text string) (*message, *Channel, error) {
	_, ch, err := s.actorLocked(user, channel)
	if err != nil {
		return nil, nil, err
	}
	if e := s.threadLocked("a person", channel, threadTS); e != nil {
		return nil, nil, fmt.Errorf("thread %s: %s", threadTS, e.code)
	}
	c := content{text: s.wireTextLocked(text)}
	return s.storeLocked(Message{Channel: channel, User: user, ThreadTS: threadTS}, c), ch, nil
}

func (s *Server) userMessageLocked(m *message) map[string]any {
	event := map[string]any{
		"type": "message", "user": m.User, "text": m.Text, "ts": m.TS, "event_ts": m.TS, "channel": m.Channel,
		"team": s.people.TeamID, "client_msg_id": s.newIDLocked("client-"),
	}
	if u := s.people.users[m.User]; u.TeamID != s.people.TeamID {
		event["user_team"], event["source_team"] = u.TeamID, u.TeamID
	}
	if s.people.users[m.User].Bot {
		event["bot_id"] = "B" + m.User[1:]
	}
	if m.ThreadTS != "" {
		event["thread_ts"] = m.ThreadTS
	}
	return event
}

func (s *Server) messageEventLocked(m *message, ch *Channel) *Delivery {
	name := map[string]string{"im": "message.im", "group": "message.groups", "channel": "message.channels"}[ch.kind()]
	if !s.subscribed(name) || !ch.has(s.people.BotUserID) {
		return nil
	}
	event := s.userMessageLocked(m)
	event["channel_type"] = ch.kind()
	return s.deliverEventLocked(event, ch)
}

// OpenHome opens the app's Home tab.
func (s *Server) OpenHome(user string) (*Delivery, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.people.users[user]; u == nil || u.Bot || u.Deactivated {
		return nil, fmt.Errorf("no active person %s in the workspace", user)
	}
	ch := s.people.directMessage(user)
	event := map[string]any{"type": "app_home_opened", "user": user, "channel": ch.ID, "tab": "home", "event_ts": s.nextTSLocked(ch.ID)}
	if v := s.homes[user]; v != nil {
		event["view"] = s.wireViewLocked(v)
	}
	if !s.subscribed("app_home_opened") {
		return nil, errors.New("the app is not subscribed to app_home_opened")
	}
	return s.deliverEventLocked(event, ch), nil
}

// Shortcut starts a global shortcut or, with a message, a message shortcut.
func (s *Server) Shortcut(user, callbackID, channel, ts string) (*Delivery, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.people.users[user]
	if u == nil || u.Deactivated {
		return nil, fmt.Errorf("no active user %s in the workspace", user)
	}
	d := &Delivery{Kind: KindInteractive, TriggerID: s.newTriggerLocked(user), channel: channel, user: user}
	payload := s.interactionLocked("shortcut", u, d)
	payload["callback_id"], payload["action_ts"] = callbackID, s.actionTSLocked()
	if ts != "" {
		_, ch, err := s.actorLocked(user, channel)
		if err != nil {
			return nil, err
		}
		m := s.findLocked(channel, ts)
		if m == nil || m.Deleted {
			return nil, fmt.Errorf("no message %s in %s", ts, channel)
		}
		d.TS, d.ResponseURL = ts, s.newHookLocked(channel, user, nil)
		payload["type"], payload["response_url"], payload["message_ts"] = "message_action", d.ResponseURL, ts
		payload["channel"], payload["message"] = map[string]any{"id": ch.ID, "name": ch.Name}, s.wireLocked(m)
	}
	return s.sendLocked(d, payload), nil
}

// interactionLocked is what all interactive payloads have in common.
func (s *Server) interactionLocked(kind string, u *User, d *Delivery) map[string]any {
	return map[string]any{
		"type": kind, "token": "legacy", "api_app_id": s.people.AppID, "trigger_id": d.TriggerID, "is_enterprise_install": false,
		"enterprise": nil,
		"team":       map[string]any{"id": s.people.TeamID, "domain": s.people.Domain},
		"user":       map[string]any{"id": u.ID, "username": u.Name, "name": u.Name, "team_id": u.TeamID},
	}
}

// commandAckedLocked shows what the acknowledgement of a command asks for; an empty one shows nothing.
func (s *Server) commandAckedLocked(d *Delivery, typed string, payload []byte) {
	if payload == nil {
		return
	}
	m, err := decodeHookMessage(payload)
	if err != nil {
		s.violateLocked("bad_ack_payload", string(d.Kind), "%v", err)
		return
	}
	if m.ResponseType == "in_channel" { // Slack then shows everybody what was typed.
		s.storeLocked(Message{Channel: d.channel, User: d.user}, content{text: typed})
	}
	if m.Text == "" && rawOrEmpty(m.Blocks) == "" {
		return
	}
	if e := s.answerLocked("ack of "+string(d.Kind), d.channel, d.user, m); e != nil {
		s.violateLocked("bad_ack_payload", string(d.Kind), "Slack refuses it: %s", e.code)
	}
}
