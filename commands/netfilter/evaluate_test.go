package netfilter

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func sample(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func parse(t testing.TB, text string) *Ruleset {
	t.Helper()
	rs, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return rs
}

// filter makes a filter table of rule lines; chains named in them are declared.
func filter(t testing.TB, policy string, rules ...string) *Ruleset {
	t.Helper()
	return parse(t, table("filter", policy, rules...))
}

func table(name, policy string, rules ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%s\n", name)
	declared := map[string]bool{}
	for _, r := range rules {
		chain := strings.Fields(r)[1]
		if declared[chain] {
			continue
		}
		declared[chain] = true
		if _, builtin := attachments[name][Hook(chain)]; builtin {
			fmt.Fprintf(&b, ":%s %s [0:0]\n", chain, policy)
		} else {
			fmt.Fprintf(&b, ":%s - [0:0]\n", chain)
		}
	}
	return b.String() + strings.Join(rules, "\n") + "\nCOMMIT\n"
}

var (
	clientMAC = net.HardwareAddr{0xfa, 0x16, 0x3e, 0x11, 0x11, 0x11}
	serverMAC = net.HardwareAddr{0xfa, 0x16, 0x3e, 0, 0, 2}
	client    = netip.MustParseAddr("10.10.92.11")
	server    = netip.MustParseAddr("10.10.92.2")
)

const (
	tap    = "tap004b787f-9b"
	uplink = "eth3.3092"
	brq    = "brq91e78b9c-cf"
)

func request() Packet { return DHCPRequest(clientMAC, uplink, tap, brq) }

func reply() Packet { return DHCPReply(server, client, serverMAC, clientMAC, tap, uplink, brq) }

func explain(d Decision) string { return strings.Join(d.Explain(), "\n") }

func TestSamplesDecideAsTheRecordingsShow(t *testing.T) {
	for _, c := range []struct {
		file           string
		request, reply string // the ending, as a person reads it
	}{
		{
			"seed1.txt", "filter neutron-linuxbri-FORWARD rule 1 (--physdev-out tap004b787f-9b --physdev-is-bridged -j ACCEPT): accept",
			"filter FORWARD rule 3 (-j REJECT --reject-with icmp-host-prohibited): reject",
		},
		{
			"both_dirs.txt", "filter neutron-linuxbri-FORWARD rule 1 (--physdev-out tap004b787f-9b --physdev-is-bridged -j ACCEPT): accept",
			"filter neutron-linuxbri-FORWARD rule 2 (--physdev-in tap004b787f-9b --physdev-is-bridged -j ACCEPT): accept",
		},
		{
			"reject_all_no_neutron.txt", "filter FORWARD rule 1 (-j REJECT --reject-with icmp-host-prohibited): reject",
			"filter FORWARD rule 1 (-j REJECT --reject-with icmp-host-prohibited): reject",
		},
		{"policy_drop.txt", "filter FORWARD policy: drop", "filter FORWARD policy: drop"},
	} {
		rs := parse(t, sample(t, c.file))
		for _, q := range []struct {
			p    Packet
			want string
		}{{request(), c.request}, {reply(), c.reply}} {
			d := Evaluate(rs, Forward, q.p)
			if d.Ending.String() != q.want || !d.Certain() {
				t.Errorf("%s, %v: %v (certain %v), want %s\n%s", c.file, q.p, d.Ending, d.Certain(), q.want, explain(d))
			}
		}
	}
}

func TestSecurityGroupsOfAComputeNode(t *testing.T) {
	const vm, up, bridge = "tap3d1c2f4a-0b", "eth1.3092", "brq91e78b9c-cf"
	mac, _ := net.ParseMAC("fa:16:3e:4b:10:11")
	vmIP, dhcp := netip.MustParseAddr("192.168.92.11"), netip.MustParseAddr("192.168.92.2")
	rs := parse(t, sample(t, "compute01.txt"))
	spoofed := DHCPReply(vmIP, dhcp, net.HardwareAddr{2, 0, 0, 0, 0, 9}, serverMAC, vm, up, bridge)
	spoofed.Sport, spoofed.Dport = Is[uint16](1000), Is[uint16](53)
	rogue := DHCPReply(vmIP, dhcp, mac, serverMAC, vm, up, bridge)
	other := DHCPReply(dhcp, netip.MustParseAddr("192.168.92.99"), serverMAC, mac, up, vm, bridge)
	for _, c := range []struct {
		name string
		p    Packet
		want string
	}{
		{"request of the VM", DHCPRequest(mac, vm, up, bridge), "filter neutron-linuxbri-sg-chain rule 5 (-j ACCEPT): accept"},
		{"reply to the VM", DHCPReply(dhcp, vmIP, serverMAC, mac, up, vm, bridge), "filter neutron-linuxbri-sg-chain rule 5 (-j ACCEPT): accept"},
		{"foreign MAC", spoofed, "filter neutron-linuxbri-s3d1c2f4a-0 rule 2 (-j DROP): drop"},
		{"the VM as DHCP server", rogue, "filter neutron-linuxbri-o3d1c2f4a-0 rule 4 (-p udp --sport 67 --dport 68 -j DROP): drop"},
		{"reply to another address", other, "filter neutron-linuxbri-sg-fallback rule 1 (-j DROP): drop"},
	} {
		d := Evaluate(rs, Forward, c.p)
		if d.Ending.String() != c.want {
			t.Errorf("%s: %v, want %s\n%s", c.name, d.Ending, c.want, explain(d))
		}
		if d.BaseRule() == nil || d.BaseRule().Line() != "-A FORWARD -j neutron-linuxbri-FORWARD" {
			t.Errorf("%s: base rule %v", c.name, d.BaseRule())
		}
	}
}

func TestConsolePortOfTheNodes(t *testing.T) {
	proxy, host := netip.MustParseAddr("172.30.200.31"), netip.MustParseAddr("172.30.200.41")
	rs := parse(t, sample(t, "compute01.txt"))
	open := Evaluate(rs, Input, TCPConnect(proxy, host, 5900, "eth1"))
	if open.Verdict != Accept || open.Rule.Index != 6 {
		t.Errorf("port 5900: %v\n%s", open, explain(open))
	}
	shut := Evaluate(rs, Input, TCPConnect(proxy, host, 5901, "eth1"))
	if shut.Verdict != Reject || shut.Rule.Line() != "-A INPUT -j REJECT --reject-with icmp-host-prohibited" {
		t.Errorf("port 5901: %v\n%s", shut, explain(shut))
	}
}

func TestExplainReadsLikeSentences(t *testing.T) {
	got := Evaluate(parse(t, sample(t, "seed1.txt")), Forward, reply()).Explain()
	want := []string{
		"filter FORWARD rule 1: -j neutron-filter-top: jump",
		"filter neutron-filter-top rule 1: -j neutron-linuxbri-local: jump",
		"filter neutron-linuxbri-local: end of chain, back to neutron-filter-top after rule 1",
		"filter neutron-filter-top: end of chain, back to FORWARD after rule 1",
		"filter FORWARD rule 2: -j neutron-linuxbri-FORWARD: jump",
		"filter neutron-linuxbri-FORWARD rule 1: --physdev-out tap004b787f-9b: no match (out is eth3.3092)",
		"filter neutron-linuxbri-FORWARD: end of chain, back to FORWARD after rule 2",
		"filter FORWARD rule 3: -j REJECT --reject-with icmp-host-prohibited: decides",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestExplainDrawsLongRunsTogetherAndEscapes(t *testing.T) {
	var rules []string
	for i := range 50 {
		rules = append(rules, fmt.Sprintf("-A FORWARD -p udp -m udp --dport %d -j DROP", 1000+i))
	}
	rules = append(rules, "-A FORWARD -o evil\x1b[31m -j DROP")
	got := Evaluate(filter(t, "DROP", rules...), Forward, reply()).Explain()
	if len(got) != 4 || got[1] != "filter FORWARD rules 2 to 50: no match" || got[3] != "filter FORWARD: policy DROP decides" {
		t.Errorf("got %q", got)
	}
	if strings.ContainsRune(strings.Join(got, ""), '\x1b') {
		t.Errorf("an escape character went through: %q", got)
	}
}

func TestChainsOfEveryKind(t *testing.T) {
	for _, c := range []struct {
		name, policy string
		rules        []string
		want         string
	}{
		{"policy", "DROP", []string{"-A FORWARD -p tcp -j ACCEPT"}, "filter FORWARD policy: drop"},
		{"order", "DROP", []string{"-A FORWARD -j ACCEPT", "-A FORWARD -j DROP"}, "filter FORWARD rule 1 (-j ACCEPT): accept"},
		{"return in base", "DROP", []string{"-A FORWARD -j RETURN", "-A FORWARD -j ACCEPT"}, "filter FORWARD policy: drop"},
		{"return in user chain", "DROP", []string{"-A a -j RETURN", "-A a -j DROP", "-A FORWARD -j a", "-A FORWARD -j ACCEPT"}, "filter FORWARD rule 2 (-j ACCEPT): accept"},
		{"goto does not come back", "DROP", []string{"-A a -p tcp -j DROP", "-A FORWARD -g a", "-A FORWARD -j ACCEPT"}, "filter FORWARD policy: drop"},
		{
			"goto comes back to the caller's caller", "DROP",
			[]string{"-A a -p tcp -j DROP", "-A b -g a", "-A b -j DROP", "-A FORWARD -j b", "-A FORWARD -j ACCEPT"},
			"filter FORWARD rule 2 (-j ACCEPT): accept",
		},
		{"no target", "ACCEPT", []string{"-A FORWARD -p udp", "-A FORWARD -j LOG --log-prefix \"-j DROP\"", "-A FORWARD -j DROP"}, "filter FORWARD rule 3 (-j DROP): drop"},
		{"chain named like a target", "DROP", []string{"-A LOG -j ACCEPT", "-A FORWARD -j LOG"}, "filter LOG rule 1 (-j ACCEPT): accept"},
		{"same chain twice", "DROP", []string{"-A a -p tcp -j DROP", "-A FORWARD -j a", "-A FORWARD -j a", "-A FORWARD -j ACCEPT"}, "filter FORWARD rule 3 (-j ACCEPT): accept"},
		{"long options, old negation", "DROP", []string{"-A FORWARD --protocol udp --source ! 10.0.0.1 --dport 68 --jump ACCEPT"}, "filter FORWARD rule 1 (--protocol udp --source ! 10.0.0.1 --dport 68 --jump ACCEPT): accept"},
	} {
		d := Evaluate(filter(t, c.policy, c.rules...), Forward, reply())
		if d.Ending.String() != c.want {
			t.Errorf("%s: %v, want %s\n%s", c.name, d.Ending, c.want, explain(d))
		}
	}
}

func TestUnknownMatches(t *testing.T) {
	for _, c := range []struct {
		name    string
		rules   []string
		want    Verdict
		certain bool
		blocked []int // rule numbers of the blockers in FORWARD
	}{
		{"both ways accept", []string{"-A FORWARD -m limit --limit 5/min -j ACCEPT"}, Accept, false, nil},
		{"accept or reject", []string{"-A FORWARD -m limit --limit 5/min -j ACCEPT", "-A FORWARD -j REJECT"}, Undecided, false, []int{1}},
		{"drop or reject are both lost", []string{"-A FORWARD -m recent --rcheck --name x -j DROP", "-A FORWARD -j REJECT"}, Drop, false, nil},
		{"logging does not matter", []string{"-A FORWARD -m limit --limit 1/sec -j LOG", "-A FORWARD -j DROP"}, Drop, true, nil},
		{"unknown, but another match says no", []string{"-A FORWARD -m set --match-set x src -p tcp -j DROP"}, Accept, true, nil},
		{"unknown return over a drop", []string{"-A FORWARD -m u32 --u32 \"0=1\" -j RETURN", "-A FORWARD -j DROP"}, Undecided, false, []int{1}},
		{"unknown return over nothing", []string{"-A FORWARD -m limit --limit 5/min -j DROP", "-A FORWARD -m u32 --u32 \"0=1\" -j RETURN"}, Undecided, false, []int{1}},
		{"user space decides", []string{"-A FORWARD -j NFQUEUE --queue-num 0", "-A FORWARD -j ACCEPT"}, Undecided, false, []int{1}},
		{"unknown jump", []string{"-A a -j DROP", "-A FORWARD -m statistic --mode random --probability 0.5 -j a"}, Undecided, false, []int{1}},
		{"unknown jump to a chain that only returns", []string{"-A a -j RETURN", "-A FORWARD -m owner --uid-owner 0 -j a", "-A FORWARD -j DROP"}, Drop, true, nil},
		{"unknown target", []string{"-A FORWARD -j SYNPROXY --mss 1460", "-A FORWARD -j ACCEPT"}, Undecided, false, []int{1}},
		{"undeclared chain", []string{"-A FORWARD -j nowhere"}, Undecided, false, []int{1}},
		{"unknown option of a known extension", []string{"-A FORWARD -m conntrack --ctstate NEW --ctorigsrc 10.0.0.0/8 -j DROP"}, Undecided, false, []int{1}},
		{"known no beats it", []string{"-A FORWARD -m conntrack --ctstate ESTABLISHED --ctorigsrc 10.0.0.0/8 -j DROP"}, Accept, true, nil},
		{"unknown protocol name", []string{"-A FORWARD -p nosuch -j DROP"}, Undecided, false, []int{1}},
		{"service name", []string{"-A FORWARD -p udp -m udp --dport bootpc -j DROP"}, Undecided, false, []int{1}},
		{"host name", []string{"-A FORWARD -s dhcp.example -j DROP"}, Undecided, false, []int{1}},
	} {
		d := Evaluate(filter(t, "ACCEPT", c.rules...), Forward, reply())
		var blocked []int
		for _, b := range d.Blockers {
			blocked = append(blocked, b.Rule.Index)
		}
		if d.Verdict != c.want || d.Certain() != c.certain || !slices.Equal(blocked, c.blocked) {
			t.Errorf("%s: %v, certain %v, blockers %v; want %v, %v, %v\n%s", c.name, d.Verdict, d.Certain(), d.Blockers, c.want, c.certain, c.blocked, explain(d))
		}
	}
}

func TestUndecidedSaysWhichRuleAndWhy(t *testing.T) {
	d := Evaluate(filter(t, "DROP", "-A FORWARD -m limit --limit 5/min -j ACCEPT"), Forward, reply())
	want := []string{
		"filter FORWARD rule 1: -m limit --limit 5/min: unknown (whether it matches cannot be told from the listing); -j ACCEPT may apply",
		"filter FORWARD: policy DROP",
		"undecided: the packet may end in any of these ways",
		"possible: filter FORWARD policy: drop",
		"possible: filter FORWARD rule 1 (-m limit --limit 5/min -j ACCEPT): accept",
		"cannot tell: filter FORWARD rule 1: -m limit --limit 5/min: whether it matches cannot be told from the listing",
	}
	if got := d.Explain(); !slices.Equal(got, want) {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
}

func TestTablesInKernelOrder(t *testing.T) {
	for _, c := range []struct {
		name string
		text string
		want string
	}{
		{"mangle before filter", table("filter", "ACCEPT", "-A FORWARD -j REJECT") + table("mangle", "ACCEPT", "-A FORWARD -j DROP"), "mangle FORWARD rule 1 (-j DROP): drop"},
		{"accept ends one table", table("mangle", "ACCEPT", "-A FORWARD -j ACCEPT") + table("filter", "ACCEPT", "-A FORWARD -j REJECT"), "filter FORWARD rule 1 (-j REJECT): reject"},
		{"security after filter", table("filter", "ACCEPT", "-A FORWARD -j ACCEPT") + table("security", "DROP", "-A FORWARD -p tcp"), "security FORWARD policy: drop"},
		{"filter is reported", table("filter", "DROP", "-A FORWARD -j ACCEPT") + table("security", "ACCEPT", "-A FORWARD -p tcp"), "filter FORWARD rule 1 (-j ACCEPT): accept"},
		{"raw has no FORWARD", table("raw", "DROP", "-A PREROUTING -p tcp"), "accept"},
		{"nothing", "", "accept"},
	} {
		d := Evaluate(parse(t, c.text), Forward, reply())
		if d.Ending.String() != c.want {
			t.Errorf("%s: %v, want %s\n%s", c.name, d.Ending, c.want, explain(d))
		}
	}
}

func TestTraverseStopsWhereThePacketDies(t *testing.T) {
	rs := parse(t, table("raw", "ACCEPT", "-A PREROUTING -m physdev --physdev-in tap004b787f-9b -j DROP")+table("filter", "ACCEPT", "-A FORWARD -j ACCEPT"))
	if d := Evaluate(rs, Forward, reply()); d.Verdict != Accept {
		t.Errorf("FORWARD alone: %v", d)
	}
	d := Traverse(rs, reply(), Prerouting, Forward, Postrouting)
	if d.Verdict != Drop || d.Table != "raw" || len(d.Walk) != 1 {
		t.Errorf("the whole way: %v\n%s", d, explain(d))
	}
}

func TestChangesOnTheWayReachLaterMatches(t *testing.T) {
	byMark := table("filter", "ACCEPT", "-A FORWARD -m mark --mark 0x1 -j DROP")
	byState := table("filter", "ACCEPT", "-A FORWARD -m state --state NEW -j DROP")
	byDst := table("filter", "ACCEPT", "-A FORWARD -d 10.10.92.11/32 -j DROP")
	for _, c := range []struct {
		name, text string
		want       Verdict
		why        string
	}{
		{"no mark rule", byMark, Accept, ""},
		{"mark set before", table("mangle", "ACCEPT", "-A PREROUTING -p udp -j MARK --set-xmark 0x1/0xffffffff") + byMark, Drop, ""},
		{"perhaps marked before", table("mangle", "ACCEPT", "-A PREROUTING -m limit --limit 5/min -j MARK --set-xmark 0x1/0xffffffff") + byMark, Undecided, "the mark may have been changed by mangle PREROUTING rule 1"},
		{"marked, and marked back", table("mangle", "ACCEPT", "-A PREROUTING -j MARK --set-xmark 0x1/0xffffffff", "-A PREROUTING -j MARK --set-xmark 0x0/0x1") + byMark, Accept, ""},
		{"other bits marked", table("mangle", "ACCEPT", "-A PREROUTING -j MARK --set-xmark 0x10/0x10") + byMark, Accept, ""},
		{"mark set for others", table("mangle", "ACCEPT", "-A PREROUTING -p tcp -j MARK --set-xmark 0x1/0xffffffff") + byMark, Accept, ""},
		{"mark set at the same hook", table("mangle", "ACCEPT", "-A FORWARD -j MARK --set-xmark 0x1/0xffffffff") + byMark, Drop, ""},
		{"mark set in the chain", table("filter", "ACCEPT", "-A FORWARD -j MARK --set-xmark 0x1/0xffffffff", "-A FORWARD -m mark --mark 0x1 -j DROP"), Drop, ""},
		{"mark set after accept", table("mangle", "ACCEPT", "-A PREROUTING -j ACCEPT", "-A PREROUTING -j MARK --set-xmark 0x1/0xffffffff") + byMark, Accept, ""},
		{"connection mark only", table("mangle", "ACCEPT", "-A PREROUTING -j CONNMARK --save-mark") + byMark, Accept, ""},
		{"connection mark restored", table("mangle", "ACCEPT", "-A PREROUTING -j CONNMARK --restore-mark") + byMark, Undecided, "CONNMARK"},
		{"tracked", byState, Drop, ""},
		{"untracked", table("raw", "ACCEPT", "-A PREROUTING -j CT --notrack") + byState, Accept, ""},
		{"perhaps untracked", table("raw", "ACCEPT", "-A PREROUTING -m limit --limit 5/min -j CT --notrack") + byState, Undecided, "the connection's state may have been changed by raw PREROUTING rule 1"},
		{"another zone is tracked", table("raw", "ACCEPT", "-A PREROUTING -j CT --zone 4097") + byState, Drop, ""},
		{"DNAT", table("nat", "ACCEPT", "-A PREROUTING -p udp -j DNAT --to-destination 10.0.0.1") + byDst, Undecided, "the destination address may have been changed by nat PREROUTING rule 1"},
		{"DNAT of others", table("nat", "ACCEPT", "-A PREROUTING -p tcp -j DNAT --to-destination 10.0.0.1") + byDst, Drop, ""},
		{"perhaps marked in a chain that returns", table("mangle", "ACCEPT", "-A m -m limit --limit 5/min -j MARK --set-xmark 0x1/0xffffffff", "-A m -j RETURN", "-A PREROUTING -j m") + byMark, Undecided, "mangle m rule 1"},
	} {
		d := Evaluate(parse(t, c.text), Forward, reply())
		if d.Verdict != c.want {
			t.Errorf("%s: %v, want %v\n%s", c.name, d.Verdict, c.want, explain(d))
			continue
		}
		if c.want == Undecided && !strings.Contains(d.Blockers[0].Why, c.why) {
			t.Errorf("%s: %v, want %q", c.name, d.Blockers, c.why)
		}
	}
}

func TestNATSeesOnlyTheFirstPacket(t *testing.T) {
	rs := parse(t, table("nat", "ACCEPT", "-A PREROUTING -j DNAT --to-destination 10.0.0.1")+table("filter", "ACCEPT", "-A FORWARD -d 10.10.92.11/32 -j DROP"))
	for state, want := range map[CTState]Verdict{CTNew: Undecided, CTEstablished: Drop, CTInvalid: Drop, CTUnknown: Undecided} {
		p := reply()
		p.CT = state
		if d := Evaluate(rs, Forward, p); d.Verdict != want {
			t.Errorf("%v: %v, want %v\n%s", state, d.Verdict, want, explain(d))
		}
	}
	p := reply()
	p.CT = CTEstablished
	got := Evaluate(rs, Prerouting, p).Explain()
	if len(got) != 1 || !strings.Contains(got[0], "not consulted, the packet's state is ESTABLISHED") {
		t.Errorf("got %q", got)
	}
}

func TestLoopsEndUndecided(t *testing.T) {
	d := Evaluate(filter(t, "ACCEPT", "-A a -j b", "-A b -j a", "-A FORWARD -j a"), Forward, reply())
	if d.Verdict != Undecided || len(d.Blockers) == 0 || !strings.Contains(d.Blockers[0].Why, "circle") {
		t.Errorf("%v\n%s", d, explain(d))
	}
	var rules []string
	for i := range maxDepth + 10 {
		rules = append(rules, fmt.Sprintf("-A c%d -j c%d", i, i+1))
	}
	rules = append(rules, fmt.Sprintf("-A c%d -j DROP", maxDepth+10), "-A FORWARD -j c0")
	if d := Evaluate(filter(t, "ACCEPT", rules...), Forward, reply()); d.Verdict != Undecided {
		t.Errorf("nested deeply: %v", d)
	}
}

func TestManyUnknownJumpsDoNotExplode(t *testing.T) {
	var rules []string
	const chains = 200
	for i := range chains {
		for j := i + 1; j < min(i+6, chains); j++ {
			rules = append(rules, fmt.Sprintf("-A c%d -m limit --limit 1/sec -j c%d", i, j))
		}
		rules = append(rules, fmt.Sprintf("-A c%d -p tcp -j DROP", i))
	}
	rules = append(rules, "-A FORWARD -j c0")
	d := Evaluate(filter(t, "ACCEPT", rules...), Forward, reply())
	if d.Verdict != Accept || !d.Certain() || len(d.Walk) > 3*len(rules) {
		t.Errorf("%v after %d steps for %d rules", d, len(d.Walk), len(rules))
	}
}

func TestAnUnknownPacketIsNeverDecidedByItsFields(t *testing.T) {
	for _, match := range []string{
		"-p udp", "-s 10.0.0.0/8", "-i eth0", "-o eth0", "-m physdev --physdev-in p0", "-p udp -m udp --dport 68", "-m state --state NEW",
		"-m mark --mark 0x0", "-m mac --mac-source 02:00:00:00:00:01", "-m pkttype --pkt-type unicast", "-m addrtype --dst-type LOCAL", "-p icmp -m icmp --icmp-type 8",
	} {
		for _, not := range []bool{false, true} {
			m := match
			if not {
				m = strings.Replace(m, " --", " ! --", 1)
				if !strings.Contains(m, "!") {
					m = "! " + m
				}
			}
			if d := Evaluate(filter(t, "ACCEPT", "-A FORWARD "+m+" -j DROP"), Forward, Packet{}); d.Verdict != Undecided || len(d.Blockers) != 1 {
				t.Errorf("%s: %v\n%s", m, d.Verdict, explain(d))
			}
		}
	}
}

func BenchmarkEvaluate5000(b *testing.B) {
	var rules []string
	for i := range 250 {
		for j := range 19 {
			rules = append(rules, fmt.Sprintf("-A vm%d -d 10.0.%d.%d/32 -p udp -m udp --sport 67 --dport 68 -j RETURN", i, i, j))
		}
		rules = append(rules, fmt.Sprintf("-A FORWARD -m physdev --physdev-out tap%d+ --physdev-is-bridged -j vm%d", i%2, i), fmt.Sprintf("-A FORWARD -m limit --limit 5/min -j vm%d", i))
	}
	rules = append(rules, "-A FORWARD -j REJECT --reject-with icmp-host-prohibited")
	rs := filter(b, "ACCEPT", rules...)
	p := reply()
	b.ResetTimer()
	for b.Loop() {
		if d := Evaluate(rs, Forward, p); d.Verdict != Reject {
			b.Fatal(d)
		}
	}
}

// A rule that keeps a packet from connection tracking makes it UNTRACKED at
// once, for the rules of the raw table too: it was called INVALID there.
func TestUntrackedInTheRawTable(t *testing.T) {
	rs := parse(t, table("raw", "ACCEPT", "-A PREROUTING -j CT --notrack", "-A PREROUTING -m conntrack --ctstate INVALID -j DROP"))
	if d := Evaluate(rs, Prerouting, request()); d.Verdict == Drop {
		t.Errorf("%v; the kernel lets the packet pass", d)
	}
}

// The nft back end calls the security table behind the nat table's INPUT: the
// translation there happens although the packet is dropped afterwards.
func TestSecurityTableOfTheNFTBackEnd(t *testing.T) {
	const tables = "*nat\n:INPUT ACCEPT [0:0]\nCOMMIT\n*security\n:INPUT DROP [0:0]\nCOMMIT\n# Completed on Mon Nov 23 21:47:46 2026\n"
	for generator, visits := range map[string]int{"iptables-nft-save v1.8.9 (nf_tables)": 2, "iptables-save v1.8.9": 1} {
		p := request()
		p.Bridged = false
		d := Evaluate(parse(t, "# Generated by "+generator+" on Mon Nov 23 21:47:46 2026\n"+tables), Input, p)
		policies := 0
		for _, s := range d.Walk {
			if s.Kind == StepPolicy {
				policies++
			}
		}
		if policies != visits || d.Verdict != Drop {
			t.Errorf("%s: %d policies are asked, want %d: %v", generator, policies, visits, d)
		}
	}
}
