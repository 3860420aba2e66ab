package slackfake

import "strings"

type tokenKind int

const (
	botToken tokenKind = iota
	appToken
	noToken
)

// method is one entry of the Web API.
type method struct {
	token       tokenKind
	scope       string // Checked before the call runs; methods whose scope depends on the channel check it themselves.
	acceptsJSON bool
	args        []string
	run         func(*Server, *call) (reply, *apiError)
}

const messageArgs = " channel text blocks metadata unfurl_links unfurl_media link_names parse mrkdwn username icon_emoji attachments as_user"

// methods is the Web API that the fake knows. Everything else answers unknown_method.
func methods() map[string]method {
	return map[string]method{
		"auth.test":             {acceptsJSON: true, run: authTest},
		"apps.connections.open": {token: appToken, acceptsJSON: true, run: connectionsOpen},
		"blocks.validate":       {token: noToken, acceptsJSON: true, args: words("blocks message view"), run: blocksValidate},

		"chat.postMessage":   {scope: "chat:write", acceptsJSON: true, args: words("thread_ts reply_broadcast" + messageArgs), run: chatPostMessage},
		"chat.postEphemeral": {scope: "chat:write", acceptsJSON: true, args: words("user thread_ts" + messageArgs), run: chatPostEphemeral},
		"chat.update":        {scope: "chat:write", acceptsJSON: true, args: words("ts reply_broadcast file_ids" + messageArgs), run: chatUpdate},
		"chat.delete":        {scope: "chat:write", acceptsJSON: true, args: words("channel ts as_user"), run: chatDelete},
		"chat.getPermalink":  {args: words("channel message_ts"), run: chatGetPermalink},

		"conversations.info":    {args: words("channel include_locale include_num_members"), run: conversationsInfo},
		"conversations.open":    {scope: "im:write", acceptsJSON: true, args: words("channel users return_im prevent_creation"), run: conversationsOpen},
		"conversations.history": {args: words("channel cursor limit latest oldest inclusive include_all_metadata"), run: conversationsHistory},
		"conversations.replies": {args: words("channel ts cursor limit latest oldest inclusive include_all_metadata"), run: conversationsReplies},

		"users.info":            {scope: "users:read", args: words("user include_locale"), run: usersInfo},
		"usergroups.list":       {scope: "usergroups:read", args: words("include_count include_disabled include_users team_id"), run: usergroupsList},
		"usergroups.users.list": {scope: "usergroups:read", args: words("usergroup include_disabled team_id"), run: usergroupsUsersList},
		"reactions.add":         {scope: "reactions:write", acceptsJSON: true, args: words("channel name timestamp"), run: reactionsAdd},
		"reactions.remove":      {scope: "reactions:write", acceptsJSON: true, args: words("channel name timestamp file file_comment"), run: reactionsRemove},

		"views.open":    {acceptsJSON: true, args: words("trigger_id interactivity_pointer view"), run: viewsOpen},
		"views.push":    {acceptsJSON: true, args: words("trigger_id interactivity_pointer view"), run: viewsPush},
		"views.update":  {acceptsJSON: true, args: words("view external_id hash view_id"), run: viewsUpdate},
		"views.publish": {acceptsJSON: true, args: words("user_id view hash"), run: viewsPublish},

		"files.getUploadURLExternal":   {scope: "files:write", args: words("filename length alt_txt snippet_type"), run: filesGetUploadURL},
		"files.completeUploadExternal": {scope: "files:write", acceptsJSON: true, args: words("files channel_id channels thread_ts initial_comment blocks"), run: filesCompleteUpload},
		"files.info":                   {scope: "files:read", args: words("file count cursor limit page"), run: filesInfo},
		"files.delete":                 {scope: "files:write", acceptsJSON: true, args: words("file"), run: filesDelete},
	}
}

func words(list string) []string { return strings.Fields(list) }

func authTest(s *Server, _ *call) (reply, *apiError) {
	p := s.people
	return reply{
		"url": "https://" + p.Domain + ".slack.com/", "team": p.TeamName, "team_id": p.TeamID,
		"user": p.BotName, "user_id": p.BotUserID, "bot_id": p.BotID, "is_enterprise_install": false,
	}, nil
}
