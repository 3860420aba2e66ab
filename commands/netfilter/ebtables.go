package netfilter

import (
	"strconv"
	"strings"
)

// ParseEbtables reads what "ebtables-save -c" (ebtables-nft-save) or
// ebtables-legacy-save printed, with counters or without; the legacy one prints
// them with EBTABLES_SAVE_COUNTER=yes. Its tables are of LayerBridge.
//
// Chains of ebtables that no hook calls have policies too. Listings of
// ebtables-nft leave conditions out that nft keeps, such as --vlan-prio (seen
// in 1.8.9).
func ParseEbtables(text string) (*Ruleset, error) { return parseSave(&ebtables, text) }

// Priorities of the hooks of a bridge (linux/netfilter_bridge.h).
const (
	bridgeDstNAT   = -300
	bridgeFilter   = -200
	bridgeOutNAT   = 100
	bridgeOut      = 200
	bridgeSrcNAT   = 300
	bridgeBrouting = -1000 // in front of all others
)

// Brouting is the hook of ebtables' broute table, where a DROP takes a frame
// out of the bridge to be routed.
const Brouting Hook = "BROUTING"

var ebtables = dialect{
	program: "ebtables", listing: "ebtables-save", family: familyBridge,
	attachments: map[string]map[Hook]int{
		"broute": {Brouting: bridgeBrouting},
		"nat":    {Prerouting: bridgeDstNAT, Output: bridgeOutNAT, Postrouting: bridgeSrcNAT},
		"filter": {Input: bridgeFilter, Forward: bridgeFilter, Output: bridgeOut},
	},
	targets: map[string]targetKind{
		"ACCEPT": {act: actAccept}, "DROP": {act: actDrop}, "RETURN": {act: actReturn}, "CONTINUE": {},
		"mark": {act: actAccept, changes: changeMark}, "snat": {act: actAccept, changes: changeMAC},
		"dnat":     {act: actAccept, changes: changeMAC | changeDst},
		"redirect": {act: actAccept, changes: changeMAC | changeDst | changeType},
		"arpreply": {act: actDrop},
	},
	refine: refineEbtables, options: ebtablesOptions(), userPolicies: true, countersLast: true, implied: replyToRequests,
}

// refineEbtables reads "--dnat-target CONTINUE" and its likes, and what is done
// to the mark.
func refineEbtables(t *Target) {
	for i := 0; i+1 < len(t.words); i++ {
		flag, v := t.words[i].text, t.words[i+1].text
		if t.Chain == nil && flag == "--"+t.Name+"-target" {
			if kind, ok := ebtablesVerdicts[v]; ok {
				t.act = kind
			}
		}
		if t.Name != "mark" {
			continue
		}
		n, err := strconv.ParseUint(v, 0, 32)
		if change := bridgeMarks[flag]; change != nil && err == nil {
			m := change(uint32(n))
			t.does.mark = &m
		}
	}
}

var ebtablesVerdicts = map[string]action{"ACCEPT": actAccept, "DROP": actDrop, "CONTINUE": actNothing, "RETURN": actReturn}

var bridgeMarks = map[string]func(uint32) markChange{
	"--mark-set": func(v uint32) markChange { return markChange{0, v} },
	"--mark-or":  func(v uint32) markChange { return markChange{^v, v} },
	"--mark-and": func(v uint32) markChange { return markChange{v, 0} },
	"--mark-xor": func(v uint32) markChange { return markChange{^uint32(0), v} },
}

// replyToRequests says what -j arpreply does not answer: it goes on then.
func replyToRequests(r *Rule) {
	if r.Target.Name != "arpreply" || r.Target.Chain != nil {
		return
	}
	sel := payloadSelector("arp", "operation")
	r.Matches = append(r.Matches, Match{
		text: r.Target.Text, implied: true,
		cond: &lookupCond{lookup: lookup{operands: []operand{{sel: sel}}, set: spans(exactly(number[uint16](1)))}},
	})
}

func ebtablesOptions() map[string]optionReader {
	mac := func(field string) optionReader { return bridgeMAC(payloadSelector("ether", field)) }
	options := map[string]optionReader{
		"-p": selectorOption(payloadSelector("ether", "type"), bridgeProtocol),
		"-s": mac("saddr"), "-d": mac("daddr"),
		"-i": selectorOption(metaSelector("iifname"), wildcardName), "-o": selectorOption(metaSelector("oifname"), wildcardName),
		"--logical-in":  selectorOption(metaSelector("ibrname"), wildcardName),
		"--logical-out": selectorOption(metaSelector("obrname"), wildcardName),

		"--arp-op":      fieldOption("arp", "operation", plain),
		"--arp-htype":   fieldOption("arp", "htype", plain),
		"--arp-ptype":   fieldOption("arp", "ptype", bridgeProtocol),
		"--arp-ip-src":  masked(payloadSelector("arp", "saddr ip"), addressMask(kindIPv4)),
		"--arp-ip-dst":  masked(payloadSelector("arp", "daddr ip"), addressMask(kindIPv4)),
		"--arp-mac-src": bridgeMAC(payloadSelector("arp", "saddr ether")),
		"--arp-mac-dst": bridgeMAC(payloadSelector("arp", "daddr ether")),

		"--vlan-id":      fieldOption("vlan", "id", plain),
		"--vlan-encap":   fieldOption("vlan", "type", hexNumber),
		"--pkttype-type": selectorOption(metaSelector("pkttype"), bridgePacketType),
		"--mark":         masked(metaSelector("mark"), func(s string) (value, bool) { return kindMark.text(s) }),
		"--among-src":    among("saddr", "saddr ip"), "--among-dst": among("daddr", "daddr ip"),
		// Logging is listed among the matches; it matches everything.
		"--log-level": one(everyPacket), "--log-prefix": one(everyPacket), "--nflog-group": one(everyPacket),
		"--nflog-prefix": one(everyPacket), "--nflog-range": one(everyPacket), "--nflog-threshold": one(everyPacket),
		"--log": {condition: func([]string, bool) condition { return alwaysCond{} }},
	}
	addBridgeIP(options, "--ip-", "ip", kindIPv4, "--ip-icmp-type", "icmp", icmpNames)
	addBridgeIP(options, "--ip6-", "ip6", kindIPv6, "--ip6-icmp-type", "icmpv6", icmpv6Names)
	return options
}

func everyPacket(string) condition { return alwaysCond{} }

// addBridgeIP adds the options about one IP version.
func addBridgeIP(options map[string]optionReader, prefix, proto string, k *kind, icmpFlag, icmp string, names map[string]icmpCond) {
	protocol := "protocol"
	if proto == familyIP6 {
		protocol = "nexthdr"
	}
	for name, o := range map[string]optionReader{
		"src":   masked(payloadSelector(proto, "saddr"), addressMask(k)),
		"dst":   masked(payloadSelector(proto, "daddr"), addressMask(k)),
		"proto": fieldOption(proto, protocol, plain),
		"sport": fieldOption("th", "sport", between),
		"dport": fieldOption("th", "dport", between),
	} {
		options[prefix+name] = o
	}
	kinds, codes := payloadSelector(icmp, "type"), payloadSelector(icmp, "code")
	options[icmpFlag] = compared(func(v string) ([]operand, *valueSet) {
		if c, ok := names[v]; ok && !c.any {
			v = strconv.Itoa(int(c.kind))
			if c.coded {
				v += "/" + strconv.Itoa(int(c.code))
			}
		}
		kind, code, coded := strings.Cut(v, "/")
		of, ok := between(kinds.kind, kind)
		if !coded || !ok {
			return []operand{{sel: kinds}}, spans(of).orNone(ok)
		}
		and, ok := between(codes.kind, code)
		both := &valueSet{elems: []element{{parts: []span{of, and}}}}
		return []operand{{sel: kinds}, {sel: codes}}, both.orNone(ok)
	})
}

// orNone is nil unless the values were understood.
func (s *valueSet) orNone(ok bool) *valueSet {
	if !ok {
		return nil
	}
	return s
}

// bridgeProtocols are the names in /etc/ethertypes that matter here.
var bridgeProtocols = map[string]uint16{
	"ipv4": EtherTypeIPv4, "ip": EtherTypeIPv4, "arp": EtherTypeARP, "ipv6": EtherTypeIPv6, "802_1q": EtherTypeVLAN, "lldp": 0x88cc,
}

func bridgeProtocol(_ *kind, v string) (span, bool) {
	v = strings.ToLower(v)
	if n, ok := bridgeProtocols[v]; ok {
		return exactly(number(n)), true
	}
	if v == "length" {
		return span{to: number[uint16](1535)}, true // an 802.3 frame's length stands there
	}
	n, err := strconv.ParseUint(v, 0, 16)
	return exactly(number(n)), err == nil
}

func bridgePacketType(k *kind, v string) (span, bool) {
	if v == "otherhost" {
		v = "other"
	}
	return plain(k, v)
}

// bridgeMACs are the names of addresses.
var bridgeMACs = map[string]string{
	"unicast": "00:00:00:00:00:00/01:00:00:00:00:00", "multicast": "01:00:00:00:00:00/01:00:00:00:00:00",
	"broadcast": "ff:ff:ff:ff:ff:ff", "bga": "01:80:c2:00:00:00",
}

func bridgeMAC(sel *selector) optionReader {
	o := masked(sel, macMask)
	read := o.condition
	o.condition = func(v []string, negated bool) condition {
		if named, ok := bridgeMACs[strings.ToLower(v[0])]; ok {
			v = []string{named}
		}
		return read(v, negated)
	}
	return o
}

// among reads lists of addresses: MACs, some of them only with an IPv4 address.
func among(macField, arpField string) optionReader {
	ipField, _, _ := strings.Cut(arpField, " ")
	return optionReader{values: 1, ownNegation: true, condition: func(v []string, negated bool) condition {
		c := &amongCond{mac: payloadSelector("ether", macField), ip: payloadSelector("ip", ipField), arp: payloadSelector("arp", arpField), negated: negated}
		for entry := range strings.SplitSeq(strings.TrimSuffix(v[0], ","), ",") {
			mac, ip, paired := strings.Cut(entry, "=")
			e := pair{}
			var ok bool
			if e.mac, ok = shortMAC(mac); !ok {
				return nil
			}
			if paired {
				if e.ip, ok = kindIPv4.parse(ip); !ok {
					return nil
				}
				e.paired = true
			}
			c.pairs = append(c.pairs, e)
		}
		return c
	}}
}

// shortMAC reads an address as --among lists it, without leading zeros.
func shortMAC(s string) (value, bool) {
	var v uint64
	bytes := strings.Split(s, ":")
	for _, b := range bytes {
		n, err := strconv.ParseUint(b, 16, 8)
		if err != nil {
			return value{}, false
		}
		v = v<<8 | n
	}
	return number(v), len(bytes) == 6
}

type pair struct {
	mac, ip value
	paired  bool
}

// amongCond is --among-src and --among-dst. The address of a pair is that of
// the IPv4 or the ARP packet; packets of other kinds have none.
type amongCond struct {
	mac, ip, arp *selector
	pairs        []pair
	negated      bool
}

func (c *amongCond) test(v *view) Tri {
	t := No
	mac := c.mac.of(v)
	for _, e := range c.pairs {
		has := exactly(e.mac).has(mac)
		if e.paired {
			has = min(has, c.address(v, e.ip))
		}
		t = or(t, has)
	}
	if c.negated {
		return t.not()
	}
	return t
}

func (c *amongCond) address(v *view, want value) Tri {
	t := No
	for _, sel := range []*selector{c.ip, c.arp} {
		r := sel.of(v)
		t = or(t, min(r.applies, exactly(want).has(r)))
	}
	return t
}

func (c *amongCond) fact(v *view) string {
	facts := []string{operand{sel: c.mac}.fact(v)}
	for _, sel := range []*selector{c.ip, c.arp} {
		if sel.of(v).applies != No {
			facts = append(facts, operand{sel: sel}.fact(v))
		}
	}
	return strings.Join(facts, ", ")
}
