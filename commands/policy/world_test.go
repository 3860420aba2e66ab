package policy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"whybot/commands"
	"whybot/runners"
	"whybot/store"
)

// The machine of these tests is the real Engine over a memory, a node with one
// place that can be changed, and a Slack whose members come and go. At the
// moment at which the node is really changed, world.change asks whether that
// was allowed, in its own words.

// A human is a person with the identities they have.
var humans = []struct {
	name string
	ids  []commands.Actor
}{
	{"ann", []commands.Actor{slackUser("U0ANN"), atTerminal("ann")}},
	{"bob", []commands.Actor{slackUser("U0BOB")}},
	{"cid", []commands.Actor{slackUser("U0CID"), atTerminal("cid")}},
	{"dan", []commands.Actor{slackUser("U0DAN")}},
	{"eve", []commands.Actor{atTerminal("eve")}},
}

func identities() (all []commands.Actor) {
	for _, h := range humans {
		all = append(all, h.ids...)
	}
	return all
}

func humanOf(a commands.Actor) string {
	for _, h := range humans {
		for _, id := range h.ids {
			if id.Via == a.Via && id.ID == a.ID {
				return h.name
			}
		}
	}
	return "nobody"
}

// joined tells the policy who is one person.
var joined = People{"slack:U0ANN": "a", "terminal:ann": "a", "slack:U0CID": "c", "terminal:cid": "c"}

// A world is everything outside the engine.
type world struct {
	now      time.Time
	rule     commands.Rule // in force
	standing map[string]commands.Standing
	group    map[string]bool
	deaf     bool // Slack does not answer
	told     []string
	// between happens between a click and the change that it leads to.
	between func()

	memory  commands.Memory
	placed  bool // whether the node's place is changed
	sealed  map[string]commands.Rule
	current string         // the proposal that is being decided on
	actor   commands.Actor // by whom
	applied int
	wrong   string // the first change that was not allowed
}

func newWorld(memory commands.Memory) *world {
	return &world{
		now: noon, memory: memory, sealed: map[string]commands.Rule{}, group: map[string]bool{"U0BOB": true, "U0CID": true},
		standing: map[string]commands.Standing{"U0ANN": commands.Member, "U0BOB": commands.Member, "U0CID": commands.Member, "U0DAN": commands.Member},
		rule: commands.Rule{
			Users: []string{"U0ANN", "U0DAN"}, Groups: []string{opsGroup}, Terminal: commands.Names{Names: []string{"ann", "eve"}},
			Needed: 1, AskerMay: true, Channels: []string{opsRoom, warRoom}, Expires: 30 * time.Minute,
			Glass: commands.Glass{Users: []string{"U0DAN"}, Terminal: []string{"eve"}, Channel: warRoom},
		},
	}
}

// Groups, Standing and Alarm are Slack.
func (w *world) Groups(_ context.Context, who commands.Actor, groups []string, _ bool) (in, unseen []string) {
	switch {
	case w.deaf:
		return nil, groups
	case w.group[who.ID]:
		return groups, nil
	}
	return nil, nil
}

func (w *world) Standing(_ context.Context, who commands.Actor) commands.Standing {
	if w.deaf {
		return commands.StandingUnknown
	}
	return w.standing[who.ID]
}

func (w *world) Alarm(_ context.Context, channel string, p commands.Petition) error {
	if w.deaf {
		return errors.New("slack does not answer")
	}
	w.told = append(w.told, channel+" "+p.Proposal.ID+" "+p.Reason)
	return nil
}

// Run and Change are the node; Capture and the cloud are never asked.
func (w *world) Run(_ context.Context, _ string, probes []runners.Probe) ([]runners.Result, error) {
	if w.between != nil {
		w.blame("the node was read before the proposal was claimed")
	}
	return []runners.Result{{Probe: probes[0], Output: runners.Output{Stdout: strconv.FormatBool(w.placed)}}}, nil
}

func (w *world) Change(ctx context.Context, _ string, cmds []runners.Probe) ([]runners.Result, error) {
	w.placed = cmds[0].Argv[1] == "true"
	ps, err := w.memory.ListProposals(ctx, commands.ProposalQuery{ID: w.current})
	switch {
	case err != nil || len(ps) != 1:
		w.blame("something was changed for no proposal")
	case w.placed:
		w.applied++
		w.judge(ps[0])
	default:
		if why := w.unfit(w.actor, w.rule); why != "" {
			w.blame("undone by one who " + why)
		}
	}
	return []runners.Result{{Probe: cmds[0]}}, nil
}

func (w *world) Capture(context.Context, string, runners.CaptureSpec) (io.ReadCloser, error) {
	return nil, errors.New("nothing is captured here")
}
func (w *world) FindServers(context.Context, string) ([]runners.Server, error) { return nil, nil }

func (w *world) Attachments(context.Context, runners.Server) ([]runners.Attachment, error) {
	return nil, nil
}

func (w *world) Object(context.Context, runners.CloudRef) (runners.CloudObject, error) {
	return runners.CloudObject{}, nil
}
func (w *world) Do(context.Context, runners.CloudCall) error { return nil }

func (w *world) blame(why string) {
	if w.wrong == "" {
		w.wrong = w.current + ": " + why
	}
}

// judge is the specification of a change that is allowed, at the moment at
// which it is made.
func (w *world) judge(p commands.Proposal) {
	made, now := w.sealed[p.ID], w.rule
	if p.Class != commands.F1 && p.Class != commands.F2 {
		w.blame("class " + string(p.Class))
	}
	if age := w.now.Sub(p.Created); age > made.Expires || age > now.Expires {
		w.blame(fmt.Sprintf("applied at the age of %s, of %s and %s", age, made.Expires, now.Expires))
	}
	if p.BreakGlass != "" {
		w.judgeEmergency(p)
		return
	}
	agreed := map[string]bool{}
	for _, a := range p.Approved {
		if w.unfit(a, now) == "" && w.unfit(a, made) == "" && (made.AskerMay && now.AskerMay || humanOf(a) != humanOf(p.Asker)) {
			agreed[humanOf(a)] = true
		}
	}
	if n := max(made.Needed, now.Needed); len(agreed) < n {
		w.blame(fmt.Sprintf("%d people were needed, and those who count are %v of %v", n, slices.Sorted(maps.Keys(agreed)), p.Approved))
	}
}

func (w *world) judgeEmergency(p commands.Proposal) {
	who := p.Approved[len(p.Approved)-1]
	for _, r := range []commands.Rule{w.rule, w.sealed[p.ID]} {
		named := who.Via == "terminal" && slices.Contains(r.Glass.Terminal, who.ID) ||
			who.Via == "slack" && slices.Contains(r.Glass.Users, who.ID) && w.standing[who.ID] == commands.Member && slices.Contains(r.Channels, who.Channel)
		if !named || w.deaf && who.Via == "slack" {
			w.blame("the glass was broken by " + who.String())
		}
		if !slices.Contains(w.told, r.Glass.Channel+" "+p.ID+" "+p.BreakGlass) {
			w.blame("the glass was broken and nobody was told")
		}
	}
}

// unfit says why a person may decide nothing by one rule.
func (w *world) unfit(a commands.Actor, r commands.Rule) string {
	if a.Via == "terminal" {
		if !slices.Contains(r.Terminal.Names, a.ID) {
			return "is not listed for the terminal"
		}
		return ""
	}
	switch {
	case w.deaf:
		return "cannot be looked up"
	case w.standing[a.ID] != commands.Member:
		return "is no member"
	case !slices.Contains(r.Channels, a.Channel):
		return "is in the wrong channel"
	case slices.Contains(r.Users, a.ID), w.group[a.ID] && len(r.Groups) > 0:
		return ""
	}
	return "is not listed"
}

// claimed lets what is due happen as soon as a proposal is claimed: after the
// click was allowed, before the engine asks again.
type claimed struct {
	commands.Memory
	w *world
}

func (c claimed) ChangeProposal(ctx context.Context, id string, fn func(*commands.Proposal) ([]commands.Event, error)) (commands.Proposal, error) {
	p, err := c.Memory.ChangeProposal(ctx, id, fn)
	if err == nil && (p.State == commands.Applying || p.State == commands.Undoing) && c.w.between != nil {
		happen := c.w.between
		c.w.between = nil
		happen()
	}
	return p, err
}

// ledger is a Memory of what the machine needs, as fast as ten thousand
// sequences want it. The store's own is used as well, for fewer.
type ledger struct {
	commands.Incidents
	mu        sync.Mutex
	events    []commands.Event
	proposals map[string]commands.Proposal
}

func (l *ledger) Append(_ context.Context, events ...commands.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, events...)
	return nil
}

func (l *ledger) Events(context.Context, commands.EventQuery) ([]commands.Event, error) {
	return l.events, nil
}
func (l *ledger) VerifyChain(context.Context) (int, error) { return len(l.events), nil }

func (l *ledger) Propose(_ context.Context, ps []commands.Proposal, events ...commands.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range ps {
		l.proposals[p.ID] = p
	}
	l.events = append(l.events, events...)
	return nil
}

func (l *ledger) ChangeProposal(_ context.Context, id string, fn func(*commands.Proposal) ([]commands.Event, error)) (commands.Proposal, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, ok := l.proposals[id]
	if !ok {
		return p, &commands.Error{Code: commands.CodeMissing, Public: "There is no such proposal."}
	}
	p.Approved = slices.Clone(p.Approved)
	events, err := fn(&p)
	if err != nil {
		return commands.Proposal{}, err
	}
	l.proposals[id] = p
	l.events = append(l.events, events...)
	return p, nil
}

func (l *ledger) ListProposals(_ context.Context, q commands.ProposalQuery) ([]commands.Proposal, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p, ok := l.proposals[q.ID]; ok {
		return []commands.Proposal{p}, nil
	}
	return nil, nil
}

// A machine is one run of the engine in a world.
type machine struct {
	w        *world
	engine   *commands.Engine
	incident string
	ids      []string // of the proposals, in order
}

// place is the one thing that can be changed.
var place = &commands.StepKind{
	Name: "place",
	Read: func(commands.Step) []runners.Probe { return []runners.Probe{{Name: "place", Argv: []string{"get"}}} },
	State: func(_ commands.Step, r []runners.Result) (commands.StepState, string) {
		if r[0].Output.Stdout == "true" {
			return commands.StepDone, "changed"
		}
		return commands.StepPending, "not changed"
	},
	Do:   func(commands.Step) []commands.Action { return set("true") },
	Undo: func(commands.Step) []commands.Action { return set("false") },
}

func set(to string) []commands.Action {
	return []commands.Action{{Command: runners.Probe{Name: "set", Argv: []string{"set", to}}}}
}

// A way is a policy to run the machine with.
type way struct {
	decide func(Request) Decision
	people People
}

func newMachine(memory commands.Memory, incident string, how way) (*machine, error) {
	w := newWorld(memory)
	keeper := New(Options{
		Rule: func(string, commands.Class) commands.Rule { return w.rule }, People: how.people, Directory: w, Now: func() time.Time { return w.now },
	})
	keeper.decide = how.decide
	e, err := commands.New(commands.Options{
		StepKinds: []*commands.StepKind{place}, Shell: w, Sniffer: w, Changer: w, Cloud: w, CloudChanger: w,
		Memory: claimed{memory, w}, Policy: keeper, Now: func() time.Time { return w.now }, Settle: time.Minute,
	})
	return &machine{w: w, engine: e, incident: incident}, err
}

// propose puts a fix on offer, sealed as the engine does it.
func (m *machine) propose(class commands.Class, asker commands.Actor) error {
	id := fmt.Sprintf("fx-%d", len(m.ids))
	rule := m.w.rule
	steps := []commands.Step{{Kind: "place", Node: "node"}}
	m.w.sealed[id] = rule
	m.ids = append(m.ids, id)
	m.w.placed = false
	return m.w.memory.Propose(context.Background(), []commands.Proposal{{
		ID: id, Incident: m.incident, Asker: asker, Fix: "mend", Class: class, Title: "Mend it", Persistent: true, Steps: steps, Hash: commands.PlanHash(steps),
		Undo: []string{"mend it not"}, Approvals: max(1, rule.Needed), Rule: &rule, Created: m.w.now, Expires: m.w.now.Add(rule.Expires), State: commands.Proposed,
	}})
}

// inLedger and inStore are where a machine may remember.
func inLedger() (commands.Memory, string, error) {
	return &ledger{proposals: map[string]commands.Proposal{}}, "inc-1", nil
}

func inStore(t *testing.T) func() (commands.Memory, string, error) {
	t.Helper()
	memory, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "whybot.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if n, err := memory.VerifyChain(context.Background()); err != nil || n == 0 {
			t.Errorf("the journal: %d events, %v", n, err)
		}
		if err := memory.Close(); err != nil {
			t.Error(err)
		}
	})
	n := 0
	return func() (commands.Memory, string, error) {
		n++
		inc, err := memory.OpenIncident(context.Background(), commands.Incident{Opened: noon, Question: commands.Question{Kind: commands.KindDHCP}})
		return renamed{memory, strconv.Itoa(n)}, inc.ID, err
	}
}

// renamed keeps the proposals of one machine apart from those of others in the
// same store.
type renamed struct {
	commands.Memory
	run string
}

func (r renamed) in(p commands.Proposal) commands.Proposal {
	p.ID += "-" + r.run
	return p
}

func (r renamed) out(p commands.Proposal) commands.Proposal {
	p.ID = strings.TrimSuffix(p.ID, "-"+r.run)
	return p
}

func (r renamed) Propose(ctx context.Context, ps []commands.Proposal, events ...commands.Event) error {
	return r.Memory.Propose(ctx, []commands.Proposal{r.in(ps[0])}, events...)
}

func (r renamed) ChangeProposal(ctx context.Context, id string, fn func(*commands.Proposal) ([]commands.Event, error)) (commands.Proposal, error) {
	p, err := r.Memory.ChangeProposal(ctx, id+"-"+r.run, func(p *commands.Proposal) ([]commands.Event, error) {
		*p = r.out(*p)
		events, err := fn(p)
		*p = r.in(*p)
		return events, err
	})
	return r.out(p), err
}

func (r renamed) ListProposals(ctx context.Context, q commands.ProposalQuery) ([]commands.Proposal, error) {
	q.ID += "-" + r.run
	ps, err := r.Memory.ListProposals(ctx, q)
	for i := range ps {
		ps[i] = r.out(ps[i])
	}
	return ps, err
}
