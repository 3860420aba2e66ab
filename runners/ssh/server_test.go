package ssh

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/ssh"
)

// A badServer is an SSH server in this process that misbehaves on request.
type badServer struct {
	addr     string
	key      keypair
	sessions atomic.Int64
	execs    atomic.Int64
	logins   atomic.Int64

	mu      sync.Mutex
	conns   []net.Conn
	hostKey ssh.Signer

	accept  func(net.Conn) bool // false: the connection is not served
	deny    bool                // every user key is refused
	silent  bool                // global and channel requests are not answered
	respond func(command string, ch ssh.Channel, conn net.Conn)

	stop chan struct{}
	work sync.WaitGroup
}

func newBadServer(t testing.TB, s *badServer) *badServer {
	t.Helper()
	s.key = newKey(t)
	s.hostKey = s.key.signer
	s.stop = make(chan struct{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	s.work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, c)
			s.mu.Unlock()
			s.work.Go(func() { s.serve(c) })
		}
	})
	t.Cleanup(func() {
		close(s.stop)
		_ = l.Close()
		s.mu.Lock()
		for _, c := range s.conns {
			_ = c.Close()
		}
		s.mu.Unlock()
		s.work.Wait()
	})
	return s
}

func (s *badServer) swapKey(k keypair) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hostKey = k.signer
}

func (s *badServer) serve(c net.Conn) {
	defer c.Close()
	if s.accept != nil && !s.accept(c) {
		return
	}
	config := &ssh.ServerConfig{PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) {
		if s.deny {
			return nil, net.ErrClosed
		}
		return nil, nil
	}}
	s.mu.Lock()
	config.AddHostKey(s.hostKey)
	s.mu.Unlock()
	conn, chans, reqs, err := ssh.NewServerConn(c, config)
	if err != nil {
		return
	}
	s.logins.Add(1)
	s.work.Go(func() {
		for r := range reqs {
			if !s.silent {
				_ = r.Reply(false, nil)
			}
		}
	})
	for n := range chans {
		s.sessions.Add(1)
		if s.silent {
			continue
		}
		ch, in, err := n.Accept()
		if err != nil {
			continue
		}
		s.work.Go(func() { s.session(ch, in, c) })
	}
	_ = conn.Close()
}

func (s *badServer) session(ch ssh.Channel, in <-chan *ssh.Request, c net.Conn) {
	for r := range in {
		if r.Type != "exec" {
			_ = r.Reply(false, nil)
			continue
		}
		s.execs.Add(1)
		_ = r.Reply(true, nil)
		if s.respond == nil {
			continue // counted, and that is all
		}
		command := string(r.Payload[4:])
		s.work.Go(func() { s.respond(command, ch, c) })
	}
}
