package diagnose

import (
	"context"
	"fmt"
	"slices"

	"whybot/commands"
	"whybot/commands/capture"
	"whybot/commands/fix"
)

// BadChecksum is DHCP-23: the guest does not take offers, because their UDP
// checksum is wrong.
var BadChecksum = register(&commands.Diagnosis{
	Name:  "DHCP-23",
	Title: "Replies reach the guest with a bad UDP checksum",
	Doc: `A sender may leave the checksum to its card, and a local capture then shows a
wrong one; a guest whose kernel knows that takes the frame all the same. So a
bad checksum alone is nothing: every reply that reached the tap must have one,
the guest must go on with DISCOVERs after offers, and have acknowledged none.`,
	Explains: []commands.Kind{commands.KindDHCP},
	Run: func(_ context.Context, p *commands.Pass) error {
		tap, ok := p.Path.Tap()
		if !ok || p.Packets == nil || !listened(p, tap) {
			return nil
		}
		for _, b := range p.Path.Of(capture.DHCP) {
			if f, ok := unread(p, b, tap); ok {
				p.Report(f)
			}
		}
		return nil
	},
})

// retries is how many DISCOVERs after an offer say that it is not taken.
const retries = 2

// unread is the finding for a guest that does not take b's replies.
func unread(p *commands.Pass, b commands.Branch, tap commands.Hop) (commands.Finding, bool) {
	bad, good, again, asked := checksums(p.Packets.Seen[tap].Frames, b)
	served := p.Packets.Trace(p.Path, b, capture.DHCP).State == commands.FlowDelivered
	switch {
	case bad == 0 && good > 0:
		p.Good(tap, "the replies have good UDP checksums", "tcpdump on "+tap.Device)
		return commands.Finding{}, false
	case bad > 0 && served:
		p.Good(tap, "the guest takes replies whose UDP checksum is left to the card", "tcpdump on "+tap.Device)
		return commands.Finding{}, false
	case bad == 0 || good > 0 || asked || again == 0:
		return commands.Finding{}, false
	}
	f := commands.Finding{
		State: commands.Proven, Node: tap.Node, Branch: b.Node, Exchange: capture.DHCP,
		Edge: commands.Edge{From: tap, To: commands.Hop{Node: tap.Node, Device: p.Server.Name}, Direction: commands.Reply},
		Summary: fmt.Sprintf("All %d replies of %s reach %s with a bad UDP checksum, and %s goes on asking: %d DISCOVERs after the first offer, and no REQUEST",
			bad, b.Node, tap, p.Server.Name, again),
		Evidence: []commands.Evidence{p.Frames(tap)},
	}
	if again < retries || strangers(p, tap) {
		f.State, f.Missing = commands.Probable, fmt.Sprintf("%d DISCOVERs after the offers of this server alone, or what the guest says of them (dhclient counts \"bad udp checksums\")", retries)
	}
	if b.Local { // the card never sums up what stays on its node, and most guests know
		f.State, f.Missing = commands.Probable, "what the guest says of the offers (dhclient counts \"bad udp checksums\"): on one node every reply looks like that"
	}
	spoiled(p, b, &f)
	return f, true
}

// checksums counts the replies of b's server by their checksum, and the
// DISCOVERs after the first bad one. asked says that the guest took an offer
// up.
func checksums(frames []capture.Frame, b commands.Branch) (bad, good, again int, asked bool) {
	for _, f := range frames {
		switch {
		case f.Exchange != capture.DHCP:
		case f.Reply && b.Sent(f) && f.Checksum == capture.ChecksumBad:
			bad++
		case f.Reply && b.Sent(f):
			good++ // or one that tells nothing: no guest minds that
		case bad > 0 && f.Type == "Discover":
			again++
		case bad > 0 && f.Type == "Request":
			asked = true
		}
	}
	return bad, good, again, asked
}

// strangers reports whether anybody but Neutron's servers answered at h.
func strangers(p *commands.Pass, h commands.Hop) bool {
	return slices.ContainsFunc(p.Packets.Seen[h].Frames, func(f capture.Frame) bool {
		return f.Exchange == capture.DHCP && f.Reply && !neutrons(p, f)
	})
}

// spoiled says where the checksum goes wrong: at the server, which leaves it to
// a card that is none, or on the way. Only the first can be put right. It goes
// from the guest to the server: a wrong one at a server's tap is nothing when
// the next hop has it right.
func spoiled(p *commands.Pass, b commands.Branch, f *commands.Finding) {
	flow := p.Path.Flow(b)
	server, inside := b.Hops[len(b.Hops)-3], b.Hops[len(b.Hops)-2]
	wrong := flow[0]
	for _, h := range flow {
		bad, good, _, _ := checksums(p.Packets.Seen[h].Frames, b)
		if good > 0 && listened(p, h) {
			f.Evidence = append(f.Evidence, p.Frames(h))
			f.Summary += fmt.Sprintf(". They are right at %s and wrong at %s", h, wrong)
			f.Advice = []string{"Something between " + h.String() + " and " + wrong.String() + " spoils checksums: look at the offloads of the NICs there (ethtool -k) and at their drivers."}
			return
		}
		if bad > 0 {
			wrong = h
		}
	}
	if wrong != server {
		f.Advice = []string{"Where on the way they go wrong was not seen."}
		return
	}
	f.Evidence = append(f.Evidence, p.Frames(server))
	f.Summary += fmt.Sprintf(". They leave %s so: %s leaves them to a card", server, inside)
	f.Fixes = []commands.Suggestion{{Fix: fix.FillChecksums, Node: b.Node, Args: map[string]string{"network": p.Port.Network.ID, "device": inside.Device}}}
	f.Advice = []string{"neutron-dhcp-agent has an iptables rule in the namespace fill checksums in (mangle POSTROUTING, CHECKSUM --checksum-fill): if it is missing, something has flushed the tables there; restarting the agent puts it back."}
}
