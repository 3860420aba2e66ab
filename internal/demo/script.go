package demo

import (
	"context"
	"fmt"

	"whybot/commands"
)

// lostAt is the edge on which the demo's cloud loses the OFFER.
var lostAt = commands.EdgeJSON{From: controller + "/" + bridge(), To: controller + "/" + segment(), Direction: commands.Reply}

// expect notes whether something is as it must be.
func (s *session) expect(what string, holds bool, got any) {
	if holds {
		s.held++
		return
	}
	s.broken = append(s.broken, fmt.Sprintf("%s; got %v", what, got))
}

// script holds the conversation unattended: ask, fix, prove, undo, ask again.
func (s *session) script(ctx context.Context) (bool, error) {
	before, err := s.cloud.Rules(controller)
	if err != nil {
		return false, err
	}
	if a, ok := s.askScripted(ctx, "asked"); ok {
		if err := s.fixAndUndo(ctx, a, before); err != nil {
			return false, err
		}
	}
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	n, err := s.memory.VerifyChain(ctx)
	s.expect("the chain of events is whole", err == nil && n > 0, err)
	unmodelled := s.cloud.Unmodelled()
	s.expect("the simulated nodes know every command that whybot uses", len(unmodelled) == 0, unmodelled)
	for _, b := range s.broken {
		s.printf("NOT AS EXPECTED: %s\n", b)
	}
	s.printf("%d of %d expectations held.\n", s.held, s.held+len(s.broken))
	return len(s.broken) == 0, nil
}

// askScripted asks the demo's question and expects its proven answer.
func (s *session) askScripted(ctx context.Context, when string) (commands.Answer, bool) {
	s.printf("you> %s\n", defaultQuestion)
	a, ok := s.ask(ctx, defaultQuestion)
	v := a.Verdict
	s.expect(when+", DHCP-01 is proven", v.State == commands.Proven && v.Cause == "DHCP-01", string(v.State)+" "+v.Cause)
	s.expect(when+", the reply is lost at "+lostAt.From, v.Edge != nil && *v.Edge == lostAt, v.Edge)
	s.expect(when+", a fix is offered", len(a.Fixes) > 0, len(a.Fixes))
	return a, ok && len(a.Fixes) > 0
}

// fixAndUndo approves the first fix, takes it back and asks again. An error is
// for the demo's own memory only; a fix that fails breaks an expectation.
func (s *session) fixAndUndo(ctx context.Context, a commands.Answer, before string) error {
	p := a.Fixes[0]
	s.printf("approve fix %s (%s)? [y/N] y\n", p.ID, p.Title)
	out, err := s.apply(ctx, p)
	s.expect("the fix is proven", err == nil && out.Proposal.State == commands.Verified, out.Proposal.State)
	s.expect("asked again, all is well", out.Proof != nil && out.Proof.Verdict.State == commands.Healthy, out.Proposal.Outcome)
	if err != nil {
		return ours(err)
	}
	changed, err := s.cloud.Rules(controller)
	s.expect("the fix changed the rules", err == nil && changed != before, err)
	s.printf("undo it again? [y/N] y\n")
	if out, err = s.undo(ctx, p); err != nil {
		s.expect("the fix is undone", false, err)
		return ours(err)
	}
	s.expect("the fix is undone", out.Proposal.State == commands.Undone, out.Proposal.State)
	after, err := s.cloud.Rules(controller)
	s.expect("the rules are the very same as before", err == nil && after == before, after)
	s.askScripted(ctx, "after the undo")
	return nil
}
