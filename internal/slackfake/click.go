package slackfake

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Button is a button that a person sees on a message.
type Button struct {
	Label    string
	ActionID string
	BlockID  string
	Value    string
	Style    string
	URL      string
	Confirm  string // Title and text of the confirmation dialog, or empty when a click acts at once.
}

// Buttons returns the buttons of the latest state of a message, in reading order.
func (s *Server) Buttons(channel, ts string) []Button {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.findLocked(channel, ts)
	if m == nil || m.Deleted {
		return nil
	}
	var out []Button
	for _, p := range placedElements(m.Blocks) {
		if p.element["type"] == "button" {
			out = append(out, p.button())
		}
	}
	return out
}

// placed is an interactive element together with the block it sits in.
type placed struct {
	blockID string
	element map[string]any
}

func (p placed) button() Button {
	b := Button{
		Label: textOf(p.element["text"]), ActionID: wordOf(p.element, "action_id"), BlockID: p.blockID,
		Value: wordOf(p.element, "value"), Style: wordOf(p.element, "style"), URL: wordOf(p.element, "url"),
	}
	if dialog, ok := p.element["confirm"].(map[string]any); ok {
		b.Confirm = textOf(dialog["title"]) + ": " + textOf(dialog["text"])
	}
	return b
}

func (p placed) is(button string) bool {
	return wordOf(p.element, "action_id") == button || textOf(p.element["text"]) == button
}

func textOf(object any) string {
	o, _ := object.(map[string]any)
	return wordOf(o, "text")
}

func placedElements(blocks []byte) []placed {
	decoded, err := decodeJSON(blocks)
	list, ok := decoded.([]any)
	if err != nil || !ok {
		return nil
	}
	var out []placed
	for _, b := range list {
		block, _ := b.(map[string]any)
		for _, e := range interactiveElements(block) {
			out = append(out, placed{blockID: wordOf(block, "block_id"), element: e})
		}
	}
	return out
}

// ClickOption changes how a click happens.
type ClickOption func(*click)

type click struct {
	revision int // The state of the message on the person's screen; negative means the latest.
	value    string
	choose   bool
}

// OnRevision makes the person click on an older state of the message, as a client that has not caught up yet does.
func OnRevision(n int) ClickOption { return func(c *click) { c.revision = n } }

// Choosing picks the option with this value or text from a menu instead of pressing a button.
func Choosing(option string) ClickOption {
	return func(c *click) { c.value, c.choose = option, true }
}

// Click presses a button, given by action_id or label, on a message, answering its confirmation dialog with yes. The app
// gets block_actions with the message as it is now, unless OnRevision says otherwise.
func (s *Server) Click(user, channel, ts, button string, options ...ClickOption) (*Delivery, error) {
	how := click{revision: -1}
	for _, o := range options {
		o(&how)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	u, ch, err := s.actorLocked(user, channel)
	if err != nil {
		return nil, err
	}
	m, shown, err := s.onScreenLocked(user, channel, ts, how.revision)
	if err != nil {
		return nil, err
	}
	target, err := findElement(shown.Blocks, button)
	if err != nil {
		return nil, err
	}
	action, err := actionOf(target, how)
	if err != nil {
		return nil, err
	}
	d := &Delivery{
		Kind: KindInteractive, TriggerID: s.newTriggerLocked(user), ResponseURL: s.newHookLocked(channel, user, m),
		TS: ts, channel: channel, user: user,
	}
	action["action_ts"] = s.actionTSLocked()
	payload := s.interactionLocked("block_actions", u, d)
	payload["response_url"], payload["actions"] = d.ResponseURL, []any{action}
	payload["channel"] = map[string]any{"id": ch.ID, "name": ch.Name}
	payload["state"] = map[string]any{"values": map[string]any{}}
	container := map[string]any{"type": "message", "message_ts": ts, "channel_id": channel, "is_ephemeral": m.EphemeralTo != ""}
	if m.ThreadTS != "" {
		container["thread_ts"] = m.ThreadTS
	}
	payload["container"] = container
	if m.EphemeralTo == "" { // Slack leaves ephemeral messages out.
		wire := s.wireLocked(m)
		wire["text"], wire["blocks"] = shown.Text, shown.Blocks
		payload["message"] = wire
	}
	return s.sendLocked(d, payload), nil
}

func (s *Server) actionTSLocked() string { return s.nextTSLocked("actions") }

// onScreenLocked finds the message and the state of it that the person looks at.
func (s *Server) onScreenLocked(user, channel, ts string, revision int) (*message, Revision, error) {
	m := s.findLocked(channel, ts)
	switch {
	case m == nil:
		return nil, Revision{}, fmt.Errorf("no message %s in %s", ts, channel)
	case m.hidden || (m.EphemeralTo != "" && m.EphemeralTo != user):
		return nil, Revision{}, fmt.Errorf("user %s cannot see the ephemeral message %s", user, ts)
	case revision >= len(m.revisions):
		return nil, Revision{}, fmt.Errorf("message %s has no revision %d", ts, revision)
	case revision < 0 && m.Deleted:
		return nil, Revision{}, fmt.Errorf("message %s was deleted", ts)
	case revision < 0:
		revision = len(m.revisions) - 1
	}
	return m, m.revisions[revision], nil
}

func findElement(blocks []byte, name string) (placed, error) {
	var labels []string
	var found []placed
	for _, p := range placedElements(blocks) {
		if p.is(name) {
			found = append(found, p)
		}
		labels = append(labels, fmt.Sprintf("%s (%s)", textOf(p.element["text"]), wordOf(p.element, "action_id")))
	}
	switch {
	case len(found) == 0:
		return placed{}, fmt.Errorf("nothing called %q on the message; it has: %s", name, strings.Join(labels, ", "))
	case len(found) > 1:
		return placed{}, fmt.Errorf("%d elements are called %q; name one by its action_id", len(found), name)
	}
	return found[0], nil
}

// actionOf is the entry of "actions" for what the person did.
func actionOf(p placed, how click) (map[string]any, error) {
	kind := wordOf(p.element, "type")
	action := map[string]any{"type": kind, "action_id": p.element["action_id"], "block_id": p.blockID}
	switch {
	case !how.choose && kind == "button":
		action["text"], action["value"] = p.element["text"], p.element["value"]
	case how.choose && (isSelect(kind) || kind == "overflow" || kind == "radio_buttons"):
		chosen, err := chooseOption(p.element, how.value)
		if err != nil {
			return nil, err
		}
		action["selected_option"] = chosen
	default:
		return nil, fmt.Errorf("a %s cannot be used that way", kind)
	}
	return action, nil
}

func chooseOption(element map[string]any, wanted string) (map[string]any, error) {
	options, _ := element["options"].([]any)
	groups, _ := element["option_groups"].([]any)
	for _, g := range groups {
		group, _ := g.(map[string]any)
		more, _ := group["options"].([]any)
		options = append(options, more...)
	}
	for _, x := range options {
		o, _ := x.(map[string]any)
		if wordOf(o, "value") == wanted || textOf(o["text"]) == wanted {
			return o, nil
		}
	}
	return nil, fmt.Errorf("no option %q in %s", wanted, wordOf(element, "action_id"))
}

func decodeHookMessage(payload []byte) (hookMessage, error) {
	var m hookMessage
	err := json.Unmarshal(payload, &m)
	return m, err
}
