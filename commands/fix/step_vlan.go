package fix

import (
	"fmt"
	"strconv"

	"whybot/commands"
	"whybot/runners"
)

// changeVLAN makes a VLAN link anew with another id. Args: device, parent, vlan
// (the new id), was (the old one), master, mtu.
var changeVLAN = registerKind(&commands.StepKind{
	Name: "change-vlan", Read: readLinks,
	State: func(s commands.Step, results []runners.Result) (commands.StepState, string) {
		links, err := parseLinks(results)
		if err != nil {
			return commands.StepChanged, err.Error()
		}
		l, there := links[s.Args["device"]]
		seen := fmt.Sprintf("%s carries VLAN %d of %s", s.Args["device"], l.VLAN, l.Parent)
		_, left := links[interimVLAN]
		switch {
		case left:
			return commands.StepChanged, "a link " + interimVLAN + " is left of a change that was not finished; take it away with: ip link del " + interimVLAN
		case !there:
			return commands.StepChanged, "there is no " + s.Args["device"]
		case l.Kind != "vlan" || l.Parent != s.Args["parent"] || l.Master != s.Args["master"]:
			return commands.StepChanged, fmt.Sprintf("%s is a %s of %s in bridge %q now", s.Args["device"], l.Kind, l.Parent, l.Master)
		case strconv.Itoa(l.VLAN) == s.Args["vlan"]:
			return commands.StepDone, seen
		case strconv.Itoa(l.VLAN) == s.Args["was"]:
			return commands.StepPending, seen
		}
		return commands.StepChanged, seen
	},
	Do:   func(s commands.Step) []commands.Action { return replaceVLAN(s, s.Args["vlan"]) },
	Undo: func(s commands.Step) []commands.Action { return replaceVLAN(s, s.Args["was"]) },
})

// interimVLAN is the name of the new link until the old one is gone.
const interimVLAN = "whybot-vlan"

// replaceVLAN makes the new link under another name first: if the kernel will
// not have it, nothing is changed.
func replaceVLAN(s commands.Step, id string) []commands.Action {
	device := s.Args["device"]
	var all []commands.Action
	for _, words := range [][]string{
		{"add", "link", s.Args["parent"], "name", interimVLAN, "type", "vlan", "id", id},
		{"del", "dev", device},
		{"set", "dev", interimVLAN, "name", device},
		{"set", "dev", device, "mtu", s.Args["mtu"], "master", s.Args["master"], "up"},
	} {
		all = append(all, ipLink(words...)...)
	}
	return all
}
