package fix

import (
	"fmt"
	"strconv"
	"time"

	"whybot/commands"
	"whybot/runners"
)

// stpOff switches a bridge's spanning tree off and lets one of its ports
// forward. Args: bridge, port, delay (the bridge's forward delay in hundredths
// of a second, which may not change meanwhile).
var stpOff = registerKind(&commands.StepKind{
	Name: "stp-off", Read: readLinks,
	State: func(s commands.Step, results []runners.Result) (commands.StepState, string) {
		links, err := parseLinks(results)
		if err != nil {
			return commands.StepChanged, err.Error()
		}
		l, there := links[s.Args["bridge"]]
		switch delay := strconv.FormatInt(int64(l.ForwardDelay/(10*time.Millisecond)), 10); {
		case !there || l.Kind != "bridge":
			return commands.StepChanged, "there is no bridge " + s.Args["bridge"]
		case links[s.Args["port"]].Master != s.Args["bridge"]:
			return commands.StepChanged, s.Args["port"] + " is not in " + s.Args["bridge"]
		case delay != s.Args["delay"]:
			return commands.StepChanged, fmt.Sprintf("the forward delay of %s is %s hundredths of a second now, not %s", s.Args["bridge"], delay, s.Args["delay"])
		case l.STP == "1":
			return commands.StepPending, "spanning tree is on at " + s.Args["bridge"]
		case l.STP == "0" && links[s.Args["port"]].PortState != "forwarding":
			return commands.StepChanged, fmt.Sprintf("spanning tree is off at %s, and %s is %s instead of forwarding", s.Args["bridge"], s.Args["port"], links[s.Args["port"]].PortState)
		case l.STP == "0":
			return commands.StepDone, "spanning tree is off at " + s.Args["bridge"]
		}
		return commands.StepChanged, "the spanning tree of " + s.Args["bridge"] + " is not the kernel's"
	},
	Do: func(s commands.Step) []commands.Action {
		return append(
			ipLink("set", "dev", s.Args["bridge"], "type", "bridge", "stp_state", "0"),
			ipLink("set", "dev", s.Args["port"], "type", "bridge_slave", "state", "3")...,
		)
	},
	Undo: func(s commands.Step) []commands.Action {
		return ipLink("set", "dev", s.Args["bridge"], "type", "bridge", "forward_delay", s.Args["delay"], "stp_state", "1")
	},
	Guard: func(s commands.Step) []runners.Probe {
		return []runners.Probe{{Name: "stp", Argv: []string{"cat", "/sys/class/net/" + s.Args["bridge"] + "/bridge/stp_state"}}}
	},
})
