package bot_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"whybot/commands"
	"whybot/store"
)

// notebook is the real store in a file. It can be told to refuse deliveries.
type notebook struct {
	*store.Store

	mu       sync.Mutex
	failNext int // calls of First that fail
}

func openNotebook(t *testing.T, path string, now func() time.Time) *notebook {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{Path: path, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return &notebook{Store: s}
}

// First refuses when it has been told to.
func (n *notebook) First(ctx context.Context, key string) (bool, error) {
	n.mu.Lock()
	fail := n.failNext > 0
	n.failNext--
	n.mu.Unlock()
	if fail {
		return false, errors.New("the disk is full")
	}
	return n.Store.First(ctx, key)
}

// refuse makes the next calls of First fail.
func (n *notebook) refuse(times int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.failNext = times
}

// copied passes v through JSON, so that nobody shares what is in it.
func copied[T any](v T) T {
	var out T
	raw, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(raw, &out)
	}
	if err != nil {
		panic(err)
	}
	return out
}

func missing(what, id string) error {
	return &commands.Error{Code: commands.CodeMissing, Public: "There is no " + what + " " + id + "."}
}
