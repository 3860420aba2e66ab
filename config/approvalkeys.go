package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Sections whose keys the operator names.
const (
	fixesSection  = "approvals.fixes"
	peopleSection = "approvals.people"
)

const (
	maxNeeded   = 10
	leastExpiry = time.Minute
	mostExpiry  = 24 * time.Hour
)

var (
	fixName      = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	personName   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,59}$`)
	identityForm = regexp.MustCompile(`^([UW][A-Z0-9]{2,}|terminal:[^\s\p{C}]{1,60})$`)
)

func approvalSettings(a *Approvals) []setting {
	return slices.Concat([]setting{
		terminalSetting("approvals.terminal", &a.Terminal),
		durationSetting("approvals.expires", &a.Expires, leastExpiry, mostExpiry),
		booleanSetting("approvals.asker_may_approve", &a.AskerMayApprove),
		numberSetting("approvals.needed", &a.Needed, 1, maxNeeded),
		filled(userIDs("approvals.break_glass.users", &a.BreakGlass.Users)),
		filled(namesSetting("approvals.break_glass.terminal", &a.BreakGlass.Terminal)),
		matchSetting("approvals.break_glass.channel", &a.BreakGlass.Channel, channelID, aChannel, copyChannel),
	}, overrideSettings("approvals.classes.F1", &a.Classes.F1), overrideSettings("approvals.classes.F2", &a.Classes.F2))
}

func overrideSettings(path string, o *Override) []setting {
	return []setting{
		filled(userIDs(path+".users", &o.Users)),
		filled(groupIDs(path+".groups", &o.Groups)),
		filled(channelIDs(path+".channels", &o.Channels)),
		given(&o.Terminal, func(to *Terminal) setting { return terminalSetting(path+".terminal", to) }),
		numberSetting(path+".needed", &o.Needed, 1, maxNeeded),
		given(&o.AskerMayApprove, func(to *bool) setting { return booleanSetting(path+".asker_may_approve", to) }),
		durationSetting(path+".expires", &o.Expires, leastExpiry, mostExpiry),
	}
}

// given binds a setting to a pointer that stays nil until a value is given.
func given[T any](to **T, bind func(*T) setting) setting {
	value := new(T)
	s := bind(value)
	note := func(f *fault) *fault {
		if f == nil {
			*to = value
		}
		return f
	}
	one, many := s.one, s.many
	s.one = func(v string) *fault { return note(one(v)) }
	if many != nil {
		s.many = func(vs []string) *fault { return note(many(vs)) }
	}
	return s
}

// filled refuses an empty list where leaving the key out says something else.
func filled(s setting) setting {
	many := s.many
	s.many = func(vs []string) *fault {
		if len(vs) == 0 {
			return &fault{"is an empty list", "remove the line, or name somebody"}
		}
		return many(vs)
	}
	return s
}

func namesSetting(path string, to *[]string) setting {
	return setting{
		path: path, shape: list,
		item: notBlank,
		many: func(vs []string) *fault {
			*to = vs
			return nil
		},
	}
}

func notBlank(v string) *fault {
	if strings.TrimSpace(v) == "" {
		return &fault{"is empty", "give it a value or remove the line"}
	}
	return nil
}

func matchSetting(path string, to *string, form *regexp.Regexp, what, cure string) setting {
	return setting{path: path, shape: text, one: func(v string) *fault {
		if !form.MatchString(v) {
			return &fault{fmt.Sprintf("%q is not %s", v, what), cure}
		}
		*to = v
		return nil
	}}
}

// learn makes a key known whose name the operator chooses.
func (l *loader) learn(path string, at place) *fault {
	section := parent(path)
	name := strings.TrimPrefix(path, section+".")
	switch section {
	case fixesSection:
		if !fixName.MatchString(name) {
			return &fault{"is not the name of a fix", "write it as `whybot fix show` does, such as delete-rule"}
		}
		o := &Override{Line: at.line, Column: at.column}
		for _, s := range overrideSettings(path, o) {
			l.settings[s.path] = s
		}
		l.sections = append(l.sections, path)
		if l.config.Approvals.Fixes == nil {
			l.config.Approvals.Fixes = map[string]*Override{}
		}
		l.config.Approvals.Fixes[name] = o
	case peopleSection:
		if !personName.MatchString(name) {
			return &fault{"is not a name for a person", "use letters, digits, - and _"}
		}
		l.settings[path] = l.identities(path, name)
	}
	return nil
}

// identities is the list of what belongs to one person.
func (l *loader) identities(path, name string) setting {
	return filled(setting{
		path: path, shape: list,
		item: func(v string) *fault {
			if !identityForm.MatchString(v) {
				return &fault{fmt.Sprintf("%q is neither a member id (U… or W…) nor terminal:NAME", v), "write it as in [U0AAAAAAA, terminal:alice]"}
			}
			for _, other := range slices.Sorted(maps.Keys(l.config.Approvals.People)) {
				if slices.Contains(l.config.Approvals.People[other], v) {
					return &fault{fmt.Sprintf("%q belongs to %s as well", v, other), "keep it with one of them"}
				}
			}
			return nil
		},
		many: func(vs []string) *fault {
			if l.config.Approvals.People == nil {
				l.config.Approvals.People = map[string][]string{}
			}
			l.config.Approvals.People[name] = vs
			return nil
		},
	})
}

// checkApprovals looks at rules that do nothing, or that promise more than
// whybot can hold.
func (l *loader) checkApprovals() {
	if !l.wantsSlack() {
		for _, path := range slices.Sorted(maps.Keys(l.settings)) {
			if ofSlack(path) && l.sound(path) {
				l.blame(path, fault{"does nothing without a slack section", "add one, or remove the line"})
			}
		}
	}
	l.checkBreakGlass()
	a := l.config.Approvals
	l.checkNeeded("approvals", "", "")
	l.checkNeeded("approvals.classes.F1", "", "F1")
	l.checkNeeded("approvals.classes.F2", "", "F2")
	for _, name := range slices.Sorted(maps.Keys(a.Fixes)) {
		l.checkNeeded(fixesSection+"."+name, name, "F1")
		l.checkNeeded(fixesSection+"."+name, name, "F2")
	}
}

// ofSlack reports whether an approvals key is about Slack alone.
func ofSlack(path string) bool {
	name := strings.TrimPrefix(path[len(parent(path)):], ".")
	return strings.HasPrefix(path, "approvals.") && slices.Contains([]string{"users", "groups", "channels", "channel"}, name)
}

// checkNeeded reports a rule of several people that one person could fulfil:
// at an open terminal anybody can give two names.
func (l *loader) checkNeeded(section, fix, class string) {
	needed, terminal := section+".needed", section+".terminal"
	r := l.config.Rule(fix, class)
	if r.Needed < 2 || !r.Terminal.everyone || l.broken[needed] || l.broken[terminal] {
		return
	}
	path := needed
	if !l.given(needed) {
		path = terminal
	}
	if l.given(path) {
		l.blame(path, fault{
			fmt.Sprintf("asks for %d people, but at a terminal that is open to everyone one person can give as many names", r.Needed),
			"add " + terminal + ": deny, or a list of the names that count there",
		})
	}
}

func (l *loader) checkBreakGlass() {
	const section = "approvals.break_glass"
	if !l.given(section) && !l.given(section+".channel") || l.broken[section] {
		return
	}
	l.required(section+".channel", "name the channel that is told whenever somebody breaks the glass")
	if !l.given(section+".users") && !l.given(section+".terminal") {
		l.blame(section, fault{"names nobody", "list users (member ids), terminal (names), or both"})
	}
}
