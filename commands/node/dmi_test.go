package node_test

import (
	"testing"
	"time"

	"whybot/commands/node"
)

func TestIdentity(t *testing.T) {
	t.Parallel()
	serial, uuid := node.ParseIdentity("/sys/class/dmi/id/product_serial:VMware-42 1c 5e 01 02 03 04 05-06 07 08 09 0a 0b 0c 0d\n/sys/class/dmi/id/product_uuid:015e1c42-0302-0504-0607-08090a0b0c0d\n")
	if serial != "VMware-42 1c 5e 01 02 03 04 05-06 07 08 09 0a 0b 0c 0d" || uuid != "015e1c42-0302-0504-0607-08090a0b0c0d" {
		t.Errorf("%q, %q", serial, uuid)
	}
	if serial, uuid := node.ParseIdentity("grep: x\n\n"); serial != "" || uuid != "" {
		t.Errorf("%q, %q of nothing", serial, uuid)
	}
	for text, want := range map[string]bool{"VMware, Inc.\n": true, "QEMU\n": false, "": false, "not VMware": false} {
		if node.IsVMware(text) != want {
			t.Errorf("%q: %t", text, !want)
		}
	}
}

func TestLearnt(t *testing.T) {
	t.Parallel()
	got, err := node.ParseLearnt(`00:50:56:A1:41:03 dev eth3.3092 used 7/2 master brq91e78b9c-cf
fe:16:3e:4b:10:11 dev tap3d1c2f4a-0b vlan 1 used 900/900 master brq91e78b9c-cf permanent
00:50:56:a1:31:03 dev eth3.3092 master brq91e78b9c-cf
33:33:00:00:00:01 dev brq91e78b9c-cf self permanent
`)
	if err != nil || len(got) != 1 || got[0] != (node.Learnt{MAC: "00:50:56:a1:41:03", Device: "eth3.3092", Ago: 2 * time.Second}) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"Cannot find bridge device\n", "00:50:56:a1:41:03\n"} {
		if got, err := node.ParseLearnt(bad); err == nil {
			t.Errorf("%q gave %+v", bad, got)
		}
	}
}

func FuzzLearnt(f *testing.F) {
	f.Add("00:50:56:a1:41:03 dev eth3.3092 used 7/2 master b\n")
	f.Fuzz(func(t *testing.T, text string) {
		all, err := node.ParseLearnt(text)
		for _, l := range all {
			if err != nil || l.Ago < 0 || l.Device == "" {
				t.Errorf("%+v, %v", l, err)
			}
		}
		node.ParseIdentity(text)
	})
}
