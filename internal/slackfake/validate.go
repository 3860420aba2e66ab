package slackfake

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

var errTrailing = errors.New("something follows the JSON value")

// surface is where blocks are shown; what is allowed depends on it.
type surface int

const (
	forMessage surface = iota
	forModal
	forHome
)

// Validate judges a message as sent to chat.postMessage, chat.update or a response URL: every documented limit, unknown
// keys and types, and the budget of the whole message. Warnings are included; see Problem.Warning.
func Validate(message []byte) []Problem {
	return validateDocument(message, forMessage, func(v *validation, doc map[string]any) { v.message(doc) })
}

// ValidateView judges a modal or Home view as sent to views.open or views.publish.
func ValidateView(view []byte) []Problem {
	return validateDocument(view, forModal, func(v *validation, doc map[string]any) { v.view(doc) })
}

func validateDocument(raw []byte, where surface, judge func(*validation, map[string]any)) []Problem {
	v := newValidation(where)
	decoded, err := decodeJSON(raw)
	if err != nil {
		v.report("", codeInvalidJSON, "", "not JSON: %v", err)
		return v.problems
	}
	doc, ok := decoded.(map[string]any)
	if !ok {
		v.report("", codeWrongType, "type object", "must be an object")
		return v.problems
	}
	judge(v, doc)
	return v.problems
}

// validation is one walk over a document.
type validation struct {
	where    surface
	problems []Problem
	shown    int // Characters a person would read.
	markdown int
	tables   int
	inputs   int
	blockIDs map[string]string
}

func newValidation(where surface) *validation {
	return &validation{where: where, blockIDs: map[string]string{}}
}

func (v *validation) report(at, code, constraint, format string, args ...any) {
	v.problems = append(v.problems, Problem{Pointer: at, Code: code, Constraint: constraint, Message: fmt.Sprintf(format, args...)})
}

func (v *validation) warn(at, code, format string, args ...any) {
	v.problems = append(v.problems, Problem{Pointer: at, Code: code, Message: fmt.Sprintf(format, args...), Warning: true})
}

// check judges one value found at a pointer.
type check func(v *validation, at string, value any)

// shape describes a JSON object: the keys it may have, the ones it must have and what no single key can say.
type shape struct {
	keys     map[string]check
	required string // Space-separated; alternatives are joined by "|".
	rule     func(v *validation, at string, o map[string]any)
}

func object(s shape) check {
	return func(v *validation, at string, value any) {
		o, ok := value.(map[string]any)
		if !ok {
			v.report(at, codeWrongType, "type object", "must be an object")
			return
		}
		v.walk(at, o, s)
	}
}

func (v *validation) walk(at string, o map[string]any, s shape) {
	for _, want := range strings.Fields(s.required) {
		present := func(key string) bool { return o[key] != nil }
		if !slices.ContainsFunc(strings.Split(want, "|"), present) {
			v.report(at, codeRequired, "required "+want, "missing required field: %s", want)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(o)) {
		if key == "type" {
			continue
		}
		judge, known := s.keys[key]
		if !known {
			v.report(at+"/"+pointerToken(key), codeUnknownKey, "additionalProperties false", "invalid additional property: %s", key)
			continue
		}
		judge(v, at+"/"+key, o[key])
	}
	if s.rule != nil {
		s.rule(v, at, o)
	}
}

func pointerToken(key string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}

// typed judges an object by its "type", which must be one of the given shapes.
func typed(what string, shapes map[string]shape) check {
	return func(v *validation, at string, value any) {
		o, ok := value.(map[string]any)
		if !ok {
			v.report(at, codeWrongType, "type object", "%s must be an object", what)
			return
		}
		kind, _ := o["type"].(string)
		s, known := shapes[kind]
		if !known {
			v.report(at+"/type", codeUnknownType, "enum "+strings.Join(sortedKeys(shapes), " "), "unsupported type of %s: %q", what, kind)
			return
		}
		v.walk(at, o, s)
	}
}

func list(low, high int, item check) check {
	return func(v *validation, at string, value any) {
		items, ok := value.([]any)
		if !ok {
			v.report(at, codeWrongType, "type array", "must be an array")
			return
		}
		if len(items) < low {
			v.report(at, codeTooFew, fmt.Sprintf("minItems %d", low), "must have at least %d items [%d]", low, len(items))
		}
		if len(items) > high {
			v.report(at, codeTooMany, fmt.Sprintf("maxItems %d", high), "no more than %d items allowed [%d]", high, len(items))
		}
		for i, x := range items {
			item(v, at+"/"+strconv.Itoa(i), x)
		}
	}
}

// str judges a string that a person does not read, such as an id.
func str(low, high int) check {
	return func(v *validation, at string, value any) { v.length(at, value, low, high) }
}

// shownStr judges a bare string that a person reads.
func shownStr(low, high int) check {
	return func(v *validation, at string, value any) { v.shown += v.length(at, value, low, high) }
}

// length checks the type and the length in characters and returns the length.
func (v *validation) length(at string, value any, low, high int) int {
	text, ok := value.(string)
	if !ok {
		v.report(at, codeWrongType, "type string", "must be a string")
		return 0
	}
	n := utf8.RuneCountInString(text)
	if n < low {
		v.report(at, codeTooShort, fmt.Sprintf("minLength %d", low), "must be more than %d characters", low-1)
	}
	if n > high {
		v.report(at, codeTooLong, fmt.Sprintf("maxLength %d", high), "must be less than %d characters [%d]", high+1, n)
	}
	return n
}

func enum(values ...string) check {
	return func(v *validation, at string, value any) {
		text, ok := value.(string)
		if !ok || !slices.Contains(values, text) {
			v.report(at, codeInvalidValue, "enum "+strings.Join(values, " "), "must be one of %s", strings.Join(values, ", "))
		}
	}
}

func boolean(v *validation, at string, value any) {
	if _, ok := value.(bool); !ok {
		v.report(at, codeWrongType, "type boolean", "must be a boolean")
	}
}

func number(v *validation, at string, value any) {
	if _, ok := value.(json.Number); !ok {
		v.report(at, codeWrongType, "type number", "must be a number")
	}
}

func integer(low, high int64) check {
	return func(v *validation, at string, value any) {
		n, ok := value.(json.Number)
		if !ok {
			v.report(at, codeWrongType, "type integer", "must be an integer")
			return
		}
		i, err := n.Int64()
		if err != nil || i < low || i > high {
			v.report(at, codeInvalidValue, fmt.Sprintf("range %d..%d", low, high), "must be an integer from %d to %d [%s]", low, high, n)
		}
	}
}

// address accepts what a browser can be sent to.
func address(v *validation, at string, value any) {
	v.length(at, value, 1, 3000)
	text, _ := value.(string)
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		v.report(at, codeInvalidValue, "format uri", "must be an absolute http or https URL")
	}
}

// anything accepts every value; it marks keys that exist and that no limit is documented for.
func anything(*validation, string, any) {}

func (v *validation) blockID(at string, value any) {
	v.length(at, value, 1, 255)
	id, ok := value.(string)
	if !ok {
		return
	}
	if first, taken := v.blockIDs[id]; taken {
		v.report(at, codeDuplicate, "unique in the message", "block_id %q already used at %s", id, first)
		return
	}
	v.blockIDs[id] = at
}
