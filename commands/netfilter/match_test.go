package netfilter

import (
	"net"
	"net/netip"
	"strings"
	"testing"
)

func tcp(flags uint8) Packet {
	p := reply()
	p.Proto, p.TCPFlags, p.Sport, p.Dport = Is(ProtoTCP), Is(flags), Is[uint16](40000), Is[uint16](22)
	return p
}

func icmp(kind, code uint8) Packet {
	p := reply()
	p.Proto, p.ICMPType, p.ICMPCode = Is(ProtoICMP), Is(kind), Is(code)
	p.Sport, p.Dport = Fact[uint16]{}, Fact[uint16]{}
	return p
}

func TestMatches(t *testing.T) {
	routed := reply()
	routed.Bridged, routed.In, routed.Out, routed.PhysIn, routed.PhysOut = false, Is("eth0"), Is("eth1"), Is(""), Is("")
	unsure := routed
	unsure.PhysIn = Fact[string]{}
	untracked, established, marked := reply(), reply(), reply()
	untracked.CT, established.CT, marked.Mark = CTUntracked, CTEstablished, Is[uint32](0x12)
	v6 := Packet{Family: IPv6, Proto: Is(ProtoICMPv6), Src: netip.MustParseAddr("fe80::1"), Dst: netip.MustParseAddr("ff02::1"), ICMPType: Is[uint8](135)}
	for _, c := range []struct {
		match string
		p     Packet
		want  Tri
		fact  string // part of the explanation when it does not match
	}{
		{"-p udp", reply(), Yes, ""},
		{"-p 17", reply(), Yes, ""},
		{"-p all", reply(), Yes, ""},
		{"-p 0", reply(), Yes, ""},
		{"-p tcp", reply(), No, "protocol is udp"},
		{"! -p udp", reply(), No, "protocol is udp"},
		{"! -p tcp", reply(), Yes, ""},
		{"-p 300", reply(), Unknown, ""},
		{"-s 10.10.92.2/32", reply(), Yes, ""},
		{"-s 10.10.92.2", reply(), Yes, ""},
		{"-s 10.0.0.0/8", reply(), Yes, ""},
		{"-s 0.0.0.0/0", reply(), Yes, ""},
		{"-d 10.10.92.2/32", reply(), No, "destination is 10.10.92.11"},
		{"! -d 10.10.0.0/16", reply(), No, "destination is 10.10.92.11"},
		{"-s 10.0.92.2/255.0.255.255", reply(), Yes, ""},
		{"-s 10.0.91.2/255.0.255.255", reply(), No, "source is 10.10.92.2"},
		{"-s 1.1.1.1,10.10.92.2", reply(), Yes, ""},
		{"-s 10.0.0.0/33", reply(), Unknown, ""},
		{"-s fe80::/64", reply(), No, ""},
		{"-s fe80::/64", v6, Yes, ""},
		{"-s 10.0.0.0/8", v6, No, "source is fe80::1"},
		{"-d ff00::/8", v6, Yes, ""},
		{"-i brq91e78b9c-cf", reply(), Yes, ""},
		{"-i brq+", reply(), Yes, ""},
		{"-i brq", reply(), No, "in is brq91e78b9c-cf"},
		{"! -o brq+", reply(), No, "out is brq91e78b9c-cf"},
		{"-m physdev --physdev-in tap+ ! --physdev-out tap+", reply(), Yes, ""},
		{"-m physdev --physdev-in eth+", reply(), No, "in is tap004b787f-9b"},
		{"-m physdev ! --physdev-is-bridged", reply(), No, ""},
		{"-m physdev --physdev-is-in --physdev-is-out", reply(), Yes, ""},
		{"-m physdev --physdev-out tap+", routed, No, "not a bridged packet"},
		{"-m physdev ! --physdev-out tap+", routed, Yes, ""},
		{"-m physdev --physdev-is-bridged", routed, No, "not a bridged packet"},
		{"-m physdev ! --physdev-is-in", routed, Yes, ""},
		{"-m physdev --physdev-out tap+", unsure, No, "no bridge port out"},
		{"-m physdev --physdev-is-bridged", unsure, No, ""},
		{"-m physdev ! --physdev-out tap+", unsure, Unknown, ""},
		{"-m physdev --physdev-in tap+", unsure, Unknown, "the bridge port in is not known"},
		{"-p udp -m udp --sport 67 --dport 68", reply(), Yes, ""},
		{"-p udp --dport 60:70", reply(), Yes, ""},
		{"-p udp --dport :67", reply(), No, "destination port is 68"},
		{"-p udp --dport 68:", reply(), Yes, ""},
		{"-p udp ! --sport 67", reply(), No, "source port is 67"},
		{"-p udp -m udp --dport=68", reply(), Unknown, ""},
		{"-p udp -m multiport --dports 22,60:70", reply(), Yes, ""},
		{"-p udp -m multiport --sports 68", reply(), No, "source port is 67"},
		{"-p udp -m multiport --ports 67,1", reply(), Yes, ""},
		{"-p udp -m multiport ! --ports 67", reply(), No, "source port is 67, destination port is 68"},
		{"-p tcp -m tcp --syn", tcp(flagSYN), Yes, ""},
		{"-p tcp -m tcp --syn", tcp(flagSYN | flagACK), No, "TCP flags are SYN,ACK"},
		{"-p tcp -m tcp --tcp-flags SYN,ACK SYN", tcp(flagSYN | flagPSH), Yes, ""},
		{"-p tcp -m tcp --tcp-flags ALL NONE", tcp(0), Yes, ""},
		{"-p tcp -m tcp ! --tcp-flags ALL NONE", tcp(0), No, "no TCP flag is set"},
		{"-p tcp -m tcp --tcp-flags ALL BAD", tcp(0), Unknown, ""},
		{"-p tcp -m tcp --tcp-option 8", tcp(0), Unknown, ""},
		{"-p icmp -m icmp --icmp-type 8", icmp(8, 0), Yes, ""},
		{"-p icmp -m icmp --icmp-type any", icmp(3, 4), Yes, ""},
		{"-p icmp -m icmp --icmp-type 3/4", icmp(3, 4), Yes, ""},
		{"-p icmp -m icmp --icmp-type 3/3", icmp(3, 4), No, "ICMP type is 3/4"},
		{"-p icmp -m icmp ! --icmp-type echo-request", icmp(8, 0), No, "ICMP type is 8/0"},
		{"-p icmp -m icmp --icmp-type host-unreachable", icmp(3, 1), Yes, ""},
		{"-p ipv6-icmp -m icmp6 --icmpv6-type 135", v6, Yes, ""},
		{"-p ipv6-icmp -m icmp6 --icmpv6-type echo-request", v6, No, "ICMP type is 135"},
		{"-m state --state NEW", reply(), Yes, ""},
		{"-m state --state RELATED,ESTABLISHED", reply(), No, "state is NEW"},
		{"-m conntrack ! --ctstate NEW", established, Yes, ""},
		{"-m conntrack --ctstate UNTRACKED", untracked, Yes, ""},
		{"-m conntrack --ctstate DNAT", reply(), Unknown, "translated"},
		{"-m conntrack --ctstate DNAT", untracked, No, ""},
		{"-m state --state STRANGE", reply(), Unknown, ""},
		{"-m mark --mark 0x2/0xf", marked, Yes, ""},
		{"-m mark --mark 18", marked, Yes, ""},
		{"-m mark ! --mark 0x12", marked, No, "mark is 0x12"},
		{"-m mark --mark 0x1", reply(), No, "mark is 0x0"},
		{"-m mark --mark x", reply(), Unknown, ""},
		{"-m mac --mac-source FA:16:3E:00:00:02", reply(), Yes, ""},
		{"-m mac ! --mac-source fa:16:3e:00:00:02", reply(), No, "source MAC is fa:16:3e:00:00:02"},
		{"-m mac --mac-source 1", reply(), Unknown, ""},
		{"-m pkttype --pkt-type unicast", reply(), Yes, ""},
		{"-m pkttype --pkt-type broadcast", reply(), No, "the packet is unicast"},
		{"-m pkttype --pkt-type multicast", request(), No, "the packet is broadcast"},
		{"-m addrtype --dst-type BROADCAST", request(), Yes, ""},
		{"-m addrtype --src-type BROADCAST", request(), Yes, ""},
		{"-m addrtype --dst-type LOCAL,UNICAST", request(), No, "255.255.255.255 is BROADCAST"},
		{"-m addrtype --dst-type LOCAL", reply(), Unknown, "depends on the node's addresses"},
		{"-m addrtype --dst-type MULTICAST", reply(), No, ""},
		{"-m addrtype --dst-type NONSENSE", reply(), Unknown, ""},
		{"-m addrtype --dst-type BROADCAST --limit-iface-in", request(), Unknown, ""},
		{"-m addrtype --dst-type LOCAL", v6, Unknown, ""},
		{"-f", reply(), No, "no later fragment"},
		{"! -f", reply(), Yes, ""},
		{"-m comment --comment \"! -p tcp\"", reply(), Yes, ""},
		{"stray", reply(), Unknown, ""},
		{"\"-p\" tcp", reply(), Unknown, ""},
		{"-m string --string -p --algo bm", reply(), Unknown, ""},
		{"-m x --y \"-p\" z", reply(), Unknown, ""},
		{"! -m limit", reply(), Unknown, ""},
		{"-m bpf --bytecode \"1,6 0 0 0\"", reply(), Unknown, ""},
	} {
		rs := filter(t, "ACCEPT", "-A FORWARD "+c.match+" -j DROP")
		d := Evaluate(rs, Forward, c.p)
		if got := d.Walk[0].Result; got != c.want {
			t.Errorf("%s: %v, want %v\n%s", c.match, got, c.want, explain(d))
		}
		if line := d.Explain()[0]; !strings.Contains(line, c.fact) {
			t.Errorf("%s: %q, want %q", c.match, line, c.fact)
		}
	}
}

// TestWhatEachHookShows asks in user chains, where iptables lets -i and -o
// stand at any hook.
func TestWhatEachHookShows(t *testing.T) {
	routed := reply()
	routed.Bridged, routed.In, routed.Out, routed.PhysIn = false, Is("eth0"), Is("eth1"), Is("")
	loop := routed
	loop.In = Is("lo")
	for _, c := range []struct {
		table string
		hook  Hook
		match string
		p     Packet
		want  Tri
	}{
		{"mangle", Prerouting, "-o brq91e78b9c-cf", reply(), No},
		{"mangle", Input, "-o eth1", routed, No},
		{"mangle", Output, "-i eth0", routed, No},
		{"mangle", Output, "-m physdev --physdev-in tap+", reply(), No},
		{"mangle", Postrouting, "-i brq91e78b9c-cf", reply(), No},
		{"mangle", Postrouting, "-i eth0", routed, Unknown},
		{"mangle", Postrouting, "-m physdev --physdev-is-bridged", reply(), Yes},
		{"mangle", Prerouting, "-m physdev --physdev-is-bridged", reply(), No},
		{"mangle", Prerouting, "-m physdev ! --physdev-out tap+", reply(), No},
		{"mangle", Postrouting, "-m mac --mac-source fa:16:3e:00:00:02", reply(), Unknown},
		{"raw", Prerouting, "-m state --state NEW", reply(), No},
		{"raw", Prerouting, "-m state --state INVALID", reply(), Yes},
		{"raw", Prerouting, "-m state --state NEW", loop, Unknown},
		{"raw", Output, "-m state --state INVALID", routed, Yes},
		{"mangle", Prerouting, "-m state --state NEW", reply(), Yes},
	} {
		rs := parse(t, table(c.table, "ACCEPT", "-A ask "+c.match+" -j DROP", "-A "+string(c.hook)+" -j ask"))
		d := Evaluate(rs, c.hook, c.p)
		if got := d.Walk[1].Result; got != c.want {
			t.Errorf("%s %s %s: %v, want %v\n%s", c.table, c.hook, c.match, got, c.want, explain(d))
		}
	}
}

func TestTheWayToPostrouting(t *testing.T) {
	mark := func(h Hook) string {
		return "*mangle\n:" + string(h) + " ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n-A " + string(h) + " -j MARK --set-xmark 0x1/0xffffffff\n-A POSTROUTING -m mark --mark 0x1 -j DROP\nCOMMIT\n"
	}
	local, anyWay := reply(), reply()
	local.Bridged, local.In = false, Is("")
	anyWay.Bridged, anyWay.In = false, Fact[string]{}
	for _, c := range []struct {
		marked Hook
		p      Packet
		want   Verdict
	}{
		{Forward, reply(), Drop},
		{Output, reply(), Accept},
		{Output, local, Drop},
		{Forward, local, Accept},
		{Output, anyWay, Undecided},
		{Forward, anyWay, Undecided},
		{Input, anyWay, Accept},
	} {
		if d := Evaluate(parse(t, mark(c.marked)), Postrouting, c.p); d.Verdict != c.want {
			t.Errorf("marked at %s, %v: %v, want %v", c.marked, c.p, d.Verdict, c.want)
		}
	}
}

func TestBackslashesOutsideOfQuotesAreThemselves(t *testing.T) {
	r := filter(t, "ACCEPT", `-A FORWARD -m x --y a\b c"d e"f "" -j ACCEPT`).Chain("filter", "FORWARD").Rules[0]
	if got := strings.Join(r.Words, "|"); got != `-m|x|--y|a\b|cd ef||-j|ACCEPT` {
		t.Errorf("got %s", got)
	}
}

func TestBridgeNetfilter(t *testing.T) {
	for _, c := range []struct {
		b    BridgeNetfilter
		want Tri
		say  string
	}{
		{BridgeNetfilter{Loaded: No, Sysctl: Unknown, Bridge: Unknown}, No, "not loaded"},
		{BridgeNetfilter{IPv6: true, Loaded: Yes, Sysctl: No, Bridge: No}, No, "bridge-nf-call-ip6tables is 0 and so is the bridge's nf_call_ip6tables"},
		{BridgeNetfilter{Loaded: No, Sysctl: Yes, Bridge: Yes}, No, "not loaded"},
		{BridgeNetfilter{Loaded: Yes, Sysctl: Yes, Bridge: Unknown}, Yes, "is 1"},
		{BridgeNetfilter{Loaded: Yes, Sysctl: Unknown, Bridge: Yes}, Yes, "own nf_call_iptables is 1"},
		{BridgeNetfilter{Loaded: Yes, Sysctl: No, Bridge: Yes}, Yes, "own nf_call_iptables is 1"},
		{BridgeNetfilter{Loaded: Yes, Sysctl: No, Bridge: No}, No, "and so is"},
		{BridgeNetfilter{Loaded: Yes, Sysctl: No, Bridge: Unknown}, Unknown, "own nf_call_iptables is not known"},
		{BridgeNetfilter{Loaded: Yes, Sysctl: Unknown, Bridge: No}, Unknown, "bridge-nf-call-iptables is not known"},
		{BridgeNetfilter{}, Unknown, "whether br_netfilter is loaded"},
		{BridgeNetfilter{Loaded: Unknown, Sysctl: No, Bridge: No}, No, "and so is"},
		{BridgeNetfilter{Loaded: Unknown, Sysctl: No, Bridge: Yes}, Yes, "own nf_call_iptables is 1"},
		{BridgeNetfilter{Loaded: Unknown, Sysctl: Unknown, Bridge: Yes}, Unknown, "whether br_netfilter is loaded"},
		{BridgeNetfilter{Loaded: Unknown, Sysctl: Yes, Bridge: Unknown}, Yes, "is 1"},
	} {
		got, why := c.b.Calls()
		if got != c.want || !strings.Contains(why, c.say) {
			t.Errorf("%+v: %v, %s; want %v, %s", c.b, got, why, c.want, c.say)
		}
	}
}

func TestNamesReadWell(t *testing.T) {
	for got, want := range map[string]string{
		reply().String():   "udp 10.10.92.2:67 to 10.10.92.11:68, in by tap004b787f-9b, out by eth3.3092",
		request().String(): "udp 0.0.0.0:68 to 255.255.255.255:67, in by eth3.3092, out by tap004b787f-9b",
		Packet{}.String():  "? to ?",
		TCPConnect(server, client, 5900, "eth1").String(): "tcp 10.10.92.2 to 10.10.92.11:5900, in by eth1",
		Undecided.String() + Accept.String():              "undecidedaccept",
		Verdict(9).String():                               "Verdict(9)",
		CTNew.String() + CTState(9).String():              "NEWCTState(9)",
		TypeUnicast.String() + PacketType(9).String():     "unicastPacketType(9)",
		Yes.String() + No.String() + Unknown.String():     "yesnounknown",
		protoName(200): "protocol 200",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if p := TCPConnect(netip.MustParseAddr("fd00::1"), netip.MustParseAddr("fd00::2"), 5900, "eth1"); p.Family != IPv6 {
		t.Errorf("family %d", p.Family)
	}
	if p := DHCPRequest(net.HardwareAddr(nil), "a", "b", "c"); p.CT != CTNew || p.PacketType != TypeBroadcast {
		t.Errorf("%+v", p)
	}
}

func TestAddressTypesOfTheNode(t *testing.T) {
	local := reply()
	local.Local = Is([]netip.Prefix{netip.MustParsePrefix("10.10.92.2/24"), netip.MustParsePrefix("fd00::2/64")})
	to := func(dst string) Packet {
		p := local
		p.Dst = netip.MustParseAddr(dst)
		if p.Dst.Is6() {
			p.Family, p.Src = IPv6, netip.MustParseAddr("fd00::9")
		}
		return p
	}
	for _, c := range []struct {
		match string
		p     Packet
		want  Tri
	}{
		{"--src-type LOCAL", local, Yes},
		{"--dst-type LOCAL", local, No},
		{"--dst-type UNICAST", local, Yes},
		{"--dst-type LOCAL", to("127.0.0.5"), Yes},
		{"--dst-type BROADCAST", to("10.10.92.255"), Yes},
		{"! --dst-type LOCAL", to("10.10.92.255"), Yes},
		{"--dst-type LOCAL", to("fd00::2"), Yes},
		{"--dst-type LOCAL", to("fd00::3"), Unknown},
		{"--dst-type LOCAL", reply(), Unknown},
	} {
		d := Evaluate(filter(t, "ACCEPT", "-A FORWARD -m addrtype "+c.match+" -j DROP"), Forward, c.p)
		if got := d.Walk[0].Result; got != c.want {
			t.Errorf("%s, %v: %v, want %v\n%s", c.match, c.p, got, c.want, explain(d))
		}
	}
}

func TestAddressRangesAndTheConnectionsStatus(t *testing.T) {
	for match, want := range map[string]Tri{
		"-m iprange --src-range 10.10.92.1-10.10.92.3": Yes, "-m iprange ! --src-range 10.10.92.1-10.10.92.3": No,
		"-m iprange --dst-range 10.10.92.1-10.10.92.3": No, "-m iprange --src-range fd00::1-fd00::2": No,
		"-m iprange --src-range 10.10.92.1": Unknown, "-m conntrack --ctstatus SEEN_REPLY": No, "-m conntrack --ctstatus EXPECTED": Unknown,
		"-m conntrack --ctdir ORIGINAL": Yes, "-m conntrack --ctdir REPLY": No, "-m conntrack --ctdir SIDEWAYS": Unknown,
	} {
		d := Evaluate(filter(t, "ACCEPT", "-A FORWARD "+match+" -j DROP"), Forward, reply())
		if got := d.Walk[0].Result; got != want {
			t.Errorf("%s: %v, want %v\n%s", match, got, want, explain(d))
		}
	}
}
