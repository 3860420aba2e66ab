// Package storetest is the contract of commands.Memory and
// commands.Deliveries as a test suite, for any implementation.
package storetest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"whybot/commands"
)

// A Store is what the suite tests.
type Store interface {
	commands.Memory
	commands.Deliveries
}

// A suite is the tests, each of which opens a store of its own.
type suite struct{ open func(t *testing.T) Store }

// Run runs the suite. Open returns a new and empty store, and closes it when
// its test has ended.
func Run(t *testing.T, open func(t *testing.T) Store) {
	t.Helper()
	su := suite{open}
	t.Run("incident ids", su.incidentIDs)
	t.Run("incident as stored", su.incidentAsStored)
	t.Run("change incident", su.changeIncident)
	t.Run("refused change", su.refusedChange)
	t.Run("list incidents", su.listIncidents)
	t.Run("chain", su.chain)
	t.Run("events by time", su.eventsByTime)
	t.Run("events by entity", su.eventsByEntity)
	t.Run("entity comes and goes", su.entityComesAndGoes)
	t.Run("append refused", su.appendRefused)
	t.Run("proposals", su.proposals)
	t.Run("propose refused", su.proposeRefused)
	t.Run("change proposal", su.changeProposal)
	t.Run("one winner", su.oneWinner)
	t.Run("one of an incident", func(t *testing.T) { su.oneAtATime(t, true) })
	t.Run("one on a node", func(t *testing.T) { su.oneAtATime(t, false) })
	t.Run("nothing lost", su.nothingLost)
	t.Run("first delivery", su.first)
	t.Run("cancelled", su.cancelled)
}

// noon is when the tests play.
var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

func must[T any](t *testing.T) func(T, error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t *testing.T, err error, code commands.Code) {
	t.Helper()
	known, is := errors.AsType[*commands.Error](err)
	if !is || known.Code != code || known.Public == "" {
		t.Fatalf("error %v (%T), want a *commands.Error with code %q and a text", err, err, code)
	}
}

func equal[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

// opened opens an incident about entities, minute minutes after noon.
func opened(t *testing.T, s Store, minute int, entities ...string) commands.Incident {
	t.Helper()
	return must[commands.Incident](t)(s.OpenIncident(t.Context(),
		commands.Incident{Opened: noon.Add(time.Duration(minute) * time.Minute), Entities: entities}))
}

// note is an event of incident at minute.
func note(incident, text string, minute int) commands.Event {
	return commands.Event{
		Incident: incident, Kind: commands.EventNote, Text: text, At: noon.Add(time.Duration(minute) * time.Minute),
	}
}

func texts(t *testing.T, s Store, q commands.EventQuery) []string {
	t.Helper()
	got := []string{}
	for _, e := range must[[]commands.Event](t)(s.Events(t.Context(), q)) {
		got = append(got, e.Text)
	}
	return got
}

func ids(t *testing.T, s Store, q commands.IncidentQuery) []string {
	t.Helper()
	got := []string{}
	for _, inc := range must[[]commands.Incident](t)(s.ListIncidents(t.Context(), q)) {
		got = append(got, inc.ID)
	}
	return got
}

func verified(t *testing.T, s Store, want int) {
	t.Helper()
	if n, err := s.VerifyChain(t.Context()); n != want || err != nil {
		t.Fatalf("VerifyChain: %d, %v; want %d events and no error", n, err, want)
	}
}

func (su suite) incidentIDs(t *testing.T) {
	s := su.open(t)
	for i := 1; i <= 3; i++ {
		equal(t, "id", opened(t, s, 0).ID, fmt.Sprintf("inc-%d", i))
	}
	inc := must[commands.Incident](t)(s.OpenIncident(t.Context(), commands.Incident{ID: "inc-1"}))
	equal(t, "id although one was given", inc.ID, "inc-4")
	if inc.Opened.IsZero() {
		t.Error("an incident without a time was stored without one")
	}
}

func (su suite) incidentAsStored(t *testing.T) {
	s := su.open(t)
	inc := commands.Incident{
		Opened:   noon,
		Question: commands.Question{Kind: commands.KindDHCP, Text: "why can't <web-1> get an IP", Subjects: map[string]string{"vm": "web-1"}},
		Asker:    commands.Actor{Via: "slack", ID: "U1", Team: "T1", Name: "A \u202e name\n"},
		Entities: []string{"web-1", "compute01"},
		Verdict:  &commands.Verdict{State: commands.Proven, Cause: "DHCP-01", Edge: &commands.EdgeJSON{From: "a", To: "b", Direction: commands.Reply}},
		Thread:   commands.Thread{Team: "T1", Channel: "C1", Root: "1.2", Parent: "1.1"},
	}
	stored := must[commands.Incident](t)(s.OpenIncident(t.Context(), inc, commands.Event{Kind: commands.EventAsked, Text: "asked"}))
	inc.ID = "inc-1"
	equal(t, "returned", stored, inc)
	equal(t, "listed", must[[]commands.Incident](t)(s.ListIncidents(t.Context(), commands.IncidentQuery{})), []commands.Incident{inc})
	events := must[[]commands.Event](t)(s.Events(t.Context(), commands.EventQuery{Incident: "inc-1"}))
	if len(events) != 1 || events[0].Incident != "inc-1" || events[0].At.IsZero() || events[0].Recorded.IsZero() {
		t.Fatalf("events %+v: want one, of inc-1, with its times", events)
	}
}

func (su suite) changeIncident(t *testing.T) {
	s := su.open(t)
	inc := opened(t, s, 0, "web-1")
	changed := must[commands.Incident](t)(s.ChangeIncident(t.Context(), inc.ID, func(inc *commands.Incident) ([]commands.Event, error) {
		inc.Verdict = &commands.Verdict{State: commands.Unclear, Summary: "first"}
		return []commands.Event{note("", "changed", 1)}, nil
	}))
	inc.Verdict = &commands.Verdict{State: commands.Unclear, Summary: "first"}
	equal(t, "returned", changed, inc)
	equal(t, "events", texts(t, s, commands.EventQuery{Incident: inc.ID}), []string{"changed"})

	_, err := s.ChangeIncident(t.Context(), "inc-99", func(*commands.Incident) ([]commands.Event, error) {
		t.Error("called for an unknown incident")
		return nil, nil
	})
	wantCode(t, err, commands.CodeMissing)
}

func (su suite) refusedChange(t *testing.T) {
	s := su.open(t)
	inc := must[commands.Incident](t)(s.OpenIncident(t.Context(), commands.Incident{
		Opened: noon, Entities: []string{"web-1"}, Verdict: &commands.Verdict{Summary: "first"},
	}))
	refusal := errors.New("no")
	_, err := s.ChangeIncident(t.Context(), inc.ID, func(inc *commands.Incident) ([]commands.Event, error) {
		inc.Entities[0], inc.Verdict.Summary = "web-2", "second"
		return []commands.Event{note("", "lost", 1)}, refusal
	})
	if err != refusal { //nolint:errorlint // the contract is "as it is"
		t.Fatalf("error %v, want the closure's own", err)
	}
	equal(t, "incident", must[[]commands.Incident](t)(s.ListIncidents(t.Context(), commands.IncidentQuery{})), []commands.Incident{inc})
	verified(t, s, 0)

	for name, fn := range map[string]func(*commands.Incident) ([]commands.Event, error){
		"a panic":    func(*commands.Incident) ([]commands.Event, error) { panic("oops") },
		"another id": func(inc *commands.Incident) ([]commands.Event, error) { inc.ID = "inc-7"; return nil, nil },
		"a foreign line": func(*commands.Incident) ([]commands.Event, error) {
			return []commands.Event{note("inc-9", "x", 1)}, nil
		},
	} {
		if _, err := s.ChangeIncident(t.Context(), inc.ID, fn); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	verified(t, s, 0)
}

func (su suite) listIncidents(t *testing.T) {
	s := su.open(t)
	opened(t, s, 10, "web-1", "compute01")
	opened(t, s, 30, "WEB-1")
	opened(t, s, 20, "db-1", "compute01")
	at := func(minute int) time.Time { return noon.Add(time.Duration(minute) * time.Minute) }
	for name, c := range map[string]struct {
		q    commands.IncidentQuery
		want []string
	}{
		"all, newest first":  {commands.IncidentQuery{}, []string{"inc-2", "inc-3", "inc-1"}},
		"limit":              {commands.IncidentQuery{Limit: 2}, []string{"inc-2", "inc-3"}},
		"entity in any case": {commands.IncidentQuery{Entity: "Web-1"}, []string{"inc-2", "inc-1"}},
		"part of an entity":  {commands.IncidentQuery{Entity: "web"}, []string{}},
		"since is within":    {commands.IncidentQuery{Since: at(20)}, []string{"inc-2", "inc-3"}},
		"until is outside":   {commands.IncidentQuery{Until: at(20)}, []string{"inc-1"}},
		"both and entity":    {commands.IncidentQuery{Entity: "compute01", Since: at(11), Until: at(21)}, []string{"inc-3"}},
		"id":                 {commands.IncidentQuery{ID: "inc-3"}, []string{"inc-3"}},
		"id and entity":      {commands.IncidentQuery{ID: "inc-3", Entity: "DB-1"}, []string{"inc-3"}},
		"id of another":      {commands.IncidentQuery{ID: "inc-3", Entity: "web-1"}, []string{}},
		"id of another time": {commands.IncidentQuery{ID: "inc-3", Until: at(20)}, []string{}},
		"unknown id":         {commands.IncidentQuery{ID: "inc-4"}, []string{}},
		"no id at all":       {commands.IncidentQuery{ID: "inc-01 "}, []string{}},
	} {
		t.Run(name, func(t *testing.T) { equal(t, "ids", ids(t, s, c.q), c.want) })
	}
}

// chain states how the hash is computed, so that whoever has the events can
// check them.
func (su suite) chain(t *testing.T) {
	s := su.open(t)
	a, b := opened(t, s, 0), opened(t, s, 1)
	ok(t, s.Append(t.Context(), note(a.ID, "one", 9), note(b.ID, "two", 8)))
	e := note(a.ID, "three", 7)
	e.Seq, e.Prev, e.Hash, e.Recorded = 77, "made", "up", noon
	e.Refs = map[string]string{"node": "n", "cause": "DHCP-01"}
	e.At = e.At.In(time.FixedZone("", 3600))
	ok(t, s.Append(t.Context(), e))
	verified(t, s, 3)

	events := must[[]commands.Event](t)(s.Events(t.Context(), commands.EventQuery{}))
	slices.SortFunc(events, func(a, b commands.Event) int { return int(a.Seq) - int(b.Seq) }) //nolint:gosec // small
	prev := ""
	for i, e := range events {
		equal(t, "seq", e.Seq, uint64(i)+1) // small
		equal(t, "link", e.Prev, prev)
		bare := e
		bare.Hash = ""
		body, err := json.Marshal(bare)
		ok(t, err)
		sum := sha256.Sum256(append([]byte(prev), body...))
		equal(t, "hash", e.Hash, hex.EncodeToString(sum[:]))
		prev = e.Hash
	}
	equal(t, "refs", events[2].Refs, e.Refs)
}

func (su suite) eventsByTime(t *testing.T) {
	s := su.open(t)
	inc := opened(t, s, 0)
	ok(t, s.Append(t.Context(), note(inc.ID, "late", 30), note(inc.ID, "early", 10)))
	ok(t, s.Append(t.Context(), note(inc.ID, "middle", 20), note(inc.ID, "also middle", 20)))
	ok(t, s.Append(t.Context()))
	for name, c := range map[string]struct {
		limit, since, until int
		want                []string
	}{
		"all, oldest first": {0, 0, 99, []string{"early", "middle", "also middle", "late"}},
		"newest two":        {2, 0, 99, []string{"also middle", "late"}},
		"since is within":   {0, 20, 99, []string{"middle", "also middle", "late"}},
		"until is outside":  {0, 0, 20, []string{"early"}},
		"newest before":     {1, 0, 30, []string{"also middle"}},
		"none":              {0, 11, 20, []string{}},
	} {
		q := commands.EventQuery{
			Limit: c.limit, Since: noon.Add(time.Duration(c.since) * time.Minute), Until: noon.Add(time.Duration(c.until) * time.Minute),
		}
		t.Run(name, func(t *testing.T) {
			equal(t, "events", texts(t, s, q), c.want)
			q.Incident = inc.ID
			equal(t, "events of the incident", texts(t, s, q), c.want)
		})
	}
	equal(t, "no bounds", texts(t, s, commands.EventQuery{}), []string{"early", "middle", "also middle", "late"})
}

func (su suite) eventsByEntity(t *testing.T) {
	s := su.open(t)
	a, b := opened(t, s, 0, "web-1", "compute01", "Web-1"), opened(t, s, 0, "web-10", "COMPUTE01")
	ok(t, s.Append(t.Context(), note(a.ID, "a1", 1), note(b.ID, "b1", 2), note(a.ID, "a2", 3)))
	for name, c := range map[string]struct {
		q    commands.EventQuery
		want []string
	}{
		"of one":              {commands.EventQuery{Entity: "WEB-1"}, []string{"a1", "a2"}},
		"of both":             {commands.EventQuery{Entity: "Compute01"}, []string{"a1", "b1", "a2"}},
		"newest":              {commands.EventQuery{Entity: "compute01", Limit: 2}, []string{"b1", "a2"}},
		"and incident":        {commands.EventQuery{Entity: "compute01", Incident: b.ID}, []string{"b1"}},
		"of another incident": {commands.EventQuery{Entity: "web-1", Incident: b.ID}, []string{}},
		"unknown":             {commands.EventQuery{Entity: "web"}, []string{}},
		"unknown incident":    {commands.EventQuery{Incident: "inc-99"}, []string{}},
	} {
		t.Run(name, func(t *testing.T) { equal(t, "events", texts(t, s, c.q), c.want) })
	}
}

func (su suite) entityComesAndGoes(t *testing.T) {
	s := su.open(t)
	inc := opened(t, s, 0, "web-1")
	ok(t, s.Append(t.Context(), note(inc.ID, "before", 1)))
	name := func(entities ...string) {
		t.Helper()
		must[commands.Incident](t)(s.ChangeIncident(t.Context(), inc.ID, func(inc *commands.Incident) ([]commands.Event, error) {
			inc.Entities = entities
			return []commands.Event{note("", "with", 2)}, nil
		}))
	}
	name("web-1", "port-7")
	equal(t, "by the new name", texts(t, s, commands.EventQuery{Entity: "PORT-7"}), []string{"before", "with"})
	equal(t, "incidents by the new name", ids(t, s, commands.IncidentQuery{Entity: "PORT-7"}), []string{inc.ID})
	name("port-7")
	equal(t, "by the lost name", texts(t, s, commands.EventQuery{Entity: "web-1"}), []string{})
	equal(t, "incidents by the lost name", ids(t, s, commands.IncidentQuery{Entity: "web-1"}), []string{})
	equal(t, "by the name kept", texts(t, s, commands.EventQuery{Entity: "port-7"}), []string{"before", "with", "with"})
	verified(t, s, 3)
}

func (su suite) appendRefused(t *testing.T) {
	s := su.open(t)
	inc := opened(t, s, 0)
	for _, id := range []string{"", "inc-9", "inc-01", "inc-+1", "INC-1", "x\x00y"} {
		wantCode(t, s.Append(t.Context(), note(inc.ID, "good", 1), note(id, "bad", 1)), commands.CodeMissing)
	}
	if err := s.Append(t.Context(), commands.Event{Incident: inc.ID, At: time.Date(10001, 1, 1, 0, 0, 0, 0, time.UTC)}); err == nil {
		t.Error("a year that JSON does not know was taken")
	}
	verified(t, s, 0)
}

// proposal is proposal id of incident, made at minute.
func proposal(id, incident string, minute int) commands.Proposal {
	return commands.Proposal{
		ID: id, Incident: incident, State: commands.Proposed, Created: noon.Add(time.Duration(minute) * time.Minute),
		Expires: noon.Add(time.Hour), Steps: []commands.Step{{Kind: "rule", Node: "n", Args: map[string]string{"a": "b"}}},
		Approvals: 1, Commands: []string{"n: true"},
	}
}

func proposalIDs(t *testing.T, s Store, q commands.ProposalQuery) []string {
	t.Helper()
	got := []string{}
	for _, p := range must[[]commands.Proposal](t)(s.ListProposals(t.Context(), q)) {
		got = append(got, p.ID)
	}
	return got
}

func (su suite) proposals(t *testing.T) {
	s := su.open(t)
	a, b := opened(t, s, 0), opened(t, s, 0)
	ok(t, s.Propose(t.Context(), []commands.Proposal{proposal("fx-z", a.ID, 1), proposal("fx-a", a.ID, 1)}, note("", "proposed", 1)))
	ok(t, s.Propose(t.Context(), []commands.Proposal{proposal("fx-m", b.ID, 2)}))
	must[commands.Proposal](t)(s.ChangeProposal(t.Context(), "fx-a", func(p *commands.Proposal) ([]commands.Event, error) {
		p.State = commands.Applying
		return nil, nil
	}))
	for name, c := range map[string]struct {
		q    commands.ProposalQuery
		want []string
	}{
		"all, oldest first":  {commands.ProposalQuery{}, []string{"fx-z", "fx-a", "fx-m"}},
		"incident":           {commands.ProposalQuery{Incident: a.ID}, []string{"fx-z", "fx-a"}},
		"state":              {commands.ProposalQuery{State: commands.Proposed}, []string{"fx-z", "fx-m"}},
		"state and incident": {commands.ProposalQuery{State: commands.Proposed, Incident: a.ID}, []string{"fx-z"}},
		"id":                 {commands.ProposalQuery{ID: "fx-m"}, []string{"fx-m"}},
		"id in other state":  {commands.ProposalQuery{ID: "fx-m", State: commands.Applied}, []string{}},
		"id of another":      {commands.ProposalQuery{ID: "fx-m", Incident: a.ID}, []string{}},
		"unknown":            {commands.ProposalQuery{ID: "fx-"}, []string{}},
	} {
		t.Run(name, func(t *testing.T) { equal(t, "ids", proposalIDs(t, s, c.q), c.want) })
	}
	got := must[[]commands.Proposal](t)(s.ListProposals(t.Context(), commands.ProposalQuery{ID: "fx-m"}))
	equal(t, "proposal", got, []commands.Proposal{proposal("fx-m", b.ID, 2)})
	equal(t, "events", texts(t, s, commands.EventQuery{Incident: a.ID}), []string{"proposed"})
}

func (su suite) proposeRefused(t *testing.T) {
	s := su.open(t)
	inc := opened(t, s, 0)
	good := proposal("fx-1", inc.ID, 1)
	ok(t, s.Propose(t.Context(), []commands.Proposal{good}))
	for name, bad := range map[string][]commands.Proposal{
		"id taken":         {proposal("fx-2", inc.ID, 1), good},
		"id twice":         {proposal("fx-2", inc.ID, 1), proposal("fx-2", inc.ID, 1)},
		"no id":            {proposal("", inc.ID, 1)},
		"unknown incident": {proposal("fx-2", "inc-9", 1)},
	} {
		if err := s.Propose(t.Context(), bad, note(inc.ID, name, 1)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if err := s.Propose(t.Context(), []commands.Proposal{proposal("fx-3", inc.ID, 1)}, note("inc-9", "lost", 1)); err == nil {
		t.Error("an event of an unknown incident was taken")
	}
	equal(t, "ids", proposalIDs(t, s, commands.ProposalQuery{}), []string{"fx-1"})
	verified(t, s, 0)
}

func (su suite) changeProposal(t *testing.T) {
	s := su.open(t)
	inc := opened(t, s, 0)
	ok(t, s.Propose(t.Context(), []commands.Proposal{proposal("fx-1", inc.ID, 1)}))
	changed := must[commands.Proposal](t)(s.ChangeProposal(t.Context(), "fx-1", func(p *commands.Proposal) ([]commands.Event, error) {
		p.State, p.Approved = commands.Applying, []commands.Actor{{Via: "terminal", ID: "op"}}
		return []commands.Event{note("", "applying", 1)}, nil
	}))
	equal(t, "listed", must[[]commands.Proposal](t)(s.ListProposals(t.Context(), commands.ProposalQuery{})), []commands.Proposal{changed})
	equal(t, "state", changed.State, commands.Applying)

	refusal := &commands.Error{Code: commands.CodeGone, Public: "Too late."}
	_, err := s.ChangeProposal(t.Context(), "fx-1", func(p *commands.Proposal) ([]commands.Event, error) {
		p.State, p.Steps[0].Args["a"] = commands.Applied, "changed"
		return []commands.Event{note("", "lost", 1)}, refusal
	})
	if err != error(refusal) { //nolint:errorlint // the contract is "as it is"
		t.Fatalf("error %v, want the closure's own", err)
	}
	for name, fn := range map[string]func(*commands.Proposal) ([]commands.Event, error){
		"a panic":          func(*commands.Proposal) ([]commands.Event, error) { panic("oops") },
		"another id":       func(p *commands.Proposal) ([]commands.Event, error) { p.ID = "fx-2"; return nil, nil },
		"another incident": func(p *commands.Proposal) ([]commands.Event, error) { p.Incident = "inc-2"; return nil, nil },
	} {
		if _, err := s.ChangeProposal(t.Context(), "fx-1", fn); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	equal(t, "after refusals", must[[]commands.Proposal](t)(s.ListProposals(t.Context(), commands.ProposalQuery{})), []commands.Proposal{changed})
	equal(t, "events", texts(t, s, commands.EventQuery{Incident: inc.ID}), []string{"applying"})
	_, err = s.ChangeProposal(t.Context(), "fx-9", func(*commands.Proposal) ([]commands.Event, error) { return nil, nil })
	wantCode(t, err, commands.CodeMissing)
}

// oneAtATime lets two fixes of one incident, or of one node, set out at once: one does, and
// the other when that one has arrived.
func (su suite) oneAtATime(t *testing.T, sameIncident bool) {
	t.Helper()
	s := su.open(t)
	on := func(p commands.Proposal, node string) commands.Proposal {
		p.Steps = []commands.Step{{Kind: "cell", Node: node}}
		return p
	}
	set := func(id string, state commands.ProposalState) error {
		_, err := s.ChangeProposal(t.Context(), id, func(p *commands.Proposal) ([]commands.Event, error) {
			p.State = state
			return nil, nil
		})
		return err
	}
	for round := range 200 {
		inc := opened(t, s, round)
		pair := []string{fmt.Sprintf("fx-%d-a", round), fmt.Sprintf("fx-%d-b", round)}
		if sameIncident {
			ok(t, s.Propose(t.Context(), []commands.Proposal{on(proposal(pair[0], inc.ID, 1), "compute01"), on(proposal(pair[1], inc.ID, 1), "controller01")}))
		} else {
			other := opened(t, s, round)
			ok(t, s.Propose(t.Context(), []commands.Proposal{on(proposal(pair[0], inc.ID, 1), "compute01")}))
			ok(t, s.Propose(t.Context(), []commands.Proposal{on(proposal(pair[1], other.ID, 1), "compute01")}))
			stranger := on(proposal(pair[0]+"-far", other.ID, 1), "compute02")
			stranger.Incident = opened(t, s, round).ID
			ok(t, s.Propose(t.Context(), []commands.Proposal{stranger}))
			ok(t, set(stranger.ID, commands.Applying)) // it stands in nobody's way
			ok(t, set(stranger.ID, commands.Failed))
		}
		states := []commands.ProposalState{commands.Applying, commands.Undoing}
		var errs [2]error
		var callers sync.WaitGroup
		for i, id := range pair {
			callers.Go(func() { errs[i] = set(id, states[(i+round)%2]) })
		}
		callers.Wait()
		won, lost := 0, 1
		if errs[won] != nil {
			won, lost = 1, 0
		}
		ok(t, errs[won])
		wantCode(t, errs[lost], commands.CodeGone)
		ok(t, set(pair[won], commands.Undoing)) // it may go on itself
		ok(t, set(pair[won], commands.Undone))
		ok(t, set(pair[lost], commands.Applying))
		ok(t, set(pair[lost], commands.Failed))
	}
	verified(t, s, 0)
}

// oneWinner lets a hundred callers claim a proposal at once.
func (su suite) oneWinner(t *testing.T) {
	s := su.open(t)
	inc := opened(t, s, 0)
	ok(t, s.Propose(t.Context(), []commands.Proposal{proposal("fx-1", inc.ID, 1)}))
	taken := errors.New("taken")
	var inside, winners, losers atomic.Int32
	var callers sync.WaitGroup
	for range 100 {
		callers.Go(func() {
			_, err := s.ChangeProposal(t.Context(), "fx-1", func(p *commands.Proposal) ([]commands.Event, error) {
				if inside.Add(1) != 1 {
					t.Error("two closures for one proposal at once")
				}
				defer inside.Add(-1)
				if p.State != commands.Proposed {
					return nil, taken
				}
				p.State = commands.Applying
				return []commands.Event{note("", "won", 1)}, nil
			})
			switch {
			case err == nil:
				winners.Add(1)
			case errors.Is(err, taken):
				losers.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	callers.Wait()
	if winners.Load() != 1 || losers.Load() != 99 {
		t.Fatalf("%d winners and %d losers, want 1 and 99", winners.Load(), losers.Load())
	}
	verified(t, s, 1)
}

// nothingLost mixes writes that are taken with some that are refused.
func (su suite) nothingLost(t *testing.T) {
	s := su.open(t)
	const writers, each = 20, 10
	inc := opened(t, s, 0, "web-1")
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for i := range each {
				if err := s.Append(t.Context(), note(inc.ID, fmt.Sprintf("%d/%d", w, i), 1)); err != nil {
					t.Error(err)
				}
				if err := s.Append(t.Context(), note(inc.ID, "refused", 1), note("inc-9", "refused", 1)); err == nil {
					t.Error("an event of an unknown incident was taken")
				}
			}
		})
	}
	group.Wait()
	verified(t, s, writers*each)
	got := map[string]int{}
	for _, text := range texts(t, s, commands.EventQuery{Entity: "web-1"}) {
		got[text]++
	}
	if len(got) != writers*each {
		t.Fatalf("%d different events, want %d", len(got), writers*each)
	}
}

func (su suite) first(t *testing.T) {
	s := su.open(t)
	for i, key := range []string{"a", "b", "", "a\x00", string(make([]byte, 1<<20))} {
		if !must[bool](t)(s.First(t.Context(), key)) {
			t.Errorf("key %d: the first delivery was taken for a repeated one", i)
		}
		if must[bool](t)(s.First(t.Context(), key)) {
			t.Errorf("key %d: a repeated delivery was taken for the first", i)
		}
	}
	var firsts atomic.Int32
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			if first, err := s.First(t.Context(), "at once"); err != nil {
				t.Error(err)
			} else if first {
				firsts.Add(1)
			}
		})
	}
	group.Wait()
	equal(t, "first deliveries of 50 at once", firsts.Load(), 1)
}

// cancelled checks that a context that is done changes nothing.
func (su suite) cancelled(t *testing.T) {
	s := su.open(t)
	inc := opened(t, s, 0)
	ok(t, s.Propose(t.Context(), []commands.Proposal{proposal("fx-1", inc.ID, 1)}))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	late := note(inc.ID, "late", 1)
	never := func() { t.Error("a closure was called") }
	calls := map[string]func() error{
		"OpenIncident": func() error { _, err := s.OpenIncident(ctx, commands.Incident{}, late); return err },
		"Append":       func() error { return s.Append(ctx, late) },
		"Propose":      func() error { return s.Propose(ctx, []commands.Proposal{proposal("fx-2", inc.ID, 1)}) },
		"First":        func() error { _, err := s.First(ctx, "key"); return err },
		"ChangeIncident": func() error {
			_, err := s.ChangeIncident(ctx, inc.ID, func(*commands.Incident) ([]commands.Event, error) { never(); return nil, nil })
			return err
		},
		"ChangeProposal": func() error {
			_, err := s.ChangeProposal(ctx, "fx-1", func(*commands.Proposal) ([]commands.Event, error) { never(); return nil, nil })
			return err
		},
		"Events":        func() error { _, err := s.Events(ctx, commands.EventQuery{}); return err },
		"ListIncidents": func() error { _, err := s.ListIncidents(ctx, commands.IncidentQuery{}); return err },
		"ListProposals": func() error { _, err := s.ListProposals(ctx, commands.ProposalQuery{}); return err },
		"VerifyChain":   func() error { _, err := s.VerifyChain(ctx); return err },
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: error %v, want context.Canceled", name, err)
		}
	}
	verified(t, s, 0)
	equal(t, "incidents", ids(t, s, commands.IncidentQuery{}), []string{inc.ID})
	equal(t, "proposals", proposalIDs(t, s, commands.ProposalQuery{}), []string{"fx-1"})
	if !must[bool](t)(s.First(t.Context(), "key")) {
		t.Error("a delivery was recorded")
	}
}
