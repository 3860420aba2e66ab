package slackfake

import (
	"encoding/json"
	"slices"
)

const maxStack = 3

// view is a modal or a Home tab.
type view struct {
	id       string
	user     string
	hash     string
	previous string
	root     string
	body     map[string]any // What the bot sent, with ids filled in.
}

func (s *Server) newViewLocked(user string, body map[string]any) *view {
	v := &view{id: s.newIDLocked("V"), user: user}
	v.root = v.id
	s.setViewLocked(v, body)
	s.views[v.id] = v
	return v
}

func (s *Server) setViewLocked(v *view, body map[string]any) {
	blocks, _ := body["blocks"].([]any)
	s.fillIDsLocked(blocks)
	v.body = body
	v.hash = s.newIDLocked("hash.")
	s.notifyLocked()
}

// decodeViewLocked reads and judges a view argument.
func (s *Server) decodeViewLocked(where, raw string) (map[string]any, *apiError) {
	problems := ValidateView([]byte(raw))
	if e := s.judgeLocked(where, problems); e != nil {
		e.code = "invalid_arguments"
		return nil, e
	}
	decoded, err := decodeJSON([]byte(raw))
	body, ok := decoded.(map[string]any)
	if err != nil || !ok {
		return nil, fail("invalid_arguments")
	}
	return body, nil
}

func (s *Server) wireViewLocked(v *view) map[string]any {
	w := map[string]any{"state": map[string]any{"values": map[string]any{}}}
	for k, x := range v.body {
		w[k] = x
	}
	for _, key := range []string{"title", "submit", "close"} {
		if w[key] == nil {
			w[key] = nil
		}
	}
	w["id"], w["team_id"], w["hash"], w["app_id"], w["bot_id"] = v.id, s.people.TeamID, v.hash, s.people.AppID, s.people.BotID
	w["root_view_id"], w["app_installed_team_id"] = v.root, s.people.TeamID
	w["previous_view_id"] = v.previous
	return w
}

func viewsOpen(s *Server, c *call) (reply, *apiError) {
	body, e := s.decodeViewLocked(c.method, c.get("view"))
	if e != nil {
		return nil, e
	}
	if body["type"] != "modal" {
		return nil, fail("invalid_arguments")
	}
	user, e := s.useTriggerLocked(c.get("trigger_id"))
	if e != nil {
		return nil, e
	}
	v := s.newViewLocked(user, body)
	s.stacks[user] = []*view{v}
	return reply{"view": s.wireViewLocked(v)}, nil
}

func viewsPush(s *Server, c *call) (reply, *apiError) {
	body, e := s.decodeViewLocked(c.method, c.get("view"))
	if e != nil {
		return nil, e
	}
	user, e := s.useTriggerLocked(c.get("trigger_id"))
	if e != nil {
		return nil, e
	}
	v, e := s.pushViewLocked(user, body)
	if e != nil {
		return nil, e
	}
	return reply{"view": s.wireViewLocked(v)}, nil
}

func (s *Server) pushViewLocked(user string, body map[string]any) (*view, *apiError) {
	stack := s.stacks[user]
	switch {
	case len(stack) == 0:
		return nil, fail("not_found")
	case len(stack) >= maxStack:
		return nil, fail("push_limit_reached")
	}
	v := s.newViewLocked(user, body)
	v.root, v.previous = stack[0].id, stack[len(stack)-1].id
	s.stacks[user] = append(stack, v)
	return v, nil
}

func viewsUpdate(s *Server, c *call) (reply, *apiError) {
	body, e := s.decodeViewLocked(c.method, c.get("view"))
	if e != nil {
		return nil, e
	}
	v := s.openViewLocked(c.get("view_id"), c.get("external_id"))
	switch {
	case v == nil:
		return nil, fail("not_found")
	case c.has("hash") && c.get("hash") != "" && c.get("hash") != v.hash:
		return nil, fail("hash_conflict")
	}
	s.setViewLocked(v, body)
	return reply{"view": s.wireViewLocked(v)}, nil
}

// openViewLocked finds a view that is on somebody's screen.
func (s *Server) openViewLocked(id, externalID string) *view {
	for _, stack := range s.stacks {
		for _, v := range stack {
			if v.id == id || (externalID != "" && v.body["external_id"] == externalID) {
				return v
			}
		}
	}
	return nil
}

func viewsPublish(s *Server, c *call) (reply, *apiError) {
	body, e := s.decodeViewLocked(c.method, c.get("view"))
	if e != nil {
		return nil, e
	}
	u := s.people.users[c.get("user_id")]
	switch {
	case body["type"] != "home":
		return nil, fail("invalid_arguments")
	case u == nil:
		return nil, fail("user_not_found")
	case u.Deactivated:
		return nil, fail("not_enabled")
	}
	v := s.homes[u.ID]
	switch {
	case v == nil:
		v = s.newViewLocked(u.ID, body)
		s.homes[u.ID] = v
	case c.get("hash") != "" && c.get("hash") != v.hash:
		return nil, fail("hash_conflict")
	default:
		s.setViewLocked(v, body)
	}
	return reply{"view": s.wireViewLocked(v)}, nil
}

// View is a modal or a Home tab as a test sees it.
type View struct {
	ID              string
	Hash            string
	CallbackID      string
	PrivateMetadata string
	Body            json.RawMessage
}

func (v *view) copyOut() View {
	raw, err := json.Marshal(v.body)
	if err != nil {
		raw = nil // Cannot happen: the body came from JSON.
	}
	callback, _ := v.body["callback_id"].(string)
	private, _ := v.body["private_metadata"].(string)
	return View{ID: v.id, Hash: v.hash, CallbackID: callback, PrivateMetadata: private, Body: raw}
}

// Modals returns the modals on the user's screen, the topmost last.
func (s *Server) Modals(user string) []View {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []View
	for _, v := range s.stacks[user] {
		out = append(out, v.copyOut())
	}
	return out
}

// Home returns the user's App Home; ok is false when the bot has published none.
func (s *Server) Home(user string) (v View, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.homes[user] == nil {
		return View{}, false
	}
	return s.homes[user].copyOut(), true
}

// closeViewLocked takes a view and everything above it off the screen.
func (s *Server) closeViewLocked(v *view) {
	stack := s.stacks[v.user]
	if i := slices.Index(stack, v); i >= 0 {
		s.stacks[v.user] = slices.Clone(stack[:i])
	}
}
