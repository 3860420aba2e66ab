package commands

import (
	"net/netip"
	"slices"
	"strings"

	"whybot/commands/netfilter"
	"whybot/commands/node"
	"whybot/runners"
)

// maxComputes is how many other compute nodes are looked at for the same rule.
const maxComputes = 32

// blocked reports whether a connection failed in a way that a firewall can make
// it fail.
func (p *Pass) blocked(proxies []string) bool {
	return slices.ContainsFunc(proxies, func(n string) bool {
		d, err := p.Dial(n)
		return err == nil && !d.Connected && d.Errno != node.NoSuchName
	})
}

// otherComputes are the compute nodes beside the server's, as many as are looked
// at.
func (p *Pass) otherComputes() []Scope {
	all, _ := p.Console.Computes.Get()
	var scopes []Scope
	for _, n := range all {
		if n != p.Console.Server.Host.Or("") && len(scopes) < maxComputes {
			scopes = append(scopes, Scope{Node: n, Guest: true})
		}
	}
	return scopes
}

// A Knock is the packet that begins a proxy's connection to a guest's console.
type Knock struct {
	Source, Host netip.Addr
	Port         int
	// Device is where it comes in; empty when that is not known.
	Device string
}

// packet is the knock as the compute node's firewall sees it.
func (k Knock) packet() netfilter.Packet {
	packet := netfilter.Packet{
		Family: netfilter.IPv4, Proto: netfilter.Is(netfilter.ProtoTCP), Src: k.Source, Dst: k.Host, Dport: netfilter.Is(uint16(k.Port)), //nolint:gosec // ports were checked
		TCPFlags: netfilter.Is[uint8](2), Out: netfilter.Is(""), PhysOut: netfilter.Is(""), PacketType: netfilter.TypeUnicast,
		CT: netfilter.CTNew, Mark: netfilter.Is[uint32](0),
	}
	if k.Host.Is6() || k.Source.Is6() {
		packet.Family = netfilter.IPv6
	}
	if k.Device != "" {
		packet.In = netfilter.Is(k.Device)
	}
	return packet
}

// KnockOf is the packet that a proxy's node sends to the guest's.
func (p *Pass) KnockOf(proxy string) (Knock, error) {
	door, err := p.Door()
	if err != nil {
		return Knock{}, err
	}
	w, err := p.Way(proxy)
	if err != nil {
		return Knock{}, err
	}
	k := Knock{Source: w.Source, Host: w.Address, Port: door.Port}
	host := p.Console.Server.Host.Or("")
	if proxy == host {
		k.Device = "lo"
	} else if all, err := p.addresses(host); err == nil {
		k.Device = all.Holder(w.Address)
	}
	return k, nil
}

// RuleKnock says what the firewall of the guest's node does to a knock.
func (p *Pass) RuleKnock(f *Firewall, k Knock) Ruling {
	return p.ruleKnock(f, p.readings[f.Node], k)
}

func (p *Pass) ruleKnock(f *Firewall, r reading, k Knock) Ruling {
	packet := k.packet()
	if k.Device != "" && f.links[k.Device].Kind != "bridge" {
		packet.PhysIn = netfilter.Is("")
	}
	at := netfilter.TraverseDevice(f.merged, packet, netfilter.Ingress, k.Device)
	all := decisions{netfilter.LayerIP.Traverse(f.merged, packet, netfilter.Prerouting, netfilter.Input), at}
	if k.Device != "" && at.Verdict.Lost() {
		all[0] = at // the NIC's own chains come first
	}
	local := *f
	local.Foreign = p.foreignTo(f, r, k)
	return local.others(f.ruling(all), packet.Family == netfilter.IPv6)
}

// foreignTo are the nft tables that may drop the knock and could not be
// evaluated.
func (p *Pass) foreignTo(f *Firewall, r reading, k Knock) []string {
	text, err := whole(f.Node, r, "nft-text")
	if err != nil || slices.ContainsFunc(f.Views, func(v View) bool { return v.Probe == nftProbe }) {
		return nil
	}
	tables := node.LocalTables(r.results["nft-text"].Output.Stderr + "\n" + text)
	return slices.DeleteFunc(tables, func(table string) bool {
		return strings.HasPrefix(table, "bridge ") && f.links[k.Device].Kind != "bridge"
	})
}

// KnockGrowth is what the deciding rule or policy of e counted while the proxies
// connected, or why that is not known.
func (p *Pass) KnockGrowth(f *Firewall, v View, e netfilter.Ending) (uint64, error) {
	for _, r := range []reading{p.Console.before, p.Console.after} {
		if r.err != nil {
			return 0, r.err
		}
	}
	return growthOf(f.Node, p.Console.before, p.Console.after, v, e)
}

// ShutElsewhere returns the other compute nodes whose firewall drops the same
// knock, with what does so, and those of which it is not known.
func (p *Pass) ShutElsewhere(k Knock) (shut map[string]Ruling, unseen []string) {
	shut = map[string]Ruling{}
	all, _ := p.Console.Computes.Get()
	for _, n := range all {
		if n == p.Console.Server.Host.Or("") {
			continue
		}
		r, ok := p.ruleElsewhere(n, k)
		switch {
		case !ok:
			unseen = append(unseen, n)
		case r.Verdict.Lost():
			shut[n] = r
		}
	}
	return shut, unseen
}

// ruleElsewhere evaluates a knock on another compute node: on the device that is
// in one network with the proxy.
func (p *Pass) ruleElsewhere(nodeName string, k Knock) (Ruling, bool) {
	r, read := p.Console.others[nodeName]
	if !read || r.err != nil {
		return Ruling{}, false
	}
	there := &Pass{Path: &Path{}, readings: map[string]reading{nodeName: r}, firewalls: map[string]*Firewall{}}
	f, err := there.Firewall(nodeName)
	if err != nil {
		return Ruling{}, false
	}
	text, err := whole(nodeName, r, node.AddressProbe().Name)
	if err != nil {
		return Ruling{}, false
	}
	k.Host, k.Device = nearest(text, k.Source)
	ruling := there.ruleKnock(f, r, k)
	return ruling, k.Device != "" && ruling.Verdict != netfilter.Undecided
}

// nearest returns the node's address in the network of another, and its device.
func nearest(addresses string, other netip.Addr) (netip.Addr, string) {
	for line := range strings.Lines(addresses) {
		words := strings.Fields(line)
		if len(words) < 4 {
			continue
		}
		if prefix, err := netip.ParsePrefix(words[3]); err == nil && prefix.Bits() > 0 && prefix.Masked().Contains(other) {
			return prefix.Addr(), words[1]
		}
	}
	return netip.Addr{}, ""
}

// Listeners returns what listens for TCP on a node.
func (p *Pass) Listeners(nodeName string) ([]node.Listener, error) {
	text, err := p.text(nodeName, node.ListenersProbe().Name)
	if err != nil {
		return nil, err
	}
	all, err := node.ParseListeners(text)
	if err != nil {
		return nil, &runners.Error{Kind: runners.Invalid, Runner: "ssh", Target: nodeName, Op: "ss", Hint: Clean(err.Error(), 120), Err: err}
	}
	return all, nil
}
