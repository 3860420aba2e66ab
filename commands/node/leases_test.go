package node_test

import (
	"testing"
	"time"

	"whybot/commands/node"
)

// Written by dnsmasq 2.90.
const leases = `1795471415 FA:16:3E:11:11:11 10.30.92.11 host-a 01:fa:16:3e:11:11:11
0 fa:16:3e:33:33:33 10.30.92.13 * *
rubbish
1795471415 fa:16:3e:44:44:44 10.30.92 host-d *
duid 00:01:00:01:2c:8a
1795471415 123456 fd00::11 host-a 00:01:00:01:2c:8a
`

func TestParseLeases(t *testing.T) {
	got := node.ParseLeases(leases)
	if len(got) != 2 {
		t.Fatalf("leases %+v", got)
	}
	a, never := got[0], got[1]
	if a.MAC != "fa:16:3e:11:11:11" || a.Address.String() != "10.30.92.11" || a.ClientID != "01:fa:16:3e:11:11:11" || a.Line != leases[:68] {
		t.Errorf("%+v", a)
	}
	if a.Over(time.Unix(1795471414, 0)) || !a.Over(time.Unix(1795471415, 0)) {
		t.Errorf("it runs out at %s", a.Expires)
	}
	if never.ClientID != "" || never.Over(time.Unix(1<<40, 0)) {
		t.Errorf("a lease for ever: %+v", never)
	}
}

func TestParseTime(t *testing.T) {
	if got, err := node.ParseTime("1795471415.123456789\n"); err != nil || got.Unix() != 1795471415 {
		t.Errorf("%v, %v", got, err)
	}
	// busybox's date knows no %N.
	if got, err := node.ParseTime("1795471415.%N\n"); err != nil || got.Unix() != 1795471415 {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := node.ParseTime("date: invalid option\n"); err == nil {
		t.Error("rubbish was taken for a time")
	}
}

func FuzzParseLeases(f *testing.F) {
	f.Add(leases)
	f.Fuzz(func(t *testing.T, s string) {
		for _, l := range node.ParseLeases(s) {
			if !l.Address.Is4() {
				t.Errorf("%+v", l)
			}
		}
	})
}
