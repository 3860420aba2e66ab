package slackfake

import (
	"fmt"
	"slices"
	"strings"
)

const (
	plain  = "plain_text"
	mrkdwn = "mrkdwn"
)

// text judges a text object of one of the kinds.
func text(high int, kinds ...string) check { return textBetween(1, high, kinds...) }

func textBetween(low, high int, kinds ...string) check {
	return func(v *validation, at string, value any) {
		o, ok := value.(map[string]any)
		if !ok {
			v.report(at, codeWrongType, "type object", "must be a text object")
			return
		}
		kind, _ := o["type"].(string)
		if !slices.Contains(kinds, kind) {
			v.report(at+"/type", codeInvalidValue, "enum "+strings.Join(kinds, " "), "must be a text object of type %s [%q]", strings.Join(kinds, " or "), kind)
			return
		}
		keys := map[string]check{"text": shownStr(low, high)}
		if kind == plain {
			keys["emoji"] = boolean
		} else {
			keys["verbatim"] = boolean
		}
		v.walk(at, o, shape{keys: keys, required: "text"})
	}
}

// option judges an entry of a select, an overflow menu or a group of boxes.
func option(kinds ...string) check {
	return object(shape{
		keys: map[string]check{
			"text": text(75, kinds...), "value": str(1, 75), "description": text(75, kinds...), "url": address,
		},
		required: "text value",
	})
}

func optionGroups(v *validation, at string, value any) {
	list(1, 100, object(shape{
		keys:     map[string]check{"label": text(75, plain), "options": list(1, 100, option(plain))},
		required: "label options",
	}))(v, at, value)
}

func confirm(v *validation, at string, value any) {
	object(shape{
		keys: map[string]check{
			"title": text(100, plain), "text": text(300, plain, mrkdwn), "confirm": text(30, plain), "deny": text(30, plain),
			"style": enum("primary", "danger"),
		},
		required: "title text confirm deny",
	})(v, at, value)
}

func slackFile(v *validation, at string, value any) {
	object(shape{
		keys:     map[string]check{"id": str(1, 255), "url": address},
		required: "id|url",
		rule: func(v *validation, at string, o map[string]any) {
			if o["id"] != nil && o["url"] != nil {
				v.report(at, codeInvalidValue, "oneOf id url", "must have either id or url")
			}
		},
	})(v, at, value)
}

// imageKeys are what image blocks and image elements share.
func imageKeys() map[string]check {
	return map[string]check{"image_url": address, "slack_file": slackFile, "alt_text": str(1, 2000)}
}

func imageRule(v *validation, at string, o map[string]any) {
	if o["image_url"] != nil && o["slack_file"] != nil {
		v.report(at, codeInvalidValue, "oneOf image_url slack_file", "must have either image_url or slack_file")
	}
}

// richText judges the elements of a rich_text block.
func richTextElements(v *validation, at string, value any) {
	list(1, 1000, typed("rich text element", richTextShapes()))(v, at, value)
}

func richTextShapes() map[string]shape {
	inline := list(0, 1000, typed("rich text", inlineShapes()))
	border := integer(0, 1)
	section := shape{keys: map[string]check{"elements": inline}, required: "elements"}
	return map[string]shape{
		"rich_text_section": section,
		"rich_text_quote":   {keys: map[string]check{"elements": inline, "border": border}, required: "elements"},
		"rich_text_preformatted": {
			keys: map[string]check{"elements": inline, "border": border, "language": str(0, 64)}, required: "elements",
		},
		"rich_text_list": {
			keys: map[string]check{
				"elements": list(0, 1000, typed("list item", map[string]shape{"rich_text_section": section})),
				"style":    enum("bullet", "ordered"), "indent": integer(0, 8), "offset": integer(0, 1<<31), "border": border,
			},
			required: "elements style",
		},
	}
}

func inlineShapes() map[string]shape {
	style := object(shape{keys: map[string]check{
		"bold": boolean, "italic": boolean, "strike": boolean, "code": boolean, "underline": boolean, "highlight": boolean,
		"client_highlight": boolean, "unlink": boolean,
	}})
	one := func(key string, judge check) shape {
		return shape{keys: map[string]check{key: judge, "style": style}, required: key}
	}
	id := str(1, 255)
	return map[string]shape{
		"text":      one("text", shownStr(1, 3000)),
		"user":      one("user_id", id),
		"usergroup": one("usergroup_id", id),
		"channel":   one("channel_id", id),
		"team":      one("team_id", id),
		"color":     one("value", id),
		"broadcast": one("range", enum("here", "channel", "everyone")),
		"emoji": {
			keys:     map[string]check{"name": id, "unicode": id, "url": address, "skin_tone": integer(1, 6), "style": style},
			required: "name",
		},
		"link": {
			keys:     map[string]check{"url": str(1, 3000), "text": shownStr(0, 3000), "unsafe": boolean, "style": style},
			required: "url",
		},
		"date": {
			keys: map[string]check{
				"timestamp": integer(0, 1<<40), "format": str(1, 255), "timezone": id, "url": address,
				"fallback": shownStr(1, 255), "style": style,
			},
			required: "timestamp format",
		},
	}
}

// budget checks what only the whole message shows.
func (v *validation) budget(blocks string) {
	const messageBudget, markdownBudget = 10000, 12000
	if v.shown > messageBudget && v.where == forMessage {
		v.report(blocks, codeMessageTooLong, fmt.Sprintf("maxLength %d", messageBudget), "the blocks hold %d characters, the budget is %d", v.shown, messageBudget)
	}
	if v.markdown > markdownBudget {
		v.report(blocks, codeTooLong, fmt.Sprintf("maxLength %d", markdownBudget), "the markdown blocks hold %d characters together", v.markdown)
	}
	if v.tables > 1 {
		v.report(blocks, codeTooMany, "one table per message", "only one table block is allowed [%d]", v.tables)
	}
}
