package fix

import (
	"fmt"
	"net/netip"
	"slices"

	"whybot/commands"
	"whybot/commands/node"
	"whybot/runners"
)

// resync takes a network off its DHCP agent and puts it back, which makes the
// agent write the files and start dnsmasq anew. Args: agent, network, device
// (ns-…), mac, address (empty where none is given). It ends as it began, so there is nothing to undo.
var resync = registerKind(&commands.StepKind{
	Name: "resync-dhcp",
	Read: func(s commands.Step) []runners.Probe {
		return []runners.Probe{node.DnsmasqProbe(), node.HostsProbe(s.Args["network"])}
	},
	State: func(s commands.Step, results []runners.Result) (commands.StepState, string) {
		_, running := node.Serving(node.ParseDnsmasq(results[0].Output.Stdout), s.Args["network"], s.Args["device"])
		if s.Args["address"] == "" { // a guest that gets options only has no entry
			if running {
				return commands.StepDone, "dnsmasq runs"
			}
			return commands.StepPending, "dnsmasq running: false"
		}
		want, err := netip.ParseAddr(s.Args["address"])
		if err != nil {
			return commands.StepChanged, "the address in the plan is not one"
		}
		known := slices.Contains(node.HostEntries(results[1].Output.Stdout)[s.Args["mac"]], want)
		if running && known {
			return commands.StepDone, "dnsmasq runs and knows the guest"
		}
		return commands.StepPending, fmt.Sprintf("dnsmasq running: %t, guest in its host file: %t", running, known)
	},
	Do: func(s commands.Step) []commands.Action {
		back := hostNetwork(s.Args["agent"], s.Args["network"])
		back.Must = true // a network without its agent is worse than what was wrong
		return []commands.Action{dropNetwork(s.Args["agent"], s.Args["network"]), back}
	},
	Undo: func(commands.Step) []commands.Action { return nil },
})
