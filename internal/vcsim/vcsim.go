// Package vcsim is a vCenter to test against: govmomi's simulator, made as
// strict as a real one where whybot would otherwise be proved right by its
// leniency.
//
// The stock simulator has no UpdatePortGroup, replaces a distributed port group
// by whatever a request holds, checks no configuration version, and lets a port
// group be on one host only. Here a port group's specification is replaced as
// ESXi does it, the computed policies follow, a distributed port group merges
// what it is given and refuses a version that is not its own, and a port has a
// policy and a state of its own.
//
// It is for tests and for the lab, and it never is the witness of itself: what
// whybot changed is read back by a client of govmomi's own.
package vcsim

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/url"
	"sync"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// Options say where the simulator listens and who may log in.
type Options struct {
	// Listen is an address; empty means a free port of 127.0.0.1.
	Listen         string
	User, Password string
	// Certificate is the server's; nil means one that is the same everywhere,
	// which only a client that pins it accepts.
	Certificate *tls.Certificate
	Inventory   Inventory
}

// A Hook looks at a call by its method's name. What it returns is the answer
// instead of the result, as a fault.
type Hook func(method string) types.BaseMethodFault

// A Server is a running simulator.
type Server struct {
	model  *simulator.Model
	server *simulator.Server

	mu            sync.Mutex
	calls         map[string]int
	before, after Hook
	groups        map[types.ManagedObjectReference]*distributedGroup
	switches      map[types.ManagedObjectReference]*distributedSwitch
	networks      []*network // of each host, in their order
}

// Start builds the inventory and serves it.
func Start(ctx context.Context, o Options) (*Server, error) {
	if err := o.Inventory.check(); err != nil {
		return nil, err
	}
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	m := simulator.VPX()
	m.Datacenter, m.Cluster, m.ClusterHost = 1, 1, max(1, o.Inventory.Hosts)
	m.Host, m.Machine, m.Portgroup, m.Autostart = 0, 0, 0, false
	if err := m.Create(); err != nil {
		m.Remove()
		return nil, fmt.Errorf("vcsim: make the model: %w", err)
	}
	s := &Server{
		model: m, calls: map[string]int{},
		groups: map[types.ManagedObjectReference]*distributedGroup{}, switches: map[types.ManagedObjectReference]*distributedSwitch{},
	}
	if err := s.build(ctx, o.Inventory); err != nil {
		m.Remove()
		return nil, err
	}
	m.Service.Listen = &url.URL{Host: o.Listen, User: url.UserPassword(o.User, o.Password)}
	m.Service.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	if o.Certificate != nil {
		m.Service.TLS.Certificates = []tls.Certificate{*o.Certificate}
	}
	m.Map().Handler = s.handle
	s.server = m.Service.NewServer()
	return s, nil
}

// Close stops the server.
func (s *Server) Close() {
	s.server.Close()
	s.model.Remove()
}

// URL is where it answers, without a password.
func (s *Server) URL() string {
	u := *s.server.URL
	u.User = nil
	return u.String()
}

// Thumbprint is the SHA-256 of its certificate, as openssl prints it.
func (s *Server) Thumbprint() string { return soap.ThumbprintSHA256(s.server.Certificate()) }

// Calls is how often a method was called so far.
func (s *Server) Calls(method string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[method]
}

// Before has f look at every call before it takes effect, and After at those
// that change a port group when they have: a fault from there is a lost
// acknowledgement. Nil ends it.
func (s *Server) Before(f Hook) { s.mu.Lock(); defer s.mu.Unlock(); s.before = f }

// After is described with Before.
func (s *Server) After(f Hook) { s.mu.Lock(); defer s.mu.Unlock(); s.after = f }

// EndSessions logs everybody out, as an idle time-out or a restart of vCenter
// does.
func (s *Server) EndSessions() {
	m := s.model.Map().SessionManager()
	ctx := s.context()
	var keys []string
	for _, u := range s.sessions() {
		keys = append(keys, u.Key)
	}
	s.model.Map().WithLock(ctx, m, func() {
		m.TerminateSession(ctx, &types.TerminateSession{This: m.Self, SessionId: keys})
	})
}

// sessions lists who is logged in, as a session of its own sees it.
func (s *Server) sessions() []types.UserSession {
	view, ok := s.context().Session.Get(s.model.Map().SessionManager().Self).(*simulator.SessionManager)
	if !ok {
		return nil
	}
	return view.SessionList
}

// context is for one call past the API: locks belong to a context.
func (s *Server) context() *simulator.Context {
	c := simulator.NewContext()
	c.Map = s.model.Map()
	c.Session.Map = s.model.Map()
	return c
}

// handle counts the calls and puts the strict objects in place of the stock
// ones. The simulator prefers those of the session's own registry.
func (s *Server) handle(ctx *simulator.Context, m *simulator.Method) (mo.Reference, types.BaseMethodFault) {
	s.mu.Lock()
	s.calls[m.Name]++
	before := s.before
	s.mu.Unlock()
	if before != nil {
		if fault := before(m.Name); fault != nil {
			return nil, fault
		}
	}
	if ctx.Session == nil || ctx.Session.Registry == nil {
		return nil, nil
	}
	if strict := s.strict(m.This); strict != nil && ctx.Session.Registry.Get(m.This) == nil {
		// Putting it there writes into the object.
		ctx.Map.WithLock(ctx, m.This, func() { ctx.Session.Registry.Put(strict) })
	}
	return nil, nil
}

// strict returns the strict side of an object, if it has one.
func (s *Server) strict(ref types.ManagedObjectReference) mo.Reference {
	if g := s.groups[ref]; g != nil {
		return g
	}
	if d := s.switches[ref]; d != nil {
		return d
	}
	return nil
}

// lost asks the After hook.
func (s *Server) lost(method string) types.BaseMethodFault {
	s.mu.Lock()
	after := s.after
	s.mu.Unlock()
	if after == nil {
		return nil
	}
	return after(method)
}
