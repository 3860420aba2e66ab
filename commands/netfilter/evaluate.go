package netfilter

import (
	"cmp"
	"slices"
)

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
//
// It walks the hooks of the IP layer: tables of the packet's IP version and of
// both. See Layer.Traverse for the bridge's own.
func Traverse(rs *Ruleset, p Packet, hooks ...Hook) Decision {
	return LayerIP.Traverse(rs, p, hooks...)
}

// Traverse walks hooks of one layer.
func (l Layer) Traverse(rs *Ruleset, p Packet, hooks ...Hook) Decision {
	return traverse(&walker{rs: rs, layer: l}, p, hooks)
}

// TraverseDevice walks the chains that are bound to a device, at its Ingress or
// Egress hook: of netdev tables, and of inet tables with an ingress chain. A
// frame meets them at every device it goes through, before any other chain and
// after all of them.
func TraverseDevice(rs *Ruleset, p Packet, h Hook, device string) Decision {
	return traverse(&walker{rs: rs, layer: LayerDevice, device: device}, p, []Hook{h})
}

func traverse(w *walker, p Packet, hooks []Hook) Decision {
	d := Decision{Hooks: hooks, Packet: p}
	w.p, w.blocked = &d.Packet, map[*Rule]bool{}
	changed := w.entry(hooks)
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

// entry is what rules at the hooks before may have done to the packet.
func (w *walker) entry(hooks []Hook) changes {
	if len(hooks) == 0 || w.layer == LayerDevice {
		return arrival(w.p)
	}
	ways := hooks[0].before(w.p)
	if len(ways) == 0 {
		return arrival(w.p)
	}
	w.silent = true
	defer func() { w.silent = false }()
	var entry changes
	for _, way := range ways {
		changed := arrival(w.p)
		for _, h := range way {
			changed = w.hook(h, changed).changed
		}
		entry = entry.join(changed)
	}
	return entry
}

// reported chooses, of the chains that accept a packet one after the other,
// the one to report: one that is there to filter, else the last.
func reported(before, now []Ending) []Ending {
	if len(now) == 0 || before[0].filters && !now[0].filters {
		return before
	}
	return now
}

// filters says whether a base chain is there to filter: iptables has a table
// for that, and whoever writes for nft filters where packets come in, go
// through or out.
func (c *Chain) filters() bool {
	if c.Handle == 0 {
		return c.Table == "filter"
	}
	return !c.NAT && (c.Hook == Input || c.Hook == Forward || c.Hook == Output)
}

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
	layer  Layer
	device string // of LayerDevice
	p      *Packet
	silent bool // walk for the changes only

	steps    []WalkStep
	blockers []Blocker
	blocked  map[*Rule]bool

	memo   map[memoKey]*outcome
	walked map[*Chain]int // how many outcomes memo has of a chain
	active map[*Chain]bool
}

// maxMarks bounds with how many different marks one chain is walked; beyond
// that the mark is unknown in it.
const maxMarks = 16

// A chain's outcome depends on the packet and on what was changed before.
type memoKey struct {
	chain *Chain
	bits  change
	mark  Fact[uint32]
	// untracked is as in changes.
	untracked bool
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
	translated := false
	for _, c := range w.rs.calls(w.layer, h, w.device, w.p) {
		if c.chain.NAT && translated {
			c.sees, c.why = min(c.sees, Unknown), "another nat chain may have translated the packet before, and then this one is not asked"
		}
		o := w.base(c, out.changed)
		translated = translated || c.chain.NAT && (o.accepted.bits&^out.changed.bits)&(changeDst|changeSrc) != 0
		var accepted []Ending
		out.passes = false
		for _, e := range o.endings {
			e.Base = c.chain
			out.passes = out.passes || !e.Verdict.Lost()
			if e.filters = c.chain.filters(); e.Verdict == Accept {
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
func (w *walker) base(k call, changed changes) *outcome {
	c := k.chain
	w.memo, w.walked, w.active = map[memoKey]*outcome{}, map[*Chain]int{}, map[*Chain]bool{}
	v := &view{
		p: w.p, sets: w.rs.ipsets, layer: w.layer, hook: c.Hook, device: w.device,
		untraced: c.untraced(), atTracking: c.atTracking(), changed: changed,
	}
	accepted := c.ending(Accept)
	consulted, why := k.sees, k.why
	if c.NAT {
		if opens := opensConnection(v.ct()); opens < consulted {
			consulted, why = opens, "nat sees the first packet of a connection only, and whether this is one is not known"
		}
	}
	if c.NAT && c.Handle != 0 && consulted == Yes && !slices.ContainsFunc(w.rs.Tables, func(t *Table) bool { return t.tracks }) {
		consulted, why = Unknown, "no rule of the listing turns connection tracking on, without which nat sees nothing"
	}
	if consulted == No {
		w.step(WalkStep{Kind: StepSkipped, Chain: c, view: v})
		return &outcome{endings: []Ending{accepted}, accepted: changed}
	}
	o := *w.chain(c, v, nil)
	if o.leaves {
		w.step(WalkStep{Kind: StepPolicy, Chain: c, view: v})
		o.end(c.ending(c.Policy))
		if c.Policy == Accept {
			o.accepted = o.accepted.join(o.changed)
		}
	}
	if consulted == Unknown {
		w.blockUnconsulted(o.endings, why)
		o.end(accepted)
		o.accepted = o.accepted.join(changed)
	}
	return &o
}

// untraced says that a base chain is called before connection tracking, which
// looks at packets where they enter: at every later hook it has seen them.
func (c *Chain) untraced() bool {
	return (c.Hook == Prerouting || c.Hook == Output) && c.turn() < priorityConntrack
}

func (c *Chain) atTracking() bool {
	return (c.Hook == Prerouting || c.Hook == Output) && c.turn() == priorityConntrack
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

// blockUnconsulted names the rules of a chain that may or may not be asked.
func (w *walker) blockUnconsulted(endings []Ending, why string) {
	for _, e := range endings {
		if e.Verdict != Accept && e.Rule != nil {
			w.block(e.Rule, e.Rule.Target.Text, why)
		}
	}
}

// chain walks one chain as called by a rule (nil: by the kernel).
func (w *walker) chain(c *Chain, v *view, caller *Rule) *outcome {
	if w.walked[c] >= maxMarks {
		v = v.with(v.changed.with(changeMark, caller))
	}
	key := memoKey{c, v.changed.bits, v.changed.mark, v.changed.untracked}
	if o := w.memo[key]; o != nil {
		w.step(WalkStep{Kind: StepAgain, Chain: c, view: v})
		return o
	}
	if w.active[c] || len(w.active) >= maxDepth {
		w.block(caller, caller.Target.Text, "the chains call each other in a circle or too deeply")
		return &outcome{endings: []Ending{caller.ending(Undecided)}, hits: 1}
	}
	w.active[c] = true
	defer delete(w.active, c)
	o := &outcome{}
	var returns []doubtfulReturn
	for _, r := range c.Rules {
		matched, why, seen := r.test(v)
		w.step(WalkStep{Kind: StepRule, Chain: c, Rule: r, Result: matched, match: why, view: v, target: r.Target.chosen(v, matched)})
		v = seen
		if matched == No {
			continue
		}
		if matched == Unknown && r.Target.act == actReturn {
			returns = append(returns, doubtfulReturn{r, why, v, o.hits})
		}
		if v = w.apply(o, r, &r.Target, v, matched, why); v == nil {
			break
		}
	}
	if v != nil {
		w.end(o, c, v, caller)
	}
	for _, d := range returns {
		if o.hits > d.hits { // what it may have skipped can end the walk
			w.doubt(d.rule, d.match, d.view)
		}
	}
	w.memo[key] = o
	w.walked[c]++
	return o
}

// end is what comes of running off the end of a chain: back to the caller, or
// the policy that chains of ebtables have of their own.
func (w *walker) end(o *outcome, c *Chain, v *view, caller *Rule) {
	if c.Hook != "" || c.Policy == Undecided {
		w.step(WalkStep{Kind: StepEnd, Chain: c, Rule: caller, view: v})
		o.leave(v.changed)
		return
	}
	w.step(WalkStep{Kind: StepPolicy, Chain: c, view: v})
	o.end(c.ending(c.Policy))
	if c.Policy == Accept {
		w.accept(o, v.changed)
	}
}

// A doubtfulReturn is a RETURN that may or may not apply.
type doubtfulReturn struct {
	rule  *Rule
	match *Match
	view  *view
	hits  int // endings found in the chain before it
}

// apply adds to o what a rule that matches, or may match, does to the packet by
// its target t. It returns the view for the next rule, or nil when no packet
// gets there.
func (w *walker) apply(o *outcome, r *Rule, t *Target, v *view, matched Tri, why *Match) *view {
	next := v
	if matched == Yes {
		next = nil
	}
	switch t.act {
	case actNothing:
		return v.with(v.after(t.does, r, matched))
	case actMap:
		return w.choose(o, r, v, matched, why)
	case actReturn:
		o.leave(v.after(t.does, r, Yes))
	case actCall:
		return w.call(o, r, t, v, next, why)
	case actOpaque:
		w.block(r, t.Text, cmp.Or(t.why, "what this target does is not known"))
		o.end(r.ending(Undecided))
		next = v.with(v.changed.with(changeMark|changeDst|changeSrc, r))
		w.accept(o, next.changed)
	case actHandOff:
		w.block(r, t.Text, t.handOff())
		o.end(r.ending(Undecided))
		w.accept(o, v.changed)
	default:
		w.decide(o, r, t, v)
	}
	if matched == Unknown && t.act != actReturn {
		w.doubt(r, why, v)
	}
	return next
}

// decide adds the ending of ACCEPT, DROP, REJECT and the nat targets.
func (w *walker) decide(o *outcome, r *Rule, t *Target, v *view) {
	switch t.act {
	case actDrop:
		o.end(r.ending(Drop))
	case actReject:
		o.end(r.ending(Reject))
	default:
		o.end(r.ending(Accept))
		w.accept(o, v.after(t.does, r, Yes))
	}
}

func (w *walker) accept(o *outcome, c changes) { o.accepted = o.accepted.join(c) }

// choose applies the verdicts that a verdict map may give.
func (w *walker) choose(o *outcome, r *Rule, v *view, matched Tri, why *Match) *view {
	var next *view
	may := func(n *view) {
		if n != nil && next != nil {
			n = n.with(next.changed.join(n.changed))
		}
		if n != nil {
			next = n
		}
	}
	if matched != Yes {
		may(v)
	}
	cases, sure := r.Target.cases.verdicts(v)
	if !sure {
		matched, why = Unknown, r.Target.cases.match
	}
	for _, t := range cases {
		if t.act == actReturn && matched == Unknown {
			w.doubt(r, why, v)
		}
		may(w.apply(o, r, t, v, matched, why))
	}
	return next
}

// call walks the chain that r jumps to. next is the view for the rule after r
// in case r does not match.
func (w *walker) call(o *outcome, r *Rule, t *Target, v, next *view, why *Match) *view {
	sub := w.chain(t.Chain, v, r)
	for _, e := range sub.endings {
		e.Path = slices.Concat([]*Rule{r}, e.Path)
		o.endings = addEnding(o.endings, e)
	}
	o.hits += sub.hits
	o.accepted = o.accepted.join(sub.accepted)
	if next != nil && (sub.hits > 0 || t.Goto) {
		w.doubt(r, why, v)
	}
	switch {
	case !sub.leaves:
		return next
	case t.Goto:
		o.leave(sub.changed)
		return next
	case next == nil:
		return v.with(sub.changed)
	default:
		return v.with(v.changed.join(sub.changed))
	}
}

func (c *Chain) ending(v Verdict) Ending {
	return Ending{Verdict: v, Family: c.Family, Table: c.Table, Chain: c.Name, ByPolicy: true, where: c.place()}
}

func (r *Rule) ending(v Verdict) Ending {
	return Ending{Verdict: v, Rule: r, Family: r.Family, Table: r.Table, Chain: r.Chain}
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
