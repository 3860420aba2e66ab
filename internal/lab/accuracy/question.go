package accuracy

import (
	"context"
	"fmt"

	"whybot/internal/lab"
)

// measureQuestion measures a fault that is about no packets: what cures it is
// proven by whybot's own answer, and by what the cloud keeps. It leaves the lab as
// it was.
func measureQuestion(ctx context.Context, l *lab.Lab, binary string, r *Result) error {
	w := whybot{binary: binary, config: l.Config(), words: r.Fault.Question}
	if err := r.Fault.Inject(ctx, l); err != nil {
		return fmt.Errorf("inject: %w", err)
	}
	answer, err := w.ask(ctx)
	if err != nil {
		return err
	}
	r.Answer, r.Grade = answer, gradeAnswer(r.Fault, answer.Verdict)
	offered := map[string]int{}
	for i, fix := range runtimeFixes(answer) {
		if r.Fault.Decoy() {
			break // an offer too many is counted as it is
		}
		if offered[fix.Name]++; i > 0 {
			if fix, err = r.offeredAgain(ctx, l, w, fix, offered[fix.Name]); err != nil {
				return err
			}
		}
		r.Fixes = append(r.Fixes, tryCloudFix(ctx, w, fix, answer))
	}
	return r.Fault.Heal(ctx, l)
}

// tryCloudFix applies a fix and takes it back: the question must be answered
// healthy in between, and as before afterwards.
func tryCloudFix(ctx context.Context, w whybot, fix Fix, before Answer) FixResult {
	r := FixResult{Name: fix.Name, Class: fix.Class, UndoOffered: len(fix.Undo) > 0}
	fail := func(format string, args ...any) FixResult {
		r.Problem = fmt.Sprintf(format, args...)
		return r
	}
	o, err := w.change(ctx, "apply", fix.ID)
	if err != nil || o.State != "verified" {
		return fail("apply ended as %q, want verified (%v)", o.State, err)
	}
	r.Cured = true
	if o, err = w.change(ctx, "undo", fix.ID); err != nil || o.State != "undone" {
		return fail("undo ended as %q, want undone (%v)", o.State, err)
	}
	after, err := w.ask(ctx)
	if err != nil || after.Verdict.State != before.Verdict.State || after.Verdict.Cause != before.Verdict.Cause {
		return fail("after the undo the answer is %s %s, not %s %s (%v)", after.Verdict.State, after.Verdict.Cause, before.Verdict.State, before.Verdict.Cause, err)
	}
	r.Undone = true
	return r
}
