package runners

import "time"

// A Commit is a change of a node that takes itself back unless it is confirmed
// from a new connection in time: a change that cuts the node off undoes itself.
type Commit struct {
	// ID names the fix. A node makes the changes of one name once.
	ID string
	// Token is the fencing token: a node refuses one lower than it has seen.
	Token uint64
	// Wait is how long the node waits for the confirmation, in whole seconds.
	Wait time.Duration
	// Guards must print on the node, right before the change, what they printed
	// when it was planned; at least one is needed.
	Guards []Listing
	Steps  []Reversible
}

// A Listing is a command that reads and the SHA-256 of what it prints, in hex.
type Listing struct {
	Argv []string
	Sum  string
}

// A Reversible is a change as the commands that make it and those that take it
// back exactly. They run as root.
type Reversible struct{ Do, Undo [][]string }

// A CommitState is where a commit stands on its node.
type CommitState string

// States of a commit.
const (
	CommitNone       CommitState = "none"        // never begun there, or not since the node was started
	CommitArmed      CommitState = "armed"       // being made, or made and waiting to be confirmed
	CommitConfirmed  CommitState = "confirmed"   // made, and stays
	CommitRolledBack CommitState = "rolled-back" // made, and taken back by the node
	CommitFailed     CommitState = "failed"      // not made: what had been begun was taken back at once
	CommitBroken     CommitState = "broken"      // could not be taken back
)

// A CommitStatus is what a node knows of a commit, by its own clock.
type CommitStatus struct {
	State        CommitState
	Began, Ended time.Time // zero where it has not
}
