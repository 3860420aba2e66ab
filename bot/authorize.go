package bot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/slack-go/slack"

	"whybot/commands"
)

// viaSlack is how actors that come through this package are marked.
const viaSlack = "slack"

const (
	groupFresh = 5 * time.Minute  // how long a group's members are believed
	groupStale = 15 * time.Minute // how long they are when Slack cannot be asked
	groupPause = 5 * time.Second  // between two lookups of one group, so that refused clicks do not use up the limit
)

// Approvers are the people who may decide on fixes in Slack.
type Approvers struct {
	Users  []string // member ids
	Groups []string // user group ids
}

// AuthorizerOptions configures an Authorizer.
type AuthorizerOptions struct {
	BotToken string
	// APIURL is the Web API's address; default Slack's own.
	APIURL    string
	Approvers Approvers
	Now       func() time.Time
	Log       *slog.Logger
}

// An Authorizer decides who may decide on fixes in Slack. Whatever it cannot
// find out is a no.
type Authorizer struct {
	o      AuthorizerOptions
	api    *slack.Client
	client *http.Client

	mu     sync.Mutex
	team   string
	groups map[string]membership
}

// membership is what was last known of a group.
type membership struct {
	members []string
	at      time.Time // of the last answer
	tried   time.Time // of the last question
}

// NewAuthorizer checks o. It does not speak with Slack yet.
func NewAuthorizer(o AuthorizerOptions) (*Authorizer, error) {
	defaults := Options{APIURL: o.APIURL, Now: o.Now, Log: o.Log}.withDefaults()
	o.APIURL, o.Now, o.Log = defaults.APIURL, defaults.Now, defaults.Log
	var errs []error
	if o.BotToken == "" {
		errs = append(errs, errors.New("bot: the Authorizer needs BotToken"))
	}
	if err := checkURL(o.APIURL, "https", "http"); err != nil {
		errs = append(errs, fmt.Errorf("bot: APIURL: %w", err))
	}
	for _, id := range o.Approvers.Users {
		if !isMember(id) {
			errs = append(errs, fmt.Errorf("bot: approver %q is not a member id such as U012ABCDEF", id))
		}
	}
	for _, id := range o.Approvers.Groups {
		if !isID(id, "S") {
			errs = append(errs, fmt.Errorf("bot: approver group %q is not a user group id such as S012ABCDEF", id))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	client := newHTTPClient()
	return &Authorizer{o: o, api: newAPI(o.BotToken, "", o.APIURL, client), client: client, groups: map[string]membership{}}, nil
}

// Close lets go of idle connections; the Authorizer can still be used.
func (a *Authorizer) Close() { a.client.CloseIdleConnections() }

// Allow returns nil when who may decide on p, and otherwise an *commands.Error
// with CodeDenied that says who may. It fits commands.Options.Allow for actors
// with Via "slack"; all others it refuses.
func (a *Authorizer) Allow(ctx context.Context, who commands.Actor, _ commands.Proposal) error {
	if who.Via != viaSlack || !isMember(who.ID) {
		return a.denied("", nil)
	}
	listed, err := a.listed(ctx, who.ID)
	if err != nil {
		return a.denied("Slack could not be asked who is in the approvers' group, so nothing was done.", err)
	}
	if !listed {
		return a.denied("", nil)
	}
	return a.inGoodStanding(ctx, who)
}

// denied is the refusal; it names who may.
func (a *Authorizer) denied(why string, err error) *commands.Error {
	names := make([]string, 0, len(a.o.Approvers.Users)+len(a.o.Approvers.Groups))
	for _, g := range a.o.Approvers.Groups {
		names = append(names, "<!subteam^"+g+">")
	}
	for _, u := range a.o.Approvers.Users {
		names = append(names, "<@"+u+">")
	}
	who := "Only " + strings.Join(names, ", ") + " may decide on fixes."
	if len(names) == 0 {
		who = "Nobody may decide on fixes in Slack: no approvers are configured."
	}
	if why != "" {
		who = why + " " + who
	}
	return &commands.Error{Code: commands.CodeDenied, Public: who, Err: &denial{err}}
}

// A denial marks an error whose text is made by the Authorizer alone, mentions
// included, so that it may be shown as mrkdwn.
type denial struct{ cause error }

func (d *denial) Error() string {
	if d.cause == nil {
		return "not an approver"
	}
	return "not known to be an approver: " + d.cause.Error()
}

func (d *denial) Unwrap() error { return d.cause }

// listed reports whether the person is an approver by name or by group.
func (a *Authorizer) listed(ctx context.Context, user string) (bool, error) {
	if slices.Contains(a.o.Approvers.Users, user) {
		return true, nil
	}
	var errs []error
	for _, g := range a.o.Approvers.Groups {
		in, err := a.inGroup(ctx, g, user)
		if in {
			return true, nil
		}
		errs = append(errs, err)
	}
	return false, errors.Join(errs...)
}

// inGroup reports whether user is a member of group. A no from the cache is
// asked again, a yes is believed for groupFresh.
func (a *Authorizer) inGroup(ctx context.Context, group, user string) (bool, error) {
	a.mu.Lock()
	known := a.groups[group]
	a.mu.Unlock()
	now := a.o.Now()
	in := slices.Contains(known.members, user)
	answered := !known.at.IsZero()
	switch {
	case answered && in && now.Sub(known.at) <= groupFresh:
		return true, nil
	case answered && !in && known.at.Equal(known.tried) && now.Sub(known.tried) < groupPause:
		return false, nil
	}
	team, err := a.homeTeam(ctx)
	if err != nil {
		return false, err
	}
	members, err := a.api.GetUserGroupMembersContext(ctx, group, slack.GetUserGroupMembersOptionTeamID(team))
	a.mu.Lock()
	defer a.mu.Unlock()
	known.tried = now
	if err == nil {
		known.members, known.at = members, now
	}
	a.groups[group] = known
	if err == nil {
		return slices.Contains(members, user), nil
	}
	a.o.Log.Warn("user group could not be read", slog.String("group", group), slog.Any("error", err))
	if answered && in && now.Sub(known.at) <= groupStale {
		return true, nil
	}
	return false, fmt.Errorf("user group %s: %w", group, err)
}

// homeTeam is the workspace that the bot belongs to.
func (a *Authorizer) homeTeam(ctx context.Context) (string, error) {
	a.mu.Lock()
	team := a.team
	a.mu.Unlock()
	if team != "" {
		return team, nil
	}
	me, err := a.api.AuthTestContext(ctx)
	if err != nil {
		return "", fmt.Errorf("auth.test: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.team = me.TeamID
	return me.TeamID, nil
}

// inGoodStanding asks Slack what kind of account it is, each time anew.
func (a *Authorizer) inGoodStanding(ctx context.Context, who commands.Actor) error {
	const asked = "Slack could not be asked about your account, so nothing was done."
	team, err := a.homeTeam(ctx)
	if err != nil {
		return a.denied(asked, err)
	}
	u, err := a.api.GetUserInfoContext(ctx, who.ID)
	if err != nil {
		return a.denied(asked, err)
	}
	for _, c := range []struct {
		refused bool
		why     string
	}{
		{u.ID != who.ID, "Slack answered about another account."},
		{u.IsBot || u.IsWorkflowBot || u.IsConnectorBot, "A bot may not decide on fixes."},
		{u.Deleted, "This account is deactivated."},
		{u.IsRestricted || u.IsUltraRestricted || u.IsInvitedUser, "Guests may not decide on fixes."},
		{u.IsStranger || team == "" || u.TeamID != team || who.Team != team, "Members of other workspaces may not decide on fixes."},
	} {
		if c.refused {
			return a.denied(c.why, nil)
		}
	}
	return nil
}
