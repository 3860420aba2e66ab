package slackfake

import (
	"encoding/json"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// SubmitView fills in a modal, given as action_id to text or option value, and presses its submit button. Like Slack's
// client it refuses to submit when a required input is empty or a text does not fit.
func (s *Server) SubmitView(user, viewID string, values map[string]string) (*Delivery, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, v := s.people.users[user], s.openViewLocked(viewID, "")
	if u == nil || v == nil || v.user != user {
		return nil, fmt.Errorf("user %s has no open view %s", user, viewID)
	}
	if v.body["submit"] == nil {
		return nil, fmt.Errorf("view %s has no submit button", viewID)
	}
	state, err := stateOf(v.body, values)
	if err != nil {
		return nil, err
	}
	d := &Delivery{Kind: KindInteractive, TriggerID: s.newTriggerLocked(user), user: user, channel: s.people.directMessage(user).ID, accepts: true}
	d.onAck = func(payload []byte) { s.submissionAckedLocked(v, payload) }
	payload := s.interactionLocked("view_submission", u, d)
	wire := s.wireViewLocked(v)
	wire["state"] = map[string]any{"values": state}
	payload["view"], payload["response_urls"] = wire, []any{}
	return s.sendLocked(d, payload), nil
}

// stateOf turns what the person entered into view.state.values.
func stateOf(body map[string]any, values map[string]string) (map[string]any, error) {
	state := map[string]any{}
	used := map[string]bool{}
	blocks, _ := body["blocks"].([]any)
	for _, b := range blocks {
		block, _ := b.(map[string]any)
		e, ok := block["element"].(map[string]any)
		if !ok {
			continue
		}
		id := wordOf(e, "action_id")
		entry, err := entryOf(block, e, values[id])
		if err != nil {
			return nil, fmt.Errorf("input %s: %w", id, err)
		}
		used[id] = true
		state[wordOf(block, "block_id")] = map[string]any{id: entry}
	}
	for id := range values {
		if !used[id] {
			return nil, fmt.Errorf("the view has no input %s", id)
		}
	}
	return state, nil
}

func entryOf(block, element map[string]any, value string) (map[string]any, error) {
	kind := wordOf(element, "type")
	if value == "" && !optionalInput(block) {
		return nil, fmt.Errorf("please complete this required field")
	}
	entry := map[string]any{"type": kind}
	switch {
	case isSelect(kind) || kind == "radio_buttons":
		entry["selected_option"] = nil
		if value == "" {
			return entry, nil
		}
		chosen, err := chooseOption(element, value)
		if err != nil {
			return nil, err
		}
		entry["selected_option"] = chosen
	case value == "":
		entry["value"] = nil
	default:
		n := int64(utf8.RuneCountInString(value))
		low, high := limitIn(element, "min_length", 0), limitIn(element, "max_length", 3000)
		if n < low || n > high {
			return nil, fmt.Errorf("%d characters do not fit into %d to %d", n, low, high)
		}
		entry["value"] = value
	}
	return entry, nil
}

func limitIn(element map[string]any, key string, preset int64) int64 {
	n, ok := element[key].(json.Number)
	if !ok {
		return preset
	}
	i, err := strconv.ParseInt(n.String(), 10, 64)
	if err != nil {
		return preset
	}
	return i
}

// submissionAckedLocked obeys response_action; without one the view closes.
func (s *Server) submissionAckedLocked(v *view, payload []byte) {
	var answer struct {
		Action string            `json:"response_action"`
		Errors map[string]string `json:"errors"`
		View   json.RawMessage   `json:"view"`
	}
	if payload != nil {
		if err := json.Unmarshal(payload, &answer); err != nil {
			s.violateLocked("bad_ack_payload", "view_submission", "%v", err)
			return
		}
	}
	switch answer.Action {
	case "":
		s.closeViewLocked(v)
	case "clear":
		delete(s.stacks, v.user)
	case "errors":
		s.checkInputErrorsLocked(v, answer.Errors)
	case "update", "push":
		body, e := s.decodeViewLocked("ack of view_submission", string(answer.View))
		if e != nil {
			return // decodeViewLocked has recorded why.
		}
		if answer.Action == "update" {
			s.setViewLocked(v, body)
		} else if _, e := s.pushViewLocked(v.user, body); e != nil {
			s.violateLocked("bad_ack_payload", "view_submission", "%s", e.code)
		}
	default:
		s.violateLocked("bad_ack_payload", "view_submission", "unknown response_action %q", answer.Action)
	}
}

// checkInputErrorsLocked makes sure that every error belongs to an input block: Slack shows the others nowhere.
func (s *Server) checkInputErrorsLocked(v *view, errors map[string]string) {
	inputs := map[string]bool{}
	blocks, _ := v.body["blocks"].([]any)
	for _, b := range blocks {
		if block, _ := b.(map[string]any); block["type"] == "input" {
			inputs[wordOf(block, "block_id")] = true
		}
	}
	if len(errors) == 0 {
		s.violateLocked("bad_ack_payload", "view_submission", "response_action errors without errors")
	}
	for _, id := range sortedKeys(errors) {
		if !inputs[id] {
			s.violateLocked("bad_ack_payload", "view_submission", "error for %q, which is no input block of the view", id)
		}
	}
}

// CloseView closes a modal; the app hears of it only when the view asked for notify_on_close, else the delivery is nil.
func (s *Server) CloseView(user, viewID string) (*Delivery, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, v := s.people.users[user], s.openViewLocked(viewID, "")
	if u == nil || v == nil || v.user != user {
		return nil, fmt.Errorf("user %s has no open view %s", user, viewID)
	}
	s.closeViewLocked(v)
	s.notifyLocked()
	if notify, _ := v.body["notify_on_close"].(bool); !notify {
		return nil, nil
	}
	d := &Delivery{Kind: KindInteractive, user: user, channel: s.people.directMessage(user).ID}
	payload := s.interactionLocked("view_closed", u, d)
	payload["view"], payload["is_cleared"] = s.wireViewLocked(v), false
	delete(payload, "trigger_id")
	return s.sendLocked(d, payload), nil
}
