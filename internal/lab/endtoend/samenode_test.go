package endtoend

import (
	"context"
	"testing"

	"whybot/internal/lab"
)

const (
	killDnsmasq = `kill -KILL "$(cat "/var/lib/neutron/dhcp/$1/pid")"`
	syncDHCP    = `/usr/lib/whylab/dhcp-agent enable "$1"`
	reject      = "FORWARD -j REJECT --reject-with icmp-host-prohibited"
)

// A guest on the node of its DHCP server has a path without a wire; a guest on
// another network shares nodes and NICs with the broken one and nothing else.
func TestKernelSameNodeAndOtherNetwork(t *testing.T) { //nolint:tparallel // its scenes follow one another on one stage
	parallelStage(t, lab.Options{Style: lab.OldStyle}, "").play(t,
		scene{"dnsmasq is dead", sameNodeDnsmasq},
		scene{"the REJECT spares the guest beside the server", sameNodeSpared},
		scene{"the REJECT above Neutron's rules", sameNodeRejected},
	)
}

func sameNodeDnsmasq(s stage) {
	t := s.t
	network := s.VM(lab.AIO1).Port.Network.ID
	s.sh(t, lab.Controller01, killDnsmasq, network)
	t.Cleanup(func() { s.sh(t, lab.Controller01, syncDHCP, network) })
	renew(t, s, lab.AIO1)
	a := newWhybot(t, s.Lab).ask(t, lab.AIO1)
	a.must(t, "proven", "DHCP-09")
	onController(t, a)
	if f := a.fixNamed(t, "resync-dhcp"); f.Persistent || len(f.Commands) == 0 {
		t.Errorf("the fix is %+v", f)
	}
	if a := newWhybot(t, s.Lab).ask(t, lab.DB1); a.Verdict.State != "healthy" || len(a.Fixes) != 0 {
		t.Errorf("db-1 on the other network: %+v, %+v", a.Verdict, a.Fixes)
	}
}

func sameNodeSpared(s stage) {
	t := s.t
	s.until(t, lab.Controller01, "iptables -A "+reject, "iptables -D "+reject)
	renew(t, s, lab.AIO1, lab.Web1)
	if _, err := s.VM(lab.AIO1).WaitLease(t.Context()); err != nil {
		t.Fatal(err)
	}
	a := newWhybot(t, s.Lab).ask(t, lab.AIO1)
	a.must(t, "healthy", "")
	onController(t, a)
	if len(a.Fixes) != 0 {
		t.Errorf("fixes are offered: %+v", a.Fixes)
	}
	newWhybot(t, s.Lab).ask(t, lab.Web1).must(t, "proven", "DHCP-01")
}

func sameNodeRejected(s stage) {
	t := s.t
	s.until(t, lab.Controller01, "iptables -I "+reject, "iptables -D "+reject)
	renew(t, s, lab.AIO1)
	// A guest that had its address a moment ago may still be thought to hold it.
	w := newWhybot(t, s.Lab, withoutARP)
	a := w.ask(t, lab.AIO1)
	if a.Verdict.State != "proven" || a.Verdict.Cause != "DHCP-01" && a.Verdict.Cause != "DHCP-02" {
		t.Errorf("verdict %+v, want proven DHCP-01 or DHCP-02", a.Verdict)
	}
	want := edge{From: "controller01/brq91e78b9c-cf", To: "controller01/tap004b787f-9b", Direction: "request"}
	if a.Verdict.Edge == nil || *a.Verdict.Edge != want {
		t.Errorf("edge %+v, want %+v", a.Verdict.Edge, want)
	}
	onController(t, a)
	// One that has its address before whybot listens again, and does not ask any
	// more, proves nothing to one that does not ask for it by ARP.
	if err := s.VM(lab.AIO1).AskOften(t.Context()); err != nil {
		t.Fatal(err)
	}
	apply := w.change(t, "apply", a.fixNamed(t, "physdev-accept").ID, 0)
	if apply.State != "verified" {
		t.Errorf("apply: %+v", apply)
	}
	if ip, err := s.VM(lab.AIO1).WaitLease(t.Context()); err != nil || ip != s.VM(lab.AIO1).Port.Address {
		t.Errorf("after the fix aio-1 has %q, %v", ip, err)
	}
	if undo := w.change(t, "undo", apply.ID, 0); undo.State != "undone" {
		t.Errorf("undo: %+v", undo)
	}
}

// renew makes guests ask anew.
func renew(t *testing.T, s stage, names ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), stageTimeout) // clean-up calls it too
	defer cancel()
	for _, n := range names {
		if err := s.VM(n).Renew(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

// onController wants a path that does not leave controller01.
func onController(t *testing.T, a answer) {
	t.Helper()
	if len(a.Path) == 0 {
		t.Error("there is no path")
	}
	for _, h := range a.Path {
		if h.Node != lab.Controller01 {
			t.Errorf("%s/%s is on the path of a guest that is beside its server", h.Node, h.Device)
		}
	}
}
