package demo

import (
	"context"
	"encoding/binary"
	"io"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"

	"whybot/runners"
)

// filterForm is the one kind of filter whybot captures with: a client's
// address inside its DHCP messages, perhaps behind a VLAN tag as well.
var filterForm = regexp.MustCompile(`^\(?udp and \(port 67 or port 68\) and udp\[36:4\] = 0x([0-9a-f]{8}) and udp\[40:2\] = 0x([0-9a-f]{4})` +
	`(?:\) or \(vlan ([0-9]+) and udp and \(port 67 or port 68\) and udp\[36:4\] = 0x([0-9a-f]{8}) and udp\[40:2\] = 0x([0-9a-f]{4})\))?$`)

// A filter selects the DHCP frames of one client.
type filter struct {
	client mac
	vlan   int // also behind this tag; 0 for none
}

func parseFilter(text string) (filter, bool) {
	words := filterForm.FindStringSubmatch(text)
	if words == nil || words[3] != "" && (words[1] != words[4] || words[2] != words[5]) {
		return filter{}, false
	}
	client, ok := parseMAC(words[1] + words[2])
	vlan, _ := strconv.Atoi(words[3]) // no tag is 0
	return filter{client: client, vlan: vlan}, ok
}

func (w filter) takes(f frame) bool {
	return f.dhcp != nil && f.dhcp.client == w.client && (f.vlan == 0 || f.vlan == w.vlan)
}

// Capture starts a capture on a link of a node. It implements
// commands.Sniffer.
func (c *Cloud) Capture(ctx context.Context, node string, spec runners.CaptureSpec) (io.ReadCloser, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fail := func(kind runners.Kind, hint string) error {
		return &runners.Error{Kind: kind, Runner: "demo", Target: node, Op: "tcpdump -i " + runners.DisplayQuote(spec.Device), Hint: hint}
	}
	m, err := c.machine(node)
	if err != nil {
		return nil, err
	}
	want, ok := parseFilter(spec.Filter)
	l := m.links.find(spec.Device)
	switch {
	case ctx.Err() != nil:
		return nil, fail(runners.TooSlow, context.Cause(ctx).Error())
	case c.closed:
		return nil, fail(runners.Unreachable, "the demo has ended")
	case !ok:
		c.unmodelled = append(c.unmodelled, "tcpdump "+spec.Filter)
		return nil, fail(runners.Invalid, "the simulated tcpdump does not understand this filter")
	case l == nil:
		return nil, fail(runners.NotFound, "there is no such interface")
	case !l.up:
		return nil, fail(runners.NotFound, "the interface is down")
	}
	s := &stream{cloud: c, node: node, device: spec.Device, want: want, buf: pcapHeader()}
	s.more = sync.NewCond(&s.mu)
	c.streams = append(c.streams, s)
	s.forget = context.AfterFunc(ctx, s.end)
	s.limit = time.AfterFunc(time.Duration(spec.MaxSeconds)*time.Second, s.end)
	return s, nil
}

// sniff shows a frame to the captures on a link.
func (c *Cloud) sniff(m *machine, l *link, f frame) {
	for _, s := range c.streams {
		if s.node == m.name && s.device == l.name && s.want.takes(f) {
			s.record(f, time.Now())
		}
	}
}

// A stream is a pcap file that grows until it is closed.
type stream struct {
	cloud        *Cloud
	node, device string
	want         filter
	forget       func() bool // of the context
	limit        *time.Timer

	mu    sync.Mutex
	more  *sync.Cond
	buf   []byte
	ended bool
}

// pcapHeader opens a file of Ethernet frames with times in microseconds.
func pcapHeader() []byte {
	le := binary.LittleEndian
	h := le.AppendUint32(nil, 0xa1b2c3d4)
	h = le.AppendUint16(h, 2)
	h = le.AppendUint16(h, 4)
	h = append(h, make([]byte, 8)...)
	h = le.AppendUint32(h, 262144)
	return le.AppendUint32(h, 1)
}

func (s *stream) record(f frame, at time.Time) {
	data := f.bytes()
	le := binary.LittleEndian
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	s.buf = le.AppendUint32(s.buf, uint32(at.Unix()))
	s.buf = le.AppendUint32(s.buf, uint32(at.Nanosecond()/1000))
	s.buf = le.AppendUint32(s.buf, uint32(len(data)))
	s.buf = le.AppendUint32(s.buf, uint32(len(data)))
	s.buf = append(s.buf, data...)
	s.more.Broadcast()
}

// Read returns what was captured, waiting for the next frame when there is
// nothing; io.EOF follows the last.
func (s *stream) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.buf) == 0 && !s.ended {
		s.more.Wait()
	}
	if len(s.buf) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.buf)
	s.buf = s.buf[n:]
	return n, nil
}

// Close ends the capture. What was captured can still be read.
func (s *stream) Close() error {
	s.forget()
	s.limit.Stop()
	s.end()
	s.cloud.mu.Lock()
	defer s.cloud.mu.Unlock()
	s.cloud.streams = slices.DeleteFunc(s.cloud.streams, func(o *stream) bool { return o == s })
	return nil
}

func (s *stream) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.more.Broadcast()
}

// machine returns a node by its name; the caller holds the lock.
func (c *Cloud) machine(node string) (*machine, error) {
	for _, m := range c.machines {
		if m.name == node {
			return m, nil
		}
	}
	return nil, &runners.Error{
		Kind: runners.Unreachable, Runner: "demo", Target: node, Op: "run", Hint: "the demo has no such node",
	}
}
