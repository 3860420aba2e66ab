package config

import (
	"maps"
	"slices"
	"strings"
)

// prefix begins the name of every variable that is whybot's.
const prefix = "WHYBOT_"

// passedOver are variables of ours that are read elsewhere: by main, by the
// tests.
var passedOver = []string{"WHYBOT_CONFIG", "WHYBOT_REQUIRE_LAB"}

// variable returns the name of the variable that overrides a key.
func variable(path string) string {
	return prefix + strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
}

// variables turns a list of NAME=value into a map. Of a name that is listed
// twice the last value counts, as for os/exec.
func variables(environ []string) map[string]string {
	vars := make(map[string]string, len(environ))
	for _, entry := range environ {
		if name, value, ok := strings.Cut(entry, "="); ok {
			vars[name] = value
		}
	}
	return vars
}

// overrides applies the variables of the environment.
func (l *loader) overrides() {
	byVariable := map[string]setting{}
	for path, s := range l.settings {
		byVariable[variable(path)] = s
	}
	for _, name := range slices.Sorted(maps.Keys(l.environ)) {
		if !strings.HasPrefix(name, prefix) || slices.Contains(passedOver, name) || isSecretVariable(name) {
			continue
		}
		at := place{variable: printable(name)}
		s, known := byVariable[name]
		switch {
		case !known:
			l.blameAt(at, "", strayVariable(name, byVariable))
		case s.one == nil:
			l.blameAt(at, "", fault{"overrides a list", "set " + s.path + " in the file"})
		default:
			l.override(s, at, l.environ[name])
		}
	}
	if url := l.environ["SLACK_API_URL"]; url != "" {
		l.override(l.settings["slack.api_url"], place{variable: "SLACK_API_URL"}, url)
	}
}

// override reads a variable as if its value stood in the file. The variable
// wins, so what was wrong with the value in the file is not undone: it is
// wrong all the same.
func (l *loader) override(s setting, at place, value string) {
	l.places[s.path] = at
	if value == "" {
		l.blame(s.path, fault{"is set but empty", "unset it or give it a value"})
		return
	}
	l.take(s, value)
}

func strayVariable(name string, known map[string]setting) fault {
	// Compared without the prefix: it would make any two names look alike.
	var names []string
	for _, n := range slices.Concat(slices.Sorted(maps.Keys(known)), secretVariables(), passedOver) {
		names = append(names, strings.TrimPrefix(n, prefix))
	}
	if near, ok := nearest(strings.TrimPrefix(name, prefix), names); ok {
		return fault{"unknown variable", "did you mean " + prefix + near + "?"}
	}
	return fault{"unknown variable", "unset it: a variable of whybot's is WHYBOT_<SECTION>_<KEY>"}
}
