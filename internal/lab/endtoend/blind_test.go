package endtoend

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"whybot/internal/lab"
)

// A fault that can be seen in full is proven; these tests take something of the
// view away. What is not seen must be named, and must never look like zero, like
// health, or like proof.

func TestKernelLogins(t *testing.T) { //nolint:tparallel // its scenes follow one another on one stage
	parallelStage(t, lab.Options{}, "DHCP-01/rhel-nft").play(t,
		scene{"whyprobe proves it as root does", probeUserProves},
		scene{"without sudo nothing is proven", withoutSudo},
		scene{"without sudo check says so", checkWithoutSudo},
		scene{"sshd of the network node is stopped", unreachable},
		scene{"host key of the network node has changed", changedHostKey},
	)
}

func TestKernelNodesThatCannotBeRead(t *testing.T) { //nolint:tparallel // its scenes follow one another on one stage
	parallelStage(t, lab.Options{}, "DHCP-01/rhel-nft").play(t,
		scene{"tcpdump is missing on the compute node", tcpdumpMissing},
		scene{"iptables-save is missing on the network node", iptablesSaveMissing},
		scene{"ip hangs on the compute node", ipHangs},
		scene{"ip hangs and ignores signals", ipIgnoresSignals},
	)
}

func probeUserProves(s stage) {
	t := s.t
	before, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	a := newWhybot(t, s.Lab, asUser(s.Lab, "whyprobe")).ask(t, lab.Web1)
	a.must(t, "proven", "DHCP-01")
	web := s.VM(lab.Web1).Port.Network
	want := edge{From: lab.Controller01 + "/" + web.Bridge(), To: lab.Controller01 + "/" + web.Uplink(), Direction: "reply"}
	if a.Verdict.Edge == nil || *a.Verdict.Edge != want {
		t.Errorf("edge %+v, want %+v", a.Verdict.Edge, want)
	}
	if len(a.Unknown) != 0 {
		t.Errorf("as whyprobe something was not seen: %+v", a.Unknown)
	}
	for _, h := range slices.Concat(a.hopsOn(lab.Compute01), a.hopsOn(lab.Controller01)) {
		if !h.Observed {
			t.Errorf("as whyprobe %s/%s was not observed: %s", h.Node, h.Device, h.Why)
		}
	}
	after, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if before != after {
		t.Error("asking changed the nodes")
	}
	took := eventually(t, 30*time.Second, "no tcpdump is left", func() bool { return len(s.processes(t, "tcpdump")) == 0 })
	t.Logf("tcpdump was gone %s after the answer", took)
}

func withoutSudo(s stage) {
	t := s.t
	w := newWhybot(t, s.Lab, asUser(s.Lab, "nosudo"), listening(3*time.Second))
	a := w.ask(t, lab.Web1)
	unsure(t, a)
	tellsInWords(t, w, lab.Controller01, lab.Compute01, "sudo refused", "allow nosudo to run this as root without a password")
	if !a.blindTo("sudo", lab.Controller01) || !a.blindTo("sudo", lab.Compute01) {
		t.Errorf("what was not seen does not name sudo on both nodes: %+v", a.Unknown)
	}
	unobserved(t, a.hopsOn(lab.Controller01))
	unobserved(t, a.hopsOn(lab.Compute01))
}

func checkWithoutSudo(s stage) {
	t := s.t
	r := newWhybot(t, s.Lab, asUser(s.Lab, "nosudo")).run(t.Context(), "check")
	if r.code != 1 {
		t.Errorf("exit %d, want 1", r.code)
	}
	for _, node := range s.machines() {
		if row := tableRow(r.out, node+": iptables-save"); !strings.HasPrefix(row, "MISSING") || !strings.Contains(row, "sudo") {
			t.Errorf("the row of iptables-save on %s does not name sudo: %q", node, row)
		}
		if row := tableRow(r.out, node+": sudo of nosudo"); !strings.HasPrefix(row, "MISSING") || !strings.Contains(row, "commands are not allowed") {
			t.Errorf("the row of sudo on %s does not say what is missing: %q", node, row)
		}
		if row := tableRow(r.out, "ssh "+node); !strings.HasPrefix(row, "ok") {
			t.Errorf("ssh to %s works and is not said to: %q", node, row)
		}
	}
	if t.Failed() {
		t.Log(r.out, r.err)
	}
}

// tableRow is the line of a table that has the words in its second column.
func tableRow(table, second string) string {
	for line := range strings.Lines(table) {
		_, rest, _ := strings.Cut(line, "  ")
		if rest = strings.TrimSpace(rest); rest == second || strings.HasPrefix(rest, second+" ") {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

// stopSSHD stops the listener by its pid; sessions that stand go on.
const (
	stopSSHD  = `kill "$(cat /run/sshd.pid)"; while [ -e /run/sshd.pid ]; do sleep 0.05; done`
	startSSHD = `/usr/sbin/sshd; while [ ! -e /run/sshd.pid ]; do sleep 0.05; done`
)

func unreachable(s stage) {
	t := s.t
	s.until(t, lab.Controller01, stopSSHD, startSSHD)
	w := newWhybot(t, s.Lab, listening(8*time.Second))
	a := w.ask(t, lab.Web1)
	unsure(t, a)
	tellsInWords(t, w, lab.Controller01, "nothing listens on "+s.Machine(lab.Controller01).Address+":22")
	if !a.blindTo(lab.Controller01, "nothing listens") {
		t.Errorf("what was not seen does not say that nothing listens on %s: %+v", lab.Controller01, a.Unknown)
	}
	unobserved(t, a.hopsOn(lab.Controller01))
	for _, h := range a.hopsOn(lab.Compute01) {
		if !h.Observed || h.Requests == 0 {
			t.Errorf("%s/%s can be seen and has %+v", h.Node, h.Device, h)
		}
	}
	r := w.run(t.Context(), "check")
	if row := tableRow(r.out, "ssh "+lab.Controller01); r.code != 1 || !strings.HasPrefix(row, "MISSING") || !strings.Contains(row, "nothing listens") {
		t.Errorf("check: exit %d, row %q", r.code, row)
	}
}

func changedHostKey(s stage) {
	t := s.t
	const log, started = "/var/log/sshd", "Starting session: command"
	const watched = `/usr/sbin/sshd -o LogLevel=VERBOSE -E ` + log + `; while [ ! -e /run/sshd.pid ]; do sleep 0.05; done`
	const forge = `cd /etc/ssh; cp -p ssh_host_ed25519_key kept; rm ssh_host_ed25519_key; ssh-keygen -q -t ed25519 -N '' -f ssh_host_ed25519_key; `
	restore := sync.OnceFunc(func() {
		s.sh(t, lab.Controller01, stopSSHD+`; cd /etc/ssh; mv kept ssh_host_ed25519_key; rm -f ssh_host_ed25519_key.pub; `+watched)
	})
	s.sh(t, lab.Controller01, stopSSHD+"; "+forge+watched)
	t.Cleanup(restore)
	w := newWhybot(t, s.Lab, listening(8*time.Second))
	a := w.ask(t, lab.Web1)
	unsure(t, a)
	tellsInWords(t, w, lab.Controller01, "host key mismatch", "known_hosts", "nothing was sent")
	if !a.blindTo(lab.Controller01, "host key mismatch") {
		t.Errorf("what was not seen does not name the host key of %s: %+v", lab.Controller01, a.Unknown)
	}
	unobserved(t, a.hopsOn(lab.Controller01))
	said := s.sh(t, lab.Controller01, "cat "+log)
	if !strings.Contains(said, "Connection ") || strings.Contains(said, started) || strings.Contains(said, "Accepted") {
		t.Errorf("whybot logged in or ran something behind a changed host key, or never came:\n%s", said)
	}

	restore() // the control: the log does show a session where there is one
	w.ask(t, lab.Web1, "--no-capture").must(t, "probable", "DHCP-01")
	if said := s.sh(t, lab.Controller01, "cat "+log); !strings.Contains(said, started) {
		t.Errorf("with its own host key back the log shows no session, so it could not have shown one before:\n%s", said)
	}
}

// tellsInWords wants the same in the text for a person.
func tellsInWords(t *testing.T, w whybot, words ...string) {
	t.Helper()
	r := w.run(t.Context(), "ask", "--no-capture", questionAbout(lab.Web1))
	_, unseen, found := strings.Cut(strings.Join(strings.Fields(r.out), " "), "Could not be seen")
	if r.code != 0 || !found || strings.Contains(r.out, "HEALTHY") {
		t.Errorf("exit %d, and the text names nothing that could not be seen:\n%s%s", r.code, r.out, r.err)
	}
	for _, word := range words {
		if !strings.Contains(unseen, word) {
			t.Errorf("what could not be seen does not name %q:\n%s", word, r.out)
		}
	}
}

// unsure fails when an answer claims more than can be known without a node.
func unsure(t *testing.T, a answer) {
	t.Helper()
	if a.Verdict.State == "healthy" || a.Verdict.State == "proven" {
		t.Errorf("verdict %s %s with half the view gone: %s", a.Verdict.State, a.Verdict.Cause, a.Verdict.Summary)
	}
	if len(a.Fixes) != 0 {
		t.Errorf("fixes are offered for what is not proven: %+v", a.Fixes)
	}
}

// unobserved wants hops that say why they were not observed, and count nothing.
func unobserved(t *testing.T, hops []hop) {
	t.Helper()
	if len(hops) == 0 {
		t.Error("the path has none of the hops that cannot be seen")
	}
	for _, h := range hops {
		if h.Observed || h.Why == "" || h.Requests != 0 || h.Replies != 0 {
			t.Errorf("%s/%s cannot be seen and is reported as %+v", h.Node, h.Device, h)
		}
	}
}

// hide returns the scripts that move programs out of the way and back. What
// others are links to is named last.
func hide(programs ...string) (do, undo string) {
	for _, p := range programs {
		do += `p=$(command -v ` + p + `); mv "$p" "$p.hidden"; `
		undo = `p=$(command -v ` + p + `.hidden); mv "$p" "${p%.hidden}"; ` + undo // a link before what it points to
	}
	return do, undo
}

func tcpdumpMissing(s stage) {
	t := s.t
	do, undo := hide("tcpdump")
	s.until(t, lab.Compute01, do, undo)
	w := newWhybot(t, s.Lab, listening(6*time.Second))
	a := w.ask(t, lab.Web1)
	if a.Verdict.State == "healthy" {
		t.Errorf("healthy, and the guest's tap was never seen: %s", a.Verdict.Summary)
	}
	if !a.blindTo(lab.Compute01, "install tcpdump") {
		t.Errorf("what was not seen does not say to install tcpdump on %s: %+v", lab.Compute01, a.Unknown)
	}
	unobserved(t, a.hopsOn(lab.Compute01))
	for _, h := range a.hopsOn(lab.Controller01) {
		if !h.Observed {
			t.Errorf("%s/%s has its tcpdump and was not observed: %s", h.Node, h.Device, h.Why)
		}
	}
	r := w.run(t.Context(), "check")
	if row := tableRow(r.out, lab.Compute01+": tcpdump"); r.code != 1 || !strings.Contains(row, "install tcpdump") {
		t.Errorf("check: exit %d, row %q", r.code, row)
	}
}

func iptablesSaveMissing(s stage) {
	t := s.t
	do, undo := hide("iptables-save", "iptables-nft-save", "iptables-legacy-save")
	s.until(t, lab.Controller01, do, undo)
	a := newWhybot(t, s.Lab, listening(8*time.Second)).ask(t, lab.Web1)
	unsure(t, a)
	if !a.blindTo(lab.Controller01, "iptables") {
		t.Errorf("what was not seen does not name iptables on %s: %+v", lab.Controller01, a.Unknown)
	}
	want := edge{From: lab.Controller01 + "/" + s.VM(lab.Web1).Port.Network.Bridge(), To: lab.Controller01 + "/" + s.VM(lab.Web1).Port.Network.Uplink(), Direction: "reply"}
	if a.Verdict.Edge == nil || *a.Verdict.Edge != want {
		t.Errorf("the packets show the edge without the rules: %+v, want %+v", a.Verdict.Edge, want)
	}
}

// shim puts a script in a program's place.
func shim(program, script string) (do, undo string) {
	do = `p=$(readlink -f "$(command -v ` + program + `)"); mv "$p" "$p.hidden"; printf '#!/bin/sh\n` + script + `\n' >"$p"; chmod 755 "$p"`
	undo = `p=$(readlink -f "$(command -v ` + program + `)"); mv "$p.hidden" "$p"`
	return do, undo
}

func ipHangs(s stage) { hangs(s.t, s, `exec sleep 47`) }

func ipIgnoresSignals(s stage) {
	hangs(s.t, s, `trap "" TERM HUP INT PIPE; sleep 47; sleep 47`)
}

// hangs answers in time although a program does not, and leaves none of it.
func hangs(t *testing.T, s stage, script string) {
	t.Helper()
	do, undo := shim("ip", script)
	s.until(t, lab.Compute01, do, undo)
	w := newWhybot(t, s.Lab, listening(8*time.Second))
	a := w.ask(t, lab.Web1, "--no-capture")
	unsure(t, a)
	if !a.blindTo(lab.Compute01, "ip-link", "too slow") {
		t.Errorf("what was not seen does not say that %s was too slow: %+v", lab.Compute01, a.Unknown)
	}
	took := eventually(t, 30*time.Second, "nothing of the hanging program is left on the node", func() bool {
		return s.sh(t, lab.Compute01, `pgrep -f "[s]leep 47" || [ $? = 1 ]`) == ""
	})
	t.Logf("answered in %d ms; the hanging program was gone %s later", a.TookMS, took)
}
