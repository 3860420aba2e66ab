package bot

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/slack-go/slack"
)

const (
	attempts   = 4           // of one call that Slack limits
	patience   = time.Minute // the longest Retry-After that is waited for
	postEvery  = time.Second // one message a second and channel …
	postBurst  = 3           // … after this many at once
	hooksHost  = "hooks.slack.com"
	rootEvent  = "whybot_root"
	rootKey    = "delivery"
	searchBack = 20 // messages looked at for one that may have been posted
)

// A place is where an answer to one person belongs.
type place struct {
	channel string
	thread  string // the parent of the thread, if it is in one
	user    string
	hook    string // a response URL, if there is one
}

// sender puts messages into Slack, at a pace that Slack likes.
type sender struct {
	api    *slack.Client
	apiURL string
	log    *slog.Logger

	mu    sync.Mutex
	pace  map[string]time.Time // by channel: when the burst is used up
	count int64                // revisions given out
}

func newSender(api *slack.Client, apiURL string, log *slog.Logger) *sender {
	return &sender{api: api, apiURL: apiURL, log: log, pace: map[string]time.Time{}}
}

// revision returns a number that no message has seen before, not even before
// a restart.
func (s *sender) revision() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count = max(s.count+1, time.Now().UnixMicro())
	return s.count
}

// content is what every message is sent with.
func (s *sender) content(m message) []slack.MsgOption {
	return []slack.MsgOption{
		slack.MsgOptionText(m.text, false), slack.MsgOptionBlocks(m.stamped(s.revision())...),
		slack.MsgOptionDisableLinkUnfurl(), slack.MsgOptionDisableMediaUnfurl(),
	}
}

// slot waits until channel may get another message. An urgent one does not
// wait, but counts.
func (s *sender) slot(ctx context.Context, channel string, urgent bool) error {
	s.mu.Lock()
	now := time.Now()
	next := s.pace[channel]
	if floor := now.Add(-postBurst * postEvery); next.Before(floor) {
		next = floor
	}
	next = next.Add(postEvery)
	s.pace[channel] = next
	for c, t := range s.pace {
		if now.Sub(t) > time.Hour {
			delete(s.pace, c)
		}
	}
	s.mu.Unlock()
	if urgent {
		return nil
	}
	return wait(ctx, next.Sub(now))
}

func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// limited calls f again, after the time that Slack names, while Slack limits it.
func limited(ctx context.Context, f func() error) error {
	for n := 1; ; n++ {
		err := f()
		limit, ok := errors.AsType[*slack.RateLimitedError](err)
		if !ok || n == attempts || limit.RetryAfter > patience {
			return err
		}
		if e := wait(ctx, limit.RetryAfter); e != nil {
			return err
		}
	}
}

// refusesBlocks reports whether Slack did not like the layout.
func refusesBlocks(err error) bool {
	e, ok := errors.AsType[slack.SlackErrorResponse](err)
	return ok && (strings.HasPrefix(e.Err, "invalid_blocks") || e.Err == "msg_blocks_too_long" || e.Err == "msg_too_long")
}

// withPlan sends m, and its text alone when Slack refuses the blocks.
func (s *sender) withPlan(ctx context.Context, m message, send func(message) error) error {
	err := limited(ctx, func() error { return send(m) })
	if !refusesBlocks(err) {
		return err
	}
	s.log.Error("Slack refuses the blocks; sending the text alone", slog.Any("error", err))
	return limited(ctx, func() error { return send(m.bareText()) })
}

// post posts m into a channel or, with thread, into a thread.
func (s *sender) post(ctx context.Context, channel, thread string, m message) error {
	if err := s.slot(ctx, channel, false); err != nil {
		return err
	}
	return s.withPlan(ctx, m, func(m message) error {
		_, err := s.postOnce(ctx, channel, thread, m)
		return err
	})
}

func (s *sender) postOnce(ctx context.Context, channel, thread string, m message, more ...slack.MsgOption) (string, error) {
	options := append(s.content(m), more...)
	if thread != "" {
		options = append(options, slack.MsgOptionTS(thread))
	}
	_, ts, err := s.api.PostMessageContext(ctx, channel, options...)
	return ts, err
}

// errUnconfirmed says that a message may or may not have been posted.
var errUnconfirmed = errors.New("slack did not confirm the message, and the channel could not be read")

// postRoot posts a root message once: key tells it from all others, so that it
// can be found when Slack's answer was lost.
func (s *sender) postRoot(ctx context.Context, channel, thread, key string, m message) (ts string, err error) {
	mark := slack.MsgOptionMetadata(slack.SlackMetadata{EventType: rootEvent, EventPayload: map[string]any{rootKey: key}})
	for n := 0; ; n++ {
		if err := s.slot(ctx, channel, true); err != nil {
			return "", err
		}
		err = s.withPlan(ctx, m, func(m message) error {
			ts, err = s.postOnce(ctx, channel, thread, m, mark)
			return err
		})
		if err == nil || answered(err) || n == 1 || ctx.Err() != nil {
			return ts, err
		}
		s.log.Warn("root message not confirmed; looking for it", slog.String("channel", channel), slog.Any("error", err))
		found, e := s.findRoot(ctx, channel, thread, key)
		if e != nil {
			return "", errors.Join(errUnconfirmed, err, e)
		}
		if found != "" {
			return found, nil
		}
	}
}

// answered reports whether an error is what Slack said, rather than a lost
// answer.
func answered(err error) bool {
	_, refused := errors.AsType[slack.SlackErrorResponse](err)
	_, limit := errors.AsType[*slack.RateLimitedError](err)
	return refused || limit
}

// findRoot looks for a root message by its key.
func (s *sender) findRoot(ctx context.Context, channel, thread, key string) (string, error) {
	var messages []slack.Message
	err := limited(ctx, func() error {
		if thread != "" {
			var err error
			messages, _, _, err = s.api.GetConversationRepliesContext(ctx, &slack.GetConversationRepliesParameters{
				ChannelID: channel, Timestamp: thread, Limit: 200, IncludeAllMetadata: true,
			})
			return err
		}
		page, err := s.api.GetConversationHistoryContext(ctx, &slack.GetConversationHistoryParameters{
			ChannelID: channel, Limit: searchBack, IncludeAllMetadata: true,
		})
		if err == nil {
			messages = page.Messages
		}
		return err
	})
	if err != nil {
		return "", err
	}
	for _, m := range messages {
		if m.Metadata.EventType == rootEvent && m.Metadata.EventPayload[rootKey] == key {
			return m.Timestamp, nil
		}
	}
	return "", nil
}

// update gives a message new content. Doing that twice does no harm, so a lost
// answer is asked for again.
func (s *sender) update(ctx context.Context, channel, ts string, m message) error {
	err := s.updateOnce(ctx, channel, ts, m)
	if err != nil && !answered(err) && ctx.Err() == nil {
		err = s.updateOnce(ctx, channel, ts, m)
	}
	return err
}

func (s *sender) updateOnce(ctx context.Context, channel, ts string, m message) error {
	return s.withPlan(ctx, m, func(m message) error { return s.try(ctx, channel, ts, m) })
}

// try updates without waiting for limits.
func (s *sender) try(ctx context.Context, channel, ts string, m message) error {
	_, _, _, err := s.api.UpdateMessageContext(ctx, channel, ts, s.content(m)...)
	return err
}

// remove deletes one of the bot's messages.
func (s *sender) remove(ctx context.Context, channel, ts string) error {
	return limited(ctx, func() error {
		_, _, err := s.api.DeleteMessageContext(ctx, channel, ts)
		return err
	})
}

// whisper shows m to one person only: through the response URL, which works in
// every channel, or else as an ephemeral message.
func (s *sender) whisper(ctx context.Context, to place, m message) {
	options := s.content(m)
	if to.thread != "" {
		options = append(options, slack.MsgOptionTS(to.thread))
	}
	if s.trusted(to.hook) {
		_, _, err := s.api.PostMessageContext(ctx, to.channel,
			append(options, slack.MsgOptionResponseURL(to.hook, slack.ResponseTypeEphemeral))...)
		if err == nil {
			return
		}
		s.log.Warn("response URL did not work", slog.Any("error", errors.New(redactHook(err, to.hook))))
	}
	err := limited(ctx, func() error {
		_, err := s.api.PostEphemeralContext(ctx, to.channel, to.user, options...)
		return err
	})
	if err != nil {
		s.log.Error("answer lost", slog.String("channel", to.channel), slog.String("user", to.user), slog.Any("error", err))
	}
}

// redactHook takes a response URL, which is a secret, out of an error's text.
func redactHook(err error, hook string) string {
	return strings.ReplaceAll(err.Error(), hook, "the response URL")
}

// trusted reports whether a response URL is Slack's, or of the stand-in that
// the bot is pointed at.
func (s *sender) trusted(hook string) bool {
	u, err := url.Parse(hook)
	if err != nil || hook == "" || u.User != nil {
		return false
	}
	if u.Scheme == "https" && u.Host == hooksHost {
		return true
	}
	base, err := url.Parse(s.apiURL)
	return err == nil && isLoopback(base.Hostname()) && u.Scheme == base.Scheme && u.Host == base.Host
}

// upload shares text as a snippet in a thread.
func (s *sender) upload(ctx context.Context, channel, thread, name, title, text string) error {
	if err := s.slot(ctx, channel, false); err != nil {
		return err
	}
	return limited(ctx, func() error {
		_, err := s.api.UploadFileContext(ctx, slack.UploadFileParameters{
			Reader: strings.NewReader(text), FileSize: len(text), Filename: name, Title: title, AltTxt: title,
			SnippetType: "text", Channel: channel, ThreadTimestamp: thread,
		})
		return err
	})
}
