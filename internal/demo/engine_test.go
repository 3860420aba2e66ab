package demo

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"whybot/commands"
	"whybot/commands/ask"
	"whybot/store"
)

const heal = "iptables -w 5 -D FORWARD -j REJECT --reject-with icmp-host-prohibited"

// A change is one command on a node; one that begins with ! is not a command
// but something that happens to it.
type change struct{ node, line string }

// happen makes a change.
func happen(t *testing.T, c *Cloud, x change) {
	t.Helper()
	event, not := strings.CutPrefix(x.line, "!")
	if !not {
		sh(t, c, x.node, x.line)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	m, err := c.machine(x.node)
	if err != nil {
		t.Fatal(err)
	}
	switch event {
	case "guest hangs":
		c.guests[0].hung = true
	case "guest unplugged":
		c.guests[0].hung = true
		m.links.find(c.guests[0].tap).plugged = false
	case "cable pulled":
		m.links.find(nic).plugged = false
	case "host entry lost":
		m.files[hostFile] = strings.ReplaceAll(m.files[hostFile], vms[0].mac+",", "fa:16:3e:00:00:01,")
		m.space.dnsmasq.hosts = m.hosts()
	case "bridge-nf off":
		m.files[bridgeNF] = "0\n"
	default:
		t.Fatalf("nothing is known of %q", event)
	}
}

var (
	webTap  = commands.TapName(vms[0].port)
	dhcpTap = commands.TapName(dhcpPortID)
)

func edge(from, to string) *commands.EdgeJSON {
	return &commands.EdgeJSON{From: from, To: to, Direction: commands.Request}
}

// engineOver returns the product's engine over c, with a store of its own.
func engineOver(t *testing.T, c *Cloud) (*commands.Engine, *store.Store) {
	t.Helper()
	memory, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "demo.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := memory.Close(); err != nil {
			t.Error(err)
		}
	})
	o := production(c, memory)
	o.Packet = 8 * time.Second // a guest that stays silent is listened to for all of it
	e, err := commands.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return e, memory
}

// brokenCloud is a running cloud without the demo's fault, with changes.
func brokenCloud(t *testing.T, changes []change) *Cloud {
	t.Helper()
	c, err := New(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if u := c.Unmodelled(); len(u) != 0 {
			t.Errorf("commands that the model does not have: %q", u)
		}
		c.Close()
	})
	for _, x := range changes {
		happen(t, c, x)
	}
	return c
}

var counters = regexp.MustCompile(`(?m)^[0-9]+: |^    [RT]X:.*\n.*\n`)

// state is everything that a fix can change, without what time changes.
func state(c *Cloud) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	text := ""
	for _, m := range c.machines {
		text += m.firewall.rules() + counters.ReplaceAllString(m.links.show(), "") + m.files["/etc/sysconfig/iptables"] + m.files[hostFile]
	}
	return text
}

// TestEngineOverTheSimulatedCloud asks the question of every fault that the
// model can have, applies the fix that is offered first, and takes it back.
func TestEngineOverTheSimulatedCloud(t *testing.T) {
	t.Parallel()
	onController := controller + "/"
	onCompute := compute + "/"
	for _, x := range []struct {
		name    string
		changes []change
		state   commands.State
		cause   string
		edge    *commands.EdgeJSON
		fix     string // offered and to be applied; "" when none may be offered
		last    bool   // the last that is offered for now, not the first
	}{
		{
			"the seed's REJECT, accept inserted", nil,
			commands.Proven, "DHCP-01", &lostAt, "physdev-accept", false,
		}, {
			"the seed's REJECT, rule deleted", nil,
			commands.Proven, "DHCP-01", &lostAt, "delete-rule", true,
		}, {
			"a DROP above neutron's chains on the compute node",
			[]change{{controller, heal}, {compute, "iptables -I FORWARD 1 -p udp -m udp --dport 67 -j DROP"}},
			commands.Proven, "DHCP-01", edge(onCompute+bridge(), onCompute+segment()), "physdev-accept", false,
		}, {
			"policy DROP behind an accept of one direction",
			[]change{{controller, heal}, {controller, "iptables -P FORWARD DROP"}},
			commands.Proven, "DHCP-02", &lostAt, "physdev-accept", false,
		}, {
			"neutron's rule lost, the REJECT left",
			[]change{{controller, "iptables -D neutron-linuxbri-FORWARD 1"}},
			commands.Proven, "DHCP-02", edge(onController+bridge(), onController+dhcpTap), "physdev-accept", false,
		}, {
			"dnsmasq dead",
			[]change{{controller, heal}, {controller, "kill 2118"}},
			commands.Proven, "DHCP-09", edge(onController+dhcpTap, onController+"dnsmasq"), "resync-dhcp", false,
		}, {
			"no host entry",
			[]change{{controller, heal}, {controller, "!host entry lost"}},
			commands.Proven, "DHCP-10", edge(onController+dhcpTap, onController+"dnsmasq"), "resync-dhcp", false,
		}, {
			"the guest's tap in no bridge",
			[]change{{controller, heal}, {compute, "ip link set dev " + webTap + " nomaster"}},
			commands.Proven, "DHCP-16", edge(onCompute+webTap, onCompute+bridge()), "enslave", false,
		}, {
			"the server's tap in no bridge",
			[]change{{controller, heal}, {controller, "ip link set dev " + dhcpTap + " nomaster"}},
			commands.Proven, "DHCP-16", edge(onController+bridge(), onController+dhcpTap), "enslave", false,
		}, {
			"the segment in no bridge",
			[]change{{controller, heal}, {controller, "ip link set dev eth3.3092 nomaster"}},
			commands.Proven, "DHCP-17", edge(onController+segment(), onController+bridge()), "enslave", false,
		}, {
			"no segment",
			[]change{{controller, heal}, {compute, "ip link del dev eth3.3092"}},
			commands.Proven, "DHCP-17", edge(onCompute+bridge(), onCompute+segment()), "add-segment", false,
		}, {
			"the segment down",
			[]change{{controller, heal}, {compute, "ip link set dev eth3.3092 down"}},
			commands.Proven, "DHCP-18", edge(onCompute+bridge(), onCompute+segment()), "link-up", false,
		}, {
			"the bridge down",
			[]change{{controller, heal}, {controller, "ip link set dev " + bridge() + " down"}},
			commands.Proven, "DHCP-18", edge(onController+segment(), onController+bridge()), "link-up", false,
		}, {
			"the NIC of the network node down",
			[]change{{controller, heal}, {controller, "ip link set dev eth3 down"}},
			commands.Proven, "DHCP-18", edge(onCompute+nic, onController+nic), "link-up", false,
		}, {
			"the NIC of the compute node down",
			[]change{{controller, heal}, {compute, "ip link set dev eth3 down"}},
			commands.Proven, "DHCP-18", edge(onCompute+bridge(), onCompute+segment()), "link-up", false,
		}, {
			"the cable pulled",
			[]change{{controller, heal}, {controller, "!cable pulled"}},
			commands.Proven, "DHCP-18", edge(onCompute+nic, onController+nic), "", false,
		}, {
			"a hung guest",
			[]change{{controller, heal}, {compute, "!guest hangs"}},
			commands.Proven, "DHCP-42", edge(onCompute+vms[0].name, onCompute+webTap), "", false,
		}, {
			"no guest behind the tap",
			[]change{{controller, heal}, {compute, "!guest unplugged"}},
			commands.Proven, "DHCP-42", edge(onCompute+vms[0].name, onCompute+webTap), "", false,
		}, {
			"decoy: the REJECT on the compute node, behind neutron's accept",
			[]change{{controller, heal}},
			commands.Healthy, "", nil, "", false,
		}, {
			"decoy: bridged frames do not visit iptables",
			[]change{{controller, "!bridge-nf off"}},
			commands.Healthy, "", nil, "", false,
		},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			c := brokenCloud(t, x.changes)
			e, memory := engineOver(t, c)
			a, err := e.Ask(t.Context(), you, ask.Parse(defaultQuestion), commands.AskOptions{})
			if err != nil {
				t.Fatal(err)
			}
			v := a.Verdict
			if v.State != x.state || v.Cause != x.cause || !sameEdge(v.Edge, x.edge) {
				t.Fatalf("%s %s at %v, want %s %s at %v\n%s\n%+v", v.State, v.Cause, v.Edge, x.state, x.cause, x.edge, v.Summary, a.Unknown)
			}
			p, ok := offered(a, x.fix)
			if x.fix == "" && len(a.Fixes) != 0 || x.fix != "" && (!ok || !x.last && a.Fixes[0].ID != p.ID) {
				t.Fatalf("offered: %+v, want %q", a.Fixes, x.fix)
			}
			if x.fix != "" {
				applyAndUndo(t, c, e, p)
			}
			if n, err := memory.VerifyChain(t.Context()); err != nil || n < 3 {
				t.Errorf("%d events, %v", n, err)
			}
		})
	}
}

func sameEdge(a, b *commands.EdgeJSON) bool {
	return a == nil && b == nil || a != nil && b != nil && *a == *b
}

func offered(a commands.Answer, name string) (commands.Proposal, bool) {
	for _, p := range a.Fixes {
		if p.Fix == name {
			return p, true
		}
	}
	return commands.Proposal{}, false
}

// applyAndUndo expects the fix to cure the guest, and the undo to leave
// everything as it was.
func applyAndUndo(t *testing.T, c *Cloud, e *commands.Engine, p commands.Proposal) {
	t.Helper()
	before := state(c)
	out, err := e.Apply(t.Context(), p.ID, you, nil)
	if err != nil || out.Proposal.State != commands.Verified || out.Proof == nil || out.Proof.Verdict.State != commands.Healthy {
		t.Fatalf("applied: %v, %s: %s", err, out.Proposal.State, out.Proposal.Outcome)
	}
	if len(p.Undo) == 0 {
		return
	}
	if state(c) == before {
		t.Error("the fix changed nothing")
	}
	out, err = e.Undo(t.Context(), p.ID, you, nil)
	if err != nil || out.Proposal.State != commands.Undone {
		t.Fatalf("undone: %v, %s: %s", err, out.Proposal.State, out.Proposal.Outcome)
	}
	if after := state(c); after != before {
		t.Errorf("after the undo:\n%s\nbefore the fix:\n%s", after, before)
	}
}

func TestWithoutCapturesTheREJECTIsOnlyProbable(t *testing.T) {
	t.Parallel()
	e, _ := engineOver(t, brokenCloud(t, nil))
	a, err := e.Ask(t.Context(), you, ask.Parse(defaultQuestion), commands.AskOptions{NoCapture: true})
	if err != nil {
		t.Fatal(err)
	}
	if v := a.Verdict; v.State != commands.Probable || v.Cause != "DHCP-01" || v.Missing == "" || len(a.Fixes) != 0 {
		t.Errorf("%+v, %d fixes", v, len(a.Fixes))
	}
}

func TestAGuestThatHoldsItsLeaseIsNotCalledBroken(t *testing.T) {
	t.Parallel()
	e, _ := engineOver(t, brokenCloud(t, nil))
	a, err := e.Ask(t.Context(), you, ask.Parse("why can't web-2 get an IP"), commands.AskOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if v := a.Verdict; v.State == commands.Proven || len(a.Fixes) != 0 || !strings.Contains(v.Summary, "still answers for its address") {
		t.Errorf("%+v, %d fixes", v, len(a.Fixes))
	}
}

func TestTheFileIsEditedAndPutBack(t *testing.T) {
	t.Parallel()
	c := brokenCloud(t, nil)
	e, _ := engineOver(t, c)
	a, err := e.Ask(t.Context(), you, ask.Parse(defaultQuestion), commands.AskOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p, ok := offered(a, "comment-rule-in-file")
	if !ok {
		t.Fatalf("offered: %+v", a.Fixes)
	}
	file := func() string { return one(t, c.Run, controller, "cat /etc/sysconfig/iptables").Output.Stdout }
	before := file()
	if out, err := e.Apply(t.Context(), p.ID, you, nil); err != nil || out.Proposal.State != commands.Verified {
		t.Fatalf("%v, %+v", err, out.Proposal)
	}
	if want := strings.Replace(before, rejectRule, "#whybot# "+rejectRule, 1); file() != want {
		t.Errorf("the file is now\n%s", file())
	}
	if kept := one(t, c.Run, controller, "cat /etc/sysconfig/iptables.whybot-bak").Output.Stdout; kept != before {
		t.Errorf("the copy is\n%s", kept)
	}
	if out, err := e.Undo(t.Context(), p.ID, you, nil); err != nil || out.Proposal.State != commands.Undone || file() != before {
		t.Errorf("%v, %+v\n%s", err, out.Proposal, file())
	}
}

func TestAnEditInBetweenIsNotOverwritten(t *testing.T) {
	t.Parallel()
	c := brokenCloud(t, nil)
	e, _ := engineOver(t, c)
	a, err := e.Ask(t.Context(), you, ask.Parse(defaultQuestion), commands.AskOptions{})
	if err != nil || len(a.Fixes) == 0 {
		t.Fatalf("%v, %+v", err, a.Verdict)
	}
	sh(t, c, controller, heal)
	before, _ := c.Rules(controller)
	out, err := e.Apply(t.Context(), a.Fixes[0].ID, you, nil)
	if commands.CodeOf(err) != commands.CodeChanged || out.Proposal.State != commands.Refused {
		t.Errorf("%v, %s", err, out.Proposal.State)
	}
	if after, _ := c.Rules(controller); after != before {
		t.Error("the rules were changed all the same")
	}
}
