package fix_test

import (
	"bufio"
	"os/exec"
	"strings"
	"testing"

	"whybot/commands"
	"whybot/commands/fix"
	"whybot/runners"
)

const dhcpEnd = "ns-004b787f-9b"

// offload is what `ethtool -k` prints (6.1), shortened.
func offload(tx string) runners.Output {
	return runners.Output{Stdout: "Features for " + dhcpEnd + ":\nrx-checksumming: on\ntx-checksumming: " + tx + "\n\ttx-checksum-ipv4: off [fixed]\n\ttx-checksum-ip-generic: " + tx + "\n"}
}

func TestFillChecksums(t *testing.T) {
	s := commands.Suggestion{Fix: fix.FillChecksums, Node: controller, Args: map[string]string{"network": network, "device": dhcpEnd}}
	steps, err := fix.FillChecksums.Plan(nil, s)
	if err != nil || len(steps) != 1 {
		t.Fatalf("%+v, %v", steps, err)
	}
	cut := offload("on")
	cut.Truncated = true
	for name, c := range map[string]struct {
		out  runners.Output
		want commands.StepState
	}{
		"on":             {offload("on"), commands.StepPending},
		"off":            {offload("off"), commands.StepDone},
		"cannot be set":  {offload("on [fixed]"), commands.StepChanged},
		"no such device": {runners.Output{ExitCode: 1, Stderr: "netlink error: no device matches name"}, commands.StepChanged},
		"cut":            {cut, commands.StepChanged},
		"nothing of it":  {runners.Output{Stdout: "Features for x:\n"}, commands.StepChanged},
	} {
		if got := stateOf(t, steps[0], c.out); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	command := "ip netns exec qdhcp-" + network + " ethtool -K " + dhcpEnd + " tx "
	commandsOf(t, steps[0], command+"off", command+"on")
	if lines := fix.FillChecksums.Touches(nil, s); len(lines) != 1 || !strings.Contains(lines[0], controller) {
		t.Errorf("touches %q", lines)
	}
}

// TestKernelFillChecksums looks at what reaches the other end of a veth: a
// datagram without its checksum, with it, and without it again.
func TestKernelFillChecksums(t *testing.T) {
	requireKernel(t, "ethtool", "tcpdump", "bash", "timeout")
	server, guest := newNamespace(t), newNamespace(t)
	for _, argv := range []string{
		"ip link add " + dhcpEnd + " type veth peer name eth0 address fa:16:3e:11:11:11 netns " + string(guest),
		"ip addr add 10.30.92.2/24 dev " + dhcpEnd, "ip link set " + dhcpEnd + " up",
		"ip neigh add 10.30.92.11 lladdr fa:16:3e:11:11:11 dev " + dhcpEnd,
	} {
		server.must(t, "", strings.Fields(argv)...)
	}
	guest.must(t, "", "ip", "link", "set", "eth0", "up")
	s := linkStep("tx-checksum-off", "namespace", string(server), "device", dhcpEnd)
	k := kindOf(t, s.Kind)
	if got := server.state(t, k, s); got != commands.StepPending {
		t.Fatalf("as planned it is %s", got)
	}
	arrives(t, server, guest, "bad udp cksum")
	server.carryOut(t, k.Do(s))
	if got := server.state(t, k, s); got != commands.StepDone {
		t.Errorf("made it is %s", got)
	}
	arrives(t, server, guest, "udp sum ok")
	server.carryOut(t, k.Undo(s))
	if got := server.state(t, k, s); got != commands.StepPending {
		t.Errorf("taken back it is %s", got)
	}
	arrives(t, server, guest, "bad udp cksum")
}

// arrives sends a datagram to the guest and checks what tcpdump says of its
// checksum there.
func arrives(t *testing.T, server, guest namespace, want string) {
	t.Helper()
	dump := exec.Command("ip", "netns", "exec", string(guest), "timeout", "20", "tcpdump", "-vv", "-nn", "-l", "-c", "1", "-i", "eth0", "udp port 68")
	var stdout strings.Builder
	dump.Stdout = &stdout
	stderr, err := dump.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := dump.Start(); err != nil {
		t.Fatal(err)
	}
	for said := bufio.NewScanner(stderr); said.Scan(); {
		if strings.Contains(said.Text(), "listening on") {
			server.must(t, "", "bash", "-c", "echo offer >/dev/udp/10.30.92.11/68")
		}
	}
	if err := dump.Wait(); err != nil || !strings.Contains(stdout.String(), want) {
		t.Errorf("%v; not %q: %s", err, want, stdout.String())
	}
}
