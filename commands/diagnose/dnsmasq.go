package diagnose

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"whybot/commands"
	"whybot/commands/capture"
	"whybot/commands/fix"
	"whybot/commands/node"
	"whybot/runners"
)

// DnsmasqDead is DHCP-09: no dnsmasq serves the network on a node that should.
var DnsmasqDead = register(&commands.Diagnosis{
	Name:  "DHCP-09",
	Title: "dnsmasq is not running",
	Doc: `Two witnesses: no process with the network's host file, and no socket on UDP 67
or 547 in its namespace. What Neutron says of the agent does not count: a dead agent
leaves its dnsmasq serving.`,
	Explains: []commands.Kind{commands.KindDHCP},
	Probes: func(s commands.Scope) []runners.Probe {
		if !s.Serves {
			return nil
		}
		return []runners.Probe{node.DnsmasqProbe(), node.ListenProbe(s.NetworkID, s.IPv6)}
	},
	Run: func(_ context.Context, p *commands.Pass) error {
		return eachBranch(p, dnsmasqRuns)
	},
})

// NoHostEntry is DHCP-10: dnsmasq does not know the guest, or knows it by
// another address.
var NoHostEntry = register(&commands.Diagnosis{
	Name:  "DHCP-10",
	Title: "dnsmasq has no entry for this port",
	Doc: `Neutron's dnsmasq answers only the MACs in its host file. The port's MAC is not
in it, or stands there with an address that is not the port's. Its log line ("no
address available") is the same for an empty range, so the file decides.`,
	Explains: []commands.Kind{commands.KindDHCP},
	Probes: func(s commands.Scope) []runners.Probe {
		if !s.Serves {
			return nil
		}
		return []runners.Probe{node.DnsmasqProbe(), node.HostsProbe(s.NetworkID)}
	},
	Run: func(_ context.Context, p *commands.Pass) error {
		return eachBranch(p, hostEntry)
	},
})

// eachBranch checks every dnsmasq of the path.
func eachBranch(p *commands.Pass, check func(*commands.Pass, commands.Branch) error) error {
	var errs []error
	for _, b := range p.Path.Branches {
		if b.Runs(commands.Dnsmasq) {
			errs = append(errs, check(p, b))
		}
	}
	return errors.Join(errs...)
}

// serverEdge is the last step of a request: from the DHCP port's tap to
// dnsmasq.
func serverEdge(b commands.Branch) commands.Edge {
	n := len(b.Hops)
	return commands.Edge{From: b.Hops[n-3], To: b.Hops[n-1], Direction: commands.Request}
}

// processes returns the dnsmasq processes of a node. ps exits 1 when it finds
// none.
func processes(p *commands.Pass, nodeName string) ([]node.Dnsmasq, error) {
	out, err := p.Output(nodeName, node.DnsmasqProbe().Name)
	if err != nil {
		return nil, err
	}
	if out.ExitCode > 1 || out.ExitCode == 1 && strings.TrimSpace(out.Stderr) != "" {
		return nil, &runners.Error{Kind: runners.Invalid, Runner: "ssh", Target: nodeName, Op: "ps", Hint: fmt.Sprintf("exit code %d", out.ExitCode)}
	}
	return node.ParseDnsmasq(out.Stdout), nil
}

func dnsmasqRuns(p *commands.Pass, b commands.Branch) error {
	all, err := processes(p, b.Node)
	if err != nil {
		return err
	}
	network := p.Port.Network.ID
	if d, ok := node.Serving(all, network, commands.NetnsDevice(b.Port.ID)); ok {
		if !d.Stopped {
			p.Good(b.Hops[len(b.Hops)-1], "dnsmasq serves the network", "ps: pid "+d.PID)
			return nil
		}
		p.Report(commands.Finding{
			State: commands.Proven, Node: b.Node, Branch: b.Node, Edge: serverEdge(b),
			Summary:  fmt.Sprintf("The dnsmasq of network %s on %s (pid %s) is stopped: it is there and answers nothing", p.Port.Network.Name, b.Node, d.PID),
			Evidence: []commands.Evidence{p.Evidence(b.Node, node.DnsmasqProbe(), processLines(all))},
			Advice:   []string{"Somebody or something sent it SIGSTOP, or it is a zombie. kill -CONT " + d.PID + " lets a stopped one go on; restarting neutron-dhcp-agent replaces it."},
		})
		return nil
	}
	listen := node.ListenProbe(network, slices.ContainsFunc(p.Path.Exchanges(), commands.Exchange.V6))
	out, err := p.Output(b.Node, listen.Name)
	switch {
	case err != nil:
		return err
	case out.ExitCode == 0 && strings.TrimSpace(out.Stdout) != "":
		return &runners.Error{
			Kind: runners.Invalid, Runner: "ssh", Target: b.Node, Op: "dnsmasq",
			Hint: "something listens on UDP " + ports(b) + " in the namespace, but no dnsmasq of this network is in the process list",
		}
	case out.ExitCode != 0 && !strings.Contains(out.Stderr, "No such file"):
		return &runners.Error{Kind: runners.Invalid, Runner: "ssh", Target: b.Node, Op: "ss in " + node.Namespace(network), Hint: fmt.Sprintf("exit code %d", out.ExitCode)}
	}
	seen := "nothing listens on UDP " + ports(b) + " in " + node.Namespace(network)
	if out.ExitCode != 0 {
		seen = "the namespace " + node.Namespace(network) + " does not exist"
	}
	p.Report(commands.Finding{
		State: commands.Proven, Node: b.Node, Branch: b.Node, Edge: serverEdge(b),
		Summary: fmt.Sprintf("No dnsmasq serves network %s on %s: no process, and %s", p.Port.Network.Name, b.Node, seen),
		Evidence: []commands.Evidence{
			p.Evidence(b.Node, node.DnsmasqProbe(), processLines(all)),
			p.Evidence(b.Node, listen, orNothing(out.Stdout+out.Stderr)),
		},
		Fixes:  []commands.Suggestion{{Fix: fix.ResyncDHCP, Node: b.Node, Args: map[string]string{"device": commands.NetnsDevice(b.Port.ID)}}},
		Advice: []string{"Find out why it died: dhcp-agent.log on " + b.Node + " says so, often as \"Unable to enable dhcp\". Restarting neutron-dhcp-agent is the wider cure."},
	})
	return nil
}

// ports are where a branch's dnsmasq listens.
func ports(b commands.Branch) string {
	if slices.Contains(b.Exchanges, capture.DHCPv6) {
		return "67 or 547"
	}
	return "67"
}

func hostEntry(p *commands.Pass, b commands.Branch) error {
	all, err := processes(p, b.Node)
	if err != nil {
		return err
	}
	network := p.Port.Network.ID
	d, running := node.Serving(all, network, commands.NetnsDevice(b.Port.ID))
	if !running {
		return nil // DHCP-09 says so
	}
	probe := node.HostsProbe(network)
	if d.HostsFile != "" && d.HostsFile != probe.Argv[1] {
		return &runners.Error{Kind: runners.NotFound, Runner: "ssh", Target: b.Node, Op: "host file", Hint: "dnsmasq reads " + d.HostsFile + ", which was not looked at"}
	}
	text, err := p.Text(b.Node, probe.Name)
	if err != nil {
		return err
	}
	for _, e := range b.Exchanges {
		if w, ok := entryFor(p, b, e, d); ok {
			judgeEntry(p, w, text)
		}
	}
	return nil
}

// knownAt reports whether a host file gives one of the addresses wanted.
func knownAt(have, want []netip.Addr) bool {
	return slices.ContainsFunc(have, func(a netip.Addr) bool { return slices.Contains(want, a) })
}

// A wanted entry is what a host file must have for one exchange.
type wantedEntry struct {
	branch    commands.Branch
	exchange  commands.Exchange
	dnsmasq   node.Dnsmasq
	subnets   []runners.Subnet
	addresses []netip.Addr
}

// entryFor returns what the host file must have for an exchange; nothing for
// DHCPv6 that gives no addresses.
func entryFor(p *commands.Pass, b commands.Branch, e commands.Exchange, d node.Dnsmasq) (wantedEntry, bool) {
	w := wantedEntry{branch: b, exchange: e, dnsmasq: d}
	if !e.V6() {
		w.addresses = addresses(p.Port, netip.Addr.Is4)
		return w, true
	}
	for _, s := range p.Port.Served(6) {
		if prefix, err := netip.ParsePrefix(s.CIDR); err == nil && s.AddressMode == commands.ModeStateful {
			w.subnets = append(w.subnets, s)
			w.addresses = append(w.addresses, addresses(p.Port, prefix.Contains)...)
		}
	}
	return w, len(w.addresses) > 0
}

// judgeEntry compares the host file, and of IPv6 the ranges too, with what the
// guest needs.
func judgeEntry(p *commands.Pass, w wantedEntry, text string) {
	b, mac := w.branch, p.Port.Port.MAC
	probe := node.HostsProbe(p.Port.Network.ID)
	f := commands.Finding{State: commands.Proven, Node: b.Node, Branch: b.Node, Edge: serverEdge(b), Exchange: w.exchange}
	if s, missing := withoutRange(w); missing {
		f.Summary = fmt.Sprintf("dnsmasq on %s was started without a range in %s, so it gives no address there", b.Node, s.CIDR)
		f.Evidence = []commands.Evidence{p.Evidence(b.Node, node.DnsmasqProbe(), w.dnsmasq.PID+" "+w.dnsmasq.Args+"\n")}
		f.Advice = []string{"Neutron leaves out a subnet that is larger than a /64: DHCPv6 is served in a /64 or smaller."}
		offerResync(p, &f, w)
		return
	}
	entries := node.HostEntries(text)
	have, known := entries[mac]
	have = slices.DeleteFunc(slices.Clone(have), func(a netip.Addr) bool { return a.Is4() == w.exchange.V6() })
	if knownAt(have, w.addresses) {
		p.Good(b.Server(), "dnsmasq knows "+mac, probe.Command())
		return
	}
	f.Summary = fmt.Sprintf("The host file of dnsmasq on %s has no entry for %s (it has %d others)", b.Node, mac, len(entries))
	quote := fmt.Sprintf("(no line with %s among %d entries)\n", mac, len(entries))
	if known {
		f.Summary = fmt.Sprintf("The host file of dnsmasq on %s gives %s the address %v; Neutron's port has %v", b.Node, mac, have, w.addresses)
		quote = linesWith(text, mac)
	}
	if known && len(have) == 0 {
		f.Summary = fmt.Sprintf("The host file of dnsmasq on %s gives %s no address for %s; Neutron's port has %v", b.Node, mac, w.exchange, w.addresses)
	}
	f.Evidence = []commands.Evidence{p.Evidence(b.Node, probe, quote)}
	f.Advice = []string{"Do not edit the host file by hand: the agent writes it. If entries go missing again, its RPC queue may be lost."}
	offerResync(p, &f, w)
}

// withoutRange returns a subnet that DHCPv6 should serve and has no range.
func withoutRange(w wantedEntry) (runners.Subnet, bool) {
	for _, s := range w.subnets {
		prefix, err := netip.ParsePrefix(s.CIDR)
		if _, ok := w.dnsmasq.RangeIn(prefix); err == nil && !ok {
			return s, true
		}
	}
	return runners.Subnet{}, false
}

// offerResync reports f with the fix that makes the agent write everything anew.
func offerResync(p *commands.Pass, f *commands.Finding, w wantedEntry) {
	args := map[string]string{"device": commands.NetnsDevice(w.branch.Port.ID)}
	if w.exchange.V6() && len(w.addresses) > 0 {
		args["address"] = w.addresses[0].String()
	}
	f.Fixes = []commands.Suggestion{{Fix: fix.ResyncDHCP, Node: w.branch.Node, Args: args}}
	p.Report(*f)
}

// addresses are the port's addresses that fit.
func addresses(a runners.Attachment, fits func(netip.Addr) bool) []netip.Addr {
	var out []netip.Addr
	for _, ip := range a.Port.FixedIPs {
		if addr, err := netip.ParseAddr(ip.Address); err == nil && fits(addr) {
			out = append(out, addr)
		}
	}
	return out
}

func processLines(all []node.Dnsmasq) string {
	var b strings.Builder
	for _, d := range all {
		fmt.Fprintf(&b, "%s %s\n", d.PID, d.Args)
	}
	return orNothing(b.String())
}

func orNothing(text string) string {
	if strings.TrimSpace(text) == "" {
		return "(nothing)\n"
	}
	return text
}

func linesWith(text, word string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.Contains(strings.ToLower(line), word) {
			b.WriteString(line)
		}
	}
	return b.String()
}
