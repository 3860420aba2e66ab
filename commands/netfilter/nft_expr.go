package netfilter

// operandsOf reads the left side of a match: a selector, several, or one with
// a mask. What is not understood is an operand that is not modelled.
func operandsOf(x any) []operand {
	if m, ok := x.(map[string]any); ok {
		if parts, ok := m["concat"].([]any); ok {
			all := make([]operand, 0, len(parts))
			for _, p := range parts {
				all = append(all, operandOf(p))
			}
			return all
		}
	}
	return []operand{operandOf(x)}
}

func operandOf(x any) operand {
	m, _ := x.(map[string]any)
	for _, operator := range []string{"&", "|", "^"} {
		sides, ok := m[operator].([]any)
		if !ok || len(sides) != 2 {
			continue
		}
		o := operandOf(sides[0])
		with, ok := o.sel.kind.scalar(sides[1])
		if !ok || o.sel.kind == kindName {
			return operand{sel: &selector{text: exprText(x, nil), kind: o.sel.kind}}
		}
		o.ops = append(o.ops, bitOperation{operator, with})
		return o
	}
	return operand{sel: selectorOf(m, x)}
}

func selectorOf(m map[string]any, x any) *selector {
	if meta, ok := m["meta"].(map[string]any); ok {
		key, _ := meta["key"].(string)
		return metaSelector(key)
	}
	if p, ok := m["payload"].(map[string]any); ok {
		proto, named := p["protocol"].(string)
		name, _ := p["field"].(string)
		if !named {
			return &selector{text: payloadText(p), kind: kindRaw}
		}
		return payloadSelector(proto, name)
	}
	if ct, ok := m["ct"].(map[string]any); ok {
		key, _ := ct["key"].(string)
		dir, _ := ct["dir"].(string)
		return ctSelector(key, dir)
	}
	if fib, ok := m["fib"].(map[string]any); ok {
		result, _ := fib["result"].(string)
		return fibSelector(result, stringsOf(fib["flags"]))
	}
	if option, ok := m["tcp option"].(map[string]any); ok {
		return &selector{
			text: exprText(map[string]any{"tcp option": option}, nil), kind: kindNumber,
			read: func(v *view) reading { return unread(notModelled).within(headers["tcp"].in(v)) },
		}
	}
	s := &selector{text: exprText(x, nil), kind: kindNumber}
	if len(m) == 1 && (m["osf"] != nil) {
		s.kind = kindQuoted
	}
	return s
}

// stringsOf reads a list of strings, or one.
func stringsOf(x any) []string {
	switch x := x.(type) {
	case string:
		return []string{x}
	case []any:
		var all []string
		for _, e := range x {
			if s, ok := e.(string); ok {
				all = append(all, s)
			}
		}
		return all
	default:
		return nil
	}
}

// conditionOf reads a match; nil when it is not understood.
func conditionOf(op string, left, right any, sets map[string]*nftSet) condition {
	operands := operandsOf(left)
	single := operands[0]
	if flags, ok := single.sel.kind.scalar(right); ok && len(operands) == 1 && single.sel.kind.flags && (op == "in" || op == "!") {
		return &flagCond{operand: single, bits: flags, none: op == "!"}
	}
	l := lookup{operands: operands}
	switch op {
	case "==", "!=", "in":
		l.set = rightSide(right, operands, sets)
	case "<", ">", "<=", ">=":
		if bound, ok := single.sel.kind.scalar(right); ok && len(operands) == 1 && single.sel.kind != kindName {
			l.set = &valueSet{elems: beyond(op, bound)}
		}
	}
	if l.set == nil {
		return nil
	}
	return &lookupCond{lookup: l, negated: op == "!="}
}

// beyond is the values on one side of a bound.
func beyond(op string, bound value) []element {
	one := func(s span) []element { return []element{{parts: []span{s}}} }
	switch {
	case op == ">=":
		return one(span{bound, allOnes})
	case op == "<=":
		return one(span{value{}, bound})
	case op == ">" && bound.lo != ^uint64(0):
		return one(span{value{bound.hi, bound.lo + 1}, allOnes})
	case op == "<" && bound.lo != 0:
		return one(span{value{}, value{bound.hi, bound.lo - 1}})
	default:
		return nil
	}
}

// rightSide reads the right side of a comparison; nil when it is a named set
// that the listing does not have.
func rightSide(x any, operands []operand, sets map[string]*nftSet) *valueSet {
	if name, ok := x.(string); ok && len(name) > 1 && name[0] == '@' {
		if set := sets[name[1:]]; set != nil {
			return set.values(operands)
		}
		return nil
	}
	if m, ok := x.(map[string]any); ok {
		if elems, ok := m["set"].([]any); ok {
			return readElements(elems, operands)
		}
	}
	e := readElement(x, operands)
	if e.opaque || e.rest {
		return nil
	}
	return &valueSet{elems: []element{e}}
}
