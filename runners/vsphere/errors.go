package vsphere

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"syscall"

	"github.com/vmware/govmomi/fault"
	"github.com/vmware/govmomi/vim25/types"

	"whybot/runners"
)

// fail makes the error of this package's runner.
func (c *Client) fail(kind runners.Kind, op, hint string, err error) *runners.Error {
	return &runners.Error{Kind: kind, Runner: "vsphere", Target: "vcenter", Op: op, Hint: hint, Err: err}
}

// explain turns whatever ended a call into a runners.Error. The SDK's text
// quotes addresses and answers, so it stays in Err.
func (c *Client) explain(ctx context.Context, op string, err error) error {
	if known, ok := errors.AsType[*runners.Error](err); ok {
		return known
	}
	if ctx.Err() != nil {
		return c.explainEnd(ctx, op)
	}
	if kind, hint := explainFault(err, op); kind != runners.Unknown || hint != "" {
		return c.fail(kind, op, hint, err)
	}
	kind, hint := explainNetwork(err)
	return c.fail(kind, op, hint, err)
}

func (c *Client) explainEnd(ctx context.Context, op string) error {
	cause := context.Cause(ctx)
	if slow, ok := cause.(*tooSlow); ok { //nolint:errorlint // a wrapped one belongs to another call
		return c.fail(runners.TooSlow, op, "no answer within "+slow.after.String(), cause)
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return c.fail(runners.Unknown, op, "the question was cancelled", cause)
	}
	return c.fail(runners.TooSlow, op, "the time for the whole question is up", cause)
}

// explainFault reads what vCenter itself says.
func explainFault(err error, op string) (runners.Kind, string) {
	switch {
	case fault.Is(err, &types.InvalidLogin{}):
		return runners.Authentication, "look at user and password; a user of vCenter is written with its domain, such as whybot@vsphere.local"
	case fault.Is(err, &types.NotAuthenticated{}):
		return runners.Authentication, "vCenter has ended the session"
	case fault.Is(err, &types.NoPermission{}):
		if op == "Login" {
			return runners.Authentication, "the user has no role anywhere in this vCenter: give it Read-only"
		}
		return runners.Hidden, "give whybot's user a role there: Read-only lets it look"
	case fault.Is(err, &types.ManagedObjectNotFound{}), fault.Is(err, &types.NotFound{}):
		return runners.NotFound, ""
	case fault.Is(err, &types.ConcurrentAccess{}):
		return runners.Invalid, "nothing was changed: somebody else changed it at the same moment"
	case fault.Is(err, &types.InvalidArgument{}):
		return runners.Invalid, "vCenter does not take that value"
	case fault.Is(err, &types.NotSupported{}), fault.Is(err, &types.MethodNotFound{}):
		return runners.Invalid, "this vCenter has no such call"
	case fault.Is(err, &types.HostCommunication{}), fault.Is(err, &types.HostNotConnected{}):
		return runners.Unreachable, "vCenter does not reach the ESXi host"
	}
	return runners.Unknown, ""
}

func explainNetwork(err error) (runners.Kind, string) {
	var (
		dns       *net.DNSError
		timeout   net.Error
		record    tls.RecordHeaderError
		untrusted *tls.CertificateVerificationError
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
	)
	switch {
	case errors.Is(err, errPinned):
		return runners.HostKey, "its certificate is not the one with the configured thumbprint: was it renewed?"
	case errors.As(err, &untrusted), errors.As(err, &authority), errors.As(err, &name):
		return runners.HostKey, "no authority that this machine trusts vouches for its certificate: pin it with vsphere.thumbprint"
	case errors.As(err, &record):
		return runners.Invalid, "it does not speak TLS there"
	case errors.Is(err, syscall.ECONNREFUSED):
		return runners.Refused, ""
	case errors.As(err, &dns):
		return runners.Unreachable, "its name is not known"
	case errors.As(err, &timeout) && timeout.Timeout():
		return runners.TooSlow, ""
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.ECONNRESET):
		return runners.Unreachable, ""
	case notSOAP(err):
		return runners.Invalid, "what answers there is no vCenter: is the address right? It ends in /sdk"
	}
	return runners.Unknown, "the call failed; whybot's log at level debug says more"
}

// notSOAP recognises the words of the SDK for an answer that it could not read.
func notSOAP(err error) bool {
	text := err.Error()
	for _, sign := range []string{"XML syntax error", "EOF", "404 Not Found", "expected element", "405 Method"} {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return false
}
