package fix_test

import (
	"fmt"
	"strings"
	"testing"

	"whybot/commands"
	"whybot/commands/fix"
	"whybot/commands/node"
	"whybot/runners"
)

// vlanListing lists one VLAN link as `ip -d link` does.
func vlanListing(device, parent, master string, id int) runners.Output {
	return runners.Output{Stdout: fmt.Sprintf("2: %s@%s: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 9000 master %s state UP\n    vlan protocol 802.1Q id %d <REORDER_HDR> \n", device, parent, master, id)}
}

var sub = linkStep("change-vlan", "device", "eth3.3092", "parent", "eth3", "vlan", "3092", "was", "3093", "master", bridge, "mtu", "9000")

func TestChangeVLANState(t *testing.T) {
	for name, c := range map[string]struct {
		out  runners.Output
		want commands.StepState
	}{
		"the wrong id":         {vlanListing("eth3.3092", "eth3", bridge, 3093), commands.StepPending},
		"the right id":         {vlanListing("eth3.3092", "eth3", bridge, 3092), commands.StepDone},
		"a third id":           {vlanListing("eth3.3092", "eth3", bridge, 7), commands.StepChanged},
		"another NIC":          {vlanListing("eth3.3092", "eth2", bridge, 3093), commands.StepChanged},
		"another bridge":       {vlanListing("eth3.3092", "eth3", "br-old", 3093), commands.StepChanged},
		"gone":                 {vlanListing("eth3.7", "eth3", bridge, 3093), commands.StepChanged},
		"an unfinished change": {runners.Output{Stdout: vlanListing("eth3.3092", "eth3", bridge, 3093).Stdout + vlanListing("whybot-vlan", "eth3", "none", 3092).Stdout}, commands.StepChanged},
		"the listing was cut":  {runners.Output{Stdout: vlanListing("eth3.3092", "eth3", bridge, 3093).Stdout, Truncated: true}, commands.StepChanged},
	} {
		if got := stateOf(t, sub, c.out); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	remake := func(id string) string {
		return strings.Join([]string{
			"ip link add link eth3 name whybot-vlan type vlan id " + id, "ip link del dev eth3.3092",
			"ip link set dev whybot-vlan name eth3.3092", "ip link set dev eth3.3092 mtu 9000 master " + bridge + " up",
		}, "; ")
	}
	commandsOf(t, sub, remake("3092"), remake("3093"))
}

func TestPlanRecreateSegment(t *testing.T) {
	s := commands.Suggestion{Fix: fix.RecreateSegment, Node: controller, Args: map[string]string{
		"device": "eth3.3092", "parent": "eth3", "vlan": "3092", "was": "3093", "master": bridge,
	}}
	m := newMachine()
	m.outputs["ip-link"] = vlanListing("eth3.3092", "eth3", bridge, 3093)
	steps, err := fix.RecreateSegment.Plan(passOver(t, m, newCloud()), s)
	if err != nil || len(steps) != 1 || commands.PlanHash(steps) != commands.PlanHash([]commands.Step{sub}) {
		t.Errorf("%+v, %v", steps, err)
	}
	if lines := fix.RecreateSegment.Touches(nil, s); len(lines) != 1 || !strings.Contains(lines[0], bridge) {
		t.Errorf("touches %q", lines)
	}
	m.outputs["ip-link"] = runners.Output{Stdout: vlanListing("eth3.3092", "eth3", bridge, 3093).Stdout + vlanListing("backup", "eth3", "none", 3092).Stdout}
	_, err = fix.RecreateSegment.Plan(passOver(t, m, newCloud()), s)
	refusal(t, err, commands.CodeInvalid, "is taken by backup")
	m.outputs["ip-link"] = runners.Output{Stdout: "rubbish"}
	_, err = fix.RecreateSegment.Plan(passOver(t, m, newCloud()), s)
	refusal(t, err, commands.CodeOutside, "could not be read")
	m.module = false
	_, err = fix.RecreateSegment.Plan(passOver(t, m, newCloud()), s)
	refusal(t, err, commands.CodeMissing, "8021q")
}

// TestKernelChangeVLAN changes the id of a real VLAN link and back.
func TestKernelChangeVLAN(t *testing.T) {
	requireKernel(t)
	ns := newNamespace(t)
	for _, argv := range []string{"add eth3 mtu 9000 type veth peer name far3", "set eth3 up", "set far3 up", "add " + bridge + " type bridge", "set " + bridge + " up"} {
		ns.must(t, "", append([]string{"ip", "link"}, strings.Fields(argv)...)...)
	}
	if out := ns.run("", "ip", "link", "add", "link", "eth3", "name", "eth3.3092", "type", "vlan", "id", "3093"); out.ExitCode != 0 {
		t.Logf("CHANGE-VLAN IS NOT TRIED: this kernel makes no VLAN links: %s", out.Stderr)
		return
	}
	ns.must(t, "", "ip", "link", "set", "dev", "eth3.3092", "master", bridge, "up")
	ns.linkRoundTrip(t, sub)
	links, err := node.ParseLinks(ns.must(t, "", "ip", "-d", "-s", "link", "show"))
	if l := links["eth3.3092"]; err != nil || !l.Up || l.Master != bridge || l.MTU != 9000 {
		t.Errorf("back again it is %+v, %v", l, err)
	}
}
