package differential

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"whybot/commands/netfilter"
)

// A bench is a node that one family after the other is tried in.
type bench struct {
	node     *node
	family   *family // whose rules may be in the node; nil when it is clean
	evaluate Evaluator
	misread  func(string) string
}

// withBench runs work on a thread of its own that is in a new node.
func withBench(ctx context.Context, nth int, o Options, work func(*bench) error) error {
	return onThread(func() (err error) {
		if err := pin(nth); err != nil {
			return fmt.Errorf("differential: staying on one CPU: %w", err)
		}
		n, err := newNode(ctx)
		if err != nil {
			return err
		}
		defer func() {
			if closing := n.close(); err == nil {
				err = closing
			}
		}()
		return work(&bench{node: n, evaluate: o.evaluator(), misread: o.Misread})
	})
}

// use makes the node ready for a family's rules.
func (b *bench) use(ctx context.Context, f *family) error {
	if b.family != nil && b.family != f {
		if err := b.family.clear(ctx); err != nil {
			return fmt.Errorf("differential: clearing the rules of %s: %w", b.family.name, err)
		}
	}
	b.family = f
	return nil
}

// A trial is what came of one rule set.
type trial struct {
	tally Tally
	// wrong holds the differences, and fixtures what was seen: the shots that
	// differ, or all if none does.
	wrong    []string
	fixtures []Fixture
}

// errRefused reports a rule set that could not be loaded.
var errRefused = errors.New("refused")

// attempts bounds how many rule sets are drawn for a seed.
const attempts = 8

// trySeed tries the rule set of a seed. The drawing does not know everything
// that a family's tool refuses to load: then it draws again.
func (b *bench) trySeed(ctx context.Context, f *family, seed uint64) (rs *ruleSet, found trial, err error) {
	for n := range attempts {
		rs = f.generate(seed, n)
		found, err = b.try(ctx, rs)
		found.tally.Refused = n
		if !errors.Is(err, errRefused) || ctx.Err() != nil {
			break
		}
	}
	return rs, found, err
}

// try loads a rule set, sends its volley and compares. The error is for what
// could not be tried.
func (b *bench) try(ctx context.Context, rs *ruleSet) (trial, error) {
	start := time.Now()
	r := trial{tally: Tally{RuleSets: 1}}
	if err := b.prepare(ctx, rs.program()); err != nil {
		return r, fmt.Errorf("differential: %s: %w: %w\n%s", rs.name(), errRefused, err, rs.text())
	}
	before, err := b.list(ctx)
	if err != nil {
		return r, err
	}
	var good, bad []Fixture
	arrived := make([]bool, len(rs.Shots))
	for i, s := range rs.Shots {
		s.Established = s.Answers != 0 && arrived[s.Answers-1]
		seen, err := b.fire(ctx, s, before)
		if err != nil {
			return r, fmt.Errorf("%s: %w", rs.name(), err)
		}
		arrived[i], before = seen.arrived[s.To], seen.after
		tally, wrong := compare(b.evaluate, seen, rs.Shown, rs.Opaque)
		r.tally.add(tally)
		for _, d := range wrong {
			r.wrong = append(r.wrong, fmt.Sprintf("shot %d: %s", i+1, d))
		}
		if f := seen.fixture(rs, i); len(wrong) > 0 {
			bad = append(bad, f)
		} else {
			good = append(good, f)
		}
	}
	if r.fixtures = bad; bad == nil {
		r.fixtures = good
	}
	r.tally.Took = time.Since(start)
	return r, nil
}

// A program is what is loaded into the node for one rule set.
type program struct {
	family string
	shown  bool
	sets   []string
	rules  string
}

func (rs *ruleSet) program() program {
	p := program{family: rs.Family, shown: rs.Shown, sets: rs.Sets}
	if f, err := findFamily(rs.Family); err == nil {
		p.rules = f.render(rs)
	}
	return p
}

func (b *bench) prepare(ctx context.Context, p program) error {
	f, err := findFamily(p.family)
	if err != nil {
		return err
	}
	if err := b.use(ctx, f); err != nil {
		return err
	}
	for _, v6 := range []bool{false, true} {
		if err := b.node.showBridged(v6, p.shown); err != nil {
			return err
		}
	}
	return f.load(ctx, p.rules)
}

// fire sends one shot. A shot that answers none begins without a memory of
// those before.
func (b *bench) fire(ctx context.Context, s shot, before reading) (sighting, error) {
	seen := sighting{layer: b.family.layer, shot: s, before: before}
	if s.Answers == 0 {
		if err := b.node.forget(); err != nil {
			return seen, err
		}
	}
	var err error
	if seen.arrived, err = b.node.send(s); err != nil {
		return seen, err
	}
	seen.after, err = b.list(ctx)
	return seen, err
}

// A reading is one listing, as printed and as understood.
type reading struct {
	text  string
	rules *netfilter.Ruleset
}

func (b *bench) list(ctx context.Context) (reading, error) {
	text, err := b.family.list(ctx)
	if err != nil {
		return reading{}, fmt.Errorf("differential: listing the rules of %s: %w", b.family.name, err)
	}
	return b.family.read(text, b.misread)
}

// read parses a listing, after misread, if given, has changed what it says.
func (f *family) read(text string, misread func(string) string) (reading, error) {
	shown := text
	if misread != nil {
		shown = misread(text)
	}
	rules, err := f.parse(shown)
	if err != nil {
		return reading{}, fmt.Errorf("differential: reading the rules of %s: %w\n%s", f.name, err, text)
	}
	return reading{text: text, rules: rules}, nil
}

// shrinkTries bounds how long a rule set is made smaller.
const shrinkTries = 1500

// minimal makes a rule set that disagrees smaller while it does, and returns
// it with what came of it the last time.
func (b *bench) minimal(ctx context.Context, rs *ruleSet, found trial) (*ruleSet, trial) {
	small := shrink(ctx, rs, shrinkTries, func(c *ruleSet) bool {
		again, err := b.try(ctx, c)
		if err != nil || len(again.wrong) == 0 {
			return false
		}
		found = again
		return true
	})
	return small, found
}

// failure describes a disagreement.
func (b *bench) failure(ctx context.Context, rs *ruleSet, found trial) Failure {
	small, last := b.minimal(ctx, rs, found)
	return Failure{
		Name: rs.name(), Rules: small.text(), Differences: slices.Clone(last.wrong), Fixtures: last.fixtures,
	}
}
