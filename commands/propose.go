package commands

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"log/slog"
	"slices"
	"strings"
)

// propose turns the suggestions of proven findings into sealed proposals. A
// fix that cannot be planned becomes a line of advice of its finding. Nothing
// is offered unless the verdict itself is proven: a fix for what is only
// probable, or for what does no harm now, is a wrong fix.
func (e *Engine) propose(inc Incident, pass *Pass, a *Answer) []Proposal {
	if a.Verdict.State != Proven {
		return nil
	}
	var all []Proposal
	for i := range a.Findings {
		f := &a.Findings[i]
		if f.State != Proven || f.Aside && !isRoot(*f, a) || followsFrom(*f, a.Verdict.Cause, a.Findings) {
			continue
		}
		for _, s := range f.Fixes {
			p, err := e.plan(inc, pass, *f, s)
			if err != nil {
				f.Advice = append(f.Advice, "Not offered: "+Public(err))
				continue
			}
			if !slices.ContainsFunc(all, func(q Proposal) bool { return q.Hash == p.Hash }) {
				all = append(all, p)
			}
		}
	}
	return all
}

// isRoot reports whether f, which stops nothing by itself, is what the verdict
// names: it explains something that is found. The same is wrong on other nodes
// without being the cause.
func isRoot(f Finding, a *Answer) bool {
	return f.Cause == a.Verdict.Cause && slices.ContainsFunc(a.Findings, func(e Finding) bool { return e.State == Proven && f.explains(e) })
}

// followsFrom reports whether f comes of the cause named: mending the one leaves
// the other as it is, and it comes back.
func followsFrom(f Finding, cause string, all []Finding) bool {
	return slices.ContainsFunc(all, func(g Finding) bool { return g.Cause == cause && g.explains(f) })
}

// plan makes one proposal.
func (e *Engine) plan(inc Incident, pass *Pass, f Finding, s Suggestion) (Proposal, error) {
	steps, err := s.Fix.Plan(pass, s)
	if err != nil {
		return Proposal{}, err
	}
	rule := e.o.Policy.Rule(s.Fix.Name, s.Fix.Class)
	p := Proposal{
		ID: newProposalID(), Incident: inc.ID, Asker: inc.Asker, Fix: s.Fix.Name, Class: s.Fix.Class, Title: s.Fix.Title(s),
		Cause: f.Cause, Exchange: f.Exchange, Edge: f.Edge.JSON(), Persistent: s.Fix.Persistent, Steps: steps, Hash: PlanHash(steps),
		Approvals: max(1, rule.Needed), Rule: &rule, Created: e.o.Now(), State: Proposed, Held: pass.guestHolds(),
	}
	p.Expires = p.Created.Add(cmp.Or(rule.Expires, e.o.Expires))
	if s.Fix.Touches != nil {
		p.Touches = s.Fix.Touches(pass, s)
	}
	for _, step := range steps {
		kind, ok := e.kinds[step.Kind]
		if !ok {
			return Proposal{}, internalf(fmt.Errorf("no step kind %q", step.Kind), "planning %s", s.Fix.Name)
		}
		p.Commands = append(p.Commands, shown(step, kind.Do(step))...)
		p.Undo = append(shown(step, kind.Undo(step)), p.Undo...)
	}
	return p, nil
}

// shown returns actions as a person would type them, with the node in front.
func shown(s Step, actions []Action) []string {
	lines := make([]string, 0, len(actions))
	for _, a := range actions {
		if a.Call != nil {
			lines = append(lines, a.String())
			continue
		}
		lines = append(lines, s.Node+"# "+a.String())
	}
	return lines
}

// newProposalID returns an unguessable id: 80 random bits.
func newProposalID() string {
	b := make([]byte, 10)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return "fx-" + strings.ToLower(base32.StdEncoding.EncodeToString(b))
}

// record writes an answer to the timeline and stores its proposals.
func (e *Engine) record(ctx context.Context, inc Incident, a Answer, pass *Pass) error {
	ctx = context.WithoutCancel(ctx) // what was found is kept even if the asker has gone
	_, err := e.o.Memory.ChangeIncident(ctx, inc.ID, func(stored *Incident) ([]Event, error) {
		stored.Verdict = &a.Verdict
		stored.Entities = entities(stored.Entities, pass)
		return e.answerEvents(a, pass), nil
	})
	if err != nil || len(a.Fixes) == 0 {
		return err
	}
	events := make([]Event, 0, len(a.Fixes))
	for _, p := range a.Fixes {
		events = append(events, Event{
			Incident: inc.ID, Kind: EventProposed, At: e.o.Now(), Text: p.Title,
			Refs: map[string]string{"proposal": p.ID, "fix": p.Fix, "plan": p.Hash, "class": string(p.Class)},
		})
	}
	return e.o.Memory.Propose(ctx, a.Fixes, events...)
}

// entities adds what the pass is about to the names an incident is found by.
func entities(known []string, pass *Pass) []string {
	names := append([]string{pass.Server.Name, pass.Server.ID, pass.Port.Port.ID, pass.Port.Network.Name}, pass.Path.Nodes()...)
	if pass.Volume != nil {
		names = pass.volumeEntities()
	}
	if pass.Console != nil {
		names = pass.consoleEntities()
	}
	for _, n := range names {
		if n != "" && !slices.Contains(known, n) {
			known = append(known, n)
		}
	}
	return known
}

func (e *Engine) answerEvents(a Answer, pass *Pass) []Event {
	now := e.o.Now()
	places := pass.nodes()
	if pass.Volume != nil || pass.Console != nil {
		places = append([]string{"OpenStack"}, places...)
	}
	looked := "read " + strings.Join(places, ", ")
	if pass.Packets != nil {
		looked += fmt.Sprintf("; listened on %d hops for %.1f s", len(pass.Packets.Seen), pass.Packets.Took.Seconds())
	}
	events := []Event{{Kind: EventObserved, At: now, Text: looked}}
	for _, f := range a.Findings {
		events = append(events, Event{
			Kind: EventFound, At: now, Text: fmt.Sprintf("%s (%s): %s", f.Cause, f.State, f.Summary),
			Refs: map[string]string{"cause": f.Cause, "node": f.Node},
		})
	}
	refs := map[string]string{"state": string(a.Verdict.State)}
	if a.Verdict.Cause != "" {
		refs["cause"] = a.Verdict.Cause
	}
	if ed := a.Verdict.Edge; ed != nil {
		refs["edge"] = ed.From + " -> " + ed.To + " (" + string(ed.Direction) + ")"
	}
	return append(events, Event{Kind: EventVerdict, At: now, Text: a.Verdict.Summary, Refs: refs})
}

// note appends one event; a store that cannot take it is logged, because the
// caller already has something more important to say.
func (e *Engine) note(ctx context.Context, incident string, kind EventKind, text string, refs map[string]string) {
	ev := Event{Incident: incident, Kind: kind, At: e.o.Now(), Text: text, Refs: refs}
	if err := e.o.Memory.Append(context.WithoutCancel(ctx), ev); err != nil {
		e.o.Log.Error("event lost", slog.String("incident", incident), slog.String("kind", string(kind)), slog.Any("error", err))
	}
}
