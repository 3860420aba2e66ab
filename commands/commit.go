package commands

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"whybot/runners"
)

// Committer changes a node so that the node takes the change back by itself
// unless it is confirmed, over a new connection, in time.
type Committer interface {
	Commit(ctx context.Context, node string, c runners.Commit) (runners.CommitStatus, error)
	Confirm(ctx context.Context, node, id string, token uint64) (runners.CommitStatus, error)
	CommitStatus(ctx context.Context, node, id string) (runners.CommitStatus, error)
}

// A stretch is a run of steps of a proposal that are made, or taken back,
// together: as one commit when they may cut their node off.
type stretch struct {
	id    string // of the commit; empty when it is none
	first int    // the index of the first of its steps in the proposal
	steps []Step // in the order in which they are made or taken back
	back  bool   // they are taken back
}

func (s stretch) node() string { return s.steps[0].Node }

// ends returns how the places of a stretch look before and after it.
func (s stretch) ends() (before, after StepState) {
	if s.back {
		return StepDone, StepPending
	}
	return StepPending, StepDone
}

// stretches cuts the steps of p where another node, or another way of making
// them, begins.
func (e *Engine) stretches(p Proposal) []stretch {
	var all []stretch
	for i := range p.Steps {
		all = e.extend(all, p, i, false)
	}
	return all
}

// stretchesBack cuts the first n steps of p but those that skip names in the
// same way, in the order in which they are taken back. A node makes the commits
// of one name once, and p may be undone more than once, so their names tell when
// that was begun.
func (e *Engine) stretchesBack(p Proposal, n int, skip func(i int) bool) []stretch {
	var all []stretch
	for i := n - 1; i >= 0; i-- {
		if skip == nil || !skip(i) {
			all = e.extend(all, p, i, true)
		}
	}
	return all
}

// extend adds the step with the index i of p to the last stretch, or begins
// another with it.
func (e *Engine) extend(all []stretch, p Proposal, i int, back bool) []stretch {
	s := p.Steps[i]
	guarded := e.o.Committer != nil && e.kinds[s.Kind].Guard != nil
	if n := len(all); guarded && n > 0 && all[n-1].id != "" && all[n-1].node() == s.Node {
		all[n-1].steps = append(all[n-1].steps, s)
		return all
	}
	next := stretch{first: i, steps: []Step{s}, back: back}
	switch {
	case guarded && back:
		next.id = fmt.Sprintf("%s-%d-back-%d", p.ID, i, fence(p))
	case guarded:
		next.id = fmt.Sprintf("%s-%d", p.ID, i)
	}
	return append(all, next)
}

// fence is the token of p's commits: the later a fix was begun, the higher.
func fence(p Proposal) uint64 { return uint64(max(0, p.Begun.UnixMilli())) }

// commit makes a stretch and confirms it. Whatever becomes of ctx, once the
// change has begun it waits until the node has kept it or taken it back.
func (e *Engine) commit(ctx context.Context, p Proposal, s stretch) error {
	c, err := e.commitOf(ctx, p, s)
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return cancelled(ctx)
	}
	ctx = context.WithoutCancel(ctx)
	_, err = e.o.Committer.Commit(ctx, s.node(), c)
	if err != nil && runners.KindOf(err) != runners.Unknown {
		return &Error{Code: CodeOutside, Public: "The change on " + s.node() + " was not made: " + publicWhy(err) + ".", Err: err}
	}
	if err = e.confirm(ctx, p, s); err == nil {
		return nil
	}
	return e.awaitRollback(ctx, s, err)
}

// commitOf is the stretch as its node gets it. What guards it is listed before
// the steps' places are read once more, so that the node refuses whatever moves
// after that.
func (e *Engine) commitOf(ctx context.Context, p Proposal, s stretch) (runners.Commit, error) {
	c := runners.Commit{ID: s.id, Token: fence(p), Wait: e.o.Confirm}
	var guards []runners.Probe
	for _, step := range s.steps {
		kind := e.kinds[step.Kind]
		for _, g := range kind.Guard(step) {
			if !slices.ContainsFunc(guards, func(have runners.Probe) bool { return slices.Equal(have.Argv, g.Argv) }) {
				guards = append(guards, g)
			}
		}
		change := runners.Reversible{Do: vectors(kind.Do(step)), Undo: vectors(kind.Undo(step))}
		if s.back {
			change.Do, change.Undo = change.Undo, change.Do
		}
		c.Steps = append(c.Steps, change)
	}
	results, err := e.o.Shell.Run(ctx, s.node(), guards)
	if err != nil {
		return c, &Error{Code: CodeOutside, Public: "The place of the change could not be read: " + publicWhy(err) + ".", Hint: "Nothing was changed.", Err: err}
	}
	for _, r := range results {
		if r.Err != nil {
			return c, &Error{Code: CodeOutside, Public: "The place of the change could not be read: " + publicWhy(r.Err) + ".", Hint: "Nothing was changed.", Err: r.Err}
		}
		if r.Output.ExitCode != 0 || r.Output.Truncated {
			return c, &Error{Code: CodeOutside, Public: "The place of the change could not be listed: " + Clean(r.Output.Stderr, 200) + ".", Hint: "Nothing was changed."}
		}
		sum := sha256.Sum256([]byte(r.Output.Stdout))
		c.Guards = append(c.Guards, runners.Listing{Argv: r.Probe.Argv, Sum: hex.EncodeToString(sum[:])})
	}
	before, _ := s.ends()
	return c, e.require(ctx, s.steps, before)
}

// vectors are the commands of actions on a node.
func vectors(actions []Action) [][]string {
	all := make([][]string, 0, len(actions))
	for _, a := range actions {
		all = append(all, a.Command.Argv)
	}
	return all
}

// confirm waits until all steps of a stretch show, and makes them last over a
// new connection. It gives up well before the node does.
func (e *Engine) confirm(ctx context.Context, p Proposal, s stretch) error {
	ctx, cancel := context.WithTimeoutCause(ctx, e.o.Confirm*2/3, fmt.Errorf("it was not confirmed within %s", e.o.Confirm*2/3))
	defer cancel()
	_, after := s.ends()
	for _, step := range s.steps {
		if err := e.awaitState(ctx, step, after); err != nil {
			return err
		}
	}
	for {
		_, err := e.o.Committer.Confirm(ctx, s.node(), s.id, fence(p))
		if err == nil || runners.KindOf(err) == runners.Invalid {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Second):
		}
	}
}

// awaitRollback waits for what the node does with a change that could not be
// confirmed. Nil says that the confirmation did arrive and only its answer was
// lost.
func (e *Engine) awaitRollback(ctx context.Context, s stretch, why error) error {
	ctx, cancel := context.WithTimeout(ctx, e.o.Confirm+e.o.Settle)
	defer cancel()
	for {
		st, err := e.commitStatus(ctx, s)
		switch {
		case err == nil && st.State == runners.CommitConfirmed:
			return nil
		case err == nil && st.State == runners.CommitRolledBack:
			return &Error{
				Code: CodeOutside, Err: why,
				Public: fmt.Sprintf("%s took the change back by itself, because it was not confirmed over a new connection: %s.", s.node(), strings.TrimSuffix(publicWhy(why), ".")),
			}
		case err == nil && st.State == runners.CommitBroken:
			return &Error{Code: CodeOutside, Public: s.node() + " could not take the change back.", Hint: "Look at it by hand.", Err: why}
		case err == nil && st.State != runners.CommitArmed:
			return why
		}
		select {
		case <-ctx.Done():
			return &Error{
				Code: CodeOutside, Err: why, Hint: "Look at it by hand.",
				Public: fmt.Sprintf("The change on %s was not confirmed, so the node takes it back by itself; that could not be seen, because it does not answer.", s.node()),
			}
		case <-time.After(time.Second):
		}
	}
}

// commitStatus asks for a stretch once. The time for it is short: the pooled
// connection may be one that the change has cut.
func (e *Engine) commitStatus(ctx context.Context, s stretch) (runners.CommitStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, e.o.Static)
	defer cancel()
	return e.o.Committer.CommitStatus(ctx, s.node(), s.id)
}

// commits are all that p may have made on nodes, for good or to take it back,
// since it was begun.
func (e *Engine) commits(p Proposal) []stretch {
	var all []stretch
	for i := range p.Steps { // what is taken back may begin with any step
		all = append(all, e.extend(nil, p, i, true)...)
	}
	if p.underway() == Applying {
		all = append(all, e.stretches(p)...)
	}
	return slices.DeleteFunc(all, func(s stretch) bool { return s.id == "" })
}

// open reports whether a node may yet take back what p changed. What a former
// run made and did not live to confirm is confirmed when all of it is in place:
// this run's connection is as new as can be.
func (e *Engine) open(ctx context.Context, p Proposal, state StepState) bool {
	for _, s := range e.commits(p) {
		st, err := e.commitStatus(ctx, s)
		if _, after := s.ends(); err == nil && st.State == runners.CommitArmed && state == after {
			st, err = e.o.Committer.Confirm(ctx, s.node(), s.id, fence(p))
		}
		if err != nil {
			e.o.Log.Warn("a commit's state is not known", slog.String("proposal", p.ID), slog.Any("error", err))
			return true
		}
		if st.State == runners.CommitArmed {
			return true
		}
	}
	return false
}

// rolledBack names the node that took a commit of p back by itself.
func (e *Engine) rolledBack(ctx context.Context, p Proposal) string {
	for _, s := range e.commits(p) {
		if st, err := e.commitStatus(ctx, s); err == nil && st.State == runners.CommitRolledBack {
			return s.node()
		}
	}
	return ""
}
