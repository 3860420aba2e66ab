package fix_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"whybot/commands"
	"whybot/commands/fix"
	"whybot/runners"
)

// calls are what actions do to OpenStack, one word line each.
func calls(t *testing.T, actions []commands.Action) []string {
	t.Helper()
	var lines []string
	for _, a := range actions {
		if a.Call == nil {
			t.Fatalf("%s is no call of OpenStack", a.String())
		}
		words := []string{a.Call.Op}
		for _, k := range slices.Sorted(maps.Keys(a.Call.Args)) {
			words = append(words, k+"="+a.Call.Args[k])
		}
		lines = append(lines, strings.Join(words, " ")+" | "+a.String())
	}
	return lines
}

func TestTurnOn(t *testing.T) {
	for _, c := range []struct {
		fix             *commands.Fix
		kind, attribute string
		on, off         string
		touches         string
	}{
		{fix.EnableDHCP, "subnet", "enable_dhcp", "openstack subnet set --dhcp id-1", "openstack subnet set --no-dhcp id-1", "another DHCP server"},
		{fix.NetworkUp, "network", "admin_state_up", "openstack network set --enable id-1", "openstack network set --disable id-1", "on purpose"},
		{fix.PortUp, "port", "admin_state_up", "openstack port set --enable id-1", "openstack port set --disable id-1", "on purpose"},
	} {
		t.Run(c.fix.Name, func(t *testing.T) {
			s := commands.Suggestion{Fix: c.fix, Args: map[string]string{"id": "id-1", "cidr": "10.0.0.0/24", "name": "pay-net", "device": "web-1"}}
			steps, err := c.fix.Plan(nil, s)
			if err != nil || len(steps) != 1 {
				t.Fatalf("%+v, %v", steps, err)
			}
			k, step := kindOf(t, "cloud-set"), steps[0]
			if ref := k.Ref(step); ref != (runners.CloudRef{Kind: c.kind, ID: "id-1"}) {
				t.Errorf("its place is %+v", ref)
			}
			args := "attribute=" + c.attribute + " from=%s id=id-1 kind=" + c.kind + " to=%s | "
			do := "set " + fmt.Sprintf(args, "false", "true") + c.on
			undo := "set " + fmt.Sprintf(args, "true", "false") + c.off
			if got := append(calls(t, k.Do(step)), calls(t, k.Undo(step))...); !slices.Equal(got, []string{do, undo}) {
				t.Errorf("does and is taken back by %q, want %q and %q", got, do, undo)
			}
			for value, want := range map[string]commands.StepState{"false": commands.StepPending, "true": commands.StepDone, `"odd"`: commands.StepChanged} {
				if got, seen := k.Compare(step, runners.CloudObject{c.attribute: value}); got != want || !strings.Contains(seen, value) {
					t.Errorf("%s: %s (%s)", value, got, seen)
				}
			}
			if got, seen := k.Compare(step, runners.CloudObject{}); got != commands.StepChanged || seen == "" {
				t.Errorf("without the attribute: %s (%s)", got, seen)
			}
			if lines := c.fix.Touches(nil, s); len(lines) != 1 || !strings.Contains(lines[0], c.touches) {
				t.Errorf("touches %q", lines)
			}
		})
	}
}

func TestHostNetwork(t *testing.T) {
	agent := func(id, host string, networks int, alive, up bool) runners.Agent {
		return runners.Agent{ID: id, Type: "DHCP agent", Host: host, Alive: alive, AdminUp: up, Networks: runners.Known(networks)}
	}
	l2 := func(host string) runners.Agent {
		return runners.Agent{
			ID: "l2-" + host, Type: "Linux bridge agent", Host: host, Alive: true, AdminUp: true, Networks: runners.Known(0),
			InterfaceMappings: map[string]string{"physnet1": "eth3"},
		}
	}
	c := newCloud()
	c.all = runners.Known([]runners.Agent{
		l2("a"), l2("b"), l2("c"), l2("d"), l2("e"), l2("f"), l2("g"),
		agent("dead", "b", 0, false, true), agent("off", "c", 0, true, false),
		{ID: "silent", Type: "DHCP agent", Host: "d", Alive: true, AdminUp: true},
		agent("unwired", "h", 0, true, true), agent("full", "e", 9, true, true), agent("second", "g", 2, true, true), agent("first", "f", 2, true, true),
	})
	pass := passOver(t, newMachine(), c)
	s := commands.Suggestion{Fix: fix.HostNetwork, Node: "f"}
	steps, err := fix.HostNetwork.Plan(pass, s)
	if err != nil || len(steps) != 1 || steps[0].Args["agent"] != "first" || steps[0].Args["network"] != network {
		t.Fatalf("%+v, %v", steps, err)
	}
	k, step := kindOf(t, "host-network"), steps[0]
	if ref := k.Ref(step); ref != (runners.CloudRef{Kind: runners.HostingAgents, ID: network}) {
		t.Errorf("its place is %+v", ref)
	}
	for _, tt := range []struct {
		agents runners.CloudObject
		want   commands.StepState
	}{
		{runners.CloudObject{}, commands.StepPending},
		{runners.CloudObject{"first": "true"}, commands.StepDone},
		{runners.CloudObject{"full": "true"}, commands.StepChanged},
	} {
		if got, seen := k.Compare(step, tt.agents); got != tt.want || seen == "" {
			t.Errorf("%v: %s (%s)", tt.agents, got, seen)
		}
	}
	if got, want := calls(t, k.Do(step)), "add-dhcp-network agent=first network="+network+" | openstack network agent add network --dhcp first "+network; len(got) != 1 || got[0] != want {
		t.Errorf("does %q", got)
	}
	if got, want := calls(t, k.Undo(step)), "remove-dhcp-network agent=first network="+network+" | openstack network agent remove network --dhcp first "+network; len(got) != 1 || got[0] != want {
		t.Errorf("is taken back by %q", got)
	}
	if lines := fix.HostNetwork.Touches(pass, s); len(lines) != 1 || !strings.Contains(lines[0], "pay-net") {
		t.Errorf("touches %q", lines)
	}
	c.all = runners.Known([]runners.Agent{l2("f"), agent("dead", "f", 0, false, true)})
	_, err = fix.HostNetwork.Plan(passOver(t, newMachine(), c), s)
	refusal(t, err, commands.CodeMissing, "No DHCP agent is alive")
}

// TestSpareDHCPAgentIsOnANodeThatCanWireTheNetwork tries what an L2 agent may
// lack: an agent that is given a network it cannot wire leaves it unserved.
func TestSpareDHCPAgentIsOnANodeThatCanWireTheNetwork(t *testing.T) {
	network := func(kind, physnet string) runners.Network {
		return runners.Network{Type: runners.Known(kind), PhysicalNet: runners.Known(physnet)}
	}
	good := runners.Agent{
		Type: "Linux bridge agent", Host: "a", Alive: true, AdminUp: true, InterfaceMappings: map[string]string{"physnet1": "eth3"},
		BridgeMappings: map[string]string{"physnet2": "br-ex"}, TunnelingIP: "10.0.0.1", TunnelTypes: []string{"vxlan"},
	}
	but := func(change func(*runners.Agent)) runners.Agent {
		a := good
		change(&a)
		return a
	}
	for _, c := range []struct {
		name    string
		l2      runners.Agent
		network runners.Network
		want    bool
	}{
		{"mapped to a NIC", good, network("vlan", "physnet1"), true},
		{"mapped to a bridge", good, network("flat", "physnet2"), true},
		{"tunnels", good, network("vxlan", ""), true},
		{"tunnels of a kind that is not said", but(func(a *runners.Agent) { a.TunnelTypes = nil }), network("vxlan", ""), true},
		{"another physical network", good, network("vlan", "physnet3"), false},
		{"no physical network is shown", good, network("vlan", ""), false},
		{"no tunnel address", but(func(a *runners.Agent) { a.TunnelingIP = "" }), network("vxlan", ""), false},
		{"other tunnels", but(func(a *runners.Agent) { a.TunnelTypes = []string{"gre"} }), network("vxlan", ""), false},
		{"dead", but(func(a *runners.Agent) { a.Alive = false }), network("vlan", "physnet1"), false},
		{"disabled", but(func(a *runners.Agent) { a.AdminUp = false }), network("vlan", "physnet1"), false},
		{"of another node", but(func(a *runners.Agent) { a.Host = "b" }), network("vlan", "physnet1"), false},
		{"the network's kind is hidden", good, runners.Network{Type: runners.NotKnown[string]("hidden"), PhysicalNet: runners.Known("physnet1")}, false},
	} {
		dhcp := runners.Agent{Type: "DHCP agent", Host: "a", Alive: true, AdminUp: true}
		if got, ok := fix.SpareDHCPAgent([]runners.Agent{dhcp, c.l2}, c.network); ok != c.want || ok && got.Host != "a" {
			t.Errorf("%s: %t (%+v)", c.name, ok, got)
		}
	}
}
