package bot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/slack-go/slack"

	"whybot/commands"
)

// viaSlack is how actors that come through this package are marked.
const viaSlack = "slack"

const (
	groupFresh = time.Minute     // how long a group's members are believed
	groupPause = 5 * time.Second // between two lookups of one group, so that refused clicks do not use up the limit
)

// WorkspaceOptions configures a Workspace.
type WorkspaceOptions struct {
	BotToken string
	// APIURL is the Web API's address; default Slack's own.
	APIURL string
	Now    func() time.Time
	Log    *slog.Logger
}

// A Workspace answers who is who in Slack, for a policy to decide, and tells a
// channel what it has to know. It works without a Bot that runs.
type Workspace struct {
	o      WorkspaceOptions
	api    *slack.Client
	client *http.Client
	out    *sender

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

// NewWorkspace checks o. It does not speak with Slack yet.
func NewWorkspace(o WorkspaceOptions) (*Workspace, error) {
	defaults := Options{APIURL: o.APIURL, Now: o.Now, Log: o.Log}.withDefaults()
	o.APIURL, o.Now, o.Log = defaults.APIURL, defaults.Now, defaults.Log
	var errs []error
	if o.BotToken == "" {
		errs = append(errs, errors.New("bot: the Workspace needs BotToken"))
	}
	if err := checkURL(o.APIURL, "https", "http"); err != nil {
		errs = append(errs, fmt.Errorf("bot: APIURL: %w", err))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	client := newHTTPClient()
	api := newAPI(o.BotToken, "", o.APIURL, client)
	return &Workspace{o: o, api: api, client: client, out: newSender(api, o.APIURL, o.Log), groups: map[string]membership{}}, nil
}

// Close lets go of idle connections; the Workspace can still be used.
func (w *Workspace) Close() { w.client.CloseIdleConnections() }

// Groups returns which of the user groups who is in, and of which Slack did not
// say. Unless it has to be fresh, a yes is believed for a minute.
func (w *Workspace) Groups(ctx context.Context, who commands.Actor, groups []string, fresh bool) (in, unseen []string) {
	for _, g := range groups {
		is, err := w.inGroup(ctx, g, who.ID, fresh)
		switch {
		case err != nil:
			w.o.Log.Warn("user group could not be read", slog.String("group", g), slog.Any("error", err))
			unseen = append(unseen, g)
		case is:
			in = append(in, g)
		}
	}
	return in, unseen
}

// inGroup reports whether user is a member of group. A no from memory is asked
// again.
func (w *Workspace) inGroup(ctx context.Context, group, user string, fresh bool) (bool, error) {
	w.mu.Lock()
	known := w.groups[group]
	w.mu.Unlock()
	now := w.o.Now()
	in := slices.Contains(known.members, user)
	answered := !known.at.IsZero()
	switch {
	case answered && in && !fresh && now.Sub(known.at) <= groupFresh:
		return true, nil
	case answered && !in && known.at.Equal(known.tried) && now.Sub(known.tried) < groupPause:
		return false, nil
	}
	team, err := w.homeTeam(ctx)
	if err != nil {
		return false, err
	}
	members, err := w.api.GetUserGroupMembersContext(ctx, group, slack.GetUserGroupMembersOptionTeamID(team))
	w.mu.Lock()
	defer w.mu.Unlock()
	known.tried = now
	if err == nil {
		known.members, known.at = members, now
	}
	w.groups[group] = known
	return slices.Contains(members, user), err
}

// homeTeam is the workspace that the bot belongs to.
func (w *Workspace) homeTeam(ctx context.Context) (string, error) {
	w.mu.Lock()
	team := w.team
	w.mu.Unlock()
	if team != "" {
		return team, nil
	}
	me, err := w.api.AuthTestContext(ctx)
	if err != nil {
		return "", fmt.Errorf("auth.test: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.team = me.TeamID
	return me.TeamID, nil
}

// Standing asks Slack what kind of account an actor has, each time anew.
func (w *Workspace) Standing(ctx context.Context, who commands.Actor) commands.Standing {
	if who.Via != viaSlack || !isMember(who.ID) {
		return commands.StandingUnknown
	}
	team, err := w.homeTeam(ctx)
	if err != nil {
		w.o.Log.Warn("own workspace not known", slog.Any("error", err))
		return commands.StandingUnknown
	}
	u, err := w.api.GetUserInfoContext(ctx, who.ID)
	if err != nil {
		w.o.Log.Warn("account could not be read", slog.String("user", who.ID), slog.Any("error", err))
		return commands.StandingUnknown
	}
	if u.ID != who.ID || team == "" {
		return commands.StandingUnknown
	}
	return standing(u, team, who.Team)
}

// standing reads a profile; home is the bot's workspace, from the one that the
// actor came from.
func standing(u *slack.User, home, from string) commands.Standing {
	switch {
	case u.IsBot || u.IsWorkflowBot || u.IsConnectorBot:
		return commands.Bot
	case u.Deleted:
		return commands.Deactivated
	case u.IsRestricted || u.IsUltraRestricted || u.IsInvitedUser:
		return commands.Guest
	case u.IsStranger || u.TeamID != home || from != home:
		return commands.Foreign
	}
	return commands.Member
}

// Alarm tells a channel that somebody breaks the glass. It returns nil only
// when Slack has taken the message.
func (w *Workspace) Alarm(ctx context.Context, channel string, p commands.Petition) error {
	names := namesOf(commands.Incident{}, []commands.Proposal{p.Proposal}, fact{})
	m := message{text: notice("Break-glass: " + p.Who.ID + " applies alone: " + sentence(p.Proposal.Title) + " Reason: " + p.Reason)}
	r := newRich(names).emoji("rotating_light").text(" ").bold("Break-glass: ").person(p.Who).text(" applies alone, without the approval of others: ")
	r.prose(sentence(p.Proposal.Title), maxSummary).newline()
	r.bold("Reason: ").prose(p.Reason, maxText/2).newline()
	r.text("Incident ").code(p.Proposal.Incident).text(", fix ").code(p.Proposal.ID).text(", class ").code(string(p.Proposal.Class)).text(", by way of ").code(p.Who.Via)
	m.add(r.done())
	return w.out.post(ctx, channel, "", m)
}
