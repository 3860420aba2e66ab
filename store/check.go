package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
)

// errNotChecked says that the check ran out of time; it found nothing wrong
// until then.
var errNotChecked = errors.New("the check of the file took too long")

// checkFile checks the structure of a file that is not empty: the small part
// that every open needs, and all the rest when the file was not closed
// properly or all is set.
func checkFile(ctx context.Context, file *os.File, size int64, all bool) error {
	m, err := readImage(file, size)
	if err != nil {
		return err
	}
	if err := m.checkFreelist(ctx); err != nil {
		return err
	}
	entries, err := m.rootEntries(ctx)
	if err != nil {
		return err
	}
	wasClean := false
	meta, known := entries[string(metaBucket)]
	if known {
		err := m.walkBucket(ctx, meta, func(flags uint32, key, value []byte) error {
			if bytes.Equal(key, cleanKey) {
				wasClean = bytes.Equal(value, clean)
			}
			return plain(flags)
		})
		if err != nil {
			return fmt.Errorf("bucket meta: %w", err)
		}
		delete(entries, string(metaBucket))
	}
	if wasClean && !all {
		return nil
	}
	return m.checkBuckets(ctx, entries)
}

func (m *image) checkBuckets(ctx context.Context, entries map[string][]byte) error {
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		err := m.walkBucket(ctx, entries[name], func(flags uint32, _, _ []byte) error { return plain(flags) })
		if err != nil {
			return fmt.Errorf("bucket %.40q: %w", name, err)
		}
	}
	return nil
}

// plain refuses what is not an ordinary key.
func plain(flags uint32) error {
	if flags != 0 {
		return damagef("an entry has the flags %#x", flags)
	}
	return nil
}

// checkInTime runs checkFile for o.CheckTimeout at most.
func checkInTime(ctx context.Context, file *os.File, size int64, o Options) error {
	bounded, cancel := context.WithTimeoutCause(ctx, o.CheckTimeout, errNotChecked)
	defer cancel()
	err := checkFile(bounded, file, size, o.Check)
	if errors.Is(err, errNotChecked) && ctx.Err() == nil {
		o.Log.Warn("store not checked to its end: its disk is slow for its size",
			"path", o.Path, "bytes", size, "timeout", o.CheckTimeout)
		return nil
	}
	return err
}
