package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// unsupported are keys that a person may expect, and why whybot has none. A
// key that does nothing would be worse than an error.
var unsupported = map[string]fault{
	"approvals.users":      {"stands elsewhere", "name them in slack.approvers.users, or for a class in approvals.classes.F1.users"},
	"approvals.groups":     {"stands elsewhere", "name them in slack.approvers.groups, or for a class in approvals.classes.F1.groups"},
	"approvals.channels":   {"stands elsewhere", "name them in slack.channels, or for a class in approvals.classes.F1.channels"},
	"approvals.classes.F0": neverApplied,
	"approvals.classes.F3": neverApplied,

	"slack.bot_token":      inlineSecret("slack.bot_token"),
	"slack.app_token":      inlineSecret("slack.app_token"),
	"slack.signing_secret": inlineSecret("slack.signing_secret"),
	"vsphere.password":     inlineSecret("vsphere.password"),
}

var neverApplied = fault{"is a class of advice, which whybot never applies", "remove it: the classes are F1 and F2"}

func inlineSecret(path string) fault {
	return fault{
		"a secret must not stand in this file",
		fmt.Sprintf("put it into a file of mode 600 and name that in %s_file, or set %s; if this file was ever shared, revoke the secret",
			path[strings.LastIndexByte(path, '.')+1:], variable(path)),
	}
}

// unknown says what is wrong with a key that whybot does not have.
func (l *loader) unknown(path string) fault {
	if f, ok := unsupported[path]; ok {
		return f
	}
	section := parent(path)
	name := strings.TrimPrefix(path[len(section):], ".")
	keys := l.keysOf(section)
	if near, ok := nearest(strings.ToLower(name), keys); ok {
		return fault{"unknown key", "did you mean " + near + "?"}
	}
	for _, other := range slices.Sorted(maps.Keys(l.settings)) {
		if strings.HasSuffix(other, "."+name) {
			return fault{"unknown key", "it belongs under " + parent(other)}
		}
	}
	where := "at the top"
	if section != "" {
		where = "under " + section
	}
	return fault{"unknown key", fmt.Sprintf("known %s: %s", where, strings.Join(keys, ", "))}
}

// keysOf returns the names of the keys and sections in a section, sorted.
func (l *loader) keysOf(section string) []string {
	var names []string
	for path := range l.settings {
		if parent(path) == section {
			names = append(names, strings.TrimPrefix(path[len(section):], "."))
		}
	}
	for _, path := range l.sections {
		if parent(path) == section {
			names = append(names, strings.TrimPrefix(path[len(section):], "."))
		}
	}
	slices.Sort(names)
	return names
}

// printable returns a key as it may be printed: without what could break a
// line or a terminal, and not without end.
func printable(key string) string {
	const most = 60
	q := fmt.Sprintf("%+q", key)
	if q = q[1 : len(q)-1]; len(q) > most {
		q = q[:most] + "..."
	}
	return q
}
