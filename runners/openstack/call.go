package openstack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"

	"whybot/runners"
)

// A request is one call of one service.
type request struct {
	service string
	method  string
	path    []string // below the service's base, each element one segment
	query   url.Values
	body    any    // marshalled as JSON when not nil
	url     string // instead of path: an address of its own
	header  map[string]string
	// microversion replaces the service's usual one when it is set.
	microversion string
	// rpc marks a call that Nova passes on to the compute node.
	rpc bool
}

// op names the call as an API reference does: ids are not part of it.
func (r request) op() string {
	if r.url != "" {
		return r.method + " versions"
	}
	parts := make([]string, 0, len(r.path))
	for i, p := range r.path {
		if i%2 == 1 && p != "detail" {
			p = "{id}" // collections and ids take turns
		}
		parts = append(parts, p)
	}
	return r.method + " " + strings.Join(parts, "/")
}

// do makes one call and decodes the answer into v unless v is nil. A token
// that the service rejects is replaced once.
func (c *Client) do(ctx context.Context, r request, v any) error {
	s, err := c.connect(ctx, nil)
	if err != nil {
		return err
	}
	err = c.try(ctx, s, r, v)
	if runners.KindOf(err) != runners.Authentication {
		return err
	}
	if s, err = c.connect(ctx, s); err != nil {
		return err
	}
	return c.try(ctx, s, r, v)
}

func (c *Client) try(ctx context.Context, s *session, r request, v any) error {
	op, started := r.op(), time.Now()
	ctx, cancel := c.deadline(ctx, r.service, op)
	defer cancel()
	_, err := c.exchange(ctx, s, r, v)
	if err != nil {
		err = c.explain(ctx, r.service, op, err)
		if r.rpc && runners.KindOf(err) == runners.TooSlow {
			err = fail(runners.TooSlow, r.service, op,
				"Nova asks the compute node for this: is nova-compute up there, and the message bus?", errors.Unwrap(err))
		}
	}
	c.logCall(ctx, r.service, op, started, err)
	return err
}

// exchange sends the request and returns the headers of the answer.
func (c *Client) exchange(ctx context.Context, s *session, r request, v any) (http.Header, error) {
	sc := s.services[r.service]
	if sc == nil {
		return nil, fail(runners.NotFound, r.service, r.op(),
			"the service catalogue has no such service in this region and on this interface", nil)
	}
	if r.microversion != "" {
		newer := *sc
		newer.Microversion = r.microversion
		sc = &newer
	}
	address := r.url
	if address == "" {
		if i := badSegment(r.path); i >= 0 {
			return nil, fail(runners.NotFound, r.service, r.op(), "an id has only letters, digits, - and _", fmt.Errorf("id %q", r.path[i]))
		}
		address = sc.ServiceURL(r.path...)
	}
	if len(r.query) > 0 {
		address += "?" + r.query.Encode()
	}
	resp, err := sc.Request(ctx, r.method, address, &gophercloud.RequestOpts{
		JSONBody: r.body, KeepResponseBody: true, MoreHeaders: r.header,
		OkCodes: []int{http.StatusOK, http.StatusCreated, http.StatusAccepted, http.StatusNoContent, http.StatusMultipleChoices},
	})
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }() // it was only read
	raw, err := io.ReadAll(resp.Body)
	if err != nil || v == nil {
		return resp.Header, err
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return nil, &garbage{err}
	}
	return resp.Header, nil
}

// badSegment returns the index of the first path element that would not stay
// one, or -1.
func badSegment(path []string) int {
	for i, p := range path {
		if p == "" || strings.Trim(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
			return i
		}
	}
	return -1
}

// A tooSlow is the cause with which a call's own deadline ends it.
type tooSlow struct {
	service, op string
	after       time.Duration
}

func (e *tooSlow) Error() string {
	return fmt.Sprintf("%s: %s: no answer within %s", e.service, e.op, e.after)
}

func (c *Client) deadline(ctx context.Context, service, op string) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, c.timeout, &tooSlow{service, op, c.timeout})
}

func (c *Client) logCall(ctx context.Context, service, op string, started time.Time, err error) {
	attrs := []any{"service", service, "op", op, "took_ms", time.Since(started).Milliseconds()}
	if err != nil {
		attrs = append(attrs, "failure", runners.KindOf(err).String())
	}
	c.log.DebugContext(ctx, "openstack call", attrs...)
}

// maxAnswer bounds an answer; a thousand servers in detail are 3 MB.
const maxAnswer = 64 << 20

// boundedBodies keeps a broken or hostile endpoint from filling the memory.
// The SDK reads the body of an error without any bound.
type boundedBodies struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b boundedBodies) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = http.MaxBytesReader(nil, resp.Body, maxAnswer)
	return resp, nil
}

// CloseIdleConnections lets http.Client reach the transport's own.
func (b boundedBodies) CloseIdleConnections() {
	if t, ok := b.RoundTripper.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}
