package diagnose

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"whybot/commands"
	"whybot/commands/capture"
	"whybot/commands/fix"
	"whybot/commands/node"
	"whybot/runners"
)

// VLANMismatch is DHCP-19: the sub-interface of the network carries another
// VLAN than Neutron's, or hangs on another NIC.
var VLANMismatch = register(&commands.Diagnosis{
	Name:  "DHCP-19",
	Title: "The sub-interface carries another VLAN than the network",
	Doc: `The device that has the sub-interface's name is a VLAN link with another id than
the network's segmentation id, and the other end of the path carries a third
one or the right one. Two ends that are wrong alike reach one another. A device
that has only the name, and is no VLAN link, says nothing.`,
	Explains: alongTheWay,
	Probes: func(s commands.Scope) []runners.Probe {
		return append(linkProbes(s), runners.Probe{Name: "vlan-module", Argv: []string{"test", "-d", "/proc/net/vlan"}})
	},
	Run: func(_ context.Context, p *commands.Pass) error {
		want, ok := p.Port.Network.SegmentationID.Get()
		if !ok || p.Port.Network.Type.Or("") != "vlan" {
			return nil
		}
		return vlanIDs(p, want)
	},
})

// A segmentEnd is the network's sub-interface at one end of a branch.
type segmentEnd struct {
	hop, nic commands.Hop
	edge     commands.Edge // between the two, as a request goes
	link     node.Link
	known    bool // the link was read and is a VLAN
}

func vlanIDs(p *commands.Pass, want int) error {
	var errs []error
	var found []commands.Finding
	for _, b := range p.Path.Branches {
		if b.Local {
			continue // nothing leaves the node
		}
		near, err := segmentOf(p, p.Path.Guest)
		errs = append(errs, err)
		far, err := segmentOf(p, b.Hops)
		errs = append(errs, err)
		found = append(found, mismatch(p, b, near, far, want)...)
		if f, ok := wrongTag(p, b, near, want); ok && !near.known {
			found = append(found, f)
		}
		found = append(found, mismatch(p, b, far, near, want)...)
		for _, e := range []segmentEnd{near, far} {
			if e.known && e.link.VLAN == want && !otherParent(e) {
				p.Good(e.hop, fmt.Sprintf("%s carries VLAN %d of %s", e.hop.Device, want, e.link.Parent), "ip -d link")
			}
		}
	}
	for _, f := range wholePath(p, found) {
		p.Report(f)
	}
	return errors.Join(errs...)
}

// segmentOf returns the sub-interface among the hops of one node.
func segmentOf(p *commands.Pass, hops []commands.Hop) (segmentEnd, error) {
	at := slices.IndexFunc(hops, func(h commands.Hop) bool { return h.Kind == commands.HopSegment })
	on := slices.IndexFunc(hops, func(h commands.Hop) bool { return h.Kind == commands.HopNIC })
	if at < 0 || on < 0 {
		return segmentEnd{}, nil
	}
	e := segmentEnd{hop: hops[at], nic: hops[on], edge: commands.Edge{From: hops[min(at, on)], To: hops[max(at, on)], Direction: commands.Request}}
	links, err := p.Links(e.hop.Node)
	if err != nil {
		return e, err
	}
	e.link = links[e.hop.Device]
	e.known = e.link.Kind == "vlan" && e.link.VLAN != 0
	return e, nil
}

// otherParent reports whether a sub-interface hangs on another NIC than the
// agent's mapping says. A parent that the node shows by number only is not
// known.
func otherParent(e segmentEnd) bool {
	return e.known && e.link.Parent != "" && !strings.HasPrefix(e.link.Parent, "if") && e.link.Parent != e.nic.Device
}

// mismatch is what is wrong with one end of a branch, in the light of the
// other.
func mismatch(p *commands.Pass, b commands.Branch, e, other segmentEnd, want int) []commands.Finding {
	if !e.known || e.link.VLAN == want && !otherParent(e) {
		return nil
	}
	f := commands.Finding{
		State: commands.Proven, Node: e.hop.Node, Branch: b.Node, Edge: e.edge,
		Summary: fmt.Sprintf("%s on %s carries VLAN %d of %s; network %s is VLAN %d of %s",
			e.hop.Device, e.hop.Node, e.link.VLAN, e.link.Parent, p.Port.Network.Name, want, e.nic.Device),
		Evidence: []commands.Evidence{linkEvidence(p, e.hop.Node, e.hop.Device)},
		Advice:   []string{"neutron-linuxbridge-agent takes a device that has the right name as it is, so restarting it does not repair this. Find out who made " + e.hop.Device + ": an ifcfg or netplan file may make it again."},
	}
	switch {
	case e.link.VLAN == want:
		f.State, f.Missing = commands.Probable, fmt.Sprintf("whether %s leads to the same physical network as %s", e.link.Parent, e.nic.Device)
		return []commands.Finding{f}
	case other.known && other.link.VLAN == e.link.VLAN:
		f.Aside = true
		f.Summary += fmt.Sprintf("; %s is the same at %s, so the two reach one another", other.hop.Device, other.hop.Node)
	case !other.known && !lostOn(p, b, e.edge):
		f.State, f.Missing = commands.Probable, "which VLAN "+other.hop.String()+" carries, or frames that end here"
	}
	if !otherParent(e) && !f.Aside && e.link.Master != "" {
		f.Fixes = []commands.Suggestion{{Fix: fix.RecreateSegment, Node: e.hop.Node, Args: map[string]string{
			"device": e.hop.Device, "parent": e.nic.Device, "vlan": strconv.Itoa(want), "was": strconv.Itoa(e.link.VLAN), "master": e.link.Master,
		}}}
	}
	return []commands.Finding{f}
}

// wrongTag is the finding for a guest's frames that leave its node with another
// tag, and do not come back under it. What makes them so is not known: the device
// that has the sub-interface's name does not say what it is.
func wrongTag(p *commands.Pass, b commands.Branch, e segmentEnd, want int) (commands.Finding, bool) {
	if p.Packets == nil || !lostOn(p, b, e.edge) {
		return commands.Finding{}, false
	}
	at := slices.IndexFunc(p.Packets.Seen[e.nic].Strays, func(f capture.Frame) bool { return !f.Reply && f.SrcMAC == p.Port.Port.MAC })
	if at < 0 {
		return commands.Finding{}, false
	}
	stray := p.Packets.Seen[e.nic].Strays[at]
	return commands.Finding{
		State: commands.Probable, Node: e.hop.Node, Branch: b.Node, Edge: e.edge,
		Summary: fmt.Sprintf("The guest's frames pass %s with tag %d; network %s is VLAN %d", e.nic, stray.VLAN, p.Port.Network.Name, want),
		Missing: "what " + e.hop.Device + " is: ip -d link does not show it as a VLAN link",
		Evidence: []commands.Evidence{
			linkEvidence(p, e.hop.Node, e.hop.Device),
			{Source: e.nic.Node + ": tcpdump on " + e.nic.Device, Text: stray.String() + "\n"},
		},
		Advice: []string{"Find out who made " + e.hop.Device + " on " + e.hop.Node + " and with which tag."},
	}, true
}

// lostOn reports whether the frames of b were seen to end on an edge.
func lostOn(p *commands.Pass, b commands.Branch, e commands.Edge) bool {
	if p.Packets == nil {
		return false
	}
	return slices.ContainsFunc(b.Exchanges, func(x commands.Exchange) bool {
		f := p.Packets.Trace(p.Path, b, x)
		return f.State == commands.FlowLost && commands.Within(p.Path.Flow(b), e, f.Edge)
	})
}

// wholePath makes one finding of those that say the same of every branch.
func wholePath(p *commands.Pass, found []commands.Finding) []commands.Finding {
	var out []commands.Finding
	for _, f := range found {
		same := func(g commands.Finding) bool { return g.Node == f.Node && g.State == f.State && g.Aside == f.Aside }
		if slices.ContainsFunc(out, same) {
			continue
		}
		alike := slices.DeleteFunc(slices.Clone(found), func(g commands.Finding) bool { return !same(g) })
		if f.Node == p.Path.Node && len(alike) == len(p.Path.Branches) {
			f.Branch = ""
			out = append(out, f)
			continue
		}
		out = append(out, alike...)
	}
	return out
}
