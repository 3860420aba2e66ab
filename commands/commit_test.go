package commands_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"whybot/commands"
	"whybot/runners"
)

// A safeNode keeps commits as a node's helper does; its time-out is over as
// soon as it is asked for a commit that nobody could confirm.
type safeNode struct {
	world *world
	cut   bool  // no new connection gets through
	lost  bool  // the answer to the commit is lost
	timed bool  // it takes back by itself what is not confirmed in time
	err   error // the commit is refused

	mu     sync.Mutex
	states map[string]runners.CommitState
	specs  map[string]runners.Commit
}

func newSafeNode(w *world) *safeNode {
	return &safeNode{world: w, states: map[string]runners.CommitState{}, specs: map[string]runners.Commit{}}
}

func (n *safeNode) set(node string, half [][]string) {
	for _, argv := range half {
		n.world.carryOut(node, runners.Probe{Argv: argv})
	}
}

// Commit makes the change if the guards print what they did.
func (n *safeNode) Commit(ctx context.Context, node string, c runners.Commit) (runners.CommitStatus, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.err != nil {
		return runners.CommitStatus{}, n.err
	}
	if n.states[c.ID] != "" {
		return runners.CommitStatus{}, &runners.Error{Kind: runners.Invalid, Hint: "this fix was begun before"}
	}
	for _, g := range c.Guards {
		sum := sha256.Sum256([]byte(n.world.get(g.Argv[1])))
		if hex.EncodeToString(sum[:]) != g.Sum {
			return runners.CommitStatus{}, &runners.Error{Kind: runners.Invalid, Hint: "it is not as it was"}
		}
	}
	for _, s := range c.Steps {
		n.set(node, s.Do)
	}
	n.states[c.ID], n.specs[c.ID] = runners.CommitArmed, c
	if n.timed {
		time.AfterFunc(c.Wait, func() {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.rollBack(node, c.ID)
		})
	}
	if n.lost {
		return runners.CommitStatus{}, lost(node)
	}
	return runners.CommitStatus{State: runners.CommitArmed}, nil
}

// Confirm disarms, unless the node is cut off.
func (n *safeNode) Confirm(_ context.Context, node, id string, token uint64) (runners.CommitStatus, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.cut:
		return runners.CommitStatus{}, unreachable(node)
	case n.states[id] != runners.CommitArmed || n.specs[id].Token != token:
		return runners.CommitStatus{}, &runners.Error{Kind: runners.Invalid, Hint: "there is nothing to confirm"}
	}
	n.states[id] = runners.CommitConfirmed
	return runners.CommitStatus{State: runners.CommitConfirmed}, nil
}

// CommitStatus tells where a commit stands.
func (n *safeNode) CommitStatus(_ context.Context, node, id string) (runners.CommitStatus, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cut {
		n.rollBack(node, id)
	}
	state := n.states[id]
	if state == "" {
		state = runners.CommitNone
	}
	return runners.CommitStatus{State: state}, nil
}

// rollBack takes back what is not confirmed.
func (n *safeNode) rollBack(node, id string) {
	if n.states[id] != runners.CommitArmed {
		return
	}
	for i := len(n.specs[id].Steps) - 1; i >= 0; i-- {
		n.set(node, n.specs[id].Steps[i].Undo)
	}
	n.states[id] = runners.CommitRolledBack
}

// safe gives a bench a safe node.
func safe(b *bench) *safeNode {
	n := newSafeNode(b.world)
	b.committer = n
	b.engine = b.newEngine(b.fixes...)
	return n
}

func TestConfirmedCommitIsProven(t *testing.T) {
	for name, lostAnswer := range map[string]bool{"answered": false, "its answer lost": true} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, mendTwice)
			n := safe(b)
			n.lost = lostAnswer
			p := b.ask()
			out, err := b.engine.Apply(t.Context(), p.ID, alice, nil)
			if err != nil || out.Proposal.State != commands.Verified {
				t.Fatalf("came to %q, %v", out.Proposal.State, err)
			}
			b.wantSent("set extra on", "set forward fixed")
			if len(n.states) != 1 || n.states[p.ID+"-0"] != runners.CommitConfirmed {
				t.Errorf("two steps of one node are not one confirmed commit: %v", n.states)
			}
			if c := n.specs[p.ID+"-0"]; len(c.Guards) != 2 || c.Token == 0 || c.Wait == 0 {
				t.Errorf("sent %+v", c)
			}
		})
	}
}

func TestCommitThatCutsItsNodeOffIsTakenBackAndSaid(t *testing.T) {
	b := newBench(t, mendTwice)
	n := safe(b)
	n.cut = true
	before := b.world.snapshot()
	p := b.ask()
	out, err := b.engine.Apply(t.Context(), p.ID, alice, nil)
	wantCode(t, err, commands.CodeOutside)
	if out.Proposal.State != commands.Failed || !strings.Contains(out.Proposal.Outcome, "took the change back by itself") {
		t.Errorf("came to %q: %s", out.Proposal.State, out.Proposal.Outcome)
	}
	if got := b.world.snapshot(); !maps.Equal(got, before) {
		t.Errorf("left behind %v, was %v", got, before)
	}
	b.wantEvents("approved applying failed")
	b.wantState(p.ID, commands.Failed)
}

func TestCommitThatIsRefusedChangesNothing(t *testing.T) {
	b := newBench(t, mend)
	n := safe(b)
	n.err = &runners.Error{Kind: runners.Invalid, Runner: "ssh", Target: control, Op: "commit", Hint: "another fix is open here: fx-1"}
	p := b.ask()
	out, err := b.engine.Apply(t.Context(), p.ID, alice, nil)
	wantCode(t, err, commands.CodeOutside)
	if out.Proposal.State != commands.Failed || !strings.Contains(out.Proposal.Outcome, "another fix is open") {
		t.Errorf("came to %q: %s", out.Proposal.State, out.Proposal.Outcome)
	}
	b.wantSent()
}

// A run that was killed between the change and its confirmation is finished by
// the next one; where the node was quicker, that is told.
func TestRecoverAsksTheNodeAboutItsCommit(t *testing.T) {
	for _, c := range []struct {
		name string
		cut  bool
		want commands.ProposalState
		says string
	}{
		{"armed and in place", false, commands.Applied, "in place"},
		{"taken back", true, commands.Failed, "took the change back by itself"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, mend)
			n := safe(b)
			p := b.ask()
			begun := time.Now().Add(-time.Minute)
			b.change(p.ID, func(p *commands.Proposal) { p.State, p.Begun = commands.Applying, begun })
			id := p.ID + "-0"
			n.states[id], n.specs[id] = runners.CommitArmed, runners.Commit{
				ID: id, Token: uint64(begun.UnixMilli()),
				Steps: []runners.Reversible{{Undo: [][]string{{"set", "forward", "broken"}}}},
			}
			b.world.set("forward", "fixed")
			n.cut = c.cut
			if c.cut { // the node did it while nobody was there
				if _, err := n.CommitStatus(t.Context(), control, id); err != nil {
					t.Fatal(err)
				}
			}
			settled, err := b.engine.Recover(t.Context())
			if err != nil || len(settled) != 1 || settled[0].State != c.want || !strings.Contains(settled[0].Outcome, c.says) {
				t.Errorf("settled %+v, %v", settled, err)
			}
			if !c.cut && n.states[id] != runners.CommitConfirmed {
				t.Errorf("the commit is %s", n.states[id])
			}
		})
	}
}
