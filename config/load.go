package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxFile is more than any configuration needs and little enough to parse at
// once, whatever is in it.
const maxFile = 256 << 10

// Load reads the configuration file at path and the overrides in environ, a
// list as from [os.Environ]. A Config that is returned has been checked as a
// whole; otherwise the error is of type [Problems] and lists everything that is
// wrong. It holds no secret.
func Load(path string, environ []string) (*Config, error) {
	l := newLoader(path, environ)
	if src, ok := l.source(); ok {
		l.document(src)
	}
	l.overrides()
	l.check()
	if len(l.problems) > 0 {
		l.problems.sort()
		return nil, l.problems
	}
	return l.config, nil
}

// A place is where a value was given.
type place struct {
	line, column int
	variable     string // set when it came from the environment
}

// loader holds one Load. Its steps add to problems and go on, so that one run
// shows everything there is to cure.
type loader struct {
	file     string
	dir      string // what relative paths are relative to
	environ  map[string]string
	config   *Config
	slack    *Slack
	fix      Fix
	vsphere  VSphere
	secrets  secretFiles
	settings map[string]setting
	sections []string
	// places has every key that was given, sections included.
	places   map[string]place
	broken   map[string]bool // keys that already have a problem
	readable bool            // the file could be read and holds sections
	problems Problems
}

func newLoader(path string, environ []string) *loader {
	l := &loader{
		file: path, environ: variables(environ),
		settings: map[string]setting{}, places: map[string]place{}, broken: map[string]bool{},
	}
	if abs, err := filepath.Abs(path); err == nil {
		l.dir = filepath.Dir(abs)
	} else {
		l.dir = filepath.Dir(path)
	}
	l.config, l.slack = defaults()
	l.config.File = path
	l.sections = append(l.sections, fixesSection, peopleSection)
	for _, s := range settings(l.config, l.slack, &l.vsphere, &l.fix, &l.secrets) {
		l.settings[s.path] = s
		for section := parent(s.path); section != ""; section = parent(section) {
			if !slices.Contains(l.sections, section) {
				l.sections = append(l.sections, section)
			}
		}
	}
	return l
}

// parent returns the section a key is in: "slack.approvers" for
// "slack.approvers.users", "" for "slack".
func parent(path string) string {
	i := strings.LastIndexByte(path, '.')
	if i < 0 {
		return ""
	}
	return path[:i]
}

// source returns the text of the configuration file.
func (l *loader) source() ([]byte, bool) {
	f, bad := openRegular(l.file)
	if bad != nil {
		if errors.Is(bad.err, os.ErrNotExist) {
			bad.cure = "write one (whybot.example.yaml is a start), or name yours with --config or WHYBOT_CONFIG"
		}
		l.add(Problem{What: bad.what, Cure: bad.cure})
		return nil, false
	}
	defer func() { _ = f.Close() }() // only read from
	src, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		l.add(Problem{What: "cannot be read: " + cause(err), Cure: "check the disk it is on"})
	case len(src) > maxFile:
		l.add(Problem{What: fmt.Sprintf("is larger than %d KiB", maxFile>>10), Cure: "check that this is whybot's configuration"})
	case !utf8.Valid(src):
		line, column := invalidUTF8(src)
		l.add(Problem{Line: line, Column: column, What: "is not UTF-8 text", Cure: "save the file as UTF-8"})
	default:
		return src, true
	}
	return nil, false
}

// invalidUTF8 returns the place of the first byte that is not UTF-8.
func invalidUTF8(src []byte) (line, column int) {
	line, column = 1, 1
	for len(src) > 0 {
		r, size := utf8.DecodeRune(src)
		if r == utf8.RuneError && size == 1 {
			break
		}
		column++
		if r == '\n' {
			line, column = line+1, 1
		}
		src = src[size:]
	}
	return line, column
}

// add records a problem with the file.
func (l *loader) add(p Problem) {
	p.File = l.file
	l.problems = append(l.problems, p)
}

// blame records a problem with a key, at the place where its value was given;
// for a key that was not given, at the nearest section around it.
func (l *loader) blame(path string, f fault) {
	l.broken[path] = true
	at, ok := l.places[path]
	for section := parent(path); !ok && section != ""; section = parent(section) {
		at, ok = l.places[section]
	}
	if !ok {
		at = place{line: 1, column: 1}
	}
	l.blameAt(at, path, f)
}

func (l *loader) blameAt(at place, path string, f fault) {
	if at.variable != "" {
		l.problems = append(l.problems, Problem{File: environment, Path: at.variable, What: f.what, Cure: f.cure})
		return
	}
	l.add(Problem{Line: at.line, Column: at.column, Path: path, What: f.what, Cure: f.cure})
}

// given reports whether a key or section was given.
func (l *loader) given(path string) bool {
	_, ok := l.places[path]
	return ok
}

// sound reports whether a key was given and nothing is wrong with it so far.
func (l *loader) sound(path string) bool { return l.given(path) && !l.broken[path] }

// take hands one value to a setting.
func (l *loader) take(s setting, value string) {
	if looksLikeSecret(value) {
		// Refused before any check that would quote it.
		l.blame(s.path, fault{"looks like a secret", "put it into a file of mode 600 and name that in the _file key it belongs to"})
		return
	}
	if s.file {
		resolved, f := l.resolve(value)
		if f != nil {
			l.blame(s.path, *f)
			return
		}
		value = resolved
	}
	if f := s.one(value); f != nil {
		l.blame(s.path, *f)
	}
}

// resolve makes a path absolute.
func (l *loader) resolve(path string) (string, *fault) {
	switch {
	case strings.TrimSpace(path) == "":
		return "", nil // the setting says that it is empty
	case strings.ContainsRune(path, 0):
		return "", &fault{"is not a path: it holds a zero byte", "give the file's name"}
	case filepath.IsAbs(path):
		return filepath.Clean(path), nil
	case path == "~" || strings.HasPrefix(path, "~/"):
		home := l.environ["HOME"]
		if home == "" {
			return "", &fault{"begins with ~ but HOME is not set", "write the whole path"}
		}
		return filepath.Join(home, strings.TrimPrefix(path, "~")), nil
	}
	return filepath.Join(l.dir, path), nil
}
