package commands_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"golang.org/x/sync/errgroup"

	"whybot/commands"
	"whybot/runners"
)

// exact is a kind of step whose command names what it replaces, as deleting a
// rule by its specification does: elsewhere it fails and changes nothing.
var exact = &commands.StepKind{
	Name: "exact", Read: cell.Read, State: cell.State,
	Do: func(s commands.Step) []commands.Action {
		return []commands.Action{{Command: runners.Probe{Name: "swap", Argv: []string{"swap", s.Args["cell"], s.Args["to"], s.Args["from"]}}}}
	},
	Undo: cell.Undo,
}

// unchecked is a kind of step that takes its place for as it was planned.
var unchecked = &commands.StepKind{
	Name: "unchecked", Read: cell.Read, Do: cell.Do, Undo: cell.Undo,
	State: func(s commands.Step, results []runners.Result) (commands.StepState, string) {
		if results[0].Output.Stdout == s.Args["to"] {
			return commands.StepDone, ""
		}
		return commands.StepPending, ""
	},
}

// Moments at which somebody else changes the place of a fix.
const (
	beforeClick = iota
	afterClaim
	afterCheck
	moments
)

// A meddler is somebody else who changes cells, each at its moment, and the
// nodes' command that swaps.
type meddler struct {
	*world
	at map[string]int
	// overwritten counts the changes that were made over theirs.
	overwritten chan string
}

func (m *meddler) meddle(cell string, moment int) {
	if m.at[cell] == moment {
		m.set(cell, "theirs")
	}
}

// Change carries one command out.
func (m *meddler) Change(_ context.Context, node string, cmds []runners.Probe) ([]runners.Result, error) {
	argv := cmds[0].Argv
	m.meddle(argv[1], afterCheck)
	m.mu.Lock()
	seen := m.cells[argv[1]]
	m.mu.Unlock()
	if argv[0] == "swap" && seen != argv[3] {
		return []runners.Result{{Probe: cmds[0], Output: runners.Output{ExitCode: 1, Stderr: "it is " + seen}}}, nil
	}
	if seen == "theirs" {
		m.overwritten <- argv[1]
	}
	m.carryOut(node, cmds[0])
	return []runners.Result{{Probe: cmds[0]}}, nil
}

// meddled applies n fixes of a kind whose places somebody changes at one of the
// given moments, and returns how many were applied over that, by moment.
func meddled(t *testing.T, kind *commands.StepKind, n int) (over [moments]int) {
	t.Helper()
	memory := openStore(t)
	m := &meddler{world: newWorld(), at: map[string]int{}, overwritten: make(chan string, n)}
	for i := range n {
		id := fmt.Sprintf("fx-%d", i)
		m.at[id] = rand.IntN(moments)
		m.set(id, "broken")
	}
	policy := func(_ context.Context, r commands.Petition) error {
		if r.Deed == commands.DeedExecute {
			m.meddle(r.Proposal.ID, afterClaim)
		}
		return nil
	}
	e := counting(t, m.world, m, memory, policy, kind)
	var all errgroup.Group
	all.SetLimit(50)
	for id, moment := range m.at {
		all.Go(func() error {
			if err := offer(t.Context(), memory, id, kind.Name); err != nil {
				return err
			}
			m.meddle(id, beforeClick)
			out, err := e.Apply(t.Context(), id, alice, nil)
			if kind == exact && (err == nil || out.Proposal.State == commands.Verified || m.get(id) != "theirs") {
				t.Errorf("%s, changed at moment %d: came to %s, its cell to %q, %v", id, moment, out.Proposal.State, m.get(id), err)
			}
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
	close(m.overwritten)
	for id := range m.overwritten {
		over[m.at[id]]++
	}
	return over
}

// TestChangedMeanwhile: a place that somebody changed after the fix was planned
// is left alone: by the engine's check until then, and by a command that names
// what it replaces from then on.
func TestChangedMeanwhile(t *testing.T) {
	if over := meddled(t, exact, 1000); over != [moments]int{} {
		t.Errorf("applied over a change before the click, after the claim, after the check: %v", over)
	}
}

// TestChangedMeanwhileIsSeen is the control of TestChangedMeanwhile. Without a
// check every moment is a window; with one, only what comes after it, for a
// command that does not look itself.
func TestChangedMeanwhileIsSeen(t *testing.T) {
	t.Run("without a check", func(t *testing.T) {
		if over := meddled(t, unchecked, 200); over[beforeClick] == 0 || over[afterClaim] == 0 || over[afterCheck] == 0 {
			t.Errorf("applied over changes only %v", over)
		}
	})
	t.Run("with a command that does not look", func(t *testing.T) {
		if over := meddled(t, cell, 200); over[beforeClick] != 0 || over[afterClaim] != 0 || over[afterCheck] == 0 {
			t.Errorf("applied over changes %v", over)
		}
	})
}
