package commands

import (
	"cmp"
	"net/netip"
	"slices"

	"whybot/commands/capture"
	"whybot/runners"
)

// A HopKind says what a hop is.
type HopKind string

// Kinds of hops.
const (
	HopTap     HopKind = "tap"     // the port's tap, on the host side
	HopBridge  HopKind = "bridge"  // brq bridge
	HopSegment HopKind = "segment" // VLAN sub-interface or VXLAN device
	HopNIC     HopKind = "nic"     // the physical interface below the segment
	HopVSwitch HopKind = "vswitch" // the virtual switch that a NIC is plugged into
	HopNetns   HopKind = "netns"   // the namespace end of a DHCP port
	HopServer  HopKind = "server"  // dnsmasq or radvd, a router outside, or the guest that is pinged
)

// A Hop is one device a frame passes on its way.
type Hop struct {
	Node   string
	Device string
	Kind   HopKind
}

func (h Hop) String() string { return cmp.Or(h.Node, elsewhere) + "/" + h.Device }

// elsewhere stands for the node of a hop that is on none of the cloud's.
const elsewhere = "outside"

// Captured reports whether frames can be captured at the hop: not in the
// namespace (its tap shows the same frames), not in a process, and not in a
// virtual switch.
func (h Hop) Captured() bool {
	return h.Kind != HopNetns && h.Kind != HopServer && h.Kind != HopVSwitch
}

// An Exchange is a way in which a guest gets its address.
type Exchange = capture.Exchange

// A Branch is the part of a path that belongs to one server: a dnsmasq of the
// network, or a router that advertises.
type Branch struct {
	// Node is the server's node; empty for one that cannot be looked at, and
	// Beyond says why. The path then ends on the guest's own wire.
	Node, Beyond string
	// Exchanges are what the guest needs of this server.
	Exchanges []Exchange
	// Stateless says that its DHCPv6 gives options and no addresses.
	Stateless bool
	// Makes are the prefixes in which the guest makes its own address, if its
	// router advertises them for that.
	Makes []netip.Prefix
	// Port is the port the server answers on; the zero Port of a router that is
	// not Neutron's.
	Port runners.Port
	// Agent is the DHCP agent that runs it, when the API shows agents.
	Agent runners.Maybe[runners.Agent]
	// Hops run from the wire to the server.
	Hops []Hop
	// others are the ports that a router outside is none of.
	others []runners.Port
	// Local says that the server is on the guest's own node: its flow leaves
	// the guest's hops at the bridge.
	Local bool
}

// Programs that serve a guest.
const (
	Dnsmasq = "dnsmasq" // DHCP and DHCPv6
	Radvd   = "radvd"   // router advertisements
	Router  = "router"  // the same, of a router that cannot be looked at
)

// Server returns the last hop: the program that answers.
func (b Branch) Server() Hop { return b.Hops[len(b.Hops)-1] }

// Runs reports whether program answers at the end of the branch.
func (b Branch) Runs(program string) bool { return b.Server().Device == program }

// isDoor reports whether h is the last hop before b's server at which frames can
// be captured: the tap of its port, or the guest's own end of the wire.
func (p *Path) isDoor(b Branch, h Hop) bool {
	flow := slices.DeleteFunc(p.Flow(b), func(h Hop) bool { return !h.Captured() })
	return h == flow[len(flow)-1] && h.Kind != HopBridge // behind a bridge something is not known
}

// A Path is every hop between a guest's port and the DHCP servers of its
// network, in the order a request takes.
type Path struct {
	Node string // the guest's node; empty when it is on none, or on one that is not known
	// Guest runs from the guest's tap to the wire; empty without a node.
	Guest    []Hop
	Branches []Branch
	// Tunnels are where a VXLAN network's frames leave and enter the nodes, by
	// node; nil for other networks, and until the nodes have been read.
	Tunnels map[string]Tunnel
	// Gaps are hops that could not be named, and why.
	Gaps []Blind
}

// Tap returns the guest's tap, and false when the guest is on no known node.
func (p *Path) Tap() (Hop, bool) {
	if len(p.Guest) == 0 {
		return Hop{}, false
	}
	return p.Guest[0], true
}

// Exchanges returns what the guest needs of the path's servers, each once.
func (p *Path) Exchanges() []Exchange {
	var all []Exchange
	for _, e := range []Exchange{capture.DHCP, capture.DHCPv6, capture.RA, capture.ARP, capture.Echo} {
		if slices.ContainsFunc(p.Branches, func(b Branch) bool { return slices.Contains(b.Exchanges, e) }) {
			all = append(all, e)
		}
	}
	return all
}

// Of returns the branches whose server the exchange e is with.
func (p *Path) Of(e Exchange) []Branch {
	return slices.DeleteFunc(slices.Clone(p.Branches), func(b Branch) bool { return !slices.Contains(b.Exchanges, e) })
}

// A Direction is the way of a frame: from the guest, or to it.
type Direction string

// Directions.
const (
	Request Direction = "request"
	Reply   Direction = "reply"
)

// An Edge is the step between two neighbouring hops, in the direction of the
// frame that is lost on it.
type Edge struct {
	From, To  Hop
	Direction Direction
}

// Flow returns the hops a request takes from the guest to b's server.
func (p *Path) Flow(b Branch) []Hop {
	guest := p.Guest
	if b.Local {
		for i, h := range guest {
			if h.Kind == HopBridge {
				guest = guest[:i+1]
				break
			}
		}
	}
	return append(append([]Hop(nil), guest...), b.Hops...)
}

// Hops returns every hop once: the guest's, then each branch's.
func (p *Path) Hops() []Hop {
	hops := slices.Clone(p.Guest)
	for _, b := range p.Branches {
		for _, h := range b.Hops {
			if !slices.Contains(hops, h) { // two servers on a node share its bridge
				hops = append(hops, h)
			}
		}
	}
	return hops
}

// Nodes returns the nodes of the path, the guest's first, each once.
func (p *Path) Nodes() []string {
	var nodes []string
	seen := map[string]bool{"": true}
	for _, h := range p.Hops() {
		if !seen[h.Node] {
			seen[h.Node] = true
			nodes = append(nodes, h.Node)
		}
	}
	return nodes
}

// Bridge returns the network's bridge on node.
func (p *Path) Bridge(node string) Hop {
	for _, h := range p.Hops() {
		if h.Node == node && h.Kind == HopBridge {
			return h
		}
	}
	return Hop{}
}

// On returns the hops of kind on node; a branch's and the guest's alike.
func (p *Path) On(node string, kind HopKind) []Hop {
	var hops []Hop
	for _, h := range p.Hops() {
		if h.Node == node && h.Kind == kind {
			hops = append(hops, h)
		}
	}
	return hops
}
