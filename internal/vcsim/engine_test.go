package vcsim_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"whybot/commands"
	"whybot/commands/fix"
	"whybot/internal/vcsim"
	"whybot/runners"
	"whybot/runners/vsphere"
	"whybot/store"
)

// A fix of a port group goes through the Engine like every other. Its purpose
// does not matter here, so it is proven by its place alone.

var errUnasked = errors.New("nobody asks that here")

// unasked is what an Engine needs besides and does not use for this.
type unasked struct{}

func (unasked) Run(context.Context, string, []runners.Probe) ([]runners.Result, error) {
	return nil, errUnasked
}

func (unasked) Change(context.Context, string, []runners.Probe) ([]runners.Result, error) {
	return nil, errUnasked
}

func (unasked) Capture(context.Context, string, runners.CaptureSpec) (io.ReadCloser, error) {
	return nil, errUnasked
}

func (unasked) FindServers(context.Context, string) ([]runners.Server, error) { return nil, errUnasked }

func (unasked) Attachments(context.Context, runners.Server) ([]runners.Attachment, error) {
	return nil, errUnasked
}

var someone = commands.Actor{Via: "terminal", ID: "someone"}

// A house is a vCenter, an Engine that may change it, and a witness.
type house struct {
	*testing.T
	server  *vcsim.Server
	client  *vsphere.Client
	engine  *commands.Engine
	memory  *store.Store
	witness witness
}

func newHouse(t *testing.T) house {
	t.Helper()
	s, w := start(t)
	c, err := vsphere.New(vsphere.Options{URL: s.URL(), User: "bot", Password: func() string { return "s3cret" }, Thumbprint: s.Thumbprint()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	memory, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "whybot.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := memory.Close(); err != nil {
			t.Error(err)
		}
	})
	e, err := commands.New(commands.Options{
		StepKinds: fix.Kinds(), Shell: unasked{}, Sniffer: unasked{}, Changer: unasked{}, Cloud: unasked{}, CloudChanger: c, Memory: memory,
		Policy: commands.PolicyFunc(func(context.Context, commands.Petition) error { return nil }), Settle: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	return house{t, s, c, e, memory, w}
}

// offer puts a proposal to accept forged transmits on the port group of a card.
func (h house) offer(mac string) (id, group string) {
	h.Helper()
	m, err := h.client.Machine(h.Context(), runners.MachineID{UUID: inventory.Machines[0].UUID, MACs: []string{mac}})
	if err != nil {
		h.Fatal(err)
	}
	card, _ := m.Card(mac)
	own, known := card.Group.Own.Get()
	if !known {
		h.Fatal(card.Group.Own.Why())
	}
	to := own
	to.Inherited, to.Forged = false, new(true)
	steps := []commands.Step{{Kind: "vswitch-security", Args: map[string]string{
		"kind": card.Group.Ref.Kind, "id": card.Group.Ref.ID, "from": own.JSON(), "to": to.JSON(), "version": card.Group.Version, "shown": "do", "unshown": "undo",
	}}}
	inc, err := h.memory.OpenIncident(h.Context(), commands.Incident{Entities: []string{"web-1"}})
	if err != nil {
		h.Fatal(err)
	}
	err = h.memory.Propose(h.Context(), []commands.Proposal{{
		ID: "fx-" + mac, Incident: inc.ID, Title: "Accept forged transmits", Persistent: true, Steps: steps, Hash: commands.PlanHash(steps), Undo: []string{"undo"},
		State: commands.Proposed, Approvals: 1, Created: time.Now(), Expires: time.Now().Add(time.Hour),
	}})
	if err != nil {
		h.Fatal(err)
	}
	return "fx-" + mac, card.Group.Ref.ID
}

// policies are those of all port groups, as govmomi's own client reads them.
func (h house) policies() string {
	h.Helper()
	var all []any
	for _, n := range h.witness.networks() {
		var host mo.HostNetworkSystem
		if err := n.Properties(h.Context(), n.Reference(), []string{"networkInfo"}, &host); err != nil {
			h.Fatal(err)
		}
		for _, g := range host.NetworkInfo.Portgroup {
			all = append(all, g.Spec)
		}
	}
	networks, err := h.witness.finder().NetworkList(h.Context(), "*")
	if err != nil {
		h.Fatal(err)
	}
	for _, n := range networks {
		if n.Reference().Type != "DistributedVirtualPortgroup" {
			continue
		}
		var group mo.DistributedVirtualPortgroup
		if err := property.DefaultCollector(h.witness.Client.Client).RetrieveOne(h.Context(), n.Reference(), []string{"config.defaultPortConfig"}, &group); err != nil {
			h.Fatal(err)
		}
		all = append(all, group.Config.DefaultPortConfig)
	}
	b, err := json.Marshal(all)
	if err != nil {
		h.Fatal(err)
	}
	return string(b)
}

// The two cards of the inventory: one on a standard, one on a distributed switch.
var cards = map[string]string{"standard": "00:50:56:aa:00:41", "distributed": "00:50:56:aa:00:42"}

// writes is the call that changes a port group of each kind of switch.
var writes = map[string]string{"standard": "UpdatePortGroup", "distributed": "ReconfigureDVPortgroup_Task"}

func TestPortGroupIsChangedProvenAndPutBack(t *testing.T) {
	for kind, mac := range cards {
		t.Run(kind, func(t *testing.T) {
			h := newHouse(t)
			id, _ := h.offer(mac)
			before := h.policies()
			if out, err := h.engine.Apply(t.Context(), id, someone, nil); err != nil || out.Proposal.State != commands.Verified {
				t.Fatalf("apply: %s, %v", out.Proposal.Outcome, err)
			}
			if h.policies() == before {
				t.Error("an independent client sees no change")
			}
			if out, err := h.engine.Undo(t.Context(), id, someone, nil); err != nil || out.Proposal.State != commands.Undone {
				t.Fatalf("undo: %s, %v", out.Proposal.Outcome, err)
			}
			if after := h.policies(); after != before {
				t.Errorf("after the undo\n%s\nbefore\n%s", after, before)
			}
			if n := h.server.Calls(writes[kind]); n != 2 {
				t.Errorf("written %d times, want twice", n)
			}
		})
	}
}

// What somebody else changed after the plan was made is left as they made it.
func TestPortGroupChangedBySomebodyElse(t *testing.T) {
	for kind, mac := range cards {
		t.Run(kind, func(t *testing.T) {
			h := newHouse(t)
			id, group := h.offer(mac)
			ref := map[string]string{"standard": vsphere.StandardGroup, "distributed": vsphere.DistributedGroup}[kind]
			o, err := h.client.Object(t.Context(), runners.CloudRef{Kind: ref, ID: group})
			if err != nil {
				t.Fatal(err)
			}
			if err := h.client.Do(t.Context(), runners.CloudCall{Op: runners.VSetSecurity, Args: map[string]string{
				"kind": ref, "id": group, "from": o[runners.VObjectSecurity], "to": runners.VSecurity{Promiscuous: new(true)}.JSON(),
			}}); err != nil {
				t.Fatal(err)
			}
			theirs := h.policies()
			out, err := h.engine.Apply(t.Context(), id, someone, nil)
			if commands.CodeOf(err) != commands.CodeChanged || out.Proposal.State != commands.Refused {
				t.Errorf("came to %s: %v", out.Proposal.State, err)
			}
			if got := h.policies(); got != theirs {
				t.Errorf("changed to\n%s\ntheirs was\n%s", got, theirs)
			}
		})
	}
}

// A change whose acknowledgement is lost is read back, and not made again.
func TestPortGroupChangedWithoutAnAnswer(t *testing.T) {
	for kind, mac := range cards {
		t.Run(kind, func(t *testing.T) {
			h := newHouse(t)
			id, _ := h.offer(mac)
			h.server.After(func(string) types.BaseMethodFault { return &types.HostCommunication{} })
			out, err := h.engine.Apply(t.Context(), id, someone, nil)
			if err != nil || out.Proposal.State != commands.Verified {
				t.Errorf("came to %s: %s, %v", out.Proposal.State, out.Proposal.Outcome, err)
			}
			if n := h.server.Calls(writes[kind]); n != 1 {
				t.Errorf("written %d times, want once", n)
			}
		})
	}
}
