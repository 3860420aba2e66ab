package endtoend

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"whybot/internal/lab"
)

// callTimeout is longer than any budget of whybot.
const callTimeout = 90 * time.Second

// A whybot is the binary with a configuration and a store of its own.
type whybot struct {
	config string
	dir    string // holds the configuration and, unless moved, the store
	store  string
}

// A setting departs from what a lab's own whybot.yaml says.
type setting func(*settings)

type settings struct {
	clouds, ssh, store string
	fix                string // the login that changes nodes
	rest               string
}

// asUser logs in to the nodes as root, nosudo, or as whyprobe, for whom whyfix
// makes the changes.
func asUser(l *lab.Lab, user string) setting {
	return func(s *settings) {
		s.ssh, s.fix = l.SSHConfig(user), ""
		if user == "whyprobe" {
			s.fix = fmt.Sprintf("  fix: {user: %s, identity_file: %s}\n", lab.FixUser, l.FixKey())
		}
	}
}

func withClouds(file string) setting { return func(s *settings) { s.clouds = file } }

func withStore(file string) setting { return func(s *settings) { s.store = file } }

// listening bounds the packet stage: where nothing can be seen, whybot listens
// to the end.
func listening(d time.Duration) setting {
	return func(s *settings) { s.rest += fmt.Sprintf("diagnose:\n  capture: %s\n", d) }
}

// withoutARP keeps whybot from asking for the guest's address itself: only the
// guest's own packets can show that it is served.
func withoutARP(s *settings) { s.rest += "diagnose:\n  arp_check: false\n" }

// newWhybot writes a configuration for the lab. Unless it is told otherwise it
// has on the nodes the rights that `whybot sudoers` prints, and no more.
func newWhybot(tb testing.TB, l *lab.Lab, changes ...setting) whybot {
	tb.Helper()
	dir := tb.TempDir()
	s := settings{clouds: filepath.Join(l.Dir, "clouds.yaml"), store: filepath.Join(dir, "whybot.db")}
	for _, change := range append([]setting{asUser(l, "whyprobe")}, changes...) {
		change(&s)
	}
	text := fmt.Sprintf("openstack:\n  cloud: %s\n  clouds_file: %s\nssh:\n  config_file: %s\n%sstore:\n  path: %s\n%s",
		lab.CloudName, s.clouds, s.ssh, s.fix, s.store, s.rest)
	w := whybot{config: filepath.Join(dir, "whybot.yaml"), dir: dir, store: s.store}
	if err := os.WriteFile(w.config, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	return w
}

// command prepares a call; --config goes in behind the verb.
func (w whybot) command(ctx context.Context, args ...string) *exec.Cmd {
	words := append([]string{args[0], "--config", w.config}, args[1:]...)
	cmd := exec.CommandContext(ctx, binary, words...)
	cmd.Dir = w.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + w.dir, "LC_ALL=C.UTF-8", "SUDO_USER=operator"}
	cmd.WaitDelay = time.Second
	return cmd
}

// A result is what a call left behind.
type result struct {
	out, err string
	code     int
	took     time.Duration
}

// run calls whybot. A call that did not exit by itself has the code -1.
func (w whybot) run(ctx context.Context, args ...string) result {
	ctx, cancel := context.WithTimeoutCause(ctx, callTimeout, errors.New("whybot took too long"))
	defer cancel()
	cmd := w.command(ctx, args...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	start := time.Now()
	err := cmd.Run()
	r := result{out: out.String(), err: said.String(), code: -1, took: time.Since(start)}
	if cmd.ProcessState != nil {
		r.code = cmd.ProcessState.ExitCode()
	}
	if r.code < 0 {
		r.err += fmt.Sprintf("whybot %q did not exit by itself: %v, %v\n", args, err, context.Cause(ctx))
	}
	return r
}

// The shapes of the JSON contract, as far as they are judged here.
type (
	answer struct {
		Incident string `json:"incident"`
		Error    string `json:"error"`
		Code     string `json:"code"`
		Question struct {
			Kind     string            `json:"kind"`
			Subjects map[string]string `json:"subjects"`
		} `json:"question"`
		Verdict  verdict   `json:"verdict"`
		Path     []hop     `json:"path"`
		Findings []finding `json:"findings"`
		Fixes    []fix     `json:"fixes"`
		Unknown  []blind   `json:"unknown"`
		Notes    []string  `json:"notes"`
		TookMS   int64     `json:"took_ms"`
	}
	verdict struct {
		State   string `json:"state"`
		Cause   string `json:"cause"`
		Title   string `json:"title"`
		Summary string `json:"summary"`
		Edge    *edge  `json:"edge"`
		Missing string `json:"missing"`
	}
	edge struct {
		From      string `json:"from"`
		To        string `json:"to"`
		Direction string `json:"direction"`
	}
	hop struct {
		Node     string `json:"node"`
		Device   string `json:"device"`
		Observed bool   `json:"observed"`
		Why      string `json:"why"`
		Requests int    `json:"requests"`
		Replies  int    `json:"replies"`
	}
	finding struct {
		Cause   string `json:"cause"`
		State   string `json:"state"`
		Node    string `json:"node"`
		Summary string `json:"summary"`
	}
	fix struct {
		ID         string   `json:"id"`
		Name       string   `json:"name"`
		State      string   `json:"state"`
		Commands   []string `json:"commands"`
		Undo       []string `json:"undo"`
		Persistent bool     `json:"persistent"`
	}
	blind struct {
		What string `json:"what"`
		Why  string `json:"why"`
	}
	outcome struct {
		ID      string   `json:"id"`
		State   string   `json:"state"`
		Outcome string   `json:"outcome"`
		Error   string   `json:"error"`
		Proof   *verdict `json:"proof"`
	}
	event struct {
		Seq      int               `json:"seq"`
		Incident string            `json:"incident"`
		Kind     string            `json:"kind"`
		Text     string            `json:"text"`
		Refs     map[string]string `json:"refs"`
		Actor    struct {
			Via string `json:"via"`
			ID  string `json:"id"`
		} `json:"actor"`
	}
)

// decode reads the JSON that a call printed; it must be the only thing there.
func decode[T any](tb testing.TB, r result) T {
	tb.Helper()
	var v T
	if err := json.Unmarshal([]byte(r.out), &v); err != nil {
		tb.Fatalf("printed no JSON alone: %v\nexit %d\n%s%s", err, r.code, r.out, r.err)
	}
	return v
}

// ask asks why a VM gets no address and wants an answer.
func (w whybot) ask(t *testing.T, vm string, flags ...string) answer {
	t.Helper()
	r := w.run(t.Context(), append(append([]string{"ask", "--json"}, flags...), questionAbout(vm))...)
	if r.code != 0 {
		t.Fatalf("asking about %s: exit %d, want 0\n%s%s", vm, r.code, r.out, r.err)
	}
	a := decode[answer](t, r)
	t.Logf("%s: %s %s in %d ms: %s", vm, a.Verdict.State, a.Verdict.Cause, a.TookMS, a.Verdict.Summary)
	w.verify(t)
	return a
}

func questionAbout(vm string) string { return "why can't " + vm + " get an IP" }

// verify wants the timeline whole.
func (w whybot) verify(t *testing.T) {
	t.Helper()
	r := w.run(t.Context(), "timeline", "verify")
	if r.code != 0 || !strings.HasSuffix(r.out, " events, every hash and link is right\n") {
		t.Errorf("timeline verify: exit %d\n%s%s", r.code, r.out, r.err)
	}
}

// events reads an incident's timeline.
func (w whybot) events(t *testing.T, incident string) []event {
	t.Helper()
	r := w.run(t.Context(), "timeline", "--json", incident)
	if r.code != 0 {
		t.Fatalf("timeline %s: exit %d\n%s%s", incident, r.code, r.out, r.err)
	}
	return decode[[]event](t, r)
}

// kinds are the events' kinds in order.
func kinds(events []event) []string {
	list := make([]string, len(events))
	for i, e := range events {
		list[i] = e.Kind
	}
	return list
}

// blindTo tells whether the answer says that it could not see something, with
// all the words in one line.
func (a answer) blindTo(words ...string) bool {
	for _, b := range a.Unknown {
		line, all := b.What+": "+b.Why, true
		for _, w := range words {
			all = all && strings.Contains(line, w)
		}
		if all {
			return true
		}
	}
	return false
}

// hopsOn are the places on a node where packets can be captured.
func (a answer) hopsOn(node string) []hop {
	var hops []hop
	for _, h := range a.Path {
		if h.Node == node && h.Device != "dnsmasq" && !strings.HasPrefix(h.Device, "ns-") {
			hops = append(hops, h)
		}
	}
	return hops
}

// fixNamed returns an offered fix.
func (a answer) fixNamed(t *testing.T, name string) fix {
	t.Helper()
	for _, f := range a.Fixes {
		if f.Name == name {
			return f
		}
	}
	t.Fatalf("%s was not offered, only %+v", name, a.Fixes)
	return fix{}
}

// must fails unless the verdict is of the state and cause.
func (a answer) must(t *testing.T, state, cause string) {
	t.Helper()
	if a.Verdict.State != state || a.Verdict.Cause != cause {
		t.Errorf("verdict %s %q, want %s %q: %s\nunknown: %+v", a.Verdict.State, a.Verdict.Cause, state, cause, a.Verdict.Summary, a.Unknown)
	}
}
