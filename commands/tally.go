package commands

import (
	"strconv"
	"strings"
	"time"

	"whybot/commands/capture"
	"whybot/commands/netfilter"
	"whybot/commands/node"
	"whybot/runners"
)

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
	t := Tally{}
	var err error
	if t.Growth, err = growthOf(f.Node, before, after, v, e); err != nil {
		return Tally{}, err
	}
	at, meets := c.Bridge, p.meets(f, c, e)
	if beforeBridge(e) {
		at, meets = c.In, 1 // met once, before it is copied
	}
	least := meets
	if c.Exchange.V6() {
		least = 1 // a bridge may know which ports want a multicast
	}
	t.Least = least * p.Packets.entered(c, at, clock(before, "clock-end"), clock(after, "clock-start"))
	t.Most = meets * p.Packets.entered(c, at, clock(before, "clock-start"), clock(after, "clock-end"))
	return t, nil
}

// Grown returns what a rule counted in the packet stage, or why that is not
// known.
func (p *Pass) Grown(f *Firewall, v View, r *netfilter.Rule) (uint64, error) {
	if p.Packets == nil {
		return 0, &runners.Error{Runner: "ssh", Target: f.Node, Op: v.Probe, Hint: "counters were not watched"}
	}
	return growthOf(f.Node, p.Packets.Before[f.Node], p.Packets.After[f.Node], v, netfilter.Ending{Rule: r})
}

// growthOf is what the deciding rule or policy of e counted between two
// readings of a node.
func growthOf(nodeName string, before, after reading, v View, e netfilter.Ending) (uint64, error) {
	if e.Rule != nil && !e.Rule.Counted || e.Rule == nil && !e.Base.Counted {
		return 0, &runners.Error{Kind: runners.NotFound, Runner: "ssh", Target: nodeName, Op: v.Probe, Hint: "it has no counter"}
	}
	old, err := listing(nodeName, before, v.Probe)
	if err != nil {
		return 0, err
	}
	now, err := listing(nodeName, after, v.Probe)
	if err != nil {
		return 0, err
	}
	growth, err := now.Sub(old)
	if err != nil && len(growth) == 0 {
		return 0, &runners.Error{Kind: runners.Invalid, Runner: "ssh", Target: nodeName, Op: v.Probe, Hint: err.Error(), Err: err}
	}
	for _, g := range growth {
		if counts(g, e) {
			return g.Packets, nil
		}
	}
	return 0, &runners.Error{Kind: runners.Invalid, Runner: "ssh", Target: nodeName, Op: v.Probe, Hint: "the rule is not in both listings"}
}

// counts reports whether g is the growth of the rule or policy that ends e.
func counts(g netfilter.Growth, e netfilter.Ending) bool {
	if e.Rule != nil {
		r := g.Rule
		return r != nil && r.Family == e.Rule.Family && r.Table == e.Rule.Table && r.Chain == e.Rule.Chain && r.Index == e.Rule.Index && r.Spec == e.Rule.Spec
	}
	return e.ByPolicy && g.Chain != nil && g.Chain.Family == e.Family && g.Chain.Table == e.Table && g.Chain.Name == e.Chain
}

// meets counts how often one frame at c comes to the end e: once, or for a
// flooded broadcast once for each port of the bridge whose copy ends there.
func (p *Pass) meets(f *Firewall, c Crossing, e netfilter.Ending) uint64 {
	if c.Exchange == capture.Echo || c.Direction == Reply && c.Exchange != capture.RA { // an advertisement is for all
		return 1
	}
	var n uint64
	calls, _ := f.calls(c)
	for _, port := range f.links.Members(c.Bridge.Device) {
		if port == c.In.Device || !f.links[port].Up {
			continue
		}
		for _, d := range f.bridged(p.packet(c, port), calls != netfilter.No) {
			if d.Rule == e.Rule && d.Base == e.Base && d.Chain == e.Chain && d.Verdict == e.Verdict {
				n++
			}
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
func (e *Engine) counterProbes(s Scope) []runners.Probe {
	probes := []runners.Probe{{Name: "clock-start", Argv: []string{"date", "+%s.%N"}}}
	firewall := node.FirewallProbes()
	if s.IPv6 {
		firewall = append(firewall, node.FirewallProbesIPv6()...)
	}
	for _, p := range firewall {
		if strings.HasSuffix(p.Name, "-save") || p.Name == nftProbe {
			probes = append(probes, p)
		}
	}
	return append(probes, node.LinksProbe(), runners.Probe{Name: "clock-end", Argv: []string{"date", "+%s.%N"}})
}

// Frames returns the frames counted at h as evidence.
func (p *Pass) Frames(h Hop) Evidence {
	return Evidence{Source: h.Node + ": tcpdump on " + h.Device, Text: p.Packets.Lines(h, 6)}
}
