package ssh

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"whybot/runners"
)

// twoLogins is a real sshd with a user that looks and one that changes, each
// with a key of its own. The key of the one that changes is not there yet.
func twoLogins(t *testing.T) (p *Pool, look, change operator, putKey func(os.FileMode)) {
	t.Helper()
	look, change = newOperator(t, "NOPASSWD: /usr/bin/id -u"), newOperator(t, "NOPASSWD: /usr/bin/true")
	s := newSite(t)
	key := newKey(t)
	dir := t.TempDir()
	authorized := filepath.Join(look.dir, "keys.%u")
	for name, k := range map[string]ssh.PublicKey{look.name: s.key.signer.PublicKey(), change.name: key.signer.PublicKey()} {
		file := strings.ReplaceAll(authorized, "%u", name)
		if err := os.WriteFile(file, ssh.MarshalAuthorizedKey(k), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	d := startSSHD(t, s, "AuthorizedKeysFile "+authorized)
	s.node("n", d.addr, d.key.signer.PublicKey(), "User "+look.name)
	file := filepath.Join(dir, "fix_key")
	p = s.pool(func(o *Options) { o.Fix = &Login{User: change.name, IdentityFile: file} })
	return p, look, change, func(mode os.FileMode) {
		if err := os.WriteFile(file, key.pem, mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
	}
}

// logins counts the connections that sshd holds for a user.
func logins(t *testing.T, user string) int {
	t.Helper()
	out, _ := exec.Command("pgrep", "-c", "-f", "^sshd: "+user+"(@|$)").Output() // exits 1 when there are none
	n := 0
	if _, err := fmt.Sscan(string(out), &n); err != nil {
		t.Fatalf("pgrep said %q", out)
	}
	return n
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for range 100 {
		if is() {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("not so after 5 s: %s", what)
}

func TestChangesAreMadeByTheirOwnLogin(t *testing.T) {
	p, look, change, putKey := twoLogins(t)
	who := sh("who", "id -un")
	if r := run(t, p, who); r[0].Output.Stdout != look.name+"\n" {
		t.Fatalf("who looks: %+v", r[0])
	}
	// The key is needed by a change alone, and read then.
	_, err := p.Change(budget(t), "n", []runners.Probe{who})
	wantKind(t, err, runners.Authentication, "fix_key", "no such file")
	putKey(0o640)
	_, err = p.Change(budget(t), "n", []runners.Probe{who})
	wantKind(t, err, runners.Authentication, "mode 640", "chmod 600")
	putKey(0o600)
	for _, turn := range []func() ([]runners.Result, error){
		func() ([]runners.Result, error) { return p.Change(budget(t), "n", []runners.Probe{who}) },
		func() ([]runners.Result, error) { return p.LookAsChanger(budget(t), "n", []runners.Probe{who}) },
	} {
		r, err := turn()
		if err != nil || r[0].Output.Stdout != change.name+"\n" {
			t.Fatalf("who changes: %+v, %v", r, err)
		}
		eventually(t, "the connection that changed is closed", func() bool { return logins(t, change.name) == 0 })
	}
	if logins(t, look.name) == 0 {
		t.Error("the connection that looks is gone: the test cannot tell the two apart")
	}
	if r := run(t, p, who); r[0].Output.Stdout != look.name+"\n" {
		t.Errorf("who looks afterwards: %+v", r[0])
	}
}

// A refusal names the login that was refused: each is asked about its own rules.
func TestRefusalsNameTheLoginThatChanges(t *testing.T) {
	p, look, change, putKey := twoLogins(t)
	putKey(0o600)
	r, err := p.Change(budget(t), "n", []runners.Probe{asRoot("true"), asRoot("id", "-u")})
	if err != nil || r[0].Err != nil {
		t.Fatalf("%+v, %v", r, err)
	}
	wantKind(t, r[1].Err, runners.Sudo, "allow "+change.name+" to run")
	looked := run(t, p, asRoot("id", "-u"), asRoot("true"))
	if looked[0].Output.Stdout != "0\n" {
		t.Errorf("%+v", looked[0])
	}
	wantKind(t, looked[1].Err, runners.Sudo, "allow "+look.name+" to run")
	for name, call := range map[string]func() (runners.CommitStatus, error){
		"status":  func() (runners.CommitStatus, error) { return p.CommitStatus(budget(t), "n", "fx-1") },
		"confirm": func() (runners.CommitStatus, error) { return p.Confirm(budget(t), "n", "fx-1", 1) },
		"commit": func() (runners.CommitStatus, error) {
			return p.Commit(budget(t), "n", runners.Commit{
				ID: "fx-1", Token: 1, Wait: 1e9, Guards: []runners.Listing{{Argv: []string{"a", "b"}, Sum: "0"}},
				Steps: []runners.Reversible{{Do: [][]string{{"a", "b"}}, Undo: [][]string{{"a", "b"}}}},
			})
		},
	} {
		_, err := call()
		if err == nil || !strings.Contains(err.Error(), "allow "+change.name+" to run") && runners.KindOf(err) != runners.MissingProgram {
			t.Errorf("%s went as another login: %v", name, err)
		}
	}
	eventually(t, "all connections of the login that changes are closed", func() bool { return logins(t, change.name) == 0 })
}

func TestUsersOfTheClientConfig(t *testing.T) {
	s := newSite(t)
	s.node("a", "127.0.0.1:1", nil, "User one")
	s.node("b", "127.0.0.1:2", nil, "User two", "ProxyJump gate")
	s.node("c", "127.0.0.1:3", nil, "User one")
	s.node("compute?? *.cells !gate", "127.0.0.1:5", nil, "User four", "ProxyJump gate")
	s.node("gate", "127.0.0.1:4", nil, "User porter")
	p := s.pool()
	look, change := p.Users()
	if want := []string{"four", "one", "two"}; !slices.Equal(look, want) || !slices.Equal(change, want) {
		t.Errorf("%q look and %q change, want %q", look, change, want)
	}
	p = s.pool(func(o *Options) { o.Fix = &Login{User: "three", IdentityFile: "key"} })
	if look, change = p.Users(); len(look) != 3 || !slices.Equal(change, []string{"three"}) {
		t.Errorf("%q look and %q change", look, change)
	}
	if look, _ = newSite(t).pool().Users(); !slices.Equal(look, []string{"root"}) { // of Host *
		t.Errorf("without a host %q look", look)
	}
}

func TestALoginThatChangesNeedsUserAndKey(t *testing.T) {
	for _, l := range []Login{{}, {User: "x"}, {IdentityFile: "x"}} {
		if p, err := New(Options{ConfigFile: newSite(t).write(), Fix: &l}); err == nil {
			t.Errorf("%+v is taken", l)
			_ = p.Close()
		}
	}
}

// TestCaptureCommandsAreTheScripts runs capture.sh with stand-ins of the
// programs that it calls: what it gives to sudo is what CaptureCommands says.
func TestCaptureCommandsAreTheScripts(t *testing.T) {
	for _, c := range []runners.CaptureSpec{
		{Device: "tap3d1c2f4a-0b", Filter: "ether host fa:16:3e:00:00:01 and (udp port 67 or vlan)", MaxSeconds: 5},
		{Device: "ns-004b787f-9b", Namespace: "qdhcp-1", MaxSeconds: 5},
	} {
		for i, modern := range []string{"--immediate-mode", ""} {
			dir := t.TempDir()
			for name, script := range map[string]string{
				"tcpdump": "echo usage: " + modern, "id": `case "$1" in -un) echo somebody;; *) echo 1000;; esac`,
				"sudo":    `printf '%s\n' "$@"`,
				"timeout": `shift 3; exec "$@"`,
			} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			command, err := captureCommand(c, "nonce")
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("sh", "-c", command)
			cmd.Env = []string{"PATH=" + dir + ":" + os.Getenv("PATH")}
			var out bytes.Buffer
			cmd.Stdout = &out
			if _, err := cmd.StdinPipe(); err != nil { // open: at its end the script stops what it captures with
				t.Fatal(err)
			}
			if err := cmd.Run(); err != nil {
				t.Fatal(err)
			}
			got := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
			if want := append([]string{"-n", "--"}, CaptureCommands("somebody", c)[i]...); !slices.Equal(got, want) {
				t.Errorf("the script runs\n%q, not\n%q", got, want)
			}
		}
	}
}
