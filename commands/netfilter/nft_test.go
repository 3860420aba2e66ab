package netfilter

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"
)

func parseNFT(t testing.TB, text string) *Ruleset {
	t.Helper()
	rs, err := ParseNFT(text)
	if err != nil {
		t.Fatal(err)
	}
	return rs
}

// The text was listed by "nft -a list ruleset" from the same kernel state as
// the JSON. Every rule must read the same.
func TestNFTRulesReadAsNFTListsThem(t *testing.T) {
	rs := parseNFT(t, sample(t, "nft_everything.json"))
	var want []string
	for line := range strings.Lines(sample(t, "nft_everything.txt")) {
		line = strings.TrimSpace(line)
		rule, handle, ok := strings.Cut(line, " # handle ")
		if !ok || strings.HasSuffix(rule, "{") {
			continue
		}
		want = append(want, rule+" # handle "+handle)
	}
	all := rs.Find(func(*Rule) bool { return true })
	if len(all) != len(want) {
		t.Fatalf("%d rules, want %d", len(all), len(want))
	}
	for i, r := range all {
		if r.Line() != want[i] {
			t.Errorf("rule of %s:\n got %s\nwant %s", r.place(), r.Line(), want[i])
		}
	}
}

func native(t testing.TB, name string) *Ruleset {
	t.Helper()
	return parseNFT(t, sample(t, name))
}

// oneChain makes a ruleset of one base chain with the given rules, each a list of
// statements in JSON.
func oneChain(t testing.TB, family, hook, before string, rules ...string) *Ruleset {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, `{"nftables":[{"table":{"family":%q,"name":"t"}}`, family)
	if before != "" {
		b.WriteString("," + before)
	}
	fmt.Fprintf(&b, `,{"chain":{"family":%q,"table":"t","name":"other","handle":9}}`, family)
	fmt.Fprintf(&b, `,{"chain":{"family":%q,"table":"t","name":"c","handle":1,"type":"filter","hook":%q,"prio":0,"policy":"accept"}}`, family, hook)
	for i, r := range rules {
		fmt.Fprintf(&b, `,{"rule":{"family":%q,"table":"t","chain":"c","handle":%d,"expr":[%s]}}`, family, i+2, r)
	}
	return parseNFT(t, b.String()+"]}")
}

func routed(p Packet, in, out string) Packet {
	p.Bridged, p.In, p.Out, p.PhysIn, p.PhysOut = false, Is(in), Is(out), Is(""), Is("")
	return p
}

func arriving(p Packet, in string) Packet { return routed(p, in, "") }

func tcpTo(src, dst string, port uint16, in string) Packet {
	p := TCPConnect(netip.MustParseAddr(src), netip.MustParseAddr(dst), port, in)
	p.Sport = Is[uint16](40000)
	return p
}

func TestRealNFTRulesets(t *testing.T) {
	through := []Hook{Prerouting, Forward, Postrouting}
	local := []Hook{Prerouting, Input}
	for _, c := range []struct {
		file  string
		hooks []Hook
		p     Packet
		want  string
	}{
		{"nft_firewalld_forward.json", through, request(), "inet firewalld filter_FORWARD rule 1 (reject with icmpx admin-prohibited, handle 2): reject"},
		{"nft_firewalld.json", through, request(), "inet firewalld filter_FWD_public rule 3 (reject with icmpx admin-prohibited, handle 89): reject"},
		{"nft_firewalld.json", through, reply(), "inet firewalld filter_FWD_public rule 3 (reject with icmpx admin-prohibited, handle 89): reject"},
		{"nft_firewalld.json", local, tcpTo("10.0.0.1", "10.0.0.2", 22, "eth0"), "inet firewalld filter_IN_public_allow rule 1 (tcp dport 22 accept, handle 71): accept"},
		{"nft_firewalld.json", local, tcpTo("10.0.0.1", "10.0.0.2", 5900, "eth0"), "inet firewalld filter_IN_public rule 4 (reject with icmpx admin-prohibited, handle 69): reject"},
		{"nft_firewalld.json", local, tcpTo("10.0.0.1", "10.0.0.2", 5900, "eth1"), "inet firewalld filter_IN_internal rule 1 (tcp dport { 5900-5999, 16509 } accept, handle 76): accept"},
		{"nft_firewalld.json", local, tcpTo("192.0.2.9", "10.0.0.2", 22, "eth0"), "inet firewalld filter_IN_public_deny rule 1 (ip saddr @blocked drop, handle 70): drop"},
		{"nft_docker.json", through, routed(tcpTo("10.0.0.1", "172.17.0.2", 80, ""), "eth0", "docker0"), "ip docker-bridges raw-PREROUTING rule 1 (ip daddr 172.17.0.2 iifname != \"docker0\" drop, handle 34): drop"},
		{"nft_docker.json", through, routed(tcpTo("172.17.0.3", "172.17.0.2", 81, ""), "docker0", "docker0"), "ip docker-bridges filter-forward-in__docker0 rule 2 (iifname \"docker0\" accept, handle 36): accept"},
		{"nft_docker.json", through, request(), "ip docker-bridges filter-FORWARD policy: accept"},
		{"nft_docker.json", through, routed(tcpTo("10.0.0.1", "172.18.0.2", 81, ""), "eth0", "br-8f1c"), "ip docker-bridges filter-forward-in__br-8f1c rule 1 (drop, handle 39): drop"},
		{"nft_kube.json", through, routed(tcpTo("10.0.0.1", "172.30.0.41", 81, ""), "eth0", "eth1"), "ip kube-proxy cluster-ips-check rule 1 (ip daddr @cluster-ips reject, handle 44): reject"},
		{"nft_kube.json", through, routed(tcpTo("10.0.0.1", "172.30.9.9", 81, ""), "eth0", "eth1"), "ip kube-proxy cluster-ips-check rule 2 (ip daddr 172.30.0.0/16 drop, handle 45): drop"},
		{"nft_kube.json", through, routed(tcpTo("10.0.0.1", "172.30.0.46", 80, ""), "eth0", "eth1"), "ip kube-proxy reject-chain rule 1 (reject, handle 53): reject"},
		{"nft_kube.json", local, tcpTo("10.0.0.1", "192.168.0.2", 3001, "eth0"), "ip kube-proxy nodeport-endpoints-check rule 1 (ip daddr @nodeport-ips meta l4proto . th dport vmap @no-endpoint-nodeports, handle 41): drop"},
		{"nft_kube.json", local, tcpTo("203.0.113.9", "1.2.3.4", 80, "eth0"), "ip kube-proxy filter-input policy: accept"},
		{"nft_kube.json", local, tcpTo("203.0.113.200", "1.2.3.4", 80, "eth0"), "ip kube-proxy firewall-svc5 rule 2 (drop, handle 69): drop"},
		{"nft_server.json", through, request(), "inet filter forward policy: drop"},
		{"nft_server.json", local, tcpTo("10.10.92.9", "10.0.0.2", 5901, "eth0"), "inet filter input rule 6 (ip saddr @admins tcp dport { 22, 5900-5999 } ct state new accept, handle 14): accept"},
		{"nft_server.json", local, tcpTo("203.0.113.66", "10.0.0.2", 5901, "eth0"), "inet filter input rule 3 (ip saddr @banned drop, handle 8): drop"},
		{"nft_server.json", local, arriving(reply(), "eth0"), "inet filter input rule 5 (udp sport 67 udp dport 68 accept, handle 10): accept"},
	} {
		d := Traverse(native(t, c.file), c.p, c.hooks...)
		if got := handles.ReplaceAllString(d.Ending.String(), ""); got != handles.ReplaceAllString(c.want, "") || !d.Certain() {
			t.Errorf("%s, %v:\n got %v\nwant %s\n%s", c.file, c.p, d.Ending, c.want, explain(d))
		}
	}
}

// Handles are counted up by the kernel that the listing comes from.
var handles = regexp.MustCompile(`, handle \d+`)

func TestNFTMatches(t *testing.T) {
	const sets = `{"set":{"family":"inet","name":"s","table":"t","type":"ipv4_addr","elem":[{"prefix":{"addr":"10.10.0.0","len":16}},{"elem":{"val":{"range":["192.0.2.1","192.0.2.9"]},"timeout":3600,"expires":3598}}]}},` +
		`{"set":{"family":"inet","name":"pairs","table":"t","type":["ipv4_addr","inet_service"],"elem":[{"concat":[{"prefix":{"addr":"10.10.92.0","len":24}},{"range":[60,70]}]}]}}`
	match := func(op, left, right string) string {
		return fmt.Sprintf(`{"match":{"op":%q,"left":%s,"right":%s}}`, op, left, right)
	}
	payload := func(proto, field string) string {
		return fmt.Sprintf(`{"payload":{"protocol":%q,"field":%q}}`, proto, field)
	}
	meta := func(key string) string { return fmt.Sprintf(`{"meta":{"key":%q}}`, key) }
	ct := func(key string) string { return fmt.Sprintf(`{"ct":{"key":%q}}`, key) }
	established := reply()
	established.CT = CTEstablished
	located := reply()
	located.Local = Is([]netip.Prefix{netip.MustParsePrefix("10.10.92.11/24")})
	ping := icmp(8, 0)
	solicit := RouterAdvertisement(serverMAC, netip.MustParseAddr("fe80::1"), Way{tap, uplink, brq})
	for _, c := range []struct {
		match string
		p     Packet
		want  Tri
		fact  string
	}{
		{match("==", payload("ip", "saddr"), `"10.10.92.2"`), reply(), Yes, ""},
		{match("!=", payload("ip", "saddr"), `"10.10.92.2"`), reply(), No, "ip saddr is 10.10.92.2"},
		{match("!=", payload("ip", "saddr"), `"10.10.92.2"`), solicit, No, "the packet is not IPv4"},
		{match("==", payload("ip", "saddr"), `{"prefix":{"addr":"10.10.92.0","len":24}}`), reply(), Yes, ""},
		{match("==", payload("ip", "saddr"), `{"range":["10.10.92.3","10.10.92.9"]}`), reply(), No, "ip saddr is 10.10.92.2"},
		{match("==", `{"&":[`+payload("ip", "saddr")+`,"0.0.0.255"]}`, `"0.0.0.2"`), reply(), Yes, ""},
		{match("==", payload("ip", "saddr"), `"@s"`), reply(), Yes, ""},
		{match("!=", payload("ip", "saddr"), `"@s"`), reply(), No, "ip saddr is 10.10.92.2"},
		{match("==", payload("ip", "saddr"), `"@nosuch"`), reply(), Unknown, "not modelled"},
		{match("==", `{"concat":[`+payload("ip", "daddr")+","+payload("udp", "dport")+`]}`, `"@pairs"`), reply(), Yes, ""},
		{match("==", `{"concat":[`+payload("ip", "daddr")+","+payload("udp", "dport")+`]}`, `"@pairs"`), ping, No, "not udp"},
		{match("==", payload("udp", "dport"), `68`), reply(), Yes, ""},
		{match("!=", payload("tcp", "dport"), `68`), reply(), No, "the packet is not tcp"},
		{match("==", payload("th", "dport"), `{"set":[67,{"range":[68,69]}]}`), reply(), Yes, ""},
		{match(">", payload("udp", "dport"), `68`), reply(), No, "udp dport is 68"},
		{match(">=", payload("udp", "dport"), `68`), reply(), Yes, ""},
		{match("<", payload("udp", "dport"), `68`), reply(), No, ""},
		{match("<=", payload("udp", "dport"), `68`), reply(), Yes, ""},
		{match("==", payload("tcp", "flags"), `"syn"`), tcp(flagSYN), Yes, ""},
		{match("in", payload("tcp", "flags"), `["fin","rst"]`), tcp(flagSYN), No, ""},
		{match("in", payload("tcp", "flags"), `["fin","syn"]`), tcp(flagSYN), Yes, ""},
		{match("!", payload("tcp", "flags"), `"syn"`), tcp(flagSYN), No, ""},
		{match("==", `{"&":[`+payload("tcp", "flags")+`,["fin","syn","rst","ack"]]}`, `"syn"`), tcp(flagSYN | flagPSH), Yes, ""},
		{match("==", payload("icmp", "type"), `{"set":["echo-request","echo-reply"]}`), ping, Yes, ""},
		{match("==", payload("icmpv6", "type"), `"nd-router-advert"`), solicit, Yes, ""},
		{match("==", payload("icmpv6", "type"), `"nd-router-advert"`), ping, No, "the packet is not"},
		{match("!=", `{"&":[`+payload("ip", "frag-off")+`,8191]}`, `0`), reply(), No, ""},
		{match("!=", `{"&":[`+payload("ip", "frag-off")+`,16384]}`, `0`), reply(), Unknown, ""},
		{match("==", payload("ip", "ttl"), `1`), reply(), Unknown, "not modelled"},
		{match("==", payload("ip", "ttl"), `1`), solicit, No, "the packet is not IPv4"},
		{match("==", payload("ether", "saddr"), `"fa:16:3e:00:00:02"`), reply(), Yes, ""},
		{match("==", meta("iifname"), `"brq*"`), reply(), Yes, ""},
		{match("==", meta("iifname"), `"tap*"`), reply(), No, "iifname is brq91e78b9c-cf"},
		{match("==", meta("iifname"), `"brq91e78b9c-cf\\*"`), reply(), No, ""},
		{match("==", meta("oif"), `{"set":["lo","brq91e78b9c-cf"]}`), reply(), Yes, ""},
		{match("==", meta("oif"), `7`), reply(), Unknown, ""},
		{match("==", meta("iifname"), `{"set":[{"range":["",""]}]}`), reply(), Unknown, ""},
		{match("==", meta("oifname"), `{"set":["*"]}`), reply(), Yes, ""},
		{match("==", meta("l4proto"), `{"set":["icmp","udp"]}`), reply(), Yes, ""},
		{match("==", meta("nfproto"), `"ipv6"`), reply(), No, ""},
		{match("==", meta("protocol"), `"ip6"`), solicit, Yes, ""},
		{match("==", meta("pkttype"), `"broadcast"`), request(), Yes, ""},
		{match("==", meta("pkttype"), `"host"`), reply(), Yes, ""},
		{match("==", meta("mark"), `0`), reply(), Yes, ""},
		{match("!=", `{"&":[`+meta("mark")+`,1]}`, `0`), reply(), No, "meta mark is 0x00000000"},
		{match("==", meta("skuid"), `0`), reply(), No, "no socket"},
		{match("==", meta("hour"), `{"range":["10:00","11:00"]}`), reply(), Unknown, ""},
		{match("==", meta("cpu"), `0`), reply(), Unknown, "not modelled"},
		{match("in", ct("state"), `["established","related"]`), reply(), No, "ct state is new"},
		{match("in", ct("state"), `["established","related"]`), established, Yes, ""},
		{match("==", ct("state"), `{"set":["established","related"]}`), established, Yes, ""},
		{match("!=", ct("state"), `["established","related"]`), established, Yes, ""}, // the kernel compares with both bits
		{match("!=", ct("state"), `"invalid"`), reply(), Yes, ""},
		{match("in", ct("status"), `"dnat"`), reply(), No, ""},
		{match("in", ct("status"), `"dnat"`), established, Unknown, ""},
		{match("==", ct("direction"), `"original"`), reply(), Yes, ""},
		{match("==", ct("mark"), `0`), reply(), Unknown, ""},
		{match("==", ct("mark"), `0`), solicit, No, "belongs to no connection"},
		{match("==", `{"fib":{"result":"type","flags":["daddr"]}}`, `"local"`), reply(), Unknown, "routes"},
		{match("==", `{"fib":{"result":"type","flags":["daddr"]}}`, `"local"`), located, Yes, ""},
		{match("==", `{"fib":{"result":"type","flags":["saddr"]}}`, `{"set":["local","broadcast"]}`), located, No, "is unicast"},
		{match("==", `{"fib":{"result":"type","flags":["daddr"]}}`, `"broadcast"`), request(), Yes, ""},
		{match("==", `{"fib":{"result":"oif","flags":["saddr","iif"]}}`, `false`), reply(), Unknown, ""},
		{match("==", `{"payload":{"base":"nh","offset":0,"len":8}}`, `64`), reply(), Unknown, ""},
		{match("==", `{"exthdr":{"name":"hbh"}}`, `true`), solicit, Unknown, ""},
		{match("==", `{"tcp option":{"name":"maxseg","field":"size"}}`, `5`), reply(), No, "not tcp"},
		{match("~", meta("mark"), `0`), reply(), Unknown, "not modelled"},
		{`{"limit":{"rate":1,"per":"second"}}`, reply(), Unknown, "traffic"},
		{`{"quota":{"val":1,"val_unit":"mbytes"}}`, reply(), Unknown, "quota"},
		{`{"ct count":{"val":1}}`, reply(), Unknown, "connections"},
		{`{"xt":{"type":"match","name":"physdev"}}`, reply(), Unknown, "iptables-nft-save"},
		{`{"xt":{"type":"match","name":"comment"}}`, reply(), Yes, ""},
		{`{"something new":{"a":1}}`, reply(), Unknown, "not modelled"},
		{`{"log":{"prefix":"x"}},{"counter":null},{"notrack":null}`, reply(), Yes, ""},
	} {
		d := Evaluate(oneChain(t, "inet", "forward", sets, c.match+`,{"drop":null}`), Forward, c.p)
		if got := d.Walk[0].Result; got != c.want || !strings.Contains(explain(d), c.fact) {
			t.Errorf("%s, %v: %v, want %v\n%s", c.match, c.p, got, c.want, explain(d))
		}
	}
}

func TestWhatIsNotUnderstoodIsNeverSkipped(t *testing.T) {
	for _, rule := range []string{
		`{"something new":{"a":1}}`, `{"xt":{"type":"target","name":"REJECT"}}`, `{"xt":null}`, `{"synproxy":{"mss":1460}}`,
		`{"vmap":{"key":{"meta":{"key":"iifname"}},"data":"@nosuch"}}`, `{"jump":{"target":"nosuch"}}`, `7`, `{"a":1,"b":2}`,
		`{"queue":null}`, `{"fwd":{"dev":"lo"}}`, `{"vmap":{"key":{"meta":{"key":"l4proto"}},"data":{"set":[["udp",{"strange":null}]]}}}`,
	} {
		d := Evaluate(oneChain(t, "inet", "forward", "", rule), Forward, reply())
		if d.Verdict != Undecided || len(d.Blockers) == 0 || !strings.Contains(d.Blockers[0].String(), "inet t c rule 1: ") {
			t.Errorf("%s: %v %v", rule, d, d.Blockers)
		}
	}
}

func TestVerdictMaps(t *testing.T) {
	rule := func(key, elems string) string {
		return fmt.Sprintf(`{"vmap":{"key":%s,"data":{"set":[%s]}}}`, key, elems)
	}
	const dport, limit = `{"payload":{"protocol":"udp","field":"dport"}}`, `{"limit":{"rate":1,"per":"second"}}`
	for _, c := range []struct {
		name, rule string
		want       Verdict
		certain    bool
	}{
		{"hit", rule(dport, `[67,{"accept":null}],[68,{"drop":null}]`), Drop, true},
		{"miss", rule(dport, `[1,{"drop":null}]`), Reject, true},
		{"range", rule(dport, `[{"range":[60,70]},{"drop":null}]`), Drop, true},
		{"rest", rule(dport, `[1,{"accept":null}],["*",{"drop":null}]`), Drop, true},
		{"rest of a hit", rule(dport, `["*",{"accept":null}],[68,{"drop":null}]`), Drop, true},
		{"return", rule(dport, `[68,{"return":null}]`), Accept, true},
		{"continue", rule(dport, `[68,{"continue":null}]`), Reject, true},
		{"jump", rule(dport, `[68,{"jump":{"target":"other"}}]`), Reject, true},
		{"goto", rule(dport, `[68,{"goto":{"target":"other"}}]`), Accept, true},
		{"not udp", rule(`{"payload":{"protocol":"tcp","field":"dport"}}`, `["*",{"drop":null}]`), Reject, true},
		{"unknown key", rule(`{"meta":{"key":"cpu"}}`, `[0,{"drop":null}],[1,{"accept":null}]`), Undecided, false},
		{"unknown key, one end", rule(`{"meta":{"key":"cpu"}}`, `[0,{"drop":null}],[1,{"drop":null}]`), Reject, false},
		{"unknown key, return", rule(`{"meta":{"key":"cpu"}}`, `[0,{"return":null}]`), Undecided, false},
		{"unknown before", limit + "," + rule(dport, `[68,{"accept":null}]`), Undecided, false},
	} {
		d := Evaluate(oneChain(t, "inet", "forward", "", c.rule, `{"reject":{"type":"icmpx","expr":"admin-prohibited"}}`), Forward, reply())
		want := c.want
		if c.name == "unknown key, one end" {
			want = Drop // the first of the two ways to be lost
		}
		if d.Verdict != want || d.Certain() != c.certain || want == Undecided && len(d.Blockers) == 0 {
			t.Errorf("%s: %v, certain %v, blockers %v; want %v\n%s", c.name, d, d.Certain(), d.Blockers, want, explain(d))
		}
	}
}

func TestMarksAreFollowedThroughARule(t *testing.T) {
	set := func(value string) string {
		return `{"mangle":{"key":{"meta":{"key":"mark"}},"value":` + value + `}}`
	}
	const mark = `{"meta":{"key":"mark"}}`
	is := func(n string) string {
		return `{"match":{"op":"==","left":` + mark + `,"right":` + n + `}},{"drop":null}`
	}
	for _, c := range []struct {
		name  string
		rules []string
		want  Verdict
	}{
		{"set", []string{set("5"), is("5")}, Drop},
		{"set in the same rule", []string{set("5") + "," + is("5")}, Drop},
		{"set in a rule that fails", []string{set("5") + `,{"match":{"op":"==","left":{"meta":{"key":"l4proto"}},"right":"tcp"}}`, is("5")}, Drop},
		{"set behind a match that fails", []string{`{"match":{"op":"==","left":{"meta":{"key":"l4proto"}},"right":"tcp"}},` + set("5"), is("5")}, Accept},
		{"or", []string{set("1"), set(`{"|":[` + mark + `,4]}`), is("5")}, Drop},
		{"and", []string{set("7"), set(`{"&":[` + mark + `,4]}`), is("4")}, Drop},
		{"xor and and", []string{set("7"), set(`{"^":[{"&":[` + mark + `,4]},1]}`), is("5")}, Drop},
		{"from a map", []string{set(`{"map":{"key":{"payload":{"protocol":"ip","field":"saddr"}},"data":{"set":[["10.10.92.2",5]]}}}`), is("5")}, Undecided},
		{"from a map without it", []string{set(`{"map":{"key":{"payload":{"protocol":"ip","field":"saddr"}},"data":{"set":[["10.10.92.3",5]]}}}`), is("5")}, Accept},
		{"from the connection", []string{set(`{"ct":{"key":"mark"}}`), is("5")}, Undecided},
		{"perhaps set", []string{`{"limit":{"rate":1,"per":"second"}},` + set("5"), is("5")}, Undecided},
		{"packet type", []string{`{"mangle":{"key":{"meta":{"key":"pkttype"}},"value":"host"}}`, `{"match":{"op":"==","left":{"meta":{"key":"pkttype"}},"right":"broadcast"}},{"drop":null}`}, Undecided},
		{"address", []string{`{"mangle":{"key":{"payload":{"protocol":"ip","field":"saddr"}},"value":"1.1.1.1"}}`, `{"match":{"op":"==","left":{"payload":{"protocol":"ip","field":"saddr"}},"right":"10.10.92.2"}},{"drop":null}`}, Undecided},
		{"traffic class only", []string{`{"mangle":{"key":{"payload":{"protocol":"ip","field":"dscp"}},"value":"cs2"}}`, `{"match":{"op":"==","left":{"payload":{"protocol":"ip","field":"daddr"}},"right":"10.10.92.11"}},{"drop":null}`}, Drop},
	} {
		if d := Evaluate(oneChain(t, "inet", "forward", "", c.rules...), Forward, reply()); d.Verdict != c.want {
			t.Errorf("%s: %v, want %v\n%s", c.name, d, c.want, explain(d))
		}
	}
}

func TestSetsThatRulesChangeAreNotCertain(t *testing.T) {
	const set = `{"set":{"family":"inet","name":"s","table":"t","type":"ipv4_addr","size":2,"elem":["10.10.92.2"]}}`
	asks := func(addr string) string {
		return `{"match":{"op":"==","left":{"payload":{"protocol":"ip","field":"` + addr + `"}},"right":"@s"}},{"drop":null}`
	}
	change := func(op string) string {
		return `{"set":{"op":"` + op + `","elem":{"payload":{"protocol":"ip","field":"daddr"}},"set":"@s"}}`
	}
	for _, c := range []struct {
		rules []string
		want  Verdict
	}{
		{[]string{asks("saddr")}, Drop},
		{[]string{asks("daddr")}, Accept},
		{[]string{change("add"), asks("saddr")}, Drop},
		{[]string{change("add"), asks("daddr")}, Undecided},
		{[]string{change("delete"), asks("saddr")}, Undecided},
		{[]string{asks("daddr"), change("add")}, Accept}, // not by this packet, and it was not listed
		{[]string{`{"match":{"op":"==","left":{"meta":{"key":"l4proto"}},"right":"tcp"}},` + change("add"), asks("daddr")}, Accept},
		{[]string{change("add") + `,{"drop":null}`}, Drop},
	} {
		if d := Evaluate(oneChain(t, "inet", "forward", set, c.rules...), Forward, reply()); d.Verdict != c.want {
			t.Errorf("%v: %v, want %v\n%s", c.rules, d, c.want, explain(d))
		}
	}
}

func TestTheTablesOfAPacketsFamilyAndLayerAreAsked(t *testing.T) {
	arp := ARPRequest(clientMAC, client, server, Way{tap, uplink, brq})
	advert := RouterAdvertisement(serverMAC, netip.MustParseAddr("fe80::1"), Way{uplink, tap, brq})
	for _, c := range []struct {
		family string
		layer  Layer
		p      Packet
		want   Verdict
	}{
		{"ip", LayerIP, reply(), Drop},
		{"ip", LayerIP, advert, Accept},
		{"ip", LayerIP, Packet{}, Undecided},
		{"ip6", LayerIP, reply(), Accept},
		{"ip6", LayerIP, advert, Drop},
		{"inet", LayerIP, reply(), Drop},
		{"inet", LayerIP, advert, Drop},
		{"inet", LayerIP, arp, Accept},
		{"inet", LayerIP, Packet{}, Undecided},
		{"inet", LayerBridge, reply(), Accept},
		{"bridge", LayerIP, reply(), Accept},
		{"bridge", LayerBridge, reply(), Drop},
		{"bridge", LayerBridge, arp, Drop},
		{"arp", LayerARP, arp, Drop},
		{"arp", LayerARP, reply(), Accept},
		{"arp", LayerARP, Packet{}, Undecided},
		{"arp", LayerBridge, arp, Accept},
	} {
		d := c.layer.Traverse(oneChain(t, c.family, "forward", "", `{"drop":null}`), c.p, Forward)
		if d.Verdict != c.want {
			t.Errorf("table %s at layer %d, %v: %v, want %v", c.family, c.layer, c.p, d.Verdict, c.want)
		}
	}
}

func TestABridgeShowsItsPorts(t *testing.T) {
	is := func(key, name string) string {
		return fmt.Sprintf(`{"match":{"op":"==","left":{"meta":{"key":%q}},"right":%q}},{"drop":null}`, key, name)
	}
	for _, c := range []struct {
		hook Hook
		rule string
		want Tri
	}{
		{Forward, is("iifname", tap), Yes},
		{Forward, is("oifname", uplink), Yes},
		{Forward, is("ibrname", brq), Yes},
		{Prerouting, is("iifname", tap), Yes},
		{Prerouting, is("oifname", uplink), No},
		{Postrouting, is("iifname", tap), No},
		{Postrouting, is("oifname", uplink), Yes},
		{Forward, is("pkttype", "host"), No},
		{Forward, is("pkttype", "other"), Yes},
		{Forward, `{"match":{"op":"in","left":{"ct":{"key":"state"}},"right":"new"}},{"drop":null}`, Unknown},
		{Forward, `{"match":{"op":"==","left":{"payload":{"protocol":"ether","field":"type"}},"right":"ip"}},{"drop":null}`, Yes},
		{Forward, `{"match":{"op":"==","left":{"payload":{"protocol":"vlan","field":"id"}},"right":5}},{"drop":null}`, No},
		{Forward, `{"match":{"op":"==","left":{"payload":{"protocol":"arp","field":"operation"}},"right":"request"}},{"drop":null}`, No},
	} {
		d := LayerBridge.Traverse(oneChain(t, "bridge", strings.ToLower(string(c.hook)), "", c.rule), reply(), c.hook)
		if d.Walk[0].Result != c.want {
			t.Errorf("%s, %s: %v, want %v\n%s", c.hook, c.rule, d.Walk[0].Result, c.want, explain(d))
		}
	}
	tagged := reply()
	tagged.VLAN = Is[uint16](5)
	for rule, want := range map[string]Verdict{
		`{"match":{"op":"==","left":{"payload":{"protocol":"vlan","field":"id"}},"right":5}},{"drop":null}`:          Drop,
		`{"match":{"op":"==","left":{"payload":{"protocol":"ether","field":"type"}},"right":"ip"}},{"drop":null}`:    Accept,
		`{"match":{"op":"==","left":{"payload":{"protocol":"ether","field":"type"}},"right":"8021q"}},{"drop":null}`: Drop,
		`{"match":{"op":"==","left":{"payload":{"protocol":"vlan","field":"type"}},"right":"ip"}},{"drop":null}`:     Drop,
	} {
		if d := LayerBridge.Traverse(oneChain(t, "bridge", "forward", "", rule), tagged, Forward); d.Verdict != want {
			t.Errorf("tagged, %s: %v, want %v", rule, d.Verdict, want)
		}
	}
}

func TestChainsOfADevice(t *testing.T) {
	listing := func(device string) string {
		return `{"nftables":[{"table":{"family":"netdev","name":"t"}},{"chain":{"family":"netdev","table":"t","name":"c","handle":1,` + device + `"type":"filter","hook":"ingress","prio":0,"policy":"drop"}}]}`
	}
	for _, c := range []struct {
		device, at string
		want       Verdict
	}{
		{`"dev":"eth0",`, "eth0", Drop},
		{`"dev":"eth0",`, "eth1", Accept},
		{`"dev":["eth0","eth1"],`, "eth1", Drop},
		{`"dev":["tap*"],`, "tap1", Drop},
		{``, "eth0", Undecided}, // nft 1.0.6 does not list it
	} {
		if d := TraverseDevice(parseNFT(t, listing(c.device)), reply(), Ingress, c.at); d.Verdict != c.want {
			t.Errorf("%s at %s: %v, want %v", c.device, c.at, d.Verdict, c.want)
		}
		if d := Traverse(parseNFT(t, listing(c.device)), reply(), Prerouting, Forward); d.Verdict != Accept {
			t.Errorf("%s at the IP layer: %v", c.device, d.Verdict)
		}
	}
}

func TestTablesLikeThoseOfIPTables(t *testing.T) {
	for file, want := range map[string]int{
		"nft_docker_iptables.json": 2, "nft_ebtables_neutron.json": 1, "nft_arptables.json": 3, "nft_firewalld.json": 0,
		"nft_docker.json": 0, "nft_kube.json": 0, "nft_server.json": 0, "nft_everything.json": 0,
	} {
		rs := native(t, file)
		left := rs.Without((*Table).LikeIPTables)
		if got := len(rs.Tables) - len(left.Tables); got != want {
			t.Errorf("%s: %d tables are iptables', want %d", file, got, want)
		}
	}
	// Lower-case chains are an administrator's.
	rs := parseNFT(t, `{"nftables":[{"table":{"family":"ip","name":"filter"}},{"chain":{"family":"ip","table":"filter","name":"forward","type":"filter","hook":"forward","prio":0,"policy":"drop"}}]}`)
	if rs.Tables[0].LikeIPTables() {
		t.Error("a native table named filter is taken for one of iptables")
	}
}

func TestMergedViewsSeeWhatTheOthersDid(t *testing.T) {
	marks := parse(t, table("mangle", "ACCEPT", "-A PREROUTING -j MARK --set-xmark 0x1/0xffffffff"))
	drops := oneChain(t, "inet", "forward", "", `{"match":{"op":"==","left":{"meta":{"key":"mark"}},"right":1}},{"drop":null}`)
	if d := Traverse(Merge(marks, drops), reply(), Prerouting, Forward); d.Verdict != Drop {
		t.Errorf("merged: %v\n%s", d, explain(d))
	}
	if d := Traverse(drops, reply(), Prerouting, Forward); d.Verdict != Accept {
		t.Errorf("alone: %v", d)
	}
}

func TestChainsOfOnePriorityAreCalledLastFirst(t *testing.T) {
	chain := func(name string, prio int, hook, kind, policy string) string {
		return fmt.Sprintf(`{"chain":{"family":"inet","table":"t","name":%q,"handle":1,"type":%q,"hook":%q,"prio":%d,"policy":%q}}`, name, kind, hook, prio, policy)
	}
	for _, c := range []struct{ chains, want string }{
		{chain("a", 0, "forward", "filter", "drop") + "," + chain("b", 0, "forward", "filter", "drop"), "b"},
		{chain("a", -1, "forward", "filter", "drop") + "," + chain("b", 0, "forward", "filter", "drop"), "a"},
		{chain("late", 50, "prerouting", "filter", "drop") + "," + chain("nat", 100, "prerouting", "nat", "drop"), "nat"},
	} {
		d := Traverse(parseNFT(t, `{"nftables":[{"table":{"family":"inet","name":"t"}},`+c.chains+`]}`), reply(), Prerouting, Forward)
		if d.Verdict != Drop || d.Chain != c.want {
			t.Errorf("%s: %v, want %s", c.chains, d.Ending, c.want)
		}
	}
}

func TestParseNFTRefuses(t *testing.T) {
	const head = `{"nftables":[{"table":{"family":"ip","name":"t"}}`
	for _, c := range []struct {
		name, text string
		is         error
		say        string
	}{
		{"nothing", "", ErrTruncated, "line 1"},
		{"cut", head, ErrTruncated, "line 1"},
		{"cut in a word", head + `,{"cha`, ErrTruncated, ""},
		{"no JSON", "table inet t {", nil, "at character"},
		{"bad in line 2", head + ",\n  oops]}", nil, "line 2: at character 3"},
		{"not the listing", `{"a":1}`, nil, "nftables"},
		{"a list", `[]`, nil, "line 1"},
		{"more behind it", head + `]} x`, nil, "more text"},
		{"table twice", head + `,{"table":{"family":"ip","name":"t"}}]}`, nil, "twice"},
		{"chain twice", head + `,{"chain":{"family":"ip","table":"t","name":"c"}},{"chain":{"family":"ip","table":"t","name":"c"}}]}`, nil, "twice"},
		{"chain without table", head + `,{"chain":{"family":"ip6","table":"t","name":"c"}}]}`, nil, "object 2"},
		{"set without table", head + `,{"set":{"family":"ip6","table":"t","name":"c"}}]}`, nil, "set c"},
		{"rule without table", head + `,{"rule":{"family":"ip6","table":"t","chain":"c"}}]}`, nil, "not listed"},
		{"rule without chain", head + `,{"rule":{"family":"ip","table":"t","chain":"c"}}]}`, nil, "chain c"},
		{"wrong type", head + `,{"rule":5}]}`, nil, "line 1"},
	} {
		rs, err := ParseNFT(c.text)
		var place *ParseError
		if rs != nil || !errors.As(err, &place) || !strings.Contains(err.Error(), c.say) || !strings.Contains(err.Error(), "nft -j list ruleset") {
			t.Errorf("%s: %v, %v", c.name, rs, err)
		}
		if c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s: %v is not %v", c.name, err, c.is)
		}
	}
	if rs := parseNFT(t, `{"nftables":[{"metainfo":{"version":"1.0.6"}}]}`); len(rs.Tables) != 0 || rs.Generator != "nft 1.0.6" {
		t.Errorf("%+v", rs)
	}
}

// nftCounts is a chain with the given rules.
func nftCounts(t *testing.T, rules ...string) *Ruleset {
	t.Helper()
	return parseNFT(t, `{"nftables":[{"table":{"family":"inet","name":"t"}},{"chain":{"family":"inet","table":"t","name":"c","handle":1,"type":"filter","hook":"forward","prio":0,"policy":"drop"}}`+strings.Join(rules, "")+`]}`)
}

func countingRule(handle, packets int) string {
	return fmt.Sprintf(`,{"rule":{"family":"inet","table":"t","chain":"c","handle":%d,"expr":[{"counter":{"packets":%d,"bytes":%d}},{"drop":null}]}}`, handle, packets, 100*packets)
}

const silentRule = `,{"rule":{"family":"inet","table":"t","chain":"c","handle":9,"expr":[{"accept":null}]}}`

func TestSubPairsRulesOfNFTByHandle(t *testing.T) {
	before := nftCounts(t, countingRule(2, 5), countingRule(3, 7), silentRule)
	after := nftCounts(t, countingRule(2, 8), countingRule(3, 7), silentRule)
	growth, err := after.Sub(before)
	if err != nil || len(growth) != 2 || growth[0].Packets != 3 || growth[0].Bytes != 300 || growth[1].Packets != 0 {
		t.Errorf("%+v, %v", growth, err)
	}
	if g, ok := GrowthOf(growth, before.Tables[0].Chains[0].Rules[0]); !ok || g.Packets != 3 {
		t.Errorf("%+v, %v", g, ok)
	}
	if _, ok := GrowthOf(growth, after.Tables[0].Chains[0].Rules[2]); ok {
		t.Error("a rule without a counter has growth")
	}
}

func TestSubSaysWhenRulesOfNFTChanged(t *testing.T) {
	before := nftCounts(t, countingRule(2, 5), countingRule(3, 7), silentRule)
	var change *StructureChange
	growth, err := nftCounts(t, countingRule(4, 8), countingRule(3, 9)).Sub(before)
	if !errors.As(err, &change) || len(change.Added) != 1 || len(change.Gone) != 2 || len(growth) != 1 || growth[0].Packets != 2 {
		t.Errorf("%+v, %v", growth, err)
	}
	if _, err := nftCounts(t, countingRule(2, 1)).Sub(before); err == nil || !strings.Contains(err.Error(), "inet t c: counter packets 1 bytes 100 drop # handle 2") {
		t.Error(err)
	}
	if _, err := nftCounts(t, silentRule).Sub(nftCounts(t, silentRule)); !errors.Is(err, ErrNoCounters) {
		t.Errorf("nothing counts: %v", err)
	}
}

func TestACounterInFrontOfAMatchIsNotTheRules(t *testing.T) {
	r := oneChain(t, "inet", "forward", "", `{"counter":{"packets":5,"bytes":6}},{"match":{"op":"==","left":{"meta":{"key":"mark"}},"right":1}},{"drop":null}`).Tables[0].Chains[1].Rules[0]
	if r.Counted || !strings.HasPrefix(r.Line(), "counter packets 5 bytes 6 meta mark") || r.Spec != "counter meta mark 0x00000001 drop" {
		t.Errorf("%+v, %s", r, r.Line())
	}
}

func FuzzParseNFT(f *testing.F) {
	for _, name := range []string{"nft_everything.json", "nft_firewalld.json", "nft_docker.json", "nft_kube.json", "nft_server.json", "nft_ebtables_neutron.json", "nft_arptables.json", "nft_docker_iptables.json"} {
		f.Add(sample(f, name))
	}
	f.Fuzz(func(t *testing.T, text string) {
		rs, err := ParseNFT(text)
		if err != nil {
			return
		}
		for _, l := range []Layer{LayerIP, LayerBridge, LayerARP} {
			for _, p := range []Packet{{}, request(), reply(), ARPRequest(clientMAC, client, server, Way{tap, uplink, brq})} {
				d := l.Traverse(rs, p, Prerouting, Forward, Postrouting)
				if d.Verdict == Undecided && len(d.Possible) == 0 {
					t.Errorf("no ending for %v", p)
				}
				d.Explain()
			}
		}
		TraverseDevice(rs, reply(), Ingress, "eth0")
	})
}

// listing5000 is 5,000 rules as nodes have them: chains of ports that verdict
// maps lead to, sets, states and counters.
func listing5000() string {
	var b strings.Builder
	b.WriteString(`{"nftables": [{"metainfo": {"version": "1.0.6"}}, {"table": {"family": "inet", "name": "t", "handle": 1}}`)
	b.WriteString(`, {"chain": {"family": "inet", "table": "t", "name": "FORWARD", "handle": 1, "type": "filter", "hook": "forward", "prio": 0, "policy": "accept"}}`)
	for i := range 250 {
		fmt.Fprintf(&b, `, {"chain": {"family": "inet", "table": "t", "name": "vm%d", "handle": %d}}`, i, i+2)
	}
	for i := range 250 {
		for j := range 19 {
			fmt.Fprintf(&b, `, {"rule": {"family": "inet", "table": "t", "chain": "vm%d", "handle": %d, "expr": [{"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "daddr"}}, "right": {"set": ["10.0.%d.%d", {"prefix": {"addr": "10.1.%d.0", "len": 24}}]}}}, {"match": {"op": "==", "left": {"payload": {"protocol": "udp", "field": "dport"}}, "right": 68}}, {"counter": {"packets": 0, "bytes": 0}}, {"return": null}]}}`, i, 1000+20*i+j, i, j, i)
		}
		fmt.Fprintf(&b, `, {"rule": {"family": "inet", "table": "t", "chain": "FORWARD", "handle": %d, "expr": [{"limit": {"rate": 5, "burst": 5, "per": "minute"}}, {"counter": {"packets": 0, "bytes": 0}}, {"jump": {"target": "vm%d"}}]}}`, 10000+i, i)
	}
	b.WriteString(`, {"rule": {"family": "inet", "table": "t", "chain": "FORWARD", "handle": 20000, "expr": [{"counter": {"packets": 0, "bytes": 0}}, {"reject": {"type": "icmpx", "expr": "admin-prohibited"}}]}}]}`)
	return b.String()
}

func BenchmarkParseNFT5000(b *testing.B) {
	text := listing5000()
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseNFT(text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEvaluateNFT5000(b *testing.B) {
	rs := parseNFT(b, listing5000())
	p := reply()
	b.ResetTimer()
	for b.Loop() {
		if d := Evaluate(rs, Forward, p); d.Verdict != Reject {
			b.Fatal(d)
		}
	}
}
