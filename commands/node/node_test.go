package node_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"whybot/commands/node"
)

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestParseLinksOfARealNode(t *testing.T) {
	links, err := node.ParseLinks(read(t, "ip-link-controller01.txt"))
	if err != nil {
		t.Fatal(err)
	}
	sub := links["eth3.3092"]
	if sub.Parent != "eth3" || sub.Master != "brq91e78b9c-cf" || !sub.Up || !sub.Carrier || sub.PortState != "forwarding" || sub.Kind != "macvlan" {
		t.Errorf("eth3.3092 = %+v", sub)
	}
	brq := links["brq91e78b9c-cf"]
	if brq.Kind != "bridge" || brq.NFCallIPTables == nil || *brq.NFCallIPTables {
		t.Errorf("bridge = %+v", brq)
	}
	if got := len(links.Members("brq91e78b9c-cf")); got != 2 {
		t.Errorf("bridge has %d members, want 2", got)
	}
	if mac := links["eth3"].MAC; mac != "00:50:56:a1:31:03" {
		t.Errorf("eth3 mac = %q", mac)
	}
}

// A bridge with spanning tree, right after one of its ports came up (kernel
// 6.18, iproute2 6.1).
func TestParseLinksOfASpanningTree(t *testing.T) {
	text := `2: brq0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP mode DEFAULT group default qlen 1000
    link/ether 32:d7:38:25:51:75 brd ff:ff:ff:ff:ff:ff promiscuity 0  allmulti 0 minmtu 68 maxmtu 65535 
    bridge forward_delay 1500 hello_time 200 max_age 2000 ageing_time 30000 stp_state 1 priority 32768 vlan_filtering 0 nf_call_iptables 0 
4: tap0@if3: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue master brq0 state UP mode DEFAULT group default qlen 1000
    link/ether 32:d7:38:25:51:75 brd ff:ff:ff:ff:ff:ff promiscuity 1  allmulti 1 minmtu 68 maxmtu 65535 
    veth 
    bridge_slave state listening priority 32 cost 2 hairpin off hold_timer    0.00 message_age_timer    0.00 forward_delay_timer   13.99 topology_change_ack 0 
5: br-old: <BROADCAST,MULTICAST> mtu 1500 qdisc noop state DOWN 
    bridge 
`
	links, err := node.ParseLinks(text)
	if err != nil {
		t.Fatal(err)
	}
	if l := links["brq0"]; l.STP != "1" || l.ForwardDelay != 15*time.Second {
		t.Errorf("brq0 = %+v", l)
	}
	if l := links["tap0"]; l.PortState != "listening" || l.PortTimer != 13990*time.Millisecond || l.STP != "" {
		t.Errorf("tap0 = %+v", l)
	}
	if l := links["br-old"]; l.Kind != "bridge" || l.STP != "" || l.ForwardDelay != 0 {
		t.Errorf("br-old, of which nothing is told = %+v", l)
	}
}

func TestParseLinksOldAndOdd(t *testing.T) {
	text := `2: eth0: <NO-CARRIER,BROADCAST,MULTICAST,UP> mtu 1500 qdisc pfifo_fast state DOWN mode DEFAULT qlen 1000
    link/ether 00:50:56:AA:00:41 brd ff:ff:ff:ff:ff:ff promiscuity 1 
    RX: bytes  packets  errors  dropped overrun mcast   
    9086       83       0       0       0       0      
    TX: bytes  packets  errors  dropped carrier collsns 
    6026       59       0       0       0       0      
7: eth0.3092@eth0: <BROADCAST,MULTICAST> mtu 1500 qdisc noqueue master brq0 state DOWN 
    link/ether 00:50:56:aa:00:41 brd ff:ff:ff:ff:ff:ff promiscuity 1 
    vlan protocol 802.1Q id 3092 <REORDER_HDR> 
    bridge_slave state disabled priority 32 cost 100 
`
	links, err := node.ParseLinks(text)
	if err != nil {
		t.Fatal(err)
	}
	if l := links["eth0"]; !l.Up || l.Carrier || l.RXPackets != 83 || l.TXPackets != 59 {
		t.Errorf("eth0 = %+v", l)
	}
	if l := links["eth0.3092"]; l.Up || l.VLAN != 3092 || l.PortState != "disabled" || l.Kind != "vlan" {
		t.Errorf("eth0.3092 = %+v", l)
	}
	for _, bad := range []string{"", "Option \"-d\" is unknown, try \"ip -help\".\n", "    link/ether\n"} {
		if _, err := node.ParseLinks(bad); err == nil {
			t.Errorf("ParseLinks(%q) did not fail", bad)
		}
	}
}

func FuzzParseLinks(f *testing.F) {
	f.Add("2: eth0: <UP> mtu 1500\n    RX: x\n")
	f.Fuzz(func(_ *testing.T, s string) { _, _ = node.ParseLinks(s) })
}

func TestDnsmasq(t *testing.T) {
	all := node.ParseDnsmasq("  69 S    dnsmasq --no-hosts --pid-file=/x --dhcp-hostsfile=/var/lib/neutron/dhcp/91e78b9c/host --interface=ns-004b787f-9b\n 70 T+ dnsmasq\n\n")
	if len(all) != 2 || all[0].PID != "69" || all[0].Interface != "ns-004b787f-9b" {
		t.Fatalf("dnsmasq = %+v", all)
	}
	if all[0].Stopped || !all[1].Stopped {
		t.Errorf("stopped: %v, %v", all[0].Stopped, all[1].Stopped)
	}
	if _, ok := node.Serving(all, "91e78b9c", "ns-other"); !ok {
		t.Error("not found by host file")
	}
	if _, ok := node.Serving(all, "other", "ns-other"); ok {
		t.Error("found a dnsmasq that serves another network")
	}
}

func TestHostEntries(t *testing.T) {
	got := node.HostEntries("fa:16:3e:11:11:11,host-10-30-92-11.openstacklocal,10.30.92.11\n" +
		"FA:16:3E:22:22:22,set:port-1,host-x.,[fd00::1]\nfa:16:3e:22:22:22,id:*,host-y,10.0.0.3\nrubbish\n")
	if len(got) != 2 || got["fa:16:3e:11:11:11"][0] != netip.MustParseAddr("10.30.92.11") || len(got["fa:16:3e:22:22:22"]) != 2 {
		t.Errorf("entries = %v", got)
	}
}

func TestHolder(t *testing.T) {
	const mac = "fa:16:3e:11:11:11"
	entry := func(used, state string) string {
		return "10.30.92.11 dev ns-004b787f-9b lladdr FA:16:3E:11:11:11 used " + used + " probes 1 " + state + "\n"
	}
	failed := "10.30.92.11 dev ns-004b787f-9b FAILED\n"
	for _, c := range []struct {
		name          string
		echo          bool
		before, after string
		want          string
	}{
		{"echo answered", true, entry("0/24/24", "REACHABLE"), entry("0/25/25", "REACHABLE"), mac},
		{"ICMP filtered, ARP confirmed meanwhile", false, entry("30/60/30", "STALE"), entry("1/1/1", "REACHABLE"), mac},
		{"ICMP filtered, ARP answered the first time", false, failed, entry("1/1/1", "REACHABLE"), mac},
		{"nobody had asked before", false, "", entry("1/1/1", "REACHABLE"), mac},
		{"confirmed right before, silent since", false, entry("0/0/0", "REACHABLE"), entry("1/1/1", "REACHABLE"), ""},
		{"left over from before", false, entry("0/24/24", "REACHABLE"), entry("0/25/25", "REACHABLE"), ""},
		{"stale and silent", false, entry("90/120/90", "STALE"), entry("1/121/91", "DELAY"), ""},
		{"nobody", false, failed, failed, ""},
		{"no entry", false, "", "", ""},
		{"another format", false, "", "10.30.92.11 dev ns lladdr fa:16:3e:11:11:11 REACHABLE\n", ""},
	} {
		if got := node.Holder(c.echo, c.before, c.after); got != c.want {
			t.Errorf("%s: holder %q, want %q", c.name, got, c.want)
		}
	}
}

func TestForeignTables(t *testing.T) {
	firewalld := `# Warning: table ip filter is managed by iptables-nft, do not touch!
table ip filter {
	chain FORWARD {
		type filter hook forward priority filter; policy drop;
		counter packets 3 bytes 996 reject with icmp type host-prohibited
	}
}
table inet firewalld {
	chain filter_FORWARD {
		type filter hook forward priority filter + 10; policy accept;
		counter packets 45 bytes 3668 reject with icmpx admin-prohibited # handle 3
	}
}
# Warning: table ip6 filter is managed by iptables-nft, do not touch!
table ip6 filter {
	chain FORWARD {
		type filter hook forward priority filter; policy drop;
	}
}
table ip6 fence {
	chain forward {
		type filter hook forward priority filter; policy accept;
		icmpv6 type nd-router-advert drop
	}
}
table inet harmless {
	chain in {
		type filter hook input priority filter; policy drop;
	}
}
table bridge vs {
	chain f {
		type filter hook forward priority 0; policy accept;
		ether saddr 00:11:22:33:44:55 drop
	}
}
`
	for rules, want := range map[string]int{
		"udp dport 68 drop comment \"block\"":                  1,
		"udp dport vmap { 67 : accept, 68 : drop, 99 : drop }": 1,
		"udp dport 68 counter accept":                          0,
	} {
		text := "table bridge edr {\n\tchain f {\n\t\ttype filter hook forward priority 0; policy accept;\n\t\t" + rules + "\n\t}\n}\n"
		if got := node.ForeignTables(text); len(got) != want {
			t.Errorf("%s: %q", rules, got)
		}
	}
	got := node.ForeignTables(firewalld)
	if !slices.Equal(got, []string{"inet firewalld", "ip6 fence", "bridge vs"}) {
		t.Errorf("foreign tables = %q", got)
	}
	if got := node.ForeignTables(""); len(got) != 0 {
		t.Errorf("foreign tables of nothing = %q", got)
	}
}
