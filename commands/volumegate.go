package commands

import (
	"fmt"
	"slices"
	"strings"

	"whybot/runners"
)

// A GateTerm is one of the conditions under which Cinder's API takes a request
// to delete a volume. It answers a request with one sentence that lists them all,
// whichever of them does not hold.
type GateTerm struct {
	Name GateName
	// Blocks says whether it keeps the volume from being deleted.
	Blocks runners.Maybe[bool]
	// Says is what was seen, a phrase: "its status is available".
	Says string
	// Asks is the condition where it could not be seen: "it has snapshots".
	Asks string
}

// A GateName names a condition.
type GateName string

// Conditions, in the order in which Cinder looks at them.
const (
	GateFrozen    GateName = "frozen"
	GateStatus    GateName = "status"
	GateAttached  GateName = "attached"
	GateMigrating GateName = "migrating"
	GateGroup     GateName = "group"
	GateSnapshots GateName = "snapshots"
)

// deletable are the statuses in which Cinder deletes a volume without force.
var deletable = []string{"available", "error", "error_restoring", "error_extending", "error_managing"}

// migrated are what a migration leaves behind that does not matter any more.
var migrated = []string{"", "deleting", "error", "success"}

// Gate looks at every condition for c.
func Gate(c runners.VolumeCase) []GateTerm {
	return []GateTerm{frozenTerm(c), statusTerm(c), attachedTerm(c), migratingTerm(c), groupTerm(c), snapshotsTerm(c)}
}

// GateTermOf returns one condition for c.
func GateTermOf(c runners.VolumeCase, name GateName) GateTerm {
	all := Gate(c)
	return all[slices.IndexFunc(all, func(t GateTerm) bool { return t.Name == name })]
}

func frozenTerm(c runners.VolumeCase) GateTerm {
	t := GateTerm{Name: GateFrozen, Asks: "its back end is frozen", Says: "its back end is not frozen"}
	all, ok := BackendRows(c).Get()
	if !ok {
		t.Blocks = runners.NotKnown[bool](BackendRows(c).Why())
		return t
	}
	t.Blocks = runners.Known(false)
	for _, s := range all {
		now, known := s.Frozen.Get()
		if !known {
			t.Blocks = runners.NotKnown[bool](s.Frozen.Why())
		} else if now {
			t.Says, t.Blocks = fmt.Sprintf("its back end %s is frozen", s.Host), runners.Known(true)
			break
		}
	}
	return t
}

// BackendRows returns the rows of cinder-volume that serve the volume's back end:
// that of its host, and those of its cluster. None is a fact, too.
func BackendRows(c runners.VolumeCase) runners.Maybe[[]runners.VolumeService] {
	host, shown := c.Volume.Host.Get()
	if !shown {
		return runners.NotKnown[[]runners.VolumeService](c.Volume.Host.Why())
	}
	services, shown := c.Services.Get()
	if !shown {
		return runners.NotKnown[[]runners.VolumeService](c.Services.Why())
	}
	service, cluster := runners.ParseBackend(host).Service(), runners.ParseBackend(c.Volume.Cluster.Or("")).Service()
	return runners.Known(slices.DeleteFunc(slices.Clone(services), func(s runners.VolumeService) bool {
		return s.Binary != "cinder-volume" || s.Host != service && (cluster == "" || s.Cluster != cluster)
	}))
}

func statusTerm(c runners.VolumeCase) GateTerm {
	return GateTerm{
		Name: GateStatus, Says: "its status is " + c.Volume.Status,
		Blocks: runners.Known(!slices.Contains(deletable, c.Volume.Status)),
	}
}

func attachedTerm(c runners.VolumeCase) GateTerm {
	n := len(c.Volume.Attached)
	if n == 0 {
		return GateTerm{Name: GateAttached, Says: "it is attached to nothing", Blocks: runners.Known(false)}
	}
	return GateTerm{Name: GateAttached, Says: Count(n, "attachment is", "attachments are") + " recorded as attached", Blocks: runners.Known(true)}
}

func migratingTerm(c runners.VolumeCase) GateTerm {
	now, shown := c.Volume.Migration.Get()
	t := GateTerm{Name: GateMigrating, Asks: "it is being migrated", Says: "no migration of it is under way", Blocks: runners.Known(false)}
	if !shown {
		t.Blocks = runners.NotKnown[bool](c.Volume.Migration.Why())
	} else if !slices.Contains(migrated, now) {
		t.Says, t.Blocks = "its migration_status is "+now, runners.Known(true)
	}
	return t
}

func groupTerm(c runners.VolumeCase) GateTerm {
	if c.Volume.GroupID == "" {
		return GateTerm{Name: GateGroup, Says: "it is in no group", Blocks: runners.Known(false)}
	}
	name := strings.TrimSpace(c.GroupName.Or("") + " " + c.Volume.GroupID)
	return GateTerm{Name: GateGroup, Says: "it belongs to group " + name, Blocks: runners.Known(true)}
}

func snapshotsTerm(c runners.VolumeCase) GateTerm {
	t := GateTerm{Name: GateSnapshots, Asks: "it has snapshots", Says: "it has no snapshots"}
	all, shown := c.Snapshots.Get()
	if !shown {
		t.Blocks = runners.NotKnown[bool](c.Snapshots.Why())
		return t
	}
	t.Blocks = runners.Known(len(all) > 0)
	if len(all) > 0 {
		t.Says = "it has " + Count(len(all), "snapshot", "snapshots")
	}
	return t
}

// Count is a number of things in words: "1 snapshot", "2 snapshots".
func Count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
