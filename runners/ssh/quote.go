package ssh

import (
	"errors"
	"strings"
)

var errNUL = errors.New("a word holds a NUL byte, which no command line can carry")

// quote returns w as one word of a shell command line. It is the only way a
// word gets into one.
//
// A quote, a backslash and an exclamation mark leave the quotes and are escaped
// by a backslash, everything else stands between single quotes. POSIX shells
// need that for the quote only; fish reads backslashes between single quotes
// and csh exclamation marks, and either may be somebody's login shell.
func quote(w string) (string, error) {
	if strings.IndexByte(w, 0) >= 0 {
		return "", errNUL
	}
	var b strings.Builder
	b.Grow(len(w) + 2)
	b.WriteByte('\'')
	for i := range len(w) {
		switch c := w[i]; c {
		case '\'', '\\', '!':
			b.WriteString(`'\`)
			b.WriteByte(c)
			b.WriteByte('\'')
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('\'')
	return b.String(), nil
}
