package accuracy

import (
	"context"
	"errors"
	"fmt"
	"io"

	"whybot/internal/lab"
)

// A PairResult is what became of two faults at once.
type PairResult struct {
	Pair lab.Pair
	// First, Second and Last are the answers to both faults, to the second
	// alone, and to none.
	First, Second, Last Answer
	// FirstGrade and SecondGrade compare the answers with the fault that the
	// packets meet first, and with the one that is left.
	FirstGrade, SecondGrade Grade
	// FirstCure and SecondCure say what took the faults away: a fix by its
	// name, or "by hand" where none was offered.
	FirstCure, SecondCure string
	// Problem is what went wrong; empty when nothing did.
	Problem string
}

// Good tells whether both faults were named, one after the other, and the guest
// has its address in the end.
func (r PairResult) Good() bool {
	return r.Problem == "" && right(r.FirstGrade) && right(r.SecondGrade)
}

// right says that the cause and the edge were.
func right(g Grade) bool { return g == Exact || g == Hedged }

// RunPairs measures the whybot binary with two faults at once.
func RunPairs(ctx context.Context, binary string, pairs []lab.Pair, labs int, progress io.Writer) ([]PairResult, error) {
	results := make([]PairResult, len(pairs))
	err := inLabs(ctx, len(pairs), labs, progress, func(i int) string {
		r := &results[i]
		*r = PairResult{Pair: pairs[i], FirstGrade: Failed, SecondGrade: Failed}
		r.Problem = inLab(ctx, pairs[i].Options, func(ctx context.Context, l *lab.Lab) error { return r.measure(ctx, l, binary) })
		return r.line()
	})
	return results, err
}

func (r *PairResult) measure(ctx context.Context, l *lab.Lab, binary string) error {
	first, second := r.Pair.First, r.Pair.Second
	if _, err := waitLease(ctx, l, first.Asked()); err != nil {
		return fmt.Errorf("before the faults: %w", err)
	}
	if err := r.Pair.Inject(ctx, l); err != nil {
		return fmt.Errorf("inject: %w", err)
	}
	w := whybot{binary: binary, config: l.Config(), guest: first.Asked(), server: first.Server()}
	var err error
	if r.First, err = w.ask(ctx); err != nil {
		return err
	}
	r.FirstGrade = gradeAnswer(first, r.First.Verdict)
	// The first is cured, and the guest still has no address: not-cured is as
	// true a word for that as applied.
	if r.FirstCure, err = takeAway(ctx, l, w, first, r.First, right(r.FirstGrade)); err != nil {
		return err
	}
	if r.Second, err = w.ask(ctx); err != nil {
		return err
	}
	if r.FirstCure != byHand && right(gradeAnswer(first, r.Second.Verdict)) {
		if err = r.startAtSecond(ctx, l, w); err != nil {
			return err
		}
	}
	r.SecondGrade = gradeAnswer(second, r.Second.Verdict)
	if r.SecondCure, err = takeAway(ctx, l, w, second, r.Second, right(r.SecondGrade)); err != nil {
		return err
	}
	return r.checkCured(ctx, l, w)
}

// startAtSecond takes the first away by hand after a fix that was for the
// second: more than one thing may be found wrong at once, and each offered its
// cure.
func (r *PairResult) startAtSecond(ctx context.Context, l *lab.Lab, w whybot) error {
	r.FirstCure = byHand + ", after " + r.FirstCure + " for the second"
	if err := r.Pair.Second.Inject(ctx, l); err != nil {
		return fmt.Errorf("inject the second again: %w", err)
	}
	if err := r.Pair.First.Heal(ctx, l); err != nil {
		return fmt.Errorf("heal the first: %w", err)
	}
	var err error
	r.Second, err = w.ask(ctx)
	return err
}

const byHand = "by hand"

// takeAway applies the first run-time fix that was offered, if the answer was
// right, or heals the fault by hand.
func takeAway(ctx context.Context, l *lab.Lab, w whybot, f lab.Fault, a Answer, right bool) (string, error) {
	fixes := runtimeFixes(a)
	if !right || len(fixes) == 0 {
		return byHand, f.Heal(ctx, l)
	}
	o, err := w.change(ctx, "apply", fixes[0].ID)
	if err != nil {
		return fixes[0].Name, err
	}
	switch o.State {
	case "verified", "applied", "not-cured":
		return fixes[0].Name + " (" + o.State + ")", nil
	}
	return fixes[0].Name, fmt.Errorf("apply of %s ended as %q", fixes[0].Name, o.State)
}

// checkCured wants the guest to have its address, and to be told so.
func (r *PairResult) checkCured(ctx context.Context, l *lab.Lab, w whybot) error {
	vm := l.VM(w.guest)
	ip, err := waitLease(ctx, l, w.guest)
	if err != nil {
		return fmt.Errorf("both are taken away, and %s has no address: %w", w.guest, err)
	}
	if ip != vm.Port.Address {
		return fmt.Errorf("both are taken away, and %s has %s instead of %s", w.guest, ip, vm.Port.Address)
	}
	if err := vm.AskOften(ctx); err != nil {
		return err
	}
	if r.Last, err = w.ask(ctx); err != nil {
		return err
	}
	if r.Last.Verdict.State != healthy {
		return errors.New("both are taken away, and whybot says " + r.Last.Verdict.State + " " + r.Last.Verdict.Cause)
	}
	return nil
}

// line is one result for a person who waits.
func (r PairResult) line() string {
	s := fmt.Sprintf("%-62s first %-9s %-8s (%s)  second %-9s %-8s (%s)", r.Pair.Name(),
		r.FirstGrade, r.First.Verdict.Cause, r.FirstCure, r.SecondGrade, r.Second.Verdict.Cause, r.SecondCure)
	if r.Problem != "" {
		s += "  " + oneLine(r.Problem)
	}
	return s
}
