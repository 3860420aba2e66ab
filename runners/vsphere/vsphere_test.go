package vsphere_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"
	"go.uber.org/goleak"

	"whybot/internal/vcsim"
	"whybot/runners"
	"whybot/runners/vsphere"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	uuid = "42001122-3344-5566-7788-99aabbccddee"
	mac  = "00:50:56:aa:00:41"
)

// cluster has a node with a card on each kind of switch, a clone of it with
// other cards, and a template.
var cluster = vcsim.Inventory{
	Hosts: 3,
	Standard: []vcsim.Standard{{
		Name: "vSwitch1", Uplinks: []string{"vmnic1", "vmnic2"}, MTU: 9000,
		Security: vcsim.Security{Promiscuous: new(false), MACChanges: new(true), Forged: new(false)},
		Groups: []vcsim.StandardGroup{
			{Name: "pg-trunk", VLAN: 4095}, {Name: "pg-own", VLAN: 12, Security: vcsim.Security{Forged: new(true)}, Active: []string{"vmnic2"}},
		},
	}},
	Distributed: []vcsim.Distributed{{
		Name: "dvs1", Uplinks: []string{"uplink1"},
		Groups: []vcsim.DistributedGroup{
			{Name: "dvpg-learning", Trunk: [][2]int{{100, 200}}, Security: vcsim.Security{Forged: new(true)}, Learning: &vcsim.Learning{Enabled: true, Flooding: true, Limit: 4096, Policy: "DROP"}},
			{Name: "dvpg-old", VLAN: 7, Old: true},
			{Name: "dvpg-silent", Unset: true},
		},
	}},
	Machines: []vcsim.Machine{
		{Name: "compute01", UUID: uuid, IP: "172.30.200.41", HostName: "compute01.example.org", Host: 1, Cards: []vcsim.Card{
			{MAC: mac, Group: "pg-trunk"},
			{MAC: "00:50:56:aa:00:42", Group: "pg-own", Unplugged: true},
			{MAC: "00:50:56:aa:00:43", Group: "dvpg-learning", Port: "3", Own: &vcsim.Security{Forged: new(false)}},
			{MAC: "00:50:56:aa:00:44", Group: "dvpg-old", Blocked: true},
			{MAC: "00:50:56:aa:00:45", Group: "dvpg-silent"},
		}},
		{Name: "clone", UUID: uuid, IP: "172.30.200.41", Cards: []vcsim.Card{{MAC: "00:50:56:aa:00:99", Group: "pg-trunk"}}},
		{Name: "template", UUID: uuid, Template: true, Cards: []vcsim.Card{{MAC: mac, Group: "pg-trunk"}}},
		{Name: "twin-a", IP: "172.30.200.50", Cards: []vcsim.Card{{MAC: "00:50:56:aa:00:50", Group: "pg-trunk"}}},
		{Name: "twin-b", IP: "172.30.200.50", Cards: []vcsim.Card{{MAC: "00:50:56:aa:00:50", Group: "pg-trunk"}}},
	},
}

func start(t *testing.T, change func(*vsphere.Options)) (*vcsim.Server, *vsphere.Client) {
	t.Helper()
	s, err := vcsim.Start(t.Context(), vcsim.Options{User: "bot", Password: "s3cret", Inventory: cluster})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	o := vsphere.Options{URL: s.URL(), User: "bot", Password: func() string { return "s3cret" }, Thumbprint: s.Thumbprint(), Timeout: time.Minute}
	if change != nil {
		change(&o)
	}
	c, err := vsphere.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return s, c
}

func TestMachineIsFoundByWhatTheNodeShows(t *testing.T) {
	s, c := start(t, nil)
	for by, id := range map[string]runners.MachineID{
		"product_serial": {Serial: "VMware-42 00 11 22 33 44 55 66-77 88 99 aa bb cc dd ee\n", UUID: "wrong"},
		"product_uuid":   {Serial: "none of VMware's", UUID: strings.ToUpper(uuid)},
		"address":        {Addresses: []string{"10.0.0.1", "172.30.200.41"}},
		"name":           {UUID: "ffffffff-0000-0000-0000-000000000000", Name: "compute01.example.org"},
	} {
		id.MACs = []string{"02:00:00:00:00:01", strings.ToUpper(mac)}
		m, err := c.Machine(t.Context(), id)
		if err != nil || m.Name != "compute01" || m.FoundBy != by {
			t.Errorf("%s: found %q by %q, %v", by, m.Name, m.FoundBy, err)
		}
	}
	before := s.Calls("RetrievePropertiesEx")
	m, err := c.Machine(t.Context(), runners.MachineID{UUID: "22110042-4433-6655-7788-99aabbccddee", MACs: []string{mac}})
	if err != nil || m.Name != "compute01" {
		t.Errorf("byte-swapped: %q, %v", m.Name, err)
	}
	if n := s.Calls("RetrievePropertiesEx") - before; n != 1 {
		t.Errorf("%d round trips for everything that the machine is connected to, want 1", n)
	}
	if n := s.Calls("Login"); n != 1 {
		t.Errorf("logged in %d times", n)
	}
}

func TestMachineIsNotGuessed(t *testing.T) {
	_, c := start(t, nil)
	for name, x := range map[string]struct {
		id   runners.MachineID
		kind runners.Kind
		want string
	}{
		"other cards":   {runners.MachineID{UUID: uuid, MACs: []string{"02:00:00:00:00:01"}}, runners.NotFound, "product_uuid"},
		"no such":       {runners.MachineID{Name: "nothing", MACs: []string{mac}}, runners.NotFound, "name"},
		"shows nothing": {runners.MachineID{MACs: []string{mac}}, runners.NotFound, "nothing by which"},
		"no cards":      {runners.MachineID{UUID: uuid}, runners.Invalid, "MAC addresses are not known"},
		"twins":         {runners.MachineID{Addresses: []string{"172.30.200.50"}, MACs: []string{"00:50:56:aa:00:50"}}, runners.Invalid, "2 virtual machines"},
	} {
		m, err := c.Machine(t.Context(), x.id)
		if runners.KindOf(err) != x.kind || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
}

func card(t *testing.T, c *vsphere.Client, mac string) runners.VCard {
	t.Helper()
	m, err := c.Machine(t.Context(), runners.MachineID{UUID: uuid, MACs: []string{mac}})
	if err != nil {
		t.Fatal(err)
	}
	if host, ok := m.Host.Get(); !ok || host == "" {
		t.Errorf("host: %q", m.Host.Why())
	}
	found, ok := m.Card(mac)
	if !ok {
		t.Fatalf("no card %s in %+v", mac, m)
	}
	return found
}

func allowed(t *testing.T, what string, s runners.VSetting, want bool, from string) {
	t.Helper()
	if v, known := s.Allowed.Get(); !known || v != want || s.From != from {
		t.Errorf("%s: %v from %q (known %v: %s), want %v from %q", what, v, s.From, known, s.Allowed.Why(), want, from)
	}
}

func TestStandardPortGroup(t *testing.T) {
	_, c := start(t, nil)
	inherits := card(t, c, mac)
	allowed(t, "forged", inherits.Group.Forged, false, "switch")
	allowed(t, "mac changes", inherits.Group.MACChanges, true, "switch")
	if v, _ := inherits.Group.VLANs.Get(); !v.Carries(3092) || !v.Carries(0) {
		t.Errorf("VLANs: %+v", v)
	}
	if mtu, _ := inherits.Group.MTU.Get(); mtu != 9000 {
		t.Errorf("MTU %d", mtu)
	}
	if active, _ := inherits.Group.Active.Get(); len(active) != 2 {
		t.Errorf("uplinks %q", active)
	}
	if others, known := inherits.Elsewhere.Get(); !known || len(others) != 2 || others[0].Host == inherits.Group.Host || others[0].Missing {
		t.Errorf("elsewhere: %+v", inherits.Elsewhere)
	}
	if l, known := inherits.Group.Learning.Get(); !known || l.Enabled {
		t.Error("a standard switch learns no addresses")
	}
}

func TestStandardPortGroupWithItsOwnWord(t *testing.T) {
	_, c := start(t, nil)
	own := card(t, c, "00:50:56:aa:00:42")
	allowed(t, "forged of its own", own.Group.Forged, true, "port group")
	allowed(t, "promiscuous", own.Group.Promiscuous, false, "switch")
	if connected, known := own.Connected.Get(); !known || connected {
		t.Error("an unplugged card is connected")
	}
	if v, _ := own.Group.VLANs.Get(); v.Carries(3092) || v.ID != 12 {
		t.Errorf("VLANs: %+v", v)
	}
	if active, _ := own.Group.Active.Get(); len(active) != 1 {
		t.Errorf("uplinks %q", active)
	}
}

func TestDistributedPortGroup(t *testing.T) {
	_, c := start(t, nil)
	learning := card(t, c, "00:50:56:aa:00:43")
	allowed(t, "the port's own word", learning.Group.Forged, false, "port")
	if l, _ := learning.Group.Learning.Get(); !l.Enabled || l.Limit.Or(0) != 4096 || !l.Drop.Or(false) || !l.Flooding.Or(false) {
		t.Errorf("learning: %+v", l)
	}
	if v, _ := learning.Group.VLANs.Get(); !v.Carries(100) || v.Carries(201) {
		t.Errorf("VLANs: %+v", v)
	}
	if blocked, known := learning.Blocked.Get(); !known || blocked {
		t.Error("the port is not blocked")
	}
	old := card(t, c, "00:50:56:aa:00:44")
	allowed(t, "the old policy", old.Group.Forged, false, "port group")
	if blocked, known := old.Blocked.Get(); !known || !blocked {
		t.Error("the port is blocked")
	}
	silent := card(t, c, "00:50:56:aa:00:45")
	if _, known := silent.Group.Forged.Allowed.Get(); known {
		t.Errorf("what vCenter does not tell is taken for %+v", silent.Group.Forged)
	}
	if _, known := silent.Group.Learning.Get(); known {
		t.Error("MAC learning is known without a policy")
	}
}

// A port that cannot be read leaves its group's policy open: it may have its own.
func TestPortThatCannotBeRead(t *testing.T) {
	s, c := start(t, nil)
	s.Before(func(method string) types.BaseMethodFault {
		if method == "FetchDVPorts" {
			return &types.NoPermission{}
		}
		return nil
	})
	found := card(t, c, "00:50:56:aa:00:43")
	if _, known := found.Group.Forged.Allowed.Get(); known || !strings.Contains(found.Group.Forged.Allowed.Why(), "Read-only") {
		t.Errorf("forged: %+v", found.Group.Forged)
	}
	if _, known := found.Blocked.Get(); known {
		t.Error("whether the port is blocked is known")
	}
}

func TestSessionThatEndedIsReplacedOnce(t *testing.T) {
	s, c := start(t, nil)
	card(t, c, mac)
	s.EndSessions()
	card(t, c, mac)
	if n := s.Calls("Login"); n != 2 {
		t.Errorf("logged in %d times, want 2", n)
	}
	s.Before(func(method string) types.BaseMethodFault {
		if method == "FindAllByUuid" {
			return &types.NotAuthenticated{}
		}
		return nil
	})
	if _, err := c.Machine(t.Context(), runners.MachineID{UUID: uuid, MACs: []string{mac}}); runners.KindOf(err) != runners.Authentication {
		t.Errorf("%v", err)
	}
	if n := s.Calls("Login"); n != 3 {
		t.Errorf("logged in %d times: once for a call is enough", n)
	}
}

func TestSessionIsKeptAlive(t *testing.T) {
	s, c := start(t, func(o *vsphere.Options) { o.Idle = time.Millisecond })
	seen := make(chan struct{}, 1)
	s.Before(func(method string) types.BaseMethodFault {
		if method == "CurrentTime" {
			select {
			case seen <- struct{}{}:
			default:
			}
			return &types.NotAuthenticated{} // it goes on in spite of it
		}
		return nil
	})
	card(t, c, mac)
	for range 3 {
		select {
		case <-seen:
		case <-t.Context().Done():
			t.Fatal("the session rests")
		}
	}
}

func TestFailures(t *testing.T) {
	stranger := strings.Repeat("00:", 31) + "00"
	for name, x := range map[string]struct {
		change func(*vsphere.Options)
		fault  types.BaseMethodFault
		closed bool
		kind   runners.Kind
	}{
		"wrong password": {change: func(o *vsphere.Options) { o.Password = func() string { return "no" } }, kind: runners.Authentication},
		"other key":      {change: func(o *vsphere.Options) { o.Thumbprint = stranger }, kind: runners.HostKey},
		"no authority":   {change: func(o *vsphere.Options) { o.Thumbprint = "" }, kind: runners.HostKey},
		"too slow":       {change: func(o *vsphere.Options) { o.Timeout = time.Nanosecond }, kind: runners.TooSlow},
		"no role":        {fault: &types.NoPermission{}, kind: runners.Hidden},
		"not there":      {closed: true, kind: runners.Refused},
	} {
		t.Run(name, func(t *testing.T) {
			s, c := start(t, x.change)
			if x.closed {
				s.Close()
			}
			s.Before(func(method string) types.BaseMethodFault {
				if method == "FindAllByUuid" {
					return x.fault
				}
				return nil
			})
			_, err := c.Machine(t.Context(), runners.MachineID{UUID: uuid, MACs: []string{mac}})
			e, ok := errors.AsType[*runners.Error](err)
			if !ok || e.Kind != x.kind || e.Runner != "vsphere" {
				t.Fatalf("%v (%v), want %v", err, runners.KindOf(err), x.kind)
			}
			for _, raw := range []string{"ServerFaultCode", "127.0.0.1", "s3cret", "x509", "dial"} {
				if strings.Contains(err.Error(), raw) {
					t.Errorf("the SDK's words are shown: %v", err)
				}
			}
		})
	}
}

func TestCheck(t *testing.T) {
	_, c := start(t, nil)
	got := c.Check(t.Context())
	if len(got) != 2 || !got[0].OK || !got[1].OK || !strings.HasPrefix(got[1].Detail, "3 ") {
		t.Errorf("got %+v", got)
	}
	_, c = start(t, func(o *vsphere.Options) { o.User = "somebody" })
	got = c.Check(t.Context())
	if len(got) != 1 || got[0].OK || got[0].Cure == "" || strings.Contains(got[0].Detail, "s3cret") {
		t.Errorf("got %+v", got)
	}
}

func TestNewRefuses(t *testing.T) {
	good := vsphere.Options{URL: "https://vcenter.example/sdk", User: "bot", Password: func() string { return "" }}
	for name, change := range map[string]func(*vsphere.Options){
		"plain http":       func(o *vsphere.Options) { o.URL = "http://vcenter.example/sdk" },
		"user in the URL":  func(o *vsphere.Options) { o.URL = "https://a:b@vcenter.example/sdk" },
		"no URL":           func(o *vsphere.Options) { o.URL = "" },
		"nobody":           func(o *vsphere.Options) { o.User = "" },
		"no password":      func(o *vsphere.Options) { o.Password = nil },
		"SHA-1":            func(o *vsphere.Options) { o.Thumbprint = strings.Repeat("00:", 19) + "00" },
		"not a thumbprint": func(o *vsphere.Options) { o.Thumbprint = "yes" },
	} {
		o := good
		change(&o)
		if c, err := vsphere.New(o); err == nil {
			c.Close()
			t.Errorf("%s was taken", name)
		}
	}
	c, err := vsphere.New(good)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if _, err := c.Machine(t.Context(), runners.MachineID{UUID: uuid, MACs: []string{mac}}); err == nil {
		t.Error("a closed client answers")
	}
}
