package report

import (
	"encoding/json"
	"io"

	"whybot/commands"
)

// answerJSON is the stable contract of `whybot ask --json`.
type answerJSON struct {
	Incident string           `json:"incident"`
	Question questionJSON     `json:"question"`
	Verdict  commands.Verdict `json:"verdict"`
	Path     []hopJSON        `json:"path"`
	Findings []findingJSON    `json:"findings"`
	Fixes    []fixJSON        `json:"fixes"`
	Unknown  []commands.Blind `json:"unknown"`
	Checked  []checkJSON      `json:"checked"`
	Notes    []string         `json:"notes"`
	TookMS   int64            `json:"took_ms"`
}

type questionJSON struct {
	Kind     commands.Kind     `json:"kind"`
	Text     string            `json:"text"`
	Subjects map[string]string `json:"subjects"`
}

type hopJSON struct {
	Node     string `json:"node"`
	Device   string `json:"device"`
	Observed bool   `json:"observed"`
	Why      string `json:"why,omitempty"`
	Requests int    `json:"requests"`
	Replies  int    `json:"replies"`
}

type findingJSON struct {
	Cause    string              `json:"cause"`
	Title    string              `json:"title"`
	State    commands.State      `json:"state"`
	Node     string              `json:"node"`
	Summary  string              `json:"summary"`
	Missing  string              `json:"missing,omitempty"`
	Edge     *commands.EdgeJSON  `json:"edge,omitempty"`
	Evidence []commands.Evidence `json:"evidence"`
	Advice   []string            `json:"advice,omitempty"`
}

type fixJSON struct {
	ID         string                 `json:"id"`
	Name       string                 `json:"name"`
	Class      commands.Class         `json:"class"`
	Title      string                 `json:"title"`
	Approvals  int                    `json:"approvals"`
	Commands   []string               `json:"commands"`
	Undo       []string               `json:"undo"`
	Persistent bool                   `json:"persistent"`
	Touches    []string               `json:"touches,omitempty"`
	Cause      string                 `json:"cause"`
	State      commands.ProposalState `json:"state"`
	Plan       string                 `json:"plan"`
	Expires    string                 `json:"expires"`
}

type checkJSON struct {
	Node   string `json:"node,omitempty"`
	Device string `json:"device,omitempty"`
	What   string `json:"what"`
	Source string `json:"source"`
}

// AnswerJSON writes a as the contract has it, one object.
func AnswerJSON(w io.Writer, a commands.Answer) error {
	out := answerJSON{
		Incident: a.Incident, Question: questionJSON{a.Question.Kind, a.Question.Text, subjects(a.Question)}, Verdict: a.Verdict,
		Path: []hopJSON{}, Findings: []findingJSON{}, Fixes: []fixJSON{}, Unknown: []commands.Blind{}, Checked: []checkJSON{}, Notes: []string{},
		TookMS: a.Took.Milliseconds(),
	}
	for _, h := range a.Path {
		out.Path = append(out.Path, hopJSON{h.Node, h.Device, h.Observed, h.Why, h.Requests, h.Replies})
	}
	for _, f := range a.Findings {
		out.Findings = append(out.Findings, findingJSON{
			Cause: f.Cause, Title: f.Title, State: f.State, Node: f.Node, Summary: f.Summary, Missing: f.Missing,
			Edge: f.Edge.JSON(), Evidence: list(f.Evidence), Advice: f.Advice,
		})
	}
	for _, p := range a.Fixes {
		out.Fixes = append(out.Fixes, proposalJSON(p))
	}
	for _, c := range a.Checked {
		out.Checked = append(out.Checked, checkJSON{Node: c.At.Node, Device: c.At.Device, What: c.What, Source: c.Source})
	}
	out.Unknown = append(out.Unknown, a.Unknown...)
	out.Notes = append(out.Notes, a.Notes...)
	return write(w, out)
}

func subjects(q commands.Question) map[string]string {
	if q.Subjects == nil {
		return map[string]string{}
	}
	return q.Subjects
}

// list is s, never nil: the contract has lists, not nulls.
func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

func proposalJSON(p commands.Proposal) fixJSON {
	return fixJSON{
		ID: p.ID, Name: p.Fix, Class: p.Class, Title: p.Title, Approvals: p.Approvals, Commands: list(p.Commands), Undo: list(p.Undo),
		Persistent: p.Persistent, Touches: p.Touches, Cause: p.Cause, State: p.State, Plan: p.Hash,
		Expires: p.Expires.UTC().Format("2006-01-02T15:04:05Z"),
	}
}

// ProposalJSON writes one proposal as an object.
func ProposalJSON(w io.Writer, p commands.Proposal) error { return write(w, proposalJSON(p)) }

// outcomeJSON is the stable contract of `whybot fix apply --json`.
type outcomeJSON struct {
	ID      string                 `json:"id"`
	State   commands.ProposalState `json:"state"`
	Title   string                 `json:"title"`
	Outcome string                 `json:"outcome"`
	Error   string                 `json:"error,omitempty"`
	Proof   *commands.Verdict      `json:"proof,omitempty"`
	// Fixes are offered for the next fault, where one was found behind this.
	Fixes []fixJSON `json:"fixes,omitempty"`
}

// OutcomeJSON writes what came of a proposal; err is why it was not carried
// out. What was asked for and did not begin has the state "refused", whatever
// the proposal's own state.
func OutcomeJSON(w io.Writer, id string, o commands.Outcome, err error) error {
	out := outcomeJSON{ID: id, State: o.Proposal.State, Title: o.Proposal.Title, Outcome: o.Proposal.Outcome}
	if err != nil {
		out.Error = commands.Public(err)
		if refused(o.Proposal.State, commands.CodeOf(err)) {
			out.State = commands.Refused
		}
	}
	if o.Proof != nil {
		out.Proof = &o.Proof.Verdict
		for _, p := range o.Proof.Fixes {
			out.Fixes = append(out.Fixes, proposalJSON(p))
		}
	}
	return write(w, out)
}

// refused reports whether an error means that nothing was begun.
func refused(state commands.ProposalState, code commands.Code) bool {
	switch code {
	case commands.CodeOutside, commands.CodeInternal:
		return state == commands.Proposed || state == ""
	default:
		return true
	}
}

// ErrorJSON writes an error as an object, so that a program reading --json
// finds one on every way out.
func ErrorJSON(w io.Writer, incident string, err error) error {
	return write(w, struct {
		Incident string        `json:"incident,omitempty"`
		Error    string        `json:"error"`
		Code     commands.Code `json:"code"`
	}{incident, commands.Public(err), commands.CodeOf(err)})
}

func write(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
