package ssh

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"whybot/runners"
)

// MaxCapture is the most that is read of one capture, in bytes.
const MaxCapture = 4 << 20

// maxSaid bounds what is kept of tcpdump's messages.
const maxSaid = 16 << 10

func validate(c runners.CaptureSpec) error {
	switch {
	case c.Device == "":
		return errors.New("a capture needs a device")
	case strings.HasPrefix(c.Namespace, "-"):
		return fmt.Errorf("%q is not a network namespace", c.Namespace)
	case c.MaxSeconds <= 0 || c.MaxSeconds > 3600:
		return fmt.Errorf("a capture of %d s: it must be between 1 and 3600", c.MaxSeconds)
	}
	return nil
}

// CaptureCommands are the commands that capture.sh runs as root where user logs
// in: that of a tcpdump which knows --immediate-mode, and that of an older one.
func CaptureCommands(user string, c runners.CaptureSpec) [][]string {
	var all [][]string
	for _, mode := range [][]string{{"--immediate-mode"}, nil} {
		argv := slices.Concat([]string{"tcpdump", "-U", "-nn", "-s", "0", "-w", "-", "-i", c.Device}, mode, []string{"-Z", user})
		if c.Filter != "" {
			argv = append(argv, "--", c.Filter)
		}
		if c.Namespace != "" {
			argv = append([]string{"ip", "netns", "exec", c.Namespace}, argv...)
		}
		all = append(all, argv)
	}
	return all
}

// captureCommand returns the exec string.
func captureCommand(c runners.CaptureSpec, nonce string) (string, error) {
	var b strings.Builder
	b.WriteString("n=" + nonce + "; " + captureScript + " whybot_capture")
	for _, w := range []string{strconv.Itoa(c.MaxSeconds), c.Namespace, c.Device, c.Filter} {
		q, err := quote(w)
		if err != nil {
			return "", err
		}
		b.WriteString(" " + q)
	}
	return shell(b.String())
}

// A Capture is the pcap stream of one running tcpdump. Read and Close may be
// called from different goroutines.
type Capture struct {
	node    string
	session *session
	stdin   io.Closer
	stdout  io.Reader
	said    *messages
	stop    func() bool // of the context's hold on the capture
	pool    *Pool

	mu        sync.Mutex
	read      int
	truncated bool
	closed    bool
	closeOnce sync.Once
	over      chan struct{} // closed when the session is
}

// Capture starts tcpdump on node and returns when it listens. The capture ends
// when ctx does, at the latest.
//
// It cannot outlive whybot: the script on the node stops tcpdump when the
// connection goes, and timeout(1) does after c.MaxSeconds.
func (p *Pool) Capture(ctx context.Context, node string, c runners.CaptureSpec) (*Capture, error) {
	op := "tcpdump -i " + runners.DisplayQuote(c.Device)
	nonce := newNonce()
	command, err := captureCommand(c, nonce)
	if err = errors.Join(validate(c), err); err != nil {
		return nil, failure(runners.Invalid, node, op, err.Error(), err)
	}
	actx, cancel := within(ctx, "capture start", p.opts.Exec)
	defer cancel()
	s, err := p.session(actx, node)
	if err != nil {
		return nil, err
	}
	cp, err := p.begin(actx, s, node, command, nonce)
	if err != nil {
		return nil, err
	}
	if err := cp.armed(actx, op, p.userOn(node)); err != nil {
		_ = cp.Close() // the reason it did not start is what counts
		return nil, err
	}
	cp.mu.Lock()
	cp.stop = context.AfterFunc(ctx, cp.shut)
	cp.mu.Unlock()
	return cp, nil
}

// begin starts the script and the goroutines that serve the capture.
func (p *Pool) begin(ctx context.Context, s *session, node, command, nonce string) (*Capture, error) {
	stdin, err1 := s.StdinPipe()
	stdout, err2 := s.StdoutPipe()
	stderr, err3 := s.StderrPipe()
	err := errors.Join(err1, err2, err3)
	if err == nil {
		hang := context.AfterFunc(ctx, s.conn.drop) // a node that does not even start it hangs
		err = s.Start(command)
		hang()
	}
	if err != nil {
		_ = s.Close()
		<-s.conn.slots
		s.conn.release()
		return nil, startFailure(ctx, node, err)
	}
	cp := &Capture{
		node: node, session: s, stdin: stdin, stdout: stdout, pool: p,
		said: newMessages(nonce), over: make(chan struct{}),
	}
	serve := func() {
		defer close(cp.over)
		cp.said.collect(stderr)
		cp.said.exit = s.Wait()
		close(cp.said.ended)
		<-s.conn.slots
		s.conn.release()
	}
	if !p.spawn(serve) {
		s.conn.drop()
		return nil, closedFailure(node, "tcpdump")
	}
	return cp, nil
}

// armed waits until tcpdump listens.
func (c *Capture) armed(ctx context.Context, op, user string) error {
	select {
	case <-c.said.listening:
		return nil
	case <-c.said.ended:
		return c.said.why(c.node, op, user)
	case <-ctx.Done():
		return stopped(ctx, c.node, op)
	}
}

// Read reads the pcap stream. It ends with io.EOF when tcpdump was ended by
// its time limit, by Close, or by the size limit; a capture that ended for any
// other reason, so that packets may be missing, ends with an *runners.Error.
func (c *Capture) Read(b []byte) (int, error) {
	c.mu.Lock()
	room := MaxCapture - c.read
	c.mu.Unlock()
	if room <= 0 {
		return c.full()
	}
	n, err := c.stdout.Read(b[:min(len(b), room)])
	c.mu.Lock()
	c.read += n
	closed := c.closed
	c.mu.Unlock()
	switch {
	case err == nil:
		return n, nil
	case closed:
		return n, io.EOF
	case err != io.EOF:
		return n, failure(lostKind, c.node, "tcpdump", "the connection was lost", err)
	}
	<-c.said.ended
	if why := c.said.unclean(c.node); why != nil {
		return n, why
	}
	return n, io.EOF
}

// full ends a capture that has reached its size limit; a stream of exactly
// that size is not truncated.
func (c *Capture) full() (int, error) {
	var one [1]byte
	if n, _ := c.stdout.Read(one[:]); n == 0 {
		return 0, io.EOF
	}
	c.mu.Lock()
	c.truncated = true
	c.mu.Unlock()
	c.shut()
	return 0, io.EOF
}

// Truncated says whether the capture was cut at its size limit.
func (c *Capture) Truncated() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.truncated
}

// Close stops tcpdump at once and returns when the node has confirmed it, or
// when the connection was closed because it did not.
func (c *Capture) Close() error {
	c.shut()
	<-c.over
	return nil
}

// shut tells the node to stop; what has not been read is thrown away.
func (c *Capture) shut() {
	c.closeOnce.Do(func() {
		c.mu.Lock()
		c.closed = true
		stop := c.stop
		c.mu.Unlock()
		if stop != nil {
			stop()
		}
		_ = c.stdin.Close() // the script's watcher sees it; a dead connection is seen too
		if !c.pool.spawn(c.finish) {
			c.session.conn.drop()
		}
	})
}

// finish waits for tcpdump's end, draining the stream so that the end can
// come, and falls back on closing the connection.
func (c *Capture) finish() {
	patience := time.AfterFunc(2*grace, func() { _ = c.session.Close() })
	last := time.AfterFunc(3*grace, c.session.conn.drop)
	defer patience.Stop()
	defer last.Stop()
	_, _ = io.Copy(io.Discard, c.stdout)
	<-c.over
}

// messages is what tcpdump and the script said on stderr.
type messages struct {
	token     string
	listening chan struct{}
	ended     chan struct{} // closed when text, code and exit are final
	text      bytes.Buffer
	code      string // the script's last word; empty: it did not come
	exit      error
}

func newMessages(nonce string) *messages {
	return &messages{token: string(rs) + nonce + " E ", listening: make(chan struct{}), ended: make(chan struct{})}
}

// collect reads r to its end; memory is bounded by maxSaid and one line.
func (m *messages) collect(r io.Reader) {
	lines := bufio.NewReaderSize(r, maxSaid)
	heard := false
	for {
		line, err := lines.ReadSlice('\n')
		text := string(line)
		if i := strings.Index(text, m.token); i >= 0 {
			m.code = strings.TrimSpace(text[i+len(m.token):])
			text = text[:i]
		}
		if room := maxSaid - m.text.Len(); room > 0 {
			m.text.WriteString(text[:min(room, len(text))])
		}
		if !heard && strings.Contains(text, "listening on ") {
			heard = true
			close(m.listening)
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

// Words that say why tcpdump did not start.
var startWords = []struct {
	words string
	kind  runners.Kind
	hint  string
}{
	{"No such device", runners.NotFound, "there is no such interface"},
	{"SIOCGIFHWADDR: No such device", runners.NotFound, "there is no such interface"},
	{"Cannot open network namespace", runners.NotFound, "there is no such network namespace"},
	{"syntax error", runners.Invalid, "tcpdump does not understand the filter"},
	{"can't parse filter", runners.Invalid, "tcpdump does not understand the filter"},
	{"That device is not up", runners.NotFound, "the interface is down"},
	{"tcpdump: command not found", runners.MissingProgram, "install tcpdump there"},
	{"You don't have permission", runners.Sudo, "the login may not capture"},
}

// why explains a capture that ended before it listened.
func (m *messages) why(node, op, user string) *runners.Error {
	text := strings.ToValidUTF8(m.text.String(), "\uFFFD")
	detail := errors.New(strconv.QuoteToASCII(text))
	switch m.code {
	case "notcpdump":
		return failure(runners.MissingProgram, node, op, "install tcpdump there", detail)
	case "notimeout":
		return failure(runners.MissingProgram, node, op, "install timeout (coreutils) there: it bounds the capture", detail)
	case "nosudo":
		return failure(runners.Sudo, node, op, "sudo is not installed there: install it, or log in as root", detail)
	case "":
		return m.broken(node, op)
	}
	for _, w := range startWords {
		if strings.Contains(text, w.words) {
			return failure(w.kind, node, op, w.hint, detail)
		}
	}
	if soundsLikeSudo(runners.Output{Stderr: text, ExitCode: refused}) {
		return failure(runners.Sudo, node, op, "allow "+user+" to run tcpdump as root without a password, with -Z "+user, detail)
	}
	return failure(runners.Unknown, node, op, "tcpdump did not start: exit code "+strconv.QuoteToASCII(m.code), detail)
}

func (m *messages) broken(node, op string) *runners.Error {
	var exit *ssh.ExitError
	if m.exit == nil || errors.As(m.exit, &exit) {
		return failure(runners.Invalid, node, op, "the login shell did not run the command", m.exit)
	}
	return failure(lostKind, node, op, "the connection was lost", m.exit)
}

// unclean explains a capture that ended by itself; nil when its time was up.
func (m *messages) unclean(node string) error {
	const op = "tcpdump"
	switch m.code {
	case strconv.Itoa(codeTimedOut), "0":
		return nil
	case "":
		return m.broken(node, op)
	}
	return failure(runners.Unknown, node, op, "it ended early, exit code "+strconv.QuoteToASCII(m.code),
		errors.New(strconv.QuoteToASCII(m.text.String())))
}
