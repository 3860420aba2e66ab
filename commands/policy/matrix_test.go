package policy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"whybot/commands"
)

// What the rules of these tests name.
const (
	opsGroup  = "S0OPS"
	opsRoom   = "C0OPS"
	elsewhere = "C0LOUNGE"
	warRoom   = "C0WAR"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func slackUser(id string) commands.Actor {
	return commands.Actor{Via: "slack", ID: id, Team: "T0HOME"}
}

func atTerminal(name string) commands.Actor {
	return commands.Actor{Via: "terminal", ID: name}
}

// ruleOf is the rule of a class: in F1 whoever asked may approve, in F2 not.
func ruleOf(class commands.Class) commands.Rule {
	return commands.Rule{
		Users: []string{"U0NAMED", "U0GUEST", "U0BOT", "U0GONE", "U0AWAY", "U0BLANK"}, Groups: []string{opsGroup},
		Terminal: commands.Names{Names: []string{"alice"}}, Needed: 1, AskerMay: class != commands.F2,
		Channels: []string{opsRoom}, Expires: 30 * time.Minute,
		Glass: commands.Glass{Users: []string{"U0CHIEF"}, Terminal: []string{"chief"}, Channel: warRoom},
	}
}

// A role is a kind of person, with what a chat says of them.
type role struct {
	name    string
	who     commands.Actor
	account commands.Account
}

var roles = []role{
	{"approver by name", slackUser("U0NAMED"), commands.Account{Standing: commands.Member}},
	{"approver by group", slackUser("U0GROUPED"), commands.Account{Standing: commands.Member, Groups: []string{opsGroup}}},
	{"member who is not listed", slackUser("U0OTHER"), commands.Account{Standing: commands.Member}},
	{"guest who is listed", slackUser("U0GUEST"), commands.Account{Standing: commands.Guest}},
	{"bot that is listed", slackUser("U0BOT"), commands.Account{Standing: commands.Bot}},
	{"deactivated and listed", slackUser("U0GONE"), commands.Account{Standing: commands.Deactivated}},
	{"of another workspace and listed", slackUser("U0AWAY"), commands.Account{Standing: commands.Foreign}},
	{"listed, account not readable", slackUser("U0BLANK"), commands.Account{}},
	{"group not readable", slackUser("U0MAYBE"), commands.Account{Standing: commands.Member, Unseen: []string{opsGroup}}},
	{"name at the terminal that is listed", atTerminal("alice"), commands.Account{}},
	{"name at the terminal that is not", atTerminal("mallory"), commands.Account{}},
	{"a listed id by another road", commands.Actor{Via: "mail", ID: "U0NAMED"}, commands.Account{Standing: commands.Member}},
}

// A scenario is one case of the matrix.
type scenario struct {
	role    role
	class   commands.Class
	channel string
	self    bool // the person is who asked
	expired bool
}

func (s scenario) String() string {
	return fmt.Sprintf("%s, class %s, channel %q, self %v, expired %v", s.role.name, s.class, s.channel, s.self, s.expired)
}

func scenarios() (all []scenario) {
	for _, r := range roles {
		for _, class := range []commands.Class{commands.F0, commands.F1, commands.F2, commands.F3} {
			for _, channel := range []string{opsRoom, elsewhere, ""} {
				for _, self := range []bool{true, false} {
					for _, expired := range []bool{true, false} {
						all = append(all, scenario{r, class, channel, self, expired})
					}
				}
			}
		}
	}
	return all
}

func (s scenario) request() Request {
	who, now := s.role.who, noon.Add(29*time.Minute)
	if who.Via == "slack" {
		who.Channel = s.channel
	}
	if s.expired {
		now = noon.Add(30*time.Minute + time.Nanosecond)
	}
	asker := slackUser("U0SOMEBODY")
	if s.self {
		asker = s.role.who
	}
	rule := ruleOf(s.class)
	return Request{
		Petition: commands.Petition{Deed: commands.DeedApprove, Who: who, Proposal: commands.Proposal{
			ID: "fx-1", Fix: "mend", Class: s.class, Asker: asker, State: commands.Proposed, Approvals: 1, Rule: &rule,
			Created: noon, Expires: noon.Add(30 * time.Minute),
		}},
		Rule: rule, Accounts: map[commands.Actor]commands.Account{who: s.role.account}, Now: now,
	}
}

// may is the specification, in words of the scenario and not of the code:
// whybot applies fixes of the classes F1 and F2 only. In Slack a full member of
// the workspace who is named, or known to be in the group, may approve them, in
// the room for it; at the terminal whoever is listed may. Nobody may when the
// time is over, and who asked may not for F2.
func (s scenario) may() bool {
	if s.class == commands.F0 || s.class == commands.F3 || s.expired {
		return false
	}
	if s.self && s.class == commands.F2 {
		return false
	}
	switch s.role.name {
	case "approver by name", "approver by group":
		return s.channel == opsRoom
	case "name at the terminal that is listed":
		return true
	}
	return false // default deny
}

// disagreements runs the matrix against a way to decide.
func disagreements(decide func(Request) Decision) (found []string, allowed int) {
	for _, s := range scenarios() {
		got := decide(s.request())
		if got.Allowed {
			allowed++
		}
		if got.Allowed != s.may() {
			found = append(found, fmt.Sprintf("%s: allowed %v (%s)", s, got.Allowed, got.Why))
		}
	}
	return found, allowed
}

func TestMatrix(t *testing.T) {
	if n := len(scenarios()); n != 12*4*3*2*2 {
		t.Fatalf("%d scenarios", n)
	}
	found, allowed := disagreements(Decide)
	for _, f := range found {
		t.Error(f)
	}
	// By name, by group: F1 both ways, F2 as another, in one room. The terminal:
	// the same in three.
	if allowed != 2*3+3*3 {
		t.Errorf("%d scenarios are allowed", allowed)
	}
	for _, s := range scenarios() {
		if d := Decide(s.request()); !d.Allowed && (d.Why == "" || d.Agreed != 0) {
			t.Errorf("%s: refused without a reason, or counted: %+v", s, d)
		}
	}
}

// The right to undo and to decline is the right to approve, but for the time.
func TestMatrixOfOtherDeeds(t *testing.T) {
	for _, deed := range []commands.Deed{commands.DeedUndo, commands.DeedDecline} {
		for _, s := range scenarios() {
			r := s.request()
			r.Deed = deed
			s.expired = false
			if got := Decide(r).Allowed; got != s.may() {
				t.Errorf("%s: %s: allowed %v", deed, s, got)
			}
		}
	}
	for _, s := range scenarios() {
		for _, deed := range []commands.Deed{"", "apply", "APPROVE"} {
			r := s.request()
			if r.Deed = deed; Decide(r).Allowed {
				t.Errorf("a deed called %q is allowed: %s", deed, s)
			}
		}
	}
}

func TestZeroRequestIsRefused(t *testing.T) {
	if d := Decide(Request{}); d.Allowed || d.Why == "" {
		t.Errorf("%+v", d)
	}
	// A rule that says nothing allows nobody.
	for _, s := range scenarios() {
		r := s.request()
		r.Rule, r.Proposal.Rule = commands.Rule{}, nil
		if Decide(r).Allowed {
			t.Errorf("allowed by the zero rule: %s", s)
		}
	}
}

// fresh is a request that is allowed: U0NAMED, F1, in the room, in time.
func fresh(change func(*Request)) Request {
	r := scenario{role: roles[0], class: commands.F1, channel: opsRoom}.request()
	sealed := *r.Proposal.Rule
	r.Proposal.Rule = &sealed
	change(&r)
	return r
}

// approvers puts people on a proposal who have agreed in the room.
func approvers(r *Request, who ...commands.Actor) {
	for _, a := range who {
		if a.Via == "slack" && a.Channel == "" {
			a.Channel = opsRoom
		}
		r.Proposal.Approved = append(r.Proposal.Approved, a)
		r.Accounts[a] = commands.Account{Standing: commands.Member, Groups: []string{opsGroup}}
	}
}

// TestTwoRules has the configuration change while a fix is on offer: the
// tighter of the two rules wins, whichever it is.
func TestTwoRules(t *testing.T) {
	for _, c := range []struct {
		name string
		// tighten changes one of the rules, and maybe the request besides.
		tighten func(*Request, *commands.Rule)
		says    string
	}{
		{"no longer named", func(_ *Request, r *commands.Rule) { r.Users = nil }, "not among those"},
		{"another room", func(_ *Request, r *commands.Rule) { r.Channels = []string{elsewhere} }, "this channel"},
		{"asker barred", func(q *Request, r *commands.Rule) { r.AskerMay, q.Proposal.Asker = false, q.Who }, "Whoever asked"},
		{"asker barred, nobody knows who asked", func(q *Request, r *commands.Rule) { r.AskerMay, q.Proposal.Asker = false, commands.Actor{} }, "Nobody knows who asked"},
		{"shorter time", func(_ *Request, r *commands.Rule) { r.Expires = 10 * time.Minute }, "expired"},
		{"terminal closed", func(q *Request, r *commands.Rule) { r.Terminal, q.Who = commands.Names{}, atTerminal("alice") }, "may not approve in the terminal"},
		{"no glass", func(q *Request, r *commands.Rule) {
			r.Glass, q.BreakGlass, q.Reason, q.Who = commands.Glass{}, true, "fire", atTerminal("chief")
		}, "may not break the glass"},
	} {
		for _, which := range []string{"in force", "sealed"} {
			r := fresh(func(r *Request) {
				rule := &r.Rule
				if which == "sealed" {
					rule = r.Proposal.Rule
				}
				c.tighten(r, rule)
			})
			if d := Decide(r); d.Allowed || !strings.Contains(d.Why, c.says) {
				t.Errorf("%s, tightened %s: %+v", c.name, which, d)
			}
		}
	}
	for _, needed := range []func(*Request){
		func(r *Request) { r.Rule.Needed = 3 }, func(r *Request) { r.Proposal.Rule.Needed = 3 }, func(r *Request) { r.Proposal.Approvals = 3 },
	} {
		if d := Decide(fresh(needed)); !d.Allowed || d.Needed != 3 || d.Agreed != 1 {
			t.Errorf("three people by one of the rules: %+v", d)
		}
	}
	// What an older whybot made has no rule of its own.
	if d := Decide(fresh(func(r *Request) { r.Proposal.Rule = nil })); !d.Allowed {
		t.Errorf("without a sealed rule: %+v", d)
	}
}

// TestPeopleAreCountedOnce counts people, not identities.
func TestPeopleAreCountedOnce(t *testing.T) {
	three := func(r *Request) { r.Rule.Needed = 3 }
	execute := func(r *Request) { r.Deed, r.Proposal.State = commands.DeedExecute, commands.Applying }
	joined := People{"slack:U0NAMED": "ann", "terminal:alice": "ann"}
	grouped := slackUser("U0GROUPED")
	for _, c := range []struct {
		name   string
		change func(*Request)
		ok     bool
		agreed int
	}{
		{"the second of three", func(r *Request) { three(r); approvers(r, grouped) }, true, 2},
		{"again", func(r *Request) { three(r); approvers(r, r.Who) }, false, 1},
		{"again from another place", func(r *Request) { three(r); there := r.Who; there.Channel = elsewhere; approvers(r, there) }, false, 0},
		{"under another identity", func(r *Request) { three(r); r.People = joined; approvers(r, atTerminal("alice")) }, false, 1},
		{"identities that nobody joined", func(r *Request) { three(r); approvers(r, atTerminal("alice")) }, true, 2},
		{"three have agreed", func(r *Request) { three(r); execute(r); approvers(r, r.Who, grouped, atTerminal("alice")) }, true, 3},
		{"three identities of two people", func(r *Request) {
			three(r)
			execute(r)
			r.People = joined
			approvers(r, r.Who, grouped, atTerminal("alice"))
		}, false, 2},
		{"one of three has left the list", func(r *Request) {
			three(r)
			execute(r)
			approvers(r, r.Who, grouped, atTerminal("alice"))
			r.Rule.Terminal = commands.Names{}
		}, false, 2},
		{"one of three is a guest now", func(r *Request) {
			three(r)
			execute(r)
			approvers(r, r.Who, grouped, atTerminal("alice"))
			r.Accounts[r.Proposal.Approved[1]] = commands.Account{Standing: commands.Guest, Groups: []string{opsGroup}}
		}, false, 2},
		{"one of three asked, by another name", func(r *Request) {
			three(r)
			execute(r)
			r.Rule.AskerMay, r.Proposal.Asker = false, slackUser("U0ASKED")
			r.People = People{"slack:U0ASKED": "bob", "terminal:alice": "bob"}
			approvers(r, r.Who, grouped, atTerminal("alice"))
		}, false, 2},
		{"nobody has agreed", func(r *Request) { execute(r) }, false, 0},
		{"too late by a moment", func(r *Request) { execute(r); approvers(r, r.Who); r.Now = noon.Add(time.Hour) }, false, 1},
	} {
		if d := Decide(fresh(c.change)); d.Allowed != c.ok || d.Agreed != c.agreed {
			t.Errorf("%s: %+v", c.name, d)
		}
	}
}

func TestBreakGlass(t *testing.T) {
	chief := func(r *Request) {
		r.BreakGlass, r.Reason, r.Rule.Needed, r.Rule.AskerMay = true, "payments are down", 3, false
		r.Who = slackUser("U0CHIEF")
		r.Who.Channel, r.Proposal.Asker = opsRoom, r.Who
		r.Accounts[r.Who] = commands.Account{Standing: commands.Member}
	}
	for _, c := range []struct {
		name   string
		change func(*Request)
		ok     bool
	}{
		{"the chief, who asked, alone of three", func(*Request) {}, true},
		{"at the terminal", func(r *Request) { r.Who = atTerminal("chief") }, true},
		{"without a reason", func(r *Request) { r.Reason = "" }, false},
		{"with a reason that nobody can read", func(r *Request) { r.Reason = " \u202e\u200b\n" }, false},
		{"an approver who is not named for it", func(r *Request) { approvers(r, slackUser("U0NAMED")); r.Who = r.Proposal.Approved[0] }, false},
		{"a name that is not listed for it", func(r *Request) { r.Who = atTerminal("alice") }, false},
		{"a guest", func(r *Request) { r.Accounts[r.Who] = commands.Account{Standing: commands.Guest} }, false},
		{"an account that cannot be read", func(r *Request) { r.Accounts = nil }, false},
		{"no channel to tell", func(r *Request) { r.Rule.Glass.Channel = "" }, false},
		{"another room", func(r *Request) {
			r.Who.Channel = elsewhere
			r.Accounts[r.Who] = commands.Account{Standing: commands.Member}
		}, false},
		{"too late", func(r *Request) { r.Now = noon.Add(time.Hour) }, false},
		{"advice", func(r *Request) { r.Proposal.Class = commands.F3 }, false},
		{"right before the change", func(r *Request) {
			r.Deed, r.Proposal.State, r.Proposal.Approved = commands.DeedExecute, commands.Applying, []commands.Actor{r.Who}
		}, true},
		{"right before the change, by somebody else's word", func(r *Request) {
			r.Deed, r.Proposal.State, r.Proposal.Approved = commands.DeedExecute, commands.Applying, []commands.Actor{slackUser("U0NAMED")}
		}, false},
	} {
		if d := Decide(fresh(func(r *Request) { chief(r); c.change(r) })); d.Allowed != c.ok || d.Needed != 1 {
			t.Errorf("%s: %+v", c.name, d)
		}
	}
}
