package fix_test

import (
	"slices"
	"strings"
	"testing"

	"whybot/commands"
	"whybot/commands/fix"
	"whybot/runners"
)

func TestPlanTunnelAccept(t *testing.T) {
	for chain, want := range map[string]string{
		"INPUT":  "-s 172.30.200.41/32 -p udp -m udp --dport 8472 -j ACCEPT",
		"OUTPUT": "-d 172.30.200.41/32 -p udp -m udp --dport 8472 -j ACCEPT",
	} {
		s := commands.Suggestion{Fix: fix.TunnelAccept, Node: controller, Args: map[string]string{
			"binary": "iptables-nft", "chain": chain, "peer": "172.30.200.41", "port": "8472", "position": "3", "before": "-A " + chain + " -j DROP",
		}}
		steps, err := fix.TunnelAccept.Plan(nil, s)
		if err != nil || len(steps) != 1 || strings.Join(steps[0].Words, " ") != want || steps[0].Kind != "insert-rule" {
			t.Errorf("%s: %+v, %v; want %s", chain, steps, err, want)
		}
		for _, arg := range []string{"binary", "chain", "position", "before"} {
			if steps[0].Args[arg] != s.Args[arg] {
				t.Errorf("%s: %s is %q, want %q", chain, arg, steps[0].Args[arg], s.Args[arg])
			}
		}
		if lines := fix.TunnelAccept.Touches(nil, s); len(lines) != 1 || !strings.Contains(lines[0], "Every VXLAN network") {
			t.Errorf("touches %q", lines)
		}
	}
	_, err := fix.TunnelAccept.Plan(nil, commands.Suggestion{Node: controller, Args: map[string]string{"chain": "FORWARD"}})
	refusal(t, err, commands.CodeInvalid, "no chain")
}

// peerStep makes vxlan-1207 send broadcasts to a peer.
func peerStep(peer string) commands.Step {
	return linkStep("add-peer", "device", "vxlan-1207", "peer", peer)
}

func TestPlanTunnelPeer(t *testing.T) {
	s := commands.Suggestion{Fix: fix.TunnelPeer, Node: controller, Args: map[string]string{"device": "vxlan-1207", "peer": "172.30.200.41"}}
	steps, err := fix.TunnelPeer.Plan(nil, s)
	if err != nil || len(steps) != 1 || steps[0].Kind != "add-peer" || steps[0].Args["device"] != "vxlan-1207" || steps[0].Args["peer"] != "172.30.200.41" {
		t.Errorf("%+v, %v", steps, err)
	}
	if lines := fix.TunnelPeer.Touches(nil, s); len(lines) != 1 || !strings.Contains(lines[0], "172.30.200.41") {
		t.Errorf("touches %q", lines)
	}
	k := kindOf(t, "add-peer")
	do, undo := k.Do(steps[0]), k.Undo(steps[0])
	const words = " 00:00:00:00:00:00 dev vxlan-1207 dst 172.30.200.41"
	if len(do) != 1 || len(undo) != 1 || do[0].String() != "bridge fdb append"+words || undo[0].String() != "bridge fdb del"+words ||
		!do[0].Command.Sudo || !undo[0].Command.Sudo {
		t.Errorf("do %v, undo %v", do, undo)
	}
}

func TestPeerState(t *testing.T) {
	const (
		others = "06:65:cb:a5:5a:7f master brq2c7e91d4-06 permanent\nfa:16:3e:4b:10:11 dst 172.30.200.41 self permanent\n" +
			"00:00:00:00:00:00 dst 172.30.200.42 self permanent\n00:00:00:00:00:00 dst 172.30.200.4 self permanent\n"
		ours = "00:00:00:00:00:00 dst 172.30.200.41 self permanent\n"
	)
	for _, c := range []struct {
		name string
		out  runners.Output
		want commands.StepState
	}{
		{"others are there", runners.Output{Stdout: others}, commands.StepPending},
		{"nothing is there", runners.Output{}, commands.StepPending},
		{"it is there", runners.Output{Stdout: others + ours}, commands.StepDone},
		{"the device is gone", runners.Output{Stderr: "Cannot find device \"vxlan-1207\"\n", ExitCode: 255}, commands.StepChanged},
		{"cut short", runners.Output{Stdout: others, Truncated: true}, commands.StepChanged},
		{"rubbish", runners.Output{Stdout: "00:00:00:00:00:00 dst nowhere\n"}, commands.StepChanged},
	} {
		m := newMachine()
		m.outputs["fdb vxlan-1207"] = c.out
		if got := m.state(t, kindOf(t, "add-peer"), peerStep("172.30.200.41")); got != c.want {
			t.Errorf("%s: state %s, want %s", c.name, got, c.want)
		}
	}
}

// A peer is added and taken away in the kernel, and the others stay.
func TestKernelPeer(t *testing.T) {
	requireKernel(t, "bridge")
	ns := newNamespace(t)
	ns.must(t, "", "ip", "link", "add", "vxlan-1207", "type", "vxlan", "id", "1207", "dstport", "8472")
	ns.must(t, "", "bridge", "fdb", "append", "00:00:00:00:00:00", "dev", "vxlan-1207", "dst", "172.30.200.42")
	k, s := kindOf(t, "add-peer"), peerStep("172.30.200.41")
	list := func() string { return ns.must(t, "", "bridge", "fdb", "show", "dev", "vxlan-1207") }
	before := list()
	if got := ns.state(t, k, s); got != commands.StepPending {
		t.Fatalf("as planned it is %s", got)
	}
	ns.carryOut(t, k.Do(s))
	if got := ns.state(t, k, s); got != commands.StepDone || !strings.Contains(list(), "172.30.200.42") {
		t.Fatalf("made it is %s: %s", got, list())
	}
	ns.carryOut(t, k.Undo(s))
	if after := list(); after != before {
		t.Errorf("taken back it reads\n%s\nwas\n%s", after, before)
	}
}

// The rule stands in INPUT as iptables-save prints it, in both back ends: the
// step finds its own rule again and takes away no other.
func TestKernelTunnelAccept(t *testing.T) {
	for _, binary := range backends {
		t.Run(binary, func(t *testing.T) {
			requireKernel(t, binary, binary+"-save", binary+"-restore")
			ns := newNamespace(t)
			ns.must(t, "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A INPUT -i lo -j ACCEPT\n"+
				"-A INPUT -j REJECT --reject-with icmp-host-prohibited\nCOMMIT\n", binary+"-restore")
			steps, err := fix.TunnelAccept.Plan(nil, commands.Suggestion{Node: controller, Args: map[string]string{
				"binary": binary, "chain": "INPUT", "peer": "172.30.200.41", "port": "8472", "position": "2",
				"before": "-A INPUT -j REJECT --reject-with icmp-host-prohibited",
			}})
			if err != nil {
				t.Fatal(err)
			}
			ns.roundTrip(t, binary, kindOf(t, "insert-rule"), steps[0])
			ns.carryOut(t, kindOf(t, "insert-rule").Do(steps[0]))
			lines := strings.Split(ns.rules(t, binary), "\n")
			at := func(line string) int { return slices.Index(lines, line) }
			if mine := at("-A INPUT " + strings.Join(steps[0].Words, " ")); mine < 0 || mine != at(steps[0].Args["before"])-1 {
				t.Errorf("it does not stand above the REJECT:\n%s", strings.Join(lines, "\n"))
			}
		})
	}
}
