// Package vsphere asks a vCenter which virtual machine a node is, and what the
// virtual switch does with the node's frames. It is the only package that
// imports govmomi.
//
// It reads properties by name and takes what came back apart itself: a property
// that a role is not shown is missing from the answer, which the SDK's own types
// would turn into false, and what was not observed must not look refused.
package vsphere

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/vmware/govmomi/session"
	"github.com/vmware/govmomi/session/keepalive"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"

	"whybot/runners"
)

const (
	// DefaultTimeout bounds one call.
	DefaultTimeout = 10 * time.Second
	// DefaultIdle is how long a session may rest: vCenter ends one after 30
	// minutes without a call.
	DefaultIdle = 10 * time.Minute
)

// Options say which vCenter to ask, and as whom.
type Options struct {
	// URL is where it answers, such as https://vcenter.example.org/sdk.
	URL string
	// User may read; Password returns its password, whenever whybot logs in.
	User     string
	Password func() string
	// Thumbprint is the SHA-256 of the certificate to accept, in hex, with or
	// without colons. Empty means that the system's authorities must vouch for it.
	Thumbprint string
	// Timeout bounds each call, and Idle is how often a resting session is used;
	// zero means the defaults.
	Timeout, Idle time.Duration
	// Log gets one debug line per call; nil means no log.
	Log *slog.Logger
}

// A Client asks one vCenter as one user. Its methods may be called from several
// goroutines.
type Client struct {
	o    Options
	url  *url.URL
	tls  *tls.Config
	life context.Context //nolint:containedctx // what keeps the session alive ends with the client
	end  context.CancelFunc

	// login is held while logging in, so that parallel reads log in once. It is a
	// channel and no mutex because waiting for it must end with a context.
	login   chan struct{}
	session *vimSession // guarded by login
}

// New checks the options and returns a client that logs in when it is first
// needed. It does not touch the network.
func New(o Options) (*Client, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return nil, errors.New("the vCenter's address is one such as https://vcenter.example.org/sdk, without a user in it")
	}
	if o.User == "" || o.Password == nil {
		return nil, errors.New("a vCenter is asked as somebody: name a user and its password")
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = vim25.Path
	}
	trust, err := trustOf(o.Thumbprint)
	if err != nil {
		return nil, err
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Idle <= 0 {
		o.Idle = DefaultIdle
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c := &Client{o: o, url: u, tls: trust, login: make(chan struct{}, 1)}
	c.life, c.end = context.WithCancel(context.Background())
	return c, nil
}

// errPinned is a certificate other than the one that is pinned.
var errPinned = errors.New("the certificate is not the one that is pinned")

// trustOf returns how the server's certificate is checked.
func trustOf(thumbprint string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if thumbprint == "" {
		return c, nil
	}
	want, err := hex.DecodeString(strings.ReplaceAll(thumbprint, ":", ""))
	if err != nil || len(want) != sha256.Size {
		return nil, errors.New("the thumbprint is the certificate's SHA-256 in hex, as `openssl x509 -fingerprint -sha256` prints it")
	}
	c.InsecureSkipVerify = true // in favour of the one certificate below
	c.VerifyConnection = func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 0 || sha256.Sum256(s.PeerCertificates[0].Raw) != [sha256.Size]byte(want) {
			return errPinned
		}
		return nil
	}
	return c, nil
}

// A vimSession is one login.
type vimSession struct {
	*vim25.Client
	alive *keepalive.HandlerSOAP
	// leave logs out.
	leave func()
	once  sync.Once
}

// connect returns the session, logging in when there is none or when the one
// there is is stale: the one that vCenter has just forgotten.
func (c *Client) connect(ctx context.Context, stale *vimSession) (*vimSession, error) {
	const op = "Login"
	ctx, cancel := c.deadline(ctx, op)
	defer cancel()
	select {
	case c.login <- struct{}{}:
	case <-ctx.Done():
		return nil, c.explain(ctx, op, ctx.Err())
	}
	defer func() { <-c.login }()
	if c.life.Err() != nil {
		return nil, c.fail(runners.Unknown, op, "whybot is being stopped", nil)
	}
	if c.session != nil && c.session != stale {
		return c.session, nil
	}
	if c.session != nil {
		c.session.drop()
		c.session = nil
	}
	started := time.Now()
	s, err := c.authenticate(ctx)
	c.logCall(ctx, op, started, err)
	if err != nil {
		return nil, c.explain(ctx, op, err)
	}
	c.session = s
	return s, nil
}

func (c *Client) authenticate(ctx context.Context) (*vimSession, error) {
	sc := soap.NewClient(c.url, false)
	// The SDK's own dialling of TLS ends with no context, and takes a pinned
	// certificate only after an authority was asked about it.
	transport := sc.DefaultTransport()
	transport.DialTLSContext = nil
	transport.TLSClientConfig = c.tls.Clone()
	sc.UserAgent = "whybot"
	vc, err := vim25.NewClient(ctx, sc)
	if err != nil {
		sc.CloseIdleConnections()
		return nil, err
	}
	s, manager := &vimSession{Client: vc}, session.NewManager(vc)
	if err := manager.Login(ctx, url.UserPassword(c.o.User, c.o.Password())); err != nil {
		sc.CloseIdleConnections()
		return nil, err
	}
	s.leave = func() { //nolint:contextcheck // whoever closes has no context left, and must still log out
		ctx, cancel := context.WithTimeout(context.WithoutCancel(c.life), time.Second)
		defer cancel()
		if err := manager.Logout(ctx); err != nil {
			c.o.Log.DebugContext(ctx, "vsphere session left to vCenter, which ends it")
		}
	}
	// The SDK's default ends for good at the first error, such as a restart of
	// vCenter. A session that is gone is replaced by the next question.
	s.alive = keepalive.NewHandlerSOAP(vc.RoundTripper, c.o.Idle, func() error { //nolint:contextcheck // it outlives the call that logs in
		ctx, cancel := c.deadline(c.life, "CurrentTime")
		defer cancel()
		if _, err := methods.GetCurrentTime(ctx, vc); err != nil {
			c.o.Log.DebugContext(ctx, "vsphere session not kept alive", "failure", runners.KindOf(c.explain(ctx, "CurrentTime", err)).String())
		}
		return nil
	})
	s.alive.Start()
	return s, nil
}

// drop lets go of a session that vCenter no longer knows.
func (s *vimSession) drop() {
	s.once.Do(func() {
		s.alive.Stop()
		s.CloseIdleConnections()
	})
}

// Close logs out. The client cannot be used again.
func (c *Client) Close() {
	c.end()
	c.login <- struct{}{}
	defer func() { <-c.login }()
	if c.session == nil {
		return
	}
	c.session.leave()
	c.session.drop()
	c.session = nil
}

// A tooSlow is the cause with which a call's own deadline ends it.
type tooSlow struct {
	op    string
	after time.Duration
}

func (e *tooSlow) Error() string {
	return fmt.Sprintf("vcenter: %s: no answer within %s", e.op, e.after)
}

func (c *Client) deadline(ctx context.Context, op string) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, c.o.Timeout, &tooSlow{op, c.o.Timeout})
}

func (c *Client) logCall(ctx context.Context, op string, started time.Time, err error) {
	attrs := []any{"op", op, "took_ms", time.Since(started).Milliseconds()}
	if err != nil {
		attrs = append(attrs, "failure", runners.KindOf(c.explain(ctx, op, err)).String())
	}
	c.o.Log.DebugContext(ctx, "vsphere call", attrs...)
}

// do makes a call in a session. A session that vCenter has forgotten is replaced
// once: nothing was run in it, so the call may be made again.
func (c *Client) do(ctx context.Context, op string, call func(context.Context, *vimSession) error) error {
	s, err := c.connect(ctx, nil)
	if err != nil {
		return err
	}
	if err = c.try(ctx, op, s, call); runners.KindOf(err) != runners.Authentication {
		return err
	}
	if s, err = c.connect(ctx, s); err != nil {
		return err
	}
	return c.try(ctx, op, s, call)
}

func (c *Client) try(ctx context.Context, op string, s *vimSession, call func(context.Context, *vimSession) error) (err error) {
	ctx, cancel := c.deadline(ctx, op)
	defer cancel()
	started := time.Now()
	defer func() {
		// The SDK decodes by reflection, which panics on an answer of another shape.
		if p := recover(); p != nil {
			err = c.fail(runners.Invalid, op, "the answer is not one of vCenter's", fmt.Errorf("panic: %v", p))
		}
	}()
	err = call(ctx, s)
	c.logCall(ctx, op, started, err)
	if err != nil {
		return c.explain(ctx, op, err)
	}
	return nil
}
