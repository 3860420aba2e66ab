package netfilter

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// stateCond is -m state --state and -m conntrack --ctstate.
type stateCond struct {
	states []CTState
	// translated says that SNAT or DNAT is among them: whether a connection is
	// translated is not in the listing.
	translated bool
}

func parseState(s string) condition {
	var c stateCond
	for name := range strings.SplitSeq(strings.ToUpper(s), ",") {
		state := ctStateNamed(name)
		switch {
		case name == "SNAT" || name == "DNAT":
			c.translated = true
		case state == CTUnknown:
			return nil
		default:
			c.states = append(c.states, state)
		}
	}
	return c
}

// ctStateNamed returns the state that iptables spells so, or CTUnknown.
func ctStateNamed(name string) CTState {
	for s := CTNew; s <= CTUntracked; s++ {
		if ctNames[s] == name {
			return s
		}
	}
	return CTUnknown
}

func (c stateCond) test(v *view) Tri {
	state := v.ct()
	switch {
	case state == CTUnknown:
		return Unknown
	case slices.Contains(c.states, state):
		return Yes
	case c.translated && state != CTInvalid && state != CTUntracked:
		return Unknown
	default:
		return No
	}
}

func (c stateCond) fact(v *view) string {
	state := v.ct()
	switch {
	case state == CTUnknown:
		return v.why("the connection's state", changeCT)
	case c.test(v) == Unknown:
		return "whether the connection is translated is not known"
	default:
		return "state is " + state.String()
	}
}

// markCond is -m mark.
type markCond struct{ value, mask uint32 }

func parseMark(s string) condition {
	value, mask, masked := strings.Cut(s, "/")
	v, err := strconv.ParseUint(value, 0, 32)
	if err != nil {
		return nil
	}
	c := markCond{uint32(v), ^uint32(0)}
	if masked {
		m, err := strconv.ParseUint(mask, 0, 32)
		if err != nil {
			return nil
		}
		c.mask = uint32(m)
	}
	return c
}

func (c markCond) test(v *view) Tri {
	return truthOf(v.mark(), func(m uint32) bool { return m&c.mask == c.value })
}

func (c markCond) fact(v *view) string {
	if m, known := v.mark().Get(); known {
		return fmt.Sprintf("mark is %#x", m)
	}
	return v.why("the mark", changeMark)
}
