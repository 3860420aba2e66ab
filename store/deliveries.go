package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"time"
)

const (
	// deliveryMemory is how long a delivery is remembered: the hour that is
	// promised, and one more for clocks that are set.
	deliveryMemory = 2 * time.Hour
	// pruneAtOnce is how many old deliveries a new one clears away at most:
	// more than one, so that the memory shrinks after a flood.
	pruneAtOnce = 16
)

// First records key and reports whether it was not there, within two hours by
// the store's clock. On an error it reports false: nobody may act on it.
func (s *Store) First(ctx context.Context, key string) (bool, error) {
	first := false
	sum := sha256.Sum256([]byte(key))
	err := s.write(ctx, func(d *draft) error {
		oldest := stamp(d.now.Add(-deliveryMemory))
		seen := d.get(deliveriesBucket, sum[:])
		if seen != nil && bytes.Compare(seen, oldest) >= 0 {
			return nil
		}
		first = true
		if seen != nil {
			d.remove(deliveriesByAgeBucket, append(bytes.Clone(seen), sum[:]...))
		}
		d.prune(oldest)
		now := stamp(d.now)
		d.put(deliveriesBucket, sum[:], now)
		d.put(deliveriesByAgeBucket, append(bytes.Clone(now), sum[:]...), nil)
		return nil
	})
	return first && err == nil, err
}

// prune notes to forget some deliveries that are older than oldest.
func (d *draft) prune(oldest []byte) {
	c := d.tx.Bucket(deliveriesByAgeBucket).Cursor()
	left := pruneAtOnce
	for k, _ := c.First(); k != nil && left > 0 && bytes.Compare(k[:stampLen], oldest) < 0; k, _ = c.Next() {
		d.remove(deliveriesByAgeBucket, bytes.Clone(k))
		d.remove(deliveriesBucket, bytes.Clone(k[stampLen:]))
		left--
	}
}
