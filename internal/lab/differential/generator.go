package differential

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"whybot/commands/netfilter"
)

// A generator draws one rule set.
type generator struct {
	rnd    *rand.Rand
	shots  []shot
	layer  netfilter.Layer
	shown  bool
	opaque bool
	v6     bool
	sets   map[string]string // of ipset, with the directions they are asked in
}

// oneOf draws one of the choices.
func oneOf[T any](g *generator, choices ...T) T { return choices[g.rnd.IntN(len(choices))] }

// chance is true in one of n draws.
func (g *generator) chance(n int) bool { return g.rnd.IntN(n) == 0 }

// not draws a negation, rarely.
func (g *generator) not() string {
	if g.chance(5) {
		return "! "
	}
	return ""
}

// subject draws one way of one shot that passes one of the hooks: what a rule
// there had better be about. It is nil when none passes.
func (g *generator) subject(hooks []netfilter.Hook) (shot, *way) {
	for range 8 {
		s := g.shots[g.rnd.IntN(len(g.shots))]
		ways := s.ways(g.layer, g.shown)
		w := ways[g.rnd.IntN(len(ways))]
		if slices.ContainsFunc(w.hooks, func(h netfilter.Hook) bool { return slices.Contains(hooks, h) }) {
			return s, &w
		}
	}
	return g.shots[0], nil
}

// A skeleton is the chains of a table before they hold rules: which hooks each
// can be reached from, so that every match stands where the kernel takes it.
type skeleton struct {
	name  string
	hooks []netfilter.Hook
	base  bool
}

// skeletons draws user chains for the base chains of a table. A chain calls
// only later ones that may be reached from at least as many hooks.
func (g *generator) skeletons(bases []netfilter.Hook) []skeleton {
	var all []skeleton
	for _, h := range bases {
		all = append(all, skeleton{string(h), []netfilter.Hook{h}, true})
	}
	for i := range 1 + g.rnd.IntN(5) {
		hooks := []netfilter.Hook{bases[g.rnd.IntN(len(bases))]}
		if other := bases[g.rnd.IntN(len(bases))]; g.chance(2) && other != hooks[0] {
			hooks = append(hooks, other)
		}
		all = append(all, skeleton{name: fmt.Sprintf("u%d", i), hooks: hooks})
	}
	return all
}

// callee draws a chain that the nth may call.
func (g *generator) callee(all []skeleton, nth int) (string, bool) {
	var fit []string
	for _, s := range all[nth+1:] {
		within := func(h netfilter.Hook) bool { return slices.Contains(s.hooks, h) }
		if !s.base && !slices.ContainsFunc(all[nth].hooks, func(h netfilter.Hook) bool { return !within(h) }) {
			fit = append(fit, s.name)
		}
	}
	if fit == nil {
		return "", false
	}
	return oneOf(g, fit...), true
}
