package runners

import (
	"strings"
	"time"
)

// A Volume is a Cinder volume.
type Volume struct {
	ID, Name  string
	ProjectID string
	UserID    string // who made it
	// Status as Cinder spells it: available, in-use, deleting, error_deleting, ...
	Status   string
	Size     int // GiB
	Type     string
	Bootable bool
	Metadata map[string]string
	Created  time.Time
	Updated  time.Time // the zero time when it was never changed
	// Host is host@backend#pool; known and empty when no back end ever took it.
	Host Maybe[string]
	// Cluster is the name of the cluster that serves it; known and empty when it
	// is in none.
	Cluster Maybe[string]
	// Migration is what became of its last migration: "migrating", "success", ...
	Migration Maybe[string]
	// GroupID is the group or consistency group that it belongs to.
	GroupID string
	// Attached are the attachments that are complete.
	Attached []AttachedTo
}

// An AttachedTo is a complete attachment, as a volume shows it.
type AttachedTo struct {
	AttachmentID, ServerID string
	Host, Device           string // the host is hidden from members
	At                     time.Time
}

// A BackendName is the name of where a volume is: host@backend#pool.
type BackendName struct{ Host, Backend, Pool string }

// ParseBackend takes a volume's or a service's host apart. What is missing is
// empty.
func ParseBackend(s string) BackendName {
	rest, pool, _ := strings.Cut(s, "#")
	host, backend, _ := strings.Cut(rest, "@")
	return BackendName{Host: host, Backend: backend, Pool: pool}
}

// Service returns the name of the service that serves it: host@backend.
func (b BackendName) Service() string {
	if b.Backend == "" {
		return b.Host
	}
	return b.Host + "@" + b.Backend
}

// A Snapshot is a snapshot of a volume.
type Snapshot struct {
	ID, Name, Status string
	Size             int
	Created          time.Time
}

// A VolumeAttachment is Cinder's record of an attachment, complete or not.
type VolumeAttachment struct {
	ID       string
	Status   string // attached, reserved, attaching, detaching, ...
	ServerID string // empty for one that no server was named for
}

// A VolumeService is one row of Cinder's services.
type VolumeService struct {
	Binary string // "cinder-volume", ...
	// Host is host@backend.
	Host           string
	Zone           string
	Enabled        bool
	DisabledReason string
	// Up says that it reported within service_down_time, by the API's clock.
	Up      bool
	Updated time.Time
	Cluster string
	// Frozen back ends take no changes.
	Frozen Maybe[bool]
}

// A VolumeMessage is what Cinder tells a user about something that failed.
type VolumeMessage struct {
	At    time.Time
	Level string
	Text  string
}

// A Transfer is an offer of a volume to another project.
type Transfer struct {
	ID, Name string
	Created  time.Time
}

// A Mapping is a volume that Nova holds for a server.
type Mapping struct {
	ServerID, VolumeID string
	Device             string
	// DeleteOnTermination says whether Nova deletes it with the server.
	DeleteOnTermination Maybe[bool]
}

// A ServerAction is one line of what was asked of a server.
type ServerAction struct {
	Action  string // "create", "attach_volume", "delete", ...
	Started time.Time
	Failed  bool // Nova says that it ended in an error
}

// A ServerTrace is a server that a volume has to do with, which may be gone.
type ServerTrace struct {
	ID string
	// Server is what Nova says of it; of a deleted one only administrators learn
	// anything, and only while Nova's database keeps it.
	Server Maybe[Server]
	// Gone says whether it is deleted.
	Gone Maybe[bool]
	// Deleted is when it was deleted, as far as Nova tells.
	Deleted Maybe[time.Time]
	// Mappings are the volumes that Nova holds for it.
	Mappings Maybe[[]Mapping]
	// Actions are the last things that were asked of it, the newest first.
	Actions Maybe[[]ServerAction]
}

// Mapping returns what Nova holds of a volume for the server.
func (t ServerTrace) Mapping(volumeID string) (Mapping, bool) {
	all, _ := t.Mappings.Get()
	for _, m := range all {
		if m.VolumeID == volumeID {
			return m, true
		}
	}
	return Mapping{}, false
}

// Name returns the server's name, or its id where the name is not known.
func (t ServerTrace) Name() string {
	if s, ok := t.Server.Get(); ok && s.Name != "" {
		return s.Name
	}
	return t.ID
}

// A VolumeCase is a volume with everything that OpenStack says of why it is
// there and what keeps it from being deleted.
type VolumeCase struct {
	Volume      Volume
	Snapshots   Maybe[[]Snapshot]
	Attachments Maybe[[]VolumeAttachment]
	// Services are those of Cinder, of every binary and host.
	Services Maybe[[]VolumeService]
	// Machines are the nodes that control the cloud, as Nova's services are named,
	// those of the compute nodes left out.
	Machines Maybe[[]string]
	// Transfers are the offers of this volume.
	Transfers Maybe[[]Transfer]
	// GroupName is the name of the group that it belongs to.
	GroupName Maybe[string]
	// Messages are Cinder's own about this volume, the newest first.
	Messages Maybe[[]VolumeMessage]
	// Servers are those that an attachment names, and the one that was asked
	// about, each once.
	Servers []ServerTrace
	// Idle are the volumes of the same project that are attached to nothing and
	// in no other use.
	Idle Maybe[[]Volume]
	// At is when it was read, by whybot's clock.
	At time.Time
}

// Server returns the trace of a server by its id.
func (c VolumeCase) Server(id string) (ServerTrace, bool) {
	for _, t := range c.Servers {
		if t.ID == id {
			return t, true
		}
	}
	return ServerTrace{}, false
}

// A Leftover is a server, deleted or not, with the volumes that have to do with
// it.
type Leftover struct {
	Server  ServerTrace
	Volumes []Volume
}
