package openstack

import (
	"context"
	"strings"
	"testing"
	"time"

	"whybot/internal/cloudfake"
)

func results(t *testing.T, c *Client) map[string]CheckResult {
	t.Helper()
	all := map[string]CheckResult{}
	for _, r := range c.Check(t.Context()) {
		if r.What == "" || r.Detail == "" || r.OK != (r.Cure == "") {
			t.Errorf("%+v: every line says what was seen, and a cure if and only if it is not well", r)
		}
		if _, twice := all[r.What]; twice {
			t.Errorf("%q stands there twice", r.What)
		}
		all[r.What] = r
	}
	return all
}

func TestCheck(t *testing.T) {
	cloud := serve(t, model())
	hidden := map[string]bool{"nova: servers of all projects": true, "neutron: agents": true, "neutron: port bindings": true}
	for _, role := range []string{"admin", "member", "reader"} {
		got := results(t, dial(t, cloud, role, nil))
		if len(got) != 8 {
			t.Errorf("%s: %d results, want 8: %v", role, len(got), got)
		}
		for what, r := range got {
			if want := role == "admin" || !hidden[what]; r.OK != want {
				t.Errorf("%s: %+v, want OK %v", role, r, want)
			}
		}
		if d := got["keystone: login"].Detail; !strings.Contains(d, `"`+role+`"`) || !strings.Contains(d, `"payments"`) {
			t.Errorf("%s: login %q names neither user nor project", role, d)
		}
	}
	for _, r := range cloud.Requests() {
		if r.Method != "GET" && !strings.HasSuffix(r.Path, "/auth/tokens") {
			t.Errorf("the check was to change nothing: %s %s", r.Method, r.Path)
		}
	}
}

func TestCheckTroubles(t *testing.T) {
	for _, tt := range []struct {
		name, what, detail string
		trouble            func(*cloudfake.Cloud)
	}{
		{"clock ahead", "clock: this host and the API", "ahead", func(c *cloudfake.Cloud) { c.SkewClock(time.Hour) }},
		{"clock behind", "clock: this host and the API", "behind", func(c *cloudfake.Cloud) { c.SkewClock(-time.Hour) }},
		{"old nova", "nova: microversion 2.79", "2.1 to 2.9 are", fault("nova", "", 200, `{"version":{"id":"v2.1","min_version":"2.1","version":"2.9"}}`)},
		{"nova says no range", "nova: microversion 2.79", "no range", fault("nova", "", 200, `{"version":{"id":"v2.1"}}`)},
		{"old cinder", "cinder: microversion 3.27", "3.0 to 3.5 are", fault("cinder", "", 300, `{"versions":[{"id":"v3.0","min_version":"3.0","version":"3.5"},{"id":"v2.0","version":""}]}`)},
		{"cinder is down", "cinder: microversion 3.27", "HTTP 503", fault("cinder", "", 503, "")},
		{"neutron is down", "neutron: networks", "HTTP 503", fault("neutron", "", 503, "")},
		{"garbage", "nova: servers of all projects", "JSON", fault("nova", "/servers", 200, "{}")},
		{"no port", "neutron: port bindings", "not known", fault("neutron", "/ports", 200, `{"ports":[]}`)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cloud := serve(t, model())
			tt.trouble(cloud)
			r, has := results(t, dial(t, cloud, "admin", nil))[tt.what]
			if !has || r.OK || !strings.Contains(r.Detail, tt.detail) {
				t.Errorf("%+v, want trouble with %q", r, tt.detail)
			}
		})
	}
}

func fault(service, path string, status int, body string) func(*cloudfake.Cloud) {
	return func(c *cloudfake.Cloud) {
		c.Inject(cloudfake.Fault{Service: service, Path: path, Status: status, Body: body})
	}
}

// A check proves today's password and not the token of this morning.
func TestCheckLogsInAgain(t *testing.T) {
	cloud := serve(t, model())
	c := dial(t, cloud, "admin", nil)
	if err := findWeb1(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	cloud.Update(func(m *cloudfake.Model) {
		for i := range m.Users {
			m.Users[i].Password = "changed"
		}
	})
	got := c.Check(t.Context())
	if len(got) != 1 || got[0].OK || !strings.Contains(got[0].Detail, "authentication failed") {
		t.Errorf("%+v, want the login alone, failed", got)
	}
}

func TestCheckCancelled(t *testing.T) {
	cloud := serve(t, model())
	c := dial(t, cloud, "admin", nil)
	if _, err := c.connect(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, r := range c.Check(ctx) {
		if r.OK {
			t.Errorf("%+v: nothing was looked at", r)
		}
	}
}

func TestClockPrecision(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		date string
		ok   bool
	}{
		{"Mon, 23 Nov 2026 12:00:00 GMT", true},
		{"Mon, 23 Nov 2026 11:59:54 GMT", true}, // up to 11:59:54.999
		{"Mon, 23 Nov 2026 11:59:53 GMT", false},
		{"Mon, 23 Nov 2026 12:00:05 GMT", true},
		{"Mon, 23 Nov 2026 12:00:06 GMT", false},
		{"", false},
		{"yesterday", false},
	} {
		r := versionDoc{date: tt.date, sent: at, received: at}.clock()
		if r.OK != tt.ok {
			t.Errorf("%q: %+v, want OK %v", tt.date, r, tt.ok)
		}
	}
}

func TestMicroversionsAreNumbers(t *testing.T) {
	doc := versionDoc{lowest: "2.1", highest: "2.9"}
	if doc.supports(nova, "2.79").OK {
		t.Error("2.79 was taken for less than 2.9")
	}
	for _, s := range []string{"", "2", "2.x", "x.2", "2.79.1"} {
		if v := microversion(s); v != nil {
			t.Errorf("microversion(%q) = %v, want nil", s, v)
		}
	}
}
