package slackfake

import (
	"regexp"
	"slices"
	"strings"
)

// escape does for a message what Slack's clients do to typed text.
var escape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

var unescape = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&")

// wireToken finds what clients turn into <…>: sequences already in that form, addresses, mail addresses, mentions, channel
// names and bare host names under common top-level domains.
var wireToken = regexp.MustCompile(`<[@#!][^<>\s]+>|https?://[^\s<>|]+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+|[@#][\w.-]*\w|\b(?:[a-zA-Z0-9-]+\.)+(?:com|net|org|io|dev)\b`)

// wireTextLocked turns typed text into the form in which it reaches an app.
func (s *Server) wireTextLocked(typed string) string {
	var out strings.Builder
	last := 0
	for _, at := range wireToken.FindAllStringIndex(typed, -1) {
		out.WriteString(escape.Replace(typed[last:at[0]]))
		out.WriteString(s.wireWordLocked(typed[at[0]:at[1]]))
		last = at[1]
	}
	out.WriteString(escape.Replace(typed[last:]))
	return out.String()
}

func (s *Server) wireWordLocked(word string) string {
	switch {
	case word[0] == '<':
		return word
	case strings.HasPrefix(word, "http://"), strings.HasPrefix(word, "https://"):
		return "<" + escape.Replace(word) + ">"
	case word[0] == '@':
		return s.mentionLocked(word)
	case word[0] == '#':
		for _, id := range sortedKeys(s.people.channels) {
			if c := s.people.channels[id]; c.Name == word[1:] && !c.IM {
				return "<#" + id + "|" + c.Name + ">"
			}
		}
		return word
	case strings.Contains(word, "@"):
		return "<mailto:" + word + "|" + word + ">"
	default:
		return "<http://" + word + "|" + word + ">"
	}
}

func (s *Server) mentionLocked(word string) string {
	if slices.Contains([]string{"@here", "@channel", "@everyone"}, word) {
		return "<!" + word[1:] + ">"
	}
	for _, id := range sortedKeys(s.people.users) {
		if s.people.users[id].Name == word[1:] {
			if id == s.people.BotUserID {
				return "<@" + id + ">"
			}
			return "<@" + id + "|" + word[1:] + ">"
		}
	}
	for _, id := range sortedKeys(s.people.groups) {
		if s.people.groups[id].Handle == word[1:] {
			return "<!subteam^" + id + "|" + word + ">"
		}
	}
	return word
}
