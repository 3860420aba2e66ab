package bot_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"whybot/bot"
	"whybot/commands"
)

// The core is an Engine.
var _ bot.Engine = (*commands.Engine)(nil)

// scripted is an Engine that keeps the core's rules about who gets to apply
// what, and makes no changes to anything.
type scripted struct {
	memory *notebook
	policy commands.Policy
	now    func() time.Time

	// answer is what is found; a copy is completed for each question.
	answer commands.Answer
	// during runs in the middle of a question or change, if set.
	during func(ctx context.Context, progress func(string)) error
	proof  commands.Verdict
	end    commands.ProposalState

	mu      sync.Mutex
	asked   []commands.Question
	applied []string
	undone  []string
	refused int
}

func (e *scripted) counts() (asked, applied, undone, refused int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.asked), len(e.applied), len(e.undone), e.refused
}

func (e *scripted) Ask(ctx context.Context, who commands.Actor, q commands.Question, o commands.AskOptions) (commands.Answer, error) {
	if q.Kind != commands.KindDHCP && q.Kind != commands.KindConsole && q.Kind != commands.KindVolumeStuck && q.Kind != commands.KindVolumeLeft {
		return commands.Answer{}, &commands.Error{
			Code: commands.CodeInvalid, Public: fmt.Sprintf("This version answers why a VM gets no IP; questions about %q are not in it.", q.Kind),
		}
	}
	e.mu.Lock()
	e.asked = append(e.asked, q)
	e.mu.Unlock()
	inc, err := e.memory.OpenIncident(ctx, commands.Incident{
		Opened: e.now(), Question: q, Asker: who, Entities: []string{q.Subjects["vm"], "compute01", "controller01"}, Thread: o.Thread,
	}, commands.Event{Kind: commands.EventAsked, At: e.now(), Actor: who, Text: q.Text})
	if err != nil {
		return commands.Answer{}, err
	}
	tell := func(line string) { o.Progress(commands.Progress{Incident: inc.ID, Text: line}) }
	tell("looking for " + q.Subjects["vm"] + " in OpenStack")
	if e.during != nil {
		if err := e.during(ctx, tell); err != nil {
			failed := commands.Event{Incident: inc.ID, Kind: commands.EventFailed, At: e.now(), Text: commands.Public(err)}
			return commands.Answer{Incident: inc.ID, Question: q}, errors.Join(err, e.memory.Append(context.WithoutCancel(ctx), failed))
		}
	}
	a := copied(e.answer)
	a.Incident, a.Question, a.Took = inc.ID, q, 1840*time.Millisecond
	if a.VM == "" {
		a.VM = q.Subjects["vm"]
	}
	for i := range a.Fixes {
		a.Fixes[i].Incident, a.Fixes[i].State = inc.ID, commands.Proposed
		if inc.ID != "inc-1" {
			a.Fixes[i].ID += "-" + inc.ID
		}
		a.Fixes[i].Hash = commands.PlanHash(a.Fixes[i].Steps)
		a.Fixes[i].Created, a.Fixes[i].Expires = e.now(), e.now().Add(30*time.Minute)
	}
	if _, err := e.memory.ChangeIncident(ctx, inc.ID, func(inc *commands.Incident) ([]commands.Event, error) {
		inc.Verdict = &a.Verdict
		return []commands.Event{{Kind: commands.EventVerdict, At: e.now(), Text: a.Verdict.Summary}}, nil
	}); err != nil {
		return commands.Answer{}, err
	}
	if len(a.Fixes) > 0 {
		return a, e.memory.Propose(ctx, a.Fixes, commands.Event{Kind: commands.EventProposed, At: e.now(), Text: a.Fixes[0].Title})
	}
	return a, nil
}

func (e *scripted) proposal(ctx context.Context, id string, r commands.Petition) (commands.Proposal, error) {
	ps, err := e.memory.ListProposals(ctx, commands.ProposalQuery{ID: id})
	if err != nil {
		return commands.Proposal{}, err
	}
	if len(ps) == 0 {
		return commands.Proposal{}, missing("fix", id)
	}
	r.Proposal = ps[0]
	if _, err := e.policy.Allow(ctx, r); err != nil {
		e.mu.Lock()
		e.refused++
		e.mu.Unlock()
		if no, ok := errors.AsType[*commands.Refusal](err); ok && no.Expired {
			p, moveErr := e.move(ctx, id, []commands.ProposalState{commands.Proposed}, nil, commands.Expired, "")
			return p, errors.Join(err, moveErr)
		}
		return ps[0], err
	}
	if r.BreakGlass {
		if err := e.policy.Alarm(ctx, r); err != nil {
			return ps[0], &commands.Error{Code: commands.CodeOutside, Public: "The channel that has to know could not be told, so nothing was changed.", Err: err}
		}
	}
	return ps[0], nil
}

func (e *scripted) move(ctx context.Context, id string, from []commands.ProposalState, who *commands.Actor, to commands.ProposalState, outcome string) (commands.Proposal, error) {
	return e.memory.ChangeProposal(ctx, id, func(p *commands.Proposal) ([]commands.Event, error) {
		ok := false
		for _, s := range from {
			ok = ok || p.State == s
		}
		if !ok {
			return nil, &commands.Error{Code: commands.CodeGone, Public: "This fix is " + string(p.State) + " already.", Hint: p.Outcome}
		}
		if to == commands.Applying && e.now().After(p.Expires) {
			p.State = commands.Expired
			return []commands.Event{{Kind: commands.EventExpired, At: e.now(), Text: p.Title}}, nil
		}
		if who != nil {
			p.Approved = append(p.Approved, *who)
			if len(p.Approved) < p.Approvals {
				return nil, nil
			}
		}
		p.State, p.Outcome = to, outcome
		return []commands.Event{{Kind: commands.EventKind(to), At: e.now(), Text: p.Title + " " + outcome}}, nil
	})
}

func (e *scripted) Apply(ctx context.Context, id string, who commands.Actor, progress func(commands.Progress)) (commands.Outcome, error) {
	return e.apply(ctx, id, commands.Petition{Deed: commands.DeedApprove, Who: who}, progress)
}

func (e *scripted) BreakGlass(ctx context.Context, id string, who commands.Actor, reason string, progress func(commands.Progress)) (commands.Outcome, error) {
	return e.apply(ctx, id, commands.Petition{Deed: commands.DeedApprove, Who: who, BreakGlass: true, Reason: reason}, progress)
}

func (e *scripted) apply(ctx context.Context, id string, r commands.Petition, progress func(commands.Progress)) (commands.Outcome, error) {
	p, err := e.proposal(ctx, id, r)
	if err != nil {
		return commands.Outcome{Proposal: p}, err
	}
	if r.BreakGlass {
		p, err = e.memory.ChangeProposal(ctx, id, func(p *commands.Proposal) ([]commands.Event, error) {
			p.BreakGlass, p.Approvals = r.Reason, 1
			return nil, nil
		})
		if err != nil {
			return commands.Outcome{Proposal: p}, err
		}
	}
	p, err = e.move(ctx, id, []commands.ProposalState{commands.Proposed}, &r.Who, commands.Applying, "")
	if err == nil && p.State == commands.Expired {
		err = &commands.Error{Code: commands.CodeGone, Public: "This fix has expired; the facts it rests on are too old.", Hint: "Ask the question again."}
	}
	if err != nil || p.State != commands.Applying {
		return commands.Outcome{Proposal: p}, err
	}
	e.mu.Lock()
	e.applied = append(e.applied, id)
	e.mu.Unlock()
	tell := func(line string) { progress(commands.Progress{Incident: p.Incident, Text: line}) }
	tell("checking that nothing has changed")
	if e.during != nil {
		if err := e.during(ctx, tell); err != nil {
			p, _ = e.move(context.WithoutCancel(ctx), id, []commands.ProposalState{commands.Applying}, nil, commands.Refused, "Not applied. "+commands.Public(err))
			return commands.Outcome{Proposal: p}, err
		}
	}
	proof := e.proof
	if _, err := e.memory.ChangeIncident(ctx, p.Incident, func(inc *commands.Incident) ([]commands.Event, error) {
		inc.Verdict = &proof
		return nil, nil
	}); err != nil {
		return commands.Outcome{}, err
	}
	p, err = e.move(ctx, id, []commands.ProposalState{commands.Applying}, nil, e.end, "Proven: "+proof.Summary)
	return commands.Outcome{Proposal: p, Proof: &commands.Answer{Incident: p.Incident, Verdict: proof}}, err
}

func (e *scripted) Undo(ctx context.Context, id string, who commands.Actor, progress func(commands.Progress)) (commands.Outcome, error) {
	p, err := e.proposal(ctx, id, commands.Petition{Deed: commands.DeedUndo, Who: who})
	if err != nil {
		return commands.Outcome{Proposal: p}, err
	}
	if _, err := e.move(ctx, id, []commands.ProposalState{commands.Applied, commands.Verified, commands.NotCured}, nil, commands.Undoing, ""); err != nil {
		return commands.Outcome{Proposal: p}, err
	}
	e.mu.Lock()
	e.undone = append(e.undone, id)
	e.mu.Unlock()
	progress(commands.Progress{Incident: p.Incident, Text: "undoing: " + p.Title})
	p, err = e.move(ctx, id, []commands.ProposalState{commands.Undoing}, nil, commands.Undone, "Everything is as it was before.")
	return commands.Outcome{Proposal: p}, err
}

func (e *scripted) Decline(ctx context.Context, id string, who commands.Actor, _ string) (commands.Proposal, error) {
	if p, err := e.proposal(ctx, id, commands.Petition{Deed: commands.DeedDecline, Who: who}); err != nil {
		return p, err
	}
	return e.move(ctx, id, []commands.ProposalState{commands.Proposed}, nil, commands.Declined, "Declined.")
}

// blockedReply is an answer as the catalogue gives it: a rule drops the replies.
func blockedReply() commands.Answer {
	seen := func(node, device string, kind commands.HopKind, requests, replies int) commands.HopSeen {
		return commands.HopSeen{Hop: commands.Hop{Node: node, Device: device, Kind: kind}, Observed: true, Requests: requests, Replies: replies}
	}
	rule := "-A FORWARD -m physdev --physdev-in eth1.10 -j REJECT"
	summary := "iptables on compute01 rejects the reply in chain FORWARD; its counter grew by 3, the packets lost."
	edge := &commands.EdgeJSON{From: "compute01/eth1.10", To: "compute01/tap3d1c2f4a-0b", Direction: commands.Reply}
	fix := func(id, title string, persistent bool, class commands.Class) commands.Proposal {
		return commands.Proposal{
			ID: id, Fix: id, Class: class, Title: title, Cause: "DHCP-01", Edge: edge, Persistent: persistent, Approvals: 1,
			Steps:    []commands.Step{{Kind: "insert-rule", Node: "compute01", Args: map[string]string{"port": "tap3d1c2f4a-0b", "of": id}}},
			Commands: []string{"compute01# iptables -I FORWARD 1 -m physdev --physdev-out tap3d1c2f4a-0b -j ACCEPT"},
			Undo:     []string{"compute01# iptables -D FORWARD -m physdev --physdev-out tap3d1c2f4a-0b -j ACCEPT"},
			Touches:  []string{"Only frames of bridge port tap3d1c2f4a-0b on compute01."},
		}
	}
	return commands.Answer{
		Verdict: commands.Verdict{State: commands.Proven, Cause: "DHCP-01", Title: "A packet filter drops the reply", Summary: summary, Edge: edge},
		Path: []commands.HopSeen{
			seen("compute01", "tap3d1c2f4a-0b", commands.HopTap, 3, 0), seen("compute01", "eth1.10", commands.HopSegment, 3, 3),
			{Hop: commands.Hop{Node: "controller01", Device: "ns-2f", Kind: commands.HopNetns}, Why: "not a place to capture"},
		},
		Findings: []commands.Finding{{
			Cause: "DHCP-01", Title: "A packet filter drops the reply", State: commands.Proven, Node: "compute01", Summary: summary,
			Evidence: []commands.Evidence{{Source: "compute01: iptables-save -c", Text: "[3:984] " + rule + "\nCOMMIT"}},
			Advice:   []string{"Find out what writes this rule, or it will come back."},
		}},
		Fixes: []commands.Proposal{
			fix("fx-accept", "Accept DHCP of tap3d1c2f4a-0b on compute01", false, commands.F1),
			fix("fx-delete", "Delete the rule that rejects it on compute01", false, commands.F1),
			fix("fx-comment", "Comment the rule out in rules.v4 on compute01", true, commands.F2),
		},
		Unknown: []commands.Blind{{What: "packets at controller01/eth1", Why: "controller01: tcpdump: program missing"}},
		Checked: []commands.Check{{At: commands.Hop{Node: "controller01"}, What: "dnsmasq of controller01 has the port's MAC"}, {At: commands.Hop{Node: "controller01"}, What: "iptables of controller01 lets the reply pass"}},
		Notes:   []string{"Neutron counts the DHCP agent on network01 as dead; a dnsmasq it started keeps serving."},
	}
}

var cured = commands.Verdict{State: commands.Healthy, Title: "The guest gets its address", Summary: "DHCP works for web-1: 2 replies reached its tap while whybot listened."}
