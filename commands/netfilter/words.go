package netfilter

import (
	"strconv"
	"strings"
)

// A word is one argument of a rule as the listing spells it.
type word struct {
	text   string // without quotes
	raw    string // as listed
	quoted bool   // a quoted word is a value, never an option
}

// A quoting follows the double quotes of iptables-save through a text: inside
// them a backslash takes the next character as it is, outside it is plain.
type quoting struct{ open, escaped bool }

// next advances over one byte and says whether that byte belongs to the value
// (and is not itself a quote or an escape).
func (q *quoting) next(c byte) bool {
	switch {
	case q.escaped:
		q.escaped = false
		return true
	case q.open && c == '\\':
		q.escaped = true
		return false
	case c == '"':
		q.open = !q.open
		return false
	default:
		return true
	}
}

// over advances over a whole text.
func (q *quoting) over(text string) {
	for i := range len(text) {
		q.next(text[i])
	}
}

// splitWords splits a rule the way iptables-restore does. The text's quotes
// must be closed.
func splitWords(text string) []word {
	var words []word
	var q quoting
	var value []byte
	start, quoted := -1, false
	for i := range len(text) {
		c := text[i]
		if !q.open && (c == ' ' || c == '\t') {
			if start >= 0 {
				words = append(words, word{string(value), text[start:i], quoted})
			}
			start, quoted, value = -1, false, value[:0]
			continue
		}
		if start < 0 {
			start = i
		}
		quoted = quoted || c == '"'
		if q.next(c) {
			value = append(value, c)
		}
	}
	if start >= 0 {
		words = append(words, word{string(value), text[start:], quoted})
	}
	return words
}

func rawText(words []word) string {
	raw := make([]string, len(words))
	for i, w := range words {
		raw[i] = w.raw
	}
	return strings.Join(raw, " ")
}

// printableRune returns r, or an escape that a person sees.
func printableRune(r rune) string {
	if strconv.IsPrint(r) && r != '\uFFFD' {
		return string(r)
	}
	q := strconv.QuoteRuneToASCII(r)
	return q[1 : len(q)-1]
}
