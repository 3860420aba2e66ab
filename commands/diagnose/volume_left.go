package diagnose

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"whybot/commands"
	"whybot/commands/fix"
	"whybot/runners"
)

// keepers are the servers that exist, hold the volume, and leave it when they are
// deleted. One that is deleted softly still holds it on purpose.
func keepers(c runners.VolumeCase) []runners.ServerTrace {
	var all []runners.ServerTrace
	for _, t := range c.Servers {
		held, ok := t.Mapping(c.Volume.ID)
		dies, known := held.DeleteOnTermination.Get()
		server, _ := t.Server.Get()
		if ok && known && !dies && !t.Gone.Or(true) && server.Status != "SOFT_DELETED" {
			all = append(all, t)
		}
	}
	return all
}

// soon is how far apart two records of one event may be.
const soon = 30 * time.Second

// attachedLater reports whether the volume was given to a server after that was
// made; by is what tells so.
func attachedLater(c runners.VolumeCase, t runners.ServerTrace) bool {
	i := slices.IndexFunc(c.Volume.Attached, func(a runners.AttachedTo) bool { return a.ServerID == t.ID })
	if actions, shown := t.Actions.Get(); shown && i >= 0 {
		return slices.ContainsFunc(actions, func(a runners.ServerAction) bool {
			return a.Action == "attach_volume" && a.Started.Sub(c.Volume.Attached[i].At).Abs() <= soon
		})
	}
	held, _ := t.Mapping(c.Volume.ID)
	return !strings.HasSuffix(held.Device, "da") && !c.Volume.Bootable
}

// KeptByDefault is VOLL-01: the server was made with a volume that it leaves.
var KeptByDefault = register(&commands.Diagnosis{
	Name:  "VOLL-01",
	Title: "The server was made to leave its volume when it is deleted",
	Doc: `The volume was made for the server at its creation, with delete_on_termination false,
as the dashboard does by default. While the server exists, Nova tells; afterwards it
keeps that in its database alone: a volume that was let go at the moment its server was
deleted, and not deleted, is only probable. One that was detached before by hand is not
left by anything.`,
	Explains: leftover,
	Run: func(_ context.Context, p *commands.Pass) error {
		return keeping(p, false)
	},
})

// KeptSinceAttached is VOLL-02: the volume was attached later.
var KeptSinceAttached = register(&commands.Diagnosis{
	Name:  "VOLL-02",
	Title: "The volume was attached later, and such ones stay by default",
	Doc: `As VOLL-01 for a volume that was attached to a server that was there already: its
delete_on_termination is false unless it is asked for (Nova 2.79 or newer). Nova's
actions of the server tell which of the two it was.`,
	Explains: leftover,
	Run: func(_ context.Context, p *commands.Pass) error {
		return keeping(p, true)
	},
})

// keeping reports why a server leaves, or left, the volume: as one that was
// attached later, or as one that it was made with.
func keeping(p *commands.Pass, later bool) error {
	c := *p.Volume
	for _, t := range keepers(c) {
		if attachedLater(c, t) == later {
			p.Report(willStay(c, t))
		}
	}
	if f, wasLater, ok := wasLeft(c); ok && wasLater == later {
		p.Report(f)
	}
	if later {
		return nil // what could not be seen is said once
	}
	return mappingsHidden(c)
}

// mappingsHidden says what Nova did not tell of servers that hold the volume.
func mappingsHidden(c runners.VolumeCase) error {
	for _, t := range holders(c) {
		if gone, known := t.Gone.Get(); !known {
			return notShown("nova", "server "+t.ID, t.Gone.Why())
		} else if gone {
			continue
		}
		if _, shown := t.Mappings.Get(); !shown {
			return notShown("nova", "volumes of server "+t.Name(), t.Mappings.Why())
		}
		if held, ok := t.Mapping(c.Volume.ID); ok && held.DeleteOnTermination.Why() != "" {
			return notShown("nova", "delete_on_termination of the volume", held.DeleteOnTermination.Why())
		}
	}
	return nil
}

// horizonAdvice is how the dashboard's default is changed, with what it costs.
var horizonAdvice = []string{
	"For servers to come, in Horizon's local_settings.py (2025.2 or newer): LAUNCH_INSTANCE_DEFAULTS = {\"vol_delete_on_instance_delete\": True}",
	"Before 2025.2 there is LAUNCH_INSTANCE_DEFAULTS = {\"create_volume\": False} alone: the root disk is then ephemeral, and its data die with the server.",
}

func willStay(c runners.VolumeCase, t runners.ServerTrace) commands.Finding {
	name, server := commands.VolumeName(c.Volume), t.Name()
	held, _ := t.Mapping(c.Volume.ID)
	actions := "nova: GET servers/" + t.ID + "/os-instance-actions"
	f := commands.Finding{
		State:   commands.Proven,
		Summary: fmt.Sprintf("%s holds %s as %s with delete_on_termination false: Nova leaves the volume when it deletes the server", server, name, held.Device),
		Evidence: []commands.Evidence{
			{Source: "nova: GET servers/" + t.ID + "/os-volume_attachments", Text: fact("volumeId", c.Volume.ID) + fact("device", held.Device) + fact("delete_on_termination", false)},
			{Source: actions, Text: actionLines(t)},
		},
		Fixes: []commands.Suggestion{{Fix: fix.DeleteWithServer, Args: map[string]string{
			"server": t.ID, "server_name": commands.Clean(server, 80), "volume": c.Volume.ID, "volume_name": name,
		}}},
		Advice: append([]string{"Leave it so if the data are to outlive the server."}, horizonAdvice...),
	}
	if f.Evidence[1].Text == "" {
		f.Evidence = f.Evidence[:1]
	}
	return f
}

func actionLines(t runners.ServerTrace) string {
	var b strings.Builder
	actions, _ := t.Actions.Get() // when they are not shown there is nothing to show
	for _, a := range actions {
		fmt.Fprintf(&b, "%s %s", a.Started.UTC().Format("2006-01-02 15:04:05 MST"), a.Action)
		if a.Failed {
			b.WriteString(" (ended in an error)")
		}
		b.WriteString("\n")
	}
	return b.String()
}

// wasLeft is the finding for a volume that is free and was let go when a server
// was deleted; later says that it had been attached to that afterwards.
func wasLeft(c runners.VolumeCase) (f commands.Finding, later, ok bool) {
	v := c.Volume
	if v.Status != "available" || len(v.Attached) > 0 {
		return f, false, false
	}
	for _, t := range c.Servers {
		deleted, known := t.Deleted.Get()
		if !t.Gone.Or(false) || !known || v.Created.After(deleted) || v.Updated.Sub(deleted).Abs() > 2*time.Minute {
			continue
		}
		actions, _ := t.Actions.Get()
		did := func(what string, near bool) bool {
			return slices.ContainsFunc(actions, func(a runners.ServerAction) bool {
				return a.Action == what && (!near || a.Started.Sub(v.Updated).Abs() <= soon)
			})
		}
		if did("detach_volume", true) {
			continue // somebody took it off before
		}
		f = commands.Finding{
			State: commands.Probable,
			Summary: fmt.Sprintf("%s was let go on %s, when %s was deleted (%s), and not deleted: Nova had it with delete_on_termination false",
				commands.VolumeName(v), day(v.Updated), t.Name(), day(deleted)),
			Missing: "what Nova had: its database keeps it, SELECT delete_on_termination, deleted_at FROM block_device_mapping WHERE volume_id = '" + v.ID + "' AND instance_uuid = '" + t.ID + "'",
			Evidence: []commands.Evidence{
				volumeEvidence(c, fact("status", v.Status), fact("created_at", day(v.Created)), fact("updated_at", day(v.Updated))),
				serverLines([]runners.ServerTrace{t}),
			},
			Advice: append(leftovers(c), horizonAdvice...),
		}
		return f, !v.Bootable && did("attach_volume", false), true
	}
	return f, false, false
}

// maxListed is how many other volumes are named.
const maxListed = 8

// leftovers list what may be let go: the volume itself and others of its project
// that nothing has. What may die only their owner knows.
func leftovers(c runners.VolumeCase) []string {
	lines := []string{"It is " + owner(c.Volume) + ". Whether it may be deleted only its owner knows: openstack volume delete " + c.Volume.ID}
	idle, shown := c.Idle.Get()
	if !shown || len(idle) == 0 {
		return lines
	}
	lines = append(lines, "The project has "+commands.Count(len(idle), "more volume", "more volumes")+" that nothing has, the oldest first:")
	for _, v := range idle[:min(len(idle), maxListed)] {
		lines = append(lines, owner(v))
	}
	if n := len(idle) - maxListed; n > 0 {
		lines = append(lines, fmt.Sprintf("and %d more: openstack volume list --project %s --status available", n, c.Volume.ProjectID))
	}
	return lines
}

// foreign are metadata by which a tool marks the volumes that it made, and that
// tool.
var foreign = []struct{ key, tool string }{
	{"cinder.csi.openstack.org/cluster", "the Cinder CSI driver of Kubernetes"},
	{"csi.storage.k8s.io/pvc/name", "the Cinder CSI driver of Kubernetes"},
	{"kubernetes.io/created-for/pvc/name", "Kubernetes"},
	{"metering.stack", "a Heat stack"},
}

var claimName = regexp.MustCompile(`^pvc-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// OwnLifecycle is VOLL-03: a tool made the volume and keeps it on purpose.
var OwnLifecycle = register(&commands.Diagnosis{
	Name:  "VOLL-03",
	Title: "A tool made the volume and decides on its life itself",
	Doc: `The volume's metadata name the tool that made it (a CSI driver, an orchestrator), which
deletes it when its claim or stack goes, not with a server. Where only the name looks
like it, it is probable.`,
	Explains: leftover,
	Run: func(_ context.Context, p *commands.Pass) error {
		c := *p.Volume
		v := c.Volume
		f := commands.Finding{State: commands.Proven, Causes: []string{"VOLL-01", "VOLL-02"}}
		i := slices.IndexFunc(foreign, func(k struct{ key, tool string }) bool { _, has := v.Metadata[k.key]; return has })
		switch {
		case i >= 0:
			key, tool := foreign[i].key, foreign[i].tool
			f.Summary = fmt.Sprintf("%s made %s (%s: %s) and deletes it when what it was made for goes, not with a server", tool, commands.VolumeName(v), key, commands.Clean(v.Metadata[key], 80))
			f.Evidence = []commands.Evidence{volumeEvidence(c, fact(key, v.Metadata[key]))}
		case claimName.MatchString(v.Name):
			f.State, f.Missing = commands.Probable, "whether a cluster still has that claim: kubectl get pv "+v.Name
			f.Summary = fmt.Sprintf("%s is named as Kubernetes names the volumes of its claims, and these are not deleted with a server", v.Name)
			f.Evidence = []commands.Evidence{volumeEvidence(c, fact("name", v.Name))}
		default:
			return nil
		}
		f.Advice = []string{"Delete it where it was made: the claim, the stack, the template. Deleted here, the tool goes on to believe in it."}
		p.Report(f)
		return nil
	},
})
