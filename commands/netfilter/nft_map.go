package netfilter

// A verdictMap is the verdicts of "vmap" and the keys they stand for.
type verdictMap struct {
	key *lookup
	// match is the rule's match that says whether the map holds the key.
	match *Match
	// targets holds the verdicts of the elements, in the set's order.
	targets []*Target
}

// verdicts returns the verdicts that the map may give, and whether it is sure
// to be the only one.
func (m *verdictMap) verdicts(v *view) (found []*Target, sure bool) {
	values := m.key.read(v)
	rest := Yes // none of the elements so far
	for i, e := range m.key.set.elems {
		if e.rest {
			continue
		}
		switch e.has(values) {
		case Yes:
			return append(found, m.targets[i]), len(found) == 0
		case Unknown:
			rest = Unknown
			found = append(found, m.targets[i])
		default:
		}
	}
	for i, e := range m.key.set.elems {
		if e.rest {
			return append(found, m.targets[i]), rest == Yes
		}
	}
	return found, false
}

// chosen returns the verdict of a verdict map for a rule that matches, nil when
// there is none or when it is not sure.
func (t *Target) chosen(v *view, matched Tri) *Target {
	if t.act != actMap || matched != Yes {
		return nil
	}
	if found, sure := t.cases.verdicts(v); sure {
		return found[0]
	}
	return nil
}
