package fix

import (
	"fmt"
	"strings"

	"whybot/commands"
	"whybot/runners"
)

// setAttribute gives an attribute of something in OpenStack another value. Args:
// kind, id, attribute, from, to (the values as JSON).
var setAttribute = registerKind(&commands.StepKind{
	Name: "cloud-set", Delayed: true,
	Ref: func(s commands.Step) runners.CloudRef {
		return runners.CloudRef{Kind: s.Args["kind"], ID: s.Args["id"]}
	},
	Compare: func(s commands.Step, o runners.CloudObject) (commands.StepState, string) {
		now, known := o[s.Args["attribute"]]
		seen := fmt.Sprintf("%s of the %s is %s", s.Args["attribute"], s.Args["kind"], now)
		switch {
		case !known:
			return commands.StepChanged, fmt.Sprintf("the %s has no %s", s.Args["kind"], s.Args["attribute"])
		case now == s.Args["to"]:
			return commands.StepDone, seen
		case now == s.Args["from"]:
			return commands.StepPending, seen
		}
		return commands.StepChanged, seen + " now"
	},
	Do:   func(s commands.Step) []commands.Action { return attributeCall(s, s.Args["from"], s.Args["to"]) },
	Undo: func(s commands.Step) []commands.Action { return attributeCall(s, s.Args["to"], s.Args["from"]) },
})

// flags are what the openstack client calls the values of an attribute.
var flags = map[string]map[string]string{
	"enable_dhcp":    {"true": "--dhcp", "false": "--no-dhcp"},
	"admin_state_up": {"true": "--enable", "false": "--disable"},
}

func attributeCall(s commands.Step, from, to string) []commands.Action {
	kind, attribute := s.Args["kind"], s.Args["attribute"]
	return []commands.Action{{Call: &commands.CloudCall{
		Op:   runners.CloudSet,
		Args: map[string]string{"kind": kind, "id": s.Args["id"], "attribute": attribute, "from": from, "to": to},
		Show: shownCall(kind, s.Args["id"], attribute, to),
	}}}
}

// shownCall is the change as the openstack client makes it.
func shownCall(kind, id, attribute, to string) string {
	switch kind {
	case runners.ServerVolume:
		server, volume, _ := strings.Cut(id, "/")
		flag := map[string]string{"true": "--delete-on-termination", "false": "--preserve-on-termination"}[to]
		return strings.Join([]string{"openstack --os-compute-api-version 2.85 server volume update", flag, runners.DisplayQuote(server), runners.DisplayQuote(volume)}, " ")
	case runners.VolumeBackend:
		flag := map[string]string{"true": "--disable", "false": "--enable"}[to]
		return strings.Join([]string{"openstack volume host set", flag, runners.DisplayQuote(id)}, " ")
	}
	return strings.Join([]string{"openstack", kind, "set", flags[attribute][to], runners.DisplayQuote(id)}, " ")
}
