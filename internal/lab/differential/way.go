package differential

import (
	"slices"

	"whybot/commands/netfilter"
)

// A way is one copy of a shot and where it goes: a broadcast has several.
type way struct {
	to     string
	packet netfilter.Packet
	hooks  []netfilter.Hook
	// unwanted says that the receiver throws it away although no rule does.
	unwanted bool
}

// ways returns where a shot goes through the hooks of the IP layer, if no rule
// is against it. Shown says that frames inside the bridge visit that layer.
func (s shot) ways(shown bool) []way {
	base := s.packet()
	if !shown {
		base.PhysIn = netfilter.Is("")
	}
	var ways []way
	switch {
	case s.From == host:
		p := base
		p.Out = netfilter.Is(device(s.To))
		return []way{{to: s.To, packet: p, hooks: []netfilter.Hook{netfilter.Output, netfilter.Postrouting}}}
	case s.bridged():
		for _, port := range slices.Backward(ports) { // a flood begins at the port that joined last
			if port == s.To || s.To == everyone && port != s.From {
				ways = append(ways, s.across(base, port, shown))
			}
		}
		if s.To != everyone {
			return ways
		}
	}
	p := base
	if s.To == host || s.To == everyone {
		return append(ways, s.deliver(p))
	}
	p.Out = netfilter.Is(device(s.To))
	return append(ways, way{to: s.To, packet: p, hooks: []netfilter.Hook{netfilter.Prerouting, netfilter.Forward, netfilter.Postrouting}})
}

// across is the way from port to port.
func (s shot) across(p netfilter.Packet, port string, shown bool) way {
	p.Bridged, p.Out, p.PhysOut = true, netfilter.Is(bridge), netfilter.Is(port)
	w := way{to: port, packet: p}
	if shown && !s.arp() {
		w.hooks = []netfilter.Hook{netfilter.Prerouting, netfilter.Forward, netfilter.Postrouting}
	}
	return w
}

// deliver is the way up to the node's own programs. The node is no DHCPv6
// server: after routing it throws away what those are sent.
func (s shot) deliver(p netfilter.Packet) way {
	w := way{to: host, packet: p, hooks: []netfilter.Hook{netfilter.Prerouting, netfilter.Input}}
	if s.Kind == solicit {
		w.hooks, w.unwanted = w.hooks[:1], true
	}
	if s.arp() {
		w.hooks = nil
	}
	return w
}
