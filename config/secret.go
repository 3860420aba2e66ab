package config

import (
	"fmt"
	"io"
	"log/slog"
)

// redacted is what a Secret prints as. An unset one prints the same: whether a
// secret is set is seen with IsSet, not in a log.
const redacted = "[redacted]"

// A Secret is a token that never prints: every way of writing it out yields a
// placeholder, and Reveal is the only way to the value.
//
// The value sits behind a pointer, so that even a Secret in an unexported
// field, whose methods package fmt cannot call, prints as an address.
type Secret struct{ value *string }

// NewSecret returns a Secret that holds value.
func NewSecret(value string) Secret { return Secret{value: &value} }

// Reveal returns the value; empty when the Secret is not set.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// IsSet reports whether there is a value.
func (s Secret) IsSet() bool { return s.Reveal() != "" }

// String returns a placeholder.
func (Secret) String() string { return redacted }

// GoString returns a placeholder.
func (Secret) GoString() string { return redacted }

// Format writes a placeholder, whatever the verb.
func (Secret) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, redacted) // fmt has no way to report a failed write
}

// MarshalText returns a placeholder.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON returns a placeholder.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalYAML returns a placeholder.
func (Secret) MarshalYAML() (any, error) { return redacted, nil }

// LogValue returns a placeholder.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
