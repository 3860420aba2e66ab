package ssh

import (
	"context"
	"errors"
	"net"

	"golang.org/x/crypto/ssh"

	"whybot/runners"
)

const lostKind = runners.Unreachable

func sessionRefused(node string, err *ssh.OpenChannelError) *runners.Error {
	return failure(runners.Authentication, node, "open session",
		"the node refuses sessions: see MaxSessions and ForceCommand in its sshd_config", err)
}

// dial makes the authenticated connection to t, through its jump hosts.
func (p *Pool) dial(ctx context.Context, t *target) (*conn, error) {
	known, err := p.keys.load(t)
	if err != nil {
		return nil, err
	}
	algorithms := known.algorithms(t)
	if len(algorithms) == 0 {
		return nil, unknownHost(t, nil) // before a single byte is sent
	}
	raw, parent, err := p.dialTCP(ctx, t)
	if err != nil {
		return nil, err
	}
	client, err := p.handshake(ctx, t, raw, known, algorithms)
	if err != nil {
		_ = raw.Close() // the handshake's error is the one that counts
		if parent != nil {
			parent.release()
		}
		return nil, err
	}
	return newConn(client, parent), nil
}

// dialTCP connects to t's address, on the jump host when there is one. The
// jump host's connection comes back in use.
func (p *Pool) dialTCP(ctx context.Context, t *target) (net.Conn, *conn, error) {
	if t.via == nil {
		dctx, cancel := within(ctx, "dial", p.opts.Dial)
		defer cancel()
		raw, err := (&net.Dialer{}).DialContext(dctx, "tcp", t.addr)
		if err != nil && dctx.Err() != nil {
			return nil, nil, stopped(dctx, t.node, "connect to "+t.addr)
		}
		if err != nil {
			return nil, nil, dialFailure(t, err)
		}
		return raw, nil, nil
	}
	for {
		parent, pooled, err := p.connection(ctx, t.via)
		if err != nil {
			return nil, nil, viaJump(t, err)
		}
		raw, err := p.dialThrough(ctx, t, parent)
		if err == nil {
			return raw, parent, nil
		}
		parent.release()
		if !pooled || !errors.Is(err, errLost) || ctx.Err() != nil {
			return nil, nil, err
		}
		p.opts.Log.InfoContext(ctx, "ssh connection was dead, dialling anew", "node", t.via.node)
	}
}

// dialThrough connects to t's address from its jump host. An error that is
// errLost says that the connection to the jump host was no good and was
// dropped.
func (p *Pool) dialThrough(ctx context.Context, t *target, parent *conn) (net.Conn, error) {
	dctx, cancel := within(ctx, "dial", p.opts.Dial)
	defer cancel()
	raw, err := parent.client.DialContext(dctx, "tcp", t.addr)
	if err == nil {
		return raw, nil
	}
	if dctx.Err() != nil {
		return nil, stopped(dctx, t.node, "connect to "+t.addr+" through "+t.jumpName())
	}
	if _, answered := errors.AsType[*ssh.OpenChannelError](err); !answered {
		parent.drop()
		err = errors.Join(errLost, err)
	}
	return nil, dialFailure(t, err)
}

// A wire takes no more writes once reading it has failed. The SSH client has a
// moment in which it has told everybody who waits that the connection is lost
// but still sends; who asks in that moment would wait for ever.
type wire struct{ net.Conn }

// Read reads, and closes the connection on an error.
func (w wire) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if err != nil {
		_ = w.Close() // the reader's error is the one that counts
	}
	return n, err
}

// viaJump reports a jump host's failure as the failure of the node behind it.
func viaJump(t *target, err error) error {
	kind := runners.KindOf(err)
	return failure(kind, t.node, "connect through jump host", err.Error(), err)
}

// handshake exchanges keys and authenticates, within its limit.
func (p *Pool) handshake(ctx context.Context, t *target, raw net.Conn, known *knownList, algorithms []string) (*ssh.Client, error) {
	hctx, cancel := within(ctx, "handshake", p.opts.Handshake)
	defer cancel()
	id, err := p.identify(hctx, t)
	if err != nil {
		return nil, err
	}
	defer id.Close() //nolint:errcheck // the agent has signed what it had to
	t.offered = id.offered

	// A connection through a jump host has no SetDeadline, so the deadline is
	// kept by closing it; that also ends it with the pool.
	stop := context.AfterFunc(hctx, func() { _ = raw.Close() })
	var refused *runners.Error
	c, chans, reqs, err := ssh.NewClientConn(wire{raw}, t.addr, &ssh.ClientConfig{
		User:              t.user,
		Auth:              []ssh.AuthMethod{ssh.PublicKeys(id.signers...)},
		HostKeyCallback:   known.callback(t, &refused),
		HostKeyAlgorithms: algorithms,
		ClientVersion:     "SSH-2.0-whybot",
	})
	inTime := stop()
	switch {
	case refused != nil:
		return nil, refused
	case err != nil && hctx.Err() != nil:
		return nil, stopped(hctx, t.node, "handshake with "+t.addr)
	case err != nil:
		return nil, handshakeFailure(t, err)
	case !inTime: // the deadline closed it just after it had succeeded
		_ = c.Close()
		return nil, stopped(hctx, t.node, "handshake with "+t.addr)
	}
	return ssh.NewClient(c, chans, reqs), nil
}
