package slackfake

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const maxBody = 1 << 20

// Call is one request that reached the fake, as the call log keeps it; tokens are not kept.
type Call struct {
	Method string
	At     time.Time
	Args   map[string]string // Values that were not strings in a JSON body are kept as JSON.
	Error  string            // Slack's error code, the fault that was played, or empty.
}

// Calls returns the log of the method, or of everything when method is empty.
func (s *Server) Calls(method string) []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Call
	for _, c := range s.calls {
		if method == "" || c.Method == method {
			c.Args = maps.Clone(c.Args)
			out = append(out, c)
		}
	}
	return out
}

func (s *Server) logCall(c Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.At = s.clock.Now()
	s.calls = append(s.calls, c)
	s.notifyLocked()
}

// reply is the body of a successful answer without its "ok".
type reply map[string]any

// apiError is an answer with "ok": false.
type apiError struct {
	code     string
	needed   string
	provided string
	problems []Problem
	// asObjects answers with the problems themselves, as blocks.validate does; other methods answer with texts.
	asObjects bool
}

func fail(code string) *apiError { return &apiError{code: code} }

func errorReply(e *apiError) reply {
	r := reply{"ok": false, "error": e.code}
	if e.needed != "" {
		r["needed"], r["provided"] = e.needed, e.provided
	}
	switch {
	case e.asObjects:
		r["errors"] = e.problems
	case len(e.problems) > 0:
		var messages, errs []string
		for _, p := range e.problems {
			errs = append(errs, fmt.Sprintf("%s [json-pointer:%s]", p.Message, p.Pointer))
			messages = append(messages, "[ERROR] "+errs[len(errs)-1])
		}
		r["errors"] = errs
		r["response_metadata"] = map[string]any{"messages": messages}
	}
	return r
}

func writeJSON(w http.ResponseWriter, status int, body reply) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// call is one decoded Web API request.
type call struct {
	method string
	token  string
	args   map[string]string
	asJSON bool
}

func (c *call) get(name string) string { return c.args[name] }

func (c *call) has(name string) bool {
	_, ok := c.args[name]
	return ok
}

func (c *call) flag(name string) bool {
	v := c.args[name]
	return v == "true" || v == "1"
}

func (s *Server) serveMethod(w http.ResponseWriter, r *http.Request, name string) {
	m, known := methods()[name]
	c, decodeErr := decodeCall(r, name)
	fault := s.takeFault(name)
	if !s.before(w, r, fault) {
		s.logCall(Call{Method: name, Args: c.args, Error: faultName(fault)})
		return
	}
	var body reply
	e := decodeErr
	switch {
	case !known:
		e = fail("unknown_method")
	case e == nil:
		body, e = s.perform(m, c)
	}
	logged := Call{Method: name, Args: c.args}
	if e != nil {
		body = errorReply(e)
		logged.Error = e.code
	} else {
		body["ok"] = true
	}
	s.logCall(logged)
	if fault.ResetAfterCommit {
		reset(w)
		return
	}
	writeJSON(w, http.StatusOK, body)
}

func faultName(f Fault) string {
	switch {
	case f.RateLimit > 0:
		return "ratelimited"
	case f.Status != 0:
		return fmt.Sprintf("http_%d", f.Status)
	case f.Error != "":
		return f.Error
	default:
		return "reset"
	}
}

// perform authorises and runs one call with the lock held, so that every method is atomic.
func (s *Server) perform(m method, c *call) (reply, *apiError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.authoriseLocked(m, c); e != nil {
		return nil, e
	}
	if c.asJSON && !m.acceptsJSON {
		return nil, fail("invalid_arguments")
	}
	for _, name := range slices.Sorted(maps.Keys(c.args)) {
		if name != "token" && !slices.Contains(m.args, name) {
			s.violateLocked("unknown_argument", c.method, "argument %q is not one of %s", name, strings.Join(m.args, ", "))
		}
	}
	body, e := m.run(s, c)
	if e == nil && body == nil {
		body = reply{}
	}
	s.notifyLocked()
	return body, e
}

func (s *Server) authoriseLocked(m method, c *call) *apiError {
	if m.token == noToken {
		return nil
	}
	if c.token == "" {
		return fail("not_authed")
	}
	wanted, other := s.people.BotToken, s.people.AppToken
	if m.token == appToken {
		wanted, other = other, wanted
	}
	switch {
	case c.token == other:
		return fail("not_allowed_token_type")
	case c.token != wanted:
		return fail("invalid_auth")
	case s.authFailure != "":
		return fail(s.authFailure)
	}
	if m.scope == "" {
		return nil
	}
	return s.needScopeLocked(m.scope)
}

func (s *Server) needScopeLocked(scope string) *apiError {
	if slices.Contains(s.people.Scopes, scope) {
		return nil
	}
	return &apiError{code: "missing_scope", needed: scope, provided: strings.Join(s.people.Scopes, ",")}
}

// FailAuth makes every authorised call answer code, for example token_revoked; an empty code ends that.
func (s *Server) FailAuth(code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.authFailure = code
}

// SetScopes replaces the scopes that the bot token has.
func (s *Server) SetScopes(scopes ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.people.Scopes = slices.Clone(scopes)
}

// decodeCall reads token and arguments from wherever Slack allows them to be. The call it returns is never nil.
func decodeCall(r *http.Request, name string) (*call, *apiError) {
	c := &call{method: name, args: map[string]string{}}
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		c.token = bearer
	}
	e := c.decodeBody(r)
	if e != nil {
		return c, e
	}
	if token, ok := c.args["token"]; ok && !c.asJSON {
		if c.token == "" {
			c.token = token
		}
		delete(c.args, "token")
	}
	return c, nil
}

func (c *call) decodeBody(r *http.Request) *apiError {
	switch r.Method {
	case http.MethodGet:
		q := r.URL.Query()
		if q.Has("token") {
			return fail("invalid_auth") // Slack refuses tokens in query strings since 2021.
		}
		c.addForm(q)
		return nil
	case http.MethodPost:
	default:
		return fail("invalid_post_type")
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
	if err != nil {
		return bodyError(err)
	}
	if len(body) == 0 {
		return nil
	}
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return fail("missing_post_type")
	}
	switch kind {
	case "application/x-www-form-urlencoded":
		return c.decodeForm(body)
	case "multipart/form-data":
		return c.decodeMultipart(body, params["boundary"])
	case "application/json":
		return c.decodeJSON(body)
	default:
		return fail("invalid_post_type")
	}
}

func bodyError(err error) *apiError {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return fail("request_too_large")
	}
	return fail("request_timeout")
}

func (c *call) addForm(values url.Values) {
	for k, v := range values {
		c.args[k] = v[0]
	}
}

func (c *call) decodeForm(body []byte) *apiError {
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return fail("invalid_form_data")
	}
	c.addForm(values)
	return nil
}

func (c *call) decodeMultipart(body []byte, boundary string) *apiError {
	form, err := multipart.NewReader(bytes.NewReader(body), boundary).ReadForm(maxBody)
	if err != nil {
		return fail("invalid_form_data")
	}
	c.addForm(form.Value)
	_ = form.RemoveAll()
	return nil
}

func (c *call) decodeJSON(body []byte) *apiError {
	c.asJSON = true
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return fail("invalid_json")
	}
	for name, raw := range fields {
		var text string
		switch {
		case string(raw) == "null":
		case json.Unmarshal(raw, &text) == nil:
			c.args[name] = text
		default:
			c.args[name] = string(raw)
		}
	}
	return nil
}
