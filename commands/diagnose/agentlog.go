package diagnose

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"whybot/commands"
	"whybot/commands/fix"
	"whybot/commands/node"
	"whybot/runners"
)

// AgentLoop is DHCP-24: the linuxbridge agent fails whenever it writes rules, so
// the guest's port has none.
var AgentLoop = register(&commands.Diagnosis{
	Name:  "DHCP-24",
	Title: "The linuxbridge agent fails in its loop and writes no rules",
	Doc: `Its log of the last ten minutes, by the node's own clock and since its last
start, has "Error in agent loop" again and again, and neutron's chains for the
guest's tap are not there. One without the other is no cause: errors pass, and
older ones are history.`,
	Explains: []commands.Kind{commands.KindDHCP},
	Probes: func(s commands.Scope) []runners.Probe {
		return append(agentProbes(s), firewallProbes(s)...)
	},
	Run: func(_ context.Context, p *commands.Pass) error {
		if filtered, known := p.Port.Port.PortSecurity.Get(); p.Path.Node == "" || p.GuestOff() || known && !filtered {
			return nil
		}
		return loopErrors(p, p.Path.Node)
	},
})

// QueueLost is DHCP-26: an agent runs, and what Neutron has to tell it does not
// arrive.
var QueueLost = register(&commands.Diagnosis{
	Name:  "DHCP-26",
	Title: "An agent runs but has lost its RPC queue",
	Doc: `Its log of the last ten minutes says that a queue is not there, or that Neutron
did not answer, more than once; or Neutron counts it as dead while its process
runs and the clocks agree. By itself it cuts nobody off: it is the cause where
its node lacks what Neutron would have told it.`,
	Explains: []commands.Kind{commands.KindDHCP},
	Probes:   agentProbes,
	Run: func(_ context.Context, p *commands.Pass) error {
		var errs []error
		for _, b := range p.Path.Branches {
			if a, ok := b.Agent.Get(); ok {
				errs = append(errs, lostQueue(p, agentOf{a, node.DHCPAgent}, []string{"DHCP-10"}, !knows(p, b)))
			}
		}
		for _, n := range p.Path.Nodes() {
			if a, ok := p.Port.L2Agents.Or(nil)[n]; ok && a.Binary == node.LinuxbridgeAgent {
				errs = append(errs, lostQueue(p, agentOf{a, node.LinuxbridgeAgent}, []string{"DHCP-16", "DHCP-17"}, !wired(p, n)))
			}
		}
		return errors.Join(errs...)
	},
})

// fresh is how old a line of a log may be to say something of now.
const fresh = 10 * time.Minute

// recent returns the lines of an agent's log that say something of now. A log
// that is not there, as where agents run in containers, has none.
func recent(p *commands.Pass, nodeName, agent string) ([]node.LogLine, error) {
	probe := node.AgentLogProbe(agent)
	out, err := p.Output(nodeName, probe.Name)
	switch {
	case err != nil:
		return nil, err
	case out.ExitCode != 0 && strings.Contains(out.Stderr, "Permission denied"):
		return nil, &runners.Error{Kind: runners.Sudo, Runner: "ssh", Target: nodeName, Op: "the log of " + agent}
	}
	now, err := clockOf(p, nodeName)
	if err != nil {
		return nil, err
	}
	return node.Recent(out.Stdout, now, fresh), nil
}

// logText is an agent's log as far as it was read, old lines and all.
func logText(p *commands.Pass, nodeName, agent string) string {
	out, err := p.Output(nodeName, node.AgentLogProbe(agent).Name)
	if err != nil {
		return ""
	}
	return out.Stdout
}

// saying returns the lines that have one of the words.
func saying(lines []node.LogLine, words ...string) []node.LogLine {
	var some []node.LogLine
	for _, l := range lines {
		for _, w := range words {
			if strings.Contains(l.Text, w) {
				some = append(some, l)
				break
			}
		}
	}
	return some
}

// quoted is the last of lines as evidence.
func quoted(p *commands.Pass, nodeName, agent string, lines []node.LogLine) commands.Evidence {
	const most, width = 3, 400
	var b strings.Builder
	for _, l := range lines[max(0, len(lines)-most):] {
		b.WriteString(commands.Clean(l.Text, width) + "\n")
	}
	return p.Evidence(nodeName, node.AgentLogProbe(agent), b.String())
}

// loopErrors reports an agent that cannot write the rules of the guest's port.
func loopErrors(p *commands.Pass, nodeName string) error {
	lines, err := recent(p, nodeName, node.LinuxbridgeAgent)
	loops := saying(lines, "Error in agent loop")
	if err == nil && len(loops) == 0 {
		return nil
	}
	missing, unread := chainsMissing(p, nodeName)
	switch {
	case unread != nil:
		return unread
	case !missing:
		return nil
	case err != nil:
		return err
	}
	f := commands.Finding{
		State: commands.Proven, Node: nodeName, Aside: true, Causes: wiring,
		Summary: fmt.Sprintf("The linuxbridge agent on %s failed %d times in its loop in the last %.0f minutes, and neutron's chains for %s are not there",
			nodeName, len(loops), fresh.Minutes(), commands.TapName(p.Port.Port.ID)),
		Evidence: []commands.Evidence{quoted(p, nodeName, node.LinuxbridgeAgent, loops)},
	}
	switch {
	case len(saying(lines, "Exit code: 99", "Unauthorized command")) > 0:
		f.Summary += ": rootwrap refuses it a command (exit code 99)"
		f.Advice = []string{"Put the filter files of Neutron's package back (/etc/neutron/rootwrap.d, filters_path in rootwrap.conf), then restart the agent: a restart alone changes nothing."}
	case len(saying(lines, "holding the xtables lock")) > 0:
		f.Summary += ": another program holds the xtables lock"
		f.Advice = []string{"Find what holds the lock (fuser /run/xtables.lock) and end it, then restart the agent: a restart alone changes nothing."}
	default:
		f.Fixes = []commands.Suggestion{{Fix: fix.RestartAgent, Node: nodeName, Args: map[string]string{"unit": node.LinuxbridgeAgent}}}
	}
	if len(loops) == 1 {
		f.State, f.Missing = commands.Probable, "a second failure: one in its loop may have passed"
	}
	p.Report(f)
	return nil
}

// chainsMissing reports whether no view of the node's firewall has neutron's
// chains of the guest's port.
func chainsMissing(p *commands.Pass, nodeName string) (bool, error) {
	f, err := p.Firewall(nodeName)
	if err != nil {
		return false, err
	}
	id := p.Port.Port.ID
	id = id[:min(len(id), 10)] // as much as neutron has room for
	for _, v := range f.Views {
		for _, t := range v.Rules.Tables {
			for _, c := range t.Chains {
				if strings.HasSuffix(c.Name, "-i"+id) || strings.HasSuffix(c.Name, "-o"+id) {
					return false, nil
				}
			}
		}
	}
	return f.Hidden == nil, f.Hidden
}

// What an agent logs when the message bus has no queue for it, or Neutron does
// not answer.
var (
	noQueue  = []string{"NOT_FOUND - no queue", "no queue '"}
	noAnswer = []string{"MessagingTimeout", "Timeout while waiting on RPC response", "Timed out waiting for a reply to message ID"}
)

// recovered is what an agent writes once Neutron and it hear one another again.
var recovered = []string{"Synchronizing state complete", "Reconnected to AMQP", "Agent out of sync with plugin"}

// sinceRecovery leaves out what an agent has got over, and the queues that
// answers are lost in, which are made anew for each call.
func sinceRecovery(lines []node.LogLine) []node.LogLine {
	for i := len(lines) - 1; i >= 0; i-- {
		if len(saying(lines[i:i+1], recovered...)) > 0 {
			lines = lines[i+1:]
			break
		}
	}
	return slices.DeleteFunc(slices.Clone(lines), func(l node.LogLine) bool { return strings.Contains(l.Text, "no queue 'reply_") })
}

// lostQueue reports an agent that Neutron cannot reach, or that cannot reach
// Neutron. That it could not be looked for is said where something is lacking
// that it would explain.
func lostQueue(p *commands.Pass, a agentOf, causes []string, lacking bool) error {
	f := commands.Finding{
		State: commands.Proven, Node: a.Host, Aside: true, Causes: causes,
		Fixes:  []commands.Suggestion{{Fix: fix.RestartAgent, Node: a.Host, Args: map[string]string{"unit": a.program}}},
		Advice: []string{"If it comes back, look at the message bus: rabbitmqctl list_queues, partitions, and whether " + a.Host + " reaches it."},
	}
	lines, err := recent(p, a.Host, a.program)
	lines = sinceRecovery(lines)
	lost := saying(lines, append(noQueue, noAnswer...)...)
	if len(saying(lines, noQueue...)) > 0 || len(lost) > 1 {
		f.Summary = fmt.Sprintf("%s on %s runs but has lost its RPC queue: %d such errors in its log in the last %.0f minutes", a.program, a.Host, len(lost), fresh.Minutes())
		f.Evidence = []commands.Evidence{quoted(p, a.Host, a.program, lost)}
		if pid, unknown := a.process(p); unknown != nil || pid != "" {
			p.Report(f)
		}
		return nil
	}
	if !a.Alive {
		unheard(p, a, f)
	}
	if err != nil && lacking {
		return err
	}
	return nil
}

// unheard reports an agent whose process runs while Neutron counts it as dead.
func unheard(p *commands.Pass, a agentOf, f commands.Finding) {
	pid, err := a.process(p)
	if err != nil || pid == "" {
		return // DHCP-11 or DHCP-25 says so
	}
	f.Summary = fmt.Sprintf("%s runs on %s (process %s), yet Neutron counts it as dead: %s", a.program, a.Host, pid, a.heard(p))
	f.Evidence = append([]commands.Evidence{a.listed()}, a.seen(p)...)
	if off, differ := clockOff(p, a.Host); differ {
		f.Summary += fmt.Sprintf("; the clock of %s differs from Neutron's by %.0f s", a.Host, off.Abs().Seconds())
		f.State, f.Missing = commands.Probable, "whether it is more than the clock: set the time right (chronyc tracking), and look again"
		f.Fixes = nil
	}
	if noneHeard(p) {
		f.Summary += "; it hears of no other agent either"
		f.Fixes = nil // one agent's restart mends no message bus
		f.Advice = []string{"Look at the message bus and at neutron-server first: rabbitmqctl cluster_status, rabbitmqctl list_queues."}
	}
	p.Report(f)
}

// noneHeard reports whether Neutron counts every agent, of several nodes, as
// dead: then it is what they all talk over, or Neutron itself.
func noneHeard(p *commands.Pass) bool {
	hosts := map[string]bool{}
	for _, a := range p.Port.Agents.Or(nil) {
		if a.Alive {
			return false
		}
		hosts[a.Host] = true
	}
	return len(hosts) > 1
}

// knows reports whether the host file of b's dnsmasq has one of the port's
// addresses for the guest.
func knows(p *commands.Pass, b commands.Branch) bool {
	text, err := p.Text(b.Node, node.HostsProbe(p.Port.Network.ID).Name)
	return err == nil && knownAt(node.HostEntries(text)[p.Port.Port.MAC], addresses(p.Port, netip.Addr.Is4))
}

// wired reports whether the taps of the path on a node are in their bridge.
func wired(p *commands.Pass, nodeName string) bool {
	links, err := p.Links(nodeName)
	if err != nil {
		return false
	}
	for _, h := range p.Path.On(nodeName, commands.HopTap) {
		if links[h.Device].Master != p.Path.Bridge(nodeName).Device {
			return false
		}
	}
	return true
}
