package netfilter

import "strings"

// BridgeNetfilter holds the switches that decide whether frames crossing a
// bridge are shown to iptables at all.
type BridgeNetfilter struct {
	// Loaded is Yes when /proc/sys/net/bridge/bridge-nf-call-iptables exists in
	// the bridge's network namespace: br_netfilter is loaded.
	Loaded Tri
	// Sysctl is the value of net.bridge.bridge-nf-call-iptables there.
	Sysctl Tri
	// Bridge is the bridge's own nf_call_iptables attribute (ip -d link).
	Bridge Tri
	// IPv6 says that they are the switches of ip6tables, which have names of
	// their own.
	IPv6 bool
}

// Calls says whether IPv4 frames, or with IPv6 set those of IPv6, that cross the bridge traverse iptables, and
// why. Either switch is enough once br_netfilter is loaded. VLAN-tagged frames
// inside a bridge are shown only with bridge-nf-filter-vlan-tagged=1 as well.
func (b BridgeNetfilter) Calls() (Tri, string) {
	calls, why := b.calls()
	if b.IPv6 {
		why = strings.ReplaceAll(why, "iptables", "ip6tables")
	}
	return calls, why
}

func (b BridgeNetfilter) calls() (Tri, string) {
	loaded := b.Loaded
	if loaded == Unknown && b.Sysctl != Unknown {
		loaded = Yes // only br_netfilter has that sysctl
	}
	switch {
	case loaded == No:
		return No, "br_netfilter is not loaded: bridged frames bypass iptables"
	case b.Sysctl == Yes:
		return Yes, "net.bridge.bridge-nf-call-iptables is 1: bridged frames traverse iptables"
	case loaded == Unknown:
		return Unknown, "whether br_netfilter is loaded is not known"
	case b.Bridge == Yes:
		return Yes, "the bridge's own nf_call_iptables is 1: its frames traverse iptables whatever the sysctl says"
	case b.Sysctl == Unknown:
		return Unknown, "net.bridge.bridge-nf-call-iptables is not known"
	case b.Bridge == Unknown:
		return Unknown, "net.bridge.bridge-nf-call-iptables is 0, but the bridge's own nf_call_iptables is not known"
	default:
		return No, "net.bridge.bridge-nf-call-iptables is 0 and so is the bridge's nf_call_iptables: bridged frames bypass iptables"
	}
}
