package lab

import (
	"context"
	"slices"
	"time"

	"whybot/internal/cloudfake"
)

// Volumes and servers that the faults of volumes are about.
const (
	dataVolume = "85725c5d-7fa1-4292-852d-af890a6842b3"
	goneServer = "f11866e9-d622-4a7c-98ff-f8f9861055dc"
	aSnapshot  = "5a1e6f7c-0b1d-4c8d-9e7f-00000000000a"
	lvmHost    = Controller01 + "@lvm"

	stuckVolume = "why can't volume db-data be deleted"
	leftVolume  = "why is volume db-data left after web-1 was deleted"
)

// hours is so long ago.
func hours(n float64) time.Time { return time.Now().Add(-time.Duration(n * float64(time.Hour))) }

// withVolume is a cloud with one volume that nothing has, on a back end that is
// up.
func withVolume(m *cloudfake.Model) {
	m.ComputeServices = []cloudfake.ComputeService{{Binary: "nova-conductor", Host: Controller01}, {Binary: "nova-compute", Host: Compute01}}
	m.VolumeServices = []cloudfake.VolumeService{{Host: lvmHost}, {Binary: "cinder-scheduler", Host: Controller01}}
	m.Volumes = []cloudfake.Volume{{
		ID: dataVolume, Name: "db-data", ProjectID: projectID, UserID: "c1f3e97752354cceb1dc832f0d80e050", Size: 5, Host: lvmHost + "#lvm01",
		Created: hours(720), Updated: hours(24),
	}}
	m.Snapshots, m.Transfers, m.VolumeGroups, m.VolumeMessages = nil, nil, nil, nil
	m.Servers = slices.DeleteFunc(m.Servers, func(s cloudfake.Server) bool { return s.ID == goneServer })
	changeWebServer(func(s *cloudfake.Server) {
		s.VolumeIDs, s.DyingVolumes, s.Status, s.Fault = nil, nil, "", nil
		s.Created, s.Actions = hours(720), []cloudfake.ServerAction{{Action: "create", Started: hours(720)}}
	})(m)
}

// volume changes the volume.
func volume(change func(*cloudfake.Volume)) func(*cloudfake.Model) {
	return func(m *cloudfake.Model) { change(&m.Volumes[0]) }
}

// service changes the cinder-volume of the volume's host.
func service(change func(*cloudfake.VolumeService)) func(*cloudfake.Model) {
	return func(m *cloudfake.Model) { change(&m.VolumeServices[0]) }
}

// attached gives the volume to web-1 so many hours ago, at its creation or later.
func attached(ago float64) func(*cloudfake.Model) {
	return both(volume(func(v *cloudfake.Volume) {
		v.Status, v.Updated = "in-use", hours(ago)
		v.Attachments = []cloudfake.VolumeAttachment{{ID: "13807bf9-6a61-4813-bbe0-35a0a45ddd60", ServerID: webServerID, Host: Compute01, Device: "/dev/vdb", Attached: hours(ago)}}
	}), changeWebServer(func(s *cloudfake.Server) { s.VolumeIDs = []string{dataVolume} }))
}

// deletedServer adds a server that was deleted when the volume was changed last.
func deletedServer(m *cloudfake.Model) {
	m.Servers = append(m.Servers, cloudfake.Server{
		ID: goneServer, Name: "web-3", ProjectID: projectID, Host: Compute01, Created: hours(700), Deleted: hours(24),
		Actions: []cloudfake.ServerAction{{Action: "create", Started: hours(700)}, {Action: "delete", Started: hours(24)}},
	})
}

// ghost is an attachment to a server that is deleted.
func ghost(status, record string) func(*cloudfake.Model) {
	return both(deletedServer, volume(func(v *cloudfake.Volume) {
		v.Status = status
		v.Attachments = []cloudfake.VolumeAttachment{{ID: "13807bf9-6a61-4813-bbe0-35a0a45ddd60", ServerID: goneServer, Status: record, Host: Compute01}}
	}))
}

// cinderLogs is what cinder-volume has logged since its last start; lines come
// after that.
func cinderLogs(lines string) change {
	return on(Controller01, `mkdir -p /var/log/cinder && printf '%s\n' "2026-11-23 14:00:00.100 2417 INFO cinder.service [-] Logging enabled!" "$1" > /var/log/cinder/cinder-volume.log`, lines)
}

const (
	aRequest = "[req-22222222-2222-4222-8222-222222222222 u p - - -] "
	busyLog  = "2026-11-23 14:20:00.001 2417 INFO cinder.volume.manager " + aRequest + "Deleting volume " + dataVolume + "\n" +
		"2026-11-23 14:20:01.002 2417 WARNING cinder.volume.drivers.rbd " + aRequest + "ImageBusy error raised while deleting rbd volume."
	childLog  = "2026-11-23 14:20:01.002 2417 INFO cinder.volume.drivers.rbd " + aRequest + "Image volumes/volume-0d9f8e7c-6b5a-4948-b7c6-d5e4f3a2b1c0 is dependent on the snapshot snapshot-" + aSnapshot + "."
	driverLog = `2026-11-23 14:00:20.002 2417 ERROR cinder.service [-] Manager for service cinder-volume ` + lvmHost + ` is reporting problems, not sending heartbeat. Service will appear "down".`
	novaLog   = "2026-11-22 09:00:02.100 1800 WARNING nova.compute.manager " + aRequest + "Failed to delete volume: " + dataVolume + " due to Invalid input received: Invalid volume"
)

// volumeCase is a fault of volumes: the cloud as it is then, and what the nodes
// have to say of it.
func volumeCase(name Want, variant, doc, question string, breakIt func(*cloudfake.Model), nodes ...change) Fault {
	// The compute node's log is there in any case, and empty.
	nodes = append([]change{cinderLogs(""), on(Compute01, "mkdir -p /var/log/nova && : > /var/log/nova/nova-compute.log")}, nodes...)
	return Fault{
		ID: name.Cause, Variant: variant, Doc: doc, Question: question, Want: name,
		Inject: inOrder(volumesAs(both(withVolume, breakIt)), healed(nodes...)),
		Heal:   volumesAs(withVolume),
	}
}

// volumesAs changes what the cloud knows of volumes; no agent hears of that.
func volumesAs(change func(*cloudfake.Model)) step {
	return func(_ context.Context, l *Lab) error {
		l.Cloud.Update(change)
		return nil
	}
}

// asItIs changes nothing.
func asItIs(*cloudfake.Model) {}

// VolumeFaults returns every fault and decoy of volumes. They are about no
// packets, so each has a question of its own, and they may follow one another in
// one lab.
func VolumeFaults() []Fault { return slices.Concat(volumesStuck(), volumesLeft(), volumeDecoys()) }

func is(id string) Want      { return Want{State: proven, Cause: id} }
func seems(id string) Want   { return Want{State: probable, Cause: id} }
func decoyOf(id string) Want { return Want{State: healthy, Cause: id} }

func volumesStuck() []Fault {
	status := func(s string) func(*cloudfake.Model) { return volume(func(v *cloudfake.Volume) { v.Status = s }) }
	down := service(func(s *cloudfake.VolumeService) { s.Silent = 3 * time.Hour })
	host := func(h string) func(*cloudfake.Model) { return volume(func(v *cloudfake.Volume) { v.Host = h }) }
	snapshot := func(m *cloudfake.Model) {
		m.Snapshots = []cloudfake.Snapshot{{ID: aSnapshot, Name: "nightly", VolumeID: dataVolume, ProjectID: projectID, Created: hours(48)}}
	}
	return []Fault{
		volumeCase(is("VOLD-01"), "attached", "web-1 runs and has the volume", stuckVolume, attached(48)),
		volumeCase(is("VOLD-02"), "snapshot", "it has a snapshot", stuckVolume, snapshot),
		volumeCase(is("VOLD-03"), "deleting", "it is deleting, and cinder-volume of its host is down", stuckVolume, both(status("deleting"), down)),
		volumeCase(is("VOLD-03"), "available", "it is available, and cinder-volume of its host is down", stuckVolume, down),
		volumeCase(is("VOLD-04"), "renamed", "no service goes by the name of its host", stuckVolume, host("oldctl@lvm#lvm01")),
		volumeCase(is("VOLD-04"), "failed-over", "its host is down since the back end goes by a shared name", stuckVolume, both(down, func(m *cloudfake.Model) {
			m.VolumeServices = append(m.VolumeServices, cloudfake.VolumeService{Host: "node-volume@lvm"})
		})),
		volumeCase(is("VOLD-05"), "backend-renamed", "its host has a back end of another name", stuckVolume, service(func(s *cloudfake.VolumeService) { s.Host = Controller01 + "@lvm-ssd" })),
		volumeCase(seems("VOLD-07"), "busy", "the back end answered that the image is busy", stuckVolume, asItIs, cinderLogs(busyLog)),
		volumeCase(is("VOLD-08"), "clone", "another volume depends on its snapshot", stuckVolume, snapshot, cinderLogs(childLog)),
		volumeCase(is("VOLD-09"), "in-use", "the server of its attachment is deleted", stuckVolume, ghost("in-use", "")),
		volumeCase(is("VOLD-09"), "reserved", "the attachment was never completed, and its server is deleted", stuckVolume, ghost("reserved", "reserved")),
		volumeCase(is("VOLD-10"), "detach-in-cinder", "Cinder was asked to detach what Nova uses", "volume db-data can't be detached so can't be deleted: 409 using the Compute API", attached(48)),
		volumeCase(is("VOLD-11"), "transfer", "it is on offer to another project", stuckVolume, both(status("awaiting-transfer"), func(m *cloudfake.Model) {
			m.Transfers = []cloudfake.Transfer{{ID: "t1", Name: "to-others", VolumeID: dataVolume, Created: hours(30)}}
		})),
		volumeCase(is("VOLD-11"), "migrating", "it is being migrated", stuckVolume, volume(func(v *cloudfake.Volume) { v.Status, v.MigrationStatus = "maintenance", "migrating" })),
		volumeCase(is("VOLD-11"), "group", "it belongs to a group", stuckVolume, volume(func(v *cloudfake.Volume) { v.GroupID = "6f0c3e91-d2b4-4d1c-8a57-004b787f9b2e" })),
		volumeCase(is("VOLD-12"), "frozen", "its back end is frozen", stuckVolume, service(func(s *cloudfake.VolumeService) { s.Frozen = true })),
		volumeCase(seems("VOLD-14"), "clock-ahead", "its service is taken for down and reports from the future", stuckVolume, service(func(s *cloudfake.VolumeService) { s.Silent = -95 * time.Second })),
		volumeCase(seems("VOLD-17"), "not-found", "whoever tried was answered 404", "openstack volume delete db-data returns 404", asItIs),
		volumeCase(is("VOLD-19"), "driver", "its cinder-volume runs, and the driver did not start", stuckVolume, both(status("deleting"), down), cinderLogs(driverLog)),
	}
}

func volumesLeft() []Fault {
	boot := volume(func(v *cloudfake.Volume) { v.Bootable = true })
	later := changeWebServer(func(s *cloudfake.Server) {
		s.Actions = append(s.Actions, cloudfake.ServerAction{Action: "attach_volume", Started: hours(48)})
	})
	failed := changeWebServer(func(s *cloudfake.Server) {
		s.Status = "ERROR"
		s.Actions = append(s.Actions, cloudfake.ServerAction{Action: "delete", Started: hours(1), Failed: true})
	})
	claim := volume(func(v *cloudfake.Volume) { v.Metadata = map[string]string{"cinder.csi.openstack.org/cluster": "prod"} })
	const afterWeb3 = "volume left after deleting web-3"
	return []Fault{
		volumeCase(is("VOLL-01"), "boot-volume", "web-1 was made with it, and leaves it", leftVolume, both(attached(720), boot)),
		volumeCase(seems("VOLL-01"), "deleted", "web-3 is deleted, and its root disk was let go then", afterWeb3, both(deletedServer, boot)),
		volumeCase(is("VOLL-02"), "attached-later", "it was given to web-1 later", leftVolume, both(attached(48), later)),
		volumeCase(is("VOLL-03"), "claim", "the CSI driver of a cluster made it", leftVolume, both(attached(48), both(later, claim))),
		volumeCase(is("VOLL-04"), "refused", "nova-compute was to delete it with web-3, and Cinder refused", afterWeb3, deletedServer,
			on(Compute01, `printf '%s\n' "$1" > /var/log/nova/nova-compute.log`, novaLog)),
		volumeCase(is("VOLL-05"), "attachment-left", "web-3 is deleted, and Cinder has its attachment", leftVolume, ghost("in-use", "")),
		volumeCase(is("VOLL-06"), "delete-failed", "web-1 could not be deleted: cinder-volume is down", leftVolume,
			both(both(attached(720), boot), both(failed, service(func(s *cloudfake.VolumeService) { s.Silent = time.Hour })))),
	}
}

func volumeDecoys() []Fault {
	dying := changeWebServer(func(s *cloudfake.Server) { s.DyingVolumes = []string{dataVolume} })
	shared := func(m *cloudfake.Model) {
		m.VolumeServices[0].Host, m.Volumes[0].Host = "hostgroup@rbd", "hostgroup@rbd#rbd"
	}
	clustered := func(m *cloudfake.Model) {
		m.Volumes[0].Cluster = "ha@lvm"
		m.VolumeServices[0].Cluster, m.VolumeServices[0].Silent = "ha@lvm", 3*time.Hour
		m.VolumeServices = append(m.VolumeServices, cloudfake.VolumeService{Host: "other@lvm", Cluster: "ha@lvm"})
	}
	another := "2026-11-23 14:20:01.003 2417 ERROR cinder.volume.manager [req-33333333-3333-4333-8333-333333333333 u p - - -] Unable to delete busy volume."
	return []Fault{
		volumeCase(decoyOf("VOLD-01"), "decoy-deletes-fine", "it is available, and nothing keeps it", stuckVolume, asItIs),
		volumeCase(decoyOf("VOLD-03"), "decoy-disabled", "its service takes no new volumes, and deletes old ones", stuckVolume, service(func(s *cloudfake.VolumeService) { s.Disabled = true })),
		volumeCase(decoyOf("VOLD-03"), "decoy-cluster", "its service is down, and another of its cluster is up", stuckVolume, clustered),
		volumeCase(decoyOf("VOLD-04"), "decoy-hostgroup", "its host is a name that nodes share on purpose", stuckVolume, shared),
		volumeCase(decoyOf("VOLD-05"), "decoy-pool", "its pool is no part of the service's name", stuckVolume, volume(func(v *cloudfake.Volume) { v.Host = lvmHost + "#another" })),
		volumeCase(decoyOf("VOLD-07"), "decoy-other-volume", "another volume was busy", stuckVolume, asItIs, cinderLogs(another)),
		volumeCase(decoyOf("VOLD-11"), "decoy-migrated", "its migration ended", stuckVolume, volume(func(v *cloudfake.Volume) { v.MigrationStatus = "success" })),
		volumeCase(decoyOf("VOLL-01"), "decoy-dies-with-it", "web-1 has it, and Nova deletes it with web-1", leftVolume, both(attached(720), dying)),
		volumeCase(decoyOf("VOLL-01"), "decoy-soft-deleted", "web-1 is deleted softly, and has it rightly", leftVolume,
			both(attached(720), changeWebServer(func(s *cloudfake.Server) { s.Status = "SOFT_DELETED" }))),
	}
}
