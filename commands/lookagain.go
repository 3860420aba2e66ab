package commands

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// looksAfter is how long after a change its place is looked at again. An agent
// that resyncs, configuration management and a colleague put things back within
// minutes, long after the proof was in.
var looksAfter = []time.Duration{2 * time.Minute, 10 * time.Minute}

// lookGrace is how long a place that cannot be read is tried again before the
// look is given up.
const lookGrace = 10 * time.Minute

// errMovedOn leaves a proposal alone that somebody else changed meanwhile.
var errMovedOn = &Error{Code: CodeGone, Public: "The proposal has moved on."}

// LookAgain looks at the place of every change that stands and is due for it,
// and returns the proposals whose place is no longer as the change left it, for
// the transports to show. It changes nothing on any node: what came back is a
// finding, and putting it right is a new decision.
func (e *Engine) LookAgain(ctx context.Context) ([]Proposal, error) {
	var gone []Proposal
	for _, state := range []ProposalState{Applied, Verified, NotCured} {
		ps, err := e.o.Memory.ListProposals(ctx, ProposalQuery{State: state})
		if err != nil {
			return gone, err
		}
		for _, p := range ps {
			if !e.lookIsDue(p) {
				continue
			}
			after, standing, err := e.lookOnce(ctx, p)
			switch {
			case CodeOf(err) == CodeGone:
			case err != nil:
				return gone, err
			case !standing:
				gone = append(gone, after)
			}
		}
	}
	return gone, nil
}

// lookIsDue reports whether p's place is to be looked at now. What leaves no
// setting changed has no place to look at.
func (e *Engine) lookIsDue(p Proposal) bool {
	return p.Looks < len(looksAfter) && !p.Begun.IsZero() && len(p.Undo) > 0 && e.o.Now().Sub(p.Begun) >= looksAfter[p.Looks]
}

// lookOnce looks at p's place and stores what became of it. It reports whether
// the change still stands, as far as could be seen.
func (e *Engine) lookOnce(ctx context.Context, p Proposal) (after Proposal, standing bool, err error) {
	reading, cancel := context.WithTimeoutCause(ctx, e.o.Static, fmt.Errorf("the budget of %s for another look is used up", e.o.Static))
	defer cancel()
	states := make([]StepState, len(p.Steps))
	seen := ""
	for i, s := range p.Steps {
		var what string
		if states[i], what, err = e.stepState(reading, s); err != nil {
			return p, true, e.notLookedAt(ctx, p, err)
		}
		if states[i] != StepDone && seen == "" {
			seen = what
		}
	}
	after, err = e.o.Memory.ChangeProposal(ctx, p.ID, func(q *Proposal) ([]Event, error) {
		if q.State != p.State || q.Looks != p.Looks {
			return nil, errMovedOn
		}
		return e.seenAgain(q, states, seen), nil
	})
	return after, seen == "", err
}

// seenAgain writes into p what its steps look like now.
func (e *Engine) seenAgain(p *Proposal, states []StepState, seen string) []Event {
	event := Event{
		Incident: p.Incident, Kind: EventNote, At: e.o.Now(),
		Text: fmt.Sprintf("looked again %s after the change: it stands: %s", looksAfter[p.Looks], p.Title),
	}
	p.Looks++
	switch {
	case seen == "":
	case !slices.ContainsFunc(states, func(s StepState) bool { return s != StepPending }):
		p.State, p.Looks = Undone, len(looksAfter)
		p.Outcome = "Taken back, and not by whybot: " + seen + ". Find out what did it before it is applied again."
		event.Kind, event.Text = EventUndone, p.Title+": "+p.Outcome
	default:
		p.Looks = len(looksAfter)
		p.Outcome = "Changed since, and not by whybot: " + seen + "."
		event.Kind, event.Text = EventFound, p.Title+": "+p.Outcome
	}
	event.Refs = map[string]string{"proposal": p.ID, "plan": p.Hash, "state": string(p.State)}
	return []Event{event}
}

// notLookedAt tries again at the next occasion, and says after a while that
// nobody looked.
func (e *Engine) notLookedAt(ctx context.Context, p Proposal, why error) error {
	e.o.Log.Warn("change not looked at again", slog.String("proposal", p.ID), slog.Any("error", why))
	if e.o.Now().Sub(p.Begun) <= looksAfter[p.Looks]+lookGrace {
		return nil
	}
	_, err := e.o.Memory.ChangeProposal(ctx, p.ID, func(q *Proposal) ([]Event, error) {
		if q.State != p.State || q.Looks != p.Looks {
			return nil, errMovedOn
		}
		text := fmt.Sprintf("could not look again %s after the change: %s", looksAfter[q.Looks], publicWhy(why))
		q.Looks++
		return []Event{{Incident: q.Incident, Kind: EventNote, At: e.o.Now(), Text: text, Refs: map[string]string{"proposal": q.ID}}}, nil
	})
	return err
}
