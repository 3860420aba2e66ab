package slackfake

import (
	"regexp"
	"strconv"
	"strings"
)

// MentionKind says what a piece of message text does to people or where it leads them.
type MentionKind string

// Kinds of mentions.
const (
	MentionBroadcast MentionKind = "broadcast" // @channel, @here, @everyone: notifies many.
	MentionUser      MentionKind = "user"
	MentionGroup     MentionKind = "usergroup"
	MentionChannel   MentionKind = "channel"
	MentionLink      MentionKind = "link"
	MentionAutolink  MentionKind = "autolink" // A bare URL that Slack turns into a link because verbatim is not set.
)

// Mention is something in a message that notifies or links.
type Mention struct {
	Kind    MentionKind
	Value   string // The user, group or channel ID, the range of a broadcast, or the URL.
	Label   string // The text shown instead, if the message gives one.
	Pointer string // Where in the message.
}

var (
	angle     = regexp.MustCompile(`<([^<>]+)>`)
	bareURL   = regexp.MustCompile(`https?://[^\s<>|]+`)
	plainPing = regexp.MustCompile(`(^|\s)@(here|channel|everyone)\b`)
)

// findMentions looks at everything Slack would interpret: the top-level text, mrkdwn objects, markdown and rich text.
func findMentions(d draft, blocks []any) []Mention {
	out := scanMarkup(d.text, "/text", d.parse == "none")
	if d.parse == "full" || d.linkAll {
		for _, m := range plainPing.FindAllStringSubmatch(d.text, -1) {
			out = append(out, Mention{Kind: MentionBroadcast, Value: m[2], Pointer: "/text"})
		}
	}
	for i, b := range blocks {
		out = append(out, scanValue(b, "/blocks/"+strconv.Itoa(i))...)
	}
	return out
}

func scanValue(value any, at string) []Mention {
	var out []Mention
	switch x := value.(type) {
	case []any:
		for i, v := range x {
			out = append(out, scanValue(v, at+"/"+strconv.Itoa(i))...)
		}
	case map[string]any:
		out = append(out, scanObject(x, at)...)
		for _, key := range sortedKeys(x) {
			out = append(out, scanValue(x[key], at+"/"+key)...)
		}
	}
	return out
}

// scanObject looks at one text object or rich text element, not at what it contains.
func scanObject(o map[string]any, at string) []Mention {
	word := func(key string) string { s, _ := o[key].(string); return s }
	switch word("type") {
	case mrkdwn:
		verbatim, _ := o["verbatim"].(bool)
		return scanMarkup(word("text"), at+"/text", verbatim)
	case "markdown":
		return scanMarkup(word("text"), at+"/text", false)
	case "user":
		return []Mention{{Kind: MentionUser, Value: word("user_id"), Pointer: at}}
	case "usergroup":
		return []Mention{{Kind: MentionGroup, Value: word("usergroup_id"), Pointer: at}}
	case "channel":
		return []Mention{{Kind: MentionChannel, Value: word("channel_id"), Pointer: at}}
	case "broadcast":
		return []Mention{{Kind: MentionBroadcast, Value: word("range"), Pointer: at}}
	case "link":
		return []Mention{{Kind: MentionLink, Value: word("url"), Label: word("text"), Pointer: at}}
	}
	return nil
}

// scanMarkup finds <…> sequences and, unless the text is verbatim, bare URLs.
func scanMarkup(text, at string, verbatim bool) []Mention {
	var out []Mention
	for _, m := range angle.FindAllStringSubmatch(text, -1) {
		if found, ok := classify(m[1]); ok {
			found.Pointer = at
			out = append(out, found)
		}
	}
	if verbatim {
		return out
	}
	for _, u := range bareURL.FindAllString(angle.ReplaceAllString(text, " "), -1) {
		out = append(out, Mention{Kind: MentionAutolink, Value: u, Pointer: at})
	}
	return out
}

// classify reads the inside of <…>. A <!date…> only formats and is no mention.
func classify(inside string) (Mention, bool) {
	target, label, _ := strings.Cut(inside, "|")
	m := Mention{Label: label}
	switch {
	case strings.HasPrefix(target, "!date^"):
		return m, false
	case strings.HasPrefix(target, "!subteam^"):
		m.Kind, m.Value = MentionGroup, target[len("!subteam^"):]
	case strings.HasPrefix(target, "!"):
		m.Kind, m.Value = MentionBroadcast, target[1:]
	case strings.HasPrefix(target, "@"):
		m.Kind, m.Value = MentionUser, target[1:]
	case strings.HasPrefix(target, "#"):
		m.Kind, m.Value = MentionChannel, target[1:]
	case strings.Contains(target, ":"):
		m.Kind, m.Value = MentionLink, target
	default:
		return m, false // Slack shows other sequences as they are.
	}
	return m, true
}
