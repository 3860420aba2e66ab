package fix

import (
	"slices"

	"whybot/commands"
	"whybot/commands/node"
	"whybot/runners"
)

// release has dnsmasq forget one lease, which cannot be given back: there is
// nothing to undo. Args: network, namespace, device, address, mac, client ("" for
// none).
var release = registerKind(&commands.StepKind{
	Name: "dhcp-release",
	Read: func(s commands.Step) []runners.Probe { return []runners.Probe{node.LeasesProbe(s.Args["network"])} },
	State: func(s commands.Step, results []runners.Result) (commands.StepState, string) {
		out := results[0].Output
		if out.ExitCode != 0 || out.Truncated {
			return commands.StepChanged, "the leases could not be read"
		}
		if slices.ContainsFunc(node.ParseLeases(out.Stdout), func(l node.Lease) bool {
			return l.MAC == s.Args["mac"] && l.Address.String() == s.Args["address"] && l.ClientID == s.Args["client"]
		}) {
			return commands.StepPending, s.Args["address"] + " is leased to " + s.Args["mac"]
		}
		return commands.StepDone, s.Args["address"] + " is not leased to " + s.Args["mac"]
	},
	Do: func(s commands.Step) []commands.Action {
		argv := []string{"ip", "netns", "exec", s.Args["namespace"], "dhcp_release", s.Args["device"], s.Args["address"], s.Args["mac"]}
		if s.Args["client"] != "" {
			argv = append(argv, s.Args["client"])
		}
		return []commands.Action{{Command: runners.Probe{Name: "release-lease", Sudo: true, Argv: argv}}}
	},
	Undo: func(commands.Step) []commands.Action { return nil },
})
