package ssh

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"whybot/runners"
)

// An operator is a temporary user with a sudoers file.
type operator struct{ name, dir string }

// newOperator makes a user that may run rules, one sudoers command list each.
func newOperator(t testing.TB, rules ...string) operator {
	t.Helper()
	needs(t, "useradd", "userdel", "sudo", "visudo")
	name := fmt.Sprintf("wbt%dx%d", os.Getpid(), operators.Add(1))
	if _, err := user.Lookup(name); err == nil {
		t.Fatalf("user %s is there already", name)
	}
	dir, err := os.MkdirTemp("/var/tmp", "whybot-test-bin-*") //nolint:usetesting // the operator has to get in, and t.TempDir lies where only root does
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	// A password of * can never match and, unlike !, does not lock the account.
	if out, err := exec.Command("useradd", "-M", "-d", "/", "-s", "/bin/sh", "-p", "*", name).CombinedOutput(); err != nil {
		t.Fatalf("useradd: %v %s", err, out)
	}
	t.Cleanup(func() { removeUser(t, name) })
	var text strings.Builder
	for _, r := range rules {
		fmt.Fprintf(&text, "%s ALL=(root) %s\n", name, strings.ReplaceAll(r, "DIR", dir))
	}
	file := filepath.Join("/etc/sudoers.d", name)
	checked := write(t, filepath.Join(t.TempDir(), "sudoers"), text.String())
	if out, err := exec.Command("visudo", "-c", "-f", checked).CombinedOutput(); err != nil {
		t.Fatalf("sudoers: %s", out)
	}
	if err := os.WriteFile(file, []byte(text.String()), 0o440); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(file) })
	return operator{name, dir}
}

// operators counts the users, whose names must differ.
var operators atomic.Int64

// removeUser waits for the user's last process, which userdel insists on.
func removeUser(t testing.TB, name string) {
	t.Helper()
	var out []byte
	var err error
	for range 100 {
		if out, err = exec.Command("userdel", name).CombinedOutput(); err == nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Errorf("userdel: %v %s", err, out)
}

// program puts an executable script beside the operator's sudoers rules.
func (o operator) program(t testing.TB, name, script string) string {
	t.Helper()
	path := filepath.Join(o.dir, name)
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func (o operator) pool(t testing.TB) (*Pool, string) {
	t.Helper()
	s := newSite(t)
	d := startSSHD(t, s)
	s.node("n", d.addr, d.key.signer.PublicKey(), "User "+o.name)
	p := s.pool()
	return p, filepath.Join(s.dir, "config")
}

func asRoot(argv ...string) runners.Probe {
	return runners.Probe{Name: argv[0], Argv: argv, Sudo: true}
}

func TestSudoTellsItsRefusalFromTheCommandsFailure(t *testing.T) {
	o := newOperator(t, "NOPASSWD: DIR/liar, DIR/liar2, DIR/plain, /usr/bin/id")
	liar := o.program(t, "liar", "echo 'sudo: a password is required' >&2; exit 1")
	liar2 := o.program(t, "liar2", "echo 'Sorry, user x is not allowed to execute y as root on z.' >&2; exit 1")
	plain := o.program(t, "plain", "echo 'no such rule' >&2; exit 1")
	forbidden := o.program(t, "forbidden", "echo never")
	p, _ := o.pool(t)
	r := run(t, p, asRoot("id", "-u"), asRoot(liar), asRoot(liar2), asRoot(plain), asRoot(forbidden, "a b"), asRoot("no-such-program-here"),
		sh("last", "id -un"))
	if r[0].Err != nil || r[0].Output.Stdout != "0\n" {
		t.Errorf("allowed: %+v", r[0])
	}
	for i, want := range map[int]string{
		1: "sudo: a password is required\n",
		2: "Sorry, user x is not allowed to execute y as root on z.\n",
		3: "no such rule\n",
	} {
		if r[i].Err != nil || r[i].Output.ExitCode != 1 || r[i].Output.Stderr != want {
			t.Errorf("%s: its own failure was taken for sudo's: %+v", r[i].Probe.Name, r[i])
		}
	}
	wantKind(t, r[4].Err, runners.Sudo, o.name, forbidden+" 'a b'")
	if r[4].Output.Stderr != "" {
		t.Errorf("a refused probe has an output: %+v", r[4].Output)
	}
	wantKind(t, r[5].Err, runners.MissingProgram, "no-such-program-here")
	if r[6].Output.Stdout != o.name+"\n" {
		t.Errorf("the probe after the refusals: %+v", r[6])
	}
}

func TestSudoWithAPasswordRule(t *testing.T) {
	o := newOperator(t, "NOPASSWD: /usr/bin/id", "PASSWD: DIR/secret")
	secret := o.program(t, "secret", "echo never")
	p, _ := o.pool(t)
	r := run(t, p, asRoot(secret))
	wantKind(t, r[0].Err, runners.Sudo, secret)
}

func TestSudoOfAUserWithNoRule(t *testing.T) {
	o := newOperator(t)
	p, _ := o.pool(t)
	r := run(t, p, asRoot("id"))
	wantKind(t, r[0].Err, runners.Sudo, "/usr/bin/id")
	c, err := p.Change(budget(t), "n", []runners.Probe{asRoot("id"), sh("next", "echo never")})
	if err != nil {
		t.Fatal(err)
	}
	wantKind(t, c[0].Err, runners.Sudo)
	wantKind(t, c[1].Err, runners.Unknown, "not run")
	_, err = p.Capture(budget(t), "n", runners.CaptureSpec{Device: "lo", MaxSeconds: 5})
	wantKind(t, err, runners.Sudo, "tcpdump")
}

func TestSudoIsNotInstalled(t *testing.T) {
	o := newOperator(t)
	s := newSite(t)
	// A login without sudo: only the programs that the script itself needs.
	for _, prog := range []string{"sh", "id", "timeout", "true"} {
		path, err := exec.LookPath(prog)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(o.dir, prog)); err != nil {
			t.Fatal(err)
		}
	}
	d := startSSHD(t, s, "SetEnv PATH="+o.dir)
	s.node("n", d.addr, d.key.signer.PublicKey(), "User "+o.name)
	r := run(t, s.pool(), asRoot("id"), sh("next", "echo $PATH"))
	wantKind(t, r[0].Err, runners.Sudo, "sudo is not installed")
	if !strings.HasPrefix(r[1].Output.Stdout, o.dir+":") {
		t.Errorf("next: %+v", r[1])
	}
}

func TestSudoCommandIsStoppedAtItsLimit(t *testing.T) {
	o := newOperator(t, "NOPASSWD: /usr/bin/sleep")
	p, _ := o.pool(t)
	slow := asRoot("sleep", "31.4159")
	slow.Timeout = time.Second
	r := run(t, p, slow, sh("after", "pgrep -f '^sleep 31.4159'; echo after"))
	wantKind(t, r[0].Err, runners.TooSlow)
	if r[1].Output.Stdout != "after\n" {
		t.Errorf("after: %+v", r[1])
	}
}

func TestSudoCommandThatCannotBeStopped(t *testing.T) {
	o := newOperator(t, "NOPASSWD: DIR/stubborn")
	stubborn := asRoot(o.program(t, "stubborn", "trap '' TERM; sleep 4; echo late"))
	stubborn.Timeout = time.Second
	p, _ := o.pool(t)
	r := run(t, p, sh("before", "echo before"), stubborn, sh("after", "echo after"))
	if r[0].Output.Stdout != "before\n" {
		t.Errorf("before: %+v", r[0])
	}
	wantKind(t, r[1].Err, runners.TooSlow)
	wantKind(t, r[2].Err, runners.Unknown, "not run", "command_timeout")
	if r = run(t, p, sh("again", "echo fine")); r[0].Output.Stdout != "fine\n" {
		t.Errorf("the pool after it: %+v", r[0])
	}
}

func TestSudoCaptureLeavesNothingBehind(t *testing.T) {
	needs(t, "tcpdump")
	o := newOperator(t, "NOPASSWD: /usr/bin/tcpdump")
	p, config := o.pool(t)
	filter, port := uniqueFilter(t)
	c, err := p.Capture(budget(t), "n", runners.CaptureSpec{Device: "lo", Filter: filter, MaxSeconds: 60})
	if err != nil {
		t.Fatal(err)
	}
	send(t, port, "hello sudo")
	readUntil(t, c, "hello sudo")
	_ = c.Close()
	eventuallyNone(t, filter)

	short, err := p.Capture(budget(t), "n", runners.CaptureSpec{Device: "lo", Filter: filter, MaxSeconds: 1})
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	for err == nil {
		_, err = short.Read(buf)
	}
	if err.Error() != "EOF" {
		t.Errorf("end of a capture by its time: %v", err)
	}
	_ = short.Close()
	eventuallyNone(t, filter)
	killCapturer(t, config)
}
