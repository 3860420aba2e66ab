package netfilter

import (
	"net/netip"
	"strings"
)

// addSelectorReaders adds options of iptables that ask what nft's selectors
// read.
func addSelectorReaders(readers map[string]optionReader) {
	readers["iprange --src-range"] = one(func(v string) condition { return parseAddressRange(v, true) })
	readers["iprange --dst-range"] = one(func(v string) condition { return parseAddressRange(v, false) })
	readers["conntrack --ctstatus"] = one(parseStatus)
	readers["conntrack --ctdir"] = one(parseDirection)
}

// rangeCond is -m iprange.
type rangeCond struct {
	src      bool
	from, to netip.Addr
}

func parseAddressRange(s string, src bool) condition {
	low, high, ok := strings.Cut(s, "-")
	from, err1 := netip.ParseAddr(low)
	to, err2 := netip.ParseAddr(high)
	if !ok || err1 != nil || err2 != nil || from.Is4() != to.Is4() {
		return nil
	}
	return rangeCond{src, from, to}
}

func (c rangeCond) test(v *view) Tri {
	a, known := v.address(c.src)
	if !known {
		return Unknown
	}
	return Truth(a.Is4() == c.from.Is4() && !a.Less(c.from) && !c.to.Less(a))
}

func (c rangeCond) fact(v *view) string { return addressCond{src: c.src}.fact(v) }

// parseStatus reads the states of a connection that are bits of its status.
func parseStatus(s string) condition {
	names := map[string]uint64{"EXPECTED": 1, "SEEN_REPLY": 2, "ASSURED": 4, "CONFIRMED": 8}
	var bits uint64
	for name := range strings.SplitSeq(strings.ToUpper(s), ",") {
		bit, known := names[name]
		if !known {
			return nil
		}
		bits |= bit
	}
	return &flagCond{operand: operand{sel: ctSelector("status", "")}, bits: number(bits)}
}

func parseDirection(s string) condition {
	n, ok := kindDirection.text(strings.ToLower(s))
	if !ok {
		return nil
	}
	return &lookupCond{lookup: lookup{operands: []operand{{sel: ctSelector("direction", "")}}, set: spans(exactly(n))}}
}
