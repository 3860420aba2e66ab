package commands

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"whybot/commands/netfilter"
	"whybot/commands/node"
	"whybot/runners"
)

// A TunnelStep is a guest's frame on its way between a node's VXLAN device and
// the NIC below it, as a packet of the node's own.
type TunnelStep struct {
	Branch    Branch
	Exchange  Exchange
	Direction Direction
	// From and To are the device and the NIC, in the frame's own direction.
	From, To Hop
	// Peer is the node at the tunnel's other end.
	Peer string
}

// Leaves reports whether the frame leaves the node.
func (s TunnelStep) Leaves() bool { return s.From.Kind == HopSegment }

// Edge is where a frame is lost that does not make the step.
func (s TunnelStep) Edge() Edge { return Edge{From: s.From, To: s.To, Direction: s.Direction} }

// NIC is the hop below the tunnel.
func (s TunnelStep) NIC() Hop {
	if s.Leaves() {
		return s.To
	}
	return s.From
}

// TunnelSteps returns every step of branch b's frames into a tunnel and out of
// one, in the order frames take them, of each exchange the requests first.
func (p *Pass) TunnelSteps(b Branch) []TunnelStep {
	if b.Local {
		return nil
	}
	flow := p.Path.Flow(b)
	var all []TunnelStep
	for _, e := range b.Exchanges {
		var requests, replies []TunnelStep
		for i := 1; i < len(flow); i++ {
			from, to := flow[i-1], flow[i]
			if from.Node != to.Node || !p.Path.isUnderlay(from) && !p.Path.isUnderlay(to) || from.Kind == HopBridge || to.Kind == HopBridge {
				continue
			}
			peer := b.Node
			if from.Node == b.Node {
				peer = p.Path.Node
			}
			s := TunnelStep{Branch: b, Exchange: e, Direction: Request, From: from, To: to, Peer: peer}
			requests = append(requests, s)
			s.Direction, s.From, s.To = Reply, to, from
			replies = append([]TunnelStep{s}, replies...)
		}
		all = append(append(all, requests...), replies...)
	}
	return all
}

// RuleTunnel says what the firewall of the step's node does to the packet that
// carries the frame.
func (p *Pass) RuleTunnel(f *Firewall, s TunnelStep) Ruling {
	packet, nic := p.tunnelPacket(s), s.NIC().Device
	hooks, device := []netfilter.Hook{netfilter.Prerouting, netfilter.Input}, netfilter.Ingress
	if s.Leaves() {
		hooks, device = []netfilter.Hook{netfilter.Output, netfilter.Postrouting}, netfilter.Egress
	}
	all := decisions{netfilter.LayerIP.Traverse(f.merged, packet, hooks...), netfilter.TraverseDevice(f.merged, packet, device, nic)}
	if at := all[1]; at.Verdict.Lost() && !s.Leaves() {
		all = decisions{at, at} // the NIC's own chains come first
	}
	local := *f
	local.Foreign = p.localTables(f, s.NIC())
	return local.others(f.ruling(all), false) // as tunnelPacket is
}

// localTables are the nft tables that may drop what the node itself receives or
// sends by a NIC and could not be evaluated; those of bridges count only where
// that is one.
func (p *Pass) localTables(f *Firewall, nic Hop) []string {
	r := p.readings[f.Node]
	text, err := whole(f.Node, r, "nft-text")
	if err != nil || slices.ContainsFunc(f.Views, func(v View) bool { return v.Probe == nftProbe }) {
		return nil
	}
	tables := node.LocalTables(r.results["nft-text"].Output.Stderr + "\n" + text)
	if f.links[nic.Device].Kind == "bridge" {
		return tables
	}
	return slices.DeleteFunc(tables, func(table string) bool { return strings.HasPrefix(table, "bridge ") })
}

// tunnelPacket is the packet that carries a frame, as the node's own firewall
// sees it.
func (p *Pass) tunnelPacket(s TunnelStep) netfilter.Packet {
	sender, receiver := p.TunnelEnds(s)
	packet := netfilter.Packet{
		Family: netfilter.IPv4, Proto: netfilter.Is(netfilter.ProtoUDP),
		Src: p.Path.Tunnels[sender].end(), Dst: p.Path.Tunnels[receiver].end(),
		In: netfilter.Is(s.NIC().Device), Out: netfilter.Is(""), PhysOut: netfilter.Is(""),
		PacketType: netfilter.TypeUnicast, Mark: netfilter.Is[uint32](0),
	}
	if s.Leaves() {
		packet.In, packet.Out, packet.PhysIn = netfilter.Is(""), netfilter.Is(s.NIC().Device), netfilter.Is("")
	} else if f, err := p.Firewall(s.NIC().Node); err == nil && f.links[s.NIC().Device].Kind != "bridge" {
		packet.PhysIn = netfilter.Is("")
	}
	x := p.Path.Tunnels[sender].VXLAN
	if x == nil {
		return packet
	}
	if x.Port > 0 && x.Port < 1<<16 {
		packet.Dport = netfilter.Is(uint16(x.Port))
	}
	if !x.FixedSource {
		// Packets come from a port that is hashed from what is inside, and go to
		// the port of VXLAN: none is ever the answer to another.
		packet.CT = netfilter.CTNew
	}
	if x.Group.IsMulticast() && s.Direction == Request {
		packet.Dst, packet.PacketType = x.Group, netfilter.TypeMulticast
	}
	return p.asSeen(packet, s)
}

// asSeen gives a packet the addresses of one that was captured at the step.
func (p *Pass) asSeen(packet netfilter.Packet, s TunnelStep) netfilter.Packet {
	if p.Packets == nil {
		return packet
	}
	_, receiver := p.TunnelEnds(s)
	for _, f := range p.Packets.Seen[s.NIC()].Frames {
		if f.VNI == 0 || f.Exchange != s.Exchange || f.Reply != (s.Direction == Reply) || !p.Path.reaches(f, receiver) {
			continue
		}
		packet.Src, packet.Dst, packet.PacketType = f.OuterSrc, f.OuterDst, netfilter.TypeUnicast
		if f.OuterDst.IsMulticast() {
			packet.PacketType = netfilter.TypeMulticast
		}
		break
	}
	return packet
}

// TunnelEnds returns the nodes that send and receive the packet of a step.
func (p *Pass) TunnelEnds(s TunnelStep) (sender, receiver string) {
	if s.Leaves() {
		return s.From.Node, s.Peer
	}
	return s.Peer, s.From.Node
}

// end is the address of the tunnel's end; the zero Addr when it may be another.
func (t Tunnel) end() netip.Addr {
	if len(t.Ends) != 1 {
		return netip.Addr{}
	}
	return t.Ends[0]
}

// TallyTunnel compares what the deciding rule or policy of e counted in the
// packet stage with the frames that came to the step, or says why that is not
// known. Copies for other peers may meet it too, so that Most bounds nothing.
func (p *Pass) TallyTunnel(f *Firewall, s TunnelStep, v View, e netfilter.Ending) (Tally, error) {
	if p.Packets == nil {
		return Tally{}, &runners.Error{Runner: "ssh", Target: f.Node, Op: v.Probe, Hint: "counters were not watched"}
	}
	before, after := p.Packets.Before[f.Node], p.Packets.After[f.Node]
	growth, err := growthOf(f.Node, before, after, v, e)
	if err != nil {
		return Tally{}, err
	}
	_, receiver := p.TunnelEnds(s)
	return Tally{Growth: growth, Least: p.Packets.came(p.Path, s, receiver, clock(before, "clock-end"), clock(after, "clock-start")), Most: growth}, nil
}

// came counts the frames of a step that came to it between two times of its
// node's clock. A missing time bounds nothing.
func (ps *Packets) came(p *Path, s TunnelStep, receiver string, from, to time.Time) uint64 {
	var n uint64
	for _, f := range ps.Seen[s.From].all {
		switch {
		case !from.IsZero() && f.At.Before(from), !to.IsZero() && f.At.After(to):
		case f.Exchange != s.Exchange, f.Reply != (s.Direction == Reply), !p.reaches(f, receiver):
		case f.Reply && !fromServer(f, s.Branch), !f.Reply && !toAll(f):
		default:
			n++
		}
	}
	return n
}

// Addresses lists the tunnel's ends for a person.
func (t Tunnel) Addresses() string {
	words := make([]string, len(t.Ends))
	for i, a := range t.Ends {
		words[i] = a.String()
	}
	return strings.Join(words, ", ")
}
