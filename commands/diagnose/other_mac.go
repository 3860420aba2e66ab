package diagnose

import (
	"fmt"

	"whybot/commands"
	"whybot/commands/netfilter"
)

// otherMAC reports a guest that sends from another MAC than its port's: no
// frame of the port's MAC is seen at its tap, and neutron's chain for that tap
// in ebtables was met by all that the guest sent and let none of it pass.
func otherMAC(p *commands.Pass) error {
	tap, ok := p.Path.Tap()
	if !ok || p.Packets == nil || p.Packets.TapBefore == nil || p.Packets.TapAfter == nil {
		return nil
	}
	requests, replies := p.Packets.Count(tap)
	sent := p.Packets.TapAfter.RXPackets - p.Packets.TapBefore.RXPackets
	if err := p.Packets.Seen[tap].Err; err != nil {
		return err
	}
	if requests+replies > 0 || sent == 0 {
		return nil
	}
	f, err := p.Firewall(tap.Node)
	if err != nil {
		return err
	}
	chain := "neutronMAC-" + tap.Device
	for _, v := range f.Views {
		met, passed, err := throughChain(p, f, v, chain)
		if err != nil {
			return err
		}
		// A frame may come between the two readings that are compared.
		if met == 0 || passed > 0 || met+1 < sent {
			continue
		}
		p.Report(commands.Finding{
			State: commands.Proven, Node: tap.Node, Edge: commands.Edge{From: tap, To: p.Path.Bridge(tap.Node), Direction: commands.Request},
			Summary: fmt.Sprintf("%s sends from another MAC than its port's %s: neutron's %s on %s (%s) dropped all %d frames that it sent in %.0f s",
				p.Server.Name, p.Port.Port.MAC, chain, tap.Node, v.Binary, met, p.Packets.Took.Seconds()),
			Evidence: []commands.Evidence{p.Frames(tap), {Source: tap.Node + ": " + v.Probe, Text: chainText(v.Rules, chain)}},
			Advice: []string{
				"Give the guest's NIC the MAC of its port, or allow the other one: openstack port set --allowed-address ip-address=ADDRESS,mac-address=MAC " + p.Port.Port.ID,
				"The MAC it uses: tcpdump -e -n -c 3 -i " + tap.Device + " on " + tap.Node + ".",
			},
		})
		return nil
	}
	return nil
}

// throughChain returns how often a chain was jumped to while packets were
// watched, and how often a rule of it let a frame pass.
func throughChain(p *commands.Pass, f *commands.Firewall, v commands.View, chain string) (met, passed uint64, err error) {
	rules := v.Rules.Find(func(r *netfilter.Rule) bool {
		return r.Target.Name == chain || r.Chain == chain && r.Target.Name != "DROP"
	})
	for _, r := range rules {
		n, err := p.Grown(f, v, r)
		if err != nil {
			return 0, 0, err
		}
		if r.Chain == chain {
			passed += n
		} else {
			met += n
		}
	}
	return met, passed, nil
}

// chainText is a chain as it is listed.
func chainText(rules *netfilter.Ruleset, chain string) string {
	text := ""
	for _, r := range rules.Find(func(r *netfilter.Rule) bool { return r.Chain == chain || r.Target.Name == chain }) {
		text += fmt.Sprintf("[%d:%d] %s\n", r.Packets, r.Bytes, r.Line())
	}
	return text
}
