package bot_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"whybot/bot"
	"whybot/commands"
	"whybot/commands/policy"
	"whybot/internal/slackfake"
)

// allow lets the real policy decide on what the workspace says.
func allow(t *testing.T, clock *slackfake.ManualClock, s *slackfake.Server, rule commands.Rule) func(commands.Deed, commands.Actor) error {
	t.Helper()
	w, err := bot.NewWorkspace(bot.WorkspaceOptions{BotToken: "xoxb-fake-bot", APIURL: s.URL(), Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	rule.Needed, rule.AskerMay = 1, true
	k := policy.New(policy.Options{Rule: func(string, commands.Class) commands.Rule { return rule }, Directory: w, Now: clock.Now})
	return func(deed commands.Deed, who commands.Actor) error {
		p := commands.Proposal{Incident: "inc-1", Class: commands.F1, State: commands.Proposed, Created: clock.Now(), Expires: clock.Now().Add(time.Minute)}
		if deed == commands.DeedExecute {
			p.State, p.Approved = commands.Applying, []commands.Actor{who}
		}
		_, err := k.Allow(t.Context(), commands.Petition{Deed: deed, Who: who, Proposal: p})
		return err
	}
}

var approversOnly = commands.Rule{Groups: []string{slackfake.GroupApprovers}}

func workspace(t *testing.T, change func(*slackfake.Workspace)) (*slackfake.Server, *slackfake.ManualClock) {
	t.Helper()
	clock := slackfake.NewManualClock(noon)
	w := slackfake.DefaultWorkspace()
	if change != nil {
		change(&w)
	}
	s := slackfake.New(slackfake.Options{Clock: clock, Workspace: w})
	t.Cleanup(s.Close)
	return s, clock
}

func person(id string) commands.Actor { return commands.Actor{Via: "slack", ID: id, Team: "T0HOME"} }

func wantDenied(t *testing.T, what string, err error) {
	t.Helper()
	if e, ok := errors.AsType[*commands.Error](err); !ok || e.Code != commands.CodeDenied || e.Public == "" {
		t.Errorf("%s: %v, want a refusal", what, err)
	}
}

// TestWhoMayDecide is every kind of person against every kind of list.
func TestWhoMayDecide(t *testing.T) {
	everybody := []string{
		slackfake.UserOperator, slackfake.UserApprover, slackfake.UserApprover2, slackfake.UserGuest, slackfake.UserOtherBot,
		slackfake.UserDeactivated, slackfake.UserStranger, slackfake.UserWhybot, "U0NOBODY",
	}
	sound := []string{slackfake.UserOperator, slackfake.UserApprover, slackfake.UserApprover2}
	s, clock := workspace(t, func(w *slackfake.Workspace) {
		w.Groups = append(w.Groups, slackfake.Group{ID: "S0ALL", Handle: "all", Members: everybody})
	})
	lists := map[string]struct {
		list commands.Rule
		may  []string
	}{
		"nobody":         {commands.Rule{}, nil},
		"a person":       {commands.Rule{Users: []string{slackfake.UserOperator}}, []string{slackfake.UserOperator}},
		"a group":        {commands.Rule{Groups: []string{slackfake.GroupApprovers}}, []string{slackfake.UserApprover, slackfake.UserApprover2}},
		"a group gone":   {commands.Rule{Groups: []string{slackfake.GroupSwitchedOff}}, nil},
		"gone, and real": {commands.Rule{Groups: []string{slackfake.GroupSwitchedOff, slackfake.GroupApprovers}}, []string{slackfake.UserApprover, slackfake.UserApprover2}},
		"all by name":    {commands.Rule{Users: everybody}, sound},
		"all by group":   {commands.Rule{Groups: []string{"S0ALL"}}, sound},
	}
	cases := 0
	for name, l := range lists {
		for _, id := range everybody {
			err := allow(t, clock, s, l.list)(commands.DeedApprove, person(id))
			what := fmt.Sprintf("%s, list %s", id, name)
			cases++
			if slices.Contains(l.may, id) != (err == nil) {
				t.Errorf("%s: %v", what, err)
			}
			if err != nil {
				wantDenied(t, what, err)
			}
		}
	}
	if cases != 63 {
		t.Fatalf("%d cases", cases)
	}
}

func TestWhoIsNotFromHere(t *testing.T) {
	s, clock := workspace(t, nil)
	may := allow(t, clock, s, approversOnly)
	for name, who := range map[string]commands.Actor{
		"terminal":     {Via: "terminal", ID: slackfake.UserApprover, Team: "T0HOME"},
		"no transport": {ID: slackfake.UserApprover, Team: "T0HOME"},
		"other team":   {Via: "slack", ID: slackfake.UserApprover, Team: "T0AWAY"},
		"no team":      {Via: "slack", ID: slackfake.UserApprover},
		"no id":        {Via: "slack", Team: "T0HOME"},
		"only a name":  {Via: "slack", ID: slackfake.UserOperator, Team: "T0HOME", Name: "approver"},
		"strange id":   {Via: "slack", ID: "U0APPROVER\n", Team: "T0HOME"},
	} {
		wantDenied(t, name, may(commands.DeedApprove, who))
	}
	no, ok := errors.AsType[*commands.Refusal](may(commands.DeedApprove, person(slackfake.UserOperator)))
	if !ok || !slices.Equal(no.Rule.Groups, approversOnly.Groups) {
		t.Errorf("the refusal does not say who may: %+v", no)
	}
}

// TestGroupCache follows the ages of what is known of a group.
func TestGroupCache(t *testing.T) {
	s, clock := workspace(t, nil)
	may := allow(t, clock, s, approversOnly)
	ask := func(user string) error { return may(commands.DeedApprove, person(user)) }
	lookups := func() int { return len(s.Calls("usergroups.users.list")) }
	if err := ask(slackfake.UserApprover); err != nil {
		t.Fatal(err)
	}
	clock.Advance(50 * time.Second)
	if err := ask(slackfake.UserApprover); err != nil || lookups() != 1 {
		t.Fatalf("after 50 s: %v, %d lookups", err, lookups())
	}
	// Somebody new is found at once, because a no is asked again.
	if err := s.SetGroup(slackfake.GroupApprovers, slackfake.UserOperator); err != nil {
		t.Fatal(err)
	}
	if err := ask(slackfake.UserOperator); err != nil || lookups() != 2 {
		t.Fatalf("new member: %v, %d lookups", err, lookups())
	}
	wantDenied(t, "former member", ask(slackfake.UserApprover))
	// A no is not asked again and again.
	n := lookups()
	for range 10 {
		wantDenied(t, "former member", ask(slackfake.UserApprover))
	}
	if lookups() > n {
		t.Errorf("%d lookups for clicks without a pause", lookups()-n)
	}
	s.Inject(slackfake.Fault{Method: "usergroups.users.list", Status: 500, Times: -1})
	if err := ask(slackfake.UserOperator); err != nil {
		t.Errorf("known a moment ago, Slack down: %v", err)
	}
	clock.Advance(2 * time.Minute)
	err := ask(slackfake.UserOperator)
	wantDenied(t, "known 2 min ago, Slack down", err)
	if !strings.Contains(commands.Public(err), "Slack could not be asked who is in the approvers' group") {
		t.Errorf("the refusal does not say that the lookup failed: %v", err)
	}
	s.ClearFaults()
	if err := ask(slackfake.UserOperator); err != nil {
		t.Errorf("Slack is back: %v", err)
	}
}

// Right before a change nothing is believed that was only remembered.
func TestMembershipIsAskedAgainBeforeTheChange(t *testing.T) {
	s, clock := workspace(t, nil)
	may := allow(t, clock, s, approversOnly)
	if err := may(commands.DeedApprove, person(slackfake.UserApprover)); err != nil {
		t.Fatal(err)
	}
	if err := may(commands.DeedExecute, person(slackfake.UserApprover)); err != nil {
		t.Fatal(err)
	}
	if err := s.SetGroup(slackfake.GroupApprovers, slackfake.UserOperator); err != nil {
		t.Fatal(err)
	}
	if err := may(commands.DeedApprove, person(slackfake.UserApprover)); err != nil {
		t.Fatalf("the click within the minute: %v", err)
	}
	wantDenied(t, "left the group since the click", may(commands.DeedExecute, person(slackfake.UserApprover)))
}

// TestFailsClosed has Slack, or the store, not answer.
func TestFailsClosed(t *testing.T) {
	for _, method := range []string{"usergroups.users.list", "users.info", "auth.test"} {
		for _, fault := range []slackfake.Fault{{Status: 500}, {RateLimit: time.Minute}, {Reset: true}, {Error: "missing_scope"}, {Error: "plan_upgrade_required"}} {
			s, clock := workspace(t, nil)
			may := allow(t, clock, s, approversOnly)
			fault.Method, fault.Times = method, -1
			s.Inject(fault)
			wantDenied(t, fmt.Sprintf("%+v", fault), may(commands.DeedApprove, person(slackfake.UserApprover)))
		}
	}
	s, clock := workspace(t, nil)
	may := allow(t, clock, s, approversOnly)
	if err := s.Deactivate(slackfake.UserApprover2); err != nil {
		t.Fatal(err)
	}
	wantDenied(t, "deactivated since", may(commands.DeedApprove, person(slackfake.UserApprover2)))
}

func TestOptions(t *testing.T) {
	for name, o := range map[string]bot.WorkspaceOptions{
		"no token":   {},
		"plain http": {BotToken: "x", APIURL: "http://slack.example/api/"},
	} {
		if _, err := bot.NewWorkspace(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	_, err := bot.New(bot.Options{APIURL: "ftp://x"})
	for _, want := range []string{"Mode", "BotToken", "Engine", "Memory", "Deliveries", "APIURL"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New of nothing does not speak of %s: %v", want, err)
		}
	}
	for _, o := range []bot.Options{{Mode: bot.Socket}, {Mode: bot.HTTP}} {
		if _, err := bot.New(o); err == nil || !strings.Contains(err.Error(), map[bot.Mode]string{bot.Socket: "AppToken", bot.HTTP: "SigningSecret"}[o.Mode]) {
			t.Errorf("mode %s without its secret: %v", o.Mode, err)
		}
	}
}
