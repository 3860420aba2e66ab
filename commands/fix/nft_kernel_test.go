package fix_test

import (
	"strconv"
	"strings"
	"testing"

	"whybot/commands"
	"whybot/commands/fix"
	"whybot/commands/netfilter"
	"whybot/runners"
)

const firewalld = `table inet firewalld {
	chain filter_FORWARD {
		type filter hook forward priority filter + 10; policy accept;
		ct state { established, related } accept
		iifname "lo" accept
		counter packets 45 bytes 3668 reject with icmpx admin-prohibited
	}
}
`

const bridgeTable = `table bridge house {
	chain forward {
		type filter hook forward priority filter; policy drop;
		ether type arp accept
	}
}
`

// accept is a suggestion to stand above the last rule of the chain, or to stand
// last where its policy drops.
func (ns namespace) accept(t *testing.T, family, table, chain string, policy bool) commands.Suggestion {
	t.Helper()
	args := map[string]string{"family": family, "table": table, "chain": chain, "bridge": "brq91e78b9c-cf", "port": "tap3d1c2f4a-0b"}
	rules, err := netfilter.ParseNFT(ns.must(t, "", "nft", "-j", "list", "ruleset"))
	if err != nil {
		t.Fatal(err)
	}
	if all := rules.Chain(table, chain).Rules; !policy {
		last := all[len(all)-1]
		args["handle"], args["before"] = strconv.FormatUint(last.Handle, 10), last.Spec
	}
	return commands.Suggestion{Fix: fix.NFTAccept, Node: controller, Args: args}
}

// TestKernelNFTAccept puts accepts into chains of the kernel and takes them out
// again: other rules stay as they are, and the counter of the rule below may
// have moved meanwhile.
func TestKernelNFTAccept(t *testing.T) {
	requireKernel(t, "nft")
	for _, c := range []struct {
		name, rules, family, table, chain string
		policy                            bool
		steps                             int
	}{
		{"above a reject", firewalld, "inet", "firewalld", "filter_FORWARD", false, 1},
		{"before a policy", bridgeTable, "bridge", "house", "forward", true, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			ns := newNamespace(t)
			ns.must(t, c.rules, "nft", "-f", "-")
			before := ns.must(t, "", "nft", "list", "ruleset")
			s := ns.accept(t, c.family, c.table, c.chain, c.policy)
			steps, err := s.Fix.Plan(nil, s)
			if err != nil || len(steps) != c.steps {
				t.Fatalf("%d steps, %v", len(steps), err)
			}
			kind := kindOf(t, steps[0].Kind)
			for _, step := range steps {
				if got := ns.state(t, kind, step); got != commands.StepPending {
					t.Fatalf("as planned it is %s", got)
				}
				ns.carryOut(t, kind.Do(step))
				if got := ns.state(t, kind, step); got != commands.StepDone {
					t.Fatalf("made it is %s:\n%s", got, ns.must(t, "", "nft", "-a", "list", "ruleset"))
				}
			}
			ns.aboveTheDrop(t, c.table, c.chain, c.policy)
			for i := len(steps) - 1; i >= 0; i-- {
				step, err := kind.Resolve(steps[i], ns.read(kind, steps[i]))
				if err != nil {
					t.Fatal(err)
				}
				ns.carryOut(t, kind.Undo(step))
			}
			if after := ns.must(t, "", "nft", "list", "ruleset"); after != before {
				t.Errorf("taken back it reads\n%s\nwas\n%s", after, before)
			}
		})
	}
}

func (ns namespace) read(k *commands.StepKind, s commands.Step) []runners.Result {
	var results []runners.Result
	for _, p := range k.Read(s) {
		results = append(results, runners.Result{Probe: p, Output: ns.run("", p.Argv...)})
	}
	return results
}

// aboveTheDrop checks that nothing that drops stands above whybot's rules.
func (ns namespace) aboveTheDrop(t *testing.T, table, chain string, policy bool) {
	t.Helper()
	rules, err := netfilter.ParseNFT(ns.must(t, "", "nft", "-j", "list", "ruleset"))
	if err != nil {
		t.Fatal(err)
	}
	all := rules.Chain(table, chain).Rules
	if !policy {
		all = all[:len(all)-1]
	}
	if last := all[len(all)-1].Spec; !strings.Contains(last, `comment "whybot`) {
		t.Errorf("the accept is not right above what drops: %q", last)
	}
}

// TestKernelNFTAcceptChanged refuses a chain that is not as it was planned for.
func TestKernelNFTAcceptChanged(t *testing.T) {
	requireKernel(t, "nft")
	for name, change := range map[string]func(*testing.T, namespace, commands.Step){
		"the rule is gone": func(t *testing.T, ns namespace, s commands.Step) {
			t.Helper()
			ns.must(t, "", "nft", "delete", "rule", "inet", "firewalld", "filter_FORWARD", "handle", s.Args["handle"])
		},
		"the table was loaded again": func(t *testing.T, ns namespace, _ commands.Step) {
			t.Helper()
			ns.must(t, "", "nft", "flush", "ruleset")
			ns.must(t, "table inet firewalld {\n\tchain other {\n\t}\n}\n"+firewalld, "nft", "-f", "-")
		},
		"the table is gone": func(t *testing.T, ns namespace, _ commands.Step) {
			t.Helper()
			ns.must(t, "", "nft", "flush", "ruleset")
		},
		"the rule is there twice": func(t *testing.T, ns namespace, s commands.Step) {
			t.Helper()
			ns.carryOut(t, kindOf(t, s.Kind).Do(s))
			ns.carryOut(t, kindOf(t, s.Kind).Do(s))
		},
	} {
		t.Run(name, func(t *testing.T) {
			ns := newNamespace(t)
			ns.must(t, firewalld, "nft", "-f", "-")
			s := ns.accept(t, "inet", "firewalld", "filter_FORWARD", false)
			steps, err := s.Fix.Plan(nil, s)
			if err != nil {
				t.Fatal(err)
			}
			change(t, ns, steps[0])
			kind := kindOf(t, steps[0].Kind)
			if got, seen := kind.State(steps[0], ns.read(kind, steps[0])); got != commands.StepChanged {
				t.Errorf("it is %s: %s", got, seen)
			}
		})
	}
}

func TestPlanNFTAccept(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, key, value, says string }{
		{"docker's chain", "chain", "DOCKER-USER", "belongs to docker"},
		{"neutron's table", "table", "neutron_fwaas", "belongs to neutron"},
		{"a name that is no word", "table", `x"; flush ruleset; "`, "no name whybot puts"},
		{"a device that is no word", "bridge", "br 0", "no name whybot puts"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			args := map[string]string{"family": "inet", "table": "house", "chain": "forward", "bridge": "brq1", "port": "tap1", "handle": "4", "before": "drop"}
			args[c.key] = c.value
			_, err := fix.NFTAccept.Plan(nil, commands.Suggestion{Fix: fix.NFTAccept, Node: controller, Args: args})
			refusal(t, err, commands.CodeInvalid, c.says)
		})
	}
}
