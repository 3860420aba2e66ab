package cloudfake

import "time"

// A Volume is a Cinder volume.
type Volume struct {
	ID, Name          string
	ProjectID, UserID string
	Status            string // available when empty, or in-use with an attachment
	Size              int    // 1 when zero
	Type              string
	Bootable          bool
	Metadata          map[string]string
	Created, Updated  time.Time // Updated is null in the API when zero
	// Host is host@backend#pool; null in the API when empty.
	Host, Cluster   string
	MigrationStatus string
	GroupID         string
	Attachments     []VolumeAttachment
}

// A VolumeAttachment is Cinder's record of an attachment.
type VolumeAttachment struct {
	ID       string
	ServerID string
	Status   string // attached when empty
	Host     string
	Device   string
	Attached time.Time
}

// A Snapshot is a snapshot of a volume.
type Snapshot struct {
	ID, Name, VolumeID string
	ProjectID          string
	Status             string // available when empty
	Created            time.Time
}

// A VolumeService is a row of Cinder's services.
type VolumeService struct {
	Binary string // cinder-volume when empty
	Host   string
	// Silent is how long it has not reported, or how far in the future it did: it
	// is down after a minute of either.
	Silent         time.Duration
	Disabled       bool
	DisabledReason string
	Cluster        string
	Frozen         bool
}

// A Transfer offers a volume to another project.
type Transfer struct {
	ID, Name, VolumeID string
	Created            time.Time
}

// A VolumeGroup is a group of volumes.
type VolumeGroup struct{ ID, Name, ProjectID string }

// A VolumeMessage is what Cinder told a user.
type VolumeMessage struct {
	ID, ProjectID, VolumeID string
	Text                    string
	Created                 time.Time
}

func (v *Volume) status() string {
	switch {
	case v.Status != "":
		return v.Status
	case len(v.Attachments) > 0:
		return "in-use"
	}
	return "available"
}

// cinderTime is how Cinder writes a time: UTC, without saying so.
func cinderTime(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format("2006-01-02T15:04:05.000000")
}

// later returns the later of two times.
func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
