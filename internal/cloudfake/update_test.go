package cloudfake

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// What a PUT may change, who may, and what is said to the rest.
func TestUpdates(t *testing.T) {
	const (
		net    = "/networking/v2.0/networks/839e2c83-170f-4b67-8d7a-3251a97bea5f"
		subnet = "/networking/v2.0/subnets/5612f712-55a5-45c2-90aa-a53441a9068a"
		port   = "/networking/v2.0/ports/p1"
	)
	changes := 0
	c := New(paymentsModel())
	c.OnChange = func() { changes++ }
	if err := c.Serve(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { http.DefaultClient.CloseIdleConnections(); c.Close() })
	for i, tt := range []struct {
		role, path, body string
		status           int
		want             string // in the answer
	}{
		{"admin", net, `{"network":{"admin_state_up":false}}`, 200, `"admin_state_up":false`},
		{"member", net, `{"network":{"admin_state_up":true}}`, 200, `"admin_state_up":true`},
		{"reader", net, `{"network":{"admin_state_up":true}}`, 403, "update_network"},
		{"member", net, `{"network":{"provider:segmentation_id":7}}`, 403, "provider:segmentation_id"},
		{"admin", subnet, `{"subnet":{"enable_dhcp":false}}`, 200, `"enable_dhcp":false`},
		{"admin", subnet, `{"subnet":{"allocation_pools":[{"start":"10.30.92.100","end":"10.30.92.102"}],"enable_dhcp":true}}`, 200, `"start":"10.30.92.100"`},
		{"admin", subnet, `{"subnet":{"allocation_pools":[{"start":"10.30.91.1","end":"10.30.91.2"}]}}`, 400, "spans beyond the subnet cidr"},
		{"admin", subnet, `{"subnet":{"allocation_pools":[{"start":"10.30.92.1","end":"10.30.92.2"}]}}`, 409, "Gateway ip 10.30.92.1 conflicts"},
		{"admin", subnet, `{"subnet":{"allocation_pools":[{"start":"10.30.92.9","end":"10.30.92.2"}]}}`, 400, "is not valid"},
		{"admin", subnet, `{"subnet":{"cidr":"10.0.0.0/8"}}`, 400, "read-only attribute cidr"},
		{"admin", subnet, `{"subnet":{"colour":"red"}}`, 400, "Unrecognized attribute(s) 'colour'"},
		{"admin", subnet, `{"subnet":{"enable_dhcp":"often"}}`, 400, "Invalid input for enable_dhcp"},
		{"admin", subnet, `{"network":{}}`, 400, "not valid"},
		{"admin", subnet, `nonsense`, 400, "not valid"},
		{"admin", port, `{"port":{"admin_state_up":false}}`, 200, `"admin_state_up":false`},
		{"member", port, `{"port":{"binding:host_id":"compute02"}}`, 403, "binding:host_id"},
		{"admin", port, `{"port":{"binding:host_id":"compute09"}}`, 200, `"binding:vif_type":"binding_failed"`},
		{"admin", port, `{"port":{"binding:host_id":"compute01"}}`, 200, `"binding:vif_type":"bridge"`},
		{"member", "/networking/v2.0/ports/p3", `{"port":{"name":"mine"}}`, 404, "PortNotFound"},
		{"admin", "/networking/v2.0/agents/lb", `{"agent":{"admin_state_up":false}}`, 404, "could not be found"},
	} {
		status, got := ask(t, c, tt.role, "", "PUT", tt.path, tt.body)
		if text := string(mustJSON(t, got)); status != tt.status || !strings.Contains(text, tt.want) {
			t.Errorf("step %d: PUT %s %s: %d %s, want %d and %s", i, tt.path, tt.body, status, text, tt.status, tt.want)
		}
	}
	if changes != 7 {
		t.Errorf("the change was told %d times, want 7: once for every 200", changes)
	}
	_, got := ask(t, c, "admin", "", "GET", subnet, "")
	if text := string(mustJSON(t, got)); !strings.Contains(text, `"end":"10.30.92.102"`) || !strings.Contains(text, `"enable_dhcp":true`) {
		t.Errorf("what was refused has changed the subnet: %s", text)
	}
}

// A port that could not be bound is bound by the next update once its host's
// agent lives and reaches the network.
func TestRebinding(t *testing.T) {
	m := paymentsModel()
	m.Ports[0].VIFType, m.Ports[0].Status = "binding_failed", "DOWN"
	c, alive := New(m), false
	c.AgentAlive = func(host, binary string) bool {
		return alive || host != "compute01" || binary != "neutron-linuxbridge-agent"
	}
	if err := c.Serve(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { http.DefaultClient.CloseIdleConnections(); c.Close() })
	for _, tt := range []struct {
		alive bool
		vif   string
	}{{false, "binding_failed"}, {true, "bridge"}, {false, "bridge"}} {
		alive = tt.alive
		_, agents := ask(t, c, "admin", "", "GET", "/networking/v2.0/agents/lb", "")
		if text := string(mustJSON(t, agents)); !strings.Contains(text, fmt.Sprintf(`"alive":%t`, alive)) {
			t.Errorf("the agent is shown as %s, want alive %t", text, alive)
		}
		_, got := ask(t, c, "admin", "", "PUT", "/networking/v2.0/ports/p1", `{"port":{"name":"x"}}`)
		if text := string(mustJSON(t, got)); !strings.Contains(text, `"binding:vif_type":"`+tt.vif+`"`) {
			t.Errorf("with the agent alive %t: %s, want %s", alive, text, tt.vif)
		}
	}
}

// How full a network is: what the pools hold, and every address that a port has.
func TestAvailability(t *testing.T) {
	m := paymentsModel()
	m.Subnets[0].Pools = []Pool{{"10.30.92.100", "10.30.92.101"}}
	m.Subnets = append(m.Subnets, Subnet{
		ID: "v6", Name: "v6", NetworkID: m.Networks[0].ID, ProjectID: payments, CIDR: "2001:db8:92::/64",
		Pools: []Pool{{"2001:db8:92::2", "2001:db8:92:0:ffff:ffff:ffff:ffff"}}, RAMode: "slaac", AddressMode: "slaac",
	})
	c := serve(t, m)
	const path = "/networking/v2.0/network-ip-availabilities"
	_, got := ask(t, c, "admin", "", "GET", path+"/"+m.Networks[0].ID, "")
	text := string(mustJSON(t, got))
	for _, want := range []string{`"network_name":"payments-net"`, `"cidr":"10.30.92.0/24"`, `"total_ips":2`, `"used_ips":2`, `18446744073709552000`, `"ip_version":6`} { // as this test reads numbers: a float has no more digits
		if !strings.Contains(text, want) {
			t.Errorf("%s lacks %s", text, want)
		}
	}
	for role, want := range map[string]int{"admin": 2, "member": 0} {
		_, list := ask(t, c, role, "", "GET", path, "")
		if n := names(t, list, "network_ip_availabilities", "network_id"); len(n) != want {
			t.Errorf("%s sees %d networks, want %d", role, len(n), want)
		}
	}
	if status, _ := ask(t, c, "member", "", "GET", path+"/"+m.Networks[0].ID, ""); status != 404 {
		t.Errorf("a member is told %d, want 404", status)
	}
	_, subnet := ask(t, c, "admin", "", "GET", "/networking/v2.0/subnets/v6", "")
	if text := string(mustJSON(t, subnet)); !strings.Contains(text, `"ipv6_ra_mode":"slaac"`) || !strings.Contains(text, `"ipv6_address_mode":"slaac"`) {
		t.Errorf("the modes are not shown: %s", text)
	}
}

func TestFreeAddress(t *testing.T) {
	m := paymentsModel()
	id := m.Subnets[0].ID
	m.Subnets[0].Pools = []Pool{{"10.30.92.100", "10.30.92.102"}} // .101 is web-1's
	for _, tt := range []struct {
		wish, want string
		ok         bool
	}{{"10.30.92.102", "10.30.92.102", true}, {"10.30.92.101", "10.30.92.100", true}, {"10.30.92.7", "10.30.92.100", true}, {"", "10.30.92.100", true}} {
		if got, ok := m.FreeAddress(id, tt.wish); got != tt.want || ok != tt.ok {
			t.Errorf("FreeAddress(%q) = %q, %t, want %q, %t", tt.wish, got, ok, tt.want, tt.ok)
		}
	}
	m.Subnets[0].Pools = []Pool{{"10.30.92.101", "10.30.92.101"}}
	if got, ok := m.FreeAddress(id, "10.30.92.101"); ok {
		t.Errorf("an exhausted pool gave %s", got)
	}
	if got, ok := m.FreeAddress("none", ""); ok {
		t.Errorf("a subnet that is not there gave %s", got)
	}
}

// Taking a network from its agent reserves the port.
func TestReservedPort(t *testing.T) {
	c := serve(t, paymentsModel())
	const path = "/networking/v2.0/agents/0e84f34c-438e-49fe-8fca-8c25ac34c6f6/dhcp-networks/839e2c83-170f-4b67-8d7a-3251a97bea5f"
	if status, _ := ask(t, c, "admin", "", "DELETE", path, ""); status != 204 {
		t.Fatalf("%d", status)
	}
	_, got := ask(t, c, "admin", "", "GET", "/networking/v2.0/ports/p2", "")
	if text := string(mustJSON(t, got)); !strings.Contains(text, `"device_id":"reserved_dhcp_port"`) {
		t.Errorf("the port is %s", text)
	}
}
