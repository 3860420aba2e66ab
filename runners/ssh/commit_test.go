package ssh

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"whybot/runners"
)

// A box is a network and a /run of their own, in which the helper runs without
// SSH between. Its first process lives as long as the test.
type box struct {
	t      *testing.T
	pid    string
	script string
}

func newBox(t *testing.T) *box {
	t.Helper()
	needs(t, "unshare", "nsenter", "iptables", "flock", "setsid")
	b := &box{t: t, script: filepath.Join(t.TempDir(), "whybot-commit")}
	if err := os.WriteFile(b.script, []byte(Helper), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
		"sh", "-ec", "mount -t tmpfs run /run; mount -t sysfs sys /sys; ip link set lo up; ip link add br0 type bridge; echo ready; exec cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait() // the end of its namespaces ends what runs in them
	})
	ready := make([]byte, len("ready\n"))
	if _, err := io.ReadFull(out, ready); err != nil {
		t.Fatalf("the box did not come up: %v", err)
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", cmd.Process.Pid, cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	b.pid = strings.Fields(string(children))[0]
	return b
}

// run runs a program in the box and returns what it printed and its exit code.
func (b *box) run(argv ...string) (stdout, stderr string, code int) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{"-t", b.pid, "-n", "-m", "-p", "--"}, argv...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return out.String(), errs.String(), exit.ExitCode()
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return out.String(), errs.String(), 0
}

// must runs a program in the box that has to succeed.
func (b *box) must(argv ...string) string {
	b.t.Helper()
	out, errs, code := b.run(argv...)
	if code != 0 {
		b.t.Fatalf("%q: exit %d: %s", argv, code, errs)
	}
	return out
}

// wants runs the helper and wants an exit code.
func (b *box) wants(code int, words ...string) {
	b.t.Helper()
	out, errs, got := b.run(append([]string{"sh", b.script}, words...)...)
	if got != code {
		b.t.Errorf("%.80q: exit %d, want %d: %s%s", words, got, code, out, errs)
	}
}

// state is where a fix stands.
func (b *box) state(id string) string {
	b.t.Helper()
	return strings.Fields(b.must("sh", b.script, "status", id))[2]
}

func (b *box) settles(id, state string) {
	b.t.Helper()
	for range 200 {
		if b.state(id) == state {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	b.t.Fatalf("%s is %s, want %s", id, b.state(id), state)
}

// listing is what iptables lists of INPUT now, as a guard.
func (b *box) listing() runners.Listing {
	argv := []string{"iptables", "-w", "5", "-S", "INPUT"}
	sum := sha256.Sum256([]byte(b.must(argv...)))
	return runners.Listing{Argv: argv, Sum: hex.EncodeToString(sum[:])}
}

func inputRule(verb string, words ...string) []string {
	return append([]string{"iptables", "-w", "5", verb, "INPUT"}, words...)
}

// second is the rule that fixes delete; its comment is nobody's command.
var second = []string{"-p", "tcp", "-m", "tcp", "--dport", "22", "-m", "comment", "--comment", `it's "$(touch /canary)" ; #`, "-j", "ACCEPT"}

func (b *box) deletion(id string, token uint64, wait time.Duration) runners.Commit {
	return runners.Commit{
		ID: id, Token: token, Wait: wait, Guards: []runners.Listing{b.listing()},
		Steps: []runners.Reversible{{
			Do: [][]string{inputRule("-D", second...)}, Undo: [][]string{inputRule("-I", append([]string{"2"}, second...)...)},
		}},
	}
}

func wordsOf(t *testing.T, c runners.Commit) []string {
	t.Helper()
	w, err := commitWords(c)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// threeRules fills INPUT, the second rule being the one that fixes delete.
func (b *box) threeRules() string {
	b.t.Helper()
	b.must(inputRule("-A", "-i", "lo", "-j", "ACCEPT")...)
	b.must(inputRule("-A", second...)...)
	b.must(inputRule("-A", "-p", "udp", "-j", "DROP")...)
	return b.must("iptables", "-S", "INPUT")
}

func TestKernelCommitIsTakenBackByTheNode(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	before := b.threeRules()
	b.wants(0, wordsOf(t, b.deletion("fx-back", 5, time.Second))...)
	if b.state("fx-back") != "armed" || b.must("iptables", "-S", "INPUT") == before {
		t.Fatal("the change was not made")
	}
	b.settles("fx-back", "rolled-back")
	if after := b.must("iptables", "-S", "INPUT"); after != before {
		t.Errorf("not as it was:\n%s\nwant\n%s", after, before)
	}
	b.wants(73, "confirm", "fx-back", "5")                             // too late
	b.wants(68, wordsOf(t, b.deletion("fx-back", 6, time.Second))...)  // once
	b.wants(66, wordsOf(t, b.deletion("fx-stale", 4, time.Second))...) // an older holder
	if b.state("fx-never") != "none" || b.state("fx-stale") != "none" {
		t.Error("a fix that was not begun is known")
	}
	if _, _, code := b.run("test", "-e", "/canary"); code == 0 {
		t.Error("a word of a rule was run")
	}
}

func TestKernelConfirmedCommitStays(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	before := b.threeRules()
	b.wants(0, wordsOf(t, b.deletion("fx-stays", 1, 2*time.Second))...)
	b.wants(67, wordsOf(t, b.deletion("fx-other", 2, time.Second))...) // one open fix
	b.wants(66, "confirm", "fx-stays", "2")
	b.wants(0, "confirm", "fx-stays", "1")
	b.wants(73, "confirm", "fx-stays", "1")
	b.wants(0, "rollback", "fx-stays") // settled: nothing to take back
	time.Sleep(4 * time.Second)        // past its time
	if after := b.must("iptables", "-S", "INPUT"); b.state("fx-stays") != "confirmed" || after == before {
		t.Errorf("%s: a confirmed change was taken back:\n%s", b.state("fx-stays"), after)
	}
	if out, _, _ := b.run("pgrep", "-f", "helper wait"); out != "" {
		t.Errorf("a rollback still waits: %s", out)
	}
}

func TestKernelCommitChangesNothingThatMoved(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.threeRules()
	c := b.deletion("fx-moved", 1, time.Second)
	b.must(inputRule("-I", "1", "-s", "192.0.2.1", "-j", "DROP")...)
	moved := b.must("iptables", "-S", "INPUT")
	b.wants(70, wordsOf(t, c)...)
	if after := b.must("iptables", "-S", "INPUT"); after != moved || b.state("fx-moved") != "none" {
		t.Errorf("%s: changed what had moved:\n%s", b.state("fx-moved"), after)
	}
	b.must(inputRule("-D", "-s", "192.0.2.1", "-j", "DROP")...)
	moved = b.must("iptables", "-S", "INPUT")
	// The second of two steps fails: the first is taken back at once.
	c = b.deletion("fx-half", 2, time.Minute)
	c.Steps = append(c.Steps, runners.Reversible{
		Do: [][]string{{"ip", "link", "set", "dev", "absent", "up"}}, Undo: [][]string{{"ip", "link", "set", "dev", "absent", "down"}},
	})
	b.wants(71, wordsOf(t, c)...)
	if after := b.must("iptables", "-S", "INPUT"); after != moved || b.state("fx-half") != "failed" {
		t.Errorf("%s: half a change stayed:\n%s", b.state("fx-half"), after)
	}
	// What somebody else put right meanwhile is not put in twice.
	b.wants(0, wordsOf(t, b.deletion("fx-twice", 3, 2*time.Second))...)
	b.must(inputRule("-A", second...)...)
	b.settles("fx-twice", "rolled-back")
	if n := strings.Count(b.must("iptables", "-S", "INPUT"), "--dport 22"); n != 1 {
		t.Errorf("the rule is there %d times", n)
	}
}

// A link that is put into a bridge and set up, and a bridge's spanning
// tree: all of it goes back in the order it came.
func TestKernelCommitOfLinksIsTakenBack(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.must("ip", "link", "add", "d0", "type", "veth", "peer", "name", "d1")
	b.must("ip", "link", "set", "dev", "br0", "type", "bridge", "stp_state", "1")
	look := func() string { return b.must("sh", "-c", "ip -o link show; cat /sys/class/net/br0/bridge/stp_state") }
	before := look()
	c := runners.Commit{ID: "fx-links", Token: 1, Wait: time.Second}
	for _, argv := range [][]string{{"ip", "-o", "link", "show"}, {"cat", "/sys/class/net/br0/bridge/stp_state"}} {
		sum := sha256.Sum256([]byte(b.must(argv...)))
		c.Guards = append(c.Guards, runners.Listing{Argv: argv, Sum: hex.EncodeToString(sum[:])})
	}
	link := func(words ...string) [][]string { return [][]string{append([]string{"ip", "link"}, words...)} }
	c.Steps = []runners.Reversible{
		{Do: link("set", "dev", "d0", "master", "br0"), Undo: link("set", "dev", "d0", "nomaster")},
		{Do: link("set", "dev", "d0", "up"), Undo: link("set", "dev", "d0", "down")},
		{Do: link("set", "dev", "br0", "type", "bridge", "stp_state", "0"), Undo: link("set", "dev", "br0", "type", "bridge", "forward_delay", "1500", "stp_state", "1")},
	}
	b.wants(0, wordsOf(t, c)...)
	if made := look(); !strings.Contains(made, "master br0") || !strings.HasSuffix(made, "\n0\n") {
		t.Errorf("not made:\n%s", made)
	}
	b.settles("fx-links", "rolled-back")
	if after := look(); after != before {
		t.Logf("before:\n%s", before)
		if strings.Contains(after, "master br0") || !strings.HasSuffix(after, "\n1\n") {
			t.Errorf("not as it was:\n%s", after)
		}
	}
	// A guard that does not show the change could not tell whether it is there.
	sum := sha256.Sum256([]byte(b.must("ip", "-o", "link", "show")))
	blind := runners.Commit{
		ID: "fx-blind", Token: 2, Wait: time.Minute, Steps: c.Steps[2:],
		Guards: []runners.Listing{{Argv: []string{"ip", "-o", "link", "show"}, Sum: hex.EncodeToString(sum[:])}},
	}
	b.wants(71, wordsOf(t, blind)...)
	if after := look(); !strings.HasSuffix(after, "\n1\n") || b.state("fx-blind") != "failed" {
		t.Errorf("%s: spanning tree stayed off", b.state("fx-blind"))
	}
}

// Without its timer, as after an out-of-memory kill, a fix is taken back by the
// next one; whoever comes before that is refused.
func TestKernelCommitWithoutItsTimer(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	before := b.threeRules()
	b.wants(0, wordsOf(t, b.deletion("fx-orphan", 1, 2*time.Second))...)
	b.must("sh", "-c", "kill -KILL $(cat /run/whybot/fixes/fx-orphan/waiting)")
	time.Sleep(4 * time.Second)
	if b.state("fx-orphan") != "armed" || b.must("iptables", "-S", "INPUT") == before {
		t.Fatal("it was taken back without its timer: the other tests prove nothing")
	}
	b.wants(67, wordsOf(t, b.deletion("fx-next", 2, time.Second))...)
	b.wants(0, "rollback", "fx-orphan")
	if after := b.must("iptables", "-S", "INPUT"); after != before || b.state("fx-orphan") != "rolled-back" {
		t.Errorf("%s:\n%s", b.state("fx-orphan"), after)
	}
}

func TestKernelCommitIsMadeOnce(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.threeRules()
	all := wordsOf(t, b.deletion("fx-once", 1, time.Minute))
	codes := make([]int, 8)
	var wg sync.WaitGroup
	for i := range codes {
		wg.Go(func() { _, _, codes[i] = b.run(append([]string{"sh", b.script}, all...)...) })
	}
	wg.Wait()
	made := 0
	for _, c := range codes {
		switch c {
		case 0:
			made++
		case 67, 68:
		default:
			t.Errorf("exit codes %v", codes)
		}
	}
	if made != 1 {
		t.Errorf("made %d times: %v", made, codes)
	}
	b.wants(0, "rollback", "fx-once")
}

// The right to run the helper is not the right to run anything.
func TestKernelHelperTakesOnlyFixes(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	before := b.threeRules()
	good := inputRule("-I", "1", "-j", "ACCEPT")
	bad := [][]string{
		{"sh", "-c", "touch /canary"},
		{"iptables -w 5 -I x", "y"},
		{"/tmp/x", "iptables", "-w", "5", "-I", "INPUT"},
		{"iptables", "-F"},
		inputRule("-F"),
		inputRule("-I", "--modprobe=/tmp/x", "-j", "ACCEPT"),
		inputRule("-I", "-M/tmp/x", "-j", "ACCEPT"),
		inputRule("-I", "--mod", "/tmp/x", "-j", "ACCEPT"),
		{"nft", "-f", "/etc/shadow"},
		{"nft", "flush", "ruleset"},
		{"nft", "add", "rule", "ip", "filter", "x", "-f", "/etc/shadow"},
		{"nft", "add", "rule", "ip", "filter", "x", "accept;", "flush", "ruleset"},
		{"ip", "netns", "exec", "x", "sh"},
		{"ip", "-batch", "/etc/shadow"},
		{"ip", "link", "set", "dev", "br0", "xdp", "object", "/tmp/x"},
		{"ip", "link", "set", "dev", "br0", "name", "eth9"},
		{"bridge", "-batch", "/etc/shadow"},
		inputRule("-I", "-m", "comment", "--comment", "two\nlines", "-j", "ACCEPT"),
	}
	for i, argv := range bad {
		for half := range 2 {
			step := runners.Reversible{Do: [][]string{good}, Undo: [][]string{good}}
			if half == 0 {
				step.Do = [][]string{argv}
			} else {
				step.Undo = [][]string{argv}
			}
			c := runners.Commit{ID: fmt.Sprintf("fx-%d-%d", i, half), Token: 1, Wait: time.Second, Guards: []runners.Listing{b.listing()}, Steps: []runners.Reversible{step}}
			b.wants(64, wordsOf(t, c)...)
		}
		c := b.deletion("fx-guard-"+strconv.Itoa(i), 1, time.Second)
		c.Guards[0].Argv = argv
		b.wants(64, wordsOf(t, c)...)
	}
	for _, words := range [][]string{
		{},
		{"run"},
		{"status"},
		{"status", "../x"},
		{"status", "-x"},
		{"status", strings.Repeat("x", 65)},
		{"confirm", "fx"},
		{"confirm", "fx", "1x"},
		{"rollback", "a b"},
		{"commit", "fx", "1", "1"},
		{"commit", "fx", "1", "0", "step"},
		{"commit", "fx", "1", "3601", "step"},
		{"commit", "fx", "99999999999999999999", "1", "step"},
		{"commit", "fx", "1", "1", "guard"},
		{"commit", "fx", "1", "1", "guard", "xyz", "1", "ip"},
		{"commit", "fx", "1", "1", "step", "do", "9", "ip", "link"},
		{"commit", "fx", "1", "1", "do", "2", "ip", "link"},
		{"commit", "fx", "1", "1", "step", "do"},
	} {
		b.wants(64, words...)
	}
	if after := b.must("iptables", "-S", "INPUT"); after != before {
		t.Errorf("a refused call changed the rules:\n%s", after)
	}
	if _, _, code := b.run("test", "-e", "/canary"); code == 0 {
		t.Error("a refused program was run")
	}
}

func TestCommitWordsNeedWhatTheHelperNeeds(t *testing.T) {
	t.Parallel()
	guard := []runners.Listing{{Argv: []string{"ip", "-o", "link", "show"}}}
	up, down := [][]string{{"ip", "link", "set", "dev", "x", "up"}}, [][]string{{"ip", "link", "set", "dev", "x", "down"}}
	for name, c := range map[string]runners.Commit{
		"no guard": {Steps: []runners.Reversible{{Do: up, Undo: down}}},
		"no step":  {Guards: guard},
		"no undo":  {Guards: guard, Steps: []runners.Reversible{{Do: up}}},
		"no do":    {Guards: guard, Steps: []runners.Reversible{{Undo: down}}},
	} {
		if w, err := commitWords(c); err == nil {
			t.Errorf("%s: %q", name, w)
		}
	}
}

func TestHelperAnswersAreReadStrictly(t *testing.T) {
	t.Parallel()
	s, err := parseStatus("whybot-commit 1 rolled-back 1700000000 1700000060\n")
	if err != nil || s.State != runners.CommitRolledBack || s.Ended.Sub(s.Began) != time.Minute {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err := parseStatus("whybot-commit 1 none - -"); err != nil || s.State != runners.CommitNone || !s.Began.IsZero() {
		t.Errorf("%+v, %v", s, err)
	}
	for _, out := range []string{"", "armed", "whybot-commit 2 armed 1 -", "whybot-commit 1 fine 1 -", "whybot-commit 1 armed x -", "other 1 armed 1 -"} {
		if s, err := parseStatus(out); err == nil {
			t.Errorf("%q was read as %+v", out, s)
		}
	}
}
