package slackfake

import "fmt"

// Problem is one finding of the validator, in the form that blocks.validate answers with.
type Problem struct {
	Pointer    string `json:"pointer"` // An RFC 6901 pointer into what was validated.
	Code       string `json:"code"`
	Message    string `json:"message"`
	Constraint string `json:"constraint,omitempty"`
	// Warning marks what Slack accepts and a good message still avoids; blocks.validate leaves these out.
	Warning bool `json:"-"`
}

// String returns the problem on one line.
func (p Problem) String() string { return fmt.Sprintf("%s: %s: %s", p.Pointer, p.Code, p.Message) }

// Codes of problems.
const (
	codeMessageTooLong  = "msg_blocks_too_long"
	codeMissingText     = "missing_text"
	codeLongText        = "text_will_be_split"
	codeMissingActionID = "missing_action_id"
	codeManyPrimary     = "too_many_primary_buttons"
	codeRequired        = "required"
	codeUnknownKey      = "unknown_property"
	codeUnknownType     = "unknown_type"
	codeWrongType       = "wrong_type"
	codeTooLong         = "too_long"
	codeTooShort        = "too_short"
	codeTooMany         = "too_many"
	codeTooFew          = "too_few"
	codeInvalidValue    = "invalid_value"
	codeDuplicate       = "duplicate"
	codeNotAllowedHere  = "not_allowed_here"
	codeInvalidJSON     = "invalid_json"
)
