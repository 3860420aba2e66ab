package store

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"
	"go.uber.org/goleak"

	"whybot/commands"
	"whybot/store/storetest"
)

// childEnv makes the test binary a child process that does what it says.
const childEnv = "WHYBOT_STORE_TEST_CHILD"

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		if os.Getenv(sessionEnv) != "" {
			os.Exit(session(path))
		}
		os.Exit(appendForever(path))
	}
	goleak.VerifyTestMain(m)
}

var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

// openAt opens the store in path. When the test has ended, the store is closed
// and bbolt's own check must find nothing.
func openAt(t *testing.T, o Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		boltCheck(t, o.Path)
	})
	return s
}

func openNew(t *testing.T) *Store {
	t.Helper()
	return openAt(t, Options{Path: filepath.Join(t.TempDir(), "whybot.db")})
}

// boltCheck runs bbolt's check, and ours must agree.
func boltCheck(t *testing.T, path string) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockTimeout})
	if err != nil {
		t.Fatal(err)
	}
	err = db.View(func(tx *bbolt.Tx) error {
		for err := range tx.Check() {
			t.Error("check:", err)
		}
		return nil
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if err := checkFile(context.WithoutCancel(t.Context()), file, info.Size(), true); err != nil {
		t.Error("our check:", err)
	}
}

func newIncident(t *testing.T, s *Store, entities ...string) string {
	t.Helper()
	inc, err := s.OpenIncident(t.Context(), commands.Incident{Opened: noon, Entities: entities})
	if err != nil {
		t.Fatal(err)
	}
	return inc.ID
}

func note(incident, text string) commands.Event {
	return commands.Event{Incident: incident, Kind: commands.EventNote, Text: text, At: noon}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantError checks that err is for a person, has code, and says all of words.
func wantError(t *testing.T, err error, code commands.Code, words ...string) {
	t.Helper()
	known, is := errors.AsType[*commands.Error](err)
	if !is || known.Code != code {
		t.Fatalf("error %v (%T), want a *commands.Error with code %q", err, err, code)
	}
	for _, word := range words {
		if !strings.Contains(known.Error(), word) {
			t.Errorf("error %q does not say %q", known.Error(), word)
		}
	}
}

func wantEvents(t *testing.T, s *Store, want int) {
	t.Helper()
	if n, err := s.VerifyChain(t.Context()); n != want || err != nil {
		t.Fatalf("VerifyChain: %d, %v; want %d", n, err, want)
	}
}

func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Store {
		t.Helper()
		return openNew(t)
	})
}

// TestContractOneByOne runs the suite without group commit.
func TestContractOneByOne(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Store {
		t.Helper()
		return openAt(t, Options{Path: filepath.Join(t.TempDir(), "whybot.db"), MaxBatch: 1, Check: true})
	})
}

func TestReopen(t *testing.T) {
	o := Options{Path: filepath.Join(t.TempDir(), "whybot.db")}
	s := openAt(t, o)
	id := newIncident(t, s, "web-1")
	ok(t, s.Append(t.Context(), note(id, "one")))
	if first, err := s.First(t.Context(), "key"); !first || err != nil {
		t.Fatal(first, err)
	}
	ok(t, s.Close())
	ok(t, s.Close())

	s = openAt(t, o)
	if first, err := s.First(t.Context(), "key"); first || err != nil {
		t.Fatalf("after a restart: %v, %v; want a repeated delivery", first, err)
	}
	if next := newIncident(t, s); next != "inc-2" {
		t.Errorf("next id after a restart is %s", next)
	}
	ok(t, s.Append(t.Context(), note(id, "two")))
	wantEvents(t, s, 2)
}

func TestClosed(t *testing.T) {
	s := openNew(t)
	id := newIncident(t, s)
	ok(t, s.Close())
	wantError(t, s.Append(t.Context(), note(id, "late")), commands.CodeInternal, "closed")
	_, err := s.Events(t.Context(), commands.EventQuery{})
	wantError(t, err, commands.CodeInternal, "closed")
}

// TestCloseMakesQueuedWrites closes the store while writes wait behind one that
// has not come back from its closure.
func TestCloseMakesQueuedWrites(t *testing.T) {
	o := Options{Path: filepath.Join(t.TempDir(), "whybot.db")}
	s := openAt(t, o)
	id := newIncident(t, s)
	release := hold(t, s, id)
	var writers sync.WaitGroup
	for range 10 {
		writers.Go(func() {
			if err := s.Append(t.Context(), note(id, "queued")); err != nil {
				t.Error(err)
			}
		})
	}
	waitQueued(t, s, 10)
	var closed atomic.Bool
	writers.Go(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		closed.Store(true)
	})
	if closed.Load() {
		t.Error("closed although a write is being made")
	}
	release()
	writers.Wait()
	wantEvents(t, openAt(t, o), 10)
}

// hold keeps the writer goroutine inside a closure until release is called.
func hold(t *testing.T, s *Store, id string) (release func()) {
	t.Helper()
	inside, free, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		_, err := s.ChangeIncident(t.Context(), id, func(*commands.Incident) ([]commands.Event, error) {
			close(inside)
			<-free
			return nil, nil
		})
		if err != nil {
			t.Error(err)
		}
	}()
	<-inside
	return func() { close(free); <-done }
}

func waitQueued(t *testing.T, s *Store, n int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); len(s.queue) < n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d writes queued, want %d", len(s.queue), n)
		}
	}
}

// TestCancelledInQueue: who gives up before the write has begun knows that
// nothing was changed.
func TestCancelledInQueue(t *testing.T) {
	s := openNew(t)
	id := newIncident(t, s)
	release := hold(t, s, id)
	budget := errors.New("the budget of the question ran out")
	ctx, cancel := context.WithCancelCause(t.Context())
	result := make(chan error)
	go func() { result <- s.Append(ctx, note(id, "cancelled")) }()
	waitQueued(t, s, 1)
	cancel(budget)
	err := <-result
	release()
	if !errors.Is(err, context.Canceled) || !errors.Is(err, budget) || errors.Is(err, ErrOutcomeUnknown) {
		t.Errorf("error %v, want the context's, its cause, and no unknown outcome", err)
	}
	wantEvents(t, s, 0)
}

// TestCancelledInCommit: who gives up later is told that it is not known.
func TestCancelledInCommit(t *testing.T) {
	s := openNew(t)
	id := newIncident(t, s)
	committing, free := make(chan struct{}), make(chan struct{})
	s.commit = func(tx *bbolt.Tx) error {
		close(committing)
		<-free
		return tx.Commit()
	}
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error)
	go func() { result <- s.Append(ctx, note(id, "cancelled")) }()
	<-committing
	cancel()
	err := <-result
	if !errors.Is(err, context.Canceled) || !errors.Is(err, ErrOutcomeUnknown) {
		t.Errorf("error %v, want the context's and an unknown outcome", err)
	}
	close(free)
	ok(t, s.Close())
	wantEvents(t, openAt(t, s.opts), 1)
}

// TestCommitFails: a commit of which nothing is left changes nothing, for
// anybody in its batch, and the next one works.
func TestCommitFails(t *testing.T) {
	s := openNew(t)
	id := newIncident(t, s)
	s.commit = func(tx *bbolt.Tx) error { return errors.Join(tx.Rollback(), syscall.ENOSPC) }
	wantError(t, s.Append(t.Context(), note(id, "lost")), commands.CodeInternal, "disk is full", "Nothing was changed", s.opts.Path)
	if first, err := s.First(t.Context(), "key"); first || err == nil {
		t.Errorf("First: %v, %v although it could not be stored", first, err)
	}
	wantEvents(t, s, 0)
	s.commit = (*bbolt.Tx).Commit
	ok(t, s.Append(t.Context(), note(id, "kept")))
	wantEvents(t, s, 1)
}

// TestCommitUncertain: when the last sync fails, the change may be there.
// Nothing may be built on it until the store is opened again.
func TestCommitUncertain(t *testing.T) {
	s := openNew(t)
	id := newIncident(t, s)
	s.commit = func(tx *bbolt.Tx) error { return errors.Join(tx.Commit(), syscall.EIO) }
	err := s.Append(t.Context(), note(id, "perhaps"))
	wantError(t, err, commands.CodeInternal, "not known", "start whybot again")
	if !errors.Is(err, ErrOutcomeUnknown) || !errors.Is(err, syscall.EIO) {
		t.Errorf("error %v, want an unknown outcome because of EIO", err)
	}
	s.commit = (*bbolt.Tx).Commit
	wantError(t, s.Append(t.Context(), note(id, "refused")), commands.CodeInternal, "nothing more is written")
	wantEvents(t, s, 1)
	ok(t, s.Close())
	s = openAt(t, s.opts)
	ok(t, s.Append(t.Context(), note(id, "again")))
	wantEvents(t, s, 2)
}

// TestDeliveriesAreForgotten looks at the promise of an hour and at what the
// store keeps.
func TestDeliveriesAreForgotten(t *testing.T) {
	clock := noon
	s := openAt(t, Options{Path: filepath.Join(t.TempDir(), "whybot.db"), Now: func() time.Time { return clock }})
	first := func(key string) bool {
		t.Helper()
		first, err := s.First(t.Context(), key)
		ok(t, err)
		return first
	}
	for i := range 40 {
		if !first(string(rune('a' + i))) {
			t.Fatal("a first delivery was taken for a repeated one")
		}
	}
	if clock = noon.Add(time.Hour); first("a") {
		t.Error("forgotten within the hour")
	}
	if clock = noon.Add(-time.Hour); first("a") {
		t.Error("forgotten when the clock was set back")
	}
	clock = noon.Add(deliveryMemory + time.Second)
	for range 5 {
		first("b")
		first(clock.String())
		clock = clock.Add(time.Second)
	}
	if !first("a") {
		t.Error("remembered for ever")
	}
	ok(t, s.view(t.Context(), func(tx *bbolt.Tx) error {
		kept, aged := tx.Bucket(deliveriesBucket).Stats().KeyN, tx.Bucket(deliveriesByAgeBucket).Stats().KeyN
		if kept != aged || kept != 7 {
			t.Errorf("%d deliveries and %d ages kept, want 7", kept, aged)
		}
		return nil
	}))
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		ok(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	foreign := filepath.Join(dir, "foreign.db")
	tamper(t, foreign, func(tx *bbolt.Tx) error { _, err := tx.CreateBucket([]byte("other")); return err })
	newer := filepath.Join(dir, "newer.db")
	s := openAt(t, Options{Path: newer})
	ok(t, s.Close())
	tamper(t, newer, func(tx *bbolt.Tx) error { return tx.Bucket(metaBucket).Put(schemaKey, []byte("2")) })
	for name, c := range map[string]struct {
		path  string
		words []string
	}{
		"no directory":  {filepath.Join(dir, "no", "x.db"), []string{"does not exist", "mkdir -p"}},
		"a directory":   {dir, []string{dir}},
		"a device":      {"/dev/null", []string{"not a regular file", "store.path"}},
		"text":          {write("text", strings.Repeat("openstack: {cloud: prod}\n", 9)), []string{"damaged", "backup"}},
		"long text":     {write("long", strings.Repeat("x", 1<<20)), []string{"damaged"}},
		"another's":     {foreign, []string{"not one of whybot"}},
		"newer version": {newer, []string{"version 2", "version 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			before, _ := os.ReadFile(c.path) // some are not there
			s, err := Open(t.Context(), Options{Path: c.path})
			if err == nil {
				_ = s.Close()
			}
			wantError(t, err, commands.CodeInternal, c.words...)
			if after, _ := os.ReadFile(c.path); !bytes.Equal(before, after) {
				t.Error("the file was changed")
			}
		})
	}
}

// tamper changes a store behind its back.
func tamper(t *testing.T, path string, fn func(*bbolt.Tx) error) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockTimeout})
	ok(t, err)
	ok(t, errors.Join(db.Update(fn), db.Close()))
}

func TestOpenUnfinished(t *testing.T) {
	whole := filepath.Join(t.TempDir(), "whole.db")
	tamper(t, whole, func(*bbolt.Tx) error { return nil })
	db, err := os.ReadFile(whole)
	ok(t, err)
	empty := filepath.Join(t.TempDir(), "empty.db")
	bare, err := bbolt.Open(empty, 0o600, nil)
	ok(t, errors.Join(err, bare.Close()))
	initial, err := os.ReadFile(empty)
	ok(t, err)
	for name, content := range map[string][]byte{
		"nothing": {}, "zeros": make([]byte, 16384), "one page": initial[:4096], "three pages": initial[:3*4096],
		"no buckets yet": initial, "an empty commit": db,
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "whybot.db")
			ok(t, os.WriteFile(path, content, 0o600))
			s := openAt(t, Options{Path: path})
			ok(t, s.Append(t.Context(), note(newIncident(t, s), "works")))
		})
	}
}

func TestOpenFileMode(t *testing.T) {
	s := openNew(t)
	ok(t, s.Close())
	mode := func() os.FileMode {
		info, err := os.Stat(s.opts.Path)
		ok(t, err)
		return info.Mode().Perm()
	}
	if mode() != 0o600 {
		t.Errorf("new file has mode %v", mode())
	}
	ok(t, os.Chmod(s.opts.Path, 0o644))
	var log bytes.Buffer
	openAt(t, Options{Path: s.opts.Path, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if mode() != 0o600 || !strings.Contains(log.String(), "readable by others") {
		t.Errorf("old file has mode %v, log %q", mode(), log.String())
	}
}

func TestOpenBusy(t *testing.T) {
	s := openNew(t)
	_, err := Open(t.Context(), Options{Path: s.opts.Path})
	wantError(t, err, commands.CodeBusy, "Another whybot has the store "+s.opts.Path+" open", "whybot serve")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, Options{Path: s.opts.Path}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	ok(t, s.Close())
	openAt(t, Options{Path: s.opts.Path})
}

// TestCheckTimeout: a disk too slow for the check is no reason to stay away.
func TestCheckTimeout(t *testing.T) {
	s := openNew(t)
	newIncident(t, s)
	ok(t, s.Close())
	var log bytes.Buffer
	openAt(t, Options{Path: s.opts.Path, Check: true, CheckTimeout: time.Nanosecond, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if !strings.Contains(log.String(), "not checked to its end") {
		t.Errorf("log %q", log.String())
	}
}

// TestLockDeadline uses a fake clock: the lock is waited for exactly as long as
// is promised.
func TestLockDeadline(t *testing.T) {
	s := openNew(t)
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		_, err := Open(t.Context(), Options{Path: s.opts.Path})
		wantError(t, err, commands.CodeBusy)
		if waited := time.Since(start); waited != lockTimeout {
			t.Errorf("waited %v", waited)
		}
	})
}
