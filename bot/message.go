package bot

import (
	"strconv"
	"unicode/utf8"

	"github.com/slack-go/slack"
)

// A message is what is sent: blocks for the screen, and a text that says the
// same for notifications and screen readers.
type message struct {
	text   string
	blocks []slack.Block
}

// add appends the blocks that are not nil.
func (m *message) add(blocks ...slack.Block) {
	for _, b := range blocks {
		if b != nil {
			m.blocks = append(m.blocks, b)
		}
	}
}

// section is one mrkdwn text of our own making.
func section(text string) slack.Block { return slack.NewSectionBlock(mrkdwn(text), nil, nil) }

// contextLine is one line of small print.
func contextLine(text string) slack.Block { return slack.NewContextBlock("", mrkdwn(text)) }

func mrkdwn(text string) *slack.TextBlockObject {
	return slack.NewTextBlockObject(slack.MarkdownType, text, false, true)
}

func plain(text string) *slack.TextBlockObject {
	return slack.NewTextBlockObject(slack.PlainTextType, text, false, false)
}

// simple is a message of one paragraph of prose.
func simple(text string, names ...string) message {
	m := message{text: notice(text)}
	m.add(newRich(names).prose(text, maxText).done())
	return m
}

// bareText is the message to fall back on when Slack refuses the blocks.
func (m message) bareText() message {
	return message{text: m.text, blocks: []slack.Block{section(m.text)}}
}

// stamped returns the blocks with ids that no other revision has: Slack wants
// a new block_id in every iteration of a message.
func (m message) stamped(revision int64) []slack.Block {
	out := make([]slack.Block, 0, len(m.blocks))
	for i, b := range m.blocks {
		id := "r" + strconv.FormatInt(revision, 36) + "-" + strconv.Itoa(i)
		switch b := b.(type) {
		case *slack.SectionBlock:
			c := *b
			c.BlockID = id
			out = append(out, &c)
		case *slack.RichTextBlock:
			c := *b
			c.BlockID = id
			out = append(out, &c)
		case *slack.ContextBlock:
			c := *b
			c.BlockID = id
			out = append(out, &c)
		case *slack.ActionBlock:
			c := *b
			c.BlockID = id
			out = append(out, &c)
		}
	}
	return out
}

// size counts the characters that a person reads.
func (m message) size() int {
	n := 0
	for _, b := range m.blocks {
		n += blockSize(b)
	}
	return n
}

func blockSize(b slack.Block) int {
	switch b := b.(type) {
	case *slack.SectionBlock:
		n := textSize(b.Text)
		for _, f := range b.Fields {
			n += textSize(f)
		}
		return n
	case *slack.ContextBlock:
		n := 0
		for _, e := range b.ContextElements.Elements {
			if t, ok := e.(*slack.TextBlockObject); ok {
				n += textSize(t)
			}
		}
		return n
	case *slack.ActionBlock:
		n := 0
		for _, e := range b.Elements.ElementSet {
			if button, ok := e.(*slack.ButtonBlockElement); ok {
				n += textSize(button.Text)
			}
		}
		return n
	case *slack.RichTextBlock:
		return richSize(b)
	}
	return 0
}

func textSize(t *slack.TextBlockObject) int {
	if t == nil {
		return 0
	}
	return utf8.RuneCountInString(t.Text)
}

func richSize(b *slack.RichTextBlock) int {
	n := 0
	for _, e := range b.Elements {
		var inside []slack.RichTextSectionElement
		switch e := e.(type) {
		case *slack.RichTextSection:
			inside = e.Elements
		case *slack.RichTextPreformatted:
			inside = e.Elements
		}
		for _, x := range inside {
			if t, ok := x.(*slack.RichTextSectionTextElement); ok {
				n += utf8.RuneCountInString(t.Text)
			} else {
				n += 16 // a mention or a date, about
			}
		}
	}
	return n
}
