package commands_test

import (
	"strings"
	"testing"
	"time"

	"whybot/commands"
	"whybot/runners"
)

// look lets the clock run on by d and looks again; it returns what no longer
// stands.
func (b *bench) look(d time.Duration) []commands.Proposal {
	b.t.Helper()
	b.advance(d)
	gone, err := b.engine.LookAgain(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return gone
}

func TestLookAgainStands(t *testing.T) {
	b := newBench(t, mend)
	p := b.applied()
	for _, c := range []struct {
		after time.Duration
		looks int
	}{{time.Minute, 0}, {61 * time.Second, 1}, {time.Minute, 1}, {7 * time.Minute, 2}, {time.Hour, 2}} {
		if gone := b.look(c.after); len(gone) != 0 {
			t.Fatalf("gone: %+v", gone)
		}
		if got := b.stored(p.ID).Looks; got != c.looks {
			t.Errorf("%s later: looked %d times, want %d", c.after, got, c.looks)
		}
	}
	b.wantState(p.ID, commands.Verified)
	b.wantEvents("approved applying applied observed verdict verified note note")
	b.wantSent("set forward fixed")
}

func TestLookAgainTakenBack(t *testing.T) {
	b := newBench(t, mend)
	p := b.applied()
	b.world.set("forward", "broken")
	gone := b.look(2 * time.Minute)
	if len(gone) != 1 || gone[0].ID != p.ID || gone[0].State != commands.Undone || !strings.Contains(gone[0].Outcome, "not by whybot: it is broken") {
		t.Fatalf("gone: %+v", gone)
	}
	if more := b.look(time.Hour); len(more) != 0 {
		t.Errorf("told again: %+v", more)
	}
	b.wantEvents("approved applying applied observed verdict verified undone")
	b.wantSent("set forward fixed") // told, never put right without a person
}

func TestLookAgainChanged(t *testing.T) {
	b := newBench(t, mendTwice)
	p := b.applied()
	b.look(2 * time.Minute)
	b.world.set("extra", "edited")
	gone := b.look(8 * time.Minute)
	if len(gone) != 1 || gone[0].State != commands.Verified || !strings.Contains(gone[0].Outcome, "extra is edited now") {
		t.Fatalf("gone: %+v", gone)
	}
	b.wantState(p.ID, commands.Verified)
	b.wantEvents("approved applying applied observed verdict verified note found")
}

// A node that cannot be read says nothing about the change: it is asked again,
// and in the end that is on record.
func TestLookAgainBlind(t *testing.T) {
	b := newBench(t, mend)
	p := b.applied()
	b.world.beforeRead = func(node string, _ []runners.Probe) error { return unreachable(node) }
	if gone := b.look(3 * time.Minute); len(gone) != 0 || b.stored(p.ID).Looks != 0 {
		t.Errorf("gone: %+v, looked %d times", gone, b.stored(p.ID).Looks)
	}
	b.wantEvents("approved applying applied observed verdict verified")
	if gone := b.look(10 * time.Minute); len(gone) != 0 || b.stored(p.ID).Looks != 1 {
		t.Errorf("gone: %+v, looked %d times", gone, b.stored(p.ID).Looks)
	}
	b.world.beforeRead = nil
	b.world.set("forward", "broken")
	if gone := b.look(0); len(gone) != 1 {
		t.Errorf("seen again, and gone: %+v", gone)
	}
	b.wantEvents("approved applying applied observed verdict verified note undone")
}

// What leaves no setting changed has no place to look at.
func TestLookAgainNothingToSee(t *testing.T) {
	b := newBench(t, resync)
	b.applied()
	b.world.set("forward", "broken")
	if gone := b.look(time.Hour); len(gone) != 0 {
		t.Errorf("gone: %+v", gone)
	}
}

func TestLookAgainUndone(t *testing.T) {
	b := newBench(t, mend)
	p := b.applied()
	if _, err := b.engine.Undo(t.Context(), p.ID, bob, nil); err != nil {
		t.Fatal(err)
	}
	if gone := b.look(time.Hour); len(gone) != 0 {
		t.Errorf("gone: %+v", gone)
	}
}
