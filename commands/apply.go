package commands

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"whybot/commands/capture"
	"whybot/runners"
)

// An Outcome is what came of applying or undoing a proposal.
type Outcome struct {
	Proposal Proposal
	// Proof is the question asked again after the change; nil when it was not.
	Proof *Answer
}

// Proposal returns one proposal; an unknown id is an *Error with CodeMissing.
func (e *Engine) Proposal(ctx context.Context, id string) (Proposal, error) {
	ps, err := e.o.Memory.ListProposals(ctx, ProposalQuery{ID: id})
	if err != nil {
		return Proposal{}, err
	}
	if len(ps) == 0 {
		return Proposal{}, &Error{Code: CodeMissing, Public: fmt.Sprintf("There is no fix %q.", Clean(id, 40)), Hint: "Ask the question again for a fresh one."}
	}
	return ps[0], nil
}

// Apply counts who's approval of a proposal. The approval that completes the
// number needed applies it: exactly one caller gets that far, however often
// the click arrives. It re-checks every precondition, makes the change, and
// proves it by asking the incident's question again. An *Error with CodeGone
// says that someone was there before, CodeChanged that the world has moved.
func (e *Engine) Apply(ctx context.Context, id string, who Actor, progress func(Progress)) (Outcome, error) {
	return e.apply(ctx, id, Petition{Deed: DeedApprove, Who: who}, progress)
}

// BreakGlass applies a proposal on the word of one person whom the policy
// names for emergencies. Their reason is on record, and told to those who have
// to know, before anything changes; when it cannot be told, nothing does.
func (e *Engine) BreakGlass(ctx context.Context, id string, who Actor, reason string, progress func(Progress)) (Outcome, error) {
	return e.apply(ctx, id, Petition{Deed: DeedApprove, Who: who, BreakGlass: true, Reason: Clean(reason, maxReason)}, progress)
}

// maxReason is how many characters of a reason are kept.
const maxReason = 500

func (e *Engine) apply(ctx context.Context, id string, r Petition, progress func(Progress)) (Outcome, error) {
	defer e.hands.on(id)()
	p, err := e.Proposal(ctx, id)
	if err != nil {
		return Outcome{}, err
	}
	r.Proposal = p
	permit, err := e.o.Policy.Allow(ctx, r)
	if err != nil {
		return e.refuse(ctx, r, err)
	}
	if err := e.alone(ctx, p); err != nil {
		return Outcome{Proposal: p}, err
	}
	if r.BreakGlass {
		if err := e.alarm(ctx, r); err != nil {
			return Outcome{Proposal: p}, err
		}
	}
	claimed, err := e.claim(ctx, r, permit)
	if err != nil {
		return Outcome{Proposal: p}, err
	}
	if p = claimed; p.State != Applying {
		return Outcome{Proposal: p}, nil
	}
	tell := e.teller(p.Incident, progress)
	tell("checking that nothing has changed")
	r.Deed, r.Proposal = DeedExecute, p
	if err := e.recheck(ctx, r); err != nil {
		p = e.settle(ctx, p, Refused, EventFailed, "Not applied. "+Public(err))
		return Outcome{Proposal: p}, err
	}
	tell("applying: %s", p.Title)
	if err := e.perform(ctx, p); err != nil {
		return Outcome{Proposal: e.afterFailure(ctx, p, err)}, err
	}
	p = e.settle(ctx, p, Applied, EventApplied, "Applied: "+p.Title+".")
	return e.prove(ctx, p, progress), nil
}

// refuse records a refusal. One that says that it is too late ends the
// proposal, whose buttons then go.
func (e *Engine) refuse(ctx context.Context, r Petition, err error) (Outcome, error) {
	p := r.Proposal
	if why, ok := errors.AsType[*Refusal](err); !ok || !why.Expired || p.State != Proposed {
		e.note(ctx, p.Incident, EventNote, "refused: "+r.Who.String()+" may not apply "+p.Title, map[string]string{"proposal": p.ID})
		return Outcome{Proposal: p}, err
	}
	stored, storeErr := e.o.Memory.ChangeProposal(ctx, p.ID, func(p *Proposal) ([]Event, error) {
		if p.State != Proposed {
			return nil, gone(*p)
		}
		return e.expire(p), nil
	})
	if storeErr != nil {
		return Outcome{Proposal: p}, storeErr
	}
	return Outcome{Proposal: stored}, err
}

// expire ends a proposal that nobody applied in time.
func (e *Engine) expire(p *Proposal) []Event {
	p.State, p.Outcome = Expired, "Expired before anyone applied it."
	return []Event{{
		Incident: p.Incident, Kind: EventExpired, At: e.o.Now(), Text: p.Title, Refs: map[string]string{"proposal": p.ID, "plan": p.Hash},
	}}
}

// alarm records that somebody breaks the glass and tells those who have to
// know. It does so before the proposal is claimed, so that an alarm that cannot
// be given leaves the proposal to others.
func (e *Engine) alarm(ctx context.Context, r Petition) error {
	p := r.Proposal
	if p.State != Proposed {
		return gone(p)
	}
	refs := map[string]string{"proposal": p.ID, "plan": p.Hash}
	if err := e.o.Memory.Append(ctx, Event{
		Incident: p.Incident, Kind: EventAlarm, At: e.o.Now(), Actor: r.Who, Text: "break-glass: " + p.Title + ": " + r.Reason, Refs: refs,
	}); err != nil {
		return err
	}
	if err := e.o.Policy.Alarm(ctx, r); err != nil {
		e.note(ctx, p.Incident, EventNote, "not applied: nobody could be told that the glass is broken", refs)
		return &Error{
			Code: CodeOutside, Public: "The channel that has to know could not be told, so nothing was changed.",
			Hint: "Try again, or have it approved in the usual way.", Err: err,
		}
	}
	return nil
}

// alone refuses to change anything while another fix of the incident is on its
// way, whose outcome decides whether this one is still wanted, or one of the same
// node. The claim holds two apart that come at once; here nobody is alarmed for
// nothing.
func (e *Engine) alone(ctx context.Context, p Proposal) error {
	for _, s := range []ProposalState{Applying, Undoing} {
		others, err := e.o.Memory.ListProposals(ctx, ProposalQuery{State: s})
		if err != nil {
			return err
		}
		for _, q := range others {
			if q.ID != p.ID && q.Meets(p) {
				return Occupied(q)
			}
		}
	}
	return nil
}

// Occupied is the refusal to apply or undo a fix while q, which it Meets, is on
// its way. Proposals.ChangeProposal returns it too.
func Occupied(q Proposal) error {
	return &Error{
		Code: CodeGone, Public: "Another fix of this incident or on the same node is being applied or undone: " + q.Title + ".",
		Hint: "Wait for what comes of it.",
	}
}

// OnItsWay reports whether a proposal in this state is changing something now.
func (s ProposalState) OnItsWay() bool { return s == Applying || s == Undoing }

// claim records the approval and, when it completes the number, moves the
// proposal to applying, in one transaction.
func (e *Engine) claim(ctx context.Context, r Petition, permit Permit) (Proposal, error) {
	if ctx.Err() != nil {
		return Proposal{}, cancelled(ctx)
	}
	expired := false
	// Whoever claims has to know that they did: a caller who went away in the
	// middle of it would leave a proposal that is being applied by nobody.
	p, err := e.o.Memory.ChangeProposal(context.WithoutCancel(ctx), r.Proposal.ID, func(p *Proposal) ([]Event, error) {
		now := e.o.Now()
		switch {
		case p.State != Proposed:
			return nil, gone(*p)
		case p.Hash != PlanHash(p.Steps):
			return nil, errOtherPlan
		case now.After(p.Expires):
			expired = true
			return e.expire(p), nil
		}
		p.Approvals = max(p.Approvals, permit.Needed, 1)
		return e.agree(p, r, permit, now)
	})
	if expired && err == nil {
		err = &Error{Code: CodeGone, Public: "This fix has expired; the facts it rests on are too old.", Hint: "Ask the question again."}
	}
	return p, err
}

// agree adds one person's approval to p. Whoever breaks the glass needs no
// other, and may have agreed in the usual way before.
func (e *Engine) agree(p *Proposal, r Petition, permit Permit, now time.Time) ([]Event, error) {
	same := permit.Same
	if same == nil {
		same = func(a Actor) bool { return a.Via == r.Who.Via && a.ID == r.Who.ID }
	}
	refs := map[string]string{"proposal": p.ID, "plan": p.Hash}
	again := slices.ContainsFunc(p.Approved, same)
	if again && !r.BreakGlass {
		return nil, &Error{Code: CodeGone, Public: fmt.Sprintf("You have approved this already; %d of %d people have.", len(p.Approved), p.Approvals)}
	}
	// The last of the list is who had it applied.
	p.Approved = append(slices.DeleteFunc(p.Approved, same), r.Who)
	text := fmt.Sprintf("%s (%d of %d)", p.Title, len(p.Approved), p.Approvals)
	if r.BreakGlass {
		p.BreakGlass = r.Reason
		text = p.Title + " (alone, break-glass: " + r.Reason + ")"
	}
	events := []Event{{Incident: p.Incident, Kind: EventApproved, At: now, Actor: r.Who, Text: text, Refs: refs}}
	if len(p.Approved) < p.Approvals && !r.BreakGlass {
		return events, nil
	}
	p.State, p.Begun = Applying, now
	return append(events, Event{Incident: p.Incident, Kind: EventApplying, At: now, Actor: r.Who, Text: p.Title, Refs: refs}), nil
}

// errOtherPlan refuses a stored plan that is not what its hash says.
var errOtherPlan = &Error{
	Code: CodeInternal, Public: "The stored plan is not the one that was shown and approved; nothing was changed.", Hint: "Ask the question again.",
}

// gone says what became of a proposal that can no longer be applied.
func gone(p Proposal) error {
	by := ""
	if len(p.Approved) > 0 {
		by = " by " + p.Approved[len(p.Approved)-1].String()
	}
	text := map[ProposalState]string{
		Applying: "is being applied" + by, Applied: "has been applied" + by, Verified: "has been applied" + by + " and cured the fault",
		NotCured: "has been applied" + by + ", without curing the fault", Undone: "has been applied and undone", Undoing: "is being undone",
		Declined: "was declined", Expired: "has expired", Refused: "was refused: the world had changed", Failed: "was tried" + by + " and failed",
		Undecided: "was begun" + by + "; nobody knows how it ended, look at the node by hand",
	}[p.State]
	return &Error{Code: CodeGone, Public: fmt.Sprintf("This fix %s.", text), Hint: p.Outcome}
}

// recheck asks once more whether all who agreed may, and whether every step can
// still be made.
func (e *Engine) recheck(ctx context.Context, r Petition) error {
	if _, err := e.o.Policy.Allow(ctx, r); err != nil {
		return err
	}
	return e.require(ctx, r.Proposal.Steps, StepPending)
}

// require reads the state of every step and returns an *Error with
// CodeChanged unless all are want.
func (e *Engine) require(ctx context.Context, steps []Step, want StepState) error {
	for _, s := range steps {
		got, seen, err := e.stepState(ctx, s)
		if err != nil {
			return &Error{Code: CodeOutside, Public: "The place of the change could not be read: " + publicWhy(err) + ".", Hint: "Nothing was changed.", Err: err}
		}
		if got != want {
			return &Error{Code: CodeChanged, Public: "It is not as it was when the fix was planned: " + seen + ".", Hint: "Nothing was changed; ask the question again."}
		}
	}
	return nil
}

// stepState reads what s's place looks like now.
func (e *Engine) stepState(ctx context.Context, s Step) (StepState, string, error) {
	kind, ok := e.kinds[s.Kind]
	if !ok {
		return "", "", internalf(fmt.Errorf("no step kind %q", s.Kind), "reading a step")
	}
	if kind.Ref != nil {
		o, err := e.o.CloudChanger.Object(ctx, kind.Ref(s))
		if err != nil {
			return "", "", err
		}
		state, seen := kind.Compare(s, o)
		return state, seen, nil
	}
	results, err := e.o.Shell.Run(ctx, s.Node, kind.Read(s))
	if err != nil {
		return "", "", err
	}
	for _, r := range results {
		if r.Err != nil {
			return "", "", r.Err
		}
	}
	state, seen := kind.State(s, results)
	return state, seen, nil
}

// perform makes the steps of p in order and waits until each shows; those that
// may cut their node off are made as a commit. When one fails, what its place
// then looks like decides: a step that was made in spite of a lost answer counts
// as made, one that was not has those before it taken back, and anything else is
// left for afterFailure to tell.
func (e *Engine) perform(ctx context.Context, p Proposal) error {
	for _, s := range e.stretches(p) {
		if s.id != "" {
			err := e.commit(ctx, p, s)
			if err != nil && e.require(context.WithoutCancel(ctx), s.steps, StepPending) == nil {
				err = errors.Join(err, e.takeBack(ctx, p, s.first, nil))
			}
			if err != nil {
				return err
			}
			continue
		}
		if err := e.performStep(ctx, p, s.first); err != nil {
			return err
		}
	}
	return nil
}

// performStep makes the step with the index i of p.
func (e *Engine) performStep(ctx context.Context, p Proposal, i int) error {
	s := p.Steps[i]
	err := e.do(ctx, s, e.kinds[s.Kind].Do(s))
	if err == nil {
		err = e.awaitState(ctx, s, StepDone)
	}
	if err == nil {
		return nil
	}
	got, _, readErr := e.stepState(context.WithoutCancel(ctx), s)
	switch {
	case readErr == nil && got == StepDone:
		e.o.Log.Warn("step made in spite of an error", slog.String("proposal", p.ID), slog.Any("error", err))
		return nil
	case readErr == nil && got == StepPending && !errors.Is(err, errHalfMade):
		return errors.Join(err, e.takeBack(ctx, p, i, nil))
	default:
		return err
	}
}

// do makes the actions of a step. A cancelled context changes nothing more.
func (e *Engine) do(ctx context.Context, s Step, actions []Action) error {
	var batch []runners.Probe
	for _, a := range actions {
		if a.Call == nil {
			batch = append(batch, a.Command)
			continue
		}
		if err := e.call(ctx, a); err != nil {
			return asError(err)
		}
	}
	if len(batch) == 0 {
		return nil
	}
	if ctx.Err() != nil {
		return cancelled(ctx)
	}
	results, err := e.o.Changer.Change(ctx, s.Node, batch)
	if err != nil {
		return &Error{Code: CodeOutside, Public: "The change on " + s.Node + " did not come back with an answer: " + publicWhy(err) + ".", Err: err}
	}
	for _, r := range results {
		if r.Err != nil {
			return &Error{Code: CodeOutside, Public: "On " + s.Node + ": " + publicWhy(r.Err) + ".", Err: r.Err}
		}
		if r.Output.ExitCode != 0 {
			return &Error{
				Code:   CodeOutside,
				Public: fmt.Sprintf("On %s, %q ended with exit code %d: %s.", s.Node, r.Probe.Command(), r.Output.ExitCode, Clean(r.Output.Stderr, 200)),
			}
		}
	}
	return nil
}

// cancelled says that a change was not begun because its context had ended.
func cancelled(ctx context.Context) error {
	return &Error{Code: CodeOutside, Public: "It was cancelled before the change began.", Hint: "Nothing was changed.", Err: context.Cause(ctx)}
}

// call makes one call of a cloud API.
func (e *Engine) call(ctx context.Context, a Action) error {
	if !a.Must {
		if ctx.Err() != nil {
			return cancelled(ctx)
		}
		return e.o.CloudChanger.Do(ctx, *a.Call)
	}
	ctx = context.WithoutCancel(ctx)
	var err error
	for range 3 {
		if err = e.o.CloudChanger.Do(ctx, *a.Call); err == nil {
			return nil
		}
	}
	return &Error{
		Code: CodeOutside, Err: errors.Join(errHalfMade, err),
		Public: "The first half of the change was made and the second was refused: " + publicWhy(err) + ".", Hint: "Run: " + a.Call.Show,
	}
}

// errHalfMade marks a change that was begun and neither finished nor taken
// back, whatever its place looks like.
var errHalfMade = errors.New("the change is half-made")

// awaitState polls until s's place is as wanted, for at most the settle time.
func (e *Engine) awaitState(ctx context.Context, s Step, want StepState) error {
	ctx, cancel := context.WithTimeoutCause(ctx, e.o.Settle, fmt.Errorf("the change did not show within %s", e.o.Settle))
	defer cancel()
	for {
		got, seen, err := e.stepState(ctx, s)
		if err == nil && got == want {
			return nil
		}
		select {
		case <-ctx.Done():
			if err != nil {
				return &Error{Code: CodeOutside, Public: "The change was made, but its place could not be read back: " + publicWhy(err) + ".", Err: err}
			}
			return &Error{Code: CodeOutside, Public: "The change was made, but it does not show: " + seen + "."}
		case <-time.After(300 * time.Millisecond):
		}
	}
}

// takeBack undoes the first n steps of p, which were made, but those that skip
// names; last first, and in spite of a cancelled context: half a fix is worse
// than none. What may cut its node off is undone as a commit, too.
func (e *Engine) takeBack(ctx context.Context, p Proposal, n int, skip func(i int) bool) error {
	ctx = context.WithoutCancel(ctx)
	var errs []error
	for _, s := range e.stretchesBack(p, n, skip) {
		if s.id != "" {
			errs = append(errs, e.commit(ctx, p, s))
			continue
		}
		step, err := e.resolve(ctx, s.steps[0])
		if err == nil {
			err = e.do(ctx, step, e.kinds[step.Kind].Undo(step))
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// resolve completes a step that was made by what its place says of it.
func (e *Engine) resolve(ctx context.Context, s Step) (Step, error) {
	kind := e.kinds[s.Kind]
	if kind.Resolve == nil {
		return s, nil
	}
	results, err := e.o.Shell.Run(ctx, s.Node, kind.Read(s))
	if err != nil {
		return s, err
	}
	for _, r := range results {
		if r.Err != nil {
			return s, r.Err
		}
	}
	if s, err = kind.Resolve(s, results); err != nil {
		return s, &Error{Code: CodeChanged, Public: "What was changed on " + s.Node + " is not as it was left: " + err.Error() + ".", Err: err}
	}
	return s, nil
}

// afterFailure reads what a failed application left behind and says so.
func (e *Engine) afterFailure(ctx context.Context, p Proposal, cause error) Proposal {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.o.Static)
	defer cancel()
	if errors.Is(cause, errHalfMade) {
		p.State = Undecided // looking at its place again will not tell either
		return e.settle(ctx, p, Undecided, EventFailed, "Half-made: "+Public(cause))
	}
	switch e.Actual(ctx, p) {
	case StepPending:
		return e.settle(ctx, p, Failed, EventFailed, "Failed, nothing is changed: "+Public(cause))
	case StepDone:
		return e.settle(ctx, p, Applied, EventApplied, "Applied, though with an error: "+Public(cause))
	default:
		return e.settle(ctx, p, Undecided, EventFailed, "Failed half-way; look at "+cmp.Or(p.Steps[0].Node, "what the plan names")+" by hand: "+Public(cause))
	}
}

// Actual reads the real state of a proposal's steps: StepPending or StepDone
// when all are, StepChanged for anything else and for what cannot be read.
func (e *Engine) Actual(ctx context.Context, p Proposal) StepState {
	var all StepState
	for _, s := range p.Steps {
		got, _, err := e.stepState(ctx, s)
		if err != nil {
			e.o.Log.Warn("step could not be read", slog.String("proposal", p.ID), slog.Any("error", err))
			return StepChanged
		}
		if all != "" && got != all {
			return StepChanged
		}
		all = got
	}
	return all
}

// settle stores the state a proposal has come to, with its event.
func (e *Engine) settle(ctx context.Context, p Proposal, state ProposalState, kind EventKind, text string) Proposal {
	var was ProposalState
	if state == Undecided && p.State.OnItsWay() {
		was = p.State
	}
	stored, err := e.o.Memory.ChangeProposal(context.WithoutCancel(ctx), p.ID, func(p *Proposal) ([]Event, error) {
		p.State, p.Outcome, p.Was = state, text, was
		return []Event{{
			Incident: p.Incident, Kind: kind, At: e.o.Now(), Text: text,
			Refs: map[string]string{"proposal": p.ID, "plan": p.Hash, "state": string(state)},
		}}, nil
	})
	if err != nil {
		e.o.Log.Error("outcome not stored", slog.String("proposal", p.ID), slog.String("state", string(state)), slog.Any("error", err))
		p.State, p.Outcome = Undecided, text+" This could not be stored."
		return p
	}
	return stored
}

// prove asks the incident's question again and settles the proposal by the
// answer. What only matters after a reboot is proven by its own state.
func (e *Engine) prove(ctx context.Context, p Proposal, progress func(Progress)) Outcome {
	if p.Persistent {
		return Outcome{Proposal: e.settle(ctx, p, Verified, EventVerified, "The file is changed as planned; it takes effect at the next start of the firewall.")}
	}
	incs, err := e.o.Memory.ListIncidents(ctx, IncidentQuery{ID: p.Incident})
	if err != nil || len(incs) == 0 {
		return Outcome{Proposal: e.settle(ctx, p, Applied, EventNote, "Applied; the question could not be asked again because its incident could not be read.")}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, e.o.Total, fmt.Errorf("the proof's budget of %s is used up", e.o.Total))
	defer cancel()
	e.teller(p.Incident, progress)("applied; asking the question again")
	proof, pass, err := e.askAgain(ctx, p, incs[0], progress)
	if err != nil {
		return Outcome{Proposal: e.settle(ctx, p, Applied, EventNote, "Applied; asking again failed: "+Public(err))}
	}
	v := proof.Verdict
	e.offerNext(ctx, incs[0], p, pass, &proof)
	switch {
	case v.State == Healthy && p.Exchange.V6() && !slices.Contains(proof.Given, p.Exchange):
		p = e.settle(ctx, p, Applied, EventNote, fmt.Sprintf("Applied, but not proven: no %s of the guest was seen since. Set its link down and up, then ask again.", p.Exchange))
	case v.State == Healthy && !p.Exchange.V6() && p.Held && !slices.Contains(proof.Given, capture.DHCP):
		p = e.settle(ctx, p, Applied, EventNote, "Applied, but not proven: the guest held its address before and did not ask since. Renew its lease, then ask again.")
	case v.State == Healthy:
		p = e.settle(ctx, p, Verified, EventVerified, "Proven: "+v.Summary)
	case v.Cause == p.Cause && sameEdge(v.Edge, p.Edge):
		p = e.settle(ctx, p, NotCured, EventFailed, "Applied, but the same fault is still there: "+v.Summary)
	default:
		p = e.settle(ctx, p, Applied, EventNote, pass.partly()+v.Summary)
	}
	return Outcome{Proposal: p, Proof: &proof}
}

// partly says that a cause is gone and was not the last.
func (p *Pass) partly() string {
	if p.Volume != nil || p.Console != nil {
		return "Applied. This cause is gone, and it was not the only one: "
	}
	if p.Peer != nil {
		return "Applied. This edge is no longer the first to lose frames, but the ping does not get through yet: "
	}
	return "Applied. This edge is no longer the first to lose frames, but the guest is not served yet: "
}

// offerNext stores what asking again after p came to: faults stack, so it
// offers the fixes of the next one, and takes back what was offered for the one
// that p was for.
func (e *Engine) offerNext(ctx context.Context, inc Incident, p Proposal, pass *Pass, proof *Answer) {
	offered := slices.DeleteFunc(e.propose(inc, pass, proof), func(q Proposal) bool { return q.Hash == p.Hash })
	proof.Fixes = offered
	if err := e.record(ctx, inc, *proof, pass); err != nil {
		e.o.Log.Error("proof not stored", slog.String("proposal", p.ID), slog.Any("error", err))
		proof.Fixes = nil
		return
	}
	open, err := e.o.Memory.ListProposals(context.WithoutCancel(ctx), ProposalQuery{Incident: inc.ID, State: Proposed})
	if err != nil {
		e.o.Log.Error("older proposals not read", slog.String("incident", inc.ID), slog.Any("error", err))
		return
	}
	for _, q := range open {
		isNew := slices.ContainsFunc(offered, func(n Proposal) bool { return n.ID == q.ID })
		if isNew || q.Persistent && q.Cause == p.Cause {
			continue // making a cure last is a decision of its own
		}
		e.supersede(ctx, q, p)
	}
}

// supersede takes q off the table because p was applied after it was planned.
func (e *Engine) supersede(ctx context.Context, q, p Proposal) {
	_, err := e.o.Memory.ChangeProposal(context.WithoutCancel(ctx), q.ID, func(q *Proposal) ([]Event, error) {
		if q.State != Proposed {
			return nil, gone(*q)
		}
		q.State, q.Outcome = Expired, "Another fix was applied after this one was planned: "+p.Title+"."
		return []Event{{Incident: q.Incident, Kind: EventExpired, At: e.o.Now(), Text: q.Title, Refs: map[string]string{"proposal": q.ID, "after": p.ID}}}, nil
	})
	if err != nil && CodeOf(err) != CodeGone {
		e.o.Log.Error("older proposal not taken back", slog.String("proposal", q.ID), slog.Any("error", err))
	}
}

// askAgain asks the question of inc. Where the change leaves a daemon something
// to do, that it is not done yet is no answer: the question is asked until all
// is well, or the time is up that a change may take to show.
func (e *Engine) askAgain(ctx context.Context, p Proposal, inc Incident, progress func(Progress)) (Answer, *Pass, error) {
	patience, cancel := context.WithTimeout(ctx, e.o.Settle)
	defer cancel()
	delayed := slices.ContainsFunc(p.Steps, func(s Step) bool { return e.kinds[s.Kind].Delayed })
	for {
		a, pass, err := e.examine(ctx, inc, AskOptions{Progress: progress})
		if err != nil || !delayed || a.Verdict.State == Healthy {
			return a, pass, err
		}
		select {
		case <-patience.Done():
			return a, pass, nil
		case <-time.After(time.Second):
		}
	}
}

func sameEdge(a, b *EdgeJSON) bool {
	return a == nil && b == nil || a != nil && b != nil && *a == *b
}
