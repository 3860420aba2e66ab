package fix_test

import (
	"maps"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"whybot/commands"
	"whybot/commands/fix"
	"whybot/commands/node"
	"whybot/runners"
)

const bridge = "brq91e78b9c-cf"

func linkStep(kind string, args ...string) commands.Step {
	s := commands.Step{Kind: kind, Node: controller, Args: map[string]string{}}
	for i := 0; i < len(args); i += 2 {
		s.Args[args[i]] = args[i+1]
	}
	return s
}

func TestLinkState(t *testing.T) {
	up := linkStep("link-up", "device", "eth4")
	master := linkStep("link-master", "device", "eth4", "master", bridge, "before", "")
	moved := linkStep("link-master", "device", "eth4", "master", bridge, "before", "br-old")
	vlan := linkStep("add-vlan", "device", "eth4", "parent", "eth3", "vlan", "3092")
	for _, c := range []struct {
		name string
		step commands.Step
		link *node.Link // nil: not there
		want commands.StepState
	}{
		{"down", up, &node.Link{}, commands.StepPending},
		{"up", up, &node.Link{Up: true}, commands.StepDone},
		{"gone", up, nil, commands.StepChanged},

		{"in no bridge", master, &node.Link{}, commands.StepPending},
		{"in its bridge", master, &node.Link{Master: bridge}, commands.StepDone},
		{"in a foreign bridge", master, &node.Link{Master: "virbr0"}, commands.StepChanged},
		{"gone", master, nil, commands.StepChanged},
		{"still in the wrong bridge", moved, &node.Link{Master: "br-old"}, commands.StepPending},
		{"moved to its bridge", moved, &node.Link{Master: bridge}, commands.StepDone},
		{"taken out of the wrong bridge", moved, &node.Link{}, commands.StepChanged},
		{"in a third bridge", moved, &node.Link{Master: "br-new"}, commands.StepChanged},

		{"not there", vlan, nil, commands.StepPending},
		{"made", vlan, &node.Link{Kind: "vlan", Parent: "eth3", VLAN: 3092}, commands.StepDone},
		{"another id", vlan, &node.Link{Kind: "vlan", Parent: "eth3", VLAN: 3093}, commands.StepChanged},
		{"another parent", vlan, &node.Link{Kind: "vlan", Parent: "eth0", VLAN: 3092}, commands.StepChanged},
		{"no VLAN at all", vlan, &node.Link{Kind: "dummy"}, commands.StepChanged},
	} {
		t.Run(c.step.Kind+" "+c.name, func(t *testing.T) {
			m := newMachine()
			if c.link != nil {
				m.links["eth4"] = *c.link
			}
			if got := m.state(t, kindOf(t, c.step.Kind), c.step); got != c.want {
				t.Errorf("state %s, want %s", got, c.want)
			}
		})
	}
	for _, s := range []commands.Step{up, master, vlan} {
		m := newMachine()
		m.outputs["ip-link"] = runners.Output{Stdout: "Object \"link\" is unknown\n", ExitCode: 1}
		if got := m.state(t, kindOf(t, s.Kind), s); got != commands.StepChanged {
			t.Errorf("%s is %s when the links cannot be read", s.Kind, got)
		}
	}
}

// A listing that failed or was cut proves the absence of nothing: a link that
// is not in it may be there.
func TestLinkStateOfAnIncompleteListing(t *testing.T) {
	vlan := linkStep("add-vlan", "device", "eth4", "parent", "eth3", "vlan", "3092")
	for name, spoil := range map[string]func(*runners.Output){
		"truncated": func(o *runners.Output) { o.Truncated = true },
		"failed":    func(o *runners.Output) { o.ExitCode = 1 },
	} {
		m := newMachine()
		out := runners.Output{Stdout: m.linkListing()}
		spoil(&out)
		m.outputs["ip-link"] = out
		if got := m.state(t, kindOf(t, "add-vlan"), vlan); got != commands.StepChanged {
			t.Errorf("%s listing: the link is %s", name, got)
		}
	}
}

func TestLinkCommands(t *testing.T) {
	for _, c := range []struct {
		step     commands.Step
		do, undo string
	}{
		{linkStep("link-up", "device", "eth3"), "ip link set dev eth3 up", "ip link set dev eth3 down"},
		{linkStep("link-master", "device", "eth3", "master", bridge, "before", ""), "ip link set dev eth3 master " + bridge, "ip link set dev eth3 nomaster"},
		{linkStep("link-master", "device", "eth3", "master", bridge, "before", "br-old"), "ip link set dev eth3 master " + bridge, "ip link set dev eth3 master br-old"},
		{linkStep("add-vlan", "device", "eth3.5", "parent", "eth3", "vlan", "5"), "ip link add link eth3 name eth3.5 type vlan id 5", "ip link del dev eth3.5"},
	} {
		k := kindOf(t, c.step.Kind)
		do, undo := k.Do(c.step), k.Undo(c.step)
		if len(do) != 1 || len(undo) != 1 || do[0].String() != c.do || undo[0].String() != c.undo {
			t.Errorf("%s: do %v, undo %v", c.step.Kind, do, undo)
		}
	}
}

func TestLinkStepsAreTakenBack(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := newMachine()
		m.links["br-old"] = node.Link{Name: "br-old", Kind: "bridge", Up: true, Carrier: true}
		for _, name := range []string{"eth4", "eth5"} {
			up := rapid.Bool().Draw(rt, name+" up")
			m.links[name] = node.Link{Name: name, Up: up, Carrier: up, Master: rapid.SampledFrom([]string{"", "br-old"}).Draw(rt, name+" master")}
		}
		device := rapid.SampledFrom([]string{"eth4", "eth5"}).Draw(rt, "device")
		vlan := strconv.Itoa(rapid.IntRange(1, 4094).Draw(rt, "vlan"))
		step := rapid.SampledFrom([]commands.Step{
			linkStep("link-up", "device", device),
			linkStep("link-master", "device", device, "master", bridge, "before", m.links[device].Master),
			linkStep("add-vlan", "device", device+"."+vlan, "parent", device, "vlan", vlan),
		}).Draw(rt, "step")
		k := kindOf(t, step.Kind)
		before := maps.Clone(m.links)
		if got := m.state(rt, k, step); got != commands.StepPending {
			if step.Kind == "link-up" && before[device].Up && got == commands.StepDone {
				return
			}
			rt.Fatalf("as planned it is %s", got)
		}
		m.carryOut(rt, k.Do(step))
		if got := m.state(rt, k, step); got != commands.StepDone {
			rt.Fatalf("made it is %s", got)
		}
		m.carryOut(rt, k.Undo(step))
		if !maps.Equal(m.links, before) || m.state(rt, k, step) != commands.StepPending {
			rt.Fatalf("taken back: %v, was %v", m.links, before)
		}
	})
}

// The fixes that make several steps on one device go through the whole engine:
// each step must be found pending although the ones before it are not made.
func TestLinkFixesApplyAndUndo(t *testing.T) {
	for _, c := range []struct {
		name   string
		fix    *commands.Fix
		args   map[string]string
		links  map[string]node.Link
		master string
	}{
		{
			"enslave a device that is down", fix.Enslave,
			map[string]string{"device": "eth4", "master": bridge, "before": ""},
			map[string]node.Link{"eth4": {Name: "eth4"}},
			bridge,
		},
		{
			"move a device to its bridge", fix.Enslave,
			map[string]string{"device": "eth4", "master": bridge, "before": "br-old"},
			map[string]node.Link{"eth4": {Name: "eth4", Up: true, Carrier: true, Master: "br-old"}, "br-old": {Name: "br-old", Kind: "bridge"}},
			bridge,
		},
		{"bring a device up", fix.LinkUp, map[string]string{"device": "eth4"}, map[string]node.Link{"eth4": {Name: "eth4"}}, ""},
		{
			"make a segment", fix.AddSegment, map[string]string{"device": "eth4", "parent": "eth3", "vlan": "3092", "master": bridge}, nil, bridge,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMachine()
			maps.Copy(m.links, c.links)
			before := maps.Clone(m.links)
			e := newEngine(t, m, newCloud(), planProbes(), func(p *commands.Pass) {
				if l := m.links["eth4"]; l.Up && l.Master == c.master {
					return
				}
				p.Report(commands.Finding{
					State: commands.Proven, Node: controller, Summary: "eth4 is not as it should be",
					Edge:  commands.Edge{From: p.Path.Guest[0], To: p.Path.Guest[1], Direction: commands.Request},
					Fixes: []commands.Suggestion{{Fix: c.fix, Node: controller, Args: c.args}},
				})
			})
			a := ask(t, e)
			if len(a.Fixes) != 1 {
				t.Fatalf("offered %+v", a.Fixes)
			}
			who := commands.Actor{Via: "terminal", ID: "alice"}
			out, err := e.Apply(t.Context(), a.Fixes[0].ID, who, nil)
			if err != nil {
				t.Fatalf("came to %q (%s): %v", out.Proposal.State, out.Proposal.Outcome, err)
			}
			if l := m.links["eth4"]; !l.Up || l.Master != c.master {
				t.Errorf("came to %q, eth4 is %+v", out.Proposal.State, l)
			}
			out, err = e.Undo(t.Context(), a.Fixes[0].ID, who, nil)
			if err != nil || out.Proposal.State != commands.Undone || !maps.Equal(m.links, before) {
				t.Errorf("undoing came to %q (%s), %v: %v", out.Proposal.State, out.Proposal.Outcome, err, m.links)
			}
		})
	}
}
