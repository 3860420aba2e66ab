package diagnose

import (
	"fmt"
	"slices"
	"strings"

	"whybot/commands"
	"whybot/commands/capture"
	"whybot/runners"
)

// A crossing is the way of a branch's frames from one node to another, in one
// direction.
type crossing struct {
	branch    commands.Branch
	direction commands.Direction
	// from and to are the NICs of the two nodes.
	from, to commands.Hop
}

// crossings are the ways between the NICs of nodes, as frames take them.
func crossings(p *commands.Pass) []crossing {
	var all []crossing
	for _, b := range p.Path.Branches {
		isNIC := func(h commands.Hop) bool { return h.Kind == commands.HopNIC }
		near, far := slices.IndexFunc(p.Path.Guest, isNIC), slices.IndexFunc(b.Hops, isNIC)
		if b.Local || near < 0 || far < 0 {
			continue
		}
		here, there := p.Path.Guest[near], b.Hops[far]
		all = append(all, crossing{b, commands.Request, here, there}, crossing{b, commands.Reply, there, here})
	}
	return all
}

// out is the edge of frames from the sending NIC into its switch, and in the one
// from the other switch to its NIC.
func (c crossing) out(v commands.VSwitchPort) commands.Edge {
	return commands.Edge{From: v.NIC, To: v.Hop, Direction: c.direction}
}

func (c crossing) in(v commands.VSwitchPort) commands.Edge {
	return commands.Edge{From: v.Hop, To: v.NIC, Direction: c.direction}
}

// frames are those of the crossing that a NIC shows.
func (c crossing) frames(p *commands.Pass, nic commands.Hop) []capture.Frame {
	if p.Packets == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(p.Packets.Seen[nic].Frames), func(f capture.Frame) bool {
		return f.Reply != (c.direction == commands.Reply) || f.Reply && !c.branch.Sent(f)
	})
}

// lost reports whether frames were seen to end between the two NICs, and nowhere
// else that is not looked at.
func (c crossing) lost(p *commands.Pass) bool {
	if p.Packets == nil {
		return false
	}
	return slices.ContainsFunc(c.branch.Exchanges, func(e commands.Exchange) bool {
		f := p.Packets.Trace(p.Path, c.branch, e)
		return f.State == commands.FlowLost && f.Edge == commands.Edge{From: c.from, To: c.to, Direction: c.direction}
	})
}

// toOne reports whether frames were seen to leave, and all of them for one
// receiver.
func (c crossing) toOne(p *commands.Pass) bool {
	sent := c.frames(p, c.from)
	return len(sent) > 0 && !slices.ContainsFunc(sent, func(f capture.Frame) bool { return f.DstMAC == commands.Broadcast })
}

// crossed reports whether frames were seen to come out at the other node.
func (c crossing) crossed(p *commands.Pass) bool { return len(c.frames(p, c.to)) > 0 }

// own is what became of the sending node's own frames.
func (c crossing) own(p *commands.Pass) (commands.Control, []commands.Evidence) {
	return p.OwnFrames(c.from.Node, c.to.Node)
}

// withoutOwn is what is missing while nobody knows whether the node's own frames
// pass; empty when they do.
func (c crossing) withoutOwn(p *commands.Pass) string {
	switch own, _ := c.own(p); own {
	case commands.ControlPassed:
		return ""
	case commands.ControlLost:
		return fmt.Sprintf("why frames of %s's own address do not reach %s either: the VLAN on a port group or a physical switch port", c.from.Node, c.to.Node)
	default:
		return fmt.Sprintf("whether frames of %s's own address reach %s on this VLAN: that tells it from a VLAN that ends on the way", c.from.Node, c.to.Node)
	}
}

// lines are the frames at both ends and what the switch says, as evidence.
func (c crossing) lines(p *commands.Pass, v commands.VSwitchPort) []commands.Evidence {
	all := []commands.Evidence{policyEvidence(v)}
	if p.Packets != nil {
		for _, nic := range []commands.Hop{c.from, c.to} {
			all = append(all, commands.Evidence{Source: nic.Node + ": tcpdump on " + nic.Device, Text: p.Packets.Lines(nic, 6)})
		}
	}
	_, own := c.own(p)
	return append(all, own...)
}

// policyEvidence is what vCenter says of a port.
func policyEvidence(v commands.VSwitchPort) commands.Evidence {
	if v.Err != nil {
		return commands.Evidence{Source: "vCenter: " + v.NIC.String(), Text: v.Err.Error() + "\n"}
	}
	g := v.Card.Group
	text := fmt.Sprintf("machine %s, %s %s on port group %s of %s\n", v.Machine.Name, v.Card.Label, v.Card.MAC, g.Name, g.Switch)
	for _, s := range []struct {
		what string
		is   runners.VSetting
	}{{"forged transmits", g.Forged}, {"promiscuous mode", g.Promiscuous}, {"MAC changes", g.MACChanges}} {
		text += s.what + ": " + setting(s.is) + "\n"
	}
	if l, known := g.Learning.Get(); known {
		text += fmt.Sprintf("MAC learning: %t\n", l.Enabled)
	}
	if vlans, known := g.VLANs.Get(); known {
		text += "VLANs: " + vlanText(vlans) + "\n"
	}
	return commands.Evidence{Source: "vCenter: port of " + v.NIC.String(), Text: text}
}

func setting(s runners.VSetting) string {
	allowed, known := s.Allowed.Get()
	switch {
	case !known:
		return "not known (" + s.Allowed.Why() + ")"
	case allowed:
		return "accept, by the " + s.From
	}
	return "reject, by the " + s.From
}

func vlanText(v runners.VLANs) string {
	if v.Trunk == nil {
		return fmt.Sprintf("%d, and no tags of guests", v.ID)
	}
	ranges := make([]string, 0, len(v.Trunk))
	for _, r := range v.Trunk {
		ranges = append(ranges, fmt.Sprintf("%d-%d", r.From, r.To))
	}
	return "trunk of " + strings.Join(ranges, ", ")
}

// where names a port group for a person.
func where(v commands.VSwitchPort) string {
	g := v.Card.Group
	name := fmt.Sprintf("port group %q of %s", commands.Clean(g.Name, 80), commands.Clean(g.Switch, 80))
	if g.Host != "" {
		name += " on " + commands.Clean(g.Host, 80)
	}
	return name
}

// why is why a fact of a port is not known.
func why(v commands.VSwitchPort, of string) string {
	if e, ok := v.Err.(*runners.Error); ok { //nolint:errorlint // it is set to one
		return e.Why()
	}
	return of
}

// firmly is the state of a finding: proven when nothing is missing.
func firmly(f commands.Finding, missing string) commands.Finding {
	f.State = commands.Proven
	if missing != "" {
		f.State, f.Missing = commands.Probable, missing
	}
	return f
}

// unreadSwitches are the switches that could not be asked about, as far as frames
// may end there.
func unreadSwitches(p *commands.Pass) []error {
	var errs []error
	for _, c := range crossings(p) {
		v, ok := p.VSwitchPort(c.from.Node)
		if ok && v.Err != nil && (p.Packets == nil || c.lost(p)) {
			errs = append(errs, v.Err)
		}
		if v, ok = p.VSwitchPort(c.to.Node); ok && v.Err != nil && (p.Packets == nil || c.lost(p)) {
			errs = append(errs, v.Err)
		}
	}
	return errs
}
