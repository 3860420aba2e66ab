package diagnose

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"whybot/commands"
	"whybot/commands/fix"
	"whybot/commands/netfilter"
	"whybot/commands/node"
	"whybot/runners"
)

// An obstacle is a firewall that drops the guest's frames at one crossing.
type obstacle struct {
	p        *commands.Pass
	firewall *commands.Firewall
	crossing commands.Crossing
	ruling   commands.Ruling
	ending   netfilter.Ending
	certain  bool
}

// filtered reports the obstacles that ours accepts, and what lets frames pass.
// A rule that drops frames both ways is one finding for each exchange, on the
// edge that proves it, on that where frames are lost, or else on the first.
func filtered(p *commands.Pass, ours func(obstacle) bool) error {
	var errs []error
	found := map[string]commands.Finding{}
	for _, b := range p.Path.Branches {
		for _, c := range p.Crossings(b) {
			if p.GuestOff() && c.Bridge.Node == p.Path.Node {
				continue // neutron's accepts for it are taken away with its tap
			}
			o, err := look(p, c)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			if o == nil || !ours(*o) {
				continue
			}
			key := fmt.Sprintf("%s %s %s", c.Bridge.Node, c.Exchange, o.place())
			f, ok := o.finding()
			if known, again := found[key]; ok && (!again || known.State == commands.Probable && (f.State == commands.Proven || o.lostHere())) {
				found[key] = f
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(found)) {
		p.Report(found[key])
	}
	return errors.Join(errs...)
}

// look evaluates one crossing: an obstacle, nil when frames pass, or why
// neither can be said.
func look(p *commands.Pass, c commands.Crossing) (*obstacle, error) {
	f, err := p.Firewall(c.Bridge.Node)
	if err != nil {
		return nil, err
	}
	r := p.Rule(f, c)
	o := &obstacle{p: p, firewall: f, crossing: c, ruling: r, ending: r.Decision.Ending, certain: r.Verdict.Lost()}
	switch {
	case r.Verdict.Lost():
		return o, nil
	case r.Verdict == netfilter.Accept:
		why := r.Decision.Ending.String()
		if r.Bypassed != "" {
			why = r.Bypassed
		}
		p.Good(c.Bridge, fmt.Sprintf("the firewall lets the %s pass %s", frames(c), c.Bridge.Device), why)
		return nil, nil
	}
	// Undecided: only the counters can say that one of the possible endings is
	// the one that loses frames.
	for _, e := range r.Decision.Possible {
		if t, err := p.Tally(f, c, r.View, e); e.Verdict.Lost() && err == nil && t.Exact() && o.lostHere() {
			o.ending = e
			return o, nil
		}
	}
	return nil, &runners.Error{
		Runner: "netfilter", Target: c.Bridge.Node, Op: fmt.Sprintf("the %s through %s", frames(c), c.Bridge.Device), Hint: r.Why,
	}
}

// frames names what crosses, shortly where it is DHCP for IPv4.
func frames(c commands.Crossing) string {
	if c.Exchange.V6() {
		return commands.FrameName(c.Exchange, c.Direction)
	}
	return string(c.Direction)
}

// edge is where the frames are lost: behind the bridge, or before it when they
// are dropped on the way in.
func (o obstacle) edge() commands.Edge { return o.crossing.EdgeOf(o.ending) }

// rule is the rule that drops, nil for a policy.
func (o obstacle) rule() *netfilter.Rule { return o.ending.Rule }

// cause is the catalogue id of what drops, told by whose filter it is.
func (o obstacle) cause() string {
	switch {
	case o.neutrons():
		return "DHCP-43"
	case novas(o.ending.Chain):
		return "DHCP-41"
	case o.ruling.View.OtherBackend():
		return "DHCP-04"
	case !o.iptables():
		return "DHCP-03"
	case o.rule() != nil && o.knownPort():
		return "DHCP-01"
	}
	return "DHCP-02"
}

// neutrons reports whether a chain of neutron itself drops: in iptables those
// of security groups, in ebtables those against spoofing.
func (o obstacle) neutrons() bool {
	return slices.ContainsFunc([]string{"neutron-", "neutronMAC-", "neutronARP-"}, func(prefix string) bool {
		return strings.HasPrefix(o.ending.Chain, prefix)
	})
}

// iptables reports whether it is a rule or policy of iptables.
func (o obstacle) iptables() bool { return o.ruling.View.IPTables() }

// port is the bridge port that belongs to the network: the guest's tap or the
// DHCP server's.
func (o obstacle) port() commands.Hop {
	if o.crossing.In.Kind == commands.HopTap && o.crossing.Direction == commands.Reply {
		return o.crossing.In
	}
	if o.crossing.Out.Kind == commands.HopTap && o.crossing.Direction == commands.Request {
		return o.crossing.Out
	}
	if o.crossing.In.Kind == commands.HopTap {
		return o.crossing.In
	}
	return o.crossing.Out
}

// guests reports whether the port is the guest's, filtered by security groups.
func (o obstacle) guests() bool { return o.port() == o.p.Path.Guest[0] }

// knownPort reports whether the filter table has a rule of neutron's that
// names the port, in any direction: neutron's chains are there.
func (o obstacle) knownPort() bool {
	return slices.ContainsFunc(o.firewall.Views, func(v commands.View) bool {
		return v.IPv6() == o.crossing.Exchange.V6() && len(v.Rules.Find(func(r *netfilter.Rule) bool {
			return r.Table == "filter" && strings.HasPrefix(r.Chain, "neutron-") && slices.Contains(r.Words, o.port().Device)
		})) > 0
	})
}

// flow is where the packet stage saw the frames of this branch end.
func (o obstacle) flow() commands.Flow {
	if o.p.Packets == nil {
		return commands.Flow{State: commands.FlowBlind}
	}
	return o.p.Packets.Trace(o.p.Path, o.crossing.Branch, o.crossing.Exchange)
}

// lostHere reports whether frames end on the edge this firewall guards. The
// edge that was seen may span hops that were not observed.
func (o obstacle) lostHere() bool {
	f := o.flow()
	return f.State == commands.FlowLost && commands.Within(o.p.Path.Flow(o.crossing.Branch), o.edge(), f.Edge)
}

// finding says how sure it is, or that packets pass in spite of it.
func (o obstacle) finding() (commands.Finding, bool) {
	f := commands.Finding{
		State: commands.Probable, Node: o.crossing.Bridge.Node, Edge: o.edge(), Branch: o.branch(), Exchange: o.crossing.Exchange,
		Summary: fmt.Sprintf("On %s, %s drops the %s between %s and %s",
			o.crossing.Bridge.Node, o.place(), commands.FrameName(o.crossing.Exchange, o.crossing.Direction), o.edge().From.Device, o.edge().To.Device),
		Evidence: o.listing(), Fixes: o.fixes(), Advice: o.advice(),
	}
	flow := o.flow()
	switch {
	case flow.State == commands.FlowDelivered:
		return commands.Finding{}, false
	case flow.State == commands.FlowLost && !o.lostHere():
		f.Missing = "frames that get this far: they end before, at " + flow.Edge.To.String()
	case flow.State != commands.FlowLost:
		f.Missing = fmt.Sprintf("a %s packet of the guest that the rule is seen to drop", o.crossing.Exchange)
	default:
		o.weigh(&f, flow)
	}
	return f, true
}

// weigh compares the counter with the frames lost on this edge.
func (o obstacle) weigh(f *commands.Finding, flow commands.Flow) {
	f.Evidence = append(f.Evidence, o.p.Frames(flow.Edge.From), o.p.Frames(flow.Edge.To))
	t, err := o.p.Tally(o.firewall, o.crossing, o.ruling.View, o.ending)
	switch {
	case runners.KindOf(err) == runners.NotFound && o.certain:
		f.Missing = "a counter: it has none, so that it is this one rests on reading the rules alone (add `counter` to the rule and ask again)"
	case err != nil && o.certain:
		f.Missing = "the rule's counter: " + err.Error()
	case err != nil:
		f.Missing = "which rule it is"
	case !t.Covers():
		f.Missing = fmt.Sprintf("agreement: %d frames were lost but the counter grew by %d", flow.Lost, t.Growth)
	case t.Exact():
		f.State = commands.Proven
		f.Summary += fmt.Sprintf("; its counter grew by %d, exactly by the frames lost there", t.Growth)
	default:
		f.State = commands.Proven
		f.Summary += fmt.Sprintf("; its counter grew by %d, which covers the %d frames lost there (other traffic met it too)", t.Growth, flow.Lost)
	}
}

// branch is the branch it cuts: none in particular on the guest's own part.
func (o obstacle) branch() string {
	if o.guests() && !o.crossing.Branch.Local {
		return ""
	}
	return o.crossing.Branch.Node
}

// place names the rule or policy for a person.
func (o obstacle) place() string {
	if o.ending.Rule == nil {
		return fmt.Sprintf("the policy %s of chain %s (%s)", strings.ToUpper(o.ending.Verdict.String()), o.chain(), o.ruling.View.Binary)
	}
	return fmt.Sprintf("rule %d of %s (`%s`, %s)", o.ending.Rule.Index, o.chain(), o.ending.Rule.Spec, o.ruling.View.Binary)
}

// chain names the chain as its program does: iptables by the chain alone, nft
// by family and table as well.
func (o obstacle) chain() string {
	if o.ruling.View.Binary == "nft" {
		return o.ending.Family + " " + o.ending.Table + " " + o.ending.Chain
	}
	return o.ending.Chain
}

// listing is the walk through the table that decides.
func (o obstacle) listing() []commands.Evidence {
	var walk strings.Builder
	for _, line := range o.ruling.Decision.Explain() {
		if strings.Contains(line, o.ending.Table+" ") {
			walk.WriteString(line + "\n")
		}
	}
	return []commands.Evidence{{
		Source: o.crossing.Bridge.Node + ": " + o.ruling.View.Probe + ", table " + o.ending.Table + ", walked for this packet", Text: walk.String(),
	}}
}

// fixes suggests the narrow accept, then the deletion, then the file. What
// neutron or nova wrote is not edited.
func (o obstacle) fixes() []commands.Suggestion {
	switch {
	case o.neutrons(), novas(o.ending.Chain):
		return nil
	case o.ruling.View.Binary == "nft":
		return o.nftFixes()
	case !o.iptables(), o.ending.Table != "filter":
		return nil // an accept in FORWARD does not help against a drop elsewhere
	}
	if o.p.Peer != nil {
		return o.withoutAccept(nil) // an accept above neutron's chains would bypass the security groups
	}
	n := o.crossing.Bridge.Node
	accept := map[string]string{"binary": o.ruling.View.Binary, "chain": "FORWARD", "port": o.port().Device}
	if base := o.ending.BaseRule(); base != nil {
		accept["position"], accept["before"] = strconv.Itoa(base.Index), base.Line()
	}
	if o.guests() {
		accept["guest"] = "yes"
	}
	if o.crossing.Exchange.V6() {
		accept["port"], accept["exchange"] = o.alike()
	}
	for _, d := range o.dropped() {
		accept[string(d)] = "yes"
	}
	return o.withoutAccept([]commands.Suggestion{{Fix: fix.PhysdevAccept, Node: n, Args: accept}})
}

// withoutAccept adds to what is suggested the deletion of the rule, and the file
// that it comes from.
func (o obstacle) withoutAccept(out []commands.Suggestion) []commands.Suggestion {
	n := o.crossing.Bridge.Node
	if o.ending.Rule == nil || o.ending.Rule.Chain != "FORWARD" {
		return out
	}
	out = append(out, commands.Suggestion{
		Fix: fix.DeleteRule, Node: n,
		Args: map[string]string{"binary": o.ruling.View.Binary, "chain": "FORWARD", "spec": o.ending.Rule.Spec},
	})
	files := node.RuleFiles
	if o.ruling.View.IPv6() {
		files = node.RuleFilesIPv6
	}
	for _, file := range files {
		text, err := o.p.Text(n, node.RuleFileProbe(file).Name)
		if err == nil && strings.Contains(text, o.ending.Rule.Line()) {
			out = append(out, commands.Suggestion{Fix: fix.CommentRule, Node: n, Args: map[string]string{"file": file, "line": o.ending.Rule.Line()}})
		}
	}
	return out
}

// nftFixes suggests an accept in the chain that drops, where that chain is one
// of forwarding: elsewhere an accept would open more than the bridge.
func (o obstacle) nftFixes() []commands.Suggestion {
	if o.ending.Base == nil || o.ending.Base.Hook != netfilter.Forward {
		return nil
	}
	args := map[string]string{
		"family": o.ending.Family, "table": o.ending.Table, "chain": o.ending.Base.Name,
		"bridge": o.crossing.Bridge.Device, "port": o.port().Device,
	}
	if base := o.ending.BaseRule(); base != nil {
		args["handle"], args["before"] = strconv.FormatUint(base.Handle, 10), base.Spec
	}
	return []commands.Suggestion{{Fix: fix.NFTAccept, Node: o.crossing.Bridge.Node, Args: args}}
}

// dropped returns the directions that end at the same rule or policy: a fix
// for one of them alone would only uncover the other.
func (o obstacle) dropped() []commands.Direction {
	var out []commands.Direction
	for _, c := range o.p.Crossings(o.crossing.Branch) {
		if c.Bridge != o.crossing.Bridge || c.Exchange != o.crossing.Exchange {
			continue
		}
		r := o.p.Rule(o.firewall, c)
		if c.Direction == o.crossing.Direction || r.Verdict.Lost() && r.Decision.BaseRule() == o.ending.BaseRule() {
			out = append(out, c.Direction)
		}
	}
	return slices.SortedFunc(slices.Values(out), func(a, b commands.Direction) int { return cmp.Compare(a, b) })
}

// alike returns the bridge ports and the exchanges of IPv6 that the same rule
// drops in the same directions: a guest needs both the router and DHCPv6, and to
// let one of them pass does not cure it.
func (o obstacle) alike() (ports, exchanges string) {
	var devices, names []string
	for _, c := range o.crossings() {
		other := o
		other.crossing = c
		if !c.Exchange.V6() || !slices.Equal(other.dropped(), o.dropped()) {
			continue
		}
		devices, names = append(devices, other.port().Device), append(names, string(c.Exchange))
	}
	return joined(devices), joined(names)
}

// crossings are those of every branch over the same bridge, in the same
// direction, that the same rule ends: o's is one of them.
func (o obstacle) crossings() []commands.Crossing {
	all := []commands.Crossing{o.crossing}
	for _, b := range o.p.Path.Branches {
		for _, c := range o.p.Crossings(b) {
			if c.Bridge != o.crossing.Bridge || c.Direction != o.crossing.Direction || c.Exchange == o.crossing.Exchange {
				continue
			}
			if r := o.p.Rule(o.firewall, c); r.Verdict.Lost() && r.View.Binary == o.ruling.View.Binary && r.Decision.BaseRule() == o.ending.BaseRule() {
				all = append(all, c)
			}
		}
	}
	return all
}

// joined lists each word once, in order.
func joined(words []string) string {
	slices.Sort(words)
	return strings.Join(slices.Compact(words), ",")
}

func (o obstacle) advice() []string {
	n := o.crossing.Bridge.Node
	if o.neutrons() {
		return []string{
			"Do not edit neutron's chains: the agent writes them again. Restart neutron-linuxbridge-agent on " + n + " and ask again; if they come back the same, look at the port's security groups and allowed address pairs, and at which MAC and address the guest uses.",
		}
	}
	if novas(o.ending.Chain) {
		return []string{retireNova(n)}
	}
	if !o.iptables() {
		return []string{"Find out who writes this rule on " + n + " (firewalld, an nftables.conf, a script), and make the exception last there: a reload writes it anew."}
	}
	lines := []string{
		"Do not restart iptables on " + n + ": that throws neutron's own rules away. If it was restarted, restart neutron-linuxbridge-agent there.",
	}
	if !o.knownPort() {
		lines = append(lines, "Neutron's rules for "+o.port().Device+" are not there: restart neutron-linuxbridge-agent on "+n+" so that it writes them.")
	}
	return lines
}
