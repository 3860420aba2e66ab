package diagnose

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"whybot/commands"
	"whybot/runners"
)

// VolumeAttached is VOLD-01: a server has the volume.
var VolumeAttached = register(&commands.Diagnosis{
	Name:  "VOLD-01",
	Title: "The volume is attached to a server",
	Doc: `An attachment of the volume names a server that exists. Where that server is
deleted the record is stale (VOLD-09); where Nova does not show it to whybot's role
it may be either, so that it is only probable.`,
	Explains: undeletable,
	Run: func(_ context.Context, p *commands.Pass) error {
		c := *p.Volume
		alive, unknown := livingHolders(c)
		switch {
		case len(alive) > 0 && !refusedByCinder.MatchString(p.Question.Text):
			p.Report(attachedFinding(c, alive))
		case len(alive) == 0 && len(unknown) > 0:
			f := attachedFinding(c, unknown)
			f.State, f.Missing = commands.Probable, "whether the server exists: "+unknown[0].Gone.Why()
			p.Report(f)
		case len(holders(c)) == 0 && len(c.Volume.Attached) == 0:
			p.Good(commands.Hop{}, "the volume is attached to nothing", "cinder: GET volumes")
		}
		return nil
	},
})

// livingHolders are the servers of attachments that exist, and those of which
// that is not known. One that holds the volume in Cinder's books alone is
// neither.
func livingHolders(c runners.VolumeCase) (alive, unknown []runners.ServerTrace) {
	for _, t := range holders(c) {
		gone, known := t.Gone.Get()
		switch {
		case !known:
			unknown = append(unknown, t)
		case !gone && !dropped(c, t):
			alive = append(alive, t)
		}
	}
	return alive, unknown
}

// dropped reports whether Nova has no mapping of the volume for a server that
// exists, though Cinder has one for longer than attaching takes.
func dropped(c runners.VolumeCase, t runners.ServerTrace) bool {
	gone, known := t.Gone.Get()
	_, shown := t.Mappings.Get()
	_, held := t.Mapping(c.Volume.ID)
	return known && !gone && shown && !held && settledFor(c, inFlight)
}

func attachedFinding(c runners.VolumeCase, servers []runners.ServerTrace) commands.Finding {
	t := servers[0]
	server, _ := t.Server.Get()
	f := commands.Finding{
		State:    commands.Proven,
		Summary:  fmt.Sprintf("%s is %s: server %s (%s) %s", commands.VolumeName(c.Volume), c.Volume.Status, t.Name(), strings.ToLower(server.Status), has(c)),
		Evidence: []commands.Evidence{volumeEvidence(c, fact("status", c.Volume.Status)), attachmentLines(c), serverLines(servers)},
	}
	if n := len(servers) - 1; n > 0 {
		f.Summary += ", and " + commands.Count(n, "more server", "more servers")
	}
	held, _ := t.Mapping(c.Volume.ID)
	if strings.HasSuffix(held.Device, "da") {
		f.Advice = []string{fmt.Sprintf("It is the root disk (%s) of %s: Nova does not detach that. It goes when the server is deleted.", held.Device, t.Name())}
		return f
	}
	f.Advice = []string{
		"If the server does not need it: unmount it in the guest, then openstack server remove volume " + runners.DisplayQuote(t.ID) + " " + runners.DisplayQuote(c.Volume.ID),
		"To take that back: openstack server add volume " + runners.DisplayQuote(t.ID) + " " + runners.DisplayQuote(c.Volume.ID) + " (the guest may see it under another device name).",
	}
	return f
}

// has says how far the attachment has come.
func has(c runners.VolumeCase) string {
	if len(c.Volume.Attached) == 0 {
		return "is being given it, or is letting it go"
	}
	return "has it"
}

// refusedByCinder are the words of a question that say that Cinder refused to
// detach the volume.
var refusedByCinder = regexp.MustCompile(`(?i)\b409\b|ConflictNovaUsingAttachment|using the compute api|can(no|')?t be detached|detach`)

// DetachThroughNova is VOLD-10: Cinder does not detach what Nova uses.
var DetachThroughNova = register(&commands.Diagnosis{
	Name:  "VOLD-10",
	Title: "Cinder does not detach what Nova uses",
	Doc: `The volume is to be detached in Cinder, which answers 409 since CVE-2023-2088, while
Nova holds it for a server that exists. The question has to speak of detaching; else
that it is attached is the whole answer (VOLD-01).`,
	Explains: undeletable,
	Run: func(_ context.Context, p *commands.Pass) error {
		c := *p.Volume
		alive, _ := livingHolders(c)
		if len(alive) == 0 || !refusedByCinder.MatchString(p.Question.Text) {
			return nil
		}
		f := attachedFinding(c, alive)
		f.Summary += "; Cinder answers a request to detach it with 409 and leaves that to Nova"
		if _, held := alive[0].Mapping(c.Volume.ID); !held {
			f.State, f.Missing = commands.Probable, "that Nova holds it: "+alive[0].Mappings.Why()
		}
		f.Advice = append(f.Advice, "If Nova's own detach ends in that 409: it does not send a service token. Set [service_user] send_service_user_token = true in nova.conf and [keystone_authtoken] service_token_roles_required = true in cinder.conf.")
		p.Report(f)
		return nil
	},
})

// StaleAttachment is VOLD-09: an attachment whose server does not exist any more.
var StaleAttachment = register(&commands.Diagnosis{
	Name:  "VOLD-09",
	Title: "An attachment is left of a server that does not have the volume",
	Doc: `Cinder has a record of an attachment, and the server it names is deleted, or has
nothing of the volume in Nova; or the status says that it is in use and there is no
record at all. An attachment that is being made looks like it for some minutes, and a
server of another project is not shown to a member.`,
	Explains: undeletable,
	Run: func(_ context.Context, p *commands.Pass) error {
		c := *p.Volume
		if f, ok := staleRecord(c); ok {
			p.Report(f)
			return nil
		}
		if !slices.Contains([]string{"in-use", "reserved", "attaching", "detaching"}, c.Volume.Status) {
			return nil
		}
		records, shown := c.Attachments.Get()
		if !shown {
			return notShown("cinder", "attachments of the volume", c.Attachments.Why())
		}
		if len(records) > 0 || len(c.Volume.Attached) > 0 || !settledFor(c, inFlight) {
			return nil
		}
		p.Report(commands.Finding{
			State:    commands.Proven,
			Summary:  fmt.Sprintf("%s is %s since %s, and no attachment is behind that", commands.VolumeName(c.Volume), c.Volume.Status, day(c.Volume.Updated)),
			Evidence: []commands.Evidence{volumeEvidence(c, fact("status", c.Volume.Status)), attachmentLines(c)},
			Advice: []string{
				"Make sure first that no host has it mapped any more (multipath -ll, rbd status, iscsiadm -m session): data are lost otherwise.",
				"Then: openstack volume set --state available " + c.Volume.ID,
			},
		})
		return nil
	},
})

func staleRecord(c runners.VolumeCase) (commands.Finding, bool) {
	var stale []runners.ServerTrace
	for _, t := range holders(c) {
		if t.Gone.Or(false) || dropped(c, t) {
			stale = append(stale, t)
		}
	}
	if len(stale) == 0 {
		return commands.Finding{}, false
	}
	t := stale[0]
	what := "which is deleted"
	if !t.Gone.Or(false) {
		what = "for which Nova has no such volume"
	}
	f := commands.Finding{
		State:    commands.Proven,
		Summary:  fmt.Sprintf("%s is %s: Cinder has %s for server %s, %s", commands.VolumeName(c.Volume), c.Volume.Status, commands.Count(len(stale), "attachment", "attachments"), t.Name(), what),
		Evidence: []commands.Evidence{attachmentLines(c), serverLines(stale)},
		Advice: []string{
			"Make sure first that no host has it mapped any more (on " + hostOf(c, t) + ": multipath -ll, rbd status, iscsiadm -m session): data are lost otherwise.",
		},
	}
	for _, id := range recordsOf(c, stale) {
		q := runners.DisplayQuote(id)
		f.Advice = append(f.Advice, fmt.Sprintf("Keep the record, it cannot be made again: openstack --os-volume-api-version 3.27 volume attachment show %s -f json > attachment-%s.json; then openstack --os-volume-api-version 3.27 volume attachment delete %s", q, id, q))
	}
	f.Advice = append(f.Advice, "Do not set the attachment status by hand (cinder reset-state --attach-status detached): a host that still has it mapped goes on writing.")
	return f, true
}

// hostOf is the node on which the volume was attached, if Cinder tells.
func hostOf(c runners.VolumeCase, t runners.ServerTrace) string {
	for _, a := range c.Volume.Attached {
		if a.ServerID == t.ID && a.Host != "" {
			return a.Host
		}
	}
	if s, ok := t.Server.Get(); ok && s.Host.Or("") != "" {
		return s.Host.Or("")
	}
	return "its compute node"
}

// recordsOf are the ids of the attachments that name one of the servers.
func recordsOf(c runners.VolumeCase, servers []runners.ServerTrace) []string {
	var ids []string
	named := func(id string) bool {
		return slices.ContainsFunc(servers, func(t runners.ServerTrace) bool { return t.ID == id })
	}
	for _, a := range c.Volume.Attached {
		if named(a.ServerID) {
			ids = append(ids, a.AttachmentID)
		}
	}
	records, _ := c.Attachments.Get()
	for _, a := range records {
		if named(a.ServerID) && !slices.Contains(ids, a.ID) {
			ids = append(ids, a.ID)
		}
	}
	return ids
}
