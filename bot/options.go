package bot

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"time"

	"whybot/commands"
)

// A Mode is how Slack reaches the bot.
type Mode string

// Modes.
const (
	Socket Mode = "socket" // the bot opens WebSockets; it listens on no port
	HTTP   Mode = "http"   // Slack posts signed requests
)

// slackAPI is where Slack's Web API answers.
const slackAPI = "https://slack.com/api/"

// Options configures a Bot. Mode, BotToken, the mode's own secret, Engine,
// Memory and Deliveries must be set.
type Options struct {
	Mode     Mode
	BotToken string
	// AppToken is needed in mode Socket.
	AppToken string
	// SigningSecret is needed in mode HTTP.
	SigningSecret string
	// Listen is the address of mode HTTP. When it is empty Run listens nowhere
	// and the caller serves Bot.Handler.
	Listen string
	// APIURL is the Web API's address; default Slack's own. Plain http is for
	// loopback only.
	APIURL string
	// Kinds are the kinds of question that get a root message at once; the
	// Engine refuses or answers the others before anything is posted. Default:
	// commands.KindDHCP, commands.KindPing, commands.KindConsole and those about
	// volumes.
	Kinds []commands.Kind

	Engine     Engine
	Memory     commands.Memory
	Deliveries commands.Deliveries

	Workers int           // questions worked on at once, and as many clicks; default 8
	Drain   time.Duration // how long Run waits for fixes that are being applied; default 30 s
	Now     func() time.Time
	Log     *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.APIURL == "" {
		o.APIURL = slackAPI
	}
	if !strings.HasSuffix(o.APIURL, "/") {
		o.APIURL += "/"
	}
	if len(o.Kinds) == 0 {
		o.Kinds = []commands.Kind{commands.KindDHCP, commands.KindPing, commands.KindConsole, commands.KindVolumeLeft, commands.KindVolumeStuck}
	}
	if o.Workers <= 0 {
		o.Workers = 8
	}
	if o.Drain <= 0 {
		o.Drain = 30 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// check returns everything that is wrong with o.
func (o Options) check() error {
	var errs []error
	need := func(ok bool, what string) {
		if !ok {
			errs = append(errs, errors.New("bot: "+what))
		}
	}
	need(o.BotToken != "", "BotToken is empty: set the xoxb- token of the app")
	switch o.Mode {
	case Socket:
		need(o.AppToken != "", "AppToken is empty: Socket Mode needs the xapp- token with connections:write")
	case HTTP:
		need(o.SigningSecret != "", "SigningSecret is empty: without it no request can be told from a forged one")
	default:
		need(false, fmt.Sprintf("Mode %q is neither %q nor %q", o.Mode, Socket, HTTP))
	}
	need(o.Engine != nil, "Engine is nil")
	need(o.Memory != nil, "Memory is nil")
	need(o.Deliveries != nil, "Deliveries is nil")
	if err := checkURL(o.APIURL, "https", "http"); err != nil {
		errs = append(errs, fmt.Errorf("bot: APIURL: %w", err))
	}
	return errors.Join(errs...)
}

// checkURL accepts the secure scheme anywhere and the plain one on loopback.
func checkURL(raw, secure, plain string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || u.User != nil:
		return errors.New("it is not an absolute URL without a user")
	case u.Scheme == secure:
		return nil
	case u.Scheme == plain && isLoopback(u.Hostname()):
		return nil
	}
	return fmt.Errorf("it must begin with %s://; %s:// is for loopback only", secure, plain)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
