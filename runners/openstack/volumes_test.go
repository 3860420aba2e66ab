package openstack

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"whybot/internal/cloudfake"
	"whybot/runners"
)

// Ids of the test cloud's volumes and of servers that are gone.
const (
	vol1   = "85725c5d-7fa1-4292-852d-af890a6842b3" // db-data, attached to web-1
	vol2   = "ab0cd947-c580-402b-ab1b-90c5ec20ef86" // ghost, attached to a server that nobody knows
	vol3   = "218bdb3c-69fa-41f3-97f0-4814f09cd7bb" // let go when gone-1 was deleted
	vol4   = "c90ea5d7-0a37-4fd0-840a-f44637031e38" // another project's
	gone1  = "527f2e6c-770f-440b-859f-699439f1f3b6"
	purged = "f11866e9-d622-4a7c-98ff-f8f9861055dc"
)

// volumeModel is the test cloud with volumes.
func volumeModel() cloudfake.Model {
	m := model()
	made := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	deleted := time.Date(2026, 11, 22, 9, 30, 0, 0, time.UTC)
	m.Servers[0].VolumeIDs, m.Servers[0].DyingVolumes = []string{vol1}, []string{vol1}
	m.Servers = append(m.Servers, cloudfake.Server{
		ID: gone1, Name: "gone-1", ProjectID: payments, Host: "compute02", Created: made, Deleted: deleted,
		Actions: []cloudfake.ServerAction{{Action: "create", Started: made}, {Action: "delete", Started: deleted.Add(-5 * time.Second)}},
	})
	m.Volumes = []cloudfake.Volume{
		{
			ID: vol1, Name: "db-data", ProjectID: payments, UserID: "u", Size: 5, Host: "controller01@lvm#lvm01", Cluster: "c1", Created: made,
			GroupID: "g1", MigrationStatus: "success",
			Attachments: []cloudfake.VolumeAttachment{{ID: "a1", ServerID: web1, Host: "compute01", Device: "/dev/sdb", Attached: made.Add(time.Hour)}},
		},
		{ID: vol2, Name: "ghost", ProjectID: payments, Status: "reserved", Created: made, Attachments: []cloudfake.VolumeAttachment{{ID: "a2", ServerID: purged, Status: "reserved"}}},
		{ID: vol3, Name: "Old-Root", ProjectID: payments, Created: made, Updated: deleted.Add(2 * time.Second), Bootable: true},
		{ID: vol4, Name: "theirs", ProjectID: others, Created: made, Status: "awaiting-transfer"},
		{ID: "0d9f8e7c-6b5a-4948-b7c6-d5e4f3a2b1c0", Name: "twin", ProjectID: payments, Created: made},
		{ID: "0d9f8e7d-6b5a-4948-b7c6-d5e4f3a2b1c0", Name: "twin", ProjectID: others, Created: made},
		{ID: "11111111-6b5a-4948-b7c6-d5e4f3a2b1c0", Name: "gone-10", ProjectID: payments, Created: made},
	}
	m.Snapshots = []cloudfake.Snapshot{{ID: "s1", Name: "nightly", VolumeID: vol1, ProjectID: payments, Created: made}, {ID: "s2", VolumeID: vol3, ProjectID: payments}}
	m.VolumeServices = []cloudfake.VolumeService{
		{Host: "controller01@lvm", Cluster: "c1", Frozen: true},
		{Host: "controller02@lvm", Silent: time.Hour, Disabled: true, DisabledReason: "retired"},
		{Binary: "cinder-scheduler", Host: "controller01"},
	}
	m.ComputeServices = []cloudfake.ComputeService{{Binary: "nova-scheduler", Host: "controller02"}, {Binary: "nova-compute", Host: "compute01"}, {Binary: "nova-conductor", Host: "controller01"}}
	m.Transfers = []cloudfake.Transfer{{ID: "t1", Name: "to-others", VolumeID: vol4, Created: made}}
	m.VolumeGroups = []cloudfake.VolumeGroup{{ID: "g1", Name: "db-group", ProjectID: payments}}
	m.VolumeMessages = []cloudfake.VolumeMessage{
		{ID: "m1", ProjectID: payments, VolumeID: vol1, Text: "delete volume:Volume is busy.", Created: made},
		{ID: "m2", ProjectID: payments, VolumeID: vol3, Text: "another's", Created: made},
	}
	return m
}

func TestFindVolumes(t *testing.T) {
	cloud := serve(t, volumeModel())
	admin := dial(t, cloud, "admin", nil)
	for _, tt := range []struct {
		ref  string
		want []string // ids
	}{
		{"db-data", []string{vol1}},
		{" db-data\n", []string{vol1}},
		{vol1, []string{vol1}},
		{strings.ToUpper(vol1), []string{vol1}},
		{"volume-" + vol1, []string{vol1}}, // as the back end calls it
		{"volume-85725c5d", []string{vol1}},
		{"old-root", []string{vol3}}, // nobody has exactly this name
		{"theirs", []string{vol4}},
		{"twin", []string{"0d9f8e7c-6b5a-4948-b7c6-d5e4f3a2b1c0", "0d9f8e7d-6b5a-4948-b7c6-d5e4f3a2b1c0"}},
	} {
		got, err := admin.FindVolumes(t.Context(), tt.ref)
		if err != nil {
			t.Errorf("%q: %v", tt.ref, err)
			continue
		}
		var ids []string
		for _, v := range got {
			ids = append(ids, v.ID)
		}
		slices.Sort(ids)
		if !slices.Equal(ids, tt.want) {
			t.Errorf("%q: %v, want %v", tt.ref, ids, tt.want)
		}
	}
}

func TestNoSuchVolume(t *testing.T) {
	cloud := serve(t, volumeModel())
	for _, tt := range []struct {
		role, ref string
		near      string
		only      bool
	}{
		{"admin", "db-dat", "db-data", false},
		{"member", "theirs", "", true}, // Cinder lists its own project's and says nothing
		{"admin", "00000000-0000-4000-8000-000000000000", "", false},
		{"admin", "a\x00b", "", false},
	} {
		_, err := dial(t, cloud, tt.role, nil).FindVolumes(t.Context(), tt.ref)
		wantKind(t, err, runners.NotFound, "cinder")
		var miss *NoVolume
		if !errors.As(err, &miss) {
			t.Fatalf("%s %q: %v is no NoVolume", tt.role, tt.ref, err)
		}
		if miss.OnlyOwnProject() != tt.only || tt.near != "" && !slices.Contains(miss.Nearest(), tt.near) {
			t.Errorf("%s %q: near %q, only own project %v", tt.role, tt.ref, miss.Nearest(), miss.OnlyOwnProject())
		}
	}
}

func TestVolumeCase(t *testing.T) {
	vc := readCase(t, vol1)
	v := vc.Volume
	for what, good := range map[string]bool{
		"host": v.Host.Or("") == "controller01@lvm#lvm01", "cluster": v.Cluster.Or("") == "c1", "migration": v.Migration.Or("") == "success",
		"group": v.GroupID == "g1", "group's name": vc.GroupName.Or("") == "db-group", "size": v.Size == 5,
	} {
		if !good {
			t.Errorf("%s is wrong: %+v of group %v", what, v, vc.GroupName)
		}
	}
	server, ok := vc.Server(web1)
	mapping, held := server.Mapping(vol1)
	if gone, known := server.Gone.Get(); !ok || !held || !mapping.DeleteOnTermination.Or(false) || gone || !known {
		t.Errorf("server %+v, mapping %+v", server, mapping)
	}
	if idle, ok := vc.Idle.Get(); !ok || len(idle) != 3 {
		t.Errorf("idle volumes of the project %+v, want gone-10, Old-Root and twin", idle)
	}
}

func TestVolumeCaseOfCinder(t *testing.T) {
	vc := readCase(t, vol1)
	if snaps, ok := vc.Snapshots.Get(); !ok || len(snaps) != 1 || snaps[0].Name != "nightly" {
		t.Errorf("snapshots %+v", snaps)
	}
	if records, ok := vc.Attachments.Get(); !ok || len(records) != 1 || records[0] != (runners.VolumeAttachment{ID: "a1", Status: "attached", ServerID: web1}) {
		t.Errorf("attachments %+v", records)
	}
	services, ok := vc.Services.Get()
	if !ok || len(services) != 3 {
		t.Fatalf("services %+v", services)
	}
	if up, down := services[0], services[1]; !up.Up || !up.Frozen.Or(false) || down.Up || down.Enabled || down.DisabledReason != "retired" {
		t.Errorf("services %+v", services)
	}
}

// readCase reads a volume of the test cloud as the administrator.
func readCase(t *testing.T, id string) runners.VolumeCase {
	t.Helper()
	vc, err := dial(t, serve(t, volumeModel()), "admin", nil).VolumeCase(t.Context(), runners.Volume{ID: id}, "")
	if err != nil {
		t.Fatal(err)
	}
	return vc
}

func TestVolumeCaseBesides(t *testing.T) {
	vc := readCase(t, vol1)
	if messages, ok := vc.Messages.Get(); !ok || len(messages) != 1 || messages[0].Text != "delete volume:Volume is busy." {
		t.Errorf("messages %+v", messages)
	}
	if machines, ok := vc.Machines.Get(); !ok || !slices.Equal(machines, []string{"controller01", "controller02"}) {
		t.Errorf("machines %q: compute nodes are none of them", machines)
	}
}

func TestVolumeCaseOfAnother(t *testing.T) {
	vc := readCase(t, vol4)
	if transfers, ok := vc.Transfers.Get(); !ok || len(transfers) != 1 || transfers[0].Name != "to-others" {
		t.Errorf("transfers %+v", transfers)
	}
}

// TestVolumeCaseOfMember: what the role is not shown is unknown, and so is
// whether a server that Nova does not show is gone.
func TestVolumeCaseOfMember(t *testing.T) {
	cloud := serve(t, volumeModel())
	vc, err := dial(t, cloud, "member", nil).VolumeCase(t.Context(), runners.Volume{ID: vol2}, "")
	if err != nil {
		t.Fatal(err)
	}
	_, host := vc.Volume.Host.Get()
	_, services := vc.Services.Get()
	_, snapshots := vc.Snapshots.Get()
	if host || services || !snapshots {
		t.Errorf("host known: %v, services known: %v, snapshots known: %v", host, services, snapshots)
	}
	if server, ok := vc.Server(purged); !ok || server.Gone.Why() == "" {
		t.Errorf("server %+v: a member cannot know that it is gone", server)
	}
	if !strings.Contains(vc.Services.Why(), "admin") {
		t.Errorf("services: %q does not name the role", vc.Services.Why())
	}
}

func TestServersThatAreGone(t *testing.T) {
	cloud := serve(t, volumeModel())
	admin := dial(t, cloud, "admin", nil)
	vc, err := admin.VolumeCase(t.Context(), runners.Volume{ID: vol2}, gone1)
	if err != nil {
		t.Fatal(err)
	}
	forgotten, _ := vc.Server(purged)
	if gone, ok := forgotten.Gone.Get(); !ok || !gone {
		t.Errorf("%+v: the administrator is shown all servers, and it is none of them", forgotten)
	}
	deleted, _ := vc.Server(gone1)
	actions, _ := deleted.Actions.Get()
	if deleted.Name() != "gone-1" || !deleted.Gone.Or(false) || len(actions) != 2 || actions[0].Action != "delete" {
		t.Errorf("%+v, actions %+v", deleted, actions)
	}
}

func TestVolumesOf(t *testing.T) {
	cloud := serve(t, volumeModel())
	admin := dial(t, cloud, "admin", nil)
	for ref, want := range map[string]string{"web-1": vol1, "gone-1": vol3, gone1: vol3} {
		left, err := admin.VolumesOf(t.Context(), ref)
		if err != nil || len(left) != 1 || len(left[0].Volumes) != 1 || left[0].Volumes[0].ID != want {
			t.Errorf("%s: %+v, %v; want volume %s", ref, left, err, want)
		}
	}
	_, err := admin.VolumesOf(t.Context(), "nobody")
	wantKind(t, err, runners.NotFound, "nova")
	if _, err = dial(t, cloud, "member", nil).VolumesOf(t.Context(), "gone-1"); runners.KindOf(err) != runners.NotFound {
		t.Errorf("a member is not shown deleted servers: %v", err)
	}
}

// TestVolumeCaseHalfBlind: what one service does not say is missing on its own.
func TestVolumeCaseHalfBlind(t *testing.T) {
	cloud := serve(t, volumeModel())
	cloud.Inject(cloudfake.Fault{Service: "nova", Status: 503})
	cloud.Inject(cloudfake.Fault{Service: "cinder", Path: "/snapshots", Status: 500})
	vc, err := dial(t, cloud, "admin", nil).VolumeCase(t.Context(), runners.Volume{ID: vol1}, "")
	if err != nil {
		t.Fatal(err)
	}
	server, _ := vc.Server(web1)
	if vc.Snapshots.Why() == "" || server.Gone.Why() == "" || vc.Attachments.Why() != "" {
		t.Errorf("snapshots %q, server %q, attachments %q", vc.Snapshots.Why(), server.Gone.Why(), vc.Attachments.Why())
	}
}

// TestOldCinder: a Cinder without clusters is asked again in its own words.
func TestOldCinder(t *testing.T) {
	cloud := serve(t, volumeModel())
	admin := dial(t, cloud, "admin", func(o *Options) { o.Transport = olderCinder{} })
	got, err := admin.FindVolumes(t.Context(), vol1)
	if err != nil || len(got) != 1 || got[0].Cluster.Why() == "" {
		t.Fatalf("%+v, %v", got, err)
	}
}

func TestChangeVolumes(t *testing.T) {
	cloud := serve(t, volumeModel())
	admin := dial(t, cloud, "admin", nil)
	held := runners.CloudRef{Kind: runners.ServerVolume, ID: web1 + "/" + vol1}
	backend := runners.CloudRef{Kind: runners.VolumeBackend, ID: "controller01@lvm"}
	for _, tt := range []struct {
		ref             runners.CloudRef
		attribute, from string
		to              string
	}{
		{held, "delete_on_termination", "true", "false"},
		{held, "delete_on_termination", "false", "true"},
		{backend, "frozen", "true", "false"},
		{backend, "frozen", "false", "true"},
	} {
		call := runners.CloudCall{Op: runners.CloudSet, Args: map[string]string{"kind": tt.ref.Kind, "id": tt.ref.ID, "attribute": tt.attribute, "from": tt.from, "to": tt.to}}
		for range 2 { // made again it changes nothing more
			if err := admin.Do(t.Context(), call); err != nil {
				t.Fatal(err)
			}
		}
		o, err := admin.Object(t.Context(), tt.ref)
		if err != nil || o[tt.attribute] != tt.to {
			t.Errorf("%+v: %v, %v", tt, o, err)
		}
	}
}

func TestChangeVolumesRefused(t *testing.T) {
	cloud := serve(t, volumeModel())
	admin := dial(t, cloud, "admin", nil)
	for _, args := range []map[string]string{
		{"kind": runners.ServerVolume, "id": web1 + "/" + vol2, "attribute": "delete_on_termination", "from": "false", "to": "true"}, // not attached
		{"kind": runners.ServerVolume, "id": web1, "attribute": "delete_on_termination", "from": "false", "to": "true"},              // no volume
		{"kind": runners.ServerVolume, "id": web1 + "/" + vol1, "attribute": "device", "from": "false", "to": "true"},
		{"kind": runners.ServerVolume, "id": web1 + "/" + vol1, "attribute": "delete_on_termination", "from": "false", "to": "perhaps"},
		{"kind": runners.ServerVolume, "id": web1 + "/" + vol1, "attribute": "delete_on_termination", "from": "null", "to": "false"}, // is true now
		{"kind": runners.VolumeBackend, "id": "nowhere@lvm", "attribute": "frozen", "from": "true", "to": "false"},
	} {
		if err := admin.Do(t.Context(), runners.CloudCall{Op: runners.CloudSet, Args: args}); err == nil {
			t.Errorf("%v was done", args)
		}
	}
	for _, r := range cloud.Requests() {
		if r.Method == "PUT" {
			t.Errorf("%s %s was sent", r.Method, r.Path)
		}
	}
}

// An olderCinder refuses microversions that brought clusters.
type olderCinder struct{}

func (olderCinder) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("OpenStack-API-Version") == "volume "+clusterMicroversion {
		body := io.NopCloser(strings.NewReader(`{"computeFault": {"code": 406, "message": "Version 3.61 is not supported by the API."}}`))
		return &http.Response{StatusCode: http.StatusNotAcceptable, Header: http.Header{}, Body: body, Request: r}, nil
	}
	return http.DefaultTransport.RoundTrip(r)
}

// CloseIdleConnections lets the client close what it opened.
func (olderCinder) CloseIdleConnections() { http.DefaultClient.CloseIdleConnections() }
