package commands

import (
	"context"
	"time"
)

// An Incident is one question and everything that came of it.
type Incident struct {
	ID       string    `json:"id"` // "inc-17"
	Opened   time.Time `json:"opened"`
	Question Question  `json:"question"`
	Asker    Actor     `json:"asker"`
	// Entities are the names and ids this incident is about (VM name, VM id,
	// port id, nodes): what a history question searches.
	Entities []string `json:"entities,omitempty"`
	// Verdict is the latest answer; nil while the first is being worked out.
	Verdict *Verdict `json:"verdict,omitempty"`
	// Thread is where a transport keeps the conversation.
	Thread Thread `json:"thread,omitzero"`
}

// A Thread is a conversation in a chat.
type Thread struct {
	Team    string `json:"team,omitempty"`
	Channel string `json:"channel,omitempty"`
	// Root is the message that answers; Parent the thread it lies in, when the
	// question was asked inside one.
	Root   string `json:"root,omitempty"`
	Parent string `json:"parent,omitempty"`
}

// An EventKind says what happened.
type EventKind string

// Kinds of events.
const (
	EventAsked    EventKind = "asked"
	EventObserved EventKind = "observed"
	EventFound    EventKind = "found"
	EventVerdict  EventKind = "verdict"
	EventProposed EventKind = "proposed"
	EventApproved EventKind = "approved"
	EventAlarm    EventKind = "alarm" // somebody breaks the glass: approves alone, in an emergency
	EventDeclined EventKind = "declined"
	EventApplying EventKind = "applying"
	EventApplied  EventKind = "applied"
	EventVerified EventKind = "verified"
	EventFailed   EventKind = "failed"
	EventUndone   EventKind = "undone"
	EventExpired  EventKind = "expired"
	EventNote     EventKind = "note"
	EventClosed   EventKind = "closed"
)

// An Event is one line of an incident's timeline. The store gives Seq,
// Recorded, Prev and Hash when it takes the event; it never changes after.
type Event struct {
	Seq      uint64    `json:"seq"`
	Incident string    `json:"incident"`
	Kind     EventKind `json:"kind"`
	At       time.Time `json:"at"`       // when it happened
	Recorded time.Time `json:"recorded"` // when the store took it
	Actor    Actor     `json:"actor,omitzero"`
	Text     string    `json:"text"` // one line for a person, control characters removed
	// Refs are what the line refers to: "proposal", "cause", "edge", "node", "plan".
	Refs map[string]string `json:"refs,omitempty"`
	Prev string            `json:"prev"` // hex hash of the event before, over all incidents
	Hash string            `json:"hash"` // hex SHA-256 of Prev and this event without Hash
}

// An EventQuery selects events; zero fields select everything. Events come
// oldest first.
type EventQuery struct {
	Incident string
	Entity   string // events of incidents about this name or id
	Since    time.Time
	Until    time.Time
	Limit    int // newest Limit events; zero means no limit
}

// An IncidentQuery selects incidents, newest first.
type IncidentQuery struct {
	ID     string
	Entity string
	Since  time.Time
	Until  time.Time
	Limit  int
}

// Incidents remembers incidents.
type Incidents interface {
	// OpenIncident stores inc under the next free id, with events, and
	// returns it with its ID set. Events with an empty Incident get that id.
	OpenIncident(ctx context.Context, inc Incident, events ...Event) (Incident, error)
	// ChangeIncident lets fn edit the stored incident and stores it with the
	// events fn returns, in one transaction. An unknown id is an *Error with
	// CodeMissing; an error of fn changes nothing and is returned as it is.
	ChangeIncident(ctx context.Context, id string, fn func(*Incident) ([]Event, error)) (Incident, error)
	// ListIncidents returns the incidents q selects.
	ListIncidents(ctx context.Context, q IncidentQuery) ([]Incident, error)
}

// Journal is the append-only, hash-chained log of all incidents. An event
// whose Append returned nil survives a power failure.
type Journal interface {
	Append(ctx context.Context, events ...Event) error
	Events(ctx context.Context, q EventQuery) ([]Event, error)
	// VerifyChain checks every hash and every link and returns the number of
	// events checked, or an error that names the first bad one.
	VerifyChain(ctx context.Context) (int, error)
}

// Proposals remembers fixes on offer. Every decision about who may go on with
// one is made inside ChangeProposal.
type Proposals interface {
	// Propose stores new proposals with their events in one transaction.
	Propose(ctx context.Context, ps []Proposal, events ...Event) error
	// ChangeProposal lets fn edit one stored proposal and stores it with the
	// events fn returns, in one transaction, durable before it returns. Calls
	// for one id never overlap. No two that Meet are on their way at once: a change
	// that would set a second one on its way is refused with Occupied.
	// An unknown id is an *Error with CodeMissing; an error of fn changes nothing
	// and is returned as it is.
	ChangeProposal(ctx context.Context, id string, fn func(*Proposal) ([]Event, error)) (Proposal, error)
	// ListProposals returns the proposals q selects, oldest first.
	ListProposals(ctx context.Context, q ProposalQuery) ([]Proposal, error)
}

// Deliveries tells a first delivery from a repeated one.
type Deliveries interface {
	// First records key and reports whether it was not recorded before within
	// the last hour at least. It survives a restart.
	First(ctx context.Context, key string) (bool, error)
}

// Memory is everything the Engine needs remembered.
type Memory interface {
	Incidents
	Journal
	Proposals
}
