package bot

import (
	"cmp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/slack-go/slack"

	"whybot/commands"
)

// rich is prose for a rich_text block, whose text Slack shows as it is.
type rich struct {
	names    []string // shown as code wherever they occur in prose
	elements []slack.RichTextElement
	line     []slack.RichTextSectionElement
}

// newRich returns an empty text that knows names by sight.
func newRich(names []string) *rich {
	known := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return len(n) < 2 })
	slices.SortFunc(known, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	return &rich{names: slices.Compact(known)}
}

func (r *rich) text(s string) *rich { return r.styled(s, nil) }
func (r *rich) bold(s string) *rich {
	return r.styled(s, &slack.RichTextSectionTextStyle{Bold: true})
}

func (r *rich) code(name string) *rich {
	return r.styled(bare(name), &slack.RichTextSectionTextStyle{Code: true})
}

func (r *rich) codeBold(name string) *rich {
	return r.styled(bare(name), &slack.RichTextSectionTextStyle{Code: true, Bold: true})
}

func (r *rich) emoji(name string) *rich {
	r.line = append(r.line, slack.NewRichTextSectionEmojiElement(name, 0, nil))
	return r
}

func (r *rich) styled(s string, style *slack.RichTextSectionTextStyle) *rich {
	if s != "" {
		r.line = append(r.line, slack.NewRichTextSectionTextElement(s, style))
	}
	return r
}

func (r *rich) newline() *rich { return r.text("\n") }

// person mentions somebody Slack knows and names anybody else.
func (r *rich) person(a commands.Actor) *rich {
	if a.Via == viaSlack && isMember(a.ID) {
		r.line = append(r.line, slack.NewRichTextSectionUserElement(a.ID, nil))
		return r
	}
	return r.code(cmp.Or(a.Name, a.ID))
}

func (r *rich) date(t time.Time, form string) *rich {
	fallback := t.UTC().Format("2006-01-02 15:04:05 UTC")
	r.line = append(r.line, slack.NewRichTextSectionDateElement(t.Unix(), form, nil, &fallback))
	return r
}

// prose adds one line of text, of at most limit characters, in which known
// names are shown as code.
func (r *rich) prose(text string, limit int) *rich {
	text = commands.Clean(text, limit)
	from, at := 0, 0
	for at < len(text) {
		name := r.nameAt(text, at)
		if name == "" {
			_, size := utf8.DecodeRuneInString(text[at:])
			at += size
			continue
		}
		r.text(text[from:at]).code(name)
		at += len(name)
		from = at
	}
	return r.text(text[from:])
}

// nameAt returns the longest known name that stands at text[at:] as a word.
func (r *rich) nameAt(text string, at int) string {
	if before, _ := utf8.DecodeLastRuneInString(text[:at]); at > 0 && inName(before) {
		return ""
	}
	for _, name := range r.names {
		rest, ok := strings.CutPrefix(text[at:], name)
		if !ok {
			continue
		}
		after, _ := utf8.DecodeRuneInString(rest)
		switch {
		case rest != "" && after == '/': // a device of the node
			return name + path(rest)
		case rest == "" || !inName(after) || after == '.':
			return name
		}
	}
	return ""
}

// path returns the path that text begins with.
func path(text string) string {
	end := strings.IndexFunc(text, func(c rune) bool { return !inName(c) })
	if end >= 0 {
		text = text[:end]
	}
	return strings.TrimRight(text, "./")
}

func inName(c rune) bool {
	return c < utf8.RuneSelf && (unicode.IsLetter(c) || unicode.IsDigit(c) || strings.ContainsRune("_-./@", c))
}

// block ends the current line of prose and adds text as a block of code.
func (r *rich) block(text string) *rich {
	r.flush()
	if text != "" {
		r.elements = append(r.elements, &slack.RichTextPreformatted{
			Type:     slack.RTEPreformatted,
			Elements: []slack.RichTextSectionElement{slack.NewRichTextSectionTextElement(text, nil)},
		})
	}
	return r
}

func (r *rich) flush() {
	if len(r.line) > 0 {
		r.elements = append(r.elements, slack.NewRichTextSection(r.line...))
		r.line = nil
	}
}

// done returns the block, or nil when nothing was said.
func (r *rich) done() slack.Block {
	r.flush()
	if len(r.elements) == 0 {
		return nil
	}
	return slack.NewRichTextBlock("", r.elements...)
}
