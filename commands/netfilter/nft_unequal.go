package netfilter

import "slices"

// An unequalRun is a run of "!=" on fields of a packet, one after the other.
//
// nft 1.0.6 and others like it put fields that lie side by side into one
// comparison, and for "!=" that means something else: the rule "udp sport != 67
// udp dport != 68" matches unless both ports are those, though it is listed as
// if neither may be. Which of the two a kernel does is not in the listing.
type unequalRun struct{ parts []condition }

// mergeable makes cond part of the run that the rule ends with now, or begins
// one.
func (r *ruleReader) mergeable(cond condition) condition {
	if n := len(r.rule.Matches); n > 0 {
		if run, ok := r.rule.Matches[n-1].cond.(*unequalRun); ok {
			return &unequalRun{parts: append(slices.Clone(run.parts), cond)}
		}
	}
	return &unequalRun{parts: []condition{cond}}
}

// isPlainPayload reports whether a field of the packet is compared with one
// value: all of it, or its first bytes, which are listed as a prefix.
func isPlainPayload(left, right any) bool {
	switch r := right.(type) {
	case map[string]any:
		if r["prefix"] == nil {
			return false // a set or a range: never made one
		}
	case []any:
		return false
	}
	return member(left, "payload") != nil
}

func (c *unequalRun) test(v *view) Tri {
	answer := c.parts[0].test(v)
	for _, part := range c.parts[1:] {
		if part.test(v) != answer {
			return Unknown
		}
	}
	return answer
}

func (c *unequalRun) fact(v *view) string {
	if len(c.parts) == 1 || c.test(v) != Unknown {
		return c.parts[0].fact(v)
	}
	return "nft may have made one comparison of these, and then it matches unless all are equal"
}
