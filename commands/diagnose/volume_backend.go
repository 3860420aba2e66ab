package diagnose

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"whybot/commands"
	"whybot/commands/node"
	"whybot/runners"
)

// cinderLog returns what cinder-volume logged on a node, or why it is not known;
// ok is false on a node that has no such log.
func cinderLog(p *commands.Pass, nodeName string) (text string, ok bool, err error) {
	probe := node.CinderLogProbe(p.Volume.Volume.ID)
	out, err := p.Output(nodeName, probe.Name)
	missing := strings.Count(out.Stderr, "No such file")
	switch {
	case err != nil:
		return "", false, err
	case out.Truncated: // the newest lines are the ones that are missing
		return "", false, &runners.Error{Kind: runners.Invalid, Runner: "ssh", Target: nodeName, Op: "cinder-volume's log", Hint: "it was cut at the size limit"}
	case out.ExitCode > 2, out.ExitCode == 2 && missing == 0 && out.Stdout == "":
		return "", false, &runners.Error{Runner: "ssh", Target: nodeName, Op: "cinder-volume's log", Hint: "it could not be read", Err: fmt.Errorf("stderr: %.200s", out.Stderr)}
	case missing >= 2:
		return "", false, nil
	}
	return out.Stdout, true, nil
}

// cinderLogProbes reads the log on every node of the question.
func cinderLogProbes(s commands.Scope) []runners.Probe {
	if s.Volume == "" {
		return nil
	}
	return []runners.Probe{node.CinderLogProbe(s.Volume)}
}

// logged returns the nodes whose log has lines about the volume that fit, with
// those lines. An error joins what could not be read.
func logged(p *commands.Pass, pick func(log string) []string) (map[string][]string, error) {
	found := map[string][]string{}
	var errs []error
	read := 0
	for _, n := range p.VolumeNodes() {
		text, ok, err := cinderLog(p, n)
		if err != nil {
			errs = append(errs, err)
		}
		if !ok {
			continue
		}
		read++
		if lines := pick(text); len(lines) > 0 {
			found[n] = lines
		}
	}
	if nodes := p.VolumeNodes(); read == 0 && len(errs) == 0 && len(nodes) > 0 {
		errs = append(errs, &runners.Error{
			Kind: runners.NotFound, Runner: "ssh", Target: strings.Join(nodes, ", "), Op: "cinder-volume's log",
			Hint: "none is in " + node.CinderLogDir + ": does it run in a container, or log to the journal?",
		})
	}
	return found, errors.Join(errs...)
}

// lastLines are the lines to show of a log.
func lastLines(p *commands.Pass, nodeName string, lines []string) commands.Evidence {
	return p.Evidence(nodeName, node.CinderLogProbe(p.Volume.Volume.ID), strings.Join(lines[max(0, len(lines)-6):], "\n")+"\n")
}

// having returns the lines with the words in them.
func having(lines []string, words ...string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(l string) bool {
		return !slices.ContainsFunc(words, func(w string) bool { return strings.Contains(l, w) })
	})
}

// LogicalVolumeOpen is VOLD-06: something on the node has the LVM volume open.
var LogicalVolumeOpen = register(&commands.Diagnosis{
	Name:  "VOLD-06",
	Title: "Something has the logical volume open on its node",
	Doc: `LVM says that the volume's device is open while Cinder has no attachment of it:
LVM cannot remove it. Open with an attachment is how it should be.`,
	Explains: undeletable,
	Probes:   func(commands.Scope) []runners.Probe { return []runners.Probe{node.VolumesProbe()} },
	Run: func(_ context.Context, p *commands.Pass) error {
		c := *p.Volume
		if len(c.Volume.Attached) > 0 {
			return nil
		}
		var errs []error
		for _, n := range p.VolumeNodes() {
			text, err := p.Text(n, node.VolumesProbe().Name)
			if noLVM(p, n, err) {
				continue
			}
			all, parseErr := node.ParseVolumes(text)
			if err = errors.Join(err, parseErr); err != nil {
				errs = append(errs, lvsFailed(n, err))
				continue
			}
			for _, v := range all {
				if v.Name == "volume-"+c.Volume.ID && v.Open() {
					p.Report(lvOpen(p, n, v))
				}
			}
		}
		return errors.Join(errs...)
	},
})

func lvsFailed(nodeName string, err error) error {
	if e, ok := errors.AsType[*runners.Error](err); ok {
		return e
	}
	return &runners.Error{Kind: runners.Invalid, Runner: "ssh", Target: nodeName, Op: "lvs", Err: err}
}

// noLVM reports whether a node has no LVM to ask: then nothing of it is open.
func noLVM(p *commands.Pass, nodeName string, err error) bool {
	out, probeErr := p.Output(nodeName, node.VolumesProbe().Name)
	return runners.KindOf(err) == runners.MissingProgram || probeErr == nil && (out.ExitCode == 127 || strings.Contains(out.Stderr, "command not found"))
}

func lvOpen(p *commands.Pass, nodeName string, v node.LogicalVolume) commands.Finding {
	device := v.Group + "/" + v.Name
	return commands.Finding{
		State: commands.Proven, Node: nodeName,
		Summary:  fmt.Sprintf("%s is open on %s and attached to nothing, so LVM cannot remove it", device, nodeName),
		Evidence: []commands.Evidence{p.Evidence(nodeName, node.VolumesProbe(), fmt.Sprintf("%s %s %s %s\n", v.Group, v.Name, v.Attr, v.Opened))},
		Advice: []string{
			"Find who holds it on " + nodeName + ": lsblk /dev/" + device + "; dmsetup ls --tree; tgtadm --lld iscsi --op show --mode target (or targetcli ls).",
			"LVM inside of the volume that the node activated by itself is the usual holder: vgchange -an THATVG, and a global_filter in /etc/lvm/lvm.conf so that it does not come back.",
			"Then: openstack volume set --state available " + p.Volume.Volume.ID + ", and delete it again.",
		},
	}
}

// ImageBusy is VOLD-07: the back end said that the volume is busy.
var ImageBusy = register(&commands.Diagnosis{
	Name:  "VOLD-07",
	Title: "The back end says that the volume is busy",
	Doc: `cinder-volume took the deletion, its back end answered that the image is in use, and
the volume went back to available. The log tells that it was so then; that a client
watches the image now is what rbd status shows.`,
	Explains: undeletable,
	Probes:   cinderLogProbes,
	Run: func(_ context.Context, p *commands.Pass) error {
		id := p.Volume.Volume.ID
		busy, err := logged(p, func(log string) []string {
			return having(node.LinesAbout(log, id), "ImageBusy", "Unable to delete busy volume", "VolumeIsBusy")
		})
		for _, n := range slices.Sorted(maps.Keys(busy)) {
			p.Report(commands.Finding{
				State: commands.Probable, Node: n,
				Summary:  fmt.Sprintf("cinder-volume on %s was told to delete %s and its back end answered that it is busy (%s)", n, commands.VolumeName(p.Volume.Volume), commands.Count(len(busy[n]), "time", "times")),
				Missing:  "who has it open now: rbd status POOL/volume-" + id + " lists watchers (POOL is rbd_pool in cinder.conf)",
				Evidence: []commands.Evidence{lastLines(p, n, busy[n])},
				Advice: []string{
					"A client that crashed is forgotten after 30 s: delete the volume again then.",
					"Else stop the client that rbd status names. To blocklist it cuts it off from all of its images, so that is nothing for a button.",
				},
			})
		}
		if err == nil && len(busy) == 0 && len(p.VolumeNodes()) > 0 {
			p.Good(commands.Hop{}, "no cinder-volume logged that it is busy", "cinder-volume.log on "+strings.Join(p.VolumeNodes(), ", "))
		}
		return err
	},
})

// SnapshotChildren is VOLD-08: volumes made from its snapshots hang on them.
var SnapshotChildren = register(&commands.Diagnosis{
	Name:  "VOLD-08",
	Title: "Other volumes depend on the volume's snapshots",
	Doc: `cinder-volume logged that an image is dependent on a snapshot of the volume when that
was to be deleted. It is why the snapshots are there still (VOLD-02).`,
	Explains: undeletable,
	Probes:   cinderLogProbes,
	Run: func(_ context.Context, p *commands.Pass) error {
		snapshots, _ := p.Volume.Snapshots.Get() // VOLD-02 says why they are not known
		if len(snapshots) == 0 {
			return nil
		}
		children, err := logged(p, func(log string) []string {
			var lines []string
			for _, s := range snapshots {
				lines = append(lines, having(node.SinceStart(log), "is dependent on the snapshot snapshot-"+s.ID)...)
			}
			return lines
		})
		for _, n := range slices.Sorted(maps.Keys(children)) {
			p.Report(commands.Finding{
				State: commands.Proven, Node: n, Causes: []string{"VOLD-02"},
				Summary:  fmt.Sprintf("Other volumes depend on snapshots of %s: cinder-volume on %s could not delete them", commands.VolumeName(p.Volume.Volume), n),
				Evidence: []commands.Evidence{lastLines(p, n, children[n])},
				Advice: []string{
					"Delete the volumes that were made from the snapshots first, or make them independent: rbd flatten POOL/volume-CHILD (reads all of the data, takes hours).",
					"Then delete the snapshots, then the volume.",
				},
			})
		}
		return err
	},
})

// DriverNotInitialized is VOLD-19: cinder-volume runs and its driver does not.
var DriverNotInitialized = register(&commands.Diagnosis{
	Name:  "VOLD-19",
	Title: "The driver of cinder-volume did not start",
	Doc: `cinder-volume has logged since its last start that the volume's back end is not
initialized, or that it sends no heartbeat because of it: the service is there and
deletes nothing. A start that ended well is not told by what was logged before it.`,
	Explains: undeletable,
	Probes:   cinderLogProbes,
	Run: func(_ context.Context, p *commands.Pass) error {
		h, ok, err := homeOf(*p.Volume)
		if err != nil || !ok {
			return nil // VOLD-03 says why it could not look
		}
		failing, err := logged(p, func(log string) []string {
			all := having(node.SinceStart(log), "not initialized", "reporting problems, not sending heartbeat")
			return slices.DeleteFunc(all, func(l string) bool {
				return strings.Contains(l, "heartbeat") && !strings.Contains(l, h.name.Service())
			})
		})
		for _, n := range slices.Sorted(maps.Keys(failing)) {
			f := commands.Finding{
				State: commands.Proven, Node: n, Causes: []string{"VOLD-03"},
				Summary:  fmt.Sprintf("cinder-volume on %s runs, and its driver did not start: it deletes nothing", n),
				Evidence: append([]commands.Evidence{lastLines(p, n, failing[n])}, h.evidence(*p.Volume)...),
				Advice:   []string{"Look above that line in " + node.CinderLogDir + " on " + n + " for why it could not reach its storage; then restart cinder-volume."},
			}
			if len(having(failing[n], h.name.Service())) == 0 && len(h.volumes) > 1 {
				f.State, f.Missing = commands.Probable, "which back end the driver is of: the lines above it in the log on "+n
			}
			p.Report(f)
		}
		return err
	},
})

// SharedHost is VOLD-16: two live nodes go by one host.
var SharedHost = register(&commands.Diagnosis{
	Name:  "VOLD-16",
	Title: "Two live nodes of Cinder go by the same host",
	Doc: `cinder.conf of two nodes gives the same [DEFAULT] host, without a cluster, and
cinder-volume runs on both: upstream calls that highly discouraged, both take from one
queue and neither knows of the other. Passive nodes that share the name and do not run
it, a shared backend_host and a cluster are meant to be so.`,
	Explains: undeletable,
	Probes: func(commands.Scope) []runners.Probe {
		return []runners.Probe{node.CinderConfigProbe(), node.CinderProcessProbe()}
	},
	Run: func(_ context.Context, p *commands.Pass) error {
		live := map[string][]string{} // by host
		for _, n := range p.VolumeNodes() {
			if host := liveHost(p, n); host != "" {
				live[host] = append(live[host], n)
			}
		}
		for _, host := range slices.Sorted(maps.Keys(live)) {
			nodes := live[host]
			if len(nodes) < 2 {
				continue
			}
			f := commands.Finding{
				State: commands.Proven, Aside: true, Node: nodes[0],
				Summary: fmt.Sprintf("cinder-volume runs on %s with the same [DEFAULT] host = %s: both take requests from one queue, and neither knows of the other", strings.Join(nodes, " and "), host),
				Advice: []string{
					"Stop all but one of them, and let pacemaker see to that. Keep the name with backend_host in the back end's section instead of [DEFAULT] host.",
					"For active/active set [DEFAULT] cluster and a host of its own on every node, if the driver supports it.",
				},
			}
			for _, n := range nodes {
				text, _ := p.Text(n, node.CinderConfigProbe().Name) // it was read above
				f.Evidence = append(f.Evidence, p.Evidence(n, node.CinderConfigProbe(), text))
			}
			p.Report(f)
		}
		return nil
	},
})

// liveHost is the [DEFAULT] host under which cinder-volume runs on a node; empty
// where it does not run, has no such name, is in a cluster, or cannot be asked:
// the hazard is then not claimed.
func liveHost(p *commands.Pass, nodeName string) string {
	text, err := p.Text(nodeName, node.CinderConfigProbe().Name)
	if err != nil {
		return ""
	}
	if processes, err := p.Text(nodeName, node.CinderProcessProbe().Name); err != nil || strings.TrimSpace(processes) == "" {
		return ""
	}
	names := node.ParseCinderNames(text)
	if names.Cluster != "" {
		return ""
	}
	return names.Host
}
