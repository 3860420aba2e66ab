package report_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"whybot/commands"
	"whybot/commands/report"
)

var update = flag.Bool("update", false, "rewrite testdata/*.golden")

// golden compares got with a file.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s (run with -update to rewrite it):\n%s\nwant:\n%s", file, got, want)
	}
}

var at = time.Date(2026, 11, 23, 15, 48, 39, 0, time.UTC)

// sample is an answer that has something in every field.
func sample() commands.Answer {
	tap := commands.Hop{Node: "compute01", Device: "tap3d1c2f4a-0b", Kind: commands.HopTap}
	brq := commands.Hop{Node: "controller01", Device: "brq91e78b9c-cf", Kind: commands.HopBridge}
	seg := commands.Hop{Node: "controller01", Device: "eth3.3092", Kind: commands.HopSegment}
	edge := commands.Edge{From: brq, To: seg, Direction: commands.Reply}
	return commands.Answer{
		Incident: "inc-17", VM: "web-1", Took: 1840 * time.Millisecond,
		Question: commands.Question{Kind: commands.KindDHCP, Text: "why can't web-1 get an IP", Subjects: map[string]string{"vm": "web-1"}},
		Verdict: commands.Verdict{
			State: commands.Proven, Cause: "DHCP-01", Title: "A REJECT rule in FORWARD drops the DHCP packets",
			Summary: "rule 2 of FORWARD on controller01 drops the DHCP reply; its counter grew by 3 while 3 frames were lost there",
			Edge:    edge.JSON(),
		},
		Path: []commands.HopSeen{
			{Hop: tap, Observed: true, Requests: 3},
			{Hop: seg, Observed: true, Requests: 3},
			{Hop: brq, Why: "tcpdump is not installed"},
		},
		Findings: []commands.Finding{
			{
				Cause: "DHCP-01", Title: "A REJECT rule in FORWARD drops the DHCP packets", State: commands.Proven, Node: "controller01", Edge: edge,
				Summary:  "rule 2 of FORWARD on controller01 drops the DHCP reply",
				Evidence: []commands.Evidence{{Source: "controller01: iptables-save -c", Text: "[3:996] -A FORWARD -j REJECT\n"}},
				Advice:   []string{"Do not restart iptables on controller01."},
			},
			{Cause: "DHCP-10", Title: "A link is down", State: commands.Probable, Node: "compute01", Summary: "eth3 flaps", Missing: "its counters", Evidence: []commands.Evidence{}},
		},
		Fixes:   []commands.Proposal{proposal()},
		Unknown: []commands.Blind{{What: "packets at controller01/brq91e78b9c-cf", Why: "tcpdump is not installed"}},
		Checked: []commands.Check{
			{At: commands.Hop{Node: "compute01"}, What: "the firewall lets the request pass", Source: "iptables-save"},
			{At: commands.Hop{Node: "compute01"}, What: "the tap is up", Source: "ip link"},
			{At: commands.Hop{Node: "controller01"}, What: "dnsmasq runs", Source: "ps"},
		},
		Notes: []string{"Neutron counts the DHCP agent on controller02 as dead."},
	}
}

func proposal() commands.Proposal {
	return commands.Proposal{
		ID: "fx-ab2cd3ef4gh5ij6k", Incident: "inc-17", Fix: "physdev-accept", Class: commands.F1, Title: "Accept DHCP of tap004b787f-9b on controller01",
		Cause: "DHCP-01", Hash: strings.Repeat("0f", 32), Approvals: 1, State: commands.Proposed, Created: at, Expires: at.Add(30 * time.Minute),
		Commands: []string{"controller01# iptables -w 5 -I FORWARD 2 -m physdev --physdev-in tap004b787f-9b --physdev-is-bridged -j ACCEPT"},
		Undo:     []string{"controller01# iptables -w 5 -D FORWARD -m physdev --physdev-in tap004b787f-9b --physdev-is-bridged -j ACCEPT"},
		Touches:  []string{"Only frames of bridge port tap004b787f-9b on controller01."},
	}
}

// healthy is an answer with as little in it as one can have.
func healthy() commands.Answer {
	return commands.Answer{
		Incident: "inc-18", VM: "web-1", Question: commands.Question{Kind: commands.KindDHCP, Text: "web-1?", Subjects: map[string]string{}},
		Verdict: commands.Verdict{State: commands.Healthy, Title: "The guest gets its address", Summary: "DHCP works for web-1."},
	}
}

func answerJSON(t *testing.T, a commands.Answer) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := report.AnswerJSON(&out, a); err != nil {
		t.Fatal(err)
	}
	if bytes.Count(out.Bytes(), []byte("\n")) != 1 {
		t.Errorf("it is not one line: %q", out.String())
	}
	return out.Bytes()
}

func indented(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := json.Indent(&out, b, "", "  "); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	return out.Bytes()
}

func TestAnswerJSON(t *testing.T) {
	golden(t, "answer.json", indented(t, answerJSON(t, sample())))
	golden(t, "healthy.json", indented(t, answerJSON(t, healthy())))
}

// TestAnswerJSONContract holds the keys that programs outside rely on, with
// the JSON type of each. Further keys may be added, none may go.
func TestAnswerJSONContract(t *testing.T) {
	contract := map[string]string{
		"incident": "string", "question.kind": "string", "question.text": "string", "question.subjects.vm": "string",
		"verdict.state": "string", "verdict.cause": "string", "verdict.title": "string", "verdict.summary": "string",
		"verdict.edge.from": "string", "verdict.edge.to": "string", "verdict.edge.direction": "string",
		"path.0.node": "string", "path.0.device": "string", "path.0.observed": "bool", "path.0.requests": "float64", "path.0.replies": "float64",
		"findings.0.cause": "string", "findings.0.state": "string", "findings.0.node": "string", "findings.0.summary": "string",
		"findings.0.evidence.0.source": "string", "findings.0.evidence.0.text": "string",
		"fixes.0.id": "string", "fixes.0.name": "string", "fixes.0.class": "string", "fixes.0.title": "string", "fixes.0.approvals": "float64",
		"fixes.0.commands.0": "string", "fixes.0.undo.0": "string", "fixes.0.persistent": "bool",
		"unknown.0.what": "string", "unknown.0.why": "string", "took_ms": "float64",
	}
	var tree any
	if err := json.Unmarshal(answerJSON(t, sample()), &tree); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	flatten(tree, "", got)
	for _, key := range slices.Sorted(maps.Keys(contract)) {
		if got[key] != contract[key] {
			t.Errorf("%s is %q, want %s", key, got[key], contract[key])
		}
	}
	if v := tree.(map[string]any)["took_ms"]; v != 1840.0 {
		t.Errorf("took_ms is %v", v)
	}
}

func flatten(v any, at string, into map[string]string) {
	join := func(key string) string { return strings.TrimPrefix(at+"."+key, ".") }
	switch v := v.(type) {
	case map[string]any:
		for k, inner := range v {
			flatten(inner, join(k), into)
		}
	case []any:
		for i, inner := range v {
			flatten(inner, join(fmt.Sprint(i)), into)
		}
	default:
		into[at] = fmt.Sprintf("%T", v)
	}
}

// A list that is empty is an empty list, never null: programs iterate over it.
func TestAnswerJSONHasNoNull(t *testing.T) {
	bare := sample()
	bare.Findings[0].Evidence = nil
	bare.Fixes[0].Undo, bare.Fixes[0].Commands = nil, nil
	bare.Question.Subjects = nil
	for name, a := range map[string]commands.Answer{"healthy": healthy(), "bare": bare, "zero": {}} {
		if got := answerJSON(t, a); bytes.Contains(got, []byte("null")) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestProposalJSON(t *testing.T) {
	var out bytes.Buffer
	if err := report.ProposalJSON(&out, proposal()); err != nil {
		t.Fatal(err)
	}
	golden(t, "proposal.json", indented(t, out.Bytes()))
}

func TestOutcomeJSONStates(t *testing.T) {
	refused := func(c commands.Code) error {
		return &commands.Error{Code: c, Public: "It did not go.", Hint: "Try again.", Err: errors.New("secret detail")}
	}
	for _, c := range []struct {
		name  string
		state commands.ProposalState
		err   error
		want  string
	}{
		{"applied", commands.Applied, nil, "applied"},
		{"verified", commands.Verified, nil, "verified"},
		{"not cured", commands.NotCured, nil, "not-cured"},
		{"undone", commands.Undone, nil, "undone"},
		{"nobody knows", commands.Undecided, nil, "unknown"},
		{"nobody knows, with an error", commands.Undecided, refused(commands.CodeOutside), "unknown"},
		{"somebody was faster", commands.Verified, refused(commands.CodeGone), "refused"},
		{"not allowed", commands.Proposed, refused(commands.CodeDenied), "refused"},
		{"the world moved", commands.Refused, refused(commands.CodeChanged), "refused"},
		{"the place was not readable", commands.Refused, refused(commands.CodeOutside), "refused"},
		{"nothing to undo", commands.Verified, refused(commands.CodeInvalid), "refused"},
		{"no such fix", "", refused(commands.CodeMissing), "refused"},
		{"the store is busy", "", refused(commands.CodeBusy), "refused"},
	} {
		var out bytes.Buffer
		p := proposal()
		p.State, p.Outcome = c.state, "What came of it."
		if err := report.OutcomeJSON(&out, p.ID, commands.Outcome{Proposal: p}, c.err); err != nil {
			t.Fatal(err)
		}
		var got struct{ ID, State, Title, Outcome, Error string }
		if err := json.Unmarshal(out.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if got.State != c.want || got.ID != p.ID || got.Title != p.Title || got.Outcome != p.Outcome {
			t.Errorf("%s: %+v, want state %s", c.name, got, c.want)
		}
		if (c.err != nil) != (got.Error == "It did not go. Try again.") || strings.Contains(out.String(), "secret detail") {
			t.Errorf("%s: error %q", c.name, got.Error)
		}
	}
}

// Every way out has a state that the contract names.
func TestOutcomeJSONAlwaysHasAState(t *testing.T) {
	contract := []string{"applied", "verified", "not-cured", "undone", "refused", "unknown"}
	for name, err := range map[string]error{
		"the store cannot be read": &commands.Error{Code: commands.CodeInternal, Public: "The store is damaged."},
		"an error of no sort":      context.Canceled,
	} {
		var out bytes.Buffer
		if werr := report.OutcomeJSON(&out, "fx-1", commands.Outcome{}, err); werr != nil {
			t.Fatal(werr)
		}
		var got struct{ State string }
		if jerr := json.Unmarshal(out.Bytes(), &got); jerr != nil || !slices.Contains(contract, got.State) {
			t.Errorf("%s: state %q, %v", name, got.State, jerr)
		}
	}
}

func TestOutcomeJSONProof(t *testing.T) {
	var out bytes.Buffer
	p := proposal()
	p.State = commands.NotCured
	proof := sample()
	if err := report.OutcomeJSON(&out, p.ID, commands.Outcome{Proposal: p, Proof: &proof}, nil); err != nil {
		t.Fatal(err)
	}
	var got struct{ Proof *commands.Verdict }
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || !reflect.DeepEqual(*got.Proof, proof.Verdict) {
		t.Errorf("proof %+v, %v", got.Proof, err)
	}
}

func TestErrorJSON(t *testing.T) {
	for _, c := range []struct {
		incident string
		err      error
		want     string
	}{
		{"inc-3", &commands.Error{Code: commands.CodeMissing, Public: `There is no server "<web>".`, Err: errors.New("secret")}, `{"incident":"inc-3","error":"There is no server \"<web>\".","code":"missing"}` + "\n"},
		{"", errors.New("dial tcp 192.0.2.1: secret"), `{"error":"Something went wrong inside whybot; its log has the details.","code":"internal"}` + "\n"},
	} {
		var out bytes.Buffer
		if err := report.ErrorJSON(&out, c.incident, c.err); err != nil || out.String() != c.want {
			t.Errorf("%s, %v; want %s", out.String(), err, c.want)
		}
	}
}

func TestAnswerText(t *testing.T) {
	for name, a := range map[string]commands.Answer{"answer.txt": sample(), "healthy.txt": healthy()} {
		var out bytes.Buffer
		report.Answer(&out, a, report.Style{})
		golden(t, name, out.Bytes())
	}
	var out bytes.Buffer
	report.Answer(&out, sample(), report.Style{Color: true, Width: 60})
	golden(t, "answer-60-columns.txt", bytes.ReplaceAll(out.Bytes(), []byte("\x1b"), []byte("<ESC>")))
}

// Colour changes nothing but the colours.
func TestColourIsOnlyPaint(t *testing.T) {
	var plain, painted bytes.Buffer
	report.Answer(&plain, sample(), report.Style{})
	report.Answer(&painted, sample(), report.Style{Color: true})
	if got := stripColour(painted.String()); got != plain.String() {
		t.Errorf("painted, it reads\n%s\nplain\n%s", got, plain.String())
	}
}

func stripColour(s string) string {
	for {
		start := strings.Index(s, "\x1b[")
		if start < 0 {
			return s
		}
		end := strings.IndexByte(s[start:], 'm')
		s = s[:start] + s[start+end+1:]
	}
}

func TestAnswerTextFitsTheWidth(t *testing.T) {
	a := sample()
	a.Path, a.Fixes, a.Findings = nil, nil, nil // devices and commands are not broken up
	a.Verdict.Edge, a.Verdict.Title = nil, "Short"
	a.Verdict.Summary = strings.Repeat("many words and ", 40)
	var out bytes.Buffer
	report.Answer(&out, a, report.Style{Width: 50})
	for line := range strings.Lines(out.String()) {
		if n := len([]rune(strings.TrimRight(line, "\n"))); n > 50 {
			t.Errorf("%d columns: %q", n, line)
		}
	}
}

// hostile is what somebody may have named a machine.
const hostile = "x\x1b[2J\x1b]0;owned\x07\u009b31m\u202e\u2066\r\n\x00y"

// Nothing that a person or a machine typed reaches the terminal as it is.
func TestTextIsFreeOfEscapes(t *testing.T) {
	a := poisoned(reflect.ValueOf(sample())).Interface().(commands.Answer)
	// Ids and catalogue ids are whybot's own.
	a.Incident, a.Verdict.Cause, a.Fixes[0].ID = "inc-1", "DHCP-01", "fx-1"
	p := a.Fixes[0]
	failed := p
	failed.State = commands.Failed
	event := commands.Event{
		Incident: "inc-1", Kind: commands.EventNote, At: at, Text: hostile, Actor: commands.Actor{Via: "slack", ID: hostile, Name: hostile},
	}
	inc := commands.Incident{ID: "inc-1", Opened: at, Question: commands.Question{Text: hostile}, Verdict: &a.Verdict}
	for name, write := range map[string]func(*bytes.Buffer){
		"answer":   func(b *bytes.Buffer) { report.Answer(b, a, report.Style{}) },
		"proposal": func(b *bytes.Buffer) { report.Proposal(b, p, report.Style{}) },
		"applied":  func(b *bytes.Buffer) { report.Proposal(b, failed, report.Style{}) },
		"outcome": func(b *bytes.Buffer) {
			report.Outcome(b, commands.Outcome{Proposal: failed, Proof: &a}, report.Style{})
		},
		"timeline":  func(b *bytes.Buffer) { report.Timeline(b, []commands.Event{event}, report.Style{}) },
		"incidents": func(b *bytes.Buffer) { report.Incidents(b, []commands.Incident{inc}, report.Style{}) },
	} {
		var out bytes.Buffer
		write(&out)
		if out.Len() == 0 {
			t.Errorf("%s: nothing was written", name)
		}
		for line := range strings.Lines(out.String()) {
			for _, r := range strings.TrimSuffix(line, "\n") {
				if unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Cf, r) {
					t.Errorf("%s: %U in %q", name, r, line)
					break
				}
			}
		}
	}
}

// poisoned returns a copy of v in which every string that is not of a type of
// its own (a state, a kind) is hostile.
func poisoned(v reflect.Value) reflect.Value {
	out := reflect.New(v.Type()).Elem()
	out.Set(v)
	switch v.Kind() {
	case reflect.String:
		if v.Type() == reflect.TypeFor[string]() {
			out.SetString(hostile)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return out
		}
		for i := range v.NumField() {
			out.Field(i).Set(poisoned(v.Field(i)))
		}
	case reflect.Slice:
		out.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
		for i := range v.Len() {
			out.Index(i).Set(poisoned(v.Index(i)))
		}
	case reflect.Pointer:
		if !v.IsNil() {
			out.Set(reflect.New(v.Type().Elem()))
			out.Elem().Set(poisoned(v.Elem()))
		}
	default: // numbers, truths, maps: not shown as text
	}
	return out
}

func TestOutcomeText(t *testing.T) {
	var out bytes.Buffer
	proof := healthy()
	for _, c := range []struct {
		state commands.ProposalState
		proof *commands.Answer
	}{
		{commands.Verified, &proof},
		{commands.NotCured, ptr(sample())},
		{commands.Applied, nil},
		{commands.Undone, nil},
		{commands.Refused, nil},
		{commands.Failed, nil},
	} {
		p := proposal()
		p.State, p.Outcome = c.state, "What came of it, in one line."
		report.Outcome(&out, commands.Outcome{Proposal: p, Proof: c.proof}, report.Style{})
	}
	golden(t, "outcomes.txt", out.Bytes())
}

// An undo is offered for what can be undone and for nothing else.
func TestUndoIsOfferedForWhatCanBeUndone(t *testing.T) {
	for state, want := range map[commands.ProposalState]bool{
		commands.Applied: true, commands.Verified: true, commands.NotCured: true,
		commands.Proposed: false, commands.Applying: false, commands.Undoing: false, commands.Undone: false, commands.Refused: false,
		commands.Failed: false, commands.Declined: false, commands.Expired: false, commands.Undecided: false,
	} {
		var out bytes.Buffer
		p := proposal()
		p.State = state
		report.Outcome(&out, commands.Outcome{Proposal: p}, report.Style{})
		if got := strings.Contains(out.String(), "whybot fix undo"); got != want {
			t.Errorf("%s: undo offered: %t", state, got)
		}
	}
}

func ptr[T any](v T) *T { return &v }

func TestProposalText(t *testing.T) {
	var out bytes.Buffer
	report.Proposal(&out, proposal(), report.Style{})
	p := proposal()
	p.Persistent, p.Class, p.Undo, p.State, p.Outcome = true, commands.F2, nil, commands.Declined, "Declined by bob (slack)."
	report.Proposal(&out, p, report.Style{})
	golden(t, "proposals.txt", out.Bytes())
}

func TestTimelineText(t *testing.T) {
	alice := commands.Actor{Via: "terminal", ID: "alice"}
	bob := commands.Actor{Via: "slack", ID: "U0BOB", Name: "Bob"}
	east := time.FixedZone("east", 9*3600)
	events := []commands.Event{
		{Incident: "inc-17", Kind: commands.EventAsked, At: at, Actor: alice, Text: "why can't web-1 get an IP"},
		{Incident: "inc-17", Kind: commands.EventVerdict, At: at.Add(2 * time.Second), Text: strings.Repeat("a long line of words ", 12)},
		{Incident: "inc-17", Kind: commands.EventApproved, At: at.Add(time.Minute).In(east), Actor: bob, Text: "Accept DHCP (1 of 1)"},
		{Incident: "inc-17", Kind: commands.EventNote, At: at.Add(24 * time.Hour), Text: ""},
	}
	var out bytes.Buffer
	report.Timeline(&out, events, report.Style{})
	golden(t, "timeline.txt", out.Bytes())
}

func TestIncidentsText(t *testing.T) {
	v := sample().Verdict
	var out bytes.Buffer
	report.Incidents(&out, []commands.Incident{
		{ID: "inc-2", Opened: at, Question: commands.Question{Text: "why can't web-1 get an IP"}, Verdict: &v},
		{ID: "inc-1", Opened: at.Add(-time.Hour), Question: commands.Question{Text: "still being worked on"}},
	}, report.Style{})
	golden(t, "incidents.txt", out.Bytes())
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestJSONThatCannotBeWritten(t *testing.T) {
	for name, err := range map[string]error{
		"answer":   report.AnswerJSON(full{}, sample()),
		"proposal": report.ProposalJSON(full{}, proposal()),
		"outcome":  report.OutcomeJSON(full{}, "fx-1", commands.Outcome{}, nil),
		"error":    report.ErrorJSON(full{}, "inc-1", errors.New("x")),
	} {
		if err == nil {
			t.Errorf("%s: nobody says that it was not written", name)
		}
	}
}
