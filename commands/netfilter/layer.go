package netfilter

import (
	"slices"
	"strings"
)

// A Layer is a place in the network stack that has hooks of its own. A frame
// that crosses a bridge meets the bridge's, and the IP layer's as well where
// br_netfilter shows it there (see BridgeNetfilter).
type Layer uint8

// Layers.
const (
	// LayerIP is what tables of the families ip, ip6 and inet see.
	LayerIP Layer = iota
	// LayerBridge is what tables of the family bridge see. -i and iifname are
	// bridge ports there.
	LayerBridge
	// LayerARP is what tables of the family arp see. Bridged ARP visits it only
	// with net.bridge.bridge-nf-call-arptables=1.
	LayerARP
	// LayerDevice is what chains see that are bound to a device: those of the
	// family netdev, and of inet at its ingress hook.
	LayerDevice
)

// Families of tables, as nft spells them.
const (
	familyIP     = "ip"
	familyIP6    = "ip6"
	familyInet   = "inet"
	familyBridge = "bridge"
	familyARP    = "arp"
	familyNetdev = "netdev"
)

// A call is a base chain that the kernel hands the packet to.
type call struct {
	chain *Chain
	// sees is Unknown when it is not known whether the chain gets the packet;
	// why says what is missing.
	sees Tri
	why  string
}

// calls returns the base chains of a hook in the order the kernel calls them.
// Chains of equal priority are called last registered first, and listings show
// them in the order of registration.
func (rs *Ruleset) calls(l Layer, h Hook, device string, p *Packet) []call {
	var found []call
	for _, t := range slices.Backward(rs.Tables) {
		sees, why := t.sees(l, p)
		for _, c := range slices.Backward(t.Chains) {
			if c.Hook != h || h == "" || sees == No || t.layer(h) != l {
				continue
			}
			k := call{c, sees, why}
			if bound, unsure := c.boundTo(device); l == LayerDevice && bound != Yes {
				k.sees, k.why = min(sees, bound), unsure
			}
			if k.sees != No {
				found = append(found, k)
			}
		}
	}
	slices.SortStableFunc(found, func(a, b call) int {
		if x, y := a.chain.turn(), b.chain.turn(); x != y {
			return x - y
		}
		return a.chain.Priority - b.chain.Priority
	})
	return found
}

// turn is the priority a chain is really called at: all nat chains of a hook
// are called together, at the time of the kernel's own.
func (c *Chain) turn() int {
	if !c.NAT {
		return c.Priority
	}
	if c.Hook == Prerouting || c.Hook == Output {
		return priorityDstNAT
	}
	return prioritySrcNAT
}

// layer is where the base chains of a table at h are called.
func (t *Table) layer(h Hook) Layer {
	switch {
	case h == Ingress || h == Egress:
		return LayerDevice
	case t.Family == familyBridge:
		return LayerBridge
	case t.Family == familyARP:
		return LayerARP
	default:
		return LayerIP
	}
}

// sees says whether a table's chains are handed such a packet.
func (t *Table) sees(l Layer, p *Packet) (Tri, string) {
	const unknown = "whether the packet is IPv4 or IPv6 is not known"
	switch {
	case l == LayerIP && t.Family == familyIP:
		return p.is(IPv4), unknown
	case l == LayerIP && t.Family == familyIP6:
		return p.is(IPv6), unknown
	case l == LayerIP && t.Family == familyInet:
		return or(p.is(IPv4), p.is(IPv6)).orUnknown(p.family() == 0 && !p.EtherType.known), "whether the packet is an IP packet is not known"
	case l == LayerARP:
		return truthOf(p.etherType(), func(n uint16) bool { return n == EtherTypeARP }), "whether the packet is ARP is not known"
	default:
		return Yes, ""
	}
}

// boundTo says whether a chain of LayerDevice listens at a device.
func (c *Chain) boundTo(device string) (Tri, string) {
	if len(c.Devices) == 0 {
		return Unknown, "the listing does not say which devices the chain is bound to"
	}
	return Truth(slices.ContainsFunc(c.Devices, func(d string) bool {
		prefix, wild := strings.CutSuffix(d, "*")
		return d == device || wild && strings.HasPrefix(device, prefix)
	})), ""
}

// nativeNames are the tables, and in them the base chains, that iptables-nft,
// ip6tables-nft, ebtables-nft and arptables-nft make, by family.
var nativeNames = map[string]map[string][]Hook{
	familyIP: ipTables(), familyIP6: ipTables(),
	familyARP: {"filter": {Input, Output, Forward}},
	familyBridge: {
		"filter": {Input, Forward, Output}, "nat": {Prerouting, Output, Postrouting}, "broute": {Prerouting, "BROUTING"},
	},
}

func ipTables() map[string][]Hook {
	tables := map[string][]Hook{}
	for name, hooks := range attachments {
		for h := range hooks {
			tables[name] = append(tables[name], h)
		}
	}
	return tables
}

// LikeIPTables says whether a table of an nft listing looks like one that
// iptables-nft, ip6tables-nft, ebtables-nft or arptables-nft keeps: it has one
// of their names and only base chains of their names, and no set. Their own
// programs show such tables better, nft hides what is in many of the matches.
//
// An administrator may have made such a table with nft too. If the program
// then calls the table incompatible (see IncompatibleTables), the nft listing is
// the one to read.
func (t *Table) LikeIPTables() bool {
	hooks, known := nativeNames[t.Family][t.Name]
	if !known || len(t.sets) > 0 {
		return false
	}
	for _, c := range t.Chains {
		if c.Hook != "" && (!slices.Contains(hooks, Hook(c.Name)) || c.Name != string(c.Hook) && c.Name != "BROUTING") {
			return false
		}
	}
	return true
}

// Without returns the ruleset less the tables that leave chooses. The tables
// that stay are shared.
func (rs *Ruleset) Without(leave func(*Table) bool) *Ruleset {
	rest := &Ruleset{Generator: rs.Generator, ipsets: rs.ipsets}
	for _, t := range rs.Tables {
		if !leave(t) {
			rest.Tables = append(rest.Tables, t)
		}
	}
	return rest
}

// Merge puts the views of one node together, so that their chains are walked
// in the order the kernel calls them and what one view's rules do to a packet
// is known to the next. The tables are shared.
func Merge(views ...*Ruleset) *Ruleset {
	all := &Ruleset{}
	for _, v := range views {
		all.Tables = append(all.Tables, v.Tables...)
		if all.ipsets == nil {
			all.ipsets = v.ipsets
		}
	}
	return all
}
