package netfilter

// An nftSet is a named set or map as listed.
type nftSet struct {
	name    string
	elems   []any
	size    uint64
	verdict bool // a map of verdicts
	// grows and shrinks say that rules add and delete elements.
	grows, shrinks bool

	compiled map[string]*valueSet
}

// unsteady says that rules change the set.
func (s *nftSet) unsteady() bool { return s != nil && (s.grows || s.shrinks) }

// certain turns what the listing shows into what the packet meets: a rule that
// it met before may have changed the set.
func (s *nftSet) certain(t Tri, v *view) Tri {
	if s == nil || !v.rewritten(changeSet) || t == No && !s.grows || t == Yes && !s.shrinks {
		return t
	}
	return Unknown
}

// full says whether an element that is added may find no room.
func (s *nftSet) full() bool { return s.size > 0 && uint64(len(s.elems)) >= s.size }

// values reads the set's elements as keys of the operands. The same set may be
// asked by different keys, which read the elements alike.
func (s *nftSet) values(operands []operand) *valueSet {
	key := ""
	for _, o := range operands {
		key += o.sel.text + "\x00"
	}
	if have := s.compiled[key]; have != nil {
		return have
	}
	set := readElements(s.elems, operands)
	set.from = s
	if s.compiled == nil {
		s.compiled = map[string]*valueSet{}
	}
	s.compiled[key] = set
	return set
}

// readElements reads a list of elements; of a map, the keys.
func readElements(elems []any, operands []operand) *valueSet {
	set := &valueSet{elems: make([]element, 0, len(elems))}
	for _, x := range elems {
		set.elems = append(set.elems, readElement(keyOf(x), operands))
	}
	return set
}

// keyOf takes the key out of an element of a set, or of a map, which is a pair.
func keyOf(x any) any {
	if pair, ok := x.([]any); ok && len(pair) == 2 {
		x = pair[0]
	}
	if m, ok := x.(map[string]any); ok {
		if e, ok := m["elem"].(map[string]any); ok {
			return e["val"]
		}
	}
	return x
}

func readElement(x any, operands []operand) element {
	if x == "*" {
		return element{rest: true}
	}
	keys := []any{x}
	if m, ok := x.(map[string]any); ok {
		if parts, ok := m["concat"].([]any); ok {
			keys = parts
		}
	}
	if len(keys) != len(operands) {
		return element{opaque: true}
	}
	e := element{parts: make([]span, len(keys))}
	for i, o := range operands {
		var ok bool
		if keys[i] == "*" {
			e.parts[i] = everything
			continue
		}
		if e.parts[i], ok = o.sel.kind.span(keys[i]); !ok {
			return element{opaque: true}
		}
	}
	return e
}
