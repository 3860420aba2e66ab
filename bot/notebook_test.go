package bot_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"

	"whybot/commands"
)

// notebook is a commands.Memory and commands.Deliveries in a JSON file. It is
// read anew by whoever opens it, so that nothing but what was written survives
// a restart.
type notebook struct {
	path string

	mu       sync.Mutex
	page     page
	failNext int // calls of First that fail
}

type page struct {
	Incidents  []commands.Incident
	Events     []commands.Event
	Proposals  []commands.Proposal
	Deliveries map[string]bool
}

func openNotebook(t *testing.T, path string) *notebook {
	t.Helper()
	n := &notebook{path: path, page: page{Deliveries: map[string]bool{}}}
	raw, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(raw, &n.page)
	}
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return n
}

func (n *notebook) save() error {
	raw, err := json.Marshal(n.page)
	if err != nil {
		return err
	}
	return os.WriteFile(n.path, raw, 0o600)
}

func (n *notebook) log(incident string, events []commands.Event) {
	for _, e := range events {
		e.Seq, e.Incident = uint64(len(n.page.Events)+1), cmp.Or(e.Incident, incident)
		n.page.Events = append(n.page.Events, e)
	}
}

func missing(what, id string) error {
	return &commands.Error{Code: commands.CodeMissing, Public: fmt.Sprintf("There is no %s %q.", what, id)}
}

// copied passes v through JSON, so that nobody holds what is stored.
func copied[T any](v T) T {
	var out T
	raw, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(raw, &out)
	}
	if err != nil {
		panic(err)
	}
	return out
}

func (n *notebook) OpenIncident(_ context.Context, inc commands.Incident, events ...commands.Event) (commands.Incident, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	inc.ID = fmt.Sprintf("inc-%d", len(n.page.Incidents)+1)
	n.page.Incidents = append(n.page.Incidents, copied(inc))
	n.log(inc.ID, events)
	return inc, n.save()
}

func (n *notebook) ChangeIncident(_ context.Context, id string, fn func(*commands.Incident) ([]commands.Event, error)) (commands.Incident, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	i := slices.IndexFunc(n.page.Incidents, func(x commands.Incident) bool { return x.ID == id })
	if i < 0 {
		return commands.Incident{}, missing("incident", id)
	}
	inc := copied(n.page.Incidents[i])
	events, err := fn(&inc)
	if err != nil {
		return commands.Incident{}, err
	}
	n.page.Incidents[i] = copied(inc)
	n.log(id, events)
	return inc, n.save()
}

func (n *notebook) ListIncidents(_ context.Context, q commands.IncidentQuery) ([]commands.Incident, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []commands.Incident
	for _, inc := range slices.Backward(n.page.Incidents) {
		if (q.ID == "" || inc.ID == q.ID) && !inc.Opened.Before(q.Since) {
			out = append(out, copied(inc))
		}
	}
	return out, nil
}

func (n *notebook) Append(_ context.Context, events ...commands.Event) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.log("", events)
	return n.save()
}

func (n *notebook) Events(_ context.Context, q commands.EventQuery) ([]commands.Event, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	about := map[string]bool{}
	for _, inc := range n.page.Incidents {
		about[inc.ID] = slices.Contains(inc.Entities, q.Entity)
	}
	var out []commands.Event
	for _, e := range n.page.Events {
		if (q.Incident == "" || e.Incident == q.Incident) && (q.Entity == "" || about[e.Incident]) {
			out = append(out, e)
		}
	}
	if q.Limit > 0 && len(out) > q.Limit {
		out = out[len(out)-q.Limit:]
	}
	return out, nil
}

func (n *notebook) VerifyChain(context.Context) (int, error) { return 0, nil }

func (n *notebook) Propose(_ context.Context, ps []commands.Proposal, events ...commands.Event) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.page.Proposals = append(n.page.Proposals, copied(ps)...)
	n.log(ps[0].Incident, events)
	return n.save()
}

func (n *notebook) ChangeProposal(_ context.Context, id string, fn func(*commands.Proposal) ([]commands.Event, error)) (commands.Proposal, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	i := slices.IndexFunc(n.page.Proposals, func(x commands.Proposal) bool { return x.ID == id })
	if i < 0 {
		return commands.Proposal{}, missing("fix", id)
	}
	p := copied(n.page.Proposals[i])
	events, err := fn(&p)
	if err != nil {
		return commands.Proposal{}, err
	}
	n.page.Proposals[i] = copied(p)
	n.log(p.Incident, events)
	return p, n.save()
}

func (n *notebook) ListProposals(_ context.Context, q commands.ProposalQuery) ([]commands.Proposal, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []commands.Proposal
	for _, p := range n.page.Proposals {
		if (q.ID == "" || p.ID == q.ID) && (q.Incident == "" || p.Incident == q.Incident) && (q.State == "" || p.State == q.State) {
			out = append(out, copied(p))
		}
	}
	return out, nil
}

func (n *notebook) First(_ context.Context, key string) (bool, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.failNext > 0 {
		n.failNext--
		return false, fmt.Errorf("the disk is full")
	}
	if n.page.Deliveries[key] {
		return false, nil
	}
	n.page.Deliveries[key] = true
	return true, n.save()
}

// refuse makes the next calls of First fail.
func (n *notebook) refuse(times int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.failNext = times
}
