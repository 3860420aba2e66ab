package demo

import (
	"net/netip"
	"slices"
	"time"

	"whybot/commands/netfilter"
)

// A machine is one node: what its commands show and what its kernel does to
// frames.
type machine struct {
	name     string
	links    linkSet
	firewall *firewall
	files    map[string]string
	// space is the DHCP namespace of the network; nil on a compute node.
	space *namespace
	// learnt says by which port of its bridge each address was last seen.
	learnt map[mac]string
}

// bridgeNF is the switch that shows bridged frames to iptables.
const bridgeNF = "/proc/sys/net/bridge/bridge-nf-call-iptables"

// enter lets a frame come into l from its outer side: a cable, a guest, the
// other end of a veth.
func (c *Cloud) enter(m *machine, l *link, f frame) {
	if !m.links.runs(l) {
		return
	}
	l.rx.add(f.size())
	c.sniff(m, l, f)
	if l.kind == nicLink && f.vlan != 0 {
		for _, child := range m.links.all {
			if child.parent == l.name && child.vlan == f.vlan {
				f.vlan = 0
				c.enter(m, child, f)
				return
			}
		}
		return
	}
	if bridge := m.links.find(l.master); bridge != nil {
		c.cross(m, bridge, l, f)
	}
}

// cross takes a frame from one port of a bridge to the others. It is seen on
// the bridge before iptables judges it on its way out.
func (c *Cloud) cross(m *machine, bridge, in *link, f frame) {
	if !bridge.up {
		return
	}
	judged := f.ip() && m.files[bridgeNF] == "1\n"
	if judged && !m.firewall.passes(netfilter.Prerouting, f.packet(bridge.name, in.name, ""), f.size()) {
		return
	}
	bridge.rx.add(f.size())
	c.sniff(m, bridge, f)
	m.learnt[f.src] = in.name
	for _, out := range m.exits(bridge, in, f.dst) {
		p := f.packet(bridge.name, in.name, out.name)
		if judged && (!m.firewall.passes(netfilter.Forward, p, f.size()) || !m.firewall.passes(netfilter.Postrouting, p, f.size())) {
			continue
		}
		c.leave(m, out, f)
	}
}

// exits are the ports by which a frame leaves the bridge: the one behind which
// its receiver was seen, or all.
func (m *machine) exits(bridge, in *link, dst mac) []*link {
	ports := slices.DeleteFunc(m.links.members(bridge.name), func(l *link) bool { return l == in || !m.links.runs(l) })
	if known := m.links.find(m.learnt[dst]); known != nil && known.master == bridge.name {
		return slices.DeleteFunc(ports, func(l *link) bool { return l != known })
	}
	return ports
}

// leave lets a frame go out of l to its outer side.
func (c *Cloud) leave(m *machine, l *link, f frame) {
	if !m.links.runs(l) {
		return
	}
	l.tx.add(f.size())
	c.sniff(m, l, f)
	switch l.kind {
	case vlanLink:
		f.vlan = l.vlan
		c.leave(m, m.links.find(l.parent), f)
	case nicLink:
		for _, other := range c.machines {
			if far := other.links.find(l.name); other != m && far != nil {
				c.enter(other, far, f)
			}
		}
	case tunLink:
		for _, g := range c.guests {
			if g.machine == m && g.tap == l.name {
				g.receive(c, f)
			}
		}
	case vethLink:
		if m.space != nil && m.space.tap == l.name {
			m.space.receive(c, m, f)
		}
	case bridgeLink:
	}
}

// A namespace is the DHCP namespace of a network: one end of a veth whose
// other end is the DHCP port's tap, and perhaps a dnsmasq.
type namespace struct {
	name    string
	links   linkSet
	device  string // the end inside
	tap     string // the end outside
	mac     mac
	address netip.Addr
	dnsmasq *dnsmasq
	// neighbours are the answers to ARP.
	neighbours map[netip.Addr]*neighbour
	echoed     bool // the last echo was answered
}

// receive takes a frame that came through the tap.
func (n *namespace) receive(c *Cloud, m *machine, f frame) {
	end := n.links.find(n.device)
	if end == nil || !n.links.runs(end) {
		return
	}
	end.rx.add(f.size())
	switch {
	case f.dhcp != nil && n.dnsmasq != nil:
		if answer, ok := n.answer(f); ok {
			n.send(c, m, answer)
		}
	case f.arp != nil && f.arp.reply:
		if known := n.neighbours[f.ipSrc]; known != nil {
			known.mac, known.confirmed = f.src, time.Now()
		}
	case f.icmp != nil && f.icmp.reply:
		n.echoed = true
	}
}

// send lets a frame out of the namespace, into the tap.
func (n *namespace) send(c *Cloud, m *machine, f frame) {
	end, tap := n.links.find(n.device), m.links.find(n.tap)
	if end == nil || tap == nil || !n.links.runs(end) {
		return
	}
	end.tx.add(f.size())
	c.send(m, tap, f)
}
