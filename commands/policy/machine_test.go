package policy

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"whybot/commands"
)

// A move is one thing that happens to a machine.
type move struct {
	Kind    string
	Who     int    // an identity
	Where   string // the channel, of one in Slack
	Which   int    // a proposal, the newest first
	Value   int    // of whatever the kind of move needs
	Between *move  // happens between the click and the change
}

// outside are moves that no person with a proposal makes.
var outside = []string{"wait", "needed", "asker", "channels", "users", "terminal", "expires", "glass", "group", "standing", "deaf"}

func anyMove(kinds []string) *rapid.Generator[move] {
	return rapid.Custom(func(t *rapid.T) move {
		return move{
			Kind: rapid.SampledFrom(kinds).Draw(t, "kind"), Who: rapid.IntRange(0, len(identities())-1).Draw(t, "who"),
			Where: rapid.SampledFrom([]string{opsRoom, opsRoom, opsRoom, warRoom, elsewhere}).Draw(t, "where"),
			Which: rapid.SampledFrom([]int{0, 0, 0, 1, 2}).Draw(t, "which"), Value: rapid.IntRange(0, 7).Draw(t, "value"),
		}
	})
}

// moves are sequences that begin with a proposal. A third of the approvals
// have something happen between the click and the change.
var moves = rapid.Custom(func(t *rapid.T) []move {
	inside := []string{"approve", "approve", "approve", "approve", "glass-break", "decline", "undo", "propose"}
	all := []move{}
	if n := rapid.IntRange(0, 2).Draw(t, "before"); n > 0 {
		all = append(all, rapid.SliceOfN(anyMove(outside), n, n).Draw(t, "rules")...)
	}
	first := anyMove([]string{"propose"}).Draw(t, "first")
	all = append(all, first)
	for range rapid.IntRange(1, 12).Draw(t, "length") {
		kinds := inside
		if rapid.IntRange(0, 2).Draw(t, "outside") == 0 {
			kinds = outside
		}
		m := anyMove(kinds).Draw(t, "move")
		if rapid.IntRange(0, 2).Draw(t, "race") == 0 {
			b := anyMove(outside).Draw(t, "between")
			m.Between = &b
		}
		all = append(all, m)
	}
	return all
})

// make makes a move.
func (m *machine) make(mv move) error {
	ctx := context.Background()
	w := m.w
	who := identities()[mv.Who]
	if who.Via == "slack" {
		who.Channel = mv.Where
	}
	if mv.Kind == "propose" {
		classes := []commands.Class{commands.F1, commands.F1, commands.F1, commands.F2, commands.F2, commands.F2, commands.F2, commands.F3}
		return m.propose(classes[mv.Value], who)
	}
	if slices.Contains(outside, mv.Kind) {
		w.turn(mv)
		return nil
	}
	if mv.Which >= len(m.ids) {
		return nil
	}
	id := m.ids[len(m.ids)-1-mv.Which]
	w.current, w.actor, w.between = id, who, nil
	if mv.Between != nil {
		w.between = func() { w.turn(*mv.Between) }
	}
	defer func() { w.between = nil }()
	var err error
	switch mv.Kind {
	case "approve":
		_, err = m.engine.Apply(ctx, id, who, nil)
	case "glass-break":
		_, err = m.engine.BreakGlass(ctx, id, who, []string{"fire", "fire", "fire", ""}[mv.Value%4], nil)
	case "undo":
		_, err = m.engine.Undo(ctx, id, who, nil)
	case "decline":
		_, err = m.engine.Decline(ctx, id, who, "")
	}
	if commands.CodeOf(err) == commands.CodeInternal && err != nil {
		return err // everything else is a refusal
	}
	return nil
}

// turn changes the world.
func (w *world) turn(mv move) {
	v := mv.Value
	switch mv.Kind {
	case "wait":
		w.now = w.now.Add(time.Duration(v+1) * 5 * time.Minute)
	case "needed":
		w.rule.Needed = 1 + v%3
	case "asker":
		w.rule.AskerMay = v%2 == 0
	case "channels":
		w.rule.Channels = [][]string{{opsRoom, warRoom}, {opsRoom}, {warRoom}, {elsewhere}}[v%4]
	case "users":
		w.rule.Users = [][]string{{"U0ANN", "U0DAN"}, {"U0ANN"}, {"U0DAN"}, nil}[v%4]
	case "terminal":
		w.rule.Terminal.Names = [][]string{{"ann", "eve"}, {"eve", "cid"}, nil}[v%3]
	case "expires":
		w.rule.Expires = time.Duration(1+v) * 10 * time.Minute
	case "glass":
		w.rule.Glass = []commands.Glass{{Users: []string{"U0DAN"}, Terminal: []string{"eve"}, Channel: warRoom}, {Users: []string{"U0BOB"}, Channel: opsRoom}, {}}[v%3]
	case "group":
		user := []string{"U0BOB", "U0CID"}[v%2]
		w.group[user] = !w.group[user]
	case "standing":
		user := []string{"U0ANN", "U0BOB", "U0CID", "U0DAN"}[v%4]
		w.standing[user] = []commands.Standing{commands.Member, commands.Guest}[v/4]
	case "deaf":
		w.deaf = v%2 == 0
	}
}

// play makes a sequence of moves and returns what was done that must not be,
// and how often something was applied.
func play(all []move, how way, remember func() (commands.Memory, string, error)) (wrong string, applied int, err error) {
	memory, incident, err := remember()
	if err != nil {
		return "", 0, err
	}
	m, err := newMachine(memory, incident, how)
	if err != nil {
		return "", 0, err
	}
	for i, mv := range all {
		if err := m.make(mv); err != nil {
			return "", m.w.applied, fmt.Errorf("move %d, %s: %w", i, mv.Kind, err)
		}
		if m.w.wrong != "" {
			return fmt.Sprintf("at move %d: %s", i, m.w.wrong), m.w.applied, nil
		}
	}
	return "", m.w.applied, nil
}

var sound = way{Decide, joined}

// checks sets how many sequences rapid plays, unless the command line says it.
func checks(t *testing.T, n int) {
	t.Helper()
	f := flag.Lookup("rapid.checks")
	if f.Value.String() != f.DefValue {
		return
	}
	before := f.Value.String()
	if err := flag.Set("rapid.checks", fmt.Sprint(n)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = flag.Set("rapid.checks", before) })
}

// TestAppliedMeansAllowed plays random sequences of everything that people, the
// configuration, Slack and the clock can do. Whatever is applied must have been
// allowed at that moment.
func TestAppliedMeansAllowed(t *testing.T) {
	checks(t, 10_000)
	applied, sequences := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		wrong, n, err := play(moves.Draw(t, "moves"), sound, inLedger)
		if err != nil || wrong != "" {
			t.Fatalf("%s %v", wrong, err)
		}
		applied += n
		sequences++
	})
	t.Logf("%d sequences, %d times something was applied", sequences, applied)
	if applied < sequences/10 {
		t.Errorf("in %d sequences something was applied %d times: the test looks at little", sequences, applied)
	}
}

// TestAppliedMeansAllowedInTheStore does the same over the real store.
func TestAppliedMeansAllowedInTheStore(t *testing.T) {
	checks(t, 150)
	remember := inStore(t)
	rapid.Check(t, func(t *rapid.T) {
		if wrong, _, err := play(moves.Draw(t, "moves"), sound, remember); err != nil || wrong != "" {
			t.Fatalf("%s %v", wrong, err)
		}
	})
}

// broken are policies with one mistake each, and which test has to see it.
var broken = map[string]struct {
	way            way
	matrix, played bool
}{
	"the asker may always": {way{altered(func(r *Request) {
		both(r, func(r *commands.Rule) { r.AskerMay = true })
	}), joined}, true, true},
	"any channel will do":    {way{altered(func(r *Request) { both(r, func(r *commands.Rule) { r.Channels = nil }) }), joined}, true, true},
	"it is never too late":   {way{altered(func(r *Request) { r.Now = r.Proposal.Created }), joined}, true, true},
	"guests may":             {way{altered(accounts(func(a *commands.Account) { a.Standing = commands.Member })), joined}, true, true},
	"what is unseen is true": {way{altered(accounts(func(a *commands.Account) { a.Groups = append(a.Groups, a.Unseen...) })), joined}, true, false},
	"any class will do":      {way{altered(func(r *Request) { r.Proposal.Class = commands.F1 }), joined}, true, true},
	"everybody is listed": {way{altered(func(r *Request) {
		both(r, func(rule *commands.Rule) { rule.Users = append(slices.Clone(rule.Users), r.Who.ID) })
		// Of who is not listed the Keeper does not even ask what account it is.
		r.Accounts = map[commands.Actor]commands.Account{r.Who: {Standing: commands.Member}}
	}), joined}, true, true},
	"one is always enough": {way{altered(func(r *Request) {
		r.Proposal.Approvals = 1
		both(r, func(r *commands.Rule) { r.Needed = 1 })
	}), joined}, false, true},
	"identities are counted, not people":      {way{Decide, nil}, false, true},
	"a relaxed rule relaxes what is on offer": {way{altered(func(r *Request) { r.Proposal.Rule = nil }), joined}, false, true},
	"the rule in force does not matter": {way{altered(func(r *Request) {
		if r.Proposal.Rule != nil {
			r.Rule = *r.Proposal.Rule
		}
	}), joined}, false, true},
	"nobody looks before the change": {way{func(r Request) Decision {
		d := Decide(r)
		d.Allowed = d.Allowed || r.Deed == commands.DeedExecute
		return d
	}, joined}, false, true},
	"whoever says so breaks the glass": {way{func(r Request) Decision {
		d := Decide(r)
		d.Allowed = d.Allowed || r.BreakGlass
		return d
	}, joined}, false, true},
	"everybody may undo": {way{func(r Request) Decision {
		d := Decide(r)
		d.Allowed = d.Allowed || r.Deed == commands.DeedUndo
		return d
	}, joined}, false, true},
	"earlier approvals count for ever": {way{func(r Request) Decision {
		d := Decide(r)
		if r.Deed == commands.DeedExecute && !d.Late {
			alone := r
			alone.Deed = commands.DeedUndo
			d.Allowed = Decide(alone).Allowed
		}
		return d
	}, joined}, false, true},
}

// altered decides on a request as it is not.
func altered(change func(*Request)) func(Request) Decision {
	return func(r Request) Decision {
		if r.Proposal.Rule != nil {
			rule := *r.Proposal.Rule
			r.Proposal.Rule = &rule
		}
		change(&r)
		return Decide(r)
	}
}

func both(r *Request, change func(*commands.Rule)) {
	change(&r.Rule)
	if r.Proposal.Rule != nil {
		change(r.Proposal.Rule)
	}
}

func accounts(change func(*commands.Account)) func(*Request) {
	return func(r *Request) {
		known := map[commands.Actor]commands.Account{}
		for who, a := range r.Accounts {
			change(&a)
			known[who] = a
		}
		r.Accounts = known
	}
}

// TestBrokenPoliciesAreCaught is the proof that the tests above can fail: each
// of these policies has one mistake, and each is found out.
func TestBrokenPoliciesAreCaught(t *testing.T) {
	const patience = 20_000
	for name, b := range broken {
		t.Run(name, func(t *testing.T) {
			if found, _ := disagreements(b.way.decide); (len(found) > 0) != b.matrix {
				t.Errorf("the matrix finds %d cases, and has to see it: %v", len(found), b.matrix)
			}
			caught := -1
			for seed := 0; caught < 0 && b.played && seed < patience; seed++ {
				wrong, _, err := play(moves.Example(seed), b.way, inLedger)
				if err != nil {
					t.Fatal(err)
				}
				if wrong != "" {
					caught = seed
					t.Logf("sequence %d, %s", seed, wrong)
				}
			}
			if b.played && caught < 0 {
				t.Errorf("%d sequences do not see it", patience)
			}
		})
	}
}
