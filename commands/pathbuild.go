package commands

import (
	"cmp"
	"crypto/sha1" //nolint:gosec // neutron names devices with it
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"whybot/commands/capture"
	"whybot/runners"
)

// TapName returns the tap device of a Neutron port.
func TapName(portID string) string { return "tap" + head(portID) }

// BridgeName returns the linuxbridge agent's bridge of a network.
func BridgeName(networkID string) string { return "brq" + head(networkID) }

// NetnsDevice returns the namespace end of a DHCP port.
func NetnsDevice(portID string) string { return "ns-" + head(portID) }

// SubinterfaceName returns the linuxbridge agent's VLAN sub-interface on nic.
// Where that would not fit into a device name, the agent puts a hash into the
// NIC's part (get_subinterface_name in neutron's linuxbridge agent,
// get_interface_name in neutron-lib).
func SubinterfaceName(nic string, vlan int) string {
	postfix := fmt.Sprintf(".%d", vlan)
	if len(nic)+len(postfix) > 15 && len(nic) > 10 {
		sum := sha1.Sum([]byte(nic)) //nolint:gosec // a name, not a secret
		nic = nic[:4] + hex.EncodeToString(sum[:])[:6]
	}
	return nic + postfix
}

// head returns the first 11 characters of an id: Linux device names hold 15.
func head(id string) string { return id[:min(len(id), 11)] }

// BuildPath names every hop between the guest's port and the DHCP servers of
// its network from what Neutron says. What Neutron hides or does not know
// becomes a gap with a reason, never a guess; a guest on no known node has a
// path without hops. It returns an *Error when the back end is another one.
func BuildPath(s runners.Server, a runners.Attachment) (*Path, error) {
	if vif, ok := a.Port.VIFType.Get(); ok && !slices.Contains(followed, vif) {
		return nil, &Error{
			Code: CodeInvalid, Public: fmt.Sprintf("Port %s is bound as %q; this version follows linuxbridge networks only.", a.Port.ID, vif),
		}
	}
	nodeName, gap := guestNode(s, a.Port)
	p := &Path{Node: nodeName}
	if nodeName == "" {
		p.Gaps = append(p.Gaps, gap)
		return p, nil
	}
	tap := Hop{nodeName, TapName(a.Port.ID), HopTap}
	bridge := Hop{nodeName, bridgeOf(nodeName, a), HopBridge}
	wire := p.wireHops(nodeName, a)
	p.Guest = append([]Hop{tap, bridge}, wire...)
	for _, port := range a.DHCPPorts {
		p.addServer(a, port)
	}
	p.addRouters(a)
	if len(p.Exchanges()) > 0 { // a server that this guest needs nothing of is not on its path
		p.Branches = slices.DeleteFunc(p.Branches, func(b Branch) bool { return len(b.Exchanges) == 0 })
	}
	slices.SortStableFunc(p.Branches, func(x, y Branch) int { return strings.Compare(x.Node, y.Node) })
	return p, nil
}

// followed are the ways a port may be bound on a linuxbridge node, those in
// which it is bound to nothing included.
var followed = []string{"bridge", "tap", "unbound", "binding_failed", ""}

// guestNode returns the node of the guest, or why there is none.
func guestNode(s runners.Server, port runners.Port) (string, Blind) {
	if host, ok := port.HostID.Get(); ok && host != "" {
		return host, Blind{}
	}
	if host, ok := s.Host.Get(); ok && host != "" {
		return host, Blind{}
	}
	gap := Blind{What: "the node of " + s.Name, Why: fmt.Sprintf("Nova has put it on none (status %s)", s.Status)}
	if why := port.HostID.Why(); why != "" {
		gap.Why = why
	}
	return "", gap
}

// wireHops returns the hops between the bridge and the wire on node, and
// records what could not be named.
func (p *Path) wireHops(nodeName string, a runners.Attachment) []Hop {
	gap := func(what, why string) {
		p.Gaps = appendNew(p.Gaps, Blind{nodeName, what, why}) // two servers of a node have the same
	}
	kind, ok := a.Network.Type.Get()
	if !ok {
		gap("the segment of network "+a.Network.Name+" on "+nodeName, a.Network.Type.Why())
		return nil
	}
	segment, ok := a.Network.SegmentationID.Get()
	if !ok && kind != "flat" {
		gap("the segment of network "+a.Network.Name+" on "+nodeName, a.Network.SegmentationID.Why())
		return nil
	}
	if kind == "vxlan" {
		return []Hop{{nodeName, fmt.Sprintf("vxlan-%d", segment), HopSegment}}
	}
	if bridge := bridgeOf(nodeName, a); bridge != BridgeName(a.Network.ID) {
		gap("the uplink of "+bridge+" on "+nodeName, "bridge_mappings gives a bridge of the operator's own, and Neutron does not say what is in it")
		return nil
	}
	nic, why := nicOf(nodeName, a)
	switch {
	case nic == "":
		gap("the NIC of "+a.Network.PhysicalNet.Or("the physical network")+" on "+nodeName, why)
		return nil
	case kind == "flat":
		return []Hop{{nodeName, nic, HopNIC}}
	case kind == "vlan":
		return []Hop{{nodeName, SubinterfaceName(nic, segment), HopSegment}, {nodeName, nic, HopNIC}}
	}
	gap("the segment of network "+a.Network.Name+" on "+nodeName, "network type "+kind+" is not one whybot follows")
	return nil
}

// bridgeOf returns the bridge of the network on node: the agent's own, or the
// one that its bridge_mappings give for the physical network.
func bridgeOf(nodeName string, a runners.Attachment) string {
	agents, _ := a.L2Agents.Get()
	if mapped := agents[nodeName].BridgeMappings[a.Network.PhysicalNet.Or("")]; mapped != "" {
		return mapped
	}
	return BridgeName(a.Network.ID)
}

// nicOf returns the NIC that carries the network's physical network on node,
// or why it is not known.
func nicOf(nodeName string, a runners.Attachment) (nic, why string) {
	agents, ok := a.L2Agents.Get()
	if !ok {
		return "", a.L2Agents.Why()
	}
	agent, ok := agents[nodeName]
	if !ok {
		return "", "Neutron lists no L2 agent on " + nodeName
	}
	physnet := a.Network.PhysicalNet.Or("")
	if nic = agent.InterfaceMappings[physnet]; nic == "" {
		return "", fmt.Sprintf("the L2 agent of %s maps no interface to %q", nodeName, physnet)
	}
	return nic, ""
}

// addServer adds the branch of one DHCP port.
func (p *Path) addServer(a runners.Attachment, port runners.Port) {
	nodeName, ok := port.HostID.Get()
	if !ok || nodeName == "" {
		p.Gaps = append(p.Gaps, Blind{"", "the node of DHCP port " + port.ID, cmp.Or(port.HostID.Why(), "the port is bound to no host")})
		return
	}
	b := Branch{Node: nodeName, Port: port, Agent: agentOn(nodeName, a), Local: nodeName == p.Node}
	b.Exchanges, b.Stateless = spoken(a)
	b.Hops = p.hopsTo(port, NetnsDevice(port.ID), Dnsmasq, a)
	p.Branches = append(p.Branches, b)
}

// hopsTo returns the hops from the wire to the server on a port of a node.
func (p *Path) hopsTo(port runners.Port, netns, program string, a runners.Attachment) []Hop {
	var hops []Hop
	nodeName := port.HostID.Or("")
	if nodeName != p.Node {
		hops = p.wireHops(nodeName, a)
		slices.Reverse(hops)
		hops = append(hops, Hop{nodeName, bridgeOf(nodeName, a), HopBridge})
	}
	return append(hops, Hop{nodeName, TapName(port.ID), HopTap}, Hop{nodeName, netns, HopNetns}, Hop{nodeName, program, HopServer})
}

// spoken returns what the guest needs of a DHCP server: DHCP for IPv4, and
// DHCPv6 where a subnet of the guest's is served that way. A port without an
// address yet is taken to be meant for IPv4. stateless says that DHCPv6 gives no
// addresses, which the guest makes itself.
func spoken(a runners.Attachment) (all []Exchange, stateless bool) {
	if len(a.Served(4)) > 0 || len(a.OwnSubnets()) == 0 {
		all = append(all, capture.DHCP)
	}
	modes := map[string]bool{}
	for _, s := range a.Served(6) {
		modes[s.AddressMode] = true
	}
	if modes[ModeStateful] || modes[ModeStateless] {
		all = append(all, capture.DHCPv6)
	}
	return all, !modes[ModeStateful]
}

func agentOn(nodeName string, a runners.Attachment) runners.Maybe[runners.Agent] {
	agents, ok := a.DHCPAgents.Get()
	if !ok {
		return runners.NotKnown[runners.Agent](a.DHCPAgents.Why())
	}
	for _, ag := range agents {
		if ag.Host == nodeName {
			return runners.Known(ag)
		}
	}
	return runners.NotKnown[runners.Agent]("Neutron lists no DHCP agent for this network on " + nodeName)
}
