package ssh

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Options configures a Pool. Zero durations and sizes mean the defaults.
type Options struct {
	// ConfigFile is the OpenSSH client config that maps node names to
	// addresses, users, keys and jump hosts.
	ConfigFile string
	// AgentSocket is the ssh-agent's socket, usually $SSH_AUTH_SOCK. Empty
	// means no agent.
	AgentSocket string

	// Fix is the login that changes nodes. Without it the one that looks at
	// them, which is the client config's, changes them too.
	Fix *Login

	// Home is the home directory that ~ and %d in the config stand for, usually
	// $HOME. Empty means the one that the user database names.
	Home string

	// Dial bounds the TCP connection. Default 5 s.
	Dial time.Duration
	// Handshake bounds key exchange and authentication together, and opening a
	// session on a connection that already stands. Default 8 s.
	Handshake time.Duration
	// Exec bounds one exec, with all of its probes. Default 30 s.
	Exec time.Duration
	// Probe bounds a command that names no time-out of its own. Default 5 s.
	Probe time.Duration
	// Keepalive is the time between two keepalives; a node that leaves two of
	// them unanswered is dropped. Default 15 s.
	Keepalive time.Duration
	// Idle is how long an unused connection is kept. Default 5 min.
	Idle time.Duration

	// MaxOutput is the most that is kept of one stream of one probe, in bytes.
	// Default 4 MiB: the largest is nft's JSON of some thousand rules.
	MaxOutput int
	// MaxTotal is the most that is read in one exec, in bytes. Default 12 MiB.
	MaxTotal int

	// Log receives what an operator may want to know and no answer shows.
	// Default: nothing is logged.
	Log *slog.Logger
}

func (o *Options) defaults() error {
	durations := []struct {
		name  string
		value *time.Duration
		def   time.Duration
	}{
		{"Dial", &o.Dial, 5 * time.Second},
		{"Handshake", &o.Handshake, 8 * time.Second},
		{"Exec", &o.Exec, 30 * time.Second},
		{"Probe", &o.Probe, 5 * time.Second},
		{"Keepalive", &o.Keepalive, 15 * time.Second},
		{"Idle", &o.Idle, 5 * time.Minute},
	}
	for _, d := range durations {
		if *d.value < 0 {
			return fmt.Errorf("ssh: %s is %s: it must not be negative", d.name, *d.value)
		}
		if *d.value == 0 {
			*d.value = d.def
		}
	}
	if o.Fix != nil && (o.Fix.User == "" || o.Fix.IdentityFile == "") {
		return errors.New("ssh: the login that changes nodes needs a user and a key")
	}
	if o.MaxOutput < 0 || o.MaxTotal < 0 {
		return fmt.Errorf("ssh: MaxOutput and MaxTotal must not be negative")
	}
	if o.MaxOutput == 0 {
		o.MaxOutput = 4 << 20
	}
	if o.MaxTotal == 0 {
		o.MaxTotal = 12 << 20
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}
