package slackfake

import (
	"slices"
	"strings"
)

// channelLocked finds a conversation the bot may know about; private ones it is not in do not exist for it.
func (s *Server) channelLocked(id string) (*Channel, *apiError) {
	ch := s.people.channels[id]
	if ch == nil || ((ch.Private || ch.IM) && !ch.has(s.people.BotUserID)) {
		return nil, fail("channel_not_found")
	}
	return ch, nil
}

// writableLocked finds a conversation the bot may write to.
func (s *Server) writableLocked(id string) (*Channel, *apiError) {
	ch, e := s.channelLocked(id)
	switch {
	case e != nil:
		return nil, e
	case ch.Archived:
		return nil, fail("is_archived")
	case !ch.has(s.people.BotUserID):
		return nil, fail("not_in_channel")
	}
	return ch, nil
}

// postTargetLocked is writableLocked plus what only chat.postMessage may do: public channels with chat:write.public and
// user IDs, which mean the direct message with that user.
func (s *Server) postTargetLocked(id string) (*Channel, *apiError) {
	if u := s.people.users[id]; u != nil && strings.HasPrefix(id, "U") {
		if u.Bot || u.Deactivated {
			return nil, fail("channel_not_found")
		}
		return s.people.directMessage(id), nil
	}
	ch, e := s.writableLocked(id)
	if e != nil && e.code == "not_in_channel" && s.needScopeLocked("chat:write.public") == nil {
		return s.people.channels[id], nil
	}
	return ch, e
}

// threadLocked checks that ts may be used as thread_ts.
func (s *Server) threadLocked(where, channel, ts string) *apiError {
	if ts == "" {
		return nil
	}
	if !tsPattern.MatchString(ts) {
		s.violateLocked("bad_thread_ts", where, "thread_ts %q is not of the form 1234567890.123456 (send it as a string)", ts)
		return fail("invalid_thread_ts")
	}
	parent := s.findLocked(channel, ts)
	switch {
	case parent == nil || parent.EphemeralTo != "":
		return fail("thread_not_found")
	case parent.ThreadTS != "":
		s.violateLocked("thread_of_reply", where, "thread_ts %s is a reply of %s; use the parent's ts", ts, parent.ThreadTS)
		return fail("cannot_reply_to_message")
	}
	return nil
}

func chatPostMessage(s *Server, c *call) (reply, *apiError) {
	ch, e := s.postTargetLocked(c.get("channel"))
	if e != nil {
		return nil, e
	}
	if e := s.threadLocked(c.method, ch.ID, c.get("thread_ts")); e != nil {
		return nil, e
	}
	if e := s.checkIdentityLocked(c); e != nil {
		return nil, e
	}
	accepted, e := s.acceptLocked(c.method, draftOf(c))
	if e != nil {
		return nil, e
	}
	m := s.storeLocked(Message{
		Channel: ch.ID, User: s.people.BotUserID, ThreadTS: c.get("thread_ts"),
		Broadcast: c.flag("reply_broadcast") && c.get("thread_ts") != "",
	}, accepted)
	return reply{"channel": ch.ID, "ts": m.TS, "message": s.wireLocked(m)}, nil
}

// checkIdentityLocked refuses posting under another name without the scope for it.
func (s *Server) checkIdentityLocked(c *call) *apiError {
	if c.get("username") == "" && c.get("icon_emoji") == "" {
		return nil
	}
	return s.needScopeLocked("chat:write.customize")
}

func chatPostEphemeral(s *Server, c *call) (reply, *apiError) {
	ch, e := s.writableLocked(c.get("channel"))
	if e != nil {
		return nil, e
	}
	u := s.people.users[c.get("user")]
	switch {
	case u == nil:
		return nil, fail("user_not_found")
	case u.Deactivated || !ch.has(u.ID):
		return nil, fail("user_not_in_channel")
	}
	thread := c.get("thread_ts")
	if e := s.threadLocked(c.method, ch.ID, thread); e != nil {
		return nil, e
	}
	accepted, e := s.acceptLocked(c.method, draftOf(c))
	if e != nil {
		return nil, e
	}
	m := s.storeLocked(Message{Channel: ch.ID, User: s.people.BotUserID, ThreadTS: thread, EphemeralTo: u.ID}, accepted)
	if thread != "" && len(s.repliesLocked(s.findLocked(ch.ID, thread))) == 0 {
		m.hidden = true
		s.violateLocked("ephemeral_in_inactive_thread", c.method, "nobody sees an ephemeral message in a thread without replies")
	}
	return reply{"message_ts": m.TS}, nil
}

// ownLocked finds a message that the bot may change.
func (s *Server) ownLocked(c *call, refusal string) (*message, *apiError) {
	ch, e := s.channelLocked(c.get("channel"))
	if e != nil {
		return nil, e
	}
	m := s.findLocked(ch.ID, c.get("ts"))
	switch {
	case m == nil || m.Deleted:
		return nil, fail("message_not_found")
	case m.EphemeralTo != "":
		s.violateLocked("ephemeral_update", c.method, "ephemeral messages change only through the response_url of an action on them")
		return nil, fail("message_not_found")
	case m.User != s.people.BotUserID:
		return nil, fail(refusal)
	case !ch.has(s.people.BotUserID):
		return nil, fail("not_in_channel")
	}
	return m, nil
}

func chatUpdate(s *Server, c *call) (reply, *apiError) {
	m, e := s.ownLocked(c, "cant_update_message")
	if e != nil {
		return nil, e
	}
	d := draftOf(c)
	if !c.has("text") && !c.has("blocks") {
		d.text, d.blocks = m.Text, string(m.Blocks)
	} else if c.has("text") && !c.has("blocks") && m.Blocks != nil {
		s.violateLocked("blocks_removed", c.method, "an update with text alone removes the blocks; send blocks=[] if that is meant")
	}
	if e := s.replaceLocked(c.method, m, d, c.has("blocks") || !c.has("text")); e != nil {
		return nil, e
	}
	return reply{"channel": m.Channel, "ts": m.TS, "text": m.Text, "message": s.wireLocked(m)}, nil
}

// replaceLocked gives the message new content.
func (s *Server) replaceLocked(where string, m *message, d draft, silent bool) *apiError {
	accepted, e := s.acceptLocked(where, d)
	if e != nil {
		return e
	}
	if d.blocks != string(m.Blocks) {
		for _, id := range accepted.blockIDs {
			if m.blockIDs[id] {
				s.violateLocked("block_id_reused", where, "block_id %q was used by an earlier iteration of %s", id, m.TS)
			}
		}
	}
	m.Edited = m.Edited || !silent
	m.set(s.clock.Now(), accepted)
	s.notifyLocked()
	return nil
}

func chatDelete(s *Server, c *call) (reply, *apiError) {
	m, e := s.ownLocked(c, "cant_delete_message")
	if e != nil {
		return nil, e
	}
	m.remove(s.clock.Now())
	return reply{"channel": m.Channel, "ts": m.TS}, nil
}

func chatGetPermalink(s *Server, c *call) (reply, *apiError) {
	ch, e := s.channelLocked(c.get("channel"))
	if e != nil {
		return nil, e
	}
	m := s.findLocked(ch.ID, c.get("message_ts"))
	if m == nil || m.EphemeralTo != "" || m.Deleted {
		return nil, fail("message_not_found")
	}
	return reply{"channel": ch.ID, "permalink": s.permalinkLocked(m)}, nil
}

func (s *Server) reactableLocked(c *call) (*message, *apiError) {
	ch, e := s.writableLocked(c.get("channel"))
	if e != nil {
		return nil, e
	}
	m := s.findLocked(ch.ID, c.get("timestamp"))
	if m == nil || m.EphemeralTo != "" || m.Deleted {
		return nil, fail("message_not_found")
	}
	if name := c.get("name"); name == "" || strings.ContainsAny(name, ": ") {
		return nil, fail("invalid_name")
	}
	return m, nil
}

func reactionsAdd(s *Server, c *call) (reply, *apiError) {
	m, e := s.reactableLocked(c)
	if e != nil {
		return nil, e
	}
	bot := s.people.BotUserID
	i := slices.IndexFunc(m.Reactions, func(r Reaction) bool { return r.Name == c.get("name") })
	switch {
	case i < 0:
		m.Reactions = append(m.Reactions, Reaction{Name: c.get("name"), Users: []string{bot}})
	case slices.Contains(m.Reactions[i].Users, bot):
		return nil, fail("already_reacted")
	default:
		m.Reactions[i].Users = append(m.Reactions[i].Users, bot)
	}
	return reply{}, nil
}

func reactionsRemove(s *Server, c *call) (reply, *apiError) {
	m, e := s.reactableLocked(c)
	if e != nil {
		return nil, e
	}
	bot := s.people.BotUserID
	i := slices.IndexFunc(m.Reactions, func(r Reaction) bool { return r.Name == c.get("name") })
	if i < 0 || !slices.Contains(m.Reactions[i].Users, bot) {
		return nil, fail("no_reaction")
	}
	users := slices.DeleteFunc(m.Reactions[i].Users, func(u string) bool { return u == bot })
	m.Reactions[i].Users = users
	if len(users) == 0 {
		m.Reactions = slices.Delete(m.Reactions, i, i+1)
	}
	return reply{}, nil
}
