package slackfake

import (
	"fmt"
	"strings"
)

// renderBlocks turns stored blocks into lines of plain text.
func (s *Server) renderBlocks(raw []byte) []string {
	decoded, err := decodeJSON(raw)
	list, ok := decoded.([]any)
	if err != nil || !ok {
		return nil
	}
	var lines []string
	for _, b := range list {
		block, _ := b.(map[string]any)
		lines = append(lines, s.renderBlock(block)...)
	}
	return lines
}

func (s *Server) renderBlock(block map[string]any) []string {
	switch wordOf(block, "type") {
	case "divider":
		return []string{"---"}
	case "header":
		return []string{"# " + textOf(block["text"])}
	case "section", "alert":
		return s.renderSection(block)
	case "context":
		return []string{"~ " + strings.Join(s.each(block["elements"], s.renderInline), " · ")}
	case "actions", "context_actions":
		return []string{strings.Join(s.each(block["elements"], s.renderInline), " ")}
	case "image":
		return []string{s.renderInline(block)}
	case "markdown":
		return strings.Split(wordOf(block, "text"), "\n")
	case "input":
		return []string{textOf(block["label"]) + ": " + s.renderInline(block["element"])}
	case "rich_text":
		return strings.Split(strings.Join(s.each(block["elements"], s.renderRich), "\n"), "\n")
	case "table", "data_table":
		return s.renderTable(block)
	case "container", "card":
		return s.renderContainer(block)
	default:
		return []string{"[" + wordOf(block, "type") + " " + s.titleOf(block) + "]"}
	}
}

// titleOf returns the heading of a block, whether it is a text object or a bare string.
func (s *Server) titleOf(block map[string]any) string {
	if bare := wordOf(block, "title"); bare != "" {
		return bare
	}
	return s.renderInline(block["title"])
}

func (s *Server) renderSection(block map[string]any) []string {
	var lines []string
	if block["text"] != nil {
		text := s.renderInline(block["text"])
		if level := wordOf(block, "level"); level != "" {
			text = "(" + level + ") " + text
		}
		lines = strings.Split(text, "\n")
	}
	for _, field := range s.each(block["fields"], s.renderInline) {
		lines = append(lines, "| "+strings.ReplaceAll(field, "\n", " "))
	}
	if block["accessory"] != nil {
		lines = append(lines, s.renderInline(block["accessory"]))
	}
	return lines
}

func (s *Server) renderContainer(block map[string]any) []string {
	lines := []string{"> " + s.titleOf(block)}
	for _, key := range []string{"subtitle", "body", "subtext"} {
		if block[key] != nil {
			lines = append(lines, "  "+s.renderInline(block[key]))
		}
	}
	children, _ := block["child_blocks"].([]any)
	for _, c := range children {
		child, _ := c.(map[string]any)
		for _, line := range s.renderBlock(child) {
			lines = append(lines, "  "+line)
		}
	}
	if actions := s.each(block["actions"], s.renderInline); len(actions) > 0 {
		lines = append(lines, "  "+strings.Join(actions, " "))
	}
	return lines
}

func (s *Server) renderTable(block map[string]any) []string {
	var lines []string
	if caption := wordOf(block, "caption"); caption != "" {
		lines = append(lines, caption)
	}
	rows, _ := block["rows"].([]any)
	for _, row := range rows {
		lines = append(lines, "| "+strings.Join(s.each(row, s.renderCell), " | ")+" |")
	}
	return lines
}

func (s *Server) renderCell(v any) string {
	cell, _ := v.(map[string]any)
	switch {
	case wordOf(cell, "text") != "":
		return wordOf(cell, "text")
	case cell["value"] != nil:
		return fmt.Sprint(cell["value"])
	case cell["element"] != nil:
		return s.renderInline(cell["element"])
	default:
		return strings.Join(s.each(cell["elements"], s.renderRich), " ")
	}
}

func (s *Server) each(list any, render func(any) string) []string {
	items, _ := list.([]any)
	var out []string
	for _, x := range items {
		out = append(out, render(x))
	}
	return out
}

// renderInline renders text objects and elements.
func (s *Server) renderInline(v any) string {
	o, _ := v.(map[string]any)
	kind := wordOf(o, "type")
	switch kind {
	case plain:
		return wordOf(o, "text")
	case mrkdwn:
		return s.renderMarkup(wordOf(o, "text"))
	case "image":
		return "[image: " + wordOf(o, "alt_text") + "]"
	case "button", "icon_button", "workflow_button":
		return "[" + textOf(o["text"]) + "]"
	case "overflow":
		return "[…: " + strings.Join(s.optionTexts(o), ", ") + "]"
	case "static_select", "multi_static_select", "radio_buttons", "checkboxes":
		return "[" + textOf(o["placeholder"]) + " ▾: " + strings.Join(s.optionTexts(o), ", ") + "]"
	case "":
		return ""
	default:
		return "[" + kind + "]"
	}
}

func (s *Server) optionTexts(element map[string]any) []string {
	return s.each(element["options"], func(v any) string {
		o, _ := v.(map[string]any)
		return s.renderInline(o["text"])
	})
}

// renderRich renders one element of a rich_text block.
func (s *Server) renderRich(v any) string {
	o, _ := v.(map[string]any)
	switch wordOf(o, "type") {
	case "rich_text_list":
		return "- " + strings.Join(s.each(o["elements"], s.renderRich), "\n- ")
	case "rich_text_quote":
		return "> " + strings.Join(s.each(o["elements"], s.renderRich), "")
	case "rich_text_section", "rich_text_preformatted":
		return strings.Join(s.each(o["elements"], s.renderRich), "")
	case "text":
		style, _ := o["style"].(map[string]any)
		if code, _ := style["code"].(bool); code {
			return "`" + wordOf(o, "text") + "`"
		}
		return wordOf(o, "text")
	case "link":
		return s.showLink(wordOf(o, "url"), wordOf(o, "text"))
	case "user":
		return "@" + s.people.name(wordOf(o, "user_id"))
	case "usergroup":
		return s.showGroup(wordOf(o, "usergroup_id"))
	case "channel":
		return s.showChannel(wordOf(o, "channel_id"))
	case "broadcast":
		return "@" + wordOf(o, "range")
	case "emoji":
		return ":" + wordOf(o, "name") + ":"
	case "date":
		return wordOf(o, "fallback")
	default:
		return "[" + wordOf(o, "type") + "]"
	}
}

// renderMarkup resolves <…> and the three entities; asterisks and backticks stay.
func (s *Server) renderMarkup(text string) string {
	resolved := angle.ReplaceAllStringFunc(text, func(seq string) string {
		inside := seq[1 : len(seq)-1]
		if _, fallback, ok := strings.Cut(inside, "|"); ok && strings.HasPrefix(inside, "!date^") {
			return fallback
		}
		m, ok := classify(inside)
		if !ok {
			return seq
		}
		switch m.Kind {
		case MentionUser:
			return "@" + s.people.name(m.Value)
		case MentionGroup:
			return s.showGroup(m.Value)
		case MentionChannel:
			return s.showChannel(m.Value)
		case MentionBroadcast:
			return "@" + m.Value
		default:
			return s.showLink(m.Value, m.Label)
		}
	})
	return unescape.Replace(resolved)
}

// showLink shows label and target, so that a link that pretends to lead elsewhere is visible in a golden file.
func (s *Server) showLink(target, label string) string {
	if label == "" || label == target {
		return target
	}
	return label + " (" + target + ")"
}

func (s *Server) showGroup(id string) string {
	if g := s.people.groups[id]; g != nil {
		return "@" + g.Handle
	}
	return "@" + id
}

func (s *Server) showChannel(id string) string {
	if c := s.people.channels[id]; c != nil {
		return "#" + c.Name
	}
	return "#" + id
}
