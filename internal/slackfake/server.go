package slackfake

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	defaultPing       = 10 * time.Second
	defaultShareDelay = 2 * time.Second
)

// Options says how the fake behaves; the zero value is a Socket Mode workspace made by DefaultWorkspace.
type Options struct {
	// Workspace is the model to start with; the zero value means DefaultWorkspace.
	Workspace Workspace
	// Clock dates and expires things; nil means SystemClock.
	Clock Clock
	// PingInterval is the real time between WebSocket pings; zero means ten seconds.
	PingInterval time.Duration
	// ShareDelay is how long an uploaded file takes to appear in its channel; zero means two seconds.
	ShareDelay time.Duration
	// Subscriptions are the bot events; nil means app_mention, app_home_opened, message.im and member_joined_channel.
	Subscriptions []string
	// Commands are the registered slash commands; nil means /why and /timeline, both with should_escape.
	Commands []Command
	// HTTP makes deliveries signed HTTP requests instead of Socket Mode envelopes.
	HTTP *HTTPTarget
}

// Server is one fake Slack with its workspace; all methods may be called from any goroutine.
type Server struct {
	options  Options
	clock    Clock
	listener net.Listener
	http     *http.Server
	client   *http.Client
	running  sync.WaitGroup
	done     chan struct{}

	mu          sync.Mutex
	closed      bool
	changed     chan struct{}
	people      *people
	ids         int
	lastTS      map[string]int64
	messages    map[string][]*message
	violations  []Violation
	faults      []*Fault
	calls       []Call
	authFailure string
	hooks       map[string]*responseHook
	triggers    map[string]*trigger
	views       map[string]*view
	stacks      map[string][]*view
	homes       map[string]*view
	files       map[string]*file
	sockets     []*socket
	tickets     map[string]time.Time
	nextSocket  int
	linkOff     bool
	duplicates  int
	pending     map[string]*Delivery
}

// New starts a fake on a free loopback port. Like httptest.NewServer it panics when it cannot: there is no test to
// continue without it.
func New(options Options) *Server {
	s, err := start(withDefaults(options))
	if err != nil {
		panic(fmt.Sprintf("slackfake: %v", err))
	}
	return s
}

func withDefaults(o Options) Options {
	if o.Workspace.TeamID == "" && o.Workspace.BotUserID == "" {
		o.Workspace = DefaultWorkspace()
	}
	if o.Clock == nil {
		o.Clock = SystemClock{}
	}
	if o.PingInterval <= 0 {
		o.PingInterval = defaultPing
	}
	if o.ShareDelay <= 0 {
		o.ShareDelay = defaultShareDelay
	}
	if o.Subscriptions == nil {
		o.Subscriptions = []string{"app_mention", "app_home_opened", "message.im", "member_joined_channel"}
	}
	if o.Commands == nil {
		o.Commands = []Command{{Name: "/why", ShouldEscape: true}, {Name: "/timeline", ShouldEscape: true}}
	}
	return o
}

func start(o Options) (*Server, error) {
	p, err := newPeople(o.Workspace)
	if err != nil {
		return nil, err
	}
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen on loopback: %w", err)
	}
	s := &Server{
		options: o, clock: o.Clock, listener: listener, people: p,
		client:   newDeliveryClient(),
		done:     make(chan struct{}),
		changed:  make(chan struct{}),
		lastTS:   map[string]int64{},
		messages: map[string][]*message{},
		hooks:    map[string]*responseHook{},
		triggers: map[string]*trigger{},
		views:    map[string]*view{},
		stacks:   map[string][]*view{},
		homes:    map[string]*view{},
		files:    map[string]*file{},
		tickets:  map[string]time.Time{},
		pending:  map[string]*Delivery{},
	}
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	s.running.Go(func() { _ = s.http.Serve(listener) })
	return s, nil
}

// URL returns the base of the Web API with a trailing slash, as SLACK_API_URL wants it.
func (s *Server) URL() string { return s.base() + "/api/" }

func (s *Server) base() string { return "http://" + s.listener.Addr().String() }

// Close cuts every connection, stops all deliveries and waits for its goroutines.
func (s *Server) Close() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	close(s.done)
	sockets := slices.Clone(s.sockets)
	for _, d := range s.pending {
		d.abandonLocked()
	}
	s.notifyLocked()
	s.mu.Unlock()
	for _, k := range sockets {
		k.close()
	}
	_ = s.http.Close()
	s.running.Wait()
	s.client.CloseIdleConnections()
}

// ServeHTTP routes a request; it is exported because http.Server wants it, call URL instead.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.enter() {
		http.Error(w, "closed", http.StatusServiceUnavailable)
		return
	}
	defer s.running.Done()
	path := r.URL.Path
	switch {
	case strings.HasPrefix(path, "/api/"):
		s.serveMethod(w, r, strings.TrimPrefix(path, "/api/"))
	case strings.HasPrefix(path, "/commands/"):
		s.serveResponseURL(w, r)
	case strings.HasPrefix(path, "/upload/"):
		s.serveUpload(w, r, strings.TrimPrefix(path, "/upload/"))
	case path == "/link/":
		s.serveSocket(w, r)
	default:
		http.NotFound(w, r)
	}
}

// enter registers a request so that Close waits for it.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.running.Add(1)
	return true
}

// notifyLocked wakes everything that waits for a change of state.
func (s *Server) notifyLocked() {
	close(s.changed)
	s.changed = make(chan struct{})
}

var errClosed = errors.New("the fake Slack was closed")

// await returns once cond, which runs with the lock held, is true.
func (s *Server) await(ctx context.Context, cond func() bool) error {
	for {
		s.mu.Lock()
		ok, changed, closed := cond(), s.changed, s.closed
		s.mu.Unlock()
		if ok {
			return nil
		}
		if closed {
			return errClosed
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// later runs f with the lock held after d, unless the server is closed by then.
func (s *Server) later(d time.Duration, f func()) func() {
	return s.clock.AfterFunc(d, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.closed {
			f()
		}
	})
}

// newIDLocked returns an identifier that no other object of this server has.
func (s *Server) newIDLocked(prefix string) string {
	s.ids++
	return fmt.Sprintf("%s%06d", prefix, s.ids)
}
