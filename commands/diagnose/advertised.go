package diagnose

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"whybot/commands"
	"whybot/commands/capture"
	"whybot/runners"
)

// OtherWay is DHCP-45: the router's advertisements send guests another way to
// their address than their subnet says.
var OtherWay = register(&commands.Diagnosis{
	Name:  "DHCP-45",
	Title: "The router sends guests another way than their subnet says",
	Doc: `What was advertised at the guest's tap against the subnet's mode: a subnet of
DHCPv6 needs the managed flag, or guests do not ask for it; one in which guests
make their own addresses needs its prefix, marked for that. A guest that asks for
DHCPv6 all the same is not held up.`,
	Explains: []commands.Kind{commands.KindDHCP},
	Probes:   nil,
	Run: func(_ context.Context, p *commands.Pass) error {
		tap, ok := p.Path.Tap()
		if !ok || p.Packets == nil || p.Packets.Seen[tap].Err != nil { // a tap that was not heard is named as such
			return nil
		}
		for _, b := range p.Path.Of(capture.RA) {
			compareAdvertised(p, b)
		}
		return nil
	},
})

// compareAdvertised reports what b's router says otherwise than the subnets.
func compareAdvertised(p *commands.Pass, b commands.Branch) {
	tap, _ := p.Path.Tap()
	heard := p.Packets.Advertised(b, tap)
	if len(heard) == 0 {
		return
	}
	managed := false
	for _, r := range heard {
		managed = managed || r.Managed
	}
	for _, s := range p.Port.OwnSubnets() {
		prefix, err := netip.ParsePrefix(s.CIDR)
		switch {
		case err != nil || s.IPVersion != 6:
		case s.AddressMode == commands.ModeStateful && !managed:
			notManaged(p, b, s)
		case s.AddressMode == commands.ModeSLAAC || s.AddressMode == commands.ModeStateless:
			notOffered(p, b, s, prefix.Masked(), heard)
		default:
			p.Good(tap, "the router says what the subnet says", "tcpdump on "+tap.Device)
		}
	}
}

// notManaged reports a subnet of DHCPv6 whose router does not send guests there.
func notManaged(p *commands.Pass, b commands.Branch, s runners.Subnet) {
	tap, _ := p.Path.Tap()
	for _, f := range p.Packets.Seen[tap].Frames {
		if f.Exchange == capture.DHCPv6 && !f.Reply {
			return // it asks all the same
		}
	}
	p.Report(commands.Finding{
		State: commands.Probable, Node: tap.Node, Exchange: capture.DHCPv6,
		Edge: commands.Edge{From: commands.Hop{Node: tap.Node, Device: p.Server.Name}, To: tap, Direction: commands.Request},
		Summary: fmt.Sprintf("%s gives its addresses by DHCPv6 (%s), and the router advertises without the managed flag, so %s does not ask for one",
			s.CIDR, s.AddressMode, p.Server.Name),
		Missing:  "whether the guest would ask if it were told to: it sent no DHCPv6 while whybot listened",
		Evidence: []commands.Evidence{p.Frames(tap)},
		Advice:   routerAdvice(b),
	})
}

// notOffered reports a subnet in which guests make their own addresses and whose
// prefix is not advertised for that.
func notOffered(p *commands.Pass, b commands.Branch, s runners.Subnet, prefix netip.Prefix, heard []*capture.Router) {
	tap, _ := p.Path.Tap()
	said := make([]string, 0, len(heard))
	for _, r := range heard {
		if r.Offers(prefix) {
			p.Good(tap, "the router offers "+prefix.String(), "tcpdump on "+tap.Device)
			return
		}
		said = append(said, r.String())
	}
	hops := p.Path.Flow(b)
	p.Report(commands.Finding{
		State: commands.Proven, Node: b.Node, Branch: b.Node, Exchange: capture.RA,
		Edge: commands.Edge{From: hops[len(hops)-1], To: tap, Direction: commands.Reply},
		Summary: fmt.Sprintf("Guests make their own addresses in %s (%s), and the router's advertisements do not offer that prefix for it: %s",
			s.CIDR, s.AddressMode, strings.Join(said, "; ")),
		Evidence: []commands.Evidence{p.Frames(tap)},
		Advice:   routerAdvice(b),
	})
}

func routerAdvice(b commands.Branch) []string {
	if b.Node == "" {
		return []string{"The router is outside (" + b.Beyond + "): its configuration and the subnet's modes must say the same. The modes of a subnet cannot be changed later."}
	}
	return []string{"Neutron writes the router's radvd configuration from the subnet's modes: restart neutron-l3-agent on " + b.Node + ", and look whether another router advertises here too."}
}
