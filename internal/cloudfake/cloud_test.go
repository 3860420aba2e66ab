package cloudfake

import (
	"context"
	"errors"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const payments = "d8bee0a7879c4c80839a5136e5a1be48"

// paymentsModel is the cloud that the samples were recorded on, as far as they
// show it, with a second project next to it.
func paymentsModel() Model {
	const (
		web1   = "79fcac7c-92b4-4e74-bf80-0a4fe47f9f86"
		net    = "839e2c83-170f-4b67-8d7a-3251a97bea5f"
		subnet = "5612f712-55a5-45c2-90aa-a53441a9068a"
		dhcp1  = "0e84f34c-438e-49fe-8fca-8c25ac34c6f6"
		dhcp2  = "7da4480a-7204-4713-a46c-ed1ccae1f919"
	)
	made := time.Date(2026, 11, 23, 15, 48, 39, 0, time.UTC)
	mapping := map[string]string{"physnet1": "phys0"}
	return Model{
		Projects: []Project{{payments, "payments"}, {"00000000000000000000000000000b0b", "other"}},
		Servers: []Server{
			{
				ID: web1, Name: "web-1", ProjectID: payments, UserID: "u", Host: "compute01", Created: made, Updated: made,
				Metadata: map[string]string{"team": "payments"}, VolumeIDs: []string{"ba5a1325-dd2e-47e4-9e25-176625f6b2bd"},
				ConsoleLog: "FAKE CONSOLE OUTPUT\nANOTHER\nLAST LINE",
				Actions:    []ServerAction{{Action: "create", Started: made}, {Action: "delete", Started: made.Add(time.Hour), Failed: true}},
			},
			{ID: "s2", Name: "web-10", ProjectID: payments, Host: "compute01", Created: made.Add(time.Minute)},
			{ID: "s3", Name: "theirs", ProjectID: "00000000000000000000000000000b0b", Host: "compute01", Created: made.Add(time.Hour)},
		},
		Networks: []Network{
			{ID: net, Name: "payments-net", ProjectID: payments, PhysicalNet: "physnet1", SegmentationID: 3092},
			{ID: "n2", Name: "theirs", ProjectID: "00000000000000000000000000000b0b"},
		},
		Subnets: []Subnet{{
			ID: subnet, Name: "payments-net-v4", NetworkID: net, ProjectID: payments, CIDR: "10.30.92.0/24",
			GatewayIP: "10.30.92.1", Nameservers: []string{"10.30.0.53"},
		}},
		Ports: []Port{
			{
				ID: "p1", Name: "web-1-port", NetworkID: net, ProjectID: payments, DeviceID: web1, DeviceOwner: "compute:nova",
				MAC: "fa:16:3e:c0:61:ac", FixedIPs: []FixedIP{{subnet, "10.30.92.101"}}, SecurityGroups: []string{"sg"}, HostID: "compute01",
			},
			{
				ID: "p2", NetworkID: net, ProjectID: payments, DeviceID: "dhcp-1", DeviceOwner: "network:dhcp", NoPortSecurity: true,
				MAC: "fa:16:3e:f8:51:8a", FixedIPs: []FixedIP{{subnet, "10.30.92.10"}}, HostID: "controller01",
			},
			{ID: "p3", NetworkID: "n2", ProjectID: "00000000000000000000000000000b0b", DeviceID: "s3", DeviceOwner: "compute:nova"},
		},
		Agents: []Agent{
			{ID: dhcp1, Type: "DHCP agent", Host: "controller01", Binary: "neutron-dhcp-agent"},
			{ID: dhcp2, Type: "DHCP agent", Host: "controller02", Binary: "neutron-dhcp-agent"},
			{ID: "lb", Type: "Linux bridge agent", Host: "compute01", Binary: "neutron-linuxbridge-agent", InterfaceMappings: mapping},
		},
		DHCPBindings: []DHCPBinding{{dhcp1, net}, {dhcp2, net}},
		Volumes: []Volume{
			{ID: "ba5a1325-dd2e-47e4-9e25-176625f6b2bd", Name: "web-1-root", ProjectID: payments, UserID: "u", Created: made, Host: "controller01@lvm#lvm01", Attachments: []VolumeAttachment{
				{ID: "a1", ServerID: web1, Host: "compute01", Device: "/dev/sda", Attached: made},
			}},
			{ID: "v2", Name: "theirs", ProjectID: "00000000000000000000000000000b0b", Created: made},
		},
		ComputeServices: []ComputeService{{"nova-conductor", "controller01"}, {"nova-compute", "compute01"}},
		VolumeServices: []VolumeService{
			{Host: "controller02@lvm", Silent: time.Hour}, {Binary: "cinder-scheduler", Host: "controller01"}, {Host: "controller01@lvm"},
		},
	}
}

func TestServersByName(t *testing.T) {
	c := serve(t, paymentsModel())
	for _, tt := range []struct {
		role, query string
		want        []string
	}{
		{"admin", "name=web-1", []string{"web-1", "web-10"}}, // a regular expression without anchors
		{"admin", "name=WEB.1$", []string{"web-1"}},          // blind to case
		{"admin", "name=theirs", []string{}},                 // only the own project without all_tenants
		{"admin", "name=theirs&all_tenants=1", []string{"theirs"}},
		{"admin", "ip=10.30.92.1", []string{"web-1"}}, // a regular expression, too
		{"admin", "host=compute01&all_tenants=true", []string{"theirs", "web-1", "web-10"}},
		{"member", "all_tenants=0", []string{"web-1", "web-10"}},
	} {
		_, got := ask(t, c, tt.role, "", "GET", "/compute/v2.1/servers/detail?"+tt.query, "")
		if n := names(t, got, "servers", "name"); !slices.Equal(n, tt.want) {
			t.Errorf("%s %s: %v, want %v", tt.role, tt.query, n, tt.want)
		}
	}
}

func TestPagesEnd(t *testing.T) {
	c := serve(t, paymentsModel())
	for _, tt := range []struct{ path, list, marker string }{
		{"/compute/v2.1/servers?all_tenants=1&limit=2", "servers", "s2"},
		{"/networking/v2.0/ports?limit=2", "ports", "p2"},
	} {
		_, first := ask(t, c, "admin", "", "GET", tt.path, "")
		if links, _ := first.(map[string]any)[tt.list+"_links"].([]any); len(links) == 0 {
			t.Errorf("%s: no link to the second page", tt.path)
		}
		_, second := ask(t, c, "admin", "", "GET", tt.path+"&marker="+tt.marker, "")
		ids := append(names(t, first, tt.list, "id"), names(t, second, tt.list, "id")...)
		slices.Sort(ids)
		if len(ids) != 3 || len(slices.Compact(ids)) != 3 {
			t.Errorf("%s: the two pages hold %v, want three different ids", tt.path, ids)
		}
	}
}

func TestNeutronFilters(t *testing.T) {
	c := serve(t, paymentsModel())
	for _, tt := range []struct {
		role, path, list string
		want             []string
	}{
		{"admin", "ports?fixed_ips=ip_address%3D10.30.92.10", "ports", []string{"p2"}}, // exact: not .101
		{"admin", "ports?fixed_ips=ip_address%3D10.30.92.1", "ports", []string{}},
		{"admin", "ports?id=p1&id=p3", "ports", []string{"p1", "p3"}},
		{"admin", "ports?port_security_enabled=False", "ports", []string{"p2"}},
		{"member", "ports", "ports", []string{"p1", "p2"}},
		{"member", "ports?binding:host_id=controller01", "ports", []string{"p2"}}, // filters by what it does not show
		{"reader", "networks?name=payments", "networks", []string{}},              // exact
		{"member", "networks?id=n2", "networks", []string{}},
	} {
		_, got := ask(t, c, tt.role, "", "GET", "/networking/v2.0/"+tt.path, "")
		if ids := names(t, got, tt.list, "id"); !slices.Equal(ids, tt.want) {
			t.Errorf("%s %s: %v, want %v", tt.role, tt.path, ids, tt.want)
		}
	}
	if status, _ := ask(t, c, "admin", "", "GET", "/networking/v2.0/ports?colour=red", ""); status != 400 {
		t.Errorf("an unknown filter gave %d, want 400", status)
	}
}

func TestOthersServersAreNotFound(t *testing.T) {
	c := serve(t, paymentsModel())
	for role, want := range map[string]int{"admin": 200, "member": 404, "reader": 404} {
		if status, _ := ask(t, c, role, "", "GET", "/compute/v2.1/servers/s3", ""); status != want {
			t.Errorf("%s: %d, want %d", role, status, want)
		}
	}
}

func TestFaultTraceIsForAdmins(t *testing.T) {
	m := paymentsModel()
	m.Servers[0].Status = "ERROR"
	m.Servers[0].Fault = &ServerFault{Code: 500, Message: "Exceeded maximum number of retries.", Details: "Traceback"}
	c := serve(t, m)
	for role, want := range map[string]bool{"admin": true, "member": false} {
		_, got := ask(t, c, role, "2.79", "GET", "/compute/v2.1/servers/"+m.Servers[0].ID, "")
		keys := shape(got)
		if _, has := keys["/server/fault/details"]; has != want || keys["/server/fault/message"] != "string" {
			t.Errorf("%s: details shown: %v, want %v", role, has, want)
		}
	}
}

func TestDHCPNetworks(t *testing.T) {
	const net, agent = "839e2c83-170f-4b67-8d7a-3251a97bea5f", "0e84f34c-438e-49fe-8fca-8c25ac34c6f6"
	type told struct {
		host, network string
		added         bool
	}
	var mu sync.Mutex
	var heard []told
	c := New(paymentsModel())
	c.OnDHCPNetwork = func(host, network string, added bool) {
		mu.Lock()
		defer mu.Unlock()
		heard = append(heard, told{host, network, added})
		c.Update(func(*Model) {}) // the hook may use the cloud
	}
	if err := c.Serve(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { http.DefaultClient.CloseIdleConnections(); c.Close() })
	list := "/networking/v2.0/agents/" + agent + "/dhcp-networks"
	body := `{"network_id":"` + net + `"}`
	for i, tt := range []struct {
		role, method, path, body string
		status                   int
	}{
		{"member", "DELETE", list + "/" + net, "", 403},
		{"admin", "DELETE", list + "/" + net, "", 204},
		{"admin", "DELETE", list + "/" + net, "", 409},
		{"admin", "DELETE", "/networking/v2.0/agents/none/dhcp-networks/" + net, "", 404},
		{"member", "POST", list, body, 403},
		{"admin", "POST", list, body, 201},
		{"admin", "POST", list, body, 409},
		{"admin", "POST", list, `{"network_id":"none"}`, 404},
		{"admin", "POST", list, `nonsense`, 400},
		{"admin", "POST", "/networking/v2.0/agents/lb/dhcp-networks", body, 404}, // not a DHCP agent
	} {
		if status, got := ask(t, c, tt.role, "", tt.method, tt.path, tt.body); status != tt.status {
			t.Errorf("step %d: %s %s: %d, want %d: %v", i, tt.method, tt.path, status, tt.status, got)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if want := []told{{"controller01", net, false}, {"controller01", net, true}}; !slices.Equal(heard, want) {
		t.Errorf("the agent was told %v, want %v", heard, want)
	}
}

// A VXLAN network has a segment and no physical network, and an agent speaks of
// tunnels only when it has any.
func TestTunnels(t *testing.T) {
	model := paymentsModel()
	model.Networks = append(model.Networks, Network{ID: "vx", ProjectID: payments, Type: "vxlan", SegmentationID: 1207})
	model.Agents[2].TunnelingIP, model.Agents[2].L2Population = "172.30.200.41", true
	model.Agents = append(model.Agents, Agent{ID: "lb2", Type: "Linux bridge agent", Host: "compute02", Binary: "neutron-linuxbridge-agent"})
	c := serve(t, model)
	for _, tt := range []struct {
		path string
		want []string
		not  string
	}{
		{"networks/vx", []string{`"provider:network_type":"vxlan"`, `"provider:physical_network":null`, `"provider:segmentation_id":1207`}, "physnet"},
		{"agents/lb", []string{`"tunneling_ip":"172.30.200.41"`, `"tunnel_types":["vxlan"]`, `"l2_population":true`}, "nothing"},
		{"agents/lb2", []string{`"interface_mappings":{}`}, "tunnel"},
	} {
		_, got := ask(t, c, "admin", "", "GET", "/networking/v2.0/"+tt.path, "")
		text := string(mustJSON(t, got))
		for _, w := range tt.want {
			if !strings.Contains(text, w) {
				t.Errorf("%s: %s lacks %s", tt.path, text, w)
			}
		}
		if strings.Contains(text, tt.not) {
			t.Errorf("%s: %s speaks of %s", tt.path, text, tt.not)
		}
	}
}

func TestConsoleLines(t *testing.T) {
	for _, tt := range []struct {
		text string
		n    int
		want string
	}{{"a\nb\nc\n", 2, "b\nc"}, {"a\nb", 9, "a\nb"}, {"a\nb", 0, ""}, {"", 3, ""}, {"a\nb\n", -1, "a\nb\n"}} {
		if got := lastLines(tt.text, &tt.n); got != tt.want {
			t.Errorf("lastLines(%q, %d) = %q, want %q", tt.text, tt.n, got, tt.want)
		}
	}
}

func TestExpiredTokens(t *testing.T) {
	c := serve(t, paymentsModel())
	token := login(t, c, "admin")
	paths := []string{"/compute/v2.1/servers", "/networking/v2.0/ports", "/volume/v3/"}
	for _, p := range paths {
		if status, _ := askWith(t, c, token, "", "GET", p, ""); status != 200 {
			t.Errorf("%s with a fresh token: %d", p, status)
		}
	}
	c.ExpireTokens()
	for _, p := range paths {
		if status, _ := askWith(t, c, token, "", "GET", p, ""); status != 401 {
			t.Errorf("%s with an expired token: %d, want 401", p, status)
		}
	}
}

func TestFaults(t *testing.T) {
	c := serve(t, paymentsModel())
	token := login(t, c, "admin")
	c.Inject(Fault{Service: "nova", Path: "/action", Hang: true})
	c.Inject(Fault{Service: "neutron", Method: "GET", Status: 503, Body: `{"down":true}`})

	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "POST", c.URL()+"/compute/v2.1/servers/s2/action", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err == nil {
		resp.Body.Close()
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a hanging call ended with %v, want the client's own deadline", err)
	}
	if status, _ := askWith(t, c, token, "", "GET", "/networking/v2.0/ports", ""); status != 503 {
		t.Errorf("neutron: %d, want 503", status)
	}
	if status, _ := askWith(t, c, token, "", "GET", "/compute/v2.1/servers", ""); status != 200 {
		t.Errorf("nova has no fault on this path, but answered %d", status)
	}
	c.Heal()
	if status, _ := askWith(t, c, token, "", "GET", "/networking/v2.0/ports", ""); status != 200 {
		t.Errorf("healed neutron: %d, want 200", status)
	}
}

func TestServeOnlyOnLoopback(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", "192.0.2.1:0", "[::]:0", "localhost", "example.org:80"} {
		c := New(Model{})
		if err := c.Serve(addr); err == nil {
			c.Close()
			t.Errorf("Serve(%q) was accepted", addr)
		}
	}
}

func TestWriteCloudsYAML(t *testing.T) {
	if _, err := New(Model{}).WriteCloudsYAML(t.TempDir(), "x", "admin"); err == nil {
		t.Error("a cloud without an address wrote a clouds.yaml")
	}
	c := serve(t, Model{})
	path, err := c.WriteCloudsYAML(t.TempDir(), "fake", "reader")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"fake":`, c.AuthURL(), `username: "reader"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v: a file with a password is for its owner", info.Mode(), err)
	}
	if _, err := c.WriteCloudsYAML(t.TempDir(), "fake", "king"); err == nil {
		t.Error("an unknown role was accepted")
	}
}

func TestUpdateWhileServing(t *testing.T) {
	c := serve(t, paymentsModel())
	token := login(t, c, "admin")
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range 100 {
			c.Update(func(m *Model) {
				m.Servers[0].Metadata["team"] = strings.Repeat("x", i)
				m.Agents[2].InterfaceMappings["physnet2"] = "phys1"
			})
		}
	})
	for range 20 {
		for _, p := range []string{"/compute/v2.1/servers/detail", "/networking/v2.0/agents"} {
			if status, _ := askWith(t, c, token, "2.79", "GET", p, ""); status != 200 {
				t.Errorf("%s: %d", p, status)
			}
		}
	}
	wg.Wait()
}

func TestUnknownPaths(t *testing.T) {
	c := serve(t, paymentsModel())
	for _, tt := range []struct {
		role, path string
		status     int
		kind       string // of the NeutronError; empty for the others
	}{
		{"admin", "/compute/v2.1/nope", 404, ""},
		{"admin", "/compute/v9/servers", 404, ""},
		{"admin", "/volume/v3/nope", 404, ""},
		{"admin", "/elsewhere", 404, ""},
		{"admin", "/identity/v3/users", 404, ""},
		{"admin", "/networking/v2.0/nope", 404, "HTTPNotFound"},
		{"admin", "/networking/v2.0/agents/nope", 404, "AgentNotFound"},
		{"member", "/networking/v2.0/agents/lb", 404, "HTTPNotFound"}, // not even that it exists
		{"member", "/networking/v2.0/networks/n2", 404, "NetworkNotFound"},
	} {
		status, got := ask(t, c, tt.role, "", "GET", tt.path, "")
		if status != tt.status {
			t.Errorf("%s %s: %d, want %d", tt.role, tt.path, status, tt.status)
		}
		if tt.kind == "" {
			continue
		}
		if e, _ := got.(map[string]any)["NeutronError"].(map[string]any); e["type"] != tt.kind {
			t.Errorf("%s %s: %v, want %s", tt.role, tt.path, got, tt.kind)
		}
	}
}

func TestFloatingAddresses(t *testing.T) {
	m := paymentsModel()
	m.FloatingIPs = []FloatingIP{
		{ID: "f1", ProjectID: payments, Address: "203.0.113.7", FixedAddress: "10.30.92.101", PortID: "p1"},
		{ID: "f2", ProjectID: "00000000000000000000000000000b0b", Address: "203.0.113.8"},
	}
	c := serve(t, m)
	for role, want := range map[string][]string{"admin": {"f1", "f2"}, "member": {"f1"}} {
		_, got := ask(t, c, role, "", "GET", "/networking/v2.0/floatingips", "")
		if ids := names(t, got, "floatingips", "id"); !slices.Equal(ids, want) {
			t.Errorf("%s: %v, want %v", role, ids, want)
		}
	}
	_, got := ask(t, c, "member", "", "GET", "/compute/v2.1/servers/"+m.Servers[0].ID, "")
	list := got.(map[string]any)["server"].(map[string]any)["addresses"].(map[string]any)["payments-net"].([]any)
	if len(list) != 2 || list[1].(map[string]any)["OS-EXT-IPS:type"] != "floating" || list[1].(map[string]any)["addr"] != "203.0.113.7" {
		t.Errorf("addresses %v, want the fixed one and the floating one", list)
	}
}

func TestSkewedClock(t *testing.T) {
	c := serve(t, Model{})
	c.SkewClock(-2 * time.Hour)
	resp, err := http.Get(c.AuthURL())
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	date, err := http.ParseTime(resp.Header.Get("Date"))
	if behind := time.Since(date); err != nil || behind < time.Hour || behind > 3*time.Hour {
		t.Errorf("Date %q, %v: want about two hours ago", resp.Header.Get("Date"), err)
	}
}
