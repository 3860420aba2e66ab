package lab

import (
	"context"
	"errors"
	"strings"

	"whybot/internal/cloudfake"
)

const (
	dhcpAgent = "neutron-dhcp-agent"
	l2Agent   = "neutron-linuxbridge-agent"
	l3Agent   = "neutron-l3-agent"
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

// tellL2Agents lets the linuxbridge agents that run set the taps of their guests
// up or down where Neutron's mind about that has changed.
func (l *Lab) tellL2Agents(ctx context.Context) error {
	down := map[string]bool{}
	l.Cloud.Update(func(m *cloudfake.Model) {
		for _, p := range m.Ports {
			down[p.ID] = p.AdminDown
		}
	})
	var errs []error
	for _, g := range l.plan.guests {
		p := g.Port
		if down[p.ID] == l.downTaps[p.ID] || !l.agentRuns(p.Machine, l2Agent) {
			continue
		}
		state := "up"
		if down[p.ID] {
			state = "down"
		}
		_, err := l.machines[p.Machine].Run(ctx, "ip", "link", "set", p.Tap(), state)
		errs = append(errs, err)
		l.downTaps[p.ID] = down[p.ID]
	}
	return errors.Join(errs...)
}
