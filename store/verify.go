package store

import (
	"go.etcd.io/bbolt"
)

// verifyRecords checks that every incident and every proposal ever stored is
// there, readable, and found by all its keys.
func verifyRecords(tx *bbolt.Tx, n counters) error {
	for i := uint64(1); i <= n.Incident; i++ {
		inc, err := getIncident(tx, incidentID(i))
		if err != nil {
			return damagef("%s cannot be read: %v", incidentID(i), err)
		}
		if !hasKeys(tx, incidentsByBucket, incidentKeys(inc)) {
			return damagef("%s is missing in an index", inc.ID)
		}
	}
	for i := uint64(1); i <= n.Proposal; i++ {
		p, err := numberedProposal(tx, number(i))
		if err != nil {
			return err
		}
		if string(tx.Bucket(proposalIDsBucket).Get([]byte(p.ID))) != string(number(i)) ||
			!hasKeys(tx, proposalsByBucket, proposalKeys(i, p)) {
			return damagef("proposal %.60q is missing in an index", p.ID)
		}
	}
	return nil
}

func hasKeys(tx *bbolt.Tx, bucket []byte, keys [][]byte) bool {
	c := tx.Bucket(bucket).Cursor()
	for _, key := range keys {
		if found, _ := c.Seek(key); string(found) != string(key) {
			return false
		}
	}
	return true
}
