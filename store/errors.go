package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	bolterrors "go.etcd.io/bbolt/errors"

	"whybot/commands"
)

// ErrOutcomeUnknown is matched by the error of a write that may or may not
// have been made. Read back before doing anything again.
var ErrOutcomeUnknown = errors.New("it is not known whether the change was stored")

// errDamaged is matched by every error about content that cannot be right.
var errDamaged = errors.New("damaged")

// damagef returns an error about content that cannot be right.
func damagef(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errDamaged}, args...)...)
}

// contextError returns why ctx is done, or nil. It matches ctx.Err() and the
// cause, which names the budget that ran out.
func contextError(ctx context.Context) error {
	err := ctx.Err()
	if cause := context.Cause(ctx); err != nil && !errors.Is(cause, err) {
		return fmt.Errorf("%w: %w", err, cause)
	}
	return err
}

func missing(what, id string) error {
	return &commands.Error{
		Code:   commands.CodeMissing,
		Public: fmt.Sprintf("There is no %s %.60q.", what, id),
	}
}

// misuse is an error of the calling code, not of a person.
func misuse(format string, args ...any) error {
	return &commands.Error{
		Code:   commands.CodeInternal,
		Public: "Something went wrong inside whybot; its log has the details.",
		Err:    fmt.Errorf("store: "+format, args...),
	}
}

func (s *Store) closedError() error {
	return &commands.Error{
		Code:   commands.CodeInternal,
		Public: fmt.Sprintf("The store %s is closed.", s.opts.Path),
		Hint:   "Whybot is stopping; ask again when it is back.",
		Err:    bolterrors.ErrDatabaseNotOpen,
	}
}

// writeError is the error of a transaction of which nothing was kept.
func (s *Store) writeError(err error) error {
	reason, hint := diskReason(err)
	return &commands.Error{
		Code:   commands.CodeInternal,
		Public: fmt.Sprintf("The store %s could not be written: %s. Nothing was changed.", s.opts.Path, reason),
		Hint:   hint,
		Err:    err,
	}
}

// uncertainError is the error of a transaction that may have been kept.
func (s *Store) uncertainError(err error) error {
	return &commands.Error{
		Code: commands.CodeInternal,
		Public: fmt.Sprintf("The store %s could not be synced, so it is not known whether the last change was stored; "+
			"nothing more is written.", s.opts.Path),
		Hint: "Look after its disk, then start whybot again.",
		Err:  fmt.Errorf("%w: %w", ErrOutcomeUnknown, err),
	}
}

// readError turns an error of a read into one for a person. Errors that
// already are, and a context's, stay as they are.
func (s *Store) readError(err error) error {
	var known *commands.Error
	switch {
	case err == nil, errors.As(err, &known), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, bolterrors.ErrDatabaseNotOpen):
		return s.closedError()
	case errors.Is(err, errDamaged):
		return damagedError(s.opts.Path, err)
	}
	return &commands.Error{
		Code:   commands.CodeInternal,
		Public: fmt.Sprintf("The store %s could not be read.", s.opts.Path),
		Err:    err,
	}
}

func damagedError(path string, err error) error {
	return &commands.Error{
		Code:   commands.CodeInternal,
		Public: fmt.Sprintf("The store %s is damaged (%s).", path, firstLine(err)),
		Hint:   "Stop whybot, keep a copy of the file, and restore a backup or move it away to start an empty one.",
		Err:    err,
	}
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return strings.TrimPrefix(line, errDamaged.Error()+": ")
}

// diskReason says in words what is wrong with the disk, and what to do.
func diskReason(err error) (reason, hint string) {
	switch {
	case isErrno(err, syscall.ENOSPC):
		return "its disk is full", "Free some space and try again."
	case isErrno(err, syscall.EDQUOT):
		return "the disk quota is used up", "Free some space or raise the quota, and try again."
	case isErrno(err, syscall.EROFS):
		return "its file system is read-only", "Mount it for writing and try again."
	case isErrno(err, syscall.EFBIG):
		return "the file has reached the size limit", "Raise the file size limit (ulimit -f) and try again."
	case isErrno(err, syscall.EIO):
		return "its disk reports an error", "Look at the kernel log (dmesg) for its disk."
	case isErrno(err, syscall.EACCES), isErrno(err, syscall.EPERM):
		return "permission denied", "Give the user whybot runs as read and write access to it."
	}
	return "writing failed", "Whybot's log has the details."
}

// isErrno also looks into the text, for bbolt flattens some errors into it.
func isErrno(err error, errno syscall.Errno) bool {
	return errors.Is(err, errno) || strings.Contains(err.Error(), errno.Error())
}
