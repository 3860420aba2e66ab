// Package cloudfake answers as a small OpenStack does: Keystone, Nova, Neutron
// and Cinder over HTTP on loopback, from a model that can be
// changed while it runs. The JSON it sends has the keys that a real cloud of
// release Zed sends to the same role at the same microversion; a test holds it
// to recorded answers.
package cloudfake

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// A Cloud is an OpenStack look-alike. Its methods may be called from several
// goroutines.
type Cloud struct {
	// OnDHCPNetwork, when set, is called after a network was bound to a DHCP
	// agent (added) or taken from it, as the agent would be told by Neutron.
	// It runs on the goroutine of the request, without the model's lock. Set
	// it before Serve.
	OnDHCPNetwork func(agentHost, networkID string, added bool)

	// OnChange, when set, is called after a request changed a network, a subnet
	// or a port, as OnDHCPNetwork is. Set it before Serve.
	OnChange func()
	// AgentAlive, when set, tells whether the process of an agent runs; where it
	// does not, the heartbeats have stopped. It runs with the cloud's lock held
	// and must not use the cloud. Set it before Serve.
	AgentAlive func(host, binary string) bool

	mu       sync.Mutex
	model    Model
	tokens   map[string]token
	faults   []Fault
	requests []Request
	skew     time.Duration
	url      string

	server *http.Server
	served chan struct{} // closed when the accept loop has ended
	stop   chan struct{} // closed by Close; frees hanging requests
}

// New returns a cloud that knows the model. A model without projects or
// without a user for one of the roles admin, member and reader is given them.
func New(m Model) *Cloud {
	return &Cloud{model: m.withDefaults(), tokens: map[string]token{}, stop: make(chan struct{})}
}

// Update lets fn change the model; no request sees a half-made change. The
// model must not be kept after fn returns.
func (c *Cloud) Update(fn func(*Model)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fn(&c.model)
}

// Serve starts to answer on addr, a loopback address such as 127.0.0.1:5000;
// an empty addr takes a free port of 127.0.0.1. Close ends it.
func (c *Cloud) Serve(addr string) error {
	if c.server != nil {
		return errors.New("cloudfake: Serve was called twice")
	}
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("cloudfake: address %q: %w", addr, err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("cloudfake: address %q is not a loopback address; the fake has no TLS and known passwords", addr)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("cloudfake: listen on %s: %w", addr, err)
	}
	c.mu.Lock()
	c.url = "http://" + l.Addr().String()
	c.mu.Unlock()
	c.server = &http.Server{Handler: c, ReadHeaderTimeout: 10 * time.Second}
	c.served = make(chan struct{})
	go func() {
		defer close(c.served)
		_ = c.server.Serve(l) // always http.ErrServerClosed or the listener's death: both end the fake
	}()
	return nil
}

// Close stops answering and frees every request that a fault keeps hanging.
func (c *Cloud) Close() {
	if c.server == nil {
		return
	}
	select {
	case <-c.stop:
		return
	default:
		close(c.stop)
	}
	_ = c.server.Close() // its error is the listener's, which is going away anyway
	<-c.served
}

// URL returns where the cloud answers, without a path; empty before Serve.
func (c *Cloud) URL() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.url
}

// AuthURL returns the Keystone address for a clouds.yaml or OS_AUTH_URL.
func (c *Cloud) AuthURL() string { return c.URL() + "/identity/v3" }
