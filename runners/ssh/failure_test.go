package ssh

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"whybot/runners"
)

var nonceIn = regexp.MustCompile(`n=([0-9a-f]{32});`)

// marker returns a function that prints marks of the exec's nonce.
func marker(command string, ch ssh.Channel) func(string) {
	m := nonceIn.FindStringSubmatch(command)
	return func(fields string) {
		text := "\x1e" + m[1] + " " + fields + "\n"
		_, _ = ch.Write([]byte(text))
		_, _ = ch.Stderr().Write([]byte(text))
	}
}

func badLab(t testing.TB, b *badServer, change ...func(*Options)) (*Pool, *badServer) {
	t.Helper()
	newBadServer(t, b)
	s := newSite(t)
	s.node("n", b.addr, b.key.signer.PublicKey())
	return s.pool(change...), b
}

func quick(o *Options) {
	o.Dial, o.Handshake, o.Exec = 500*time.Millisecond, 500*time.Millisecond, time.Second
}

func TestFloodIsBoundedInMemory(t *testing.T) {
	chunk := make([]byte, 32<<10)
	var wrote atomic.Int64
	p, _ := badLab(t, &badServer{respond: func(command string, ch ssh.Channel, _ net.Conn) {
		marker(command, ch)("S 0 1.0")
		for range (1 << 30) / len(chunk) { // 1 GiB, unless we are stopped
			n, err := ch.Write(chunk)
			wrote.Add(int64(n))
			if err != nil {
				return
			}
		}
	}})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	r := run(t, p, sh("flood", "x"), sh("after", "y"))
	runtime.GC()
	runtime.ReadMemStats(&after)
	if r[0].Err != nil || !r[0].Output.Truncated || len(r[0].Output.Stdout) != 4<<20 {
		t.Errorf("%v, truncated %v, %d bytes", r[0].Err, r[0].Output.Truncated, len(r[0].Output.Stdout))
	}
	wantKind(t, r[1].Err, runners.Unknown, "not run")
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 20<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	if total := after.TotalAlloc - before.TotalAlloc; total > 200<<20 {
		t.Errorf("%d bytes were allocated", total)
	}
	if wrote.Load() > 64<<20 {
		t.Errorf("the server could write %d bytes: it was not stopped", wrote.Load())
	}
}

func TestBannerFloodIsBounded(t *testing.T) {
	p, _ := badLab(t, &badServer{respond: func(_ string, ch ssh.Channel, _ net.Conn) {
		chunk := make([]byte, 32<<10)
		for range 4096 {
			if _, err := ch.Stderr().Write(chunk); err != nil {
				return
			}
		}
	}}, func(o *Options) { o.MaxTotal = 1 << 20 })
	_, err := p.Run(budget(t), "n", []runners.Probe{sh("", "x")})
	wantKind(t, err, runners.Invalid, "limit")
}

func TestBadAnswers(t *testing.T) {
	const done = "E 0 0 1.5 1-1 /bin/x"
	for name, tc := range map[string]struct {
		respond func(mark func(string), ch ssh.Channel, c net.Conn)
		kind    runners.Kind // of the first probe; of Run when whole
		whole   bool
		hint    string
	}{
		"drip": {func(mark func(string), ch ssh.Channel, _ net.Conn) {
			mark("S 0 1.0")
			for range 200 {
				if _, err := ch.Write([]byte("x")); err != nil {
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
		}, runners.TooSlow, false, "exec deadline"},
		"hang":          {func(func(string), ssh.Channel, net.Conn) {}, runners.TooSlow, true, "exec deadline"},
		"reset at once": {func(_ func(string), _ ssh.Channel, c net.Conn) { _ = c.Close() }, runners.Unreachable, true, "lost"},
		"reset mid-output": {func(mark func(string), ch ssh.Channel, c net.Conn) {
			mark("S 0 1.0")
			_, _ = ch.Write([]byte("half"))
			_ = c.Close()
		}, runners.Unreachable, false, "lost"},
		"wrong index": {func(mark func(string), _ ssh.Channel, _ net.Conn) { mark("S 7 1.0") }, runners.Invalid, true, "framed"},
		"end first":   {func(mark func(string), _ ssh.Channel, _ net.Conn) { mark(done) }, runners.Invalid, true, "framed"},
		"done early":  {func(mark func(string), _ ssh.Channel, _ net.Conn) { mark("S 0 1"); mark("Z") }, runners.Invalid, false, "framed"},
		"started twice": {
			func(mark func(string), _ ssh.Channel, _ net.Conn) { mark("S 0 1"); mark(done); mark("S 0 1") },
			runners.Unknown, false, "",
		},
		"endless mark": {func(mark func(string), ch ssh.Channel, _ net.Conn) {
			mark("S 0 1.0 " + strings.Repeat("x", 2*maxMark))
		}, runners.Invalid, true, "framed"},
		"nologin": {func(_ func(string), ch ssh.Channel, _ net.Conn) {
			_, _ = ch.Write([]byte("This account is \x1b[31mnot available.\n"))
			_, _ = ch.SendRequest("exit-status", false, []byte{0, 0, 0, 1})
			_ = ch.Close()
		}, runners.Invalid, true, `This account is \x1b[31mnot available.`},
	} {
		t.Run(name, func(t *testing.T) {
			p, _ := badLab(t, &badServer{respond: func(command string, ch ssh.Channel, c net.Conn) {
				tc.respond(marker(command, ch), ch, c)
			}}, quick)
			r, err := p.Run(budget(t), "n", []runners.Probe{sh("one", "x"), sh("two", "y")})
			if tc.whole {
				if r != nil {
					t.Errorf("results %+v", r)
				}
				wantKind(t, err, tc.kind, tc.hint)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if tc.kind == runners.Unknown { // the first probe had ended well
				if r[0].Err != nil {
					t.Error(r[0].Err)
				}
			} else {
				wantKind(t, r[0].Err, tc.kind, tc.hint)
			}
			if r[1].Err == nil {
				t.Errorf("a probe that never ran has no error: %+v", r[1])
			}
		})
	}
}

func TestChangeIsNeverSentTwice(t *testing.T) {
	for name, respond := range map[string]func(func(string), ssh.Channel, net.Conn){
		"reset at once":   func(_ func(string), _ ssh.Channel, c net.Conn) { _ = c.Close() },
		"reset in middle": func(mark func(string), _ ssh.Channel, c net.Conn) { mark("S 0 1.0"); _ = c.Close() },
		"hang":            func(func(string), ssh.Channel, net.Conn) {},
	} {
		t.Run(name, func(t *testing.T) {
			p, b := badLab(t, &badServer{respond: func(command string, ch ssh.Channel, c net.Conn) {
				respond(marker(command, ch), ch, c)
			}}, quick)
			_, err := p.Change(budget(t), "n", []runners.Probe{sh("one", "x"), sh("two", "y")})
			wantKind(t, err, runners.Unknown, "outcome unknown", "read back")
			if n := b.execs.Load(); n != 1 {
				t.Errorf("the change was sent %d times", n)
			}
		})
	}
}

func TestHostKeyIsCheckedBeforeAnythingIsSent(t *testing.T) {
	p, b := badLab(t, &badServer{})
	b.swapKey(newKey(t))
	_, err := p.Run(budget(t), "n", []runners.Probe{sh("", "x")})
	wantKind(t, err, runners.HostKey, "known_hosts:1", "nothing was sent", "SHA256:")
	_, err = p.Change(budget(t), "n", []runners.Probe{sh("", "x")})
	wantKind(t, err, runners.HostKey)
	if b.sessions.Load() != 0 || b.execs.Load() != 0 || b.logins.Load() != 0 {
		t.Errorf("%d sessions, %d logins reached a server with another key", b.sessions.Load(), b.logins.Load())
	}
}

func TestHostKeySwappedBetweenCalls(t *testing.T) {
	p, b := badLab(t, &badServer{respond: func(command string, ch ssh.Channel, _ net.Conn) {
		mark := marker(command, ch)
		mark("S 0 1.0")
		mark("E 0 0 1.5 1-1 /bin/x")
		mark("Z")
	}})
	if r := run(t, p, sh("", "x")); r[0].Err != nil {
		t.Fatal(r[0].Err)
	}
	b.swapKey(newKey(t))
	p.Forget("n")
	_, err := p.Change(budget(t), "n", []runners.Probe{sh("", "x")})
	wantKind(t, err, runners.HostKey, "nothing was sent")
	if b.execs.Load() != 1 {
		t.Errorf("%d execs", b.execs.Load())
	}
}

func TestUnknownHostIsNotEvenDialled(t *testing.T) {
	var dialled atomic.Int64
	b := newBadServer(t, &badServer{accept: func(net.Conn) bool { dialled.Add(1); return true }})
	s := newSite(t)
	s.node("n", b.addr, nil)
	fmt.Fprintln(&s.known, "# nobody")
	_, err := s.pool().Run(budget(t), "n", []runners.Probe{sh("", "x")})
	_, port, _ := net.SplitHostPort(b.addr)
	wantKind(t, err, runners.HostKey, "ssh-keyscan -p "+port+" 127.0.0.1", "compare", "known_hosts")
	if dialled.Load() != 0 {
		t.Error("an unknown host was dialled")
	}
	if err := os.Remove(filepath.Join(s.dir, "known_hosts")); err != nil {
		t.Fatal(err)
	}
	p, err := New(Options{ConfigFile: filepath.Join(s.dir, "config")})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	_, err = p.Run(budget(t), "n", []runners.Probe{sh("", "x")})
	wantKind(t, err, runners.HostKey, "none of the known_hosts files exists")
}

func TestWhyNoConnection(t *testing.T) {
	hold := func(c net.Conn) bool {
		_, _ = c.Read(make([]byte, 1<<20))
		_, _ = c.Read(make([]byte, 1))
		return false
	}
	for name, tc := range map[string]struct {
		server *badServer
		kind   runners.Kind
		hint   string
	}{
		"hang in handshake": {&badServer{accept: hold}, runners.TooSlow, "handshake deadline"},
		"hang after auth":   {&badServer{silent: true}, runners.TooSlow, "session open deadline"},
		"auth refused":      {&badServer{deny: true}, runners.Authentication, "does not accept user root with key"},
		"closes at once":    {&badServer{accept: func(net.Conn) bool { return false }}, runners.Unreachable, "closed the connection"},
		"speaks another way": {&badServer{accept: func(c net.Conn) bool {
			_, _ = c.Write([]byte(strings.Repeat("HTTP/1.1 400\x00", 3000)))
			hold(c)
			return false
		}}, runners.Invalid, "does not speak SSH"},
	} {
		t.Run(name, func(t *testing.T) {
			p, b := badLab(t, tc.server, quick)
			_, err := p.Run(budget(t), "n", []runners.Probe{sh("", "x")})
			wantKind(t, err, tc.kind, tc.hint)
			if b.execs.Load() != 0 {
				t.Error("a command was sent")
			}
		})
	}
	t.Run("refused", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s := newSite(t)
		s.node("n", l.Addr().String(), newKey(t).signer.PublicKey())
		_ = l.Close()
		_, err = s.pool().Run(budget(t), "n", []runners.Probe{sh("", "x")})
		wantKind(t, err, runners.Refused, l.Addr().String())
	})
}

func TestADeadPooledConnectionIsReplaced(t *testing.T) {
	s := newSite(t)
	d := startSSHD(t, s)
	x := newProxy(t, d.addr)
	s.node("n", x.addr, d.key.signer.PublicKey())
	p := s.pool(func(o *Options) { o.Handshake = time.Second })
	run(t, p, sh("", "true"))
	run(t, p, sh("", "true"))
	if x.count() != 1 {
		t.Fatalf("%d connections for two calls", x.count())
	}
	x.cut()
	if r := run(t, p, sh("", "echo back")); r[0].Output.Stdout != "back\n" {
		t.Errorf("after a cut: %+v", r[0])
	}
	// A link that died without a word: the pooled connection swallows
	// everything, a new one works.
	x.freeze(true)
	thaw := time.AfterFunc(500*time.Millisecond, func() { x.freeze(false) })
	defer thaw.Stop()
	if r := run(t, p, sh("", "echo again")); r[0].Output.Stdout != "again\n" {
		t.Errorf("after a freeze: %+v", r[0])
	}
	if x.count() != 3 {
		t.Errorf("%d connections, want 3", x.count())
	}
}

func TestKeepaliveDropsASilentNode(t *testing.T) {
	b := newBadServer(t, &badServer{silent: true})
	s := newSite(t)
	s.node("n", b.addr, b.key.signer.PublicKey())
	p := s.pool(func(o *Options) { o.Keepalive = 50 * time.Millisecond })
	target, err := p.config.resolve("n")
	if err != nil {
		t.Fatal(err)
	}
	c, _, err := p.connection(budget(t), target)
	if err != nil {
		t.Fatal(err)
	}
	defer c.release()
	// In use, so it is not idleness that ends it.
	eventuallyPooled(t, p, 0)
}

func TestIdleConnectionsEndAndUsedOnesDoNot(t *testing.T) {
	p := lab(t, func(o *Options) { o.Idle = 300 * time.Millisecond; o.Keepalive = 50 * time.Millisecond })
	r := run(t, p, sh("longer than idle", "sleep 1; echo done"))
	if r[0].Err != nil || r[0].Output.Stdout != "done\n" {
		t.Errorf("%+v", r[0])
	}
	eventuallyPooled(t, p, 0)
}

func eventuallyPooled(t testing.TB, p *Pool, want int) {
	t.Helper()
	n := -1
	for range 100 {
		p.mu.Lock()
		n = len(p.entries)
		p.mu.Unlock()
		if n == want {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("%d connections, want %d", n, want)
}

func TestAClosedPoolRefuses(t *testing.T) {
	p := lab(t)
	run(t, p, sh("", "true"))
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := p.Run(budget(t), "n", []runners.Probe{sh("", "true")})
	wantKind(t, err, runners.Unknown, "closed")
	if err := p.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
}

func TestCloseEndsWhatRuns(t *testing.T) {
	p := lab(t)
	run(t, p, sh("", "true"))
	done := make(chan error, 1)
	go func() {
		r, err := p.Run(budget(t), "n", []runners.Probe{sh("", "sleep 4")})
		if err == nil {
			err = r[0].Err
		}
		done <- err
	}()
	time.Sleep(200 * time.Millisecond)
	_ = p.Close()
	if err := <-done; err == nil {
		t.Error("a probe of a closed pool has no error")
	}
}
