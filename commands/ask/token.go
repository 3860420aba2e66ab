package ask

import "strings"

type tokenKind uint8

const (
	word     tokenKind = iota // means something, or might be a name
	name                      // looks like the name of a thing
	address                   // an IP address
	person                    // a mail address
	user                      // a Slack user id
	ticket                    // an incident, inc-12
	date                      // 2026-11-01
	amount                    // 24h, 200G, 9am
	number                    // 502
	pause                     // what ends a clause
	arrow                     // ->
	question                  // the end of a clause that asks
)

// A token is a piece of the text. Text is as typed, for names; fold is what
// the vocabulary knows it by.
type token struct {
	kind    tokenKind
	text    string
	fold    string
	means   meaning
	clause  int
	quoted  bool // a person marked it as one name
	unknown bool // in no table, but made of letters: maybe a plain name
	owner   bool // "web-1's"
}

// A scanner cuts normalised text into tokens.
type scanner struct {
	typed   []rune // what names are made of
	folded  []rune // the same runes as the vocabulary writes them
	pos     int
	clause  int
	closeAt int // a closing quote whose opening one was not a name's
	out     []token
}

func tokenise(typed []rune) []token {
	s := scanner{typed: typed, folded: make([]rune, len(typed)), closeAt: -1}
	for i, r := range typed {
		s.folded[i] = fold(r)
	}
	for s.pos < len(s.typed) {
		s.step()
	}
	return joinPhrases(s.out)
}

// step consumes at least one rune.
func (s *scanner) step() {
	r := s.typed[s.pos]
	switch {
	case r == userMark || r == mailMark:
		s.marked(r)
	case s.isOpenQuote():
		s.quote()
	case s.dotted():
	case isHan(r):
		s.hanRun()
	case isLatin(r):
		s.latinRun()
	default:
		s.punctuation(r)
	}
}

func (s *scanner) emit(t token) {
	t.clause = s.clause
	s.out = append(s.out, t)
}

func (s *scanner) marked(mark rune) {
	end := s.pos + 1
	for end < len(s.typed) && s.typed[end] != closeMark {
		end++
	}
	text := string(s.typed[s.pos+1 : end])
	if mark == userMark {
		id, _, _ := strings.Cut(text, "|")
		s.emit(token{kind: user, text: id})
	} else {
		s.emit(token{kind: person, text: text})
	}
	s.pos = min(end+1, len(s.typed))
}

func (s *scanner) punctuation(r rune) {
	width := 1
	switch {
	case s.at("-->"), s.at("==>"):
		s.emit(token{kind: arrow, means: to})
		width = 3
	case s.at("->"), s.at("=>"):
		s.emit(token{kind: arrow, means: to})
		width = 2
	case r == '→' || r == '➜' || r == '➔' || r == '⇒':
		s.emit(token{kind: arrow, means: to})
	case strings.ContainsRune(",;.!。|,", r), r == '-' && s.spaced():
		s.endClause(pause)
	case r == '?':
		s.endClause(question)
	}
	s.pos += width
}

func (s *scanner) endClause(kind tokenKind) {
	t := token{kind: kind}
	if kind == question {
		t.means = asks
	}
	s.emit(t)
	s.clause++
}

func (s *scanner) at(text string) bool {
	for i, r := range text {
		if s.pos+i >= len(s.typed) || s.typed[s.pos+i] != r {
			return false
		}
	}
	return true
}

// spaced reports whether the rune at pos stands alone.
func (s *scanner) spaced() bool {
	return (s.pos == 0 || s.typed[s.pos-1] == ' ') && (s.pos+1 == len(s.typed) || s.typed[s.pos+1] == ' ')
}

// joinPhrases merges neighbouring words that the vocabulary knows as a phrase.
func joinPhrases(in []token) []token {
	out := in[:0]
	for i := 0; i < len(in); {
		n, m := 1, in[i].means
		if in[i].kind == word && words.starts[in[i].fold] {
			n, m = phraseAt(in[i:], m)
		}
		t := in[i]
		if n > 1 {
			t.means, t.unknown = m, false
			t.fold = joinFolds(in[i : i+n])
		}
		out = append(out, t)
		i += n
	}
	return out
}

// phraseAt returns how many tokens the longest phrase at the start of in takes.
func phraseAt(in []token, single meaning) (n int, m meaning) {
	n, m = 1, single
	phrase := in[0].fold
	for i := 1; i < min(longestPhrase, len(in)) && in[i].kind == word; i++ {
		phrase += " " + in[i].fold
		if pm, ok := words.phrases[phrase]; ok {
			n, m = i+1, pm
		}
	}
	return n, m
}

func joinFolds(in []token) string {
	parts := make([]string, len(in))
	for i, t := range in {
		parts[i] = t.fold
	}
	return strings.Join(parts, " ")
}
