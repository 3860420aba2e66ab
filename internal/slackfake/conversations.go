package slackfake

import (
	"slices"
	"strings"
	"time"
)

func conversationsInfo(s *Server, c *call) (reply, *apiError) {
	ch, e := s.channelLocked(c.get("channel"))
	if e != nil {
		return nil, e
	}
	if e := s.needScopeLocked(ch.scopeFamily() + ":read"); e != nil {
		return nil, e
	}
	return reply{"channel": s.wireChannel(ch)}, nil
}

func (s *Server) wireChannel(ch *Channel) map[string]any {
	w := map[string]any{
		"id": ch.ID, "is_channel": !ch.Private && !ch.IM, "is_group": ch.Private, "is_im": ch.IM, "is_mpim": false,
		"is_private": ch.Private || ch.IM, "is_archived": ch.Archived, "is_ext_shared": ch.ExtShared,
		"is_shared": ch.ExtShared, "context_team_id": s.people.TeamID,
	}
	if ch.IM {
		i := slices.IndexFunc(ch.Members, func(u string) bool { return u != s.people.BotUserID })
		w["user"] = ch.Members[i]
		return w
	}
	w["name"], w["name_normalized"] = ch.Name, ch.Name
	w["is_member"], w["num_members"] = ch.has(s.people.BotUserID), len(ch.Members)
	return w
}

func conversationsOpen(s *Server, c *call) (reply, *apiError) {
	if id := c.get("channel"); id != "" {
		ch, e := s.channelLocked(id)
		if e != nil {
			return nil, e
		}
		return reply{"channel": map[string]any{"id": ch.ID}}, nil
	}
	u := s.people.users[c.get("users")]
	switch {
	case strings.Contains(c.get("users"), ","):
		return nil, fail("method_not_supported_for_channel_type") // Group messages are outside this model.
	case u == nil:
		return nil, fail("user_not_found")
	case u.Deactivated:
		return nil, fail("user_disabled")
	case u.Bot:
		return nil, fail("cannot_dm_bot")
	}
	return reply{"channel": map[string]any{"id": s.people.directMessage(u.ID).ID}}, nil
}

// readableLocked finds a conversation whose messages the bot may read.
func (s *Server) readableLocked(id string) (*Channel, *apiError) {
	ch, e := s.channelLocked(id)
	if e != nil {
		return nil, e
	}
	if e := s.needScopeLocked(ch.scopeFamily() + ":history"); e != nil {
		return nil, e
	}
	if !ch.has(s.people.BotUserID) {
		return nil, fail("not_in_channel")
	}
	return ch, nil
}

func conversationsHistory(s *Server, c *call) (reply, *apiError) {
	ch, e := s.readableLocked(c.get("channel"))
	if e != nil {
		return nil, e
	}
	var list []*message
	for _, m := range slices.Backward(s.messages[ch.ID]) {
		inChannel := m.ThreadTS == "" || m.Broadcast
		gone := m.Deleted && len(s.repliesLocked(m)) == 0
		if inChannel && m.EphemeralTo == "" && !gone && c.inRange(m.TS) {
			list = append(list, m)
		}
	}
	return s.pageLocked(c, list)
}

func conversationsReplies(s *Server, c *call) (reply, *apiError) {
	ch, e := s.readableLocked(c.get("channel"))
	if e != nil {
		return nil, e
	}
	start := s.findLocked(ch.ID, c.get("ts"))
	if start == nil || start.EphemeralTo != "" || (start.Deleted && len(s.repliesLocked(start)) == 0) {
		return nil, fail("thread_not_found")
	}
	list := []*message{start} // Asked for a reply, Slack returns that reply alone.
	for _, m := range s.repliesLocked(start) {
		if c.inRange(m.TS) {
			list = append(list, m)
		}
	}
	return s.pageLocked(c, list)
}

// inRange applies oldest, latest and inclusive; timestamps compare as text because they have a fixed width.
func (c *call) inRange(ts string) bool {
	oldest, latest := c.get("oldest"), c.get("latest")
	if c.flag("inclusive") && (ts == oldest || ts == latest) {
		return true
	}
	return (oldest == "" || oldest == "0" || ts > oldest) && (latest == "" || ts < latest)
}

func (s *Server) pageLocked(c *call, list []*message) (reply, *apiError) {
	limit, e := limitOf(c, 100)
	if e != nil {
		return nil, e
	}
	if cursor := c.get("cursor"); cursor != "" {
		i := slices.IndexFunc(list, func(m *message) bool { return "next:"+m.TS == cursor })
		if i < 0 {
			return nil, fail("invalid_cursor")
		}
		list = list[i:]
	}
	out := reply{"has_more": len(list) > limit}
	if len(list) > limit {
		out["response_metadata"] = map[string]any{"next_cursor": "next:" + list[limit].TS}
		list = list[:limit]
	}
	wire := make([]any, 0, len(list))
	for _, m := range list {
		wire = append(wire, s.wireLocked(m))
	}
	out["messages"] = wire
	return out, nil
}

func usersInfo(s *Server, c *call) (reply, *apiError) {
	u := s.people.users[c.get("user")]
	if u == nil {
		return nil, fail("user_not_found")
	}
	return reply{"user": s.wireUser(u)}, nil
}

func (s *Server) wireUser(u *User) map[string]any {
	zone, err := time.LoadLocation(u.TZ)
	if err != nil {
		zone = time.UTC
	}
	_, offset := s.clock.Now().In(zone).Zone()
	return map[string]any{
		"id": u.ID, "team_id": u.TeamID, "name": u.Name, "real_name": u.Name, "deleted": u.Deactivated,
		"is_bot": u.Bot, "is_app_user": false, "is_restricted": u.Guest, "is_ultra_restricted": false,
		"is_stranger": u.TeamID != s.people.TeamID, "tz": zone.String(), "tz_offset": offset,
		"profile": map[string]any{"display_name": u.Name, "real_name": u.Name, "team": u.TeamID},
	}
}

func usergroupsList(s *Server, c *call) (reply, *apiError) {
	if s.people.FreePlan {
		return nil, fail("plan_upgrade_required")
	}
	groups := []any{}
	for _, id := range sortedKeys(s.people.groups) {
		g := s.people.groups[id]
		if g.Disabled && !c.flag("include_disabled") {
			continue
		}
		w := map[string]any{"id": g.ID, "team_id": s.people.TeamID, "handle": g.Handle, "name": g.Handle, "is_usergroup": true, "date_delete": 0}
		if g.Disabled {
			w["date_delete"] = 1
		}
		if c.flag("include_users") {
			w["users"] = g.Members
		}
		if c.flag("include_count") {
			w["user_count"] = len(g.Members)
		}
		groups = append(groups, w)
	}
	return reply{"usergroups": groups}, nil
}

func usergroupsUsersList(s *Server, c *call) (reply, *apiError) {
	if s.people.FreePlan {
		return nil, fail("plan_upgrade_required")
	}
	g := s.people.groups[c.get("usergroup")]
	if g == nil || (g.Disabled && !c.flag("include_disabled")) {
		return nil, fail("no_such_subteam")
	}
	return reply{"users": slices.Clone(g.Members)}, nil
}
