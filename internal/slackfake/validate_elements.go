package slackfake

import (
	"maps"
	"slices"
)

// interactiveTypes are the elements that carry an action_id.
var interactiveTypes = []string{
	"button", "checkboxes", "datepicker", "datetimepicker", "timepicker", "overflow", "radio_buttons",
	"static_select", "external_select", "users_select", "conversations_select", "channels_select",
	"multi_static_select", "multi_external_select", "multi_users_select", "multi_conversations_select", "multi_channels_select",
	"plain_text_input", "email_text_input", "url_text_input", "number_input", "rich_text_input", "file_input",
	"feedback_buttons", "icon_button", "workflow_button",
}

// element returns the shape of an interactive element: the keys all of them share and its own.
func element(required string, own map[string]check) shape {
	keys := map[string]check{"action_id": str(1, 255)}
	maps.Copy(keys, own)
	return shape{keys: keys, required: required, rule: func(v *validation, at string, o map[string]any) {
		if o["action_id"] == nil && o["url"] == nil {
			v.warn(at, codeMissingActionID, "without action_id Slack invents one and no handler can match it")
		}
	}}
}

func pick(from map[string]shape, names ...string) map[string]shape {
	out := map[string]shape{}
	for _, n := range names {
		out[n] = from[n]
	}
	return out
}

func imageElement() shape {
	return shape{keys: imageKeys(), required: "alt_text image_url|slack_file", rule: imageRule}
}

func accessoryShapes() map[string]shape {
	all := elementShapes()
	names := []string{"button", "checkboxes", "datepicker", "timepicker", "overflow", "radio_buttons", "workflow_button"}
	out := pick(all, append(names, append(selects, multiSelects...)...)...)
	out["image"] = imageElement()
	return out
}

func actionShapes() map[string]shape {
	names := []string{"button", "checkboxes", "datepicker", "datetimepicker", "timepicker", "overflow", "radio_buttons", "workflow_button"}
	return pick(elementShapes(), append(names, selects...)...)
}

func contextActionShapes() map[string]shape {
	return pick(elementShapes(), "feedback_buttons", "icon_button")
}

func inputShapes() map[string]shape {
	out := elementShapes()
	for _, name := range []string{"button", "overflow", "feedback_buttons", "icon_button", "workflow_button"} {
		delete(out, name)
	}
	return out
}

var (
	selects      = []string{"static_select", "external_select", "users_select", "conversations_select", "channels_select"}
	multiSelects = []string{"multi_static_select", "multi_external_select", "multi_users_select", "multi_conversations_select", "multi_channels_select"}
)

func elementShapes() map[string]shape {
	shapes := buttonShapes()
	maps.Copy(shapes, menuShapes())
	maps.Copy(shapes, choiceShapes())
	maps.Copy(shapes, fieldShapes())
	return shapes
}

func buttonShapes() map[string]shape {
	label := text(75, plain)
	style := enum("primary", "danger")
	visible := list(1, 100, str(1, 255))
	feedback := object(shape{
		keys: map[string]check{"text": label, "value": str(0, 2000), "accessibility_label": str(1, 75)}, required: "text value",
	})
	return map[string]shape{
		"button": element("text", map[string]check{
			"text": label, "value": str(0, 2000), "url": address, "style": style, "confirm": confirm,
			"accessibility_label": str(1, 75), "visible_to_user_ids": visible,
		}),
		"icon_button": element("icon text", map[string]check{
			"icon": str(1, 255), "text": label, "value": str(0, 2000), "confirm": confirm, "accessibility_label": str(1, 75),
			"visible_to_user_ids": visible,
		}),
		"feedback_buttons": element("positive_button negative_button", map[string]check{"positive_button": feedback, "negative_button": feedback}),
		"workflow_button": element("text workflow", map[string]check{
			"text": label, "workflow": anything, "style": style, "accessibility_label": str(1, 75),
		}),
	}
}

func menuShapes() map[string]shape {
	base := map[string]check{"placeholder": text(150, plain), "confirm": confirm, "focus_on_load": boolean}
	with := func(required string, own map[string]check) shape {
		keys := maps.Clone(base)
		maps.Copy(keys, own)
		return element(required, keys)
	}
	ids := list(1, 100, str(1, 255))
	opt := option(plain)
	options := map[string]check{"options": list(1, 100, opt), "option_groups": optionGroups}
	single := maps.Clone(options)
	single["initial_option"] = opt
	multi := maps.Clone(options)
	multi["initial_options"], multi["max_selected_items"] = list(1, 100, opt), integer(1, 100)
	filter := object(shape{keys: map[string]check{
		"include": list(1, 4, enum("im", "mpim", "private", "public")), "exclude_external_shared_channels": boolean,
		"exclude_bot_users": boolean,
	}})
	return map[string]shape{
		"static_select":         oneOptionSource(with("options|option_groups", single)),
		"multi_static_select":   oneOptionSource(with("options|option_groups", multi)),
		"external_select":       with("", map[string]check{"initial_option": opt, "min_query_length": integer(0, 255)}),
		"multi_external_select": with("", map[string]check{"initial_options": list(1, 100, opt), "min_query_length": integer(0, 255), "max_selected_items": integer(1, 100)}),
		"users_select":          with("", map[string]check{"initial_user": str(1, 255)}),
		"multi_users_select":    with("", map[string]check{"initial_users": ids, "max_selected_items": integer(1, 100)}),
		"conversations_select": with("", map[string]check{
			"initial_conversation": str(1, 255), "default_to_current_conversation": boolean, "response_url_enabled": boolean, "filter": filter,
		}),
		"multi_conversations_select": with("", map[string]check{
			"initial_conversations": ids, "default_to_current_conversation": boolean, "max_selected_items": integer(1, 100), "filter": filter,
		}),
		"channels_select":       with("", map[string]check{"initial_channel": str(1, 255), "response_url_enabled": boolean}),
		"multi_channels_select": with("", map[string]check{"initial_channels": ids, "max_selected_items": integer(1, 100)}),
		"overflow":              element("options", map[string]check{"options": list(1, 5, opt), "confirm": confirm}),
	}
}

// oneOptionSource refuses options together with option_groups.
func oneOptionSource(s shape) shape {
	inner := s.rule
	s.rule = func(v *validation, at string, o map[string]any) {
		inner(v, at, o)
		if o["options"] != nil && o["option_groups"] != nil {
			v.report(at, codeInvalidValue, "oneOf options option_groups", "must have either options or option_groups")
		}
	}
	return s
}

func choiceShapes() map[string]shape {
	opt := option(plain, mrkdwn)
	dates := map[string]check{"placeholder": text(150, plain), "confirm": confirm, "focus_on_load": boolean}
	date, clock := maps.Clone(dates), maps.Clone(dates)
	date["initial_date"] = str(10, 10)
	clock["initial_time"], clock["timezone"] = str(5, 5), str(1, 255)
	return map[string]shape{
		"checkboxes": element("options", map[string]check{
			"options": list(1, 10, opt), "initial_options": list(1, 10, opt), "confirm": confirm, "focus_on_load": boolean,
		}),
		"radio_buttons": element("options", map[string]check{
			"options": list(1, 10, opt), "initial_option": opt, "confirm": confirm, "focus_on_load": boolean,
		}),
		"datepicker":     element("", date),
		"timepicker":     element("", clock),
		"datetimepicker": element("", map[string]check{"initial_date_time": integer(1e9, 9999999999), "confirm": confirm, "focus_on_load": boolean}),
	}
}

func fieldShapes() map[string]shape {
	base := func(own map[string]check) map[string]check {
		keys := map[string]check{
			"placeholder": text(150, plain), "focus_on_load": boolean, "initial_value": str(0, 3000),
			"dispatch_action_config": object(shape{keys: map[string]check{
				"trigger_actions_on": list(1, 2, enum("on_enter_pressed", "on_character_entered")),
			}}),
		}
		maps.Copy(keys, own)
		return keys
	}
	return map[string]shape{
		"plain_text_input": element("", base(map[string]check{
			"multiline": boolean, "min_length": integer(0, 3000), "max_length": integer(1, 3000),
		})),
		"email_text_input": element("", base(nil)),
		"url_text_input":   element("", base(nil)),
		"number_input": element("is_decimal_allowed", base(map[string]check{
			"is_decimal_allowed": boolean, "min_value": str(1, 32), "max_value": str(1, 32),
		})),
		"rich_text_input": element("", base(map[string]check{"initial_value": anything, "min_lines": integer(1, 100), "max_lines": integer(1, 100)})),
		"file_input":      element("", map[string]check{"filetypes": list(1, 100, str(1, 32)), "max_files": integer(1, 10)}),
	}
}

// optionalInput reports whether the person may leave an input block empty.
func optionalInput(block map[string]any) bool {
	optional, _ := block["optional"].(bool)
	return optional
}

func isSelect(kind string) bool { return slices.Contains(selects, kind) }
