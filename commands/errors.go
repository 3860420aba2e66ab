package commands

import (
	"errors"
	"fmt"
)

// A Code sorts errors by who can do something about them.
type Code string

// Codes.
const (
	CodeInvalid  Code = "invalid"  // the person: ask differently
	CodeDenied   Code = "denied"   // the person: ask someone who may
	CodeMissing  Code = "missing"  // the person: no such thing
	CodeGone     Code = "gone"     // nobody: too late, or already done
	CodeChanged  Code = "changed"  // the world moved since the plan was made: ask again
	CodeBusy     Code = "busy"     // the person: again in a moment
	CodeOutside  Code = "outside"  // a cloud API or a node does not answer
	CodeInternal Code = "internal" // whybot itself
)

// An Error is the only road for an error to a person: Public and Hint are
// written for them, Err is for the log.
type Error struct {
	Code   Code
	Public string // a full sentence without the cause's own text
	Hint   string // what to do next; may be empty
	Err    error
}

func (e *Error) Error() string {
	s := e.Public
	if e.Hint != "" {
		s += " " + e.Hint
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// Public returns what a person may be shown of err: the text of an Error, or
// a sentence that says nothing of its inside.
func Public(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Error()
	}
	return "Something went wrong inside whybot; its log has the details."
}

// CodeOf returns the code of the first Error in err's tree, or CodeInternal.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return CodeInternal
}

func internalf(err error, format string, args ...any) *Error {
	return &Error{
		Code: CodeInternal, Public: "Something went wrong inside whybot; its log has the details.",
		Err: fmt.Errorf(format+": %w", append(args, err)...),
	}
}
