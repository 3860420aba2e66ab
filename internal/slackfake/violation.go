package slackfake

import (
	"fmt"
	"slices"
	"time"
)

// Violation is something that Slack tolerates, drops or refuses and that a good bot never does.
type Violation struct {
	At     time.Time
	Code   string // A stable word, such as missing_text or block_id_reused.
	Where  string // The method or channel of delivery it happened on.
	Detail string
}

// String returns the violation on one line for test failures.
func (v Violation) String() string { return fmt.Sprintf("%s on %s: %s", v.Code, v.Where, v.Detail) }

// Violations returns everything the bot did wrong so far; most tests assert that it is empty.
func (s *Server) Violations() []Violation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.violations)
}

func (s *Server) violateLocked(code, where, format string, args ...any) {
	v := Violation{At: s.clock.Now(), Code: code, Where: where, Detail: fmt.Sprintf(format, args...)}
	s.violations = append(s.violations, v)
}
