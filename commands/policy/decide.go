package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"whybot/commands"
)

// Transports.
const (
	terminal = "terminal"
	chat     = "slack"
)

// A Request is everything that a decision rests on.
type Request struct {
	commands.Petition
	// Rule is the rule in force. The proposal's own must allow it as well.
	Rule commands.Rule
	// Accounts is what is known of those in Slack who ask or have agreed; of
	// whom nothing is known may nothing.
	Accounts map[commands.Actor]commands.Account
	People   People
	Now      time.Time
}

// A Decision is the answer to a Request.
type Decision struct {
	Allowed bool
	// Why is the reason of a no, in one sentence, and Cure what can be done.
	Why, Cure string
	// Needed is how many people must agree in all, and Agreed how many have
	// whose approval counts now, this one included when it is allowed.
	Needed, Agreed int
	// Late says that it is too late for everybody.
	Late bool
}

// People maps an identity, such as "slack:U0AAAAAAA" or "terminal:alice", to
// the person it belongs to. Who is not in it is a person of their own.
type People map[string]string

// Of returns the person behind an actor.
func (p People) Of(a commands.Actor) string {
	id := a.Via + ":" + a.ID
	if name, ok := p[id]; ok {
		return "person:" + name
	}
	return id
}

// Decide says whether a request is allowed. What it does not know it refuses.
// Whether the proposal's state has room for the deed is for the engine to say,
// in the transaction that changes it.
func Decide(r Request) Decision {
	d := Decision{Needed: r.needed(), Agreed: r.agreed()}
	no := r.objection(d)
	d.Allowed, d.Why, d.Cure, d.Late = no == objection{}, no.why, no.cure, no.late
	if d.Allowed && r.Deed == commands.DeedApprove {
		d.Agreed++
	}
	return d
}

// An objection is a reason to refuse; the zero objection is none.
type objection struct {
	why, cure string
	late      bool
}

// objection returns the first thing that is against a request.
func (r Request) objection(d Decision) objection {
	if c := r.Proposal.Class; c != commands.F1 && c != commands.F2 {
		return objection{why: "Fixes of class " + commands.Clean(string(c), 10) + " are advice: whybot applies none.", cure: "Do it by hand."}
	}
	for i, rule := range r.rules() {
		no := r.against(r.Who, rule)
		if no == (objection{}) {
			continue
		}
		if i > 0 {
			no.cure = "The rule has been relaxed since this fix was offered; ask the question again for one under the new rule."
		}
		return no
	}
	switch r.Deed {
	case commands.DeedApprove:
		return r.againstApproval()
	case commands.DeedExecute:
		return r.againstExecution(d)
	case commands.DeedUndo, commands.DeedDecline:
		return objection{}
	}
	return objection{why: "whybot does not know what that would be."}
}

func (r Request) againstApproval() objection {
	switch {
	case r.late():
		return tooLate
	case !r.BreakGlass && r.open() && slices.ContainsFunc(r.Proposal.Approved, r.same):
		return objection{why: "You have approved this already.", cure: fmt.Sprintf("Of %d people who have to agree, %d have.", r.needed(), r.agreed())}
	}
	return objection{}
}

func (r Request) againstExecution(d Decision) objection {
	switch {
	case r.late():
		return tooLate
	case d.Agreed < d.Needed:
		return objection{
			why:  fmt.Sprintf("%d people have to agree, and only %d of those who did may still approve.", d.Needed, d.Agreed),
			cure: "Ask the question again.",
		}
	}
	return objection{}
}

var tooLate = objection{why: "This fix has expired; the facts it rests on are too old.", cure: "Ask the question again.", late: true}

// rules are the one in force and the one that the proposal was made under.
func (r Request) rules() []commands.Rule {
	rules := []commands.Rule{r.Rule}
	if r.Proposal.Rule != nil {
		rules = append(rules, *r.Proposal.Rule)
	}
	return rules
}

// needed is how many people must agree: the most that any rule asks for.
func (r Request) needed() int {
	if r.BreakGlass {
		return 1
	}
	n := max(1, r.Proposal.Approvals)
	for _, rule := range r.rules() {
		n = max(n, rule.Needed)
	}
	return n
}

// agreed counts the people whose approval counts now. Who breaks the glass
// counts alone.
func (r Request) agreed() int {
	who := map[string]bool{}
	for _, a := range r.Proposal.Approved {
		if r.BreakGlass && !r.same(a) {
			continue
		}
		counts := true
		for _, rule := range r.rules() {
			counts = counts && r.against(a, rule) == objection{}
		}
		if counts {
			who[r.People.Of(a)] = true
		}
	}
	return len(who)
}

func (r Request) same(a commands.Actor) bool { return r.People.Of(a) == r.People.Of(r.Who) }

// open reports whether the proposal waits for approvals.
func (r Request) open() bool {
	return r.Proposal.State == commands.Proposed || r.Proposal.State == commands.Applying
}

// late reports whether the time to approve is over, by any of the rules.
func (r Request) late() bool {
	if !r.open() {
		return false // the engine says what became of it
	}
	p := r.Proposal
	late := r.Now.After(p.Expires)
	for _, rule := range r.rules() {
		late = late || rule.Expires > 0 && r.Now.After(p.Created.Add(rule.Expires))
	}
	return late
}

// against returns what one rule has against one person.
func (r Request) against(a commands.Actor, rule commands.Rule) objection {
	var no objection
	switch a.Via {
	case terminal:
		no = r.againstName(a, rule)
	case chat:
		no = r.againstMember(a, rule)
	default:
		no.why = "Nobody may approve from there."
	}
	switch {
	case no != objection{}:
		return no
	case r.BreakGlass:
		return againstGlass(r.Reason, rule)
	}
	return r.againstAsker(a, rule)
}

// againstGlass is what is wrong with an emergency, once the person is known.
func againstGlass(reason string, rule commands.Rule) objection {
	switch {
	case rule.Glass.Channel == "":
		return objection{why: "There is no channel to be told that the glass is broken.", cure: "approvals.break_glass in the configuration names one."}
	case strings.TrimSpace(commands.Clean(reason, 100)) == "":
		return objection{why: "Breaking the glass needs a reason.", cure: "Say why it cannot wait for another person."}
	}
	return objection{}
}

// againstAsker keeps who asked from approving where the rule says so. An asker
// who is the same person under another identity is one too.
func (r Request) againstAsker(a commands.Actor, rule commands.Rule) objection {
	asker := r.Proposal.Asker
	switch {
	case rule.AskerMay:
		return objection{}
	case asker.ID == "":
		return objection{why: "Nobody knows who asked, and whoever asked may not approve here.", cure: "Ask the question again."}
	case r.People.Of(asker) == r.People.Of(a):
		return objection{why: "Whoever asked may not approve here.", cure: "Another approver has to."}
	}
	return objection{}
}

func (r Request) againstName(a commands.Actor, rule commands.Rule) objection {
	name := commands.Clean(a.ID, 60)
	switch {
	case a.ID == "":
		return objection{why: "Nobody knows who is at the terminal.", cure: "Say so with --as NAME."}
	case r.BreakGlass && !slices.Contains(rule.Glass.Terminal, a.ID):
		return objection{why: name + " may not break the glass.", cure: "approvals.break_glass.terminal in the configuration says who may."}
	case !r.BreakGlass && !rule.Terminal.Have(a.ID):
		return objection{why: name + " may not approve in the terminal.", cure: "approvals.terminal in the configuration says who may."}
	}
	return objection{}
}

// standings are why an account of each kind may decide nothing.
var standings = map[commands.Standing]string{
	commands.StandingUnknown: "Slack could not be asked about your account, so nothing was done.",
	commands.Bot:             "A bot may not decide on fixes.",
	commands.Deactivated:     "This account is deactivated.",
	commands.Guest:           "Guests may not decide on fixes.",
	commands.Foreign:         "Members of other workspaces may not decide on fixes.",
}

func (r Request) againstMember(a commands.Actor, rule commands.Rule) objection {
	account := r.Accounts[a]
	switch why := r.notListed(a, account, rule); {
	case why != "":
		return objection{why: why}
	case account.Standing != commands.Member && standings[account.Standing] != "":
		return objection{why: standings[account.Standing]}
	case account.Standing != commands.Member:
		return objection{why: standings[commands.StandingUnknown]}
	case len(rule.Channels) > 0 && !slices.Contains(rule.Channels, a.Channel):
		return objection{why: "This fix is not decided on in this channel.", cure: "Use one of the channels that whybot's configuration names for it."}
	}
	return objection{}
}

// notListed says why a member is not among those whom a rule names.
func (r Request) notListed(a commands.Actor, account commands.Account, rule commands.Rule) string {
	in := func(group string) bool { return slices.Contains(account.Groups, group) }
	unseen := func(group string) bool { return slices.Contains(account.Unseen, group) }
	switch {
	case a.ID == "":
		return "Slack does not say who you are."
	case r.BreakGlass && slices.Contains(rule.Glass.Users, a.ID):
		return ""
	case r.BreakGlass:
		return "You are not among those who may break the glass."
	case slices.Contains(rule.Users, a.ID), slices.ContainsFunc(rule.Groups, in):
		return ""
	case slices.ContainsFunc(rule.Groups, unseen):
		return "Slack could not be asked who is in the approvers' group, so nothing was done."
	}
	return "You are not among those who may approve this fix."
}
