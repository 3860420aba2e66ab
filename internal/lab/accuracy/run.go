package accuracy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"whybot/internal/lab"
)

const (
	caseTimeout = 10 * time.Minute
	// A guest pauses for at most five seconds between two DISCOVERs, and a
	// loaded machine may be slow.
	leaseTimeout = 20 * time.Second
)

// A FixResult is what became of one offered fix.
type FixResult struct {
	Name, Class string
	Cured       bool
	Undone      bool
	UndoOffered bool
	// Problem says what went wrong; empty when nothing did.
	Problem string
}

// A Result is what became of one fault or decoy.
type Result struct {
	Fault  lab.Fault
	Answer Answer
	Grade  Grade
	Fixes  []FixResult
	// Problem is why there is no answer; empty when there is one.
	Problem string
}

// Quiet tells whether a decoy led to no claim and to no offer of a change.
func (r Result) Quiet() bool {
	return (r.Grade == Exact || r.Grade == Undecided) && len(r.Answer.Fixes) == 0
}

// Run measures the whybot binary with the faults, in several labs at a time, and
// says on progress what comes of each. The results are in the order of the
// faults.
func Run(ctx context.Context, binary string, faults []lab.Fault, labs int, progress io.Writer) ([]Result, error) {
	results := make([]Result, len(faults))
	err := inLabs(ctx, len(faults), labs, progress, func(i int) string {
		results[i] = Result{Fault: faults[i], Grade: Failed}
		results[i].Problem = inLab(ctx, faults[i].Options, func(ctx context.Context, l *lab.Lab) error {
			return measure(ctx, l, binary, &results[i])
		})
		return results[i].line()
	})
	return results, err
}

// inLabs does n cases, some at a time, and says what each came to.
func inLabs(ctx context.Context, n, labs int, progress io.Writer, do func(i int) string) error {
	var mu sync.Mutex
	var failed error
	next := 0
	take := func() (int, bool) {
		mu.Lock()
		defer mu.Unlock()
		next++
		return next - 1, next <= n && failed == nil && ctx.Err() == nil
	}
	var workers sync.WaitGroup
	for range max(labs, 1) {
		workers.Go(func() {
			for i, ok := take(); ok; i, ok = take() {
				line := do(i)
				mu.Lock()
				if _, err := fmt.Fprintln(progress, line); err != nil {
					failed = err
				}
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return failed
}

// inLab makes a lab for one case and returns what went wrong, if anything did.
// Whybot has no more rights in it than what it prints for sudo.
func inLab(ctx context.Context, o lab.Options, do func(context.Context, *lab.Lab) error) (problem string) {
	ctx, cancel := context.WithTimeoutCause(ctx, caseTimeout, errors.New("the case took too long"))
	defer cancel()
	o.User = "whyprobe"
	l, err := lab.Up(ctx, o)
	if err != nil {
		return err.Error()
	}
	if err := errors.Join(do(ctx, l), l.Close()); err != nil { //nolint:contextcheck // a lab is taken down also when ctx has ended
		return err.Error()
	}
	return ""
}

func measure(ctx context.Context, l *lab.Lab, binary string, r *Result) error {
	if r.Fault.Question != "" {
		return measureQuestion(ctx, l, binary, r)
	}
	w := whybot{binary: binary, config: l.Config(), guest: r.Fault.Asked(), server: r.Fault.Server(), ipv6: r.Fault.IPv6}
	if _, err := waitLease(ctx, l, w.guest); err != nil {
		return fmt.Errorf("before the fault: %w", err)
	}
	if err := w.waitAddress(ctx, l); err != nil {
		return fmt.Errorf("before the fault: %w", err)
	}
	if err := r.Fault.Inject(ctx, l); err != nil {
		return fmt.Errorf("inject: %w", err)
	}
	answer, err := w.ask(ctx)
	if err != nil {
		return err
	}
	r.Answer, r.Grade = answer, gradeAnswer(r.Fault, answer.Verdict)
	if r.Fault.Decoy() {
		return measureAsking(ctx, l, w, r)
	}
	tryFixes(ctx, l, w, r)
	return nil
}

// measureAsking puts the question once more while the guest asks for its lease
// all the time and whybot may not ask it for its address, so that a decoy must
// be seen through by its packets as well. A decoy that was quiet the first time
// keeps the second answer.
func measureAsking(ctx context.Context, l *lab.Lab, w whybot, r *Result) error {
	if !r.Quiet() {
		return nil
	}
	if err := w.askOften(ctx, l); err != nil {
		return err
	}
	w.env = []string{"WHYBOT_DIAGNOSE_ARP_CHECK=false"}
	answer, err := w.ask(ctx)
	if err != nil {
		return err
	}
	r.Answer, r.Grade = answer, gradeAnswer(r.Fault, answer.Verdict)
	return nil
}

// tryFixes tries every offered run-time fix on the same fault. After one that
// was undone exactly the fault is back by itself; after any other it is
// injected again.
func tryFixes(ctx context.Context, l *lab.Lab, w whybot, r *Result) {
	offered := map[string]int{} // two nodes may need fixes of one name
	for i, fix := range runtimeFixes(r.Answer) {
		offered[fix.Name]++
		nth := offered[fix.Name]
		var err error
		if i > 0 {
			fix, err = r.offeredAgain(ctx, l, w, fix, nth)
		}
		result := FixResult{Name: fix.Name, Class: fix.Class}
		if err != nil {
			result.Problem = err.Error()
		} else {
			result = tryFix(ctx, l, w, fix, r.Fault.Passing)
		}
		if nth > 1 {
			result.Name += fmt.Sprintf(" (%d)", nth)
		}
		r.Fixes = append(r.Fixes, result)
		if result.Problem != "" {
			return // what another fix does now would prove nothing
		}
	}
}

// invertible is the class of fixes whose undo restores everything.
const invertible = "F1"

// runtimeFixes are the offered fixes that change only what a reboot forgets.
func runtimeFixes(a Answer) []Fix {
	return slices.DeleteFunc(slices.Clone(a.Fixes), func(f Fix) bool { return f.Persistent })
}

// WrongOffers are fixes that were offered where nothing was to be fixed, or for
// something that was not broken.
func (r Result) WrongOffers() int {
	if r.Fault.Decoy() || r.Grade == Guessed || r.Grade == Wrong {
		return len(r.Answer.Fixes)
	}
	return 0
}

// offeredAgain sees to it that the fault is back after the last fix, asks
// again, and returns the fresh offer of a fix, the nth of its name.
func (r *Result) offeredAgain(ctx context.Context, l *lab.Lab, w whybot, fix Fix, nth int) (Fix, error) {
	if last := r.Fixes[len(r.Fixes)-1]; !last.Undone || last.Class != invertible {
		// The fix took away all of the fault or some of it: start from a whole
		// lab. What is healed already cannot be healed again, hence no error.
		_ = r.Fault.Heal(ctx, l)
		if err := r.Fault.Inject(ctx, l); err != nil {
			return fix, fmt.Errorf("inject again: %w", err)
		}
	}
	answer, err := w.ask(ctx)
	if err != nil {
		return fix, err
	}
	again := slices.DeleteFunc(runtimeFixes(answer), func(f Fix) bool { return f.Name != fix.Name })
	if len(again) < nth {
		return fix, fmt.Errorf("with the fault back after another fix, %s was not offered again", fix.Name)
	}
	return again[nth-1], nil
}

// tryFix applies a fix, sees whether the guest gets its address, undoes it, and
// sees whether the fault is back.
func tryFix(ctx context.Context, l *lab.Lab, w whybot, fix Fix, passing bool) FixResult {
	r := FixResult{Name: fix.Name, Class: fix.Class, UndoOffered: len(fix.Undo) > 0}
	before, err := l.Snapshot(ctx)
	if err != nil {
		r.Problem = err.Error()
		return r
	}
	if err := cure(ctx, l, w, fix); err != nil {
		r.Problem = err.Error()
		return r
	}
	r.Cured = true
	if !r.UndoOffered {
		return r
	}
	err = undo(ctx, l, w, fix, before)
	if err == nil && fix.Class == invertible && !passing {
		err = w.asksInVain(ctx, l)
	}
	if err != nil {
		r.Problem = err.Error()
		return r
	}
	r.Undone = true
	return r
}

func cure(ctx context.Context, l *lab.Lab, w whybot, fix Fix) error {
	if w.ipv6 { // whose cure is proven by packets alone: a guest that has its address sends none
		if err := w.askOften(ctx, l); err != nil {
			return err
		}
	}
	o, err := w.change(ctx, "apply", fix.ID)
	if err != nil {
		return err
	}
	if o.State != "verified" {
		return fmt.Errorf("apply ended as %q, want verified", o.State)
	}
	if err := w.waitAddress(ctx, l); err != nil {
		return fmt.Errorf("apply says verified, and %w", err)
	}
	return nil
}

// undo takes a fix back. After one that is exactly invertible (F1) every rule
// and device must be as before, and the guest will ask in vain again; one that
// restores a service (F2) need not kill it again.
func undo(ctx context.Context, l *lab.Lab, w whybot, fix Fix, before string) error {
	o, err := w.change(ctx, "undo", fix.ID)
	if err != nil {
		return err
	}
	if o.State != "undone" {
		return fmt.Errorf("undo ended as %q, want undone", o.State)
	}
	if fix.Class != invertible {
		return nil
	}
	after, err := l.Snapshot(ctx)
	if err != nil {
		return err
	}
	if after != before {
		return fmt.Errorf("undo did not restore the nodes: %s", firstDifference(before, after))
	}
	return nil
}

func (w whybot) asksInVain(ctx context.Context, l *lab.Lab) error {
	vm := l.VM(w.guest)
	if w.ipv6 {
		return asksInVain6(ctx, vm)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, leaseTimeout, errors.New("the guest neither got an address nor gave up"))
	defer cancel()
	if err := vm.Renew(ctx); err != nil {
		return err
	}
	if err := vm.WaitVerdict(ctx); err != nil {
		return err
	}
	if ip, ok := vm.Lease(); ok {
		return fmt.Errorf("after the undo %s gets %s: the fault did not come back", w.guest, ip)
	}
	return nil
}

func waitLease(ctx context.Context, l *lab.Lab, guest string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, leaseTimeout, fmt.Errorf("no lease within %s", leaseTimeout))
	defer cancel()
	return l.VM(guest).WaitLease(ctx)
}
