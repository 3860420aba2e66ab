// Package openstack asks Nova and Neutron what whybot has to know about a
// server and its way to an address, and makes the few changes that fixes need
// (Do). It is the only package that imports gophercloud,
// and it uses it for logging in and for requests only: the answers are decoded
// here, because the SDK's types turn a key that a role is not shown into an
// empty string, and what was not observed must not look empty.
package openstack

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/gophercloud/gophercloud/v2"

	"whybot/runners"
)

// DefaultTimeout bounds one call. A healthy API answers in a tenth of a
// second; one whose message bus is down hangs for more than 75.
const DefaultTimeout = 5 * time.Second

// Options says which cloud to ask and how.
type Options struct {
	// Cloud is the name of an entry in clouds.yaml. When it is empty OS_CLOUD
	// is taken, and when that is empty too, OS_AUTH_URL and its companions.
	Cloud string
	// CloudsFile is the clouds.yaml to read. When it is empty the file is
	// looked for where the OpenStack SDKs do: OS_CLIENT_CONFIG_FILE, the
	// working directory, the user's configuration, /etc/openstack.
	CloudsFile string
	// Getenv looks up a variable of the environment; nil means there are none.
	Getenv func(string) string
	// Timeout bounds each call; zero means DefaultTimeout.
	Timeout time.Duration
	// Transport replaces the HTTP transport, TLS settings and all. It is for
	// tests.
	Transport http.RoundTripper
	// Log gets one debug line per call; nil means no log.
	Log *slog.Logger
}

// A Client asks one cloud as one user. Its methods may be called from several
// goroutines.
type Client struct {
	auth    gophercloud.AuthOptions
	where   gophercloud.EndpointOpts
	http    http.Client
	timeout time.Duration
	log     *slog.Logger

	// login is held while logging in, so that parallel reads log in once. It
	// is a channel and no mutex because waiting for it must end with a context.
	login   chan struct{}
	session *session // guarded by login
}

// New reads the credentials and returns a client that logs in when it is first
// needed. It does not touch the network.
func New(o Options) (*Client, error) {
	creds, err := readCredentials(o)
	if err != nil {
		return nil, err
	}
	transport := o.Transport
	if transport == nil {
		t := http.DefaultTransport.(*http.Transport).Clone() //nolint:errcheck // it is one, by its documentation
		t.TLSClientConfig = creds.tls
		t.MaxIdleConnsPerHost = 16 // parallel reads of one API should not shake hands anew each time
		transport = t
	}
	c := &Client{
		auth: creds.auth, where: creds.where, timeout: o.Timeout, log: o.Log,
		http: http.Client{
			Transport: boundedBodies{transport},
			// A redirect would carry the token to wherever it points.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		login: make(chan struct{}, 1),
	}
	if c.timeout <= 0 {
		c.timeout = DefaultTimeout
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

// Close drops idle connections. The client may be used again.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// fail makes the error of this package's runner.
func fail(kind runners.Kind, target, op, hint string, err error) *runners.Error {
	return &runners.Error{Kind: kind, Runner: "openstack", Target: target, Op: op, Hint: hint, Err: err}
}
