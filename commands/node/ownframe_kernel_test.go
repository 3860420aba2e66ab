package node_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"whybot/commands/node"
)

// A wire is two namespaces, a bridge in each, and a cable between the two.
type wire struct {
	t    *testing.T
	a, b string
}

func (w wire) run(args ...string) string {
	w.t.Helper()
	out, err := exec.CommandContext(w.t.Context(), args[0], args[1:]...).CombinedOutput()
	if err != nil {
		w.t.Fatalf("%q: %v: %s", args, err, out)
	}
	return string(out)
}

func newWire(t *testing.T) wire {
	t.Helper()
	w := wire{t, fmt.Sprintf("wbof%d-a", os.Getpid()), fmt.Sprintf("wbof%d-b", os.Getpid())}
	for _, ns := range []string{w.a, w.b} {
		w.run("ip", "netns", "add", ns)
		t.Cleanup(func() {
			if out, err := exec.Command("ip", "netns", "del", ns).CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
		w.run("ip", "netns", "exec", ns, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
	}
	w.run("ip", "-n", w.a, "link", "add", "nic0", "type", "veth", "peer", "name", "nic0", "netns", w.b)
	for _, ns := range []string{w.a, w.b} {
		w.run("ip", "-n", ns, "link", "add", "brq0", "type", "bridge", "forward_delay", "0")
		w.run("ip", "-n", ns, "link", "set", "nic0", "master", "brq0", "up")
		w.run("ip", "-n", ns, "link", "set", "brq0", "up")
	}
	deadline := time.Now().Add(10 * time.Second)
	for _, ns := range []string{w.a, w.b} {
		for !strings.Contains(w.run("ip", "-n", ns, "-d", "link", "show", "nic0"), "state forwarding") {
			if time.Now().After(deadline) {
				t.Fatal("the bridges do not forward")
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	return w
}

// learnt sends a frame of a's own and reports whether b has learnt it.
func (w wire) learnt() bool {
	w.t.Helper()
	links, err := node.ParseLinks(w.run("ip", "-n", w.a, "-d", "-s", "link", "show"))
	if err != nil {
		w.t.Fatal(err)
	}
	probe := node.OwnFrameProbe("brq0")
	err = exec.CommandContext(w.t.Context(), "ip", append([]string{"netns", "exec", w.a}, probe.Argv...)...).Run()
	if e, ok := err.(*exec.ExitError); !ok || e.ExitCode() != 1 { //nolint:errorlint // Run returns it as it is
		w.t.Fatalf("%s: %v, want exit code 1", probe.Command(), err)
	}
	all, err := node.ParseLearnt(w.run(append([]string{"ip", "netns", "exec", w.b}, node.LearntProbe("brq0").Argv...)...))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, l := range all {
		if l.MAC == links["brq0"].MAC && l.Device == "nic0" && l.Ago < 10*time.Second {
			return true
		}
	}
	return false
}

// TestKernelOwnFrame sends a frame of one bridge's own to another: it is learnt
// there, unless something between the two drops it.
func TestKernelOwnFrame(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("THE CONTROL IS NOT TRIED IN THE KERNEL: it needs root")
	}
	w := newWire(t)
	w.run("ip", "netns", "exec", w.b, "nft", "add table netdev t; add chain netdev t c { type filter hook ingress device nic0 priority 0; policy drop; }")
	// What the bridges said when they came up does not count.
	w.run("ip", "-n", w.b, "link", "set", "nic0", "type", "bridge_slave", "fdb_flush")
	if w.learnt() {
		t.Error("a frame that was dropped on the way is learnt")
	}
	w.run("ip", "netns", "exec", w.b, "nft", "delete table netdev t")
	if !w.learnt() {
		t.Error("the node's own frame is not learnt at the other end")
	}
}
