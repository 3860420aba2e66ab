package netfilter

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

const guestTap = "tap1f0e9c2a-11"

var (
	guestMAC = net.HardwareAddr{0xfa, 0x16, 0x3e, 0x4b, 0x10, 0x11}
	fromTap  = Way{In: guestTap, Out: uplink, Bridge: brq}
	toTap    = Way{In: uplink, Out: guestTap, Bridge: brq}
	linkA    = netip.MustParseAddr("fe80::1")
	linkB    = netip.MustParseAddr("fe80::2")
	anyIP    = netip.IPv4Unspecified()
)

func parseWith(t testing.TB, read func(string) (*Ruleset, error), text string) *Ruleset {
	t.Helper()
	rs, err := read(text)
	if err != nil {
		t.Fatal(err)
	}
	return rs
}

// Both listings are of the same kernel state: neutron's chains against
// spoofing.
func TestNeutronsAntiSpoofing(t *testing.T) {
	saved := parseWith(t, ParseEbtables, sample(t, "ebtables_neutron.txt"))
	listed := parseNFT(t, sample(t, "nft_ebtables_neutron.json"))
	stranger := net.HardwareAddr{0xfa, 0x16, 0x3e, 0xff, 0xff, 0xff}
	for _, c := range []struct {
		name, want string
		p          Packet
		hidden     bool // nft does not show what decides
	}{
		{"own ARP", "bridge nat POSTROUTING policy: accept", ARPRequest(guestMAC, client, server, fromTap), true},
		{"forged ARP", "bridge nat neutronARP-tap1f0e9c2a-11 policy: drop", ARPRequest(guestMAC, netip.MustParseAddr("10.10.92.12"), server, fromTap), true},
		{"forged reply", "bridge nat neutronARP-tap1f0e9c2a-11 policy: drop", ARPReply(guestMAC, server, serverMAC, client, fromTap), true},
		{"probe", "bridge nat neutronARP-tap1f0e9c2a-11 policy: drop", ARPRequest(guestMAC, anyIP, client, fromTap), true},
		{"own frame", "bridge nat POSTROUTING policy: accept", EchoRequest(client, server, guestMAC, serverMAC, fromTap), false},
		{"forged MAC", "bridge nat neutronMAC-tap1f0e9c2a-11 policy: drop", EchoRequest(client, server, stranger, serverMAC, fromTap), false},
		{"another port", "bridge nat POSTROUTING policy: accept", ARPRequest(serverMAC, server, client, toTap), false},
		{"own DHCP", "bridge nat POSTROUTING policy: accept", DHCPRequest(guestMAC, guestTap, uplink, brq), false},
	} {
		d := LayerBridge.Traverse(saved, c.p, Prerouting, Forward, Postrouting)
		if d.Ending.String() != c.want || !d.Certain() {
			t.Errorf("%s: %v, want %s\n%s", c.name, d.Ending, c.want, explain(d))
		}
		n := LayerBridge.Traverse(listed, c.p, Prerouting, Forward, Postrouting)
		if c.hidden {
			if n.Verdict == Accept && d.Verdict == Drop || n.Verdict == Drop && d.Verdict == Accept {
				t.Errorf("%s: nft's view decides otherwise: %v", c.name, n)
			}
		} else if n.Verdict != d.Verdict {
			t.Errorf("%s: nft's view says %v, ebtables-save %v\n%s", c.name, n.Verdict, d.Verdict, explain(n))
		}
		if ip := Traverse(saved, c.p, Prerouting, Forward); ip.Verdict != Accept {
			t.Errorf("%s: the IP layer sees the bridge's tables: %v", c.name, ip)
		}
	}
}

var notModelledOptions = []string{"--limit", "--limit-burst", "--arp-gratuitous", "--ip-tos"}

func TestEbtablesOptionsAreUnderstood(t *testing.T) {
	rs := parseWith(t, ParseEbtables, sample(t, "ebtables_options.txt"))
	for _, r := range rs.Find(func(*Rule) bool { return true }) {
		for i := range r.Matches {
			_, opaque := r.Matches[i].cond.(opaqueCond)
			if want := slices.Contains(notModelledOptions, strings.Fields(r.Matches[i].Text())[0]); opaque != want {
				t.Errorf("%s: %s: opaque %v", r.Line(), r.Matches[i].Text(), opaque)
			}
		}
		if r.Target.act == actOpaque {
			t.Errorf("%s: opaque target", r.Line())
		}
	}
}

// bridgeFilterTable is a FORWARD chain of ebtables.
func bridgeFilterTable(rules ...string) string {
	return "*filter\n:FORWARD ACCEPT\n:u RETURN\n:d DROP\n:a ACCEPT\n" + strings.Join(rules, "\n") + "\n"
}

func TestEbtablesMatches(t *testing.T) {
	arp := ARPRequest(guestMAC, client, server, fromTap)
	tagged := EchoRequest(client, server, guestMAC, serverMAC, fromTap)
	tagged.VLAN = Is[uint16](5)
	advert := RouterAdvertisement(serverMAC, linkA, toTap)
	solicit := DHCPv6Solicit(guestMAC, linkB, fromTap)
	ping := EchoRequest(client, server, guestMAC, serverMAC, fromTap)
	dhcp := DHCPRequest(guestMAC, guestTap, uplink, brq)
	for _, c := range []struct {
		match string
		p     Packet
		want  Tri
	}{
		{"-p ARP", arp, Yes},
		{"-p ! ARP", arp, No},
		{"! -p ARP", ping, Yes},
		{"-p IPv4", ping, Yes},
		{"-p IPv4", tagged, No},
		{"-p 802_1Q --vlan-id 5", tagged, Yes},
		{"-p 802_1Q --vlan-id 6", tagged, No},
		{"-p 802_1Q --vlan-encap 0800", tagged, Yes},
		{"-p 0x806", arp, Yes},
		{"-p LLDP", arp, No},
		{"-p Length", arp, No},
		{"-p X25", arp, Unknown},
		{"-s fa:16:3e:4b:10:11", arp, Yes},
		{"-s fa:16:3e:00:00:00/ff:ff:ff:00:00:00", arp, Yes},
		{"-s ! fa:16:3e:00:00:00/ff:ff:ff:00:00:00", arp, No},
		{"-d Broadcast", arp, Yes},
		{"-d Multicast", arp, Yes},
		{"-d Multicast", advert, Yes},
		{"-d Unicast", ping, Yes},
		{"-d BGA", ping, No},
		{"-i tap+", arp, Yes},
		{"-i ! tap+", arp, No},
		{"-o eth3.3092", arp, Yes},
		{"--logical-in " + brq, arp, Yes},
		{"-p ARP --arp-op Request", arp, Yes},
		{"-p ARP --arp-op 2", arp, No},
		{"-p ARP --arp-ip-src 10.10.92.11", arp, Yes},
		{"-p ARP --arp-ip-src 10.10.92.0/24", arp, Yes},
		{"-p ARP --arp-ip-src 10.10.92.0/255.255.255.0", arp, Yes},
		{"-p ARP --arp-ip-src ! 10.10.92.11", arp, No},
		{"-p ARP --arp-ip-dst 10.10.92.11", arp, No},
		{"-p ARP --arp-mac-src fa:16:3e:4b:10:11", arp, Yes},
		{"-p ARP --arp-mac-dst 00:00:00:00:00:00", arp, Yes},
		{"-p ARP --arp-htype 1 --arp-ptype 0x800", arp, Yes},
		{"-p ARP --arp-gratuitous", arp, Unknown},
		{"-p IPv4 --ip-src 10.10.92.0/24 --ip-dst ! 10.10.92.3", ping, Yes},
		{"-p IPv4 --ip-proto icmp --ip-icmp-type echo-request", ping, Yes},
		{"-p IPv4 --ip-proto icmp --ip-icmp-type 0:3/0:1", ping, No},
		{"-p IPv4 --ip-proto udp --ip-sport 68 --ip-dport 60:67", dhcp, Yes},
		{"-p IPv4 --ip-proto udp --ip-dport 68:", dhcp, No},
		{"-p IPv6 --ip6-proto ipv6-icmp --ip6-icmp-type router-advertisement", advert, Yes},
		{"-p IPv6 --ip6-proto ipv6-icmp --ip6-icmp-type 133/0", advert, No},
		{"-p IPv6 --ip6-src fe80::/64", solicit, Yes},
		{"-p IPv6 --ip6-src fe80::/ffff:ffff:ffff:ffff::", solicit, Yes},
		{"-p IPv6 --ip6-proto udp --ip6-dport 547", solicit, Yes},
		{"--pkttype-type otherhost", ping, Yes},
		{"--pkttype-type broadcast", arp, Yes},
		{"--pkttype-type multicast", advert, Yes},
		{"--mark 0x0", ping, Yes},
		{"--mark ! 0x1/0xff", ping, Yes},
		{"--limit 1/sec --limit-burst 5", ping, Unknown},
		{"--among-src fa:16:3e:4b:10:11", ping, Yes},
		{"--among-src fa:16:3e:4b:10:12,", ping, No},
		{"--among-src fa:16:3e:4b:10:11=10.10.92.11,", ping, Yes},
		{"--among-src fa:16:3e:4b:10:11=10.10.92.12,", ping, No},
		{"--among-src fa:16:3e:4b:10:11=10.10.92.11", arp, Yes},
		{"--among-src fa:16:3e:4b:10:11=10.10.92.11", solicit, No},
		{"--among-src ! fa:16:3e:4b:10:11", ping, No},
		{"--among-dst fa:16:3e:0:0:2", ping, Yes},
		{"--among-dst nonsense", ping, Unknown},
		{`--log-level info --log-prefix "a b"`, ping, Yes},
		{"--among-dst-file x", ping, Unknown},
	} {
		d := LayerBridge.Traverse(parseWith(t, ParseEbtables, bridgeFilterTable("-A FORWARD "+c.match+" -j DROP")), c.p, Forward)
		if got := d.Walk[0].Result; got != c.want {
			t.Errorf("%s, %v: %v, want %v\n%s", c.match, c.p, got, c.want, explain(d))
		}
	}
}

func TestEbtablesTargets(t *testing.T) {
	arp := ARPRequest(guestMAC, client, server, fromTap)
	ping := EchoRequest(client, server, guestMAC, serverMAC, fromTap)
	for _, c := range []struct {
		name  string
		rules []string
		p     Packet
		want  Verdict
	}{
		{"drop", []string{"-A FORWARD -j DROP"}, ping, Drop},
		{"continue", []string{"-A FORWARD -j CONTINUE", "-A FORWARD -j DROP"}, ping, Drop},
		{"policy return", []string{"-A FORWARD -j u", "-A FORWARD -j DROP"}, ping, Drop},
		{"policy accept", []string{"-A FORWARD -j a", "-A FORWARD -j DROP"}, ping, Accept},
		{"policy drop", []string{"-A FORWARD -j d"}, ping, Drop},
		{"return", []string{"-A d -j RETURN", "-A FORWARD -j d"}, ping, Accept},
		{"mark accepts", []string{"-A FORWARD -j mark --mark-set 0x4 --mark-target ACCEPT", "-A FORWARD -j DROP"}, ping, Accept},
		{"mark goes on", []string{"-A FORWARD -j mark --mark-or 0x4 --mark-target CONTINUE", "-A FORWARD --mark 0x4 -j DROP"}, ping, Drop},
		{"mark of another", []string{"-A FORWARD -j mark --mark-and 0x4 --mark-target CONTINUE", "-A FORWARD --mark 0x4 -j DROP"}, ping, Accept},
		{"mark and return", []string{"-A d -j mark --mark-xor 0x4 --mark-target RETURN", "-A FORWARD -j d", "-A FORWARD --mark 0x4 -j DROP"}, ping, Drop},
		{"snat", []string{"-A FORWARD -j snat --to-src fa:16:3e:00:00:01 --snat-target CONTINUE", "-A FORWARD -s fa:16:3e:4b:10:11 -j DROP"}, ping, Undecided},
		{"arpreply", []string{"-A FORWARD -j arpreply --arpreply-mac fa:16:3e:00:00:01"}, arp, Drop},
		{"arpreply for others", []string{"-A FORWARD -j arpreply --arpreply-mac fa:16:3e:00:00:01"}, ping, Accept},
		{"unknown target", []string{"-A FORWARD -j strange --x y"}, ping, Undecided},
	} {
		d := LayerBridge.Traverse(parseWith(t, ParseEbtables, bridgeFilterTable(c.rules...)), c.p, Forward)
		if d.Verdict != c.want {
			t.Errorf("%s: %v, want %v\n%s", c.name, d, c.want, explain(d))
		}
	}
}

// As the script ebtables-legacy-save prints them: without COMMIT and end, the
// counters behind the rule.
func TestLegacyEbtablesCountsBehindTheRule(t *testing.T) {
	rs := parseWith(t, ParseEbtables, "# Generated by ebtables-save v1.0 (legacy) on Mon Nov 23 21:42:48 UTC 2026\n*filter\n:INPUT ACCEPT\n:FORWARD DROP\n:mine RETURN\n"+
		"-A FORWARD -p ARP -i tap1 -j mine -c 12 336\n-A FORWARD -p ARP -j ACCEPT -c 3 84\n\n*nat\n:PREROUTING ACCEPT\n\n")
	rules := rs.Chain("filter", "FORWARD").Rules
	if len(rules) != 2 || !rules[0].Counted || rules[0].Packets != 12 || rules[0].Bytes != 336 || rules[0].Spec != "-p ARP -i tap1 -j mine" {
		t.Errorf("%+v", rules)
	}
	if rs.Table("nat") == nil || rs.Chain("filter", "mine").Hook != "" {
		t.Errorf("%+v", rs.Tables)
	}
}

func TestSavesOfTheBridgeThatAreCutShort(t *testing.T) {
	whole := sample(t, "ebtables_neutron.txt")
	cut := whole[:strings.Index(whole, "# Completed")]
	if _, err := ParseEbtables(cut); !errors.Is(err, ErrTruncated) || !strings.Contains(err.Error(), "ebtables-save") {
		t.Error(err)
	}
	arp := sample(t, "arptables.txt")
	if _, err := ParseArptables(arp[:strings.Index(arp, "# Completed")]); !errors.Is(err, ErrTruncated) || !strings.Contains(err.Error(), "arptables-save") {
		t.Error(err)
	}
	for text, say := range map[string]string{
		"*raw\n": "not a table of ebtables", "*filter\n:FORWARD QUEUE\n": "ACCEPT or DROP", "*filter\n:FORWARD RETURN\n": "ACCEPT or DROP",
		"-A FORWARD -j DROP\n": "outside", "*filter\n:FORWARD ACCEPT\n-A FORWARD -i\n": "last option", "nonsense\n": "ebtables-save",
	} {
		if _, err := ParseEbtables(text); err == nil || !strings.Contains(err.Error(), say) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if rs := parseWith(t, ParseEbtables, ""); len(rs.Tables) != 0 {
		t.Errorf("%+v", rs)
	}
}

func TestArptables(t *testing.T) {
	rs := parseWith(t, ParseArptables, sample(t, "arptables.txt"))
	listed := parseNFT(t, sample(t, "nft_arptables.json"))
	from := func(mac net.HardwareAddr, sender, target string) Packet {
		p := ARPRequest(mac, netip.MustParseAddr(sender), netip.MustParseAddr(target), Way{})
		p.Bridged, p.In, p.Out = false, Is("eth0"), Is("")
		return p
	}
	good := net.HardwareAddr{0xfa, 0x16, 0x3e, 0, 0, 1}
	other := from(good, "10.0.0.5", "10.0.0.6")
	other.In = Is("dummy0")
	for _, c := range []struct {
		p    Packet
		want string
	}{
		{from(good, "10.0.0.5", "10.0.0.6"), "arp filter INPUT rule 1 (-j ACCEPT): accept"},
		{from(good, "10.0.1.5", "10.0.0.6"), "arp filter INPUT rule 2 (-j DROP): drop"},
		{from(good, "10.0.0.5", "1.1.1.1"), "arp filter INPUT rule 2 (-j DROP): drop"},
		{from(guestMAC, "10.0.0.5", "10.0.0.6"), "arp filter INPUT rule 2 (-j DROP): drop"},
		{other, "arp filter INPUT policy: drop"},
	} {
		d := LayerARP.Traverse(rs, c.p, Input)
		got := d.Ending.String()
		if i, j := strings.Index(got, "("), strings.Index(got, "-j "); i > 0 && j > i {
			got = got[:i+1] + got[j:]
		}
		got, _, _ = strings.Cut(got, " -i ")
		want, _, _ := strings.Cut(c.want, "): ")
		if !strings.HasPrefix(got, strings.TrimSuffix(want, ")")) || !strings.HasSuffix(c.want, d.Verdict.String()) || !d.Certain() {
			t.Errorf("%v: %v, want %s\n%s", c.p, d.Ending, c.want, explain(d))
		}
		if n := LayerARP.Traverse(listed, c.p, Input); n.Verdict != d.Verdict {
			t.Errorf("%v: nft's view says %v, arptables-save %v\n%s", c.p, n.Verdict, d.Verdict, explain(n))
		}
	}
	if d := LayerARP.Traverse(rs, reply(), Input); d.Verdict != Accept {
		t.Errorf("an IP packet: %v", d)
	}
	marks := rs.Chain("filter", "OUTPUT").Rules
	if marks[0].Target.act != actAccept || marks[1].Target.does.mark == nil {
		t.Errorf("%+v", marks)
	}
}

func TestPacketsOfOtherProtocols(t *testing.T) {
	for _, c := range []struct {
		p            Packet
		say          string
		kind         PacketType
		dst          string
		ct           CTState
		sport, dport uint16
	}{
		{DHCPv6Solicit(guestMAC, linkB, fromTap), "udp [fe80::2]:546 to [ff02::1:2]:547, in by tap1f0e9c2a-11, out by eth3.3092", TypeMulticast, "33:33:00:01:00:02", CTNew, 546, 547},
		{DHCPv6Advertise(linkA, linkB, serverMAC, guestMAC, toTap), "udp [fe80::1]:547 to [fe80::2]:546, in by eth3.3092, out by tap1f0e9c2a-11", TypeUnicast, guestMAC.String(), CTNew, 547, 546},
		{RouterSolicitation(guestMAC, linkB, fromTap), "icmp6 fe80::2 to ff02::2, in by tap1f0e9c2a-11, out by eth3.3092", TypeMulticast, "33:33:00:00:00:02", CTUntracked, 0, 0},
		{RouterAdvertisement(serverMAC, linkA, toTap), "icmp6 fe80::1 to ff02::1, in by eth3.3092, out by tap1f0e9c2a-11", TypeMulticast, "33:33:00:00:00:01", CTUntracked, 0, 0},
		{EchoReply(server, client, serverMAC, guestMAC, toTap), "icmp 10.10.92.2 to 10.10.92.11, in by eth3.3092, out by tap1f0e9c2a-11", TypeUnicast, guestMAC.String(), CTEstablished, 0, 0},
		{EchoRequest(linkA, linkB, serverMAC, nil, toTap), "icmp6 fe80::1 to fe80::2, in by eth3.3092, out by tap1f0e9c2a-11", TypeUnknown, "", CTNew, 0, 0},
	} {
		sport, _ := c.p.Sport.Get()
		dport, _ := c.p.Dport.Get()
		if c.p.String() != c.say || c.p.PacketType != c.kind || c.p.DstMAC.String() != c.dst || c.p.CT != c.ct || sport != c.sport || dport != c.dport {
			t.Errorf("%v: %+v", c.p, c.p)
		}
	}
}

func FuzzParseEbtables(f *testing.F) {
	for _, name := range []string{"ebtables_neutron.txt", "ebtables_options.txt"} {
		f.Add(sample(f, name))
	}
	f.Fuzz(func(_ *testing.T, text string) {
		if rs, err := ParseEbtables(text); err == nil {
			LayerBridge.Traverse(rs, ARPRequest(guestMAC, client, server, fromTap), Prerouting, Forward, Postrouting).Explain()
			LayerBridge.Traverse(rs, Packet{}, Prerouting, Forward, Postrouting).Explain()
		}
	})
}

func FuzzParseArptables(f *testing.F) {
	f.Add(sample(f, "arptables.txt"))
	f.Fuzz(func(_ *testing.T, text string) {
		if rs, err := ParseArptables(text); err == nil {
			LayerARP.Traverse(rs, ARPRequest(guestMAC, client, server, fromTap), Input, Forward).Explain()
		}
	})
}
