package store

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"whybot/commands"
)

// chained makes a store with ten events and closes it.
func chained(t *testing.T) Options {
	t.Helper()
	s := openNew(t)
	id := newIncident(t, s, "web-1")
	for i := range 10 {
		ok(t, s.Append(t.Context(), note(id, fmt.Sprintf("event number <%d>", i+1))))
	}
	ok(t, s.Propose(t.Context(), []commands.Proposal{{ID: "fx-1", Incident: id, State: commands.Proposed, Created: noon}}))
	ok(t, s.Close())
	return s.opts
}

func TestChainNamesTheFirstBadEvent(t *testing.T) {
	events := func(tx *bbolt.Tx) *bbolt.Bucket { return tx.Bucket(eventsBucket) }
	rewrite := func(tx *bbolt.Tx, seq uint64, change func([]byte) []byte) error {
		return events(tx).Put(number(seq), change(bytes.Clone(events(tx).Get(number(seq)))))
	}
	for name, c := range map[string]struct {
		tamper func(*bbolt.Tx) error
		bad    int
		words  string
	}{
		"a flipped bit of the text": {func(tx *bbolt.Tx) error {
			return rewrite(tx, 4, func(b []byte) []byte { b[bytes.Index(b, []byte("number"))] ^= 1; return b })
		}, 4, "event 4 was changed after it was recorded"},
		"a flipped bit of the hash": {func(tx *bbolt.Tx) error {
			return rewrite(tx, 5, func(b []byte) []byte { b[0] ^= 1; return b })
		}, 5, "event 5 was changed"},
		"broken JSON": {func(tx *bbolt.Tx) error {
			return rewrite(tx, 3, func(b []byte) []byte { b[32] = '['; return b })
		}, 3, "event 3 is not readable"},
		"an event with a hash of its own": {func(tx *bbolt.Tx) error {
			return rewrite(tx, 6, func(b []byte) []byte {
				var e commands.Event
				_ = json.Unmarshal(b[32:], &e)
				e.Text = "forged"
				_, forged, _ := encodeEvent(e)
				return forged
			})
		}, 7, "event 7 does not follow on event 6"},
		"a missing event": {func(tx *bbolt.Tx) error { return events(tx).Delete(number(8)) }, 8, "event 8 is missing"},
		"an exchanged pair": {func(tx *bbolt.Tx) error {
			two := bytes.Clone(events(tx).Get(number(2)))
			return events(tx).Put(number(3), two)
		}, 3, "event 2 lies in the place of event 3"},
		"a missing index entry": {func(tx *bbolt.Tx) error {
			return tx.Bucket(eventsByBucket).Delete(indexKey(entityPrefix("web-1"), noon, 9))
		}, 9, "event 9 is missing in an index"},
		"an incident nobody finds": {func(tx *bbolt.Tx) error {
			return tx.Bucket(incidentsByBucket).Delete(indexKey(entityPrefix("web-1"), noon, 1))
		}, 11, "inc-1 is missing in an index"},
		"a proposal nobody finds": {func(tx *bbolt.Tx) error {
			return tx.Bucket(proposalIDsBucket).Delete([]byte("fx-1"))
		}, 11, "proposal \"fx-1\" is missing in an index"},
	} {
		t.Run(name, func(t *testing.T) {
			o := chained(t)
			tamper(t, o.Path, c.tamper)
			s := openAt(t, o)
			n, err := s.VerifyChain(t.Context())
			wantError(t, err, commands.CodeInternal, c.words)
			if n != c.bad-1 {
				t.Errorf("%d events checked before event %d", n, c.bad)
			}
		})
	}
}

// TestLostTail: the chain alone does not show that its end is missing.
func TestLostTail(t *testing.T) {
	o := chained(t)
	tamper(t, o.Path, func(tx *bbolt.Tx) error { return tx.Bucket(eventsBucket).Delete(number(10)) })
	_, err := Open(t.Context(), o)
	wantError(t, err, commands.CodeInternal, "its last event should be event 10")

	s := openNew(t)
	ok(t, s.Append(t.Context(), note(newIncident(t, s), "lost")))
	ok(t, s.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(eventsBucket).Delete(number(1)) }))
	_, err = s.VerifyChain(t.Context())
	wantError(t, err, commands.CodeInternal, "event 1 is missing, of 1")
}

// TestFlippedByteInFile flips a byte of an event on the disk, where bbolt has
// no checksum.
func TestFlippedByteInFile(t *testing.T) {
	o := chained(t)
	content, err := os.ReadFile(o.Path)
	ok(t, err)
	content = bytes.ReplaceAll(content, []byte("number \\u003c7\\u003e"), []byte("number \\u003c8\\u003e"))
	ok(t, os.WriteFile(o.Path, content, 0o600))
	s := openAt(t, o)
	_, err = s.VerifyChain(t.Context())
	wantError(t, err, commands.CodeInternal, "event 7 was changed")
	_, err = s.Events(t.Context(), commands.EventQuery{Entity: "web-1"})
	wantError(t, err, commands.CodeInternal, "event 7 was changed")
	newest, err := s.Events(t.Context(), commands.EventQuery{Entity: "web-1", Limit: 3})
	if err != nil || len(newest) != 3 {
		t.Errorf("the good events after it: %d, %v", len(newest), err)
	}
}

// contents is everything a store tells.
type contents struct {
	incidents []commands.Incident
	events    []commands.Event
	byEntity  []commands.Event
	proposals []commands.Proposal
}

// tell reads all of s, or returns the error that the damage causes.
func tell(ctx context.Context, s *Store) (c contents, err error) {
	if _, err = s.VerifyChain(ctx); err != nil {
		return c, err
	}
	if c.incidents, err = s.ListIncidents(ctx, commands.IncidentQuery{}); err != nil {
		return c, err
	}
	if c.events, err = s.Events(ctx, commands.EventQuery{}); err != nil {
		return c, err
	}
	if c.byEntity, err = s.Events(ctx, commands.EventQuery{Entity: "compute01"}); err != nil {
		return c, err
	}
	c.proposals, err = s.ListProposals(ctx, commands.ProposalQuery{})
	return c, err
}

// grown is a store with enough in it for trees of several levels.
func grown(t *testing.T) (path, told string) {
	t.Helper()
	s := openNew(t)
	for i := range 20 {
		id := newIncident(t, s, fmt.Sprintf("web-%d", i), "compute01")
		var events []commands.Event
		for j := range 50 {
			events = append(events, note(id, strings.Repeat(fmt.Sprint("line ", j, " "), 5)))
		}
		ok(t, s.Append(t.Context(), events...))
		ok(t, s.Propose(t.Context(), []commands.Proposal{{ID: fmt.Sprint("fx-", i), Incident: id, State: commands.Proposed, Created: noon}}))
		_, err := s.First(t.Context(), id)
		ok(t, err)
	}
	c, err := tell(t.Context(), s)
	ok(t, err)
	ok(t, s.Close())
	return s.opts.Path, fmt.Sprintf("%+v", c)
}

// TestRandomDamage flips bits of a store and cuts it short, two hundred times.
// Each time the damage is told, on open or by whoever reads, or what is read is
// what was written.
func TestRandomDamage(t *testing.T) {
	path, told := grown(t)
	whole, err := os.ReadFile(path)
	ok(t, err)
	random := rand.New(rand.NewPCG(1, 2)) // the same damage every time
	damaged := filepath.Join(t.TempDir(), "damaged.db")
	onOpen, onRead, harmless := 0, 0, 0
	for i := range 200 {
		content := bytes.Clone(whole)
		what := ""
		if i%5 == 0 {
			n := random.IntN(len(content))
			content, what = content[:n], fmt.Sprintf("cut to %d bytes", n)
		} else {
			for range 1 + random.IntN(8) {
				at, bit := random.IntN(len(content)), random.IntN(8)
				content[at] ^= 1 << bit
				what += fmt.Sprintf("bit %d of byte %d ", bit, at)
			}
		}
		ok(t, os.WriteFile(damaged, content, 0o600))
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		switch opened, got, err := openAndTell(ctx, t, damaged); {
		case ctx.Err() != nil:
			t.Errorf("%s: hung", what)
		case !opened && err != nil:
			onOpen++
		case err != nil:
			onRead++
		case strings.HasPrefix(what, "cut to 0 bytes"):
			harmless++
		case fmt.Sprintf("%+v", got) != told:
			t.Errorf("%s: wrong content and no error", what)
		default:
			harmless++
		}
		cancel()
	}
	t.Logf("damage told on open %d, on reading %d, without effect %d", onOpen, onRead, harmless)
	if onOpen == 0 || onRead == 0 {
		t.Error("the damage was too small for the test to mean anything")
	}
}

func openAndTell(ctx context.Context, t *testing.T, path string) (opened bool, c contents, err error) {
	t.Helper()
	s, err := Open(ctx, Options{Path: path, Check: true})
	if err != nil {
		return false, c, err
	}
	defer s.Close()
	c, err = tell(ctx, s)
	return true, c, err
}

// TestCutShortWhileOpen: the pages are gone below the map, which is a signal,
// which is an error.
func TestCutShortWhileOpen(t *testing.T) {
	whole, _ := grown(t)
	content, err := os.ReadFile(whole)
	ok(t, err)
	path := filepath.Join(t.TempDir(), "short.db")
	ok(t, os.WriteFile(path, content, 0o600))
	s, err := Open(t.Context(), Options{Path: path})
	ok(t, err)
	defer s.Close()
	ok(t, os.Truncate(path, 8192))
	_, err = s.Events(t.Context(), commands.EventQuery{})
	wantError(t, err, commands.CodeInternal, "damaged")
	if err := s.Append(t.Context(), note("inc-1", "lost")); err == nil {
		t.Error("an event was acknowledged in a file cut short")
	}
}

// TestImageRefuses damages what random bits rarely meet.
func TestImageRefuses(t *testing.T) {
	path, _ := grown(t)
	whole, err := os.ReadFile(path)
	ok(t, err)
	newest, err := readImage(bytes.NewReader(whole), int64(len(whole)))
	ok(t, err)
	at := func(page uint64, offset int) int { return int(page*newest.pageSize) + offset }
	events := rootOf(t, path, eventsBucket)
	for name, c := range map[string]struct {
		damage func(b []byte)
		words  string
	}{
		"a page that says it is another": {func(b []byte) { b[at(events, 0)] ^= 1 }, "says that it is page"},
		"a page of no kind":              {func(b []byte) { b[at(events, 8)] = 0x40 }, "neither a branch nor a leaf"},
		"a cycle": {func(b []byte) {
			copy(b[at(events, pageHeader+8):], []byte{byte(events), byte(events >> 8), 0, 0, 0, 0, 0, 0})
		}, "used twice"},
		"a child out of range":  {func(b []byte) { b[at(events, pageHeader+8+6)] = 1 }, "is referred to, of"},
		"too many elements":     {func(b []byte) { b[at(events, 10+1)] = 0xff }, "page"},
		"no elements":           {func(b []byte) { b[at(events, 10)], b[at(events, 11)] = 0, 0 }, "is empty"},
		"a key beyond the page": {func(b []byte) { b[at(events, pageHeader+2)] = 1 }, "reaches beyond it"},
		"a free page in use": {func(b []byte) {
			copy(b[at(newest.freelist, pageHeader):], []byte{byte(events), byte(events >> 8), 0, 0, 0, 0, 0, 0})
			b[at(newest.freelist, 10)], b[at(newest.freelist, 11)] = 1, 0
		}, "used twice"},
		"a freelist of another kind": {func(b []byte) { b[at(newest.freelist, 8)] = leafPage }, "list of free pages"},
		"both headers":               {func(b []byte) { b[20] ^= 1; b[at(1, 20)] ^= 1 }, "neither of its headers"},
	} {
		t.Run(name, func(t *testing.T) {
			content := bytes.Clone(whole)
			c.damage(content)
			damaged := filepath.Join(t.TempDir(), "damaged.db")
			ok(t, os.WriteFile(damaged, content, 0o600))
			_, err := Open(t.Context(), Options{Path: damaged, Check: true})
			wantError(t, err, commands.CodeInternal, "damaged", c.words)
		})
	}
}

// rootOf returns the root page of a bucket.
func rootOf(t *testing.T, path string, bucket []byte) (root uint64) {
	t.Helper()
	tamper(t, path, func(tx *bbolt.Tx) error {
		root = uint64(tx.Bucket(bucket).Root())
		return nil
	})
	return root
}
