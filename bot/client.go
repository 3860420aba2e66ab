package bot

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/slack-go/slack"
)

const (
	callTimeout  = 30 * time.Second
	socketLived  = 30 * time.Second // a socket that lives shorter than this has failed
	firstPause   = 500 * time.Millisecond
	longestPause = 2 * time.Minute
	openAnswer   = 64 << 10
)

// newHTTPClient returns a client that follows no redirects: they would carry
// tokens elsewhere.
func newHTTPClient() *http.Client {
	return &http.Client{
		Timeout:       callTimeout,
		Transport:     http.DefaultTransport.(*http.Transport).Clone(), //nolint:errcheck // it is one, by its documentation
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// doer is what slack-go sends requests with.
type doer interface {
	Do(*http.Request) (*http.Response, error)
}

func newAPI(botToken, appToken, apiURL string, client doer) *slack.Client {
	return slack.New(botToken, slack.OptionAppLevelToken(appToken), slack.OptionAPIURL(apiURL), slack.OptionHTTPClient(client))
}

// pacedClient keeps slack-go from reconnecting in a storm. When Slack closes a
// socket politely, slack-go asks for the next one at once, thousands of times a
// second if need be; here each request for an address waits, twice as long each
// time, while the sockets before it did not live.
type pacedClient struct {
	next doer

	mu     sync.Mutex
	opened time.Time // when the last socket was opened
	pause  time.Duration
}

// Do sends one request.
func (c *pacedClient) Do(req *http.Request) (*http.Response, error) {
	if !strings.HasSuffix(req.URL.Path, "/apps.connections.open") {
		return c.next.Do(req)
	}
	timer := time.NewTimer(c.nextPause())
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
	resp, err := c.next.Do(req)
	c.mu.Lock()
	c.opened = time.Now()
	c.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return checkedOpen(resp)
}

// nextPause returns how long to wait before the next socket.
func (c *pacedClient) nextPause() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.opened.IsZero():
		return 0
	case time.Since(c.opened) >= socketLived:
		c.pause = 0
		return 0
	}
	c.pause = min(max(firstPause, 2*c.pause), longestPause)
	return c.pause
}

// checkedOpen refuses an answer that sends the bot to a plain-text socket
// anywhere but on loopback.
func checkedOpen(resp *http.Response) (*http.Response, error) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, openAnswer))
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return nil, err
	}
	var answer struct {
		URL string `json:"url"`
	}
	if json.Unmarshal(body, &answer) == nil && answer.URL != "" {
		if err := checkURL(answer.URL, "wss", "ws"); err != nil {
			return nil, fmt.Errorf("the address of the socket is refused: %w", err)
		}
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}
