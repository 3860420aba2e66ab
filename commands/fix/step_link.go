package fix

import (
	"errors"
	"fmt"
	"strconv"

	"whybot/commands"
	"whybot/commands/node"
	"whybot/runners"
)

// setUp brings a link up. Args: device, made ("yes" when an earlier step of the
// plan makes it).
var setUp = registerKind(&commands.StepKind{
	Name: "link-up", Read: readLinks,
	State: func(s commands.Step, results []runners.Result) (commands.StepState, string) {
		l, state, seen := linkOf(s, results)
		switch {
		case state != "":
			return state, seen
		case l.Up:
			return commands.StepDone, s.Args["device"] + " is up"
		}
		return commands.StepPending, s.Args["device"] + " is down"
	},
	Do:    func(s commands.Step) []commands.Action { return ipLink("set", "dev", s.Args["device"], "up") },
	Undo:  func(s commands.Step) []commands.Action { return ipLink("set", "dev", s.Args["device"], "down") },
	Guard: listLink,
})

// enslave puts a link into a bridge. Args: device, master, before (its master
// now, "" for none), made ("yes" when an earlier step of the plan makes it).
var enslave = registerKind(&commands.StepKind{
	Name: "link-master", Read: readLinks,
	State: func(s commands.Step, results []runners.Result) (commands.StepState, string) {
		l, state, seen := linkOf(s, results)
		switch {
		case state != "":
			return state, seen
		case l.Master == s.Args["master"]:
			return commands.StepDone, s.Args["device"] + " is in " + l.Master
		case l.Master == s.Args["before"]:
			return commands.StepPending, s.Args["device"] + " is not in " + s.Args["master"]
		}
		return commands.StepChanged, s.Args["device"] + " is in " + l.Master + " now"
	},
	Do: func(s commands.Step) []commands.Action {
		return ipLink("set", "dev", s.Args["device"], "master", s.Args["master"])
	},
	Undo: func(s commands.Step) []commands.Action {
		if s.Args["before"] == "" {
			return ipLink("set", "dev", s.Args["device"], "nomaster")
		}
		return ipLink("set", "dev", s.Args["device"], "master", s.Args["before"])
	},
	Guard: listLink,
})

// addVLAN makes a VLAN sub-interface. Args: device, parent, vlan.
var addVLAN = registerKind(&commands.StepKind{
	Name: "add-vlan", Read: readLinks,
	State: func(s commands.Step, results []runners.Result) (commands.StepState, string) {
		links, err := parseLinks(results)
		if err != nil {
			return commands.StepChanged, err.Error()
		}
		l, there := links[s.Args["device"]]
		switch {
		case !there:
			return commands.StepPending, "there is no " + s.Args["device"]
		case strconv.Itoa(l.VLAN) == s.Args["vlan"] && l.Parent == s.Args["parent"]:
			return commands.StepDone, s.Args["device"] + " is there"
		}
		return commands.StepChanged, fmt.Sprintf("%s is there as a %s of %s", s.Args["device"], l.Kind, l.Parent)
	},
	Do: func(s commands.Step) []commands.Action {
		return ipLink("add", "link", s.Args["parent"], "name", s.Args["device"], "type", "vlan", "id", s.Args["vlan"])
	},
	Undo:  func(s commands.Step) []commands.Action { return ipLink("del", "dev", s.Args["device"]) },
	Guard: listLink,
})

// listLink lists all links without their counters, because a step's device may
// have to be made first.
func listLink(commands.Step) []runners.Probe {
	return []runners.Probe{{Name: "links", Argv: []string{"ip", "-o", "link", "show"}}}
}

func readLinks(commands.Step) []runners.Probe { return []runners.Probe{node.LinksProbe()} }

// parseLinks reads the listing. One that failed or was cut would show a link
// that is there as missing.
func parseLinks(results []runners.Result) (node.Links, error) {
	out := results[0].Output
	links, err := node.ParseLinks(out.Stdout)
	if err != nil || out.ExitCode != 0 || out.Truncated {
		return nil, errors.New("the links could not be read")
	}
	return links, nil
}

// linkOf returns the step's link; without one, the step's state and why.
func linkOf(s commands.Step, results []runners.Result) (l node.Link, state commands.StepState, seen string) {
	links, err := parseLinks(results)
	if err != nil {
		return node.Link{}, commands.StepChanged, err.Error()
	}
	l, ok := links[s.Args["device"]]
	if !ok {
		return node.Link{}, missing(s), "there is no " + s.Args["device"]
	}
	return l, "", ""
}

// missing is the state of a step whose device is not there: still to come when
// the plan itself makes it.
func missing(s commands.Step) commands.StepState {
	if s.Args["made"] == "yes" {
		return commands.StepPending
	}
	return commands.StepChanged
}

func ipLink(words ...string) []commands.Action {
	return []commands.Action{{Command: runners.Probe{Name: "change-link", Sudo: true, Argv: append([]string{"ip", "link"}, words...)}}}
}
