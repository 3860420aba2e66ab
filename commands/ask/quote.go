package ask

import "strings"

// longestQuote bounds how far a closing quote is looked for, and with it the
// longest name that can be quoted.
const longestQuote = 80

// isOpenQuote reports whether a quoted span starts at pos. An apostrophe opens
// one only where no word precedes it: o'brien-test is not quoted.
func (s *scanner) isOpenQuote() bool {
	if s.pos == s.closeAt {
		return false
	}
	switch s.typed[s.pos] {
	case '"', '`':
		return true
	case '\'':
		return s.pos == 0 || !isLatin(s.typed[s.pos-1])
	}
	return false
}

// quote reads a quoted span. A name becomes one token; a quoted message is
// read as if the quotes were not there, because its words are evidence.
func (s *scanner) quote() {
	mark := s.typed[s.pos]
	start := s.pos
	for start < len(s.typed) && s.typed[start] == mark {
		start++ // a code fence is three
	}
	end := s.closing(mark, start)
	if end < 0 {
		s.pos = start
		return
	}
	text := strings.TrimSpace(string(s.typed[start:end]))
	if isQuotedName(text) {
		s.emit(classifyQuoted(text))
		s.pos = end + 1
		return
	}
	s.pos = start
	s.closeAt = end
}

func (s *scanner) closing(mark rune, start int) int {
	for i := start; i < min(start+longestQuote, len(s.typed)); i++ {
		if s.typed[i] != mark {
			continue
		}
		if mark != '\'' || i+1 == len(s.typed) || !isLatin(s.typed[i+1]) {
			return i
		}
	}
	return -1
}

// isQuotedName tells a name from a quoted sentence or command: a name has few
// words, and none that only sentences have.
func isQuotedName(text string) bool {
	if text == "" || strings.ContainsAny(text, `,;!?"$|<>`) || len(strings.Fields(text)) > 5 {
		return false
	}
	tokens := tokenise([]rune(text))
	const sentence = (trouble &^ problem) | get | have | from | to | aux | why | who | resolved | at | happened | whatDid | dont
	known := 0
	for _, t := range tokens {
		if t.kind == pause && strings.HasSuffix(text, ".") || t.kind == question || t.kind == ticket {
			return false
		}
		if t.kind == word && t.means.has(sentence) {
			return false
		}
		if t.kind == word && t.means.has(ping|remove|removed) {
			known++
		}
	}
	return known == 0
}

// classifyQuoted keeps the quoted text whole, unless it is an address.
func classifyQuoted(text string) token {
	if t, ok := addressToken(text); ok {
		return t
	}
	return token{kind: name, text: text, fold: foldString(text), means: isName, quoted: true}
}

func foldString(s string) string { return strings.Map(fold, s) }
