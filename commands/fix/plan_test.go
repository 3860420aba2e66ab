package fix_test

import (
	"slices"
	"strings"
	"testing"

	"whybot/commands"
	"whybot/commands/fix"
	"whybot/runners"
)

var (
	reject      = strings.Fields("-j REJECT --reject-with icmp-host-prohibited")
	established = strings.Fields("-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")
)

func refusal(t *testing.T, err error, code commands.Code, says string) {
	t.Helper()
	if commands.CodeOf(err) != code || !strings.Contains(commands.Public(err), says) {
		t.Errorf("error %v (%s), want code %s and %q", err, commands.CodeOf(err), code, says)
	}
}

func TestCatalogueIsComplete(t *testing.T) {
	var names []string
	for _, f := range fix.All() {
		names = append(names, f.Name)
		if f.Doc == "" || f.Title(commands.Suggestion{Fix: f, Node: "n", Args: map[string]string{}}) == "" {
			t.Errorf("%s says too little of itself", f.Name)
		}
		if f.Class != commands.F1 && f.Class != commands.F2 {
			t.Errorf("%s is of class %s, which is never a button", f.Name, f.Class)
		}
	}
	if again := slices.Compact(slices.Clone(names)); len(again) != len(names) {
		t.Errorf("two fixes share a name: %q", names)
	}
	kinds := map[string]bool{}
	for _, k := range fix.Kinds() {
		if kinds[k.Name] {
			t.Errorf("two kinds of steps are named %s", k.Name)
		}
		kinds[k.Name] = true
	}
}

func TestPlanDeleteRule(t *testing.T) {
	suggestion := func(binary string) commands.Suggestion {
		return commands.Suggestion{Fix: fix.DeleteRule, Node: controller, Args: map[string]string{
			"binary": binary, "chain": "FORWARD", "spec": strings.Join(reject, " "),
		}}
	}
	for _, c := range []struct {
		name   string
		rules  [][]string
		change func(*machine)
		binary string
		code   commands.Code
		says   string
	}{
		{"not there", [][]string{established}, nil, "iptables", commands.CodeInvalid, "has 0 rules that read"},
		{"there twice", [][]string{reject, established, reject}, nil, "iptables", commands.CodeInvalid, "has 2 rules that read"},
		{"of a view that was not read", [][]string{reject}, nil, "iptables-legacy", commands.CodeMissing, "were not read"},
		{"unreadable", [][]string{reject}, func(m *machine) { m.outputs["iptables-save"] = runners.Output{ExitCode: 4} }, "iptables", commands.CodeOutside, "could not be read"},
		{"cut short", [][]string{reject}, func(m *machine) {
			m.outputs["iptables-save"] = runners.Output{Stdout: m.listing(), Truncated: true}
		}, "iptables", commands.CodeOutside, "could not be read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMachine()
			m.rules = c.rules
			if c.change != nil {
				c.change(m)
			}
			steps, err := fix.DeleteRule.Plan(passOver(t, m, newCloud()), suggestion(c.binary))
			refusal(t, err, c.code, c.says)
			if steps != nil {
				t.Errorf("planned %+v all the same", steps)
			}
		})
	}
	m := newMachine()
	m.rules = [][]string{established, reject, established}
	steps, err := fix.DeleteRule.Plan(passOver(t, m, newCloud()), suggestion("iptables"))
	if err != nil || len(steps) != 1 {
		t.Fatalf("%+v, %v", steps, err)
	}
	if s := steps[0]; s.Kind != "delete-rule" || s.Node != controller || s.Args["position"] != "2" || s.Args["rest"] != rest(t, m.listing(), 2) || !slices.Equal(s.Words, reject) {
		t.Errorf("step %+v", s)
	}
	if title := fix.DeleteRule.Title(suggestion("iptables")); title != "Delete the REJECT rule from FORWARD on "+controller {
		t.Errorf("title %q", title)
	}
}

func TestDeleteRuleSaysWhatElseItOpens(t *testing.T) {
	s := commands.Suggestion{Fix: fix.DeleteRule, Node: controller}
	for sysctl, want := range map[string]string{"1\n": "ip_forward is 1", "0\n": "", "": "is not known"} {
		m := newMachine()
		m.rules = [][]string{reject}
		m.outputs["ip-forward"] = runners.Output{Stdout: sysctl}
		lines := fix.DeleteRule.Touches(passOver(t, m, newCloud()), s)
		got := strings.Join(lines, "\n")
		if !strings.Contains(got, "not only DHCP") || !strings.Contains(got, want) || (want == "" && len(lines) != 1) {
			t.Errorf("ip_forward %q: %q", sysctl, lines)
		}
	}
}

func TestPlanPhysdevAccept(t *testing.T) {
	const (
		tap    = "tap3d1c2f4a-0b"
		server = "tap004b787f-9b"
	)
	for _, c := range []struct {
		name string
		args map[string]string
		want []string
	}{
		{"request to the server", map[string]string{"port": server, "request": "yes"}, []string{
			"-m physdev --physdev-out " + server + " --physdev-is-bridged -j ACCEPT",
		}},
		{"reply of the server", map[string]string{"port": server, "reply": "yes"}, []string{
			"-m physdev --physdev-in " + server + " --physdev-is-bridged -j ACCEPT",
		}},
		{"both ways at the server", map[string]string{"port": server, "request": "yes", "reply": "yes"}, []string{
			"-m physdev --physdev-out " + server + " --physdev-is-bridged -j ACCEPT",
			"-m physdev --physdev-in " + server + " --physdev-is-bridged -j ACCEPT",
		}},
		{"both ways at the guest, DHCP only", map[string]string{"port": tap, "guest": "yes", "request": "yes", "reply": "yes"}, []string{
			"-p udp -m physdev --physdev-in " + tap + " --physdev-is-bridged -m udp --sport 68 --dport 67 -j ACCEPT",
			"-p udp -m physdev --physdev-out " + tap + " --physdev-is-bridged -m udp --sport 67 --dport 68 -j ACCEPT",
		}},
		{"router discovery at the guest", map[string]string{"port": tap, "guest": "yes", "request": "yes", "reply": "yes", "exchange": "router advertisement"}, []string{
			"-p ipv6-icmp -m physdev --physdev-in " + tap + " --physdev-is-bridged -m icmp6 --icmpv6-type 133 -j ACCEPT",
			"-p ipv6-icmp -m physdev --physdev-out " + tap + " --physdev-is-bridged -m icmp6 --icmpv6-type 134 -j ACCEPT",
		}},
		{"several exchanges at the guest", map[string]string{"port": tap, "guest": "yes", "reply": "yes", "exchange": "DHCPv6,router advertisement"}, []string{
			"-p udp -m physdev --physdev-out " + tap + " --physdev-is-bridged -m udp --sport 547 --dport 546 -j ACCEPT",
			"-p ipv6-icmp -m physdev --physdev-out " + tap + " --physdev-is-bridged -m icmp6 --icmpv6-type 134 -j ACCEPT",
		}},
		{"several servers", map[string]string{"port": server + ",tap6f0a1b2c-3d", "reply": "yes", "exchange": "DHCPv6,router advertisement"}, []string{
			"-m physdev --physdev-in " + server + " --physdev-is-bridged -j ACCEPT",
			"-m physdev --physdev-in tap6f0a1b2c-3d --physdev-is-bridged -j ACCEPT",
		}},
		{"DHCPv6 at the guest", map[string]string{"port": tap, "guest": "yes", "reply": "yes", "exchange": "DHCPv6"}, []string{
			"-p udp -m physdev --physdev-out " + tap + " --physdev-is-bridged -m udp --sport 547 --dport 546 -j ACCEPT",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.args["binary"], c.args["chain"], c.args["position"], c.args["before"] = "iptables-nft", "FORWARD", "2", "-A FORWARD "+strings.Join(reject, " ")
			s := commands.Suggestion{Fix: fix.PhysdevAccept, Node: controller, Args: c.args}
			steps, err := fix.PhysdevAccept.Plan(nil, s)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, step := range steps {
				got = append(got, strings.Join(step.Words, " "))
				if step.Kind != "insert-rule" || step.Args["binary"] != "iptables-nft" || step.Args["position"] != "2" || step.Args["before"] != c.args["before"] {
					t.Errorf("step %+v", step)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("rules\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
			if lines := fix.PhysdevAccept.Touches(nil, s); len(lines) != 1 || !strings.Contains(lines[0], strings.ReplaceAll(c.args["port"], ",", " and ")) {
				t.Errorf("touches %q", lines)
			}
		})
	}
	_, err := fix.PhysdevAccept.Plan(nil, commands.Suggestion{Node: controller, Args: map[string]string{"port": tap, "chain": "FORWARD"}})
	refusal(t, err, commands.CodeInvalid, "No direction")
}

func TestPlanEnslave(t *testing.T) {
	s := commands.Suggestion{Fix: fix.Enslave, Node: controller, Args: map[string]string{"device": "eth3.3092", "master": "brq91e78b9c-cf", "before": ""}}
	m := newMachine()
	m.links["eth3.3092"] = m.links["eth3"]
	steps, err := fix.Enslave.Plan(passOver(t, m, newCloud()), s)
	if err != nil || len(steps) != 1 || steps[0].Kind != "link-master" || steps[0].Args["before"] != "" {
		t.Errorf("a device that is up: %+v, %v", steps, err)
	}
	down := m.links["eth3.3092"]
	down.Up = false
	m.links["eth3.3092"] = down
	steps, err = fix.Enslave.Plan(passOver(t, m, newCloud()), s)
	if err != nil || len(steps) != 2 || steps[1].Kind != "link-up" || steps[1].Args["device"] != "eth3.3092" {
		t.Errorf("a device that is down: %+v, %v", steps, err)
	}
	delete(m.links, "brq91e78b9c-cf")
	_, err = fix.Enslave.Plan(passOver(t, m, newCloud()), s)
	refusal(t, err, commands.CodeMissing, "There is no bridge brq91e78b9c-cf")
	m.outputs["ip-link"] = runners.Output{Stdout: "rubbish"}
	_, err = fix.Enslave.Plan(passOver(t, m, newCloud()), s)
	refusal(t, err, commands.CodeOutside, "could not be read")
}

func TestPlanAddSegment(t *testing.T) {
	s := commands.Suggestion{Fix: fix.AddSegment, Node: controller, Args: map[string]string{
		"device": "eth3.3092", "parent": "eth3", "vlan": "3092", "master": "brq91e78b9c-cf",
	}}
	m := newMachine()
	steps, err := fix.AddSegment.Plan(passOver(t, m, newCloud()), s)
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, step := range steps {
		kinds = append(kinds, step.Kind)
	}
	if !slices.Equal(kinds, []string{"add-vlan", "link-master", "link-up"}) {
		t.Errorf("steps %q", kinds)
	}
	m.module = false
	_, err = fix.AddSegment.Plan(passOver(t, m, newCloud()), s)
	refusal(t, err, commands.CodeMissing, "8021q")
}

func TestPlanLinkUp(t *testing.T) {
	s := commands.Suggestion{Fix: fix.LinkUp, Node: controller, Args: map[string]string{"device": "eth3"}}
	steps, err := fix.LinkUp.Plan(nil, s)
	if err != nil || len(steps) != 1 || steps[0].Kind != "link-up" || steps[0].Args["device"] != "eth3" {
		t.Errorf("%+v, %v", steps, err)
	}
	if lines := fix.LinkUp.Touches(nil, s); len(lines) != 1 || !strings.Contains(lines[0], "on purpose") {
		t.Errorf("touches %q", lines)
	}
}

func TestPlanResync(t *testing.T) {
	s := commands.Suggestion{Fix: fix.ResyncDHCP, Node: controller, Args: map[string]string{"device": "ns-004b787f-9b"}}
	for _, c := range []struct {
		name   string
		node   string
		change func(*cloud)
		code   commands.Code
		says   string
	}{
		{"the agent is dead", controller, func(c *cloud) {
			c.agents = runners.Known([]runners.Agent{{ID: "agent-1", Host: controller}})
		}, commands.CodeInvalid, "is dead"},
		{"agents are hidden", controller, func(c *cloud) { c.agents = runners.NotKnown[[]runners.Agent]("needs the admin role") }, commands.CodeOutside, "needs the admin role"},
		{"another node's agent", controller, func(c *cloud) {
			c.agents = runners.Known([]runners.Agent{{ID: "agent-2", Host: "controller02", Alive: true}})
		}, commands.CodeOutside, "is not known"},
		{"no server there", "compute01", func(*cloud) {}, commands.CodeMissing, "No DHCP server"},
		{"no address to give", controller, func(c *cloud) { c.fixedIPs = nil }, commands.CodeInvalid, "no address"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cloud := newCloud()
			c.change(cloud)
			on := s
			on.Node = c.node
			_, err := fix.ResyncDHCP.Plan(passOver(t, newMachine(), cloud), on)
			refusal(t, err, c.code, c.says)
		})
	}
	pass := passOver(t, newMachine(), newCloud())
	steps, err := fix.ResyncDHCP.Plan(pass, s)
	if err != nil || len(steps) != 1 {
		t.Fatalf("%+v, %v", steps, err)
	}
	want := map[string]string{"agent": "agent-1", "network": network, "device": "ns-004b787f-9b", "mac": "fa:16:3e:11:11:11", "address": "10.30.92.11"}
	for k, v := range want {
		if steps[0].Args[k] != v {
			t.Errorf("%s is %q, want %q", k, steps[0].Args[k], v)
		}
	}
	if lines := fix.ResyncDHCP.Touches(pass, s); len(lines) != 1 || !strings.Contains(lines[0], "pay-net") {
		t.Errorf("touches %q", lines)
	}
}
