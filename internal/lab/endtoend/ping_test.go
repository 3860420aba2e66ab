package endtoend

import (
	"testing"

	"whybot/internal/lab"
)

// TestKernelPings asks about every fault and decoy of pings, one after the other in
// one lab, while web-1 pings web-2. What is applied is proven by the ping.
func TestKernelPings(t *testing.T) {
	s := parallelStage(t, lab.Options{}, "")
	w := newWhybot(t, s.Lab)
	for _, f := range lab.PingFaults() {
		if err := f.Inject(t.Context(), s.Lab); err != nil {
			t.Fatalf("%s: %v", f.Name(), err)
		}
		a := decode[answer](t, w.run(t.Context(), "ask", "--json", f.Question))
		t.Logf("%s: %s %s in %d ms: %s", f.Name(), a.Verdict.State, a.Verdict.Cause, a.TookMS, a.Verdict.Summary)
		pingAnswer(t, f, a)
		tryPingFix(t, w, f, a)
		if err := f.Heal(t.Context(), s.Lab); err != nil {
			t.Fatalf("%s: heal: %v", f.Name(), err)
		}
	}
	w.verify(t)
}

// pingAnswer compares an answer with what the fault wants.
func pingAnswer(t *testing.T, f lab.Fault, a answer) {
	t.Helper()
	cause := f.Want.Cause
	if f.Decoy() {
		cause = ""
		if len(a.Fixes) > 0 {
			t.Errorf("%s: fixes are offered: %+v", f.Name(), a.Fixes)
		}
	}
	if a.Verdict.State != f.Want.State || a.Verdict.Cause != cause {
		t.Errorf("%s (%s): %s %s, want %s %s: %s", f.Name(), f.Doc, a.Verdict.State, a.Verdict.Cause, f.Want.State, cause, a.Verdict.Summary)
	}
	if want := f.Want.FromNode + "/" + f.Want.FromDevice; f.Want.FromDevice != "" && (a.Verdict.Edge == nil || a.Verdict.Edge.From != want) {
		t.Errorf("%s: edge %+v, want one from %s", f.Name(), a.Verdict.Edge, want)
	}
}

// tryPingFix applies the first fix that is offered and takes it back.
func tryPingFix(t *testing.T, w whybot, f lab.Fault, a answer) {
	t.Helper()
	if len(a.Fixes) == 0 || a.Fixes[0].Persistent {
		return
	}
	name := a.Fixes[0].Name
	applied := w.change(t, "apply", a.Fixes[0].ID, 0)
	if applied.State != "verified" {
		t.Errorf("%s: %s was applied: %+v", f.Name(), name, applied)
		return
	}
	if undone := w.change(t, "undo", applied.ID, 0); undone.State != "undone" {
		t.Errorf("%s: %s was taken back: %+v", f.Name(), name, undone)
	}
}

// TestKernelPingInTunnel follows a ping through a VXLAN, and says where it ends
// when the peer ignores it.
func TestKernelPingInTunnel(t *testing.T) {
	s := parallelStage(t, lab.Options{VXLAN: lab.L2Pop}, "")
	w := newWhybot(t, s.Lab)
	for _, name := range []string{lab.VX1, lab.VX2} {
		if _, err := s.VM(name).WaitLease(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	peer := s.VM(lab.VX2)
	if err := s.VM(lab.VX1).Ping(t.Context(), peer.Port.Address); err != nil {
		t.Fatal(err)
	}
	const question = "why can't vx-1 ping vx-2"
	a := decode[answer](t, w.run(t.Context(), "ask", "--json", question))
	a.must(t, "healthy", "")
	seen := 0
	for _, h := range a.Path {
		if h.Observed && h.Requests > 0 && h.Replies > 0 {
			seen++
		}
	}
	if seen != 8 { // tap, bridge, VXLAN and NIC on both nodes
		t.Errorf("the ping was seen at %d hops: %+v", seen, a.Path)
	}
	if _, err := peer.Run(t.Context(), "sh", "-c", "echo 1 >/proc/sys/net/ipv4/icmp_echo_ignore_all"); err != nil {
		t.Fatal(err)
	}
	decode[answer](t, w.run(t.Context(), "ask", "--json", question)).must(t, "proven", "PING-11")
}
