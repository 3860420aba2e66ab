package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"whybot/commands"
	"whybot/internal/cloudfake"
	"whybot/store"
)

const (
	payNet  = "91e78b9c-cf00-4000-8000-000000000001"
	webPort = "3d1c2f4a-0b00-4000-8000-000000000002"
	webID   = "79fcac7c-92b4-4e74-bf80-0a4fe47f9f86"
)

// A scene is a directory with a configuration, a cloud that answers, and nodes
// on which nothing listens.
type scene struct {
	t     *testing.T
	dir   string
	cloud *cloudfake.Cloud
}

func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{t: t, dir: t.TempDir(), cloud: cloudfake.New(model())}
	if err := s.cloud.Serve(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.cloud.Close)
	if _, err := s.cloud.WriteCloudsYAML(s.dir, "fake", "admin"); err != nil {
		t.Fatal(err)
	}
	port := closedPort(t)
	key := base64.StdEncoding.EncodeToString([]byte("\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20" + strings.Repeat("k", 32)))
	s.write("known_hosts", fmt.Sprintf("[127.0.0.1]:%d ssh-ed25519 %s\n", port, key))
	s.write("ssh_config", fmt.Sprintf("Host *\n  HostName 127.0.0.1\n  Port %d\n  User probe\n  UserKnownHostsFile %s\n", port, s.path("known_hosts")))
	s.configure("")
	return s
}

// closedPort returns a port of loopback on which nothing listens.
func closedPort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return port
}

func model() cloudfake.Model {
	const project = "d8bee0a7879c4c80839a5136e5a1be48"
	mapping := map[string]string{"physnet1": "eth3"}
	return cloudfake.Model{
		Servers:  []cloudfake.Server{{ID: webID, Name: "web-1", ProjectID: project, Host: "compute01", Created: time.Now(), Updated: time.Now()}},
		Networks: []cloudfake.Network{{ID: payNet, Name: "pay-net", ProjectID: project, PhysicalNet: "physnet1", SegmentationID: 3092}},
		Subnets:  []cloudfake.Subnet{{ID: "s1", Name: "pay-subnet", NetworkID: payNet, ProjectID: project, CIDR: "10.30.92.0/24", GatewayIP: "10.30.92.1"}},
		Ports: []cloudfake.Port{
			{
				ID: webPort, NetworkID: payNet, ProjectID: project, DeviceID: webID, DeviceOwner: "compute:nova", MAC: "fa:16:3e:11:11:11",
				HostID: "compute01", FixedIPs: []cloudfake.FixedIP{{SubnetID: "s1", Address: "10.30.92.11"}},
			},
			{
				ID: "004b787f-9b00-4000-8000-000000000003", NetworkID: payNet, ProjectID: project, DeviceID: "dhcp-1", DeviceOwner: "network:dhcp",
				MAC: "fa:16:3e:00:00:02", HostID: "controller01", FixedIPs: []cloudfake.FixedIP{{SubnetID: "s1", Address: "10.30.92.2"}},
			},
		},
		Agents: []cloudfake.Agent{
			{ID: "a1", Type: "DHCP agent", Host: "controller01", Binary: "neutron-dhcp-agent"},
			{ID: "a2", Type: "Linux bridge agent", Host: "controller01", Binary: "neutron-linuxbridge-agent", InterfaceMappings: mapping},
			{ID: "a3", Type: "Linux bridge agent", Host: "compute01", Binary: "neutron-linuxbridge-agent", InterfaceMappings: mapping},
		},
		DHCPBindings: []cloudfake.DHCPBinding{{AgentID: "a1", NetworkID: payNet}},
	}
}

func (s *scene) path(name string) string { return filepath.Join(s.dir, name) }

func (s *scene) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(s.path(name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// configure writes whybot.yaml with more sections at its end.
func (s *scene) configure(more string) {
	s.t.Helper()
	s.write("whybot.yaml", "openstack: {cloud: fake, clouds_file: clouds.yaml}\nssh: {config_file: ssh_config}\nstore: {path: whybot.db}\nlog: {level: error}\n"+more)
}

// A result is what a command came to.
type result struct {
	code     int
	out, err string
}

// run runs whybot with this scene's configuration in the environment.
func (s *scene) run(args ...string) result {
	s.t.Helper()
	return runWith(s.t, "", []string{"WHYBOT_CONFIG=" + s.path("whybot.yaml"), "HOME=" + s.dir}, args...)
}

func runWith(t *testing.T, stdin string, environ []string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	e := environment{args: args, environ: environ, in: strings.NewReader(stdin), out: &out, err: &errs}
	code := e.run(ctx)
	if ctx.Err() != nil {
		t.Fatalf("whybot %q did not come to an end", args)
	}
	return result{code, out.String(), errs.String()}
}

// want checks the exit code and what the two streams say.
func (r result) want(t *testing.T, code int, out, err string) {
	t.Helper()
	if r.code != code || !strings.Contains(r.out, out) || !strings.Contains(r.err, err) {
		t.Errorf("exit code %d, want %d\nstdout (want %q): %s\nstderr (want %q): %s", r.code, code, out, r.out, err, r.err)
	}
	if code != exitAnswered && err != "" && !strings.HasSuffix(r.err, "\n") {
		t.Errorf("stderr does not end its line: %q", r.err)
	}
}

// object reads the one JSON object on stdout.
func (r result) object(t *testing.T) map[string]any {
	t.Helper()
	var got map[string]any
	if err := json.Unmarshal([]byte(r.out), &got); err != nil {
		t.Fatalf("stdout is not one JSON object: %v: %q (stderr %q)", err, r.out, r.err)
	}
	return got
}

// remember runs fn on the scene's store.
func (s *scene) remember(fn func(*store.Store)) {
	s.t.Helper()
	memory, err := store.Open(s.t.Context(), store.Options{Path: s.path("whybot.db")})
	if err != nil {
		s.t.Fatal(err)
	}
	fn(memory)
	if err := memory.Close(); err != nil {
		s.t.Fatal(err)
	}
}

// propose stores an incident with a proposal that brings a link up, and
// returns the proposal.
func (s *scene) propose(edit func(*commands.Proposal)) commands.Proposal {
	s.t.Helper()
	p := commands.Proposal{
		ID: "fx-aaaaaaaaaaaaaaaa", Asker: commands.Actor{Via: "terminal", ID: "alice"}, Fix: "link-up", Class: commands.F1, Title: "Bring eth3 up on controller01",
		Cause: "DHCP-10", Approvals: 1, State: commands.Proposed, Created: time.Now(), Expires: time.Now().Add(time.Hour),
		Steps:    []commands.Step{{Kind: "link-up", Node: "controller01", Args: map[string]string{"device": "eth3"}}},
		Commands: []string{"controller01# ip link set dev eth3 up"}, Undo: []string{"controller01# ip link set dev eth3 down"},
	}
	p.Hash = commands.PlanHash(p.Steps)
	if edit != nil {
		edit(&p)
	}
	s.remember(func(memory *store.Store) {
		inc, err := memory.OpenIncident(s.t.Context(), commands.Incident{
			Opened: time.Now(), Asker: p.Asker, Entities: []string{"web-1"},
			Question: commands.Question{Kind: commands.KindDHCP, Text: "why can't web-1 get an IP", Subjects: map[string]string{"vm": "web-1"}},
		}, commands.Event{Kind: commands.EventAsked, At: time.Now(), Actor: p.Asker, Text: "why can't web-1 get an IP"})
		if err != nil {
			s.t.Fatal(err)
		}
		p.Incident = inc.ID
		if err := memory.Propose(s.t.Context(), []commands.Proposal{p}); err != nil {
			s.t.Fatal(err)
		}
	})
	return p
}

func (s *scene) stored(id string) commands.Proposal {
	s.t.Helper()
	var p commands.Proposal
	s.remember(func(memory *store.Store) {
		ps, err := memory.ListProposals(s.t.Context(), commands.ProposalQuery{ID: id})
		if err != nil || len(ps) != 1 {
			s.t.Fatalf("%d proposals, %v", len(ps), err)
		}
		p = ps[0]
	})
	return p
}
