package fix

import (
	"fmt"

	"whybot/commands"
	"whybot/commands/node"
	"whybot/runners"
)

// startUnit starts a systemd service. Args: unit.
var startUnit = registerKind(&commands.StepKind{
	Name: "start-unit", Delayed: true, Read: readUnit,
	State: func(s commands.Step, results []runners.Result) (commands.StepState, string) {
		u, err := unitOf(results)
		switch {
		case err != nil:
			return commands.StepChanged, err.Error()
		case u.Runs():
			return commands.StepDone, s.Args["unit"] + " runs"
		case u.Load == "loaded" && (u.Active == "inactive" || u.Active == "failed"):
			return commands.StepPending, s.Args["unit"] + " does not run"
		}
		return commands.StepChanged, fmt.Sprintf("%s is %s (%s)", s.Args["unit"], u.Active, u.Load)
	},
	Do:   func(s commands.Step) []commands.Action { return systemctl("start", s.Args["unit"]) },
	Undo: func(s commands.Step) []commands.Action { return systemctl("stop", s.Args["unit"]) },
})

// restartUnit restarts a systemd service. Args: unit, pid (its process now). It
// ends as it began, so there is nothing to undo.
var restartUnit = registerKind(&commands.StepKind{
	Name: "restart-unit", Delayed: true, Read: readUnit,
	State: func(s commands.Step, results []runners.Result) (commands.StepState, string) {
		u, err := unitOf(results)
		switch {
		case err != nil:
			return commands.StepChanged, err.Error()
		case !u.Runs():
			return commands.StepChanged, s.Args["unit"] + " does not run now"
		case u.PID == s.Args["pid"]:
			return commands.StepPending, s.Args["unit"] + " runs as process " + u.PID
		}
		return commands.StepDone, s.Args["unit"] + " runs anew, as process " + u.PID
	},
	Do:   func(s commands.Step) []commands.Action { return systemctl("restart", s.Args["unit"]) },
	Undo: func(commands.Step) []commands.Action { return nil },
})

func readUnit(s commands.Step) []runners.Probe {
	return []runners.Probe{node.UnitProbe(s.Args["unit"])}
}

func unitOf(results []runners.Result) (node.Unit, error) {
	out := results[0].Output
	if out.ExitCode != 0 || out.Truncated {
		return node.Unit{}, fmt.Errorf("systemctl could not be asked (exit code %d)", out.ExitCode)
	}
	units, err := node.ParseUnits(out.Stdout, 1)
	if err != nil {
		return node.Unit{}, err
	}
	return units[0], nil
}

func systemctl(verb, unit string) []commands.Action {
	return []commands.Action{{Command: runners.Probe{Name: "change-unit", Sudo: true, Argv: []string{"systemctl", verb, unit}}}}
}
