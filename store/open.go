package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"

	"go.etcd.io/bbolt"

	"whybot/commands"
)

// schema is the version of the layout this code reads and writes.
const schema = 1

var (
	schemaKey   = []byte("schema")
	countersKey = []byte("counters")
	cleanKey    = []byte("clean")
	clean       = []byte("1")
	notClean    = []byte("0")
)

// Open opens the store in o.Path and makes it when there is none. Only one
// process can have a store open: while another has it, Open waits a second and
// then returns a *commands.Error with CodeBusy. All its errors say what to do.
func Open(ctx context.Context, o Options) (*Store, error) {
	o = o.withDefaults()
	if err := contextError(ctx); err != nil {
		return nil, err
	}
	file, err := openFile(o)
	if err != nil {
		return nil, err
	}
	s, err := openLocked(ctx, file, o)
	if err != nil {
		_ = file.Close() // bbolt may have closed it; what matters is that the lock is gone
		return nil, err
	}
	return s, nil
}

func openLocked(ctx context.Context, file *os.File, o Options) (*Store, error) {
	if err := lock(ctx, file, o.Path); err != nil {
		return nil, err
	}
	isNew, err := inspect(ctx, file, o)
	if err != nil {
		return nil, openError(o.Path, err)
	}
	db, err := openBolt(ctx, file, o.Path)
	if err != nil {
		return nil, openError(o.Path, err)
	}
	s := &Store{
		opts: o, db: db, commit: (*bbolt.Tx).Commit,
		queue: make(chan *write, o.MaxBatch), stopped: make(chan struct{}),
	}
	if err := s.prepare(ctx, isNew); err != nil {
		_ = db.Close() // the error that led here says more
		return nil, openError(o.Path, err)
	}
	go s.serve()
	return s, nil
}

// openFile opens or makes the file and sees to it that only its owner may read
// it: it holds names of machines and people.
func openFile(o Options) (*os.File, error) {
	dir := filepath.Dir(o.Path)
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, placeError(err, fmt.Sprintf("The directory %s of the store does not exist or is no directory.", dir),
			"Make it, with: mkdir -p -m 700 "+strconv.Quote(dir))
	}
	file, err := os.OpenFile(o.Path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		reason, hint := diskReason(err)
		if errors.Is(err, os.ErrPermission) {
			hint = "Give the user whybot runs as read and write access to it and its directory, or set another store.path."
		}
		return nil, placeError(err, fmt.Sprintf("The store %s could not be opened: %s.", o.Path, reason), hint)
	}
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		_ = file.Close() // nothing was written
		return nil, placeError(err, fmt.Sprintf("The store %s is not a regular file.", o.Path), "Set another store.path.")
	}
	if info.Mode().Perm()&0o077 != 0 {
		if err := file.Chmod(0o600); err != nil {
			_ = file.Close() // nothing was written
			return nil, placeError(err, fmt.Sprintf("Others may read the store %s.", o.Path), "Change that, with: chmod 600 "+strconv.Quote(o.Path))
		}
		o.Log.Warn("store was readable by others; it is not any more", "path", o.Path, "mode", info.Mode().Perm().String())
	}
	return file, nil
}

func placeError(err error, public, hint string) error {
	return &commands.Error{Code: commands.CodeInternal, Public: public, Hint: hint, Err: err}
}

// inspect checks the file and reports whether it is new.
func inspect(ctx context.Context, file *os.File, o Options) (isNew bool, err error) {
	info, err := file.Stat()
	if err != nil {
		return false, err
	}
	size := info.Size()
	if size == 0 {
		return true, nil
	}
	if unfinished(file, size) {
		o.Log.Warn("store was left unfinished when it was made; it is made again", "path", o.Path)
		return true, file.Truncate(0)
	}
	return false, checkInTime(ctx, file, size, o)
}

// openBolt hands file to bbolt. What bbolt reads has been checked before; the
// deadline and the recovery are for what the check does not know.
func openBolt(ctx context.Context, file *os.File, path string) (*bbolt.DB, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, openTimeout, damagef("it could not be opened in %s", openTimeout))
	defer cancel()
	type opened struct {
		db  *bbolt.DB
		err error
	}
	result := make(chan opened)
	go func() {
		db, err := callBolt(file, path)
		select {
		case result <- opened{db, err}:
		case <-ctx.Done():
			if db != nil {
				_ = db.Close() // nobody is left to tell
			}
		}
	}()
	select {
	case r := <-result:
		return r.db, r.err
	case <-ctx.Done():
		return nil, contextError(ctx)
	}
}

func callBolt(file *os.File, path string) (db *bbolt.DB, err error) {
	debug.SetPanicOnFault(true)
	defer func() {
		if r := recover(); r != nil {
			db, err = nil, damagef("%v", r)
		}
	}()
	return bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout:  lockTimeout, // the lock is held already: it goes with the file
		OpenFile: func(string, int, os.FileMode) (*os.File, error) { return file, nil },
	})
}

// prepare makes the buckets of a new store, or reads what an old one knows of
// itself.
func (s *Store) prepare(ctx context.Context, isNew bool) error {
	if isNew {
		return s.create()
	}
	bare := false
	err := s.view(ctx, func(tx *bbolt.Tx) error {
		name, _ := tx.Cursor().First()
		bare = name == nil
		if bare {
			return nil
		}
		return s.load(tx)
	})
	if err == nil && bare {
		return s.create() // whoever made the file did not get to the buckets
	}
	return err
}

func (s *Store) create() error {
	sealed, err := seal(counters{})
	if err != nil {
		return err
	}
	err = s.db.Update(func(tx *bbolt.Tx) error {
		for _, name := range buckets {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		meta := tx.Bucket(metaBucket)
		return errors.Join(
			meta.Put(schemaKey, []byte(strconv.Itoa(schema))),
			meta.Put(countersKey, sealed),
			meta.Put(cleanKey, clean))
	})
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(s.opts.Path))
}

// syncDir makes the name of a new file durable; its content alone is not found
// again after a power failure.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (s *Store) load(tx *bbolt.Tx) error {
	meta := tx.Bucket(metaBucket)
	if meta == nil {
		return placeError(nil, fmt.Sprintf("The file %s is a database, but not one of whybot.", s.opts.Path), "Set another store.path.")
	}
	version, err := strconv.Atoi(string(meta.Get(schemaKey)))
	if err != nil {
		return damagef("it does not say which version it has")
	}
	if version != schema {
		return placeError(nil,
			fmt.Sprintf("The store %s has version %d; this whybot knows version %d.", s.opts.Path, version, schema),
			"Run the whybot that wrote it, or a later one, or set another store.path.")
	}
	for _, name := range buckets {
		if tx.Bucket(name) == nil {
			return damagef("its bucket %s is missing", name)
		}
	}
	if err := unseal(meta.Get(countersKey), &s.counters, "the counters"); err != nil {
		return err
	}
	return s.counters.checkHead(tx)
}

// checkHead checks that the last event is the one the counters speak of.
func (n counters) checkHead(tx *bbolt.Tx) error {
	key, record := tx.Bucket(eventsBucket).Cursor().Last()
	if key == nil && n.Event == 0 {
		return nil
	}
	if string(key) != string(number(n.Event)) {
		return damagef("its last event should be event %d", n.Event)
	}
	e, err := decodeEvent(n.Event, record)
	if err == nil && e.Hash != n.Hash {
		err = damagef("event %d is not the one that was recorded last", n.Event)
	}
	return err
}

// openError turns an error of opening into one for a person.
func openError(path string, err error) error {
	var known *commands.Error
	switch {
	case errors.As(err, &known), errors.Is(err, errDamaged), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
	default:
		reason, hint := diskReason(err)
		return placeError(err, fmt.Sprintf("The store %s could not be opened: %s.", path, reason), hint)
	}
	if known == nil && errors.Is(err, errDamaged) {
		return damagedError(path, err)
	}
	return err
}
