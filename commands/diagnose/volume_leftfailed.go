package diagnose

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"whybot/commands"
	"whybot/commands/node"
	"whybot/runners"
)

// DeletionFailed is VOLL-04: the volume was to be deleted, and that failed.
var DeletionFailed = register(&commands.Diagnosis{
	Name:  "VOLL-04",
	Title: "The volume was to be deleted, and that failed",
	Doc: `nova-compute logged that it failed to delete the volume with its server, or Cinder says
error_deleting: delete_on_termination was true, or somebody asked. A volume with
snapshots that is free may be either; that is then no proof.`,
	Explains: leftover,
	Probes: func(s commands.Scope) []runners.Probe {
		if s.Volume == "" {
			return nil
		}
		return []runners.Probe{node.ComputeLogProbe(s.Volume)}
	},
	Run: func(_ context.Context, p *commands.Pass) error {
		c := *p.Volume
		lines, err := failedDeletes(p)
		f := commands.Finding{
			State: commands.Proven, Causes: []string{"VOLL-01", "VOLL-02"},
			Advice: []string{"Ask what keeps it: why can't volume " + c.Volume.ID + " be deleted"},
		}
		snapshots, _ := c.Snapshots.Get() // they would only be a hint
		because := ""
		if len(snapshots) > 0 {
			because = ", and it has " + commands.Count(len(snapshots), "snapshot", "snapshots")
		}
		switch {
		case len(lines) > 0:
			f.Summary = fmt.Sprintf("nova-compute was to delete %s with its server and Cinder refused%s", commands.VolumeName(c.Volume), because)
			f.Evidence = lines
		case c.Volume.Status == "error_deleting":
			f.Summary = fmt.Sprintf("%s is error_deleting since %s: it was to be deleted, and its back end could not%s", commands.VolumeName(c.Volume), day(c.Volume.Updated), because)
			f.Evidence = []commands.Evidence{volumeEvidence(c, fact("status", c.Volume.Status), fact("updated_at", day(c.Volume.Updated)))}
		default:
			return err
		}
		p.Report(f)
		return err
	},
})

// failedDeletes are the lines of nova-compute's logs, on the nodes of servers that
// are gone.
func failedDeletes(p *commands.Pass) ([]commands.Evidence, error) {
	var found []commands.Evidence
	var errs []error
	probe := node.ComputeLogProbe(p.Volume.Volume.ID)
	for _, n := range p.VolumeNodes() {
		out, err := p.Output(n, probe.Name)
		switch {
		case err != nil:
			errs = append(errs, err)
		case out.ExitCode == 0 && strings.TrimSpace(out.Stdout) != "":
			found = append(found, p.Evidence(n, probe, out.Stdout))
		case out.ExitCode > 1:
			errs = append(errs, &runners.Error{Runner: "ssh", Target: n, Op: "nova-compute's log", Hint: "it could not be read", Err: fmt.Errorf("stderr: %.200s", out.Stderr)})
		}
	}
	return found, errors.Join(errs...)
}

// DeletedWithoutCompute is VOLL-05: the server was deleted and the attachment
// stayed.
var DeletedWithoutCompute = register(&commands.Diagnosis{
	Name:  "VOLL-05",
	Title: "The server was deleted and its attachment was left behind",
	Doc: `Cinder still has an attachment for a server that is deleted, as happens when it is
deleted while its compute node is down (Nova then does it without that node). Where Nova
does not show the server to whybot's role, it may exist: then it is only probable.`,
	Explains: leftover,
	Run: func(_ context.Context, p *commands.Pass) error {
		c := *p.Volume
		var gone, unknown []runners.ServerTrace
		for _, t := range holders(c) {
			if is, known := t.Gone.Get(); !known {
				unknown = append(unknown, t)
			} else if is {
				gone = append(gone, t)
			}
		}
		f := commands.Finding{State: commands.Proven, Causes: []string{"VOLL-01", "VOLL-02"}}
		switch {
		case len(gone) > 0:
		case len(unknown) > 0:
			gone = unknown
			f.State, f.Missing = commands.Probable, "whether the server is deleted: "+unknown[0].Gone.Why()
		default:
			return nil
		}
		f.Summary = fmt.Sprintf("%s is %s: Cinder still has its attachment to server %s, which is gone", commands.VolumeName(c.Volume), c.Volume.Status, gone[0].Name())
		f.Evidence = []commands.Evidence{attachmentLines(c), serverLines(gone)}
		f.Advice = []string{
			"Was its compute node down when it was deleted? Nova deletes such a server without the node and leaves what that had mapped.",
			"To let the volume go, ask: why can't volume " + c.Volume.ID + " be deleted",
		}
		p.Report(f)
		return nil
	},
})

// ServerDeleteFailed is VOLL-06: the server could not be deleted because Cinder
// did not answer.
var ServerDeleteFailed = register(&commands.Diagnosis{
	Name:  "VOLL-06",
	Title: "The server's own deletion failed, so it still has the volume",
	Doc: `Nova was asked to delete the server and that ended in an error, so it is there still
and holds the volume. It is proven to be Cinder's doing when the cinder-volume of the
volume's host is down, or when Nova's fault says so.`,
	Explains: leftover,
	Run: func(_ context.Context, p *commands.Pass) error {
		c := *p.Volume
		for _, t := range c.Servers {
			server, _ := t.Server.Get()
			actions, _ := t.Actions.Get()
			failed := slices.ContainsFunc(actions, func(a runners.ServerAction) bool { return a.Action == "delete" && a.Failed })
			if t.Gone.Or(true) || !failed {
				continue
			}
			p.Report(deleteFailed(c, t, server))
		}
		return nil
	},
})

func deleteFailed(c runners.VolumeCase, t runners.ServerTrace, server runners.Server) commands.Finding {
	f := commands.Finding{
		State: commands.Proven, Causes: []string{"VOLL-01", "VOLL-02"},
		Summary:  fmt.Sprintf("Nova was to delete %s and could not (%s): it is there still and holds %s", t.Name(), strings.ToLower(server.Status), commands.VolumeName(c.Volume)),
		Evidence: []commands.Evidence{{Source: "nova: GET servers/" + t.ID + "/os-instance-actions", Text: actionLines(t)}},
		Advice:   []string{"When Cinder answers again, delete the server once more: openstack server delete " + runners.DisplayQuote(t.ID)},
	}
	h, ok, err := homeOf(c)
	switch {
	case err == nil && ok && !h.up():
		f.Summary += "; cinder-volume of " + h.name.Service() + " is down"
		f.Evidence = append(f.Evidence, h.evidence(c)...)
		f.Advice = append([]string{"Start cinder-volume of " + h.name.Service() + " first."}, f.Advice...)
	case strings.Contains(server.Fault, "504") || strings.Contains(server.Fault, "MessagingTimeout") || strings.Contains(server.Fault, "Gateway Time"):
		f.Summary += ": " + commands.Clean(server.Fault, 160)
	default:
		f.State, f.Missing = commands.Probable, "why: nova-compute's log of that time, and whether Cinder answered"
	}
	return f
}
