package store

import (
	"context"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"

	"whybot/commands"
)

// Append stores events in the order given. Each must name an incident that
// exists. A zero At becomes the store's time; Seq, Recorded, Prev and Hash are
// the store's to give.
func (s *Store) Append(ctx context.Context, events ...commands.Event) error {
	return s.write(ctx, func(d *draft) error { return d.appendAll(events) })
}

// appendAll notes to store events of any incidents.
func (d *draft) appendAll(events []commands.Event) error {
	var inc commands.Incident
	for _, e := range events {
		if e.Incident != inc.ID || inc.ID == "" {
			var err error
			if inc, err = getIncident(d.tx, e.Incident); err != nil {
				return err
			}
		}
		if err := d.appendOne(inc, e); err != nil {
			return err
		}
	}
	return nil
}

// appendTo notes to store events of inc, which may itself only be noted. Events
// of another incident are a mistake of the caller.
func (d *draft) appendTo(inc commands.Incident, events []commands.Event) error {
	for _, e := range events {
		if e.Incident == "" {
			e.Incident = inc.ID
		}
		if e.Incident != inc.ID {
			return misuse("an event of %q beside a change of %s", e.Incident, inc.ID)
		}
		if err := d.appendOne(inc, e); err != nil {
			return err
		}
	}
	return nil
}

// appendOne links e to the chain.
func (d *draft) appendOne(inc commands.Incident, e commands.Event) error {
	e.Seq, e.Prev = d.counters.Event+1, d.counters.Hash
	e.At, e.Recorded = timeOr(e.At, d.now), d.now
	e, record, err := encodeEvent(e)
	if err != nil {
		return err
	}
	d.put(eventsBucket, number(e.Seq), record)
	for _, key := range eventKeys(inc, e) {
		d.put(eventsByBucket, key, nil)
	}
	d.counters.Event, d.counters.Hash = e.Seq, e.Hash
	return nil
}

// eventKeys returns the keys that e, an event of inc, is found by.
func eventKeys(inc commands.Incident, e commands.Event) [][]byte {
	own := indexKey(newPrefix(byIncident, inc.ID), e.At, e.Seq)
	keys := [][]byte{own, rekey(own, newPrefix(byAll, ""))}
	for _, p := range entityPrefixes(inc) {
		keys = append(keys, rekey(own, p))
	}
	return keys
}

// Events returns the events q selects by the time they happened, and those of
// one time in the order they were recorded. Since is within and Until outside
// of what it selects.
func (s *Store) Events(ctx context.Context, q commands.EventQuery) ([]commands.Event, error) {
	sp := span{bucket: eventsByBucket, prefix: newPrefix(byAll, ""), since: q.Since, until: q.Until}
	switch {
	case q.Incident != "":
		selected, err := s.oneIncident(ctx, commands.IncidentQuery{ID: q.Incident, Entity: q.Entity})
		if err != nil || len(selected) == 0 {
			return nil, err
		}
		sp.prefix = newPrefix(byIncident, q.Incident)
	case q.Entity != "":
		sp.prefix = entityPrefix(q.Entity)
	}
	var found []commands.Event
	err := s.descend(ctx, sp, func(tx *bbolt.Tx, key []byte) (bool, error) {
		e, err := indexedEvent(tx, key)
		if err != nil {
			return false, err
		}
		found = append(found, e)
		return len(found) == q.Limit, nil
	})
	if err != nil {
		return nil, s.readError(err)
	}
	slices.Reverse(found)
	return found, nil
}

// indexedEvent reads the event an index key refers to.
func indexedEvent(tx *bbolt.Tx, key []byte) (commands.Event, error) {
	seq, err := keyed(key)
	if err != nil {
		return commands.Event{}, err
	}
	record := tx.Bucket(eventsBucket).Get(number(seq))
	if record == nil {
		return commands.Event{}, damagef("event %d is missing", seq)
	}
	e, err := decodeEvent(seq, record)
	if err != nil {
		return commands.Event{}, err
	}
	if string(key) != string(indexKey(prefix(key[:prefixLen]), e.At, seq)) {
		return commands.Event{}, damagef("an index has event %d in a wrong place", seq)
	}
	return e, nil
}

// VerifyChain checks every event: its hash, its link to the one before, its
// entries in the indexes; and that the last one is the one recorded last; then
// every incident and proposal. It returns how many events are good. It reads in portions, and counts what is appended
// meanwhile.
func (s *Store) VerifyChain(ctx context.Context) (int, error) {
	v := verifier{}
	for !v.complete {
		if err := s.view(ctx, v.portion); err != nil {
			return int(v.seq), err //nolint:gosec // fewer than fit
		}
	}
	return int(v.seq), nil //nolint:gosec // fewer than fit
}

// A verifier is where VerifyChain has got to: the last good event.
type verifier struct {
	seq      uint64
	hash     string
	incident commands.Incident
	complete bool
}

// portion verifies one chunk of events.
func (v *verifier) portion(tx *bbolt.Tx) error {
	v.incident = commands.Incident{} // it may have changed between transactions
	c := tx.Bucket(eventsBucket).Cursor()
	k, record := c.Seek(number(v.seq + 1))
	for range chunk {
		if k == nil {
			v.complete = true
			return v.atHead(tx)
		}
		if string(k) != string(number(v.seq+1)) {
			return damagef("event %d is missing", v.seq+1)
		}
		if err := v.event(tx, record); err != nil {
			return err
		}
		k, record = c.Next()
	}
	return nil
}

func (v *verifier) event(tx *bbolt.Tx, record []byte) error {
	e, err := decodeEvent(v.seq+1, record)
	if err != nil {
		return err
	}
	if e.Prev != v.hash {
		return damagef("event %d does not follow on event %d: the hash of the one before does not match", e.Seq, v.seq)
	}
	if v.incident.ID != e.Incident {
		if v.incident, err = getIncident(tx, e.Incident); err != nil {
			return fmt.Errorf("%w: event %d belongs to %.60q, which cannot be read: %w", errDamaged, e.Seq, e.Incident, err)
		}
	}
	if !hasKeys(tx, eventsByBucket, eventKeys(v.incident, e)) {
		return damagef("event %d is missing in an index", e.Seq)
	}
	v.seq, v.hash = e.Seq, e.Hash
	return nil
}

// atHead checks that nothing is missing after the last event.
func (v *verifier) atHead(tx *bbolt.Tx) error {
	var n counters
	if err := unseal(tx.Bucket(metaBucket).Get(countersKey), &n, "the counters"); err != nil {
		return err
	}
	if n.Event != v.seq || n.Hash != v.hash {
		return damagef("event %d is missing, of %d", v.seq+1, n.Event)
	}
	return verifyRecords(tx, n)
}
