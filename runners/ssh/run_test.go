package ssh

import (
	"context"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"whybot/runners"
)

func TestRunReturnsWhatEachProbePrinted(t *testing.T) {
	p := lab(t)
	odd := []string{
		"", " ", "a b", "it's", `back\slash`, `\`, `'\''`, "!", "$HOME", "`id`", "$(id)", "new\nline", "-rf", "*", "~", ";", "&", "|", "\t",
		"\x1b[31m", "é", "{a,b}", "#", "%s", `"`, "\r", "\x7f", "=", "--",
	}
	probes := []runners.Probe{
		sh("no newline", "printf abc"),
		sh("both", "echo out; echo err >&2; exit 3"),
		{Name: "nothing", Argv: []string{"true"}},
		sh("looks like a mark", `printf "\036%s E 0 0 1 1-1 /x\n\036Z\nS 1 2\n" 0123456789abcdef0123456789abcdef`),
		sh("its own parents", "cat /proc/$PPID/cmdline; ps axww -o args"),
		sh("environment", `echo "$LC_ALL"; case "$PATH" in *:/usr/sbin:/sbin:/usr/local/sbin) echo path;; esac; cat; echo end`),
		{Name: "odd words", Argv: append([]string{"printf", `[%s]\n`}, odd...)},
		sh("bytes", `printf "a\377b\001\033"`),
		sh("partial mark at the end", `printf "x\036"`),
		sh("reads nothing", "cat"),
	}
	r := run(t, p, probes...)
	for i, res := range r {
		if res.Err != nil {
			t.Errorf("%s: %v", probes[i].Name, res.Err)
		}
		if res.Output.At.IsZero() {
			t.Errorf("%s: no time", probes[i].Name)
		}
	}
	want := func(i int, out, err string, code int) {
		t.Helper()
		o := r[i].Output
		if o.Stdout != out || o.Stderr != err || o.ExitCode != code {
			t.Errorf("%s: %q %q %d, want %q %q %d", probes[i].Name, o.Stdout, o.Stderr, o.ExitCode, out, err, code)
		}
	}
	want(0, "abc", "", 0)
	want(1, "out\n", "err\n", 3)
	want(2, "", "", 0)
	want(3, "\x1e0123456789abcdef0123456789abcdef E 0 0 1 1-1 /x\n\x1eZ\nS 1 2\n", "", 0)
	want(5, "C\npath\nend\n", "", 0)
	want(6, "["+strings.Join(odd, "]\n[")+"]\n", "", 0)
	want(7, "a\uFFFDb\x01\x1b", "", 0)
	want(8, "x\x1e", "", 0)
	want(9, "", "", 0)
	if !strings.Contains(r[4].Output.Stdout, "whybot_mark") {
		t.Error("the listing of the parents does not show the script: the probe tests nothing")
	}
}

func TestRunTellsFailuresOfProbesApart(t *testing.T) {
	p := lab(t)
	r := run(t, p,
		runners.Probe{Name: "missing", Argv: []string{"no-such-program-here", "-x"}},
		runners.Probe{Name: "slow", Argv: []string{"sleep", "30"}, Timeout: time.Second},
		sh("124 by itself", "exit 124"),
		sh("137 by itself", "kill -9 $$"),
		sh("stubborn", "trap '' TERM; while :; do sleep 0.1; done"),
		sh("last", "echo still here"),
	)
	wantKind(t, r[0].Err, runners.MissingProgram, "no-such-program-here")
	wantKind(t, r[1].Err, runners.TooSlow, "1 s")
	if r[2].Err != nil || r[2].Output.ExitCode != 124 {
		t.Errorf("a command's own 124: %+v", r[2])
	}
	if r[3].Err != nil || r[3].Output.ExitCode != 137 {
		t.Errorf("a command's own 137: %+v", r[3])
	}
	wantKind(t, r[4].Err, runners.TooSlow)
	if r[5].Err != nil || r[5].Output.Stdout != "still here\n" {
		t.Errorf("the probe after the failures: %+v", r[5])
	}
}

func TestRunTookIsTheNodesTime(t *testing.T) {
	r := run(t, lab(t), runners.Probe{Argv: []string{"sleep", "0.3"}}, runners.Probe{Argv: []string{"true"}})
	if r[0].Output.Took < 250*time.Millisecond || r[0].Output.Took <= r[1].Output.Took {
		t.Errorf("took %s and %s", r[0].Output.Took, r[1].Output.Took)
	}
}

func TestRunCutsAStreamAtItsLimit(t *testing.T) {
	p := lab(t, func(o *Options) { o.MaxOutput = 1000 })
	r := run(t, p,
		sh("whole", "head -c 1000 /dev/zero | tr '\\0' x"),
		sh("flood", "yes >&2"),
		sh("after", "echo no"),
	)
	if r[0].Err != nil || len(r[0].Output.Stdout) != 1000 || r[0].Output.Truncated {
		t.Errorf("output of exactly the limit: %v, %d bytes, truncated %v", r[0].Err, len(r[0].Output.Stdout), r[0].Output.Truncated)
	}
	if o := r[1].Output; r[1].Err != nil || len(o.Stderr) != 1000 || !o.Truncated || o.ExitCode == 0 {
		t.Errorf("flood: %v, %d bytes, %+v", r[1].Err, len(o.Stderr), o.Truncated)
	}
	wantKind(t, r[2].Err, runners.Unknown, "not run", "limit")
	if again := run(t, p, sh("again", "echo fine")); again[0].Output.Stdout != "fine\n" {
		t.Errorf("the pool after a flood: %+v", again[0])
	}
}

func TestRunCutsTheWholeAtItsLimit(t *testing.T) {
	p := lab(t, func(o *Options) { o.MaxTotal = 100_000 })
	half := "head -c 60000 /dev/zero | tr '\\0' x"
	r := run(t, p, sh("one", half), sh("two", half), sh("three", half))
	if r[0].Err != nil || len(r[0].Output.Stdout) != 60000 || r[0].Output.Truncated {
		t.Errorf("one: %v %d", r[0].Err, len(r[0].Output.Stdout))
	}
	if r[1].Err != nil || !r[1].Output.Truncated {
		t.Errorf("two: %v truncated %v", r[1].Err, r[1].Output.Truncated)
	}
	wantKind(t, r[2].Err, runners.Unknown, "not run")
}

// TestProbeAfterTheFloodIsNotRun: standard error may say that the next probe
// began when standard output has been given up already. Nothing of that probe
// was read, so it has no output, not even a truncated one.
func TestProbeAfterTheFloodIsNotRun(t *testing.T) {
	for name, ahead := range map[string]frame{
		"and flooded too": {began: true, truncated: true},
		"and said more":   {began: true},
		"and ended":       {began: true, ended: true},
	} {
		t.Run(name, func(t *testing.T) {
			out := &stream{frames: []frame{{began: true, truncated: true, at: time.Now()}, {}}}
			err := &stream{frames: []frame{{began: true, ended: true}, ahead}}
			j := judge{node: "n", left: "not run", t: &transcript{
				out: out, err: err, cause: errFlood, failure: failure(runners.Invalid, "n", "run", "", errFlood),
			}}
			r := j.results([]runners.Probe{sh("one", ""), sh("two", "")})
			if r[0].Err != nil || !r[0].Output.Truncated {
				t.Errorf("one: %v, truncated %v", r[0].Err, r[0].Output.Truncated)
			}
			wantKind(t, r[1].Err, runners.Unknown, "not run", "limit")
		})
	}
}

func TestRunKeepsWhatFinishedBeforeTheDeadline(t *testing.T) {
	for name, tc := range map[string]struct {
		options func(*Options)
		ctx     time.Duration
		hint    string
	}{
		"exec":    {func(o *Options) { o.Exec = 1500 * time.Millisecond }, time.Minute, "exec deadline"},
		"request": {func(*Options) {}, 1500 * time.Millisecond, "whole request"},
	} {
		t.Run(name, func(t *testing.T) {
			p := lab(t, tc.options)
			ctx, cancel := context.WithTimeout(t.Context(), tc.ctx)
			defer cancel()
			r, err := p.Run(ctx, "n", []runners.Probe{
				sh("done", "echo done"), {Name: "hang", Argv: []string{"sleep", "5"}, Timeout: 10 * time.Second}, sh("never", "echo never"),
			})
			if err != nil {
				t.Fatal(err)
			}
			if r[0].Err != nil || r[0].Output.Stdout != "done\n" {
				t.Errorf("finished probe: %+v", r[0])
			}
			wantKind(t, r[1].Err, runners.TooSlow, tc.hint)
			wantKind(t, r[2].Err, runners.TooSlow, "not run")
			if again := run(t, p, sh("again", "echo fine")); again[0].Output.Stdout != "fine\n" {
				t.Errorf("the pool after the deadline: %+v", again[0])
			}
		})
	}
}

func TestRunRefusesWhatCannotBeSent(t *testing.T) {
	p := lab(t)
	for name, probe := range map[string]runners.Probe{
		"NUL":      {Argv: []string{"echo", "a\x00b"}},
		"no words": {Name: "empty"},
		"no name":  {Argv: []string{""}},
		"huge":     {Argv: []string{"echo", strings.Repeat("x", maxCommand)}},
	} {
		_, err := p.Run(budget(t), "n", []runners.Probe{probe})
		if runners.KindOf(err) != runners.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, node := range []string{"", "-oProxyCommand=x", "a b", "$(id)", "a\nb"} {
		_, err := p.Run(budget(t), node, []runners.Probe{sh("", "id")})
		if runners.KindOf(err) != runners.Invalid {
			t.Errorf("node %q: %v", node, err)
		}
	}
	if r, err := p.Run(budget(t), "n", nil); r != nil || err != nil {
		t.Errorf("no probes: %v %v", r, err)
	}
}

func TestRunNearTheLongestCommand(t *testing.T) {
	long := strings.Repeat("x", maxCommand-4000)
	r := run(t, lab(t), runners.Probe{Argv: []string{"printf", "%s", long}})
	if r[0].Err != nil || r[0].Output.Stdout != long {
		t.Errorf("%v, %d bytes", r[0].Err, len(r[0].Output.Stdout))
	}
}

func TestRunManyAtOnce(t *testing.T) {
	p := lab(t)
	nodes := make([]string, 40)
	out, errs := runners.Each(budget(t), 40, nodes, func(ctx context.Context, _ string) (string, error) {
		r, err := p.Run(ctx, "n", []runners.Probe{sh("", "echo $PPID")})
		if err != nil {
			return "", err
		}
		return r[0].Output.Stdout, r[0].Err
	})
	for i := range nodes {
		if errs[i] != nil || out[i] == "" {
			t.Errorf("%d: %q %v", i, out[i], errs[i])
		}
	}
	if p.mu.Lock(); len(p.entries) != 1 {
		t.Errorf("%d connections", len(p.entries))
	}
	p.mu.Unlock()
}

func TestRunManyAtOnceOnANodeWithFewSessions(t *testing.T) {
	s := newSite(t)
	d := startSSHD(t, s, "MaxSessions 2")
	s.node("n", d.addr, d.key.signer.PublicKey())
	p := s.pool()
	_, errs := runners.Each(budget(t), 8, make([]string, 8), func(ctx context.Context, _ string) (int, error) {
		r, err := p.Run(ctx, "n", []runners.Probe{sh("", "echo $PPID")})
		return len(r), err
	})
	for i, err := range errs {
		if err != nil {
			t.Errorf("%d: %v", i, err)
		}
	}
}

func TestRunOnANodeThatRefusesSessions(t *testing.T) {
	s := newSite(t)
	d := startSSHD(t, s, "MaxSessions 0")
	s.node("n", d.addr, d.key.signer.PublicKey())
	_, err := s.pool().Run(budget(t), "n", []runners.Probe{sh("", "id")})
	wantKind(t, err, runners.Authentication, "MaxSessions")
}

func TestChangeStopsAtTheFirstFailure(t *testing.T) {
	p := lab(t)
	r, err := p.Change(budget(t), "n", []runners.Probe{sh("one", "echo 1"), sh("two", "echo 2; exit 4"), sh("three", "echo 3")})
	if err != nil {
		t.Fatal(err)
	}
	if r[0].Err != nil || r[0].Output.Stdout != "1\n" || r[1].Err != nil || r[1].Output.ExitCode != 4 {
		t.Errorf("%+v", r)
	}
	wantKind(t, r[2].Err, runners.Unknown, "not run")
	r, err = p.Change(budget(t), "n", []runners.Probe{{Name: "gone", Argv: []string{"no-such-program-here"}}, sh("two", "echo 2")})
	if err != nil {
		t.Fatal(err)
	}
	wantKind(t, r[0].Err, runners.MissingProgram)
	wantKind(t, r[1].Err, runners.Unknown, "not run")
	r, err = p.Change(budget(t), "n", []runners.Probe{sh("one", "echo 1"), sh("two", "echo 2")})
	if err != nil || r[1].Output.Stdout != "2\n" {
		t.Errorf("%+v %v", r, err)
	}
}

func TestChangeOutcomeUnknownAfterTheDeadline(t *testing.T) {
	p := lab(t, func(o *Options) { o.Exec = time.Second })
	r, err := p.Change(budget(t), "n", []runners.Probe{
		sh("one", "echo 1"), {Name: "hang", Argv: []string{"sleep", "4"}, Timeout: 10 * time.Second}, sh("three", "echo 3"),
	})
	wantKind(t, err, runners.Unknown, "outcome unknown", "exec deadline")
	if len(r) != 3 || r[0].Output.Stdout != "1\n" {
		t.Fatalf("%+v", r)
	}
	wantKind(t, r[1].Err, runners.Unknown, "read back")
	wantKind(t, r[2].Err, runners.Unknown, "read back")
}

func FuzzStreamNeverPanics(f *testing.F) {
	const nonce = "0123456789abcdef0123456789abcdef"
	mark := func(s string) string { return "\x1e" + nonce + " " + s + "\n" }
	f.Add([]byte("banner"+mark("S 0 1.0")+"out"+mark("E 0 0 1.5 1-1 /bin/x")+mark("Z")), uint8(7))
	f.Add([]byte(mark("S 9 1")), uint8(1))
	f.Add([]byte(mark("S 0 nan")+mark("E 0 300 inf")+mark("X 0")), uint8(3))
	f.Add([]byte(mark("S 0 1")+mark("S 0 1")+mark("Z")), uint8(0))
	f.Fuzz(func(t *testing.T, b []byte, chunk uint8) {
		s, _ := feedAll(nonce, b, int(chunk)+1)
		whole, _ := feedAll(nonce, b, len(b)+1)
		for i := range s.frames {
			if len(s.frames[i].data) > 64 {
				t.Errorf("frame of %d bytes", len(s.frames[i].data))
			}
			if s.frames[i].ended != whole.frames[i].ended || (s.frames[i].ended && string(s.frames[i].data) != string(whole.frames[i].data)) {
				t.Errorf("chunks of %d change frame %d", chunk, i)
			}
		}
		if !utf8.ValidString(text(b)) {
			t.Error("text is not UTF-8")
		}
	})
}
