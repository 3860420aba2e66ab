package commands

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"whybot/commands/node"
	"whybot/runners"
)

// Consoles reads what Nova knows about the console of a server.
type Consoles interface {
	ConsoleCase(ctx context.Context, s runners.Server) (runners.ConsoleCase, error)
}

// A Console is what a question about a console is about: what OpenStack says of
// it, and what came of connecting to it as its proxies do.
type Console struct {
	runners.ConsoleCase

	dials         map[string]reading // by proxy
	before, after reading            // of the compute node, around the dials
	others        map[string]reading // of other compute nodes
}

// Probes of a connection, by name.
const (
	dialProbe    = "connect"     // to the guest's VNC server
	dialURLProbe = "connect-url" // to where browsers are sent
)

// examineConsole answers why the console of a server does not open.
func (e *Engine) examineConsole(ctx context.Context, inc Incident, o AskOptions) (Answer, *Pass, error) {
	if e.o.Consoles == nil {
		return Answer{}, nil, &Error{Code: CodeInvalid, Public: "This whybot cannot ask Nova about consoles."}
	}
	tell := e.teller(inc.ID, o.Progress)
	tell("looking for %s in OpenStack", Clean(inc.Question.Subjects["vm"], 80))
	server, err := e.findServer(ctx, inc.Question.Subjects["vm"])
	if err != nil {
		return Answer{}, nil, err
	}
	c, err := e.o.Consoles.ConsoleCase(ctx, server)
	if err != nil {
		return Answer{}, nil, outside(err)
	}
	pass := newPass(inc.Question, c.Server, runners.Attachment{}, &Path{})
	pass.Console = &Console{ConsoleCase: c}
	x := &examination{e: e, pass: pass, tell: tell}
	if nodes := pass.ConsoleNodes(); len(nodes) > 0 {
		tell("reading %s", strings.Join(nodes, ", "))
	}
	x.readNodes(ctx)
	x.connect(ctx)
	x.diagnose(ctx)
	verdict, findings := judgeConsole(pass, x.findings, x.unseen)
	return Answer{
		Incident: inc.ID, Question: inc.Question, VM: server.Name, Verdict: verdict, Findings: findings,
		Unknown: x.unseen, Checked: x.checked, Notes: x.remarks,
	}, pass, nil
}

// ConsoleNodes returns the nodes on which something can be read about the
// console: the server's own, and those that control the cloud, on some of which
// the console proxy runs.
func (p *Pass) ConsoleNodes() []string {
	if p.Console == nil {
		return nil
	}
	nodes, _ := p.Console.Machines.Get()
	nodes = slices.Clone(nodes)
	if host := p.Console.Server.Host.Or(""); host != "" {
		nodes = appendNew(nodes, host)
	}
	return nodes
}

// consoleScopes are the nodes of a question about a console.
func (p *Pass) consoleScopes() []Scope {
	machines, _ := p.Console.Machines.Get()
	door, _ := p.Door()
	address, _ := netip.ParseAddr(door.Host) // the zero Addr of a name
	var scopes []Scope
	for _, n := range p.ConsoleNodes() {
		scopes = append(scopes, Scope{Node: n, Guest: n == p.Console.Server.Host.Or(""), Proxy: slices.Contains(machines, n), IPv6: address.Is6()})
	}
	return scopes
}

// hostForm is what may be connected to: an address, or a name.
var hostForm = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.:_-]{0,250}[A-Za-z0-9])?$|^::1$`)

// Door returns where the proxy connects to, and why that is not known.
func (p *Pass) Door() (runners.ConsoleDoor, error) {
	door, known := p.Console.Door.Get()
	switch {
	case !known:
		return door, &runners.Error{Runner: "openstack", Target: "nova", Op: "where the proxy connects to", Hint: p.Console.Door.Why()}
	case !hostForm.MatchString(door.Host) || door.Port < 1 || door.Port > 65535:
		return runners.ConsoleDoor{}, &runners.Error{
			Kind: runners.Invalid, Runner: "openstack", Target: "nova", Op: "where the proxy connects to",
			Hint: "Nova says " + Clean(door.Host, 60) + ":" + strconv.Itoa(door.Port),
		}
	}
	return door, nil
}

// Loopback reports whether a host is the node itself, whichever node that is.
func Loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// RunsProxy says whether the console proxy runs on a node.
func (p *Pass) RunsProxy(nodeName string) (bool, error) {
	out, err := p.Output(nodeName, node.ConsoleProcessesProbe().Name)
	if err != nil {
		return false, err
	}
	if out.Truncated || out.ExitCode > 1 {
		return false, &runners.Error{Kind: runners.Invalid, Runner: "ssh", Target: nodeName, Op: node.ConsoleProcessesProbe().Name, Hint: fmt.Sprintf("exit code %d", out.ExitCode)}
	}
	_, runs := node.ProcessOf(out.Stdout, node.ConsoleProxy)
	return runs, nil
}

// Proxies returns the nodes on which the console proxy runs. The error joins why
// that is not known of others.
func (p *Pass) Proxies() ([]string, error) {
	machines, known := p.Console.Machines.Get()
	if !known {
		return nil, &runners.Error{Runner: "openstack", Target: "nova", Op: "the nodes that may run the console proxy", Hint: p.Console.Machines.Why()}
	}
	var proxies []string
	var errs []error
	for _, m := range machines {
		runs, err := p.RunsProxy(m)
		if runs {
			proxies = append(proxies, m)
		}
		errs = append(errs, err)
	}
	return proxies, errors.Join(errs...)
}

// ConsoleOff reports whether there is no console to connect to: the guest has no
// process, or Nova makes none. One that is paused has its console.
func (p *Pass) ConsoleOff() bool {
	offer, _ := p.Console.Offer.Get()
	return offer.Refusal != "" || slices.Contains(withoutProcess, p.Console.Server.Status)
}

// withoutProcess are the states of a server whose guest has no process.
var withoutProcess = []string{"SHUTOFF", "SUSPENDED", "SHELVED", "SHELVED_OFFLOADED", "DELETED", "SOFT_DELETED"}

// connect tries the guest's VNC port from every node that runs the proxy, and
// reads the compute node's counters before and after.
func (x *examination) connect(ctx context.Context) {
	p := x.pass
	p.Console.dials = map[string]reading{}
	proxies, _ := p.Proxies() // the diagnoses say what is not known
	if len(proxies) == 0 || p.ConsoleOff() {
		return
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 2*x.e.o.Static, fmt.Errorf("the budget of %s for connecting is used up", 2*x.e.o.Static))
	defer cancel()
	scopes := make([]Scope, 0, len(proxies))
	for _, n := range proxies {
		scopes = append(scopes, Scope{Node: n, Proxy: true})
	}
	x.tell("connecting to the console as %s would", strings.Join(proxies, ", "))
	p.Console.before = x.counters(ctx)
	p.Console.dials = x.e.readAll(ctx, scopes, p.dialProbes)
	p.Console.after = x.counters(ctx)
	if p.blocked(proxies) {
		p.Console.others = x.e.readAll(ctx, p.otherComputes(), func(Scope) []runners.Probe {
			return append(node.FirewallProbes(), node.LinksProbe(), node.AddressProbe())
		})
	}
}

// counters reads the counters of the compute node.
func (x *examination) counters(ctx context.Context) reading {
	host := x.pass.Console.Server.Host.Or("")
	if host == "" {
		return reading{err: &runners.Error{Runner: "openstack", Target: "nova", Op: "the server's node", Hint: x.pass.Console.Server.Host.Why()}}
	}
	return x.e.readAll(ctx, []Scope{{Node: host, Guest: true, IPv6: x.pass.consoleScopes()[0].IPv6}}, x.e.counterProbes)[host]
}

// dialProbes are the connections that are tried from a proxy's node. One to a
// loopback address would find the proxy's own node.
func (p *Pass) dialProbes(s Scope) []runners.Probe {
	var probes []runners.Probe
	if door, err := p.Door(); err == nil && (!Loopback(door.Host) || s.Node == p.Console.Server.Host.Or("")) {
		probes = append(probes, node.ConnectProbe(dialProbe, door.Host, door.Port), node.WayProbe(door.Host))
	}
	if at, ok := p.ConsoleURL(); ok && !Loopback(at.Host) {
		probes = append(probes, node.ConnectProbe(dialURLProbe, at.Host, at.Port))
	}
	return probes
}

// ConsoleURL returns where browsers are sent.
func (p *Pass) ConsoleURL() (runners.ConsoleURL, bool) {
	offer, known := p.Console.Offer.Get()
	return offer.URL, known && offer.Refusal == "" && hostForm.MatchString(offer.URL.Host)
}

// dialed returns what a probe of a proxy's connections printed.
func (p *Pass) dialed(proxy, probe string) (runners.Output, error) {
	r, ok := p.Console.dials[proxy]
	res, sent := r.results[probe]
	switch {
	case r.err != nil:
		return runners.Output{}, r.err
	case !ok || !sent:
		return runners.Output{}, &runners.Error{Runner: "ssh", Target: proxy, Op: probe, Hint: "it was not tried"}
	}
	return res.Output, res.Err
}

// Dial returns what connecting to the guest's VNC port from a proxy's node came
// to.
func (p *Pass) Dial(proxy string) (node.Dial, error) { return p.dial(proxy, dialProbe) }

// DialURL is Dial of where browsers are sent.
func (p *Pass) DialURL(proxy string) (node.Dial, error) { return p.dial(proxy, dialURLProbe) }

func (p *Pass) dial(proxy, probe string) (node.Dial, error) {
	out, err := p.dialed(proxy, probe)
	if err != nil {
		return node.Dial{}, err
	}
	d, err := node.ParseDial(out)
	if err != nil {
		return node.Dial{}, &runners.Error{Kind: runners.Invalid, Runner: "ssh", Target: proxy, Op: probe, Hint: Clean(err.Error(), 160), Err: err}
	}
	return d, nil
}

// Way returns how a proxy's node gets to the guest's node.
func (p *Pass) Way(proxy string) (node.Way, error) {
	out, err := p.dialed(proxy, node.WayProbe("").Name)
	if err != nil {
		return node.Way{}, err
	}
	w, err := node.ParseWay(out.Stdout)
	if err != nil {
		return node.Way{}, &runners.Error{Kind: runners.Invalid, Runner: "ssh", Target: proxy, Op: "the way to the console", Hint: err.Error(), Err: err}
	}
	return w, nil
}

// DialEvidence is what a connection from a proxy's node came to, and what that
// knew of the other side then.
func (p *Pass) DialEvidence(proxy string) []Evidence {
	door, _ := p.Door()
	d, err := p.Dial(proxy)
	if err != nil {
		return nil
	}
	all := []Evidence{{Source: fmt.Sprintf("%s: a TCP connection to %s", proxy, doorName(door)), Text: d.String() + "\n"}}
	if out, err := p.dialed(proxy, node.WayProbe("").Name); err == nil {
		all = append(all, Evidence{Source: fmt.Sprintf("%s: ip route get and ip neigh show %s", proxy, door.Host), Text: out.Stdout})
	}
	return all
}

// doorName is the port of a console for a person.
func doorName(d runners.ConsoleDoor) string {
	if strings.Contains(d.Host, ":") {
		return fmt.Sprintf("[%s]:%d", d.Host, d.Port)
	}
	return fmt.Sprintf("%s:%d", d.Host, d.Port)
}

// DoorName is the port of the console for a person.
func (p *Pass) DoorName() string {
	door, _ := p.Console.Door.Get()
	return doorName(door)
}

// ConsoleEdge is where a proxy's connection to the guest's VNC server ends.
func (p *Pass) ConsoleEdge(proxy string) Edge {
	return Edge{
		From:      Hop{Node: proxy, Device: "novncproxy", Kind: HopServer},
		To:        Hop{Node: p.Console.Server.Host.Or(""), Device: p.DoorName(), Kind: HopServer},
		Direction: Request,
	}
}

// consoleEntities are the names that an incident about a console is found by.
func (p *Pass) consoleEntities() []string {
	return append([]string{p.Console.Server.Name, p.Console.Server.ID}, p.ConsoleNodes()...)
}
