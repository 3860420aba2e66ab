package slackfake

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// AddMember puts a user into a channel; when it is the bot, member_joined_channel is delivered to subscribers.
func (s *Server) AddMember(channel, user string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	ch := s.people.channels[channel]
	if ch == nil || s.people.users[user] == nil {
		return fmt.Errorf("no channel %s or no user %s", channel, user)
	}
	if ch.has(user) {
		return nil
	}
	ch.Members = append(ch.Members, user)
	if ch.has(s.people.BotUserID) && s.subscribed("member_joined_channel") {
		s.deliverEventLocked(map[string]any{
			"type": "member_joined_channel", "user": user, "channel": channel, "team": s.people.TeamID,
			"channel_type": ch.ID[:1], "event_ts": s.nextTSLocked(channel),
		}, ch)
	}
	return nil
}

// RemoveMember takes a user out of a channel.
func (s *Server) RemoveMember(channel, user string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	ch := s.people.channels[channel]
	if ch == nil {
		return fmt.Errorf("no channel %s", channel)
	}
	ch.Members = slices.DeleteFunc(ch.Members, func(m string) bool { return m == user })
	return nil
}

// SetGroup replaces the members of a user group.
func (s *Server) SetGroup(group string, members ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.people.groups[group]
	if g == nil {
		return fmt.Errorf("no user group %s", group)
	}
	g.Members = slices.Clone(members)
	return nil
}

// Deactivate switches a user's account off.
func (s *Server) Deactivate(user string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.people.users[user]
	if u == nil {
		return fmt.Errorf("no user %s", user)
	}
	u.Deactivated = true
	return nil
}
