package diagnose

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"whybot/commands"
	"whybot/commands/fix"
	"whybot/commands/node"
	"whybot/runners"
)

// TapNotInBridge is DHCP-16: the tap of the guest or of the DHCP server is in
// no bridge, or in another one.
var TapNotInBridge = register(&commands.Diagnosis{
	Name:  "DHCP-16",
	Title: "The tap is not in the bridge of its network",
	Doc: `The tap exists and its master is not the network's bridge. A tap that does not
exist at all is another matter (the guest is not plugged on this node).`,
	Explains: alongTheWay,
	Probes:   linkProbes,
	Run: func(_ context.Context, p *commands.Pass) error {
		return eachHop(p, commands.HopTap, func(h, bridge commands.Hop, branch string, links node.Links) error {
			l, ok := links[h.Device]
			if !ok {
				return absent(p, h)
			}
			if l.Master == bridge.Device {
				p.Good(h, fmt.Sprintf("%s is in %s", h.Device, bridge.Device), "ip -d link")
				return nil
			}
			p.Report(outOfBridge(p, h, bridge, branch, l))
			return nil
		})
	},
})

// SegmentNotInBridge is DHCP-17: the VLAN sub-interface (or the flat NIC, or
// the VXLAN device) of the network is missing, or not in its bridge.
var SegmentNotInBridge = register(&commands.Diagnosis{
	Name:  "DHCP-17",
	Title: "The network's segment is not connected to its bridge",
	Doc: `The sub-interface named by the L2 agent's interface mapping and the VLAN id is
missing or has another master. Without the mapping the name is not known and
nothing is said.`,
	Explains: alongTheWay,
	Probes: func(s commands.Scope) []runners.Probe {
		return append(linkProbes(s), runners.Probe{Name: "vlan-module", Argv: []string{"test", "-d", "/proc/net/vlan"}})
	},
	Run: func(_ context.Context, p *commands.Pass) error {
		check := func(h, bridge commands.Hop, branch string, links node.Links) error {
			l, ok := links[h.Device]
			switch {
			case !ok:
				p.Report(missingSegment(p, h, bridge, branch))
			case l.Master != bridge.Device:
				p.Report(outOfBridge(p, h, bridge, branch, l))
			default:
				p.Good(h, fmt.Sprintf("%s is in %s", h.Device, bridge.Device), "ip -d link")
			}
			return nil
		}
		if p.Port.Network.Type.Or("") == "flat" {
			return eachHop(p, commands.HopNIC, check)
		}
		return eachHop(p, commands.HopSegment, check)
	},
})

// LinkDown is DHCP-18: a link of the path is down, or its NIC has no carrier.
var LinkDown = register(&commands.Diagnosis{
	Name:  "DHCP-18",
	Title: "A link on the path is down",
	Doc: `Administratively down, or up without carrier (cable, or the virtual NIC
disconnected). A tap whose port is set down in Neutron is down for that. The
guest's own tap without carrier is the guest's affair (DHCP-42).`,
	Explains: alongTheWay,
	Probes:   linkProbes,
	Run: func(_ context.Context, p *commands.Pass) error {
		var errs []error
		for _, kind := range []commands.HopKind{commands.HopTap, commands.HopBridge, commands.HopSegment, commands.HopNIC} {
			errs = append(errs, eachHop(p, kind, func(h, _ commands.Hop, branch string, links node.Links) error {
				return linkState(p, h, branch, links)
			}))
		}
		return errors.Join(errs...)
	},
})

func linkProbes(commands.Scope) []runners.Probe { return []runners.Probe{node.LinksProbe()} }

// linkState reports a link of the path that is down. A missing link is said
// by the diagnosis that owns its kind.
func linkState(p *commands.Pass, h commands.Hop, branch string, links node.Links) error {
	l, ok := links[h.Device]
	guests := h == p.Path.Guest[0]
	f := commands.Finding{
		State: commands.Proven, Node: h.Node, Branch: branch, Edge: edgeInto(p, lostAt(p, h), branch),
		Evidence: []commands.Evidence{linkEvidence(p, h.Node, h.Device)},
	}
	switch {
	case !ok, h.Kind == commands.HopNIC && !onPath(p, h, links):
		return nil
	case h.Kind == commands.HopSegment && parentDown(l, links):
		return nil // it cannot be up then, and follows its NIC
	case !l.Up:
		setDown(p, h, &f)
	case !l.Carrier && (h.Kind == commands.HopNIC || h.Kind == commands.HopSegment):
		f.Summary = fmt.Sprintf("%s on %s is up but has no carrier", h.Device, h.Node)
		f.Advice = []string{"No command on " + h.Node + " brings a carrier back: look at the cable, the switch port, or whether the virtual NIC is connected."}
	case !l.Carrier && h.Kind == commands.HopTap && !guests:
		f.Summary = fmt.Sprintf("%s on %s is up but has no carrier: its other end, inside the namespace, is down", h.Device, h.Node)
	default:
		if !guests {
			p.Good(h, h.Device+" is up", "ip -d link")
		}
		return nil
	}
	p.Report(f)
	return nil
}

// setDown says who set a link down, as far as is known, and what sets it up.
func setDown(p *commands.Pass, h commands.Hop, f *commands.Finding) {
	id := portSetDown(p, h)
	if id == "" {
		f.Summary = fmt.Sprintf("%s on %s is set down", h.Device, h.Node)
		f.Fixes = []commands.Suggestion{{Fix: fix.LinkUp, Node: h.Node, Args: map[string]string{"device": h.Device}}}
		return
	}
	f.Summary = fmt.Sprintf("%s on %s is down because its port is set down in Neutron (admin_state_up false)", h.Device, h.Node)
	f.Evidence = append(f.Evidence, commands.Evidence{Source: "neutron: GET ports/" + id, Text: `"admin_state_up": false` + "\n"})
	f.Fixes = []commands.Suggestion{{Fix: fix.PortUp, Args: map[string]string{"id": id, "device": h.Device}}}
	f.Advice = []string{"Setting the link up on the node does not last: the L2 agent sets it down again."}
}

// portSetDown returns the id of the port that a tap belongs to if Neutron has it
// set down.
func portSetDown(p *commands.Pass, h commands.Hop) string {
	if h.Kind != commands.HopTap {
		return ""
	}
	ports := append([]runners.Port{p.Port.Port}, p.Port.DHCPPorts...)
	if p.Peer != nil {
		ports = append(ports, p.Peer.Port.Port)
	}
	for _, port := range ports {
		if commands.TapName(port.ID) == h.Device && !port.AdminUp {
			return port.ID
		}
	}
	return ""
}

// lostAt is the hop that a guest's frames do not get onto when h is down: a
// segment stops with its NIC, and the bridge sends nothing out of it then.
func lostAt(p *commands.Pass, h commands.Hop) commands.Hop {
	if _, tunnel := p.Path.Tunnels[h.Node]; tunnel {
		return h // a VXLAN device goes on taking frames
	}
	if segments := p.Path.On(h.Node, commands.HopSegment); h.Kind == commands.HopNIC && h.Node == p.Path.Node && len(segments) > 0 {
		return segments[0]
	}
	return h
}

// parentDown reports whether the link below l is set down.
func parentDown(l node.Link, links node.Links) bool {
	parent, ok := links[l.Parent]
	return ok && !parent.Up
}

// onPath reports whether a NIC carries the network's segment: it is the flat
// uplink itself, what the node says is below its tunnel, or the parent of the
// sub-interface.
func onPath(p *commands.Pass, nic commands.Hop, links node.Links) bool {
	if _, tunnel := p.Path.Tunnels[nic.Node]; tunnel || p.Port.Network.Type.Or("") == "flat" {
		return true
	}
	for _, seg := range p.Path.On(nic.Node, commands.HopSegment) {
		if l, ok := links[seg.Device]; ok && l.Parent == nic.Device {
			return true
		}
	}
	return false
}

// eachHop calls check for every hop of a kind whose node could be read, with
// the bridge it belongs to and the branch it cuts ("" for the guest's part).
func eachHop(p *commands.Pass, kind commands.HopKind, check func(h, bridge commands.Hop, branch string, links node.Links) error) error {
	var errs []error
	visited := map[commands.Hop]bool{} // two servers on a node share its bridge and wire
	visit := func(hops []commands.Hop, branch string) {
		for _, h := range hops {
			if h.Kind != kind || visited[h] {
				continue
			}
			visited[h] = true
			links, err := p.Links(h.Node)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			errs = append(errs, check(h, p.Path.Bridge(h.Node), branch, links))
		}
	}
	if !p.GuestOff() { // what only it needs is taken away with it
		visit(p.Path.Guest, "")
	}
	for _, b := range p.Path.Branches {
		visit(b.Hops, b.Node)
	}
	return errors.Join(errs...)
}

// absent says that a tap is not there. For the guest's it says what that means:
// a NIC that was detached, or a guest that is somewhere else.
func absent(p *commands.Pass, h commands.Hop) error {
	e := &runners.Error{Kind: runners.NotFound, Runner: "ssh", Target: h.Node, Op: h.Device, Hint: "Neutron names it, the node does not have it"}
	tap, _ := p.Path.Tap()
	switch to := p.Port.Port.MigratingTo.Or(""); {
	case h != tap:
	case to != "":
		e.Hint = "Neutron names it, the node does not have it; the guest is migrating to " + to
	case p.Server.Status == "ACTIVE":
		e.Hint = fmt.Sprintf("Neutron names it, the node does not have it: %s has no such NIC there (virsh domiflist), or runs on another node", p.Server.Name)
	}
	return e
}

// outOfBridge is the finding for a device with the wrong master.
func outOfBridge(p *commands.Pass, h, bridge commands.Hop, branch string, l node.Link) commands.Finding {
	where := "in no bridge"
	if l.Master != "" {
		where = "in " + l.Master
	}
	return commands.Finding{
		State: commands.Proven, Node: h.Node, Branch: branch, Edge: edgeBetween(p, h, bridge, branch),
		Summary:  fmt.Sprintf("%s on %s is %s, not in %s", h.Device, h.Node, where, bridge.Device),
		Evidence: []commands.Evidence{linkEvidence(p, h.Node, h.Device)},
		Fixes: []commands.Suggestion{{
			Fix: fix.Enslave, Node: h.Node, Args: map[string]string{"device": h.Device, "master": bridge.Device, "before": l.Master},
		}},
		Advice: []string{"neutron-linuxbridge-agent puts it there by itself: if it has not, look at whether it is alive and at its log."},
	}
}

func missingSegment(p *commands.Pass, h, bridge commands.Hop, branch string) commands.Finding {
	f := commands.Finding{
		State: commands.Proven, Node: h.Node, Branch: branch, Edge: edgeBetween(p, h, bridge, branch),
		Summary:  fmt.Sprintf("%s does not exist on %s", h.Device, h.Node),
		Evidence: []commands.Evidence{linkEvidence(p, h.Node, bridge.Device)},
		Advice:   []string{"neutron-linuxbridge-agent makes it: if it has not, look at whether it is alive and at its log."},
	}
	nics := p.Path.On(h.Node, commands.HopNIC)
	if p.Port.Network.Type.Or("") == "vlan" && len(nics) == 1 {
		f.Fixes = []commands.Suggestion{{Fix: fix.AddSegment, Node: h.Node, Args: map[string]string{
			"device": h.Device, "parent": nics[0].Device, "master": bridge.Device,
			"vlan": strconv.Itoa(p.Port.Network.SegmentationID.Or(0)),
		}}}
	}
	return f
}

// edgeBetween is the step between a device and its bridge in the direction of
// a request.
func edgeBetween(p *commands.Pass, h, bridge commands.Hop, branch string) commands.Edge {
	into := h == p.Path.Guest[0] || branch != "" && h.Kind != commands.HopTap
	if into {
		return commands.Edge{From: h, To: bridge, Direction: commands.Request}
	}
	return commands.Edge{From: bridge, To: h, Direction: commands.Request}
}

// edgeInto is the step of a request onto h; for the first hop, the step off
// it.
func edgeInto(p *commands.Pass, h commands.Hop, branch string) commands.Edge {
	flow := p.Path.Guest
	for _, b := range p.Path.Branches {
		if f := p.Path.Flow(b); b.Node == branch && slices.Contains(f, h) {
			flow = f
		}
	}
	for i, x := range flow {
		if x == h && i > 0 {
			return commands.Edge{From: flow[i-1], To: h, Direction: commands.Request}
		}
	}
	return commands.Edge{From: h, To: flow[min(1, len(flow)-1)], Direction: commands.Request}
}

// linkEvidence quotes what the node says of one device.
func linkEvidence(p *commands.Pass, nodeName, device string) commands.Evidence {
	text, err := p.Text(nodeName, node.LinksProbe().Name)
	if err != nil {
		text = err.Error()
	}
	return p.Evidence(nodeName, node.LinksProbe(), node.Excerpt(text, device))
}
