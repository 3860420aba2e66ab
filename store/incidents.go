package store

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/bbolt"

	"whybot/commands"
)

const incidentPrefix = "inc-"

func incidentID(n uint64) string { return incidentPrefix + strconv.FormatUint(n, 10) }

// incidentNumber returns the number in an id, if it is written as incidentID
// writes it.
func incidentNumber(id string) (uint64, bool) {
	digits, ok := strings.CutPrefix(id, incidentPrefix)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, err == nil && incidentID(n) == id
}

// OpenIncident stores inc under the next id, which is never given out again.
// A zero Opened becomes the store's time.
func (s *Store) OpenIncident(ctx context.Context, inc commands.Incident, events ...commands.Event) (commands.Incident, error) {
	var stored commands.Incident
	err := s.write(ctx, func(d *draft) error {
		d.counters.Incident++
		inc := inc
		inc.ID = incidentID(d.counters.Incident)
		inc.Opened = timeOr(inc.Opened, d.now)
		if err := d.putIncident(commands.Incident{}, inc, &stored); err != nil {
			return err
		}
		return d.appendTo(stored, events)
	})
	if err != nil {
		return commands.Incident{}, err
	}
	return stored, nil
}

// ChangeIncident lets fn edit an incident. Names that fn adds to or takes from
// its Entities find, or find no longer, the events it already has.
func (s *Store) ChangeIncident(
	ctx context.Context, id string, fn func(*commands.Incident) ([]commands.Event, error),
) (commands.Incident, error) {
	var stored commands.Incident
	err := s.write(ctx, func(d *draft) error {
		old, err := getIncident(d.tx, id)
		if err != nil {
			return err
		}
		inc, err := getIncident(d.tx, id) // fn may write into what the first one points to
		if err != nil {
			return err
		}
		events, err := fn(&inc)
		if err != nil {
			return err
		}
		if inc.ID != id {
			return misuse("the id of incident %q was changed to %q", id, inc.ID)
		}
		inc.Opened = timeOr(inc.Opened, old.Opened)
		if err := d.putIncident(old, inc, &stored); err != nil {
			return err
		}
		return d.appendTo(stored, events)
	})
	if err != nil {
		return commands.Incident{}, err
	}
	return stored, nil
}

// putIncident notes to store inc in the place of old and sets stored to what
// will be read back.
func (d *draft) putIncident(old, inc commands.Incident, stored *commands.Incident) error {
	sealed, err := seal(inc)
	if err != nil {
		return err
	}
	*stored = commands.Incident{}
	if err := unseal(sealed, stored, inc.ID); err != nil {
		return err
	}
	n, ok := incidentNumber(inc.ID)
	if !ok {
		return misuse("incident id %q", inc.ID)
	}
	d.put(incidentsBucket, number(n), sealed)
	d.reindex(incidentsByBucket, incidentKeys(old), incidentKeys(*stored))
	return d.reindexEvents(old, *stored)
}

// incidentKeys returns the keys inc is found by; none for no incident.
func incidentKeys(inc commands.Incident) [][]byte {
	n, ok := incidentNumber(inc.ID)
	if !ok {
		return nil
	}
	keys := [][]byte{indexKey(newPrefix(byAll, ""), inc.Opened, n)}
	for _, p := range entityPrefixes(inc) {
		keys = append(keys, indexKey(p, inc.Opened, n))
	}
	return keys
}

// entityPrefixes returns the prefix of every entity of inc, each once.
func entityPrefixes(inc commands.Incident) []prefix {
	var prefixes []prefix
	for _, name := range inc.Entities {
		if p := entityPrefix(name); name != "" && !slices.Contains(prefixes, p) {
			prefixes = append(prefixes, p)
		}
	}
	return prefixes
}

// reindexEvents gives the events that an incident has the names it gained, and
// takes from them those it lost.
func (d *draft) reindexEvents(old, inc commands.Incident) error {
	before, after := entityPrefixes(old), entityPrefixes(inc)
	if old.ID == "" || slices.Equal(before, after) {
		return nil
	}
	own := newPrefix(byIncident, inc.ID)
	c := d.tx.Bucket(eventsByBucket).Cursor()
	for k, _ := c.Seek(own[:]); k != nil && strings.HasPrefix(string(k), string(own[:])); k, _ = c.Next() {
		if _, err := keyed(k); err != nil {
			return err
		}
		var lost, gained [][]byte
		for _, p := range before {
			lost = append(lost, rekey(k, p))
		}
		for _, p := range after {
			gained = append(gained, rekey(k, p))
		}
		d.reindex(eventsByBucket, lost, gained)
	}
	return nil
}

// getIncident reads incident id.
func getIncident(tx *bbolt.Tx, id string) (commands.Incident, error) {
	var inc commands.Incident
	n, ok := incidentNumber(id)
	if !ok {
		return inc, missing("incident", id)
	}
	sealed := tx.Bucket(incidentsBucket).Get(number(n))
	if sealed == nil {
		return inc, missing("incident", id)
	}
	if err := unseal(sealed, &inc, "incident "+id); err != nil {
		return inc, err
	}
	if inc.ID != id {
		return inc, damagef("incident %q lies in the place of %s", inc.ID, id)
	}
	return inc, nil
}

// ListIncidents returns the incidents q selects, newest first. Since is within
// and Until outside of what it selects; both look at Opened.
func (s *Store) ListIncidents(ctx context.Context, q commands.IncidentQuery) ([]commands.Incident, error) {
	if q.ID != "" {
		return s.oneIncident(ctx, q)
	}
	sp := span{bucket: incidentsByBucket, prefix: newPrefix(byAll, ""), since: q.Since, until: q.Until}
	if q.Entity != "" {
		sp.prefix = entityPrefix(q.Entity)
	}
	var found []commands.Incident
	err := s.descend(ctx, sp, func(tx *bbolt.Tx, key []byte) (bool, error) {
		n, err := keyed(key)
		if err != nil {
			return false, err
		}
		inc, err := getIncident(tx, incidentID(n))
		if err != nil {
			return false, fmt.Errorf("%w: an index refers to it: %w", errDamaged, err)
		}
		if !slices.ContainsFunc(incidentKeys(inc), func(k []byte) bool { return string(k) == string(key) }) {
			return false, damagef("an index has %s in a wrong place", inc.ID)
		}
		found = append(found, inc)
		return len(found) == q.Limit, nil
	})
	if err != nil {
		return nil, s.readError(err)
	}
	return found, nil
}

// oneIncident returns the incident q names, if it is all that q asks for.
func (s *Store) oneIncident(ctx context.Context, q commands.IncidentQuery) ([]commands.Incident, error) {
	var found []commands.Incident
	err := s.view(ctx, func(tx *bbolt.Tx) error {
		inc, err := getIncident(tx, q.ID)
		if commands.CodeOf(err) == commands.CodeMissing {
			return nil
		}
		if err != nil {
			return err
		}
		if within(inc.Opened, q.Since, q.Until) && (q.Entity == "" || about(inc, q.Entity)) {
			found = append(found, inc)
		}
		return nil
	})
	return found, err
}

func about(inc commands.Incident, entity string) bool {
	return slices.Contains(entityPrefixes(inc), entityPrefix(entity))
}

func within(t, since, until time.Time) bool {
	return !t.Before(since) && (until.IsZero() || t.Before(until))
}

// timeOr returns t as it will be read back, or fallback for no time.
func timeOr(t, fallback time.Time) time.Time {
	if t.IsZero() {
		return fallback
	}
	return t.Round(0).UTC()
}
