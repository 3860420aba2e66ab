package netfilter

// A markChange rewrites a packet's mark: what it keeps of the old one, and what
// is flipped after that.
type markChange struct{ keep, flip uint32 }

func (m markChange) apply(old Fact[uint32]) Fact[uint32] {
	if !old.known && m.keep != 0 {
		return Fact[uint32]{}
	}
	return Is(old.value&m.keep ^ m.flip)
}

// An effect is something that a rule does to a packet.
type effect struct {
	// after counts the matches in front of it: what stands before a match
	// happens even if the match then fails.
	after int
	bits  change
	// mark is how the mark changes when that is known; bits says it too then.
	mark *markChange
}

// after returns the changes once a rule has had an effect; matched is Unknown
// when it may not have had it.
func (v *view) after(e effect, r *Rule, matched Tri) changes {
	c := v.changed
	if e.bits&changeCT != 0 {
		switch v.ct() {
		case CTNew, CTEstablished, CTRelated, CTUntracked:
			e.bits &^= changeCT // it is too late
		case CTInvalid:
			if matched == Yes {
				e.bits &^= changeCT
				c.untracked = true
				c.by[ctBy] = r
			}
		default:
		}
	}
	if e.mark == nil {
		return c.with(e.bits, r)
	}
	next := e.mark.apply(c.mark)
	switch {
	case !next.known || matched == Unknown && next != c.mark:
		return c.with(changeMark, r)
	default:
		c.mark = next
		c.bits &^= changeMark
		c.by[markBy] = r
		return c
	}
}
