package store

import (
	"context"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"whybot/commands"
)

// storeName is the file of the sessions that are recorded; noSyncEnv makes
// them forget every sync.
const (
	storeName  = "whybot.db"
	sessionEnv = "WHYBOT_STORE_TEST_SESSION"
	noSyncEnv  = "WHYBOT_STORE_TEST_NO_SYNC"
)

// course is how the proposals of a session go on.
var course = []commands.ProposalState{commands.Proposed, commands.Applying, commands.Applied, commands.Verified}

// session is the child of TestPowerFailure: three writers append events and move
// proposals on, in a store that is closed and opened again half-way. What is
// acknowledged goes to the output, one line for each.
func session(path string) int {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for run := range 2 {
		s, err := Open(ctx, Options{Path: path})
		if err == nil {
			if os.Getenv(noSyncEnv) != "" {
				s.db.NoSync, s.db.NoGrowSync = true, true
			}
			err = work(ctx, s, run)
		}
		if err == nil && run == 0 {
			err = s.Close()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return 0
}

func work(ctx context.Context, s *Store, run int) error {
	failed := make(chan error, 3)
	for w := range cap(failed) {
		// Of one incident's proposals no two may be on their way at once.
		inc, err := s.OpenIncident(ctx, commands.Incident{Entities: []string{"web-1", "compute01"}})
		if err != nil {
			return err
		}
		if w == 0 {
			fmt.Fprintln(os.Stdout, "open")
		}
		go func() {
			var err error
			for i := 0; i < 12 && err == nil; i++ {
				err = workOnce(ctx, s, inc.ID, fmt.Sprintf("%d-%d-%d", run, w, i))
			}
			failed <- err
		}()
	}
	var err error
	for range cap(failed) {
		if e := <-failed; e != nil {
			err = e
		}
	}
	return err
}

// workOnce appends an event and sees a proposal through its course, each state
// with an event of its own.
func workOnce(ctx context.Context, s *Store, incident, id string) error {
	if err := s.Append(ctx, note(incident, id)); err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout, "event "+id)
	for rank, state := range course {
		e := note(incident, "proposal "+id+" "+string(state))
		var err error
		if rank == 0 {
			err = s.Propose(ctx, []commands.Proposal{{ID: id, Incident: incident, State: state}}, e)
		} else {
			_, err = s.ChangeProposal(ctx, id, func(p *commands.Proposal) ([]commands.Event, error) {
				p.State = state
				return []commands.Event{e}, nil
			})
		}
		if err != nil {
			return err
		}
		fmt.Fprintln(os.Stdout, "proposal "+id+" "+string(state))
	}
	return nil
}

// A disk is what would be found of a file after a power failure: what was
// synced, and any part of what was not.
type disk struct {
	durable []byte
	pending []operation
	acked   []string
}

func (d *disk) take(op operation) {
	switch op.kind {
	case opLine:
		d.acked = append(d.acked, op.line)
	case opSync:
		for _, p := range d.pending {
			d.durable = perform(d.durable, p, nil)
		}
		d.pending = nil
	default:
		d.pending = append(d.pending, op)
	}
}

// sector is what a disk writes as a whole.
const sector = 512

// perform carries an operation out, of a write only the sectors that keep says;
// nil keeps all.
func perform(file []byte, op operation, keep func() bool) []byte {
	if op.kind == opTruncate {
		return resize(file, int(op.size))
	}
	for at := 0; at < len(op.data); at += sector {
		if keep != nil && !keep() {
			continue
		}
		part := op.data[at:min(at+sector, len(op.data))]
		end := int(op.offset) + at + len(part)
		file = resize(file, max(len(file), end))
		copy(file[int(op.offset)+at:], part)
	}
	return file
}

func resize(file []byte, size int) []byte {
	if size <= len(file) {
		return file[:size]
	}
	return append(file, make([]byte, size-len(file))...)
}

// failures are the ways in which what was not synced may be lost.
var failures = map[string]func(d *disk, random *rand.Rand) []byte{
	"all was written": func(d *disk, _ *rand.Rand) []byte { return d.after(func(int) func() bool { return nil }) },
	"nothing was written": func(d *disk, _ *rand.Rand) []byte {
		return slices.Clone(d.durable)
	},
	"some writes are missing": func(d *disk, random *rand.Rand) []byte {
		return d.after(func(int) func() bool {
			kept := random.IntN(2) == 0
			return func() bool { return kept }
		})
	},
	"the last write is torn": func(d *disk, random *rand.Rand) []byte {
		return d.after(func(i int) func() bool {
			if i < len(d.pending)-1 {
				return nil
			}
			return func() bool { return random.IntN(2) == 0 }
		})
	},
	"one write is missing": func(d *disk, random *rand.Rand) []byte {
		lost := random.IntN(max(1, len(d.pending)))
		return d.after(func(i int) func() bool { return func() bool { return i != lost } })
	},
	"all writes are torn": func(d *disk, random *rand.Rand) []byte {
		return d.after(func(int) func() bool { return func() bool { return random.IntN(2) == 0 } })
	},
}

// after is the file when of each pending operation is kept what keep says. A
// torn or missing truncation did not happen.
func (d *disk) after(keep func(i int) func() bool) []byte {
	file := slices.Clone(d.durable)
	for i, op := range d.pending {
		k := keep(i)
		if op.kind == opTruncate && k != nil && !k() {
			continue
		}
		file = perform(file, op, k)
	}
	return file
}

// A crashState is a file after a power failure and what had been acknowledged
// by then.
type crashState struct {
	what  string
	file  []byte
	acked []string
}

// crashStates gives want every state once, after every nth operation since the
// first acknowledgement: before it nobody was promised anything.
func crashStates(log []operation, nth int, want func(crashState)) {
	random := rand.New(rand.NewPCG(3, 4)) // the same failures of the same log
	seed := maphash.MakeSeed()
	seen := map[uint64]bool{}
	d := &disk{}
	ways := []string{"all was written", "nothing was written", "some writes are missing", "one write is missing", "the last write is torn", "all writes are torn"}
	for n, op := range log {
		d.take(op)
		if len(d.acked) == 0 || n%nth != 0 {
			continue
		}
		for _, way := range ways {
			for range draws(way, len(d.pending)) {
				file := failures[way](d, random)
				var h maphash.Hash
				h.SetSeed(seed)
				_, _ = h.Write(file)
				fmt.Fprint(&h, len(d.acked))
				if seen[h.Sum64()] {
					continue
				}
				seen[h.Sum64()] = true
				want(crashState{what: fmt.Sprintf("after operation %d, %s", n, way), file: file, acked: slices.Clone(d.acked)})
			}
		}
	}
}

// draws is how often chance decides.
func draws(way string, pending int) int {
	if pending < 2 || way == "all was written" || way == "nothing was written" {
		return 1
	}
	return 2
}

// A tally counts what came of the states. Its fields may be changed at the same
// time.
type tally struct{ states, lost, refused, wrong atomic.Int64 }

func (n *tally) String() string {
	return fmt.Sprintf("%d states: %d with acknowledged writes lost, %d not opened, %d inconsistent",
		n.states.Load(), n.lost.Load(), n.refused.Load(), n.wrong.Load())
}

// judge opens a state and counts what is wrong with it.
func (n *tally) judge(ctx context.Context, path string, c crashState) error {
	n.states.Add(1)
	if err := os.WriteFile(path, c.file, 0o600); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	s, err := Open(ctx, Options{Path: path})
	if err != nil {
		n.refused.Add(1)
		return err
	}
	defer s.Close()
	found, err := tell(ctx, s)
	if err != nil {
		n.wrong.Add(1)
		return err
	}
	if lost := missingOf(c.acked, found); lost != "" {
		n.lost.Add(1)
		return fmt.Errorf("%q was acknowledged and is lost", lost)
	}
	if err := consistent(found); err != nil {
		n.wrong.Add(1)
		return err
	}
	return nil
}

// missingOf returns an acknowledged write that is not there.
func missingOf(acked []string, found contents) string {
	there := map[string]bool{"open": len(found.incidents) > 0}
	for _, e := range found.events {
		there["event "+e.Text], there[e.Text] = true, true
	}
	for _, line := range acked {
		if !there[line] {
			return line
		}
	}
	return ""
}

// consistent checks that every proposal stands where the events say that it
// does: what is stored in one transaction is there together.
func consistent(found contents) error {
	told := map[string]int{}
	for _, e := range found.events {
		id, isProposal := strings.CutPrefix(e.Text, "proposal ")
		if !isProposal {
			continue
		}
		id, state, _ := strings.Cut(id, " ")
		if rank := slices.Index(course, commands.ProposalState(state)); rank != told[id] {
			return fmt.Errorf("proposal %s came to %s as its state number %d", id, state, told[id])
		}
		told[id]++
	}
	if len(found.proposals) != len(told) {
		return fmt.Errorf("%d proposals, %d by the events", len(found.proposals), len(told))
	}
	for _, p := range found.proposals {
		if rank := slices.Index(course, p.State); rank != told[p.ID]-1 {
			return fmt.Errorf("proposal %s is %s; its events tell of %d states", p.ID, p.State, told[p.ID])
		}
	}
	return nil
}

// replay judges the states after every nth operation of a log and tells report what is wrong.
func replay(t *testing.T, log []operation, nth int, report func(crashState, error)) *tally {
	t.Helper()
	n := &tally{}
	states := make(chan crashState)
	var judges sync.WaitGroup
	for range 2 {
		path := filepath.Join(t.TempDir(), storeName)
		judges.Go(func() {
			for c := range states {
				if err := n.judge(t.Context(), path, c); err != nil {
					report(c, err)
				}
			}
		})
	}
	crashStates(log, nth, func(c crashState) { states <- c })
	close(states)
	judges.Wait()
	return n
}

// TestPowerFailure records what a store writes and syncs, makes the files that a
// power failure at any moment may leave, and opens each: nothing that was
// acknowledged is lost, and nothing is half there.
func TestPowerFailure(t *testing.T) {
	nth, least := 2, int64(5000)
	if testing.Short() {
		nth, least = 60, 200
	}
	path := filepath.Join(t.TempDir(), storeName)
	log := record(t, path, childEnv+"="+path, sessionEnv+"=1")
	wantFile(t, path, log)
	n := replay(t, log, nth, func(c crashState, err error) { t.Errorf("%s: %v", c.what, err) })
	t.Log(n)
	if n.states.Load() < least {
		t.Errorf("fewer than %d states", least)
	}
}

// TestPowerFailureIsSeen is the control of TestPowerFailure: of a store that
// never syncs, the same test must find losses.
func TestPowerFailureIsSeen(t *testing.T) {
	path := filepath.Join(t.TempDir(), storeName)
	log := record(t, path, childEnv+"="+path, sessionEnv+"=1", noSyncEnv+"=1")
	wantFile(t, path, log)
	n := replay(t, log, 120, func(crashState, error) {})
	t.Log(n)
	if bad := n.lost.Load() + n.refused.Load() + n.wrong.Load(); n.lost.Load() == 0 || bad < n.states.Load()/4 {
		t.Error("a store that never syncs lost too little: the test does not see what it is for")
	}
}

// wantFile checks that the recording is whole: carried out, it makes the file
// that the session left.
func wantFile(t *testing.T, path string, log []operation) {
	t.Helper()
	d := &disk{}
	for _, op := range log {
		d.take(op)
	}
	got, err := os.ReadFile(path)
	ok(t, err)
	if string(got) != string(failures["all was written"](d, nil)) {
		t.Fatalf("%d operations were recorded, and do not make the file", len(log))
	}
	lines := len(d.acked)
	if db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true}); err != nil || db.Close() != nil || lines < 300 {
		t.Fatalf("%d acknowledgements, %v", lines, err)
	}
}
