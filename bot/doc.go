// Package bot is whybot in Slack: it takes questions and clicks in and shows
// answers, fixes and their outcome. It knows no network and no disk; it speaks
// with the core through the small interfaces in engine.go.
//
// # In
//
// Socket Mode (socket.go) and signed HTTP requests (http.go) turn what Slack
// delivers into requests. The intake (intake.go) records each delivery,
// acknowledges it and only then lets it work: in that order, so that a
// delivery that could not be recorded is not acknowledged and comes again,
// and one that comes again does nothing. Questions and clicks have workers of
// their own, so that a flood of questions does not keep a fix waiting.
//
// # Out
//
// A question has one root message. It is posted at once, edited in place, and
// always drawn from what the store says (draw.go, root.go), under a lock of its
// own: whoever draws last has read last. The evidence goes into the thread once.
//
// Slack has no idempotency key for a new message. When the connection breaks
// while a root message is being posted, the bot looks for it in the channel
// by the metadata it gave it, and posts again only when it is not there. Where it
// may not read the channel it does not post again: the asker is told instead.
//
// # Text
//
// Prose is rich text, which Slack shows as it is: nothing in it can format,
// link or notify. Names stand in code spans. Where mrkdwn is needed, everything
// that was not written here goes through code (text.go).
package bot
