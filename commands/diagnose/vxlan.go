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

	"whybot/commands"
	"whybot/commands/fix"
	"whybot/commands/netfilter"
	"whybot/commands/node"
	"whybot/runners"
)

// TunnelBlocked is DHCP-30: the packets that carry the guest's frames between
// the nodes are dropped: by a node's own firewall, by the network between them,
// or because the nodes disagree on the port.
var TunnelBlocked = register(&commands.Diagnosis{
	Name:  "DHCP-30",
	Title: "The tunnel between the nodes is blocked",
	Doc: `The packets are seen on the NIC of the receiving node and not in its VXLAN
device, or leave one NIC and do not arrive at the other. A rule of INPUT is the
cause when the evaluator says that it decides the packet, the frames end on
exactly that step and its counter grew by them. The same rule is harmless behind
one that accepts. What lies between the NICs is never more than probable.`,
	Explains: alongTheWay,
	Probes:   tunnelOnly(firewallProbes),
	Run: func(_ context.Context, p *commands.Pass) error {
		var errs []error
		found := map[string]commands.Finding{}
		for _, b := range p.Path.Branches {
			for _, s := range p.TunnelSteps(b) {
				f, ok, err := blockedAt(p, s)
				errs = append(errs, err)
				key := b.Node + " " + f.Node + " " + f.Summary
				if known, again := found[key]; ok && (!again || known.State == commands.Probable && f.State == commands.Proven) {
					found[key] = f
				}
			}
			underlay(p, b, found)
		}
		for _, key := range slices.Sorted(maps.Keys(found)) {
			p.Report(found[key])
		}
		return errors.Join(errs...)
	},
})

// PeerUnknown is DHCP-31: a VXLAN device does not send what has no known place
// to the peer.
var PeerUnknown = register(&commands.Diagnosis{
	Name:  "DHCP-31",
	Title: "The VXLAN device does not know its peer",
	Doc: `With l2_population the server tells every agent where to flood; an entry that
is missing for the peer's address is the cause when the frames are in the device
and not on the NIC below it. Entries of other peers, stale ones too, do no harm.
Without l2_population a multicast group takes their place: both ends must have
the same.`,
	Explains: alongTheWay,
	Probes: tunnelOnly(func(s commands.Scope) []runners.Probe {
		return append(linkProbes(s), node.FDBProbe(s.VXLAN))
	}),
	Run: func(_ context.Context, p *commands.Pass) error {
		var errs []error
		for _, b := range p.Path.Branches {
			for _, s := range p.TunnelSteps(b) {
				if s.Leaves() {
					errs = append(errs, peerKnown(p, s))
				} else {
					sameGroup(p, s)
				}
			}
		}
		return errors.Join(errs...)
	},
})

// tunnelOnly is what is read where the network is a VXLAN.
func tunnelOnly(probes func(commands.Scope) []runners.Probe) func(commands.Scope) []runners.Probe {
	return func(s commands.Scope) []runners.Probe {
		if s.VXLAN == "" {
			return nil
		}
		return probes(s)
	}
}

// stepFlow is where the packet stage saw the frames of a step end.
func stepFlow(p *commands.Pass, b commands.Branch, e commands.Exchange) commands.Flow {
	if p.Packets == nil {
		return commands.Flow{State: commands.FlowBlind}
	}
	return p.Packets.Trace(p.Path, b, e)
}

// endsAt reports whether the frames are known to end on a step.
func endsAt(p *commands.Pass, b commands.Branch, step commands.Edge, flow commands.Flow) bool {
	return flow.State == commands.FlowLost && commands.Within(p.Path.Flow(b), step, flow.Edge)
}

// unproven says what is missing where frames do not end on the step.
func unproven(flow commands.Flow) string {
	if flow.State == commands.FlowLost {
		return "frames that get this far: they end before, at " + flow.Edge.To.String()
	}
	return "a packet of the guest that is seen to end there"
}

// blockedAt looks at what a node does to the packets of one step: its firewall,
// and whether it listens where its peer sends to.
func blockedAt(p *commands.Pass, s commands.TunnelStep) (commands.Finding, bool, error) {
	flow := stepFlow(p, s.Branch, s.Exchange)
	if flow.State == commands.FlowDelivered {
		return commands.Finding{}, false, nil
	}
	if f, ok := otherPort(p, s, flow); ok {
		return f, true, nil
	}
	f, err := p.Firewall(s.From.Node)
	if err != nil {
		return commands.Finding{}, false, err
	}
	r := p.RuleTunnel(f, s)
	e := r.Decision.Ending
	switch r.Verdict {
	case netfilter.Accept:
		p.Good(s.NIC(), fmt.Sprintf("the firewall lets the tunnel's packets (%s) pass %s", s.Direction, s.NIC().Device), e.String())
		return commands.Finding{}, false, nil
	case netfilter.Undecided:
		return commands.Finding{}, false, &runners.Error{
			Runner: "netfilter", Target: s.From.Node, Op: fmt.Sprintf("the tunnel's packets (%s) at %s", s.Direction, s.NIC().Device), Hint: r.Why,
		}
	default:
	}
	block := tunnelBlock{p: p, firewall: f, step: s, ruling: r, flow: flow}
	return block.finding(), true, nil
}

// A tunnelBlock is a firewall that drops the packets of one step.
type tunnelBlock struct {
	p        *commands.Pass
	firewall *commands.Firewall
	step     commands.TunnelStep
	ruling   commands.Ruling
	flow     commands.Flow
}

func (t tunnelBlock) finding() commands.Finding {
	s, e := t.step, t.ruling.Decision.Ending
	f := commands.Finding{
		State: commands.Probable, Node: s.From.Node, Branch: s.Branch.Node, Edge: s.Edge(),
		Summary: fmt.Sprintf("On %s, %s drops the packets of the VXLAN tunnel (%s) between %s and %s",
			s.From.Node, place(e, t.ruling.View), s.Direction, s.From.Device, s.To.Device),
		Evidence: []commands.Evidence{walked(s.From.Node, t.ruling)},
		Fixes:    t.fixes(),
		Advice:   []string{"Let UDP " + t.port() + " from the other nodes in for good in the firewall's own configuration: the rule is lost when it is restarted."},
	}
	if !endsAt(t.p, s.Branch, s.Edge(), t.flow) {
		f.Missing = unproven(t.flow)
		return f
	}
	f.Evidence = append(f.Evidence, t.p.Frames(s.From), t.p.Frames(s.To))
	n, err := t.p.TallyTunnel(t.firewall, s, t.ruling.View, e)
	switch {
	case err != nil:
		f.Missing = "the rule's counter: " + err.Error()
	case !n.Covers():
		f.Missing = fmt.Sprintf("agreement: %d frames were lost but the counter grew by %d", t.flow.Lost, n.Growth)
	default:
		f.State = commands.Proven
		f.Summary += fmt.Sprintf("; its counter grew by %d, which covers the %d frames lost there", n.Growth, t.flow.Lost)
	}
	return f
}

// port is the port the packets go to; empty when it is not known.
func (t tunnelBlock) port() string {
	sender, _ := t.p.TunnelEnds(t.step)
	if x := t.p.Path.Tunnels[sender].VXLAN; x != nil && x.Port != 0 {
		return strconv.Itoa(x.Port)
	}
	return ""
}

// fixes suggests the narrow accept above what decides, where iptables can make
// it.
func (t tunnelBlock) fixes() []commands.Suggestion {
	e := t.ruling.Decision.Ending
	sender, receiver := t.p.TunnelEnds(t.step)
	ends := t.p.Path.Tunnels[sender].Ends
	chain := "INPUT"
	if t.step.Leaves() {
		chain, ends = "OUTPUT", t.p.Path.Tunnels[receiver].Ends
	}
	if !strings.HasPrefix(t.ruling.View.Binary, "iptables") || e.Table != "filter" || e.Base == nil || e.Base.Name != chain || len(ends) == 0 || t.port() == "" || t.step.Leaves() && t.ruling.Decision.Packet.Dst.IsMulticast() {
		return nil
	}
	args := map[string]string{"binary": t.ruling.View.Binary, "chain": chain, "peer": ends[0].String(), "port": t.port()}
	if base := e.BaseRule(); base != nil {
		args["position"], args["before"] = strconv.Itoa(base.Index), base.Line()
	}
	return []commands.Suggestion{{Fix: fix.TunnelAccept, Node: t.step.From.Node, Args: args}}
}

// place names the rule or policy of an ending for a person.
func place(e netfilter.Ending, v commands.View) string {
	chain := e.Chain
	if v.Binary == "nft" {
		chain = e.Family + " " + e.Table + " " + e.Chain
	}
	if e.Rule == nil {
		return fmt.Sprintf("the policy %s of chain %s (%s)", strings.ToUpper(e.Verdict.String()), chain, v.Binary)
	}
	return fmt.Sprintf("rule %d of %s (`%s`, %s)", e.Rule.Index, chain, e.Rule.Spec, v.Binary)
}

// walked is the walk through the table that decides.
func walked(nodeName string, r commands.Ruling) commands.Evidence {
	var walk strings.Builder
	for _, line := range r.Decision.Explain() {
		if strings.Contains(line, r.Decision.Table+" ") {
			walk.WriteString(line + "\n")
		}
	}
	return commands.Evidence{Source: nodeName + ": " + r.View.Probe + ", table " + r.Decision.Table + ", walked for the tunnel's packet", Text: walk.String()}
}

// otherPort finds a node that listens on another port than its peer sends to.
func otherPort(p *commands.Pass, s commands.TunnelStep, flow commands.Flow) (commands.Finding, bool) {
	sender, receiver := p.TunnelEnds(s)
	out, in := p.Path.Tunnels[sender].VXLAN, p.Path.Tunnels[receiver].VXLAN
	if s.Leaves() || out == nil || in == nil || out.Port == 0 || in.Port == 0 || out.Port == in.Port {
		return commands.Finding{}, false
	}
	f := commands.Finding{
		State: commands.Probable, Node: receiver, Branch: s.Branch.Node, Edge: s.Edge(),
		Summary: fmt.Sprintf("%s sends to UDP %d on %s and listens on UDP %d on %s", s.To.Device, out.Port, sender, in.Port, receiver),
		Evidence: []commands.Evidence{
			linkEvidence(p, sender, p.Path.Tunnels[sender].Device), linkEvidence(p, receiver, p.Path.Tunnels[receiver].Device),
		},
		Advice: []string{"Make udp_dstport the same for all linuxbridge agents; the agent makes the device anew when it is deleted and the agent restarted."},
	}
	if f.State = commands.Proven; !endsAt(p, s.Branch, s.Edge(), flow) {
		f.State, f.Missing = commands.Probable, unproven(flow)
	}
	return f, true
}

// underlay adds a finding for frames that leave one NIC and do not arrive at
// the other: what is between the nodes is not whybot's to see.
func underlay(p *commands.Pass, b commands.Branch, found map[string]commands.Finding) {
	for _, e := range b.Exchanges {
		flow := stepFlow(p, b, e)
		from, to := flow.Edge.From, flow.Edge.To
		if flow.State != commands.FlowLost || p.Path.Tunnels == nil || from.Node == to.Node || from.Kind != commands.HopNIC || to.Kind != commands.HopNIC ||
			flow.Edge.Direction == commands.Request && otherGroup(p.Path.Tunnels[from.Node].VXLAN, p.Path.Tunnels[to.Node].VXLAN) {
			continue
		}
		f := commands.Finding{
			State: commands.Probable, Node: from.Node, Branch: b.Node, Exchange: e, Edge: flow.Edge,
			Summary: fmt.Sprintf("%d packets of the VXLAN tunnel (%s) left %s for %s and none arrived at %s: the network between the nodes drops them",
				flow.Lost, flow.Edge.Direction, from, p.Path.Tunnels[to.Node].Addresses(), to),
			Missing:  "what lies between the two NICs: a firewall or switch that does not let UDP of the tunnel pass, its MTU, or NSX using the same port",
			Evidence: []commands.Evidence{p.Frames(from), p.Frames(to)},
		}
		if x := p.Path.Tunnels[from.Node].VXLAN; x != nil && x.Group.IsMulticast() && flow.Edge.Direction == commands.Request {
			f.Missing = fmt.Sprintf("whether the switches between the two NICs carry the multicast group %s: those that snoop IGMP need a querier, routers need multicast routing", x.Group)
		}
		found[b.Node+" "+from.Node+" underlay "+string(e)] = f
	}
}

// peerKnown looks at whether a device sends what has no known place to the
// peer.
func peerKnown(p *commands.Pass, s commands.TunnelStep) error {
	t, peer := p.Path.Tunnels[s.From.Node], p.Path.Tunnels[s.Peer]
	flow := stepFlow(p, s.Branch, s.Exchange)
	if t.VXLAN == nil || flow.State == commands.FlowDelivered {
		return nil // a device that is missing is said by the diagnosis that owns it
	}
	probe := node.FDBProbe(t.Device)
	text, err := p.Text(s.From.Node, probe.Name)
	if err != nil {
		return err
	}
	places, err := node.ParsePlaces(text)
	if err != nil {
		return &runners.Error{Kind: runners.Invalid, Runner: "ssh", Target: s.From.Node, Op: probe.Name, Err: err}
	}
	if len(peer.Ends) == 0 {
		return &runners.Error{Kind: runners.NotFound, Runner: "openstack", Target: s.Peer, Op: "the tunnel's address", Hint: "the agent tells Neutron no tunneling_ip and the node does not show one"}
	}
	flood := floods(t, places)
	if slices.ContainsFunc(flood, func(a netip.Addr) bool { return a.IsMulticast() || slices.Contains(peer.Ends, a) }) {
		p.Good(s.From, fmt.Sprintf("it sends what has no known place to %s too", s.Peer), probe.Command())
		return nil
	}
	lost := endsAt(p, s.Branch, s.Edge(), flow)
	if s.Direction == commands.Reply && !lost && finds(p.Port.Port.MAC, places, peer) {
		return nil // replies go to the guest alone
	}
	p.Report(missingPeer(p, s, flow, flood, p.Evidence(s.From.Node, probe, text)))
	return nil
}

// floods returns where a device sends what has no known place.
func floods(t commands.Tunnel, places []node.Place) []netip.Addr {
	var to []netip.Addr
	if t.VXLAN.Group.IsValid() {
		to = append(to, t.VXLAN.Group)
	}
	for _, pl := range places {
		if pl.MAC == node.Anywhere {
			to = append(to, pl.Peer)
		}
	}
	return to
}

// finds reports whether a device knows that a guest is behind the peer, or may
// learn it from the guest's own frames.
func finds(mac string, places []node.Place, peer commands.Tunnel) bool {
	return slices.ContainsFunc(places, func(pl node.Place) bool { return pl.MAC == mac && slices.Contains(peer.Ends, pl.Peer) })
}

// missingPeer says how sure it is that the missing entry loses frames.
func missingPeer(p *commands.Pass, s commands.TunnelStep, flow commands.Flow, flood []netip.Addr, fdb commands.Evidence) commands.Finding {
	t, peer := p.Path.Tunnels[s.From.Node], p.Path.Tunnels[s.Peer]
	others := "to nobody"
	if len(flood) > 0 {
		others = "to others only (" + commands.Tunnel{Ends: flood}.Addresses() + ")"
	}
	f := commands.Finding{
		State: commands.Probable, Node: s.From.Node, Branch: s.Branch.Node, Edge: s.Edge(),
		Summary: fmt.Sprintf("%s on %s sends broadcasts %s, not to %s (%s)",
			s.From.Device, s.From.Node, others, s.Peer, peer.Addresses()),
		Evidence: []commands.Evidence{linkEvidence(p, s.From.Node, s.From.Device), fdb},
	}
	on, known := t.L2Population.Get()
	if known && on {
		f.Fixes = []commands.Suggestion{{
			Fix: fix.TunnelPeer, Node: s.From.Node, Args: map[string]string{"device": t.Device, "peer": peer.Ends[0].String()},
		}}
		f.Advice = []string{"Restart neutron-linuxbridge-agent on " + s.From.Node + ": the server then tells it of all peers again (l2_population)."}
	} else {
		f.Advice = []string{"The device has no multicast group: delete it and restart neutron-linuxbridge-agent on " + s.From.Node + ", which makes it anew."}
	}
	switch {
	case !endsAt(p, s.Branch, s.Edge(), flow):
		f.Missing = unproven(flow)
	case !known:
		f.Missing = "whether l2_population is on: " + t.L2Population.Why()
	default:
		f.State = commands.Proven
		f.Summary += fmt.Sprintf("; %d frames ended there", flow.Lost)
		f.Evidence = append(f.Evidence, p.Frames(s.From), p.Frames(s.To))
	}
	return f
}

// sameGroup compares the multicast groups of both ends of a request's way.
func sameGroup(p *commands.Pass, s commands.TunnelStep) {
	sender, receiver := p.TunnelEnds(s)
	out, in := p.Path.Tunnels[sender].VXLAN, p.Path.Tunnels[receiver].VXLAN
	flow := stepFlow(p, s.Branch, s.Exchange)
	if s.Direction != commands.Request || flow.State == commands.FlowDelivered || !otherGroup(out, in) {
		return
	}
	f := commands.Finding{
		State: commands.Probable, Node: receiver, Branch: s.Branch.Node, Edge: s.Edge(),
		Summary: fmt.Sprintf("%s on %s sends to the multicast group %s, and on %s it listens to %s",
			p.Path.Tunnels[sender].Device, sender, out.Group, receiver, groupOf(in)),
		Evidence: []commands.Evidence{
			linkEvidence(p, sender, p.Path.Tunnels[sender].Device), linkEvidence(p, receiver, p.Path.Tunnels[receiver].Device),
		},
		Advice: []string{"Make vxlan_group and l2_population the same for all linuxbridge agents; the agent makes the device anew when it is deleted and the agent restarted."},
	}
	// A switch that knows who listens does not even bring them to the NIC.
	between := commands.Edge{From: commands.Hop{Node: sender, Device: p.Path.Tunnels[sender].NIC, Kind: commands.HopNIC}, To: s.From, Direction: commands.Request}
	switch {
	case endsAt(p, s.Branch, between, flow):
		f.Edge, f.Missing = between, "whether the switches between the two NICs keep the group's packets from those that do not listen to it"
	case endsAt(p, s.Branch, s.Edge(), flow):
		f.State = commands.Proven
	default:
		f.Missing = unproven(flow)
	}
	p.Report(f)
}

// otherGroup reports whether one end sends to a group that the other does not
// listen to.
func otherGroup(out, in *node.VXLAN) bool {
	return out != nil && in != nil && out.Group.IsMulticast() && out.Group != in.Group
}

func groupOf(x *node.VXLAN) string {
	if x.Group.IsValid() {
		return x.Group.String()
	}
	return "none"
}
