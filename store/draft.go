package store

import (
	"time"

	"go.etcd.io/bbolt"
)

// Buckets.
var (
	metaBucket            = []byte("meta")
	incidentsBucket       = []byte("incidents")
	incidentsByBucket     = []byte("incidents_by")
	eventsBucket          = []byte("events")
	eventsByBucket        = []byte("events_by")
	proposalsBucket       = []byte("proposals")
	proposalIDsBucket     = []byte("proposal_ids")
	proposalsByBucket     = []byte("proposals_by")
	deliveriesBucket      = []byte("deliveries")
	deliveriesByAgeBucket = []byte("deliveries_by_age")
)

var buckets = [][]byte{
	metaBucket, incidentsBucket, incidentsByBucket, eventsBucket, eventsByBucket,
	proposalsBucket, proposalIDsBucket, proposalsByBucket, deliveriesBucket, deliveriesByAgeBucket,
}

// counters are the numbers given out last and the head of the hash chain.
type counters struct {
	Incident uint64 `json:"incident"`
	Proposal uint64 `json:"proposal"`
	Event    uint64 `json:"event"`
	Hash     string `json:"hash"`
}

// A draft is one write before it is made: it reads from the transaction and
// notes what to change. One that fails is thrown away, and the transaction has
// seen nothing of it.
type draft struct {
	tx       *bbolt.Tx
	now      time.Time
	counters counters
	changes  []change
}

type change struct {
	bucket, key, value []byte
	remove             bool
}

func (d *draft) get(bucket, key []byte) []byte { return d.tx.Bucket(bucket).Get(key) }

func (d *draft) put(bucket, key, value []byte) {
	d.changes = append(d.changes, change{bucket: bucket, key: key, value: value})
}

func (d *draft) remove(bucket, key []byte) {
	d.changes = append(d.changes, change{bucket: bucket, key: key, remove: true})
}

// flush carries the changes out.
func (d *draft) flush() error {
	for _, c := range d.changes {
		b := d.tx.Bucket(c.bucket)
		if c.remove {
			if err := b.Delete(c.key); err != nil {
				return err
			}
			continue
		}
		if err := b.Put(c.key, c.value); err != nil {
			return err
		}
	}
	return nil
}

// reindex moves index entries from the old keys to the new ones.
func (d *draft) reindex(bucket []byte, old, now [][]byte) {
	keep := map[string]bool{}
	for _, k := range now {
		keep[string(k)] = true
	}
	had := map[string]bool{}
	for _, k := range old {
		had[string(k)] = true
		if !keep[string(k)] {
			d.remove(bucket, k)
		}
	}
	for _, k := range now {
		if !had[string(k)] {
			d.put(bucket, k, nil)
		}
	}
}
