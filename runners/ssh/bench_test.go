package ssh

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"whybot/runners"
)

func eightProbes() []runners.Probe {
	var probes []runners.Probe
	for i := range 8 {
		probes = append(probes, runners.Probe{Name: fmt.Sprint(i), Argv: []string{"cat", "/proc/net/dev"}})
	}
	return probes
}

// BenchmarkWarmRun is one stage of eight probes on a connection that stands.
func BenchmarkWarmRun(b *testing.B) {
	p := lab(b)
	probes := eightProbes()
	run(b, p, probes...)
	for b.Loop() {
		run(b, p, probes...)
	}
}

// BenchmarkAgainstControlMaster runs 20 stages here and through ssh(1) over a
// ControlMaster, by turns, and reports the ratio of the medians. ssh gets the
// eight commands as one plain script, with nothing framed or bounded.
func BenchmarkAgainstControlMaster(b *testing.B) {
	needs(b, "ssh")
	s := newSite(b)
	d := startSSHD(b, s)
	s.node("n", d.addr, d.key.signer.PublicKey())
	p := s.pool()
	// ssh(1) reads relative paths from its working directory and wants a short
	// socket path.
	socket := filepath.Join(b.TempDir(), "c")
	args := []string{"-F", filepath.Join(s.dir, "config"), "-o", "ControlPath=" + socket}
	master := exec.Command("ssh", append(args, "-o", "ControlMaster=yes", "-o", "ControlPersist=no", "-N", "n")...)
	master.Dir = s.dir
	if err := master.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() { _ = master.Process.Kill(); _ = master.Wait() }()
	script := strings.Repeat("cat /proc/net/dev; ", 8)
	viaSSH := func() error {
		c := exec.Command("ssh", append(args, "-o", "ControlMaster=no", "n", script)...)
		c.Dir = s.dir
		return c.Run()
	}
	for i := 0; exec.Command("ssh", append(args, "-O", "check", "n")...).Run() != nil; i++ {
		if i == 100 {
			b.Fatal("the ControlMaster does not come up")
		}
		time.Sleep(50 * time.Millisecond)
	}
	probes := eightProbes()
	run(b, p, probes...)
	for b.Loop() {
		var ours, theirs []time.Duration
		for range 20 {
			start := time.Now()
			run(b, p, probes...)
			ours = append(ours, time.Since(start))
			start = time.Now()
			if err := viaSSH(); err != nil {
				b.Fatal(err)
			}
			theirs = append(theirs, time.Since(start))
		}
		slices.Sort(ours)
		slices.Sort(theirs)
		b.ReportMetric(float64(ours[10])/1e6, "ms/run")
		b.ReportMetric(float64(theirs[10])/1e6, "ms/ssh")
		b.ReportMetric(float64(ours[10])/float64(theirs[10]), "ratio")
	}
}
