package demo

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"whybot/commands/netfilter"
	"whybot/commands/node"
)

// A dnsmasq is a running DHCP server. It answers from the host file as it was
// when it was read last: an edit of the file alone changes nothing.
type dnsmasq struct {
	pid   int
	hosts map[string][]netip.Addr
	lease time.Duration
}

// args is its command line, as the DHCP agent writes it.
func (n *namespace) args() string {
	dir := node.DHCPDir + "/" + strings.TrimPrefix(n.name, "qdhcp-")
	return fmt.Sprintf("dnsmasq --no-hosts --no-resolv --pid-file=%s/pid --dhcp-hostsfile=%s/host --addn-hosts=%s/addn_hosts "+
		"--dhcp-optsfile=%s/opts --dhcp-leasefile=%s/leases --dhcp-authoritative --bind-interfaces --interface=%s --dhcp-range=set:tag0,192.168.92.0,static,255.255.255.0,1d "+
		"--dhcp-lease-max=256 --conf-file= --domain=openstacklocal", dir, dir, dir, dir, dir, n.device)
}

// answer is what dnsmasq says to a client's message, if anything.
func (n *namespace) answer(f frame) (frame, bool) {
	m := *f.dhcp
	addresses := n.dnsmasq.hosts[m.client.String()]
	if m.kind.reply() || len(addresses) == 0 || m.server.IsValid() && m.server != n.address {
		return frame{}, false
	}
	out := dhcpMessage{kind: offer, xid: m.xid, client: m.client, yours: addresses[0], server: n.address, lease: leaseSeconds(n.dnsmasq.lease)}
	if m.kind == request {
		wanted := m.wanted
		if m.ciaddr.IsValid() {
			wanted = m.ciaddr
		}
		if wanted != addresses[0] {
			return frame{}, false
		}
		out.kind, out.ciaddr = ack, m.ciaddr
	}
	state := netfilter.CTNew
	if f.dst != everyone {
		state = netfilter.CTEstablished
	}
	return frame{src: n.mac, dst: m.client, ipSrc: n.address, ipDst: addresses[0], state: state, dhcp: &out}, true
}

// leaseSeconds is how a lease is said on the wire: at least one second.
func leaseSeconds(d time.Duration) uint32 { return uint32(max(1, d.Round(time.Second)/time.Second)) }

// A neighbour is what a namespace knows of one address on its wire.
type neighbour struct {
	mac             mac
	used, confirmed time.Time
}

// reachable is how long an answer counts as fresh.
const reachable = 30 * time.Second

// echo asks for address by ARP and, if anyone answers or did before, by ICMP.
func (n *namespace) echo(c *Cloud, m *machine, address netip.Addr) bool {
	known := n.neighbours[address]
	if known == nil {
		known = &neighbour{}
		n.neighbours[address] = known
	}
	known.used = time.Now()
	n.send(c, m, frame{src: n.mac, dst: everyone, ipSrc: n.address, ipDst: address, arp: &arpMessage{}})
	if known.mac == (mac{}) {
		return false
	}
	n.echoed = false
	n.send(c, m, frame{src: n.mac, dst: known.mac, ipSrc: n.address, ipDst: address, state: netfilter.CTNew, icmp: &icmpMessage{}})
	return n.echoed
}

// neighbourLine is what `ip -s neigh show ADDRESS` prints.
func (n *namespace) neighbourLine(address netip.Addr, now time.Time) string {
	known := n.neighbours[address]
	if known == nil {
		return ""
	}
	used := int(now.Sub(known.used) / time.Second)
	if known.mac == (mac{}) {
		return fmt.Sprintf("%s dev %s used %d/%d/%d probes 6 FAILED\n", address, n.device, used, used+30, used)
	}
	age, state := int(now.Sub(known.confirmed)/time.Second), "REACHABLE"
	if now.Sub(known.confirmed) > reachable {
		state = "STALE"
	}
	return fmt.Sprintf("%s dev %s lladdr %s used %d/%d/%d probes 1 %s\n", address, n.device, known.mac, used, age, age, state)
}
