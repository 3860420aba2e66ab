package commands

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// judge turns what was seen and found into the verdict, and returns the
// findings that stand, the most important first.
//
// A branch is one way to a DHCP server. One working branch is enough for a
// guest, so a finding on one branch is the cause only when every branch is
// cut; a finding on the guest's own part cuts them all. Where packets were
// captured, the edge they end on decides: a finding further along the way is
// true but not yet the reason.
func judge(p *Pass, findings []Finding, unseen []Blind) (Verdict, []Finding) {
	j := judgement{p: p, findings: p.inPathOrder(findings), unseen: unseen}
	if v, ok := j.delivered(); ok {
		return v, j.findings
	}
	if len(p.Path.Branches) == 0 {
		return j.withoutServers(), j.findings
	}
	cuts := j.cuts(false)
	if slices.ContainsFunc(cuts, func(c cut) bool { return c.finding < 0 }) {
		cuts = j.cuts(true)
	}
	// The least certain cut decides what can be said of all of them.
	worst := slices.MinFunc(cuts, func(a, b cut) int { return cmp.Compare(a.rank, b.rank) })
	return j.verdictOf(worst, cuts), j.findings
}

type judgement struct {
	p        *Pass
	findings []Finding
	unseen   []Blind
}

// A cut says how surely one branch is known to be cut.
type cut struct {
	rank    cutRank
	branch  Branch
	flow    Flow
	finding int // index into the findings, -1 for none
}

type cutRank int

const (
	uncut       cutRank = iota // nothing found, nothing lost: looks good
	notSeen                    // could not tell
	lostUnnamed                // frames end on an edge, nothing found explains it
	cutProbably                // a probable finding
	cutProven                  // a proven finding
)

// delivered answers healthy when an acknowledgement reached the guest's tap. An
// offer alone does not: the guest may not take it.
func (j *judgement) delivered() (Verdict, bool) {
	if j.p.Packets == nil {
		return Verdict{}, false
	}
	for _, b := range j.p.Path.Branches {
		if j.p.Packets.Trace(j.p.Path, b).State != FlowDelivered {
			continue
		}
		_, replies := j.p.Packets.Count(j.p.Path.Guest[0])
		return Verdict{
			State: Healthy, Title: "The guest gets its address",
			Summary: fmt.Sprintf("DHCP works for %s: the server on %s acknowledged its lease while whybot listened (replies at its tap: %d).", j.p.Server.Name, b.Node, replies),
		}, true
	}
	return Verdict{}, false
}

// cuts judges every branch, with or without the findings that yield.
func (j *judgement) cuts(yielding bool) []cut {
	cuts := make([]cut, 0, len(j.p.Path.Branches))
	for _, b := range j.p.Path.Branches {
		cuts = append(cuts, j.cutOf(b, yielding))
	}
	return cuts
}

// cutOf judges one branch: the first thing on its way that stops frames.
func (j *judgement) cutOf(b Branch, yielding bool) cut {
	c := cut{branch: b, flow: Flow{State: FlowBlind}}
	if j.p.Packets != nil {
		c.flow = j.p.Packets.Trace(j.p.Path, b)
	}
	// Proven findings come first, each kind in path order.
	c.finding = slices.IndexFunc(j.findings, func(f Finding) bool {
		return (yielding || !f.Yields) && j.p.Path.cutBy(f, b, c.flow)
	})
	switch {
	case c.finding >= 0 && j.findings[c.finding].State == Proven:
		c.rank = cutProven
	case c.finding >= 0:
		c.rank = cutProbably
	case c.flow.State == FlowLost, c.flow.State == FlowOffered:
		c.rank = lostUnnamed
	case j.p.guestHolds() && !j.blindOn(b):
		c.rank = uncut
	default:
		c.rank = notSeen
	}
	return c
}

// cutBy reports whether f can be what cuts b, where its frames are known to end
// as flow says.
func (p *Path) cutBy(f Finding, b Branch, flow Flow) bool {
	switch {
	case f.Branch != "" && f.Branch != b.Node, flow.State == FlowOffered:
		return false
	case flow.State == FlowLost:
		return Within(p.Flow(b), f.Edge, flow.Edge)
	default:
		return true
	}
}

// blindOn reports whether anything on b's way could not be seen: what was not
// looked at is not clear.
func (j *judgement) blindOn(b Branch) bool {
	return slices.ContainsFunc(j.unseen, func(u Blind) bool { return u.Node == "" || u.Node == b.Node || u.Node == j.p.Path.Node })
}

// guestHolds reports whether the guest answered ARP for its own address.
func (p *Pass) guestHolds() bool {
	return p.Packets != nil && p.Packets.Holder != "" && p.Packets.Holder == p.Port.Port.MAC
}

// Within reports whether an edge lies on the edge frames are lost on, which
// may span hops of the flow that were not observed.
func Within(flow []Hop, found, lost Edge) bool {
	from, to := position(flow, lost.From), position(flow, lost.To)
	f, t := position(flow, found.From), position(flow, found.To)
	if f < 0 || t < 0 || found.Direction != lost.Direction {
		return false
	}
	return min(f, t) >= min(from, to) && max(f, t) <= max(from, to)
}

func position(flow []Hop, h Hop) int { return slices.Index(flow, h) }

// inPathOrder sorts findings: proven before probable, then by where on the
// way, in the order frames travel, requests first.
func (p *Pass) inPathOrder(findings []Finding) []Finding {
	rank := map[Hop]int{}
	for i, h := range p.Path.Hops() {
		if _, ok := rank[h]; !ok {
			rank[h] = i
		}
	}
	far := len(rank)
	at := func(f Finding) int {
		if f.Edge.Direction == Reply {
			return 2*far - rank[f.Edge.From]
		}
		return rank[f.Edge.From]
	}
	sorted := slices.Clone(findings)
	slices.SortStableFunc(sorted, func(a, b Finding) int {
		if a.State != b.State {
			if a.State == Proven {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(at(a), at(b)), cmp.Compare(a.Cause, b.Cause))
	})
	return sorted
}

// verdictOf states the least certain cut, in the light of the others.
func (j *judgement) verdictOf(worst cut, cuts []cut) Verdict {
	switch worst.rank {
	case cutProven, cutProbably:
		return j.named(worst, cuts)
	case lostUnnamed:
		return j.unnamed(worst)
	case uncut:
		return Verdict{
			State: Healthy, Title: "The guest has its address",
			Summary: fmt.Sprintf("%s answers for its address, and nothing that was read stops DHCP between it and the server on %s. It did not ask while whybot listened, so DHCP itself was not seen at work.", j.p.Server.Name, worst.branch.Node),
		}
	case notSeen:
	}
	return j.notSeen(worst)
}

func (j *judgement) named(worst cut, cuts []cut) Verdict {
	// Of branches that are cut alike, the one first on the path is named.
	first := worst.finding
	for _, c := range cuts {
		if c.rank == worst.rank {
			first = min(first, c.finding)
		}
	}
	f := j.findings[first]
	v := Verdict{State: f.State, Cause: f.Cause, Title: f.Title, Summary: f.Summary, Edge: f.Edge.JSON(), Missing: f.Missing}
	if j.p.guestHolds() {
		v.Summary = strings.TrimSuffix(v.Summary, ".") + fmt.Sprintf(". %s still answers for its address now; the next renewal may fail.", j.p.Server.Name)
	}
	return v
}

func (j *judgement) unnamed(c cut) Verdict {
	if c.flow.State == FlowOffered {
		return Verdict{
			State: Unclear, Title: "Offers reach the guest, and it does not take them",
			Summary: fmt.Sprintf("Offers of the server on %s reach %s, and no lease was acknowledged: the guest drops them, or what follows is lost.", c.branch.Node, j.p.Path.Guest[0]),
			Missing: "what the guest says of the offers: its console log, its own packet filter, bad UDP checksums (tcpdump -vv on the tap)",
		}
	}
	e := c.flow.Edge
	v := Verdict{
		State: Unclear, Title: "Lost on a known edge, for a reason whybot does not know",
		Summary: fmt.Sprintf("%d DHCP frames (%s) left %s and none arrived at %s. No rule or state that was read is known to do it.",
			c.flow.Lost, e.Direction, e.From, e.To),
		Edge: e.JSON(),
	}
	hidden := slices.IndexFunc(j.unseen, func(u Blind) bool { return u.Node == e.From.Node || u.Node == e.To.Node })
	switch {
	case hidden >= 0:
		v.Missing = j.unseen[hidden].What + ": " + j.unseen[hidden].Why
	case e.From.Node != e.To.Node:
		v.Missing = "what lies between the two NICs: virtual switch port groups (forged transmits, promiscuous mode, VLAN trunk) and physical switch ports"
	case e.To.Kind == HopServer:
		v.Missing = "why dnsmasq on " + e.To.Node + " does not answer: its log"
	default:
		v.Missing = "filters that this version does not evaluate on " + e.To.Node + ": ebtables, arptables, tc"
	}
	return v
}

func (j *judgement) notSeen(c cut) Verdict {
	v := Verdict{State: Unclear, Title: "Not enough could be seen"}
	switch {
	case j.p.Packets == nil:
		v.Summary = "Nothing that was read stops DHCP on the path, but no packets were looked at."
		v.Missing = "a capture of the guest's DHCP packets"
	case j.p.guestHolds():
		v.Summary = j.p.Server.Name + " answers for its address now. Whether DHCP would serve it again is not known."
	case c.flow.State == FlowSilent:
		v.Summary = fmt.Sprintf("%s sent no DHCP request in %.0f s%s; nothing that was read stops DHCP on the path.",
			j.p.Server.Name, j.p.Packets.Took.Seconds(), j.unanswered())
		v.Missing = "a DHCP request of the guest: renew its lease from the console, then ask again"
	default:
		v.Summary = "The packets could not be followed on " + c.branch.Node + "."
	}
	if len(j.findings) > 0 {
		v.Summary += fmt.Sprintf(" Found so far: %s (%s).", j.findings[0].Summary, j.findings[0].State)
	}
	if len(j.unseen) > 0 {
		v.Summary += fmt.Sprintf(" Not seen: %s (%s)", j.unseen[0].What, j.unseen[0].Why)
		if n := len(j.unseen) - 1; n > 0 {
			v.Summary += fmt.Sprintf(", and %d more", n)
		}
		v.Summary += "."
	}
	return v
}

// unanswered says that the guest was asked for its address in vain, if it was.
func (j *judgement) unanswered() string {
	if j.p.Packets.Asked {
		return " and does not answer for its address"
	}
	return ""
}

func (j *judgement) withoutServers() Verdict {
	if len(j.findings) > 0 {
		f := j.findings[0]
		return Verdict{State: f.State, Cause: f.Cause, Title: f.Title, Summary: f.Summary, Edge: f.Edge.JSON(), Missing: f.Missing}
	}
	return Verdict{
		State: Unclear, Title: "No DHCP server is known",
		Summary: "Neutron shows no DHCP port for network " + j.p.Port.Network.Name + ", so there is no server to follow the path to.",
		Missing: "which DHCP server is meant to serve this network",
	}
}
