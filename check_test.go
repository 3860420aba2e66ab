package main

import (
	"strings"
	"testing"
	"time"

	"whybot/internal/cloudfake"
	"whybot/internal/vcsim"
	"whybot/runners"
)

// row returns the line of the table about something.
func (r result) row(t *testing.T, what string) string {
	t.Helper()
	for line := range strings.Lines(r.out) {
		if strings.Contains(line, "  "+what+"  ") {
			return strings.TrimSpace(line)
		}
	}
	t.Errorf("no line about %s in\n%s", what, r.out)
	return ""
}

func TestCheckWithNodesThatDoNotAnswer(t *testing.T) {
	s := newScene(t)
	r := s.run("check")
	r.want(t, exitFailed, "checks found something missing", "")
	for what, want := range map[string]string{
		"config": "ok", "store": "ok", "keystone: login": "ok", "neutron: agents": "ok", "neutron: port bindings": "ok",
		"nova: servers of all projects": "ok", "ssh compute01": "MISSING", "ssh controller01": "MISSING",
	} {
		row := r.row(t, what)
		if !strings.HasPrefix(row, want+" ") {
			t.Errorf("%s: %q, want %s", what, row, want)
		}
		if want == "MISSING" && !strings.Contains(row, "refused") {
			t.Errorf("%q does not say why", row)
		}
	}
	if !strings.Contains(r.out, "\n2 of ") {
		t.Errorf("the last line miscounts:\n%s", r.out)
	}
}

func TestCheckWithoutACloud(t *testing.T) {
	s := newScene(t)
	s.cloud.Close()
	r := s.run("check")
	r.want(t, exitFailed, "", "")
	for _, what := range []string{"keystone: login", "nodes"} {
		if row := r.row(t, what); !strings.HasPrefix(row, "MISSING ") {
			t.Errorf("%q", row)
		}
	}
}

// A role that is shown too little is told what it lacks, not that all is well.
func TestCheckAsAMember(t *testing.T) {
	s := newScene(t)
	if _, err := s.cloud.WriteCloudsYAML(s.dir, "fake", "member"); err != nil {
		t.Fatal(err)
	}
	r := s.run("check")
	r.want(t, exitFailed, "", "")
	for _, what := range []string{"neutron: agents", "neutron: port bindings", "nova: servers of all projects", "nodes"} {
		if row := r.row(t, what); !strings.HasPrefix(row, "MISSING ") {
			t.Errorf("%q", row)
		}
	}
	if strings.Contains(r.out, "fake-password") {
		t.Error("a password is on the table")
	}
}

func TestCheckVCenter(t *testing.T) {
	s := newScene(t)
	if r := s.run("check"); strings.Contains(r.out, "vcenter") {
		t.Errorf("a vCenter that nobody named is looked at:\n%s", r.out)
	}
	sim, err := vcsim.Start(t.Context(), vcsim.Options{User: "probe", Password: "pass phrase", Inventory: vcsim.Inventory{Hosts: 2}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	s.configure("vsphere: {url: \"" + sim.URL() + "\", user: probe, password_file: vcenter, thumbprint: \"" + sim.Thumbprint() + "\"}\n")
	s.write("vcenter", "pass phrase\n")
	r := s.run("check")
	for _, what := range []string{"vcenter: login", "vcenter: hosts"} {
		if row := r.row(t, what); !strings.HasPrefix(row, "ok ") {
			t.Errorf("%q", row)
		}
	}
	s.write("vcenter", "another phrase\n")
	r = s.run("check")
	if row := r.row(t, "vcenter: login"); !strings.HasPrefix(row, "MISSING ") || !strings.Contains(row, "vsphere.user") || strings.Contains(r.out, "phrase") {
		t.Errorf("%q", row)
	}
}

// What a node or a cloud says does not get out of its cell.
func TestCheckTableIsOneLineARow(t *testing.T) {
	var out strings.Builder
	e := environment{out: &out}
	err := e.table([]row{{what: "ssh \x1b[2Jx\ny", ok: true, detail: "a\tb\r\nc\u202e" + strings.Repeat("z", 1000), cure: "d"}, {what: "x", ok: true}})
	if err != nil || strings.Count(out.String(), "\n") != 2 || strings.ContainsAny(out.String(), "\x1b\r\t\u202e") || len(out.String()) > 1000 {
		t.Errorf("%v, %q", err, out.String())
	}
}

func TestCheckSaysHowToCure(t *testing.T) {
	for kind, want := range map[runners.Kind]string{runners.MissingProgram: "install tcpdump", runners.Sudo: "sudoers", runners.TooSlow: ""} {
		r := runners.Result{Probe: runners.Probe{Name: "tcpdump", Argv: []string{"tcpdump"}}, Err: &runners.Error{Kind: kind}}
		if got := cureOf(r); (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q", kind, got)
		}
		if optional(r) {
			t.Errorf("tcpdump may be missing (%s)", kind)
		}
	}
	other := runners.Result{Probe: runners.Probe{Name: "iptables-legacy-save"}, Err: &runners.Error{Kind: runners.MissingProgram}}
	if !optional(other) {
		t.Error("the other back end must not be missing")
	}
	if other.Err = (&runners.Error{Kind: runners.Sudo}); optional(other) {
		t.Error("a listing that sudo refuses is taken for one that is not needed")
	}
}

func TestCheckClocks(t *testing.T) {
	now := time.Unix(1_795_000_000, 0)
	for stdout, ok := range map[string]bool{
		"1795000000.123456789\n": true, "1795000001.9\n": true, "1794999998.1\n": true,
		"1795000010.0\n": false, "1794999000.0\n": false, "": false, "date: invalid\x1b[31m": false, "%s.%N\n": false,
	} {
		r := skew("n1", runners.Output{Stdout: stdout}, now, now.Add(300*time.Millisecond))
		if r.ok != ok || (!ok && r.cure == "") || strings.Contains(r.detail, "\x1b") {
			t.Errorf("%q: %+v", stdout, r)
		}
	}
	s := newScene(t)
	s.cloud.SkewClock(time.Hour)
	if row := s.run("check").row(t, "clock: this host and the API"); !strings.HasPrefix(row, "MISSING ") || !strings.Contains(row, "ahead") {
		t.Errorf("%q", row)
	}
	s.cloud.Inject(cloudfake.Fault{Service: "neutron", Status: 500})
	if row := s.run("check").row(t, "neutron: networks"); !strings.HasPrefix(row, "MISSING ") {
		t.Errorf("%q", row)
	}
}
