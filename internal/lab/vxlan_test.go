package lab

import (
	"fmt"
	"strings"
	"testing"
)

// The devices are those that a linuxbridge agent makes, in either mode.
func TestKernelTunnelsAreTheAgents(t *testing.T) {
	const head = "vxlan id 1207 "
	for _, c := range []struct {
		mode  VXLANMode
		link  string
		flood []string
	}{
		{Multicast, head + "group 224.0.0.1 dev eth1 srcport 0 0 dstport 8472 ttl auto ageing 300", []string{"224.0.0.1"}},
		{L2Pop, head + "dev eth1 srcport 0 0 dstport 8472 ttl auto ageing 300", []string{"172.30.200.31", "172.30.200.42"}},
	} {
		l, ctx := mustUp(t, Options{VXLAN: c.mode}), testContext(t)
		m := l.Machine(Compute01)
		link, err := m.Run(ctx, "ip", "-d", "link", "show", vxDevice)
		if err != nil || !strings.Contains(link, c.link) || !strings.Contains(link, "master "+vxBridge) || !strings.Contains(link, "mtu 1450") {
			t.Errorf("%s: %s, %v; want %q in %s", c.mode, link, err, c.link, vxBridge)
		}
		fdb, err := m.Run(ctx, "bridge", "fdb", "show", "dev", vxDevice)
		if err != nil || strings.Count(fdb, anywhere) != len(c.flood) {
			t.Errorf("%s: %q, %v; want %d places for broadcasts", c.mode, fdb, err, len(c.flood))
		}
		for _, peer := range c.flood {
			if !strings.Contains(fdb, anywhere+" dst "+peer+" ") {
				t.Errorf("%s: %q lacks %s", c.mode, fdb, peer)
			}
		}
	}
}

// The snapshot sees where a tunnel leads, and the agent puts that back.
func TestKernelSnapshotSeesWhereTunnelsLead(t *testing.T) {
	l, ctx := mustUp(t, Options{VXLAN: L2Pop}), testContext(t)
	snapshots := make([]string, 0, 3)
	for _, c := range []change{on(Compute01, "true"), on(Compute01, dropFlood, vxDevice, vtep(Controller01)), on(Compute01, restartAgent)} {
		if err := c.do(ctx, l); err != nil {
			t.Fatal(err)
		}
		s, err := l.Snapshot(ctx)
		if err != nil {
			t.Fatal(err)
		}
		snapshots = append(snapshots, s)
	}
	if line := fmt.Sprintf("%s %s dst %s", vxDevice, anywhere, vtep(Controller01)); !strings.Contains(snapshots[0], line) {
		t.Errorf("the snapshot lacks %q:\n%s", line, snapshots[0])
	}
	if snapshots[1] == snapshots[0] {
		t.Error("the snapshot does not show that a peer is gone")
	}
	if snapshots[2] != snapshots[0] {
		t.Errorf("the agent did not put the peer back:\n%s\nwant\n%s", snapshots[2], snapshots[0])
	}
}
