package vcsim_test

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/fault"
	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/session"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
	"go.uber.org/goleak"

	"whybot/internal/vcsim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var inventory = vcsim.Inventory{
	Hosts: 2,
	Standard: []vcsim.Standard{{
		Name: "vSwitch1", Uplinks: []string{"vmnic1", "vmnic2"}, MTU: 9000,
		Security: vcsim.Security{Promiscuous: new(false), MACChanges: new(true), Forged: new(false)},
		Groups:   []vcsim.StandardGroup{{Name: "pg-compute", VLAN: 4095}, {Name: "pg-own", VLAN: 12, Security: vcsim.Security{Forged: new(true)}}},
	}},
	Distributed: []vcsim.Distributed{{
		Name: "dvs1", Uplinks: []string{"uplink1"},
		Groups: []vcsim.DistributedGroup{{Name: "dvpg-trunk", Trunk: [][2]int{{100, 200}}, Security: vcsim.Security{Forged: new(false)}}},
	}},
	Machines: []vcsim.Machine{{
		Name: "compute01", UUID: "42001122-3344-5566-7788-99aabbccddee", IP: "172.30.200.41", Host: 1,
		Cards: []vcsim.Card{{MAC: "00:50:56:aa:00:41", Group: "pg-compute"}, {MAC: "00:50:56:aa:00:42", Group: "dvpg-trunk", Port: "7", Blocked: true}},
	}},
}

// witness is a client of govmomi's own: what it reads is what a real client would.
type witness struct {
	*govmomi.Client
	t *testing.T
}

func start(t *testing.T) (*vcsim.Server, witness) {
	t.Helper()
	s, err := vcsim.Start(t.Context(), vcsim.Options{User: "bot", Password: "s3cret", Inventory: inventory})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, witness{login(t, s, "s3cret"), t}
}

func login(t *testing.T, s *vcsim.Server, password string) *govmomi.Client {
	t.Helper()
	u, err := url.Parse(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	sc := soap.NewClient(u, false)
	sc.SetThumbprint(u.Host, s.Thumbprint())
	vc, err := vim25.NewClient(t.Context(), sc)
	if err != nil {
		t.Fatal(err)
	}
	c := &govmomi.Client{Client: vc, SessionManager: session.NewManager(vc)}
	t.Cleanup(vc.CloseIdleConnections)
	if err := c.Login(t.Context(), url.UserPassword("bot", password)); err != nil {
		if password == "s3cret" {
			t.Fatal(err)
		}
		return nil
	}
	t.Cleanup(func() { _ = c.Logout(context.Background()) })
	return c
}

func (w witness) finder() *find.Finder {
	w.t.Helper()
	f := find.NewFinder(w.Client.Client)
	dc, err := f.DefaultDatacenter(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return f.SetDatacenter(dc)
}

// networks are the network systems of the hosts.
func (w witness) networks() []*object.HostNetworkSystem {
	w.t.Helper()
	hosts, err := w.finder().HostSystemList(w.t.Context(), "*")
	if err != nil {
		w.t.Fatal(err)
	}
	var all []*object.HostNetworkSystem
	for _, h := range hosts {
		n, err := h.ConfigManager().NetworkSystem(w.t.Context())
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, n)
	}
	return all
}

func (w witness) standard(n *object.HostNetworkSystem, name string) types.HostPortGroup {
	w.t.Helper()
	var m mo.HostNetworkSystem
	if err := n.Properties(w.t.Context(), n.Reference(), []string{"networkInfo"}, &m); err != nil {
		w.t.Fatal(err)
	}
	for _, g := range m.NetworkInfo.Portgroup {
		if g.Spec.Name == name {
			return g
		}
	}
	w.t.Fatalf("no port group %s", name)
	return types.HostPortGroup{}
}

func (w witness) distributed() (*object.DistributedVirtualPortgroup, types.DVPortgroupConfigInfo) {
	w.t.Helper()
	ref, err := w.finder().Network(w.t.Context(), "dvpg-trunk")
	if err != nil {
		w.t.Fatal(err)
	}
	pg, ok := ref.(*object.DistributedVirtualPortgroup)
	if !ok {
		w.t.Fatalf("dvpg-trunk is a %T", ref)
	}
	var m mo.DistributedVirtualPortgroup
	if err := pg.Properties(w.t.Context(), pg.Reference(), []string{"config"}, &m); err != nil {
		w.t.Fatal(err)
	}
	return pg, m.Config
}

func TestComputedPolicyIsTheGroupsOwnOrTheSwitchs(t *testing.T) {
	_, w := start(t)
	for _, n := range w.networks() {
		inherits, own := w.standard(n, "pg-compute"), w.standard(n, "pg-own")
		if *inherits.ComputedPolicy.Security.ForgedTransmits || inherits.Spec.Policy.Security.ForgedTransmits != nil {
			t.Errorf("pg-compute: %+v", inherits.ComputedPolicy.Security)
		}
		if !*own.ComputedPolicy.Security.ForgedTransmits || *own.ComputedPolicy.Security.AllowPromiscuous || !*own.ComputedPolicy.Security.MacChanges {
			t.Errorf("pg-own: %+v", own.ComputedPolicy.Security)
		}
		if got := inherits.ComputedPolicy.NicTeaming.NicOrder.ActiveNic; len(got) != 2 {
			t.Errorf("active uplinks: %q", got)
		}
	}
}

func TestUpdatePortGroupReplacesTheSpecificationOfOneHost(t *testing.T) {
	s, w := start(t)
	hosts := w.networks()
	spec := w.standard(hosts[0], "pg-compute").Spec
	spec.Policy.Security.ForgedTransmits = types.NewBool(true)
	if err := hosts[0].UpdatePortGroup(t.Context(), "pg-compute", spec); err != nil {
		t.Fatal(err)
	}
	if g := w.standard(hosts[0], "pg-compute"); !*g.ComputedPolicy.Security.ForgedTransmits || g.Spec.VlanId != 4095 {
		t.Errorf("not updated: %+v", g)
	}
	if g := w.standard(hosts[1], "pg-compute"); *g.ComputedPolicy.Security.ForgedTransmits {
		t.Error("the other host's port group changed too")
	}
	// What a request leaves out is gone.
	if err := hosts[0].UpdatePortGroup(t.Context(), "pg-own", types.HostPortGroupSpec{Name: "pg-own", VswitchName: "vSwitch1"}); err != nil {
		t.Fatal(err)
	}
	if g := w.standard(hosts[0], "pg-own"); g.Spec.VlanId != 0 || *g.ComputedPolicy.Security.ForgedTransmits {
		t.Errorf("merged instead of replaced: %+v", g)
	}
	if n := s.Calls("UpdatePortGroup"); n != 2 {
		t.Errorf("counted %d calls", n)
	}
}

func TestUpdatePortGroupRefuses(t *testing.T) {
	_, w := start(t)
	n := w.networks()[0]
	for name, c := range map[string]struct {
		group string
		spec  types.HostPortGroupSpec
		want  types.BaseMethodFault
	}{
		"no such group":  {"nothing", types.HostPortGroupSpec{Name: "nothing", VswitchName: "vSwitch1"}, &types.NotFound{}},
		"no such switch": {"pg-own", types.HostPortGroupSpec{Name: "pg-own", VswitchName: "vSwitch9"}, &types.NotFound{}},
		"a VLAN too far": {"pg-own", types.HostPortGroupSpec{Name: "pg-own", VswitchName: "vSwitch1", VlanId: 4096}, &types.InvalidArgument{}},
		"a rename":       {"pg-own", types.HostPortGroupSpec{Name: "other", VswitchName: "vSwitch1"}, &types.NotSupported{}},
	} {
		if err := n.UpdatePortGroup(t.Context(), c.group, c.spec); !fault.Is(err, c.want) {
			t.Errorf("%s: %v, want %T", name, err, c.want)
		}
	}
}

func TestReconfigureMergesAndChecksTheVersion(t *testing.T) {
	_, w := start(t)
	pg, before := w.distributed()
	reconfigure := func(version string, s *types.VMwareDVSPortSetting) error {
		task, err := pg.Reconfigure(t.Context(), types.DVPortgroupConfigSpec{ConfigVersion: version, DefaultPortConfig: s})
		if err != nil {
			return err
		}
		return task.WaitEx(t.Context())
	}
	forged := &types.VMwareDVSPortSetting{MacManagementPolicy: &types.DVSMacManagementPolicy{
		AllowPromiscuous: types.NewBool(false), MacChanges: types.NewBool(false), ForgedTransmits: types.NewBool(true),
	}}
	if err := reconfigure("0", forged); !fault.Is(err, &types.ConcurrentAccess{}) {
		t.Errorf("another version: %v", err)
	}
	if err := reconfigure(before.ConfigVersion, forged); err != nil {
		t.Fatal(err)
	}
	_, after := w.distributed()
	setting, ok := after.DefaultPortConfig.(*types.VMwareDVSPortSetting)
	if !ok || !*setting.MacManagementPolicy.ForgedTransmits || !*setting.SecurityPolicy.ForgedTransmits.Value {
		t.Fatalf("not changed: %+v", after.DefaultPortConfig)
	}
	if trunk, ok := setting.Vlan.(*types.VmwareDistributedVirtualSwitchTrunkVlanSpec); !ok || trunk.VlanId[0].End != 200 {
		t.Errorf("the trunk is gone: %+v", setting.Vlan)
	}
	if after.ConfigVersion == before.ConfigVersion || after.Name != "dvpg-trunk" || after.NumPorts != before.NumPorts {
		t.Errorf("version %q after %q, name %q, %d ports", after.ConfigVersion, before.ConfigVersion, after.Name, after.NumPorts)
	}
	bad := &types.VMwareDVSPortSetting{Vlan: &types.VmwareDistributedVirtualSwitchVlanIdSpec{VlanId: 4095}}
	if err := reconfigure(after.ConfigVersion, bad); !fault.Is(err, &types.InvalidArgument{}) {
		t.Errorf("VLAN 4095: %v", err)
	}
}

func TestPortsHaveTheirOwnState(t *testing.T) {
	_, w := start(t)
	_, config := w.distributed()
	res, err := methods.FetchDVPorts(t.Context(), w.Client, &types.FetchDVPorts{
		This: *config.DistributedVirtualSwitch, Criteria: &types.DistributedVirtualSwitchPortCriteria{PortKey: []string{"7"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Returnval) != 1 || !res.Returnval[0].State.RuntimeInfo.Blocked {
		t.Errorf("ports: %+v", res.Returnval)
	}
}

func TestMachinesAreFoundByWhatTheyAre(t *testing.T) {
	_, w := start(t)
	index := object.NewSearchIndex(w.Client.Client)
	byUUID, err := index.FindAllByUuid(t.Context(), nil, inventory.Machines[0].UUID, true, nil)
	if err != nil || len(byUUID) != 1 {
		t.Fatalf("by UUID: %v, %v", byUUID, err)
	}
	byIP, err := index.FindAllByIp(t.Context(), nil, "172.30.200.41", true)
	if err != nil || len(byIP) != 1 {
		t.Errorf("by address: %v, %v", byIP, err)
	}
}

func TestWhoMayNotAndWhoNoLongerMay(t *testing.T) {
	s, w := start(t)
	if login(t, s, "wrong") != nil {
		t.Error("a wrong password was taken")
	}
	s.EndSessions()
	if _, err := methods.CreateFilter(t.Context(), w.Client, &types.CreateFilter{This: w.ServiceContent.PropertyCollector}); !fault.Is(err, &types.NotAuthenticated{}) {
		t.Errorf("after the end of all sessions: %v", err)
	}
}

func TestHooks(t *testing.T) {
	s, w := start(t)
	n := w.networks()[0]
	spec := w.standard(n, "pg-compute").Spec
	spec.VlanId = 7
	s.Before(func(method string) types.BaseMethodFault {
		if method == "UpdatePortGroup" {
			return &types.NoPermission{}
		}
		return nil
	})
	if err := n.UpdatePortGroup(t.Context(), "pg-compute", spec); !fault.Is(err, &types.NoPermission{}) || w.standard(n, "pg-compute").Spec.VlanId != 4095 {
		t.Errorf("before: %v", err)
	}
	s.Before(nil)
	s.After(func(string) types.BaseMethodFault { return &types.HostCommunication{} })
	if err := n.UpdatePortGroup(t.Context(), "pg-compute", spec); !fault.Is(err, &types.HostCommunication{}) || w.standard(n, "pg-compute").Spec.VlanId != 7 {
		t.Errorf("after: %v: the effect must stay", err)
	}
}

func TestInventoryIsChecked(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"unknown key":    {`{"host": 1}`, "unknown field"},
		"too many hosts": {`{"hosts": 65}`, "65 hosts"},
		"name twice":     {`{"standard": [{"name": "a"}, {"name": "a"}]}`, "each once"},
		"no such group":  {`{"machines": [{"name": "m", "cards": [{"mac": "0", "group": "x"}]}]}`, `on "x"`},
		"no such host":   {`{"hosts": 2, "machines": [{"name": "m", "host": 2}]}`, "runs on host 2"},
	} {
		_, err := vcsim.ReadInventory(strings.NewReader(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
