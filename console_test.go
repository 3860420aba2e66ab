package main

import (
	"os"
	"strings"
	"testing"

	"whybot/internal/cloudfake"
)

const shut = "why does the console of web-1 not open, code 1006"

// consoleScene is a scene whose web-1 has a console, and whose nodes cannot be
// reached.
func consoleScene(t *testing.T, role string) *scene {
	t.Helper()
	s := newScene(t)
	if _, err := s.cloud.WriteCloudsYAML(s.dir, "fake", role); err != nil {
		t.Fatal(err)
	}
	s.cloud.Update(func(m *cloudfake.Model) {
		m.ConsoleURL = "http://console.example:6080/vnc_lite.html"
		m.ComputeServices = []cloudfake.ComputeService{{Binary: "nova-conductor", Host: "controller01"}, {Binary: "nova-compute", Host: "compute01"}}
		m.Servers[0].Console = cloudfake.Console{Host: "172.30.200.41", Port: 5901}
	})
	return s
}

// TestAskAboutConsoles: what Nova alone tells is enough for some causes, and for
// the others nothing is claimed while no node can be read.
func TestAskAboutConsoles(t *testing.T) {
	for name, c := range map[string]struct {
		change       func(*cloudfake.Model)
		state, cause string
	}{
		"no node to be read": {func(*cloudfake.Model) {}, "unknown", ""},
		"shut off":           {func(m *cloudfake.Model) { m.Servers[0].Status = "SHUTOFF" }, "proven", "CONS-15"},
		"not ready":          {func(m *cloudfake.Model) { m.Servers[0].Status = "BUILD" }, "proven", "CONS-15"},
		"no VNC":             {func(m *cloudfake.Model) { m.Servers[0].Console.Disabled = true }, "proven", "CONS-15"},
		"default address":    {func(m *cloudfake.Model) { m.ConsoleURL = "http://127.0.0.1:6080/vnc_auto.html" }, "proven", "CONS-07"},
		"loopback":           {func(m *cloudfake.Model) { m.Servers[0].Console.Host = "127.0.0.1" }, "probable", "CONS-05"},
	} {
		t.Run(name, func(t *testing.T) {
			s := consoleScene(t, "admin")
			s.cloud.Update(c.change)
			a := s.answer(shut)
			if a.Verdict.State != c.state || a.Verdict.Cause != c.cause || len(a.Path) > 0 {
				t.Errorf("%s %s (%s), want %s %s", a.Verdict.State, a.Verdict.Cause, a.Verdict.Summary, c.state, c.cause)
			}
			if c.state != "proven" && a.Verdict.Missing == "" {
				t.Error("what is missing is not said")
			}
		})
	}
}

// TestConsoleTokenIsNowhere: Nova's token is a secret, and is in nothing that
// whybot prints, logs or keeps.
func TestConsoleTokenIsNowhere(t *testing.T) {
	s := consoleScene(t, "admin")
	s.write("whybot.yaml", "openstack: {cloud: fake, clouds_file: clouds.yaml}\nssh: {config_file: ssh_config}\nstore: {path: whybot.db}\nlog: {level: debug}\n")
	s.cloud.Inject(cloudfake.Fault{Path: "/os-console-auth-tokens/", Status: 500, Body: `{"computeFault":{"message":"x"}}`})
	text := s.run("ask", shut)
	text.want(t, exitAnswered, "UNKNOWN", "os-console-auth-tokens/{id}")
	s.cloud.Heal()
	again := s.run("ask", "--json", shut)
	timeline := s.run("timeline", "--json", "web-1")
	timeline.want(t, exitAnswered, "verdict", "")
	kept, err := os.ReadFile(s.path("whybot.db"))
	if err != nil {
		t.Fatal(err)
	}
	token := cloudfake.ConsoleToken(webID)
	for what, said := range map[string]string{"text": text.out + text.err, "JSON": again.out + again.err, "timeline": timeline.out, "store": string(kept)} {
		if strings.Contains(said, token) || strings.Contains(said, token[:8]) {
			t.Errorf("the token is in the %s", what)
		}
	}
	for _, absent := range []string{"Path", "DHCP"} {
		if strings.Contains(text.out, absent) {
			t.Errorf("the answer about a console speaks of %q:\n%s", absent, text.out)
		}
	}
}

// TestAskAboutConsolesAsMember: what a member is not shown is said, and no cause
// is made of it.
func TestAskAboutConsolesAsMember(t *testing.T) {
	a := consoleScene(t, "member").answer(shut)
	if a.Verdict.State != "unknown" || len(a.Unknown) == 0 {
		t.Errorf("%+v, unknown %+v", a.Verdict, a.Unknown)
	}
}

func TestAskAboutNoConsole(t *testing.T) {
	s := consoleScene(t, "admin")
	s.run("ask", "the console does not open").want(t, exitUsage, "", "the console of web-1")
	s.run("ask", "why does the console of web-77 not open").want(t, exitFailed, "", "web-77")
}
