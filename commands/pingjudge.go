package commands

import (
	"fmt"
	"net"
	"slices"

	"whybot/commands/capture"
	"whybot/commands/netfilter"
)

// judgePing turns what was seen and found about one direction of a ping into the
// verdict, and returns the findings that stand, the most important first.
func judgePing(p *Pass, findings []Finding, unseen []Blind) (Verdict, []Finding) {
	j := judgement{p: p, findings: p.inPathOrder(findings), unseen: unseen}
	if len(p.Path.Branches) == 0 {
		return j.unconnected(), j.findings
	}
	e := p.pinged()
	c := j.cutOf(p.Path.Branches[0], e, true)
	v := j.pingVerdict(c, e)
	v.Exchange = e
	return p.settled(v), j.findings
}

// pinged is the exchange that decides: the echoes, unless the guest is seen to ask
// for the peer's link address and not to get so far as to send one.
func (p *Pass) pinged() Exchange {
	if p.Packets == nil {
		return capture.Echo
	}
	asked := map[Exchange]bool{}
	for _, s := range p.Packets.Seen {
		for _, f := range s.Frames {
			asked[f.Exchange] = asked[f.Exchange] || !f.Reply
		}
	}
	if asked[capture.ARP] && !asked[capture.Echo] {
		return capture.ARP
	}
	return capture.Echo
}

func (j *judgement) pingVerdict(c cut, e Exchange) Verdict {
	who, peer := j.p.Server.Name, j.p.Peer.Server.Name
	switch {
	case c.flow.State == FlowDelivered && e == capture.Echo:
		_, replies := j.p.Packets.Count(j.p.Path.Guest[0])
		return Verdict{
			State: Healthy, Title: "The ping gets through",
			Summary: fmt.Sprintf("%s answers %s: its echo replies reached the tap of %s while whybot listened (replies there, of ARP too: %d).", peer, who, who, replies),
		}
	case c.flow.State == FlowDelivered:
		return Verdict{
			State: Unclear, Title: "The address is answered for, and no echo request follows",
			Summary: fmt.Sprintf("%s answers for its address to %s (ARP), and %s sent no echo request while whybot listened.", peer, who, who),
			Missing: "an echo request: start ping " + firstIPv4(j.p.Peer.Port.Port).String() + " in " + who + ", and ask again while it runs",
		}
	}
	switch c.rank {
	case cutProven, cutProbably:
		return rooted(j.findings[c.finding], c.effect)
	case lostUnnamed:
		return j.unnamed(c)
	case uncut, notSeen:
	}
	return j.pingNotSeen(c)
}

func (j *judgement) pingNotSeen(c cut) Verdict {
	p := j.p
	v := Verdict{State: Unclear, Title: "Not enough could be seen"}
	start := fmt.Sprintf("an echo request: start ping %s in %s, and ask again while it runs", firstIPv4(p.Peer.Port.Port), p.Server.Name)
	switch {
	case p.GuestOff():
		v.Title = "The VM that should ping does not run"
		v.Summary = fmt.Sprintf("Nova says that %s is %s: it sends nothing.", p.Server.Name, p.Server.Status)
	case p.Packets == nil:
		v.Summary = fmt.Sprintf("Nothing that was read stops a ping from %s to %s, but no packets were looked at.", p.Server.Name, p.Peer.Server.Name)
		v.Missing = "a capture of the ping"
	case c.flow.State == FlowSilent:
		v.Title = "No ping was sent while whybot listened"
		v.Summary = fmt.Sprintf("%s sent %s neither an echo request nor a question for its address in %.0f s; nothing that was read stops a ping on the path.",
			p.Server.Name, p.Peer.Server.Name, p.Packets.Took.Seconds())
		v.Missing = start
	default:
		v.Summary = fmt.Sprintf("The ping could not be followed to %s.", p.Peer.Server.Name)
		v.Missing = start
	}
	if i := slices.IndexFunc(j.findings, func(f Finding) bool { return !f.Aside }); i >= 0 {
		v.Summary += fmt.Sprintf(" Found so far: %s (%s).", j.findings[i].Summary, j.findings[i].State)
	}
	if len(j.unseen) > 0 {
		v.Summary += fmt.Sprintf(" Not seen: %s (%s)", j.unseen[0].What, j.unseen[0].Why)
		if n := len(j.unseen) - 1; n > 0 {
			v.Summary += fmt.Sprintf(", and %d more", n)
		}
		v.Summary += "."
	}
	return v
}

// unconnected answers when there is no path to follow: the two are on different
// networks, or one is on no node.
func (j *judgement) unconnected() Verdict {
	if i := slices.IndexFunc(j.findings, func(f Finding) bool { return !f.Aside }); i >= 0 {
		return rooted(j.findings[j.root(i)], j.findings[i])
	}
	p := j.p
	if p.Port.Network.ID != p.Peer.Port.Network.ID {
		return Verdict{
			State: Unclear, Title: "The two are on different networks, and a router is between them",
			Summary: fmt.Sprintf("%s is on %s and %s on %s. A router of Neutron has ports on both; this version does not follow packets through routers.",
				p.Server.Name, p.Port.Network.Name, p.Peer.Server.Name, p.Peer.Port.Network.Name),
			Missing: "what the router does: ask for a VM on the same network as either, to tell the two halves apart",
		}
	}
	v := Verdict{State: Unclear, Title: "One of the two is on no node that whybot knows", Summary: "There is nothing to follow."}
	if len(j.unseen) > 0 {
		v.Summary = fmt.Sprintf("There is nothing to follow: %s (%s).", j.unseen[0].What, j.unseen[0].Why)
		v.Missing = j.unseen[0].What
	}
	return v
}

// pingPacket is a frame of a ping as the firewalls see it leaving by the bridge
// port out.
func (p *Pass) pingPacket(c Crossing, out string) netfilter.Packet {
	own, peer := p.ends()
	guestMAC, _ := net.ParseMAC(p.Port.Port.MAC) // of one that cannot be read, nothing is known
	peerMAC, _ := net.ParseMAC(p.Peer.Port.Port.MAC)
	way := netfilter.Way{In: c.In.Device, Out: out, Bridge: c.Bridge.Device}
	switch {
	case c.Exchange == capture.ARP && c.Direction == Request:
		return netfilter.ARPRequest(guestMAC, own, peer, way)
	case c.Exchange == capture.ARP:
		return netfilter.ARPReply(peerMAC, peer, guestMAC, own, way)
	case c.Direction == Request:
		return netfilter.EchoRequest(own, peer, guestMAC, peerMAC, way)
	}
	return netfilter.EchoReply(peer, own, peerMAC, guestMAC, way)
}
