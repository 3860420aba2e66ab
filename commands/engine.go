package commands

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"whybot/runners"
)

// Progress is one line about a question being worked on.
type Progress struct {
	Incident string
	Text     string
}

// AskOptions say how to work on one question.
type AskOptions struct {
	// NoCapture leaves out the packet stage.
	NoCapture bool
	// Progress, if set, is called with what is being done, from one goroutine
	// at a time.
	Progress func(Progress)
	// Thread is where the answer will be shown.
	Thread Thread
}

// Ask works on a question: it opens an incident, looks, judges, offers fixes
// and writes it all to the timeline. Whatever could not be seen is in the
// answer; an error means that the question could not be worked on at all, and
// is an *Error. Then too the incident says so.
func (e *Engine) Ask(ctx context.Context, who Actor, q Question, o AskOptions) (Answer, error) {
	if err := askable(q); err != nil {
		return Answer{}, err
	}
	start := e.o.Now()
	inc, err := e.o.Memory.OpenIncident(ctx, Incident{
		Opened: start, Question: q, Asker: who, Entities: subjectNames(q), Thread: o.Thread,
	}, Event{Kind: EventAsked, At: start, Actor: who, Text: q.Text})
	if err != nil {
		return Answer{}, err
	}
	a, err := e.answer(ctx, inc, o)
	if err != nil {
		e.note(ctx, inc.ID, EventFailed, Public(err), nil)
		return Answer{Incident: inc.ID, Question: q}, err
	}
	a.Took = e.o.Now().Sub(start)
	return a, nil
}

// subjectNames are the names that a question gives, before anything is looked up.
func subjectNames(q Question) []string {
	var names []string
	for _, role := range []string{"vm", "volume", "src", "dst"} {
		if q.Subjects[role] != "" {
			names = append(names, q.Subjects[role])
		}
	}
	return names
}

// lacking is what to say to a question that does not name all that it is about, by
// its kind; roles are the subjects of which one is needed, or all.
var lacking = map[Kind]struct {
	roles        []string
	any          bool
	public, hint string
}{
	KindDHCP:        {roles: []string{"vm"}, public: "Which VM is it about?", hint: "Try: why can't web-1 get an IP"},
	KindPing:        {roles: []string{"src", "dst"}, public: "Which two VMs is it about?", hint: "Try: why can't web-1 ping db-1"},
	KindConsole:     {roles: []string{"vm"}, public: "Which VM is it about?", hint: "Try: why does the console of web-1 not open"},
	KindVolumeStuck: {roles: []string{"volume"}, public: "Which volume is it about?", hint: "Try: why can't volume db-data be deleted"},
	KindVolumeLeft:  {roles: []string{"volume", "vm"}, any: true, public: "Which volume, or which VM, is it about?", hint: "Try: why is volume db-data left after web-1 was deleted"},
}

// askable refuses a question that cannot be worked on.
func askable(q Question) error {
	need, known := lacking[q.Kind]
	missing := slices.DeleteFunc(slices.Clone(need.roles), func(role string) bool { return q.Subjects[role] != "" })
	switch {
	case known && len(missing) > 0 && (!need.any || len(missing) == len(need.roles)):
		return &Error{Code: CodeInvalid, Public: need.public, Hint: need.hint}
	case known:
		return nil
	case q.Kind == KindNone || q.Kind == KindHelp:
		return &Error{Code: CodeInvalid, Public: "There is no question in that which whybot knows.", Hint: "Try: why can't web-1 get an IP"}
	}
	return &Error{
		Code: CodeInvalid, Public: fmt.Sprintf("This version answers why a VM gets no IP or cannot ping another, why its console does not open, and about volumes; questions about %q are not in it.", q.Kind),
		Hint: "Try: why can't web-1 get an IP",
	}
}

// answer looks and judges for an open incident, and offers fixes.
func (e *Engine) answer(ctx context.Context, inc Incident, o AskOptions) (Answer, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, e.o.Total, fmt.Errorf("the question's budget of %s is used up", e.o.Total))
	defer cancel()
	best, pass, err := e.examine(ctx, inc, o)
	if err != nil {
		return Answer{}, err
	}
	best.Fixes = e.propose(inc, pass, &best)
	if err := e.record(ctx, inc, best, pass); err != nil {
		return Answer{}, err
	}
	return best, nil
}

// examine answers the question of inc without writing anything but progress:
// it is also how a fix is proven.
func (e *Engine) examine(ctx context.Context, inc Incident, o AskOptions) (Answer, *Pass, error) {
	if inc.Question.Kind == KindVolumeLeft || inc.Question.Kind == KindVolumeStuck {
		return e.examineVolumes(ctx, inc, o)
	}
	if inc.Question.Kind == KindPing {
		return e.examinePing(ctx, inc, o)
	}
	if inc.Question.Kind == KindConsole {
		return e.examineConsole(ctx, inc, o)
	}
	return e.examineGuest(ctx, inc, o)
}

// examineGuest answers why a VM gets no address.
func (e *Engine) examineGuest(ctx context.Context, inc Incident, o AskOptions) (Answer, *Pass, error) {
	tell := e.teller(inc.ID, o.Progress)
	tell("looking for %s in OpenStack", inc.Question.Subjects["vm"])
	server, err := e.findServer(ctx, inc.Question.Subjects["vm"])
	if err != nil {
		return Answer{}, nil, err
	}
	ports, err := e.o.Cloud.Attachments(ctx, server)
	if err != nil {
		return Answer{}, nil, outside(err)
	}
	if len(ports) == 0 {
		return Answer{}, nil, &Error{
			Code: CodeMissing, Public: server.Name + " has no port on any network.",
			Hint: "Attach one: openstack server add network " + server.ID + " NETWORK",
		}
	}
	ports, left := worthAsking(ports)
	type examined struct {
		a Answer
		p *Pass
	}
	results, errs := runners.Each(ctx, len(ports), ports, func(ctx context.Context, port runners.Attachment) (examined, error) {
		a, p, err := e.examinePort(ctx, inc, server, port, o, tell)
		return examined{a, p}, err
	})
	worst := -1
	for i := range results {
		if errs[i] == nil && (worst < 0 || severity(results[i].a.Verdict.State) > severity(results[worst].a.Verdict.State)) {
			worst = i
		}
	}
	if worst < 0 {
		return Answer{}, nil, errs[0]
	}
	for i, r := range results {
		if i == worst {
			continue
		}
		line := "port " + ports[i].Port.ID + " on " + ports[i].Network.Name + ": "
		if errs[i] != nil {
			results[worst].a.Unknown = append(results[worst].a.Unknown, Blind{What: line, Why: Public(errs[i])})
			if v := &results[worst].a.Verdict; v.State == Healthy {
				v.State, v.Title = Unclear, "Not every port could be examined"
			}
			continue
		}
		results[worst].a.Notes = append(results[worst].a.Notes, line+string(r.a.Verdict.State)+". "+r.a.Verdict.Summary)
	}
	for _, port := range left {
		results[worst].a.Notes = append(results[worst].a.Notes, fmt.Sprintf("Port %s on %s was not looked at: no subnet of its is served by DHCP, so it gets no address that way.", port.Port.ID, port.Network.Name))
	}
	return results[worst].a, results[worst].p, nil
}

// worthAsking separates the ports that DHCP, or a router, should serve from
// those that it need not: a network without DHCP beside one with it is meant to
// be so. When nothing should be served, all ports are worth asking about.
func worthAsking(ports []runners.Attachment) (ask, left []runners.Attachment) {
	for _, a := range ports {
		if len(a.Served(4)) > 0 || len(a.Served(6)) > 0 {
			ask = append(ask, a)
		} else {
			left = append(left, a)
		}
	}
	if len(ask) == 0 {
		return left, nil
	}
	return ask, left
}

func severity(s State) int {
	return slices.Index([]State{Healthy, Unclear, Probable, Proven}, s)
}

func (e *Engine) teller(incident string, to func(Progress)) func(string, ...any) {
	var mu sync.Mutex
	return func(format string, args ...any) {
		if to == nil {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		to(Progress{Incident: incident, Text: fmt.Sprintf(format, args...)})
	}
}

// findServer returns the one server ref names.
func (e *Engine) findServer(ctx context.Context, ref string) (runners.Server, error) {
	servers, err := e.o.Cloud.FindServers(ctx, ref)
	if err != nil {
		return runners.Server{}, notFound(ref, err)
	}
	if len(servers) == 1 {
		return servers[0], nil
	}
	lines := make([]string, 0, len(servers))
	for _, s := range servers {
		lines = append(lines, fmt.Sprintf("%s (project %s, %s)", s.ID, s.ProjectID, described(s)))
	}
	return runners.Server{}, &Error{
		Code: CodeInvalid, Public: fmt.Sprintf("%d servers are named %s: %s.", len(servers), Clean(ref, 80), strings.Join(lines, "; ")),
		Hint: "Ask again with the id of the one you mean.",
	}
}

// described tells servers of one name apart.
func described(s runners.Server) string {
	if len(s.Addresses) > 0 {
		return s.Status + ", " + strings.Join(s.Addresses, " ")
	}
	return s.Status
}

// A nearMisser is an error that knows names close to the one not found.
type nearMisser interface {
	error
	Nearest() []string
	OnlyOwnProject() bool
}

func notFound(ref string, err error) error {
	if runners.KindOf(err) != runners.NotFound {
		return outside(err)
	}
	out := &Error{Code: CodeMissing, Public: fmt.Sprintf("There is no server %q.", Clean(ref, 80)), Err: err}
	var near nearMisser
	if !errors.As(err, &near) {
		return out
	}
	if near.OnlyOwnProject() {
		out.Public = fmt.Sprintf("There is no server %q in whybot's own project; its account may not search the others.", Clean(ref, 80))
	}
	if names := near.Nearest(); len(names) > 0 {
		for i := range names {
			names[i] = Clean(names[i], 80)
		}
		out.Hint = "Nearest names: " + strings.Join(names, ", ") + "."
	}
	return out
}

// outside turns a runner's error into one for a person: the runner's text is
// written for them, the SDK's is not in it.
func outside(err error) error {
	if e, ok := errors.AsType[*runners.Error](err); ok {
		return &Error{Code: CodeOutside, Public: "OpenStack could not be read: " + e.Error() + ".", Err: err}
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return &Error{Code: CodeOutside, Public: "The question was ended before OpenStack answered.", Err: err}
	}
	return internalf(err, "reading OpenStack")
}

// asError keeps an *Error as it is and makes one of anything else.
func asError(err error) error {
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	return outside(err)
}

// examinePort answers the question for one port of the server.
func (e *Engine) examinePort(
	ctx context.Context, inc Incident, server runners.Server, port runners.Attachment, o AskOptions, tell func(string, ...any),
) (Answer, *Pass, error) {
	path, err := BuildPath(server, port)
	if err != nil {
		return Answer{}, nil, err
	}
	if nodes := path.Nodes(); len(nodes) > 0 {
		tell("reading %s", strings.Join(nodes, ", "))
	}
	x := &examination{e: e, pass: newPass(inc.Question, server, port, path), tell: tell}
	x.readNodes(ctx)
	x.diagnose(ctx)
	verdict, findings, rest := judge(x.pass, x.findings, x.unseen)
	if !o.NoCapture && x.pass.worthListening(verdict, findings) {
		tell("static reading: %s; now listening on %d hops", verdict.State, len(capturable(path)))
		x.watchPackets(ctx)
		x.control(ctx)
		x.diagnose(ctx)
		verdict, findings, rest = judge(x.pass, x.findings, x.unseen)
	}
	return Answer{
		Incident: inc.ID, Question: inc.Question, VM: server.Name, Verdict: verdict, Path: x.seen(), Findings: findings,
		Unknown: x.unseen, Checked: x.checked, Notes: append(x.notes(verdict, findings), rest...),
		Given: x.pass.given(), Held: x.pass.guestHolds(),
	}, x.pass, nil
}

// worthListening reports whether packets could change the verdict. Without a
// server of the cloud's there is nothing to follow; what can be heard then is
// whether another one answers.
func (p *Pass) worthListening(v Verdict, findings []Finding) bool {
	if len(p.Path.Exchanges()) > 0 {
		return !p.closed(v, findings)
	}
	_, ok := p.Path.Tap()
	return ok && v.State == Probable
}

// closed reports whether packets could not change what is proven. That IPv6 is
// broken says nothing of IPv4, which most guests are missed by first.
func (p *Pass) closed(v Verdict, findings []Finding) bool {
	return v.State == Proven && !p.doubted(findings) && (!v.Exchange.V6() || !slices.ContainsFunc(p.asked(), func(e Exchange) bool { return !e.V6() }))
}

// given returns the exchanges that gave the guest its address while whybot
// listened.
func (p *Pass) given() []Exchange {
	if p.Packets == nil {
		return nil
	}
	return p.Packets.Granted(p.Path)
}

// Now returns the engine's time; transports use it for what they show.
func (e *Engine) Now() time.Time { return e.o.Now() }
