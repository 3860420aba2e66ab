package diagnose

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"whybot/commands"
	"whybot/commands/capture"
	"whybot/runners"
)

// RogueServer is DHCP-38: a server that is none of Neutron's answers the guest.
var RogueServer = register(&commands.Diagnosis{
	Name:  "DHCP-38",
	Title: "A DHCP server that is not Neutron's answers the guest",
	Doc: `Replies to the guest whose sender has the MAC of none of the network's DHCP
ports; a stale copy of a server may have the address of one. It is the cause when the guest takes what that server
gives, or begins anew after its refusal; when a server of Neutron's serves the
guest all the same, it is said and is no cause.`,
	Explains: []commands.Kind{commands.KindDHCP},
	Run: func(_ context.Context, p *commands.Pass) error {
		if p.Packets == nil || len(p.Port.DHCPPorts) == 0 {
			return nil // which servers belong to the network is not known
		}
		foreign := map[string]stranger{}
		for _, h := range p.Path.Hops() {
			for _, f := range p.Packets.Seen[h].Frames {
				if f.Exchange == capture.DHCP && f.Reply && !neutrons(p, f) {
					s := foreign[f.SrcMAC]
					foreign[f.SrcMAC] = s.add(h, f)
				}
			}
		}
		if tap, ok := p.Path.Tap(); ok && len(foreign) == 0 {
			if _, replies := p.Packets.Count(tap); replies > 0 {
				p.Good(tap, "only DHCP ports of the network answer", "tcpdump on "+tap.Device)
			}
		}
		for _, mac := range slices.Sorted(maps.Keys(foreign)) {
			p.Report(rogue(p, foreign[mac]))
		}
		return nil
	},
})

// A stranger is a server that is none of the network's.
type stranger struct {
	mac, address string
	hops         []commands.Hop // where its frames were seen, in path order
	frames       map[commands.Hop][]capture.Frame
}

func (s stranger) add(h commands.Hop, f capture.Frame) stranger {
	if s.frames == nil {
		s = stranger{mac: f.SrcMAC, address: f.Src.String(), frames: map[commands.Hop][]capture.Frame{}}
	}
	if !slices.Contains(s.hops, h) {
		s.hops = append(s.hops, h)
	}
	s.frames[h] = append(s.frames[h], f)
	return s
}

// neutrons reports whether a DHCP port of the network sent f.
func neutrons(p *commands.Pass, f capture.Frame) bool {
	return slices.ContainsFunc(p.Port.DHCPPorts, func(port runners.Port) bool { return port.Owns(f.SrcMAC, f.Src.String()) })
}

// impostor says that a stranger uses the address of one of the network's own
// servers.
func impostor(p *commands.Pass, s stranger) string {
	for _, port := range p.Port.DHCPPorts {
		for _, ip := range port.FixedIPs {
			if ip.Address == s.address {
				return ". Its address is that of DHCP port " + port.ID + ", whose MAC is " + port.MAC + ": a stale copy of that server, or an impostor"
			}
		}
	}
	return ""
}

func rogue(p *commands.Pass, s stranger) commands.Finding {
	entry, from := s.entry(p)
	f := commands.Finding{
		State: commands.Proven, Node: entry.Node, Exchange: capture.DHCP, Aside: true,
		Summary: fmt.Sprintf("A DHCP server at %s (%s), which is no DHCP port of network %s, answers %s: %s. Its frames come onto the path %s",
			s.address, s.mac, p.Port.Network.Name, p.Server.Name, s.said(), from) + impostor(p, s),
		Evidence: []commands.Evidence{p.Frames(s.hops[0])},
		Advice: []string{
			"Find its port: openstack port list --mac-address " + s.mac + ". If Neutron has none, it is a machine of the physical network: look " + s.mac + " up on the switches, and with bridge fdb show on " + entry.Node + ".",
			"A guest that runs a DHCP server is kept from answering by port security: see whether its port has it.",
		},
	}
	tap, ok := p.Path.Tap()
	switch {
	case !ok || !listened(p, tap):
		f.State, f.Missing = commands.Probable, "what reaches the guest: its tap could not be listened to"
		f.Aside = !s.harms() || slices.ContainsFunc(p.Packets.Seen[s.hops[0]].Frames, func(f capture.Frame) bool { return f.Type == "Ack" && neutrons(p, f) })
	case p.Packets.Acknowledged(p.Path):
		f.Summary += ". The guest is served by Neutron's all the same"
	case slices.Contains(s.hops, tap) && s.harms():
		f.Aside = false
	}
	return f
}

// harms reports whether the guest was given something by the stranger, or
// refused: an offer alone it may leave lying.
func (s stranger) harms() bool {
	return slices.ContainsFunc(s.frames[s.hops[0]], func(f capture.Frame) bool { return f.Type == "Ack" || f.Type == "Nak" })
}

// said counts what the stranger answered.
func (s stranger) said() string {
	count := map[string]int{}
	for _, f := range s.frames[s.hops[0]] {
		what := f.Type
		if f.Type != "Nak" && f.Yours.IsValid() {
			what += " of " + f.Yours.String()
		}
		count[what]++
	}
	var parts []string
	for _, what := range slices.Sorted(maps.Keys(count)) {
		parts = append(parts, fmt.Sprintf("%s (%d)", what, count[what]))
	}
	return strings.Join(parts, ", ")
}

// entry is where its frames come onto the path: on a node that they leave by
// the wire, or from beyond the guest's.
func (s stranger) entry(p *commands.Pass) (at commands.Hop, from string) {
	nodes := p.Path.Nodes()
	for _, n := range nodes {
		if p.Path.Bridge(n) != (commands.Hop{}) && s.startsOn(p, n) {
			return p.Path.Bridge(n), fmt.Sprintf("on %s, from another port of that bridge", p.Path.Bridge(n))
		}
	}
	for _, n := range nodes {
		for _, h := range s.on(n) {
			if h.Kind == commands.HopNIC || h.Kind == commands.HopSegment {
				return h, fmt.Sprintf("at %s, from the wire", h)
			}
		}
	}
	return s.hops[0], fmt.Sprintf("somewhere before %s", s.hops[0])
}

// startsOn reports whether its frames come from the node's own bridge: none is
// on the node's wire, or the sub-interface had them before the NIC. A bridge
// itself shows a frame after the ports that it sends it to.
func (s stranger) startsOn(p *commands.Pass, nodeName string) bool {
	if len(s.on(nodeName)) == 0 {
		return false
	}
	segments, nics := p.Path.On(nodeName, commands.HopSegment), p.Path.On(nodeName, commands.HopNIC)
	wire := slices.Concat(segments, nics)
	if len(wire) == 0 || slices.ContainsFunc(wire, func(h commands.Hop) bool { return !listened(p, h) }) {
		return false
	}
	if !slices.ContainsFunc(wire, func(h commands.Hop) bool { return len(s.frames[h]) > 0 }) {
		return true
	}
	return len(segments) == 1 && len(nics) == 1 && s.before(segments[0], nics[0])
}

// listened reports whether a capture ran at h.
func listened(p *commands.Pass, h commands.Hop) bool {
	seen, ok := p.Packets.Seen[h]
	return ok && seen.Err == nil
}

// on returns where its frames were seen on a node.
func (s stranger) on(nodeName string) []commands.Hop {
	return slices.DeleteFunc(slices.Clone(s.hops), func(h commands.Hop) bool { return h.Node != nodeName })
}

// before reports whether the hop a of a node had a frame before the hop b of
// the same node.
func (s stranger) before(a, b commands.Hop) bool {
	for _, f := range s.frames[a] {
		for _, g := range s.frames[b] {
			if f.XID == g.XID && f.Type == g.Type {
				return f.At.Before(g.At)
			}
		}
	}
	return false
}
