package commands_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"whybot/commands"
	"whybot/runners"
	"whybot/store"
)

// Of each proposal, a node of the tests below has a cell of the proposal's id.
// The fixes are persistent: what proves them is the cell alone.

// A counter is nodes whose cells count how often they were set.
type counter struct {
	*world
	mu   sync.Mutex
	sets map[string]int
	// cut says whether the connection is lost before or after a command.
	cut func(cell string) (before, after bool)
}

func newCounter() *counter {
	return &counter{world: newWorld(), sets: map[string]int{}, cut: func(string) (bool, bool) { return false, false }}
}

// Change counts, and carries out.
func (c *counter) Change(ctx context.Context, node string, cmds []runners.Probe) ([]runners.Result, error) {
	name := cmds[0].Argv[1]
	before, after := c.cut(name)
	time.Sleep(5 * time.Millisecond) // a command is on its way for longer than a click
	if before {
		return nil, unreachable(node)
	}
	c.mu.Lock()
	c.sets[name]++
	c.mu.Unlock()
	results, err := c.world.Change(ctx, node, cmds)
	if err == nil && after {
		return results, lost(node)
	}
	return results, err
}

func (c *counter) times(cell string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sets[cell]
}

// counting makes an engine over nodes with changer and memory.
func counting(t *testing.T, w *world, changer commands.Changer, memory commands.Memory, policy commands.PolicyFunc, kinds ...*commands.StepKind) *commands.Engine {
	t.Helper()
	e, err := commands.New(commands.Options{
		StepKinds: kinds, Shell: w, Sniffer: w, Changer: changer, Cloud: w, CloudChanger: w, Memory: memory,
		Policy: policy, Settle: 50 * time.Millisecond, Packet: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func anyone(context.Context, commands.Petition) error { return nil }

func openStore(t *testing.T) *store.Store {
	t.Helper()
	t.Cleanup(func() { goleak.VerifyNone(t) })
	s, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "whybot.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// offer stores a proposal, in an incident of its own, to set the cell of its id
// from "broken" to "fixed".
func offer(ctx context.Context, memory commands.Memory, id, kind string) error {
	inc, err := memory.OpenIncident(ctx, commands.Incident{Entities: []string{id}})
	if err != nil {
		return err
	}
	step := cellStep(id, "broken", "fixed")
	step.Kind, step.Node = kind, "node-of-"+id // fixes of one node wait for each other
	steps := []commands.Step{step}
	return memory.Propose(ctx, []commands.Proposal{{
		ID: id, Incident: inc.ID, Title: "Mend " + id, Persistent: true, Steps: steps, Hash: commands.PlanHash(steps),
		State: commands.Proposed, Approvals: 1, Created: time.Now(), Expires: time.Now().Add(time.Hour),
	}})
}

// torn is a Memory whose changes are not atomic: what one decides by, another
// may have changed before it is stored.
type torn struct{ commands.Memory }

func (m torn) ChangeProposal(ctx context.Context, id string, fn func(*commands.Proposal) ([]commands.Event, error)) (commands.Proposal, error) {
	ps, err := m.ListProposals(ctx, commands.ProposalQuery{ID: id})
	if err != nil {
		return commands.Proposal{}, err
	}
	events, err := fn(&ps[0])
	if err != nil {
		return commands.Proposal{}, err
	}
	select { // others decide meanwhile
	case <-time.After(time.Millisecond):
	case <-ctx.Done():
		return commands.Proposal{}, ctx.Err()
	}
	return m.Memory.ChangeProposal(ctx, id, func(p *commands.Proposal) ([]commands.Event, error) {
		*p = ps[0]
		return events, nil
	})
}

// A stampede clicks on n proposals, each by 2 to 20 people at once through three
// engines, every click delivered up to three times. Some clicks lose their
// caller, some nodes their connection.
type stampede struct {
	counter  *counter
	memory   commands.Memory
	engines  []*commands.Engine
	clicks   atomic.Int64
	dropped  atomic.Int64
	mu       sync.Mutex
	problems []string
}

func (s *stampede) complain(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.problems = append(s.problems, fmt.Sprintf(format, args...))
}

func stampedeOver(t *testing.T, memory commands.Memory, n int) *stampede {
	t.Helper()
	c := newCounter()
	c.cut = func(string) (before, after bool) { return rand.IntN(10) == 0, rand.IntN(10) == 0 }
	s := &stampede{counter: c, memory: memory}
	for range 3 {
		s.engines = append(s.engines, counting(t, c.world, c, memory, anyone, cell))
	}
	var all errgroup.Group
	all.SetLimit(100)
	for i := range n {
		id := fmt.Sprintf("fx-%d", i)
		c.set(id, "broken")
		all.Go(func() error { return s.one(t.Context(), id) })
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *stampede) one(ctx context.Context, id string) error {
	if err := offer(ctx, s.memory, id, "cell"); err != nil {
		return err
	}
	var clicks sync.WaitGroup
	for _, who := range people(2 + rand.IntN(19)) {
		for range 1 + rand.IntN(3) {
			clicks.Go(func() { s.click(ctx, id, who) })
		}
	}
	clicks.Wait()
	// Had every click been dropped, this one decides.
	_, err := s.engines[0].Apply(ctx, id, bob, nil)
	if err != nil && commands.CodeOf(err) != commands.CodeGone && commands.CodeOf(err) != commands.CodeOutside {
		s.complain("%s: the last click: %v", id, err)
	}
	return s.judge(ctx, id)
}

// click is one delivery; one in five is dropped at any moment.
func (s *stampede) click(ctx context.Context, id string, who commands.Actor) {
	s.clicks.Add(1)
	if rand.IntN(5) == 0 {
		s.dropped.Add(1)
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(rand.IntN(4000))*time.Microsecond)
		defer cancel()
	}
	_, err := s.engines[rand.IntN(len(s.engines))].Apply(ctx, id, who, nil)
	code := commands.CodeOf(err)
	if err != nil && code != commands.CodeGone && code != commands.CodeOutside && ctx.Err() == nil {
		s.complain("%s: %v", id, err)
	}
}

// judge checks that the proposal was applied once at most, and came to one end,
// which is true.
func (s *stampede) judge(ctx context.Context, id string) error {
	ps, err := s.memory.ListProposals(ctx, commands.ProposalQuery{ID: id})
	if err != nil || len(ps) != 1 {
		return errors.Join(fmt.Errorf("%s: %d stored", id, len(ps)), err)
	}
	events, err := s.memory.Events(ctx, commands.EventQuery{Incident: ps[0].Incident})
	if err != nil {
		return err
	}
	begun, ends := 0, 0
	for _, e := range events {
		switch e.Kind { //nolint:exhaustive // the other kinds are not counted
		case commands.EventApplying:
			begun++
		case commands.EventVerified, commands.EventFailed:
			ends++
		}
	}
	times := s.counter.times(id)
	state, want := ps[0].State, commands.Failed
	if times > 0 {
		want = commands.Verified
	}
	if times > 1 || begun != 1 || ends != 1 || state != want {
		s.complain("%s: applied %d times, begun %d times, ended %d times, as %s (%s)", id, times, begun, ends, state, ps[0].Outcome)
	}
	return nil
}

// TestStampede: of any number of clicks that arrive together, twice, or not to
// their end, one at most applies a fix, and the fix comes to one end.
func TestStampede(t *testing.T) {
	n := 1000
	if testing.Short() {
		n = 100
	}
	memory := openStore(t)
	s := stampedeOver(t, memory, n)
	for _, p := range s.problems {
		t.Error(p)
	}
	if n, err := memory.VerifyChain(t.Context()); err != nil || n == 0 {
		t.Errorf("the journal: %d events, %v", n, err)
	}
	t.Logf("%d proposals, %d deliveries, %d of them dropped", n, s.clicks.Load(), s.dropped.Load())
}

// TestStampedeIsSeen is the control of TestStampede: over a store that decides
// and stores in two steps, it must find fixes that were applied twice.
func TestStampedeIsSeen(t *testing.T) {
	s := stampedeOver(t, torn{openStore(t)}, 50)
	twice := 0
	for i := range 50 {
		if s.counter.times(fmt.Sprintf("fx-%d", i)) > 1 {
			twice++
		}
	}
	t.Logf("%d of 50 applied more than once", twice)
	if twice == 0 || len(s.problems) < twice {
		t.Errorf("%d fixes applied twice, %d problems found", twice, len(s.problems))
	}
}
