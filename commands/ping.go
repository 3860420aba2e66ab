package commands

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"whybot/commands/capture"
	"whybot/runners"
)

// pings are the exchanges of a ping, in their order.
var pings = []Exchange{capture.ARP, capture.Echo}

// An end is one of the two VMs of a ping.
type end struct {
	server runners.Server
	ports  []runners.Attachment
}

// examinePing answers why one VM cannot reach another: in the direction that was
// asked, and the other way round, from the same readings and captures. The worse
// of the two is the answer, unless nothing was heard of the other way.
func (e *Engine) examinePing(ctx context.Context, inc Incident, o AskOptions) (Answer, *Pass, error) {
	tell := e.teller(inc.ID, o.Progress)
	q := inc.Question
	names := []string{q.Subjects["src"], q.Subjects["dst"]}
	tell("looking for %s and %s in OpenStack", Clean(names[0], 80), Clean(names[1], 80))
	ends, errs := runners.Each(ctx, len(names), names, e.endOf)
	for _, err := range errs {
		if err != nil {
			return Answer{}, nil, err
		}
	}
	if ends[0].server.ID == ends[1].server.ID {
		return Answer{}, nil, &Error{
			Code: CodeInvalid, Public: fmt.Sprintf("%s and %s are the same VM.", Clean(names[0], 80), Clean(names[1], 80)), Hint: "Ask about two different ones.",
		}
	}
	a, b, note, err := facing(ends, names)
	if err != nil {
		return Answer{}, nil, err
	}
	there, err := e.pingPass(ctx, q, end{ends[0].server, []runners.Attachment{a}}, end{ends[1].server, []runners.Attachment{b}})
	if err != nil {
		return Answer{}, nil, err
	}
	answer, pass := e.bothWays(ctx, inc, there, o, tell)
	if note != "" {
		answer.Notes = append(answer.Notes, note)
	}
	return answer, pass, nil
}

// endOf finds a VM with its ports.
func (e *Engine) endOf(ctx context.Context, ref string) (end, error) {
	server, err := e.findServer(ctx, ref)
	if err != nil {
		return end{}, err
	}
	ports, err := e.o.Cloud.Attachments(ctx, server)
	if err != nil {
		return end{}, outside(err)
	}
	ports = slices.DeleteFunc(ports, func(a runners.Attachment) bool { return !firstIPv4(a.Port).IsValid() })
	if len(ports) == 0 {
		return end{}, &Error{Code: CodeMissing, Public: server.Name + " has no port with an IPv4 address; this version follows pings over IPv4."}
	}
	return end{server, ports}, nil
}

// facing chooses the ports by which the two reach one another: those of a common
// network, and those that were named by their address.
func facing(ends []end, names []string) (a, b runners.Attachment, note string, err error) {
	for i := range ends {
		if ends[i].ports, err = named(ends[i], names[i]); err != nil {
			return a, b, "", err
		}
	}
	var pairs [][2]runners.Attachment
	for _, x := range ends[0].ports {
		for _, y := range ends[1].ports {
			if x.Network.ID == y.Network.ID {
				pairs = append(pairs, [2]runners.Attachment{x, y})
			}
		}
	}
	switch {
	case len(pairs) == 0 && len(ends[0].ports)*len(ends[1].ports) == 1:
		return ends[0].ports[0], ends[1].ports[0], "", nil
	case len(pairs) == 0:
		return a, b, "", &Error{
			Code: CodeInvalid, Public: fmt.Sprintf("%s and %s have several ports and no network in common.", ends[0].server.Name, ends[1].server.Name),
			Hint: "Ask again with the addresses that are meant.",
		}
	case len(pairs) > 1:
		note = fmt.Sprintf("The two have %d pairs of ports on a common network; looked at were %s and %s. For others ask with their addresses.",
			len(pairs), firstIPv4(pairs[0][0].Port), firstIPv4(pairs[0][1].Port))
	}
	return pairs[0][0], pairs[0][1], note, nil
}

// named keeps the port that has the address ref, and that address in front, if ref
// is an address. One that is none of the ports' own leads there by another way.
func named(e end, ref string) ([]runners.Attachment, error) {
	address, err := netip.ParseAddr(ref)
	if err != nil {
		return e.ports, nil //nolint:nilerr // it is a name
	}
	for _, a := range e.ports {
		at := slices.IndexFunc(a.Port.FixedIPs, func(ip runners.FixedIP) bool {
			own, err := netip.ParseAddr(ip.Address)
			return err == nil && own == address
		})
		if at >= 0 {
			own := a.Port.FixedIPs[at]
			a.Port.FixedIPs = slices.Insert(slices.Delete(slices.Clone(a.Port.FixedIPs), at, at+1), 0, own)
			return []runners.Attachment{a}, nil
		}
	}
	return nil, &Error{
		Code: CodeInvalid, Public: fmt.Sprintf("%s leads to %s and is none of its ports' own addresses: a floating IP, perhaps. This version does not follow packets through routers.", address, e.server.Name),
		Hint: "Ask about " + e.server.Name + " by its name: that is about the way within its network.",
	}
}

// pingPass is the pass of one direction.
func (e *Engine) pingPass(ctx context.Context, q Question, from, to end) (*Pass, error) {
	path, err := buildPingPath(from, to)
	if err != nil {
		return nil, err
	}
	p := newPass(q, from.server, from.ports[0], path)
	p.Peer = &Peer{Server: to.server, Port: to.ports[0]}
	groups := slices.Concat(p.Port.Port.SecurityGroups, p.Peer.Port.Port.SecurityGroups)
	slices.Sort(groups)
	groups = slices.Compact(groups)
	if e.o.Groups == nil {
		p.Peer.Rules = unknownGroups(groups, "this whybot does not read security groups")
		return p, nil
	}
	if p.Peer.Rules, err = e.o.Groups.SecurityRules(ctx, groups); err != nil {
		p.Peer.Rules = unknownGroups(groups, publicWhy(err))
	}
	return p, nil
}

func unknownGroups(groups []string, why string) map[string]runners.Maybe[[]runners.SecurityRule] {
	all := map[string]runners.Maybe[[]runners.SecurityRule]{}
	for _, g := range groups {
		all[g] = runners.NotKnown[[]runners.SecurityRule](why)
	}
	return all
}

// buildPingPath names the hops from one guest's tap to the other's. Guests of
// different networks have no path here: what lies between is a router.
func buildPingPath(from, to end) (*Path, error) {
	a, b := from.ports[0], to.ports[0]
	if a.Network.ID != b.Network.ID {
		return &Path{}, nil
	}
	p, err := BuildPath(from.server, withoutServers(a))
	if err != nil {
		return nil, err
	}
	other, err := BuildPath(to.server, withoutServers(b))
	if err != nil {
		return nil, err
	}
	for _, gap := range other.Gaps {
		p.Gaps = appendNew(p.Gaps, gap)
	}
	if p.Node == "" || other.Node == "" {
		return p, nil
	}
	branch := Branch{Node: other.Node, Port: b.Port, Exchanges: pings, Local: other.Node == p.Node}
	hops := slices.Clone(other.Guest)
	slices.Reverse(hops)
	if branch.Local { // they share the bridge
		hops = hops[len(hops)-1:]
	}
	branch.Hops = append(hops, Hop{other.Node, to.server.Name, HopServer})
	p.Branches = []Branch{branch}
	return p, nil
}

// withoutServers is an attachment without what serves it, so that its path is its
// own part alone.
func withoutServers(a runners.Attachment) runners.Attachment {
	a.DHCPPorts, a.RouterPorts = nil, nil
	return a
}

// bothWays examines a pass, and then the other direction of the same ping with
// what was read and captured for the first.
func (e *Engine) bothWays(ctx context.Context, inc Incident, there *Pass, o AskOptions, tell func(string, ...any)) (Answer, *Pass) {
	x := &examination{e: e, pass: there, tell: tell}
	if nodes := there.Path.Nodes(); len(nodes) > 0 {
		tell("reading %s", strings.Join(nodes, ", "))
	}
	x.readNodes(ctx)
	answer := x.judged(ctx, inc)
	if !o.NoCapture && len(there.Path.Branches) > 0 && !there.closed(answer.Verdict, answer.Findings) {
		tell("static reading: %s; now listening on %d hops", answer.Verdict.State, len(capturable(there.Path)))
		x.watchPackets(ctx)
		x.control(ctx)
		answer = x.judged(ctx, inc)
	}
	y := &examination{e: e, pass: there.backwards(), tell: tell}
	back := y.judged(ctx, inc)
	if !there.GuestOff() && worse(back.Verdict, answer.Verdict) { // one that is off is the first thing to say
		answer, back, there = back, answer, y.pass
	}
	if back.Verdict.State != Unclear || there.Question.Subjects["both"] != "" {
		answer.Notes = append(answer.Notes, fmt.Sprintf("The other way, from %s to %s: %s. %s", there.Peer.Server.Name, there.Server.Name, back.Verdict.State, back.Verdict.Summary))
	}
	return answer, there
}

// worse reports whether the other direction is the answer: something is known to
// be wrong with it, and less is with the one that was asked.
func worse(back, asked Verdict) bool {
	return severity(back.State) > severity(Unclear) && severity(back.State) > severity(asked.State)
}

// judged runs the diagnoses and answers.
func (x *examination) judged(ctx context.Context, inc Incident) Answer {
	x.diagnose(ctx)
	v, findings := judgePing(x.pass, x.findings, x.unseen)
	return Answer{
		Incident: inc.ID, Question: inc.Question, VM: x.pass.Server.Name, Verdict: v, Path: x.seen(), Findings: findings,
		Unknown: x.unseen, Checked: x.checked, Notes: x.notes(v, findings), Given: x.pass.given(),
	}
}

// backwards is the pass of the other direction.
func (p *Pass) backwards() *Pass {
	from := end{p.Peer.Server, []runners.Attachment{p.Peer.Port}}
	to := end{p.Server, []runners.Attachment{p.Port}}
	path, _ := buildPingPath(from, to) // both ends have been found good
	path.Tunnels = p.Path.Tunnels
	if len(path.Tunnels) > 0 {
		path.addUnderlay()
	}
	q := newPass(p.Question, p.Peer.Server, p.Peer.Port, path)
	q.Peer = &Peer{Server: p.Server, Port: p.Port, Rules: p.Peer.Rules}
	q.readings, q.firewalls, q.vswitches = p.readings, p.firewalls, p.vswitches
	q.Path.addVSwitches(q.vswitches)
	if p.Packets != nil {
		q.Packets = p.Packets.heard(q.asks)
	}
	return q
}

// addresses of the two ends.
func (p *Pass) ends() (own, peer netip.Addr) {
	return firstIPv4(p.Port.Port), firstIPv4(p.Peer.Port.Port)
}

// asks reports whether a frame belongs to this direction of a ping: asked by the
// guest, or answered to it.
func (p *Pass) asks(f capture.Frame) bool {
	own, peer := p.ends()
	if f.Reply {
		own, peer = peer, own
	}
	return f.Src == own && f.Dst == peer
}

// asksBack is asks for the other direction.
func (p *Pass) asksBack(f capture.Frame) bool {
	own, peer := p.ends()
	if f.Reply {
		own, peer = peer, own
	}
	return f.Src == peer && f.Dst == own
}

// heard is what was captured, as far as keep wants it.
func (ps *Packets) heard(keep func(capture.Frame) bool) *Packets {
	part := *ps
	part.Seen = make(map[Hop]HopFrames, len(ps.raw))
	for h, s := range ps.raw {
		part.Seen[h] = s.only(keep)
	}
	return &part
}

// only is what a hop saw, as far as keep wants it.
func (s HopFrames) only(keep func(capture.Frame) bool) HopFrames {
	drop := func(f capture.Frame) bool { return !keep(f) }
	s.Frames, s.all = slices.DeleteFunc(slices.Clone(s.Frames), drop), slices.DeleteFunc(slices.Clone(s.all), drop)
	return s
}

// pingDecided reports whether more listening would change nothing: an answer is
// there, or what was sent went unanswered long enough, or nothing is sent.
func (w *watch) pingDecided(armed, now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	ps := &Packets{Seen: w.counted()}
	asked := map[Exchange]int{}
	for _, f := range ps.Seen[w.lead()].Frames {
		if !f.Reply {
			asked[f.Exchange]++
		}
	}
	if asked[capture.Echo] >= enough && slices.Contains(ps.Granted(w.x.pass.Path), capture.Echo) {
		return true
	}
	for _, e := range pings {
		if asked[e] < enough {
			continue
		}
		if w.enoughAt[e].IsZero() {
			w.enoughAt[e] = now
		}
		// While there are echoes, ARP has had its answer before.
		if (e == capture.Echo || asked[capture.Echo] == 0) && now.Sub(w.enoughAt[e]) > settled {
			return true
		}
	}
	return len(asked) == 0 && now.Sub(armed) > patience
}

// EchoFlow is what became of the ping: of its echoes, or of the questions for the
// peer's link address where no echo was sent.
func (p *Pass) EchoFlow() Flow {
	if p.Packets == nil || len(p.Path.Branches) == 0 {
		return Flow{State: FlowBlind}
	}
	return p.Packets.Trace(p.Path, p.Path.Branches[0], p.pinged())
}
