package diagnose

import (
	"context"
	"errors"
	"fmt"

	"whybot/commands"
	"whybot/commands/capture"
	"whybot/commands/netfilter"
	"whybot/runners"
)

// aboutPing are the kinds of question that only a ping is.
var aboutPing = []commands.Kind{commands.KindPing}

// NotLetIn is PING-01: the peer's security groups do not admit the echo request.
var NotLetIn = register(&commands.Diagnosis{
	Name:  "PING-01",
	Title: "The security groups of the peer do not admit ICMP",
	Doc: `No rule of the groups of the VM that is pinged admits an echo request from the one
that pings, and the node evaluated rule by rule drops it in neutron's chains. Both
are needed: without br_netfilter, or with another firewall driver, groups are not
enforced, and chains that are out of date drop what the groups admit (PING-03).`,
	Explains: aboutPing, Probes: firewallProbes,
	Run: func(_ context.Context, p *commands.Pass) error {
		return grouped(p, p.MayReceive, func(c commands.Crossing) bool { return c.Out == peerTap(p) })
	},
})

// NotLetOut is PING-02: the guest's own security groups do not let it send.
var NotLetOut = register(&commands.Diagnosis{
	Name:  "PING-02",
	Title: "The security groups of the guest do not let it send ICMP",
	Doc: `The egress rules that every group is made with were taken away, and no other lets
an echo request out. DHCP is let out whatever the groups say, so the guest has its
address. Proven as PING-01 is, on the guest's own node.`,
	Explains: aboutPing, Probes: firewallProbes,
	Run: func(_ context.Context, p *commands.Pass) error {
		return grouped(p, p.MaySend, func(c commands.Crossing) bool { return c.In == ownTap(p) })
	},
})

// ChainsBehind is PING-03: the groups admit the ping and neutron's chains do not.
var ChainsBehind = register(&commands.Diagnosis{
	Name:  "PING-03",
	Title: "A node's rules are not what the security groups say",
	Doc: `The groups of both ends admit the ping by the API, and a node drops it in chains
that neutron wrote. Where the admission is by a remote group, the ipset of that
group lacks the address. The agent has not heard of the change, or could not write.`,
	Explains: aboutPing, Probes: firewallProbes,
	Run: func(_ context.Context, p *commands.Pass) error {
		if len(p.Path.Branches) == 0 {
			return nil
		}
		send, receive := p.MaySend(), p.MayReceive()
		if send.Allows != netfilter.Yes || receive.Allows != netfilter.Yes {
			return nil
		}
		var errs []error
		for _, c := range echoes(p) {
			o, err := look(p, c)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			if o == nil || !o.neutrons() {
				continue
			}
			f, ok := o.finding()
			if !ok {
				continue
			}
			f.Summary += "; by the API the groups admit it"
			if send.Remote || receive.Remote {
				f.Summary += ", one of them by a remote group, which the node knows by an ipset of addresses"
			}
			f.Evidence = append(f.Evidence, groupEvidence(p, send), groupEvidence(p, receive))
			f.Advice = []string{"Restart neutron-linuxbridge-agent on " + f.Node + ": it writes its chains and ipsets anew from what Neutron has. Look at its log for what kept it from that."}
			p.Report(f)
			break // the first is met first
		}
		return errors.Join(errs...)
	},
})

// ownTap and peerTap are the taps of the two ends.
func ownTap(p *commands.Pass) commands.Hop { return p.Path.Guest[0] }

func peerTap(p *commands.Pass) commands.Hop {
	hops := p.Path.Branches[0].Hops
	return hops[len(hops)-2]
}

// echoes are the bridges that an echo request crosses, in order.
func echoes(p *commands.Pass) []commands.Crossing {
	var all []commands.Crossing
	for _, c := range p.Crossings(p.Path.Branches[0]) {
		if c.Exchange == capture.Echo && c.Direction == commands.Request {
			all = append(all, c)
		}
	}
	return all
}

// grouped reports the crossing at which groups that deny the ping are enforced.
func grouped(p *commands.Pass, ask func() commands.GroupRuling, at func(commands.Crossing) bool) error {
	if len(p.Path.Branches) == 0 {
		return nil
	}
	says := ask()
	for _, c := range echoes(p) {
		if !at(c) {
			continue
		}
		switch says.Allows {
		case netfilter.Yes:
			p.Good(commands.Hop{}, fmt.Sprintf("the security groups at %s admit the ping", c.Bridge.Node), says.Why)
			return nil
		case netfilter.Unknown:
			return &runners.Error{Kind: runners.Hidden, Runner: "openstack", Target: "neutron", Op: "security group rules", Hint: says.Why}
		case netfilter.No:
			return denied(p, c, says)
		}
	}
	return nil
}

// denied reports groups that deny the ping, as sure as their node enforces them.
func denied(p *commands.Pass, c commands.Crossing, says commands.GroupRuling) error {
	f := commands.Finding{
		State: commands.Probable, Node: c.Bridge.Node, Edge: c.Edge(), Branch: p.Path.Branches[0].Node, Exchange: capture.Echo,
		Summary: says.Why, Evidence: []commands.Evidence{groupEvidence(p, says)}, Advice: admit(p),
		Missing: "what " + c.Bridge.Node + " does to it: its rules could not be evaluated",
	}
	flow := p.EchoFlow()
	if flow.State == commands.FlowDelivered {
		return nil // whatever the groups say, it gets through
	}
	o, err := look(p, c)
	switch {
	case err == nil && o == nil:
		p.Remark(fmt.Sprintf("%s: %s. Its rules let the ping pass all the same: groups are not enforced there.", c.Bridge.Node, says.Why))
		return nil
	case err == nil && !o.neutrons():
		return nil // another filter is met before; it is a finding of its own
	case err == nil && flow.State == commands.FlowLost && !o.lostHere():
		f.Missing = "frames that get this far: they end before, at " + flow.Edge.To.String()
		f.Evidence = append(f.Evidence, o.listing()...)
	case err == nil:
		f.State, f.Missing = commands.Proven, ""
		f.Summary += fmt.Sprintf(", and %s drops it: %s", c.Bridge.Node, o.place())
		f.Evidence = append(f.Evidence, o.listing()...)
		if flow.State == commands.FlowLost {
			f.Evidence = append(f.Evidence, p.Frames(flow.Edge.From), p.Frames(flow.Edge.To))
		}
	}
	p.Report(f)
	return err
}

func groupEvidence(p *commands.Pass, says commands.GroupRuling) commands.Evidence {
	text := says.Why + "\n"
	for _, port := range []runners.Port{p.Port.Port, p.Peer.Port.Port} {
		text += fmt.Sprintf("port %s: security_groups %v\n", port.ID, port.SecurityGroups)
	}
	return commands.Evidence{Source: "neutron: GET security-group-rules", Text: text}
}

// admit is what an operator may do.
func admit(p *commands.Pass) []string {
	own, peer := fixedIPs(p.Port.Port), fixedIPs(p.Peer.Port.Port)
	return []string{
		fmt.Sprintf("To admit it, if it is meant to be: openstack security group rule create --ingress --protocol icmp --remote-ip %s/32 GROUP, where GROUP is one of the groups of %s (%s); every VM in that group is opened then.", own, p.Peer.Server.Name, peer),
		"Whoever made the groups may have left ICMP out on purpose: try the port that matters (TCP) before opening anything.",
	}
}
