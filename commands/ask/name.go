package ask

import (
	"net/netip"
	"regexp"
	"strings"
	"unicode"
)

const (
	longestAddress = 48
	longestName    = 255
)

// hanRun reads Chinese characters. Characters joined to what follows by a
// hyphen belong to a name, as far back as the vocabulary does not claim them.
func (s *scanner) hanRun() {
	end := s.runEnd(s.pos, isHan)
	pieces := s.cutHan(s.pos, end)
	keep := len(pieces)
	if s.joins(end) {
		keep = nameHead(pieces)
	}
	for _, p := range pieces[:keep] {
		s.emitHan(p)
	}
	if keep == len(pieces) {
		s.pos = end
		return
	}
	s.joinedName(pieces[keep].start)
}

// A piece is a stretch of Chinese characters: a known word, or the characters
// between two.
type piece struct {
	start, end int
	means      meaning
	known      bool
}

func (s *scanner) cutHan(start, end int) []piece {
	var out []piece
	for i := start; i < end; {
		n, m := words.hanWord(s.folded[i:end])
		if n > 0 {
			out = append(out, piece{i, i + n, m, true})
			i += n
			continue
		}
		if len(out) > 0 && !out[len(out)-1].known {
			out[len(out)-1].end++
		} else {
			out = append(out, piece{start: i, end: i + 1})
		}
		i++
	}
	return out
}

// nameHead returns the index of the piece with which the name at the end of
// pieces starts. Nouns may be part of a name; a run of nothing but known words
// gives its last one.
func nameHead(pieces []piece) int {
	i := len(pieces) - 1
	for i > 0 && !pieces[i-1].known {
		i--
	}
	return i
}

func (s *scanner) emitHan(p piece) {
	text := string(s.typed[p.start:p.end])
	s.emit(token{kind: word, text: text, fold: string(s.folded[p.start:p.end]), means: p.means})
	if p.means.has(but) {
		s.clause++
	}
}

// joinedName emits the name that starts at start and has Chinese characters
// joined to it by hyphens.
func (s *scanner) joinedName(start int) {
	end := s.latinEnd(start)
	if isHan(s.typed[start]) {
		end = s.runEnd(start, isHan)
	}
	for s.joins(end) && end-start < longestName {
		end = s.joinedPart(end + 1)
	}
	text := string(s.typed[start:end])
	s.emit(token{kind: name, text: text, fold: foldString(text), means: isName})
	s.pos = end
}

// joinedPart returns the end of the part of a name that starts at start. What
// is glued on behind the last part is the rest of the sentence.
func (s *scanner) joinedPart(start int) int {
	if isLatin(s.typed[start]) {
		return s.latinEnd(start)
	}
	end := s.runEnd(start, isHan)
	if s.joins(end) && end-start <= longestHanWord {
		return end
	}
	pieces := s.cutHan(start, min(end, start+longestName))
	return pieces[0].end
}

func (s *scanner) runEnd(i int, in func(rune) bool) int {
	for i < len(s.typed) && in(s.typed[i]) {
		i++
	}
	return i
}

// joins reports whether the rune at i is a hyphen within a name.
func (s *scanner) joins(i int) bool {
	if i == 0 || i+1 >= len(s.typed) {
		return false
	}
	r := s.typed[i]
	return (r == '-' || r == '_' || isDash(r)) && isNameRune(s.typed[i-1]) && isNameRune(s.typed[i+1])
}

// latinEnd returns the end of a Latin word with the marks inside it that names
// and contractions have.
func (s *scanner) latinEnd(i int) int {
	for i < len(s.typed) {
		r := s.typed[i]
		inside := strings.ContainsRune("-_.&@'+#", r) || isDash(r)
		if !isLatin(r) && (!inside || i+1 >= len(s.typed) || !isLatin(s.typed[i+1])) {
			return i
		}
		i++
	}
	return i
}

func (s *scanner) latinRun() {
	end := s.latinEnd(s.pos)
	if s.joins(end) && isHan(s.typed[end+1]) {
		s.joinedName(s.pos)
		return
	}
	text := string(s.typed[s.pos:end])
	s.pos = end
	owner := false
	if lower := strings.ToLower(text); strings.HasSuffix(lower, "'s") {
		if _, known := words.words[lower]; !known {
			text, owner = text[:len(text)-2], true
		}
	}
	before := len(s.out)
	s.latinWord(text)
	if owner && len(s.out) > before {
		s.out[len(s.out)-1].owner = true
	}
}

var shapes = []struct {
	kind    tokenKind
	means   meaning
	pattern *regexp.Regexp
}{
	{ticket, isIncident, regexp.MustCompile(`^inc-?\d+$`)},
	{date, 0, regexp.MustCompile(`^\d{4}-\d{1,2}-\d{1,2}$`)},
	{date, 0, regexp.MustCompile(`^\d{1,2}-\d{1,2}$`)},
	{number, autoconf, regexp.MustCompile(`^169\.254(\.[x*\d]+)*$`)},
	{number, 0, regexp.MustCompile(`^\d{1,3}(\.(\d{1,3}|x))+$`)},
	{number, fail, regexp.MustCompile(`^(400|401|403|404|409|500|502|503|504|1006|1011)$`)},
	{number, 0, regexp.MustCompile(`^\d+$`)},
	{amount, 0, regexp.MustCompile(`^\d+(\.\d+)?(s|sec|secs|m|min|mins|h|hr|hrs|d|w|am|pm|k|kb|m|mb|g|gb|gib|t|tb|tib|mib|x|st|nd|rd|th)$`)},
	{word, 0, regexp.MustCompile(`^(eth|ens|enp|eno|em|bond|vlan|vxlan|tap|qvo|qvb|qbr|brq|veth|br|lo|tun|wlan|net)\d[\w.-]*$`)},
	{word, 0, regexp.MustCompile(`^(l2|l3|ipv4|ipv6|v4|v6|k8s|s3|br-(int|ex|tun))$`)},
	{person, 0, regexp.MustCompile(`^[^@]+@[^@]+$`)},
}

// latinWord emits what one Latin word stands for.
func (s *scanner) latinWord(text string) {
	folded := strings.ToLower(text)
	if m, ok := words.words[folded]; ok {
		s.emitWord(text, folded, m, false)
		return
	}
	if len(text) <= longestName {
		for _, shape := range shapes {
			if shape.pattern.MatchString(folded) {
				s.emit(token{kind: shape.kind, text: text, fold: folded, means: shape.means})
				return
			}
		}
	}
	m, known := words.latin(folded)
	switch {
	case known:
		s.emitWord(text, folded, m, false)
	case s.compound(folded):
	case looksLikeName(text):
		s.emit(token{kind: name, text: text, fold: folded, means: isName})
	default:
		s.emitWord(text, folded, 0, true)
	}
}

func (s *scanner) emitWord(text, folded string, m meaning, unknown bool) {
	s.emit(token{kind: word, text: text, fold: folded, means: m, unknown: unknown})
	if m.has(but) {
		s.clause++
	}
}

// looksLikeName reports whether a word has what names have and words have not:
// a digit or a mark inside.
func looksLikeName(text string) bool {
	letters, marks := false, false
	for _, r := range text {
		letters = letters || unicode.IsLetter(r)
		marks = marks || !unicode.IsLetter(r)
	}
	return letters && marks
}

// compound emits the parts of a hyphenated word such as "not-working": all its
// parts are known and at least one says what happens, which no name does.
func (s *scanner) compound(folded string) bool {
	parts := strings.FieldsFunc(folded, func(r rune) bool { return r == '-' || r == '_' })
	const says = trouble | get | have | remove | removed | left | resolved | aux
	spoken := false
	for _, p := range parts {
		m, known := words.words[p]
		if !known {
			return false
		}
		spoken = spoken || m.has(says)
	}
	if len(parts) < 2 || !spoken {
		return false
	}
	for _, p := range parts {
		s.emitWord(p, p, words.words[p], false)
	}
	return true
}

// dotted reads an IP address, with or without a prefix length, or a MAC
// address, which is skipped.
func (s *scanner) dotted() bool {
	if s.pos > 0 && isLatin(s.typed[s.pos-1]) || !isAddressRune(s.typed[s.pos]) {
		return false
	}
	end := s.pos
	for end < len(s.typed) && end-s.pos <= longestAddress && isAddressRune(s.typed[end]) {
		end++
	}
	if end < len(s.typed) && (isLatin(s.typed[end]) || s.joins(end)) {
		return false
	}
	text := strings.TrimRight(string(s.typed[s.pos:end]), ".:/")
	if macAddress.MatchString(text) {
		s.pos += len(text)
		return true
	}
	t, ok := addressToken(text)
	if !ok {
		return false
	}
	s.emit(t)
	s.pos += len(text)
	return true
}

var macAddress = regexp.MustCompile(`^(?i:[0-9a-f]{2}(:[0-9a-f]{2}){5})$`)

func isAddressRune(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'a' && r <= 'f' || r >= 'A' && r <= 'F' || r == '.' || r == ':' || r == '/'
}

func addressToken(text string) (token, bool) {
	host, _, _ := strings.Cut(text, "/")
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return token{}, false
	}
	t := token{kind: address, text: host, fold: strings.ToLower(host), means: isIP}
	switch {
	case host == "169.254.169.254":
		t.means = metadata
	case ip.Is4() && (ip.IsLinkLocalUnicast() || ip.IsUnspecified()):
		t.means = autoconf
	}
	return t, true
}
