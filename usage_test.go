package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"whybot/store"
)

func TestUsageErrors(t *testing.T) {
	s := newScene(t)
	for _, c := range []struct {
		args string
		says string
	}{
		{"", "whybot ask"},
		{"aks web-1", `there is no command "aks"`},
		{"--config x ask", `there is no command "--config"`},
		{"ask", "ask what?"},
		{"ask --jason why", "ask has no flag --jason"},
		{"ask --config", "needs an argument"},
		{"ask why is the sky blue", "no question in that"},
		{"ask why no ip", "which VM"},
		{"parse why", "standard input"},
		{"parse --yaml", "parse has no flag --yaml"},
		{"fix", "fix needs a verb and an id"},
		{"fix apply", "fix needs a verb and an id"},
		{"fix apply fx-1 fx-2", "fix needs a verb and an id"},
		{"fix force fx-1", `fix cannot "force"`},
		{"fix apply fx-1 --now", "fix has no flag --now"},
		{"timeline --html", "timeline has no flag --html"},
		{"timeline show me everything", "name an incident"},
		{"timeline what happened to web-1 --config", "needs an argument"},
		{"check web-1", "check takes no words"},
		{"check --json", "check has no flag --json"},
		{"sudoers all", "sudoers takes no words"},
		{"sudoers --all", "sudoers has no flag --all"},
		{"sudoers --probe --fix", "prints one of"},
		{"serve now", "serve takes no words"},
		{"serve", "there is no slack section"},
		{"serve --port 80", "serve has no flag --port"},
		{"demo now", "demo takes no words"},
		{"demo --fast", "demo has no flag --fast"},
	} {
		t.Run(c.args, func(t *testing.T) {
			r := s.run(strings.Fields(c.args)...)
			r.want(t, exitUsage, "", c.says)
			if r.out != "" {
				t.Errorf("something is on stdout: %q", r.out)
			}
		})
	}
}

func TestHelpAndVersion(t *testing.T) {
	for _, args := range []string{"help", "--help", "-h"} {
		r := runWith(t, "", nil, args)
		r.want(t, exitAnswered, "", "whybot fix")
		for _, c := range subcommands() {
			if !strings.Contains(r.err, "whybot "+c.name) {
				t.Errorf("%s does not name %s", args, c.name)
			}
		}
	}
	r := runWith(t, "", nil, "version")
	r.want(t, exitAnswered, "whybot ", "")
	if strings.Count(r.out, "\n") != 1 {
		t.Errorf("version prints %q", r.out)
	}
}

// The verbs that programs outside rely on.
func TestContractOfVerbs(t *testing.T) {
	known := map[string]bool{}
	for _, c := range subcommands() {
		known[c.name] = true
	}
	for _, verb := range []string{"serve", "ask", "parse", "fix", "timeline", "check", "demo", "version"} {
		if !known[verb] {
			t.Errorf("there is no whybot %s", verb)
		}
	}
}

// A configuration that is wrong is named with its file and line, by every
// command that reads it.
func TestBrokenConfiguration(t *testing.T) {
	s := newScene(t)
	file := s.path("whybot.yaml")
	for _, c := range []struct{ name, text, says string }{
		{"syntax", "openstack: {cloud: fake\nssh: [\n", file + ":"},
		{"unknown key", "openstack: {cloud: fake, clouds_file: clouds.yaml}\nssh:\n  config_file: ssh_config\n  fanout: 3\nstore: {path: whybot.db}\n", file + ":4:3: ssh.fanout"},
		{"wrong type", "openstack: {cloud: fake, clouds_file: clouds.yaml}\nssh: {config_file: ssh_config, fan_out: many}\nstore: {path: whybot.db}\n", file + ":2:"},
		{"empty", "", file},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.write("whybot.yaml", c.text)
			for _, args := range [][]string{
				{"ask", "why can't web-1 get an IP"}, {"fix", "show", "fx-1"}, {"timeline"}, {"timeline", "verify"}, {"check"}, {"serve"},
			} {
				s.run(args...).want(t, exitUsage, "", c.says)
			}
			if _, err := os.Stat(s.path("whybot.db")); err == nil {
				t.Error("a store was made although the configuration is wrong")
			}
		})
	}
}

func TestWhereTheConfigurationIs(t *testing.T) {
	s := newScene(t)
	t.Chdir(t.TempDir())
	runWith(t, "", nil, "timeline").want(t, exitUsage, "", `"whybot.yaml" is not there`)
	runWith(t, "", []string{"WHYBOT_CONFIG=elsewhere.yaml"}, "timeline").want(t, exitUsage, "", "elsewhere.yaml")
	runWith(t, "", []string{"WHYBOT_CONFIG=elsewhere.yaml"}, "timeline", "--config", s.path("whybot.yaml")).want(t, exitAnswered, "No incident yet", "")
	runWith(t, "", []string{"WHYBOT_CONFIG=" + s.path("whybot.yaml")}, "timeline").want(t, exitAnswered, "No incident yet", "")
	t.Chdir(s.dir)
	runWith(t, "", nil, "timeline").want(t, exitAnswered, "No incident yet", "")
	// The last of two variables of one name counts, as in a shell.
	runWith(t, "", []string{"WHYBOT_CONFIG=elsewhere.yaml", "WHYBOT_CONFIG=" + s.path("whybot.yaml")}, "timeline").want(t, exitAnswered, "No incident yet", "")
	// What stands in the file can be overridden one key at a time.
	runWith(t, "", []string{"WHYBOT_STORE_PATH=" + filepath.Join(s.dir, "none", "x.db")}, "timeline").want(t, exitUsage, "", "WHYBOT_STORE_PATH")
}

func TestCredentialsThatAreNotThere(t *testing.T) {
	s := newScene(t)
	s.write("clouds.yaml", "clouds: {other: {}}\n")
	s.run("ask", "why can't web-1 get an IP").want(t, exitUsage, "", "clouds.yaml")
	s.write("ssh_config", "Host *\n  Port not-a-port\n")
	s.cloud.Close()
	if r := s.run("check"); r.code == exitAnswered {
		t.Errorf("check finds nothing wrong: %s", r.out)
	}
}

// Two processes cannot have one store: the second says so and does nothing.
func TestStoreIsTaken(t *testing.T) {
	s := newScene(t)
	p := s.propose(nil)
	s.remember(func(*store.Store) {
		for _, args := range [][]string{{"ask", "why can't web-1 get an IP"}, {"fix", "apply", p.ID, "--yes"}, {"timeline"}, {"check"}} {
			r := s.run(args...)
			r.want(t, exitFailed, "", "Another whybot has the store "+s.path("whybot.db")+" open.")
			if !strings.Contains(r.err, "whybot serve") {
				t.Errorf("no cure: %s", r.err)
			}
		}
	})
}
