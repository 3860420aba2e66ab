package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"time"
	"unicode"

	"go.etcd.io/bbolt"
)

// Kinds of things an index is searched by.
const (
	byAll      = 'a'
	byIncident = 'i'
	byEntity   = 'e'
	byState    = 's'
)

const (
	prefixLen = 16
	stampLen  = 12
	keyLen    = prefixLen + stampLen + 8
	// chunk is how many entries are walked in one read transaction: bbolt
	// cannot grow its map while one is open, so long ones hold up the writer.
	chunk = 4096
)

// A prefix begins every index key of one thing searched for. It is a hash, so
// that names of any length and content have keys of one length and none is the
// beginning of another.
type prefix [prefixLen]byte

func newPrefix(kind byte, value string) prefix {
	sum := sha256.Sum256(append([]byte{kind}, value...))
	return prefix(sum[:prefixLen])
}

func entityPrefix(name string) prefix { return newPrefix(byEntity, fold(name)) }

// fold maps names that strings.EqualFold holds equal to one name.
func fold(name string) string {
	folded := make([]rune, 0, len(name))
	for _, r := range name {
		least := r
		for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
			least = min(least, other)
		}
		folded = append(folded, least)
	}
	return string(folded)
}

// stamp encodes t so that bytes sort as times do, in every year.
func stamp(t time.Time) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, stampLen), uint64(t.Unix())^(1<<63)) //nolint:gosec // the sign bit is flipped on purpose
	return binary.BigEndian.AppendUint32(b, uint32(t.Nanosecond()))                         //nolint:gosec // below 1e9
}

func indexKey(p prefix, t time.Time, n uint64) []byte {
	key := append(make([]byte, 0, keyLen), p[:]...)
	key = append(key, stamp(t)...)
	return binary.BigEndian.AppendUint64(key, n)
}

// rekey returns key under another prefix.
func rekey(key []byte, p prefix) []byte {
	return append(p[:], key[prefixLen:]...)
}

// keyed returns the record number at the end of an index key.
func keyed(key []byte) (uint64, error) {
	if len(key) != keyLen {
		return 0, damagef("an index key has %d bytes instead of %d", len(key), keyLen)
	}
	return binary.BigEndian.Uint64(key[keyLen-8:]), nil
}

// A span is the part of an index that belongs to one prefix, from since, before
// until; a zero time is no bound.
type span struct {
	bucket       []byte
	prefix       prefix
	since, until time.Time
}

func (sp span) bounds() (low, high []byte) {
	low = append([]byte(nil), sp.prefix[:]...)
	if !sp.since.IsZero() {
		low = append(low, stamp(sp.since)...)
	}
	high = append([]byte(nil), sp.prefix[:]...)
	if sp.until.IsZero() {
		return low, append(high, bytes.Repeat([]byte{0xff}, keyLen)...)
	}
	return low, append(high, stamp(sp.until)...)
}

// descend calls take with the index keys of sp, newest first, until it says
// that it has enough.
func (s *Store) descend(ctx context.Context, sp span, take func(tx *bbolt.Tx, key []byte) (enough bool, err error)) error {
	low, high := sp.bounds()
	for high != nil {
		err := s.view(ctx, func(tx *bbolt.Tx) (err error) {
			high, err = descendChunk(tx, sp.bucket, low, high, take)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// descendChunk walks one chunk and returns where the next begins, or nil.
func descendChunk(tx *bbolt.Tx, bucket, low, high []byte, take func(*bbolt.Tx, []byte) (bool, error)) ([]byte, error) {
	c := tx.Bucket(bucket).Cursor()
	left := chunk
	for k := lastBefore(c, high); k != nil && bytes.Compare(k, low) >= 0; k, _ = c.Prev() {
		enough, err := take(tx, k)
		if err != nil || enough {
			return nil, err
		}
		if left--; left == 0 {
			return bytes.Clone(k), nil
		}
	}
	return nil, nil
}

func lastBefore(c *bbolt.Cursor, high []byte) []byte {
	if k, _ := c.Seek(high); k == nil {
		k, _ = c.Last()
		return k
	}
	k, _ := c.Prev()
	return k
}
