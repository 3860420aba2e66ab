package openstack

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"whybot/internal/cloudfake"
	"whybot/runners"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Ids of the test cloud.
const (
	payments = "d8bee0a7879c4c80839a5136e5a1be48"
	others   = "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b"

	web1    = "79fcac7c-92b4-4e74-bf80-0a4fe47f9f86"
	theirs  = "5d1e8a44-0000-4000-8000-000000000001"
	net1    = "839e2c83-170f-4b67-8d7a-3251a97bea5f"
	net2    = "839e2c83-170f-4b67-8d7a-3251a97beaff"
	subnet1 = "5612f712-55a5-45c2-90aa-a53441a9068a"
	dhcp1   = "0e84f34c-438e-49fe-8fca-8c25ac34c6f6"
	dhcp2   = "7da4480a-7204-4713-a46c-ed1ccae1f919"
)

// model is a cloud with the names that are easy to get wrong.
func model() cloudfake.Model {
	made := time.Date(2026, 11, 23, 15, 48, 39, 0, time.UTC)
	beat := time.Date(2026, 11, 23, 15, 50, 4, 0, time.UTC)
	server := func(id, name string) cloudfake.Server {
		return cloudfake.Server{ID: id, Name: name, ProjectID: payments, Host: "compute01", Created: made, Updated: made}
	}
	m := cloudfake.Model{
		Projects: []cloudfake.Project{{ID: payments, Name: "payments"}, {ID: others, Name: "others"}},
		Servers: []cloudfake.Server{
			server(web1, "web-1"), server("id-upper", "WEB-1"), server("id-ten", "web-10"), server("id-dot", "web.1"),
			server("id-paren", "web-(1"), server("id-meta", `a+b*[c]^{d}|e?\f`), server("id-cjk", "漢字サーバ"),
			server("id-reboot", "$(reboot)"), server("id-twin", "twin"), server("id-address", "10.30.92.1"), server("id-db", "DB-Main"),
			{ID: theirs, Name: "theirs", ProjectID: others, Host: "compute02", Created: made},
			{ID: "id-twin-2", Name: "twin", ProjectID: others, Created: made},
		},
		Networks: []cloudfake.Network{
			{ID: net1, Name: "payments-net", ProjectID: payments, PhysicalNet: "physnet1", SegmentationID: 3092},
			{ID: net2, Name: "overlay", ProjectID: payments, Type: "vxlan", SegmentationID: 77, MTU: 1450},
		},
		Subnets: []cloudfake.Subnet{{
			ID: subnet1, NetworkID: net1, ProjectID: payments, CIDR: "10.30.92.0/24", GatewayIP: "10.30.92.1",
		}},
		Ports: []cloudfake.Port{
			{
				ID: "port-web-1", Name: "web-1-port", NetworkID: net1, ProjectID: payments, DeviceID: web1, DeviceOwner: "compute:nova",
				MAC: "FA:16:3E:C0:61:AC", FixedIPs: []cloudfake.FixedIP{{SubnetID: subnet1, Address: "10.30.92.101"}}, HostID: "compute01",
			},
			{ID: "port-web-1-b", NetworkID: net2, ProjectID: payments, DeviceID: web1, DeviceOwner: "compute:nova", NoPortSecurity: true, Status: "DOWN"},
			{
				ID: "port-dhcp-1", NetworkID: net1, ProjectID: payments, DeviceID: "dhcp-1", DeviceOwner: "network:dhcp", HostID: "controller01",
				FixedIPs: []cloudfake.FixedIP{{SubnetID: subnet1, Address: "10.30.92.10"}},
			},
			{
				ID: "port-theirs", NetworkID: "net-theirs", ProjectID: others, DeviceID: theirs, DeviceOwner: "compute:nova",
				FixedIPs: []cloudfake.FixedIP{{Address: "10.99.0.5"}, {Address: "fd00::5"}},
			},
			{
				ID: "port-ghost", NetworkID: net1, ProjectID: payments, DeviceID: "deleted-server", DeviceOwner: "compute:nova",
				FixedIPs: []cloudfake.FixedIP{{SubnetID: subnet1, Address: "10.30.92.66"}},
			},
		},
		FloatingIPs: []cloudfake.FloatingIP{
			{ID: "fip", ProjectID: payments, Address: "203.0.113.7", FixedAddress: "10.30.92.101", PortID: "port-web-1"},
			{ID: "fip-unused", ProjectID: payments, Address: "203.0.113.8"},
		},
		Agents: []cloudfake.Agent{
			{ID: dhcp1, Type: "DHCP agent", Host: "controller01", Binary: "neutron-dhcp-agent", Heartbeat: beat},
			{ID: dhcp2, Type: "DHCP agent", Host: "controller02", Binary: "neutron-dhcp-agent", Heartbeat: beat, Dead: true},
		},
		DHCPBindings: []cloudfake.DHCPBinding{{AgentID: dhcp1, NetworkID: net1}, {AgentID: dhcp2, NetworkID: net1}},
	}
	m.Servers[0].ConsoleLog = "booting\nudhcpc: no lease\nlogin:\n"
	for _, host := range []string{"compute01", "compute02", "controller01", "controller02"} {
		m.Agents = append(m.Agents, cloudfake.Agent{
			ID: "lb-" + host, Type: "Linux bridge agent", Host: host, Binary: "neutron-linuxbridge-agent",
			Heartbeat: beat, InterfaceMappings: map[string]string{"physnet1": "phys0"},
		})
	}
	return m
}

func serve(t *testing.T, m cloudfake.Model) *cloudfake.Cloud {
	t.Helper()
	cloud := cloudfake.New(m)
	if err := cloud.Serve(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cloud.Close)
	return cloud
}

// patient is a deadline that only a hanging call reaches on a busy machine.
const patient = 20 * time.Second

// dial returns a client of the cloud with the role; change may change its
// options.
func dial(t *testing.T, cloud *cloudfake.Cloud, role string, change func(*Options)) *Client {
	t.Helper()
	path, err := cloud.WriteCloudsYAML(t.TempDir(), "fake", role)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Cloud: "fake", CloudsFile: path, Timeout: patient}
	if change != nil {
		change(&o)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func wantKind(t *testing.T, err error, kind runners.Kind, target string) *runners.Error {
	t.Helper()
	e, ok := err.(*runners.Error) //nolint:errorlint // the outermost one is what people see
	if !ok {
		t.Fatalf("error is %T (%v), want *runners.Error", err, err)
	}
	if e.Kind != kind || e.Target != target || e.Runner != "openstack" || e.Op == "" {
		t.Fatalf("error %+v: kind %v of %s, want kind %v of %s", e, e.Kind, e.Target, kind, target)
	}
	return e
}

// count returns how many requests the cloud got of the method whose path ends
// so.
func count(cloud *cloudfake.Cloud, method, suffix string) int {
	n := 0
	for _, r := range cloud.Requests() {
		if r.Method == method && len(r.Path) >= len(suffix) && r.Path[len(r.Path)-len(suffix):] == suffix {
			n++
		}
	}
	return n
}

// A logBuffer collects a log that several goroutines write.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func debugLog(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// roundTrip makes a transport of a function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
