package ssh

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"whybot/runners"
)

func TestMain(m *testing.M) {
	if config := os.Getenv("WHYBOT_TEST_CAPTURE_CONFIG"); config != "" {
		captureUntilKilled(config, os.Getenv("WHYBOT_TEST_CAPTURE_FILTER"))
		return
	}
	goleak.VerifyTestMain(m)
}

// needs skips, or fails where the lab is required, when a program is absent or
// the test does not run as root.
func needs(t testing.TB, programs ...string) {
	t.Helper()
	missing := ""
	if os.Geteuid() != 0 {
		missing = "root"
	}
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			missing = p
		}
	}
	if missing == "" {
		return
	}
	if os.Getenv("WHYBOT_REQUIRE_LAB") == "1" {
		t.Fatalf("%s is required by this test and is not there", missing)
	}
	t.Skipf("SKIPPED, NOTHING WAS TESTED: %s is not there", missing)
}

// A keypair is an ed25519 key in memory and, once written, on disk.
type keypair struct {
	signer ssh.Signer
	pem    []byte
}

func newKey(t testing.TB) keypair {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "test")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return keypair{signer, pem.EncodeToMemory(block)}
}

func write(t testing.TB, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A site is the client's side: one user key, known_hosts and a config.
type site struct {
	t      testing.TB
	dir    string
	key    keypair
	config strings.Builder
	known  strings.Builder
}

func newSite(t testing.TB) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), key: newKey(t)}
	write(t, filepath.Join(s.dir, "id"), string(s.key.pem))
	return s
}

// node adds a host; extra lines go into its block.
func (s *site) node(name, addr string, hostKey ssh.PublicKey, extra ...string) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		s.t.Fatal(err)
	}
	fmt.Fprintf(&s.config, "Host %s\n  HostName %s\n  Port %s\n", name, host, port)
	for _, e := range extra {
		fmt.Fprintf(&s.config, "  %s\n", e)
	}
	if hostKey != nil {
		fmt.Fprintln(&s.known, knownhosts.Line([]string{addr}, hostKey))
	}
}

// write writes the files and returns the config's path.
func (s *site) write() string {
	s.t.Helper()
	write(s.t, filepath.Join(s.dir, "known_hosts"), s.known.String())
	return write(s.t, filepath.Join(s.dir, "config"), s.config.String()+
		"Host *\n  User root\n  IdentityFile id\n  IdentitiesOnly yes\n  UserKnownHostsFile known_hosts\n  GlobalKnownHostsFile none\n")
}

func (s *site) pool(change ...func(*Options)) *Pool {
	s.t.Helper()
	o := Options{ConfigFile: s.write()}
	for _, c := range change {
		c(&o)
	}
	p, err := New(o)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if err := p.Close(); err != nil {
			s.t.Error(err)
		}
	})
	return p
}

// A sshd is a real OpenSSH server on a random port.
type sshd struct {
	addr string
	key  keypair
	cmd  *exec.Cmd
	log  *bytes.Buffer
	dir  string
}

// startSSHD starts sshd for the site's key; extra lines go into sshd_config.
func startSSHD(t testing.TB, s *site, extra ...string) *sshd {
	t.Helper()
	needs(t, "/usr/sbin/sshd")
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	d := &sshd{key: newKey(t), dir: dir}
	write(t, filepath.Join(dir, "host"), string(d.key.pem))
	// The server reads the list as the user that logs in, so it cannot lie in
	// a directory that only root enters.
	authorized, err := os.CreateTemp("/var/tmp", "whybot-test-keys-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(authorized.Name()) })
	if _, err := authorized.Write(ssh.MarshalAuthorizedKey(s.key.signer.PublicKey())); err != nil {
		t.Fatal(err)
	}
	if err := authorized.Chmod(0o644); err != nil {
		t.Fatal(err)
	}
	_ = authorized.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d.addr = l.Addr().String()
	_ = l.Close()
	_, port, _ := net.SplitHostPort(d.addr)
	lines := []string{
		"Port " + port, "ListenAddress 127.0.0.1", "HostKey " + filepath.Join(dir, "host"), "PidFile none",
		"AuthorizedKeysFile " + authorized.Name(), "PermitRootLogin yes", "StrictModes no", "UsePAM no",
		"PasswordAuthentication no", "KbdInteractiveAuthentication no", "MaxStartups 200", "LogLevel ERROR",
	}
	conf := write(t, filepath.Join(dir, "sshd_config"), strings.Join(append(extra, lines...), "\n")+"\n")
	d.start(t, conf)
	return d
}

func (d *sshd) start(t testing.TB, conf string) {
	t.Helper()
	d.log = &bytes.Buffer{}
	d.cmd = exec.Command("/usr/sbin/sshd", "-D", "-e", "-f", conf)
	d.cmd.Stderr = d.log
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.stop)
	for range 100 {
		c, err := net.Dial("tcp", d.addr)
		if err == nil {
			_ = c.Close()
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	d.stop()
	t.Fatalf("sshd does not listen: %s", d.log)
}

func (d *sshd) stop() {
	if d.cmd.ProcessState == nil {
		_ = d.cmd.Process.Kill()
		_ = d.cmd.Wait()
	}
}

// lab is one site with one real sshd, as node "n".
func lab(t testing.TB, change ...func(*Options)) *Pool {
	t.Helper()
	s := newSite(t)
	d := startSSHD(t, s)
	s.node("n", d.addr, d.key.signer.PublicKey())
	return s.pool(change...)
}

func budget(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func sh(name, script string) runners.Probe {
	return runners.Probe{Name: name, Argv: []string{"sh", "-c", script}}
}

func run(t testing.TB, p *Pool, probes ...runners.Probe) []runners.Result {
	t.Helper()
	results, err := p.Run(budget(t), "n", probes)
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != len(probes) {
		t.Fatalf("%d results of %d probes", len(results), len(probes))
	}
	return results
}

func wantKind(t testing.TB, err error, kind runners.Kind, hints ...string) {
	t.Helper()
	if err == nil || runners.KindOf(err) != kind {
		t.Fatalf("error %v, want kind %v", err, kind)
	}
	for _, h := range hints {
		if !strings.Contains(err.Error(), h) {
			t.Errorf("error %q does not say %q", err, h)
		}
	}
}
