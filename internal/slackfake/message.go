package slackfake

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Message is the latest state of one message.
type Message struct {
	Channel     string
	TS          string
	ThreadTS    string // Empty for messages outside threads and for parents.
	User        string // The author's user ID.
	Text        string
	Blocks      json.RawMessage // Null when there are none; Slack's generated ids are filled in.
	Metadata    json.RawMessage
	EphemeralTo string // The only user who sees the message, or empty.
	Broadcast   bool   // A reply that the channel sees too.
	Edited      bool   // Whether Slack shows "(edited)".
	Deleted     bool
	Reactions   []Reaction
	Files       []string // File IDs.
	Revision    int      // Counts from zero.
	Mentions    []Mention
}

// Reaction is an emoji on a message with everybody who added it.
type Reaction struct {
	Name  string
	Users []string
}

// Revision is one state that a message had.
type Revision struct {
	N        int
	At       time.Time
	Text     string
	Blocks   json.RawMessage
	Mentions []Mention
	Deleted  bool
}

// message is a stored Message with its past.
type message struct {
	Message
	hidden    bool // An ephemeral that Slack accepted but did not show.
	revisions []Revision
	blockIDs  map[string]bool // Every block_id that the bot chose in any iteration.
}

var tsPattern = regexp.MustCompile(`^\d{10}\.\d{6}$`)

// nextTSLocked returns a timestamp that is unique and increasing within the channel, and within the channel only: like
// Slack, two channels may use the same one.
func (s *Server) nextTSLocked(channel string) string {
	micros := max(s.clock.Now().UnixMicro(), s.lastTS[channel]+1)
	s.lastTS[channel] = micros
	return fmt.Sprintf("%010d.%06d", micros/1_000_000, micros%1_000_000)
}

func (s *Server) storeLocked(m Message, c content) *message {
	m.TS = s.nextTSLocked(m.Channel)
	stored := &message{Message: m, blockIDs: map[string]bool{}}
	stored.set(s.clock.Now(), c)
	s.messages[m.Channel] = append(s.messages[m.Channel], stored)
	s.notifyLocked()
	return stored
}

// set makes c the current content and records it as a revision.
func (m *message) set(at time.Time, c content) {
	m.Text, m.Blocks, m.Mentions = c.text, c.blocks, c.mentions
	if c.metadata != nil {
		m.Metadata = c.metadata
	}
	m.Revision = len(m.revisions)
	m.revisions = append(m.revisions, Revision{N: m.Revision, At: at, Text: c.text, Blocks: c.blocks, Mentions: c.mentions})
	for _, id := range c.blockIDs {
		m.blockIDs[id] = true
	}
}

func (m *message) remove(at time.Time) {
	m.Deleted = true
	m.revisions = append(m.revisions, Revision{N: len(m.revisions), At: at, Deleted: true})
}

func (s *Server) findLocked(channel, ts string) *message {
	for _, m := range s.messages[channel] {
		if m.TS == ts {
			return m
		}
	}
	return nil
}

// repliesLocked returns the visible replies of a thread in order.
func (s *Server) repliesLocked(parent *message) []*message {
	var out []*message
	for _, m := range s.messages[parent.Channel] {
		if m.ThreadTS == parent.TS && m.EphemeralTo == "" && !m.Deleted {
			out = append(out, m)
		}
	}
	return out
}

// copyOut returns a Message that shares nothing with the store.
func (m *message) copyOut() Message {
	out := m.Message
	out.Blocks = slices.Clone(m.Blocks)
	out.Metadata = slices.Clone(m.Metadata)
	out.Mentions = slices.Clone(m.Mentions)
	out.Files = slices.Clone(m.Files)
	out.Reactions = nil
	for _, r := range m.Reactions {
		out.Reactions = append(out.Reactions, Reaction{Name: r.Name, Users: slices.Clone(r.Users)})
	}
	return out
}

// Message returns the latest state of a message, ephemeral ones included; ok is false when there is none.
func (s *Server) Message(channel, ts string) (m Message, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.findLocked(channel, ts)
	if found == nil {
		return Message{}, false
	}
	return found.copyOut(), true
}

// Messages returns the latest states of everything ever posted to the channel, in order, deleted and ephemeral
// messages included.
func (s *Server) Messages(channel string) []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Message, 0, len(s.messages[channel]))
	for _, m := range s.messages[channel] {
		out = append(out, m.copyOut())
	}
	return out
}

// History returns every state the message had, the first one first. A timestamp is unique only within its channel.
func (s *Server) History(channel, ts string) []Revision {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.findLocked(channel, ts)
	if m == nil {
		return nil
	}
	return slices.Clone(m.revisions)
}

// AllMentions returns the mentions and links of every revision of every message, so that a test can look for any that
// an untrusted name smuggled in.
func (s *Server) AllMentions() []Mention {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Mention
	for _, channel := range slices.Sorted(maps.Keys(s.messages)) {
		for _, m := range s.messages[channel] {
			for _, r := range m.revisions {
				out = append(out, r.Mentions...)
			}
		}
	}
	return out
}

// WaitMessage returns the first message of the channel whose latest state satisfies match, waiting for it if need be.
func (s *Server) WaitMessage(ctx context.Context, channel string, match func(Message) bool) (Message, error) {
	var found Message
	err := s.await(ctx, func() bool {
		for _, m := range s.messages[channel] {
			if found = m.copyOut(); match(found) {
				return true
			}
		}
		return false
	})
	if err != nil {
		return Message{}, fmt.Errorf("wait for a message in %s: %w", channel, err)
	}
	return found, nil
}

// wire is the message as the Web API and interaction payloads show it.
func (s *Server) wireLocked(m *message) map[string]any {
	w := map[string]any{"type": "message", "user": m.User, "text": m.Text, "ts": m.TS, "team": s.people.TeamID}
	if m.User == s.people.BotUserID {
		w["bot_id"], w["app_id"] = s.people.BotID, s.people.AppID
	}
	if m.Blocks != nil {
		w["blocks"] = m.Blocks
	}
	if m.Metadata != nil {
		w["metadata"] = m.Metadata
	}
	if m.Edited {
		w["edited"] = map[string]any{"user": m.User, "ts": m.TS}
	}
	if m.Deleted {
		w["subtype"], w["text"] = "tombstone", "This message was deleted."
		delete(w, "blocks")
	}
	s.wireThread(w, m)
	if len(m.Reactions) > 0 {
		w["reactions"] = wireReactions(m.Reactions)
	}
	if len(m.Files) > 0 {
		var files []any
		for _, id := range m.Files {
			files = append(files, s.wireFileLocked(s.files[id]))
		}
		w["files"] = files
	}
	return w
}

func (s *Server) wireThread(w map[string]any, m *message) {
	if m.ThreadTS != "" {
		w["thread_ts"] = m.ThreadTS
		if m.Broadcast {
			w["subtype"] = "thread_broadcast"
		}
		return
	}
	if replies := s.repliesLocked(m); len(replies) > 0 {
		w["thread_ts"], w["reply_count"] = m.TS, len(replies)
		w["latest_reply"] = replies[len(replies)-1].TS
	}
}

func wireReactions(reactions []Reaction) []any {
	var out []any
	for _, r := range reactions {
		out = append(out, map[string]any{"name": r.Name, "users": r.Users, "count": len(r.Users)})
	}
	return out
}

// permalink is the address that chat.getPermalink and file shares give out.
func (s *Server) permalinkLocked(m *message) string {
	link := "https://" + s.people.Domain + ".slack.com/archives/" + m.Channel + "/p" + strings.ReplaceAll(m.TS, ".", "")
	if m.ThreadTS != "" {
		link += "?thread_ts=" + m.ThreadTS + "&cid=" + m.Channel
	}
	return link
}

// limitOf reads the paging size of a history call.
func limitOf(c *call, preset int) (int, *apiError) {
	if !c.has("limit") {
		return preset, nil
	}
	n, err := strconv.Atoi(c.get("limit"))
	if err != nil || n < 1 || n > 1000 {
		return 0, fail("invalid_limit")
	}
	return n, nil
}
