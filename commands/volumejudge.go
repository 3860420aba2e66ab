package commands

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"whybot/runners"
)

// judgeVolume turns what was found about a volume into the verdict, and returns
// the findings that stand, the most important first. There is no path: every
// finding that is no aside keeps the volume by itself, so the first that is
// proven is named, and the others besides.
func judgeVolume(p *Pass, findings []Finding, unseen []Blind) (Verdict, []Finding) {
	findings = byCertainty(findings)
	first := slices.IndexFunc(findings, func(f Finding) bool { return !f.Aside })
	if first < 0 {
		return p.volumeClear(unseen), findings
	}
	named := volumeRoot(findings, first)
	v := rooted(findings[named], findings[first])
	var besides []string
	for i, f := range findings {
		if i != named && !f.Aside && f.State == Proven && volumeRoot(findings, i) != named {
			besides = append(besides, fmt.Sprintf("%s (%s)", f.Cause, f.Title))
		}
	}
	if len(besides) > 0 {
		v.Summary = strings.TrimSuffix(v.Summary, ".") + ". In its way too: " + strings.Join(besides, ", ") + "."
	}
	return v, findings
}

// volumeRoot returns the finding that finding i follows from, or i. All are about
// one volume, so that it does not matter on which node each was seen. What is
// only probable does not stand for what is proven.
func volumeRoot(findings []Finding, i int) int {
	root := slices.IndexFunc(findings, func(f Finding) bool {
		return slices.Contains(f.Causes, findings[i].Cause) && (f.State == Proven || findings[i].State != Proven)
	})
	if root < 0 {
		return i
	}
	return root
}

// byCertainty puts proven findings before probable ones.
func byCertainty(findings []Finding) []Finding {
	sorted := slices.Clone(findings)
	slices.SortStableFunc(sorted, func(a, b Finding) int { return severity(b.State) - severity(a.State) })
	return sorted
}

// volumeClear is the verdict when nothing was found.
func (p *Pass) volumeClear(unseen []Blind) Verdict {
	c := p.Volume
	if p.Question.Kind == KindVolumeLeft {
		return stayClear(*c, unseen)
	}
	name := VolumeName(c.Volume)
	if v, busy := underWay(*c); busy {
		return v
	}
	var hidden []string
	for _, t := range Gate(*c) {
		if _, known := t.Blocks.Get(); !known {
			hidden = append(hidden, fmt.Sprintf("whether %s (%s)", t.Asks, t.Blocks.Why()))
		}
	}
	if len(hidden) > 0 || len(unseen) > 0 {
		return unseenVolume(name, hidden, unseen)
	}
	served := "its cinder-volume is up and logged nothing against it"
	if host, _ := c.Volume.Host.Get(); host == "" {
		served = "no back end ever took it, so that Cinder deletes it at once"
	}
	return Verdict{
		State: Healthy, Title: "Nothing keeps the volume from being deleted",
		Summary: fmt.Sprintf("%s is %s: every condition of Cinder's API for deleting it holds, and %s. Only project %s and administrators may delete it.", name, c.Volume.Status, served, c.Volume.ProjectID),
	}
}

// underWay is the verdict for a volume that is being, or could not be, deleted.
func underWay(c runners.VolumeCase) (Verdict, bool) {
	name, host := VolumeName(c.Volume), c.Volume.Host.Or("a host that whybot is not shown")
	switch c.Volume.Status {
	case "deleting":
		return Verdict{
			State: Unclear, Title: "The volume is being deleted",
			Summary: fmt.Sprintf("%s has been deleting since %s, and nothing that was read stops it.", name, stampOf(c.Volume.Updated)),
			Missing: "how it ends: ask again in some minutes, and look for its id in cinder-volume's log on " + host,
		}, true
	case "error_deleting":
		return Verdict{
			State: Unclear, Title: "An earlier deletion failed, for a reason that was not found",
			Summary: fmt.Sprintf("%s is error_deleting since %s: its back end was told to delete it and could not. From this status Cinder takes no other request to delete it.", name, stampOf(c.Volume.Updated)),
			Missing: "why: what cinder-volume of " + host + " logged for " + c.Volume.ID,
		}, true
	}
	return Verdict{}, false
}

// stampOf is a time for a person; Cinder leaves out what never was.
func stampOf(t time.Time) string {
	if t.IsZero() {
		return "a time that Cinder does not tell"
	}
	return t.UTC().Format("2006-01-02 15:04 MST")
}

func unseenVolume(name string, hidden []string, unseen []Blind) Verdict {
	for _, u := range unseen {
		hidden = appendNew(hidden, fmt.Sprintf("%s (%s)", u.What, u.Why))
	}
	v := Verdict{State: Unclear, Title: "Not enough could be seen", Missing: hidden[0]}
	v.Summary = fmt.Sprintf("Nothing that was read keeps %s from being deleted, but not everything could be: %s", name, hidden[0])
	if n := len(hidden) - 1; n > 0 {
		v.Summary += fmt.Sprintf(", and %d more", n)
	}
	v.Summary += "."
	return v
}

// stayClear is the verdict on a volume that stayed for no reason that was found.
func stayClear(c runners.VolumeCase, unseen []Blind) Verdict {
	name := VolumeName(c.Volume)
	for _, t := range c.Servers {
		held, mapped := t.Mapping(c.Volume.ID)
		gone, known := t.Gone.Get()
		server, _ := t.Server.Get()
		switch {
		case !known || gone || !mapped:
		case held.DeleteOnTermination.Why() != "":
			return Verdict{
				State: Unclear, Title: "Whether the volume is deleted with its server is not told",
				Summary: fmt.Sprintf("%s exists (%s) and holds %s as %s.", t.Name(), server.Status, name, held.Device),
				Missing: "delete_on_termination of the volume: " + held.DeleteOnTermination.Why(),
			}
		case server.Status == "SOFT_DELETED":
			return Verdict{
				State: Healthy, Title: "Its server is deleted softly and keeps it until it is reclaimed",
				Summary: fmt.Sprintf("%s is only soft-deleted: Nova keeps it, and %s with it, until reclaim_instance_interval has passed or it is force-deleted.", t.Name(), name),
			}
		case held.DeleteOnTermination.Or(false):
			return Verdict{
				State: Healthy, Title: "Its server is there, and the volume will be deleted with it",
				Summary: fmt.Sprintf("%s exists (%s) and holds %s as %s with delete_on_termination true: Nova deletes the volume when it deletes the server.", t.Name(), server.Status, name, held.Device),
			}
		}
	}
	if c.Volume.Status == "deleting" {
		v, _ := underWay(c)
		return v
	}
	if len(c.Volume.Attached) > 0 && len(unseen) > 0 {
		return Verdict{
			State: Unclear, Title: "What its server does with the volume could not be seen",
			Summary: fmt.Sprintf("%s is %s, attached to server %s.", name, c.Volume.Status, c.Volume.Attached[0].ServerID),
			Missing: unseen[0].What + ": " + unseen[0].Why,
		}
	}
	v := Verdict{
		State: Unclear, Title: "Nothing ties the volume to a server",
		Summary: fmt.Sprintf("%s is %s. No attachment, and no server that whybot is shown, tells what it belonged to.", name, c.Volume.Status),
		Missing: "which server had it: Nova's database keeps it, SELECT instance_uuid, delete_on_termination, deleted_at FROM block_device_mapping WHERE volume_id = '" + c.Volume.ID + "'",
	}
	if len(unseen) > 0 {
		v.Summary += fmt.Sprintf(" Not seen: %s (%s).", unseen[0].What, unseen[0].Why)
	}
	return v
}
