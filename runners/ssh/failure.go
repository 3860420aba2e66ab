package ssh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"

	"whybot/runners"
)

// failure is an *runners.Error of this runner.
func failure(kind runners.Kind, node, op, hint string, err error) *runners.Error {
	return &runners.Error{Kind: kind, Runner: "ssh", Target: node, Op: op, Hint: hint, Err: err}
}

// A limit is the cause of a context that one of our own limits ended.
type limit struct {
	stage string // "dial", "handshake", "exec"
	after time.Duration
}

func (l *limit) Error() string { return fmt.Sprintf("%s deadline of %s passed", l.stage, l.after) }

// Is makes a limit look like the deadline error that it stands for.
func (l *limit) Is(target error) bool { return target == context.DeadlineExceeded }

// within bounds ctx and names the limit in its cause.
func within(ctx context.Context, stage string, after time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, after, &limit{stage, after})
}

// stopped is the failure of something that ctx ended.
func stopped(ctx context.Context, node, op string) *runners.Error {
	cause := context.Cause(ctx)
	var l *limit
	switch {
	case errors.As(cause, &l) && l.stage == "dial":
		return failure(runners.Unreachable, node, op, "no answer: "+l.Error(), cause)
	case errors.As(cause, &l):
		return failure(runners.TooSlow, node, op, l.Error(), cause)
	case errors.Is(cause, errClosed):
		return closedFailure(node, op)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return failure(runners.TooSlow, node, op, "the deadline of the whole request passed", cause)
	default:
		return failure(runners.Unknown, node, op, "the request was cancelled", cause)
	}
}

// closedFailure is the failure of something that the pool's end ended.
func closedFailure(node, op string) *runners.Error {
	return failure(runners.Unknown, node, op, "the connection pool was closed", errClosed)
}

var (
	errClosed = errors.New("ssh: the pool is closed")
	errLost   = errors.New("ssh: the connection was lost")
	// errNotBegun is certain: the shell exited and ran nothing of ours.
	errNotBegun = errors.New("ssh: the script did not begin")
)

// dialFailure explains why no TCP connection came to stand.
func dialFailure(t *target, err error) *runners.Error {
	const op = "connect"
	var dns *net.DNSError
	var refused *ssh.OpenChannelError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return failure(runners.Refused, t.node, op, "nothing listens on "+t.addr, err)
	case errors.As(err, &dns):
		return failure(runners.Unreachable, t.node, op,
			fmt.Sprintf("%q does not resolve: add HostName for it to %s", t.host, t.configFile), err)
	case errors.As(err, &refused):
		return jumpFailure(t, refused)
	default:
		return failure(runners.Unreachable, t.node, op, "no connection to "+t.addr, err)
	}
}

// jumpFailure explains what the jump host said about the next hop.
func jumpFailure(t *target, err *ssh.OpenChannelError) *runners.Error {
	const op = "connect"
	jump := t.jumpName()
	switch {
	case strings.Contains(strings.ToLower(err.Message), "refused"):
		return failure(runners.Refused, t.node, op, fmt.Sprintf("nothing listens on %s, says jump host %s", t.addr, jump), err)
	case err.Reason == ssh.Prohibited:
		return failure(runners.Unreachable, t.node, op,
			fmt.Sprintf("jump host %s forbids forwarding to %s: see AllowTcpForwarding and PermitOpen there", jump, t.addr), err)
	default:
		return failure(runners.Unreachable, t.node, op, fmt.Sprintf("jump host %s cannot connect to %s", jump, t.addr), err)
	}
}

// handshakeFailure explains why a TCP connection did not become an SSH one.
func handshakeFailure(t *target, err error) *runners.Error {
	const op = "handshake"
	var negotiation *ssh.AlgorithmNegotiationError
	switch {
	case errors.As(err, &negotiation) && strings.Contains(err.Error(), "host key"):
		return failure(runners.HostKey, t.node, op,
			fmt.Sprintf("%s offers no host key of a type that known_hosts has for it; nothing was sent", t.addr), err)
	case errors.As(err, &negotiation):
		return failure(runners.Invalid, t.node, op, "no common algorithm with "+t.addr, err)
	case strings.Contains(err.Error(), "unable to authenticate"):
		return failure(runners.Authentication, t.node, op, fmt.Sprintf(
			"%s does not accept user %s with %s: check User and IdentityFile in %s and authorized_keys there",
			t.addr, t.user, t.offered, t.configFile), err)
	case strings.Contains(err.Error(), "version string"):
		return failure(runners.Invalid, t.node, op, t.addr+" does not speak SSH", err)
	default:
		return failure(runners.Unreachable, t.node, op,
			t.addr+" closed the connection during the handshake: MaxStartups, a firewall or a dying sshd", err)
	}
}
