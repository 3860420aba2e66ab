package differential

import (
	"slices"
	"strings"

	"whybot/commands/netfilter"
)

// A bound is how often something counts, at least and at most: they differ
// where the evaluator does not know whether a rule is reached or matches.
type bound struct{ low, high int }

// A prediction is what the evaluator says becomes of one shot.
type prediction struct {
	fates    map[string]netfilter.Decision // by receiver
	rules    map[*netfilter.Rule]bound
	policies map[*netfilter.Chain]bound
	errors   []string // where the evaluator contradicts itself
	// translated remembers which nat chains the connection has visited: the
	// copies of a broadcast belong to one, and only the first copy that gets to
	// the destination's, or to the source's, is shown there.
	translated map[bool]netfilter.Tri
	// untracked says that a rule has kept the shot from connection tracking,
	// after which the evaluator leaves open whether nat is asked.
	untracked bool
}

// An Evaluator says what rules do to a packet on its way through hooks of a
// layer.
type Evaluator func(layer netfilter.Layer, rs *netfilter.Ruleset, p netfilter.Packet, hooks ...netfilter.Hook) netfilter.Decision

// predict asks the evaluator about every way of a shot: once for the whole
// way, which is the verdict, and once hook by hook for what is counted. The
// hook that all ways of a shot have in common counts once.
func predict(evaluate Evaluator, layer netfilter.Layer, rs *netfilter.Ruleset, s shot, shown bool) *prediction {
	p := &prediction{
		fates: map[string]netfilter.Decision{},
		rules: map[*netfilter.Rule]bound{}, policies: map[*netfilter.Chain]bound{},
		translated: map[bool]netfilter.Tri{false: netfilter.No, true: netfilter.No},
	}
	entered := false
	for _, w := range s.ways(layer, shown) {
		whole := evaluate(layer, rs, w.packet, w.hooks...)
		p.fates[w.to] = whole
		certain, passes := true, true
		for _, h := range w.hooks {
			d := evaluate(layer, rs, w.packet, h)
			if h != netfilter.Prerouting || !entered {
				p.count(d.Walk, certain)
			}
			entered = entered || h == netfilter.Prerouting
			certain = certain && d.Verdict != netfilter.Undecided
			if passes = !d.Verdict.Lost(); !passes {
				break
			}
		}
		switch {
		case !certain:
		case whole.Verdict == netfilter.Undecided:
			p.errors = append(p.errors, w.to+": every hook alone is decided, all together are not")
		case passes == whole.Verdict.Lost():
			p.errors = append(p.errors, w.to+": the hooks one by one and all together differ")
		}
	}
	return p
}

// count adds what a walk counts. After a rule of which it is not known whether
// it matches nothing is certain any more.
func (p *prediction) count(walk []netfilter.WalkStep, certain bool) {
	t := &tracker{prediction: p, walk: walk, certain: certain}
	for i := range walk {
		t.step(i)
	}
}

// A tracker follows a walk through the chains, because a chain that is walked
// again is in the walk as one step.
type tracker struct {
	*prediction
	walk    []netfilter.WalkStep
	certain bool
	again   netfilter.Tri // a nat chain that another copy has been shown to
	stack   []visit
	visited map[*netfilter.Chain][2]int // the steps of a chain's last walk
}

type visit struct {
	chain *netfilter.Chain
	from  int
}

func (t *tracker) step(i int) {
	s := t.walk[i]
	if s.Kind == netfilter.StepAgain {
		// No chain calls itself: if this one was being walked it is done now.
		t.leave(slices.IndexFunc(t.stack, func(v visit) bool { return v.chain == s.Chain }), i)
	} else {
		t.at(s.Chain, i)
	}
	t.add(s)
}

// leave notes where the chains end that are on the stack from depth on.
func (t *tracker) leave(depth, i int) {
	if depth < 0 {
		return
	}
	for _, v := range t.stack[depth:] {
		t.visited[v.chain] = [2]int{v.from, i}
	}
	t.stack = t.stack[:depth]
}

// at says that step i is in a chain: those that were called from it are done.
func (t *tracker) at(c *netfilter.Chain, i int) {
	if c.Hook != "" && (len(t.stack) == 0 || t.stack[0].chain != c) {
		t.stack, t.visited = nil, map[*netfilter.Chain][2]int{} // the next base chain
		t.enter(c, t.walk[i].Kind)
	}
	depth := len(t.stack)
	for depth > 0 && t.stack[depth-1].chain != c {
		depth--
	}
	if depth == 0 {
		t.stack = append(t.stack, visit{c, i})
		return
	}
	t.leave(depth, i)
}

// enter notes the visit of a base chain.
func (t *tracker) enter(c *netfilter.Chain, kind netfilter.StepKind) {
	t.again = netfilter.No
	if !c.NAT || kind == netfilter.StepSkipped {
		return
	}
	source := c.Hook == netfilter.Input || c.Hook == netfilter.Postrouting
	t.again = t.translated[source]
	if t.untracked && t.again == netfilter.No {
		t.again = netfilter.Unknown
	}
	if t.certain {
		t.translated[source] = netfilter.Yes
	} else if t.again == netfilter.No {
		t.translated[source] = netfilter.Unknown
	}
}

func (t *tracker) add(s netfilter.WalkStep) {
	if t.again == netfilter.Yes {
		return
	}
	switch s.Kind {
	case netfilter.StepRule:
		t.certain = t.certain && s.Result != netfilter.Unknown
		if s.Result != netfilter.No {
			t.untracked = t.untracked || strings.Contains(s.Rule.Target.Text, "--notrack")
			t.rules[s.Rule] = t.rules[s.Rule].more(t.certain && t.again == netfilter.No)
		}
	case netfilter.StepPolicy:
		t.policies[s.Chain] = t.policies[s.Chain].more(t.certain && t.again == netfilter.No)
	case netfilter.StepAgain:
		span := t.visited[s.Chain]
		for _, again := range t.walk[span[0]:span[1]] {
			t.add(again)
		}
	default:
	}
}

func (b bound) more(certain bool) bound {
	b.high++
	if certain {
		b.low++
	}
	return b
}
