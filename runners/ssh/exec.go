package ssh

import (
	"context"
	"errors"
	"io"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"whybot/runners"
)

// grace is how long a node may take to confirm that a session is closed
// before its connection is closed instead.
const grace = time.Second

// A transcript is what came of one exec.
type transcript struct {
	out, err *stream
	cause    error // errFlood, or why the exec ended before its last mark; nil: complete
	failure  *runners.Error
}

// begun says whether the script ran at all.
func (t *transcript) begun() bool { return t.out.frames[0].began || t.err.frames[0].began }

// An opener opens the session of one exec on a node.
type opener func(ctx context.Context, node string) (*session, error)

// exec runs command on node and reads its frames. The error says that the
// command was not started; sent says whether it may have been all the same.
func (p *Pool) exec(ctx context.Context, node string, open opener, command, nonce string, probes int) (t *transcript, sent bool, err error) {
	ectx, cancel := within(ctx, "exec", p.opts.Exec)
	defer cancel()
	s, err := open(ectx, node)
	if err != nil {
		return nil, false, err
	}
	defer s.conn.release()
	stdout, err := s.StdoutPipe()
	if err != nil {
		return nil, false, p.abandon(s, node, err)
	}
	stderr, err := s.StderrPipe()
	if err != nil {
		return nil, false, p.abandon(s, node, err)
	}
	// Closing is what ends every wait below.
	ender := p.endWith(ctx, ectx, s)
	defer ender()
	if err := s.Start(command); err != nil {
		_ = s.Close()
		<-s.conn.slots
		return nil, true, startFailure(ectx, node, err)
	}
	exited := make(chan error, 1)
	if !p.spawn(func() { exited <- s.Wait(); <-s.conn.slots }) {
		s.conn.drop()
		return nil, true, closedFailure(node, "run")
	}
	t = p.transcribe(s, stdout, stderr, nonce, probes)
	if t.cause == nil {
		p.leave(s, exited)
		return t, true, nil
	}
	_ = s.Close() // what still runs there loses its streams
	if errors.Is(t.cause, io.EOF) {
		t.failure = endOf(ectx, node, t, exited)
	} else {
		t.failure = failure(runners.Invalid, node, "run", t.cause.Error(), t.cause)
		if ectx.Err() != nil {
			t.failure = stopped(ectx, node, "run")
		}
	}
	return t, true, nil
}

// leave lets the script, which has said its last word, end by itself: closing
// the session under it would leave it counted against the node's MaxSessions
// after it is free in our count. What does not end in time is closed.
func (p *Pool) leave(s *session, exited <-chan error) {
	if !p.spawn(func() {
		late := time.AfterFunc(grace, func() { _ = s.Close() })
		defer late.Stop()
		if err := <-exited; err != nil {
			p.opts.Log.Debug("ssh session ended badly after its last word", "error", err)
		}
	}) {
		s.conn.drop()
	}
}

// abandon closes a session that was never started.
func (p *Pool) abandon(s *session, node string, err error) error {
	_ = s.Close()
	<-s.conn.slots
	return failure(runners.Unknown, node, "run", "", err)
}

// endWith closes s when ctx ends, and the whole connection when the exec
// limit passes or the node does not confirm in time: it may be hanging.
func (p *Pool) endWith(ctx, ectx context.Context, s *session) (stop func()) {
	finished := make(chan struct{})
	watching := p.spawn(func() {
		select {
		case <-finished:
			return
		case <-ectx.Done():
		case <-p.ctx.Done():
			s.conn.drop()
			return
		}
		if ctx.Err() == nil { // our own limit
			s.conn.drop()
			return
		}
		_ = s.Close()
		select {
		case <-finished:
		case <-time.After(grace):
			s.conn.drop()
		}
	})
	if !watching {
		s.conn.drop()
	}
	return func() { close(finished) }
}

func startFailure(ctx context.Context, node string, err error) *runners.Error {
	if ctx.Err() != nil {
		return stopped(ctx, node, "run")
	}
	if errors.Is(err, io.EOF) {
		return failure(lostKind, node, "run", "the connection was lost", err)
	}
	return failure(runners.Authentication, node, "run",
		"the node refuses to run commands for this user: see ForceCommand and authorized_keys there", err)
}

// transcribe reads both streams until both are finished or one fails.
func (p *Pool) transcribe(s *session, stdout, stderr io.Reader, nonce string, probes int) *transcript {
	var left atomic.Int64
	left.Store(int64(p.opts.MaxTotal))
	t := &transcript{
		out: newStream(nonce, probes, p.opts.MaxOutput, &left),
		err: newStream(nonce, probes, p.opts.MaxOutput, &left),
	}
	type ended struct {
		stream *stream
		err    error
	}
	ends := make(chan ended, 2)
	for st, r := range map[*stream]io.Reader{t.out: stdout, t.err: stderr} {
		go func() { ends <- ended{st, st.read(r)} }()
	}
	var deadline *time.Timer
	for range 2 {
		e := <-ends
		if e.stream.done && e.err == nil {
			continue
		}
		if e.err == nil {
			e.err = io.EOF
		}
		if t.cause == nil || errors.Is(t.cause, io.EOF) {
			t.cause = e.err
		}
		if !errors.Is(e.err, io.EOF) && deadline == nil { // stop the other stream too
			_ = s.Close()
			deadline = time.AfterFunc(grace, s.conn.drop)
			defer deadline.Stop()
		}
	}
	return t
}

// endOf explains why both streams ended without the script's last mark.
func endOf(ctx context.Context, node string, t *transcript, exited <-chan error) *runners.Error {
	if ctx.Err() != nil {
		return stopped(ctx, node, "run")
	}
	var err error
	select {
	case err = <-exited:
	case <-ctx.Done():
		return stopped(ctx, node, "run")
	}
	var exit *ssh.ExitError
	switch {
	case err != nil && !errors.As(err, &exit):
		return failure(lostKind, node, "run", "the connection was lost while the node was working", errors.Join(errLost, err))
	case exit != nil && exit.Signal() != "":
		return failure(runners.Invalid, node, "run", "the shell there was killed by signal "+strconv.Quote(exit.Signal()), err)
	case !t.begun():
		return failure(runners.Invalid, node, "run", "the login shell did not run the command"+said(t), errors.Join(errNotBegun, err))
	default:
		return failure(runners.Invalid, node, "run", "the shell there ended early", err)
	}
}

// said quotes the first thing that was printed outside the frames.
func said(t *transcript) string {
	for _, stray := range [][]byte{t.err.stray, t.out.stray} {
		if len(stray) > 0 {
			return "; it printed " + strconv.QuoteToASCII(string(stray[:min(len(stray), 120)]))
		}
	}
	return ""
}
