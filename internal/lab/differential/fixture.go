package differential

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// A Fixture is what the kernel did with one shot, kept so that the evaluator
// can be held against it without a kernel.
type Fixture struct {
	// Note says why it is kept.
	Note   string `json:"note"`
	Family string `json:"family"`
	// Shown says that bridged frames visited the hooks of the IP layer.
	Shown bool `json:"shown"`
	// Sets and Rules are what was loaded.
	Sets  []string `json:"sets,omitempty"`
	Rules []string `json:"rules"`
	// First is the shot that Shot answers, if it answers one.
	First *shot `json:"first,omitempty"`
	Shot  shot  `json:"shot"`
	// Arrived lists where copies of the shot came to.
	Arrived []string `json:"arrived"`
	// Before and After are the listings around it, line by line.
	Before []string `json:"before"`
	After  []string `json:"after"`
}

// fixture keeps what was seen of the nth shot of a rule set.
func (s sighting) fixture(rs *ruleSet, nth int) Fixture {
	p := rs.program()
	f := Fixture{Note: rs.name(), Family: rs.Family, Shown: rs.Shown, Sets: p.sets, Rules: strings.Split(p.rules, "\n"), Shot: s.shot}
	if n := rs.Shots[nth].Answers; n != 0 {
		first := rs.Shots[n-1]
		f.First, f.Shot.Answers = &first, 1
	}
	f.saw(s)
	return f
}

func (f *Fixture) saw(s sighting) {
	f.Arrived = []string{}
	f.Before, f.After = strings.Split(s.before.text, "\n"), strings.Split(s.after.text, "\n")
	for _, to := range append([]string{host}, links...) {
		if s.arrived[to] {
			f.Arrived = append(f.Arrived, to)
		}
	}
}

// Record does to the kernel what a fixture says, and returns the fixture with
// what the kernel did this time.
func (f *Fixture) Record(ctx context.Context) (Fixture, error) {
	again := *f
	err := withBench(ctx, 0, Options{}, func(b *bench) error {
		p := program{family: f.Family, shown: f.Shown, sets: f.Sets, rules: strings.Join(f.Rules, "\n")}
		if err := b.prepare(ctx, p); err != nil {
			return err
		}
		shots := []shot{f.Shot}
		if f.First != nil {
			shots = []shot{*f.First, f.Shot}
		}
		for _, s := range shots {
			before, err := b.list(ctx)
			if err != nil {
				return err
			}
			seen, err := b.fire(ctx, s, before)
			if err != nil {
				return err
			}
			again.saw(seen)
		}
		return nil
	})
	return again, err
}

// Check holds the evaluator against a fixture and returns the differences.
func (f *Fixture) Check(evaluate Evaluator, misread func(string) string) ([]string, error) {
	family, err := findFamily(f.Family)
	if err != nil {
		return nil, err
	}
	seen := sighting{layer: family.layer, shot: f.Shot, arrived: map[string]bool{}}
	for _, to := range f.Arrived {
		seen.arrived[to] = true
	}
	if seen.before, err = family.read(strings.Join(f.Before, "\n"), misread); err != nil {
		return nil, err
	}
	if seen.after, err = family.read(strings.Join(f.After, "\n"), misread); err != nil {
		return nil, err
	}
	_, wrong := compare(evaluate, seen, f.Shown, false)
	return wrong, nil
}

// ReadFixture reads a file that Fixture.WriteFile wrote.
func ReadFixture(file string) (Fixture, error) {
	var f Fixture
	b, err := os.ReadFile(file)
	if err != nil {
		return f, err
	}
	if err := json.Unmarshal(b, &f); err != nil {
		return f, fmt.Errorf("%s: %w", file, err)
	}
	return f, nil
}

// WriteFile keeps a fixture.
func (f *Fixture) WriteFile(file string) error {
	b, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o644)
}
