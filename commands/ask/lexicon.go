package ask

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	longestPhrase  = 4  // words, English
	longestHanWord = 6  // characters
	shortestFuzzy  = 4  // letters: below, one slip makes another word too easily
	longestFuzzy   = 16 // letters
)

// A lexicon finds meanings: of phrases, of words with regular endings or one
// slip of the finger, and of Chinese words inside running text.
type lexicon struct {
	words   map[string]meaning // Latin words
	phrases map[string]meaning // Latin words joined by one space
	starts  map[string]bool    // first words of phrases
	han     map[string]meaning
	slips   map[string]string // a word with one letter left out -> the word
}

var words = newLexicon()

func newLexicon() *lexicon {
	l := &lexicon{
		words: map[string]meaning{}, phrases: map[string]meaning{}, starts: map[string]bool{},
		han: map[string]meaning{}, slips: map[string]string{},
	}
	for _, entry := range vocabulary {
		for w := range strings.SplitSeq(entry.words, "|") {
			l.add(w, entry.means)
		}
	}
	for _, entry := range vocabulary { // in order, so that the first word wins a tie
		for w := range strings.SplitSeq(entry.words, "|") {
			l.addSlips(w)
		}
	}
	return l
}

func (l *lexicon) add(w string, m meaning) {
	first, _ := utf8.DecodeRuneInString(w)
	switch {
	case isHan(first):
		l.han[w] |= m
	case strings.Contains(w, " "):
		l.phrases[w] |= m
		head, _, _ := strings.Cut(w, " ")
		l.starts[head] = true
		for part := range strings.FieldsSeq(w) {
			l.words[part] |= 0
		}
	default:
		l.words[w] |= m
	}
}

func (l *lexicon) addSlips(w string) {
	if !isPlain(w) || len(w) < shortestFuzzy {
		return
	}
	for i := range w {
		short := w[:i] + w[i+1:]
		if _, taken := l.slips[short]; !taken {
			l.slips[short] = w
		}
	}
}

func isPlain(w string) bool {
	for _, r := range w {
		if r < 'a' || r > 'z' {
			return false
		}
	}
	return w != ""
}

// latin returns the meaning of a lower-case Latin word. Known is false for a
// word that is in no table, which may then be a name.
func (l *lexicon) latin(w string) (m meaning, known bool) {
	if m, known = l.words[w]; known {
		return m, true
	}
	if stem, ok := l.stem(w); ok {
		return l.words[stem], true
	}
	if right, ok := l.correct(w); ok {
		return l.words[right], true
	}
	return 0, false
}

var endings = []struct{ cut, add string }{
	{"ies", "y"},
	{"es", ""},
	{"s", ""},
	{"ing", ""},
	{"ing", "e"},
	{"ed", ""},
	{"d", ""},
	{"n't", ""},
}

func (l *lexicon) stem(w string) (string, bool) {
	for _, e := range endings {
		base, cut := strings.CutSuffix(w, e.cut)
		if !cut || len(base) < 3 {
			continue
		}
		if _, ok := l.words[base+e.add]; ok {
			return base + e.add, true
		}
	}
	return "", false
}

// correct undoes one slip: a letter too many, too few, wrong, or two swapped.
func (l *lexicon) correct(w string) (string, bool) {
	if !isPlain(w) || len(w) < shortestFuzzy || len(w) > longestFuzzy {
		return "", false
	}
	if right, ok := l.slips[w]; ok {
		return right, true // a letter too few
	}
	for i := range w {
		short := w[:i] + w[i+1:]
		if _, ok := l.words[short]; ok && len(short) >= shortestFuzzy {
			return short, true // a letter too many
		}
	}
	for i := range w {
		short := w[:i] + w[i+1:]
		if right, ok := l.slips[short]; ok && oneSlip(w, right) {
			return right, true
		}
	}
	return "", false
}

// oneSlip reports whether two words of one length differ in one letter of a
// longer word, or in two neighbours that changed places.
func oneSlip(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	if i == len(a) {
		return true
	}
	if i+1 < len(a) && a[i] == b[i+1] && a[i+1] == b[i] {
		return a[i+2:] == b[i+2:]
	}
	return len(a) > shortestFuzzy && a[i+1:] == b[i+1:]
}

// hanWord returns the length in runes of the longest known word at the start
// of folded, or 0.
func (l *lexicon) hanWord(folded []rune) (n int, m meaning) {
	for n = min(longestHanWord, len(folded)); n > 0; n-- {
		if m, ok := l.han[string(folded[:n])]; ok {
			return n, m
		}
	}
	return 0, 0
}

func phraseSet(s string) map[string]bool {
	set := map[string]bool{}
	for p := range strings.SplitSeq(s, "|") {
		set[strings.Map(dropSpace, p)] = true
	}
	return set
}

func dropSpace(r rune) rune {
	if unicode.IsSpace(r) {
		return -1
	}
	return r
}
