package ssh

import (
	"context"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/crypto/ssh/knownhosts"

	"whybot/runners"
)

func parse(t testing.TB, text string) *clientConfig {
	t.Helper()
	c, err := readConfig(write(t, filepath.Join(t.TempDir(), "config"), text), "/home/op")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// routes is a config with every keyword that decides how a node is reached.
const routes = `
User everyone
Host compute*
  HostName %h.example.net
  Port 2222
  User probe
  IdentityFile keys/a_%r
  IdentityFile ~/b
  IdentityFile %d/c
  IdentityFile "/with blank/%n"
  IdentitiesOnly yes
  UserKnownHostsFile kh1 "k h2"
  GlobalKnownHostsFile none
Host compute02
  HostName ignored
  ProxyJump bastion
Host *.deep
  ProxyJump first,op@second:2200
Host bastion
  HostName 192.0.2.1
Host second
  ProxyJump bastion
Host alias
  HostKeyAlias real
Host six
  HostName 2001:db8::1
Host nojump
  ProxyJump none
`

func resolved(t testing.TB, c *clientConfig, node string) *target {
	t.Helper()
	got, err := c.resolve(node)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestResolve(t *testing.T) {
	c := parse(t, routes)
	one := resolved(t, c, "compute01")
	if one.addr != "compute01.example.net:2222" || one.user != "everyone" || !one.only || one.via != nil {
		t.Errorf("%+v", one)
	}
	if want := []string{filepath.Join(c.dir, "keys/a_everyone"), "/home/op/b", "/home/op/c", "/with blank/compute01"}; !slices.Equal(one.identities, want) {
		t.Errorf("identities %q, want %q", one.identities, want)
	}
	if want := []string{filepath.Join(c.dir, "kh1"), filepath.Join(c.dir, "k h2")}; !slices.Equal(one.knownHosts, want) {
		t.Errorf("known hosts %q, want %q", one.knownHosts, want)
	}
	if alias := resolved(t, c, "alias"); alias.hostKeyAs != "real:22" {
		t.Errorf("HostKeyAlias: %s", alias.hostKeyAs)
	}
	if six := resolved(t, c, "six"); six.addr != "[2001:db8::1]:22" {
		t.Errorf("IPv6: %s", six.addr)
	}
}

func TestResolveDefaults(t *testing.T) {
	plain := resolved(t, parse(t, routes), "plain")
	if plain.explicit || len(plain.identities) != 3 || plain.addr != "plain:22" {
		t.Errorf("%+v", plain)
	}
	if plain.knownHosts[0] != "/home/op/.ssh/known_hosts" || !slices.Contains(plain.knownHosts, "/etc/ssh/ssh_known_hosts") {
		t.Errorf("known hosts %q", plain.knownHosts)
	}
}

func TestResolveJumps(t *testing.T) {
	c := parse(t, routes)
	for node, route := range map[string]string{
		"compute02": "compute02 bastion", "x.deep": "x.deep second first", "second": "second bastion", "nojump": "nojump", "bastion": "bastion",
	} {
		var got []string
		for h := resolved(t, c, node); h != nil; h = h.via {
			got = append(got, h.node)
		}
		if strings.Join(got, " ") != route {
			t.Errorf("%s goes %q, want %q", node, got, route)
		}
	}
	deep := resolved(t, c, "x.deep")
	if deep.via.user != "op" || deep.via.port != "2200" || deep.via.key == "second" {
		t.Errorf("second hop %+v: its route must not be pooled as its own", deep.via)
	}
}

// TestHomeOfTheUserDatabase is for whybot run without $HOME, as by an init.
func TestHomeOfTheUserDatabase(t *testing.T) {
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	c, err := readConfig(write(t, filepath.Join(t.TempDir(), "config"), "IdentityFile ~/key\n"), "")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := resolved(t, c, "n").identities, []string{filepath.Join(me.HomeDir, "key")}; !slices.Equal(got, want) {
		t.Errorf("identities %q, want %q", got, want)
	}
}

func TestConfigErrorsNameThePlace(t *testing.T) {
	for name, tc := range map[string]struct{ text, says string }{
		"port":         {"Port 99999", "99999"},
		"loop":         {"ProxyJump n", "loop"},
		"longer loop":  {"Host n\nProxyJump m\nHost m\nProxyJump n", "loop"},
		"proxycommand": {"ProxyCommand nc %h %p", "use ProxyJump"},
		"token":        {"IdentityFile %C", "%C"},
		"lone percent": {"HostName x%", "lone %"},
		"empty hop":    {"ProxyJump a,,b", "[user@]host[:port]"},
		"bad host":     {"HostName -oX", "not a host name"},
	} {
		_, err := parse(t, tc.text).resolve("n")
		if runners.KindOf(err) != runners.Invalid || !strings.Contains(err.Error(), tc.says) || !strings.Contains(err.Error(), "config") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, tc := range map[string]struct{ file, says string }{
		"none":      {"", "ssh.config_file"},
		"missing":   {filepath.Join(t.TempDir(), "gone"), "does not exist"},
		"directory": {t.TempDir(), "cannot be read"},
		"match":     {write(t, filepath.Join(t.TempDir(), "c"), "Match exec true\n"), "Match"},
	} {
		if _, err := New(Options{ConfigFile: tc.file}); err == nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := New(Options{ConfigFile: "x", Dial: -1}); err == nil || !strings.Contains(err.Error(), "Dial") {
		t.Errorf("negative duration: %v", err)
	}
}

func FuzzResolve(f *testing.F) {
	f.Add("Host *\nProxyJump a,b\nHostName %h.x\n", "n")
	f.Add("Host n\n  UserKnownHostsFile \"a b\" c\nInclude /nowhere\n", "n")
	f.Add("IdentityFile ~\nPort 0\n", "-n")
	f.Fuzz(func(t *testing.T, text, node string) {
		if strings.Contains(strings.ToLower(text), "include") {
			return // reads other files
		}
		c, err := readConfig(write(t, filepath.Join(t.TempDir(), "config"), text), "/home/op")
		if err != nil {
			return
		}
		target, err := c.resolve(node)
		if err == nil && (target.host == "" || target.host[0] == '-') {
			t.Errorf("%q leads to %q", node, target.host)
		}
	})
}

func TestKeyProblemsAreExplained(t *testing.T) {
	b := newBadServer(t, &badServer{})
	encrypted := func(s *site) {
		_, private, _ := newRawKey(t)
		block, err := ssh.MarshalPrivateKeyWithPassphrase(private, "x", []byte("secret"))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(s.dir, "id"), string(pem.EncodeToMemory(block)))
	}
	for name, tc := range map[string]struct {
		spoil func(*site)
		says  []string
	}{
		"missing":   {func(s *site) { _ = os.Remove(filepath.Join(s.dir, "id")) }, []string{"cannot be read", "no such file"}},
		"encrypted": {encrypted, []string{"encrypted", "ssh-add"}},
		"garbage":   {func(s *site) { write(t, filepath.Join(s.dir, "id"), "hello") }, []string{"not a private key"}},
		"public": {func(s *site) {
			write(t, filepath.Join(s.dir, "id"), string(ssh.MarshalAuthorizedKey(s.key.signer.PublicKey())))
		}, []string{"public key", "ssh-agent"}},
		"bad certificate": {func(s *site) { write(t, filepath.Join(s.dir, "id-cert.pub"), "hello") }, []string{"certificate"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.node("n", b.addr, b.key.signer.PublicKey())
			tc.spoil(s)
			_, err := s.pool().Run(budget(t), "n", []runners.Probe{sh("", "x")})
			wantKind(t, err, runners.Authentication, append(tc.says, "id")...)
		})
	}
	if b.logins.Load() != 0 {
		t.Errorf("%d logins without a key", b.logins.Load())
	}
}

func newRawKey(t testing.TB) (ssh.PublicKey, any, ssh.Signer) {
	t.Helper()
	k := newKey(t)
	raw, err := ssh.ParseRawPrivateKey(k.pem)
	if err != nil {
		t.Fatal(err)
	}
	return k.signer.PublicKey(), raw, k.signer
}

// startAgent serves a keyring on a socket.
func startAgent(t testing.TB, ring agent.Agent) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "agent")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = agent.ServeAgent(ring, c)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return path
}

func TestAgentServesKeys(t *testing.T) {
	s := newSite(t)
	d := startSSHD(t, s)
	raw, err := ssh.ParseRawPrivateKey(s.key.pem)
	if err != nil {
		t.Fatal(err)
	}
	ring := agent.NewKeyring()
	_, other, _ := newRawKey(t)
	for _, k := range []any{other, raw} {
		if err := ring.Add(agent.AddedKey{PrivateKey: k}); err != nil {
			t.Fatal(err)
		}
	}
	s.node("n", d.addr, d.key.signer.PublicKey())
	// The key's file holds the public half only, or is encrypted, and
	// IdentitiesOnly keeps the agent's other key out.
	block, err := ssh.MarshalPrivateKeyWithPassphrase(raw, "x", []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"public": string(ssh.MarshalAuthorizedKey(s.key.signer.PublicKey())), "encrypted": string(pem.EncodeToMemory(block)),
	} {
		write(t, filepath.Join(s.dir, "id"), text)
		p := s.pool(func(o *Options) { o.AgentSocket = startAgent(t, ring) })
		target, err := p.config.resolve("n")
		if err != nil {
			t.Fatal(err)
		}
		id, err := p.identify(budget(t), target)
		if err != nil || len(id.signers) != 1 {
			t.Fatalf("%s: %v %v", name, id, err)
		}
		_ = id.Close()
		if r := run(t, p, sh("", "echo in")); r[0].Output.Stdout != "in\n" {
			t.Errorf("%s: %+v", name, r)
		}
	}
	_ = os.Remove(filepath.Join(s.dir, "id"))
	p := s.pool(func(o *Options) { o.AgentSocket = filepath.Join(s.dir, "no-agent") })
	_, err = p.Run(budget(t), "n", []runners.Probe{sh("", "x")})
	wantKind(t, err, runners.Authentication)
}

func TestAgentThatNeverAnswersIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agent")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	b := newBadServer(t, &badServer{})
	s := newSite(t)
	s.node("n", b.addr, b.key.signer.PublicKey())
	_ = os.Remove(filepath.Join(s.write(), "..", "id"))
	p := s.pool(quick, func(o *Options) { o.AgentSocket = path })
	_, err = p.Run(budget(t), "n", []runners.Probe{sh("", "x")})
	wantKind(t, err, runners.Authentication)
}

func TestHostKeyForms(t *testing.T) {
	s := newSite(t)
	d := startSSHD(t, s)
	public := d.key.signer.PublicKey()
	key := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(public)))
	name := knownhosts.Normalize(d.addr)
	stranger := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(newKey(t).signer.PublicKey())))
	for form, tc := range map[string]struct {
		lines string
		ok    bool
	}{
		"plain":           {name + " " + key, true},
		"hashed":          {knownhosts.HashHostname(name) + " " + key, true},
		"wildcard":        {"[127.0.0.*]:" + strings.Split(d.addr, ":")[1] + " " + key, true},
		"two keys":        {name + " " + stranger + "\n" + name + " " + key, true},
		"other port":      {"127.0.0.1 " + key, false},
		"hashed stranger": {knownhosts.HashHostname(name) + " " + stranger, false},
		"revoked":         {name + " " + key + "\n@revoked * " + key, false},
		"garbage":         {"garbage", false},
		"empty":           {"", false},
	} {
		t.Run(form, func(t *testing.T) {
			s := &site{t: t, dir: s.dir, key: s.key}
			s.node("n", d.addr, nil)
			s.known.WriteString(tc.lines + "\n")
			r, err := s.pool().Run(budget(t), "n", []runners.Probe{sh("", "echo in")})
			if !tc.ok {
				wantKind(t, err, runners.HostKey, "known_hosts")
				return
			}
			if err != nil || r[0].Output.Stdout != "in\n" {
				t.Errorf("%+v %v", r, err)
			}
		})
	}
}

func TestHostKeyOfTheKnownTypeIsAskedFor(t *testing.T) {
	needs(t, "ssh-keygen")
	s := newSite(t)
	dir := t.TempDir()
	ecdsa := filepath.Join(dir, "ecdsa")
	genKey(t, "-t", "ecdsa", "-f", ecdsa)
	rsa := filepath.Join(dir, "rsa")
	genKey(t, "-t", "rsa", "-b", "2048", "-f", rsa)
	d := startSSHD(t, s, "HostKey "+ecdsa, "HostKey "+rsa)
	for _, known := range []string{ecdsa, rsa} {
		s := &site{t: t, dir: s.dir, key: s.key}
		s.node("n", d.addr, publicOf(t, known))
		if r := run(t, s.pool(), sh("", "echo in")); r[0].Output.Stdout != "in\n" {
			t.Errorf("known by %s only: %+v", known, r)
		}
	}
	// A server that has no key of the known type.
	s2 := newSite(t)
	d2 := startSSHD(t, s2)
	s2.node("n", d2.addr, publicOf(t, ecdsa))
	_, err := s2.pool().Run(budget(t), "n", []runners.Probe{sh("", "x")})
	wantKind(t, err, runners.HostKey, "nothing was sent")
}

func TestCertificatesOfHostAndUser(t *testing.T) {
	s := newSite(t)
	ca, _, caSigner := newRawKey(t)
	host := newKey(t)
	hostCert := &ssh.Certificate{
		Key: host.signer.PublicKey(), CertType: ssh.HostCert, ValidPrincipals: []string{"127.0.0.1"},
		ValidBefore: uint64(time.Now().Add(time.Hour).Unix()),
	}
	if err := hostCert.SignCert(rand.Reader, caSigner); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	hostFile := write(t, filepath.Join(dir, "host"), string(host.pem))
	certFile := write(t, filepath.Join(dir, "host-cert.pub"), string(ssh.MarshalAuthorizedKey(hostCert)))
	caFile := write(t, filepath.Join(dir, "ca.pub"), string(ssh.MarshalAuthorizedKey(ca)))
	d := startSSHD(t, s, "HostKey "+hostFile, "HostCertificate "+certFile, "TrustedUserCAKeys "+caFile, "AuthorizedKeysFile none")

	userCert := &ssh.Certificate{
		Key: s.key.signer.PublicKey(), CertType: ssh.UserCert, ValidPrincipals: []string{"root"},
		ValidBefore: uint64(time.Now().Add(time.Hour).Unix()), Permissions: ssh.Permissions{},
	}
	if err := userCert.SignCert(rand.Reader, caSigner); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(s.dir, "id-cert.pub"), string(ssh.MarshalAuthorizedKey(userCert)))
	s.node("n", d.addr, nil)
	s.known.WriteString("@cert-authority " + knownhosts.Normalize(d.addr) + " " + string(ssh.MarshalAuthorizedKey(ca)))
	if r := run(t, s.pool(), sh("", "echo in")); r[0].Output.Stdout != "in\n" {
		t.Errorf("%+v", r)
	}
	other, _, _ := newRawKey(t)
	s.known.Reset()
	s.known.WriteString("@cert-authority " + knownhosts.Normalize(d.addr) + " " + string(ssh.MarshalAuthorizedKey(other)))
	_, err := s.pool().Run(budget(t), "n", []runners.Probe{sh("", "x")})
	wantKind(t, err, runners.HostKey, "nothing was sent")
}

func TestKnownHostsAreReadAnew(t *testing.T) {
	s := newSite(t)
	d := startSSHD(t, s)
	s.node("n", d.addr, nil)
	s.known.WriteString("# nobody yet\n")
	p := s.pool()
	_, err := p.Run(budget(t), "n", []runners.Probe{sh("", "x")})
	wantKind(t, err, runners.HostKey)
	write(t, filepath.Join(s.dir, "known_hosts"), knownhosts.Line([]string{d.addr}, d.key.signer.PublicKey())+"\n")
	if r := run(t, p, sh("", "echo in")); r[0].Output.Stdout != "in\n" {
		t.Errorf("%+v", r)
	}
}

func TestProxyJump(t *testing.T) {
	s := newSite(t)
	outer, middle, inner := startSSHD(t, s), startSSHD(t, s), startSSHD(t, s)
	x := newProxy(t, outer.addr)
	s.node("outer", x.addr, outer.key.signer.PublicKey())
	s.node("middle", middle.addr, middle.key.signer.PublicKey(), "ProxyJump outer")
	s.node("n", inner.addr, inner.key.signer.PublicKey(), "ProxyJump outer,middle")
	s.node("nested", inner.addr, nil, "ProxyJump middle")
	s.node("stranger", inner.addr, nil, "ProxyJump outer", "UserKnownHostsFile nobody", "HostKeyAlias stranger")
	s.node("gone", "127.0.0.1:1", newKey(t).signer.PublicKey(), "ProxyJump outer")
	write(t, filepath.Join(s.dir, "nobody"), "# nobody\n")
	p := s.pool()
	for _, node := range []string{"n", "nested", "middle"} {
		r, err := p.Run(budget(t), node, []runners.Probe{sh("", "echo $SSH_CONNECTION")})
		want := map[string]string{"n": inner.addr, "nested": inner.addr, "middle": middle.addr}[node]
		_, port, _ := net.SplitHostPort(want)
		if err != nil || !strings.HasSuffix(r[0].Output.Stdout, " "+port+"\n") {
			t.Errorf("%s: %+v %v", node, r, err)
		}
	}
	if x.count() != 1 {
		t.Errorf("the jump host was connected to %d times", x.count())
	}
	_, err := p.Run(budget(t), "stranger", []runners.Probe{sh("", "x")})
	wantKind(t, err, runners.HostKey)
	_, err = p.Run(budget(t), "gone", []runners.Probe{sh("", "x")})
	wantKind(t, err, runners.Refused, "outer")
	x.cut() // all of them died with their jump host; each is made anew
	if r := run(t, p, sh("", "echo again")); r[0].Output.Stdout != "again\n" {
		t.Errorf("%+v", r)
	}
}

func TestJumpHostsFailureIsTheNodes(t *testing.T) {
	b := newBadServer(t, &badServer{deny: true})
	s := newSite(t)
	s.node("outer", b.addr, b.key.signer.PublicKey())
	s.node("n", "127.0.0.1:2", newKey(t).signer.PublicKey(), "ProxyJump outer")
	_, err := s.pool().Run(budget(t), "n", []runners.Probe{sh("", "x")})
	wantKind(t, err, runners.Authentication, "n: ", "jump host", "outer")
}

func TestFailureNamesTheLimit(t *testing.T) {
	ctx, cancel := within(context.Background(), "dial", time.Nanosecond)
	defer cancel()
	<-ctx.Done()
	e := stopped(ctx, "n", "connect")
	wantKind(t, e, runners.Unreachable, "dial deadline of 1ns")
	if !errors.Is(e, context.DeadlineExceeded) {
		t.Error("a passed limit is no DeadlineExceeded")
	}
}
