package differential

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"whybot/commands/netfilter"
)

// Options say what to compare.
type Options struct {
	// Families are names out of Families; none means all.
	Families []string
	// RuleSets is how many rule sets there are in all, spread evenly over the
	// families.
	RuleSets int
	// Seed is the seed of the first rule set of each family; the others follow.
	Seed uint64
	// Workers is how many nodes work side by side; at least one does.
	Workers int
	// Evaluate is netfilter.Layer.Traverse if it is nil.
	Evaluate Evaluator
	// Misread, if set, changes each listing before the evaluator is given it.
	// An evaluator that misunderstands rules is made so.
	Misread func(listing string) string
	// Failures is how many disagreements are made smaller and reported; 0 is 5.
	Failures int
}

func (o Options) evaluator() Evaluator {
	if o.Evaluate == nil {
		return netfilter.Layer.Traverse
	}
	return o.Evaluate
}

// A Failure is a rule set for which the kernel and the evaluator disagree.
type Failure struct {
	// Name is what Replay takes.
	Name string
	// Rules is the rule set made as small as it would go, with its shots.
	Rules       string
	Differences []string
	Fixtures    []Fixture
}

// String is what a person needs to look at it.
func (f Failure) String() string {
	return fmt.Sprintf("%s, made smaller:\n%s\n%s", f.Name, f.Rules, strings.Join(f.Differences, "\n"))
}

// A Report is what a run found.
type Report struct {
	Options  Options
	Families map[string]Tally
	Total    Tally
	// Failures are the first disagreements, one for a rule set.
	Failures []Failure
	Took     time.Duration
}

// chunk is how many rule sets of a family a node is given at once.
const chunk = 20

// A job is a run of seeds of one family.
type job struct {
	family *family
	first  uint64
	count  int
}

// Run compares random rule sets. The error is for what could not be compared,
// not for disagreements: see Report.Err for those.
func Run(ctx context.Context, o Options) (Report, error) {
	start := time.Now()
	r := Report{Options: o, Families: map[string]Tally{}}
	jobs, err := o.jobs()
	if err != nil {
		return r, err
	}
	queue := make(chan job, len(jobs))
	for _, j := range jobs {
		queue <- j
	}
	close(queue)
	group, ctx := errgroup.WithContext(ctx)
	var mu sync.Mutex
	for nth := range max(1, o.Workers) {
		group.Go(func() error {
			return withBench(ctx, nth, o, func(b *bench) error { return b.work(ctx, queue, &r, &mu) })
		})
	}
	err = group.Wait()
	r.Took = time.Since(start)
	return r, err
}

func (o Options) jobs() ([]job, error) {
	names := o.Families
	if names == nil {
		names = Families()
	}
	var jobs []job
	for i, name := range names {
		f, err := findFamily(name)
		if err != nil {
			return nil, err
		}
		left := o.RuleSets / len(names)
		if i < o.RuleSets%len(names) {
			left++
		}
		for first := o.Seed; left > 0; first += chunk {
			n := min(left, chunk)
			jobs = append(jobs, job{f, first, n})
			left -= n
		}
	}
	return jobs, nil
}

func (b *bench) work(ctx context.Context, queue <-chan job, r *Report, mu *sync.Mutex) error {
	for j := range queue {
		for i := range j.count {
			if err := context.Cause(ctx); err != nil {
				return err
			}
			rs, found, err := b.trySeed(ctx, j.family, j.first+uint64(i))
			if err != nil {
				return err
			}
			r.record(rs, found.tally, mu)
			if len(found.wrong) > 0 && r.wanted(mu) {
				f := b.failure(ctx, rs, found)
				mu.Lock()
				r.Failures = append(r.Failures, f)
				mu.Unlock()
			}
		}
	}
	return nil
}

func (r *Report) record(rs *ruleSet, t Tally, mu *sync.Mutex) {
	mu.Lock()
	defer mu.Unlock()
	r.Total.add(t)
	family := r.Families[rs.Family]
	family.add(t)
	r.Families[rs.Family] = family
}

func (r *Report) wanted(mu *sync.Mutex) bool {
	mu.Lock()
	defer mu.Unlock()
	return len(r.Failures) < cmp.Or(r.Options.Failures, 5)
}

// Replay compares one rule set again, by the name that a failure gave, and
// returns what was seen of its shots: those that disagree, or all.
func Replay(ctx context.Context, name string, o Options) (Report, []Fixture, error) {
	r := Report{Options: o, Families: map[string]Tally{}}
	of, number, _ := strings.Cut(name, "/")
	f, err := findFamily(of)
	if err != nil {
		return r, nil, err
	}
	seed, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return r, nil, fmt.Errorf("%q is not FAMILY/SEED: %w", name, err)
	}
	var fixtures []Fixture
	err = withBench(ctx, 0, o, func(b *bench) error {
		rs, found, err := b.trySeed(ctx, f, seed)
		if err != nil {
			return err
		}
		r.record(rs, found.tally, &sync.Mutex{})
		fixtures = found.fixtures
		if len(found.wrong) > 0 {
			r.Failures = []Failure{b.failure(ctx, rs, found)}
			fixtures = r.Failures[0].Fixtures
		}
		return nil
	})
	return r, fixtures, err
}

// Ceiling is how large a share of verdicts the evaluator may leave open, of
// rule sets that a listing decides. Without it an evaluator that never decides
// would never be wrong.
const Ceiling = 0.05

// Err says whether the evaluator was wrong, or of no use.
func (r *Report) Err() error {
	var errs []error
	for _, f := range r.Failures {
		errs = append(errs, fmt.Errorf("the evaluator and the kernel disagree: %v", f))
	}
	if n := r.Total.Disagreements; n > 0 {
		errs = append(errs, fmt.Errorf("%d of %d packets: the evaluator and the kernel disagree", n, r.Total.Packets))
	}
	for name, t := range r.Families {
		if share := t.UnknownShare(); share > Ceiling {
			errs = append(errs, fmt.Errorf("%s: the evaluator leaves %.1f %% of the verdicts open, more than %.0f %%", name, 100*share, 100*Ceiling))
		}
		if t.Refused > t.RuleSets/4 {
			errs = append(errs, fmt.Errorf("%s: %d rule sets were refused before %d could be loaded: the drawing is bad", name, t.Refused, t.RuleSets))
		}
		if t.RuleSets == 0 || t.Verdicts == 0 || t.Grown == 0 {
			errs = append(errs, fmt.Errorf("%s: nothing was compared", name))
		}
	}
	return errors.Join(errs...)
}
