package store

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"

	"go.etcd.io/bbolt"

	"whybot/commands"
)

var (
	_ commands.Memory     = (*Store)(nil)
	_ commands.Deliveries = (*Store)(nil)
)

// A Store is an open store. Its methods may be called at the same time.
type Store struct {
	opts Options
	db   *bbolt.DB

	closing sync.RWMutex // held for reading while a write is being queued
	closed  bool
	queue   chan *write
	stopped chan struct{}

	// What follows belongs to the writer goroutine.
	counters counters
	dirty    bool  // the file says that it is not closed properly
	broken   error // why nothing more may be written
	// commit is bbolt's, but for tests that make it fail.
	commit func(*bbolt.Tx) error
}

// Close makes the writes that are queued, marks the file as closed properly
// and closes it. Calls that come later get an error. Only the first Close does
// something.
func (s *Store) Close() error {
	s.closing.Lock()
	if s.closed {
		s.closing.Unlock()
		return nil
	}
	s.closed = true
	close(s.queue)
	s.closing.Unlock()
	<-s.stopped
	s.markClean()
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("close the store %s: %w", s.opts.Path, err)
	}
	return nil
}

// markClean is not worth an error: without the mark, the next Open checks the
// whole file.
func (s *Store) markClean() {
	if !s.dirty || s.broken != nil {
		return
	}
	err := s.db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket(metaBucket).Put(cleanKey, clean)
	})
	if err != nil {
		s.opts.Log.Warn("store not marked as closed properly", "path", s.opts.Path, "error", err)
	}
}

// view runs fn in a read transaction. Damage that makes bbolt panic or read
// outside the file is an error.
func (s *Store) view(ctx context.Context, fn func(*bbolt.Tx) error) (err error) {
	if err := contextError(ctx); err != nil {
		return err
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = s.readError(damagef("%v", r))
		}
	}()
	return s.readError(s.db.View(fn))
}
