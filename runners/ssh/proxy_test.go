package ssh

import (
	"io"
	"net"
	"sync"
	"testing"
)

// A proxy carries TCP to a server and can be cut or frozen.
type proxy struct {
	addr   string
	mu     sync.Mutex
	conns  []net.Conn
	frozen bool
	dials  int
	work   sync.WaitGroup
}

func newProxy(t testing.TB, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{addr: l.Addr().String()}
	p.work.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				_ = in.Close()
				continue
			}
			p.mu.Lock()
			p.dials++
			p.conns = append(p.conns, in, out)
			p.mu.Unlock()
			p.work.Go(func() { p.copy(out, in) })
			p.work.Go(func() { p.copy(in, out) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); p.cut(); p.work.Wait() })
	return p
}

func (p *proxy) copy(to, from net.Conn) {
	defer to.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		frozen := p.frozen
		p.mu.Unlock()
		if frozen {
			_, _ = io.Copy(io.Discard, from) // swallowed, as by a dead link
			return
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// cut closes what is open now.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}

// freeze makes the open connections swallow everything; new ones work again
// after thaw.
func (p *proxy) freeze(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = on
}

func (p *proxy) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dials
}
