package slackfake

import (
	"encoding/json"
	"io"
	"net/http"
	"time"
)

const (
	hookUses     = 5
	hookLifetime = 30 * time.Minute
	triggerLife  = 3 * time.Second
)

// responseHook is what stands behind a response_url.
type responseHook struct {
	channel  string
	user     string
	original *message // The message whose button was clicked; nil for slash commands.
	uses     int
	expires  time.Time
}

// trigger is the short-lived right to open a modal.
type trigger struct {
	user    string
	expires time.Time
	used    bool
}

func (s *Server) newHookLocked(channel, user string, original *message) string {
	url := s.base() + "/commands/" + s.people.TeamID + "/" + s.newIDLocked("hook")
	s.hooks[url] = &responseHook{channel: channel, user: user, original: original, expires: s.clock.Now().Add(hookLifetime)}
	return url
}

func (s *Server) newTriggerLocked(user string) string {
	id := s.newIDLocked("13345224609.738474920.")
	s.triggers[id] = &trigger{user: user, expires: s.clock.Now().Add(triggerLife)}
	return id
}

func (s *Server) useTriggerLocked(id string) (user string, e *apiError) {
	t := s.triggers[id]
	switch {
	case t == nil:
		return "", fail("invalid_trigger_id")
	case t.used:
		return "", fail("exchanged_trigger_id")
	case !s.clock.Now().Before(t.expires):
		return "", fail("expired_trigger_id")
	}
	t.used = true
	return t.user, nil
}

// hookMessage is the body of a POST to a response_url and of an acknowledgement of a slash command.
type hookMessage struct {
	ResponseType    string          `json:"response_type"`
	Text            string          `json:"text"`
	Blocks          json.RawMessage `json:"blocks"`
	ThreadTS        string          `json:"thread_ts"`
	ReplaceOriginal bool            `json:"replace_original"`
	DeleteOriginal  bool            `json:"delete_original"`
	Metadata        json.RawMessage `json:"metadata"`
	Attachments     json.RawMessage `json:"attachments"`
}

func (m hookMessage) draft() draft {
	return draft{text: m.Text, blocks: rawOrEmpty(m.Blocks), metadata: rawOrEmpty(m.Metadata), attached: rawOrEmpty(m.Attachments) != ""}
}

func rawOrEmpty(raw json.RawMessage) string {
	if string(raw) == "null" {
		return ""
	}
	return string(raw)
}

func (s *Server) serveResponseURL(w http.ResponseWriter, r *http.Request) {
	fault := s.takeFault(MethodResponseURL)
	if !s.before(w, r, fault) {
		s.logCall(Call{Method: MethodResponseURL, Error: faultName(fault)})
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
	if err != nil {
		http.Error(w, "too large", http.StatusRequestEntityTooLarge)
		return
	}
	e := s.answerHook(s.base()+r.URL.Path, body)
	logged := Call{Method: MethodResponseURL, Args: map[string]string{"body": string(body)}}
	if e != nil {
		logged.Error = e.code
	}
	s.logCall(logged)
	switch {
	case fault.ResetAfterCommit:
		reset(w)
	case e != nil:
		writeJSON(w, http.StatusNotFound, errorReply(e))
	default:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, "ok")
	}
}

func (s *Server) answerHook(url string, body []byte) *apiError {
	s.mu.Lock()
	defer s.mu.Unlock()
	hook := s.hooks[url]
	switch {
	case hook == nil:
		return fail("invalid_url")
	case !s.clock.Now().Before(hook.expires):
		return fail("expired_url")
	case hook.uses >= hookUses:
		return fail("used_url")
	}
	var m hookMessage
	if err := json.Unmarshal(body, &m); err != nil {
		return fail("invalid_payload")
	}
	hook.uses++
	if m.ReplaceOriginal || m.DeleteOriginal {
		return s.changeOriginalLocked(hook, m)
	}
	return s.answerLocked(MethodResponseURL, hook.channel, hook.user, m)
}

func (s *Server) changeOriginalLocked(hook *responseHook, m hookMessage) *apiError {
	if hook.original == nil {
		s.violateLocked("no_original", MethodResponseURL, "a slash command has no original message to replace or delete")
		if m.DeleteOriginal {
			return fail("message_not_found")
		}
		return s.answerLocked(MethodResponseURL, hook.channel, hook.user, m)
	}
	if hook.original.Deleted {
		return fail("message_not_found")
	}
	if m.DeleteOriginal {
		hook.original.remove(s.clock.Now())
		s.notifyLocked()
		return nil
	}
	return s.replaceLocked(MethodResponseURL, hook.original, m.draft(), true)
}

// answerLocked posts what a response_url or the acknowledgement of a command asks for.
func (s *Server) answerLocked(where, channel, user string, m hookMessage) *apiError {
	out := Message{Channel: channel, User: s.people.BotUserID, ThreadTS: m.ThreadTS}
	switch m.ResponseType {
	case "in_channel":
	case "", "ephemeral":
		out.EphemeralTo = user
	default:
		return fail("invalid_response_type")
	}
	if e := s.threadLocked(where, channel, m.ThreadTS); e != nil {
		return e
	}
	accepted, e := s.acceptLocked(where, m.draft())
	if e != nil {
		return e
	}
	s.storeLocked(out, accepted)
	return nil
}

// ResponseURLUses returns how many of its five uses a response_url has left.
func (s *Server) ResponseURLUses(url string) (left int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	hook := s.hooks[url]
	if hook == nil || !s.clock.Now().Before(hook.expires) {
		return 0
	}
	return hookUses - hook.uses
}
