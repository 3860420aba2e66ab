package commands

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// askedAgain is how long after its beginning a change whose outcome nobody
// knows is looked at again: a node that was away comes back, one that is gone
// for good is for people.
const askedAgain = time.Hour

// underway is what p is, or was when its outcome became unknown, in the middle
// of; empty when it is in the middle of nothing that can be read.
func (p Proposal) underway() ProposalState {
	if p.State == Undecided {
		return p.Was
	}
	if p.State.OnItsWay() {
		return p.State
	}
	return ""
}

// hands tells which proposals this process is changing now, and how many of its
// callers are at each.
type hands struct {
	mu sync.Mutex
	at map[string]int
}

// on takes a proposal in hand until the function that it returns is called.
func (h *hands) on(id string) (off func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.at == nil {
		h.at = map[string]int{}
	}
	h.at[id]++
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.at[id]--; h.at[id] == 0 {
			delete(h.at, id)
		}
	}
}

// alone reports whether the caller is the only one who has a proposal in hand.
func (h *hands) alone(id string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.at[id] == 1
}

// Recover looks at every proposal that a former run left half-made, and at those
// of the last hour whose outcome nobody knew, reads the real state of their
// places, and settles them by that. What was made in part is taken back; nothing
// is applied. It may be called at any time, again and again: what this process
// is in the middle of is left alone. It returns what it settled, for the
// transports to show.
func (e *Engine) Recover(ctx context.Context) ([]Proposal, error) {
	var left []Proposal
	for _, state := range []ProposalState{Applying, Undoing, Undecided} {
		ps, err := e.o.Memory.ListProposals(ctx, ProposalQuery{State: state})
		if err != nil {
			return nil, err
		}
		left = append(left, ps...)
	}
	settled := make([]Proposal, len(left))
	var work errgroup.Group
	work.SetLimit(e.o.FanOut)
	for i, p := range left {
		work.Go(func() (err error) {
			settled[i], err = e.recoverOne(ctx, p.ID)
			return err
		})
	}
	err := work.Wait()
	return slices.DeleteFunc(settled, func(p Proposal) bool { return p.ID == "" }), err
}

// recoverOne settles one proposal; it returns none when there was nothing to
// settle, or nothing to settle it by.
func (e *Engine) recoverOne(ctx context.Context, id string) (Proposal, error) {
	defer e.hands.on(id)()
	p, err := e.Proposal(ctx, id)
	if err != nil {
		return Proposal{}, err
	}
	known := p.State.OnItsWay()
	// Whoever set it on its way had it in hand before: looked at after it was
	// read, their hand is gone only if their work is.
	if !e.hands.alone(id) || p.underway() == "" || !known && e.o.Now().Sub(p.Begun) > askedAgain {
		return Proposal{}, nil
	}
	q := e.settleLeft(ctx, p)
	if !known && q.State == Undecided {
		return Proposal{}, nil
	}
	e.o.Log.Warn("settled what was left half-made", slog.String("proposal", q.ID), slog.String("state", string(q.State)))
	return q, nil
}

// settleLeft settles p by what its places show.
func (e *Engine) settleLeft(ctx context.Context, p Proposal) Proposal {
	why := "whybot was stopped in the middle of this"
	if p.State == Undecided {
		why = "It was not known how this ended"
	}
	e.finish(ctx, p)
	state := e.lastState(ctx, p)
	switch node := e.rolledBack(ctx, p); {
	case state == StepDone && p.underway() == Undoing && node != "":
		return e.settle(ctx, p, Applied, EventNote, why+"; "+node+" took the undo back by itself, because it was not confirmed: the fix stands.")
	case state == StepDone:
		return e.settle(ctx, p, Applied, EventNote, fmt.Sprintf("%s; the node shows that the change is in place. It was not proven.", why))
	case state == StepPending && p.underway() == Undoing:
		return e.settle(ctx, p, Undone, EventNote, why+"; the node shows that the change is gone.")
	case state == StepPending && node != "":
		return e.settle(ctx, p, Failed, EventFailed, why+"; "+node+" took the change back by itself, because it was not confirmed. Ask the question again.")
	case state == StepPending:
		return e.settle(ctx, p, Failed, EventNote, why+"; the node shows that nothing was changed. Ask the question again.")
	}
	if q, ok := e.rollBack(ctx, p, why); ok {
		return q
	}
	if p.State == Undecided {
		return p
	}
	return e.settle(ctx, p, Undecided, EventNote, why+" and the node does not show how it ended. Look by hand: "+p.Title)
}

// finish makes the calls without which a step that was begun would leave things
// worse than they were. They may be made again without harm.
func (e *Engine) finish(ctx context.Context, p Proposal) {
	for _, s := range p.Steps {
		if p.underway() != Applying {
			return
		}
		kind, ok := e.kinds[s.Kind]
		if !ok {
			continue // stepState says so
		}
		for _, a := range kind.Do(s) {
			if !a.Must || a.Call == nil {
				continue
			}
			if err := e.call(ctx, a); err != nil {
				e.o.Log.Error("the second half of a change could not be made", slog.String("proposal", p.ID), slog.String("call", a.Call.Show), slog.Any("error", err))
			}
		}
	}
}

// rollBack takes back the steps of p that were made, when some were and the
// others were not and no node may yet take back any of them. It reports whether
// p was settled by that. What is taken back is on its way meanwhile: nothing else
// meets it, and a whybot that is stopped in the middle of it finds it there.
func (e *Engine) rollBack(ctx context.Context, p Proposal, why string) (Proposal, bool) {
	made, ok := e.halfMade(ctx, p)
	if !ok || e.open(ctx, p, StepChanged) {
		return p, false
	}
	underway, read := p.underway(), p
	p, err := e.o.Memory.ChangeProposal(context.WithoutCancel(ctx), p.ID, func(p *Proposal) ([]Event, error) {
		if p.State != read.State || !p.Begun.Equal(read.Begun) {
			return nil, errMovedOn
		}
		p.State, p.Begun = underway, e.o.Now()
		return []Event{{
			Incident: p.Incident, Kind: EventNote, At: e.o.Now(), Text: why + "; taking back what was made of it: " + p.Title,
			Refs: map[string]string{"proposal": p.ID, "plan": p.Hash},
		}}, nil
	})
	if err != nil {
		e.o.Log.Warn("half-made change not taken back", slog.String("proposal", read.ID), slog.Any("error", err))
		return read, false
	}
	err = e.takeBack(ctx, p, len(p.Steps), func(i int) bool { return !made[i] })
	if e.Actual(ctx, p) != StepPending {
		p.State = Undecided // trying it again and again would help nobody
		return e.settle(ctx, p, Undecided, EventNote, why+"; it was made in part, and that could not be taken back. Look by hand: "+p.Title+"."+because(err)), true
	}
	if underway == Undoing {
		return e.settle(ctx, p, Undone, EventUndone, why+"; the rest of it has been undone."), true
	}
	return e.settle(ctx, p, Failed, EventFailed, why+"; what was made of it has been taken back. Ask the question again."), true
}

func because(err error) string {
	if err == nil {
		return ""
	}
	return " " + Public(err)
}

// halfMade tells which of p's steps were made; ok says that some were, some were
// not, and nothing else is there.
func (e *Engine) halfMade(ctx context.Context, p Proposal) (made []bool, ok bool) {
	made = make([]bool, len(p.Steps))
	seen := map[StepState]bool{}
	for i, s := range p.Steps {
		got, _, err := e.stepState(ctx, s)
		if err != nil || got == StepChanged {
			return nil, false
		}
		made[i] = got == StepDone
		seen[got] = true
	}
	return made, len(seen) == 2
}

// lastState reads the real state of p's steps once it can no longer move: a
// command that was sent before whybot was killed may still be waiting on the
// node for a lock, so "not changed yet" is believed only when the time that a
// change may take to show has passed. A commit counts as made only once it can
// no longer be taken back.
func (e *Engine) lastState(ctx context.Context, p Proposal) StepState {
	goal := StepDone
	if p.underway() == Undoing {
		goal = StepPending
	}
	for {
		state := e.Actual(ctx, p)
		age := e.o.Now().Sub(p.Begun)
		if state == goal || age > e.o.Settle {
			switch open := e.open(ctx, p, state); {
			case !open && (state == goal || e.Actual(ctx, p) == state):
				return state
			case age > e.o.Settle+e.o.Confirm:
				return StepChanged // it may yet be taken back
			}
		}
		select {
		case <-ctx.Done():
			return StepChanged // nobody can tell yet
		case <-time.After(500 * time.Millisecond):
		}
	}
}
