package diagnose

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"whybot/commands"
	"whybot/runners"
)

// undeletable and leftover are the kinds of question about volumes.
var (
	undeletable = []commands.Kind{commands.KindVolumeStuck}
	leftover    = []commands.Kind{commands.KindVolumeLeft}
)

// notShown is the error for a fact that OpenStack keeps from whybot.
func notShown(service, what, why string) error {
	return &runners.Error{Runner: "openstack", Target: service, Op: what, Hint: why}
}

// fact is one line of evidence: a member of what an API answered.
func fact(key string, value any) string {
	b, err := json.Marshal(value)
	if err != nil {
		return "" // unreachable: only strings, numbers and lists of them are given
	}
	return fmt.Sprintf("%q: %s\n", key, b)
}

// volumeEvidence is what Cinder says of the volume itself.
func volumeEvidence(c runners.VolumeCase, lines ...string) commands.Evidence {
	return commands.Evidence{Source: "cinder: GET volumes/" + c.Volume.ID, Text: strings.Join(lines, "")}
}

// day is a moment for a person.
func day(t time.Time) string {
	if t.IsZero() {
		return "at a time that is not told"
	}
	return t.UTC().Format("2006-01-02 15:04 MST")
}

// owner says whose a volume is, how old, and when it was last changed.
func owner(v runners.Volume) string {
	s := fmt.Sprintf("%s %s: %d GiB, %s, project %s, made by user %s on %s", v.ID, commands.VolumeName(v), v.Size, v.Status, v.ProjectID, v.UserID, day(v.Created))
	if !v.Updated.IsZero() {
		s += ", last changed " + day(v.Updated)
	}
	return s
}

// holders are the servers that an attachment of the volume names, in the order
// in which they are known.
func holders(c runners.VolumeCase) []runners.ServerTrace {
	records, _ := c.Attachments.Get() // what is complete is in the volume, too
	var held []runners.ServerTrace
	for _, t := range c.Servers {
		named := slices.ContainsFunc(c.Volume.Attached, func(a runners.AttachedTo) bool { return a.ServerID == t.ID }) ||
			slices.ContainsFunc(records, func(a runners.VolumeAttachment) bool { return a.ServerID == t.ID })
		if named {
			held = append(held, t)
		}
	}
	return held
}

// inFlight is how long an attachment may take before it is stuck.
const inFlight = 10 * time.Minute

// settledFor reports whether nothing was done to the volume lately.
func settledFor(c runners.VolumeCase, d time.Duration) bool {
	last := c.Volume.Updated
	if last.IsZero() {
		last = c.Volume.Created
	}
	return c.At.Sub(last) > d
}

// attachmentLines are Cinder's records, for evidence.
func attachmentLines(c runners.VolumeCase) commands.Evidence {
	var b strings.Builder
	records, shown := c.Attachments.Get()
	for _, a := range records {
		fmt.Fprintf(&b, "%s %s server %s\n", a.ID, a.Status, a.ServerID)
	}
	if !shown {
		for _, a := range c.Volume.Attached {
			fmt.Fprintf(&b, "%s attached server %s since %s\n", a.AttachmentID, a.ServerID, day(a.At))
		}
	}
	if b.Len() == 0 {
		b.WriteString("no attachment\n")
	}
	return commands.Evidence{Source: "cinder: GET attachments?volume_id=" + c.Volume.ID, Text: b.String()}
}

// serverLines say what Nova knows of servers, for evidence.
func serverLines(servers []runners.ServerTrace) commands.Evidence {
	var b strings.Builder
	for _, t := range servers {
		server, shown := t.Server.Get()
		gone, known := t.Gone.Get()
		switch {
		case known && gone && shown:
			fmt.Fprintf(&b, "%s %s: deleted %s\n", t.ID, server.Name, day(t.Deleted.Or(time.Time{})))
		case known && gone:
			fmt.Fprintf(&b, "%s: 404, and not among the deleted ones\n", t.ID)
		case shown:
			fmt.Fprintf(&b, "%s %s: %s\n", t.ID, server.Name, strings.TrimSpace(server.Status+" "+server.TaskState))
		default:
			fmt.Fprintf(&b, "%s: %s\n", t.ID, t.Server.Why())
		}
	}
	return commands.Evidence{Source: "nova: GET servers", Text: b.String()}
}
