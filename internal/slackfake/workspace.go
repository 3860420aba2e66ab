package slackfake

import (
	"fmt"
	"slices"
)

// User is a person or bot that the workspace knows.
type User struct {
	ID          string
	Name        string
	TeamID      string // Empty means the workspace's own team; another value makes a Slack Connect stranger.
	Guest       bool
	Bot         bool
	Deactivated bool
	TZ          string // An IANA name; empty means UTC.
}

// Channel is a conversation: public by default, private, or a direct message between the bot and one user.
type Channel struct {
	ID        string
	Name      string
	Private   bool
	IM        bool
	Archived  bool
	ExtShared bool
	Members   []string // User IDs; the bot sees only what it is a member of.
}

// Group is a user group, the unit of authorisation.
type Group struct {
	ID       string
	Handle   string
	Members  []string
	Disabled bool
}

// Command is a slash command of the app's manifest.
type Command struct {
	Name         string // With the slash.
	ShouldEscape bool
}

// Workspace is the model that the fake starts with; it copies what it is given.
type Workspace struct {
	TeamID    string
	TeamName  string
	Domain    string
	AppID     string
	BotUserID string
	BotName   string
	BotID     string
	BotToken  string
	AppToken  string
	Scopes    []string
	Users     []User
	Channels  []Channel
	Groups    []Group
	FreePlan  bool // Free plans have no user groups: usergroups.* answer plan_upgrade_required.
}

// IDs of the workspace that DefaultWorkspace returns.
const (
	UserOperator    = "U0OPERATOR"
	UserApprover    = "U0APPROVER"
	UserApprover2   = "U0APPROVER2"
	UserGuest       = "U0GUEST"
	UserOtherBot    = "U0OTHERBOT"
	UserDeactivated = "U0GONE"
	UserStranger    = "U0STRANGER"
	UserWhybot      = "U0WHYBOT"

	ChannelOps       = "C0OPS"       // Public, the bot is a member.
	ChannelLounge    = "C0LOUNGE"    // Public, the bot is not a member.
	ChannelPrivate   = "G0PRIVATE"   // Private, the bot is a member.
	ChannelSecret    = "G0SECRET"    // Private, the bot is not a member.
	ChannelShared    = "C0SHARED"    // Shared with another organisation, the bot is a member.
	ChannelDM        = "D0OPERATOR"  // Direct message with the operator.
	GroupApprovers   = "S0APPROVERS" // Both approvers.
	GroupSwitchedOff = "S0DISABLED"  // A disabled group.
)

// DefaultWorkspace returns a workspace that has one of everything an authorisation test needs, with the scopes of the
// product's manifest.
func DefaultWorkspace() Workspace {
	everyone := []string{UserOperator, UserApprover, UserApprover2, UserGuest, UserOtherBot}
	withBot := append(slices.Clone(everyone), UserWhybot)
	return Workspace{
		TeamID: "T0HOME", TeamName: "Home", Domain: "home", AppID: "A0WHYBOT",
		BotUserID: UserWhybot, BotName: "whybot", BotID: "B0WHYBOT",
		BotToken: "xoxb-fake-bot", AppToken: "xapp-fake-app",
		Scopes: []string{
			"app_mentions:read", "commands", "chat:write", "files:write", "files:read", "reactions:write",
			"usergroups:read", "users:read", "im:history", "im:write", "channels:history", "groups:history",
			"channels:read", "groups:read", "im:read",
		},
		Users: []User{
			{ID: UserOperator, Name: "operator", TZ: "Europe/Berlin"},
			{ID: UserApprover, Name: "approver"},
			{ID: UserApprover2, Name: "approver2"},
			{ID: UserGuest, Name: "guest", Guest: true},
			{ID: UserOtherBot, Name: "otherbot", Bot: true},
			{ID: UserDeactivated, Name: "gone", Deactivated: true},
			{ID: UserStranger, Name: "stranger", TeamID: "T0AWAY"},
		},
		Channels: []Channel{
			{ID: ChannelOps, Name: "ops", Members: withBot},
			{ID: ChannelLounge, Name: "lounge", Members: everyone},
			{ID: ChannelPrivate, Name: "private", Private: true, Members: withBot},
			{ID: ChannelSecret, Name: "secret", Private: true, Members: everyone},
			{ID: ChannelShared, Name: "shared", ExtShared: true, Members: append(slices.Clone(withBot), UserStranger)},
			{ID: ChannelDM, Name: "operator", IM: true, Members: []string{UserOperator, UserWhybot}},
		},
		Groups: []Group{
			{ID: GroupApprovers, Handle: "approvers", Members: []string{UserApprover, UserApprover2}},
			{ID: GroupSwitchedOff, Handle: "former", Members: []string{UserOperator}, Disabled: true},
		},
	}
}

// people is the live form of a Workspace; the server's lock guards it.
type people struct {
	Workspace
	users    map[string]*User
	channels map[string]*Channel
	groups   map[string]*Group
}

func newPeople(w Workspace) (*people, error) {
	if w.BotUserID == "" || w.TeamID == "" || w.BotToken == "" {
		return nil, fmt.Errorf("workspace needs TeamID, BotUserID and BotToken; start from DefaultWorkspace")
	}
	p := &people{Workspace: w, users: map[string]*User{}, channels: map[string]*Channel{}, groups: map[string]*Group{}}
	p.users[w.BotUserID] = &User{ID: w.BotUserID, Name: w.BotName, TeamID: w.TeamID, Bot: true}
	for _, u := range w.Users {
		if u.TeamID == "" {
			u.TeamID = w.TeamID
		}
		p.users[u.ID] = &u
	}
	for _, c := range w.Channels {
		c.Members = slices.Clone(c.Members)
		p.channels[c.ID] = &c
		for _, m := range c.Members {
			if p.users[m] == nil {
				return nil, fmt.Errorf("channel %s lists the unknown user %s; add it to Users", c.ID, m)
			}
		}
	}
	for _, g := range w.Groups {
		g.Members = slices.Clone(g.Members)
		p.groups[g.ID] = &g
	}
	return p, nil
}

func (c *Channel) has(user string) bool { return slices.Contains(c.Members, user) }

// kind is the word Slack uses for the channel in events and in names of scopes.
func (c *Channel) kind() string {
	switch {
	case c.IM:
		return "im"
	case c.Private:
		return "group"
	default:
		return "channel"
	}
}

// scopeFamily is the scope prefix that reading the channel needs.
func (c *Channel) scopeFamily() string {
	switch {
	case c.IM:
		return "im"
	case c.Private:
		return "groups"
	default:
		return "channels"
	}
}

func (p *people) name(user string) string {
	if u := p.users[user]; u != nil {
		return u.Name
	}
	return user
}

// directMessage returns the conversation between the bot and the user, opening it when there is none.
func (p *people) directMessage(user string) *Channel {
	for _, c := range p.channels {
		if c.IM && c.has(user) && c.has(p.BotUserID) {
			return c
		}
	}
	c := &Channel{ID: "D" + user[1:], Name: p.name(user), IM: true, Members: []string{user, p.BotUserID}}
	p.channels[c.ID] = c
	return c
}
