package fix

import (
	"fmt"

	"whybot/commands"
)

// EnableDHCP has Neutron serve a subnet by DHCP. Args: id, cidr.
var EnableDHCP = register(&commands.Fix{
	Name:  "enable-dhcp",
	Doc:   `Set enable_dhcp of the subnet. Undo sets it off again.`,
	Class: commands.F1,
	Title: func(s commands.Suggestion) string { return "Turn DHCP on for subnet " + s.Args["cidr"] },
	Plan: func(_ *commands.Pass, s commands.Suggestion) ([]commands.Step, error) {
		return turnOn("subnet", s.Args["id"], "enable_dhcp"), nil
	},
	Touches: func(_ *commands.Pass, s commands.Suggestion) []string {
		return []string{fmt.Sprintf("Every guest in %s: where another DHCP server serves it on purpose, there are two then.", s.Args["cidr"])}
	},
})

// NetworkUp enables a network. Args: id, name.
var NetworkUp = register(&commands.Fix{
	Name:  "network-up",
	Doc:   `Set admin_state_up of the network. Undo sets it down again.`,
	Class: commands.F1,
	Title: func(s commands.Suggestion) string { return "Enable network " + s.Args["name"] },
	Plan: func(_ *commands.Pass, s commands.Suggestion) ([]commands.Step, error) {
		return turnOn("network", s.Args["id"], "admin_state_up"), nil
	},
	Touches: func(_ *commands.Pass, s commands.Suggestion) []string {
		return []string{"All of network " + s.Args["name"] + ": somebody set it down, perhaps on purpose. Its DHCP servers start again."}
	},
})

// PortUp enables a port. Args: id, device.
var PortUp = register(&commands.Fix{
	Name:  "port-up",
	Doc:   `Set admin_state_up of the port; the L2 agent then sets its tap up. Undo sets it down again.`,
	Class: commands.F1,
	Title: func(s commands.Suggestion) string { return "Enable the port of " + s.Args["device"] },
	Plan: func(_ *commands.Pass, s commands.Suggestion) ([]commands.Step, error) {
		return turnOn("port", s.Args["id"], "admin_state_up"), nil
	},
	Touches: func(_ *commands.Pass, s commands.Suggestion) []string {
		return []string{"Port " + s.Args["id"] + " alone: somebody set it down, perhaps to cut this guest off on purpose."}
	},
})

func turnOn(kind, id, attribute string) []commands.Step {
	return []commands.Step{{
		Kind: setAttribute.Name,
		Args: map[string]string{"kind": kind, "id": id, "attribute": attribute, "from": "false", "to": "true"},
	}}
}
