package commands_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/rpc"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"whybot/commands"
	"whybot/runners"
	"whybot/store"
)

// A whybot that applies a fix and undoes it again is killed at every boundary of
// what it does: before, inside and after every change of the store, and before a
// node or OpenStack is spoken to, while the answer is out, and when it has come.
// Nodes and cloud live in the test, which is the next run, too.

// What a child is told.
const (
	childStore  = "WHYBOT_TEST_STORE"  // the file of its store
	childSocket = "WHYBOT_TEST_SOCKET" // where its nodes are
	childPoint  = "WHYBOT_TEST_POINT"  // at which boundary it dies; 0: it lives
	childHasty  = "WHYBOT_TEST_HASTY"  // the control: it acknowledges before it stores
)

func TestMain(m *testing.M) {
	if path := os.Getenv(childStore); path != "" {
		os.Exit(applyAndUndo(path))
	}
	os.Exit(m.Run())
}

const killedFix = "fx-killed"

// bare is a cell that no commit guards.
var bare = &commands.StepKind{Name: "bare", Read: cell.Read, State: cell.State, Do: cell.Do, Undo: cell.Undo}

func killedSteps() []commands.Step {
	args := func(name string) map[string]string {
		return map[string]string{"cell": name, "from": "broken", "to": "fixed"}
	}
	return []commands.Step{
		{Kind: "cell", Node: control, Args: args("a")},
		{Kind: "bare", Node: compute, Args: args("b")},
		{Kind: "aloft", Args: args("c")},
	}
}

// nodes are what an engine needs of the outside.
type nodes interface {
	commands.Shell
	commands.Changer
	commands.Committer
	commands.CloudChanger
}

func killable(n nodes, memory commands.Memory) (*commands.Engine, error) {
	w := newWorld()
	return commands.New(commands.Options{
		StepKinds: []*commands.StepKind{cell, bare, aloft}, Shell: n, Sniffer: w, Changer: n, Committer: n, Cloud: w, CloudChanger: n,
		Memory: memory, Policy: commands.PolicyFunc(anyone), Settle: 300 * time.Millisecond, Confirm: 900 * time.Millisecond, Packet: time.Second,
	})
}

// What is asked across the line between a whybot and its nodes, and what comes
// back.
type (
	Asked struct {
		Verb, Node string
		Probes     []runners.Probe
		Commit     runners.Commit
		ID         string
		Token      uint64
		Cloud      runners.CloudCall
		Ref        runners.CloudRef
		Said       []string // acknowledged events
	}
	Reply struct {
		Outputs []runners.Output
		Status  runners.CommitStatus
		Object  runners.CloudObject
		Refused string
	}
)

// A scythe ends the process at one boundary.
type scythe struct {
	at      int64
	reached atomic.Int64
}

func (s *scythe) boundary() {
	if s.reached.Add(1) == s.at {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // nothing more is done
	}
}

// A line is the nodes as the child has them.
type line struct {
	*scythe
	client *rpc.Client
}

func (l line) ask(c Asked) (Reply, error) {
	l.boundary()
	var a Reply
	done := l.client.Go("Outside.Call", c, &a, nil)
	l.boundary()
	<-done.Done
	l.boundary()
	switch {
	case done.Error != nil:
		return a, done.Error
	case a.Refused != "":
		return a, &runners.Error{Kind: runners.Invalid, Hint: a.Refused}
	}
	return a, nil
}

func (l line) probes(verb, node string, probes []runners.Probe) ([]runners.Result, error) {
	a, err := l.ask(Asked{Verb: verb, Node: node, Probes: probes})
	if err != nil {
		return nil, err
	}
	results := make([]runners.Result, len(probes))
	for i, p := range probes {
		results[i] = runners.Result{Probe: p, Output: a.Outputs[i]}
	}
	return results, nil
}

func (l line) Run(_ context.Context, node string, probes []runners.Probe) ([]runners.Result, error) {
	return l.probes("run", node, probes)
}

func (l line) Change(_ context.Context, node string, probes []runners.Probe) ([]runners.Result, error) {
	return l.probes("change", node, probes)
}

func (l line) Commit(_ context.Context, node string, c runners.Commit) (runners.CommitStatus, error) {
	a, err := l.ask(Asked{Verb: "commit", Node: node, Commit: c})
	return a.Status, err
}

func (l line) Confirm(_ context.Context, node, id string, token uint64) (runners.CommitStatus, error) {
	a, err := l.ask(Asked{Verb: "confirm", Node: node, ID: id, Token: token})
	return a.Status, err
}

func (l line) CommitStatus(_ context.Context, node, id string) (runners.CommitStatus, error) {
	a, err := l.ask(Asked{Verb: "status", Node: node, ID: id})
	return a.Status, err
}

func (l line) Object(_ context.Context, ref runners.CloudRef) (runners.CloudObject, error) {
	a, err := l.ask(Asked{Verb: "object", Ref: ref})
	return a.Object, err
}

func (l line) Do(_ context.Context, c runners.CloudCall) error {
	_, err := l.ask(Asked{Verb: "do", Cloud: c})
	return err
}

// A witnessed memory dies at its boundaries and tells the test what it has
// acknowledged.
type witnessed struct {
	commands.Memory
	line  line
	hasty bool
}

func (m witnessed) ChangeProposal(
	ctx context.Context, id string, fn func(*commands.Proposal) ([]commands.Event, error),
) (commands.Proposal, error) {
	m.line.boundary()
	var said []string
	p, err := m.Memory.ChangeProposal(ctx, id, func(p *commands.Proposal) ([]commands.Event, error) {
		events, err := fn(p)
		if err == nil {
			said = texts(events)
		}
		if m.hasty {
			_ = m.line.client.Call("Outside.Call", Asked{Verb: "say", Said: said}, &Reply{})
		}
		m.line.boundary()
		return events, err
	})
	if err == nil && !m.hasty {
		err = m.line.client.Call("Outside.Call", Asked{Verb: "say", Said: said}, &Reply{})
	}
	m.line.boundary()
	return p, err
}

func texts(events []commands.Event) []string {
	var all []string
	for _, e := range events {
		all = append(all, string(e.Kind)+": "+e.Text)
	}
	return all
}

// applyAndUndo is the child. It prints how many boundaries it came by.
func applyAndUndo(path string) int {
	err := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // should the parent die
		defer cancel()
		s, err := store.Open(ctx, store.Options{Path: path})
		if err != nil {
			return err
		}
		client, err := rpc.Dial("unix", os.Getenv(childSocket))
		if err != nil {
			return err
		}
		at, err := strconv.ParseInt(os.Getenv(childPoint), 10, 64)
		if err != nil {
			return err
		}
		l := line{scythe: &scythe{at: at}, client: client}
		e, err := killable(l, witnessed{Memory: s, line: l, hasty: os.Getenv(childHasty) != ""})
		if err != nil {
			return err
		}
		_, applied := e.Apply(ctx, killedFix, alice, nil)
		_, undone := e.Undo(ctx, killedFix, bob, nil)
		fmt.Fprintln(os.Stdout, l.reached.Load())
		return errors.Join(applied, undone, client.Close(), s.Close())
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// The outside is the nodes and the cloud, and hears what was acknowledged.
type outside struct {
	*world
	*safeNode
	mu   sync.Mutex
	said []string
	sets map[string]int // of each cell, by the word it was set to
}

func newOutside() *outside {
	o := &outside{world: newWorld(), sets: map[string]int{}}
	o.safeNode = newSafeNode(o.world)
	o.timed = true
	for _, s := range killedSteps() {
		o.set(s.Args["cell"], s.Args["from"])
	}
	return o
}

func (o *outside) set(cell, word string) { o.world.set(cell, word) }

// Do counts what the cloud sets, whose calls do not tell of which cell.
func (o *outside) Do(ctx context.Context, c runners.CloudCall) error {
	o.mu.Lock()
	o.sets[c.Args["cell"]+" "+c.Args["to"]]++
	o.mu.Unlock()
	return o.world.Do(ctx, c)
}

// times is how often a cell was set to a word.
func (o *outside) times(cell, word string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := o.sets[cell+" "+word]
	for _, c := range o.sent() {
		if strings.HasSuffix(c, "# set "+cell+" "+word) {
			n++
		}
	}
	return n
}

// Outside answers a child's calls.
type Outside struct{ o *outside }

// Call carries one out.
func (r *Outside) Call(c Asked, a *Reply) error {
	ctx := context.Background()
	var results []runners.Result
	var err error
	switch c.Verb {
	case "run":
		results, err = r.o.Run(ctx, c.Node, c.Probes)
	case "change":
		time.Sleep(10 * time.Millisecond) // it may arrive when the sender is dead
		results, err = r.o.Change(ctx, c.Node, c.Probes)
	case "commit":
		time.Sleep(10 * time.Millisecond)
		a.Status, err = r.o.Commit(ctx, c.Node, c.Commit)
	case "confirm":
		a.Status, err = r.o.Confirm(ctx, c.Node, c.ID, c.Token)
	case "status":
		a.Status, err = r.o.CommitStatus(ctx, c.Node, c.ID)
	case "object":
		a.Object, err = r.o.Object(ctx, c.Ref)
	case "do":
		time.Sleep(10 * time.Millisecond)
		err = r.o.Do(ctx, c.Cloud)
	case "say":
		r.o.mu.Lock()
		r.o.said = append(r.o.said, c.Said...)
		r.o.mu.Unlock()
	}
	for _, res := range results {
		a.Outputs = append(a.Outputs, res.Output)
	}
	if e, ok := errors.AsType[*runners.Error](err); ok {
		a.Refused, err = cmp.Or(e.Hint, "refused"), nil
	}
	return err
}

// serve listens for one child.
func (o *outside) serve(t *testing.T, path string) func() {
	t.Helper()
	server := rpc.NewServer()
	if err := server.Register(&Outside{o}); err != nil {
		t.Fatal(err)
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if c, err := l.Accept(); err == nil {
			server.ServeConn(c) // until the child is gone, and its last calls are carried out
		}
	}()
	return func() { _ = l.Close(); <-ended }
}

// A murder is one child, killed, and the next run.
type murder struct {
	point int
	hasty bool
	// next settles what the child left behind.
	next func(*commands.Engine, *store.Store) error
}

// commit carries the murder out. It returns whether the child died, how many
// boundaries it came by if not, and what is wrong afterwards.
func (m murder) commit(t *testing.T, template []byte) (died bool, boundaries int, wrong []string, err error) {
	t.Helper()
	dir, err := os.MkdirTemp("", "whybot-killed-") //nolint:usetesting // thousands, which t would keep until its end
	if err != nil {
		return false, 0, nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "db")
	if err := os.WriteFile(path, template, 0o600); err != nil {
		return false, 0, nil, err
	}
	o := newOutside()
	stop := o.serve(t, filepath.Join(dir, "s"))
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	child.Env = append(os.Environ(), childStore+"="+path, childSocket+"="+filepath.Join(dir, "s"), childPoint+"="+strconv.Itoa(m.point))
	if m.hasty {
		child.Env = append(child.Env, childHasty+"=1")
	}
	out, err := child.Output()
	stop()
	exit, failed := errors.AsType[*exec.ExitError](err)
	if err != nil && (!failed || !exit.Sys().(syscall.WaitStatus).Signaled()) { //nolint:forcetypeassert // on Linux it is that
		return false, 0, nil, fmt.Errorf("the child ended by itself: %w", err)
	}
	if err == nil {
		if boundaries, err = strconv.Atoi(strings.TrimSpace(string(out))); err != nil {
			return false, 0, nil, err
		}
	}
	wrong, err = m.inquest(t, o, path)
	return failed, boundaries, wrong, err
}

// inquest lets the next run settle what was left and looks what that came to.
func (m murder) inquest(t *testing.T, o *outside, path string) (wrong []string, err error) {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{Path: path})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	e, err := killable(o, s)
	if err != nil {
		return nil, err
	}
	if err := m.next(e, s); err != nil {
		return nil, err
	}
	p, err := e.Proposal(t.Context(), killedFix)
	if err != nil {
		return nil, err
	}
	word, ok := map[commands.ProposalState]string{
		commands.Proposed: "broken", commands.Failed: "broken", commands.Undone: "broken", commands.Applied: "fixed", commands.Verified: "fixed",
	}[p.State]
	if !ok {
		wrong = append(wrong, "undecided: "+string(p.State)+": "+p.Outcome)
	}
	for _, step := range p.Steps {
		name := step.Args["cell"]
		if ok && o.get(name) != word {
			wrong = append(wrong, fmt.Sprintf("%s, but %s is %s", p.State, name, o.get(name)))
		}
		if n, back := o.times(name, "fixed"), o.times(name, "broken"); n > 1 || back > n {
			wrong = append(wrong, fmt.Sprintf("%s was set %d times and taken back %d times", name, n, back))
		}
	}
	o.safeNode.mu.Lock() // a node whose time is not up yet is still at work
	defer o.safeNode.mu.Unlock()
	for id, state := range o.states {
		if state == runners.CommitArmed {
			wrong = append(wrong, "nobody confirmed "+id)
		}
	}
	return append(wrong, o.lost(t, s)...), nil
}

// lost are the acknowledged events that are not in the journal.
func (o *outside) lost(t *testing.T, s *store.Store) (wrong []string) {
	t.Helper()
	events, err := s.Events(t.Context(), commands.EventQuery{})
	if err != nil {
		return []string{err.Error()}
	}
	if _, err := s.VerifyChain(t.Context()); err != nil {
		wrong = append(wrong, err.Error())
	}
	there := texts(events)
	for _, said := range o.said {
		i := slices.Index(there, said)
		if i < 0 {
			wrong = append(wrong, "acknowledged and lost: "+said)
			continue
		}
		there = slices.Delete(there, i, i+1)
	}
	return wrong
}

// recovered is the next run as it is: it looks until all is decided, for at most
// two minutes.
func recovered(e *commands.Engine, s *store.Store) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for ctx.Err() == nil {
		if _, err := e.Recover(ctx); err != nil {
			return err
		}
		ps, err := s.ListProposals(ctx, commands.ProposalQuery{ID: killedFix})
		if err != nil {
			return err
		}
		if state := ps[0].State; !state.OnItsWay() && state != commands.Undecided {
			return nil
		}
	}
	return nil // the inquest says what it is
}

// offered is the file of a store with the fix on offer.
func offered(t *testing.T) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "whybot.db")
	s, err := store.Open(t.Context(), store.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	inc, err := s.OpenIncident(t.Context(), commands.Incident{Entities: []string{"web-1"}})
	if err != nil {
		t.Fatal(err)
	}
	steps := killedSteps()
	if err := errors.Join(s.Propose(t.Context(), []commands.Proposal{{
		ID: killedFix, Incident: inc.ID, Title: "Mend three cells", Persistent: true, Steps: steps, Hash: commands.PlanHash(steps), Undo: []string{"set back"},
		State: commands.Proposed, Approvals: 1, Created: time.Now(), Expires: time.Now().Add(time.Hour),
	}}), s.Close()); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// killEverywhere kills at every boundary so many times and returns how many
// boundaries and deaths there were, and what was wrong.
func killEverywhere(t *testing.T, times int, m murder) (boundaries, deaths int, wrong []string) {
	t.Helper()
	template := offered(t)
	_, boundaries, found, err := murder{next: recovered}.commit(t, template)
	if err != nil || len(found) > 0 {
		t.Fatalf("a child that nobody kills: %q, %v", found, err)
	}
	var mu sync.Mutex
	var work errgroup.Group
	work.SetLimit(24)
	for i := range times * boundaries {
		m := m // each has its own point
		m.point = 1 + i%boundaries
		work.Go(func() error {
			died, _, found, err := m.commit(t, template)
			mu.Lock()
			defer mu.Unlock()
			if died {
				deaths++
			}
			for _, f := range found {
				wrong = append(wrong, fmt.Sprintf("killed at boundary %d: %s", m.point, f))
			}
			return err
		})
	}
	if err := work.Wait(); err != nil {
		t.Fatal(err)
	}
	return boundaries, deaths, wrong
}

// kills is how often each boundary is tried: as often as WHYBOT_KILLS says, a
// hundred times without it.
func kills(t *testing.T) int {
	t.Helper()
	if testing.Short() {
		return 1
	}
	n, err := strconv.Atoi(cmp.Or(os.Getenv("WHYBOT_KILLS"), "100"))
	if err != nil || n < 1 {
		t.Fatalf("WHYBOT_KILLS: not a number of times: %q", os.Getenv("WHYBOT_KILLS"))
	}
	return n
}

// TestKilledAtEveryStep: wherever whybot is killed while it applies or undoes a
// fix, nothing acknowledged is lost, nothing is done twice, and the next run
// decides how it ended, rightly.
func TestKilledAtEveryStep(t *testing.T) {
	times := kills(t)
	boundaries, deaths, wrong := killEverywhere(t, times, murder{next: recovered})
	for _, w := range wrong {
		t.Error(w)
	}
	t.Logf("killed %d times at %d boundaries: %d wrong", deaths, boundaries, len(wrong))
	if boundaries < 12 || deaths < 12*times {
		t.Error("too few for the test to mean anything")
	}
}

// TestKilledIsSeen is the control of TestKilledAtEveryStep: a child that
// acknowledges too early, a next run that begins anew, and one that looks at
// nothing, must each be found out.
func TestKilledIsSeen(t *testing.T) {
	nobody := func(*commands.Engine, *store.Store) error { return nil }
	blindly := func(e *commands.Engine, s *store.Store) error {
		_, err := s.ChangeProposal(context.Background(), killedFix, func(p *commands.Proposal) ([]commands.Event, error) {
			if p.State == commands.Applying {
				p.State, p.Approved = commands.Proposed, nil
			}
			return nil, nil
		})
		if err == nil {
			_, _ = e.Apply(context.Background(), killedFix, alice, nil)
		}
		return err
	}
	for name, c := range map[string]struct {
		m    murder
		says string
	}{
		"hasty":   {murder{hasty: true, next: recovered}, "acknowledged and lost"},
		"blindly": {murder{next: blindly}, "undecided"},
		"nobody":  {murder{next: nobody}, "undecided"},
	} {
		_, _, wrong := killEverywhere(t, 1, c.m)
		if !slices.ContainsFunc(wrong, func(w string) bool { return strings.Contains(w, c.says) }) {
			t.Errorf("%s: nothing of %q found, only %q", name, c.says, wrong)
		}
		t.Logf("%s: %d found", name, len(wrong))
	}
}
