package node_test

import (
	"net/netip"
	"testing"

	"whybot/commands/node"
)

// vxlanLink is a device of a linuxbridge agent on a real node; details is its
// line of `ip -d link`.
func vxlanLink(t *testing.T, details string) node.Link {
	t.Helper()
	links, err := node.ParseLinks("9: vxlan-1207: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1450 qdisc noqueue master brq2c7e91d4-06 state UNKNOWN mode DEFAULT\n" +
		"    link/ether 06:65:cb:a5:5a:7f brd ff:ff:ff:ff:ff:ff promiscuity 1\n    " + details + "\n    bridge_slave state forwarding priority 32\n")
	if err != nil {
		t.Fatal(err)
	}
	return links["vxlan-1207"]
}

func TestParseLinksOfATunnel(t *testing.T) {
	for _, c := range []struct {
		details string
		want    node.VXLAN
	}{
		{
			"vxlan id 1207 group 224.0.0.1 dev eth1 srcport 0 0 dstport 8472 ttl auto ageing 300 udpcsum noudp6zerocsumtx noudp6zerocsumrx",
			node.VXLAN{Dev: "eth1", Group: netip.MustParseAddr("224.0.0.1"), Port: 8472},
		},
		{"vxlan id 1207 dev eth1 srcport 0 0 dstport 8472 ageing 300", node.VXLAN{Dev: "eth1", Port: 8472}},
		{
			"vxlan id 1207 remote 10.0.0.2 local 10.0.0.1 srcport 8472 8473 dstport 8472 nolearning proxy",
			node.VXLAN{Group: netip.MustParseAddr("10.0.0.2"), Local: netip.MustParseAddr("10.0.0.1"), Port: 8472, FixedSource: true, NoLearning: true},
		},
		{
			"vxlan id 1207 group6 ff02::1 dev eth1 srcport 0 0 dstport 4789",
			node.VXLAN{Dev: "eth1", Group: netip.MustParseAddr("ff02::1"), Port: 4789},
		},
		{"vxlan id 1207", node.VXLAN{}},
	} {
		l := vxlanLink(t, c.details)
		if l.Kind != "vxlan" || l.VNI != 1207 || l.Master != "brq2c7e91d4-06" || l.VXLAN == nil || *l.VXLAN != c.want {
			t.Errorf("%s: %+v, %+v", c.details, l, l.VXLAN)
		}
	}
	if l := vxlanLink(t, "veth"); l.VXLAN != nil {
		t.Errorf("a veth has the tunnel %+v", l.VXLAN)
	}
}

func TestParseAddresses(t *testing.T) {
	const text = "1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever preferred_lft forever\n" +
		"3: eth1    inet 172.30.200.41/24 scope global eth1\\       valid_lft forever preferred_lft forever\n" +
		"3: eth1    inet 172.30.200.99/24 scope global secondary eth1\\       valid_lft forever\n" +
		"4: tun0    inet 10.8.0.1 peer 10.8.0.2/32 scope global tun0\n"
	all, err := node.ParseAddresses(text)
	if err != nil {
		t.Fatal(err)
	}
	if len(all["eth1"]) != 2 || all.Holder(netip.MustParseAddr("172.30.200.99")) != "eth1" || all.Holder(netip.MustParseAddr("10.8.0.1")) != "tun0" {
		t.Errorf("addresses %v", all)
	}
	if d := all.Holder(netip.MustParseAddr("172.30.200.4")); d != "" {
		t.Errorf("%s has an address that nobody has", d)
	}
	for _, bad := range []string{"", "Object \"addr\" is unknown\n", "3: eth1    inet 172.30.200/24 scope global\n"} {
		if all, err := node.ParseAddresses(bad); err == nil {
			t.Errorf("%q was read as %v", bad, all)
		}
	}
}

func TestParsePlaces(t *testing.T) {
	const text = "fa:16:3e:4b:10:42 master brq2c7e91d4-06 \n06:65:cb:a5:5a:7f master brq2c7e91d4-06 permanent\n" +
		"B2:02:b9:f6:4c:ab dst 172.30.200.31 self \nfa:16:3e:4b:10:42 dst 172.30.200.42 self permanent\n" +
		"00:00:00:00:00:00 dst 224.0.0.1 via eth1 self permanent\n"
	places, err := node.ParsePlaces(text)
	if err != nil {
		t.Fatal(err)
	}
	want := []node.Place{
		{MAC: "b2:02:b9:f6:4c:ab", Peer: netip.MustParseAddr("172.30.200.31")},
		{MAC: "fa:16:3e:4b:10:42", Peer: netip.MustParseAddr("172.30.200.42"), Permanent: true},
		{MAC: node.Anywhere, Peer: netip.MustParseAddr("224.0.0.1"), Permanent: true},
	}
	if len(places) != len(want) {
		t.Fatalf("places %+v", places)
	}
	for i := range want {
		if places[i] != want[i] {
			t.Errorf("place %d is %+v, want %+v", i, places[i], want[i])
		}
	}
	if places, err := node.ParsePlaces("00:00:00:00:00:00 dst here self\n"); err == nil {
		t.Errorf("rubbish was read as %+v", places)
	}
}

// What guards INPUT and what guards bridged frames are two things.
func TestLocalTables(t *testing.T) {
	const text = "table inet filter {\n\tchain input {\n\t\ttype filter hook input priority filter; policy drop;\n\t}\n}\n" +
		"table bridge fences {\n\tchain forward {\n\t\ttype filter hook forward priority filter; policy drop;\n\t}\n}\n" +
		"table inet open {\n\tchain input {\n\t\ttype filter hook input priority filter; policy accept;\n\t}\n}\n"
	if local := node.LocalTables(text); len(local) != 1 || local[0] != "inet filter" {
		t.Errorf("what the node receives may be dropped by %q", local)
	}
	if foreign := node.ForeignTables(text); len(foreign) != 1 || foreign[0] != "bridge fences" {
		t.Errorf("what it forwards may be dropped by %q", foreign)
	}
}

func FuzzParseAddresses(f *testing.F) {
	f.Add("3: eth1    inet 172.30.200.41/24 scope global eth1\n")
	f.Fuzz(func(_ *testing.T, s string) { _, _ = node.ParseAddresses(s) })
}

func FuzzParsePlaces(f *testing.F) {
	f.Add("00:00:00:00:00:00 dst 172.30.200.31 self permanent\n")
	f.Fuzz(func(_ *testing.T, s string) { _, _ = node.ParsePlaces(s) })
}
