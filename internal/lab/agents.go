package lab

import "strings"

const (
	dhcpAgent = "neutron-dhcp-agent"
	// deafMark is on a machine whose DHCP agent lost its queue: it runs, and no
	// message reaches it until it is started anew.
	deafMark = "/run/whylab/" + dhcpAgent + ".deaf"
)

// agentRuns tells whether a Neutron agent's process runs on a machine; an agent
// of a host that is none of the lab's is never seen dead.
func (l *Lab) agentRuns(host, binary string) bool {
	m := l.machines[host]
	if m == nil {
		return true
	}
	pid, err := m.ReadFile("/run/whylab/" + binary + ".pid")
	if err != nil {
		return false
	}
	// the machine's own /proc: the number is of its pid namespace
	command, err := m.ReadFile("/proc/" + strings.TrimSpace(pid) + "/cmdline")
	return err == nil && strings.Contains(command, binary)
}
