package fix_test

import (
	"strings"
	"testing"

	"whybot/commands"
	"whybot/runners"
)

func TestResyncState(t *testing.T) {
	const (
		dnsmasq = "  69 S dnsmasq --no-hosts --dhcp-hostsfile=/var/lib/neutron/dhcp/" + network + "/host --interface=ns-004b787f-9b\n"
		entry   = "FA:16:3E:11:11:11,host-10-30-92-11.openstacklocal,10.30.92.11\n"
	)
	k := kindOf(t, "resync-dhcp")
	step := commands.Step{Kind: k.Name, Node: controller, Args: map[string]string{
		"agent": "agent-1", "network": network, "device": "ns-004b787f-9b", "mac": "fa:16:3e:11:11:11", "address": "10.30.92.11",
	}}
	for _, c := range []struct {
		name, ps, hosts string
		want            commands.StepState
	}{
		{"nothing runs", "", "", commands.StepPending},
		{"another network's dnsmasq runs", strings.NewReplacer(network, "other", "ns-004b787f-9b", "ns-other").Replace(dnsmasq), entry, commands.StepPending},
		{"told by its interface", strings.ReplaceAll(dnsmasq, network, "other"), entry, commands.StepDone},
		{"it runs without the guest", dnsmasq, "", commands.StepPending},
		{"it runs with another address for the guest", dnsmasq, strings.ReplaceAll(entry, "92.11\n", "92.12\n"), commands.StepPending},
		{"the guest is known but nothing runs", "", entry, commands.StepPending},
		{"as it should be", dnsmasq, entry, commands.StepDone},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMachineWith(c.ps, c.hosts)
			if got := m.state(t, k, step); got != c.want {
				t.Errorf("state %s, want %s", got, c.want)
			}
		})
	}
	step.Args["address"] = "$(reboot)"
	if got := newMachineWith(dnsmasq, entry).state(t, k, step); got != commands.StepChanged {
		t.Errorf("an address that is none: %s", got)
	}
	do := k.Do(step)
	want := []string{
		"openstack network agent remove network --dhcp agent-1 " + network,
		"openstack network agent add network --dhcp agent-1 " + network,
	}
	if len(do) != 2 || do[0].String() != want[0] || do[1].String() != want[1] {
		t.Fatalf("does %+v", do)
	}
	if do[0].Must || !do[1].Must || do[0].Call.Op != runners.CloudRemoveDHCPNetwork || do[1].Call.Op != runners.CloudAddDHCPNetwork {
		t.Errorf("does %+v", do)
	}
	for _, a := range do {
		if a.Call.Args["agent"] != "agent-1" || a.Call.Args["network"] != network {
			t.Errorf("calls with %v", a.Call.Args)
		}
	}
	if undo := k.Undo(step); undo != nil {
		t.Errorf("taken back by %+v", undo)
	}
}

func newMachineWith(dnsmasq, hosts string) *machine {
	m := newMachine()
	m.outputs["dnsmasq"] = runners.Output{Stdout: dnsmasq}
	m.outputs["dhcp-hosts"] = runners.Output{Stdout: hosts}
	return m
}
