package commands

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"time"

	"whybot/runners"
)

// A Class says how far a change can be taken back.
type Class string

// Classes.
const (
	F0 Class = "F0" // advice only
	F1 Class = "F1" // run-time and exactly invertible
	F2 Class = "F2" // invertible with a stated loss window
	F3 Class = "F3" // not invertible or wide: advice, never a button
)

// A Fix changes one thing, on purpose, once.
type Fix struct {
	// Name is a stable kebab-case identifier, such as "physdev-accept".
	Name string
	// Doc says what it does, what it touches besides, and what it costs.
	Doc   string
	Class Class
	// Persistent says that it edits what survives a reboot.
	Persistent bool
	// Title is a verb phrase naming the target, for a person who decides.
	Title func(Suggestion) string
	// Plan turns the suggestion into steps from what the pass has read. It
	// returns an *Error when the fix cannot be offered (not exactly one
	// matching rule, foreign chain, ...). It changes nothing.
	Plan func(*Pass, Suggestion) ([]Step, error)
	// Touches says what else the change affects; one line each.
	Touches func(*Pass, Suggestion) []string
}

// A Suggestion is a Fix aimed at something.
type Suggestion struct {
	Fix  *Fix
	Node string
	Args map[string]string
}

// A Step is one change as plain data: it can be stored before it is made,
// shown, replayed and taken back after a restart.
type Step struct {
	Kind string            `json:"kind"`
	Node string            `json:"node"`
	Args map[string]string `json:"args"`
	// Words is an argument vector where the step needs one, such as the
	// specification of a rule.
	Words []string `json:"words,omitempty"`
}

// A StepState says what a step's place in the world looks like now.
type StepState string

// States of a step.
const (
	StepPending StepState = "pending" // as it was when planned: the step can be made
	StepDone    StepState = "done"    // as it is after the step: it can be taken back
	StepChanged StepState = "changed" // neither: hands off
)

// An Action is one thing a step does: a command on the step's node, or a call
// of a cloud API.
type Action struct {
	Command runners.Probe
	Call    *CloudCall
	// Must marks a call without which the one before it would leave things
	// worse than they were: it is made whatever happens meanwhile, and tried
	// three times.
	Must bool
}

// A CloudCall is a change through an OpenStack API.
type CloudCall = runners.CloudCall

// String returns the action as a person would type it.
func (a Action) String() string {
	if a.Call != nil {
		return a.Call.Show
	}
	return runners.Probe{Argv: a.Command.Argv}.Command()
}

// A StepKind gives steps of one kind their meaning. All of it is computed
// from the step alone; the Engine does the reading and the changing. A step's
// place is on its node (Read and State) or in OpenStack (Ref and Compare).
type StepKind struct {
	Name string
	// Read lists what must be read on the step's node to know its state.
	Read func(Step) []runners.Probe
	// State judges what was read. The string says what was seen, for a person.
	State func(Step, []runners.Result) (StepState, string)
	// Ref names what OpenStack keeps at the step's place.
	Ref func(Step) runners.CloudRef
	// Compare judges what OpenStack says of it, as State does.
	Compare func(Step, runners.CloudObject) (StepState, string)
	// Do makes the change, Undo takes it back exactly. Undo returns nil when
	// there is nothing to take back.
	Do, Undo func(Step) []Action
	// Resolve adds to a step what only its place can tell once it is made, such
	// as the number the kernel gave to a rule, so that Undo can name it. It gets
	// what Read listed; nil where Undo needs nothing.
	Resolve func(Step, []runners.Result) (Step, error)
	// Guard lists what may not change between the look at a step's place and the
	// step, and what the step does change; nothing in it may change by itself. A kind that has it may cut its node off, so its steps are made as a
	// commit, which the node takes back by itself unless it is confirmed. Its Do
	// and Undo are commands of the step's node, and Undo needs no Resolve.
	Guard func(Step) []runners.Probe
	// Delayed says that its purpose takes a daemon some time after the change:
	// the proof is asked for until it is there, or until that time has passed.
	Delayed bool
}

// A ProposalState is where a proposal stands.
type ProposalState string

// States of a proposal.
const (
	Proposed  ProposalState = "proposed"
	Applying  ProposalState = "applying"
	Applied   ProposalState = "applied"   // changed; the proof is not in, or another fault remains
	Verified  ProposalState = "verified"  // changed and the question answered healthy
	NotCured  ProposalState = "not-cured" // changed and the same fault is still there
	Undoing   ProposalState = "undoing"
	Undone    ProposalState = "undone"
	Refused   ProposalState = "refused" // not changed: the world had moved
	Failed    ProposalState = "failed"  // a command failed; what was changed has been taken back
	Declined  ProposalState = "declined"
	Expired   ProposalState = "expired"
	Undecided ProposalState = "unknown" // nobody knows: look by hand
)

// A Proposal is a fix on offer, sealed with a hash of its plan.
type Proposal struct {
	ID       string `json:"id"` // "fx-…", unguessable
	Incident string `json:"incident"`
	// Asker asked the question; a policy may keep them from approving.
	Asker Actor  `json:"asker"`
	Fix   string `json:"fix"`
	Class Class  `json:"class"`
	Title string `json:"title"`
	Cause string `json:"cause"`
	// Exchange is the one that the cause stops; empty when it stops all.
	Exchange   Exchange      `json:"exchange,omitempty"`
	Edge       *EdgeJSON     `json:"edge,omitempty"`
	Persistent bool          `json:"persistent"`
	Steps      []Step        `json:"steps"`
	Hash       string        `json:"hash"`
	Commands   []string      `json:"commands"` // node: command
	Undo       []string      `json:"undo"`
	Touches    []string      `json:"touches,omitempty"`
	Approvals  int           `json:"approvals"` // people needed
	Created    time.Time     `json:"created"`
	Expires    time.Time     `json:"expires"`
	State      ProposalState `json:"state"`
	// Held says that the guest answered for its address when the fix was
	// planned: that it still does proves nothing then.
	Held bool `json:"held,omitempty"`
	// Begun is when it last went to applying or undoing.
	Begun time.Time `json:"begun,omitzero"`
	// Was is what it was in the middle of when nobody knew any more how it
	// ended; empty when reading its place cannot tell.
	Was ProposalState `json:"was,omitempty"`
	// Looks is how often its place was looked at again since.
	Looks int `json:"looks,omitempty"`
	// Outcome is what came of it, one line.
	Outcome string `json:"outcome,omitempty"`
	// Approved are the people who agreed so far, each once.
	Approved []Actor `json:"approved,omitempty"`
	// Rule is the rule that it was made under; nil in what an older whybot made.
	Rule *Rule `json:"rule,omitempty"`
	// BreakGlass is why one person approved it alone; empty when nobody did.
	BreakGlass string `json:"break_glass,omitempty"`
}

// Meets reports whether p and q must not be on their way at once: they are of
// one incident, or change one node.
func (p Proposal) Meets(q Proposal) bool {
	return p.Incident == q.Incident || slices.ContainsFunc(p.Steps, func(s Step) bool {
		return s.Node != "" && slices.ContainsFunc(q.Steps, func(t Step) bool { return t.Node == s.Node })
	})
}

// InCloud reports whether all that the proposal changes is kept by OpenStack.
func (p Proposal) InCloud() bool {
	return len(p.Steps) > 0 && !slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Node != "" })
}

// A ProposalQuery selects proposals; zero fields select everything.
type ProposalQuery struct {
	ID       string
	Incident string
	State    ProposalState
}

// PlanHash returns the hex SHA-256 of steps in their canonical JSON form: the
// plan shown, approved, applied and undone are the same bytes.
func PlanHash(steps []Step) string {
	b, err := json.Marshal(steps) // maps are marshalled with sorted keys
	if err != nil {
		return "" // unreachable: a Step holds only strings
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
