package store

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync/atomic"

	"go.etcd.io/bbolt"
)

// States of a write: whoever moves it on from queued, the writer or the caller
// that gives up, decides whether it is made.
const (
	queued int32 = iota
	claimed
	dropped
)

// A write is one change on its way to the disk.
type write struct {
	ctx   context.Context //nolint:containedctx // it belongs to the call the write stands for
	run   func(*draft) error
	state atomic.Int32
	ran   chan struct{} // closed when run will not be called any more
	done  chan error    // buffered: the writer waits for nobody
}

// write has run applied by the writer goroutine and waits until it is durable.
func (s *Store) write(ctx context.Context, run func(*draft) error) error {
	if err := contextError(ctx); err != nil {
		return err
	}
	w := &write{ctx: ctx, run: run, ran: make(chan struct{}), done: make(chan error, 1)}
	if err := s.enqueue(ctx, w); err != nil {
		return err
	}
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
	}
	if w.state.CompareAndSwap(queued, dropped) {
		return contextError(ctx)
	}
	<-w.ran
	select {
	case err := <-w.done:
		return err
	default:
		return fmt.Errorf("store: %w: %w", ErrOutcomeUnknown, contextError(ctx))
	}
}

func (s *Store) enqueue(ctx context.Context, w *write) error {
	s.closing.RLock()
	defer s.closing.RUnlock()
	if s.closed {
		return s.closedError()
	}
	select {
	case s.queue <- w:
		return nil
	case <-ctx.Done():
		return contextError(ctx)
	}
}

// serve makes writes until the queue is closed and empty.
func (s *Store) serve() {
	defer close(s.stopped)
	debug.SetPanicOnFault(true) // a file cut short below us is an error, not the end
	for first := range s.queue {
		s.makeBatch(s.gather(first))
	}
}

// gather returns first and what else is queued, without waiting for more. It
// lets those who are ready to run queue up before it looks: the callers that
// the last batch has just answered.
func (s *Store) gather(first *write) []*write {
	runtime.Gosched()
	batch := []*write{first}
	for len(batch) < s.opts.MaxBatch {
		select {
		case w, ok := <-s.queue:
			if !ok {
				return batch
			}
			batch = append(batch, w)
		default:
			return batch
		}
	}
	return batch
}

// makeBatch makes all writes of a batch in one transaction and answers them.
// Nobody is answered before the commit: an error of a write may rest on what
// another write of the batch did. So when the commit fails, it is everybody's
// answer.
func (s *Store) makeBatch(batch []*write) {
	outcomes := make([]error, len(batch))
	err := s.transact(batch, outcomes)
	if err != nil {
		s.opts.Log.Error("store write failed", "path", s.opts.Path, "writes", len(batch), "error", errors.Unwrap(err))
	}
	for i, w := range batch {
		if err != nil {
			w.done <- err
			continue
		}
		w.done <- outcomes[i]
	}
}

func (s *Store) transact(batch []*write, outcomes []error) (err error) {
	if s.broken != nil {
		return s.broken
	}
	tx, err := s.db.Begin(true)
	if err != nil {
		return s.writeError(err)
	}
	defer func() {
		if r := recover(); r != nil {
			s.broken = s.uncertainError(damagef("%v", r))
			err = s.broken
		}
		rollback(tx)
	}()
	next, changed, err := s.applyAll(tx, batch, outcomes)
	if err != nil {
		return s.writeError(err)
	}
	if !changed {
		return nil
	}
	if err := s.commitCounters(tx, next); err != nil {
		return err
	}
	s.counters, s.dirty = next, true
	return nil
}

// rollback ends tx unless it has been committed. In a damaged file even that
// may panic.
func rollback(tx *bbolt.Tx) {
	defer func() { _ = recover() }()
	_ = tx.Rollback() // it has ended already, which is fine
}

// applyAll applies the batch to tx and returns the counters after it.
func (s *Store) applyAll(tx *bbolt.Tx, batch []*write, outcomes []error) (next counters, changed bool, err error) {
	next = s.counters
	for i, w := range batch {
		d := &draft{tx: tx, now: s.opts.Now().Round(0).UTC(), counters: next}
		if outcomes[i] = w.apply(d, s); outcomes[i] != nil || len(d.changes) == 0 {
			continue
		}
		if err := d.flush(); err != nil {
			return next, false, err
		}
		next, changed = d.counters, true
	}
	return next, changed, nil
}

// apply runs the write into d, unless its caller has gone.
func (w *write) apply(d *draft, s *Store) (err error) {
	if err := contextError(w.ctx); err != nil {
		if w.state.CompareAndSwap(queued, dropped) {
			close(w.ran) // the caller may be about to give up, and finds it dropped already
		}
		return err
	}
	if !w.state.CompareAndSwap(queued, claimed) {
		return context.Canceled // nobody reads it
	}
	defer close(w.ran)
	defer func() {
		if r := recover(); r != nil {
			err = misuse("a change panicked: %v\n%s", r, debug.Stack())
		}
	}()
	err = w.run(d)
	if errors.Is(err, errDamaged) {
		return s.readError(err)
	}
	return err
}

// commitCounters commits tx with the counters. It tells a commit of which
// nothing is left from one that may yet turn out to be there: bbolt's header
// page was written and only its sync failed.
func (s *Store) commitCounters(tx *bbolt.Tx, next counters) error {
	sealed, err := seal(next)
	if err != nil {
		return err
	}
	meta := tx.Bucket(metaBucket)
	err = errors.Join(meta.Put(countersKey, sealed), meta.Put(cleanKey, notClean))
	if err != nil {
		return s.writeError(err)
	}
	id := tx.ID()
	if err = s.commit(tx); err == nil {
		return nil
	}
	if s.reached(id) {
		s.broken = s.uncertainError(err)
		return s.broken
	}
	return s.writeError(err)
}

// reached reports whether readers see transaction id, or cannot see at all.
func (s *Store) reached(id int) bool {
	seen := true
	err := s.db.View(func(tx *bbolt.Tx) error {
		seen = tx.ID() >= id
		return nil
	})
	return err != nil || seen
}
