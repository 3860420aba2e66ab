package netfilter

import "strings"

// An operand is a selector and what a rule masks it with.
type operand struct {
	sel *selector
	ops []bitOperation
}

type bitOperation struct {
	operator string // "&", "|" or "^"
	with     value
}

func (o operand) read(v *view) reading {
	r := o.sel.of(v)
	for _, op := range o.ops {
		switch op.operator {
		case "&":
			r.value, r.known = r.value.and(op.with), r.known.or(op.with.not())
		case "|":
			r.value, r.known = r.value.or(op.with), r.known.or(op.with)
		default:
			r.value = r.value.xor(op.with)
		}
	}
	r.value = r.value.and(r.known)
	return r
}

// fact says what the operand is, or why that is not known.
func (o operand) fact(v *view) string {
	r := o.sel.of(v)
	switch {
	case r.applies != Yes || r.known != allOnes:
		return r.why
	case o.sel.kind == kindName && r.value.zero():
		return "no " + o.sel.text + " at " + string(v.hook)
	default:
		return o.sel.text + " is " + printable(o.sel.kind.spell(r.value))
	}
}

// An element of a set: one span for each part of the key.
type element struct {
	parts []span
	// opaque elements are not understood: whether they match is not known.
	opaque bool
	// rest is "*", which stands for every other key.
	rest bool
}

func (e element) has(values []reading) Tri {
	if e.opaque || len(e.parts) != len(values) {
		return Unknown
	}
	t := Yes
	for i, s := range e.parts {
		t = min(t, s.has(values[i]))
	}
	return t
}

// A valueSet is what a rule compares with: one value, or a set of them.
type valueSet struct {
	elems []element
	// from is the named set it comes from.
	from *nftSet
}

// A lookup asks whether a set holds a key.
type lookup struct {
	operands []operand
	set      *valueSet
}

// read reads the key; parts that the packet does not have are unknown in it.
func (l *lookup) read(v *view) []reading {
	values := make([]reading, len(l.operands))
	for i, o := range l.operands {
		values[i] = o.read(v)
	}
	return values
}

func applies(values []reading) Tri {
	t := Yes
	for _, r := range values {
		t = min(t, r.applies)
	}
	return t
}

// has says whether the set holds the key.
func (l *lookup) has(v *view, values []reading) Tri {
	t := No
	for _, e := range l.set.elems {
		if e.rest {
			return Yes
		}
		if t = or(t, e.has(values)); t == Yes {
			break
		}
	}
	return l.set.from.certain(t, v)
}

func (l *lookup) fact(v *view) string {
	facts := make([]string, 0, len(l.operands))
	for _, o := range l.operands {
		if r := o.sel.of(v); r.applies == No {
			return r.why
		}
		facts = append(facts, o.fact(v))
	}
	return strings.Join(facts, ", ")
}

// lookupCond is a match of nft: a key compared with values.
type lookupCond struct {
	lookup
	negated bool
}

func (c *lookupCond) test(v *view) Tri {
	values := c.read(v)
	has := applies(values)
	if has == No {
		return No
	}
	t := c.has(v, values)
	if c.negated {
		t = t.not()
	}
	return min(has, t)
}

func (c *lookupCond) fact(v *view) string {
	values := c.read(v)
	if applies(values) == Yes && c.set.from.unsteady() && c.test(v) == Unknown {
		return v.why("set "+printable(c.set.from.name), changeSet)
	}
	return c.lookup.fact(v)
}

// flagCond asks for any, or none, of some bits.
type flagCond struct {
	operand operand
	bits    value
	none    bool
}

func (c *flagCond) test(v *view) Tri {
	r := c.operand.read(v)
	if r.applies == No {
		return No
	}
	t := No
	switch {
	case !r.value.and(r.known).and(c.bits).zero():
		t = Yes
	case !c.bits.and(r.known.not()).zero():
		t = Unknown
	}
	if c.none {
		t = t.not()
	}
	return min(r.applies, t)
}

func (c *flagCond) fact(v *view) string { return c.operand.fact(v) }

// hasCond asks only whether the packet has what a statement needs.
type hasCond struct{ operands []operand }

func (c *hasCond) test(v *view) Tri {
	t := Yes
	for _, o := range c.operands {
		t = min(t, o.sel.of(v).applies)
	}
	return t
}

func (c *hasCond) fact(v *view) string { return (&lookup{operands: c.operands}).fact(v) }

// unknownCond is a match that is not modelled, for a reason of its own. What it
// looks at, the packet may be known not to have.
type unknownCond struct {
	why string
	of  []operand
}

func (c *unknownCond) test(v *view) Tri { return min((&hasCond{c.of}).test(v), Unknown) }

func (c *unknownCond) fact(v *view) string {
	if (&hasCond{c.of}).test(v) == No {
		return (&lookup{operands: c.of}).fact(v)
	}
	return c.why
}
