package fix

import (
	"strings"

	"whybot/commands"
	"whybot/runners"
)

// txOff switches a device's transmit checksum offload off. Args: namespace,
// device.
var txOff = registerKind(&commands.StepKind{
	Name: "tx-checksum-off",
	Read: func(s commands.Step) []runners.Probe { return []runners.Probe{ethtool(s, "offload", "-k")} },
	State: func(s commands.Step, results []runners.Result) (commands.StepState, string) {
		out := results[0].Output
		seen := "tx-checksumming of " + s.Args["device"]
		if out.ExitCode != 0 || out.Truncated {
			return commands.StepChanged, seen + " could not be read"
		}
		for line := range strings.Lines(out.Stdout) {
			switch value, ok := strings.CutPrefix(strings.TrimSpace(line), "tx-checksumming: "); {
			case ok && value == "on":
				return commands.StepPending, seen + " is on"
			case ok && value == "off":
				return commands.StepDone, seen + " is off"
			}
		}
		return commands.StepChanged, seen + " is not shown as on or off"
	},
	Do: func(s commands.Step) []commands.Action {
		return []commands.Action{{Command: ethtool(s, "change-offload", "-K", "tx", "off")}}
	},
	Undo: func(s commands.Step) []commands.Action {
		return []commands.Action{{Command: ethtool(s, "change-offload", "-K", "tx", "on")}}
	},
})

// ethtool runs ethtool on the step's device, in its namespace.
func ethtool(s commands.Step, name, flag string, words ...string) runners.Probe {
	argv := []string{"ip", "netns", "exec", s.Args["namespace"], "ethtool", flag, s.Args["device"]}
	return runners.Probe{Name: name, Sudo: true, Argv: append(argv, words...)}
}
