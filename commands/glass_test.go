package commands_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"whybot/commands"
)

// emergencies is a policy of two people in which bob may break the glass.
type emergencies struct {
	told []string
	deaf bool
	deny commands.Deed // refused however it is asked
	// look sees the proposal at the moment of the alarm.
	look func(commands.Proposal)
}

func (*emergencies) Rule(string, commands.Class) commands.Rule { return commands.Rule{Needed: 2} }

func (e *emergencies) Allow(_ context.Context, p commands.Petition) (commands.Permit, error) {
	if p.Deed == e.deny || p.BreakGlass && p.Who != bob {
		return commands.Permit{}, denied(p.Who, p.Proposal)
	}
	return commands.Permit{Needed: 2}, nil
}

func (e *emergencies) Alarm(_ context.Context, p commands.Petition) error {
	if e.deaf {
		return errors.New("slack does not answer")
	}
	e.look(p.Proposal)
	e.told = append(e.told, p.Reason)
	return nil
}

// untouched expects that nothing has been claimed or changed yet.
func (b *bench) untouched(p commands.Proposal) {
	b.wantState(p.ID, commands.Proposed)
	b.wantSent()
}

func TestBreakGlassIsToldBeforeAnythingChanges(t *testing.T) {
	policy := &emergencies{}
	b := newBenchWith(t, policy, mend)
	policy.look = b.untouched
	p := b.ask()
	if p.Approvals != 2 || p.Rule == nil || p.Rule.Needed != 2 {
		t.Fatalf("sealed with %d people and %+v", p.Approvals, p.Rule)
	}
	out, err := b.engine.BreakGlass(t.Context(), p.ID, bob, "payments are\ndown\x1b[31m", nil)
	if err != nil || out.Proposal.State != commands.Verified {
		t.Fatalf("came to %q, %v", out.Proposal.State, err)
	}
	if len(policy.told) != 1 || policy.told[0] != "payments are down[31m" || out.Proposal.BreakGlass != policy.told[0] {
		t.Errorf("told %q, stored %q", policy.told, out.Proposal.BreakGlass)
	}
	b.wantSent("set forward fixed")
	b.wantEvents("alarm approved applying applied observed verdict verified")
}

// Somebody who had agreed in the usual way may break the glass, and is on the
// list of those who agreed once.
func TestBreakGlassAfterAgreeing(t *testing.T) {
	policy := &emergencies{}
	b := newBenchWith(t, policy, mend)
	policy.look = b.untouched
	p := b.ask()
	out, err := b.engine.Apply(t.Context(), p.ID, bob, nil)
	if err != nil || out.Proposal.State != commands.Proposed {
		t.Fatalf("one of two: %q, %v", out.Proposal.State, err)
	}
	out, err = b.engine.BreakGlass(t.Context(), p.ID, bob, "fire", nil)
	if err != nil || out.Proposal.State != commands.Verified || len(out.Proposal.Approved) != 1 {
		t.Errorf("came to %q by %v, %v", out.Proposal.State, out.Proposal.Approved, err)
	}
}

func TestBreakGlassRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		policy emergencies
		who    commands.Actor
		before func(*bench, commands.Proposal)
		code   commands.Code
		state  commands.ProposalState
		events string
	}{
		{"not named", emergencies{}, alice, nil, commands.CodeDenied, commands.Proposed, "note"},
		{"cannot be told", emergencies{deaf: true}, bob, nil, commands.CodeOutside, commands.Proposed, "alarm note"},
		{"withdrawn before the change", emergencies{deny: commands.DeedExecute}, bob, nil, commands.CodeDenied, commands.Refused, "alarm approved applying failed"},
		{"too late", emergencies{}, bob, func(b *bench, p commands.Proposal) {
			b.change(p.ID, func(p *commands.Proposal) { p.State = commands.Declined })
		}, commands.CodeGone, commands.Declined, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			policy := c.policy
			b := newBenchWith(t, &policy, mend)
			policy.look = b.untouched
			p := b.ask()
			if c.before != nil {
				c.before(b, p)
			}
			_, err := b.engine.BreakGlass(t.Context(), p.ID, c.who, "fire", nil)
			wantCode(t, err, c.code)
			if err != nil && strings.Contains(err.Error(), "slack does not answer") {
				t.Errorf("an inner error's text got out: %v", err)
			}
			b.wantSent()
			b.wantState(p.ID, c.state)
			b.wantEvents(c.events)
		})
	}
}

// The policy of one function has no glass to break.
func TestPolicyFuncHasNoGlass(t *testing.T) {
	b := newBench(t, mend)
	p := b.ask()
	_, err := b.engine.BreakGlass(t.Context(), p.ID, bob, "fire", nil)
	wantCode(t, err, commands.CodeDenied)
	b.wantSent()
}
