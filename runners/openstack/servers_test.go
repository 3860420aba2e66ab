package openstack

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"whybot/internal/cloudfake"
	"whybot/runners"
)

func TestFindServers(t *testing.T) {
	cloud := serve(t, model())
	admin := dial(t, cloud, "admin", nil)
	for _, tt := range []struct {
		ref  string
		want []string // ids
	}{
		{"web-1", []string{web1}}, // not WEB-1, not web-10
		{" web-1\n", []string{web1}},
		{"WEB-1", []string{"id-upper"}},
		{"Web-1", []string{web1, "id-upper"}}, // nobody has exactly this name: ask
		{"web.1", []string{"id-dot"}},         // the dot is a dot
		{"web-(1", []string{"id-paren"}},
		{`a+b*[c]^{d}|e?\f`, []string{"id-meta"}},
		{"漢字サーバ", []string{"id-cjk"}},
		{"$(reboot)", []string{"id-reboot"}},
		{"twin", []string{"id-twin", "id-twin-2"}}, // in two projects
		{"theirs", []string{theirs}},
		{"db-main", []string{"id-db"}},
		{web1, []string{web1}},
		{strings.ToUpper(web1), []string{web1}},
		{"10.30.92.101", []string{web1}},
		{"203.0.113.7", []string{web1}},
		{"fd00:0::5", []string{theirs}},        // another spelling of fd00::5
		{"10.30.92.1", []string{"id-address"}}, // nobody's address, but a name
	} {
		got, err := admin.FindServers(t.Context(), tt.ref)
		if err != nil {
			t.Errorf("%q: %v", tt.ref, err)
			continue
		}
		var ids []string
		for _, s := range got {
			ids = append(ids, s.ID)
		}
		slices.Sort(ids)
		if !slices.Equal(ids, tt.want) {
			t.Errorf("%q: %v, want %v", tt.ref, ids, tt.want)
		}
	}
	for _, r := range cloud.Requests() {
		if r.Service == "nova" && r.Microversion != novaMicroversion {
			t.Errorf("%s %s was asked at microversion %q, want %s", r.Method, r.Path, r.Microversion, novaMicroversion)
		}
	}
}

func TestServerVocabulary(t *testing.T) {
	m := model()
	m.Servers[0].Status, m.Servers[0].TaskState = "ERROR", "spawning"
	m.Servers[0].Fault = &cloudfake.ServerFault{Code: 500, Message: "Exceeded maximum number of retries."}
	cloud := serve(t, m)
	for role, hostKnown := range map[string]bool{"admin": true, "member": false, "reader": false} {
		got, err := dial(t, cloud, role, nil).FindServers(t.Context(), "web-1")
		if err != nil || len(got) != 1 {
			t.Fatalf("%s: %v, %v", role, got, err)
		}
		s := got[0]
		host, known := s.Host.Get()
		if known != hostKnown || (known && host != "compute01") {
			t.Errorf("%s: host %q, known %v, want known %v", role, host, known, hostKnown)
		}
		if !known && !strings.Contains(s.Host.Why(), "admin") {
			t.Errorf("%s: why %q does not name the role", role, s.Host.Why())
		}
		want := []string{"10.30.92.101", "203.0.113.7"}
		if s.Status != "ERROR" || s.TaskState != "spawning" || s.Fault == "" || s.ProjectID != payments ||
			s.Created.IsZero() || !slices.Equal(s.Addresses, want) {
			t.Errorf("%s: %+v", role, s)
		}
	}
}

// A server that was never scheduled has no host, and that is a fact.
func TestNullHostIsKnown(t *testing.T) {
	m := model()
	m.Servers[0].Host = ""
	got, err := dial(t, serve(t, m), "admin", nil).FindServers(t.Context(), web1)
	if err != nil {
		t.Fatal(err)
	}
	if host, known := got[0].Host.Get(); !known || host != "" {
		t.Errorf("host %q, known %v; want known and empty", host, known)
	}
}

func TestNoServer(t *testing.T) {
	cloud := serve(t, model())
	for _, tt := range []struct {
		role, ref string
		near      []string
		only      bool
	}{
		{"admin", "wbe-1", []string{"WEB-1", "web-1"}, false},
		{"admin", "web-1.*", []string{"WEB-1", "web-1", "web-10"}, false},
		{"admin", "zzzzzzzz", nil, false},
		{"admin", "00000000-0000-4000-8000-000000000000", nil, false},
		{"admin", "10.30.92.10", []string{"10.30.92.1"}, false}, // a DHCP port's address is no server's
		{"admin", "10.30.92.66", []string{"10.30.92.1"}, false}, // the port outlived its server
		{"admin", "203.0.113.8", nil, false},                    // a floating address that is mapped to nothing
		{"member", "theirs", nil, true},
		{"reader", theirs, nil, true},
		{"member", "10.99.0.5", nil, true},
	} {
		_, err := dial(t, cloud, tt.role, nil).FindServers(t.Context(), tt.ref)
		e := wantKind(t, err, runners.NotFound, "nova")
		miss, ok := errors.AsType[*NoServer](err)
		if !ok {
			t.Fatalf("%s %q: %v does not wrap a NoServer", tt.role, tt.ref, err)
		}
		if miss.Ref != tt.ref || miss.OnlyProject != tt.only {
			t.Errorf("%s %q: %+v, want OnlyProject %v", tt.role, tt.ref, miss, tt.only)
		}
		if tt.only != strings.Contains(e.Hint, "own project") {
			t.Errorf("%s %q: hint %q", tt.role, tt.ref, e.Hint)
		}
		if !slices.Equal(miss.Near, tt.near) {
			t.Errorf("%s %q: near %q, want %q", tt.role, tt.ref, miss.Near, tt.near)
		}
	}
}

// What Nova would not have accepted as a name is not asked for at all.
func TestImpossibleNames(t *testing.T) {
	cloud := serve(t, model())
	c := dial(t, cloud, "admin", nil)
	for _, ref := range []string{"", "  ", "a\x00b", "a\nb", "\xff\xfe", strings.Repeat("x", 256), "\x1b[31mred"} {
		_, err := c.FindServers(t.Context(), ref)
		if _, ok := errors.AsType[*NoServer](err); !ok {
			t.Errorf("%q: %v, want a NoServer", ref, err)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\x00\x1b\n") {
			t.Errorf("%q: the error %q repeats control characters", ref, err)
		}
	}
	if n := len(cloud.Requests()); n != 0 {
		t.Errorf("%d requests were made", n)
	}
}

// The suggestions come from every page: Nova ends a page after a thousand.
func TestNearOnASecondPage(t *testing.T) {
	m := model()
	first := m.Servers[0]
	m.Servers = nil
	for i := range 1005 {
		s := first
		s.ID, s.Name = fmt.Sprintf("id-%d", i), fmt.Sprintf("worker-number-%04d", i)
		m.Servers = append(m.Servers, s)
	}
	m.Servers[1004].Name = "gateway"
	cloud := serve(t, m)
	_, err := dial(t, cloud, "admin", nil).FindServers(t.Context(), "gatevay")
	miss, ok := errors.AsType[*NoServer](err)
	if !ok || !slices.Equal(miss.Near, []string{"gateway"}) {
		t.Fatalf("%v: %+v, want gateway", err, miss)
	}
	if n := count(cloud, "GET", "/servers"); n != 2 {
		t.Errorf("%d pages were read, want 2", n)
	}
}

// That the suggestions cannot be had does not turn "no such server" into
// something else.
func TestNearIsOptional(t *testing.T) {
	cloud := serve(t, model())
	cloud.Inject(cloudfake.Fault{Service: "nova", Path: "/servers/detail", Status: 200, Body: `{"servers":[]}`})
	cloud.Inject(cloudfake.Fault{Service: "nova", Path: "/servers", Status: 500, Body: `{}`})
	_, err := dial(t, cloud, "admin", nil).FindServers(t.Context(), "wbe-1")
	if miss, ok := errors.AsType[*NoServer](err); !ok || miss.Near != nil {
		t.Errorf("%v: %+v, want a NoServer without names", err, miss)
	}
}

// A database that folds case otherwise than Go is made up for.
func TestDatabaseThatMindsCase(t *testing.T) {
	cloud := serve(t, model())
	c := dial(t, cloud, "admin", func(o *Options) {
		o.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			if q := r.URL.Query(); q.Has("name") {
				q.Set("name", "(?-i)"+q.Get("name"))
				r = r.Clone(r.Context())
				r.URL.RawQuery = q.Encode()
			}
			return http.DefaultTransport.RoundTrip(r)
		})
	})
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	got, err := c.FindServers(t.Context(), "db-MAIN")
	if err != nil || len(got) != 1 || got[0].ID != "id-db" || got[0].Status != "ACTIVE" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestConsoleLog(t *testing.T) {
	cloud := serve(t, model())
	for role, want := range map[string]string{"admin": "udhcpc: no lease\nlogin:", "reader": "udhcpc: no lease\nlogin:"} {
		got, err := dial(t, cloud, role, nil).ConsoleLog(t.Context(), web1, 2)
		if err != nil || got != want {
			t.Errorf("%s: %q, %v", role, got, err)
		}
	}
	c := dial(t, cloud, "member", nil)
	if got, err := c.ConsoleLog(t.Context(), web1, 0); err != nil || got != "booting\nudhcpc: no lease\nlogin:\n" {
		t.Errorf("all lines: %q, %v", got, err)
	}
	_, err := c.ConsoleLog(t.Context(), theirs, 2)
	wantKind(t, err, runners.NotFound, "nova")
	before := len(cloud.Requests())
	for _, id := range []string{"", "../x", "a/b", "a?b", "a%2Fb"} {
		_, err := c.ConsoleLog(t.Context(), id, 2)
		wantKind(t, err, runners.NotFound, "nova")
	}
	if n := len(cloud.Requests()); n != before {
		t.Errorf("an id that is none was asked for: %v", cloud.Requests()[before:])
	}
}

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"abc", "", 3}, {"web-1", "wbe-1", 2}, {"web-1", "web-10", 1}, {"漢字", "漢", 1}, {"kitten", "sitting", 3}} {
		if got := distance(tt.a, tt.b); got != tt.want || distance(tt.b, tt.a) != tt.want {
			t.Errorf("distance(%q, %q) = %d, want %d both ways", tt.a, tt.b, got, tt.want)
		}
	}
}
