package openstack

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"

	"github.com/gophercloud/gophercloud/v2"

	"whybot/runners"
)

// A garbage is an answer that could not be decoded.
type garbage struct{ err error }

func (g *garbage) Error() string { return "decode the answer: " + g.err.Error() }
func (g *garbage) Unwrap() error { return g.err }

const notThisAPI = "the answer is not the JSON of this API: is there a proxy or a login page in between?"

// explain turns whatever ended a call into a runners.Error. The SDK's text
// quotes URLs and bodies, so it stays in Err.
func (c *Client) explain(ctx context.Context, service, op string, err error) error {
	if known, ok := errors.AsType[*runners.Error](err); ok {
		return known
	}
	if ctx.Err() != nil {
		return explainEnd(ctx, service, op)
	}
	if code, ok := errors.AsType[gophercloud.ErrUnexpectedResponseCode](err); ok {
		return explainStatus(code, service, op)
	}
	kind, hint := explainNetwork(err)
	return fail(kind, service, op, hint, err)
}

// explainEnd says why the context ended the call: its own deadline, the
// caller's, or that the caller changed their mind.
func explainEnd(ctx context.Context, service, op string) error {
	cause := context.Cause(ctx)
	if slow, ok := cause.(*tooSlow); ok { //nolint:errorlint // a wrapped one belongs to another call
		return fail(runners.TooSlow, service, op, "no answer within "+slow.after.String(), cause)
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return fail(runners.Unknown, service, op, "the question was cancelled", cause)
	}
	return fail(runners.TooSlow, service, op, "the time for the whole question is up", cause)
}

func explainStatus(code gophercloud.ErrUnexpectedResponseCode, service, op string) error {
	kind, hint := runners.Unknown, fmt.Sprintf("HTTP %d", code.Actual)
	switch code.Actual {
	case http.StatusUnauthorized:
		kind, hint = runners.Authentication, "the token was rejected"
		if service == keystone {
			hint = "look at user, password, project and their domains; Keystone does not say which is wrong"
		}
	case http.StatusForbidden:
		kind, hint = runners.Hidden, "the policy wants another role, admin by default"
	case http.StatusNotFound:
		kind, hint = runners.NotFound, ""
		if service == keystone {
			hint = "is auth_url right? It ends in /v3 on most clouds"
		}
	case http.StatusNotAcceptable:
		hint = "HTTP 406: " + service + " is older than the microversion that whybot asks for"
	case http.StatusPreconditionFailed:
		kind, hint = runners.Invalid, "nothing was changed: somebody else changed it at the same moment"
	case http.StatusTooManyRequests:
		hint = "HTTP 429: the API limits the rate"
	default:
		switch code.Actual / 100 {
		case 2:
			kind, hint = runners.Invalid, notThisAPI
		case 3:
			hint += ": the endpoint redirects, which is not followed because it would carry the token along; use the final address"
		}
	}
	return fail(kind, service, op, hint, code)
}

func explainNetwork(err error) (runners.Kind, string) {
	var (
		dns       *net.DNSError
		timeout   net.Error
		record    tls.RecordHeaderError
		untrusted *tls.CertificateVerificationError
		syntax    *json.SyntaxError
		mistyped  *json.UnmarshalTypeError
		tooLarge  *http.MaxBytesError
		garbled   *garbage
	)
	switch {
	case errors.As(err, &garbled), errors.As(err, &syntax), errors.As(err, &mistyped):
		return runners.Invalid, notThisAPI
	case errors.As(err, &tooLarge):
		return runners.Invalid, "the answer is too large"
	case errors.Is(err, syscall.ECONNREFUSED):
		return runners.Refused, "nothing listens at the endpoint"
	case errors.As(err, &untrusted):
		return runners.Unknown, "the certificate is not trusted: name its authority with cacert in clouds.yaml"
	case errors.As(err, &record):
		return runners.Unknown, "the endpoint does not speak TLS"
	case errors.As(err, &dns):
		return runners.Unreachable, "the endpoint's name cannot be resolved"
	case errors.As(err, &timeout) && timeout.Timeout():
		return runners.TooSlow, "the connection timed out"
	case isUnreachable(err):
		return runners.Unreachable, ""
	}
	return runners.Unknown, ""
}

func isUnreachable(err error) bool {
	for _, target := range []error{
		syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.ECONNRESET, syscall.EPIPE, io.EOF, io.ErrUnexpectedEOF,
	} {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}

// neutronType returns the type that Neutron gave its error, such as
// NetworkHostedByDHCPAgent, or "".
func neutronType(err error) string {
	code, ok := errors.AsType[gophercloud.ErrUnexpectedResponseCode](err)
	if !ok {
		return ""
	}
	var body struct {
		NeutronError struct {
			Type string `json:"type"`
		}
	}
	if json.Unmarshal(code.Body, &body) != nil {
		return "" // not Neutron's own words, so not its type either
	}
	return body.NeutronError.Type
}
