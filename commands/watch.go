package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"whybot/commands/capture"
	"whybot/commands/node"
	"whybot/runners"
)

// When the packet stage is decided. Guests retry a DISCOVER after 2 s or more
// and a reply takes milliseconds, so a request without an answer for settled
// is a lost one.
const (
	settled = 1200 * time.Millisecond // quiet time after the last frame before loss is read off
	// A router waits up to 3 s between two advertisements to all (RFC 4861,
	// MIN_DELAY_BETWEEN_RAS), and half a second more before it answers.
	routerSettled = 3700 * time.Millisecond

	enough      = 2                       // requests that must have been seen, unless the guest stays silent
	patience    = 7 * time.Second         // after which one lone request is enough
	ackWait     = 1500 * time.Millisecond // from the first reply to the acknowledgement
	holderAgain = 3 * time.Second         // between two looks at who answers for the guest's address
	holderWait  = 500 * time.Millisecond  // for a request, once the guest is known to hold its address and nothing is found
)

// capturable returns the hops that frames can be captured at.
func capturable(p *Path) []Hop {
	var hops []Hop
	for _, h := range p.Hops() {
		if h.Captured() {
			hops = append(hops, h)
		}
	}
	return hops
}

// A watch is one packet stage: captures at all hops at once.
type watch struct {
	x    *examination
	hops []Hop

	mu     sync.Mutex
	seen   map[Hop]*HopFrames
	early  map[Hop]int            // how many of the frames came before the window
	last   map[Exchange]time.Time // arrival of the last frame
	reply  map[Exchange]time.Time // arrival of the first reply at the guest's tap
	holder string                 // who answers for the guest's address
	asked  bool                   // that question was put, from one namespace at least
	wake   chan struct{}          // a frame came or the holder is known

	enoughAt map[Exchange]time.Time // when enough of a ping was sent to tell what becomes of it
}

// watchPackets arms captures at every hop, waits until what happens to the
// guest's frames is decided, and puts what was seen into the pass.
func (x *examination) watchPackets(ctx context.Context) {
	w := &watch{x: x, hops: capturable(x.pass.Path), seen: map[Hop]*HopFrames{}, early: map[Hop]int{}, last: map[Exchange]time.Time{}, reply: map[Exchange]time.Time{}, wake: make(chan struct{}, 1), enoughAt: map[Exchange]time.Time{}}
	readers, stop := w.arm(ctx)
	defer func() {
		stop()
		readers.Wait()
	}()

	var side sync.WaitGroup
	over := make(chan struct{})
	side.Go(func() { w.lookForHolder(ctx, over) })
	probes, scopes := x.e.counterProbes, x.pass.scopes()
	opening, opened := context.WithTimeout(ctx, x.e.o.Static)
	before := x.e.readAll(opening, scopes, probes)
	opened()
	// A node that hangs must not take the time that the others are listened to.
	listening, cancel := context.WithTimeoutCause(ctx, x.e.o.Packet, fmt.Errorf("the packet stage's %s are over", x.e.o.Packet))
	defer cancel()
	begun := w.begin()
	w.untilDecided(listening, begun)
	close(over)
	side.Wait()
	took := time.Since(begun)

	// The closing reading must not be cut off by the stage's own end.
	closing, done := context.WithTimeout(context.WithoutCancel(ctx), x.e.o.Static)
	defer done()
	ps := &Packets{Before: before, After: x.e.readAll(closing, scopes, probes), Took: took}
	w.fill(ps)
	x.pass.Packets = ps
}

// arm starts a capture at every hop and returns when each listens or failed.
// stop ends them all.
func (w *watch) arm(ctx context.Context) (readers *sync.WaitGroup, stop func()) {
	readers = &sync.WaitGroup{}
	var mu sync.Mutex
	var open []io.Closer
	_, errs := runners.Each(ctx, len(w.hops), w.hops, func(ctx context.Context, h Hop) (struct{}, error) {
		spec, err := w.spec(h)
		if err != nil {
			return struct{}{}, err
		}
		stream, err := w.x.e.o.Sniffer.Capture(ctx, h.Node, spec)
		if err != nil {
			return struct{}{}, err
		}
		mu.Lock()
		defer mu.Unlock()
		open = append(open, stream)
		readers.Go(func() { w.read(h, stream) })
		return struct{}{}, nil
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, h := range w.hops {
		if w.seen[h] == nil {
			w.seen[h] = &HopFrames{}
		}
		w.seen[h].Err = errs[i]
	}
	return readers, func() {
		var closers sync.WaitGroup
		for _, c := range open {
			closers.Go(func() { _ = c.Close() }) // the capture ends on the node by itself as well
		}
		closers.Wait()
	}
}

// spec returns how to capture at h, or why that would show nothing. A node that
// could not be read a moment ago is not waited for again.
func (w *watch) spec(h Hop) (runners.CaptureSpec, error) {
	if err := w.x.pass.readings[h.Node].err; err != nil {
		return runners.CaptureSpec{}, err
	}
	if w.x.pass.Path.isUnderlay(h) {
		return w.tunnelSpec(h)
	}
	vlan := 0
	if h.Kind == HopNIC && w.x.pass.Port.Network.Type.Or("") == "vlan" {
		if err := w.x.pass.carries(h); err != nil {
			return runners.CaptureSpec{}, err
		}
		vlan = w.x.pass.Port.Network.SegmentationID.Or(0)
	}
	filter, err := w.filter(vlan)
	if err != nil {
		return runners.CaptureSpec{}, &runners.Error{Kind: runners.Invalid, Runner: "openstack", Target: "port " + w.x.pass.Port.Port.ID, Op: "MAC address", Err: err}
	}
	return w.capturing(h, filter), nil
}

// capturing is a capture at h that ends by itself after the stage.
func (w *watch) capturing(h Hop, filter string) runners.CaptureSpec {
	seconds := int((w.x.e.o.Static+w.x.e.o.Packet)/time.Second) + 2
	return runners.CaptureSpec{Device: h.Device, Filter: filter, MaxSeconds: seconds}
}

// filter selects what the path is about: of IPv6 nothing unless it is.
func (w *watch) filter(vlan int) (string, error) {
	if peer := w.x.pass.Peer; peer != nil {
		return capture.FilterPing(w.x.pass.Port.Port.MAC, peer.Port.Port.MAC, vlan)
	}
	if slices.ContainsFunc(w.x.pass.Path.Exchanges(), Exchange.V6) {
		return capture.FilterIPv6(w.x.pass.Port.Port.MAC, vlan)
	}
	return capture.Filter(w.x.pass.Port.Port.MAC, vlan)
}

// carries checks that the segment on nic's node really is a VLAN of nic: only
// then do the guest's frames pass it, tagged.
func (p *Pass) carries(nic Hop) error {
	links, err := p.Links(nic.Node)
	if err != nil {
		return err
	}
	for _, seg := range p.Path.On(nic.Node, HopSegment) {
		if l, ok := links[seg.Device]; ok && l.Parent == nic.Device {
			return nil
		}
	}
	return &runners.Error{
		Kind: runners.NotFound, Runner: "ssh", Target: nic.Node, Op: "capture on " + nic.Device,
		Hint: "the segment is not a VLAN of " + nic.Device + " here, so the frames do not pass it",
	}
}

// strays reports whether f passes a NIC with the tag of another VLAN than the
// network's: a card that takes tags off the frame lets it through a filter for
// untagged ones.
func (p *Pass) strays(h Hop, f capture.Frame) bool {
	n, ok := p.Port.Network.SegmentationID.Get()
	return ok && h.Kind == HopNIC && p.Port.Network.Type.Or("") == "vlan" && f.VLAN != 0 && f.VLAN != n
}

// read takes the frames of one hop until its stream ends.
func (w *watch) read(h Hop, stream io.Reader) {
	err := capture.Read(stream, func(f capture.Frame) {
		if !w.x.pass.Path.onWay(f) {
			return
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.seen[h] == nil {
			w.seen[h] = &HopFrames{}
		}
		if w.x.pass.strays(h, f) {
			w.seen[h].Strays = append(w.seen[h].Strays, f)
			return
		}
		if w.x.pass.Peer != nil && !w.x.pass.asks(f) && !w.x.pass.asksBack(f) {
			w.seen[h].Foreign = append(w.seen[h].Foreign, f)
			return
		}
		w.seen[h].Frames = append(w.seen[h].Frames, f)
		now := time.Now()
		w.last[f.Exchange] = now
		if f.Reply && h == w.hops[0] && w.reply[f.Exchange].IsZero() {
			w.reply[f.Exchange] = now
		}
		w.nudge()
	})
	if err != nil && !errors.Is(err, io.ErrClosedPipe) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.seen[h].Err = &runners.Error{Kind: runners.Invalid, Runner: "ssh", Target: h.Node, Op: "capture on " + h.Device, Err: err}
	}
}

func (w *watch) nudge() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// begin marks the frames that came while not everything was read yet: they do
// not count for the decision. It returns the time from which frames do.
func (w *watch) begin() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	for h, s := range w.seen {
		w.early[h] = len(s.Frames)
	}
	clear(w.last)
	clear(w.reply)
	return time.Now()
}

// untilDecided waits for the guest's own retries until their fate is clear.
func (w *watch) untilDecided(ctx context.Context, armed time.Time) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	told := 0
	decided := w.decided
	if w.x.pass.Peer != nil {
		decided = w.pingDecided
	}
	for !decided(armed, time.Now()) {
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
		case <-tick.C:
		}
		if s := int(time.Since(armed).Seconds()); s >= told+5 {
			told = s
			w.x.tell("listening for %d s: %s", s, w.state())
		}
	}
}

func (w *watch) state() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	requests, replies := (&Packets{Seen: w.counted()}).Count(w.lead())
	return fmt.Sprintf("%d requests and %d replies at %s", requests, replies, w.lead())
}

// decided reports whether more listening would change nothing: the fate of every
// exchange is clear. One that the guest shows no need of, while it works or
// fails at another, is not waited for to the end.
func (w *watch) decided(armed, now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	ps := &Packets{Seen: w.counted()}
	path, waited := w.x.pass.Path, now.Sub(armed)
	if requests, _ := ps.Count(w.lead()); requests == 0 && w.holds() && w.x.pass.heldIsAsked() {
		return waited > holderWait && len(w.x.findings) == 0 || waited > patience
	}
	given, all := ps.Granted(path), w.x.pass.awaited()
	shown := 0
	for _, e := range all {
		switch {
		case slices.Contains(given, e):
			// One that was refused as well may be about to begin anew.
			if e == capture.DHCP && ps.refused(w.lead()) && now.Sub(w.last[e]) <= patience {
				return false
			}
		case w.last[e].IsZero():
			continue
		case !w.settledOn(ps, e, now):
			return false
		}
		shown++
	}
	return shown == len(all) || shown > 0 && waited > patience
}

// settledOn reports whether nothing more is to be expected of an exchange that
// was seen; the caller holds the lock.
func (w *watch) settledOn(ps *Packets, e Exchange, now time.Time) bool {
	requests := 0
	for _, f := range ps.Seen[w.lead()].Frames {
		if f.Exchange == e && !f.Reply {
			requests++
		}
	}
	quiet := now.Sub(w.last[e])
	switch reply := w.reply[e]; {
	case !reply.IsZero() && now.Sub(reply) < ackWait:
		return false
	case e == capture.RA: // also of one that nobody asked for
		return quiet > routerSettled
	case requests == 0 || quiet < settled:
		return false
	}
	return requests >= ps.enough(w.lead(), e) || quiet > patience
}

// enough is how many requests at h say what becomes of them. A guest that is
// offered addresses and acknowledged none is given one more try: that it asks
// twice after an offer says that it does not take it.
func (ps *Packets) enough(h Hop, e Exchange) int {
	if ps.sawReply(h, offered[e]) && !ps.sawReply(h, granted[e]) {
		return enough + 1
	}
	return enough
}

// holds reports whether the guest answers for its address; the caller holds the
// lock.
func (w *watch) holds() bool { return w.holder == w.x.pass.Port.Port.MAC }

// lead is the hop nearest to the guest that is observed; the caller holds the
// lock.
func (w *watch) lead() Hop {
	for _, h := range w.hops {
		if s := w.seen[h]; s != nil && s.Err == nil {
			return h
		}
	}
	return w.hops[0]
}

// counted returns the frames that count for the decision; the caller holds the
// lock.
func (w *watch) counted() map[Hop]HopFrames {
	m := w.snapshot()
	for h, s := range m {
		s.Frames = s.Frames[w.early[h]:]
		if w.x.pass.Peer != nil {
			s = s.only(w.x.pass.asks)
		}
		m[h] = s
	}
	return m
}

// snapshot returns the frames so far; the caller holds the lock.
func (w *watch) snapshot() map[Hop]HopFrames {
	m := make(map[Hop]HopFrames, len(w.seen))
	for h, s := range w.seen {
		m[h] = *s
	}
	return m
}

func (w *watch) fill(ps *Packets) {
	w.mu.Lock()
	defer w.mu.Unlock()
	ps.Seen, ps.Holder, ps.Asked = w.snapshot(), w.holder, w.asked
	opened := opening(ps.Before)
	for h, s := range ps.Seen {
		s.all = s.Frames
		s.Frames = s.all[w.early[h]:]
		if ahead, ok := ahead(ps.Before[h.Node]); ok {
			// None at all means that the clock was set meanwhile: then the order
			// of arrival has to do.
			if timed := within(s.all, opened.Add(ahead), clock(ps.After[h.Node], "clock-start")); len(timed) > 0 {
				s.Frames = timed
			}
		}
		ps.Seen[h] = s
	}
	if w.x.pass.Peer != nil {
		ps.raw = ps.Seen
		ps.Seen = ps.heard(w.x.pass.asks).Seen
	}
	tap, _ := w.x.pass.Path.Tap()
	ps.TapBefore, ps.TapAfter = linkOf(ps.Before[tap.Node], tap), linkOf(ps.After[tap.Node], tap)
}

// opening is when the last opening reading was in, by whybot's clock: from then
// on every node was being watched, so the same frames count at every hop,
// however long a capture held them back.
func opening(before map[string]reading) time.Time {
	var last time.Time
	for _, r := range before {
		if r.done.After(last) {
			last = r.done
		}
	}
	return last
}

// ahead is how far a node's clock is ahead of whybot's, as far as its reading
// tells: the node looked at its clock right before the reading was in.
func ahead(r reading) (time.Duration, bool) {
	t := clock(r, "clock-end")
	return t.Sub(r.done), !t.IsZero()
}

// within keeps the frames between two times of their node's clock. A zero time
// bounds nothing.
func within(frames []capture.Frame, from, to time.Time) []capture.Frame {
	return slices.DeleteFunc(slices.Clone(frames), func(f capture.Frame) bool {
		return !from.IsZero() && f.At.Before(from) || !to.IsZero() && f.At.After(to)
	})
}

// linkOf returns a hop's link in a reading, or nil.
func linkOf(r reading, h Hop) *node.Link {
	res, ok := r.results[node.LinksProbe().Name]
	if !ok || res.Err != nil {
		return nil
	}
	links, err := node.ParseLinks(res.Output.Stdout)
	if err != nil {
		return nil
	}
	l, ok := links[h.Device]
	if !ok {
		return nil
	}
	return &l
}

// lookForHolder asks who answers for the guest's address, again and again until
// somebody does: a guest may get its lease just before all hops were watched,
// and then it has no reason to ask.
func (w *watch) lookForHolder(ctx context.Context, over <-chan struct{}) {
	for {
		asking, asked := context.WithTimeout(ctx, w.x.e.o.Static)
		w.findHolder(asking)
		asked()
		w.mu.Lock()
		found := w.holder != ""
		w.mu.Unlock()
		if found {
			return
		}
		select {
		case <-over:
			return
		case <-ctx.Done():
			return
		case <-time.After(holderAgain):
		}
	}
}

// findHolder asks from every DHCP namespace who answers for the guest's
// address.
func (w *watch) findHolder(ctx context.Context) {
	address := w.x.pass.address()
	if address == "" || w.x.e.o.NoEcho {
		return
	}
	network := w.x.pass.Port.Network.ID
	servers := slices.DeleteFunc(slices.Clone(w.x.pass.Path.Branches), func(b Branch) bool { return !b.Runs(Dnsmasq) })
	runners.Each(ctx, w.x.e.o.FanOut, servers, func(ctx context.Context, b Branch) (struct{}, error) {
		out, err := w.x.e.o.Shell.Run(ctx, b.Node, node.HolderProbes(network, address))
		if err != nil || len(out) != 3 || out[2].Err != nil {
			return struct{}{}, err
		}
		before, echo, now := out[0].Output, out[1], out[2].Output
		w.mu.Lock()
		defer w.mu.Unlock()
		w.asked = w.asked || echo.Err == nil
		if mac := node.Holder(echo.Err == nil && echo.Output.ExitCode == 0, before.Stdout, now.Stdout); mac != "" {
			w.holder = mac
			w.nudge()
		}
		return struct{}{}, nil
	})
}
