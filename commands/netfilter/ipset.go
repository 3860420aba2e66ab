package netfilter

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// IPSets are the sets that "ipset save" listed. -m set is Unknown for a set
// that is not among them.
type IPSets struct{ byName map[string]*ipset }

// An ipset is one set of the listing.
type ipset struct {
	name    string
	kind    string   // such as "hash:net,iface"
	parts   []string // what its entries are made of
	v6      bool
	netmask value // of hash:ip with a netmask; else all ones
	opaque  string
	// changes says that rules add to the set or delete from it.
	changes bool
	entries []ipsetEntry
	members []string // of a list:set
}

type ipsetEntry struct {
	element
	nomatch bool
	maybe   bool // has a part that is not modelled: it may match, or not
	width   int  // how many bits are compared: more is more specific
}

// ParseIPSets reads what "ipset save" printed.
func ParseIPSets(text string) (*IPSets, error) {
	all := &IPSets{byName: map[string]*ipset{}}
	for i, line := range strings.Split(text, "\n") {
		words := splitWords(strings.TrimRight(line, "\r"))
		if len(words) == 0 {
			continue
		}
		if err := all.line(words); err != nil {
			return nil, &ParseError{Listing: "ipset save", Line: i + 1, Text: shorten(line), Err: err}
		}
	}
	return all, nil
}

// WithSets returns the ruleset with the ipsets that its rules ask for. The
// tables are shared.
func (rs *Ruleset) WithSets(sets *IPSets) *Ruleset {
	with := *rs
	with.ipsets = sets.changedBy(rs)
	return &with
}

// changedBy notes the sets that rules of rs add to or delete from.
func (s *IPSets) changedBy(rs *Ruleset) *IPSets {
	if s == nil {
		return nil
	}
	now := &IPSets{byName: map[string]*ipset{}}
	for name, set := range s.byName {
		now.byName[name] = set
	}
	for _, r := range rs.Find(func(r *Rule) bool { return r.Target.Name == "SET" }) {
		for i, w := range r.Target.words {
			if set := now.byName[r.Target.wordAt(i+1)]; set != nil && (w.text == "--add-set" || w.text == "--del-set" || w.text == "--map-set") {
				changing := *set
				changing.changes = true
				now.byName[set.name] = &changing
			}
		}
	}
	return now
}

func (s *IPSets) line(words []word) error {
	switch {
	case words[0].text == "create" && len(words) >= 3:
		if s.byName[words[1].text] != nil {
			return errors.New("the set is listed twice")
		}
		s.byName[words[1].text] = newIPSet(words[1].text, words[2].text, words[3:])
		return nil
	case words[0].text == "add" && len(words) >= 3:
		set := s.byName[words[1].text]
		if set == nil {
			return errors.New("an entry of a set that was not created")
		}
		set.add(words[2].text, words[3:])
		return nil
	case len(words) < 3 && (words[0].text == "create" || words[0].text == "add"):
		return fmt.Errorf("the line ends early: %w", ErrTruncated)
	default:
		return errors.New("not a line that ipset save prints")
	}
}

func newIPSet(name, kind string, options []word) *ipset {
	method, parts, _ := strings.Cut(kind, ":")
	set := &ipset{name: name, kind: kind, parts: strings.Split(parts, ","), netmask: allOnes}
	if method != "hash" && method != "bitmap" && method != "list" {
		set.opaque = "sets of type " + kind + " are not modelled"
	}
	for i := 0; i+1 < len(options); i++ {
		switch options[i].text {
		case "family":
			set.v6 = options[i+1].text == "inet6"
		case "netmask":
			mask, ok := addressMask(set.addresses())(options[i+1].text)
			if !ok {
				set.opaque = "the set's netmask is not understood"
			}
			set.netmask = mask
		case "bitmask":
			set.opaque = "sets with a bitmask are not modelled"
		}
	}
	return set
}

func (s *ipset) addresses() *kind {
	if s.v6 {
		return kindIPv6
	}
	return kindIPv4
}

func (s *ipset) add(entry string, options []word) {
	if s.kind == "list:set" {
		s.members = append(s.members, entry)
		return
	}
	e := ipsetEntry{nomatch: slices.ContainsFunc(options, func(w word) bool { return w.text == "nomatch" && !w.quoted })}
	fields := strings.Split(entry, ",")
	if len(fields) > len(s.parts) {
		e.opaque = true
	}
	for i, part := range s.parts {
		if i >= len(fields) { // bitmap:ip,mac without a MAC: any
			e.parts = append(e.parts, everything)
			continue
		}
		read, width, ok := s.part(part, fields[i])
		e.maybe = e.maybe || !ok
		e.width += width
		e.parts = append(e.parts, read...)
	}
	s.entries = append(s.entries, e)
}

// part reads one field of an entry; of a port, two values.
func (s *ipset) part(part, text string) (spans []span, width int, ok bool) {
	switch part {
	case "ip", "net":
		found, width, ok := s.network(text)
		return []span{known(found, ok)}, width, ok
	case "port":
		return s.ports(text)
	case "mac":
		v, ok := kindMAC.text(strings.ToLower(text))
		return []span{known(exactly(v), ok)}, 0, ok
	case "iface":
		name, physical := strings.CutPrefix(text, "physdev:")
		if physical {
			return []span{everything, exactly(nameValue(name))}, 0, true
		}
		return []span{exactly(nameValue(name)), everything}, 0, true
	case "mark":
		v, ok := kindMark.text(text)
		return []span{known(exactly(v), ok)}, 0, ok
	default:
		return []span{everything}, 0, false
	}
}

// known is a span, or, if it was not understood, every value.
func known(s span, ok bool) span {
	if !ok {
		return everything
	}
	return s
}

// network reads an address, a network or a range.
func (s *ipset) network(text string) (span, int, bool) {
	k := s.addresses()
	if from, to, ranged := strings.Cut(text, "-"); ranged {
		a, ok1 := k.parse(from)
		b, ok2 := k.parse(to)
		return span{a, b}, 0, ok1 && ok2
	}
	if p, err := netip.ParsePrefix(text); err == nil {
		host := low(k.bits - p.Bits())
		a := addressValue(p.Masked().Addr())
		return span{a, a.or(host)}, p.Bits(), p.Addr().Is4() != s.v6
	}
	a, ok := k.parse(text)
	return exactly(a), k.bits, ok
}

// ports reads "udp:67", "67" of bitmap:port, or "icmp:echo-request".
func (s *ipset) ports(text string) ([]span, int, bool) {
	name, port, named := strings.Cut(text, ":")
	if !named {
		v, ok := between(kindPort, strings.Replace(text, "-", ":", 1))
		return []span{everything, known(v, ok)}, 0, ok
	}
	proto, ok := kindProto.text(strings.ToLower(name))
	if !ok {
		return []span{everything, everything}, 0, false
	}
	if name == "icmp" || name == "icmpv6" || name == "ipv6-icmp" {
		return []span{exactly(proto), everything}, 0, false
	}
	v, ok := between(kindPort, strings.Replace(port, "-", ":", 1))
	return []span{exactly(proto), known(v, ok)}, 0, ok
}

// setCond is -m set --match-set.
type setCond struct {
	name string
	dirs []bool // true is src
}

func addSetReader(readers map[string]optionReader) {
	readers["set --match-set"] = optionReader{values: 2, condition: func(v []string, _ bool) condition {
		c := setCond{name: v[0]}
		for dir := range strings.SplitSeq(v[1], ",") {
			if dir != "src" && dir != "dst" {
				return nil
			}
			c.dirs = append(c.dirs, dir == "src")
		}
		return c
	}}
}

func (c setCond) test(v *view) Tri {
	t, _ := v.sets.has(v, c.name, c.dirs, 0)
	return t
}

func (c setCond) fact(v *view) string {
	_, why := v.sets.has(v, c.name, c.dirs, 0)
	return why
}

// maxLists bounds how deep lists of sets are followed; the kernel has no lists
// of lists.
const maxLists = 4

func (s *IPSets) has(v *view, name string, dirs []bool, depth int) (Tri, string) {
	if s == nil {
		return Unknown, "the node's ipsets were not listed"
	}
	set := s.byName[name]
	switch {
	case set == nil:
		return Unknown, "ipset " + printable(name) + " is not in the listing"
	case set.changes && v.rewritten(changeSet):
		return Unknown, v.why("ipset "+printable(name), changeSet)
	case set.opaque != "":
		return Unknown, "ipset " + printable(name) + ": " + set.opaque
	case set.kind == "list:set" && depth < maxLists:
		t, why := No, "no member of ipset "+printable(name)+" has it"
		for _, member := range set.members {
			has, reason := s.has(v, member, dirs, depth+1)
			if has > t {
				t, why = has, reason
			}
		}
		return t, why
	default:
		return set.has(v, dirs)
	}
}

func (s *ipset) has(v *view, dirs []bool) (Tri, string) {
	operands, ok := s.operands(dirs)
	if !ok {
		return Unknown, "ipset " + printable(s.name) + " is asked for something that is not modelled"
	}
	l := &lookup{operands: operands}
	values := l.read(v)
	if applies(values) == No {
		return No, l.fact(v)
	}
	best, t := -1, No
	specific := slices.ContainsFunc(s.entries, func(e ipsetEntry) bool { return e.nomatch })
	for _, e := range s.entries {
		has := e.holds(values)
		switch {
		case has == Yes && e.width > best:
			best, t = e.width, Truth(!e.nomatch)
		case has == Unknown && (specific || t != Yes):
			return s.unsure(l, v, specific)
		}
	}
	return min(applies(values), t), l.fact(v)
}

// holds says whether the entry has the key.
func (e ipsetEntry) holds(values []reading) Tri {
	t := e.has(values)
	if e.maybe {
		t = min(t, Unknown)
	}
	return t
}

// unsure is the answer when an entry may match: another may still be sure to.
func (s *ipset) unsure(l *lookup, v *view, specific bool) (Tri, string) {
	values := l.read(v)
	if !specific && slices.ContainsFunc(s.entries, func(e ipsetEntry) bool { return e.holds(values) == Yes }) {
		return applies(values), l.fact(v)
	}
	return Unknown, "whether ipset " + printable(s.name) + " has it is not known (" + l.fact(v) + ")"
}

// operands are what the set's parts are compared with.
func (s *ipset) operands(dirs []bool) ([]operand, bool) {
	if len(dirs) < len(s.parts) {
		return nil, false
	}
	var all []operand
	for i, part := range s.parts {
		read := s.operand(part, dirs[i])
		if read == nil {
			return nil, false
		}
		all = append(all, read...)
	}
	return all, true
}

func (s *ipset) operand(part string, src bool) []operand {
	family, side, dir, device := familyIP, "daddr", "dport", "oifname"
	if s.v6 {
		family = familyIP6
	}
	if src {
		side, dir, device = "saddr", "sport", "iifname"
	}
	switch part {
	case "ip", "net":
		o := operand{sel: payloadSelector(family, side)}
		if s.netmask != allOnes {
			o.ops = []bitOperation{{"&", s.netmask}}
		}
		return []operand{o}
	case "port":
		return []operand{{sel: metaSelector("l4proto")}, {sel: payloadSelector("th", dir)}}
	case "mac":
		return []operand{{sel: payloadSelector("ether", side)}}
	case "iface":
		return []operand{{sel: metaSelector(device)}, {sel: portSelector(src)}}
	case "mark":
		return []operand{{sel: metaSelector("mark")}}
	default:
		return nil
	}
}

// portSelector reads the bridge port, as entries with "physdev:" do.
func portSelector(src bool) *selector {
	return &selector{text: "bridge port", kind: kindName, read: func(v *view) reading {
		if src {
			return readFact(v.p.PhysIn, nameValue, "the bridge port in is not known")
		}
		return readFact(v.physOut(), nameValue, "the bridge port out is not known")
	}}
}
