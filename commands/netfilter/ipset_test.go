package netfilter

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func ipsets(t testing.TB, text string) *IPSets {
	t.Helper()
	sets, err := ParseIPSets(text)
	if err != nil {
		t.Fatal(err)
	}
	return sets
}

func TestMatchSet(t *testing.T) {
	sets := ipsets(t, sample(t, "ipset.txt"))
	extra := ipsets(t, "create pair hash:net,net family inet\nadd pair 10.10.0.0/16,10.10.92.11\ncreate mac hash:mac\nadd mac fa:16:3e:00:00:02\ncreate mk hash:ip,mark\nadd mk 10.10.92.2,0x0\n"+
		"create strange hash:net,something\nadd strange 1.1.1.1,x\ncreate range bitmap:port range 0-1000\nadd range 60-70\ncreate masked hash:ip family inet bitmask 255.0.255.0\n"+
		"create quoted hash:net comment\nadd quoted 10.0.0.0/8 comment \"a nomatch b\"\n")
	for name, set := range extra.byName {
		sets.byName[name] = set
	}
	other := reply()
	other.Src = netip.MustParseAddr("10.11.0.1")
	byEth0 := other
	byEth0.In = Is("eth0")
	v6 := RouterAdvertisement(serverMAC, netip.MustParseAddr("fe80::1"), Way{tap, uplink, brq})
	for _, c := range []struct {
		match string
		p     Packet
		want  Tri
	}{
		{"a src", reply(), Yes},
		{"a dst", reply(), No},
		{"a src", v6, No},
		{"n src", reply(), No}, // 10.10/16 is nomatch in 10/8
		{"n src", other, Yes},
		{"ip src,src", reply(), Yes},
		{"ip src,dst", reply(), No},
		{"ip src,src", icmp(8, 0), Unknown},
		{"ip src", reply(), Unknown},
		{"l src", other, Yes},
		{"l src", reply(), Yes},
		{"l dst", reply(), No},
		{"b src", reply(), No},
		{"bp src", reply(), Yes},
		{"bp dst", reply(), No},
		{"range dst", reply(), Yes},
		{"ni src,src", reply(), Yes}, // by its port
		{"ni src,src", byEth0, Yes},
		{"ni src,dst", reply(), No},
		{"bm src,src", reply(), No},
		{"hn src", reply(), Yes},
		{"hn src", other, No},
		{"n6 src", v6, Yes},
		{"n6 src", reply(), No},
		{"pair src,dst", reply(), Yes},
		{"mac src", reply(), Yes},
		{"mk src,src", reply(), Yes},
		{"strange src,src", reply(), Unknown},
		{"masked src", reply(), Unknown},
		{"quoted src", reply(), Yes},
		{"nosuch src", reply(), Unknown},
		{"a sideways", reply(), Unknown},
	} {
		for _, not := range []string{"", "! "} {
			want := c.want
			if not != "" {
				want = want.not()
			}
			rs := filter(t, "ACCEPT", "-A FORWARD -m set "+not+"--match-set "+c.match+" -j DROP")
			d := Evaluate(rs.WithSets(sets), Forward, c.p)
			if got := d.Walk[0].Result; got != want {
				t.Errorf("%s%s, %v: %v, want %v\n%s", not, c.match, c.p, got, want, explain(d))
			}
			if d := Evaluate(rs, Forward, c.p); d.Verdict != Undecided {
				t.Errorf("%s without the sets: %v", c.match, d.Verdict)
			}
		}
	}
}

func TestSetsThatTargetsChange(t *testing.T) {
	sets := ipsets(t, "create s hash:ip family inet\n")
	for text, want := range map[string]Verdict{
		table("filter", "ACCEPT", "-A FORWARD -j SET --add-set s src", "-A FORWARD -m set --match-set s src -j DROP"):        Undecided,
		table("filter", "ACCEPT", "-A FORWARD -p tcp -j SET --add-set s src", "-A FORWARD -m set --match-set s src -j DROP"): Accept,
		table("filter", "ACCEPT", "-A FORWARD -j SET --add-set other src", "-A FORWARD -m set --match-set s src -j DROP"):    Accept,
	} {
		if d := Evaluate(parse(t, text).WithSets(sets), Forward, reply()); d.Verdict != want {
			t.Errorf("%s: %v, want %v\n%s", text, d.Verdict, want, explain(d))
		}
	}
	if rs := parse(t, "").WithSets(nil); rs.ipsets != nil {
		t.Error("no sets are some")
	}
}

func TestParseIPSetsRefuses(t *testing.T) {
	for text, is := range map[string]error{
		"create a hash:ip\ncreate a hash:ip\n": nil, "add a 1.1.1.1\n": nil, "nonsense\n": nil,
		"create a\n": ErrTruncated, "create a hash:ip\nadd a\n": ErrTruncated,
	} {
		_, err := ParseIPSets(text)
		var place *ParseError
		if !errors.As(err, &place) || is != nil && !errors.Is(err, is) || !strings.Contains(err.Error(), "ipset save listing, line") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzParseIPSets(f *testing.F) {
	f.Add(sample(f, "ipset.txt"))
	rs, err := Parse("*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -m set --match-set l src,dst -j DROP\n-A FORWARD -m set --match-set ni src,dst -j DROP\n-A FORWARD -m set --match-set ip dst,src -j DROP\nCOMMIT\n")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(_ *testing.T, text string) {
		if sets, err := ParseIPSets(text); err == nil {
			Evaluate(rs.WithSets(sets), Forward, reply()).Explain()
			Evaluate(rs.WithSets(sets), Forward, Packet{}).Explain()
		}
	})
}
