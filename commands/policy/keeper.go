package policy

import (
	"context"
	"errors"
	"slices"
	"time"

	"whybot/commands"
)

// A Directory knows the members of a Slack workspace, and can tell them
// something.
type Directory interface {
	// Groups returns which of the user groups who is in, and of which that
	// could not be found out. What is fresh is asked now, not remembered.
	Groups(ctx context.Context, who commands.Actor, groups []string, fresh bool) (in, unseen []string)
	// Standing returns what kind of account who has, asked now.
	Standing(ctx context.Context, who commands.Actor) commands.Standing
	// Alarm tells a channel that somebody breaks the glass. It returns nil
	// only when the channel was told.
	Alarm(ctx context.Context, channel string, p commands.Petition) error
}

// Options configures a Keeper.
type Options struct {
	// Rule returns the rule in force for a fix.
	Rule   func(fix string, class commands.Class) commands.Rule
	People People
	// Directory is nil without Slack: nobody may decide anything there then.
	Directory Directory
	Now       func() time.Time
}

// A Keeper is the engine's policy: it finds out what [Decide] needs to know.
type Keeper struct {
	o      Options
	decide func(Request) Decision
}

var _ commands.Policy = (*Keeper)(nil)

// New returns a Keeper.
func New(o Options) *Keeper {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Keeper{o: o, decide: Decide}
}

// Rule returns the rule that a new proposal is sealed with.
func (k *Keeper) Rule(fix string, class commands.Class) commands.Rule { return k.o.Rule(fix, class) }

// Allow decides on a petition.
func (k *Keeper) Allow(ctx context.Context, p commands.Petition) (commands.Permit, error) {
	r := Request{Petition: p, Rule: k.o.Rule(p.Proposal.Fix, p.Proposal.Class), People: k.o.People, Now: k.o.Now()}
	r.Accounts = k.accounts(ctx, r)
	d := k.decide(r)
	if !d.Allowed {
		return commands.Permit{}, k.refusal(r, d)
	}
	return commands.Permit{Needed: d.Needed, Same: r.same}, nil
}

// Alarm tells the channel of the rule in force, and that of the proposal's own
// rule when it is another.
func (k *Keeper) Alarm(ctx context.Context, p commands.Petition) error {
	r := Request{Petition: p, Rule: k.o.Rule(p.Proposal.Fix, p.Proposal.Class)}
	var channels []string
	for _, rule := range r.rules() {
		if c := rule.Glass.Channel; c != "" && !slices.Contains(channels, c) {
			channels = append(channels, c)
		}
	}
	if k.o.Directory == nil || len(channels) == 0 {
		return errors.New("there is no channel to tell")
	}
	var errs []error
	for _, c := range channels {
		errs = append(errs, k.o.Directory.Alarm(ctx, c, p))
	}
	return errors.Join(errs...)
}

// accounts finds out about all whose word a request counts.
func (k *Keeper) accounts(ctx context.Context, r Request) map[commands.Actor]commands.Account {
	known := map[commands.Actor]commands.Account{r.Who: k.account(ctx, r, r.Who)}
	if r.BreakGlass || r.Deed != commands.DeedApprove && r.Deed != commands.DeedExecute {
		return known
	}
	for _, a := range r.Proposal.Approved {
		if _, done := known[a]; !done {
			known[a] = k.account(ctx, r, a)
		}
	}
	return known
}

// account finds out about one person, as little as is needed: a lookup that
// cannot change the decision is not made.
func (k *Keeper) account(ctx context.Context, r Request, who commands.Actor) commands.Account {
	var found commands.Account
	if who.Via != chat || k.o.Directory == nil {
		return found
	}
	byName, groups := true, []string(nil)
	for _, rule := range r.rules() {
		named := slices.Contains(rule.Users, who.ID)
		if r.BreakGlass {
			named = slices.Contains(rule.Glass.Users, who.ID)
		}
		if !named && !r.BreakGlass {
			groups = append(groups, rule.Groups...)
		}
		byName = byName && named
	}
	slices.Sort(groups)
	if groups = slices.Compact(groups); len(groups) > 0 {
		found.Groups, found.Unseen = k.o.Directory.Groups(ctx, who, groups, r.Deed == commands.DeedExecute)
	}
	if byName || len(found.Groups) > 0 {
		found.Standing = k.o.Directory.Standing(ctx, who)
	}
	return found
}

// refusal is a no, for the engine and for the transports.
func (k *Keeper) refusal(r Request, d Decision) error {
	why := &commands.Refusal{Why: d.Why, Rule: r.Rule, Needed: d.Needed, Expired: d.Late}
	hint := d.Cure
	if r.Deed == commands.DeedApprove && !r.BreakGlass && !d.Late {
		if why.MayBreakGlass = k.mayBreakGlass(r); why.MayBreakGlass && r.Who.Via == terminal {
			hint += " In an emergency: whybot fix apply " + r.Proposal.ID + " --break-glass --reason TEXT"
		}
	}
	code := commands.CodeDenied
	if d.Late {
		code = commands.CodeGone
	}
	return &commands.Error{Code: code, Public: d.Why, Hint: hint, Err: why}
}

// mayBreakGlass reports whether the rules name the person for emergencies; what
// kind of account it is will be asked when they do.
func (k *Keeper) mayBreakGlass(r Request) bool {
	r.BreakGlass, r.Reason = true, "asked beforehand"
	r.Accounts = map[commands.Actor]commands.Account{r.Who: {Standing: commands.Member}}
	return k.decide(r).Allowed
}
