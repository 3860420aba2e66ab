package commandstest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"whybot/commands/capture"
	"whybot/commands/sudoers"
	"whybot/runners"
)

// A world is a fixture in motion: the nodes that are asked and listened to.
// What the fixture should have said and does not is a complaint.
type world struct {
	f *Fixture
	// rules are what sudo allows on the nodes.
	rules sudoers.Rules

	mu         sync.Mutex
	counted    map[string]int // how often a node's counters were read
	complaints []string
	listening  chan struct{} // closed once every capture listens
}

func newWorld(f *Fixture, rules sudoers.Rules) *world {
	return &world{f: f, rules: rules, counted: map[string]int{}, listening: make(chan struct{})}
}

// latency is how long a node takes to answer, a frame to be told of, and a
// reading between its two looks at the clock.
const latency = 20 * time.Millisecond

// Run answers probes as the fixture says. The first reading of the counters
// is made when all captures listen, so it sets the frames going.
func (w *world) Run(ctx context.Context, nodeName string, probes []runners.Probe) ([]runners.Result, error) {
	if name, down := w.f.down[nodeName]; down {
		return nil, w.unanswered(ctx, name, nodeName, "connect")
	}
	w.mayRun(probes)
	after := w.count(nodeName, probes)
	results := make([]runners.Result, 0, len(probes))
	for _, p := range probes {
		res := w.answer(nodeName, p, after)
		results = append(results, res)
		if p.Name == "clock-start" {
			if err := wait(ctx, latency); err != nil {
				return nil, err
			}
		}
	}
	return results, wait(ctx, latency)
}

// mayRun complains of what sudo would refuse on a node that has the printed
// rules: commands/sudoers does not know of it then.
func (w *world) mayRun(probes []runners.Probe) {
	for _, p := range probes {
		if p.Sudo && !w.rules.Allows(p.Argv) {
			w.complain("no rule that whybot sudoers prints allows the probe %s: %s", p.Name, p.Command())
		}
	}
}

// giveUp is how long a runner tries a node that does not answer.
const giveUp = 10 * time.Second

// unanswered is what comes of asking a node that is down. One that is too slow
// keeps whoever asks waiting.
func (w *world) unanswered(ctx context.Context, name, nodeName, op string) error {
	if kinds[name] == runners.TooSlow {
		_ = wait(ctx, giveUp) // either way it is too slow
	}
	return failure(kinds[name], nodeName, op)
}

// count reports whether the packet stage is over for the node.
func (w *world) count(nodeName string, probes []runners.Probe) (after bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range probes {
		if p.Name != "clock-start" {
			continue
		}
		if len(w.counted) == 0 {
			close(w.listening)
		}
		w.counted[nodeName]++
	}
	return w.counted[nodeName] > 1
}

func (w *world) answer(nodeName string, p runners.Probe, after bool) runners.Result {
	now := time.Now()
	if p.Name == "clock-start" || p.Name == "clock-end" {
		return runners.Result{Probe: p, Output: runners.Output{Stdout: fmt.Sprintf("%d.%09d\n", now.Unix(), now.Nanosecond()), At: now}}
	}
	r, ok, err := w.f.answer(nodeName, p.Name, after)
	switch {
	case err != nil || !ok:
		w.complain("the fixture has no section probe/%s/%s (%v)", nodeName, p.Name, err)
		return runners.Result{Probe: p, Err: failure(runners.Invalid, nodeName, p.Name)}
	case r.fails != runners.Unknown:
		return runners.Result{Probe: p, Err: failure(r.fails, nodeName, p.Name)}
	}
	r.output.At = now
	return runners.Result{Probe: p, Output: r.output}
}

func (w *world) complain(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.complaints = append(w.complaints, fmt.Sprintf(format, args...))
}

func failure(kind runners.Kind, nodeName, op string) error {
	return &runners.Error{Kind: kind, Runner: "ssh", Target: nodeName, Op: op}
}

// wait lets simulated time pass.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Capture plays the frames of a hop as a pcap stream.
func (w *world) Capture(ctx context.Context, nodeName string, spec runners.CaptureSpec) (io.ReadCloser, error) {
	op := "capture on " + spec.Device
	if name, down := w.f.down[nodeName]; down {
		return nil, w.unanswered(ctx, name, nodeName, op)
	}
	if spec.Namespace != "" {
		w.complain("%s in namespace %s: no rule that whybot sudoers prints allows it", op, spec.Namespace)
	}
	s, ok := w.f.capture(nodeName, spec.Device)
	if !ok {
		w.complain("the fixture has no section capture/%s/%s", nodeName, spec.Device)
		return nil, failure(runners.NotFound, nodeName, op)
	}
	if s.fails != "" {
		return nil, failure(kinds[s.fails], nodeName, op)
	}
	around, err := w.envelope(spec.Filter)
	if err != nil {
		w.complain("%s on %s: %v", op, nodeName, err)
		return nil, failure(runners.Invalid, nodeName, op)
	}
	if !strings.Contains(spec.Filter, "ip6") && !strings.Contains(spec.Filter, "0x86dd") { // then tcpdump does not show any
		s.frames = slices.DeleteFunc(slices.Clone(s.frames), func(f frameLine) bool { _, v6 := messages6[f.word]; return v6 })
	}
	records, err := w.frames(s, around)
	if err != nil {
		w.complain("%s on %s: %v", op, nodeName, err)
		return nil, failure(runners.Invalid, nodeName, op)
	}
	r, out := io.Pipe()
	stop := make(chan struct{})
	go w.play(out, records, stop)
	return &stream{PipeReader: r, stop: stop}, nil
}

// An envelope is what a frame is in where a capture sees it: a VLAN tag, or the
// tunnel of a VXLAN; neither when both are 0.
type envelope struct {
	vlan uint16
	vni  int
}

// envelope is what a capture's filter looks into. Any other filter than the
// guest's would show nothing.
func (w *world) envelope(filter string) (envelope, error) {
	mac := w.f.cloud.first("port")["mac"]
	network, err := w.f.cloud.network()
	if err != nil {
		return envelope{}, err
	}
	segment := network.SegmentationID.Or(0)
	for _, vlan := range []int{0, segment} {
		ipv4, err := capture.Filter(mac, vlan)
		if err != nil {
			return envelope{}, err
		}
		if ping, err := capture.FilterPing(mac, w.f.cloud.first("peer-port")["mac"], vlan); err == nil && filter == ping {
			return envelope{vlan: uint16(vlan)}, nil //nolint:gosec // a VLAN has 12 bits
		}
		if ipv6, err := capture.FilterIPv6(mac, vlan); err == nil && (filter == ipv4 || filter == ipv6) {
			return envelope{vlan: uint16(vlan)}, nil //nolint:gosec // a VLAN has 12 bits
		}
	}
	for _, ports := range [][]int{{tunnelPort}, {otherTunnelPort, tunnelPort}} {
		if want, err := capture.TunnelFilter(mac, segment, ports...); err == nil && want == filter {
			return envelope{vni: segment}, nil
		}
	}
	return envelope{}, fmt.Errorf("the filter %q does not select the guest's frames", filter)
}

// A record is a frame and when it is seen, since all captures listen.
type record struct {
	at    time.Duration
	frame []byte
}

func (w *world) frames(s captureSection, around envelope) ([]record, error) {
	guest, err := parseEnd(w.f.cloud.first("port"))
	if err != nil {
		return nil, err
	}
	records := make([]record, 0, len(s.frames))
	for _, line := range s.frames {
		frame, err := w.frame(line, guest, around.vlan)
		if err != nil {
			return nil, err
		}
		if around.vni != 0 {
			if frame, err = w.tunnelled(frame, line, around.vni); err != nil {
				return nil, err
			}
		}
		records = append(records, record{line.at, frame})
	}
	return records, nil
}

// frame is a line's frame on the wire, tagged when vlan is not 0.
func (w *world) frame(line frameLine, guest end, vlan uint16) ([]byte, error) {
	if _, ok := pingWords[line.word]; ok {
		return w.pingFrame(line, guest, vlan)
	}
	if m, ok := messages6[line.word]; ok {
		return w.frame6(m, line, guest, vlan)
	}
	server, err := w.server(line)
	if err != nil {
		return nil, err
	}
	return line.bytes(guest, server, vlan), nil
}

// server is the DHCP server that a frame is from, or else the first: a
// broadcast is for all of them. One that is given with its MAC need not be
// Neutron's.
func (w *world) server(line frameLine) (end, error) {
	if ip, mac, own := strings.Cut(line.from, "@"); own {
		return parseEnd(words{"ip": ip, "mac": mac})
	}
	all := w.f.cloud["dhcp"]
	if line.from == "" && len(all) > 1 && messages[line.word].reply {
		return end{}, fmt.Errorf("the %s at %s does not say from which of %d servers", line.word, line.at, len(all))
	}
	for _, words := range all {
		if line.from == "" || words["ip"] == line.from {
			return parseEnd(words)
		}
	}
	if m := messages[line.word]; line.from == "" && m.broadcast && !m.reply {
		return everyone, nil
	}
	return end{}, fmt.Errorf("there is no DHCP server %q", line.from)
}

func parseEnd(w words) (end, error) {
	mac, err := net.ParseMAC(w["mac"])
	if err != nil {
		return end{}, err
	}
	if w["ip"] == "" { // of IPv6 alone
		return end{mac: mac}, nil
	}
	ip, err := netip.ParseAddr(w["ip"])
	return end{mac, ip}, err
}

// play writes frames when their time has come, until the stream is closed.
func (w *world) play(out *io.PipeWriter, records []record, stop <-chan struct{}) {
	defer func() { _ = out.Close() }() // never fails
	if _, err := out.Write(pcapHeader); err != nil {
		return
	}
	select {
	case <-w.listening:
	case <-stop:
		return
	}
	start := time.Now()
	for _, r := range records {
		t := time.NewTimer(time.Until(start.Add(r.at + latency))) // tcpdump and the way here take time too
		select {
		case <-t.C:
		case <-stop:
			t.Stop()
			return
		}
		if _, err := out.Write(pcapRecord(start.Add(r.at), r.frame)); err != nil {
			return
		}
	}
	<-stop
}

// A stream is a capture that runs until it is closed.
type stream struct {
	*io.PipeReader
	stop chan struct{}
	once sync.Once
}

// Close ends the capture.
func (s *stream) Close() error {
	s.once.Do(func() { close(s.stop) })
	return s.PipeReader.Close()
}

// errChange is what comes of a change: asking changes nothing.
var errChange = errors.New("a question tried to change something")

// Change refuses.
func (w *world) Change(context.Context, string, []runners.Probe) ([]runners.Result, error) {
	return nil, w.refuse()
}

// Do refuses.
func (w *world) Do(context.Context, runners.CloudCall) error { return w.refuse() }

// Object is asked before a change only.
func (w *world) Object(context.Context, runners.CloudRef) (runners.CloudObject, error) {
	return nil, w.refuse()
}

func (w *world) refuse() error {
	w.complain("%v", errChange)
	return errChange
}
