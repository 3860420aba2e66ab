package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"

	"whybot/commands"
)

// Propose stores proposals with the events about them; each belongs to an
// incident that exists. Events with an empty Incident get that of the first
// proposal.
func (s *Store) Propose(ctx context.Context, ps []commands.Proposal, events ...commands.Event) error {
	return s.write(ctx, func(d *draft) error {
		seen := map[string]bool{}
		for _, p := range ps {
			if p.ID == "" || seen[p.ID] || d.get(proposalIDsBucket, []byte(p.ID)) != nil {
				return misuse("proposal id %q is empty or taken", p.ID)
			}
			seen[p.ID] = true
			if err := d.addProposal(p); err != nil {
				return err
			}
		}
		events := slices.Clone(events)
		for i := range events {
			if events[i].Incident == "" && len(ps) > 0 {
				events[i].Incident = ps[0].Incident
			}
		}
		return d.appendAll(events)
	})
}

func (d *draft) addProposal(p commands.Proposal) error {
	if len(p.ID) > bbolt.MaxKeySize {
		return misuse("a proposal id of %d bytes", len(p.ID))
	}
	if _, err := getIncident(d.tx, p.Incident); err != nil {
		return err
	}
	d.counters.Proposal++
	p.Created = timeOr(p.Created, d.now)
	d.put(proposalIDsBucket, []byte(p.ID), number(d.counters.Proposal))
	var stored commands.Proposal
	return d.putProposal(d.counters.Proposal, commands.Proposal{}, p, &stored)
}

// putProposal notes to store p under number n in the place of old and sets
// stored to what will be read back.
func (d *draft) putProposal(n uint64, old, p commands.Proposal, stored *commands.Proposal) error {
	sealed, err := seal(p)
	if err != nil {
		return err
	}
	*stored = commands.Proposal{}
	if err := unseal(sealed, stored, "proposal "+p.ID); err != nil {
		return err
	}
	d.put(proposalsBucket, number(n), sealed)
	d.reindex(proposalsByBucket, proposalKeys(n, old), proposalKeys(n, *stored))
	return nil
}

// proposalKeys returns the keys p is found by; none for no proposal.
func proposalKeys(n uint64, p commands.Proposal) [][]byte {
	if p.ID == "" {
		return nil
	}
	all := indexKey(newPrefix(byAll, ""), p.Created, n)
	return [][]byte{
		all,
		rekey(all, newPrefix(byIncident, p.Incident)),
		rekey(all, newPrefix(byState, string(p.State))),
	}
}

// ChangeProposal lets fn edit a proposal. All changes go through one
// goroutine, so that what fn decides from what it sees still holds when it is
// stored.
func (s *Store) ChangeProposal(
	ctx context.Context, id string, fn func(*commands.Proposal) ([]commands.Event, error),
) (commands.Proposal, error) {
	var stored commands.Proposal
	err := s.write(ctx, func(d *draft) error {
		n, old, err := getProposal(d.tx, id)
		if err != nil {
			return err
		}
		_, p, err := getProposal(d.tx, id) // fn may write into what the first one points to
		if err != nil {
			return err
		}
		events, err := fn(&p)
		if err != nil {
			return err
		}
		if p.ID != id || p.Incident != old.Incident {
			return misuse("proposal %q of %q was changed to %q of %q", id, old.Incident, p.ID, p.Incident)
		}
		if p.State.OnItsWay() && !old.State.OnItsWay() {
			if err := alone(d.tx, p); err != nil {
				return err
			}
		}
		p.Created = timeOr(p.Created, old.Created)
		if err := d.putProposal(n, old, p, &stored); err != nil {
			return err
		}
		inc, err := getIncident(d.tx, p.Incident)
		if err != nil {
			return err
		}
		return d.appendTo(inc, events)
	})
	if err != nil {
		return commands.Proposal{}, err
	}
	return stored, nil
}

// alone refuses that p sets out while another proposal that it meets is on its
// way.
func alone(tx *bbolt.Tx, p commands.Proposal) error {
	for _, state := range []commands.ProposalState{commands.Applying, commands.Undoing} {
		if err := aloneIn(tx, p, state); err != nil {
			return err
		}
	}
	return nil
}

// aloneIn is alone among the proposals in one state.
func aloneIn(tx *bbolt.Tx, p commands.Proposal, state commands.ProposalState) error {
	sp := span{bucket: proposalsByBucket, prefix: newPrefix(byState, string(state))}
	low, high := sp.bounds()
	for high != nil {
		var err error
		high, err = descendChunk(tx, sp.bucket, low, high, func(tx *bbolt.Tx, key []byte) (bool, error) {
			n, err := keyed(key)
			if err != nil {
				return false, err
			}
			q, err := numberedProposal(tx, number(n))
			if err == nil && q.ID != p.ID && q.Meets(p) {
				err = commands.Occupied(q)
			}
			return false, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// getProposal reads proposal id and its number.
func getProposal(tx *bbolt.Tx, id string) (uint64, commands.Proposal, error) {
	key := tx.Bucket(proposalIDsBucket).Get([]byte(id))
	if key == nil {
		return 0, commands.Proposal{}, missing("proposal", id)
	}
	p, err := numberedProposal(tx, key)
	if err == nil && p.ID != id {
		err = damagef("proposal %q lies in the place of %q", p.ID, id)
	}
	if err != nil {
		return 0, commands.Proposal{}, err
	}
	return numbered(key), p, nil
}

func numberedProposal(tx *bbolt.Tx, key []byte) (commands.Proposal, error) {
	var p commands.Proposal
	if len(key) != 8 {
		return p, damagef("a proposal's number has %d bytes", len(key))
	}
	err := unseal(tx.Bucket(proposalsBucket).Get(key), &p, fmt.Sprintf("proposal number %d", numbered(key)))
	return p, err
}

// ListProposals returns the proposals q selects, in the order they were made.
func (s *Store) ListProposals(ctx context.Context, q commands.ProposalQuery) ([]commands.Proposal, error) {
	if q.ID != "" {
		return s.oneProposal(ctx, q)
	}
	sp := span{bucket: proposalsByBucket, prefix: newPrefix(byAll, "")}
	switch {
	case q.Incident != "":
		sp.prefix = newPrefix(byIncident, q.Incident)
	case q.State != "":
		sp.prefix = newPrefix(byState, string(q.State))
	}
	var found []commands.Proposal
	err := s.descend(ctx, sp, func(tx *bbolt.Tx, key []byte) (bool, error) {
		n, err := keyed(key)
		if err != nil {
			return false, err
		}
		p, err := numberedProposal(tx, number(n))
		if err != nil {
			return false, err
		}
		if !slices.ContainsFunc(proposalKeys(n, p), func(k []byte) bool { return string(k) == string(key) }) {
			return false, damagef("an index has proposal %q in a wrong place", p.ID)
		}
		if selects(q, p) {
			found = append(found, p)
		}
		return false, nil
	})
	if err != nil {
		return nil, s.readError(err)
	}
	slices.Reverse(found)
	return found, nil
}

// oneProposal returns the proposal q names, if it is all that q asks for.
func (s *Store) oneProposal(ctx context.Context, q commands.ProposalQuery) ([]commands.Proposal, error) {
	var found []commands.Proposal
	err := s.view(ctx, func(tx *bbolt.Tx) error {
		_, p, err := getProposal(tx, q.ID)
		if known, ok := errors.AsType[*commands.Error](err); ok && known.Code == commands.CodeMissing {
			return nil
		}
		if err == nil && selects(q, p) {
			found = append(found, p)
		}
		return err
	})
	return found, err
}

func selects(q commands.ProposalQuery, p commands.Proposal) bool {
	return (q.Incident == "" || q.Incident == p.Incident) && (q.State == "" || q.State == p.State)
}
