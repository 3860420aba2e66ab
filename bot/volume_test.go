package bot_test

import (
	"strings"
	"testing"

	"whybot/commands"
	"whybot/internal/slackfake"
)

// keptVolume is an answer about a volume: there is no path and no packet in it.
func keptVolume() commands.Answer {
	const id = "79fcac7c-92b4-4e74-bf80-0a4fe47f9f86 85725c5d-7fa1-4292-852d-af890a6842b3"
	summary := "web-1 holds db-data as /dev/vda with delete_on_termination false: Nova leaves the volume when it deletes the server"
	title := "The server was made to leave its volume when it is deleted"
	return commands.Answer{
		VM:      "db-data",
		Verdict: commands.Verdict{State: commands.Proven, Cause: "VOLL-01", Title: title, Summary: summary},
		Findings: []commands.Finding{{
			Cause: "VOLL-01", Title: title, State: commands.Proven, Summary: summary,
			Evidence: []commands.Evidence{{Source: "nova: GET servers/79fcac7c-92b4-4e74-bf80-0a4fe47f9f86/os-volume_attachments", Text: "\"delete_on_termination\": false\n"}},
			Advice:   []string{"Leave it so if the data are to outlive the server.", "A line longer than a message shows: " + strings.Repeat("openstack volume list ", 12)},
		}},
		Fixes: []commands.Proposal{{
			ID: "fx-flag", Fix: "delete-with-server", Class: commands.F1, Title: "Have Nova delete volume db-data with server web-1", Cause: "VOLL-01", Approvals: 1,
			Steps:    []commands.Step{{Kind: "cloud-set", Args: map[string]string{"kind": "server-volume"}}},
			Commands: []string{"openstack --os-compute-api-version 2.85 server volume update --delete-on-termination " + id},
			Undo:     []string{"openstack --os-compute-api-version 2.85 server volume update --preserve-on-termination " + id},
			Touches:  []string{"The data on db-data: when web-1 is deleted, they are gone, too."},
		}},
		Checked: []commands.Check{{What: "it has no snapshots", Source: "cinder: GET snapshots"}},
		Unknown: []commands.Blind{{What: "compute01: nova-compute's log", Why: "unreachable"}},
	}
}

func TestVolumeAnswer(t *testing.T) {
	f := newFixture(t, setup{})
	f.engine.answer = keptVolume()
	f.engine.proof = commands.Verdict{State: commands.Healthy, Title: "Its server is there, and the volume will be deleted with it", Summary: "web-1 exists (ACTIVE) and holds db-data with delete_on_termination true."}
	f.done(f.Slash(slackfake.UserOperator, slackfake.ChannelOps, "/why", "why is volume db-data left after web-1 was deleted"))
	root := f.shows("The server was made to leave its volume", "Proposed fix")
	f.shows("stays until it is changed in OpenStack again", "--preserve-on-termination")
	f.shows("it has no snapshots")
	for _, m := range f.Messages(slackfake.ChannelOps) {
		for _, absent := range []string{"DHCP", "packet", "guest"} {
			if strings.Contains(m.Text, absent) {
				t.Errorf("an answer about a volume speaks of %q: %s", absent, m.Text)
			}
		}
	}
	f.press(slackfake.UserApprover, root.TS, "apply-0")
	f.wantCounts(1, 1, 0)
	// What a message cuts off, a command to paste among it, is whole in the file.
	if files := f.Files(); len(files) != 1 || strings.Count(string(files[0].Data), "openstack volume list") != 12 {
		t.Errorf("files %+v", files)
	}
	golden(t, "volume.txt", f.Transcript())
}
