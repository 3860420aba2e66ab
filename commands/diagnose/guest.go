package diagnose

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"whybot/commands"
	"whybot/commands/node"
	"whybot/runners"
)

// GuestSilent is DHCP-42: the guest does not ask.
var GuestSilent = register(&commands.Diagnosis{
	Name:  "DHCP-42",
	Title: "The guest does not ask for an address",
	Doc: `Nova says that it does not run (shut off, paused, suspended, shelved, never
built). Or its tap has no carrier (no process holds the guest's side), or in
the whole window the tap received nothing at all from the guest. A guest that sends
other traffic but no DHCP, and does not answer for its address, is probable
only: it may be between two tries. One that answers has no reason to ask.`,
	Explains: []commands.Kind{commands.KindDHCP},
	Probes:   linkProbes,
	Run: func(_ context.Context, p *commands.Pass) error {
		if p.GuestOff() {
			p.Report(guestOff(p))
			return nil
		}
		tap, ok := p.Path.Tap()
		if !ok {
			return nil
		}
		links, err := p.Links(tap.Node)
		if err != nil {
			return err
		}
		l, ok := links[tap.Device]
		if !ok {
			return unplugged(p, tap)
		}
		if l.Up && !l.Carrier {
			p.Report(guestFinding(p, fmt.Sprintf("%s on %s is up but has no carrier: nothing on the guest's side is plugged in", tap.Device, tap.Node)))
			return nil
		}
		return silence(p, tap)
	},
})

// unplugged reports a guest in a state in which Nova may not have started it, and
// whose tap is not on its node; of any other guest a missing tap says too little.
func unplugged(p *commands.Pass, tap commands.Hop) error {
	missing := map[string]string{
		"ERROR": "what Nova's error left of it: openstack server event list " + p.Server.ID,
		"BUILD": "the end of its building: Nova may plug it in any moment; ask again then",
	}[p.Server.Status]
	if missing == "" {
		return absent(p, tap)
	}
	f := guestFinding(p, fmt.Sprintf("%s is in %s and %s is not on %s: it does not run there", p.Server.Name, p.Server.Status, tap.Device, tap.Node))
	f.State, f.Missing = commands.Probable, missing
	if p.Server.Fault != "" {
		f.Summary += "; Nova's last error: " + commands.Clean(p.Server.Fault, 200)
	}
	p.Report(f)
	return nil
}

// guestOff is the finding for a guest of which Nova says that it does not run. A
// tap that is up all the same contradicts that, unless it is only paused.
func guestOff(p *commands.Pass) commands.Finding {
	s := p.Server
	f := commands.Finding{
		State: commands.Proven, Node: p.Path.Node,
		Summary:  fmt.Sprintf("%s is %s: it asks for nothing", s.Name, s.Status),
		Evidence: []commands.Evidence{{Source: "nova: GET servers/" + s.ID, Text: fmt.Sprintf("status %s, task_state %s\n", s.Status, cmp.Or(s.TaskState, "none"))}},
	}
	if s.Fault != "" {
		f.Summary += "; Nova's last error: " + commands.Clean(s.Fault, 200)
	}
	if how := wake[s.Status]; how != "" {
		f.Advice = []string{"If it is meant to run: openstack server " + how + " " + s.ID}
	}
	tap, ok := p.Path.Tap()
	if !ok {
		if s.Status == "BUILD" {
			f.State, f.Missing = commands.Probable, "the end of its building: Nova has put it on no node yet"
		}
		return f
	}
	f.Edge = commands.Edge{From: commands.Hop{Node: tap.Node, Device: s.Name}, To: tap, Direction: commands.Request}
	if s.Status == "PAUSED" {
		return f
	}
	links, err := p.Links(tap.Node)
	if l, there := links[tap.Device]; err != nil || there && l.Carrier {
		f.State, f.Missing = commands.Probable, fmt.Sprintf("whether it really is off: %s is up on %s", tap.Device, tap.Node)
		if err != nil {
			f.Missing = fmt.Sprintf("whether its tap is gone from %s, which could not be read", tap.Node)
		}
	}
	return f
}

// wake is what makes a guest run again, by Nova's status.
var wake = map[string]string{
	"SHUTOFF": "start", "PAUSED": "unpause", "SUSPENDED": "resume", "SHELVED": "unshelve", "SHELVED_OFFLOADED": "unshelve", "SOFT_DELETED": "restore",
}

// longEnough is the least time in which a guest that asks has asked: clients
// try again after at most 9 s or so while they are at it.
const longEnough = 8 * time.Second

// silence reports a guest whose tap received nothing in the packet stage.
func silence(p *commands.Pass, tap commands.Hop) error {
	if p.Packets == nil {
		return nil
	}
	if s := p.Packets.Seen[tap]; s.Err != nil {
		return s.Err
	}
	if p.Packets.Took < longEnough {
		return nil // ended early: no time to be silent in
	}
	requests, _ := p.Packets.Count(tap)
	if requests > 0 {
		p.Good(tap, fmt.Sprintf("the guest asks: %d requests at its tap", requests), "tcpdump on "+tap.Device)
		return nil
	}
	switch p.Packets.Holder {
	case "":
	case p.Port.Port.MAC:
		return nil // it has its address and no reason to ask
	default:
		p.Remark(fmt.Sprintf("%s answers for the guest's address, not the guest (%s): the address is in use twice.", p.Packets.Holder, p.Port.Port.MAC))
	}
	before, after := p.Packets.TapBefore, p.Packets.TapAfter
	if before == nil || after == nil {
		return &runners.Error{Kind: runners.Invalid, Runner: "ssh", Target: tap.Node, Op: "counters of " + tap.Device, Hint: "could not be read twice"}
	}
	links, err := p.Links(tap.Node)
	if err != nil {
		return err
	}
	// Only a guest that was asked for its address, and to which something was
	// delivered since, has been heard to hold none.
	asked := p.Packets.Asked && after.TXPackets > links[tap.Device].TXPackets
	f, ok := quiet(p, after.RXPackets-before.RXPackets, after.RXPackets, asked)
	if !ok {
		return nil
	}
	f.Evidence = append(f.Evidence, p.Frames(tap))
	f.Yields = true // it may only be between two tries
	p.Report(f)
	return nil
}

// quiet is the finding for a guest that sent so many frames in the window, none
// of them DHCP; none when that says nothing.
func quiet(p *commands.Pass, sent, counter uint64, asked bool) (commands.Finding, bool) {
	tap, seconds := p.Path.Guest[0], p.Packets.Took.Seconds()
	if sent > 0 {
		f := guestFinding(p, fmt.Sprintf("the guest sent %d frames in %.0f s, none of them DHCP from %s, and does not answer for its address", sent, seconds, p.Port.Port.MAC))
		f.State, f.Missing = commands.Probable, "whether it will ask at all, and from which MAC: it may be between two tries, or use another address than its port's; renew the lease from its console and ask again"
		return f, asked
	}
	f := guestFinding(p, fmt.Sprintf("%s received no frame at all from the guest in %.0f s (its counter stayed at %d)", tap, seconds, counter))
	if !asked {
		f.State, f.Missing = commands.Probable, "whether it holds its address all the same: it could not be asked from the DHCP namespace"
	}
	return f, true
}

func guestFinding(p *commands.Pass, summary string) commands.Finding {
	tap := p.Path.Guest[0]
	return commands.Finding{
		State: commands.Proven, Node: tap.Node, Summary: summary,
		Edge:     commands.Edge{From: commands.Hop{Node: tap.Node, Device: p.Server.Name}, To: tap, Direction: commands.Request},
		Evidence: []commands.Evidence{p.Evidence(tap.Node, node.LinksProbe(), linkEvidence(p, tap.Node, tap.Device).Text)},
		Advice: []string{
			"Look inside the guest: is it running (status " + p.Server.Status + "), has it a driver for its NIC, is it set to a static address? Its console log shows.",
		},
	}
}
