package node

import (
	"slices"
	"testing"
)

const cinderLog = `2026-11-23 15:00:00.100 2100 INFO cinder.service [-] Logging enabled!
2026-11-23 15:01:00.100 2100 ERROR cinder.volume.manager [req-11111111-1111-4111-8111-111111111111 - - - - -] Unable to delete busy volume.: an old one
2026-11-23 15:10:00.100 2417 INFO cinder.service [-] Logging enabled!
2026-11-23 15:20:00.001 2417 INFO cinder.volume.manager [req-22222222-2222-4222-8222-222222222222 u p - - -] deleting volume-85725c5d-7fa1-4292-852d-af890a6842b3
2026-11-23 15:20:01.002 2417 WARNING cinder.volume.drivers.rbd [req-22222222-2222-4222-8222-222222222222 u p - - -] ImageBusy error raised while deleting rbd volume.
2026-11-23 15:21:01.002 2417 WARNING cinder.volume.drivers.rbd [req-33333333-3333-4333-8333-333333333333 u p - - -] ImageBusy error raised while deleting rbd volume.
`

// TestLinesAbout: the reason stands in a line that does not name the volume, and
// the one of another request is not its.
func TestLinesAbout(t *testing.T) {
	t.Parallel()
	got := LinesAbout(cinderLog, "85725c5d-7fa1-4292-852d-af890a6842b3")
	if len(got) != 2 || got[1][len(got[1])-7:] != "volume." {
		t.Errorf("%q", got)
	}
	if n := len(SinceStart(cinderLog)); n != 3 {
		t.Errorf("%d lines since the last start, want 3", n)
	}
	if got := LinesAbout(cinderLog, "00000000-0000-4000-8000-000000000000"); got != nil {
		t.Errorf("of another volume: %q", got)
	}
}

func TestParseVolumes(t *testing.T) {
	t.Parallel()
	got, err := ParseVolumes(`{"report": [{"lv": [
		{"vg_name":"cinder-volumes", "lv_name":"volume-1", "lv_attr":"-wi-ao----", "lv_device_open":"open"},
		{"vg_name":"cinder-volumes", "lv_name":"volume-2", "lv_attr":"-wi-a-----", "lv_device_open":""}]}]}`)
	if err != nil || len(got) != 2 || !got[0].Open() || got[1].Open() {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"", "lvs: command failed", `{}`, `{"report":`} {
		if got, err := ParseVolumes(bad); err == nil {
			t.Errorf("%q gave %+v", bad, got)
		}
	}
}

func TestParseCinderNames(t *testing.T) {
	t.Parallel()
	got := ParseCinderNames("[DEFAULT]\nhost = node-volume\nenabled_backends=lvm,ceph\n[lvm]\nvolume_driver = x\n[ceph]\nbackend_host = hostgroup\n  cluster = c9\n")
	if got.Host != "node-volume" || got.Cluster != "" || got.BackendHosts["ceph"] != "hostgroup" || len(got.BackendHosts) != 1 {
		t.Errorf("%+v", got)
	}
}

func FuzzLinesAbout(f *testing.F) {
	f.Add(cinderLog, "85725c5d-7fa1-4292-852d-af890a6842b3")
	f.Fuzz(func(t *testing.T, log, id string) {
		since := SinceStart(log)
		for _, line := range LinesAbout(log, id) {
			if !slices.Contains(since, line) {
				t.Errorf("%q was not written since the start", line)
			}
		}
		if all, err := ParseVolumes(log); err == nil {
			for _, v := range all {
				_ = v.Open()
			}
		}
		ParseCinderNames(log)
	})
}
