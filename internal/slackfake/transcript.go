package slackfake

import (
	"fmt"
	"strings"
)

// Transcript returns what people see, in plain text and without times, so that it can be a golden file: every channel
// with its messages in their latest state, threads indented under their parents, ephemeral messages marked with who sees
// them, then the App Homes and the open modals.
func (s *Server) Transcript() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out strings.Builder
	for _, id := range sortedKeys(s.people.channels) {
		s.writeChannel(&out, s.people.channels[id])
	}
	for _, user := range sortedKeys(s.homes) {
		s.writeView(&out, "App Home of "+s.people.name(user), s.homes[user])
	}
	for _, user := range sortedKeys(s.stacks) {
		for _, v := range s.stacks[user] {
			s.writeView(&out, "Modal of "+s.people.name(user), v)
		}
	}
	return out.String()
}

func (s *Server) writeChannel(out *strings.Builder, ch *Channel) {
	messages := s.messages[ch.ID]
	if len(messages) == 0 {
		return
	}
	if ch.IM {
		fmt.Fprintf(out, "DM with %s\n", ch.Name)
	} else {
		fmt.Fprintf(out, "#%s\n", ch.Name)
	}
	for _, m := range messages {
		switch {
		case m.ThreadTS == "":
			s.writeThread(out, m)
		case m.Broadcast && !m.Deleted:
			s.writeMessage(out, m, "  ", " (also in a thread)")
		}
	}
}

func (s *Server) writeThread(out *strings.Builder, parent *message) {
	var replies []*message
	for _, m := range s.messages[parent.Channel] {
		if m.ThreadTS == parent.TS && !m.Deleted && !m.hidden {
			replies = append(replies, m)
		}
	}
	if parent.hidden || (parent.Deleted && len(replies) == 0) {
		return
	}
	s.writeMessage(out, parent, "  ", "")
	for _, m := range replies {
		s.writeMessage(out, m, "      ", "")
	}
}

func (s *Server) writeMessage(out *strings.Builder, m *message, indent, note string) {
	if m.EphemeralTo != "" {
		note += " (only " + s.people.name(m.EphemeralTo) + " sees this)"
	}
	if m.Edited && !m.Deleted {
		note += " (edited)"
	}
	lines := s.linesOf(m)
	author := s.people.name(m.User)
	if m.User == slackbot {
		author = "slackbot"
	}
	fmt.Fprintf(out, "%s%s%s:", indent, author, note)
	if len(lines) == 1 && m.Blocks == nil {
		fmt.Fprintf(out, " %s\n", lines[0])
		return
	}
	out.WriteString("\n")
	for _, line := range lines {
		out.WriteString(strings.TrimRight(indent+"  "+line, " ") + "\n")
	}
}

// linesOf renders the message: blocks hide the text, as in Slack.
func (s *Server) linesOf(m *message) []string {
	if m.Deleted {
		return []string{"This message was deleted."}
	}
	var lines []string
	if m.Blocks != nil {
		lines = s.renderBlocks(m.Blocks)
	} else if m.Text != "" {
		lines = strings.Split(s.renderMarkup(m.Text), "\n")
	}
	for _, id := range m.Files {
		f := s.files[id]
		line := "[file " + f.name
		for _, more := range []string{f.title, f.alt} {
			if more != "" {
				line += ": " + more
			}
		}
		lines = append(lines, line+"]")
	}
	for _, r := range m.Reactions {
		var names []string
		for _, u := range r.Users {
			names = append(names, s.people.name(u))
		}
		lines = append(lines, ":"+r.Name+": "+strings.Join(names, ", "))
	}
	return lines
}

func (s *Server) writeView(out *strings.Builder, heading string, v *view) {
	fmt.Fprintf(out, "%s", heading)
	if title := textOf(v.body["title"]); title != "" {
		fmt.Fprintf(out, ": %s", title)
	}
	out.WriteString("\n")
	blocks, _ := v.body["blocks"].([]any)
	for _, b := range blocks {
		block, _ := b.(map[string]any)
		for _, line := range s.renderBlock(block) {
			out.WriteString(strings.TrimRight("  "+line, " ") + "\n")
		}
	}
	for _, key := range []string{"submit", "close"} {
		if label := textOf(v.body[key]); label != "" {
			fmt.Fprintf(out, "  [%s]\n", label)
		}
	}
}
