package openstack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"whybot/internal/cloudfake"
	"whybot/runners"
)

// Whatever hangs is given up within the call's own deadline, and the error
// names what hung.
func TestHangingServices(t *testing.T) {
	for _, tt := range []struct {
		name, service, path, target, hint string
		ask                               func(context.Context, *Client) error
	}{
		{"keystone", "keystone", "", "keystone", "within 200ms", findWeb1},
		{"nova", "nova", "", "nova", "within 200ms", findWeb1},
		{"neutron", "neutron", "", "neutron", "within 200ms", attach},
		{"the message bus", "nova", "/action", "nova", "message bus", func(ctx context.Context, c *Client) error {
			_, err := c.ConsoleLog(ctx, web1, 10)
			return err
		}},
		{"the removal", "neutron", "dhcp-networks", "neutron", "within", func(ctx context.Context, c *Client) error {
			return c.Do(ctx, remove(dhcp1, net1))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cloud := serve(t, model())
			c := dial(t, cloud, "admin", nil)
			if tt.service != "keystone" { // the login is not what is to be slow
				if _, err := c.connect(t.Context(), nil); err != nil {
					t.Fatal(err)
				}
			}
			c.timeout = 200 * time.Millisecond
			cloud.Inject(cloudfake.Fault{Service: tt.service, Path: tt.path, Hang: true})
			err := tt.ask(t.Context(), c)
			if e := wantKind(t, err, runners.TooSlow, tt.target); !strings.Contains(e.Hint, tt.hint) {
				t.Errorf("hint %q does not say %q", e.Hint, tt.hint)
			}
		})
	}
}

func findWeb1(ctx context.Context, c *Client) error {
	_, err := c.FindServers(ctx, "web-1")
	return err
}

func attach(ctx context.Context, c *Client) error {
	_, err := c.Attachments(ctx, runners.Server{ID: web1})
	return err
}

// One hanging list costs that list and nothing else.
func TestHangingAgentsCostOnlyAgents(t *testing.T) {
	cloud := serve(t, model())
	cloud.Inject(cloudfake.Fault{Path: "/v2.0/agents", Hang: true})
	c := dial(t, cloud, "admin", func(o *Options) { o.Timeout = 3 * time.Second })
	a := attachments(t, c)[0]
	if _, known := a.L2Agents.Get(); known || !strings.Contains(a.L2Agents.Why(), "too slow") {
		t.Errorf("L2 agents: known %v, why %q", known, a.L2Agents.Why())
	}
	if agents, known := a.DHCPAgents.Get(); !known || len(agents) != 2 {
		t.Errorf("DHCP agents: %v, known %v", agents, known)
	}
}

func TestTheCallersContext(t *testing.T) {
	for _, hang := range []string{"keystone", "nova", "neutron"} {
		cloud := serve(t, model())
		cloud.Inject(cloudfake.Fault{Service: hang, Hang: true})
		c := dial(t, cloud, "admin", nil)
		for name, ask := range map[string]func(context.Context, *Client) error{"find": findWeb1, "attach": attach} {
			if (hang == "nova" && name == "attach") || (hang == "neutron" && name == "find") {
				continue // does not ask the one that hangs
			}
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(50*time.Millisecond, cancel)
			err := ask(ctx, c)
			if !errors.Is(err, context.Canceled) || runners.KindOf(err) != runners.Unknown {
				t.Errorf("%s while %s hangs, cancelled: %v (kind %v)", name, hang, err, runners.KindOf(err))
			}
			ctx, cancel = context.WithTimeoutCause(t.Context(), 50*time.Millisecond, errBudget)
			err = ask(ctx, c)
			cancel()
			if !errors.Is(err, errBudget) || runners.KindOf(err) != runners.TooSlow {
				t.Errorf("%s while %s hangs, out of time: %v", name, hang, err)
			}
		}
	}
}

var errBudget = errors.New("the question's budget")

func TestExpiredTokenIsReplacedOnce(t *testing.T) {
	cloud := serve(t, model())
	c := dial(t, cloud, "admin", nil)
	if err := findWeb1(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	cloud.ExpireTokens()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := findWeb1(t.Context(), c); err != nil {
				t.Errorf("after the token expired: %v", err)
			}
		})
	}
	wg.Wait()
	if n := count(cloud, "POST", "/auth/tokens"); n != 2 {
		t.Errorf("%d logins, want one and one more", n)
	}
	// A service that rejects every token is not asked for ever.
	cloud.Inject(cloudfake.Fault{Service: "nova", Status: 401, Body: `{}`})
	wantKind(t, findWeb1(t.Context(), c), runners.Authentication, "nova")
	if n := count(cloud, "POST", "/auth/tokens"); n != 3 {
		t.Errorf("%d logins, want 3", n)
	}
}

// A login that failed is tried again: Keystone may be back.
func TestKeystoneComesBack(t *testing.T) {
	cloud := serve(t, model())
	c := dial(t, cloud, "admin", nil)
	cloud.Inject(cloudfake.Fault{Service: "keystone", Status: 503, Body: "<html>"})
	wantKind(t, findWeb1(t.Context(), c), runners.Unknown, "keystone")
	cloud.Heal()
	if err := findWeb1(t.Context(), c); err != nil {
		t.Error(err)
	}
}

func TestStatusToKind(t *testing.T) {
	for _, tt := range []struct {
		status int
		body   string
		kind   runners.Kind
		hint   string
	}{
		{400, `{"badRequest":{}}`, runners.Unknown, "HTTP 400"},
		{403, `{"forbidden":{}}`, runners.Hidden, "role"},
		{404, `{"itemNotFound":{}}`, runners.NotFound, ""},
		{406, `{"computeFault":{}}`, runners.Unknown, "microversion"},
		{429, ``, runners.Unknown, "rate"},
		{500, `{"computeFault":{}}`, runners.Unknown, "HTTP 500"},
		{503, `<html>`, runners.Unknown, "HTTP 503"},
		{302, ``, runners.Unknown, "redirect"},
		{206, `{}`, runners.Invalid, "proxy"},
		{200, `<html>Please log in</html>`, runners.Invalid, "proxy"},
		{200, ``, runners.Invalid, "proxy"},
		{200, `{"output":"cut of`, runners.Invalid, "proxy"},
		{200, `{"output":["a list"]}`, runners.Invalid, "proxy"},
		{200, `{}`, runners.Invalid, "proxy"},
		{200, `{"output":null}`, runners.Invalid, "proxy"},
		{200, `[]`, runners.Invalid, "proxy"},
		{200, `null`, runners.Invalid, "proxy"},
	} {
		cloud := serve(t, model())
		cloud.Inject(cloudfake.Fault{Service: "nova", Status: tt.status, Body: tt.body})
		_, err := dial(t, cloud, "admin", nil).ConsoleLog(t.Context(), web1, 1)
		e := wantKind(t, err, tt.kind, "nova")
		if !strings.Contains(e.Hint, tt.hint) {
			t.Errorf("%d %s: hint %q does not say %q", tt.status, tt.body, e.Hint, tt.hint)
		}
		if e.Op != "POST servers/{id}/action" || strings.Contains(e.Error(), "127.0.0.1") || strings.Contains(e.Error(), "<html>") {
			t.Errorf("%d: %v", tt.status, e)
		}
	}
}

// An answer without its list is not an empty list.
func TestListsThatAreNone(t *testing.T) {
	for _, body := range []string{`{}`, `{"ports":null}`, `{"ports":{}}`, `{"servers":[]}`, `[]`, `null`, `{"ports":[1]}`, ``} {
		cloud := serve(t, model())
		cloud.Inject(cloudfake.Fault{Path: "/ports", Status: 200, Body: body})
		wantKind(t, attach(t.Context(), dial(t, cloud, "admin", nil)), runners.Invalid, "neutron")
	}
}

func TestGarbledLogin(t *testing.T) {
	for _, tt := range []struct {
		status int
		body   string
	}{{201, `<html>`}, {200, `<html>login</html>`}, {201, `{"token":[]}`}, {201, `{"token":{"roles":"all"}}`}} {
		cloud := serve(t, model())
		cloud.Inject(cloudfake.Fault{Service: "keystone", Status: tt.status, Body: tt.body})
		wantKind(t, findWeb1(t.Context(), dial(t, cloud, "admin", nil)), runners.Invalid, "keystone")
	}
}

func TestNetworkFailures(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		kind runners.Kind
	}{
		{"no such name", &net.DNSError{Err: "no such host", Name: "keystone.example.org", IsNotFound: true}, runners.Unreachable},
		{"connection lost", io.ErrUnexpectedEOF, runners.Unreachable},
		{"dial timeout", &net.OpError{Op: "dial", Err: timeoutError{}}, runners.TooSlow},
		{"something else", errors.New("who knows"), runners.Unknown},
	} {
		cloud := serve(t, model())
		c := dial(t, cloud, "admin", func(o *Options) {
			o.Transport = roundTrip(func(*http.Request) (*http.Response, error) { return nil, tt.err })
		})
		err := findWeb1(t.Context(), c)
		wantKind(t, err, tt.kind, "keystone")
		if !errors.Is(err, tt.err) {
			t.Errorf("%s: the cause is lost for the log: %v", tt.name, errors.Unwrap(err))
		}
	}
}

type timeoutError struct{}

func (timeoutError) Error() string   { return "i/o timeout" }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return true }

func TestDeadCloud(t *testing.T) {
	cloud := serve(t, model())
	c := dial(t, cloud, "admin", nil)
	if err := findWeb1(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	cloud.Close()
	wantKind(t, findWeb1(t.Context(), c), runners.Refused, "nova")
	wantKind(t, findWeb1(t.Context(), dial(t, cloud, "admin", nil)), runners.Refused, "keystone")
}

// A redirect would hand the token to whoever it points at.
func TestRedirectsAreNotFollowed(t *testing.T) {
	var reached atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	t.Cleanup(elsewhere.Close)
	cloud := serve(t, model())
	c := dial(t, cloud, "admin", func(o *Options) {
		o.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			resp, err := http.DefaultTransport.RoundTrip(r)
			if err == nil && r.Method == http.MethodGet {
				resp.StatusCode = http.StatusFound
				resp.Header.Set("Location", elsewhere.URL)
			}
			return resp, err
		})
	})
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	wantKind(t, findWeb1(t.Context(), c), runners.Unknown, "nova")
	if reached.Load() != 0 {
		t.Error("the redirect was followed")
	}
}

func TestAnswersAreBounded(t *testing.T) {
	cloud := serve(t, model())
	for _, status := range []int{200, 500} {
		c := dial(t, cloud, "admin", func(o *Options) {
			o.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
				if r.Method == http.MethodPost {
					return http.DefaultTransport.RoundTrip(r)
				}
				return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(zeros{}), Request: r}, nil
			})
		})
		if err := findWeb1(t.Context(), c); err == nil {
			t.Errorf("an endless answer with status %d was accepted", status)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// zeros never ends.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestSecretsStayIn(t *testing.T) {
	m := model()
	const secret = "hunter2-correct-horse"
	m.Users = []cloudfake.User{{ID: "u", Name: "bot", Password: secret, ProjectID: payments, Role: "admin"}}
	cloud := serve(t, m)
	var log logBuffer
	c := dial(t, cloud, "admin", func(o *Options) { o.Log = debugLog(&log) })
	if err := findWeb1(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	token := c.session.services[nova].Token()
	if token == "" || !strings.Contains(log.String(), `op="GET servers/detail"`) {
		t.Fatalf("nothing to look for: token %q, log %s", token, log.String())
	}
	cloud.Update(func(m *cloudfake.Model) { m.Users[0].Password = "changed" })
	cloud.ExpireTokens()
	err := findWeb1(t.Context(), c)
	wantKind(t, err, runners.Authentication, "keystone")
	text := log.String() + c.Check(t.Context())[0].Detail
	for e := err; e != nil; e = errors.Unwrap(e) {
		text += fmt.Sprintf("%v %+v", e, e)
	}
	for _, s := range []string{secret, token} {
		if strings.Contains(text, s) {
			t.Errorf("%q leaked into %s", s, text)
		}
	}
}
