package diagnose

import (
	"context"
	"fmt"
	"strings"
	"time"

	"whybot/commands"
	"whybot/commands/fix"
	"whybot/commands/node"
	"whybot/runners"
)

// DHCPAgentDead is DHCP-11: Neutron has lost the DHCP agent of the network, and
// its node does not run it.
var DHCPAgentDead = register(&commands.Diagnosis{
	Name:  "DHCP-11",
	Title: "The DHCP agent of the network is dead",
	Doc: `Two witnesses: Neutron has not heard of it for longer than its limit, and its
node has no such process. The dnsmasq it started goes on serving those it knows,
so by itself it cuts nobody off: it is the cause where a dnsmasq is missing or
does not know the guest. An agent that runs and is not heard is DHCP-26.`,
	Explains: []commands.Kind{commands.KindDHCP},
	Probes:   agentProbes,
	Run: func(_ context.Context, p *commands.Pass) error {
		for _, a := range p.Port.DHCPAgents.Or(nil) {
			if !a.Alive {
				reportDead(p, agentOf{a, node.DHCPAgent}, []string{"DHCP-09", "DHCP-10"}, len(p.Path.Branches) > 0)
			}
		}
		return nil
	},
})

// L2AgentDead is DHCP-25: Neutron has lost the agent that wires ports on a node
// of the path, and the node does not run it.
var L2AgentDead = register(&commands.Diagnosis{
	Name:  "DHCP-25",
	Title: "The linuxbridge agent of a node is dead",
	Doc: `Two witnesses, as for DHCP-11. What it wired before goes on working, so by itself
it cuts nobody off: it is the cause where a tap, a segment or a rule is missing
on its node.`,
	Explains: []commands.Kind{commands.KindDHCP},
	Probes:   agentProbes,
	Run: func(_ context.Context, p *commands.Pass) error {
		for _, n := range p.Path.Nodes() {
			if a, ok := p.Port.L2Agents.Or(nil)[n]; ok && !a.Alive && a.Binary == node.LinuxbridgeAgent {
				reportDead(p, agentOf{a, node.LinuxbridgeAgent}, unwired, true)
			}
		}
		return nil
	},
})

// unwired is what a dead linuxbridge agent leaves undone, and mends when it is
// started. Links that are down, rules that are there and what a guest sends are
// none of its doing.
var unwired = []string{"DHCP-16", "DHCP-17"}

// wiring is what a linuxbridge agent leaves undone whose own work fails.
var wiring = []string{"DHCP-16", "DHCP-17", "DHCP-18", "DHCP-02", "DHCP-43"}

// agentProbes are what is read of the agents on every node of the path.
func agentProbes(s commands.Scope) []runners.Probe {
	probes := []runners.Probe{
		node.ClockProbe(), node.UnitsProbe(), node.AgentProcessesProbe(), node.AgentLogProbe(node.LinuxbridgeAgent),
	}
	if s.Serves {
		probes = append(probes, node.AgentLogProbe(node.DHCPAgent))
	}
	return probes
}

// An agentOf is an agent as Neutron lists it, with its program.
type agentOf struct {
	runners.Agent

	program string
}

// downTime is how long Neutron waits for an agent's report before it counts it
// as dead: agent_down_time, unless it is configured otherwise.
const downTime = 75 * time.Second

// reportDead reports an agent that Neutron counts as dead. One whose process
// runs is another matter; one whose process could not be looked for is only
// probably dead.
func reportDead(p *commands.Pass, a agentOf, causes []string, aside bool) {
	pid, err := a.process(p)
	if err == nil && pid != "" {
		return // DHCP-26 says so
	}
	f := commands.Finding{
		State: commands.Proven, Node: a.Host, Causes: causes, Aside: aside,
		Summary:  fmt.Sprintf("%s on %s is dead: no such process there, and %s", a.program, a.Host, a.heard(p)),
		Evidence: []commands.Evidence{a.listed()},
		Fixes:    []commands.Suggestion{{Fix: fix.StartAgent, Node: a.Host, Args: map[string]string{"unit": a.program}}},
		Advice:   []string{fmt.Sprintf("Find out why it died: the end of %s%s.log on %s, or journalctl -u %s.", node.LogDir, a.program, a.Host, a.program)},
	}
	if err != nil {
		f.State, f.Missing = commands.Probable, "whether its process runs: "+commands.Public(err)
		if why, ok := err.(*runners.Error); ok { //nolint:errorlint // the outermost one is what people see
			f.Missing = "whether its process runs: " + why.Error()
		}
		f.Summary = fmt.Sprintf("Neutron counts %s on %s as dead: %s", a.program, a.Host, a.heard(p))
	} else {
		f.Evidence = append(f.Evidence, a.seen(p)...)
	}
	if strings.Contains(logText(p, a.Host, a.program), "[Errno 98] Address already in use") {
		f.Advice = append(f.Advice, "Its log says [Errno 98] Address already in use: an old process still holds its port. End that first.")
	}
	p.Report(f)
}

// process returns the id of the agent's process, or "" when it has none.
func (a agentOf) process(p *commands.Pass) (string, error) {
	out, err := p.Output(a.Host, node.AgentProcessesProbe().Name)
	switch {
	case err != nil:
		return "", err
	case out.ExitCode > 1 || out.Truncated:
		return "", &runners.Error{Kind: runners.Invalid, Runner: "ssh", Target: a.Host, Op: "pgrep", Hint: fmt.Sprintf("exit code %d", out.ExitCode)}
	}
	if pid, ok := node.ProcessOf(out.Stdout, a.program); ok {
		return pid, nil
	}
	// Where processes of other users are hidden, systemd still knows its own.
	if u, ok := a.unit(p); ok && u.Runs() {
		return u.PID, nil
	}
	return "", nil
}

func (a agentOf) unit(p *commands.Pass) (node.Unit, bool) {
	text, err := p.Text(a.Host, node.UnitsProbe().Name)
	if err != nil {
		return node.Unit{}, false
	}
	u, err := node.UnitOf(text, a.program)
	return u, err == nil
}

// heard says since when Neutron has heard nothing of the agent.
func (a agentOf) heard(p *commands.Pass) string {
	if a.Heartbeat.IsZero() {
		return "Neutron does not say when it heard of it last"
	}
	text := "Neutron heard of it last at " + a.Heartbeat.UTC().Format("2006-01-02 15:04:05 MST")
	if now, err := clockOf(p, a.Host); err == nil {
		text += fmt.Sprintf(", %.0f s before the clock of %s (limit %.0f s)", now.Sub(a.Heartbeat).Seconds(), a.Host, downTime.Seconds())
	}
	return text
}

// listed is Neutron's word as evidence.
func (a agentOf) listed() commands.Evidence {
	return commands.Evidence{
		Source: "neutron: GET agents",
		Text: fmt.Sprintf("%s on %s: alive %t, admin_state_up %t, heartbeat_timestamp %s\n",
			a.Type, a.Host, a.Alive, a.AdminUp, a.Heartbeat.UTC().Format(time.DateTime)),
	}
}

// seen is the node's word as evidence.
func (a agentOf) seen(p *commands.Pass) []commands.Evidence {
	out, err := p.Output(a.Host, node.AgentProcessesProbe().Name)
	if err != nil {
		return nil
	}
	all := []commands.Evidence{p.Evidence(a.Host, node.AgentProcessesProbe(), orNothing(out.Stdout))}
	if u, ok := a.unit(p); ok {
		all = append(all, p.Evidence(a.Host, node.UnitsProbe(), fmt.Sprintf("%s: %s, %s (%s)\n", a.program, u.Load, u.Active, u.Sub)))
	}
	return all
}

// clockOf returns the time on a node when it was read.
func clockOf(p *commands.Pass, nodeName string) (time.Time, error) {
	text, err := p.Text(nodeName, node.ClockProbe().Name)
	if err != nil {
		return time.Time{}, err
	}
	now, err := node.ParseClock(text)
	if err != nil {
		return time.Time{}, &runners.Error{Kind: runners.Invalid, Runner: "ssh", Target: nodeName, Op: "date", Err: err}
	}
	return now, nil
}

// clockOff returns by how much a node's clock differs from Neutron's, as far as
// the newest report of an agent that Neutron counts as alive shows; false when
// they agree within the limit, or nothing can be said. Where all agents' reports
// are old alike, it is not one node's clock: nothing reaches Neutron then.
func clockOff(p *commands.Pass, nodeName string) (time.Duration, bool) {
	now, err := clockOf(p, nodeName)
	if err != nil {
		return 0, false
	}
	var newest time.Time
	for _, a := range p.Port.Agents.Or(nil) {
		if a.Alive && a.Heartbeat.After(newest) {
			newest = a.Heartbeat
		}
	}
	off := now.Sub(newest)
	return off, !newest.IsZero() && off.Abs() > downTime
}
