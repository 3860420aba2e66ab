package netfilter

import (
	"strconv"
	"strings"
)

// A dialect is the way one program of iptables' family lists its rules.
type dialect struct {
	program, listing string
	family           string // empty: the listing's first line says it
	attachments      map[string]map[Hook]int
	targets          map[string]targetKind
	// refine reads a target's options; nil for those of iptables.
	refine func(*Target)
	// options are the matches, where they need no extension named before;
	// nil for iptables.
	options map[string]optionReader
	// commits says that every table ends with COMMIT.
	commits bool
	// userPolicies says that chains which no hook calls have policies too.
	userPolicies bool
	// tracks says that the nat table sees the first packet of a connection only.
	tracks bool
	// countersLast says that counters may stand behind the rule.
	countersLast bool
	// implied adds matches that a target makes by itself.
	implied func(*Rule)
}

var iptables = dialect{
	program: "iptables", listing: "iptables-save",
	attachments: attachments, targets: targets, commits: true, tracks: true,
}

func (d *dialect) imply(r *Rule) {
	if d.implied != nil {
		d.implied(r)
	}
}

// countersFirst puts the counters that ebtables-legacy-save prints behind a
// rule, "-c PACKETS BYTES", in front of it, as the others print them.
func (d *dialect) countersFirst(line string) string {
	i := strings.LastIndex(line, " -c ")
	if !d.countersLast || i < 0 || line[0] == '[' {
		return line
	}
	counters := strings.Fields(line[i+len(" -c "):])
	if len(counters) != 2 {
		return line
	}
	return "[" + counters[0] + ":" + counters[1] + "] " + strings.TrimRight(line[:i], " ,")
}

// compared makes a reader of an option that compares one operand with a value.
func compared(read func(string) ([]operand, *valueSet)) optionReader {
	return optionReader{values: 1, ownNegation: true, condition: func(v []string, negated bool) condition {
		operands, set := read(v[0])
		if set == nil {
			return nil
		}
		return &lookupCond{lookup: lookup{operands: operands, set: set}, negated: negated}
	}}
}

// spans makes a set of single values.
func spans(all ...span) *valueSet {
	set := &valueSet{}
	for _, s := range all {
		set.elems = append(set.elems, element{parts: []span{s}})
	}
	return set
}

// fieldOption makes a reader of an option about one field of a header.
func fieldOption(proto, name string, read func(*kind, string) (span, bool)) optionReader {
	return selectorOption(payloadSelector(proto, name), read)
}

// selectorOption makes a reader of an option about what a selector reads.
func selectorOption(sel *selector, read func(*kind, string) (span, bool)) optionReader {
	return compared(func(v string) ([]operand, *valueSet) {
		s, ok := read(sel.kind, v)
		if !ok {
			return nil, nil
		}
		return []operand{{sel: sel}}, spans(s)
	})
}

// plain reads a single value.
func plain(k *kind, v string) (span, bool) {
	n, ok := k.text(strings.ToLower(v))
	return exactly(n), ok
}

// between reads "1:2", or one value; an open end is the last there is.
func between(k *kind, v string) (span, bool) {
	low, high, ranged := strings.Cut(v, ":")
	if !ranged {
		return plain(k, v)
	}
	s := span{to: allOnes}
	ok1, ok2 := true, true
	if low != "" {
		s.from, ok1 = k.text(low)
	}
	if high != "" {
		s.to, ok2 = k.text(high)
	}
	return s, ok1 && ok2
}

// hexNumber reads a number without "0x".
func hexNumber(k *kind, v string) (span, bool) {
	n, ok := k.text("0x" + strings.TrimPrefix(v, "0x"))
	return exactly(n), ok
}

// wildcardName reads an interface's name, where "+" at the end stands for any
// rest.
func wildcardName(_ *kind, v string) (span, bool) {
	if prefix, wild := strings.CutSuffix(v, "+"); wild && len(prefix) < 16 {
		n := nameValue(prefix)
		return span{n, n.or(low(128 - 8*len(prefix)))}, true
	}
	n, ok := kindName.parse(v)
	return exactly(n), ok
}

// masked makes a reader of "VALUE/MASK".
func masked(sel *selector, readMask func(string) (value, bool)) optionReader {
	return compared(func(v string) ([]operand, *valueSet) {
		text, mask, cut := strings.Cut(v, "/")
		n, ok := sel.kind.text(strings.ToLower(text))
		if !ok {
			return nil, nil
		}
		if !cut {
			return []operand{{sel: sel}}, spans(exactly(n))
		}
		m, ok := readMask(mask)
		if !ok {
			return nil, nil
		}
		return []operand{{sel: sel, ops: []bitOperation{{"&", m}}}}, spans(exactly(n.and(m)))
	})
}

func macMask(s string) (value, bool) { return kindMAC.parse(s) }

// addressMask reads a mask as a number of bits or as an address.
func addressMask(k *kind) func(string) (value, bool) {
	return func(s string) (value, bool) {
		if n, err := strconv.Atoi(s); err == nil && n >= 0 && n <= k.bits {
			return low(k.bits).and(low(k.bits - n).not()), true
		}
		return k.parse(s)
	}
}
