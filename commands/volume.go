package commands

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"whybot/runners"
)

// Volumes reads what Cinder and Nova know about volumes.
type Volumes interface {
	// FindVolumes returns the volumes that ref may mean.
	FindVolumes(ctx context.Context, ref string) ([]runners.Volume, error)
	// VolumesOf returns the servers that ref means, deleted ones too, with the
	// volumes that have to do with each.
	VolumesOf(ctx context.Context, ref string) ([]runners.Leftover, error)
	// VolumeCase reads everything about a volume, and about the server.
	VolumeCase(ctx context.Context, v runners.Volume, serverID string) (runners.VolumeCase, error)
}

// maxVolumes is how many volumes of one server are looked at in one question.
const maxVolumes = 16

// examineVolumes answers a question about volumes: about the one that it names,
// or about all that have to do with its server. The worst is the answer.
func (e *Engine) examineVolumes(ctx context.Context, inc Incident, o AskOptions) (Answer, *Pass, error) {
	if e.o.Volumes == nil {
		return Answer{}, nil, &Error{Code: CodeInvalid, Public: "This whybot is not connected to Cinder."}
	}
	tell := e.teller(inc.ID, o.Progress)
	found, server, err := e.findVolumes(ctx, inc.Question, tell)
	if err != nil {
		return Answer{}, nil, err
	}
	left := found[min(len(found), maxVolumes):]
	found = found[:len(found)-len(left)]
	type examined struct {
		a Answer
		p *Pass
	}
	results, errs := runners.Each(ctx, 8, found, func(ctx context.Context, v runners.Volume) (examined, error) {
		a, p, err := e.examineVolume(ctx, inc, v, server, tell)
		return examined{a, p}, err
	})
	worst := -1
	for i := range results {
		if errs[i] == nil && (worst < 0 || severity(results[i].a.Verdict.State) > severity(results[worst].a.Verdict.State)) {
			worst = i
		}
	}
	if worst < 0 {
		return Answer{}, nil, outside(errs[0])
	}
	best := &results[worst].a
	for i := range found {
		switch {
		case i == worst:
		case errs[i] != nil:
			best.Unknown = append(best.Unknown, Blind{What: "volume " + VolumeName(found[i]), Why: Public(outside(errs[i]))})
		default:
			best.Notes = append(best.Notes, fmt.Sprintf("Volume %s: %s. %s", VolumeName(found[i]), results[i].a.Verdict.State, results[i].a.Verdict.Summary))
		}
	}
	if len(left) > 0 {
		best.Unknown = append(best.Unknown, Blind{What: Count(len(left), "more volume", "more volumes") + " of the server", Why: fmt.Sprintf("at most %d are looked at in one question; ask about one by its name", maxVolumes)})
	}
	return *best, results[worst].p, nil
}

// findVolumes returns the volumes that the question is about, and the id of the
// server that it names, if any.
func (e *Engine) findVolumes(ctx context.Context, q Question, tell func(string, ...any)) ([]runners.Volume, string, error) {
	ref, vm := q.Subjects["volume"], q.Subjects["vm"]
	if ref != "" {
		tell("looking for volume %s in OpenStack", Clean(ref, 80))
		found, err := e.o.Volumes.FindVolumes(ctx, ref)
		if err != nil {
			return nil, "", volumeMissing(ref, err)
		}
		if len(found) > 1 {
			return nil, "", ambiguousVolumes(ref, found)
		}
		return found, e.serverOf(ctx, vm), nil
	}
	tell("looking for %s and its volumes in OpenStack", Clean(vm, 80))
	owners, err := e.o.Volumes.VolumesOf(ctx, vm)
	if err != nil {
		return nil, "", notFound(vm, err)
	}
	owner, err := oneOwner(vm, owners)
	if err != nil {
		return nil, "", err
	}
	if len(owner.Volumes) == 0 {
		return nil, "", &Error{
			Code: CodeMissing, Public: fmt.Sprintf("No volume that Cinder shows has to do with %s: none is attached to it, was let go when it was deleted, or is named after it.", owner.Server.Name()),
			Hint: "Ask about the volume by its name or id.",
		}
	}
	return owner.Volumes, owner.Server.ID, nil
}

// serverOf returns the id of the one server that is named besides a volume;
// empty when there is none, or Nova does not say.
func (e *Engine) serverOf(ctx context.Context, ref string) string {
	if ref == "" {
		return ""
	}
	owners, err := e.o.Volumes.VolumesOf(ctx, ref)
	if err != nil || len(owners) != 1 {
		return ""
	}
	return owners[0].Server.ID
}

// oneOwner is the server that is meant: of several that are deleted the last.
func oneOwner(ref string, owners []runners.Leftover) (runners.Leftover, error) {
	alive := slices.DeleteFunc(slices.Clone(owners), func(l runners.Leftover) bool { return l.Server.Gone.Or(false) })
	if len(owners) == 1 {
		return owners[0], nil
	}
	if len(alive) == 0 && len(owners) > 0 {
		return slices.MaxFunc(owners, func(a, b runners.Leftover) int {
			at, _ := a.Server.Deleted.Get() // the zero time of one that is not known loses
			bt, _ := b.Server.Deleted.Get()
			return at.Compare(bt)
		}), nil
	}
	lines := make([]string, 0, len(owners))
	for _, l := range owners {
		lines = append(lines, l.Server.ID)
	}
	return runners.Leftover{}, &Error{
		Code: CodeInvalid, Public: fmt.Sprintf("%d servers are named %s: %s.", len(owners), Clean(ref, 80), strings.Join(lines, "; ")),
		Hint: "Ask again with the id of the one you mean.",
	}
}

func ambiguousVolumes(ref string, found []runners.Volume) error {
	lines := make([]string, 0, len(found))
	for _, v := range found {
		lines = append(lines, fmt.Sprintf("%s (project %s, %s, %d GiB, made %s)", v.ID, v.ProjectID, v.Status, v.Size, v.Created.UTC().Format("2006-01-02")))
	}
	return &Error{
		Code: CodeInvalid, Public: fmt.Sprintf("%d volumes are named %s: %s.", len(found), Clean(ref, 80), strings.Join(lines, "; ")),
		Hint: "Ask again with the id of the one you mean.",
	}
}

// volumeMissing says that there is no such volume, or that Cinder cannot be
// asked.
func volumeMissing(ref string, err error) error {
	var near nearMisser
	if runners.KindOf(err) != runners.NotFound || !errors.As(err, &near) {
		return outside(err) // no Cinder in the catalogue is no missing volume
	}
	out := &Error{Code: CodeMissing, Public: fmt.Sprintf("There is no volume %q.", Clean(ref, 80)), Err: err}
	if near.OnlyOwnProject() {
		out.Public = fmt.Sprintf("There is no volume %q in whybot's own project; its account may not see the others'.", Clean(ref, 80))
	}
	names := slices.Clone(near.Nearest())
	for i := range names {
		names[i] = Clean(names[i], 80)
	}
	if len(names) > 0 {
		out.Hint = "Nearest names: " + strings.Join(names, ", ") + "."
	}
	return out
}

// VolumeName is what a person calls a volume: its name, or its id when it has
// none.
func VolumeName(v runners.Volume) string {
	if v.Name == "" {
		return v.ID
	}
	return Clean(v.Name, 80)
}

// examineVolume answers the question for one volume.
func (e *Engine) examineVolume(ctx context.Context, inc Incident, v runners.Volume, serverID string, tell func(string, ...any)) (Answer, *Pass, error) {
	c, err := e.o.Volumes.VolumeCase(ctx, v, serverID)
	if err != nil {
		return Answer{}, nil, err
	}
	pass := newPass(inc.Question, runners.Server{}, runners.Attachment{}, &Path{})
	pass.Volume = &c
	x := &examination{e: e, pass: pass, tell: tell}
	if nodes := pass.VolumeNodes(); len(nodes) > 0 {
		tell("reading %s", strings.Join(nodes, ", "))
	}
	x.readNodes(ctx)
	x.diagnose(ctx)
	verdict, findings := judgeVolume(pass, x.findings, x.unseen)
	return Answer{
		Incident: inc.ID, Question: inc.Question, VM: VolumeName(c.Volume), Verdict: verdict, Findings: findings,
		Unknown: x.unseen, Checked: x.checked, Notes: x.remarks,
	}, pass, nil
}

// VolumeNodes returns the nodes on which something can be read about the volume:
// for one that cannot be deleted those that may run its cinder-volume, for one
// that stayed the compute node whose Nova was to delete it.
func (p *Pass) VolumeNodes() []string {
	if p.Volume == nil {
		return nil
	}
	if p.Question.Kind == KindVolumeLeft {
		return p.computeNodes()
	}
	host, shown := p.Volume.Volume.Host.Get()
	machines, known := p.Volume.Machines.Get()
	services, listed := p.Volume.Services.Get()
	if !shown || host == "" || !listed {
		return nil
	}
	own := runners.ParseBackend(host).Host
	var nodes []string
	for _, s := range services {
		name := runners.ParseBackend(s.Host).Host
		if name == own || s.Binary != "cinder-volume" || known && slices.Contains(machines, name) {
			nodes = appendNew(nodes, name)
		}
	}
	if known && !slices.Contains(machines, own) {
		// The service goes by a name that is no machine's: any that controls the
		// cloud may run it.
		nodes = slices.DeleteFunc(nodes, func(n string) bool { return n == own })
		for _, m := range machines {
			nodes = appendNew(nodes, m)
		}
	}
	slices.Sort(nodes)
	return nodes
}

// computeNodes are those of servers that are gone.
func (p *Pass) computeNodes() []string {
	var nodes []string
	for _, t := range p.Volume.Servers {
		s, _ := t.Server.Get()
		if host := s.Host.Or(""); host != "" && t.Gone.Or(false) {
			nodes = appendNew(nodes, host)
		}
	}
	return nodes
}

// volumeScopes are the nodes of a question about a volume.
func (p *Pass) volumeScopes() []Scope {
	var scopes []Scope
	for _, n := range p.VolumeNodes() {
		scopes = append(scopes, Scope{Node: n, Volume: p.Volume.Volume.ID})
	}
	return scopes
}

// nodes are the nodes that the question leads to.
func (p *Pass) nodes() []string {
	if p.Volume != nil {
		return p.VolumeNodes()
	}
	if p.Console != nil {
		return p.ConsoleNodes()
	}
	return p.Path.Nodes()
}

// volumeEntities are the names that an incident about a volume is found by.
func (p *Pass) volumeEntities() []string {
	v := p.Volume.Volume
	names := []string{v.Name, v.ID}
	for _, t := range p.Volume.Servers {
		names = append(names, t.ID, t.Name())
	}
	return append(names, p.VolumeNodes()...)
}
