package diagnose

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"whybot/commands"
	"whybot/commands/fix"
	"whybot/commands/netfilter"
	"whybot/commands/node"
	"whybot/runners"
)

// The diagnoses of this file are one reading: what the compute node's firewall
// does to the packet that begins a proxy's connection. They differ in how that
// packet ends.

// ConsoleReject is CONS-01: the compute node's firewall rejects VNC.
var ConsoleReject = consoleFilter("CONS-01", "The compute node's firewall rejects the console's VNC port", `
A connection from the proxy's own node failed at once, with the error that the
REJECT makes which the compute node's rules end in for this very packet, and the
rule's counter grew meanwhile. A REJECT behind an ACCEPT for the port is harmless; a
host that is down shows as the same error after 3 s (CONS-04).`)

// ConsolePartlyOpen is CONS-02: the firewall is open for other guests only.
var ConsolePartlyOpen = consoleFilter("CONS-02", "Only other VNC ports than this guest's are open in the firewall", `
As CONS-01 or CONS-03, and the same rules let the same proxy in to port 5900: guests
have a port each from there up, so that the first one's console opens and the
others' do not.`)

// ConsoleDrop is CONS-03: the firewall drops VNC without an answer.
var ConsoleDrop = consoleFilter("CONS-03", "The compute node's firewall silently drops the console's VNC port", `
A connection from the proxy's own node was not answered at all, the compute node's
rules end in a DROP for this very packet, and its counter grew meanwhile.`)

func consoleFilter(id, title, doc string) *commands.Diagnosis {
	return register(&commands.Diagnosis{
		Name: id, Title: title, Doc: doc[1:], Explains: consoles,
		Probes: func(s commands.Scope) []runners.Probe {
			probes := vncProbes(s)
			if s.Guest {
				probes = append(probes, firewallProbes(s)...)
			}
			return probes
		},
		Run: func(_ context.Context, p *commands.Pass) error { return barred(p, id) },
	})
}

// A barrier is a firewall that a proxy's connection ends at.
type barrier struct {
	p        *commands.Pass
	proxies  []string // all that it stops
	sources  []netip.Addr
	dial     node.Dial
	way      node.Way
	knock    commands.Knock
	firewall *commands.Firewall
	ruling   commands.Ruling
}

// barred reports the barriers of a catalogue id, each once for all proxies that
// it stops.
func barred(p *commands.Pass, id string) error {
	proxies, err := p.Proxies()
	errs := []error{err}
	var found []barrier
	for _, n := range proxies {
		b, ok, err := barrierOf(p, n)
		if errs = append(errs, err); err != nil && id == "CONS-01" {
			guessReject(p, n)
		}
		if !ok || b.cause() != id {
			continue
		}
		i := slices.IndexFunc(found, func(o barrier) bool { return o.place() == b.place() })
		if i < 0 {
			found = append(found, b)
			continue
		}
		found[i].proxies, found[i].sources = append(found[i].proxies, n), append(found[i].sources, b.knock.Source)
	}
	for _, b := range found {
		p.Report(b.finding())
	}
	return errors.Join(errs...)
}

// barrierOf looks at what stops a proxy's connection. ok is false without an
// error where no firewall does.
func barrierOf(p *commands.Pass, proxy string) (b barrier, ok bool, err error) {
	d, err := p.Dial(proxy)
	if err != nil {
		return b, false, dialError(p, err)
	}
	if d.Connected {
		p.Good(commands.Hop{Node: proxy}, "the console proxy's node can connect to "+p.DoorName(), d.String())
		return b, false, nil
	}
	way, err := p.Way(proxy)
	if err != nil || way.Failed() {
		return b, false, err
	}
	b = barrier{p: p, proxies: []string{proxy}, dial: d, way: way}
	if b.knock, err = p.KnockOf(proxy); err != nil {
		return b, false, err
	}
	if guestNode(p) == "" {
		return b, false, notShown("nova", "the server's node", p.Console.Server.Host.Why())
	}
	if b.firewall, err = p.Firewall(guestNode(p)); err != nil {
		return b, false, err
	}
	b.sources = []netip.Addr{b.knock.Source}
	b.ruling = p.RuleKnock(b.firewall, b.knock)
	if b.ruling.Verdict == netfilter.Undecided {
		return b, false, &runners.Error{Runner: "netfilter", Target: guestNode(p), Op: "a connection from " + proxy + " to " + p.DoorName(), Hint: b.ruling.Why}
	}
	return b, b.ruling.Verdict.Lost() && b.errno() == d.Errno, nil
}

// dialError is why a connection was not tried, where that is not told elsewhere.
func dialError(p *commands.Pass, err error) error {
	door, doorErr := p.Door()
	switch {
	case p.ConsoleOff(): // CONS-15
		return nil
	case doorErr != nil:
		return doorErr
	case commands.Loopback(door.Host): // CONS-05
		return nil
	}
	return err
}

// guessReject reports what an error that comes at once from a host that is there
// tells where the rules cannot be read.
func guessReject(p *commands.Pass, proxy string) {
	d, err := p.Dial(proxy)
	way, wayErr := p.Way(proxy)
	if err != nil || wayErr != nil || d.Errno != node.HostUnreachable || d.Took >= atOnce || !way.Answers || way.Failed() || way.Gateway.IsValid() {
		return
	}
	p.Report(commands.Finding{
		State: commands.Probable, Node: guestNode(p), Edge: p.ConsoleEdge(proxy),
		Summary:  fmt.Sprintf("From %s a connection to %s failed at once with %s, and %s is there: that is how a REJECT looks", proxy, p.DoorName(), d.Errno, guestNodeName(p)),
		Missing:  "the firewall rules of " + guestNodeName(p),
		Evidence: p.DialEvidence(proxy),
	})
}

// atOnce is how soon an answer comes that no time-out of the kernel's made.
const atOnce = time.Second

func (b barrier) ending() netfilter.Ending { return b.ruling.Decision.Ending }

// errno is what a connection fails with that ends here.
func (b barrier) errno() node.Errno {
	if b.ruling.Verdict == netfilter.Drop {
		return node.TimedOut
	}
	spec := ""
	if b.ending().Rule != nil { // its comment may say anything
		_, spec, _ = strings.Cut(b.ending().Rule.Spec[max(0, strings.LastIndex(b.ending().Rule.Spec, "reject")):], " ")
	}
	switch {
	case strings.Contains(spec, "host-"), strings.Contains(spec, "admin-prohibited"), strings.Contains(spec, "no-route"), strings.Contains(spec, "addr-unreachable"):
		return node.HostUnreachable
	case strings.Contains(spec, "net-unreachable"), strings.Contains(spec, "net-prohibited"):
		return node.NetUnreachable
	}
	return node.Refused // a reset, or a port that cannot be reached, which is the default
}

func (b barrier) cause() string {
	first := b.knock
	first.Port = firstVNC
	switch {
	case b.knock.Port != firstVNC && b.p.RuleKnock(b.firewall, first).Verdict == netfilter.Accept:
		return "CONS-02"
	case b.ruling.Verdict == netfilter.Drop:
		return "CONS-03"
	}
	return "CONS-01"
}

// place names the rule or policy.
func (b barrier) place() string {
	e := b.ending()
	chain := e.Chain
	if b.ruling.View.Binary == "nft" {
		chain = e.Family + " " + e.Table + " " + e.Chain
	}
	if e.Rule == nil {
		return fmt.Sprintf("the policy %s of chain %s (%s)", strings.ToUpper(e.Verdict.String()), chain, b.ruling.View.Binary)
	}
	return fmt.Sprintf("rule %d of %s (`%s`, %s)", e.Rule.Index, chain, e.Rule.Spec, b.ruling.View.Binary)
}

// finding weighs what the rule counted. One without a counter is told by the
// error of a neighbour alone, if that came at once.
func (b barrier) finding() commands.Finding {
	n := guestNode(b.p)
	f := commands.Finding{
		State: commands.Proven, Node: n, Edge: b.p.ConsoleEdge(b.proxies[0]), Fixes: b.fixes(), Advice: b.advice(),
		Summary: fmt.Sprintf("On %s, %s ends the connection of %s to %s (%s)", n, b.place(), strings.Join(b.proxies, " and "), b.p.DoorName(), b.dial),
	}
	for _, proxy := range b.proxies {
		f.Evidence = append(f.Evidence, b.p.DialEvidence(proxy)...)
	}
	f.Evidence = append(f.Evidence, b.listing())
	growth, err := b.p.KnockGrowth(b.firewall, b.ruling.View, b.ending())
	switch {
	case err == nil && growth > 0:
		f.Summary += fmt.Sprintf("; its counter grew by %d meanwhile", growth)
	case err == nil:
		f.State, f.Missing = commands.Probable, "agreement: its counter did not grow while the connection failed"
	case runners.KindOf(err) != runners.NotFound || b.dial.Errno == node.TimedOut || b.way.Gateway.IsValid() || !b.way.Answers && !b.way.Local || b.dial.Took >= atOnce:
		f.State, f.Missing = commands.Probable, "the rule's counter: "+err.Error()
	}
	return f
}

// listing is the walk through the table that decides.
func (b barrier) listing() commands.Evidence {
	var walk strings.Builder
	for _, line := range b.ruling.Decision.Explain() {
		if strings.Contains(line, b.ending().Table+" ") {
			walk.WriteString(line + "\n")
		}
	}
	return commands.Evidence{Source: guestNode(b.p) + ": " + b.ruling.View.Probe + ", table " + b.ending().Table + ", walked for this packet", Text: walk.String()}
}

// Ports of the guests of a node: one each, from the first up.
const (
	firstVNC = 5900
	lastVNC  = 6099
)

// vncRange is the range to open, of whatever port the guest has.
func vncRange(port int) string { return fmt.Sprintf("%d:%d", firstVNC, max(lastVNC, port)) }

// fixes suggests the range for the proxies, then the one port.
func (b barrier) fixes() []commands.Suggestion {
	args := b.accept(b.ruling)
	if args == nil {
		return nil
	}
	all, one := maps.Clone(args), maps.Clone(args)
	all["ports"], one["ports"] = vncRange(b.knock.Port), strconv.Itoa(b.knock.Port)
	beside, known := b.p.Console.Beside.Get()
	one["leaves"] = strings.Join(beside, ", ")
	if !known {
		one["leaves"] = "all other guests of the node"
	}
	return []commands.Suggestion{{Fix: fix.ConsoleAccept, Node: guestNode(b.p), Args: all}, {Fix: fix.ConsoleAccept, Node: guestNode(b.p), Args: one}}
}

// accept says where an ACCEPT goes above what decides; nil where none in INPUT of
// iptables would help.
func (b barrier) accept(r commands.Ruling) map[string]string {
	e := r.Decision.Ending
	if !r.View.IPTables() || e.Table != "filter" || e.Base == nil || e.Base.Name != "INPUT" {
		return nil
	}
	var sources []string
	for _, a := range b.sources {
		if !a.IsValid() {
			return nil
		}
		if !slices.Contains(sources, a.String()) {
			sources = append(sources, a.String())
		}
	}
	args := map[string]string{"binary": r.View.Binary, "chain": "INPUT", "sources": strings.Join(sources, ",")}
	if base := e.BaseRule(); base != nil {
		args["position"], args["before"] = strconv.Itoa(base.Index), base.Line()
	}
	return args
}

func (b barrier) advice() []string {
	n := guestNode(b.p)
	lines := b.elsewhere()
	if !b.ruling.View.IPTables() {
		for _, a := range b.sources {
			lines = append(lines, fmt.Sprintf("With firewalld, on %s: firewall-cmd --add-rich-rule='rule family=ipv4 source address=%s port port=%s protocol=tcp accept', and again with --permanent.", n, a, strings.ReplaceAll(vncRange(b.knock.Port), ":", "-")))
		}
		return lines
	}
	return append(lines, "A rule that is inserted is gone after a restart of the firewall: write it into "+strings.Join(node.RuleFiles, " or ")+" too, above the line that ends the connection.")
}

// elsewhere says which other compute nodes lack the rule.
func (b barrier) elsewhere() []string {
	shut, unseen := b.p.ShutElsewhere(b.knock)
	var lines []string
	for _, n := range slices.Sorted(maps.Keys(shut)) {
		args := b.accept(shut[n])
		if args == nil {
			lines = append(lines, n+" is shut too, by what iptables does not edit: open it there as well.")
			continue
		}
		args["ports"] = vncRange(b.knock.Port)
		for _, c := range fix.ConsoleCommands(args) {
			lines = append(lines, n+" lacks it too: "+c)
		}
	}
	if _, known := b.p.Console.Computes.Get(); !known {
		lines = append(lines, "Whether the other compute nodes lack it too is not known: "+b.p.Console.Computes.Why()+".")
	}
	if len(unseen) > 0 {
		lines = append(lines, "Not looked at, or not decided: "+strings.Join(unseen, ", ")+".")
	}
	return lines
}
