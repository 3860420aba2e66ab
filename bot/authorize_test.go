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
	"whybot/internal/slackfake"
)

// asker is the incident that every proposal of these tests belongs to.
func authorizer(t *testing.T, clock *slackfake.ManualClock, s *slackfake.Server, change func(*bot.AuthorizerOptions)) *bot.Authorizer {
	t.Helper()
	o := bot.AuthorizerOptions{
		BotToken: "xoxb-fake-bot", APIURL: s.URL(), Now: clock.Now,
		Approvers: bot.Approvers{Groups: []string{slackfake.GroupApprovers}},
	}
	change(&o)
	a, err := bot.NewAuthorizer(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

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
		list bot.Approvers
		may  []string
	}{
		"nobody":         {bot.Approvers{}, nil},
		"a person":       {bot.Approvers{Users: []string{slackfake.UserOperator}}, []string{slackfake.UserOperator}},
		"a group":        {bot.Approvers{Groups: []string{slackfake.GroupApprovers}}, []string{slackfake.UserApprover, slackfake.UserApprover2}},
		"a group gone":   {bot.Approvers{Groups: []string{slackfake.GroupSwitchedOff}}, nil},
		"gone, and real": {bot.Approvers{Groups: []string{slackfake.GroupSwitchedOff, slackfake.GroupApprovers}}, []string{slackfake.UserApprover, slackfake.UserApprover2}},
		"all by name":    {bot.Approvers{Users: everybody}, sound},
		"all by group":   {bot.Approvers{Groups: []string{"S0ALL"}}, sound},
	}
	cases := 0
	for name, l := range lists {
		for _, id := range everybody {
			a := authorizer(t, clock, s, func(o *bot.AuthorizerOptions) { o.Approvers = l.list })
			err := a.Allow(t.Context(), person(id), commands.Proposal{Incident: "inc-1"})
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
	a := authorizer(t, clock, s, func(*bot.AuthorizerOptions) {})
	for name, who := range map[string]commands.Actor{
		"terminal":     {Via: "terminal", ID: slackfake.UserApprover, Team: "T0HOME"},
		"no transport": {ID: slackfake.UserApprover, Team: "T0HOME"},
		"other team":   {Via: "slack", ID: slackfake.UserApprover, Team: "T0AWAY"},
		"no team":      {Via: "slack", ID: slackfake.UserApprover},
		"no id":        {Via: "slack", Team: "T0HOME"},
		"only a name":  {Via: "slack", ID: slackfake.UserOperator, Team: "T0HOME", Name: "approver"},
		"strange id":   {Via: "slack", ID: "U0APPROVER\n", Team: "T0HOME"},
	} {
		wantDenied(t, name, a.Allow(t.Context(), who, commands.Proposal{}))
	}
	err := a.Allow(t.Context(), person(slackfake.UserOperator), commands.Proposal{})
	if !strings.Contains(commands.Public(err), "<!subteam^S0APPROVERS>") {
		t.Errorf("the refusal does not say who may: %v", err)
	}
}

// TestGroupCache follows the ages of what is known of a group.
func TestGroupCache(t *testing.T) {
	s, clock := workspace(t, nil)
	a := authorizer(t, clock, s, func(*bot.AuthorizerOptions) {})
	ask := func(user string) error { return a.Allow(t.Context(), person(user), commands.Proposal{}) }
	lookups := func() int { return len(s.Calls("usergroups.users.list")) }
	if err := ask(slackfake.UserApprover); err != nil {
		t.Fatal(err)
	}
	clock.Advance(4 * time.Minute)
	if err := ask(slackfake.UserApprover); err != nil || lookups() != 1 {
		t.Fatalf("after 4 min: %v, %d lookups", err, lookups())
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
	clock.Advance(14 * time.Minute)
	if err := ask(slackfake.UserOperator); err != nil {
		t.Errorf("known 14 min ago, Slack down: %v", err)
	}
	clock.Advance(2 * time.Minute)
	wantDenied(t, "known 16 min ago, Slack down", ask(slackfake.UserOperator))
	s.ClearFaults()
	if err := ask(slackfake.UserOperator); err != nil {
		t.Errorf("Slack is back: %v", err)
	}
}

// TestFailsClosed has Slack, or the store, not answer.
func TestFailsClosed(t *testing.T) {
	for _, method := range []string{"usergroups.users.list", "users.info", "auth.test"} {
		for _, fault := range []slackfake.Fault{{Status: 500}, {RateLimit: time.Minute}, {Reset: true}, {Error: "missing_scope"}, {Error: "plan_upgrade_required"}} {
			s, clock := workspace(t, nil)
			a := authorizer(t, clock, s, func(*bot.AuthorizerOptions) {})
			fault.Method, fault.Times = method, -1
			s.Inject(fault)
			wantDenied(t, fmt.Sprintf("%+v", fault), a.Allow(t.Context(), person(slackfake.UserApprover), commands.Proposal{}))
		}
	}
	s, clock := workspace(t, nil)
	a := authorizer(t, clock, s, func(*bot.AuthorizerOptions) {})
	if err := s.Deactivate(slackfake.UserApprover2); err != nil {
		t.Fatal(err)
	}
	wantDenied(t, "deactivated since", a.Allow(t.Context(), person(slackfake.UserApprover2), commands.Proposal{}))
}

func TestOptions(t *testing.T) {
	for name, o := range map[string]bot.AuthorizerOptions{
		"no token":    {},
		"plain http":  {BotToken: "x", APIURL: "http://slack.example/api/"},
		"a handle":    {BotToken: "x", Approvers: bot.Approvers{Users: []string{"@alice"}}},
		"group as id": {BotToken: "x", Approvers: bot.Approvers{Groups: []string{"U012"}}},
	} {
		if _, err := bot.NewAuthorizer(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	_, err := bot.New(bot.Options{APIURL: "ftp://x"})
	for _, want := range []string{"Mode", "BotToken", "Engine", "Memory", "Deliveries", "Authorizer", "APIURL"} {
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
