package node

import (
	"fmt"
	"path"
	"strings"

	"whybot/runners"
)

// The agents of Neutron that whybot looks at, by the name of their program,
// which is that of their systemd unit too.
const (
	DHCPAgent        = "neutron-dhcp-agent"
	LinuxbridgeAgent = "neutron-linuxbridge-agent"
)

var agents = []string{DHCPAgent, LinuxbridgeAgent}

// UnitsProbe shows what systemd says of the agents, one block each. A node on
// which they run in containers has no such units.
func UnitsProbe() runners.Probe {
	return UnitProbe(agents...)
}

// UnitProbe shows what systemd says of units.
func UnitProbe(units ...string) runners.Probe {
	argv := []string{"systemctl", "show", "-p", "Id,LoadState,ActiveState,SubState,MainPID"}
	for _, u := range units {
		argv = append(argv, u+".service")
	}
	return runners.Probe{Name: "agent-units", Argv: argv}
}

// A Unit is what systemd says of one service.
type Unit struct {
	Load, Active, Sub string
	PID               string // "0" when it does not run
}

// Runs reports whether the unit has a process.
func (u Unit) Runs() bool { return u.Active == "active" || u.Active == "activating" && u.PID != "0" }

// ParseUnits reads the output of UnitProbe: as many units as were asked for, in
// that order.
func ParseUnits(text string, asked int) ([]Unit, error) {
	var all []Unit
	for block := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		var u Unit
		for line := range strings.Lines(block) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			switch key {
			case "LoadState":
				u.Load = value
			case "ActiveState":
				u.Active = value
			case "SubState":
				u.Sub = value
			case "MainPID":
				u.PID = value
			}
		}
		if u.Load == "" || u.Active == "" {
			return nil, fmt.Errorf("systemctl shows a unit without its state")
		}
		all = append(all, u)
	}
	if len(all) != asked {
		return nil, fmt.Errorf("systemctl shows %d units of %d", len(all), asked)
	}
	return all, nil
}

// UnitOf returns the agent's unit from the output of UnitsProbe.
func UnitOf(text, agent string) (Unit, error) {
	all, err := ParseUnits(text, len(agents))
	if err != nil {
		return Unit{}, err
	}
	for i, name := range agents {
		if name == agent {
			return all[i], nil
		}
	}
	return Unit{}, fmt.Errorf("%s was not asked about", agent)
}

// AgentProcessesProbe lists the processes of the agents, in containers or not.
// It exits 1 when there is none. The pattern does not match itself.
func AgentProcessesProbe() runners.Probe {
	return runners.Probe{Name: "agent-processes", Argv: []string{"pgrep", "-a", "-f", "[n]eutron-(dhcp|linuxbridge)-agent"}}
}

// ProcessOf returns the id of the agent's process from the output of
// AgentProcessesProbe, and false when it has none. A process that only has its
// name among its words, such as somebody reading its log, is not one.
func ProcessOf(text, agent string) (pid string, ok bool) {
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		program := strings.TrimSuffix(path.Base(words[1]), ":") // as setproctitle spells it
		if strings.HasPrefix(program, "python") {
			program = path.Base(script(words[2:]))
		}
		if program == agent {
			return words[0], true
		}
	}
	return "", false
}

// script returns the file that a Python interpreter runs, by the words after its
// own name; "" when it runs none: -c and -m end its options. The options -W and
// -X have an argument, which may be a word of its own.
func script(words []string) string {
	for i := 0; i < len(words); i++ {
		long, option := strings.CutPrefix(words[i], "--")
		switch {
		case option && long == "":
			continue
		case option:
			if long == "check-hash-based-pycs" {
				i++
			}
			continue
		case !strings.HasPrefix(words[i], "-"):
			return words[i]
		}
		letters := words[i][1:]
		switch at := strings.IndexAny(letters, "cmWX"); {
		case at < 0:
		case letters[at] == 'c' || letters[at] == 'm':
			return ""
		case at == len(letters)-1:
			i++
		}
	}
	return ""
}
