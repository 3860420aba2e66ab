package slackfake

import (
	"fmt"
	"slices"
)

// message judges a whole message.
func (v *validation) message(doc map[string]any) {
	blocks, _ := doc["blocks"].([]any)
	top, _ := doc["text"].(string)
	v.walk("", doc, shape{keys: map[string]check{
		"text": topText, "blocks": v.blockList(50), "metadata": metadata,
		"channel": str(1, 255), "ts": timestamp, "thread_ts": timestamp, "user": str(1, 255), "token": anything,
		"reply_broadcast": boolean, "mrkdwn": boolean, "unfurl_links": boolean, "unfurl_media": boolean, "link_names": boolean,
		"parse": enum("none", "full"), "username": str(1, 80), "icon_emoji": str(1, 255),
		"response_type": enum("ephemeral", "in_channel"), "replace_original": boolean, "delete_original": boolean,
	}})
	switch {
	case top == "" && len(blocks) > 0:
		v.warn("/text", codeMissingText, "screen readers and notifications read the top-level text: give a full sentence")
	case len([]rune(top)) > textSafe:
		v.warn("/text", codeLongText, "keep the top-level text under %d characters [%d]", textSafe, len([]rune(top)))
	}
	v.budget("/blocks")
}

func topText(v *validation, at string, value any) { v.length(at, value, 0, textCut) }

func timestamp(v *validation, at string, value any) {
	if ts, ok := value.(string); !ok || !tsPattern.MatchString(ts) {
		v.report(at, codeInvalidValue, "pattern "+tsPattern.String(), "must be a timestamp as a string")
	}
}

func metadata(v *validation, at string, value any) {
	object(shape{
		keys:     map[string]check{"event_type": str(1, 255), "event_payload": anyObject},
		required: "event_type event_payload",
	})(v, at, value)
}

// anyObject accepts an object whose keys are the caller's business.
func anyObject(v *validation, at string, value any) {
	if _, ok := value.(map[string]any); !ok {
		v.report(at, codeWrongType, "type object", "must be an object")
	}
}

// view judges a modal or a Home tab.
func (v *validation) view(doc map[string]any) {
	keys := map[string]check{
		"blocks": v.blockList(100), "callback_id": str(1, 255), "private_metadata": str(0, 3000), "external_id": str(1, 255),
	}
	kind, _ := doc["type"].(string)
	switch kind {
	case "modal":
		title := text(24, plain)
		keys["title"], keys["submit"], keys["close"] = title, title, title
		keys["clear_on_close"], keys["notify_on_close"], keys["submit_disabled"] = boolean, boolean, boolean
		v.walk("", doc, shape{keys: keys, required: "title blocks"})
		if v.inputs > 0 && doc["submit"] == nil {
			v.report("", codeRequired, "required submit", "a modal with an input block needs submit")
		}
	case "home":
		v.where = forHome
		v.walk("", doc, shape{keys: keys, required: "blocks"})
	default:
		v.report("/type", codeUnknownType, "enum modal home", "unsupported type of view: %q", kind)
	}
}

func (v *validation) blockList(high int) check { return list(0, high, typed("block", v.blockShapes())) }

// blockShapes is the catalogue of blocks. Shapes that contain blocks build theirs when they are reached, which keeps the
// catalogue free of cycles.
func (v *validation) blockShapes() map[string]shape {
	shapes := v.plainBlocks()
	for name, s := range v.compositeBlocks() {
		shapes[name] = s
	}
	for name, s := range shapes {
		s.keys["block_id"] = (*validation).blockID
		s.rule = onSurface(name, s.rule)
		shapes[name] = s
	}
	return shapes
}

// messageOnly are the blocks that modals and the Home tab refuse.
var messageOnly = []string{
	"markdown", "table", "data_table", "context_actions", "plan", "task_card", "file", "card", "carousel", "data_visualization",
}

func onSurface(name string, rule func(*validation, string, map[string]any)) func(*validation, string, map[string]any) {
	return func(v *validation, at string, o map[string]any) {
		if v.where != forMessage && slices.Contains(messageOnly, name) {
			v.report(at+"/type", codeNotAllowedHere, "messages only", "%s blocks are allowed in messages only", name)
		}
		if rule != nil {
			rule(v, at, o)
		}
	}
}

func (v *validation) plainBlocks() map[string]shape {
	image := imageKeys()
	image["title"] = text(2000, plain)
	return map[string]shape{
		"section": {
			keys: map[string]check{
				"text": text(3000, plain, mrkdwn), "fields": list(1, 10, text(2000, plain, mrkdwn)),
				"accessory": typed("accessory", accessoryShapes()), "expand": boolean,
			},
			required: "text|fields",
		},
		"header":  {keys: map[string]check{"text": text(150, plain), "level": integer(1, 4)}, required: "text"},
		"divider": {keys: map[string]check{}},
		"image":   {keys: image, required: "alt_text image_url|slack_file", rule: imageRule},
		"context": {keys: map[string]check{"elements": list(1, 10, contextElement)}, required: "elements"},
		"actions": {
			keys: map[string]check{"elements": list(1, 25, typed("element", actionShapes()))}, required: "elements", rule: buttonSet,
		},
		"context_actions": {
			keys: map[string]check{"elements": list(1, 5, typed("element", contextActionShapes()))}, required: "elements", rule: buttonSet,
		},
		"input": {
			keys: map[string]check{
				"label": text(2000, plain), "hint": text(2000, plain), "element": typed("input", inputShapes()), "optional": boolean,
				"dispatch_action": boolean,
			},
			required: "label element", rule: func(v *validation, _ string, _ map[string]any) { v.inputs++ },
		},
		"rich_text": {keys: map[string]check{"elements": richTextElements}, required: "elements"},
		"markdown":  {keys: map[string]check{"text": markdownText}, required: "text"},
		"alert": {
			keys:     map[string]check{"text": text(3000, plain, mrkdwn), "level": enum("default", "info", "warning", "error", "success")},
			required: "text",
		},
		"file": {keys: map[string]check{"external_id": str(1, 255), "source": enum("remote")}, required: "external_id source"},
		"video": {
			keys: map[string]check{
				"video_url": address, "thumbnail_url": address, "alt_text": str(1, 2000), "title": text(200, plain),
				"title_url": address, "author_name": shownStr(1, 50), "provider_name": shownStr(1, 50),
				"provider_icon_url": address, "description": text(200, plain),
			},
			required: "video_url thumbnail_url alt_text title",
		},
	}
}

func markdownText(v *validation, at string, value any) {
	n := v.length(at, value, 1, 12000)
	v.markdown += n
	v.shown += n
}

func contextElement(v *validation, at string, value any) {
	if o, ok := value.(map[string]any); ok && o["type"] == "image" {
		object(imageElement())(v, at, value)
		return
	}
	text(2000, plain, mrkdwn)(v, at, value)
}

func (v *validation) compositeBlocks() map[string]shape {
	card := shape{keys: map[string]check{
		"title": text(150, plain, mrkdwn), "subtitle": text(150, plain, mrkdwn), "body": text(200, plain, mrkdwn),
		"subtext": text(200, plain, mrkdwn), "hero_image": object(imageElement()), "icon": object(imageElement()),
		"slack_icon": anything, "actions": list(1, 5, typed("element", actionShapes())),
	}, required: "title|body|hero_image|actions"}
	cards := shape{keys: card.keys, required: card.required}
	task := taskCard()
	return map[string]shape{
		"table": {
			keys: map[string]check{
				"rows":            list(1, 100, list(1, 20, typed("cell", cellShapes()))),
				"column_settings": list(1, 20, columnSetting),
			},
			required: "rows", rule: func(v *validation, _ string, _ map[string]any) { v.tables++ },
		},
		"data_table": {
			keys: map[string]check{
				"rows":    list(2, 201, list(1, 20, typed("cell", dataCellShapes()))),
				"caption": shownStr(1, 255), "page_size": integer(1, 100), "row_header_column_index": integer(0, 19),
			},
			required: "rows caption",
		},
		"card":     card,
		"carousel": {keys: map[string]check{"elements": list(1, 10, typed("card", map[string]shape{"card": cards}))}, required: "elements"},
		"container": {
			keys: map[string]check{
				"title": text(150, plain), "rich_text_title": anything, "subtitle": text(150, plain, mrkdwn),
				"icon": object(imageElement()), "width": enum("narrow", "standard", "wide", "full"), "is_collapsible": boolean,
				"default_collapsed": boolean, "has_header_divider": boolean, "child_blocks": childBlocks,
			},
			required: "title|rich_text_title child_blocks",
		},
		"task_card": task,
		"plan":      {keys: map[string]check{"title": shownStr(1, 255), "tasks": list(1, 50, typed("task", map[string]shape{"task_card": taskCard()}))}, required: "title"},
		"data_visualization": {
			keys: map[string]check{"title": shownStr(1, 50), "chart": chart}, required: "title chart",
		},
	}
}

// childBlocks judges the blocks of a container. A container inside a container is refused.
func childBlocks(v *validation, at string, value any) {
	shapes := v.plainBlocks()
	for _, s := range shapes {
		s.keys["block_id"] = (*validation).blockID
	}
	shapes["table"] = v.compositeBlocks()["table"]
	shapes["table"].keys["block_id"] = (*validation).blockID
	for _, name := range []string{"markdown", "alert", "context_actions"} {
		delete(shapes, name)
	}
	list(1, 10, typed("block", shapes))(v, at, value)
}

func taskCard() shape {
	rich := typed("details", map[string]shape{"rich_text": {keys: map[string]check{"elements": richTextElements, "block_id": (*validation).blockID}, required: "elements"}})
	source := typed("source", map[string]shape{"url": {keys: map[string]check{"url": address, "text": shownStr(1, 255)}, required: "url text"}})
	return shape{
		keys: map[string]check{
			"task_id": str(1, 255), "title": shownStr(1, 255), "status": enum("pending", "in_progress", "complete", "error"),
			"details": rich, "output": rich, "sources": list(0, 20, source), "hide_title": boolean, "block_id": (*validation).blockID,
		},
		required: "task_id title",
	}
}

func cellShapes() map[string]shape {
	return map[string]shape{
		"raw_text":   {keys: map[string]check{"text": shownStr(1, 3000)}, required: "text"},
		"raw_number": {keys: map[string]check{"value": number, "text": shownStr(1, 255)}, required: "value"},
		"rich_text":  {keys: map[string]check{"elements": richTextElements, "block_id": anything}, required: "elements"},
	}
}

func dataCellShapes() map[string]shape {
	shapes := cellShapes()
	plainCell := typed("fallback", cellShapes())
	button := typed("element", map[string]shape{"button": actionShapes()["button"]})
	shapes["action"] = shape{keys: map[string]check{"element": button, "fallback": plainCell}, required: "element"}
	return shapes
}

func columnSetting(v *validation, at string, value any) {
	if value == nil {
		return // A null keeps the default for that column.
	}
	object(shape{keys: map[string]check{"align": enum("left", "center", "right"), "is_wrapped": boolean}})(v, at, value)
}

func chart(v *validation, at string, value any) {
	series := list(1, 12, object(shape{
		keys: map[string]check{
			"name": shownStr(1, 20), "data": list(1, 20, object(shape{
				keys: map[string]check{"label": shownStr(1, 20), "value": number}, required: "label value",
			})),
		},
		required: "name data",
	}))
	axis := object(shape{
		keys:     map[string]check{"categories": list(1, 20, shownStr(1, 20)), "x_label": shownStr(1, 50), "y_label": shownStr(1, 50)},
		required: "categories",
	})
	lines := shape{keys: map[string]check{"series": series, "axis_config": axis}, required: "series axis_config"}
	segment := object(shape{keys: map[string]check{"label": shownStr(1, 20), "value": number}, required: "label value"})
	typed("chart", map[string]shape{
		"pie": {keys: map[string]check{"segments": list(1, 12, segment)}, required: "segments"},
		"bar": lines, "area": lines, "line": lines,
	})(v, at, value)
}

// buttonSet applies the rules about a row of elements.
func buttonSet(v *validation, at string, o map[string]any) {
	elements, _ := o["elements"].([]any)
	seen := map[string]bool{}
	primary := 0
	for i, x := range elements {
		e, _ := x.(map[string]any)
		if e["style"] == "primary" {
			primary++
		}
		id, ok := e["action_id"].(string)
		if ok && seen[id] {
			v.report(fmt.Sprintf("%s/elements/%d/action_id", at, i), codeDuplicate, "unique in the block", "action_id %q already used in this block", id)
		}
		seen[id] = true
	}
	if primary > 1 {
		v.warn(at+"/elements", codeManyPrimary, "use the primary style once per set of buttons [%d]", primary)
	}
}
