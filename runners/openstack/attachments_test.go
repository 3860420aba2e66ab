package openstack

import (
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"whybot/internal/cloudfake"
	"whybot/runners"
)

func attachments(t *testing.T, c *Client) []runners.Attachment {
	t.Helper()
	all, err := c.Attachments(t.Context(), runners.Server{ID: web1})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestAttachmentsForAdmin(t *testing.T) {
	all := attachments(t, dial(t, serve(t, model()), "admin", nil))
	if len(all) != 2 || all[0].Port.ID != "port-web-1" || all[1].Port.ID != "port-web-1-b" {
		t.Fatalf("%+v", all)
	}
	got := all[0]
	beat := time.Date(2026, 11, 23, 15, 50, 4, 0, time.UTC)
	bridge := func(host string) runners.Agent {
		return runners.Agent{
			ID: "lb-" + host, Type: "Linux bridge agent", Host: host, Binary: "neutron-linuxbridge-agent", Alive: true, AdminUp: true,
			Heartbeat: beat, InterfaceMappings: map[string]string{"physnet1": "phys0"}, BridgeMappings: map[string]string{}, // said to be none
		}
	}
	dhcp := func(id, host string, alive bool) runners.Agent {
		return runners.Agent{ID: id, Type: "DHCP agent", Host: host, Binary: "neutron-dhcp-agent", Alive: alive, AdminUp: true, Heartbeat: beat, Networks: runners.Known(1)}
	}
	want := runners.Attachment{
		Port: runners.Port{
			ID: "port-web-1", Name: "web-1-port", NetworkID: net1, DeviceID: web1, DeviceOwner: "compute:nova",
			MAC: "fa:16:3e:c0:61:ac", Status: "ACTIVE", AdminUp: true, SecurityGroups: []string{},
			FixedIPs:     []runners.FixedIP{{SubnetID: subnet1, Address: "10.30.92.101"}},
			PortSecurity: runners.Known(true), HostID: runners.Known("compute01"), VIFType: runners.Known("bridge"),
			MigratingTo: runners.Known(""),
		},
		Network: runners.Network{
			ID: net1, Name: "payments-net", AdminUp: true, MTU: 1500,
			Type: runners.Known("vlan"), PhysicalNet: runners.Known("physnet1"), SegmentationID: runners.Known(3092),
		},
		Subnets: []runners.Subnet{{
			ID: subnet1, NetworkID: net1, CIDR: "10.30.92.0/24", IPVersion: 4, DHCP: true, GatewayIP: "10.30.92.1",
		}},
		DHCPPorts: []runners.Port{{
			ID: "port-dhcp-1", NetworkID: net1, DeviceID: "dhcp-1", DeviceOwner: "network:dhcp", Status: "ACTIVE", AdminUp: true,
			SecurityGroups: []string{}, FixedIPs: []runners.FixedIP{{SubnetID: subnet1, Address: "10.30.92.10"}},
			PortSecurity: runners.Known(true), HostID: runners.Known("controller01"), VIFType: runners.Known("bridge"),
			MigratingTo: runners.Known(""),
		}},
		DHCPAgents: runners.Known([]runners.Agent{dhcp(dhcp1, "controller01", true), dhcp(dhcp2, "controller02", false)}),
		L2Agents: runners.Known(map[string]runners.Agent{ // compute02 is not on the path
			"compute01": bridge("compute01"), "controller01": bridge("controller01"), "controller02": bridge("controller02"),
		}),
	}
	if !slices.Equal(got.Subnets[0].Pools, []runners.Pool{{Start: "10.30.92.10", End: "10.30.92.199"}}) {
		t.Errorf("pools %+v", got.Subnets[0].Pools)
	}
	hosts := map[string]bool{}
	for _, a := range got.Agents.Or(nil) {
		hosts[a.Type+" "+a.Host] = a.Alive
	}
	if !hosts["Linux bridge agent compute02"] || hosts["DHCP agent controller02"] || len(hosts) != 6 {
		t.Errorf("agents %v", hosts)
	}
	got.Subnets[0].Pools, got.Agents, got.Use = nil, want.Agents, want.Use // Use has a test of its own
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// What a real Neutron says of a network with a subnet of each kind: how full
// it is, where its routers are, and where a port is going.
func TestNetworkInUse(t *testing.T) {
	cloud := serve(t, model())
	cloud.Inject(cloudfake.Fault{Path: "/network-ip-availabilities/" + net1, Status: 200, Body: `{"network_ip_availability":{"network_id":"n",
		"used_ips":5,"total_ips":18446744073709551865,"subnet_ip_availability":[
		{"used_ips":4,"subnet_id":"four","ip_version":4,"cidr":"10.30.92.0/24","total_ips":253},
		{"used_ips":1,"subnet_id":"six","ip_version":6,"cidr":"fd00::/64","total_ips":18446744073709551614},
		{"used_ips":1,"subnet_id":"wide","ip_version":6,"cidr":"fd00::/48","total_ips":1208925819614629174706174}]}}`})
	cloud.Inject(cloudfake.Fault{Path: "/subnets", Status: 200, Body: `{"subnets":[{"id":"six","ip_version":6,"enable_dhcp":true,
		"ipv6_ra_mode":"slaac","ipv6_address_mode":"slaac","gateway_ip":null,"allocation_pools":[]}]}`})
	c := dial(t, cloud, "admin", nil)
	a := attachments(t, c)[0]
	use, known := a.Use.Get()
	want := map[string]runners.AddressUse{"four": {Used: 4, Total: 253}, "six": {Used: 1, Total: 1<<64 - 2}, "wide": {Used: 1, Total: 1<<64 - 1}}
	if !known || !reflect.DeepEqual(use, want) {
		t.Errorf("use %v (%s)", use, a.Use.Why())
	}
	if s := a.Subnets[0]; s.RAMode != "slaac" || s.AddressMode != "slaac" || s.Pools != nil {
		t.Errorf("subnet %+v", s)
	}
}

func TestRouterPortsAndMigration(t *testing.T) {
	m := model()
	for _, owner := range []string{
		"network:router_interface", "network:router_interface_distributed", "network:ha_router_replicated_interface",
		"network:router_centralized_snat", "network:floatingip",
	} {
		m.Ports = append(m.Ports, cloudfake.Port{ID: "of-" + owner[len("network:"):], NetworkID: net1, ProjectID: payments, DeviceOwner: owner})
	}
	cloud := serve(t, m)
	a := attachments(t, dial(t, cloud, "admin", nil))[0]
	var ids []string
	for _, p := range a.RouterPorts {
		ids = append(ids, p.ID)
	}
	if want := []string{"of-ha_router_replicated_interface", "of-router_interface", "of-router_interface_distributed"}; !slices.Equal(ids, want) || len(a.DHCPPorts) != 1 {
		t.Errorf("router ports %q, DHCP ports %+v", ids, a.DHCPPorts)
	}
	cloud.Inject(cloudfake.Fault{Path: "/ports", Status: 200, Body: `{"ports":[{"id":"p","network_id":"` + net1 + `","binding:profile":{"migrating_to":"compute02"}}]}`})
	moving := attachments(t, dial(t, cloud, "admin", nil))[0].Port
	if to, known := moving.MigratingTo.Get(); !known || to != "compute02" {
		t.Errorf("migrating to %q, %t", to, known)
	}
}

// How full a network is is never zero for want of an answer.
func TestUseThatIsNotKnown(t *testing.T) {
	const path = "/network-ip-availabilities/"
	for _, tt := range []struct {
		name  string
		fault cloudfake.Fault
		why   string
	}{
		{"not shown", cloudfake.Fault{Path: path, Status: 404, Body: `{"NeutronError":{"type":"HTTPNotFound"}}`}, "admin"},
		{"forbidden", cloudfake.Fault{Path: path, Status: 403, Body: `{}`}, "admin"},
		{"broken", cloudfake.Fault{Path: path, Status: 500, Body: `{}`}, "HTTP 500"},
		{"another answer", cloudfake.Fault{Path: path, Status: 200, Body: `{}`}, "not the JSON"},
		{"negative", cloudfake.Fault{Path: path, Status: 200, Body: `{"network_ip_availability":{"subnet_ip_availability":[{"used_ips":-1,"total_ips":1}]}}`}, "not the JSON"},
		{"half a number", cloudfake.Fault{Path: path, Status: 200, Body: `{"network_ip_availability":{"subnet_ip_availability":[{"used_ips":1.5,"total_ips":1}]}}`}, "not the JSON"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cloud := serve(t, model())
			cloud.Inject(tt.fault)
			a := attachments(t, dial(t, cloud, "admin", nil))[0]
			if _, known := a.Use.Get(); known || !strings.Contains(a.Use.Why(), tt.why) {
				t.Errorf("known %t, why %q", known, a.Use.Why())
			}
		})
	}
}

// null and "" are answers: the overlay has no physical network, its port is
// bound to nothing, nobody serves it.
func TestEmptyIsKnown(t *testing.T) {
	a := attachments(t, dial(t, serve(t, model()), "admin", nil))[1]
	if v, known := a.Network.PhysicalNet.Get(); !known || v != "" {
		t.Errorf("physical network %q, known %v", v, known)
	}
	if v, known := a.Port.HostID.Get(); !known || v != "" {
		t.Errorf("host %q, known %v", v, known)
	}
	if v, known := a.Port.VIFType.Get(); !known || v != "unbound" {
		t.Errorf("vif type %q, known %v", v, known)
	}
	if v, known := a.Port.PortSecurity.Get(); !known || v {
		t.Errorf("port security %v, known %v", v, known)
	}
	if v, known := a.DHCPAgents.Get(); !known || v == nil || len(v) != 0 {
		t.Errorf("DHCP agents %v, known %v", v, known)
	}
	if len(a.Subnets) != 0 || len(a.DHCPPorts) != 0 || a.Port.Status != "DOWN" {
		t.Errorf("%+v", a)
	}
}

// What a member is not shown is unknown and says which role it takes; the rest
// is there.
func TestAttachmentsForMembers(t *testing.T) {
	cloud := serve(t, model())
	for _, role := range []string{"member", "reader"} {
		a := attachments(t, dial(t, cloud, role, nil))[0]
		if a.Port.MAC != "fa:16:3e:c0:61:ac" || len(a.Subnets) != 1 || len(a.DHCPPorts) != 1 || a.Network.Name != "payments-net" {
			t.Errorf("%s: what is shown to all is missing: %+v", role, a)
		}
		for what, why := range map[string]string{
			"host":             a.Port.HostID.Why(),
			"vif type":         a.Port.VIFType.Why(),
			"DHCP port's host": a.DHCPPorts[0].HostID.Why(),
			"type":             a.Network.Type.Why(),
			"physical network": a.Network.PhysicalNet.Why(),
			"segmentation id":  a.Network.SegmentationID.Why(),
			"DHCP agents":      a.DHCPAgents.Why(),
			"L2 agents":        a.L2Agents.Why(),
			"agents":           a.Agents.Why(),
			"address use":      a.Use.Why(),
			"migration":        a.Port.MigratingTo.Why(),
		} {
			if !strings.Contains(why, "admin") {
				t.Errorf("%s: %s: why %q does not name the role", role, what, why)
			}
		}
	}
}

func TestAgentsThatCannotBeBelieved(t *testing.T) {
	const agents, scheduled = "/networking/v2.0/agents", "/dhcp-agents"
	empty := cloudfake.Fault{Path: agents, Status: 200, Body: `{"agents":[]}`}
	for _, tt := range []struct {
		name            string
		faults          []cloudfake.Fault
		dhcp, l2        bool // known
		whyDHCP, whyOfL string
	}{
		{"empty, but DHCP agents are listed", []cloudfake.Fault{empty}, true, false, "", "no agents at all"},
		{"empty, as are the DHCP agents", []cloudfake.Fault{empty, {Path: scheduled, Status: 200, Body: `{"agents":[]}`}}, true, true, "", ""},
		{"forbidden", []cloudfake.Fault{{Path: agents, Status: 403, Body: `{}`}}, true, false, "", "role"},
		{"broken", []cloudfake.Fault{{Path: agents, Status: 500, Body: `{}`}}, true, false, "", "HTTP 500"},
		{"no DHCP scheduler", []cloudfake.Fault{{Path: scheduled, Status: 404, Body: `{"NeutronError":{"type":"HTTPNotFound"}}`}}, false, true, "OVN", ""},
		{"DHCP agents broken", []cloudfake.Fault{{Path: scheduled, Status: 503}}, false, true, "HTTP 503", ""},
		{"empty and nothing known of DHCP agents", []cloudfake.Fault{empty, {Path: scheduled, Status: 503}}, false, false, "HTTP 503", "admin"},
		{"no list in the answer", []cloudfake.Fault{{Path: agents, Status: 200, Body: `{}`}}, true, false, "", "unintelligible"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cloud := serve(t, model())
			for _, f := range tt.faults {
				cloud.Inject(f)
			}
			a := attachments(t, dial(t, cloud, "admin", nil))[0]
			if _, known := a.DHCPAgents.Get(); known != tt.dhcp || !strings.Contains(a.DHCPAgents.Why(), tt.whyDHCP) {
				t.Errorf("DHCP agents known %v, why %q", known, a.DHCPAgents.Why())
			}
			if _, known := a.L2Agents.Get(); known != tt.l2 || !strings.Contains(a.L2Agents.Why(), tt.whyOfL) {
				t.Errorf("L2 agents known %v, why %q", known, a.L2Agents.Why())
			}
		})
	}
}

func TestSeveralSegmentsAreNotHidden(t *testing.T) {
	cloud := serve(t, model())
	cloud.Inject(cloudfake.Fault{Path: "/networks/" + net1 + "/dhcp-agents", Status: 200, Body: `{"agents":[]}`})
	cloud.Inject(cloudfake.Fault{Path: "/networks/" + net1, Status: 200, Body: `{"network":{"id":"n","segments":[{},{}]}}`})
	a := attachments(t, dial(t, cloud, "admin", nil))[0]
	if why := a.Network.Type.Why(); !strings.Contains(why, "2 segments") || strings.Contains(why, "admin") {
		t.Errorf("why %q", why)
	}
}

// The preferred agent of a host is the one that wires ordinary ports.
func TestHostWithTwoL2Agents(t *testing.T) {
	m := model()
	m.Agents = append([]cloudfake.Agent{{ID: "sriov", Type: "NIC Switch agent", Host: "compute01"}}, m.Agents...)
	l2, _ := attachments(t, dial(t, serve(t, m), "admin", nil))[0].L2Agents.Get()
	if l2["compute01"].Type != "Linux bridge agent" {
		t.Errorf("agent %+v", l2["compute01"])
	}
}

// What an agent reports of its tunnels is known; what it does not is not.
func TestTunnelsOfAnAgent(t *testing.T) {
	m := model()
	for i, a := range m.Agents {
		if a.Host == "compute01" && a.Type == "Linux bridge agent" {
			m.Agents[i].TunnelingIP, m.Agents[i].L2Population = "172.30.200.41", true
		}
	}
	l2, _ := attachments(t, dial(t, serve(t, m), "admin", nil))[0].L2Agents.Get()
	with, without := l2["compute01"], l2["controller01"]
	if on, known := with.L2Population.Get(); with.TunnelingIP != "172.30.200.41" || !slices.Equal(with.TunnelTypes, []string{"vxlan"}) || !on || !known {
		t.Errorf("an agent with tunnels: %+v", with)
	}
	if _, known := without.L2Population.Get(); without.TunnelingIP != "" || without.TunnelTypes != nil || known {
		t.Errorf("an agent without: %+v", without)
	}
}

// A network that the port is on cannot be missing, only hidden.
func TestHiddenNetwork(t *testing.T) {
	m := model()
	m.Networks[0].ProjectID = others
	_, err := dial(t, serve(t, m), "member", nil).Attachments(t.Context(), runners.Server{ID: web1})
	wantKind(t, err, runners.Hidden, "neutron")
}

func TestAttachmentsOfNoServer(t *testing.T) {
	cloud := serve(t, model())
	c := dial(t, cloud, "admin", nil)
	_, err := c.Attachments(t.Context(), runners.Server{}) // would be every port that nobody uses
	wantKind(t, err, runners.Invalid, "neutron")
	if all, err := c.Attachments(t.Context(), runners.Server{ID: "id-ten"}); err != nil || len(all) != 0 {
		t.Errorf("a server without ports: %v, %v", all, err)
	}
}

// The five reads of a network wait for one another here, so they finish only
// if they run at the same time.
func TestReadsRunInParallel(t *testing.T) {
	m := model()
	m.Ports = m.Ports[:1] // one network
	cloud := serve(t, m)
	var wg sync.WaitGroup
	wg.Add(5)
	together := make(chan struct{})
	go func() { wg.Wait(); close(together) }()
	ofNetwork := func(r *http.Request) bool {
		return strings.Contains(r.URL.Path, net1) || strings.Contains(r.URL.RawQuery, net1)
	}
	c := dial(t, cloud, "admin", func(o *Options) {
		o.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			if ofNetwork(r) {
				wg.Done()
				select {
				case <-together:
				case <-r.Context().Done():
					return nil, r.Context().Err()
				}
			}
			return http.DefaultTransport.RoundTrip(r)
		})
	})
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	if a := attachments(t, c); len(a) != 1 || len(a[0].Subnets) != 1 {
		t.Errorf("%+v", a)
	}
	if n := count(cloud, "POST", "/auth/tokens"); n != 1 {
		t.Errorf("%d logins, want 1", n)
	}
}

func TestEndlessList(t *testing.T) {
	cloud := serve(t, model())
	cloud.Inject(cloudfake.Fault{Path: "/ports", Status: 200, Body: `{"ports":[{"id":"same"}],"ports_links":[{"rel":"next","href":"http://192.0.2.1/"}]}`})
	_, err := dial(t, cloud, "admin", nil).Attachments(t.Context(), runners.Server{ID: web1})
	wantKind(t, err, runners.Invalid, "neutron")
	if n := count(cloud, "GET", "/ports"); n != maxPages {
		t.Errorf("%d pages were read, want %d", n, maxPages)
	}
}
