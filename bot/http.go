package bot

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/slackevents"
)

const (
	bodyLimit  = 1 << 20
	signedFor  = 300 * time.Second // how far a request's time may be off
	signPrefix = "v0="
)

const (
	jsonType = "application/json"
	formType = "application/x-www-form-urlencoded"
)

// webhook is Slack over signed HTTP requests. One address takes all kinds.
type webhook struct{ b *Bot }

// ServeHTTP verifies a request before it looks into it, records it, answers,
// and lets it work.
func (h *webhook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer func() {
		if p := recover(); p != nil {
			h.b.log.Error("request panicked", slog.Any("panic", p))
			w.WriteHeader(http.StatusInternalServerError)
		}
	}()
	body, status := h.verified(w, r)
	if status != http.StatusOK {
		w.WriteHeader(status)
		return
	}
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind == jsonType {
		if challenge, ok := verification(body); ok {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			w.Header().Set("X-Content-Type-Options", "nosniff")
			_, _ = io.WriteString(w, challenge)
			return
		}
	}
	if h.b.me.Load() == nil || h.b.closed.Load() {
		w.WriteHeader(http.StatusServiceUnavailable) // not running; events come again
		return
	}
	req, err := h.translate(kind, body)
	if err != nil {
		h.b.log.Warn("delivery not understood", slog.Any("error", err))
		w.WriteHeader(http.StatusOK) // bringing it again would not help
		return
	}
	h.accept(w, r, req)
}

// verified reads the body of a request that Slack has signed, or returns the
// status to refuse it with.
func (h *webhook) verified(w http.ResponseWriter, r *http.Request) ([]byte, int) {
	if r.Method != http.MethodPost {
		return nil, http.StatusMethodNotAllowed
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != jsonType && kind != formType {
		return nil, http.StatusUnsupportedMediaType
	}
	if r.ContentLength > bodyLimit {
		return nil, http.StatusRequestEntityTooLarge
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyLimit))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, http.StatusRequestEntityTooLarge
	}
	if err != nil || !h.signed(r.Header, body) {
		return nil, http.StatusUnauthorized
	}
	return body, http.StatusOK
}

// signed reports whether Slack has signed these bytes within the last minutes.
func (h *webhook) signed(header http.Header, body []byte) bool {
	stamps, signatures := header.Values("X-Slack-Request-Timestamp"), header.Values("X-Slack-Signature")
	if len(stamps) != 1 || len(signatures) != 1 {
		return false
	}
	unix, err := strconv.ParseInt(stamps[0], 10, 64)
	if err != nil || h.b.o.Now().Sub(time.Unix(unix, 0)).Abs() > signedFor {
		return false
	}
	digest, ok := strings.CutPrefix(signatures[0], signPrefix)
	got, err := hex.DecodeString(digest)
	if !ok || err != nil {
		return false
	}
	mac := hmac.New(sha256.New, []byte(h.b.o.SigningSecret))
	mac.Write([]byte("v0:" + stamps[0] + ":"))
	mac.Write(body)
	return hmac.Equal(mac.Sum(nil), got)
}

// verification returns the challenge by which Slack checks an address.
func verification(body []byte) (challenge string, ok bool) {
	var v struct {
		Type      string `json:"type"`
		Challenge string `json:"challenge"`
	}
	if json.Unmarshal(body, &v) != nil || v.Type != slackevents.URLVerification {
		return "", false
	}
	return v.Challenge, true
}

// translate returns what there is to do about a body; nil for nothing.
func (h *webhook) translate(kind string, body []byte) (*request, error) {
	if kind == jsonType {
		e, err := slackevents.ParseEvent(body, slackevents.OptionNoVerifyToken())
		if err != nil {
			return nil, err
		}
		return h.b.event(e), nil
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	if payload := form.Get("payload"); payload != "" {
		var c slack.InteractionCallback
		if err := json.Unmarshal([]byte(payload), &c); err != nil {
			return nil, err
		}
		return h.b.interaction(c), nil
	}
	if form.Get("command") == "" {
		return nil, nil // such as ssl_check
	}
	return h.b.command(slack.SlashCommand{
		TeamID: form.Get("team_id"), ChannelID: form.Get("channel_id"), UserID: form.Get("user_id"), UserName: form.Get("user_name"),
		Command: form.Get("command"), Text: form.Get("text"), ResponseURL: form.Get("response_url"), TriggerID: form.Get("trigger_id"),
	}), nil
}

// accept records a request, answers it and lets it work.
func (h *webhook) accept(w http.ResponseWriter, r *http.Request, req *request) {
	if req == nil {
		w.WriteHeader(http.StatusOK)
		return
	}
	if req.key == "" {
		req.key = "signature:" + r.Header.Get("X-Slack-Signature")
	}
	first, err := h.b.intake.record(r.Context(), req)
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable) // Slack brings events again
		return
	}
	w.WriteHeader(http.StatusOK)
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
	if first {
		h.b.intake.start(req)
	}
}
