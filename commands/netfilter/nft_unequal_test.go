package netfilter

import (
	"net/netip"
	"testing"
)

// Two "!=" side by side may be one comparison in the kernel: only where both
// readings agree is anything said.
func TestNFTUnequalRun(t *testing.T) {
	t.Parallel()
	const rules = `{"nftables": [{"metainfo": {"json_schema_version": 1}}, {"table": {"family": "ip", "name": "t", "handle": 1}},
{"chain": {"family": "ip", "table": "t", "name": "c", "handle": 1, "type": "filter", "hook": "forward", "prio": 0, "policy": "accept"}},
{"rule": {"family": "ip", "table": "t", "chain": "c", "handle": 2, "expr": [
{"match": {"op": "!=", "left": {"payload": {"protocol": "udp", "field": "sport"}}, "right": 67}},
{"match": {"op": "!=", "left": {"payload": {"protocol": "udp", "field": "dport"}}, "right": 68}}, {"drop": null}]}}]}`
	rs, err := ParseNFT(rules)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		sport, dport uint16
		want         Verdict
	}{{67, 68, Accept}, {1, 2, Drop}, {67, 2, Undecided}, {1, 68, Undecided}} {
		p := Packet{Family: IPv4, Proto: Is(ProtoUDP), Sport: Is(c.sport), Dport: Is(c.dport), CT: CTNew}
		if got := LayerIP.Traverse(rs, p, Forward); got.Verdict != c.want {
			t.Errorf("%d to %d: %s, want %s", c.sport, c.dport, got.Verdict, c.want)
		}
	}
}

// The first bytes of a field, which are listed as a prefix, are merged as well.
func TestNFTUnequalRunWithPrefix(t *testing.T) {
	t.Parallel()
	const rules = `{"nftables": [{"metainfo": {"json_schema_version": 1}}, {"table": {"family": "ip", "name": "t", "handle": 1}},
{"chain": {"family": "ip", "table": "t", "name": "c", "handle": 1, "type": "filter", "hook": "forward", "prio": 0, "policy": "accept"}},
{"rule": {"family": "ip", "table": "t", "chain": "c", "handle": 2, "expr": [
{"match": {"op": "!=", "left": {"payload": {"protocol": "ip", "field": "protocol"}}, "right": "tcp"}},
{"match": {"op": "!=", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": {"prefix": {"addr": "10.0.0.0", "len": 8}}}}, {"drop": null}]}}]}`
	rs, err := ParseNFT(rules)
	if err != nil {
		t.Fatal(err)
	}
	p := Packet{Family: IPv4, Proto: Is(ProtoUDP), Src: netip.MustParseAddr("10.1.2.3"), CT: CTNew}
	if got := LayerIP.Traverse(rs, p, Forward); got.Verdict != Undecided {
		t.Errorf("udp from 10.1.2.3: %s, want %s", got.Verdict, Undecided)
	}
	p.Src = netip.MustParseAddr("192.0.2.1")
	if got := LayerIP.Traverse(rs, p, Forward); got.Verdict != Drop {
		t.Errorf("udp from 192.0.2.1: %s, want %s", got.Verdict, Drop)
	}
}
