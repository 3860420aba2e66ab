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

// stateOf judges what the step's probes print.
func stateOf(t *testing.T, s commands.Step, outputs ...runners.Output) commands.StepState {
	t.Helper()
	k := kindOf(t, s.Kind)
	probes := k.Read(s)
	if len(probes) != len(outputs) {
		t.Fatalf("%s reads %d things, the test has %d", s.Kind, len(probes), len(outputs))
	}
	var results []runners.Result
	for i, p := range probes {
		results = append(results, runners.Result{Probe: p, Output: outputs[i]})
	}
	state, seen := k.State(s, results)
	if seen == "" {
		t.Errorf("%s: state %s without a word of what was seen", s.Kind, state)
	}
	return state
}

// commandsOf checks what a step runs to be made and to be taken back.
func commandsOf(t *testing.T, s commands.Step, do, undo string) {
	t.Helper()
	said := func(actions []commands.Action) string {
		lines := make([]string, len(actions))
		for i, a := range actions {
			if lines[i] = a.String(); !a.Command.Sudo {
				t.Errorf("%s changes a node without sudo", a)
			}
		}
		return strings.Join(lines, "; ")
	}
	k := kindOf(t, s.Kind)
	if got := said(k.Do(s)); got != do {
		t.Errorf("do   %s\nwant %s", got, do)
	}
	if got := said(k.Undo(s)); got != undo {
		t.Errorf("undo %s\nwant %s", got, undo)
	}
}

// tree lists a bridge and its ports as `ip -d link` does.
func tree(stp string, delay int, ports ...string) runners.Output {
	state := "listening"
	if stp == "0" {
		state = "forwarding"
	}
	text := fmt.Sprintf("2: %s: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 state UP\n    bridge forward_delay %d hello_time 200 stp_state %s \n", bridge, delay, stp)
	for i, p := range ports {
		text += fmt.Sprintf("%d: %s: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 master %s state UP\n    bridge_slave state %s priority 32 forward_delay_timer   13.99 \n", i+3, p, bridge, state)
	}
	return runners.Output{Stdout: text}
}

const guestTap = "tap3d1c2f4a-0b"

func TestSTPOffState(t *testing.T) {
	s := linkStep("stp-off", "bridge", bridge, "port", guestTap, "delay", "1500")
	for name, c := range map[string]struct {
		out  runners.Output
		want commands.StepState
	}{
		"on":                       {tree("1", 1500, guestTap), commands.StepPending},
		"off":                      {tree("0", 1500, guestTap), commands.StepDone},
		"half-way":                 {runners.Output{Stdout: strings.ReplaceAll(tree("0", 1500, guestTap).Stdout, "state forwarding", "state listening")}, commands.StepChanged},
		"another program's":        {tree("2", 1500, guestTap), commands.StepChanged},
		"another delay by now":     {tree("1", 400, guestTap), commands.StepChanged},
		"the port has left":        {tree("1", 1500, "eth3.3092"), commands.StepChanged},
		"no such bridge":           {runners.Output{Stdout: "1: lo: <UP> mtu 65536\n"}, commands.StepChanged},
		"the listing is cut":       {runners.Output{Stdout: tree("1", 1500, guestTap).Stdout, Truncated: true}, commands.StepChanged},
		"the listing did not come": {runners.Output{ExitCode: 1}, commands.StepChanged},
	} {
		if got := stateOf(t, s, c.out); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	commandsOf(
		t, s,
		"ip link set dev "+bridge+" type bridge stp_state 0; ip link set dev "+guestTap+" type bridge_slave state 3",
		"ip link set dev "+bridge+" type bridge forward_delay 1500 stp_state 1",
	)
}

func TestPlanSTPOff(t *testing.T) {
	s := commands.Suggestion{Fix: fix.STPOff, Node: controller, Args: map[string]string{"bridge": bridge, "port": guestTap}}
	m := newMachine()
	m.outputs["ip-link"] = tree("1", 3000, guestTap, "tapb9e40d16-a2", "eth3.3092")
	steps, err := fix.STPOff.Plan(passOver(t, m, newCloud()), s)
	if err != nil || len(steps) != 1 || steps[0].Kind != "stp-off" || steps[0].Args["delay"] != "3000" || steps[0].Args["port"] != guestTap {
		t.Errorf("%+v, %v", steps, err)
	}
	if lines := fix.STPOff.Touches(nil, s); len(lines) != 2 || !strings.Contains(lines[0], "circle") {
		t.Errorf("touches %q", lines)
	}
	m.outputs["ip-link"] = tree("1", 1500, guestTap, "eth3.3092", "eth4")
	_, err = fix.STPOff.Plan(passOver(t, m, newCloud()), s)
	refusal(t, err, commands.CodeInvalid, "more than one uplink (eth3.3092, eth4)")
	m.outputs["ip-link"] = runners.Output{Stdout: "rubbish"}
	_, err = fix.STPOff.Plan(passOver(t, m, newCloud()), s)
	refusal(t, err, commands.CodeOutside, "could not be read")
}

// TestKernelSTPOff lets a port forward at once that would have waited for half
// a minute: switching spanning tree off alone leaves it waiting.
func TestKernelSTPOff(t *testing.T) {
	requireKernel(t)
	ns := newNamespace(t)
	for _, argv := range []string{
		"add " + bridge + " type bridge forward_delay 1500 stp_state 1", "set " + bridge + " up",
		"add " + guestTap + " type veth peer name guest", "set guest up", "set " + guestTap + " master " + bridge + " up",
	} {
		ns.must(t, "", append([]string{"ip", "link"}, strings.Fields(argv)...)...)
	}
	port := func() node.Link {
		links, err := node.ParseLinks(ns.must(t, "", "ip", "-d", "-s", "link", "show"))
		if err != nil {
			t.Fatal(err)
		}
		if l := links[bridge]; l.ForwardDelay.Seconds() != 15 {
			t.Errorf("the bridge's forward delay is %s", l.ForwardDelay)
		}
		return links[guestTap]
	}
	if l := port(); l.PortState != "listening" || l.PortTimer <= 0 {
		t.Fatalf("the port is %s, with %s left: there is nothing to try", l.PortState, l.PortTimer)
	}
	s := linkStep("stp-off", "bridge", bridge, "port", guestTap, "delay", "1500")
	k := kindOf(t, s.Kind)
	if got := ns.state(t, k, s); got != commands.StepPending {
		t.Fatalf("as planned it is %s", got)
	}
	ns.carryOut(t, k.Do(s))
	if l := port(); l.PortState != "forwarding" || ns.state(t, k, s) != commands.StepDone {
		t.Fatalf("made, the port is %s and the step %s", l.PortState, ns.state(t, k, s))
	}
	ns.carryOut(t, k.Undo(s))
	if got := ns.state(t, k, s); got != commands.StepPending {
		t.Errorf("taken back it is %s", got)
	}
}
