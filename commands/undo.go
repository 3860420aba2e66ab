package commands

import (
	"context"
	"slices"
)

// Undo takes an applied proposal back exactly, if its place still is as the
// proposal left it. It needs the same right as applying.
func (e *Engine) Undo(ctx context.Context, id string, who Actor, progress func(Progress)) (Outcome, error) {
	defer e.hands.on(id)()
	p, err := e.Proposal(ctx, id)
	if err != nil {
		return Outcome{}, err
	}
	if _, err := e.o.Policy.Allow(ctx, Petition{Deed: DeedUndo, Who: who, Proposal: p}); err != nil {
		e.note(ctx, p.Incident, EventNote, "refused: "+who.String()+" may not undo "+p.Title, map[string]string{"proposal": id})
		return Outcome{Proposal: p}, err
	}
	if len(p.Undo) == 0 {
		return Outcome{Proposal: p}, &Error{Code: CodeInvalid, Public: "There is nothing to take back: " + p.Title + " leaves no setting changed."}
	}
	if ctx.Err() != nil {
		return Outcome{Proposal: p}, cancelled(ctx)
	}
	before := p
	p, err = e.o.Memory.ChangeProposal(context.WithoutCancel(ctx), id, func(p *Proposal) ([]Event, error) {
		if !slices.Contains([]ProposalState{Applied, Verified, NotCured}, p.State) {
			return nil, notApplied(*p)
		}
		if p.Hash != PlanHash(p.Steps) {
			return nil, errOtherPlan
		}
		p.State, p.Begun = Undoing, e.o.Now()
		return []Event{{
			Incident: p.Incident, Kind: EventApproved, At: e.o.Now(), Actor: who, Text: "undo: " + p.Title,
			Refs: map[string]string{"proposal": p.ID, "plan": p.Hash},
		}}, nil
	})
	if err != nil {
		return Outcome{Proposal: before}, err
	}
	e.teller(p.Incident, progress)("undoing: %s", p.Title)
	_, err = e.o.Policy.Allow(ctx, Petition{Deed: DeedUndo, Who: who, Proposal: p})
	if err == nil {
		err = e.require(ctx, p.Steps, StepDone)
	}
	if err == nil && ctx.Err() != nil {
		err = cancelled(ctx)
	}
	if err != nil {
		return Outcome{Proposal: e.settle(ctx, p, before.State, EventFailed, "Not undone. "+Public(err))}, err
	}
	if err := e.takeBack(ctx, p, len(p.Steps), nil); err != nil {
		return Outcome{Proposal: e.afterUndoFailure(ctx, p, err)}, err
	}
	for _, s := range p.Steps {
		if err := e.awaitState(ctx, s, StepPending); err != nil {
			return Outcome{Proposal: e.settle(ctx, p, Undecided, EventFailed, "Undone, but not as it was: "+Public(err))}, err
		}
	}
	p = e.settle(ctx, p, Undone, EventUndone, "Undone by "+who.String()+": "+p.Title+". Everything is as it was before.")
	return Outcome{Proposal: p}, nil
}

func notApplied(p Proposal) error {
	if p.State == Proposed {
		return &Error{Code: CodeInvalid, Public: "This fix has not been applied, so there is nothing to undo."}
	}
	return gone(p)
}

func (e *Engine) afterUndoFailure(ctx context.Context, p Proposal, cause error) Proposal {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.o.Static)
	defer cancel()
	switch e.Actual(ctx, p) {
	case StepDone:
		return e.settle(ctx, p, Applied, EventFailed, "The undo failed, the fix still stands: "+Public(cause))
	case StepPending:
		return e.settle(ctx, p, Undone, EventUndone, "Undone, though with an error: "+Public(cause))
	default:
		return e.settle(ctx, p, Undecided, EventFailed, "The undo failed half-way; look by hand: "+Public(cause))
	}
}

// Decline takes a proposal off the table.
func (e *Engine) Decline(ctx context.Context, id string, who Actor, reason string) (Proposal, error) {
	p, err := e.Proposal(ctx, id)
	if err != nil {
		return Proposal{}, err
	}
	if _, err := e.o.Policy.Allow(ctx, Petition{Deed: DeedDecline, Who: who, Proposal: p}); err != nil {
		return p, err
	}
	return e.o.Memory.ChangeProposal(ctx, id, func(p *Proposal) ([]Event, error) {
		if p.State != Proposed {
			return nil, gone(*p)
		}
		p.State, p.Outcome = Declined, "Declined by "+who.String()+"."
		text := p.Title
		if reason != "" {
			text += ": " + Clean(reason, 500)
		}
		return []Event{{Incident: p.Incident, Kind: EventDeclined, At: e.o.Now(), Actor: who, Text: text, Refs: map[string]string{"proposal": p.ID}}}, nil
	})
}
