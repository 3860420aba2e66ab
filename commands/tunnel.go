package commands

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"whybot/commands/capture"
	"whybot/commands/node"
	"whybot/runners"
)

// A Tunnel is where the frames of a VXLAN network leave and enter one node,
// inside UDP.
type Tunnel struct {
	// Device is the VXLAN device, NIC the device below it; empty when that is
	// not known.
	Device, NIC string
	// VXLAN is what the device says of itself; nil when the node has none.
	VXLAN *node.VXLAN
	// Ends are the addresses that peers may send to, first the one that the
	// agent has told Neutron.
	Ends []netip.Addr
	// L2Population says whether Neutron tells the node where everything is.
	L2Population runners.Maybe[bool]
}

// vxlanOn returns the network's VXLAN device on a node of the path; empty when
// there is none.
func (p *Pass) vxlanOn(nodeName string) string {
	if p.Port.Network.Type.Or("") != "vxlan" {
		return ""
	}
	for _, h := range p.Path.On(nodeName, HopSegment) {
		return h.Device
	}
	return ""
}

// findTunnels adds what only the nodes know to the path of a VXLAN network: the
// NIC behind each VXLAN device.
func (p *Pass) findTunnels() {
	for _, nodeName := range p.Path.Nodes() {
		device := p.vxlanOn(nodeName)
		if device == "" {
			continue
		}
		t, why := p.tunnelOn(nodeName, device)
		if p.Path.Tunnels == nil {
			p.Path.Tunnels = map[string]Tunnel{}
		}
		p.Path.Tunnels[nodeName] = t
		if t.NIC == "" && why != "" {
			p.Path.Gaps = append(p.Path.Gaps, Blind{nodeName, "the NIC below " + device + " on " + nodeName, why})
		}
	}
	p.Path.addUnderlay()
}

// tunnelOn returns a node's end of the tunnel. Without a NIC it says why that
// is not known; a node that could not be read at all has been named already.
func (p *Pass) tunnelOn(nodeName, device string) (t Tunnel, why string) {
	t.Device = device
	agents, _ := p.Port.L2Agents.Get()
	t.L2Population = agents[nodeName].L2Population
	told, _ := netip.ParseAddr(agents[nodeName].TunnelingIP) // the zero Addr where the agent tells none
	t.addEnds(told)
	links, err := p.Links(nodeName)
	if err != nil {
		return t, ""
	}
	addresses, err := p.addresses(nodeName)
	if t.VXLAN = links[device].VXLAN; t.VXLAN != nil {
		t.addEnds(t.VXLAN.Local)
		t.addEnds(addresses[t.VXLAN.Dev]...)
		t.NIC = t.VXLAN.Dev
	}
	if t.NIC == "" {
		t.NIC = addresses.Holder(told)
	}
	switch {
	case t.overIPv6():
		why = "its tunnel runs over IPv6, which whybot does not look into"
	case t.NIC == "lo", links[t.NIC].Kind == "dummy":
		why = "the tunnel's address is on " + t.NIC + ", and routing chooses the NIC"
	case t.NIC != "" && len(t.Ends) > 0:
		return t, ""
	case err != nil:
		why = shortWhy(err)
	case told.IsValid():
		why = fmt.Sprintf("no device of the node has the agent's tunneling_ip %s", told)
	default:
		why = "the agent tells Neutron no tunneling_ip, and the node does not show the tunnel's address"
	}
	t.NIC = ""
	return t, why
}

// addEnds adds the addresses that are none yet.
func (t *Tunnel) addEnds(more ...netip.Addr) {
	for _, a := range more {
		if a.IsValid() && !slices.Contains(t.Ends, a) {
			t.Ends = append(t.Ends, a)
		}
	}
}

func (t *Tunnel) overIPv6() bool {
	return t.VXLAN != nil && (t.VXLAN.Group.Is6() || t.VXLAN.Local.Is6()) || slices.ContainsFunc(t.Ends, netip.Addr.Is6)
}

func (p *Pass) addresses(nodeName string) (node.Addresses, error) {
	text, err := p.text(nodeName, node.AddressProbe().Name)
	if err != nil {
		return nil, err
	}
	all, err := node.ParseAddresses(text)
	if err != nil {
		return nil, &runners.Error{Kind: runners.Invalid, Runner: "ssh", Target: nodeName, Op: "ip addr", Err: err}
	}
	return all, nil
}

// addUnderlay puts the NIC of each tunnel behind its VXLAN device.
func (p *Path) addUnderlay() {
	p.Guest = p.withUnderlay(p.Guest, true)
	for i, b := range p.Branches {
		p.Branches[i].Hops = p.withUnderlay(b.Hops, false)
	}
}

func (p *Path) withUnderlay(hops []Hop, outward bool) []Hop {
	at := slices.IndexFunc(hops, func(h Hop) bool { return h.Kind == HopSegment })
	if at < 0 || p.Tunnels[hops[at].Node].NIC == "" {
		return hops
	}
	nic := p.underlay(hops[at].Node)
	if outward {
		at++
	}
	return slices.Insert(slices.Clone(hops), at, nic)
}

// underlay is the hop below a node's tunnel.
func (p *Path) underlay(nodeName string) Hop {
	return Hop{Node: nodeName, Device: p.Tunnels[nodeName].NIC, Kind: HopNIC}
}

// isUnderlay reports whether frames pass h inside a tunnel.
func (p *Path) isUnderlay(h Hop) bool {
	return h.Kind == HopNIC && h.Device != "" && p.Tunnels[h.Node].NIC == h.Device
}

// reaches reports whether a frame goes to a node. One inside a tunnel has a
// copy for every peer, and only that to the node, or to all, gets there.
func (p *Path) reaches(f capture.Frame, nodeName string) bool {
	ends := p.Tunnels[nodeName].Ends
	return f.VNI == 0 || f.OuterDst.IsMulticast() || len(ends) == 0 || slices.Contains(ends, f.OuterDst)
}

// onWay reports whether a frame goes to any node of the path.
func (p *Path) onWay(f capture.Frame) bool {
	return f.VNI == 0 || slices.ContainsFunc(p.Nodes(), func(n string) bool { return p.reaches(f, n) })
}

// usualPorts are where VXLAN is, when no node of the path says: the kernel's
// own port and the assigned one.
var usualPorts = []int{8472, 4789}

// tunnelSpec is how to capture below a VXLAN device. Peers that disagree on the
// port are seen with either.
func (w *watch) tunnelSpec(h Hop) (runners.CaptureSpec, error) {
	port := w.x.pass.Port
	ports := map[int]bool{}
	for _, n := range w.x.pass.Path.Nodes() {
		if x := w.x.pass.Path.Tunnels[n].VXLAN; x != nil && x.Port != 0 {
			ports[x.Port] = true
			continue
		}
		for _, usual := range usualPorts { // what this node sends to is not known
			ports[usual] = true
		}
	}
	filter, err := capture.TunnelFilter(port.Port.MAC, port.Network.SegmentationID.Or(0), slices.Sorted(maps.Keys(ports))...)
	if peer := w.x.pass.Peer; peer != nil {
		filter, err = capture.TunnelFilterPing(port.Port.MAC, peer.Port.Port.MAC, port.Network.SegmentationID.Or(0), slices.Sorted(maps.Keys(ports))...)
	}
	if err != nil {
		return runners.CaptureSpec{}, &runners.Error{Kind: runners.Invalid, Runner: "openstack", Target: "port " + port.Port.ID, Op: "MAC address and segment", Err: err}
	}
	return w.capturing(h, filter), nil
}
