package endtoend

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"whybot/internal/cloudfake"
	"whybot/internal/lab"
)

// In a cloud where DHCP works, these tests ask what cannot be answered, in ways
// nobody should, and from places that are broken on whybot's own side.

func TestKernelHealthyCloud(t *testing.T) { //nolint:tparallel // its scenes follow one another on one stage
	parallelStage(t, lab.Options{Flat: true, VXLAN: lab.L2Pop}, "").play(t,
		scene{"every guest is healthy", everyGuestHealthy},
		scene{"nobody is called so", unknownVM},
		scene{"three are called so", namesakes},
		scene{"a member may not see nodes", memberRole},
		scene{"names are not commands", hostileNames},
		scene{"what OpenStack says is not a command", hostileCloud},
		scene{"questions that are none", noQuestions},
		scene{"broken configuration", brokenConfig},
		scene{"check", checkHealthy},
		scene{"the disk under the store is full", fullDisk},
		scene{"two whybots and one store", oneStore},
	)
}

// everyGuestHealthy asks about the guest on another node, on the same node as
// its DHCP server, on a second network, on a flat one and on VXLAN networks.
func everyGuestHealthy(s stage) {
	t := s.t
	for _, c := range []struct {
		vm     string
		busy   bool // asks for its address again, and only that can show that it is served
		onPath []string
	}{
		{lab.Web1, true, []string{"compute01/eth3.3092", "compute01/eth3", "controller01/eth3", "controller01/eth3.3092"}},
		{lab.AIO1, true, []string{"controller01/tapc8f7a6b5-d4", "controller01/brq91e78b9c-cf", "controller01/tap004b787f-9b"}},
		{lab.DB1, false, []string{"compute01/eth3.3093", "compute01/eth3", "controller01/eth3", "controller01/eth3.3093"}},
		{lab.Flat1, false, []string{"compute01/eth4", "controller01/eth4"}},
		{lab.VX1, true, []string{"compute01/vxlan-1207", "compute01/eth1", "controller01/eth1", "controller01/vxlan-1207"}},
		{lab.VX3, false, []string{"compute01/vxlan-1208", "compute01/eth1", "controller01/eth1", "controller01/vxlan-1208"}},
	} {
		t.Run(c.vm, func(t *testing.T) {
			vm := s.VM(c.vm)
			if _, err := vm.WaitLease(t.Context()); err != nil {
				t.Fatal(err)
			}
			var changes []setting
			if c.busy {
				changes = append(changes, withoutARP)
				if err := vm.AskOften(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			a := newWhybot(t, s.Lab, changes...).ask(t, c.vm)
			a.must(t, "healthy", "")
			if len(a.Fixes)+len(a.Unknown) != 0 || a.Verdict.Edge != nil {
				t.Errorf("healthy, and yet fixes %+v, unknown %+v, edge %+v", a.Fixes, a.Unknown, a.Verdict.Edge)
			}
			goesOver(t, a, c.onPath, c.busy)
			if left := s.processes(t, "tcpdump"); len(left) > 0 {
				took := eventually(t, 30*time.Second, "no tcpdump is left", func() bool { return len(s.processes(t, "tcpdump")) == 0 })
				t.Logf("tcpdump was gone %s after the answer", took)
			}
		})
	}
}

// goesOver wants hops on the path, observed, and if the guest was busy then with
// its requests and their replies.
func goesOver(t *testing.T, a answer, hops []string, busy bool) {
	t.Helper()
	for _, want := range hops {
		i := slices.IndexFunc(a.Path, func(h hop) bool { return h.Node+"/"+h.Device == want })
		if i < 0 || !a.Path[i].Observed || busy && (a.Path[i].Requests == 0 || a.Path[i].Replies == 0) {
			t.Errorf("%s is not a hop where packets were seen: %+v", want, a.Path)
		}
	}
}

func unknownVM(s stage) {
	t := s.t
	w := newWhybot(t, s.Lab)
	const said = `There is no server "web-9". Nearest names: web-1, web-2.`
	r := w.run(t.Context(), "ask", questionAbout("web-9"))
	if r.code != 1 || r.err != "whybot: "+said+"\n" || r.out != "" {
		t.Errorf("exit %d, %q, %q", r.code, r.out, r.err)
	}
	r = w.run(t.Context(), "ask", "--json", questionAbout("web-9"))
	if a := decode[answer](t, r); r.code != 1 || a.Error != said || a.Code != "missing" || a.Incident != "inc-2" {
		t.Errorf("exit %d, %+v", r.code, a)
	}
	if got := kinds(w.events(t, "inc-2")); !slices.Equal(got, []string{"asked", "failed"}) {
		t.Errorf("the timeline has %q, want that it was asked and failed", got)
	}
	w.verify(t)
}

func namesakes(s stage) {
	t := s.t
	ids := []string{"11111111-aaaa-4bbb-8ccc-000000000001", "22222222-aaaa-4bbb-8ccc-000000000002", "33333333-aaaa-4bbb-8ccc-000000000003"}
	var before []cloudfake.Server
	s.Cloud.Update(func(m *cloudfake.Model) {
		before = slices.Clone(m.Servers)
		for _, id := range ids {
			m.Servers = append(m.Servers, cloudfake.Server{ID: id, Name: "batch", ProjectID: m.Projects[0].ID, Host: lab.Compute02})
		}
	})
	t.Cleanup(func() { s.Cloud.Update(func(m *cloudfake.Model) { m.Servers = before }) })
	w := newWhybot(t, s.Lab)
	r := w.run(t.Context(), "ask", questionAbout("batch"))
	if r.code != 1 || !strings.HasPrefix(r.err, "whybot: 3 servers are named batch: ") || !strings.HasSuffix(r.err, "Ask again with the id of the one you mean.\n") {
		t.Errorf("exit %d: %q", r.code, r.err)
	}
	asJSON := decode[answer](t, w.run(t.Context(), "ask", "--json", questionAbout("batch")))
	for _, id := range ids {
		if !strings.Contains(r.err, id) || !strings.Contains(asJSON.Error, id) {
			t.Errorf("%s is not offered in %q and %q", id, r.err, asJSON.Error)
		}
	}
	if asJSON.Code != "invalid" {
		t.Errorf("code %q, want invalid", asJSON.Code)
	}
	if a := w.ask(t, s.VM(lab.Web1).ServerID); a.Verdict.State != "healthy" {
		t.Errorf("asked by id: %+v", a.Verdict)
	}
}

func memberRole(s stage) {
	t := s.t
	clouds, err := s.Cloud.WriteCloudsYAML(t.TempDir(), lab.CloudName, "member")
	if err != nil {
		t.Fatal(err)
	}
	w := newWhybot(t, s.Lab, withClouds(clouds))
	r := w.run(t.Context(), "ask", "--json", questionAbout(lab.Web1))
	a := decode[answer](t, r)
	if r.code == 0 && (a.Verdict.State == "healthy" || !a.blindTo("admin")) || r.code != 0 && !strings.Contains(a.Error, "admin") {
		t.Errorf("exit %d: neither an error nor the unknown names the role that is missing: %s", r.code, r.out)
	}
	t.Logf("exit %d: %s", r.code, a.Error)
	if r.code != 0 && r.err != "whybot: "+a.Error+"\n" {
		t.Errorf("the text says something else than the JSON: %q, %q", r.err, a.Error)
	}
	w.verify(t)
	r = w.run(t.Context(), "check")
	for _, what := range []string{"nova: servers of all projects", "neutron: agents", "neutron: port bindings"} {
		if row := tableRow(r.out, what); r.code != 1 || !strings.HasPrefix(row, "MISSING") || !strings.Contains(row, "admin") {
			t.Errorf("check: exit %d, row %q", r.code, row)
		}
	}
}

// hostileNames asks about names that a shell would run. What is no name of a
// server is refused; where a server's name stands before something else, that
// server is meant.
func hostileNames(s stage) {
	t := s.t
	w := newWhybot(t, s.Lab)
	for _, c := range []struct {
		vm   string
		code int
		said string
	}{
		{"$(touch /canary)", 2, "which VM is it about?"},
		{"`touch /canary`", 1, `There is no server "touch /canary".`},
		{"$(reboot)", 2, "which VM is it about?"},
		{"web-1;touch${IFS}/canary", 0, "DHCP frames of web-1 counted"},
		{"web-1; touch /canary", 0, "DHCP frames of web-1 counted"},
		{"--config=/etc/passwd", 2, "which VM is it about?"},
		{"../../../etc/passwd", 2, "which VM is it about?"},
		{"web-9\x1b[2J\a", 1, `There is no server "web-9".`},
	} {
		r := w.run(t.Context(), "ask", "--no-capture", questionAbout(c.vm))
		if r.code != c.code || !strings.Contains(r.out+r.err, c.said) {
			t.Errorf("%q: exit %d, %q; want %d, %q", c.vm, r.code, r.out+r.err, c.code, c.said)
		}
		if strings.ContainsAny(r.out+r.err, "\x1b\a") {
			t.Errorf("%q: control characters came back: %q", c.vm, r.out+r.err)
		}
	}
	w.verify(t)
	if found := s.canaries(t); len(found) > 0 {
		t.Errorf("a name was run as a command: %q", found)
	}
	s.sh(t, lab.Compute01, ": >/root/canary") // the control: it would have been found
	if found := s.canaries(t); len(found) != 1 {
		t.Errorf("of one canary %q was found", found)
	}
	s.sh(t, lab.Compute01, "rm /root/canary")
}

// hostileCloud has a server whose name, port, address and NIC are commands, and
// a DHCP port like that: they become device names, addresses and files in what
// runs on the nodes.
func hostileCloud(s stage) {
	t := s.t
	const server = "99999999-aaaa-4bbb-8ccc-000000000009"
	// Short, because devices are named by the first eleven characters.
	const guestPort, dhcpPort, nic, name = ";>canary;1", "`>canary`1", "$(>canary)", "x'; >/canary; '\x1b[2J"
	network := s.VM(lab.Web1).Port.Network
	var before cloudfake.Model
	s.Cloud.Update(func(m *cloudfake.Model) {
		before = *m
		m.Servers = append(slices.Clone(m.Servers), cloudfake.Server{ID: server, Name: name, ProjectID: m.Projects[0].ID, Host: lab.Compute01})
		port := cloudfake.Port{
			ID: guestPort, NetworkID: network.ID, DeviceID: server, DeviceOwner: "compute:nova", MAC: "fa:16:3e:00:00:01",
			HostID: lab.Compute01, FixedIPs: []cloudfake.FixedIP{{SubnetID: network.SubnetID, Address: "10.30.92.;>canary;"}},
		}
		trusted := port
		trusted.ID, trusted.DeviceID, trusted.DeviceOwner, trusted.MAC, trusted.HostID = dhcpPort, "dhcp-x", "network:dhcp", "fa:16:3e:00:00:02", lab.Controller01
		m.Ports = append(slices.Clone(m.Ports), port, trusted)
		m.Agents = slices.Clone(m.Agents)
		for i := range m.Agents {
			if m.Agents[i].Host == lab.Compute01 {
				m.Agents[i].InterfaceMappings = map[string]string{network.PhysNet: nic}
			}
		}
	})
	t.Cleanup(func() { s.Cloud.Update(func(m *cloudfake.Model) { *m = before }) })
	w := newWhybot(t, s.Lab, listening(2*time.Second))
	for _, flags := range [][]string{{"ask", "--json"}, {"ask"}} {
		r := w.run(t.Context(), append(flags, questionAbout(server))...)
		for _, device := range []string{"tap" + guestPort, nic, "tap" + dhcpPort} {
			if !strings.Contains(r.out, device) {
				t.Errorf("%s is not on the path, so nothing was tried: exit %d\n%s%s", device, r.code, r.out, r.err)
			}
		}
		if strings.Contains(r.out, `"healthy"`) || strings.Contains(r.out, "HEALTHY") {
			t.Error("a server that is nowhere is healthy")
		}
		if r.code != 0 && r.code != 1 || strings.Contains(r.out+r.err, "\x1b") {
			t.Errorf("exit %d, or a control character came back: %q", r.code, r.out+r.err)
		}
	}
	if found := s.canaries(t); len(found) > 0 {
		t.Errorf("what OpenStack said was run as a command: %q", found)
	}
}

func noQuestions(s stage) {
	t := s.t
	w := newWhybot(t, s.Lab)
	for _, c := range []struct{ text, said string }{
		{"", `ask what? For example: whybot ask "why can't web-1 get an IP"`},
		{"   ", `ask what? For example: whybot ask "why can't web-1 get an IP"`},
		{strings.Repeat("é", 10_000), "the question has 10000 characters, at most 2000 are read; name the VM and what is wrong"},
		{"what is for lunch", "there is no question in that which whybot knows; try: why can't web-1 get an IP"},
		{"why is there no IP", "which VM is it about? Try: why can't web-1 get an IP"},
	} {
		r := w.run(t.Context(), "ask", c.text)
		if r.code != 2 || r.err != "whybot: "+c.said+"\n" || r.out != "" {
			t.Errorf("%.40q: exit %d, %q, %q; want 2, %q", c.text, r.code, r.out, r.err, c.said)
		}
	}
	if _, err := os.Stat(w.store); err == nil {
		t.Error("what is no question made a store")
	}
}

func brokenConfig(s stage) {
	t := s.t
	file := filepath.Join(t.TempDir(), "broken.yaml")
	for _, c := range []struct{ text, said string }{
		{"openstack:\n  cloud: [whylab\n", ":2:"},
		{"openstack:\n  cloud: whylab\nssh:\n  config_fil: x\nstore:\n  path: y.db\n", ":4:3: ssh.config_fil: unknown key; did you mean config_file?"},
		{"openstack:\n  cloud: whylab\nssh:\n  config_file: x\n  fan_out: many\nstore:\n  path: y.db\n", `:5:`},
	} {
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, verb := range [][]string{{"ask", questionAbout(lab.Web1)}, {"check"}, {"timeline"}} {
			r := whybot{config: file, dir: filepath.Dir(file)}.run(t.Context(), verb...)
			if r.code != 2 || !strings.Contains(r.err, file+c.said) {
				t.Errorf("%s: exit %d, %q; want 2 and %q", verb[0], r.code, r.err, file+c.said)
			}
		}
	}
}

func checkHealthy(s stage) {
	t := s.t
	for _, user := range []string{"root", "whyprobe"} {
		r := newWhybot(t, s.Lab, asUser(s.Lab, user)).run(t.Context(), "check")
		if r.code != 0 || r.err != "" {
			t.Errorf("as %s: exit %d, %q", user, r.code, r.err)
		}
		for line := range strings.Lines(r.out) {
			if !strings.HasPrefix(line, "ok ") {
				t.Errorf("as %s a row is not ok: %q", user, line)
			}
		}
		wanted := []string{"config", "store", "keystone: login", "nova: microversion 2.79", "neutron: agents", "neutron: port bindings"}
		for _, m := range s.machines() {
			wanted = append(wanted, "ssh "+m, m+": clock")
		}
		for _, what := range wanted {
			if tableRow(r.out, what) == "" {
				t.Errorf("as %s there is no row %q in\n%s", user, what, r.out)
			}
		}
	}
}

// fullDisk fills the file system of the store, then empties it again.
func fullDisk(s stage) {
	t := s.t
	disk := t.TempDir()
	if err := syscall.Mount("whybot-test", disk, "tmpfs", 0, "size=1m,mode=700"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	w := newWhybot(t, s.Lab, withStore(filepath.Join(disk, "whybot.db")))
	w.ask(t, lab.Web1, "--no-capture")
	before := w.events(t, "inc-1")
	filler := filepath.Join(disk, "filler")
	if err := os.WriteFile(filler, make([]byte, 2<<20), 0o600); err == nil {
		t.Fatal("the disk is not full")
	}
	said := ""
	for range 20 { // the file may have some free pages yet
		r := w.run(t.Context(), "ask", "--no-capture", questionAbout("web-9"))
		if r.code != 1 {
			t.Fatalf("exit %d on a full disk, want 1: %s%s", r.code, r.out, r.err)
		}
		if strings.Contains(r.err, "disk is full") {
			said = r.err
			break
		}
	}
	if want := fmt.Sprintf("whybot: The store %s could not be written: its disk is full. Nothing was changed. Free some space and try again.\n", w.store); !strings.HasSuffix(said, want) {
		t.Errorf("a full disk is told as %q, want %q", said, want)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	w.verify(t)
	if after := w.events(t, "inc-1"); len(after) != len(before) {
		t.Errorf("inc-1 had %d events and has %d", len(before), len(after))
	}
	w.ask(t, lab.Web1, "--no-capture")
}

// oneStore asks while another whybot works with the same store.
func oneStore(s stage) {
	t := s.t
	w := newWhybot(t, s.Lab)
	s.Cloud.Inject(cloudfake.Fault{Service: "nova", Path: "/servers", Delay: 4 * time.Second})
	t.Cleanup(s.Cloud.Heal)
	first := make(chan result, 1)
	go func() { first <- w.run(t.Context(), "ask", "--no-capture", "--json", questionAbout(lab.Web1)) }()
	eventually(t, 10*time.Second, "the first whybot has made its store", func() bool { _, err := os.Stat(w.store); return err == nil })
	want := fmt.Sprintf("whybot: Another whybot has the store %s open. Wait until it is done or stop it (is whybot serve running?), or set another store.path.\n", w.store)
	for _, args := range [][]string{{"ask", questionAbout(lab.Web1)}, {"timeline"}, {"check"}} {
		if r := w.run(t.Context(), args...); r.code != 1 || r.err != want || r.out != "" {
			t.Errorf("%s beside another whybot: exit %d, %q, %q; want %q", args[0], r.code, r.out, r.err, want)
		}
	}
	if r := <-first; r.code != 0 {
		t.Errorf("the first whybot was disturbed: exit %d, %s", r.code, r.err)
	}
	s.Cloud.Heal()
	w.ask(t, lab.Web1, "--no-capture")
	if got := kinds(w.events(t, "inc-1")); !slices.Equal(got, []string{"asked", "observed", "verdict"}) {
		t.Errorf("the first one's incident reads %q", got)
	}
}
