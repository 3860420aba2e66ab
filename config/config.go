// Package config reads whybot.yaml into a typed [Config].
//
// The file is read strictly: a key that whybot does not know, a value of the
// wrong type, a file that is not there are all errors, and [Load] reports every
// one of them at once, each with the place and the cure (see [Problems]).
//
// Every key that holds one value can be overridden by an environment variable:
// store.path by WHYBOT_STORE_PATH, ssh.fan_out by WHYBOT_SSH_FAN_OUT. An
// override is read as if the value stood in the file. Secrets never stand in
// the file: they come from a file of their own (slack.bot_token_file) or from
// the environment (WHYBOT_SLACK_BOT_TOKEN), which wins over the file.
//
// Relative paths are relative to the directory of the configuration file; a
// leading ~/ is the home directory.
package config

import (
	"log/slog"
	"slices"
	"time"
)

// A Config is the whole of whybot.yaml, with defaults filled in, paths made
// absolute and secrets read.
type Config struct {
	// File is the configuration file, as it was named.
	File      string
	OpenStack OpenStack
	SSH       SSH
	// VSphere is nil when there is no vsphere section: port groups are then not
	// looked at.
	VSphere *VSphere
	// Slack is nil when there is no slack section: whybot then answers in the
	// terminal only.
	Slack     *Slack
	Approvals Approvals
	Diagnose  Diagnose
	Store     Store
	Log       Log
}

// OpenStack says which cloud to ask.
type OpenStack struct {
	// Cloud is an entry of clouds.yaml. Empty means the OS_ variables of the
	// environment.
	Cloud string
	// CloudsFile is the clouds.yaml to read. Empty means where the OpenStack
	// SDKs look for it.
	CloudsFile string
	// Timeout bounds one API call.
	Timeout time.Duration
}

// SSH says how nodes are reached.
type SSH struct {
	// ConfigFile is the OpenSSH client configuration that maps node names to
	// addresses, users and keys.
	ConfigFile string
	// FanOut is how many nodes are looked at at once.
	FanOut int
	// DialTimeout bounds the TCP connection, HandshakeTimeout the key exchange
	// and login, ExecTimeout one command on the node.
	DialTimeout, HandshakeTimeout, ExecTimeout time.Duration
	// Idle is how long an unused connection is kept.
	Idle time.Duration
	// AgentSocket is the ssh-agent's socket. Empty means no agent.
	AgentSocket string
	// Fix is the login that changes nodes; nil when it is the one that looks at
	// them.
	Fix *Fix
}

// Fix is a login of its own for approved changes.
type Fix struct {
	// User is its name on every node.
	User string
	// IdentityFile is its private key, which is read whenever a change is made
	// and not before.
	IdentityFile string
}

// VSphere says which vCenter has the nodes as virtual machines.
type VSphere struct {
	// URL is where it answers, such as https://vcenter.example.org/sdk.
	URL string
	// User may read, Password is its password.
	User     string
	Password Secret
	// Thumbprint is the SHA-256 of the certificate to accept. Empty means that
	// the system's authorities must vouch for it.
	Thumbprint string
}

// A Mode is how Slack reaches whybot.
type Mode string

// Modes.
const (
	// Socket is Socket Mode: whybot opens a WebSocket, no port is open.
	Socket Mode = "socket"
	// HTTP is request URLs: Slack posts to Slack.Listen.
	HTTP Mode = "http"
)

// Slack says how to speak with Slack and whom to obey there.
type Slack struct {
	Mode     Mode
	BotToken Secret
	// AppToken is set in mode socket.
	AppToken Secret
	// SigningSecret is set in mode http.
	SigningSecret Secret
	// Listen is the address of mode http.
	Listen string
	// APIURL ends with a slash.
	APIURL    string
	Approvers Approvers
	// Channels are the ids of the channels in which approvals work, unless the
	// approvals section says otherwise. Empty means every channel whybot is in.
	Channels []string
}

// Approvers are the people who may press a fix button in Slack, unless the
// approvals section says otherwise for its class or for the fix. With neither
// users nor groups nobody may.
type Approvers struct {
	Users  []string // member ids
	Groups []string // user group ids
}

// Terminal says who may approve from a terminal. The zero Terminal denies
// everybody.
type Terminal struct {
	everyone bool
	names    []string
}

// Allows reports whether the named person may approve from a terminal.
func (t Terminal) Allows(name string) bool { return t.everyone || slices.Contains(t.names, name) }

// Diagnose bounds one question.
type Diagnose struct {
	// StaticBudget bounds reading the nodes; a node that takes longer counts as
	// not seen.
	StaticBudget time.Duration
	// Capture bounds the packet stage.
	Capture time.Duration
	// Total bounds the whole question.
	Total time.Duration
	// ARPCheck allows whybot to send ARP requests of its own.
	ARPCheck bool
}

// Store says where incidents are kept.
type Store struct {
	// Path is the database file; it is made when it is not there.
	Path string
}

// A LogFormat is how log lines are written.
type LogFormat string

// Log formats.
const (
	Text LogFormat = "text"
	JSON LogFormat = "json"
)

// Log says what is logged, and how.
type Log struct {
	Level  slog.Level
	Format LogFormat
}

// slackAPI is where Slack's Web API answers.
const slackAPI = "https://slack.com/api/"

// defaults are the values of keys that are not given. Slack's are apart: they
// count only when there is a slack section.
func defaults() (*Config, *Slack) {
	c := &Config{
		OpenStack: OpenStack{Timeout: 5 * time.Second},
		SSH: SSH{
			FanOut: 64, DialTimeout: 3 * time.Second, HandshakeTimeout: 5 * time.Second,
			ExecTimeout: 10 * time.Second, Idle: 5 * time.Minute,
		},
		Approvals: Approvals{
			Terminal: Terminal{everyone: true}, Expires: 30 * time.Minute, AskerMayApprove: true, Needed: 1,
		},
		Diagnose: Diagnose{StaticBudget: 8 * time.Second, Capture: 20 * time.Second, Total: 60 * time.Second, ARPCheck: true},
		Log:      Log{Level: slog.LevelInfo, Format: Text},
	}
	s := &Slack{Mode: Socket, Listen: "127.0.0.1:8080", APIURL: slackAPI}
	return c, s
}
