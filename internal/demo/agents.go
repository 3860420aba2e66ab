package demo

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"whybot/commands/node"
)

// agents returns the agents of Neutron that a machine runs, with their
// processes: they live as long as the cloud does.
func (m *machine) agents() map[string]int {
	running := map[string]int{node.LinuxbridgeAgent: 2417}
	if m.space != nil {
		running[node.DHCPAgent] = 2311
	}
	return running
}

// date prints the time, in either of the two forms that are asked for.
func (x command) date() (output, bool) {
	now := time.Now()
	switch {
	case slices.Equal(x.words[1:], []string{"+%s.%N"}):
		return output{stdout: fmt.Sprintf("%d.%09d\n", now.Unix(), now.Nanosecond())}, true
	case slices.Equal(x.words, node.ClockProbe().Argv):
		return output{stdout: now.Format("2006-01-02 15:04:05 -0700") + "\n"}, true
	}
	return output{}, false
}

// systemctl shows the agents' services.
func (x command) systemctl() (output, bool) {
	if !slices.Equal(x.words, node.UnitsProbe().Argv) {
		return output{}, false
	}
	var blocks []string
	for _, service := range x.words[4:] {
		load, active, sub := "not-found", "inactive", "dead"
		pid, runs := x.machine.agents()[strings.TrimSuffix(service, ".service")]
		if runs {
			load, active, sub = "loaded", "active", "running"
		}
		blocks = append(blocks, fmt.Sprintf("Id=%s\nLoadState=%s\nActiveState=%s\nSubState=%s\nMainPID=%d\n", service, load, active, sub, pid))
	}
	return output{stdout: strings.Join(blocks, "\n")}, true
}

// pgrep lists the agents' processes.
func (x command) pgrep() (output, bool) {
	if !slices.Equal(x.words, node.AgentProcessesProbe().Argv) {
		return output{}, false
	}
	var b strings.Builder
	for _, name := range []string{node.DHCPAgent, node.LinuxbridgeAgent} {
		if pid, runs := x.machine.agents()[name]; runs {
			fmt.Fprintf(&b, "%d /usr/bin/python3 /usr/bin/%s --config-file=/etc/neutron/neutron.conf\n", pid, name)
		}
	}
	return output{stdout: b.String()}, true
}

// tail prints the end of logs. The agents here have nothing to complain of, so
// there are none.
func (x command) tail() (output, bool) {
	if len(x.words) < 5 || !slices.Equal(x.words[:4], []string{"tail", "-q", "-n", "400"}) {
		return output{}, false
	}
	var missing strings.Builder
	for _, name := range x.words[4:] {
		fmt.Fprintf(&missing, "tail: cannot open '%s' for reading: No such file or directory\n", name)
	}
	return output{stderr: missing.String(), code: 1}, true
}
