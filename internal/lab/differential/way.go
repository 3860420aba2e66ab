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

// ways returns where a shot goes through the hooks of a layer, if no rule is
// against it. Shown says that frames inside the bridge visit the IP layer.
func (s shot) ways(layer netfilter.Layer, shown bool) []way {
	ways := s.ipWays(shown)
	if layer == netfilter.LayerBridge {
		for i := range ways {
			ways[i] = s.inBridge(ways[i])
		}
	}
	return ways
}

// inBridge is a way as the bridge's own hooks see it: ports instead of the
// bridge, and none of what happens above it.
func (s shot) inBridge(w way) way {
	p := &w.packet
	switch {
	case p.Bridged:
		p.PhysIn = netfilter.Is(s.From)
		w.hooks = []netfilter.Hook{netfilter.Prerouting, netfilter.Forward, netfilter.Postrouting}
	case isPort(s.From):
		p.PhysIn, p.PhysOut, p.Out = netfilter.Is(s.From), netfilter.Is(""), netfilter.Is("")
		w.hooks = []netfilter.Hook{netfilter.Prerouting, netfilter.Input}
	case isPort(s.To):
		p.In, p.PhysIn, p.PhysOut, p.Out = netfilter.Is(""), netfilter.Is(""), netfilter.Is(s.To), netfilter.Is(bridge)
		p.SrcMAC, p.DstMAC = nearMAC(bridge), farMAC(s.To)
		w.hooks = []netfilter.Hook{netfilter.Output, netfilter.Postrouting}
	default:
		w.hooks = nil
	}
	return w
}

func (s shot) ipWays(shown bool) []way {
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
