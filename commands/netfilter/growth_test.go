package netfilter

import (
	"errors"
	"strings"
	"testing"
)

const counted = `*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [10:1000]
[5:500] -A FORWARD -j LOG
[7:700] -A FORWARD -p udp -j ACCEPT
[5:500] -A FORWARD -j LOG
COMMIT
`

func TestSubCountsPerRule(t *testing.T) {
	before := parse(t, counted)
	after := parse(t, strings.NewReplacer("[7:700]", "[10:1000]", ":FORWARD DROP [10:1000]", ":FORWARD DROP [12:1100]").Replace(
		strings.Replace(counted, "[5:500] -A FORWARD -j LOG\nCOMMIT", "[6:650] -A FORWARD -j LOG\nCOMMIT", 1)))
	growth, err := after.Sub(before)
	if err != nil {
		t.Fatal(err)
	}
	c := after.Chain("filter", "FORWARD")
	for i, want := range []uint64{0, 3, 1} {
		g, ok := GrowthOf(growth, c.Rules[i])
		if !ok || g.Packets != want {
			t.Errorf("rule %d: %+v, %v", i+1, g, ok)
		}
	}
	policies := 0
	for _, g := range growth {
		if g.Chain == c && g.Packets == 2 && g.Bytes == 100 {
			policies++
		}
	}
	if policies != 1 || len(growth) != 5 {
		t.Errorf("policy growth: %+v", growth)
	}
	// A decision made from another listing of the same rules finds its rule.
	if g, ok := GrowthOf(growth, before.Chain("filter", "FORWARD").Rules[1]); !ok || g.Bytes != 300 {
		t.Errorf("%+v, %v", g, ok)
	}
}

func TestSubSaysWhenTheStructureChanged(t *testing.T) {
	before := parse(t, counted)
	for _, c := range []struct {
		name, from, to string
		say            string
		paired         int
	}{
		{"added", "COMMIT", "[0:0] -A FORWARD -p tcp -j DROP\nCOMMIT", "1 added (filter: -A FORWARD -p tcp -j DROP)", 5},
		{"gone", "[7:700] -A FORWARD -p udp -j ACCEPT\n", "", "1 gone (filter: -A FORWARD -p udp -j ACCEPT (0 of 1 left))", 4},
		{"one of two alike gone", "[5:500] -A FORWARD -j LOG\nCOMMIT", "COMMIT", "1 gone (filter: -A FORWARD -j LOG (1 of 2 left))", 3},
		{"one more alike", "COMMIT", "[0:0] -A FORWARD -j LOG\nCOMMIT", "1 added (filter: -A FORWARD -j LOG)", 3},
		{"reset", "[7:700]", "[1:100]", "1 counters reset (filter: -A FORWARD -p udp -j ACCEPT)", 4},
		{"policy", ":FORWARD DROP", ":FORWARD ACCEPT", "1 added (policy of filter FORWARD)", 4},
		{"policy reset", "[10:1000]", "[1:1]", "1 counters reset (policy of filter FORWARD)", 4},
		{"chain gone", ":INPUT ACCEPT [0:0]\n", "", "1 gone (policy of filter INPUT)", 4},
	} {
		growth, err := parse(t, strings.Replace(counted, c.from, c.to, 1)).Sub(before)
		var change *StructureChange
		if !errors.As(err, &change) || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s: %v", c.name, err)
		}
		if len(growth) != c.paired {
			t.Errorf("%s: %d paired, want %d: %+v", c.name, len(growth), c.paired, growth)
		}
	}
}
