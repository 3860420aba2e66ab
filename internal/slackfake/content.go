package slackfake

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

const (
	textCut  = 40000 // Slack cuts longer texts.
	textSafe = 4000  // Slack splits longer texts.
)

// draft is what a caller wants a message to say, however it arrived.
type draft struct {
	text     string
	blocks   string // JSON, or empty.
	metadata string
	parse    string
	linkAll  bool
	attached bool
}

// content is a draft that Slack accepted.
type content struct {
	text     string
	blocks   json.RawMessage
	metadata json.RawMessage
	mentions []Mention
	blockIDs []string // The ones the bot chose.
}

func draftOf(c *call) draft {
	return draft{
		text: c.get("text"), blocks: c.get("blocks"), metadata: c.get("metadata"), parse: c.get("parse"),
		linkAll: c.flag("link_names"), attached: c.has("attachments"),
	}
}

// acceptLocked judges a draft as Slack would and records what Slack would not complain about.
func (s *Server) acceptLocked(where string, d draft) (content, *apiError) {
	if d.attached {
		s.violateLocked("attachments", where, "legacy attachments are not modelled; use blocks")
		return content{}, fail("invalid_attachments")
	}
	blocks, e := decodeBlocks(d.blocks)
	if e != nil {
		s.violateLocked(e.code, where, "blocks are not a JSON array")
		return content{}, e
	}
	if d.text == "" && len(blocks) == 0 {
		return content{}, fail("no_text")
	}
	if len([]rune(d.text)) > textCut {
		return content{}, fail("msg_too_long")
	}
	out := content{text: d.text}
	if out.metadata, e = decodeMetadata(d.metadata); e != nil {
		return content{}, e
	}
	run := newValidation(forMessage)
	run.message(map[string]any{"text": d.text, "blocks": blocks})
	if e := s.judgeLocked(where, run.problems); e != nil {
		return content{}, e
	}
	if e := s.checkImagesLocked(blocks); e != nil {
		s.violateLocked(e.code, where, "%s", e.problems[0].Message)
		return content{}, e
	}
	out.mentions = findMentions(d, blocks)
	out.blockIDs = blockIDsOf(blocks)
	if len(blocks) > 0 {
		out.blocks = s.fillIDsLocked(blocks)
	}
	return out, nil
}

// judgeLocked turns problems into Slack's refusal; warnings only become violations.
func (s *Server) judgeLocked(where string, problems []Problem) *apiError {
	var hard []Problem
	code := "invalid_blocks"
	for _, p := range problems {
		s.violateLocked(p.Code, where, "%s", p)
		if p.Warning {
			continue
		}
		hard = append(hard, p)
		if p.Code == codeMessageTooLong {
			code = codeMessageTooLong
		}
	}
	if len(hard) == 0 {
		return nil
	}
	return &apiError{code: code, problems: hard}
}

func decodeBlocks(raw string) ([]any, *apiError) {
	if raw == "" {
		return nil, nil
	}
	v, err := decodeJSON([]byte(raw))
	if err != nil {
		return nil, fail("invalid_blocks_format")
	}
	list, ok := v.([]any)
	if !ok {
		return nil, fail("invalid_blocks_format")
	}
	return list, nil
}

func decodeMetadata(raw string) (json.RawMessage, *apiError) {
	if raw == "" {
		return nil, nil
	}
	var m struct {
		EventType    string          `json:"event_type"`
		EventPayload json.RawMessage `json:"event_payload"`
	}
	dec := json.NewDecoder(strings.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&m); err != nil {
		return nil, fail("invalid_metadata_format")
	}
	if m.EventType == "" && len(m.EventPayload) <= len("null") {
		return nil, nil // An empty object, which clients send for "no metadata".
	}
	if m.EventType == "" || !bytes.HasPrefix(bytes.TrimSpace(m.EventPayload), []byte("{")) {
		return nil, fail("invalid_metadata_schema")
	}
	return json.RawMessage(raw), nil
}

// decodeJSON keeps numbers as written, so that what is stored is what was sent.
func decodeJSON(raw []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	if dec.More() {
		return nil, errTrailing
	}
	return v, nil
}

func blockIDsOf(blocks []any) []string {
	var out []string
	for _, b := range blocks {
		if block, ok := b.(map[string]any); ok {
			if id, ok := block["block_id"].(string); ok {
				out = append(out, id)
			}
		}
	}
	return out
}

// fillIDsLocked gives every block and interactive element without an id one, as Slack does, and encodes the result.
func (s *Server) fillIDsLocked(blocks []any) json.RawMessage {
	for _, b := range blocks {
		block, ok := b.(map[string]any)
		if !ok {
			continue
		}
		if _, ok := block["block_id"]; !ok {
			block["block_id"] = s.newIDLocked("b")
		}
		for _, e := range interactiveElements(block) {
			if _, ok := e["action_id"]; !ok {
				e["action_id"] = s.newIDLocked("a")
			}
		}
	}
	raw, err := json.Marshal(blocks)
	if err != nil {
		return nil // Cannot happen: the value came from JSON.
	}
	return raw
}

// interactiveElements returns the elements of a block that a person can use, in reading order.
func interactiveElements(block map[string]any) []map[string]any {
	var out []map[string]any
	add := func(v any) {
		e, ok := v.(map[string]any)
		if !ok {
			return
		}
		if kind, _ := e["type"].(string); slices.Contains(interactiveTypes, kind) {
			out = append(out, e)
		}
	}
	add(block["accessory"])
	add(block["element"])
	for _, key := range []string{"elements", "actions"} {
		list, _ := block[key].([]any)
		for _, v := range list {
			add(v)
			if child, ok := v.(map[string]any); ok && child["type"] == "card" {
				out = append(out, interactiveElements(child)...)
			}
		}
	}
	children, _ := block["child_blocks"].([]any)
	for _, v := range children {
		if child, ok := v.(map[string]any); ok {
			out = append(out, interactiveElements(child)...)
		}
	}
	return out
}

// checkImagesLocked refuses images of files that Slack has not finished processing.
func (s *Server) checkImagesLocked(blocks []any) *apiError {
	for _, b := range blocks {
		block, _ := b.(map[string]any)
		ref, _ := block["slack_file"].(map[string]any)
		if ref == nil {
			continue
		}
		id, _ := ref["id"].(string)
		if f := s.files[id]; ref["url"] == nil && (f == nil || !f.ready) {
			p := Problem{Pointer: "/blocks", Code: "invalid_slack_file", Message: "invalid slack file"}
			return &apiError{code: "invalid_blocks", problems: []Problem{p}}
		}
	}
	return nil
}
