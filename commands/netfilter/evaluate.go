package netfilter

import "slices"

// Evaluate says what the rules of one hook do to a packet that arrives there.
//
// Rules at hooks the packet has passed before are walked silently for what
// they may have changed on it (its mark, a translated address, tracking);
// whether they let it pass is another question: see Traverse.
func Evaluate(rs *Ruleset, hook Hook, p Packet) Decision { return Traverse(rs, p, hook) }

// Traverse walks several hooks one after the other, as a packet does that is
// bridged or routed (PREROUTING, FORWARD, POSTROUTING) or delivered
// (PREROUTING, INPUT). A DROP or REJECT anywhere decides; ACCEPT ends only the
// base chain it stands in.
func Traverse(rs *Ruleset, p Packet, hooks ...Hook) Decision {
	d := Decision{Hooks: hooks, Packet: p}
	w := &walker{rs: rs, p: &d.Packet, blocked: map[*Rule]bool{}, silent: true}
	var changed changes
	if len(hooks) > 0 {
		for _, h := range hooks[0].before(w.p) {
			changed = changed.join(w.hook(h, changed).changed)
		}
	}
	w.silent = false
	accepted := []Ending{{Verdict: Accept}}
	passes := true
	for _, h := range hooks {
		out := w.hook(h, changed)
		for _, e := range out.endings {
			d.Possible = addEnding(d.Possible, e)
		}
		if passes = out.passes; !passes {
			break
		}
		changed = out.changed
		accepted = reported(accepted, out.accepted)
	}
	if passes {
		for _, e := range accepted {
			d.Possible = addEnding(d.Possible, e)
		}
	}
	d.Walk, d.Blockers = w.steps, w.blockers
	d.conclude()
	return d
}

// reported chooses, of the chains that accept a packet one after the other,
// the one to report: the filter table's, else the last.
func reported(before, now []Ending) []Ending {
	if len(now) == 0 || before[0].Table == filterTable && now[0].Table != filterTable {
		return before
	}
	return now
}

const filterTable = "filter"

// maxDepth bounds nested jumps far beyond what the kernel's own stacks hold.
const maxDepth = 1024

// maxEndings bounds how many endings of one verdict are told apart.
const maxEndings = 4

// addEnding adds a different ending, unless there are enough of its verdict.
func addEnding(list []Ending, e Ending) []Ending {
	alike := 0
	for _, have := range list {
		if have.same(e) {
			return list
		}
		if have.Verdict == e.Verdict {
			alike++
		}
	}
	if alike >= maxEndings {
		return list
	}
	return append(list, e)
}

// A walker walks the chains of one packet. Unknown matches make it follow both
// continuations; instead of two walks it keeps one with the set of endings
// reached so far, and remembers each chain's outcome, so that its work stays
// proportional to the number of rules.
type walker struct {
	rs     *Ruleset
	p      *Packet
	silent bool // walk for the changes only

	steps    []WalkStep
	blockers []Blocker
	blocked  map[*Rule]bool

	memo   map[memoKey]*outcome
	active map[*Chain]bool
}

// A chain's outcome depends on the packet and on what was changed before.
type memoKey struct {
	chain *Chain
	bits  change
}

// An outcome is everything that may come of walking a chain.
type outcome struct {
	endings []Ending // in the order found
	// leaves says that the packet may run off the end of the chain or RETURN;
	// changed is what may have happened to it by then.
	leaves  bool
	changed changes
	// accepted is what may have happened to it by the time it was accepted.
	accepted changes
	// hits counts every ending found, those left out of endings too.
	hits int
}

func (o *outcome) end(e Ending) {
	o.endings = addEnding(o.endings, e)
	o.hits++
}

func (o *outcome) leave(c changes) {
	if o.leaves {
		c = o.changed.join(c)
	}
	o.leaves, o.changed = true, c
}

// passed is the outcome of all base chains of a hook.
type passed struct {
	endings  []Ending // ways to be lost here, and undecided ones
	accepted []Ending // ways through the chain that is reported for a packet that passes
	passes   bool
	changed  changes
}

func (w *walker) hook(h Hook, changed changes) passed {
	out := passed{passes: true, changed: changed}
	for _, c := range w.rs.base(h) {
		o := w.base(c, out.changed)
		var accepted []Ending
		out.passes = false
		for _, e := range o.endings {
			out.passes = out.passes || !e.Verdict.Lost()
			if e.Verdict == Accept {
				accepted = append(accepted, e)
			} else {
				out.endings = addEnding(out.endings, e)
			}
		}
		if !out.passes {
			return out
		}
		out.changed = o.accepted
		if out.accepted == nil {
			out.accepted = accepted
		} else {
			out.accepted = reported(out.accepted, accepted)
		}
	}
	return out
}

// base walks a base chain and applies its policy.
func (w *walker) base(c *Chain, changed changes) *outcome {
	w.memo, w.active = map[memoKey]*outcome{}, map[*Chain]bool{}
	v := &view{p: w.p, hook: c.Hook, untraced: c.Priority <= priorityRaw, changed: changed}
	accepted := Ending{Verdict: Accept, Table: c.Table, Chain: c.Name, ByPolicy: true}
	consulted := Yes
	if c.NAT {
		consulted = opensConnection(v.ct())
	}
	if consulted == No {
		w.step(WalkStep{Kind: StepSkipped, Chain: c, view: v})
		return &outcome{endings: []Ending{accepted}, accepted: changed}
	}
	o := *w.chain(c, v, nil)
	if o.leaves {
		w.step(WalkStep{Kind: StepPolicy, Chain: c, view: v})
		o.end(Ending{Verdict: c.Policy, Table: c.Table, Chain: c.Name, ByPolicy: true})
		if c.Policy == Accept {
			o.accepted = o.accepted.join(o.changed)
		}
	}
	if consulted == Unknown {
		w.blockUnconsulted(o.endings)
		o.end(accepted)
		o.accepted = o.accepted.join(changed)
	}
	return &o
}

// opensConnection says whether a packet is one that the nat table sees.
func opensConnection(s CTState) Tri {
	switch s {
	case CTNew, CTRelated:
		return Yes
	case CTUnknown:
		return Unknown
	default:
		return No
	}
}

// blockUnconsulted names the rules of a nat chain that may or may not be asked.
func (w *walker) blockUnconsulted(endings []Ending) {
	for _, e := range endings {
		if e.Verdict != Accept && e.Rule != nil {
			w.block(e.Rule, e.Rule.Target.Text, "nat sees the first packet of a connection only, and whether this is one is not known")
		}
	}
}

// chain walks one chain as called by a rule (nil: by the kernel).
func (w *walker) chain(c *Chain, v *view, caller *Rule) *outcome {
	key := memoKey{c, v.changed.bits}
	if o := w.memo[key]; o != nil {
		w.step(WalkStep{Kind: StepAgain, Chain: c, view: v})
		return o
	}
	if w.active[c] || len(w.active) >= maxDepth {
		w.block(caller, caller.Target.Text, "the chains call each other in a circle or too deeply")
		return &outcome{endings: []Ending{{Rule: caller, Table: caller.Table, Chain: caller.Chain}}, hits: 1}
	}
	w.active[c] = true
	defer delete(w.active, c)
	o := &outcome{}
	var returns []doubtfulReturn
	for _, r := range c.Rules {
		matched, why := r.test(v)
		w.step(WalkStep{Kind: StepRule, Chain: c, Rule: r, Result: matched, match: why, view: v})
		if matched == No {
			continue
		}
		if matched == Unknown && r.Target.act == actReturn {
			returns = append(returns, doubtfulReturn{r, why, v, o.hits})
		}
		if v = w.apply(o, r, v, matched, why); v == nil {
			break
		}
	}
	if v != nil {
		w.step(WalkStep{Kind: StepEnd, Chain: c, Rule: caller, view: v})
		o.leave(v.changed)
	}
	for _, d := range returns {
		if o.hits > d.hits { // what it may have skipped can end the walk
			w.doubt(d.rule, d.match, d.view)
		}
	}
	w.memo[key] = o
	return o
}

// A doubtfulReturn is a RETURN that may or may not apply.
type doubtfulReturn struct {
	rule  *Rule
	match *Match
	view  *view
	hits  int // endings found in the chain before it
}

// apply adds to o what a rule that matches, or may match, does. It returns the
// view for the next rule, or nil when no packet gets there.
func (w *walker) apply(o *outcome, r *Rule, v *view, matched Tri, why *Match) *view {
	next := v
	if matched == Yes {
		next = nil
	}
	switch r.Target.act {
	case actNothing:
		return v.with(v.changed.with(r.Target.changes, r))
	case actReturn:
		o.leave(v.changed)
	case actCall:
		return w.call(o, r, v, next, why)
	case actOpaque:
		w.block(r, r.Target.Text, "what this target does is not known")
		o.end(r.ending(Undecided))
		next = v.with(v.changed.with(changeMark|changeDst|changeSrc, r))
		w.accept(o, next.changed)
	case actHandOff:
		w.block(r, r.Target.Text, "a program in user space decides")
		o.end(r.ending(Undecided))
		w.accept(o, v.changed)
	default:
		w.decide(o, r, v)
	}
	if matched == Unknown && r.Target.act != actReturn {
		w.doubt(r, why, v)
	}
	return next
}

// decide adds the ending of ACCEPT, DROP, REJECT and the nat targets.
func (w *walker) decide(o *outcome, r *Rule, v *view) {
	switch r.Target.act {
	case actDrop:
		o.end(r.ending(Drop))
	case actReject:
		o.end(r.ending(Reject))
	default:
		o.end(r.ending(Accept))
		w.accept(o, v.changed.with(r.Target.changes, r))
	}
}

func (w *walker) accept(o *outcome, c changes) { o.accepted = o.accepted.join(c) }

// call walks the chain that r jumps to. next is the view for the rule after r
// in case r does not match.
func (w *walker) call(o *outcome, r *Rule, v, next *view, why *Match) *view {
	sub := w.chain(r.Target.Chain, v, r)
	for _, e := range sub.endings {
		e.Path = slices.Concat([]*Rule{r}, e.Path)
		o.endings = addEnding(o.endings, e)
	}
	o.hits += sub.hits
	o.accepted = o.accepted.join(sub.accepted)
	if next != nil && (sub.hits > 0 || r.Target.Goto) {
		w.doubt(r, why, v)
	}
	switch {
	case !sub.leaves:
		return next
	case r.Target.Goto:
		o.leave(sub.changed)
		return next
	default:
		return v.with(v.changed.join(sub.changed))
	}
}

func (r *Rule) ending(v Verdict) Ending {
	return Ending{Verdict: v, Rule: r, Table: r.Table, Chain: r.Chain}
}

// doubt records a rule of which it is not known whether it matches.
func (w *walker) doubt(r *Rule, m *Match, v *view) {
	if !w.silent && !w.blocked[r] {
		w.block(r, m.Text(), m.cond.fact(v))
	}
}

func (w *walker) block(r *Rule, what, why string) {
	if w.silent || w.blocked[r] {
		return
	}
	w.blocked[r] = true
	w.blockers = append(w.blockers, Blocker{Rule: r, Match: what, Why: why})
}

func (w *walker) step(s WalkStep) {
	if !w.silent {
		w.steps = append(w.steps, s)
	}
}
