package diagnose

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"whybot/commands"
	"whybot/commands/node"
	"whybot/runners"
)

// consoles is the kind of question about consoles.
var consoles = []commands.Kind{commands.KindConsole}

// proxyProbes read what runs on a node on which the console proxy may.
func proxyProbes(s commands.Scope) []runners.Probe {
	if !s.Proxy {
		return nil
	}
	return []runners.Probe{
		node.ConsoleProcessesProbe(), node.ConsoleUnitsProbe(), node.ListenersProbe(), node.ConsoleConfigProbe(), node.AddressProbe(),
	}
}

// proxyLogProbes read what the proxy logged, and the clock that it goes by.
func proxyLogProbes(s commands.Scope) []runners.Probe {
	if !s.Proxy {
		return nil
	}
	return append(proxyProbes(s), node.ConsoleLogProbe(), node.ClockProbe())
}

// vncProbes read what there is of VNC on the guest's node.
func vncProbes(s commands.Scope) []runners.Probe {
	if !s.Guest {
		return proxyProbes(s)
	}
	probes := proxyProbes(s)
	if !s.Proxy {
		probes = append(probes, node.ListenersProbe(), node.ConsoleConfigProbe(), node.AddressProbe())
	}
	return probes
}

// guestNode is the compute node of the server.
func guestNode(p *commands.Pass) string { return p.Console.Server.Host.Or("") }

// guestNodeName is guestNode for a person.
func guestNodeName(p *commands.Pass) string { return p.Console.Server.Host.Or("the compute node") }

// settings are what nova.conf of a node gives for consoles; nil when it cannot
// be read.
func settings(p *commands.Pass, nodeName string) map[string]string {
	text, err := p.Text(nodeName, node.ConsoleConfigProbe().Name)
	if err != nil {
		return nil
	}
	return node.ConsoleSettings(text)
}

// settingsEvidence shows the lines of nova.conf, where it can be read.
func settingsEvidence(p *commands.Pass, nodeName string) []commands.Evidence {
	text, err := p.Text(nodeName, node.ConsoleConfigProbe().Name)
	if err != nil {
		return nil
	}
	return []commands.Evidence{p.Evidence(nodeName, node.ConsoleConfigProbe(), text)}
}

// usualPort is where the console proxy listens unless nova.conf says otherwise.
const usualPort = 6080

// proxyPort is where the console proxy of a node should listen.
func proxyPort(p *commands.Pass, nodeName string) int {
	if port, err := strconv.Atoi(settings(p, nodeName)["novncproxy_port"]); err == nil {
		return port
	}
	return usualPort
}

// listenersOn are the sockets that listen on a port.
func listenersOn(all []node.Listener, port int) []node.Listener {
	return slices.DeleteFunc(slices.Clone(all), func(l node.Listener) bool { return l.Port != port })
}

// listenerEvidence shows sockets, or that there is none on the port.
func listenerEvidence(p *commands.Pass, nodeName string, port int, listeners []node.Listener) commands.Evidence {
	text := fmt.Sprintf("nothing listens on port %d\n", port)
	if len(listeners) > 0 {
		text = ""
		for _, l := range listeners {
			text += l.Line + "\n"
		}
	}
	return p.Evidence(nodeName, node.ListenersProbe(), text)
}

// recently is how old a browser's failed attempt may be to be the one that a
// question is about.
const recently = 15 * time.Minute

// attempts are what the browsers' connections of the last time came to on a
// node. What health checks leave in the log is none of them.
func attempts(p *commands.Pass, nodeName string) ([]node.ConsoleAttempt, error) {
	probe := node.ConsoleLogProbe()
	out, err := p.Output(nodeName, probe.Name)
	if err != nil {
		return nil, err
	}
	missing := strings.Count(out.Stderr, "No such file")
	switch {
	case out.Truncated: // the newest lines are the ones that are missing
		return nil, &runners.Error{Kind: runners.Invalid, Runner: "ssh", Target: nodeName, Op: probe.Name, Hint: "it was cut at the size limit"}
	case missing >= 2:
		return nil, &runners.Error{Kind: runners.NotFound, Runner: "ssh", Target: nodeName, Op: probe.Name, Hint: "none is in " + node.NovaLogDir + ": does it log to the journal?"}
	case out.ExitCode > 1, out.ExitCode == 1 && missing == 0 && out.Stdout == "":
		return nil, &runners.Error{Runner: "ssh", Target: nodeName, Op: probe.Name, Hint: "it could not be read", Err: fmt.Errorf("stderr: %.200s", out.Stderr)}
	}
	text, err := p.Text(nodeName, node.ClockProbe().Name)
	if err != nil {
		return nil, err
	}
	now, err := node.ParseClock(text)
	if err != nil {
		return nil, &runners.Error{Kind: runners.Invalid, Runner: "ssh", Target: nodeName, Op: node.ClockProbe().Name, Err: err}
	}
	return slices.DeleteFunc(node.ConsoleAttempts(out.Stdout, now, recently), func(a node.ConsoleAttempt) bool {
		return strings.Contains(a.Failure, "[Errno 104]")
	}), nil
}

// attemptLines are the last lines of a log that tell of attempts.
func attemptLines(p *commands.Pass, nodeName string, all []node.ConsoleAttempt) commands.Evidence {
	var b strings.Builder
	for _, a := range all[max(0, len(all)-6):] {
		b.WriteString(a.Line + "\n")
	}
	return p.Evidence(nodeName, node.ConsoleLogProbe(), b.String())
}

// lastFailed calls report for every proxy whose last attempt ended as fits says,
// with all the attempts of its log.
func lastFailed(p *commands.Pass, fits func(node.ConsoleAttempt) bool, report func(proxy string, all []node.ConsoleAttempt)) error {
	proxies, err := p.Proxies()
	errs := []error{err}
	for _, n := range proxies {
		all, err := attempts(p, n)
		if errs = append(errs, err); err == nil && len(all) > 0 && fits(all[len(all)-1]) {
			report(n, all)
		}
	}
	return errors.Join(errs...)
}

// refusedToken reports whether an attempt ended because its token was not taken.
func refusedToken(a node.ConsoleAttempt) bool {
	return strings.Contains(a.Failure, "is invalid or has expired")
}
