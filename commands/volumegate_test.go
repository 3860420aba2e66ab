package commands

import (
	"testing"

	"whybot/runners"
)

// freeVolume is a case in which every condition for a deletion holds.
func freeVolume() runners.VolumeCase {
	return runners.VolumeCase{
		Volume: runners.Volume{
			ID: "v", Status: "available", Host: runners.Known("controller01@lvm#lvm01"), Cluster: runners.Known(""), Migration: runners.Known("success"),
		},
		Snapshots: runners.Known([]runners.Snapshot{}),
		Services: runners.Known([]runners.VolumeService{
			{Binary: "cinder-volume", Host: "controller01@lvm", Up: true, Frozen: runners.Known(false)},
			{Binary: "cinder-volume", Host: "controller02@lvm", Up: true, Frozen: runners.Known(true)},
			{Binary: "cinder-scheduler", Host: "controller01@lvm", Frozen: runners.Known(true)},
		}),
	}
}

// TestGate breaks each condition alone: that one is named and no other, and what
// is not shown is neither met nor broken.
func TestGate(t *testing.T) {
	t.Parallel()
	for name, c := range map[GateName]struct{ breaks, hides func(*runners.VolumeCase) }{
		"": {func(*runners.VolumeCase) {}, nil},
		GateFrozen: {
			func(c *runners.VolumeCase) {
				c.Services = runners.Known([]runners.VolumeService{{Binary: "cinder-volume", Host: "controller01@lvm", Frozen: runners.Known(true)}})
			},
			func(c *runners.VolumeCase) { c.Services = runners.NotKnown[[]runners.VolumeService]("hidden") },
		},
		GateStatus:   {func(c *runners.VolumeCase) { c.Volume.Status = "error_deleting" }, nil},
		GateAttached: {func(c *runners.VolumeCase) { c.Volume.Attached = []runners.AttachedTo{{ServerID: "s"}} }, nil},
		GateMigrating: {
			func(c *runners.VolumeCase) { c.Volume.Migration = runners.Known("migrating") },
			func(c *runners.VolumeCase) { c.Volume.Migration = runners.NotKnown[string]("hidden") },
		},
		GateGroup: {func(c *runners.VolumeCase) { c.Volume.GroupID = "g" }, nil},
		GateSnapshots: {
			func(c *runners.VolumeCase) { c.Snapshots = runners.Known([]runners.Snapshot{{ID: "s"}}) },
			func(c *runners.VolumeCase) { c.Snapshots = runners.NotKnown[[]runners.Snapshot]("hidden") },
		},
	} {
		broken := freeVolume()
		c.breaks(&broken)
		for _, term := range Gate(broken) {
			if blocks, known := term.Blocks.Get(); !known || blocks != (term.Name == name) {
				t.Errorf("with %q broken, %s: blocks %v, known %v", name, term.Name, blocks, known)
			}
		}
		if c.hides == nil {
			continue
		}
		hidden := freeVolume()
		c.hides(&hidden)
		if term := GateTermOf(hidden, name); term.Blocks.Why() != "hidden" {
			t.Errorf("%s hidden: %+v", name, term)
		}
	}
}
