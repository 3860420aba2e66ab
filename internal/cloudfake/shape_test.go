package cloudfake

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestShapes holds every answer to what a real cloud answered to the same
// request of the same role: the same status, the same keys at every depth, the
// same kind of value under them. Errors have to be equal word for word.
func TestShapes(t *testing.T) {
	c := serve(t, paymentsModel())
	const (
		server = "/compute/v2.1/servers/79fcac7c-92b4-4e74-bf80-0a4fe47f9f86"
		absent = "00000000-0000-4000-8000-000000000000"
		net    = "839e2c83-170f-4b67-8d7a-3251a97bea5f"
		v2     = "/networking/v2.0"
		// The project's id may stand behind the version or not.
		volumes = "/volume/v3/d8bee0a7879c4c80839a5136e5a1be48/volumes"
	)
	for _, tt := range []struct {
		sample, role, version string
		method, path, body    string
		status                int
		verbatim              bool
	}{
		{"admin-server-2.1", "admin", "2.1", "GET", server, "", 200, false},
		{"admin-server-2.79", "admin", "2.79", "GET", server, "", 200, false},
		{"admin-server-2.93", "admin", "2.93", "GET", server, "", 200, false},
		{"member-server-2.1", "member", "2.1", "GET", server, "", 200, false},
		{"member-server-2.79", "member", "2.79", "GET", server, "", 200, false},
		{"member-server-2.93", "member", "2.93", "GET", server, "", 200, false},
		{"member-server-2.79", "reader", "2.79", "GET", server, "", 200, false},
		{"admin-servers-detail-2.79", "admin", "2.79", "GET", "/compute/v2.1/servers/detail?name=%5Eweb-1%24", "", 200, false},
		{"member-servers-detail-2.79", "member", "2.79", "GET", "/compute/v2.1/servers/detail?name=%5Eweb-1%24", "", 200, false},
		{"admin-servers-all-tenants", "admin", "", "GET", "/compute/v2.1/servers?all_tenants=1", "", 200, false},
		{"member-servers-all-tenants", "member", "", "GET", "/compute/v2.1/servers?all_tenants=1", "", 403, true},
		{"member-servers-all-tenants", "reader", "", "GET", "/compute/v2.1/servers?all_tenants=1", "", 403, true},
		{"admin-servers-page", "admin", "", "GET", "/compute/v2.1/servers?limit=1", "", 200, false},
		{"admin-server-missing", "admin", "2.79", "GET", "/compute/v2.1/servers/" + absent, "", 404, true},
		{"admin-bad-regex", "admin", "", "GET", "/compute/v2.1/servers?name=%5Eweb(", "", 400, true},
		{"admin-bad-microversion", "admin", "2.99", "GET", "/compute/v2.1/servers", "", 406, true},
		{"admin-console-output", "admin", "", "POST", server + "/action", `{"os-getConsoleOutput":{}}`, 200, true},
		{"member-console-output", "reader", "", "POST", server + "/action", `{"os-getConsoleOutput":{}}`, 200, true},
		{"admin-ports", "admin", "", "GET", v2 + "/ports?device_id=79fcac7c-92b4-4e74-bf80-0a4fe47f9f86", "", 200, false},
		{"member-ports", "member", "", "GET", v2 + "/ports?device_id=79fcac7c-92b4-4e74-bf80-0a4fe47f9f86", "", 200, false},
		{"admin-dhcp-ports", "admin", "", "GET", v2 + "/ports?device_owner=network:dhcp&network_id=" + net, "", 200, false},
		{"member-dhcp-ports", "reader", "", "GET", v2 + "/ports?device_owner=network:dhcp&network_id=" + net, "", 200, false},
		{"admin-ports-page", "admin", "", "GET", v2 + "/ports?limit=1&fields=id", "", 200, false},
		{"admin-ports-bad", "admin", "", "GET", v2 + "/ports/" + absent, "", 404, true},
		{"admin-network", "admin", "", "GET", v2 + "/networks/" + net, "", 200, false},
		{"member-network", "member", "", "GET", v2 + "/networks/" + net, "", 200, false},
		{"admin-networks", "admin", "", "GET", v2 + "/networks?id=" + net, "", 200, false},
		{"member-networks", "reader", "", "GET", v2 + "/networks?id=" + net, "", 200, false},
		{"admin-subnets", "admin", "", "GET", v2 + "/subnets?network_id=" + net, "", 200, false},
		{"member-subnets", "member", "", "GET", v2 + "/subnets?network_id=" + net, "", 200, false},
		{"admin-agents", "admin", "", "GET", v2 + "/agents", "", 200, false},
		{"member-agents", "member", "", "GET", v2 + "/agents", "", 200, true},
		{"member-agents", "reader", "", "GET", v2 + "/agents", "", 200, true},
		{"admin-net-dhcp-agents", "admin", "", "GET", v2 + "/networks/" + net + "/dhcp-agents", "", 200, false},
		{"member-net-dhcp-agents", "member", "", "GET", v2 + "/networks/" + net + "/dhcp-agents", "", 403, true},
		{"admin-dhcp-networks-missing", "admin", "", "GET", v2 + "/agents/" + absent + "/dhcp-networks", "", 404, true},
		{"member-dhcp-networks", "member", "", "GET", v2 + "/agents/" + absent + "/dhcp-networks", "", 403, true},
		{"no-token", "", "", "GET", v2 + "/ports", "", 401, true},
		{"nova-version", "", "", "GET", "/compute/v2.1/", "", 200, false},
		{"neutron-version", "", "", "GET", "/networking/", "", 200, false},
		{"cinder-version", "", "", "GET", "/volume/", "", 300, false},
		{"admin-volumes-3.70", "admin", "3.70", "GET", volumes + "/detail", "", 200, false},
		{"admin-volumes", "admin", "", "GET", volumes + "/detail", "", 200, false},
		{"member-volumes-3.70", "member", "3.70", "GET", volumes + "/detail?all_tenants=1", "", 200, false},
		{"member-volumes", "reader", "", "GET", volumes + "/detail", "", 200, false},
		{"admin-cinder-services-3.70", "admin", "3.70", "GET", "/volume/v3/os-services", "", 200, false},
		{"admin-cinder-services", "admin", "", "GET", "/volume/v3/os-services", "", 200, false},
		{"member-cinder-services", "member", "3.70", "GET", "/volume/v3/os-services", "", 403, true},
		{"admin-srv-vol-2.1", "admin", "2.1", "GET", server + "/os-volume_attachments", "", 200, false},
		{"admin-srv-vol-2.79", "admin", "2.79", "GET", server + "/os-volume_attachments", "", 200, false},
		{"admin-srv-vol-2.89", "admin", "2.89", "GET", server + "/os-volume_attachments", "", 200, false},
		{"member-srv-vol-2.79", "reader", "2.79", "GET", server + "/os-volume_attachments", "", 200, false},
		{"admin-os-services", "admin", "2.1", "GET", "/compute/v2.1/os-services", "", 200, false},
		{"member-os-services", "member", "2.79", "GET", "/compute/v2.1/os-services", "", 403, true},
		{"admin-instance-actions", "member", "2.79", "GET", server + "/os-instance-actions", "", 200, false},
		{"token", "", "", "POST", "/identity/v3/auth/tokens", loginBody("admin", "fake-password-of-admin"), 201, false},
		{"token-refused", "", "", "POST", "/identity/v3/auth/tokens", loginBody("admin", "guess"), 401, true},
	} {
		t.Run(tt.sample+" as "+tt.role, func(t *testing.T) {
			status, got := ask(t, c, tt.role, tt.version, tt.method, tt.path, tt.body)
			if status != tt.status {
				t.Fatalf("status %d, want %d: %v", status, tt.status, got)
			}
			want := sample(t, tt.sample)
			if tt.verbatim {
				if g, w := mustJSON(t, got), mustJSON(t, want); !bytes.Equal(g, w) {
					t.Fatalf("got  %s\nwant %s", g, w)
				}
				return
			}
			compareShapes(t, shape(got), shape(want))
		})
	}
}

func compareShapes(t *testing.T, got, want map[string]string) {
	t.Helper()
	if len(want) < 3 {
		t.Fatalf("the sample has only %d keys: it proves nothing", len(want))
	}
	for path, kind := range want {
		switch g, has := got[path]; {
		case !has:
			t.Errorf("missing %s (%s)", path, kind)
		case g != kind && g != "null" && kind != "null":
			t.Errorf("%s is %s, want %s", path, g, kind)
		}
	}
	for path, kind := range got {
		if _, has := want[path]; !has {
			t.Errorf("a real cloud does not send %s (%s)", path, kind)
		}
	}
}

// shape maps every path in a JSON value to the kind of value there; elements
// of a list share one path.
func shape(v any) map[string]string {
	kinds := map[string]string{}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			kinds[path] = "object"
			for k, e := range v {
				walk(path+"/"+k, e)
			}
		case []any:
			kinds[path] = "list"
			for _, e := range v {
				walk(path+"[]", e)
			}
		case nil:
			if kinds[path] == "" {
				kinds[path] = "null"
			}
		default:
			kinds[path] = fmt.Sprintf("%T", v)
		}
	}
	walk("", v)
	return kinds
}

func sample(t *testing.T, name string) any {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return v
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func loginBody(user, password string) string {
	return fmt.Sprintf(`{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":%q,"password":%q,
		"domain":{"name":"Default"}}}},"scope":{"project":{"name":"payments","domain":{"name":"Default"}}}}}`, user, password)
}

// login returns a token for the role, "" for no role.
func login(t *testing.T, c *Cloud, role string) string {
	t.Helper()
	if role == "" {
		return ""
	}
	resp, err := http.Post(c.AuthURL()+"/auth/tokens", "application/json", strings.NewReader(loginBody(role, "fake-password-of-"+role)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	token := resp.Header.Get("X-Subject-Token")
	if resp.StatusCode != http.StatusCreated || token == "" {
		t.Fatalf("login as %s: %s", role, resp.Status)
	}
	return token
}

func ask(t *testing.T, c *Cloud, role, version, method, path, body string) (int, any) {
	t.Helper()
	return askWith(t, c, login(t, c, role), version, method, path, body)
}

func askWith(t *testing.T, c *Cloud, token, version, method, path, body string) (int, any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, c.URL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Auth-Token", token)
	if version != "" {
		service := "compute "
		if strings.HasPrefix(path, "/volume") {
			service = "volume "
		}
		req.Header.Set("OpenStack-API-Version", service+version)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var v any
	if resp.StatusCode != http.StatusNoContent && strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		if err := json.NewDecoder(resp.Body).Decode(&v); err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
	}
	return resp.StatusCode, v
}

func serve(t *testing.T, m Model) *Cloud {
	t.Helper()
	c := New(m)
	if err := c.Serve(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		c.Close()
	})
	return c
}

// names returns one string key of every element of a list in an answer.
func names(t *testing.T, v any, list, key string) []string {
	t.Helper()
	o, isObject := v.(map[string]any)
	if !isObject {
		t.Fatalf("answer is %T", v)
	}
	items, isList := o[list].([]any)
	if !isList {
		t.Fatalf("no list %q in %v", list, o)
	}
	all := []string{}
	for _, e := range items {
		all = append(all, e.(map[string]any)[key].(string))
	}
	slices.Sort(all)
	return all
}
