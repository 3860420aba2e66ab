package openstack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"whybot/runners"
)

// An identified resource has an id, by which the next page is asked for.
type identified interface{ identity() string }

// maxPages bounds one listing: twenty thousand servers at Nova's page size.
const maxPages = 20

// list reads every page of a collection. The next page is asked for by marker
// and not by the link in the answer, which may name a host that only the API's
// own side can reach, or one that should not be sent a token.
func list[T identified](ctx context.Context, c *Client, service, collection string, query url.Values, path ...string) ([]T, error) {
	r := request{service: service, method: http.MethodGet, path: path, query: url.Values{}}
	for k, v := range query {
		r.query[k] = v
	}
	var all []T
	for range maxPages {
		var page map[string]json.RawMessage
		if err := c.do(ctx, r, &page); err != nil {
			return nil, err
		}
		var items []T
		if err := member(page, collection, &items); err != nil {
			return nil, fail(runners.Invalid, service, r.op(), notThisAPI, err)
		}
		all = append(all, items...)
		if len(items) == 0 || !hasNext(page[collection+"_links"]) {
			return all, nil
		}
		r.query.Set("marker", items[len(items)-1].identity())
	}
	return nil, fail(runners.Invalid, service, r.op(), "the list does not end", nil)
}

// one reads a single resource.
func one[T any](ctx context.Context, c *Client, service, key string, path ...string) (T, error) {
	r := request{service: service, method: http.MethodGet, path: path}
	var (
		answer map[string]json.RawMessage
		v      T
	)
	if err := c.do(ctx, r, &answer); err != nil {
		return v, err
	}
	if err := member(answer, key, &v); err != nil {
		return v, fail(runners.Invalid, service, r.op(), notThisAPI, err)
	}
	return v, nil
}

// member decodes one member of a JSON object. That it is not there is an
// error: {} is no answer, and least of all the answer "none".
func member(o map[string]json.RawMessage, key string, v any) error {
	raw, has := o[key]
	if !has || string(raw) == "null" {
		return fmt.Errorf("the answer has no %q", key)
	}
	return json.Unmarshal(raw, v)
}

func hasNext(links json.RawMessage) bool {
	var all []struct{ Rel string }
	if len(links) == 0 || json.Unmarshal(links, &all) != nil {
		return false // pages are an extension: no readable links, no pages
	}
	for _, l := range all {
		if l.Rel == "next" {
			return true
		}
	}
	return false
}

// An optional is a value whose key may be missing, which means that the role
// is not shown it. null is a value: there is none.
type optional[T any] struct {
	shown bool
	value T
}

// UnmarshalJSON implements json.Unmarshaler. It is called for keys that are
// there, null included.
func (o *optional[T]) UnmarshalJSON(raw []byte) error {
	o.shown = true
	return json.Unmarshal(raw, &o.value) // null leaves the zero value
}

// maybe gives the fact, or why the role does not learn it.
func (o optional[T]) maybe(why string) runners.Maybe[T] {
	if !o.shown {
		return runners.NotKnown[T](why)
	}
	return runners.Known(o.value)
}

// isKind says whether err is a runners.Error of the kind.
func isKind(err error, kind runners.Kind) bool {
	e, ok := errors.AsType[*runners.Error](err)
	return ok && e.Kind == kind
}
