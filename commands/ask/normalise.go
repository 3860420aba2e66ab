package ask

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Slack's decorations become spans between private-use runes, which survive
// the later steps; private-use runes that were typed are dropped first, so
// that nobody can forge a span.
const (
	userMark  = '\uE000' // a person, by Slack id
	mailMark  = '\uE001' // a mail address
	closeMark = '\uE002'
)

// longestLink bounds the search for the end of a Slack decoration. Without it
// a text of many opening brackets would cost the square of its length.
const longestLink = 2048

// normalise returns text as plain runes. The order matters: decorations are
// resolved before entities, so that an escaped bracket cannot become one, and
// width is folded before quotes and dashes are looked at.
func normalise(text string) []rune {
	s := dropControls(strings.ToValidUTF8(text, " "))
	s = dropBotMention(s)
	s = resolveLinks(s)
	s = entities.Replace(s)
	s = norm.NFKC.String(s)
	return straighten([]rune(s))
}

var entities = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&")

func dropControls(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r) || unicode.IsSpace(r):
			return ' '
		case unicode.In(r, unicode.Cf, unicode.Co):
			return -1
		}
		return r
	}, s)
}

// dropBotMention removes a mention at the very start: in a channel that is how
// the bot is called, so it is never the subject.
func dropBotMention(s string) string {
	t := strings.TrimSpace(s)
	if !strings.HasPrefix(t, "<@") {
		return t
	}
	if end := strings.IndexByte(t[:min(len(t), longestLink)], '>'); end > 0 {
		return strings.TrimSpace(t[end+1:])
	}
	return t
}

func resolveLinks(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for {
		open := strings.IndexByte(s, '<')
		if open < 0 {
			b.WriteString(s)
			return b.String()
		}
		b.WriteString(s[:open])
		s = s[open:]
		end := strings.IndexAny(s[1:min(len(s), longestLink)], "<>") + 1
		plain, ok := "", false
		if end > 0 && s[end] == '>' {
			plain, ok = resolveLink(s[1:end])
		}
		if !ok {
			b.WriteByte('<')
			s = s[1:]
			continue
		}
		b.WriteString(plain)
		s = s[end+1:]
	}
}

// resolveLink returns what a person reads in place of <inner>. A person and a
// mail address stay marked, because they are rarely what a question is about.
func resolveLink(inner string) (plain string, ok bool) {
	target, label, labelled := strings.Cut(inner, "|")
	if !labelled || label == "" {
		label = target
	}
	switch {
	case strings.HasPrefix(target, "@"):
		return string(userMark) + target[1:] + string(closeMark), true
	case strings.HasPrefix(target, "#"), strings.HasPrefix(target, "!"):
		return " ", true
	case strings.HasPrefix(target, "mailto:"):
		return string(mailMark) + strings.TrimPrefix(label, "mailto:") + string(closeMark), true
	case strings.HasPrefix(target, "tel:"):
		return strings.TrimPrefix(label, "tel:"), true
	case strings.Contains(target, "://"):
		if _, rest, found := strings.Cut(label, "://"); found {
			label = strings.TrimSuffix(rest, "/")
		}
		return label, true
	}
	return "", false
}

// straighten makes quotes straight and sets dashes that are not part of a name
// apart. A dash between two letters or digits stays exactly as it was typed,
// because it may be in the name that Nova knows.
func straighten(in []rune) []rune {
	out := make([]rune, 0, len(in)+8)
	for i, r := range in {
		switch {
		case strings.ContainsRune("“”„‟«»「」『』《》〝〞", r):
			out = append(out, '"')
		case strings.ContainsRune("‘’‚‛´", r):
			out = append(out, '\'')
		case r == '—' || r == '―' || isDash(r) && !betweenNameRunes(in, i):
			out = append(out, ' ', '-', ' ')
		case unicode.IsSpace(r) || unicode.IsControl(r):
			out = append(out, ' ')
		default:
			out = append(out, r)
		}
	}
	return out
}

func isDash(r rune) bool { return r >= '‐' && r <= '―' || r == '−' }

func betweenNameRunes(in []rune, i int) bool {
	return i > 0 && i+1 < len(in) && isNameRune(in[i-1]) && isNameRune(in[i+1])
}

func isNameRune(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

func isHan(r rune) bool { return unicode.Is(unicode.Han, r) }

// isLatin reports whether r belongs to a word written with spaces around it.
func isLatin(r rune) bool { return isNameRune(r) && !isHan(r) }
