package sudoers

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// Log is the file in which sudo logs what whybot's users ran and were refused,
// beside the system log.
const Log = "/var/log/whybot-sudo.log"

// A File is a sudoers file for the users of one purpose.
type File struct {
	// Name is its name in /etc/sudoers.d.
	Name string
	// Purpose says what its users do, for the head of the file.
	Purpose string
	Users   []string
	Rules   Rules
}

// Names of the files.
const (
	ProbeName = "whybot-probe"
	FixName   = "whybot-fix"
)

// ProbeFile is the file of the users who look at nodes.
func (s Source) ProbeFile(users ...string) (File, error) {
	rules, err := s.Looking(users...)
	return File{Name: ProbeName, Purpose: "looks at this node", Users: users, Rules: rules}, err
}

// FixFile is the file of the users who change nodes.
func (s Source) FixFile(users ...string) (File, error) {
	rules, err := s.Changing()
	return File{Name: FixName, Purpose: "changes this node, when a person has approved it", Users: users, Rules: rules}, err
}

// userName is a user by name. One all in capitals would be an alias, or ALL.
var userName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,31}$`)

// Write writes the file.
func (f File) Write(w io.Writer) error {
	for _, u := range f.Users {
		if !userName.MatchString(u) || strings.ToUpper(u) == u {
			return fmt.Errorf("%q is not a user that a sudoers file can name", u)
		}
	}
	alias := strings.ToUpper(strings.NewReplacer("-", "_").Replace(f.Name))
	var b strings.Builder
	fmt.Fprintf(&b, `# /etc/sudoers.d/%[1]s, root:root 0440: whybot %[2]s.
# Printed by whybot sudoers from what whybot runs; print it again rather than edit
# it. Words that vary are anchored regular expressions, which need sudo 1.9.10 or
# later: an older sudo refuses those commands.
User_Alias %[3]s = %[4]s
Defaults:%[3]s env_reset, !setenv, !env_keep, secure_path="/usr/sbin:/usr/bin:/sbin:/bin"
Defaults:%[3]s !requiretty, !lecture, log_allowed, log_denied, logfile=%[5]s, loglinelen=0
# Without this sudo -n logs no refusal.
Defaults:%[3]s mail_badpass
# Without a terminal of its own, so that what runs too long can be stopped with
# what started it; and it ends in any case.
Defaults:%[3]s !use_pty, command_timeout=180
`, f.Name, f.Purpose, alias, strings.Join(f.Users, ", "), Log)
	for _, r := range f.Rules {
		tag := "NOEXEC"
		if r.runsOthers() {
			tag = "EXEC"
		}
		fmt.Fprintf(&b, "\n%s\n%s ALL=(root) NOPASSWD: %s: \\\n    %s\n", comment(r.For), alias, tag, strings.Join(r.commands(), ", \\\n    "))
	}
	b.WriteString("\n# EXEC: ip runs programs inside of a namespace, systemctl its agents, whybot-commit\n# the change. The words above fix which.\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// comment is a list of names in comment lines of bearable length.
func comment(names []string) string {
	var lines []string
	line := "#"
	for i, n := range names {
		if i < len(names)-1 {
			n += ","
		}
		if len(line)+1+len(n) > 100 {
			lines, line = append(lines, line), "#"
		}
		line += " " + n
	}
	return strings.Join(append(lines, line), "\n")
}

// Surplus are the commands that `sudo -l` lists and no rule needs.
func (rs Rules) Surplus(listing string) []string {
	needed := map[string]bool{}
	for _, r := range rs {
		for _, c := range r.commands() {
			needed[unescaped(c)] = true
		}
	}
	var more []string
	for line := range strings.Lines(listing) {
		rest, ok := strings.CutPrefix(line, "    (")
		if !ok {
			continue
		}
		_, rest, _ = strings.Cut(strings.TrimSpace(rest), ")")
		for c := range strings.SplitSeq(tags.ReplaceAllString(rest, ""), ", ") {
			if c = strings.TrimSpace(c); c != "" && !needed[unescaped(c)] && !slices.Contains(more, c) {
				more = append(more, c)
			}
		}
	}
	return more
}

// tags stand before the commands of a line.
var tags = regexp.MustCompile(`^( *[A-Z_]+:)+ *`)

func unescaped(command string) string { return strings.ReplaceAll(command, `\`, "") }
