package sudoers

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// A Rule allows one command to be run as root.
type Rule struct {
	// Example is a command that it allows.
	Example []string
	// For says what of whybot needs it.
	For []string

	words   string // the words behind the program, or their pattern
	pattern *regexp.Regexp
}

// newRule returns the rule that allows a command made with samples, and all
// like it.
func newRule(argv []string, why string) (*Rule, error) {
	if len(argv) == 0 || slices.Contains(argv, "") {
		return nil, fmt.Errorf("%s runs %q, in which a word is empty: commands/sudoers knows no form for what should stand there", why, argv)
	}
	if !program.MatchString(argv[0]) {
		return nil, fmt.Errorf("%s runs %q, whose program is not a plain name", why, argv)
	}
	r := &Rule{Example: argv, For: []string{why}}
	joined := strings.Join(argv[1:], " ")
	pattern, varies, err := patternOf(joined)
	if err != nil {
		return nil, fmt.Errorf("%s runs %q: %w", why, argv, err)
	}
	if r.pattern, err = regexp.Compile("^" + pattern + "$"); err != nil {
		return nil, fmt.Errorf("%s runs %q: %w", why, argv, err)
	}
	if r.words = "^" + pattern + "$"; !varies && plain.MatchString(joined) {
		r.words = escaped.Replace(joined)
	}
	if joined == "" {
		r.words = `""`
	}
	if len(r.words) > maxPattern {
		return nil, fmt.Errorf("%s runs %q, whose pattern has %d characters: sudo takes %d", why, argv, len(r.words), maxPattern)
	}
	return r, nil
}

// maxPattern is the longest regular expression that sudo takes.
const maxPattern = 1024

var (
	program = regexp.MustCompile(`^(/usr/local/sbin/)?[a-z0-9][a-z0-9_.+-]*$`)
	// plain are words that a sudoers file can hold without a pattern.
	plain   = regexp.MustCompile(`^[A-Za-z0-9 _./+@%=:,-]+$`)
	escaped = strings.NewReplacer(`,`, `\,`, `:`, `\:`, `=`, `\=`)
	// special are the characters that mean something in a pattern, or begin a
	// comment in a sudoers file.
	special = regexp.MustCompile(`[\\.\[\](){}*+?^$|#]`)
)

// patternOf returns the pattern of words made with samples, and whether there
// was any sample among them.
func patternOf(words string) (pattern string, varies bool, err error) {
	var b strings.Builder
	for words != "" {
		at, f := firstSample(words)
		if at < 0 {
			b.WriteString(special.ReplaceAllString(words, `\$0`))
			break
		}
		if f.pattern == "" {
			return "", false, fmt.Errorf("%q stands for something that commands/sudoers knows no form of", f.sample)
		}
		b.WriteString(special.ReplaceAllString(words[:at], `\$0`))
		b.WriteString(f.pattern)
		words, varies = words[at+len(f.sample):], true
	}
	if strings.Contains(b.String(), "wb") {
		return "", false, errors.New("it holds a part of a sample: commands/sudoers cannot tell what may stand there")
	}
	return b.String(), varies, nil
}

// firstSample finds the first sample in words, the longest of those that begin
// there; -1 when there is none.
func firstSample(words string) (at int, found form) {
	at = -1
	for _, f := range samples() {
		if i := strings.Index(words, f.sample); i >= 0 && (at < 0 || i < at) {
			at, found = i, f
		}
	}
	return at, found
}

// Allows reports whether the rule allows a command, by the program's name.
func (r *Rule) Allows(argv []string) bool {
	return len(argv) > 0 && argv[0] == r.Example[0] && r.pattern.MatchString(strings.Join(argv[1:], " "))
}

// runsOthers are the programs that start others: ip in a namespace, systemctl
// its agents, and the helper the change itself.
func (r *Rule) runsOthers() bool {
	return slices.Contains([]string{"ip", "systemctl"}, r.Example[0]) || path.IsAbs(r.Example[0])
}

// places are where distributions keep programs. A program that is in several
// through a link is one file for sudo.
var places = []string{"/usr/sbin/", "/usr/bin/", "/sbin/", "/bin/"}

// commands are the rule's commands as a sudoers file has them.
func (r *Rule) commands() []string {
	if path.IsAbs(r.Example[0]) {
		return []string{r.Example[0] + " " + r.words}
	}
	all := make([]string, 0, len(places))
	for _, dir := range places {
		all = append(all, dir+r.Example[0]+" "+r.words)
	}
	return all
}

// Rules are what one login may run.
type Rules []*Rule

// Allows reports whether any rule allows a command.
func (rs Rules) Allows(argv []string) bool {
	return slices.ContainsFunc(rs, func(r *Rule) bool { return r.Allows(argv) })
}

// add adds the rule of a command, or one more reason to have it.
func (rs Rules) add(argv []string, why string) (Rules, error) {
	r, err := newRule(argv, why)
	if err != nil {
		return rs, err
	}
	for _, known := range rs {
		if known.Example[0] == r.Example[0] && known.words == r.words {
			if !slices.Contains(known.For, why) {
				known.For = append(known.For, why)
			}
			return rs, nil
		}
	}
	return append(rs, r), nil
}
