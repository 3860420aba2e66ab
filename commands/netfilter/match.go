package netfilter

// A Match is one condition of a rule.
type Match struct {
	text    string
	negated bool
	cond    condition
	// implied matches are not listed as such: they are what a statement needs.
	implied bool
}

// Text returns the condition as listed, with its "!".
func (m *Match) Text() string { return m.text }

// A condition is what a Match asks of a packet, before negation.
type condition interface {
	// test answers for the packet as the view shows it.
	test(v *view) Tri
	// fact says, in a few words, what about the packet or the condition made
	// the answer.
	fact(v *view) string
}

func (m *Match) test(v *view) Tri {
	t := m.cond.test(v)
	if m.negated {
		return t.not()
	}
	return t
}

// test returns whether the rule matches, and the match that decides it: the
// first that says no, else the first that cannot tell. What the rule does to
// the packet on the way is in the view it returns.
func (r *Rule) test(v *view) (Tri, *Match, *view) {
	var doubt *Match
	effects := r.effects
	catchUp := func(done int) {
		for len(effects) > 0 && effects[0].after <= done {
			v = v.with(v.after(effects[0], r, Truth(doubt == nil).orUnknown(doubt != nil)))
			effects = effects[1:]
		}
	}
	for i := range r.Matches {
		catchUp(i)
		m := &r.Matches[i]
		switch m.test(v) {
		case No:
			return No, m, v
		case Unknown:
			if doubt == nil {
				doubt = m
			}
		default:
		}
	}
	catchUp(len(r.Matches))
	if doubt != nil {
		return Unknown, doubt, v
	}
	return Yes, nil, v
}

// opaqueCond is a match that is not modelled.
type opaqueCond struct{}

func (opaqueCond) test(*view) Tri { return Unknown }

func (opaqueCond) fact(*view) string { return "whether it matches cannot be told from the listing" }

// alwaysCond matches every packet; comments do.
type alwaysCond struct{}

func (alwaysCond) test(*view) Tri { return Yes }

func (alwaysCond) fact(*view) string { return "always matches" }

// fragmentCond is -f: later fragments only, which a Packet never is.
type fragmentCond struct{}

func (fragmentCond) test(*view) Tri { return No }

func (fragmentCond) fact(*view) string { return "the packet is no later fragment" }

// An optionReader turns the values of one option into a condition; a nil
// condition means that a value is not understood.
type optionReader struct {
	values    int
	condition func(values []string, negated bool) condition
	// ownNegation marks a condition that applies "!" itself.
	ownNegation bool
}

// one makes an optionReader of a function of a single value.
func one(read func(string) condition) optionReader {
	return optionReader{values: 1, condition: func(v []string, _ bool) condition { return read(v[0]) }}
}

// modelled lists the match extensions that are understood, if not with all of
// their options.
var modelled = map[string]bool{
	"comment": true, "physdev": true, "multiport": true, "state": true, "conntrack": true,
	"mac": true, "pkttype": true, "mark": true, "addrtype": true,
	"tcp": true, "udp": true, "udplite": true, "sctp": true, "dccp": true,
	"set": true, "iprange": true, "icmp": true, "icmp6": true, "icmpv6": true, "ipv6-icmp": true,
}

// optionReaders is keyed by extension and option.
var optionReaders = allOptionReaders()

func allOptionReaders() map[string]optionReader {
	readers := map[string]optionReader{
		"comment --comment":    one(func(string) condition { return alwaysCond{} }),
		"state --state":        one(parseState),
		"conntrack --ctstate":  one(parseState),
		"mac --mac-source":     one(parseMAC),
		"pkttype --pkt-type":   one(parsePacketType),
		"mark --mark":          one(parseMark),
		"addrtype --src-type":  one(func(v string) condition { return parseAddressType(v, true) }),
		"addrtype --dst-type":  one(func(v string) condition { return parseAddressType(v, false) }),
		"tcp --syn":            {condition: func([]string, bool) condition { return synCond }},
		"tcp --tcp-flags":      {values: 2, condition: func(v []string, _ bool) condition { return parseTCPFlags(v[0], v[1]) }},
		"icmp --icmp-type":     one(parseICMPType),
		"icmp6 --icmpv6-type":  one(parseICMPv6Type),
		"icmpv6 --icmpv6-type": one(parseICMPv6Type),

		"ipv6-icmp --icmpv6-type": one(parseICMPv6Type),
	}
	addPhysdevReaders(readers)
	addSelectorReaders(readers)
	addSetReader(readers)
	addPortReaders(readers)
	return readers
}
