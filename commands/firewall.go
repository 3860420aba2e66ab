package commands

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"whybot/commands/netfilter"
	"whybot/commands/node"
	"whybot/runners"
)

// A View is one iptables back end's rules on a node.
type View struct {
	// Binary is the program that edits these rules: "iptables", or
	// "iptables-legacy" or "iptables-nft" where the plain name is the other.
	Binary string
	// Probe names the listing the rules come from.
	Probe string
	Rules *netfilter.Ruleset
}

// A Firewall is everything on a node that may drop a bridged frame.
type Firewall struct {
	Node  string
	Views []View
	// Hidden says why part of it is not known; nil when all of it is.
	Hidden error
	// Foreign are nft tables that are not iptables' own and may drop.
	Foreign []string
	// IPForward is net.ipv4.ip_forward.
	IPForward netfilter.Tri

	switches netfilter.BridgeNetfilter
	links    node.Links
}

// Firewall returns what filters bridged frames on nodeName. Its error says why
// nothing is known; what is known in part has Hidden set.
func (p *Pass) Firewall(nodeName string) (*Firewall, error) {
	if f, ok := p.firewalls[nodeName]; ok {
		return f, nil
	}
	links, err := p.Links(nodeName)
	if err != nil {
		return nil, err
	}
	f := &Firewall{Node: nodeName, links: links}
	if f.Views, f.Hidden, err = p.views(nodeName, p.readings[nodeName]); err != nil {
		return nil, err
	}
	if out, err := p.Output(nodeName, "bridge-nf"); err == nil {
		f.switches.Loaded = netfilter.Truth(out.ExitCode == 0)
		f.switches.Sysctl = flag(out)
	}
	if out, err := p.Output(nodeName, "ip-forward"); err == nil {
		f.IPForward = flag(out)
	}
	if text, err := p.text(nodeName, "nft-ruleset"); err == nil {
		// Which tables are iptables' own is said on stderr by newer versions.
		f.Foreign = node.ForeignTables(p.readings[nodeName].results["nft-ruleset"].Output.Stderr + "\n" + text)
	} else if runners.KindOf(err) != runners.MissingProgram {
		f.Hidden = err
	}
	p.firewalls[nodeName] = f
	return f, nil
}

// flag reads a file of /proc/sys that holds 0 or 1.
func flag(out runners.Output) netfilter.Tri {
	switch strings.TrimSpace(out.Stdout) {
	case "1":
		return netfilter.Yes
	case "0":
		return netfilter.No
	}
	return netfilter.Unknown
}

// views parses the listings of a reading. The plain iptables must be there;
// the other back end is read by its own name where it is installed.
func (p *Pass) views(nodeName string, r reading) (all []View, hidden, err error) {
	plain, err := listing(nodeName, r, "iptables-save")
	if err != nil {
		return nil, nil, err
	}
	all = []View{{Binary: "iptables", Probe: "iptables-save", Rules: plain}}
	other := "iptables-nft"
	if v, ok := p.readings[nodeName].results["iptables-version"]; ok && strings.Contains(v.Output.Stdout, "nf_tables") {
		other = "iptables-legacy"
	}
	rules, err := listing(nodeName, r, other+"-save")
	switch {
	case err == nil:
		all = append(all, View{Binary: other, Probe: other + "-save", Rules: rules})
	case runners.KindOf(err) != runners.MissingProgram:
		hidden = err
	case netfilter.OtherBackendWarning(r.results["iptables-save"].Output.Stderr):
		hidden = err // the other back end holds rules, and its program is not there to list them
	}
	return all, hidden, nil
}

func listing(nodeName string, r reading, probe string) (*netfilter.Ruleset, error) {
	if r.err != nil {
		return nil, r.err
	}
	res, ok := r.results[probe]
	if !ok {
		return nil, &runners.Error{Runner: "ssh", Target: nodeName, Op: probe, Hint: "the probe was not sent"}
	}
	if res.Err != nil {
		return nil, res.Err
	}
	broken := &runners.Error{Kind: runners.Invalid, Runner: "ssh", Target: nodeName, Op: probe}
	if res.Output.Truncated || res.Output.ExitCode != 0 {
		broken.Hint = "the listing is incomplete"
		return nil, broken
	}
	rules, err := netfilter.Parse(res.Output.Stdout)
	if err != nil {
		broken.Hint, broken.Err = err.Error(), err
		return nil, broken
	}
	return rules, nil
}

// A Crossing is a guest's frame going through one bridge.
type Crossing struct {
	Branch    Branch
	Exchange  Exchange
	Direction Direction
	// In, Bridge and Out are the hops in the frame's own direction.
	In, Bridge, Out Hop
}

// Edge is where a frame that the bridge's node filters out is lost: it is
// seen on the bridge and not behind it.
func (c Crossing) Edge() Edge { return Edge{From: c.Bridge, To: c.Out, Direction: c.Direction} }

// Crossings returns every bridge that the frames of branch b go through, of
// each exchange the requests first.
func (p *Pass) Crossings(b Branch) []Crossing {
	var all []Crossing
	for _, e := range b.Exchanges {
		all = append(all, p.crossings(b, e)...)
	}
	return all
}

func (p *Pass) crossings(b Branch, e Exchange) []Crossing {
	flow := p.Path.Flow(b)
	var requests, replies []Crossing
	for i := 1; i+1 < len(flow); i++ {
		if flow[i].Kind != HopBridge || flow[i-1].Node != flow[i].Node || flow[i+1].Node != flow[i].Node {
			continue
		}
		requests = append(requests, Crossing{Branch: b, Exchange: e, Direction: Request, In: flow[i-1], Bridge: flow[i], Out: flow[i+1]})
		replies = append([]Crossing{{Branch: b, Exchange: e, Direction: Reply, In: flow[i+1], Bridge: flow[i], Out: flow[i-1]}}, replies...)
	}
	return append(requests, replies...)
}

// EdgeOf is where a frame that ends at e is lost: a chain of PREROUTING sees it
// before the bridge does.
func (c Crossing) EdgeOf(e netfilter.Ending) Edge {
	if beforeBridge(e) {
		return Edge{From: c.In, To: c.Bridge, Direction: c.Direction}
	}
	return c.Edge()
}

func beforeBridge(e netfilter.Ending) bool {
	chain := e.Chain
	if base := e.BaseRule(); base != nil {
		chain = base.Chain
	}
	return chain == string(netfilter.Prerouting)
}

// A Ruling is what a node's firewall does to a frame at a crossing.
type Ruling struct {
	// Verdict is Undecided when something that may drop it is not known.
	Verdict netfilter.Verdict
	// View and Decision are the back end that decides; with Bypassed set, or
	// when every view accepts, the first one.
	View     View
	Decision netfilter.Decision
	// Bypassed says why iptables does not see the frame; empty when it does.
	Bypassed string
	// Why says what is not known when Undecided.
	Why string
}

// Rule says what the firewall does to the guest's frame at c.
func (p *Pass) Rule(f *Firewall, c Crossing) Ruling {
	switches := f.switches
	if l, ok := f.links[c.Bridge.Device]; ok && l.NFCallIPTables != nil {
		switches.Bridge = netfilter.Truth(*l.NFCallIPTables)
	}
	calls, why := switches.Calls()
	if calls == netfilter.No {
		return f.others(Ruling{Verdict: netfilter.Accept, View: f.Views[0], Bypassed: why})
	}
	r := Ruling{Verdict: netfilter.Accept, View: f.Views[0]}
	for i, v := range f.Views {
		d := netfilter.Traverse(v.Rules, p.packet(c, c.Out.Device), netfilter.Prerouting, netfilter.Forward, netfilter.Postrouting)
		if i == 0 || d.Verdict.Lost() || (d.Verdict == netfilter.Undecided && r.Verdict == netfilter.Accept) {
			r.View, r.Decision, r.Verdict = v, d, d.Verdict
		}
		if d.Verdict.Lost() {
			break
		}
	}
	switch {
	case r.Verdict != netfilter.Accept && calls == netfilter.Unknown:
		r.Verdict, r.Why = netfilter.Undecided, why
	case r.Verdict == netfilter.Undecided && len(r.Decision.Blockers) > 0:
		r.Why = r.Decision.Blockers[0].String()
	}
	return f.others(r)
}

// others makes an acceptance undecided where something was not evaluated.
func (f *Firewall) others(r Ruling) Ruling {
	if r.Verdict != netfilter.Accept {
		return r
	}
	switch {
	case f.Hidden != nil:
		r.Verdict, r.Why = netfilter.Undecided, publicWhy(f.Hidden)
	case len(f.Foreign) > 0:
		r.Verdict, r.Why = netfilter.Undecided, "nft table "+strings.Join(f.Foreign, ", ")+" is not evaluated by this version"
	}
	return r
}

// packet is the guest's DHCP frame as iptables sees it leaving by the bridge
// port out.
func (p *Pass) packet(c Crossing, out string) netfilter.Packet {
	guest, _ := net.ParseMAC(p.Port.Port.MAC)
	if c.Direction == Request {
		return netfilter.DHCPRequest(guest, c.In.Device, out, c.Bridge.Device)
	}
	server, _ := net.ParseMAC(c.Branch.Port.MAC)
	return netfilter.DHCPReply(firstIPv4(c.Branch.Port), firstIPv4(p.Port.Port), server, guest, c.In.Device, out, c.Bridge.Device)
}

func firstIPv4(port runners.Port) netip.Addr {
	for _, ip := range port.FixedIPs {
		if a, err := netip.ParseAddr(ip.Address); err == nil && a.Is4() {
			return a
		}
	}
	return netip.Addr{}
}

// A Tally compares a rule's counter with the frames lost while it was watched.
type Tally struct {
	// Growth is how much the counter grew between the two readings.
	Growth uint64
	// Least and Most bound the times the guest's lost frames met the rule in
	// that time: frames near the ends of the window may lie on either side,
	// and a broadcast meets it once for each port it leaves by.
	Least, Most uint64
}

// Exact reports whether the rule counted the lost frames and nothing else.
func (t Tally) Exact() bool {
	return t.Growth > 0 && t.Growth >= t.Least && t.Growth <= t.Most
}

// Covers reports whether the rule counted at least the lost frames.
func (t Tally) Covers() bool { return t.Growth > 0 && t.Growth >= t.Least }

// Tally returns what the deciding rule or policy of e counted in the packet
// stage, or why that is not known.
func (p *Pass) Tally(f *Firewall, c Crossing, v View, e netfilter.Ending) (Tally, error) {
	if p.Packets == nil {
		return Tally{}, &runners.Error{Runner: "ssh", Target: f.Node, Op: v.Probe, Hint: "counters were not watched"}
	}
	before, after := p.Packets.Before[f.Node], p.Packets.After[f.Node]
	old, err := listing(f.Node, before, v.Probe)
	if err != nil {
		return Tally{}, err
	}
	now, err := listing(f.Node, after, v.Probe)
	if err != nil {
		return Tally{}, err
	}
	growth, err := now.Sub(old)
	if err != nil && len(growth) == 0 {
		return Tally{}, &runners.Error{Kind: runners.Invalid, Runner: "ssh", Target: f.Node, Op: v.Probe, Hint: err.Error(), Err: err}
	}
	t := Tally{}
	found := false
	for _, g := range growth {
		if counts(g, e) {
			t.Growth, found = g.Packets, true
		}
	}
	if !found {
		return Tally{}, &runners.Error{Kind: runners.Invalid, Runner: "ssh", Target: f.Node, Op: v.Probe, Hint: "the rule is not in both listings"}
	}
	at, meets := c.Bridge, p.meets(f, c, v, e)
	if beforeBridge(e) {
		at, meets = c.In, 1 // met once, before it is copied
	}
	t.Least = meets * p.Packets.entered(c, at, clock(before, "clock-end"), clock(after, "clock-start"))
	t.Most = meets * p.Packets.entered(c, at, clock(before, "clock-start"), clock(after, "clock-end"))
	return t, nil
}

// counts reports whether g is the growth of the rule or policy that ends e.
func counts(g netfilter.Growth, e netfilter.Ending) bool {
	if e.Rule != nil {
		return g.Rule != nil && g.Rule.Table == e.Rule.Table && g.Rule.Chain == e.Rule.Chain && g.Rule.Index == e.Rule.Index && g.Rule.Spec == e.Rule.Spec
	}
	return e.ByPolicy && g.Chain != nil && g.Chain.Table == e.Table && g.Chain.Name == e.Chain
}

// meets counts how often one frame at c comes to the end e: once, or for a
// flooded broadcast once for each port of the bridge whose copy ends there.
func (p *Pass) meets(f *Firewall, c Crossing, v View, e netfilter.Ending) uint64 {
	if c.Direction == Reply {
		return 1
	}
	var n uint64
	for _, port := range f.links.Members(c.Bridge.Device) {
		if port == c.In.Device || !f.links[port].Up {
			continue
		}
		d := netfilter.Traverse(v.Rules, p.packet(c, port), netfilter.Prerouting, netfilter.Forward, netfilter.Postrouting)
		if d.Rule == e.Rule && d.Table == e.Table && d.Chain == e.Chain && d.Verdict == e.Verdict {
			n++
		}
	}
	return max(n, 1)
}

// entered counts the frames of c that came to the hop at, or to the one before
// it when that is not observed, between two times of its node's clock. A
// missing time bounds nothing.
func (ps *Packets) entered(c Crossing, at Hop, from, to time.Time) uint64 {
	if s, ok := ps.Seen[at]; !ok || s.Err != nil {
		at = c.In
	}
	var n uint64
	for _, f := range ps.Seen[at].all {
		switch {
		case !from.IsZero() && f.At.Before(from), !to.IsZero() && f.At.After(to):
		case f.Exchange != c.Exchange, f.Reply != (c.Direction == Reply):
		case f.Reply && !fromServer(f, c.Branch), !f.Reply && !toAll(f):
		default:
			n++
		}
	}
	return n
}

// clock reads `date +%s.%N` of a reading; the zero time when there is none.
func clock(r reading, probe string) time.Time {
	res, ok := r.results[probe]
	if !ok || res.Err != nil {
		return time.Time{}
	}
	sec, frac, _ := strings.Cut(strings.TrimSpace(res.Output.Stdout), ".")
	s, err := strconv.ParseInt(sec, 10, 64)
	if err != nil {
		return time.Time{}
	}
	ns, err := strconv.ParseInt((frac + "000000000")[:9], 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(s, ns)
}

// counterProbes reads what must be compared over the packet stage: the
// firewalls' counters between two looks at the clock, and the links' counters.
func (e *Engine) counterProbes(Scope) []runners.Probe {
	probes := []runners.Probe{{Name: "clock-start", Argv: []string{"date", "+%s.%N"}}}
	for _, p := range node.FirewallProbes() {
		if strings.HasSuffix(p.Name, "-save") {
			probes = append(probes, p)
		}
	}
	return append(probes, node.LinksProbe(), runners.Probe{Name: "clock-end", Argv: []string{"date", "+%s.%N"}})
}

// Frames returns the frames counted at h as evidence.
func (p *Pass) Frames(h Hop) Evidence {
	return Evidence{Source: h.Node + ": tcpdump on " + h.Device, Text: p.Packets.Lines(h, 6)}
}
