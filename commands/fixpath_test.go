package commands_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"whybot/commands"
	"whybot/runners"
	"whybot/store"
)

// The tests of the fix path run the whole Engine, with the real store, over a
// world of cells: a cell is a place on a node that holds one word, a step sets
// it from one word to another. The fault that the question finds is a cell
// that holds "broken".

const (
	guestMAC  = "fa:16:3e:11:11:11"
	guestIP   = "10.0.0.11"
	networkID = "91e78b9c-0000-4000-8000-000000000001"
	portID    = "3d1c2f4a-0b00-4000-8000-000000000002"
	dhcpID    = "004b787f-9b00-4000-8000-000000000003"
	compute   = "compute01"
	control   = "controller01"
)

var (
	alice = commands.Actor{Via: "terminal", ID: "alice"}
	bob   = commands.Actor{Via: "slack", ID: "U0BOB", Name: "Bob"}
)

// A world is the nodes and the cloud. Its methods may be called at the same
// time.
type world struct {
	mu    sync.Mutex
	cells map[string]string
	calls []string // every command that was sent to change something, in order
	cloud []string // every call of a cloud API that changes something

	// beforeRead and beforeChange run before a node is read or a command is
	// carried out; an error is the connection's. They run without the lock.
	beforeRead   func(node string, probes []runners.Probe) error
	beforeChange func(command string) error
	// after says what a command comes to once its effect is there.
	after func(command string) (exitCode int, err error)
	// ineffective commands succeed and change nothing.
	ineffective map[string]bool
	cloudErr    func(call string) error
}

func newWorld() *world {
	return &world{cells: map[string]string{"forward": "broken", "extra": "off", "file": "rule", "other": "fine"}, ineffective: map[string]bool{}}
}

func (w *world) get(cell string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cells[cell]
}

func (w *world) set(cell, value string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cells[cell] = value
}

func (w *world) snapshot() map[string]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.cells)
}

func (w *world) sent() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.calls)
}

// Run answers the probes of the engine.
func (w *world) Run(_ context.Context, node string, probes []runners.Probe) ([]runners.Result, error) {
	if w.beforeRead != nil {
		if err := w.beforeRead(node, probes); err != nil {
			return nil, err
		}
	}
	results := make([]runners.Result, len(probes))
	for i, p := range probes {
		results[i] = runners.Result{Probe: p, Output: w.output(p)}
	}
	return results, nil
}

func (w *world) output(p runners.Probe) runners.Output {
	switch {
	case p.Argv[0] == "get":
		return runners.Output{Stdout: w.get(p.Argv[1])}
	case p.Name == "ip-link":
		return runners.Output{Stdout: "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536\n    link/loopback 00:00:00:00:00:00\n"}
	case p.Name == "neighbour" && w.get("forward") != "broken":
		return runners.Output{Stdout: guestIP + " dev ns-004b787f-9b lladdr " + guestMAC + " used 0/0/0 probes 1 REACHABLE\n"}
	case p.Name == "neighbour":
		return runners.Output{Stdout: guestIP + " dev ns-004b787f-9b FAILED\n"}
	}
	return runners.Output{ExitCode: 1}
}

// Change carries commands out until one fails, as a runner does.
func (w *world) Change(_ context.Context, node string, cmds []runners.Probe) ([]runners.Result, error) {
	results := make([]runners.Result, len(cmds))
	for i, c := range cmds {
		results[i] = runners.Result{Probe: c}
		command := c.Command()
		if w.beforeChange != nil {
			if err := w.beforeChange(command); err != nil {
				return results, err
			}
		}
		w.carryOut(node, c)
		if w.after == nil {
			continue
		}
		code, err := w.after(command)
		if err != nil {
			return results, err
		}
		if results[i].Output.ExitCode = code; code != 0 {
			results[i].Output.Stderr = "it did not \x1b[31mwork"
			return results[:i+1], nil
		}
	}
	return results, nil
}

func (w *world) carryOut(node string, c runners.Probe) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = append(w.calls, node+"# "+c.Command())
	if !w.ineffective[c.Command()] {
		w.cells[c.Argv[1]] = c.Argv[2]
	}
}

func (w *world) cloudCall(call string) error {
	w.mu.Lock()
	w.cloud = append(w.cloud, call)
	w.mu.Unlock()
	if w.cloudErr != nil {
		return w.cloudErr(call)
	}
	return nil
}

// Do makes a call. The one that puts the network back mends the fault, and so
// does the one that sets the cell.
func (w *world) Do(_ context.Context, call runners.CloudCall) error {
	if err := w.cloudCall(call.Op); err != nil {
		return err
	}
	switch call.Op {
	case "add":
		w.set("forward", "fixed")
	case "set":
		w.set(call.Args["cell"], call.Args["to"])
	}
	return nil
}

// Object reads a cell that OpenStack keeps.
func (w *world) Object(_ context.Context, ref runners.CloudRef) (runners.CloudObject, error) {
	if w.cloudErr != nil {
		if err := w.cloudErr("read"); err != nil {
			return nil, err
		}
	}
	return runners.CloudObject{"word": w.get(ref.ID)}, nil
}

// FindServers knows one server.
func (w *world) FindServers(context.Context, string) ([]runners.Server, error) {
	return []runners.Server{{ID: "79fcac7c-92b4-4e74-bf80-0a4fe47f9f86", Name: "web-1", Status: "ACTIVE", Host: runners.Known(compute)}}, nil
}

// Attachments has one port on a flat network whose DHCP server is on another
// node.
func (w *world) Attachments(context.Context, runners.Server) ([]runners.Attachment, error) {
	agents := map[string]runners.Agent{}
	for _, n := range []string{compute, control} {
		agents[n] = runners.Agent{Host: n, Alive: true, InterfaceMappings: map[string]string{"physnet1": "eth1"}}
	}
	return []runners.Attachment{{
		Port: runners.Port{
			ID: portID, NetworkID: networkID, MAC: guestMAC, HostID: runners.Known(compute), VIFType: runners.Known("bridge"),
			FixedIPs: []runners.FixedIP{{SubnetID: "s", Address: guestIP}},
		},
		Network:    runners.Network{ID: networkID, Name: "pay-net", Type: runners.Known("flat"), PhysicalNet: runners.Known("physnet1")},
		Subnets:    []runners.Subnet{{ID: "s", CIDR: "10.0.0.0/24", IPVersion: 4, DHCP: true}},
		DHCPPorts:  []runners.Port{{ID: dhcpID, MAC: "fa:16:3e:00:00:02", HostID: runners.Known(control)}},
		DHCPAgents: runners.Known([]runners.Agent{{ID: "agent-1", Host: control, Alive: true}}),
		L2Agents:   runners.Known(agents),
	}}, nil
}

// Capture hears nothing: a pcap file that stays empty until it is closed.
func (w *world) Capture(context.Context, string, runners.CaptureSpec) (io.ReadCloser, error) {
	r, wr := io.Pipe()
	go func() { _, _ = wr.Write(emptyPcap) }()
	return r, nil
}

var emptyPcap = []byte{
	0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0,
}

// cell is the kind of step that sets a cell. Args: cell, from, to.
var cell = &commands.StepKind{
	Name: "cell",
	Read: func(s commands.Step) []runners.Probe {
		return []runners.Probe{{Name: "cell", Argv: []string{"get", s.Args["cell"]}}}
	},
	State: func(s commands.Step, results []runners.Result) (commands.StepState, string) {
		seen := results[0].Output.Stdout
		switch seen {
		case s.Args["from"]:
			return commands.StepPending, "it is " + seen
		case s.Args["to"]:
			return commands.StepDone, "it is " + seen
		}
		return commands.StepChanged, s.Args["cell"] + " is " + seen + " now"
	},
	Do:   func(s commands.Step) []commands.Action { return setCell(s.Args["cell"], s.Args["to"]) },
	Undo: func(s commands.Step) []commands.Action { return setCell(s.Args["cell"], s.Args["from"]) },
	Guard: func(s commands.Step) []runners.Probe {
		return []runners.Probe{{Name: "guard", Argv: []string{"get", s.Args["cell"]}}}
	},
}

func setCell(name, value string) []commands.Action {
	return []commands.Action{{Command: runners.Probe{Name: "set", Argv: []string{"set", name, value}}}}
}

// kick is a kind of step that leaves nothing to take back.
var kick = &commands.StepKind{
	Name: "kick", Read: cell.Read, State: cell.State,
	Do: func(commands.Step) []commands.Action {
		return []commands.Action{
			{Call: &commands.CloudCall{Op: "remove", Show: "openstack network agent remove network --dhcp agent-1 " + networkID}},
			{Call: &commands.CloudCall{Op: "add", Show: "openstack network agent add network --dhcp agent-1 " + networkID}, Must: true},
		}
	},
	Undo: func(commands.Step) []commands.Action { return nil },
}

// aloft is the kind of step that sets a cell which OpenStack keeps. Args as of
// cell.
var aloft = &commands.StepKind{
	Name: "aloft", Delayed: true,
	Ref: func(s commands.Step) runners.CloudRef { return runners.CloudRef{Kind: "cell", ID: s.Args["cell"]} },
	Compare: func(s commands.Step, o runners.CloudObject) (commands.StepState, string) {
		return cell.State(s, []runners.Result{{Output: runners.Output{Stdout: o["word"]}}})
	},
	Do:   func(s commands.Step) []commands.Action { return setAloft(s.Args["cell"], s.Args["to"]) },
	Undo: func(s commands.Step) []commands.Action { return setAloft(s.Args["cell"], s.Args["from"]) },
}

func setAloft(name, value string) []commands.Action {
	return []commands.Action{{Call: &commands.CloudCall{
		Op: "set", Args: map[string]string{"cell": name, "to": value}, Show: "openstack cell set " + name + " " + value,
	}}}
}

func cellStep(name, from, to string) commands.Step {
	return commands.Step{Kind: "cell", Node: control, Args: map[string]string{"cell": name, "from": from, "to": to}}
}

func cellFix(name string, class commands.Class, persistent bool, steps ...commands.Step) *commands.Fix {
	return &commands.Fix{
		Name: name, Doc: "Set cells.", Class: class, Persistent: persistent,
		Title: func(s commands.Suggestion) string { return "Mend " + name + " on " + s.Node },
		Plan:  func(*commands.Pass, commands.Suggestion) ([]commands.Step, error) { return steps, nil },
	}
}

var (
	mend      = cellFix("mend", commands.F1, false, cellStep("forward", "broken", "fixed"))
	mendTwice = cellFix("mend-twice", commands.F1, false, cellStep("extra", "off", "on"), cellStep("forward", "broken", "fixed"))
	mendOther = cellFix("mend-other", commands.F1, false, cellStep("other", "broken", "fixed"))
	elsewhere = cellFix("elsewhere", commands.F1, false, cellStep("extra", "off", "on"))
	inFile    = cellFix("in-file", commands.F2, true, cellStep("file", "rule", "#rule"))
	resync    = cellFix("resync", commands.F2, false, commands.Step{
		Kind: "kick", Node: control, Args: map[string]string{"cell": "forward", "from": "broken", "to": "fixed"},
	})
	inCloud = cellFix("in-cloud", commands.F1, false, commands.Step{
		Kind: "aloft", Args: map[string]string{"cell": "forward", "from": "broken", "to": "fixed"},
	})
	unplanned = &commands.Fix{
		Name: "unplanned", Doc: "Cannot be planned.", Class: commands.F1,
		Title: func(commands.Suggestion) string { return "Do the impossible" },
		Plan: func(*commands.Pass, commands.Suggestion) ([]commands.Step, error) {
			return nil, &commands.Error{Code: commands.CodeInvalid, Public: "Two rules read alike."}
		},
	}
	allFixes = []*commands.Fix{mend, mendTwice, mendOther, elsewhere, inFile, resync, inCloud, unplanned}
)

// brokenCell is a diagnosis that proves that a cell is broken.
func brokenCell(id, name string, edge func(*commands.Path) commands.Edge, fixes ...*commands.Fix) *commands.Diagnosis {
	return &commands.Diagnosis{
		Name: id, Title: "Cell " + name + " is broken", Doc: "Its word says so.", Explains: []commands.Kind{commands.KindDHCP},
		Probes: func(commands.Scope) []runners.Probe {
			return []runners.Probe{{Name: "cell " + name, Argv: []string{"get", name}}}
		},
		Run: func(_ context.Context, p *commands.Pass) error {
			text, err := p.Text(control, "cell "+name)
			if err != nil || text != "broken" {
				return err
			}
			f := commands.Finding{State: commands.Proven, Node: control, Edge: edge(p.Path), Summary: "the cell " + name + " is broken"}
			for _, fix := range fixes {
				f.Fixes = append(f.Fixes, commands.Suggestion{Fix: fix, Node: control})
			}
			p.Report(f)
			return nil
		},
	}
}

func guestEdge(p *commands.Path) commands.Edge {
	return commands.Edge{From: p.Guest[0], To: p.Guest[1], Direction: commands.Request}
}

func laterEdge(p *commands.Path) commands.Edge {
	return commands.Edge{From: p.Guest[1], To: p.Guest[2], Direction: commands.Request}
}

// A bench is an engine over a world.
type bench struct {
	t      *testing.T
	world  *world
	memory *store.Store
	engine *commands.Engine
	path   string
	policy commands.Policy // nil for what allow says

	fixes     []*commands.Fix
	patience  time.Duration      // how long a change may take to show
	committer commands.Committer // nil: steps are made without

	mu    sync.Mutex
	ahead time.Duration // how far the engine's clock is ahead
	allow func(commands.Actor, commands.Proposal) error
}

func newBench(t *testing.T, fixes ...*commands.Fix) *bench {
	t.Helper()
	return newBenchWith(t, nil, fixes...)
}

func newBenchWith(t *testing.T, policy commands.Policy, fixes ...*commands.Fix) *bench {
	t.Helper()
	t.Cleanup(func() { goleak.VerifyNone(t) })
	b := &bench{t: t, world: newWorld(), policy: policy, path: filepath.Join(t.TempDir(), "whybot.db")}
	memory, err := store.Open(t.Context(), store.Options{Path: b.path})
	if err != nil {
		t.Fatal(err)
	}
	b.memory = memory
	t.Cleanup(func() {
		if err := memory.Close(); err != nil {
			t.Error(err)
		}
	})
	b.engine = b.newEngine(fixes...)
	return b
}

// settle makes the engine wait that long for a change to show.
func (b *bench) settle(d time.Duration) {
	b.t.Helper()
	b.patience = d
	b.engine = b.newEngine(b.fixes...)
}

func (b *bench) newEngine(fixes ...*commands.Fix) *commands.Engine {
	b.t.Helper()
	b.fixes = fixes
	policy := b.policy
	if policy == nil {
		policy = commands.PolicyFunc(func(_ context.Context, r commands.Petition) error {
			b.mu.Lock()
			defer b.mu.Unlock()
			if b.allow == nil {
				return nil
			}
			return b.allow(r.Who, r.Proposal)
		})
	}
	e, err := commands.New(commands.Options{
		Diagnoses: []*commands.Diagnosis{
			brokenCell("DHCP-90", "forward", guestEdge, fixes...),
			brokenCell("DHCP-91", "other", laterEdge, mendOther),
		},
		Fixes: allFixes, StepKinds: []*commands.StepKind{cell, kick, aloft},
		Shell: b.world, Sniffer: b.world, Changer: b.world, Committer: b.committer, Cloud: b.world, CloudChanger: b.world, Memory: b.memory,
		Policy: policy,
		Settle: cmp.Or(b.patience, 50*time.Millisecond), Confirm: 2 * time.Second, Packet: time.Second, Now: b.now,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return e
}

func (b *bench) now() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Now().Add(b.ahead)
}

func (b *bench) advance(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ahead += d
}

func (b *bench) permit(allow func(commands.Actor, commands.Proposal) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.allow = allow
}

// ask asks the question and returns the first proposal.
func (b *bench) ask() commands.Proposal {
	b.t.Helper()
	a, err := b.engine.Ask(b.t.Context(), alice, commands.Question{
		Kind: commands.KindDHCP, Text: "why can't web-1 get an IP", Subjects: map[string]string{"vm": "web-1"},
	}, commands.AskOptions{})
	if err != nil {
		b.t.Fatal(err)
	}
	if a.Verdict.State != commands.Proven || a.Verdict.Cause != "DHCP-90" || len(a.Fixes) == 0 {
		b.t.Fatalf("the question came to %+v with %d fixes", a.Verdict, len(a.Fixes))
	}
	return a.Fixes[0]
}

// applied asks, applies the first proposal and insists that it was verified.
func (b *bench) applied() commands.Proposal {
	b.t.Helper()
	out, err := b.engine.Apply(b.t.Context(), b.ask().ID, alice, nil)
	if err != nil || out.Proposal.State != commands.Verified {
		b.t.Fatalf("applying came to %q (%s), %v", out.Proposal.State, out.Proposal.Outcome, err)
	}
	return out.Proposal
}

// change edits the stored proposal, as whoever has the file could.
func (b *bench) change(id string, edit func(*commands.Proposal)) commands.Proposal {
	b.t.Helper()
	p, err := b.memory.ChangeProposal(b.t.Context(), id, func(p *commands.Proposal) ([]commands.Event, error) {
		edit(p)
		return nil, nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

func (b *bench) stored(id string) commands.Proposal {
	b.t.Helper()
	ps, err := b.memory.ListProposals(b.t.Context(), commands.ProposalQuery{ID: id})
	if err != nil || len(ps) != 1 {
		b.t.Fatalf("proposal %s: %d stored, %v", id, len(ps), err)
	}
	return ps[0]
}

func (b *bench) events() []commands.Event {
	b.t.Helper()
	events, err := b.memory.Events(b.t.Context(), commands.EventQuery{})
	if err != nil {
		b.t.Fatal(err)
	}
	return events
}

// kinds returns the kinds of all events that come after the proposals.
func (b *bench) kinds() string {
	b.t.Helper()
	var kinds []string
	for _, e := range b.events() {
		if e.Kind == commands.EventProposed {
			kinds = nil
			continue
		}
		kinds = append(kinds, string(e.Kind))
	}
	return strings.Join(kinds, " ")
}

// wantEvents also verifies that the journal is whole.
func (b *bench) wantEvents(want string) {
	b.t.Helper()
	if got := b.kinds(); got != want {
		b.t.Errorf("events %q, want %q", got, want)
	}
	if n, err := b.memory.VerifyChain(b.t.Context()); err != nil || n == 0 {
		b.t.Errorf("the journal: %d events, %v", n, err)
	}
}

// wantState checks what is stored of a proposal.
func (b *bench) wantState(id string, want commands.ProposalState) {
	b.t.Helper()
	if p := b.stored(id); p.State != want {
		b.t.Errorf("stored as %q (%s), want %q", p.State, p.Outcome, want)
	}
}

func (b *bench) wantSent(want ...string) {
	b.t.Helper()
	for i, w := range want {
		want[i] = control + "# " + w
	}
	if got := b.world.sent(); !slices.Equal(got, want) {
		b.t.Errorf("commands sent:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// wantCode checks that an error may be shown and who can do something about it.
func wantCode(t *testing.T, err error, want commands.Code) {
	t.Helper()
	var e *commands.Error
	if !errors.As(err, &e) || e.Code != want || e.Public == "" {
		t.Errorf("error %v (%T), want one with code %s", err, err, want)
	}
}

func denied(commands.Actor, commands.Proposal) error {
	return &commands.Error{Code: commands.CodeDenied, Public: "You may not.", Hint: "Ask carol."}
}

func unreachable(node string) error {
	return &runners.Error{Kind: runners.Unreachable, Runner: "ssh", Target: node, Op: "dial", Hint: "no answer", Err: errors.New("dial tcp 192.0.2.1:22: secret detail")}
}

func lost(node string) error {
	return &runners.Error{Kind: runners.Unknown, Runner: "ssh", Target: node, Op: "change", Hint: "outcome unknown: the command was sent and its end was not seen"}
}

func people(n int) []commands.Actor {
	all := make([]commands.Actor, n)
	for i := range all {
		all[i] = commands.Actor{Via: "slack", ID: fmt.Sprintf("U%03d", i)}
	}
	return all
}
