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
		return runners.Agent{ID: id, Type: "DHCP agent", Host: host, Binary: "neutron-dhcp-agent", Alive: alive, AdminUp: true, Heartbeat: beat}
	}
	want := runners.Attachment{
		Port: runners.Port{
			ID: "port-web-1", Name: "web-1-port", NetworkID: net1, DeviceID: web1, DeviceOwner: "compute:nova",
			MAC: "fa:16:3e:c0:61:ac", Status: "ACTIVE", AdminUp: true, SecurityGroups: []string{},
			FixedIPs:     []runners.FixedIP{{SubnetID: subnet1, Address: "10.30.92.101"}},
			PortSecurity: runners.Known(true), HostID: runners.Known("compute01"), VIFType: runners.Known("bridge"),
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
		}},
		DHCPAgents: runners.Known([]runners.Agent{dhcp(dhcp1, "controller01", true), dhcp(dhcp2, "controller02", false)}),
		L2Agents: runners.Known(map[string]runners.Agent{ // compute02 is not on the path
			"compute01": bridge("compute01"), "controller01": bridge("controller01"), "controller02": bridge("controller02"),
		}),
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
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

// The four reads of a network wait for one another here, so they finish only
// if they run at the same time.
func TestReadsRunInParallel(t *testing.T) {
	m := model()
	m.Ports = m.Ports[:1] // one network
	cloud := serve(t, m)
	var wg sync.WaitGroup
	wg.Add(4)
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

func TestDHCPNetworks(t *testing.T) {
	cloud := cloudfake.New(model())
	var mu sync.Mutex
	var told []bool
	cloud.OnDHCPNetwork = func(_, _ string, added bool) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, added)
	}
	if err := cloud.Serve(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cloud.Close)
	c, ctx := dial(t, cloud, "admin", nil), t.Context()
	for range 2 { // the second time it is gone already
		if err := c.RemoveDHCPNetwork(ctx, dhcp1, net1); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.RemoveDHCPNetwork(ctx, "no-such-agent", net1); err != nil {
		t.Errorf("an agent that does not exist serves nothing: %v", err)
	}
	for range 2 { // the second time it is there already
		if err := c.AddDHCPNetwork(ctx, dhcp1, net1); err != nil {
			t.Fatal(err)
		}
	}
	mu.Lock()
	if !slices.Equal(told, []bool{false, true}) {
		t.Errorf("the agent was told %v, want one removal and one addition", told)
	}
	mu.Unlock()

	wantKind(t, c.AddDHCPNetwork(ctx, dhcp1, "no-such-network"), runners.NotFound, "neutron")
	wantKind(t, c.AddDHCPNetwork(ctx, "no-such-agent", net1), runners.NotFound, "neutron")
	if e := wantKind(t, c.AddDHCPNetwork(ctx, "lb-compute01", net1), runners.NotFound, "neutron"); !strings.Contains(e.Hint, "no DHCP agent") {
		t.Errorf("hint %q", e.Hint)
	}
	member := dial(t, cloud, "member", nil)
	wantKind(t, member.RemoveDHCPNetwork(ctx, dhcp1, net1), runners.Hidden, "neutron")
	wantKind(t, member.AddDHCPNetwork(ctx, dhcp1, net1), runners.Hidden, "neutron")
	wantKind(t, c.RemoveDHCPNetwork(ctx, dhcp1, "../../networks/"+net1), runners.NotFound, "neutron")
	if n := count(cloud, "DELETE", "/networks/"+net1); n != 0 {
		t.Error("a crafted id deleted a network")
	}
}

// Only Neutron's own word for it is success: another 404 or 409 is not.
func TestDHCPNetworkDoubtfulSuccess(t *testing.T) {
	for _, f := range []cloudfake.Fault{
		{Path: "dhcp-networks", Status: 404, Body: `{"NeutronError":{"type":"HTTPNotFound"}}`}, // no such extension
		{Path: "dhcp-networks", Status: 404, Body: "<html>"},
		{Path: "dhcp-networks", Status: 409, Body: `{"NeutronError":{"type":"IpAddressInUse"}}`},
	} {
		cloud := serve(t, model())
		cloud.Inject(f)
		c := dial(t, cloud, "admin", nil)
		if err := c.RemoveDHCPNetwork(t.Context(), dhcp1, net1); err == nil {
			t.Errorf("removal answered with %d %s was taken for success", f.Status, f.Body)
		}
		if err := c.AddDHCPNetwork(t.Context(), dhcp1, net2); err == nil {
			t.Errorf("addition answered with %d %s was taken for success", f.Status, f.Body)
		}
	}
}
