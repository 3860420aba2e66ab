package node_test

import (
	"net/netip"
	"testing"

	"whybot/commands/node"
)

const radvdListing = `27359 Ss   radvd -C /var/lib/neutron/ra/b7e1c0d9.radvd.conf -p /var/lib/neutron/external_pids/b7e1c0d9.pid.radvd -m syslog -u neutron
27366 S    radvd -C /var/lib/neutron/ra/b7e1c0d9.radvd.conf -p /var/lib/neutron/external_pids/b7e1c0d9.pid.radvd -m syslog -u neutron
27400 Zs   [radvd] <defunct>
27500 Ts   radvd -C /var/lib/neutron/ra/c8f2d1ea.radvd.conf
rubbish
`

func TestAdvertising(t *testing.T) {
	t.Parallel()
	all := node.ParseRadvd(radvdListing)
	if len(all) != 4 {
		t.Fatalf("%d processes: %v", len(all), all)
	}
	if own := node.Advertising(all, "b7e1c0d9"); len(own) != 2 || own[0].PID != "27359" || own[0].Stopped {
		t.Errorf("of one router: %+v", own)
	}
	if own := node.Advertising(all, "c8f2d1ea"); len(own) != 1 || !own[0].Stopped {
		t.Errorf("of a stopped one: %+v", own)
	}
	if own := node.Advertising(all, ""); len(own) != 0 {
		t.Errorf("of no router: %+v", own)
	}
}

func TestRangeIn(t *testing.T) {
	t.Parallel()
	all := node.ParseDnsmasq("2731 S dnsmasq --dhcp-range=set:subnet-a,10.30.92.0,static,255.255.255.0,86400s --dhcp-range=set:subnet-b,fd00:30:92::,static,64,86400s\n")
	for prefix, want := range map[string]bool{"fd00:30:92::/64": true, "fd00:30:93::/64": false, "10.30.92.0/24": true, "10.30.93.0/24": false} {
		if _, ok := all[0].RangeIn(netip.MustParsePrefix(prefix)); ok != want {
			t.Errorf("a range in %s: %t", prefix, ok)
		}
	}
}

func FuzzParseRadvd(f *testing.F) {
	f.Add(radvdListing)
	f.Fuzz(func(_ *testing.T, s string) { node.Advertising(node.ParseRadvd(s), "b7e1c0d9") })
}
