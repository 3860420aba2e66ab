package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"whybot/internal/cloudfake"
)

const (
	dbData = "85725c5d-7fa1-4292-852d-af890a6842b3"
	ghost  = "ab0cd947-c580-402b-ab1b-90c5ec20ef86"
	stuck  = "why can't volume db-data be deleted"
)

// volumeScene is a scene whose web-1 has a volume.
func volumeScene(t *testing.T, role string) *scene {
	t.Helper()
	s := newScene(t)
	if _, err := s.cloud.WriteCloudsYAML(s.dir, "fake", role); err != nil {
		t.Fatal(err)
	}
	s.cloud.Update(func(m *cloudfake.Model) {
		made := time.Now().Add(-48 * time.Hour)
		project := m.Servers[0].ProjectID
		m.Servers[0].VolumeIDs = []string{dbData}
		m.Servers[0].Actions = []cloudfake.ServerAction{{Action: "create", Started: made}}
		m.Volumes = []cloudfake.Volume{
			{
				ID: dbData, Name: "db-data", ProjectID: project, UserID: "u1", Size: 5, Bootable: true, Host: "controller01@lvm#lvm01", Created: made,
				Attachments: []cloudfake.VolumeAttachment{{ID: "a1", ServerID: webID, Host: "compute01", Device: "/dev/sda", Attached: made}},
			},
			{
				ID: ghost, Name: "ghost-01", ProjectID: project, Host: "controller01@lvm#lvm01", Created: made, Updated: made,
				Attachments: []cloudfake.VolumeAttachment{{ID: "a2", ServerID: "f11866e9-d622-4a7c-98ff-f8f9861055dc"}},
			},
			{ID: "c90ea5d7-0a37-4fd0-840a-f44637031e38", Name: "archive-2024", ProjectID: project, Host: "controller02@lvm#lvm02", Created: made, Status: "deleting", Updated: made},
		}
		m.VolumeServices = []cloudfake.VolumeService{{Host: "controller01@lvm"}, {Host: "controller02@lvm", Silent: time.Hour}, {Binary: "cinder-scheduler", Host: "controller01"}}
	})
	return s
}

// An answered question, as far as the tests look.
type answered struct {
	Verdict  struct{ State, Cause, Summary, Missing string }
	Path     []any
	Findings []struct {
		Cause  string
		Advice []string
	}
	Fixes []struct {
		ID, Name, Class string
		Commands, Undo  []string
	}
	Unknown []struct{ What, Why string }
}

func (s *scene) answer(words string) answered {
	s.t.Helper()
	r := s.run("ask", "--json", words)
	r.want(s.t, exitAnswered, "", "")
	var a answered
	if err := json.Unmarshal([]byte(r.out), &a); err != nil {
		s.t.Fatalf("%v: %s", err, r.out)
	}
	return a
}

func TestAskAboutVolumes(t *testing.T) {
	s := volumeScene(t, "admin")
	for words, want := range map[string]string{
		stuck:                                  "VOLD-01",
		"why can't volume ghost-01 be deleted": "VOLD-09",
		"volume archive-2024 is stuck in deleting": "VOLD-03",
		"volume left after deleting web-1":         "VOLL-01",
		"delete " + dbData + " -> 400, why":        "VOLD-01",
		"volume ghost-01 left after web-9 deleted": "VOLL-05",
	} {
		a := s.answer(words)
		if a.Verdict.State != "proven" || a.Verdict.Cause != want {
			t.Errorf("%s: %s %s (%s), want proven %s", words, a.Verdict.State, a.Verdict.Cause, a.Verdict.Summary, want)
		}
		if len(a.Path) > 0 {
			t.Errorf("%s: a volume has no path: %v", words, a.Path)
		}
	}
	text := s.run("ask", stuck)
	text.want(t, exitAnswered, "PROVEN  VOLD-01", "")
	for _, absent := range []string{"Path", "DHCP", "guest"} {
		if strings.Contains(text.out, absent) {
			t.Errorf("the answer about a volume speaks of %q:\n%s", absent, text.out)
		}
	}
	s.run("timeline", "db-data").want(t, exitAnswered, "verdict", "")
}

// TestFixDeleteWithServer makes the one change that a leftover allows, proves it,
// and takes it back.
func TestFixDeleteWithServer(t *testing.T) {
	s := volumeScene(t, "admin")
	a := s.answer("why will volume db-data be left when web-1 is deleted")
	if len(a.Fixes) != 1 || a.Fixes[0].Name != "delete-with-server" || len(a.Fixes[0].Undo) != 1 {
		t.Fatalf("fixes %+v", a.Fixes)
	}
	dies := func() (n int) {
		s.cloud.Update(func(m *cloudfake.Model) { n = len(m.Servers[0].DyingVolumes) })
		return n
	}
	s.run("fix", "apply", a.Fixes[0].ID, "--yes").want(t, exitAnswered, "VERIFIED", "")
	if dies() != 1 {
		t.Fatal("delete_on_termination was not set")
	}
	s.run("fix", "undo", a.Fixes[0].ID, "--yes").want(t, exitAnswered, "UNDONE", "")
	if dies() != 0 {
		t.Fatal("delete_on_termination was not taken back")
	}
}

// TestAskAboutVolumesAsMember: what a member is not shown is said, and no cause is
// made of it.
func TestAskAboutVolumesAsMember(t *testing.T) {
	s := volumeScene(t, "member")
	a := s.answer("why can't volume ghost-01 be deleted")
	if a.Verdict.State != "probable" || !strings.Contains(a.Verdict.Missing, "Nova does not show it to this role") {
		t.Errorf("%+v", a.Verdict)
	}
	a = s.answer("volume archive-2024 is stuck in deleting")
	if a.Verdict.State != "unknown" || len(a.Unknown) == 0 {
		t.Errorf("%+v, %+v", a.Verdict, a.Unknown)
	}
}

func TestAskAboutVolumesHalfBlind(t *testing.T) {
	s := volumeScene(t, "admin")
	s.run("ask", "why can't volume db-dat be deleted").want(t, exitFailed, "", "Nearest names: db-data")
	s.cloud.Inject(cloudfake.Fault{Service: "nova", Status: 503, Body: `{"sealed": "words"}`})
	a := s.answer(stuck)
	if a.Verdict.State != "probable" || !strings.Contains(a.Verdict.Missing, "nova") || strings.Contains(a.Verdict.Missing, "sealed") {
		t.Errorf("without Nova: %+v", a.Verdict)
	}
	s.cloud.Heal()
	s.cloud.Inject(cloudfake.Fault{Service: "cinder", Status: 503})
	s.run("ask", stuck).want(t, exitFailed, "", "cinder")
}
