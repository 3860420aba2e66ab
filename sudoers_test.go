package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"whybot/runners/ssh"
)

// sudoersScene is a scene with two logins.
func sudoersScene(t *testing.T) *scene {
	t.Helper()
	s := newScene(t)
	text, err := os.ReadFile(s.path("whybot.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	s.write("whybot.yaml", strings.Replace(string(text), "ssh: {", "ssh: {fix: {user: mender, identity_file: not-there-yet}, ", 1))
	return s
}

func TestSudoersPrintsTwoFilesApart(t *testing.T) {
	s := sudoersScene(t)
	probe, fix, all := s.run("sudoers", "--probe"), s.run("sudoers", "--fix"), s.run("sudoers")
	for name, r := range map[string]result{"--probe": probe, "--fix": fix, "": all} {
		if r.code != exitAnswered || r.err != "" {
			t.Errorf("sudoers %s: exit %d, %s", name, r.code, r.err)
		}
	}
	probe.mustHold(t, "User_Alias WHYBOT_PROBE = probe\n", "/usr/sbin/tcpdump ^-U -nn -s 0 -w - -i ", " -Z probe -- ")
	probe.mustLack(t, "mender", ssh.HelperPath+" ")
	fix.mustHold(t, "User_Alias WHYBOT_FIX = mender\n", ssh.HelperPath+" ^commit ")
	fix.mustLack(t, "WHYBOT_PROBE", "tcpdump")
	first, second, apart := strings.Cut(all.out, "\n#"+strings.Repeat("-", 78)+"\n\n")
	if !apart || first != probe.out || !strings.HasPrefix(second, fix.out) || !strings.Contains(second, "whybot sudoers --helper | ssh root@NODE sh\n") {
		t.Errorf("the two are not apart, or not what they are alone:\n%s", all.out)
	}
}

func (r result) mustHold(t *testing.T, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(r.out, w) {
			t.Errorf("%q is not in\n%s", w, r.out)
		}
	}
}

func (r result) mustLack(t *testing.T, words ...string) {
	t.Helper()
	for _, w := range words {
		if strings.Contains(r.out, w) {
			t.Errorf("%q is in\n%s", w, r.out)
		}
	}
}

// Without a login of its own for changes the same user needs both files; root
// needs none, and is told so.
func TestSudoersNamesTheUsersOfTheConfiguration(t *testing.T) {
	s := newScene(t)
	if r := s.run("sudoers"); !strings.Contains(r.out, "WHYBOT_PROBE = probe\n") || !strings.Contains(r.out, "WHYBOT_FIX = probe\n") {
		t.Errorf("%s", r.out)
	}
	text, err := os.ReadFile(s.path("ssh_config"))
	if err != nil {
		t.Fatal(err)
	}
	s.write("ssh_config", strings.Replace(string(text), "User probe", "User root", 1))
	r := s.run("sudoers")
	if !strings.Contains(r.out, "WHYBOT_PROBE = whybot-probe\n") || !strings.Contains(r.out, "WHYBOT_FIX = whybot-fix\n") || !strings.Contains(r.err, "as root, who needs no rules") {
		t.Errorf("%s%s", r.out, r.err)
	}
}

// The printed script puts the helper there, byte for byte, and nothing of it is
// taken for a command.
func TestSudoersPrintsHowToInstallTheHelper(t *testing.T) {
	r := sudoersScene(t).run("sudoers", "--helper")
	if r.code != exitAnswered || strings.Contains(ssh.Helper, "\n"+endOfHelper+"\n") {
		t.Fatalf("exit %d, %s", r.code, r.err)
	}
	dir := t.TempDir()
	// Only root may give a file to root.
	script := strings.NewReplacer(ssh.HelperPath, filepath.Join(dir, "helper"), "chown root:root", "true").Replace(strings.Replace(r.out, ssh.Helper, "TEXT\n", 1))
	script = strings.Replace(script, "TEXT\n", ssh.Helper, 1)
	cmd := exec.Command("sh")
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	got, err := os.ReadFile(filepath.Join(dir, "helper"))
	if err != nil || string(got) != ssh.Helper {
		t.Errorf("installed is another text: %v", err)
	}
	if info, err := os.Stat(filepath.Join(dir, "helper")); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("installed with mode %v, %v", info.Mode(), err)
	}
	if !strings.Contains(r.out, "chown root:root "+ssh.HelperPath) {
		t.Error("it is not given to root")
	}
}
