package fix_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"whybot/commands"
	"whybot/commands/fix"
	"whybot/commands/netfilter"
	"whybot/commands/node"
	"whybot/runners"
)

// The tests in this file carry steps out in the real kernel, in a network
// namespace of their own, with both back ends of iptables.

var backends = []string{"iptables-nft", "iptables-legacy"}

// requireKernel skips, loudly, where the kernel cannot be asked.
func requireKernel(t *testing.T, tools ...string) {
	t.Helper()
	missing := ""
	if os.Getuid() != 0 {
		missing = "not root"
	}
	for _, tool := range append(tools, "ip") {
		if _, err := exec.LookPath(tool); err != nil {
			missing = tool + " is not installed"
		}
	}
	if missing == "" {
		return
	}
	if os.Getenv("WHYBOT_REQUIRE_LAB") == "1" {
		t.Fatalf("WHYBOT_REQUIRE_LAB=1, but %s", missing)
	}
	t.Skipf("THE STEPS ARE NOT TRIED IN THE KERNEL: %s", missing)
}

// A namespace is a node with nothing but the kernel behind it.
type namespace string

func newNamespace(t *testing.T) namespace {
	t.Helper()
	ns := namespace(fmt.Sprintf("fix%d-%d", os.Getpid(), rand.IntN(1_000_000)))
	if out, err := exec.Command("ip", "netns", "add", string(ns)).CombinedOutput(); err != nil {
		t.Fatalf("ip netns add: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("ip", "netns", "del", string(ns)).CombinedOutput(); err != nil {
			t.Errorf("ip netns del %s: %v: %s", ns, err, out)
		}
	})
	return ns
}

// run runs argv inside and returns what it came to.
func (ns namespace) run(stdin string, argv ...string) runners.Output {
	var stdout, stderr strings.Builder
	cmd := exec.Command("ip", append([]string{"netns", "exec", string(ns)}, argv...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	_ = cmd.Run() // the exit code says it
	return runners.Output{Stdout: stdout.String(), Stderr: stderr.String(), ExitCode: cmd.ProcessState.ExitCode()}
}

func (ns namespace) must(t fataler, stdin string, argv ...string) string {
	t.Helper()
	out := ns.run(stdin, argv...)
	if out.ExitCode != 0 {
		t.Fatalf("%q: exit code %d: %s\n%s", argv, out.ExitCode, out.Stderr, stdin)
	}
	return out.Stdout
}

func (ns namespace) state(t fataler, k *commands.StepKind, s commands.Step) commands.StepState {
	t.Helper()
	var results []runners.Result
	for _, p := range k.Read(s) {
		results = append(results, runners.Result{Probe: p, Output: ns.run("", p.Argv...)})
	}
	got, seen := k.State(s, results)
	if got == commands.StepChanged {
		t.Fatalf("%s %q: changed: %s", k.Name, s.Words, seen)
	}
	return got
}

func (ns namespace) carryOut(t fataler, actions []commands.Action) {
	t.Helper()
	for _, a := range actions {
		ns.must(t, "", a.Command.Argv...)
	}
}

// rules lists the rules without the time of day.
func (ns namespace) rules(t fataler, binary string) string {
	t.Helper()
	var kept []string
	for line := range strings.Lines(ns.must(t, "", binary+"-save")) {
		if !strings.HasPrefix(line, "#") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

func (ns namespace) load(t fataler, binary string, forward ...string) {
	t.Helper()
	text := "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n:DOCKER-USER - [0:0]\n:neutron-linuxbri-FORWARD - [0:0]\n" +
		"-A neutron-linuxbri-FORWARD -m physdev --physdev-out tap3d1c2f4a-0b --physdev-is-bridged -j ACCEPT\n"
	for _, spec := range forward {
		text += "-A FORWARD " + spec + "\n"
	}
	ns.must(t, text+"COMMIT\n", binary+"-restore")
}

// There and back again: the state follows, the listing returns byte for byte.
func (ns namespace) roundTrip(t fataler, binary string, k *commands.StepKind, s commands.Step) {
	t.Helper()
	before := ns.rules(t, binary)
	if got := ns.state(t, k, s); got != commands.StepPending {
		t.Fatalf("%s %q: as planned it is %s", k.Name, s.Words, got)
	}
	ns.carryOut(t, k.Do(s))
	if got := ns.state(t, k, s); got != commands.StepDone {
		t.Fatalf("%s %q: made it is %s; the listing reads\n%s", k.Name, s.Words, got, ns.rules(t, binary))
	}
	ns.carryOut(t, k.Undo(s))
	if after := ns.rules(t, binary); after != before {
		t.Fatalf("%s %q: taken back it reads\n%s\nwas\n%s", k.Name, s.Words, after, before)
	}
}

// forwards are rules as operators, distributions and agents write them into
// FORWARD.
var forwards = []string{
	"-m state --state RELATED,ESTABLISHED -j ACCEPT",
	"-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
	"-m conntrack --ctstate INVALID -j DROP",
	"-j neutron-linuxbri-FORWARD",
	"-j DOCKER-USER",
	"-g DOCKER-USER",
	"-i docker0 ! -o docker0 -j ACCEPT",
	"-i br+ -o br+ -j DROP",
	"! -s 10.0.0.0/8 -d 192.168.122.0/24 -j DROP",
	"-p udp -m udp --sport 67 --dport 68 -j DROP",
	"-p udp -m udp --dport 67:68 -j DROP",
	"-p udp -m multiport --dports 67,68,546 -j DROP",
	"-p tcp -m tcp --dport 22 --tcp-flags FIN,SYN,RST,ACK SYN -j REJECT --reject-with tcp-reset",
	"-p icmp -m icmp --icmp-type 8 -j DROP",
	"-m physdev --physdev-in tap004b787f-9b --physdev-is-bridged -j DROP",
	"-m physdev ! --physdev-is-bridged -j DROP",
	"-m pkttype --pkt-type broadcast -j DROP",
	"-m mac --mac-source fa:16:3e:11:11:11 -j DROP",
	"-m mark --mark 0x1/0xff -j DROP",
	"-m limit --limit 5/min --limit-burst 7 -j DROP",
	"-m addrtype --dst-type BROADCAST -j DROP",
	"-m iprange --src-range 10.0.0.1-10.0.0.9 -j DROP",
	"-m length --length 300:400 -j DROP",
	"-m ttl --ttl-lt 5 -j DROP",
	"-m tos --tos 0x10/0x3f -j DROP",
	"-m dscp --dscp 0x0a -j DROP",
	"-m statistic --mode nth --every 3 -j DROP",
	"-m hashlimit --hashlimit-above 10/sec --hashlimit-mode srcip --hashlimit-name dhcp -j DROP",
	"-m recent --update --seconds 60 --name dhcp --mask 255.255.255.255 --rsource -j DROP",
	"-m string --string \"a b\" --algo bm --to 65535 -j DROP",
	"-m time --timestart 08:00:00 --timestop 18:00:00 -j DROP",
	"-m comment --comment \"the operator's rule, \\\"do not touch\\\" \\\\ $(reboot); `id`\" -j DROP",
	"-m comment --comment x -j DROP",
	"-j LOG --log-prefix \"dropped: \" --log-level 4",
	"-j REJECT --reject-with icmp-host-prohibited",
	"-j REJECT --reject-with icmp-port-unreachable",
	"-j DROP",
	"-j RETURN",
	"",
}

// supported returns the rules that this back end's kernel takes, in the form
// in which it lists them.
func (ns namespace) supported(t *testing.T, binary string) []string {
	t.Helper()
	var specs, refused []string
	for _, spec := range forwards {
		text := "*filter\n:FORWARD ACCEPT [0:0]\n:DOCKER-USER - [0:0]\n:neutron-linuxbri-FORWARD - [0:0]\n-A FORWARD " + spec + "\nCOMMIT\n"
		if out := ns.run(text, binary+"-restore"); out.ExitCode != 0 {
			refused = append(refused, spec)
			continue
		}
		rules, err := netfilter.Parse(ns.must(t, "", binary+"-save"))
		if err != nil {
			t.Fatal(err)
		}
		specs = append(specs, rules.Chain("filter", "FORWARD").Rules[0].Spec)
	}
	if len(specs) < len(forwards)/2 {
		t.Fatalf("the kernel takes only %d of %d rules", len(specs), len(forwards))
	}
	if len(refused) > 0 {
		t.Logf("%s of this kernel does not take: %q", binary, refused)
	}
	return specs
}

// TestKernelPhysdevAccept proves that the rules a plan makes are in the form
// that iptables-save prints: otherwise a step would never be seen to be made.
func TestKernelPhysdevAccept(t *testing.T) {
	requireKernel(t, "iptables-nft-restore", "iptables-nft-save", "iptables-legacy-restore", "iptables-legacy-save")
	k := kindOf(t, "insert-rule")
	for _, binary := range backends {
		t.Run(binary, func(t *testing.T) {
			ns := newNamespace(t)
			for _, guest := range []string{"", "yes"} {
				for _, position := range []string{"", "1", "2", "3"} {
					ns.load(t, binary, "-j neutron-linuxbri-FORWARD", "-p udp -m udp --dport 67 -j ACCEPT", "-j REJECT --reject-with icmp-host-prohibited")
					args := map[string]string{
						"binary": binary, "chain": "FORWARD", "port": "tap004b787f-9b", "guest": guest, "request": "yes", "reply": "yes", "position": position,
					}
					if position != "" {
						args["before"] = ns.line(t, binary, position)
					}
					steps, err := fix.PhysdevAccept.Plan(nil, commands.Suggestion{Fix: fix.PhysdevAccept, Node: controller, Args: args})
					if err != nil || len(steps) != 2 {
						t.Fatalf("%+v, %v", steps, err)
					}
					before := ns.rules(t, binary)
					for _, s := range steps {
						ns.roundTrip(t, binary, k, s)
					}
					ns.bothThenBack(t, binary, k, steps)
					if after := ns.rules(t, binary); after != before {
						t.Errorf("both taken back, it reads\n%s\nwas\n%s", after, before)
					}
				}
			}
		})
	}
}

// TestKernelPhysdevAcceptIPv6 is the same of ip6tables.
func TestKernelPhysdevAcceptIPv6(t *testing.T) {
	requireKernel(t, "ip6tables-nft-restore", "ip6tables-nft-save", "ip6tables-legacy-restore", "ip6tables-legacy-save")
	k := kindOf(t, "insert-rule")
	for _, binary := range []string{"ip6tables-nft", "ip6tables-legacy"} {
		for _, exchange := range []string{"DHCPv6", "router advertisement"} {
			t.Run(binary+"/"+exchange, func(t *testing.T) {
				ns := newNamespace(t)
				for _, guest := range []string{"", "yes"} {
					ns.load(t, binary, "-j neutron-linuxbri-FORWARD", "-j REJECT --reject-with icmp6-adm-prohibited")
					steps, err := fix.PhysdevAccept.Plan(nil, commands.Suggestion{Fix: fix.PhysdevAccept, Node: controller, Args: map[string]string{
						"binary": binary, "chain": "FORWARD", "port": "tap004b787f-9b", "guest": guest, "exchange": exchange,
						"request": "yes", "reply": "yes", "position": "2", "before": ns.line(t, binary, "2"),
					}})
					if err != nil || len(steps) != 2 {
						t.Fatalf("%+v, %v", steps, err)
					}
					for _, s := range steps {
						ns.roundTrip(t, binary, k, s)
					}
					ns.bothThenBack(t, binary, k, steps)
				}
			})
		}
	}
}

// line returns the line of the rule at position.
func (ns namespace) line(t *testing.T, binary, position string) string {
	t.Helper()
	rules, err := netfilter.Parse(ns.must(t, "", binary+"-save"))
	n, nerr := strconv.Atoi(position)
	if err != nil || nerr != nil {
		t.Fatal(err, nerr)
	}
	return rules.Chain("filter", "FORWARD").Rules[n-1].Line()
}

// bothThenBack makes both steps, as a fix of two directions does, checks that
// the kernel lists them word for word, and takes them back.
func (ns namespace) bothThenBack(t *testing.T, binary string, k *commands.StepKind, steps []commands.Step) {
	t.Helper()
	for _, s := range steps {
		if got := ns.state(t, k, s); got != commands.StepPending {
			t.Errorf("%q is %s before it is made", s.Words, got)
		}
		ns.carryOut(t, k.Do(s))
	}
	listing := ns.rules(t, binary)
	for _, s := range steps {
		if line := "-A FORWARD " + strings.Join(s.Words, " ") + "\n"; strings.Count(listing, line) != 1 {
			t.Errorf("%snot there once in\n%s", line, listing)
		}
	}
	for _, s := range slices.Backward(steps) {
		ns.carryOut(t, k.Undo(s))
	}
}

// TestKernelDeleteRule deletes and restores every sort of rule, first, in the
// middle and last in its chain.
func TestKernelDeleteRule(t *testing.T) {
	requireKernel(t, "iptables-nft-restore", "iptables-nft-save", "iptables-legacy-restore", "iptables-legacy-save")
	k := kindOf(t, "delete-rule")
	for _, binary := range backends {
		t.Run(binary, func(t *testing.T) {
			ns := newNamespace(t)
			for _, spec := range ns.supported(t, binary) {
				t.Run(spec, func(t *testing.T) {
					const other = "-i eth0 -o eth1 -j ACCEPT"
					for position, chain := range [][]string{{spec, other}, {other, spec, other}, {other, other, spec}} {
						ns.load(t, binary, chain...)
						ns.roundTrip(t, binary, k, ns.deletion(t, binary, position+1))
					}
				})
			}
		})
	}
}

// deletion returns the step that deletes the rule at position, as a plan makes
// it from the listing.
func (ns namespace) deletion(t fataler, binary string, position int) commands.Step {
	t.Helper()
	rules, err := netfilter.Parse(ns.must(t, "", binary+"-save"))
	if err != nil {
		t.Fatalf("%v", err)
	}
	chain := rules.Chain("filter", "FORWARD")
	rule := chain.Rules[position-1]
	return commands.Step{Kind: "delete-rule", Node: controller, Words: rule.Words, Args: map[string]string{
		"binary": binary, "chain": "FORWARD", "position": strconv.Itoa(position), "rest": fix.RestOf(chain, rule),
	}}
}

// TestKernelRandomChains is the same over random chains and steps.
func TestKernelRandomChains(t *testing.T) {
	requireKernel(t, "iptables-nft-restore", "iptables-nft-save", "iptables-legacy-restore", "iptables-legacy-save")
	for _, binary := range backends {
		t.Run(binary, func(t *testing.T) {
			ns := newNamespace(t)
			specs := ns.supported(t, binary)
			rapid.Check(t, func(rt *rapid.T) {
				chain := rapid.SliceOfNDistinct(rapid.SampledFrom(specs), 1, 8, func(s string) string { return s }).Draw(rt, "chain")
				ns.load(rt, binary, chain...)
				position := rapid.IntRange(1, len(chain)).Draw(rt, "position")
				if rapid.Bool().Draw(rt, "delete") {
					ns.roundTrip(rt, binary, kindOf(t, "delete-rule"), ns.deletion(rt, binary, position))
					return
				}
				step := insertAt(strconv.Itoa(position), nil)
				step.Args["binary"], step.Args["before"] = binary, strings.TrimSuffix("-A FORWARD "+chain[position-1], " ")
				ns.roundTrip(rt, binary, kindOf(t, "insert-rule"), step)
			})
		})
	}
}

// TestKernelLinks makes the link steps on real links.
func TestKernelLinks(t *testing.T) {
	requireKernel(t)
	ns := newNamespace(t)
	for _, argv := range []string{
		"add link3 type veth peer name far3", "set link3 up", "add link4 type veth peer name far4", "add " + bridge + " type bridge", "set " + bridge + " up", "add br-old type bridge",
	} {
		ns.must(t, "", append([]string{"ip", "link"}, strings.Fields(argv)...)...)
	}
	steps := []commands.Step{
		linkStep("link-up", "device", "link4"),
		linkStep("link-master", "device", "link4", "master", bridge, "before", ""),
	}
	vlan := []commands.Step{
		linkStep("add-vlan", "device", "link3.3092", "parent", "link3", "vlan", "3092"),
		linkStep("add-vlan", "device", "vlan-short", "parent", "link3", "vlan", "4094"),
	}
	if out := ns.run("", "ip", "link", "add", "link", "link3", "name", "probe", "type", "vlan", "id", "7"); out.ExitCode != 0 {
		t.Logf("ADD-VLAN IS NOT TRIED: this kernel makes no VLAN links: %s", out.Stderr)
	} else {
		ns.must(t, "", "ip", "link", "del", "dev", "probe")
		steps = append(steps, vlan...)
	}
	for _, s := range steps {
		ns.linkRoundTrip(t, s)
	}
	ns.must(t, "", "ip", "link", "set", "dev", "link4", "master", "br-old")
	ns.linkRoundTrip(t, linkStep("link-master", "device", "link4", "master", bridge, "before", "br-old"))
}

func (ns namespace) linkRoundTrip(t *testing.T, s commands.Step) {
	t.Helper()
	k := kindOf(t, s.Kind)
	before := ns.links(t)
	if got := ns.state(t, k, s); got != commands.StepPending {
		t.Fatalf("%s %v: as planned it is %s", s.Kind, s.Args, got)
	}
	ns.carryOut(t, k.Do(s))
	if got := ns.state(t, k, s); got != commands.StepDone {
		t.Fatalf("%s %v: made it is %s", s.Kind, s.Args, got)
	}
	ns.carryOut(t, k.Undo(s))
	if after := ns.links(t); after != before || ns.state(t, k, s) != commands.StepPending {
		t.Errorf("%s %v: taken back\n%s\nwas\n%s", s.Kind, s.Args, after, before)
	}
}

// links returns what the links are like, without what only passes.
func (ns namespace) links(t *testing.T) string {
	t.Helper()
	links, err := node.ParseLinks(ns.must(t, "", "ip", "-d", "-s", "link", "show"))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, l := range links {
		lines = append(lines, fmt.Sprintf("%s@%s kind %s master %s up %t vlan %d", l.Name, l.Parent, l.Kind, l.Master, l.Up, l.VLAN))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
