// Package runners is the vocabulary for looking at the outside world: what may
// be asked of a node (Probe), what came back (Output), what a cloud API said
// (Server, Port, Network, ...), and why whybot could not look (Error).
//
// It imports only the standard library. The packages below it (ssh, openstack)
// each bring one SDK, speak this vocabulary, and do not know one another.
package runners

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// A Probe is a read-only command whose program and flags are fixed when whybot
// is built. The words that vary (a device, a network id) are elements of Argv
// and are quoted by the runner: nothing a person or a machine typed is ever
// parsed by a shell.
type Probe struct {
	// Name is stable; fixtures and evidence are keyed by it. Two probes of one
	// name in one run must have equal Argv.
	Name string
	// Argv is the program and its words, at least one.
	Argv []string
	// Sudo marks a command that needs root: it is run by `sudo -n` unless the
	// login user already is root.
	Sudo bool
	// Timeout bounds the command on the node. Zero means the runner's default.
	Timeout time.Duration
}

// Command returns the probe as a person would type it.
func (p Probe) Command() string {
	words := make([]string, 0, len(p.Argv)+2)
	if p.Sudo {
		words = append(words, "sudo", "-n")
	}
	for _, w := range p.Argv {
		words = append(words, DisplayQuote(w))
	}
	return strings.Join(words, " ")
}

// DisplayQuote quotes one word of a command line for a person to read or
// paste. Words that need no quotes are returned as they are.
func DisplayQuote(w string) string {
	plain := w != ""
	for _, r := range w {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=,+@%", r) {
			plain = false
			break
		}
	}
	if plain {
		return w
	}
	return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
}

// Output is what a probe printed. A non-zero ExitCode is data, not an error:
// half of the probes exist to learn the exit code.
type Output struct {
	Stdout, Stderr string
	ExitCode       int
	// Truncated says that a stream was cut at the runner's limit. A truncated
	// listing proves presence, never absence.
	Truncated bool
	// At is when the node ran it, by whybot's clock; Took is how long it ran.
	At   time.Time
	Took time.Duration
}

// A Result is what one probe on one node came to: an Output, or the reason
// there is none. Err is nil or an *Error.
type Result struct {
	Probe  Probe
	Output Output
	Err    error
}

// A Kind sorts failures to look by what an operator would do next.
type Kind int

// Kinds.
const (
	Unknown        Kind = iota
	Unreachable         // no route, no answer, connection lost: look at the network or the host
	Refused             // the host is there, nothing listens
	HostKey             // the host key is not the one we know: stop
	Authentication      // reached it, not let in: look at users and keys
	Sudo                // logged in, sudo said no: look at sudoers
	MissingProgram      // the program is not installed there
	TooSlow             // our deadline passed first
	Hidden              // the API answered, but this role is not shown the fact
	NotFound            // the thing asked about does not exist there
	Invalid             // the answer could not be understood
)

var kindNames = [...]string{
	"unknown failure", "unreachable", "connection refused", "host key mismatch", "authentication failed",
	"sudo refused", "program missing", "too slow", "hidden from this role", "not found", "unintelligible answer",
}

func (k Kind) String() string {
	if k < 0 || int(k) >= len(kindNames) {
		return fmt.Sprintf("Kind(%d)", int(k))
	}
	return kindNames[k]
}

// Error reports that a runner could not look. Its text is safe to show: it
// names the runner, the target, what was being read and the kind of failure.
// The wrapped SDK error may quote URLs and response bodies; it is reachable
// with errors.As and meant for logs only.
type Error struct {
	Kind   Kind
	Runner string // "ssh", "openstack"
	Target string // node name or API name
	Op     string // what was being read: "iptables-save", "GET ports"
	Hint   string // what would cure it, for a person; may be empty
	Err    error
}

func (e *Error) Error() string {
	if e.Op != "" {
		return e.Target + ": " + e.Op + ": " + e.Why()
	}
	return e.Target + ": " + e.Why()
}

// Why returns the failure without its place: the kind, the hint, or both.
func (e *Error) Why() string {
	switch {
	case e.Kind != Unknown && e.Hint != "":
		return e.Kind.String() + " (" + e.Hint + ")"
	case e.Hint != "":
		return e.Hint
	}
	return e.Kind.String()
}

func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the Kind of the first Error in err's tree, or Unknown.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Unknown
}

// A Maybe is a fact that may be hidden from whybot. The zero Maybe is unknown:
// what was not observed is never taken for empty.
type Maybe[T any] struct {
	value T
	known bool
	why   string
}

// Known returns a fact that was observed.
func Known[T any](v T) Maybe[T] { return Maybe[T]{value: v, known: true} }

// NotKnown returns a fact that could not be observed, and why: a phrase such
// as "needs a role that may list agents".
func NotKnown[T any](why string) Maybe[T] { return Maybe[T]{why: why} }

// Get returns the fact and whether it is known.
func (m Maybe[T]) Get() (T, bool) { return m.value, m.known }

// Or returns the fact, or v when it is not known.
func (m Maybe[T]) Or(v T) T {
	if m.known {
		return m.value
	}
	return v
}

// Why says why the fact is not known; empty when it is.
func (m Maybe[T]) Why() string {
	if m.known {
		return ""
	}
	if m.why == "" {
		return "not looked at"
	}
	return m.why
}
