package diagnose

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"whybot/commands"
	"whybot/commands/fix"
	"whybot/runners"
)

// VolumeSnapshots is VOLD-02: snapshots hang on the volume.
var VolumeSnapshots = register(&commands.Diagnosis{
	Name:  "VOLD-02",
	Title: "The volume has snapshots",
	Doc: `Cinder has snapshots of the volume, whatever their status. Volumes that were made
from it are none, and neither are backups.`,
	Explains: undeletable,
	Run: func(_ context.Context, p *commands.Pass) error {
		c := *p.Volume
		all, shown := c.Snapshots.Get()
		if !shown {
			return notShown("cinder", "snapshots of the volume", c.Snapshots.Why())
		}
		if len(all) == 0 {
			p.Good(commands.Hop{}, "it has no snapshots", "cinder: GET snapshots")
			return nil
		}
		var b strings.Builder
		for _, s := range all {
			fmt.Fprintf(&b, "%s %s: %s, made %s\n", s.ID, s.Name, s.Status, day(s.Created))
		}
		p.Report(commands.Finding{
			State:    commands.Proven,
			Summary:  fmt.Sprintf("%s has %s", commands.VolumeName(c.Volume), commands.Count(len(all), "snapshot", "snapshots")),
			Evidence: []commands.Evidence{{Source: "cinder: GET snapshots?volume_id=" + c.Volume.ID, Text: b.String()}},
			Advice: []string{
				"Data that is deleted does not come back, so whybot offers no button. Who owns the snapshots may delete them: openstack volume snapshot delete SNAPSHOT",
				"Or the volume with all of them at once: openstack volume delete --purge " + c.Volume.ID,
			},
		})
		return nil
	},
})

// busyWith are statuses in which another task has the volume, and that task.
var busyWith = map[string]string{
	"creating": "it is being created", "downloading": "an image is being written to it", "uploading": "it is being written to an image",
	"backing-up": "a backup is being made of it", "restoring-backup": "a backup is being restored to it", "retyping": "it is being retyped",
	"extending": "it is being extended", "reverting": "it is being reverted to a snapshot", "maintenance": "it is being migrated",
	"managing": "it is being taken into Cinder", "unmanaging": "it is being let go by Cinder", "error_backing-up": "a backup of it failed",
}

// VolumeHeld is VOLD-11: a migration, a group, a transfer or another task has it.
var VolumeHeld = register(&commands.Diagnosis{
	Name:  "VOLD-11",
	Title: "A migration, group, transfer or other task holds the volume",
	Doc: `The volume belongs to a group, is on offer to another project, is being migrated, or
its status is that of a task under way. A migration that ended, whether well or not,
holds nothing.`,
	Explains: undeletable,
	Run: func(_ context.Context, p *commands.Pass) error {
		c := *p.Volume
		group, migrating := commands.GateTermOf(c, commands.GateGroup), commands.GateTermOf(c, commands.GateMigrating)
		var holds, advice []string
		if group.Blocks.Or(false) {
			holds = append(holds, group.Says)
			advice = append(advice, "Take it out of the group: cinder --os-volume-api-version 3.13 group-update --remove-volumes "+c.Volume.ID+" "+c.Volume.GroupID)
		}
		if migrating.Blocks.Or(false) {
			holds = append(holds, migrating.Says)
			advice = append(advice, "Wait for the migration to end. Where its cinder-volume has died meanwhile it never does; look at the log of both back ends before anything is reset.")
		}
		says, hint := taskOf(c)
		holds, advice = append(holds, says...), append(advice, hint...)
		if len(holds) > 0 {
			p.Report(commands.Finding{
				State: commands.Proven, Summary: fmt.Sprintf("%s cannot be deleted: %s", commands.VolumeName(c.Volume), strings.Join(holds, "; ")),
				Evidence: []commands.Evidence{volumeEvidence(c, fact("status", c.Volume.Status), fact("migration_status", c.Volume.Migration.Or("not shown")), fact("group_id", c.Volume.GroupID))},
				Advice:   advice,
			})
		} else {
			p.Good(commands.Hop{}, "no group, transfer or task has it", "cinder: GET volumes")
		}
		if _, known := migrating.Blocks.Get(); !known {
			return notShown("cinder", "migration_status of the volume", migrating.Blocks.Why())
		}
		return nil
	},
})

// taskOf says what the volume's status means, if it is that of a task.
func taskOf(c runners.VolumeCase) (holds, advice []string) {
	if c.Volume.Status == "awaiting-transfer" {
		all, _ := c.Transfers.Get()
		ids := "TRANSFER"
		if len(all) > 0 {
			ids = runners.DisplayQuote(all[0].ID)
		}
		return []string{"it is on offer to another project (awaiting-transfer)"},
			[]string{"Withdraw the offer: openstack volume transfer request delete " + ids + ". An offer made again has another key, so tell who was to take it."}
	}
	what, busy := busyWith[c.Volume.Status]
	if !busy {
		return nil, nil
	}
	return []string{what + " (" + c.Volume.Status + " since " + day(c.Volume.Updated) + ")"}, []string{"Wait for that to end."}
}

// BackendFrozen is VOLD-12: the back end takes no changes.
var BackendFrozen = register(&commands.Diagnosis{
	Name:  "VOLD-12",
	Title: "The back end is frozen",
	Doc: `Cinder's services say that the volume's back end is frozen, as it is after a
failover: no volume of it may be changed. A service that is merely disabled takes no
new volumes and deletes old ones.`,
	Explains: undeletable,
	Run: func(_ context.Context, p *commands.Pass) error {
		c := *p.Volume
		rows, shown := commands.BackendRows(c).Get()
		if !shown {
			return notShown("cinder", "services of the volume's back end", commands.BackendRows(c).Why())
		}
		i := slices.IndexFunc(rows, func(s runners.VolumeService) bool { return s.Frozen.Or(false) })
		if i < 0 {
			return nil
		}
		p.Report(commands.Finding{
			State: commands.Proven, Summary: fmt.Sprintf("Back end %s is frozen: Cinder changes and deletes nothing of it", rows[i].Host),
			Evidence: []commands.Evidence{{Source: "cinder: GET os-services", Text: fact("host", rows[i].Host) + fact("frozen", true)}},
			Fixes:    []commands.Suggestion{{Fix: fix.ThawBackend, Args: map[string]string{"host": rows[i].Host}}},
			Advice:   []string{"Somebody froze it, perhaps while it is failed over: ask them first."},
		})
		return nil
	},
})

// notAllowed are the words of a question that tell of a refusal.
var notAllowed = regexp.MustCompile(`(?i)\b40[34]\b|forbidden|not (authori[sz]ed|allowed|permitted)|permission|policy`)

// ForeignVolume is VOLD-17: whoever tries may not.
var ForeignVolume = register(&commands.Diagnosis{
	Name:  "VOLD-17",
	Title: "Whoever tries is not allowed to delete the volume",
	Doc: `The question tells of an answer 403 or 404, or of a policy, and nothing else keeps the
volume. Who tried, and with which role, is not known to whybot, so it is only probable.`,
	Explains: undeletable,
	Run: func(_ context.Context, p *commands.Pass) error {
		c := *p.Volume
		said := notAllowed.FindString(p.Question.Text)
		if said == "" || slices.ContainsFunc(commands.Gate(c), func(t commands.GateTerm) bool { return t.Blocks.Or(false) }) {
			return nil
		}
		p.Report(commands.Finding{
			State:    commands.Probable,
			Summary:  fmt.Sprintf("%s is of project %s, and nothing that Cinder's API looks at keeps it: %q is the answer to another project's users (404) or to a role that may only read (403)", commands.VolumeName(c.Volume), c.Volume.ProjectID, said),
			Missing:  "who tried: their project and role (openstack role assignment list --user USER --names)",
			Evidence: []commands.Evidence{volumeEvidence(c, fact("os-vol-tenant-attr:tenant_id", c.Volume.ProjectID), fact("user_id", c.Volume.UserID))},
			Advice:   []string{"Delete it as a member of project " + c.Volume.ProjectID + ", or as an administrator."},
		})
		return nil
	},
})
