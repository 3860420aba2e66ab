package slackfake

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// HTTPTarget is where the app listens when it does not use Socket Mode.
type HTTPTarget struct {
	EventsURL        string
	CommandsURL      string
	InteractivityURL string
	SigningSecret    string
}

func (t *HTTPTarget) address(k Kind) string {
	switch k {
	case KindCommand:
		return t.CommandsURL
	case KindInteractive:
		return t.InteractivityURL
	default:
		return t.EventsURL
	}
}

// Sign returns the headers X-Slack-Request-Timestamp and X-Slack-Signature of a body, for tests that forge requests.
func Sign(secret string, unix int64, body []byte) (timestamp, signature string) {
	timestamp = strconv.FormatInt(unix, 10)
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = fmt.Fprintf(mac, "v0:%s:", timestamp)
	_, _ = mac.Write(body)
	return timestamp, "v0=" + hex.EncodeToString(mac.Sum(nil))
}

var errTooManyRedirects = errors.New("too many redirects")

func newDeliveryClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{},
		CheckRedirect: func(_ *http.Request, via []*http.Request) error {
			if len(via) > 2 {
				return errTooManyRedirects
			}
			return nil
		},
	}
}

// postLocked starts one HTTP attempt; its outcome is recorded when the app has answered or the deadline has passed.
func (s *Server) postLocked(d *Delivery, n int, reason string) {
	ctx, cancel := context.WithCancel(context.Background())
	d.cancel = cancel // Close must not wait for an app that hangs.
	d.stop = s.later(ackDeadline, func() {
		cancel()
		s.failLocked(d, n, "http_timeout")
	})
	req, err := s.signedRequest(ctx, d.Kind, d.target, d.Payload)
	if err != nil {
		cancel()
		s.failLocked(d, n, "unknown_error")
		return
	}
	if n > 0 {
		req.Header.Set("X-Slack-Retry-Num", strconv.Itoa(n))
		req.Header.Set("X-Slack-Retry-Reason", reason)
	}
	s.running.Go(func() {
		defer cancel()
		body, header, result := exchange(s.client, req)
		s.finishPost(d, n, body, header, result)
	})
}

// signedRequest builds what the app gets: JSON for events, a form for everything else.
func (s *Server) signedRequest(ctx context.Context, kind Kind, target string, payload []byte) (*http.Request, error) {
	body, contentType := payload, "application/json"
	switch kind {
	case KindEvent: // as it is
	case KindInteractive:
		body, contentType = []byte(url.Values{"payload": {string(payload)}}.Encode()), "application/x-www-form-urlencoded"
	case KindCommand:
		form, err := formOf(payload)
		if err != nil {
			return nil, err
		}
		body, contentType = form, "application/x-www-form-urlencoded"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", contentType)
	timestamp, signature := Sign(s.options.HTTP.SigningSecret, s.clock.Now().Unix(), body)
	req.Header.Set("X-Slack-Request-Timestamp", timestamp)
	req.Header.Set("X-Slack-Signature", signature)
	return req, nil
}

func formOf(payload []byte) ([]byte, error) {
	var fields map[string]any
	if err := json.Unmarshal(payload, &fields); err != nil {
		return nil, err
	}
	form := url.Values{}
	for k, v := range fields {
		form.Set(k, fmt.Sprint(v))
	}
	return []byte(form.Encode()), nil
}

// exchange sends the request and words the result as X-Slack-Retry-Reason does; success is an empty result.
func exchange(client *http.Client, req *http.Request) (body []byte, header http.Header, result string) {
	resp, err := client.Do(req)
	if err != nil {
		switch {
		case errors.Is(err, errTooManyRedirects):
			return nil, nil, "too_many_redirects"
		case errors.Is(err, context.Canceled):
			return nil, nil, "http_timeout"
		}
		return nil, nil, "connection_failed"
	}
	defer func() { _ = resp.Body.Close() }()
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return nil, resp.Header, "connection_failed"
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return nil, resp.Header, "http_error"
	}
	return body, resp.Header, ""
}

func (s *Server) finishPost(d *Delivery, n int, body []byte, header http.Header, result string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || d.state != stateWaiting || len(d.attempts)-1 != n {
		if result == "" {
			d.stray++
		}
		return
	}
	if result != "" {
		if header.Get("X-Slack-No-Retry") == "1" && result == "http_error" {
			d.retries = false
		}
		s.failLocked(d, n, result)
		return
	}
	s.ackedLocked(d, httpAck(d.Kind, header, body))
}

// httpAck reads the payload of an acknowledgement from the body; a plain text answers a command with that text.
func httpAck(kind Kind, header http.Header, body []byte) json.RawMessage {
	trimmed := bytes.TrimSpace(body)
	switch {
	case kind == KindEvent || emptyAck(trimmed):
		return nil
	case strings.HasPrefix(header.Get("Content-Type"), "application/json"):
		return trimmed
	case kind == KindCommand:
		raw, err := json.Marshal(map[string]string{"text": string(trimmed)})
		if err != nil {
			return nil
		}
		return raw
	default:
		return nil
	}
}

// VerifyURL sends the url_verification challenge to the events address and checks the answer.
func (s *Server) VerifyURL(ctx context.Context) error {
	const challenge = "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"
	payload, err := json.Marshal(map[string]string{"type": "url_verification", "challenge": challenge, "token": "legacy"})
	if err != nil {
		return err
	}
	req, err := s.signedRequest(ctx, KindEvent, s.options.HTTP.EventsURL, payload)
	if err != nil {
		return fmt.Errorf("verify the events address: %w", err)
	}
	body, header, result := exchange(s.client, req)
	if result != "" {
		return fmt.Errorf("verify the events address: %s", result)
	}
	answer := strings.TrimSpace(string(body))
	if strings.HasPrefix(header.Get("Content-Type"), "application/json") {
		var fields struct {
			Challenge string `json:"challenge"`
		}
		if err := json.Unmarshal(body, &fields); err != nil {
			return fmt.Errorf("verify the events address: %w", err)
		}
		answer = fields.Challenge
	}
	if answer != challenge {
		return fmt.Errorf("verify the events address: the answer %.80q is not the challenge", answer)
	}
	return nil
}
