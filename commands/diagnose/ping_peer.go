package diagnose

import (
	"context"
	"fmt"
	"slices"

	"whybot/commands"
	"whybot/commands/capture"
	"whybot/runners"
)

// ForeignSource is PING-04: the guest sends from an address that is not its port's.
var ForeignSource = register(&commands.Diagnosis{
	Name:  "PING-04",
	Title: "The guest uses an address that its port does not have",
	Doc: `At the guest's tap ARP or echoes are seen that come from its MAC with another IPv4
address than its port's, and none of them gets onto the bridge: neutron's rules
against spoofing drop them. Frames that do get on are allowed (allowed address
pairs, port security off), and stop nothing.`,
	Explains: aboutPing,
	Run: func(_ context.Context, p *commands.Pass) error {
		if p.Packets == nil || len(p.Path.Guest) < 2 {
			return nil
		}
		tap, bridge := p.Path.Guest[0], p.Path.Guest[1]
		if err := errorAt(p, tap, bridge); err != nil {
			return err
		}
		odd := spoofed(p, tap)
		if len(odd) == 0 || len(spoofed(p, bridge)) > 0 {
			return nil
		}
		f := commands.Finding{
			State: commands.Proven, Node: tap.Node, Edge: commands.Edge{From: tap, To: bridge, Direction: commands.Request},
			Summary: fmt.Sprintf("%s sends from %s, and its port has %s: %s at %s, none on %s",
				p.Server.Name, odd[0].Src, fixedIPs(p.Port.Port), commands.Count(len(odd), "such frame", "such frames"), tap, bridge),
			Evidence: []commands.Evidence{{Source: tap.Node + ": tcpdump on " + tap.Device, Text: odd[0].String() + "\n"}},
			Advice: []string{
				"Set the guest to the address of its port, or let it use DHCP.",
				fmt.Sprintf("If it is meant to have the address as well (a VIP): openstack port set --allowed-address ip-address=%s %s", odd[0].Src, p.Port.Port.ID),
			},
		}
		if requests, _ := p.Packets.Count(tap); requests > 0 {
			f.Aside = true // it asks from its own address too, and that decides
		}
		p.Report(f)
		return nil
	},
})

// spoofed are the frames at h that the guest sent from an address that is none of
// its port's.
func spoofed(p *commands.Pass, h commands.Hop) []capture.Frame {
	return slices.DeleteFunc(slices.Clone(p.Packets.Seen[h].Foreign), func(f capture.Frame) bool {
		own := slices.ContainsFunc(p.Port.Port.FixedIPs, func(ip runners.FixedIP) bool { return ip.Address == f.Src.String() })
		return f.SrcMAC != p.Port.Port.MAC || own || f.Src.IsUnspecified() // a probe for a duplicate has no address yet
	})
}

// errorAt returns why one of the hops was not observed.
func errorAt(p *commands.Pass, hops ...commands.Hop) error {
	for _, h := range hops {
		if s, ok := p.Packets.Seen[h]; !ok || s.Err != nil {
			return s.Err
		}
	}
	return nil
}

func fixedIPs(port runners.Port) string {
	var all []string
	for _, ip := range port.FixedIPs {
		all = append(all, ip.Address)
	}
	return listOr(all, "none")
}

// TwoHolders is PING-06: another machine answers for the peer's address.
var TwoHolders = register(&commands.Diagnosis{
	Name:  "PING-06",
	Title: "Another machine answers for the peer's address",
	Doc: `An answer to the guest's ARP for the peer's address comes from a MAC that is not
the peer's. Whose answer came last is what the guest sends to: the ping may work and
stop again.`,
	Explains: aboutPing,
	Run: func(_ context.Context, p *commands.Pass) error {
		tap, ok := p.Path.Tap()
		if !ok || p.Packets == nil || p.Port.Network.ID != p.Peer.Port.Network.ID {
			return nil
		}
		if err := errorAt(p, tap); err != nil {
			return err
		}
		peer := p.Peer.Port.Port
		seen := p.Packets.Seen[tap].Frames
		at := slices.IndexFunc(seen, func(f capture.Frame) bool { return f.Exchange == capture.ARP && f.Reply && f.SrcMAC != peer.MAC })
		if at < 0 {
			return nil
		}
		f := commands.Finding{
			State: commands.Proven, Node: tap.Node,
			Summary: fmt.Sprintf("%s says that it has %s, which is the address of %s (%s): the address is in use twice",
				seen[at].SrcMAC, seen[at].Src, p.Peer.Server.Name, peer.MAC),
			Evidence: []commands.Evidence{p.Frames(tap)},
			Advice:   []string{"Find whose it is: openstack port list --mac-address " + seen[at].SrcMAC + ". If Neutron has none, it is a machine of the physical network: look it up on the switches."},
		}
		switch flow := p.EchoFlow(); flow.State {
		case commands.FlowDelivered:
			f.Aside = true
		case commands.FlowLost:
			f.Edge = flow.Edge // what is sent to the other machine does not come out where the peer is
		default:
		}
		p.Report(f)
		return nil
	},
})

// NoAnswer is PING-11: the ping reaches the peer, and it does not answer.
var NoAnswer = register(&commands.Diagnosis{
	Name:  "PING-11",
	Title: "The ping reaches the other VM, and it does not answer",
	Doc: `Requests are seen at the peer's tap and no answer of its comes out: its own packet
filter, an address that it does not use, or it does not run. Where Nova says that it
does not run, there is nothing to look for on the way. What is on the way back is
another matter: then answers are seen at the peer's tap.`,
	Explains: aboutPing,
	Run: func(_ context.Context, p *commands.Pass) error {
		if len(p.Path.Branches) == 0 {
			return nil
		}
		b := p.Path.Branches[0]
		edge := commands.Edge{From: peerTap(p), To: b.Server(), Direction: commands.Request}
		if s := p.Peer.Server; s.Status == "SHUTOFF" || s.Status == "PAUSED" || s.Status == "SUSPENDED" {
			f := commands.Finding{
				State: commands.Probable, Node: b.Node, Edge: edge, Missing: "a ping that reaches " + edge.From.String() + " and is not answered",
				Summary:  fmt.Sprintf("Nova says that %s is %s: it answers nothing", s.Name, s.Status),
				Evidence: []commands.Evidence{{Source: "nova: GET servers/" + s.ID, Text: "status " + s.Status + "\n"}},
			}
			if how := wake[s.Status]; how != "" {
				f.Advice = []string{"If it is meant to run: openstack server " + how + " " + s.ID}
			}
			if unansweredAt(p, edge) {
				f.State, f.Missing = commands.Proven, ""
			}
			p.Report(f)
			return nil
		}
		if !unansweredAt(p, edge) {
			return nil
		}
		p.Report(commands.Finding{
			State: commands.Proven, Node: b.Node, Edge: edge,
			Summary:  fmt.Sprintf("%s of %s reached %s, and %s sent no answer", commands.Count(lostThere(p), "request", "requests"), p.Server.Name, edge.From, p.Peer.Server.Name),
			Evidence: []commands.Evidence{p.Frames(edge.From)},
			Advice: []string{
				"Look inside " + p.Peer.Server.Name + ": its packet filter (iptables -S, nft list ruleset, Windows Firewall), net.ipv4.icmp_echo_ignore_all, and whether its NIC has " + fixedIPs(p.Peer.Port.Port) + ".",
			},
		})
		return nil
	},
})

// unansweredAt reports whether the ping was seen to end on the last step.
func unansweredAt(p *commands.Pass, e commands.Edge) bool {
	return p.Packets != nil && lostOn(p, p.Path.Branches[0], e)
}

// lostThere counts what was lost.
func lostThere(p *commands.Pass) int { return p.EchoFlow().Lost }
