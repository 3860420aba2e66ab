package ssh

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// A Pool holds one connection per node. It is safe for concurrent use.
type Pool struct {
	opts   Options
	config *clientConfig
	keys   hostKeys

	ctx    context.Context //nolint:containedctx // the pool's own life, which outlasts every call; it ends with Close
	cancel context.CancelCauseFunc
	work   sync.WaitGroup // every goroutine of the pool

	mu      sync.Mutex
	entries map[string]*entry // by target.key
}

// An entry is a connection, or the attempt to make one that its callers share.
type entry struct {
	ready chan struct{} // closed when conn and err are set
	conn  *conn
	err   error
}

// New reads the client config and returns a Pool with no connections yet.
func New(o Options) (*Pool, error) {
	if err := o.defaults(); err != nil {
		return nil, err
	}
	config, err := readConfig(o.ConfigFile, o.Home)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	return &Pool{opts: o, config: config, ctx: ctx, cancel: cancel, entries: map[string]*entry{}}, nil
}

// Close drops every connection and returns when nothing of the pool runs any
// more. What still was under way fails.
func (p *Pool) Close() error {
	p.mu.Lock()
	p.cancel(errClosed)
	p.mu.Unlock()
	p.work.Wait()
	return nil
}

// Forget drops the pooled connection to node, so that the next call proves
// that the node still lets us in. Calls under way on it fail.
func (p *Pool) Forget(node string) {
	t, err := p.config.resolve(node)
	if err != nil {
		return // never connected
	}
	p.mu.Lock()
	e := p.entries[t.key]
	p.mu.Unlock()
	if e == nil {
		return
	}
	select {
	case <-e.ready:
		if e.conn != nil {
			e.conn.drop()
		}
	default: // being dialled: that is new enough
	}
}

// spawn runs fn as one of the pool's goroutines; false when the pool is closed.
func (p *Pool) spawn(fn func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.spawnLocked(fn)
}

func (p *Pool) spawnLocked(fn func()) bool {
	if p.ctx.Err() != nil {
		return false
	}
	p.work.Go(fn)
	return true
}

// connection returns a live connection to t in use by the caller, who must
// release it, and whether it was there before.
func (p *Pool) connection(ctx context.Context, t *target) (c *conn, pooled bool, err error) {
	for {
		e, pooled := p.entry(t)
		if e == nil {
			return nil, false, closedFailure(t.node, "connect")
		}
		select {
		case <-e.ready:
		case <-ctx.Done():
			return nil, false, stopped(ctx, t.node, "connect")
		}
		if e.err != nil {
			return nil, false, e.err
		}
		if e.conn.acquire() {
			return e.conn, pooled, nil
		}
		p.remove(t.key, e) // it ended between the two
	}
}

// entry returns t's entry and whether it already was connected; it starts the
// dial when there is none. It returns nil when the pool is closed.
func (p *Pool) entry(t *target) (*entry, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.entries[t.key]; e != nil {
		select {
		case <-e.ready:
			return e, true
		default:
			return e, false
		}
	}
	e := &entry{ready: make(chan struct{})}
	// The dial belongs to the pool: the caller who started it may give up
	// while others still wait for it.
	if !p.spawnLocked(func() { p.establish(t, e) }) {
		return nil, false
	}
	p.entries[t.key] = e
	return e, false
}

func (p *Pool) establish(t *target, e *entry) {
	e.conn, e.err = p.dial(p.ctx, t)
	if e.err != nil {
		p.remove(t.key, e)
	} else if !p.spawn(func() { p.tend(t, e) }) {
		e.conn.drop()
		_ = e.conn.client.Wait() // it was closed by us
		e.conn.parentRelease()
		e.conn, e.err = nil, closedFailure(t.node, "connect")
	}
	close(e.ready)
}

func (p *Pool) remove(key string, e *entry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.entries[key] == e {
		delete(p.entries, key)
	}
}

// tend keeps a connection alive while it is used, ends it when it is idle or
// dead, and takes it out of the pool.
func (p *Pool) tend(t *target, e *entry) {
	c := e.conn
	gone := make(chan struct{})
	p.work.Go(func() { // allowed: tend itself is counted, so the count is not zero
		defer close(gone)
		_ = c.client.Wait() // why it ended is seen by those who used it
	})
	defer func() {
		p.remove(t.key, e)
		c.drop()
		<-gone
		c.parentRelease()
	}()

	tick := time.NewTicker(min(p.opts.Keepalive, p.opts.Idle))
	defer tick.Stop()
	beat := keepalive{every: p.opts.Keepalive, sent: time.Now(), answered: make(chan error, 1)}
	for {
		select {
		case <-p.ctx.Done():
			return
		case <-gone:
			return
		case err := <-beat.answered:
			if err != nil {
				return
			}
			beat.pending, beat.missed = false, 0
		case now := <-tick.C:
			if c.expire(now.Add(-p.opts.Idle)) {
				return
			}
			if !beat.next(now, c.client, p.work.Go) {
				p.opts.Log.Warn("ssh connection dropped: keepalives unanswered", "node", t.node, "missed", beat.missed)
				return
			}
		}
	}
}

// maxMissed keepalives in a row end a connection.
const maxMissed = 2

// A keepalive asks the node again and again whether it is there.
type keepalive struct {
	every    time.Duration
	sent     time.Time
	pending  bool
	missed   int
	answered chan error
}

// next sends a keepalive when one is due; false when too many are unanswered.
func (k *keepalive) next(now time.Time, client *ssh.Client, spawn func(func())) bool {
	if now.Sub(k.sent) < k.every {
		return true
	}
	k.sent = now
	if k.pending {
		k.missed++
		return k.missed < maxMissed
	}
	k.pending = true
	spawn(func() { // ends with an answer or with the connection
		_, _, err := client.SendRequest("keepalive@openssh.com", true, nil)
		k.answered <- err
	})
	return true
}

// A conn is one authenticated connection.
type conn struct {
	client *ssh.Client
	parent *conn         // the jump host's, in use as long as this one lives
	slots  chan struct{} // sessions open at once

	mu    sync.Mutex
	users int
	last  time.Time // when users became 0
	ended bool
}

// maxSessions stays under sshd's MaxSessions, which is 10.
const maxSessions = 9

func newConn(client *ssh.Client, parent *conn) *conn {
	return &conn{client: client, parent: parent, slots: make(chan struct{}, maxSessions), last: time.Now()}
}

func (c *conn) acquire() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return false
	}
	c.users++
	return true
}

func (c *conn) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.users--
	c.last = time.Now()
}

// expire marks c ended if nobody has used it since then.
func (c *conn) expire(since time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.users == 0 && !c.last.After(since) {
		c.ended = true
	}
	return c.ended
}

// drop closes c; whatever runs on it fails.
func (c *conn) drop() {
	c.mu.Lock()
	c.ended = true
	c.mu.Unlock()
	_ = c.client.Close() // it may be closed already, which is as good
}

func (c *conn) parentRelease() {
	if c.parent != nil {
		c.parent.release()
	}
}

// A session is an open channel for one exec.
type session struct {
	*ssh.Session
	conn *conn
}

// session opens a session on node's connection. A pooled connection that turns
// out to be dead is replaced once: nothing has been sent on it yet.
func (p *Pool) session(ctx context.Context, node string) (*session, error) {
	t, err := p.config.resolve(node)
	if err != nil {
		return nil, err
	}
	for {
		c, pooled, err := p.connection(ctx, t)
		if err != nil {
			return nil, err
		}
		s, err := p.open(ctx, t, c)
		if err == nil {
			return s, nil
		}
		c.release()
		if !pooled || !errors.Is(err, errLost) || ctx.Err() != nil {
			return nil, err
		}
		p.opts.Log.InfoContext(ctx, "ssh connection was dead, dialling anew", "node", node)
	}
}

// open opens a session within the handshake limit. An error that is errLost
// says that the connection is no good and was dropped.
func (p *Pool) open(ctx context.Context, t *target, c *conn) (*session, error) {
	octx, cancel := within(ctx, "session open", p.opts.Handshake)
	defer cancel()
	for {
		s, err := p.openOnce(ctx, octx, t, c)
		var refused *ssh.OpenChannelError
		if !errors.As(err, &refused) || len(c.slots) == 0 {
			return s, err
		}
		// Refused while others of ours are open: the node's MaxSessions is
		// smaller than usual, or it has not counted an ended one off yet.
		select {
		case <-time.After(refusedPause):
		case <-octx.Done():
			return nil, err
		}
	}
}

// refusedPause is the time between two tries to open a session.
const refusedPause = 50 * time.Millisecond

// openOnce tries once; octx is ctx with the handshake limit.
func (p *Pool) openOnce(ctx, octx context.Context, t *target, c *conn) (*session, error) {
	const op = "open session"
	select {
	case c.slots <- struct{}{}:
	case <-octx.Done():
		e := stopped(octx, t.node, op)
		e.Hint = "all sessions to the node are in use; " + e.Hint
		return nil, e
	}
	answer := make(chan opened, 1)
	if !p.spawn(func() { s, err := c.client.NewSession(); answer <- opened{s, err} }) {
		return nil, closedFailure(t.node, op)
	}
	var o opened
	select {
	case o = <-answer:
	case <-octx.Done():
		e := stopped(octx, t.node, op)
		if ctx.Err() != nil { // the caller's end says nothing about the connection
			if !p.spawn(func() { discard(c, <-answer) }) {
				c.drop()
			}
			return nil, e
		}
		// The node does not answer on this connection: it is of no use to
		// anybody, and closing it ends the goroutine above.
		c.drop()
		<-answer
		e.Err = errors.Join(errLost, e.Err)
		return nil, e
	}
	if o.err == nil {
		return &session{Session: o.s, conn: c}, nil
	}
	<-c.slots
	if refused, ok := errors.AsType[*ssh.OpenChannelError](o.err); ok {
		return nil, sessionRefused(t.node, refused)
	}
	c.drop()
	return nil, failure(lostKind, t.node, op, "the connection was lost", errors.Join(errLost, o.err))
}

// opened is the answer to opening a session.
type opened struct {
	s   *ssh.Session
	err error
}

// discard closes a session that came too late for its caller.
func discard(c *conn, o opened) {
	if o.err == nil {
		_ = o.s.Close() // nothing runs in it
	}
	<-c.slots
}
