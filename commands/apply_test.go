package commands_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"whybot/commands"
	"whybot/runners"
	"whybot/store"
)

func TestApplyStoresIntentBeforeAnythingChanges(t *testing.T) {
	b := newBench(t, mend)
	p := b.ask()
	looked := 0
	b.world.beforeChange = func(string) error {
		looked++
		b.wantState(p.ID, commands.Applying)
		b.wantEvents("approved applying")
		return nil
	}
	var said []string
	out, err := b.engine.Apply(t.Context(), p.ID, bob, func(p commands.Progress) { said = append(said, p.Text) })
	if err != nil {
		t.Fatal(err)
	}
	if looked != 1 {
		t.Fatalf("%d commands were sent", looked)
	}
	if out.Proposal.State != commands.Verified || out.Proof == nil || out.Proof.Verdict.State != commands.Healthy {
		t.Errorf("came to %q with proof %+v", out.Proposal.State, out.Proof)
	}
	b.wantState(p.ID, commands.Verified)
	b.wantSent("set forward fixed")
	b.wantEvents("approved applying applied observed verdict verified")
	if len(said) == 0 || !strings.Contains(said[0], "nothing has changed") {
		t.Errorf("said %q", said)
	}
	incs, err := b.memory.ListIncidents(t.Context(), commands.IncidentQuery{ID: p.Incident})
	if err != nil || len(incs) != 1 || incs[0].Verdict.State != commands.Healthy {
		t.Errorf("the incident says %+v, %v", incs, err)
	}
}

// Who approved which plan is in the journal.
func TestApprovalIsOnRecord(t *testing.T) {
	b := newBench(t, mend)
	p := b.applied()
	recorded := 0
	for _, e := range b.events() {
		if e.Kind != commands.EventApproved && e.Kind != commands.EventApplying {
			continue
		}
		recorded++
		if e.Actor != alice || e.Refs["plan"] != p.Hash || e.Refs["proposal"] != p.ID {
			t.Errorf("event %s by %v with %v", e.Kind, e.Actor, e.Refs)
		}
	}
	if recorded != 2 {
		t.Errorf("%d events of an approval", recorded)
	}
}

func TestProposalIsSealed(t *testing.T) {
	b := newBench(t, mendTwice, mend)
	p := b.ask()
	if p.Hash != commands.PlanHash(p.Steps) || len(p.Hash) != 64 {
		t.Errorf("hash %q", p.Hash)
	}
	if !strings.HasPrefix(p.ID, "fx-") || len(p.ID) != len("fx-")+16 {
		t.Errorf("id %q does not hold 80 bits", p.ID)
	}
	if got := strings.Join(p.Commands, "; "); got != control+"# set extra on; "+control+"# set forward fixed" {
		t.Errorf("commands %q", got)
	}
	if got := strings.Join(p.Undo, "; "); got != control+"# set forward broken; "+control+"# set extra off" {
		t.Errorf("undo %q: the last step is taken back first", got)
	}
	if stored := b.stored(p.ID); stored.State != commands.Proposed || stored.Hash != p.Hash || stored.Cause != "DHCP-90" {
		t.Errorf("stored %+v", stored)
	}
}

func TestWhatCannotBePlannedIsAdvice(t *testing.T) {
	b := newBench(t, unplanned, mend, mend)
	a, err := b.engine.Ask(t.Context(), alice, commands.Question{Kind: commands.KindDHCP, Subjects: map[string]string{"vm": "web-1"}}, commands.AskOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Fixes) != 1 || a.Fixes[0].Fix != "mend" {
		t.Errorf("offered %+v: one plan is offered once", a.Fixes)
	}
	if got := strings.Join(a.Findings[0].Advice, "\n"); !strings.Contains(got, "Not offered: Two rules read alike.") {
		t.Errorf("advice %q", got)
	}
}

func TestApplyOutcomes(t *testing.T) {
	for _, c := range []struct {
		name   string
		fix    *commands.Fix
		change func(*world)
		want   commands.ProposalState
		says   string
		proof  commands.State
		events string
	}{
		{"verified", mend, nil, commands.Verified, "Proven", commands.Healthy, "approved applying applied observed verdict verified"},
		{"not cured", elsewhere, nil, commands.NotCured, "same fault", commands.Proven, "approved applying applied observed found verdict failed"},
		{
			"another fault behind it", mend, func(w *world) { w.cells["other"] = "broken" },
			commands.Applied, "no longer the first", commands.Proven, "expired note",
		},
		{"takes effect at boot", inFile, nil, commands.Verified, "next start", "", "approved applying applied verified"},
		{"through the cloud", resync, nil, commands.Verified, "Proven", commands.Healthy, "approved applying applied observed verdict verified"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, c.fix)
			if c.change != nil {
				c.change(b.world)
			}
			p := b.ask()
			out, err := b.engine.Apply(t.Context(), p.ID, alice, nil)
			if err != nil {
				t.Fatal(err)
			}
			if out.Proposal.State != c.want || !strings.Contains(out.Proposal.Outcome, c.says) {
				t.Errorf("came to %q: %s", out.Proposal.State, out.Proposal.Outcome)
			}
			var proof commands.State
			if out.Proof != nil {
				proof = out.Proof.Verdict.State
			}
			if proof != c.proof {
				t.Errorf("proof %q, want %q", proof, c.proof)
			}
			b.wantState(p.ID, c.want)
			b.wantEvents(c.events)
		})
	}
}

// Faults stack: once the first is mended, the next is named in the same
// incident, its fix is on offer, and what was offered besides for the first is
// not any more, but for what makes its cure last.
func TestStackedFaultsArePeeled(t *testing.T) {
	b := newBench(t, mend, mendTwice, inFile)
	first := b.ask()
	b.world.set("other", "broken") // hidden behind the first
	out, err := b.engine.Apply(t.Context(), first.ID, alice, nil)
	if err != nil {
		t.Fatal(err)
	}
	if out.Proposal.State != commands.Applied || out.Proof.Verdict.Cause != "DHCP-91" {
		t.Fatalf("came to %q, then %s", out.Proposal.State, out.Proof.Verdict.Cause)
	}
	if len(out.Proof.Fixes) != 1 || out.Proof.Fixes[0].Fix != "mend-other" || out.Proof.Fixes[0].Incident != first.Incident {
		t.Fatalf("offered next: %+v", out.Proof.Fixes)
	}
	open, err := b.memory.ListProposals(t.Context(), commands.ProposalQuery{Incident: first.Incident, State: commands.Proposed})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range open {
		names = append(names, p.Fix)
	}
	slices.Sort(names)
	if want := []string{"in-file", "mend-other"}; !slices.Equal(names, want) {
		t.Errorf("still on offer: %q, want %q", names, want)
	}
	out, err = b.engine.Apply(t.Context(), out.Proof.Fixes[0].ID, bob, nil)
	if err != nil || out.Proposal.State != commands.Verified {
		t.Errorf("the second came to %q (%v)", out.Proposal.State, err)
	}
}

func TestProofThatCannotBeHad(t *testing.T) {
	b := newBench(t, mend)
	p := b.ask()
	b.world.after = func(string) (int, error) {
		b.world.beforeRead = func(_ string, probes []runners.Probe) error {
			if probes[0].Name == "cell" {
				return nil // the place of the change itself
			}
			return unreachable(control)
		}
		return 0, nil
	}
	out, err := b.engine.Apply(t.Context(), p.ID, alice, nil)
	if err != nil {
		t.Fatal(err)
	}
	// Could not look is never all clear.
	if out.Proposal.State != commands.Applied {
		t.Errorf("came to %q: %s", out.Proposal.State, out.Proposal.Outcome)
	}
}

func TestApplyRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		before func(*bench, commands.Proposal)
		code   commands.Code
		state  commands.ProposalState
		events string
	}{
		{"expired", func(b *bench, _ commands.Proposal) { b.advance(31 * time.Minute) }, commands.CodeGone, commands.Expired, "expired"},
		{"declined", func(b *bench, p commands.Proposal) {
			if _, err := b.engine.Decline(b.t.Context(), p.ID, bob, "not now\n\x1b[31mnever"); err != nil {
				b.t.Fatal(err)
			}
		}, commands.CodeGone, commands.Declined, "declined"},
		{"denied", func(b *bench, _ commands.Proposal) { b.permit(denied) }, commands.CodeDenied, commands.Proposed, "note"},
		{"withdrawn between the click and the change", func(b *bench, _ commands.Proposal) {
			b.permit(func(_ commands.Actor, p commands.Proposal) error {
				if p.State == commands.Applying {
					return denied(commands.Actor{}, p)
				}
				return nil
			})
		}, commands.CodeDenied, commands.Refused, "approved applying failed"},
		{"the place has changed", func(b *bench, _ commands.Proposal) { b.world.set("forward", "edited") }, commands.CodeChanged, commands.Refused, "approved applying failed"},
		{"somebody did it by hand", func(b *bench, _ commands.Proposal) { b.world.set("forward", "fixed") }, commands.CodeChanged, commands.Refused, "approved applying failed"},
		{"the node cannot be read", func(b *bench, _ commands.Proposal) {
			b.world.beforeRead = func(node string, _ []runners.Probe) error { return unreachable(node) }
		}, commands.CodeOutside, commands.Refused, "approved applying failed"},
		{"the stored plan was edited", func(b *bench, p commands.Proposal) {
			b.change(p.ID, func(p *commands.Proposal) { p.Steps[0].Args["to"] = "owned" })
		}, commands.CodeInternal, commands.Proposed, ""},
		{"the stored plan has a step more", func(b *bench, p commands.Proposal) {
			b.change(p.ID, func(p *commands.Proposal) { p.Steps = append(p.Steps, cellStep("extra", "off", "on")) })
		}, commands.CodeInternal, commands.Proposed, ""},
		{"the stored plan is of a kind nobody knows", func(b *bench, p commands.Proposal) {
			b.change(p.ID, func(p *commands.Proposal) { p.Steps[0].Kind = "rm"; p.Hash = commands.PlanHash(p.Steps) })
		}, commands.CodeOutside, commands.Refused, "approved applying failed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, mend)
			p := b.ask()
			c.before(b, p)
			cells := b.world.snapshot()
			out, err := b.engine.Apply(t.Context(), p.ID, bob, nil)
			wantCode(t, err, c.code)
			if strings.Contains(fmt.Sprint(err), "secret detail") || strings.Contains(out.Proposal.Outcome, "secret detail") {
				t.Errorf("an inner error's text got out: %v", err)
			}
			b.wantSent()
			if got := b.world.snapshot(); got["forward"] != cells["forward"] {
				t.Errorf("it was changed to %v", got)
			}
			b.wantState(p.ID, c.state)
			b.wantEvents(c.events)
		})
	}
}

func TestDeclineIsRecordedCleanly(t *testing.T) {
	b := newBench(t, mend)
	p := b.ask()
	b.permit(denied)
	if _, err := b.engine.Decline(t.Context(), p.ID, bob, ""); commands.CodeOf(err) != commands.CodeDenied {
		t.Errorf("declined without the right to: %v", err)
	}
	b.permit(nil)
	b.wantState(p.ID, commands.Proposed)
	d, err := b.engine.Decline(t.Context(), p.ID, bob, "not now\n\x1b[31mnever\u202e")
	if err != nil || d.State != commands.Declined {
		t.Fatalf("%q, %v", d.State, err)
	}
	last := b.events()[len(b.events())-1]
	if last.Kind != commands.EventDeclined || last.Actor != bob || strings.ContainsAny(last.Text, "\n\x1b\u202e") || !strings.HasSuffix(last.Text, ": not now [31mnever") {
		t.Errorf("the journal says %q of %v", last.Text, last.Actor)
	}
	_, err = b.engine.Decline(t.Context(), p.ID, bob, "")
	wantCode(t, err, commands.CodeGone)
}

func TestUnknownProposal(t *testing.T) {
	b := newBench(t, mend)
	b.ask()
	const id = "fx-\x1b[31mnone"
	_, applyErr := b.engine.Apply(t.Context(), id, alice, nil)
	_, undoErr := b.engine.Undo(t.Context(), id, alice, nil)
	_, declineErr := b.engine.Decline(t.Context(), id, alice, "")
	for _, err := range []error{applyErr, undoErr, declineErr} {
		wantCode(t, err, commands.CodeMissing)
		if strings.Contains(fmt.Sprint(err), "\x1b") {
			t.Errorf("%q", err)
		}
	}
}

func TestExactlyOneOfManyApplies(t *testing.T) {
	b := newBench(t, mend)
	p := b.ask()
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for _, who := range people(50) {
		wg.Go(func() {
			out, err := b.engine.Apply(t.Context(), p.ID, who, nil)
			mu.Lock()
			defer mu.Unlock()
			if err == nil && out.Proposal.State == commands.Verified {
				won++
				return
			}
			wantCode(t, err, commands.CodeGone)
		})
	}
	wg.Wait()
	if won != 1 {
		t.Errorf("%d callers applied it", won)
	}
	b.wantSent("set forward fixed")
	if got := strings.Count(b.kinds(), "approved"); got != 1 {
		t.Errorf("%d approvals are recorded", got)
	}
}

func TestTwoApprovals(t *testing.T) {
	b := newBench(t, mend)
	p := b.ask()
	b.change(p.ID, func(p *commands.Proposal) { p.Approvals = 2 })

	out, err := b.engine.Apply(t.Context(), p.ID, alice, nil)
	if err != nil || out.Proposal.State != commands.Proposed || len(out.Proposal.Approved) != 1 {
		t.Fatalf("the first approval came to %q, %v", out.Proposal.State, err)
	}
	renamed := alice
	renamed.Name = "Somebody Else"
	_, err = b.engine.Apply(t.Context(), p.ID, renamed, nil)
	wantCode(t, err, commands.CodeGone)
	b.wantSent()
	b.wantEvents("approved")

	out, err = b.engine.Apply(t.Context(), p.ID, bob, nil)
	if err != nil || out.Proposal.State != commands.Verified || len(out.Proposal.Approved) != 2 {
		t.Fatalf("the second approval came to %q, %v", out.Proposal.State, err)
	}
	b.wantSent("set forward fixed")
	b.wantEvents("approved approved applying applied observed verdict verified")
}

func TestFailureMidwayIsTakenBack(t *testing.T) {
	b := newBench(t, mendTwice)
	p := b.ask()
	b.world.ineffective["set forward fixed"] = true
	b.world.after = func(command string) (int, error) {
		if command == "set forward fixed" {
			return 4, nil
		}
		return 0, nil
	}
	out, err := b.engine.Apply(t.Context(), p.ID, alice, nil)
	wantCode(t, err, commands.CodeOutside)
	if out.Proposal.State != commands.Failed || !strings.Contains(out.Proposal.Outcome, "exit code 4") || strings.Contains(out.Proposal.Outcome, "\x1b") {
		t.Errorf("came to %q: %q", out.Proposal.State, out.Proposal.Outcome)
	}
	b.wantSent("set extra on", "set forward fixed", "set extra off")
	b.wantEvents("approved applying failed")
	if b.world.get("extra") != "off" || b.world.get("forward") != "broken" {
		t.Errorf("left behind: %v", b.world.snapshot())
	}
}

// A change whose command succeeds but does not show must not leave the steps
// before it behind.
func TestChangeThatDoesNotShowIsTakenBack(t *testing.T) {
	b := newBench(t, mendTwice)
	p := b.ask()
	b.world.ineffective["set forward fixed"] = true
	out, err := b.engine.Apply(t.Context(), p.ID, alice, nil)
	wantCode(t, err, commands.CodeOutside)
	if out.Proposal.State != commands.Failed || b.world.get("extra") != "off" {
		t.Errorf("came to %q (%s), extra is %s", out.Proposal.State, out.Proposal.Outcome, b.world.get("extra"))
	}
}

// After a lost connection the real state decides; the command is never sent
// again.
func TestConnectionLostAfterSending(t *testing.T) {
	for _, c := range []struct {
		name    string
		effect  bool
		silence bool // the node cannot be read afterwards
		want    commands.ProposalState
		code    commands.Code // empty for no error
		events  string
	}{
		{"it was carried out", true, false, commands.Verified, "", "approved applying applied observed verdict verified"},
		{"it was not carried out", false, false, commands.Failed, commands.CodeOutside, "approved applying failed"},
		{"nobody knows", true, true, commands.Undecided, commands.CodeOutside, "approved applying failed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, mend)
			p := b.ask()
			b.world.ineffective["set forward fixed"] = !c.effect
			b.world.after = func(string) (int, error) {
				if c.silence {
					b.world.beforeRead = func(node string, _ []runners.Probe) error { return unreachable(node) }
				}
				return 0, lost(control)
			}
			out, err := b.engine.Apply(t.Context(), p.ID, alice, nil)
			if c.code != "" {
				wantCode(t, err, c.code)
			} else if err != nil {
				t.Error(err)
			}
			if out.Proposal.State != c.want {
				t.Errorf("came to %q: %s", out.Proposal.State, out.Proposal.Outcome)
			}
			b.wantState(p.ID, c.want)
			b.wantSent("set forward fixed")
			b.wantEvents(c.events)
		})
	}
}

func TestNodeNotReachedForTheChange(t *testing.T) {
	b := newBench(t, mend)
	p := b.ask()
	b.world.beforeChange = func(string) error { return unreachable(control) }
	out, err := b.engine.Apply(t.Context(), p.ID, alice, nil)
	wantCode(t, err, commands.CodeOutside)
	if out.Proposal.State != commands.Failed || strings.Contains(out.Proposal.Outcome, "secret detail") {
		t.Errorf("came to %q: %s", out.Proposal.State, out.Proposal.Outcome)
	}
	b.wantSent()
}

func TestCancelledContextChangesNothingMore(t *testing.T) {
	t.Run("before the change", func(t *testing.T) {
		b := newBench(t, mend)
		p := b.ask()
		ctx, cancel := context.WithCancel(t.Context())
		b.world.beforeRead = func(string, []runners.Probe) error { cancel(); return nil }
		out, err := b.engine.Apply(ctx, p.ID, alice, nil)
		if err == nil || out.Proposal.State != commands.Failed {
			t.Errorf("came to %q, %v", out.Proposal.State, err)
		}
		b.wantSent()
		b.wantState(p.ID, commands.Failed)
		b.wantEvents("approved applying failed")
	})
	t.Run("between two steps", func(t *testing.T) {
		b := newBench(t, mendTwice)
		p := b.ask()
		ctx, cancel := context.WithCancel(t.Context())
		b.world.after = func(string) (int, error) { cancel(); return 0, nil }
		out, err := b.engine.Apply(ctx, p.ID, alice, nil)
		if err == nil || out.Proposal.State != commands.Failed {
			t.Errorf("came to %q (%s), %v", out.Proposal.State, out.Proposal.Outcome, err)
		}
		b.wantSent("set extra on", "set extra off")
	})
	t.Run("before it is even claimed", func(t *testing.T) {
		b := newBench(t, mend)
		p := b.ask()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := b.engine.Apply(ctx, p.ID, alice, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		b.wantSent()
		b.wantState(p.ID, commands.Proposed)
	})
}

// What a cancellation comes to is told in words of its own, not as a failure
// of whybot.
func TestCancellationIsToldAsSuch(t *testing.T) {
	b := newBench(t, mend)
	p := b.ask()
	ctx, cancel := context.WithCancel(t.Context())
	b.world.beforeRead = func(string, []runners.Probe) error { cancel(); return nil }
	out, err := b.engine.Apply(ctx, p.ID, alice, nil)
	var e *commands.Error
	if !errors.As(err, &e) || e.Code == commands.CodeInternal || strings.Contains(out.Proposal.Outcome, "Something went wrong inside whybot") {
		t.Errorf("error %v (%T); outcome %q", err, err, out.Proposal.Outcome)
	}
}

// The network must get back to its agent, and if it cannot, the person is told
// what to type.
func TestCloudChangeHalfDone(t *testing.T) {
	b := newBench(t, resync)
	p := b.ask()
	b.world.cloudErr = func(call string) error {
		if call == "add" {
			return &runners.Error{Kind: runners.TooSlow, Runner: "openstack", Target: "neutron", Op: "POST dhcp-networks"}
		}
		return nil
	}
	out, err := b.engine.Apply(t.Context(), p.ID, alice, nil)
	wantCode(t, err, commands.CodeOutside)
	if !strings.Contains(fmt.Sprint(err), "openstack network agent add network --dhcp agent-1 "+networkID) {
		t.Errorf("error %v", err)
	}
	if got := strings.Join(b.world.cloud, " "); got != "remove add add add" {
		t.Errorf("calls %q", got)
	}
	if out.Proposal.State == commands.Verified || out.Proposal.State == commands.Applied {
		t.Errorf("came to %q", out.Proposal.State)
	}
}

// A network that is off its agent is changed, whatever the step's state reads
// as: the outcome must not say that nothing is.
func TestCloudChangeHalfDoneIsNotNothing(t *testing.T) {
	b := newBench(t, resync)
	p := b.ask()
	b.world.cloudErr = func(call string) error {
		if call == "add" {
			return errors.New("down")
		}
		return nil
	}
	out, _ := b.engine.Apply(t.Context(), p.ID, alice, nil)
	if strings.Contains(out.Proposal.Outcome, "nothing is changed") {
		t.Errorf("state %q, outcome %q", out.Proposal.State, out.Proposal.Outcome)
	}
}

// The plan of a former process can be applied by the next one.
func TestApplyAfterRestart(t *testing.T) {
	b := newBench(t, mend)
	p := b.ask()
	if err := b.memory.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := store.Open(t.Context(), store.Options{Path: b.path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = again.Close() })
	b.memory = again
	out, err := b.newEngine(mend).Apply(t.Context(), p.ID, alice, nil)
	if err != nil || out.Proposal.State != commands.Verified {
		t.Errorf("came to %q, %v", out.Proposal.State, err)
	}
}

// What OpenStack keeps is read, changed, proven and taken back through its API.
func TestCloudChange(t *testing.T) {
	b := newBench(t, inCloud)
	p := b.ask()
	if want := "openstack cell set forward fixed"; len(p.Commands) != 1 || p.Commands[0] != want || p.Undo[0] != "openstack cell set forward broken" {
		t.Errorf("shown as %q, taken back by %q", p.Commands, p.Undo)
	}
	out, err := b.engine.Apply(t.Context(), p.ID, alice, nil)
	if err != nil || out.Proposal.State != commands.Verified {
		t.Fatalf("applying came to %q (%s), %v", out.Proposal.State, out.Proposal.Outcome, err)
	}
	out, err = b.engine.Undo(t.Context(), p.ID, alice, nil)
	if err != nil || out.Proposal.State != commands.Undone || b.world.get("forward") != "broken" {
		t.Errorf("undoing came to %q (%s), %v", out.Proposal.State, out.Proposal.Outcome, err)
	}
}

// Hands off when it has changed since, cannot be read, or the API refuses.
func TestCloudChangeRefused(t *testing.T) {
	refuse := func(call string) func(string) error {
		return func(made string) error {
			if made != call {
				return nil
			}
			return &runners.Error{Kind: runners.Hidden, Runner: "openstack", Target: "neutron", Op: "PUT cells/{id}"}
		}
	}
	for _, c := range []struct {
		name   string
		change func(*bench)
		code   commands.Code
		state  commands.ProposalState
		says   string
	}{
		{"changed since", func(b *bench) { b.world.set("forward", "odd") }, commands.CodeChanged, commands.Refused, "forward is odd now"},
		{"unreadable", func(b *bench) { b.world.cloudErr = refuse("read") }, commands.CodeOutside, commands.Refused, "hidden"},
		{"refused", func(b *bench) { b.world.cloudErr = refuse("set") }, commands.CodeOutside, commands.Failed, "nothing is changed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, inCloud)
			p := b.ask()
			c.change(b)
			out, err := b.engine.Apply(t.Context(), p.ID, alice, nil)
			wantCode(t, err, c.code)
			if out.Proposal.State != c.state || !strings.Contains(out.Proposal.Outcome, c.says) {
				t.Errorf("came to %q: %s", out.Proposal.State, out.Proposal.Outcome)
			}
		})
	}
}

// A daemon takes its time: the question is asked again until it has acted.
func TestProofWaitsForADaemon(t *testing.T) {
	b := newBench(t, inCloud)
	p := b.ask()
	var looks atomic.Int32 // at the node that holds the cell; others are read at the same time
	b.world.beforeRead = func(node string, probes []runners.Probe) error {
		if node != control || !slices.ContainsFunc(probes, func(p runners.Probe) bool { return p.Name == "cell forward" }) {
			return nil
		}
		if looks.Add(1) == 1 { // the first proof comes too early
			b.world.set("forward", "broken")
		} else {
			b.world.set("forward", "fixed")
		}
		return nil
	}
	b.settle(10 * time.Second)
	out, err := b.engine.Apply(t.Context(), p.ID, alice, nil)
	if err != nil || out.Proposal.State != commands.Verified || looks.Load() < 2 {
		t.Errorf("after %d looks: %q (%s), %v", looks.Load(), out.Proposal.State, out.Proposal.Outcome, err)
	}
}
