package fix_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"whybot/commands"
	"whybot/commands/fix"
	"whybot/runners"
)

const (
	goneMAC  = "fa:16:3e:d0:0e:07"
	goneID   = "01:fa:16:3e:d0:0e:07"
	oldLease = "1900000000 " + goneMAC + " 10.30.92.11 host-old " + goneID + "\n"
)

func releaseOf(client string) commands.Suggestion {
	return commands.Suggestion{Fix: fix.DHCPRelease, Node: controller, Args: map[string]string{
		"network": network, "device": dhcpEnd, "address": "10.30.92.11", "mac": goneMAC, "client": client,
	}}
}

func TestDHCPRelease(t *testing.T) {
	pass := passOver(t, newMachine(), newCloud())
	if _, err := fix.DHCPRelease.Plan(pass, releaseOf(goneID)); commands.CodeOf(err) != commands.CodeInvalid {
		t.Errorf("offered although nobody was asked for the address: %v", err)
	}
	pass.Packets = &commands.Packets{Asked: true}
	steps, err := fix.DHCPRelease.Plan(pass, releaseOf(goneID))
	if err != nil || len(steps) != 1 {
		t.Fatalf("%+v, %v", steps, err)
	}
	for name, c := range map[string]struct {
		out  runners.Output
		want commands.StepState
	}{
		"there":                {runners.Output{Stdout: oldLease}, commands.StepPending},
		"gone":                 {runners.Output{}, commands.StepDone},
		"leased to the guest":  {runners.Output{Stdout: "1900000000 fa:16:3e:11:11:11 10.30.92.11 * *\n"}, commands.StepDone},
		"another client by it": {runners.Output{Stdout: "1900000000 " + goneMAC + " 10.30.92.11 * 01:aa\n"}, commands.StepDone},
		"not to be read":       {runners.Output{ExitCode: 1}, commands.StepChanged},
		"cut":                  {runners.Output{Truncated: true}, commands.StepChanged},
	} {
		if got := stateOf(t, steps[0], c.out); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	command := "ip netns exec qdhcp-" + network + " dhcp_release " + dhcpEnd + " 10.30.92.11 " + goneMAC
	commandsOf(t, steps[0], command+" "+goneID, "")
	steps, err = fix.DHCPRelease.Plan(pass, releaseOf(""))
	if err != nil {
		t.Fatal(err)
	}
	commandsOf(t, steps[0], command, "")
	if lines := fix.DHCPRelease.Touches(nil, releaseOf("")); len(lines) != 1 || !strings.Contains(lines[0], goneMAC) {
		t.Errorf("touches %q", lines)
	}
	pass.Packets = &commands.Packets{Holder: goneMAC}
	_, err = fix.DHCPRelease.Plan(pass, releaseOf(""))
	refusal(t, err, commands.CodeInvalid, "the address is in use")
}

// TestKernelDHCPRelease asks a real dnsmasq for the rule that the diagnosis
// rests on, and for what the fix does: with somebody else's lease of its
// address a client gets none, with one under another client id of its own it
// does.
func TestKernelDHCPRelease(t *testing.T) {
	requireKernel(t, "dnsmasq", "dhcp_release", "busybox")
	for _, c := range []struct {
		name, lease, hosts, client string
		refused                    bool
	}{
		{"another MAC", oldLease, "fa:16:3e:11:11:11,host-g,10.30.92.11\n", goneID, true},
		{"another MAC, for ever and without a client id", "0 " + goneMAC + " 10.30.92.11 host-old *\n", "fa:16:3e:11:11:11,host-g,10.30.92.11\n", "", true},
		{"another client id", "1900000000 fa:16:3e:11:11:11 10.30.92.11 host-g ff:00:11\n", "fa:16:3e:11:11:11,host-g,10.30.92.11\n", "", false},
		{"a MAC of the same entry", oldLease, "fa:16:3e:11:11:11," + goneMAC + ",host-g,10.30.92.11\n", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			server, guest := newNamespace(t), newNamespace(t)
			leases := startDHCP(t, server, guest, c.lease, c.hosts)
			if got := !getsLease(guest); got != c.refused {
				t.Fatalf("the client is refused: %t, want %t", got, c.refused)
			}
			if !c.refused {
				return
			}
			s := linkStep(
				"dhcp-release", "network", network, "namespace", string(server), "device", dhcpEnd,
				"address", "10.30.92.11", "mac", goneMAC, "client", c.client,
			)
			if got := stateOf(t, s, leases()); got != commands.StepPending {
				t.Fatalf("as planned it is %s:\n%s", got, leases().Stdout)
			}
			server.carryOut(t, kindOf(t, s.Kind).Do(s))
			for deadline := time.Now().Add(5 * time.Second); stateOf(t, s, leases()) != commands.StepDone; time.Sleep(50 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("the lease is still there:\n%s", leases().Stdout)
				}
			}
			if !getsLease(guest) {
				t.Error("the client is refused after the release")
			}
		})
	}
}

// getsLease asks for an address as a guest does.
func getsLease(guest namespace) bool {
	return guest.run("", "busybox", "udhcpc", "-i", "eth0", "-n", "-q", "-f", "-t", "2", "-T", "1", "-s", "/bin/true").ExitCode == 0
}

// startDHCP runs dnsmasq as neutron-dhcp-agent does, with leases from before,
// and returns how to read the leases.
func startDHCP(t *testing.T, server, guest namespace, lease, hosts string) func() runners.Output {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"host": hosts, "leases": lease} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, argv := range []string{
		"ip link set lo up", "ip link add " + dhcpEnd + " type veth peer name eth0 address fa:16:3e:11:11:11 netns " + string(guest),
		"ip addr add 10.30.92.2/24 dev " + dhcpEnd, "ip link set " + dhcpEnd + " up",
	} {
		server.must(t, "", strings.Fields(argv)...)
	}
	guest.must(t, "", "ip", "link", "set", "eth0", "up")
	cmd := exec.Command(
		"ip", "netns", "exec", string(server), "dnsmasq", "--no-hosts", "--no-resolv", "--port=0", "--conf-file=/dev/null", "--user=root",
		"--keep-in-foreground", "--log-facility=-", "--pid-file="+dir+"/pid", "--dhcp-hostsfile="+dir+"/host", "--dhcp-leasefile="+dir+"/leases",
		"--interface="+dhcpEnd, "--bind-interfaces", "--dhcp-range=set:subnet,10.30.92.0,static,255.255.255.0,86400s",
	)
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(said)
	for lines.Scan() && !strings.Contains(lines.Text(), "sockets bound exclusively") {
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		for lines.Scan() {
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-drained
		_ = cmd.Wait()
	})
	return func() runners.Output {
		text, err := os.ReadFile(filepath.Join(dir, "leases"))
		if err != nil {
			return runners.Output{ExitCode: 1, Stderr: fmt.Sprint(err)}
		}
		return runners.Output{Stdout: string(text)}
	}
}
