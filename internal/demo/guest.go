package demo

import (
	"net/netip"
	"time"

	"whybot/commands/netfilter"
)

// A guest is a VM: a DHCP client behind a tap that answers ARP and echoes
// while it holds a lease.
type guest struct {
	machine *machine
	tap     string
	mac     mac
	pace    time.Duration // between two DISCOVERs
	hung    bool          // it runs and does nothing

	xid     uint32
	asks    time.Time // when it asks next
	address netip.Addr
	until   time.Time // end of the lease
	renews  time.Time // when it renews next
	server  frame     // the acknowledgement, for the server's addresses
}

// bound reports whether it holds a lease.
func (g *guest) bound() bool { return g.address.IsValid() }

// act does what is due.
func (g *guest) act(c *Cloud, now time.Time) {
	if g.hung {
		return
	}
	if g.bound() && !now.Before(g.until) {
		g.address, g.asks = netip.Addr{}, now
	}
	switch {
	case g.bound() && !now.Before(g.renews):
		g.renews = now.Add(max(g.until.Sub(now)/2, g.pace/4))
		g.xid++
		g.send(c, frame{
			src: g.mac, dst: g.server.src, ipSrc: g.address, ipDst: g.server.ipSrc, state: netfilter.CTNew,
			dhcp: &dhcpMessage{kind: request, xid: g.xid, client: g.mac, ciaddr: g.address},
		})
	case !g.bound() && !now.Before(g.asks):
		g.asks = now.Add(g.pace)
		g.xid++
		g.broadcast(c, dhcpMessage{kind: discover, xid: g.xid, client: g.mac})
	}
}

func (g *guest) broadcast(c *Cloud, m dhcpMessage) {
	g.send(c, frame{
		src: g.mac, dst: everyone, ipSrc: netip.IPv4Unspecified(), ipDst: netip.AddrFrom4([4]byte{255, 255, 255, 255}),
		state: netfilter.CTNew, dhcp: &m,
	})
}

func (g *guest) send(c *Cloud, f frame) {
	if tap := g.machine.links.find(g.tap); tap != nil {
		c.send(g.machine, tap, f)
	}
}

// receive takes a frame that came out of the tap.
func (g *guest) receive(c *Cloud, f frame) {
	if g.hung {
		return
	}
	switch {
	case f.dhcp != nil:
		g.hear(c, f)
	case !g.bound() || f.ipDst != g.address:
	case f.arp != nil && !f.arp.reply:
		g.send(c, frame{src: g.mac, dst: f.src, ipSrc: g.address, ipDst: f.ipSrc, arp: &arpMessage{reply: true}})
	case f.icmp != nil && !f.icmp.reply:
		g.send(c, frame{
			src: g.mac, dst: f.src, ipSrc: g.address, ipDst: f.ipSrc, state: netfilter.CTEstablished, icmp: &icmpMessage{reply: true},
		})
	}
}

// hear takes what a DHCP server says.
func (g *guest) hear(c *Cloud, f frame) {
	m := f.dhcp
	if m.client != g.mac || m.xid != g.xid {
		return
	}
	switch {
	case m.kind == offer && !g.bound():
		g.broadcast(c, dhcpMessage{kind: request, xid: g.xid, client: g.mac, wanted: m.yours, server: m.server})
	case m.kind == ack:
		lease := time.Duration(m.lease) * time.Second
		now := time.Now()
		g.address, g.server = m.yours, f
		g.until, g.renews = now.Add(lease), now.Add(lease/2)
	}
}
