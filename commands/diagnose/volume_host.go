package diagnose

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"whybot/commands"
	"whybot/runners"
)

// A home is where a volume lives, as far as Cinder's services tell.
type home struct {
	name    runners.BackendName // of the volume
	rows    []runners.VolumeService
	volumes []runners.VolumeService // every row of cinder-volume
}

// homeOf reads the volume's host against the services. ok is false, without an
// error, for a volume that no back end ever took: Cinder deletes that at once.
func homeOf(c runners.VolumeCase) (h home, ok bool, err error) {
	host, _ := c.Volume.Host.Get()
	rows, shown := commands.BackendRows(c).Get()
	switch {
	case !shown:
		return h, false, notShown("cinder", "services of the volume's back end", commands.BackendRows(c).Why())
	case host == "":
		return h, false, nil
	}
	services, _ := c.Services.Get()
	h = home{name: runners.ParseBackend(host), rows: rows}
	for _, s := range services {
		if s.Binary == "cinder-volume" {
			h.volumes = append(h.volumes, s)
		}
	}
	return h, true, nil
}

// up reports whether a service answers for the volume.
func (h home) up() bool {
	return slices.ContainsFunc(h.rows, func(s runners.VolumeService) bool { return s.Up })
}

// own returns the row that the volume's own host names.
func (h home) own() (runners.VolumeService, bool) {
	i := slices.IndexFunc(h.rows, func(s runners.VolumeService) bool { return s.Host == h.name.Service() })
	if i < 0 {
		return runners.VolumeService{}, false
	}
	return h.rows[i], true
}

// evidence are the rows of cinder-volume beside the volume's host.
func (h home) evidence(c runners.VolumeCase) []commands.Evidence {
	var b strings.Builder
	for _, s := range h.volumes {
		state := "down"
		if s.Up {
			state = "up"
		}
		fmt.Fprintf(&b, "%s %s %s, updated %s", s.Binary, s.Host, state, s.Updated.UTC().Format("2006-01-02 15:04:05 MST"))
		if s.Cluster != "" {
			fmt.Fprintf(&b, ", cluster %s", s.Cluster)
		}
		if !s.Enabled {
			fmt.Fprintf(&b, ", disabled (%s)", s.DisabledReason)
		}
		b.WriteString("\n")
	}
	return []commands.Evidence{
		volumeEvidence(c, fact("status", c.Volume.Status), fact("os-vol-host-attr:host", c.Volume.Host.Or("")), fact("updated_at", day(c.Volume.Updated))),
		{Source: "cinder: GET os-services", Text: b.String()},
	}
}

// twin returns a service that is up and has the volume's back end under a name
// that is no machine's: what takes over when nodes share one name.
func (h home) twin(c runners.VolumeCase) (runners.VolumeService, bool) {
	machines, known := c.Machines.Get()
	for _, s := range h.volumes {
		b := runners.ParseBackend(s.Host)
		if s.Up && known && b.Host != h.name.Host && b.Backend == h.name.Backend && !slices.Contains(machines, b.Host) && slices.Contains(machines, h.name.Host) {
			return s, true
		}
	}
	return runners.VolumeService{}, false
}

// waits says what becomes of a request to delete the volume meanwhile.
func waits(v runners.Volume) string {
	if v.Status == "deleting" {
		return "its deletion waits in that host's queue"
	}
	return "a request to delete it would wait in that host's queue"
}

// BackendDown is VOLD-03: the cinder-volume that has the volume is down.
var BackendDown = register(&commands.Diagnosis{
	Name:  "VOLD-03",
	Title: "The cinder-volume of the volume's host is down",
	Doc: `The service that the volume's host names (without its #pool) does not report, and no
other of its cluster does. One that is disabled and up deletes volumes. One that went
down because the same back end is served under another name now is VOLD-04.`,
	Explains: undeletable,
	Run: func(_ context.Context, p *commands.Pass) error {
		c := *p.Volume
		h, ok, err := homeOf(c)
		if err != nil || !ok {
			return err
		}
		own, there := h.own()
		_, moved := h.twin(c)
		switch {
		case h.up():
			p.Good(commands.Hop{}, "cinder-volume for "+h.name.Service()+" is up", "cinder: GET os-services")
			return nil
		case !there || moved || aheadOf(c, own) >= aheadBy:
			return nil // VOLD-04, VOLD-05 and VOLD-14 say more
		}
		p.Report(commands.Finding{
			State:    commands.Proven,
			Summary:  fmt.Sprintf("cinder-volume of %s is down (last heard of %s), and only it may delete %s: %s", own.Host, day(own.Updated), commands.VolumeName(c.Volume), waits(c.Volume)),
			Evidence: h.evidence(c),
			Advice: []string{
				fmt.Sprintf("Start it on %s: systemctl start openstack-cinder-volume (Debian: cinder-volume). When it starts it goes on with volumes that are deleting by itself.", h.name.Host),
				"Do not reset the volume's state before: the request that waits would then delete it at a moment nobody expects.",
				"If that host never comes back and another serves the same storage: see VOLD-04, the volume has to be told its new host.",
			},
		})
		return nil
	},
})

// HostRenamed is VOLD-04: nobody answers to the name of the volume's host.
var HostRenamed = register(&commands.Diagnosis{
	Name:  "VOLD-04",
	Title: "No cinder-volume goes by the name of the volume's host any more",
	Doc: `No service has the volume's host, or the one that has is down while the same back end
is up under a name that is no machine's. A volume belongs to the name under which it
was made: after a failover, or when the name was changed, it keeps the old one. A name
that several nodes share on purpose is no fault while it is up.`,
	Explains: undeletable,
	Run: func(_ context.Context, p *commands.Pass) error {
		c := *p.Volume
		h, ok, err := homeOf(c)
		if err != nil || !ok || h.up() {
			return err
		}
		_, there := h.own()
		twin, moved := h.twin(c)
		if there && !moved || !there && h.renamedBackend() {
			return nil
		}
		f := commands.Finding{State: commands.Proven, Evidence: h.evidence(c), Advice: h.rename(c, twin)}
		f.Summary = fmt.Sprintf("No cinder-volume goes by %s, the host of %s: %s", h.name.Service(), commands.VolumeName(c.Volume), waits(c.Volume))
		if moved {
			f.Summary = fmt.Sprintf("cinder-volume of %s is down and its back end is up as %s; %s still belongs to the old name: %s", h.name.Service(), twin.Host, commands.VolumeName(c.Volume), waits(c.Volume))
		}
		p.Report(f)
		return nil
	},
})

// rename is how a volume is brought to the name that its back end has now.
func (h home) rename(c runners.VolumeCase, twin runners.VolumeService) []string {
	from := c.Volume.Host.Or("")
	to := "NEWHOST@" + h.name.Backend
	if twin.Host != "" {
		to = twin.Host
	} else if up := slices.IndexFunc(h.volumes, func(s runners.VolumeService) bool {
		return s.Up && runners.ParseBackend(s.Host).Backend == h.name.Backend
	}); up >= 0 {
		to = h.volumes[up].Host
	}
	if h.name.Pool != "" {
		to += "#" + h.name.Pool
	}
	return []string{
		"First make sure that " + to + " serves the same storage: volumes on another one cannot be deleted there either.",
		"Save which volumes have the old name, to take it back for these alone: cinder list --all-tenants --fields id,os-vol-host-attr:host > volume-hosts.txt",
		"Then tell them their new host: cinder-manage volume update_host --currenthost " + runners.DisplayQuote(from) + " --newhost " + runners.DisplayQuote(to) + " (back: the two swapped, if the new host had no volumes of its own).",
		"Or restore the old name: in the back end's section of cinder.conf backend_host = " + h.name.Host + " on the one node that runs it (active/passive under pacemaker), or [DEFAULT] cluster where the driver supports active/active.",
		"Do not give two live nodes the same [DEFAULT] host.",
	}
}

// renamedBackend reports whether the volume's own host has services, and none of
// its back end.
func (h home) renamedBackend() bool {
	return h.name.Backend == "" || h.name.Backend == "None" || slices.ContainsFunc(h.volumes, func(s runners.VolumeService) bool {
		return runners.ParseBackend(s.Host).Host == h.name.Host
	})
}

// BackendRenamed is VOLD-05: the host is there, under another back end's name.
var BackendRenamed = register(&commands.Diagnosis{
	Name:  "VOLD-05",
	Title: "The volume's host has no back end of that name",
	Doc: `Services of the volume's host report, and none is of the back end that the volume
names, or the volume names none at all: back ends were renamed, or several were
enabled (enabled_backends), after it was made.`,
	Explains: undeletable,
	Run: func(_ context.Context, p *commands.Pass) error {
		c := *p.Volume
		h, ok, err := homeOf(c)
		if err != nil || !ok || len(h.rows) > 0 || !h.renamedBackend() {
			return err
		}
		var now []string
		for _, s := range h.volumes {
			if runners.ParseBackend(s.Host).Host == h.name.Host {
				now = append(now, s.Host)
			}
		}
		f := commands.Finding{State: commands.Proven, Evidence: h.evidence(c)}
		f.Summary = fmt.Sprintf("%s belongs to %s, and that host has %s now: %s", commands.VolumeName(c.Volume), c.Volume.Host.Or(""), strings.Join(now, ", "), waits(c.Volume))
		to := "HOST@BACKEND"
		if len(now) == 1 {
			to = now[0]
		}
		if len(now) == 0 {
			f.Summary = fmt.Sprintf("%s belongs to %q, which names no back end that any cinder-volume has", commands.VolumeName(c.Volume), c.Volume.Host.Or(""))
		}
		if h.name.Pool != "" {
			to += "#" + h.name.Pool
		}
		f.Advice = []string{
			"Save which volumes have the old name: cinder list --all-tenants --fields id,os-vol-host-attr:host > volume-hosts.txt",
			"Then: cinder-manage volume update_host --currenthost " + runners.DisplayQuote(c.Volume.Host.Or("")) + " --newhost " + runners.DisplayQuote(to) + " (the pool is that of cinder get-pools).",
			"Or give the back end its old name again: its section of cinder.conf, in enabled_backends.",
		}
		p.Report(f)
		return nil
	},
})

// aheadBy is how far in the future a report must lie to tell of a wrong clock.
const aheadBy = 30 * time.Second

// aheadOf is how much later a service reported than whybot's clock and all other
// services of Cinder tell.
func aheadOf(c runners.VolumeCase, own runners.VolumeService) time.Duration {
	services, _ := c.Services.Get() // own is one of them
	latest := c.At
	for _, s := range services {
		if s.Host != own.Host && s.Updated.After(latest) {
			latest = s.Updated
		}
	}
	return own.Updated.Sub(latest)
}

// ClockAhead is VOLD-14: the service reports from a future.
var ClockAhead = register(&commands.Diagnosis{
	Name:  "VOLD-14",
	Title: "The clock of the volume's service is wrong",
	Doc: `The service of the volume's host last reported at a time that lies after the last
reports of all others: its clock, or that of the API's node, is wrong, and the service
is taken for down from time to time. A clock that is late cannot be told from a service
that has stopped.`,
	Explains: undeletable,
	Run: func(_ context.Context, p *commands.Pass) error {
		c := *p.Volume
		h, ok, err := homeOf(c)
		own, there := h.own()
		if err != nil || !ok || !there {
			return nil // VOLD-03 says why it could not look
		}
		ahead := aheadOf(c, own)
		if ahead < aheadBy {
			return nil
		}
		f := commands.Finding{
			State: commands.Probable, Aside: own.Up,
			Summary:  fmt.Sprintf("cinder-volume of %s last reported %.0f s in the future (%s)", own.Host, ahead.Seconds(), day(own.Updated)),
			Missing:  "which clock is wrong: timedatectl show -p NTPSynchronized on " + h.name.Host + " and on the nodes of Cinder's API",
			Evidence: h.evidence(c),
			Advice:   []string{"Have chrony keep the time on all nodes; a service whose reports are more than 60 s off is taken for down."},
		}
		p.Report(f)
		return nil
	},
})
