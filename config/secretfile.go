package config

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// maxSecret is more than any token is long.
const maxSecret = 64 << 10

// secretFiles are the paths of the files that hold the secrets.
type secretFiles struct{ botToken, appToken, signingSecret, vspherePassword string }

// A secretSource is one secret and where it may come from.
type secretSource struct {
	// path is the key that the secret would have if it could stand in the file.
	path string
	file *string
	to   *Secret
	// mistaken is how a secret begins that was put here by mistake, and what
	// that one is.
	mistaken, isReally string
	// phrase says that it may hold spaces.
	phrase bool
	// why says what needs it.
	why string
}

func (l *loader) botToken() secretSource {
	return secretSource{path: "slack.bot_token", file: &l.secrets.botToken, to: &l.slack.BotToken, mistaken: "xapp-", isReally: "an app token", why: l.modeNeeds()}
}

func (l *loader) appToken() secretSource {
	return secretSource{path: "slack.app_token", file: &l.secrets.appToken, to: &l.slack.AppToken, mistaken: "xoxb-", isReally: "a bot token", why: l.modeNeeds()}
}

func (l *loader) signingSecret() secretSource {
	return secretSource{path: "slack.signing_secret", file: &l.secrets.signingSecret, to: &l.slack.SigningSecret, mistaken: "xox", isReally: "a token", why: l.modeNeeds()}
}

func (l *loader) vspherePassword() secretSource {
	return secretSource{path: "vsphere.password", file: &l.secrets.vspherePassword, to: &l.vsphere.Password, phrase: true, why: "vCenter is asked as vsphere.user"}
}

func (l *loader) modeNeeds() string { return "mode " + string(l.slack.Mode) + " needs it" }

func secretVariables() []string {
	return []string{variable("slack.bot_token"), variable("slack.app_token"), variable("slack.signing_secret"), variable("vsphere.password")}
}

func isSecretVariable(name string) bool { return slices.Contains(secretVariables(), name) }

// need reads a secret that whybot cannot do without. The environment wins over
// the file, as for every other key; but a variable for the secret beside a
// variable for its file is a contradiction.
func (l *loader) need(s secretSource) {
	fileKey, name := s.path+"_file", variable(s.path)
	value, fromEnv := l.environ[name]
	at := l.places[fileKey]
	switch {
	case fromEnv && at.variable != "":
		l.blameAt(place{variable: name}, "", fault{"is set, and so is " + at.variable, "keep one of them"})
	case fromEnv:
		l.keep(s, value, func(f fault) { l.blameAt(place{variable: name}, "", f) })
	case l.sound(fileKey):
		value, f := secretIn(*s.file)
		if f != nil {
			l.blame(fileKey, *f)
			return
		}
		l.keep(s, value, func(f fault) {
			f.what = fmt.Sprintf("in %q %s", *s.file, f.what)
			l.blame(fileKey, f)
		})
	case l.absent(fileKey) && !l.broken[s.path]: // broken: it stands in the file, which has been said
		l.blame(fileKey, fault{
			"is missing: " + s.why,
			fmt.Sprintf("name a file of mode 600 that holds it, or set %s", name),
		})
	}
}

// keep checks what can be checked of a secret without quoting it.
func (l *loader) keep(s secretSource, value string, blame func(fault)) {
	value = strings.TrimRight(value, "\r\n")
	switch {
	case strings.TrimSpace(value) == "":
		blame(fault{"the secret is empty", "put the secret there"})
	case strings.ContainsFunc(value, s.foreign):
		blame(fault{"the secret holds a space or a line break", "put the secret there and nothing else"})
	case s.mistaken != "" && strings.HasPrefix(value, s.mistaken):
		blame(fault{"the secret is " + s.isReally, "check that the secrets are not mixed up"})
	default:
		*s.to = NewSecret(value)
	}
}

// foreign reports whether a rune does not belong into the secret.
func (s secretSource) foreign(r rune) bool {
	if s.phrase && r == ' ' {
		return false
	}
	return unicode.IsSpace(r) || unicode.IsControl(r)
}

// secretIn reads a file that only its owner may read.
func secretIn(path string) (string, *fault) {
	f, bad := openRegular(path)
	if bad != nil {
		return "", &bad.fault
	}
	defer func() { _ = f.Close() }() // only read from
	info, err := f.Stat()
	if err != nil {
		return "", &fault{fmt.Sprintf("%q cannot be read: %s", path, cause(err)), "check the disk it is on"}
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return "", &fault{fmt.Sprintf("%q may be read or written by others (mode %03o)", path, mode), "chmod 600 " + shellWord(path)}
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	switch {
	case err != nil:
		return "", &fault{fmt.Sprintf("%q cannot be read: %s", path, cause(err)), "check the disk it is on"}
	case len(text) > maxSecret:
		return "", &fault{fmt.Sprintf("%q is larger than %d KiB", path, maxSecret>>10), "put the secret there and nothing else"}
	}
	return string(text), nil
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./@%+=:,-]+$`)

// shellWord quotes a path for a command that a person pastes.
func shellWord(path string) string {
	if plainWord.MatchString(path) {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

var secretLike = regexp.MustCompile(`^(xox[a-z]-|xapp-|xoxe\.)|^[0-9a-f]{32}$`)

// looksLikeSecret recognises a Slack token or signing secret where something
// else should be, such as its file's name, so that no message quotes it.
func looksLikeSecret(value string) bool { return secretLike.MatchString(strings.TrimSpace(value)) }
