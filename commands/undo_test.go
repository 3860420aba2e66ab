package commands_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"

	"whybot/commands"
	"whybot/runners"
)

func TestUndoRestores(t *testing.T) {
	b := newBench(t, mendTwice)
	before := b.world.snapshot()
	p := b.applied()
	out, err := b.engine.Undo(t.Context(), p.ID, bob, nil)
	if err != nil || out.Proposal.State != commands.Undone {
		t.Fatalf("came to %q, %v", out.Proposal.State, err)
	}
	if got := b.world.snapshot(); !maps.Equal(got, before) {
		t.Errorf("left behind %v, was %v", got, before)
	}
	b.wantSent("set extra on", "set forward fixed", "set forward broken", "set extra off")
	b.wantEvents("approved applying applied observed verdict verified approved undone")
	b.wantState(p.ID, commands.Undone)
	_, err = b.engine.Undo(t.Context(), p.ID, bob, nil)
	wantCode(t, err, commands.CodeGone)
	_, err = b.engine.Apply(t.Context(), p.ID, bob, nil)
	wantCode(t, err, commands.CodeGone)
}

func TestUndoRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		fix    *commands.Fix
		before func(*bench, commands.Proposal)
		code   commands.Code
		state  commands.ProposalState
		says   string
	}{
		{"the place has changed", mend, func(b *bench, _ commands.Proposal) { b.world.set("forward", "edited") }, commands.CodeChanged, commands.Verified, "edited"},
		{"it is gone already", mend, func(b *bench, _ commands.Proposal) { b.world.set("forward", "broken") }, commands.CodeChanged, commands.Verified, ""},
		{"one of two steps has changed", mendTwice, func(b *bench, _ commands.Proposal) { b.world.set("extra", "edited") }, commands.CodeChanged, commands.Verified, "edited"},
		{"nothing to take back", resync, func(*bench, commands.Proposal) {}, commands.CodeInvalid, commands.Verified, "nothing to take back"},
		{"denied", mend, func(b *bench, _ commands.Proposal) { b.permit(denied) }, commands.CodeDenied, commands.Verified, "may not"},
		{"the node cannot be read", mend, func(b *bench, _ commands.Proposal) {
			b.world.beforeRead = func(node string, _ []runners.Probe) error { return unreachable(node) }
		}, commands.CodeOutside, commands.Verified, "could not be read"},
		{"another undo is under way", mend, func(b *bench, p commands.Proposal) {
			b.change(p.ID, func(p *commands.Proposal) { p.State = commands.Undoing })
		}, commands.CodeGone, commands.Undoing, "being undone"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, c.fix)
			p := b.applied()
			c.before(b, p)
			cells, sent := b.world.snapshot(), len(b.world.sent())
			_, err := b.engine.Undo(t.Context(), p.ID, bob, nil)
			wantCode(t, err, c.code)
			if !strings.Contains(fmt.Sprint(err), c.says) {
				t.Errorf("error %v", err)
			}
			if got := b.world.snapshot(); !maps.Equal(got, cells) || len(b.world.sent()) != sent {
				t.Errorf("changed to %v by %q", got, b.world.sent()[sent:])
			}
			b.wantState(p.ID, c.state)
		})
	}
}

func TestUndoOfWhatWasNeverApplied(t *testing.T) {
	b := newBench(t, mend)
	p := b.ask()
	_, err := b.engine.Undo(t.Context(), p.ID, alice, nil)
	wantCode(t, err, commands.CodeInvalid)
	b.wantState(p.ID, commands.Proposed)
	b.wantSent()
}

func TestOneOfManyUndoes(t *testing.T) {
	b := newBench(t, mend)
	p := b.applied()
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for _, who := range people(20) {
		wg.Go(func() {
			out, err := b.engine.Undo(t.Context(), p.ID, who, nil)
			mu.Lock()
			defer mu.Unlock()
			if err == nil && out.Proposal.State == commands.Undone {
				won++
				return
			}
			wantCode(t, err, commands.CodeGone)
		})
	}
	wg.Wait()
	if won != 1 {
		t.Errorf("%d callers undid it", won)
	}
	b.wantSent("set forward fixed", "set forward broken")
	b.wantState(p.ID, commands.Undone)
}

func TestUndoThatFails(t *testing.T) {
	for _, c := range []struct {
		name    string
		effect  bool
		silence bool
		want    commands.ProposalState
	}{
		{"the change still stands", false, false, commands.Applied},
		{"the change is gone all the same", true, false, commands.Undone},
		{"nobody knows", true, true, commands.Undecided},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, mend)
			p := b.applied()
			b.world.ineffective["set forward broken"] = !c.effect
			b.world.after = func(string) (int, error) {
				if c.silence {
					b.world.beforeRead = func(node string, _ []runners.Probe) error { return unreachable(node) }
				}
				return 0, lost(control)
			}
			out, err := b.engine.Undo(t.Context(), p.ID, alice, nil)
			wantCode(t, err, commands.CodeOutside)
			if out.Proposal.State != c.want {
				t.Errorf("came to %q: %s", out.Proposal.State, out.Proposal.Outcome)
			}
			b.wantState(p.ID, c.want)
			b.wantSent("set forward fixed", "set forward broken")
		})
	}
}

func TestUndoThatDoesNotShow(t *testing.T) {
	b := newBench(t, mend)
	p := b.applied()
	b.world.ineffective["set forward broken"] = true
	out, err := b.engine.Undo(t.Context(), p.ID, alice, nil)
	wantCode(t, err, commands.CodeOutside)
	if out.Proposal.State == commands.Undone {
		t.Errorf("said to be undone: %s", out.Proposal.Outcome)
	}
}

// A plan that was edited in the store after it was applied is not what was
// shown: taking it back would run commands nobody approved.
func TestUndoOfAnEditedPlan(t *testing.T) {
	b := newBench(t, mend)
	p := b.applied()
	b.change(p.ID, func(p *commands.Proposal) { p.Steps[0].Args["from"] = "owned" })
	_, err := b.engine.Undo(t.Context(), p.ID, alice, nil)
	wantCode(t, err, commands.CodeInternal)
	b.wantSent("set forward fixed")
}

// Whoever asked for an undo and went away before anything was changed gets
// nothing changed.
func TestCancelledUndoChangesNothing(t *testing.T) {
	b := newBench(t, mend)
	p := b.applied()
	ctx, cancel := context.WithCancel(t.Context())
	b.world.beforeRead = func(string, []runners.Probe) error { cancel(); return nil }
	if _, err := b.engine.Undo(ctx, p.ID, alice, nil); err == nil {
		t.Error("the undo went on")
	}
	b.wantSent("set forward fixed")
	b.wantState(p.ID, commands.Verified)
}

// The right to change is asked for at the click and again right before the
// change.
func TestUndoRightWithdrawnAfterTheClick(t *testing.T) {
	b := newBench(t, mend)
	p := b.applied()
	b.permit(func(who commands.Actor, p commands.Proposal) error {
		if p.State == commands.Undoing {
			return denied(who, p)
		}
		return nil
	})
	_, err := b.engine.Undo(t.Context(), p.ID, bob, nil)
	wantCode(t, err, commands.CodeDenied)
	b.wantSent("set forward fixed")
	b.wantState(p.ID, commands.Verified)
}

func TestRecover(t *testing.T) {
	for _, c := range []struct {
		half  commands.ProposalState
		cell  string
		blind bool
		want  commands.ProposalState
	}{
		{commands.Applying, "broken", false, commands.Failed},
		{commands.Applying, "fixed", false, commands.Applied},
		{commands.Applying, "edited", false, commands.Undecided},
		{commands.Applying, "fixed", true, commands.Undecided},
		{commands.Undoing, "broken", false, commands.Undone},
		{commands.Undoing, "fixed", false, commands.Applied},
		{commands.Undoing, "edited", false, commands.Undecided},
		{commands.Undoing, "broken", true, commands.Undecided},
	} {
		name := string(c.half) + " " + c.cell
		if c.blind {
			name = string(c.half) + " unreachable"
		}
		t.Run(name, func(t *testing.T) {
			b := newBench(t, mend)
			p := b.ask()
			b.change(p.ID, func(p *commands.Proposal) { p.State = c.half })
			b.world.set("forward", c.cell)
			if c.blind {
				b.world.beforeRead = func(node string, _ []runners.Probe) error { return unreachable(node) }
			}
			settled, err := b.engine.Recover(t.Context())
			if err != nil || len(settled) != 1 || settled[0].ID != p.ID || settled[0].State != c.want || settled[0].Outcome == "" {
				t.Fatalf("settled %+v, %v; want %q", settled, err, c.want)
			}
			b.wantState(p.ID, c.want)
			b.wantSent()
			b.wantEvents("note")
			again, err := b.engine.Recover(t.Context())
			if err != nil || len(again) != 0 {
				t.Errorf("a second look settled %+v, %v", again, err)
			}
		})
	}
}

func TestRecoverLeavesTheRestAlone(t *testing.T) {
	b := newBench(t, mend, elsewhere)
	p := b.ask()
	settled, err := b.engine.Recover(t.Context())
	if err != nil || len(settled) != 0 {
		t.Errorf("settled %+v, %v", settled, err)
	}
	b.wantState(p.ID, commands.Proposed)
	b.wantEvents("")
}

// A fix of two steps that was stopped between them is taken back.
func TestRecoverHalfAPlan(t *testing.T) {
	b := newBench(t, mendTwice)
	p := b.ask()
	b.change(p.ID, func(p *commands.Proposal) { p.State = commands.Applying })
	b.world.set("extra", "on")
	settled, err := b.engine.Recover(t.Context())
	if err != nil || len(settled) != 1 || settled[0].State != commands.Failed || !strings.Contains(settled[0].Outcome, "taken back") {
		t.Errorf("settled %+v, %v", settled, err)
	}
	b.wantSent("set extra off")
	b.wantEvents("note failed")
}
