package commands

import (
	"context"
	"slices"
	"time"
)

// A Deed is what a person wants to do with a proposal.
type Deed string

// Deeds.
const (
	DeedApprove Deed = "approve" // agree to it, at the click
	DeedExecute Deed = "execute" // change something, right before it happens
	DeedUndo    Deed = "undo"
	DeedDecline Deed = "decline"
)

// A Petition asks a policy whether a person may do something with a proposal.
type Petition struct {
	Deed     Deed
	Who      Actor
	Proposal Proposal
	// BreakGlass asks to approve alone, for the Reason given.
	BreakGlass bool
	Reason     string
}

// A Permit is a policy's yes.
type Permit struct {
	// Needed is how many people must agree in all. It counts when it is more
	// than the proposal was made with.
	Needed int
	// Same reports whether an actor is the same person as the one who asks;
	// nil compares transport and id.
	Same func(Actor) bool
}

// A Policy decides who may do what with a proposal.
type Policy interface {
	// Rule returns the rule that a new proposal is sealed with.
	Rule(fix string, class Class) Rule
	// Allow decides. A refusal is an *Error with CodeDenied, or CodeGone when
	// it is too late, whose Err is a *Refusal.
	Allow(ctx context.Context, r Petition) (Permit, error)
	// Alarm tells those who have to know that somebody breaks the glass. An
	// error means that they were not told.
	Alarm(ctx context.Context, r Petition) error
}

// A Rule says who may approve a fix, and on what terms. A proposal keeps the
// rule that it was made under: to be allowed, a deed has to be allowed by that
// rule and by the one in force. The zero Rule allows nobody.
type Rule struct {
	// Users and Groups are the Slack members and user groups who may approve.
	Users  []string `json:"users,omitempty"`
	Groups []string `json:"groups,omitempty"`
	// Terminal says who may in a terminal.
	Terminal Names `json:"terminal,omitzero"`
	// Needed is how many people must agree; less than one counts as one.
	Needed int `json:"needed"`
	// AskerMay lets the person who asked the question approve.
	AskerMay bool `json:"asker_may"`
	// Channels are the Slack channels in which approvals count; none means all.
	Channels []string `json:"channels,omitempty"`
	// Expires is how long after it was made a proposal can be approved.
	Expires time.Duration `json:"expires"`
	// Glass says who may approve alone in an emergency.
	Glass Glass `json:"glass,omitzero"`
}

// Names are people at a terminal. The zero Names are nobody.
type Names struct {
	Everyone bool     `json:"everyone,omitempty"`
	Names    []string `json:"names,omitempty"`
}

// Have reports whether a name is among them.
func (n Names) Have(name string) bool { return n.Everyone || slices.Contains(n.Names, name) }

// A Glass says who may approve alone, and which Slack channel is told.
type Glass struct {
	Users    []string `json:"users,omitempty"`
	Terminal []string `json:"terminal,omitempty"`
	Channel  string   `json:"channel,omitempty"`
}

// A Standing is what a chat knows about the kind of an account.
type Standing string

// Standings. Only a Member may decide anything.
const (
	StandingUnknown Standing = "" // could not be found out
	Member          Standing = "member"
	Bot             Standing = "bot"
	Guest           Standing = "guest"
	Deactivated     Standing = "deactivated"
	Foreign         Standing = "foreign" // of another workspace, or a stranger
)

// An Account is what a chat knows about an actor.
type Account struct {
	Standing Standing
	// Groups are the user groups, of those asked about, that the actor is in;
	// Unseen those of which nobody could find out.
	Groups []string
	Unseen []string
}

// A Refusal is the reason for a no, with what a transport needs to say who may
// instead.
type Refusal struct {
	Why string // one sentence
	// Rule is the one that refused.
	Rule Rule
	// Needed is how many people must agree.
	Needed int
	// Expired says that it is too late, for everybody.
	Expired bool
	// MayBreakGlass says that this person may approve alone in an emergency.
	MayBreakGlass bool
}

func (r *Refusal) Error() string { return r.Why }

// PolicyFunc is a Policy of one function: an error refuses. One person is
// enough, everywhere, and nobody breaks any glass.
type PolicyFunc func(ctx context.Context, r Petition) error

// Rule returns the rule of one person.
func (PolicyFunc) Rule(string, Class) Rule { return Rule{Needed: 1} }

// Allow calls f.
func (f PolicyFunc) Allow(ctx context.Context, r Petition) (Permit, error) {
	if r.BreakGlass {
		return Permit{}, &Error{Code: CodeDenied, Public: "Nobody may break the glass here."}
	}
	return Permit{Needed: 1}, f(ctx, r)
}

// Alarm tells nobody, because nobody breaks any glass.
func (PolicyFunc) Alarm(context.Context, Petition) error { return nil }
