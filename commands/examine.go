package commands

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"time"

	"whybot/commands/node"
	"whybot/runners"
)

// An examination is the work on one port: what was read, found and not seen.
type examination struct {
	e        *Engine
	pass     *Pass
	findings []Finding
	unseen   []Blind
	checked  []Check
	remarks  []string
	tell     func(string, ...any)
}

// scopes returns every node of the path with its part in the question.
func (p *Pass) scopes() []Scope {
	if p.Volume != nil {
		return p.volumeScopes()
	}
	if p.Console != nil {
		return p.consoleScopes()
	}
	scopes := make([]Scope, 0, len(p.Path.Branches)+1)
	for _, n := range p.Path.Nodes() {
		scopes = append(scopes, Scope{
			Node: n, Guest: n == p.Path.Node || p.Peer != nil, NetworkID: p.Port.Network.ID, VXLAN: p.vxlanOn(n),
			Serves:  slices.ContainsFunc(p.Path.Branches, func(b Branch) bool { return b.Node == n && b.Runs(Dnsmasq) }),
			Routers: p.Path.routersOn(n), IPv6: slices.ContainsFunc(p.Path.Exchanges(), Exchange.V6),
		})
	}
	return scopes
}

// readNodes runs the probes of all diagnoses, one exec per node, all nodes at
// once.
func (x *examination) readNodes(ctx context.Context) {
	ctx, cancel := context.WithTimeoutCause(ctx, x.e.o.Static, fmt.Errorf("the static stage's budget of %s is used up", x.e.o.Static))
	defer cancel()
	x.pass.readings = x.e.readAll(ctx, x.pass.scopes(), x.e.probesOf(x.pass.Question.Kind))
	x.pass.findTunnels()
	x.findVSwitches(ctx)
}

// readAll runs what probes lists on every scope's node at once.
func (e *Engine) readAll(ctx context.Context, scopes []Scope, probes func(Scope) []runners.Probe) map[string]reading {
	results, errs := runners.Each(ctx, e.o.FanOut, scopes, func(ctx context.Context, s Scope) (reading, error) {
		out, err := e.o.Shell.Run(ctx, s.Node, probes(s))
		r := reading{done: time.Now()}
		if err != nil {
			e.o.Log.Warn("node could not be read", slog.String("node", s.Node), slog.Any("error", err))
			r.err = err
			return r, nil
		}
		r.results = make(map[string]runners.Result, len(out))
		for _, res := range out {
			r.results[res.Probe.Name] = res
		}
		return r, nil
	})
	readings := make(map[string]reading, len(scopes))
	for i, s := range scopes {
		if errs[i] != nil {
			results[i].err = errs[i]
		}
		readings[s.Node] = results[i]
	}
	return readings
}

// probesOf merges what the diagnoses of a kind of question read on a node.
func (e *Engine) probesOf(kind Kind) func(Scope) []runners.Probe {
	return func(s Scope) []runners.Probe { return e.staticProbes(kind, s) }
}

func (e *Engine) staticProbes(kind Kind, s Scope) []runners.Probe {
	var probes []runners.Probe
	if s.Volume == "" {
		probes = append(probes, node.LinksProbe())
	}
	if s.VXLAN != "" {
		probes = append(probes, node.AddressProbe())
	}
	if kind == KindDHCP || kind == KindPing {
		probes = append(probes, node.VendorProbe())
	}
	for _, d := range e.o.Diagnoses {
		if d.Probes == nil || !slices.Contains(d.Explains, kind) {
			continue
		}
		for _, p := range d.Probes(s) {
			known := slices.IndexFunc(probes, func(q runners.Probe) bool { return q.Name == p.Name })
			if known < 0 {
				probes = append(probes, p)
			} else if !reflect.DeepEqual(probes[known], p) {
				e.o.Log.Error("two probes share a name", slog.String("probe", p.Name), slog.String("diagnosis", d.Name))
			}
		}
	}
	return probes
}

// diagnose runs every diagnosis over the pass and replaces what was found,
// checked and not seen before.
func (x *examination) diagnose(ctx context.Context) {
	x.findings, x.checked, x.remarks, x.unseen = nil, nil, nil, slices.Clone(x.pass.Path.Gaps)
	for _, d := range x.e.o.Diagnoses {
		if !slices.Contains(d.Explains, x.pass.Question.Kind) {
			continue
		}
		p := *x.pass
		p.Diagnosis = d
		p.report = func(f Finding) { x.findings = append(x.findings, f) }
		p.good = func(c Check) { x.checked = appendNew(x.checked, c) }
		p.remark = func(text string) { x.remarks = appendNew(x.remarks, text) }
		if err := x.run(ctx, d, &p); err != nil {
			x.blind(d.Name+" ("+d.Title+")", err)
		}
	}
	x.packetBlinds()
	x.pass.Path.sortChecks(x.checked)
}

// run runs one diagnosis; a panic in it is a place that could not be seen.
func (x *examination) run(ctx context.Context, d *Diagnosis, p *Pass) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("diagnosis %s panicked: %v", d.Name, r)
			x.e.o.Log.Error("diagnosis panicked", slog.String("diagnosis", d.Name), slog.Any("panic", r))
		}
	}()
	return d.Run(ctx, p)
}

// blind records what could not be seen: the reading that failed, once, however
// many diagnoses stumble over it.
func (x *examination) blind(what string, err error) {
	for _, one := range flatten(err) {
		b := Blind{What: what, Why: publicWhy(one)}
		if e, ok := errors.AsType[*runners.Error](one); ok {
			b.Node, b.What, b.Why = x.nodeOf(e.Target), e.Target, e.Why()
			if e.Op != "" {
				b.What += ": " + e.Op
			}
		}
		if !slices.Contains(x.unseen, b) {
			x.unseen = append(x.unseen, b)
		}
	}
}

// nodeOf returns target if it is a node that the question leads to.
func (x *examination) nodeOf(target string) string {
	if slices.Contains(x.pass.nodes(), target) {
		return target
	}
	return ""
}

// flatten splits what errors.Join made.
func flatten(err error) []error {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		return many.Unwrap()
	}
	return []error{err}
}

// publicWhy is the text of an error that a person may see: a runner's is
// written for them.
func publicWhy(err error) string {
	if e, ok := errors.AsType[*runners.Error](err); ok {
		return e.Error()
	}
	return Public(err)
}

// shortWhy is publicWhy without the place, for where the place is plain.
func shortWhy(err error) string {
	if e, ok := errors.AsType[*runners.Error](err); ok {
		return e.Why()
	}
	return Public(err)
}

func (x *examination) packetBlinds() {
	if x.pass.Packets == nil {
		return
	}
	for _, h := range capturable(x.pass.Path) {
		// A device that is not there is said by the diagnoses, and one that the
		// frames do not pass is nothing to see.
		if s, ok := x.pass.Packets.Seen[h]; ok && s.Err != nil && runners.KindOf(s.Err) != runners.NotFound {
			x.blind("packets at "+h.String(), s.Err)
		}
	}
}

// sortChecks puts what was found good into the order of the path; what concerns
// a whole node comes before its devices, what OpenStack says before all.
func (p *Path) sortChecks(checks []Check) {
	rank := map[Hop]int{{}: 0}
	for i, h := range p.Hops() {
		rank[h] = 2*i + 2
		if _, ok := rank[Hop{Node: h.Node}]; !ok {
			rank[Hop{Node: h.Node}] = 2*i + 1
		}
	}
	slices.SortStableFunc(checks, func(a, b Check) int { return cmp.Compare(rank[a.At], rank[b.At]) })
}

func appendNew[T comparable](list []T, v T) []T {
	if slices.Contains(list, v) {
		return list
	}
	return append(list, v)
}

// seen returns the path with what was counted at each hop.
func (x *examination) seen() []HopSeen {
	hops := x.pass.Path.Hops()
	out := make([]HopSeen, 0, len(hops))
	for _, h := range hops {
		s := HopSeen{Hop: h, Why: "no packets were looked at"}
		if x.pass.Packets != nil {
			frames, watched := x.pass.Packets.Seen[h]
			switch {
			case h.Node == "":
				s.Why = "outside of what whybot can look at"
			case h.Kind == HopVSwitch:
				s.Why = "no capture runs in a virtual switch; vCenter says what it does"
			case !watched:
				s.Why = "not a place to capture; its tap shows the same frames"
			case frames.Err != nil:
				s.Why = shortWhy(frames.Err)
			default:
				s.Observed, s.Why = true, ""
				s.Requests, s.Replies = x.pass.Packets.Count(h)
			}
		}
		out = append(out, s)
	}
	return out
}

// notes are true things that are not the cause.
func (x *examination) notes(v Verdict, findings []Finding) []string {
	notes := slices.Clone(x.remarks)
	if v.State == Healthy {
		for _, f := range findings {
			notes = append(notes, fmt.Sprintf("%s (%s, %s): %s", f.Cause, f.State, cmp.Or(f.Node, "OpenStack"), f.Summary))
		}
	}
	if s := x.pass.Server; s.Status != "ACTIVE" && !x.pass.GuestOff() {
		notes = append(notes, fmt.Sprintf("Nova says that %s is %s.", s.Name, doing(s, x.pass.Port.Port.MigratingTo.Or(""))))
	}
	return notes
}
