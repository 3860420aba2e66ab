package vsphere_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"whybot/internal/vcsim"
	"whybot/runners"
	"whybot/runners/vsphere"
)

// A witness reads with govmomi's own client and none of whybot's code.
type witness struct {
	t *testing.T
	c *govmomi.Client
}

func newWitness(t *testing.T, s *vcsim.Server) witness {
	t.Helper()
	u, err := url.Parse(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("bot", "s3cret")
	c, err := govmomi.NewClient(t.Context(), u, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.CloseIdleConnections() })
	return witness{t, c}
}

func (w witness) standard(id string) types.HostPortGroupSpec {
	w.t.Helper()
	system, name, _ := strings.Cut(id, "/")
	var host mo.HostNetworkSystem
	ref := types.ManagedObjectReference{Type: "HostNetworkSystem", Value: system}
	if err := property.DefaultCollector(w.c.Client).RetrieveOne(w.t.Context(), ref, []string{"networkInfo"}, &host); err != nil {
		w.t.Fatal(err)
	}
	for _, g := range host.NetworkInfo.Portgroup {
		if g.Spec.Name == name {
			return g.Spec
		}
	}
	w.t.Fatalf("no port group %s", id)
	return types.HostPortGroupSpec{}
}

func (w witness) distributed(id string) (types.DVPortgroupConfigInfo, *types.VMwareDVSPortSetting) {
	w.t.Helper()
	var group mo.DistributedVirtualPortgroup
	ref := types.ManagedObjectReference{Type: "DistributedVirtualPortgroup", Value: id}
	if err := property.DefaultCollector(w.c.Client).RetrieveOne(w.t.Context(), ref, []string{"config"}, &group); err != nil {
		w.t.Fatal(err)
	}
	setting, ok := group.Config.DefaultPortConfig.(*types.VMwareDVSPortSetting)
	if !ok {
		w.t.Fatalf("setting %T", group.Config.DefaultPortConfig)
	}
	return group.Config, setting
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// accepting is the call that accepts forged transmits on a group, and the one that
// takes it back.
func accepting(t *testing.T, g runners.VGroup) (do, undo runners.CloudCall) {
	t.Helper()
	own, known := g.Own.Get()
	if !known {
		t.Fatalf("the group's own policy: %s", g.Own.Why())
	}
	to := own
	to.Inherited, to.Forged = false, new(true)
	args := map[string]string{"kind": g.Ref.Kind, "id": g.Ref.ID, "from": own.JSON(), "to": to.JSON(), "version": g.Version}
	back := map[string]string{"kind": g.Ref.Kind, "id": g.Ref.ID, "from": to.JSON(), "to": own.JSON()}
	return runners.CloudCall{Op: runners.VSetSecurity, Args: args}, runners.CloudCall{Op: runners.VSetSecurity, Args: back}
}

func make1(t *testing.T, c *vsphere.Client, call runners.CloudCall) {
	t.Helper()
	if err := c.Do(t.Context(), call); err != nil {
		t.Fatal(err)
	}
	o, err := c.Object(t.Context(), runners.CloudRef{Kind: call.Args["kind"], ID: call.Args["id"]})
	if err != nil || o[runners.VObjectSecurity] != call.Args["to"] {
		t.Errorf("read back %v, %v; want %s", o, err, call.Args["to"])
	}
}

func TestChangeStandardGroupAndBack(t *testing.T) {
	for name, address := range map[string]string{"inherits": mac, "with a word of its own": "00:50:56:aa:00:42"} {
		t.Run(name, func(t *testing.T) {
			s, c := start(t, nil)
			w := newWitness(t, s)
			g := card(t, c, address).Group
			before := asJSON(t, w.standard(g.Ref.ID))
			do, undo := accepting(t, g)
			make1(t, c, do)
			now := w.standard(g.Ref.ID)
			if f := now.Policy.Security.ForgedTransmits; f == nil || !*f {
				t.Errorf("forged transmits: %v", f)
			}
			make1(t, c, do) // once more changes nothing
			now.Policy.Security = nil
			var old types.HostPortGroupSpec
			if err := json.Unmarshal([]byte(before), &old); err != nil {
				t.Fatal(err)
			}
			old.Policy.Security = nil
			if asJSON(t, now) != asJSON(t, old) {
				t.Errorf("something else changed: %s, was %s", asJSON(t, now), asJSON(t, old))
			}
			make1(t, c, undo)
			if after := asJSON(t, w.standard(g.Ref.ID)); after != before {
				t.Errorf("after the undo %s, before %s", after, before)
			}
		})
	}
}

func TestChangeDistributedGroupAndBack(t *testing.T) {
	s, c := start(t, nil)
	w := newWitness(t, s)
	g := card(t, c, "00:50:56:aa:00:43").Group
	_, was := w.distributed(g.Ref.ID)
	before := asJSON(t, was)
	own, _ := g.Own.Get()
	to := own
	to.Promiscuous = new(true)
	do := runners.CloudCall{Op: runners.VSetSecurity, Args: map[string]string{"kind": g.Ref.Kind, "id": g.Ref.ID, "from": own.JSON(), "to": to.JSON(), "version": g.Version}}
	undo := runners.CloudCall{Op: runners.VSetSecurity, Args: map[string]string{"kind": g.Ref.Kind, "id": g.Ref.ID, "from": to.JSON(), "to": own.JSON()}}
	make1(t, c, do)
	config, now := w.distributed(g.Ref.ID)
	if !*now.MacManagementPolicy.AllowPromiscuous || !now.MacManagementPolicy.MacLearningPolicy.Enabled || config.ConfigVersion == g.Version {
		t.Errorf("version %s: %s", config.ConfigVersion, asJSON(t, now))
	}
	make1(t, c, undo)
	if _, now = w.distributed(g.Ref.ID); asJSON(t, now) != before {
		t.Errorf("after the undo %s, before %s", asJSON(t, now), before)
	}
	// The plan is older than both changes now, though the policy is what it was.
	if err := c.Do(t.Context(), do); runners.KindOf(err) != runners.Invalid || !strings.Contains(err.Error(), "somebody else") {
		t.Errorf("an old plan: %v", err)
	}
}

// A change that somebody else makes between the read and the write is refused by
// the version that both were read with.
func TestChangeAtTheSameMoment(t *testing.T) {
	s, c := start(t, nil)
	w := newWitness(t, s)
	g := card(t, c, "00:50:56:aa:00:43").Group
	own, _ := g.Own.Get()
	mine, theirs := own, own
	mine.Promiscuous, theirs.MACChanges = new(true), new(true)
	call := func(to runners.VSecurity) runners.CloudCall {
		return runners.CloudCall{Op: runners.VSetSecurity, Args: map[string]string{"kind": g.Ref.Kind, "id": g.Ref.ID, "from": own.JSON(), "to": to.JSON()}}
	}
	interfered := false
	s.Before(func(method string) types.BaseMethodFault {
		if method == "ReconfigureDVPortgroup_Task" && !interfered {
			interfered = true
			if err := c.Do(t.Context(), call(theirs)); err != nil {
				t.Error(err)
			}
		}
		return nil
	})
	err := c.Do(t.Context(), call(mine))
	_, now := w.distributed(g.Ref.ID)
	if !interfered || err == nil || *now.MacManagementPolicy.AllowPromiscuous || !*now.MacManagementPolicy.MacChanges {
		t.Errorf("interfered %t, %v: %s", interfered, err, asJSON(t, now))
	}
}

// A lost acknowledgement is an error, and the place says that it was done.
func TestChangeWithoutAnAcknowledgement(t *testing.T) {
	s, c := start(t, nil)
	g := card(t, c, mac).Group
	do, _ := accepting(t, g)
	s.After(func(string) types.BaseMethodFault { return &types.HostCommunication{} })
	if err := c.Do(t.Context(), do); err == nil {
		t.Error("a change without an acknowledgement is no error")
	}
	s.After(nil)
	make1(t, c, do)
	if n := s.Calls("UpdatePortGroup"); n != 1 {
		t.Errorf("written %d times, want once", n)
	}
}

func TestChangeRefuses(t *testing.T) {
	s, c := start(t, nil)
	g := card(t, c, mac).Group
	do, _ := accepting(t, g)
	for name, change := range map[string]func(map[string]string){
		"other policy": func(a map[string]string) { a["from"] = `{"promiscuous":true}` },
		"no policy":    func(a map[string]string) { a["to"] = "x" },
		"no such kind": func(a map[string]string) { a["kind"] = "network" },
		"no such name": func(a map[string]string) { a["id"] += "x" },
	} {
		args := map[string]string{}
		for k, v := range do.Args {
			args[k] = v
		}
		change(args)
		if err := c.Do(t.Context(), runners.CloudCall{Op: do.Op, Args: args}); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if err := c.Do(t.Context(), runners.CloudCall{Op: "set", Args: do.Args}); err == nil {
		t.Error("another operation was taken")
	}
	if _, err := c.Object(t.Context(), runners.CloudRef{Kind: "network"}); err == nil {
		t.Error("another kind was read")
	}
	if n := s.Calls("UpdatePortGroup"); n != 0 {
		t.Errorf("written %d times", n)
	}
}
