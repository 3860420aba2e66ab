package endtoend

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"whybot/internal/lab"
)

// Fixes as two people, a crash and an auditor meet them.
func TestKernelFixes(t *testing.T) { //nolint:tparallel // its scenes follow one another on one stage
	parallelStage(t, lab.Options{}, "DHCP-01/rhel-nft").play(t,
		scene{"two people apply at once, then the timeline tells", appliedTwice},
		scene{"a line of the rules' file, as whyprobe", persistentFix},
	)
}

func TestKernelKilledWhileApplying(t *testing.T) { //nolint:tparallel // its scenes follow one another on one stage
	parallelStage(t, lab.Options{}, "DHCP-01/rhel-nft").play(t,
		scene{"before the change reaches the node", killedBeforeChange},
		scene{"after the change, before its answer", killedAfterChange},
		scene{"while it is undone", killedWhileUndoing},
		scene{"after the answer, before the proof", killedBeforeProof},
	)
}

// change runs fix apply, undo or decline and wants the exit code.
func (w whybot) change(t *testing.T, verb, id string, code int) outcome {
	t.Helper()
	r := w.run(t.Context(), "fix", verb, id, "--yes", "--json")
	if r.code != code {
		t.Errorf("fix %s: exit %d, want %d\n%s%s", verb, r.code, code, r.out, r.err)
	}
	return decode[outcome](t, r)
}

// shown reads a fix back.
func (w whybot) shown(t *testing.T, id string) fix {
	t.Helper()
	r := w.run(t.Context(), "fix", "show", id, "--json")
	if r.code != 0 {
		t.Fatalf("fix show: exit %d\n%s%s", r.code, r.out, r.err)
	}
	return decode[fix](t, r)
}

// accepts counts the rules that the fix inserts.
func accepts(t *testing.T, s stage) int {
	t.Helper()
	rules := s.sh(t, lab.Controller01, "iptables-save")
	return strings.Count(rules, "-A "+acceptReply+"\n")
}

func appliedTwice(s stage) {
	t := s.t
	before, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w := newWhybot(t, s.Lab)
	a := w.ask(t, lab.Web1)
	a.must(t, "proven", "DHCP-01")
	id := a.fixNamed(t, "physdev-accept").ID
	if r := w.run(t.Context(), "fix", "apply", id); r.code != 2 || r.err != "whybot: fix apply needs --yes when nobody is there to ask\n" || accepts(t, s) != 0 {
		t.Errorf("without --yes: exit %d, %q, %d rules", r.code, r.err, accepts(t, s))
	}
	bothApply(t, w, id)
	if n := accepts(t, s); n != 1 {
		t.Errorf("the rule is there %d times", n)
	}
	if ip, err := s.VM(lab.Web1).WaitLease(t.Context()); err != nil || ip != s.VM(lab.Web1).Port.Address {
		t.Errorf("web-1 has %q, %v", ip, err)
	}
	w.wants(t, "apply", id, "refused")
	w.wants(t, "undo", id, "undone")
	w.wants(t, "undo", id, "refused")
	w.wants(t, "apply", id, "refused")
	after, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if after != before {
		t.Errorf("the undo did not restore the nodes:\n%s\nwant\n%s", after, before)
	}
	theWholeStory(t, w, a.Incident, id)
	renew(t, s, lab.Web1) // the address of before the undo is gone too
}

// bothApply has two people apply one fix at once: one does, the other is told.
func bothApply(t *testing.T, w whybot, id string) {
	t.Helper()
	results := make(chan result, 2)
	for _, who := range []string{"first", "second"} {
		go func() { results <- w.run(t.Context(), "fix", "apply", id, "--yes", "--json", "--as", who) }()
	}
	won, lost := <-results, <-results
	if won.code != 0 {
		won, lost = lost, won
	}
	if o := decode[outcome](t, won); won.code != 0 || o.State != "verified" || o.Proof == nil || o.Proof.State != "healthy" {
		t.Errorf("nobody applied it: exit %d, %s%s", won.code, won.out, won.err)
	}
	if busy := "Another whybot has the store " + w.store + " open."; lost.code != 1 || !strings.Contains(lost.err, busy) && !strings.Contains(lost.err, "This fix has been applied") {
		t.Errorf("the other one: exit %d, %s%s", lost.code, lost.out, lost.err)
	}
	t.Logf("the other one was told: %s%s", lost.out, lost.err)
}

// wants runs fix apply or undo and wants a state, with the exit code that says
// whether it is the one asked for.
func (w whybot) wants(t *testing.T, verb, id, state string) {
	t.Helper()
	code := 0
	if state == "refused" {
		code = 1
	}
	o := w.change(t, verb, id, code)
	if o.State != state || (state == "refused") != (o.Error != "") {
		t.Errorf("fix %s: %+v, want %s", verb, o, state)
	}
}

// theWholeStory wants one fix's life on the timeline, in order, in every form.
func theWholeStory(t *testing.T, w whybot, incident, id string) {
	t.Helper()
	events := w.events(t, incident)
	rest := kinds(events)
	for _, kind := range []string{"asked", "verdict", "proposed", "approved", "applying", "applied", "verified", "approved", "undone"} {
		i := slices.Index(rest, kind)
		if i < 0 {
			t.Fatalf("%q is missing, or not in its place, in %q", kind, kinds(events))
		}
		rest = rest[i+1:]
	}
	if n := countKind(events, "applied"); n != 1 {
		t.Errorf("%d applied events, want one", n)
	}
	for i, e := range events {
		if e.Incident != incident || i > 0 && e.Seq <= events[i-1].Seq {
			t.Errorf("event %d of %s is out of place in the timeline of %s", e.Seq, e.Incident, incident)
		}
		if e.Kind == "applying" && (e.Refs["proposal"] != id || e.Actor.ID == "" || e.Actor.Via != "terminal") {
			t.Errorf("who applied what is missing: %+v", e)
		}
	}
	everyForm(t, w, incident, len(events))
	w.verify(t)
}

// everyForm reads the timeline as CSV, Markdown and text: n events each.
func everyForm(t *testing.T, w whybot, incident string, n int) {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(w.run(t.Context(), "timeline", "--csv", incident).out)).ReadAll()
	if err != nil || len(rows) != n+1 {
		t.Errorf("the CSV has %d rows, %v; want %d and a head", len(rows), err, n)
	}
	table := strings.Split(strings.TrimSuffix(w.run(t.Context(), "timeline", "--markdown", incident).out, "\n"), "\n")
	if len(table) != n+2 {
		t.Errorf("the Markdown table has %d lines, want %d", len(table), n+2)
	}
	for _, line := range table {
		if cells := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|") - 1; cells != 5 {
			t.Errorf("a line of the Markdown table has %d cells: %q", cells, line)
		}
	}
	text := w.run(t.Context(), "timeline", incident)
	if text.code != 0 || strings.Count(text.out, " "+incident+" ") != n {
		t.Errorf("the text has not one line for each of %d events:\n%s", n, text.out)
	}
}

func countKind(events []event, kind string) int {
	n := 0
	for _, k := range kinds(events) {
		if k == kind {
			n++
		}
	}
	return n
}

// persistentFix edits the file that the firewall starts from, and only that.
func persistentFix(s stage) {
	t := s.t
	const file, stat = "/etc/sysconfig/iptables", `stat -c '%a %u:%g %C' "$1" 2>/dev/null || stat -c '%a %u:%g' "$1"`
	s.sh(t, lab.Controller01, `chmod 640 "$1"; chgrp 4 "$1"`, file)
	mode := s.sh(t, lab.Controller01, stat, file)
	before := s.sh(t, lab.Controller01, `cat "$1"`, file)
	running := s.sh(t, lab.Controller01, "iptables-save")
	w := newWhybot(t, s.Lab, asUser(s.Lab, "whyprobe"))
	id := w.ask(t, lab.Web1).fixNamed(t, "comment-rule-in-file").ID
	if o := w.change(t, "apply", id, 0); o.State != "verified" {
		t.Errorf("apply: %+v", o)
	}
	const line = "-A FORWARD -j REJECT --reject-with icmp-host-prohibited\n"
	want := strings.Replace(before, line, "#whybot# "+line, 1)
	if got := s.sh(t, lab.Controller01, `cat "$1"`, file); got != want || want == before {
		t.Errorf("the file is\n%s\nwant\n%s", got, want)
	}
	if got := s.sh(t, lab.Controller01, stat, file); got != mode {
		t.Errorf("mode and owner are %q, were %q", got, mode)
	}
	if got := s.sh(t, lab.Controller01, `cat "$1"`, file+".whybot-bak"); got != before {
		t.Errorf("the backup is\n%s", got)
	}
	if got := s.sh(t, lab.Controller01, "iptables-save"); withoutNumbers(got) != withoutNumbers(running) {
		t.Errorf("the running rules changed:\n%s\nwere\n%s", got, running)
	}
	if o := w.change(t, "undo", id, 0); o.State != "undone" {
		t.Errorf("undo: %+v", o)
	}
	if got := s.sh(t, lab.Controller01, `cat "$1"`, file); got != before {
		t.Errorf("the undo left\n%s\nwant\n%s", got, before)
	}
	if got := s.sh(t, lab.Controller01, stat, file); got != mode {
		t.Errorf("after the undo mode and owner are %q, were %q", got, mode)
	}
}

// withoutNumbers drops the lines of iptables-save that hold a time or a count.
func withoutNumbers(rules string) string {
	var b strings.Builder
	for line := range strings.Lines(rules) {
		if line[0] == '#' {
			continue
		}
		head, _, _ := strings.Cut(line, " [")
		b.WriteString(strings.TrimSpace(head) + "\n")
	}
	return b.String()
}

// slowly makes the network node's iptables say when it is called to change
// FORWARD and take its time before and after.
func slowly(t *testing.T, s stage, before, after string) {
	t.Helper()
	const do = `mv /usr/sbin/iptables /usr/sbin/iptables.kept
cat >/usr/sbin/iptables <<'EOF'
#!/bin/sh
case " $* " in *" FORWARD "*) : >/run/whybot-begun; sleep BEFORE; /usr/sbin/iptables-nft "$@"; code=$?; : >/run/whybot-made; sleep AFTER; exit $code;; esac
exec /usr/sbin/iptables-nft "$@"
EOF
chmod 755 /usr/sbin/iptables`
	s.until(t, lab.Controller01, strings.NewReplacer("BEFORE", before, "AFTER", after).Replace(do),
		`rm -f /run/whybot-begun /run/whybot-made; mv -f /usr/sbin/iptables.kept /usr/sbin/iptables`)
}

// killAt starts to apply or undo a fix and kills whybot once a file is on the
// node.
func killAt(t *testing.T, s stage, w whybot, verb, id, file string) {
	t.Helper()
	cmd := w.command(t.Context(), "fix", verb, id, "--yes")
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 15*time.Second, "the change has come to "+file, func() bool {
		return s.sh(t, lab.Controller01, `[ ! -e "$1" ] || echo there`, file) != ""
	})
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // killed: always an error
	if said.Len() > 0 {
		t.Logf("it had said: %s", said.String())
	}
}

// acceptReply is the rule that physdev-accept inserts here.
const acceptReply = "FORWARD -m physdev --physdev-in tap004b787f-9b --physdev-is-bridged -j ACCEPT"

// killedBeforeChange kills whybot when the node has been told to change a rule
// and has not done it yet, as when iptables waits for its lock. The node will do
// it: what whybot says then must not be contradicted by that.
func killedBeforeChange(s stage) {
	t := s.t
	w := newWhybot(t, s.Lab, asUser(s.Lab, "root")) // a stand-in that runs others: sudo would not let it
	a := w.ask(t, lab.Web1)
	id := a.fixNamed(t, "physdev-accept").ID
	slowly(t, s, "2", "0")
	killAt(t, s, w, "apply", id, "/run/whybot-begun")
	t.Cleanup(func() { // whatever came of it, the next scene starts without the rule
		s.sh(t, lab.Controller01, "while iptables-nft -D "+acceptReply+" 2>/dev/null; do :; done")
		renew(t, s, lab.Web1)
	})
	if got := kinds(w.events(t, a.Incident)); !slices.Equal(got[len(got)-2:], []string{"approved", "applying"}) {
		t.Errorf("the timeline ends with %q, want approved, applying", got)
	}
	early := w.shown(t, id)
	eventually(t, 10*time.Second, "the change is made", func() bool { return accepts(t, s) > 0 })
	eventually(t, 10*time.Second, "the command on the node has ended", func() bool { return len(s.processes(t, "iptables")) == 0 })
	late := w.shown(t, id)
	t.Logf("while the node had not done it: %s; afterwards: %s", early.State, late.State)
	if early.State == "failed" {
		t.Error("fix show says that it failed and nothing was changed, while the node was still about to change it")
	}
	if n := accepts(t, s); n != 1 || !slices.Contains([]string{"applied", "unknown"}, late.State) {
		t.Errorf("the rule is there %d times, and fix show says %q", n, late.State)
	}
	if o := w.change(t, "apply", id, 1); o.State != "refused" || accepts(t, s) != 1 {
		t.Errorf("a second apply: %+v, %d rules", o, accepts(t, s))
	}
	w.verify(t)
}

// killedAfterChange is the same when the change has been made and its answer has
// not come back: it is in place, can be seen to be, and can be taken back.
func killedAfterChange(s stage) {
	t := s.t
	w := newWhybot(t, s.Lab, asUser(s.Lab, "root")) // a stand-in that runs others: sudo would not let it
	a := w.ask(t, lab.Web1)
	id := a.fixNamed(t, "physdev-accept").ID
	slowly(t, s, "0", "2")
	killAt(t, s, w, "apply", id, "/run/whybot-made")
	if f := w.shown(t, id); f.State != "applied" {
		t.Errorf("fix show says %q, want applied", f.State)
	}
	events := w.events(t, a.Incident)
	if got := kinds(events); !slices.Equal(got[len(got)-3:], []string{"approved", "applying", "note"}) ||
		!strings.Contains(events[len(events)-1].Text, "stopped in the middle") {
		t.Errorf("the timeline ends with %q, %q", got, events[len(events)-1].Text)
	}
	if n := accepts(t, s); n != 1 {
		t.Errorf("the rule is there %d times", n)
	}
	if o := w.change(t, "undo", id, 0); o.State != "undone" || accepts(t, s) != 0 {
		t.Errorf("undo: %+v, %d rules", o, accepts(t, s))
	}
	renew(t, s, lab.Web1)
	w.verify(t)
}

// killedWhileUndoing kills whybot when an undo has been made and not confirmed:
// the next run confirms it, over its own connection, before the node takes it
// back.
func killedWhileUndoing(s stage) {
	t := s.t
	w := newWhybot(t, s.Lab, asUser(s.Lab, "root")) // a stand-in that runs others: sudo would not let it
	a := w.ask(t, lab.Web1)
	id := a.fixNamed(t, "physdev-accept").ID
	if o := w.change(t, "apply", id, 0); o.State != "verified" || accepts(t, s) != 1 {
		t.Fatalf("apply: %+v, %d rules", o, accepts(t, s))
	}
	slowly(t, s, "0", "2")
	killAt(t, s, w, "undo", id, "/run/whybot-made")
	const commits = `for f in /run/whybot/fixes/"$1"-*-back-*/state; do cut -d' ' -f1 "$f"; done`
	if got := s.sh(t, lab.Controller01, commits, id); got != "armed\n" {
		t.Errorf("the undo is %q on the node, want one commit that waits to be confirmed", got)
	}
	if f := w.shown(t, id); f.State != "undone" {
		t.Errorf("fix show says %q, want undone", f.State)
	}
	if got := s.sh(t, lab.Controller01, commits, id); got != "confirmed\n" || accepts(t, s) != 0 {
		t.Errorf("the undo is %q on the node, and the rule is there %d times", got, accepts(t, s))
	}
	if events := w.events(t, a.Incident); events[len(events)-1].Kind != "note" || !strings.Contains(events[len(events)-1].Text, "the change is gone") {
		t.Errorf("the timeline ends with %+v", events[len(events)-1])
	}
	renew(t, s, lab.Web1)
	w.verify(t)
}

func killedBeforeProof(s stage) {
	t := s.t
	w := newWhybot(t, s.Lab)
	a := w.ask(t, lab.Web1)
	a.must(t, "proven", "DHCP-01")
	id := a.fixNamed(t, "physdev-accept").ID
	cmd := w.command(t.Context(), "fix", "apply", id, "--yes")
	if err := s.VM(lab.Web1).StopAsking(t.Context()); err != nil { // a silent guest makes the proof last
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 15*time.Second, "the proof is under way", func() bool { return accepts(t, s) == 1 && len(s.captures(t)) > 0 })
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // killed: always an error
	if f := w.shown(t, id); f.State != "applied" {
		t.Errorf("fix show says %q, want applied: it was, and was not proven", f.State)
	}
	if events := w.events(t, a.Incident); countKind(events, "applied") != 1 || countKind(events, "verified") != 0 {
		t.Errorf("the timeline reads %q", kinds(events))
	}
	if n := accepts(t, s); n != 1 {
		t.Errorf("the rule is there %d times", n)
	}
	if o := w.change(t, "undo", id, 0); o.State != "undone" {
		t.Errorf("undo: %+v", o)
	}
	if n := accepts(t, s); n != 0 {
		t.Errorf("after the undo the rule is there %d times", n)
	}
	w.verify(t)
	var list []json.RawMessage
	if err := json.Unmarshal([]byte(w.run(t.Context(), "timeline", "--json").out), &list); err != nil || len(list) != 1 {
		t.Errorf("timeline --json lists %d incidents, %v", len(list), err)
	}
}
