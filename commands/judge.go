package commands

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"whybot/commands/capture"
	"whybot/runners"
)

// judge turns what was seen and found into the verdict, returns the findings
// that stand, the most important first, and says in lines what became of the
// exchanges that the verdict is not about.
//
// A guest may need several exchanges (DHCP for IPv4, router advertisements for
// IPv6), and the worst of them is the answer. A branch is one way to a server:
// one working branch is enough, so a finding on one branch is the cause only
// when every branch is cut; a finding on the guest's own part cuts them all.
// Where packets were captured, the edge they end on decides: a finding further
// along the way is true but not yet the reason.
func judge(p *Pass, findings []Finding, unseen []Blind) (Verdict, []Finding, []string) {
	j := judgement{p: p, findings: p.inPathOrder(findings), unseen: unseen}
	asked := p.asked()
	if len(asked) == 0 {
		return j.withoutServers(), j.findings, nil
	}
	verdicts := make([]Verdict, len(asked))
	worst := 0
	for i, e := range asked {
		verdicts[i] = j.of(e)
		verdicts[i].Exchange = e
		if j.weight(verdicts[i], e) > j.weight(verdicts[worst], asked[worst]) {
			worst = i
		}
	}
	var rest []string
	for i, e := range asked {
		if i != worst {
			rest = append(rest, fmt.Sprintf("%s: %s. %s", e, verdicts[i].State, verdicts[i].Summary))
		}
	}
	return p.settled(j.withIPv4(verdicts[worst], asked)), j.findings, rest
}

// withIPv4 takes back that all is well where only IPv6 was looked at, though
// the network has IPv4 and the question does not say that it is not meant. What
// was found of IPv4 is then the answer.
func (j *judgement) withIPv4(v Verdict, asked []Exchange) Verdict {
	p := j.p
	has4 := slices.ContainsFunc(p.Port.Subnets, func(s runners.Subnet) bool { return s.IPVersion == 4 })
	if v.State != Healthy || !has4 || slices.Contains(asked, capture.DHCP) || ipv6Words.MatchString(p.Question.Text) {
		return v
	}
	if i := slices.IndexFunc(j.findings, func(f Finding) bool { return f.Exchange == capture.DHCP && !f.Aside }); i >= 0 {
		v = rooted(j.findings[i], j.findings[i])
		v.Summary += ". IPv6 works."
		return v
	}
	v.State, v.Title = Unclear, "IPv6 works; nothing serves IPv4 to this port"
	v.Summary += " The network has an IPv4 subnet too, and none of the port's addresses is served by DHCP there."
	v.Missing = "whether the guest is meant to get an IPv4 address: the port's fixed addresses, and enable_dhcp of the IPv4 subnet"
	return v
}

var ipv6Words = regexp.MustCompile(`(?i)\b(ip)?v6\b|\bslaac\b|\bdhcpv6\b`)

// asked returns the exchanges that the question is about: those of IPv6 when it
// names them, else all.
func (p *Pass) asked() []Exchange {
	all := p.Path.Exchanges()
	v6 := slices.DeleteFunc(slices.Clone(all), func(e Exchange) bool { return !e.V6() })
	if len(v6) > 0 && ipv6Words.MatchString(p.Question.Text) {
		return v6
	}
	return all
}

// awaited returns what is listened for: what is asked, or DHCP where no server
// is known.
func (p *Pass) awaited() []Exchange {
	if asked := p.asked(); len(asked) > 0 {
		return asked
	}
	return []Exchange{capture.DHCP}
}

// weight orders the verdicts of several exchanges.
func (j *judgement) weight(v Verdict, e Exchange) int {
	w := 2 * severity(v.State)
	if v.State == Unclear && j.unmissed(e) {
		w -= 3
	}
	return w
}

// unmissed reports whether nothing is known to be amiss with an exchange of
// IPv6: all of its way was watched, and the guest did not ask, or asked a router
// that is not the cloud's. That does not outweigh that IPv4 works: few guests
// show that they want IPv6.
func (j *judgement) unmissed(e Exchange) bool {
	if !e.V6() || j.p.Packets == nil {
		return false
	}
	return !slices.ContainsFunc(j.p.Path.Of(e), func(b Branch) bool {
		f := j.p.Packets.Trace(j.p.Path, b, e)
		outside := f.State == FlowLost && f.Edge.To.Node == ""
		return f.State != FlowSilent && !outside || j.blindOn(b)
	})
}

// settled makes a verdict about a server on the move, or not yet built, less
// than certain: what is missing now may be there in a moment.
func (p *Pass) settled(v Verdict) Verdict {
	s := p.Server
	switch {
	case v.State != Proven || v.Edge == nil:
	case s.Status == "BUILD", s.Status == "REBUILD", s.Status == "MIGRATING", s.Status == "RESIZE",
		strings.Contains(s.TaskState, "migrat"), strings.HasPrefix(s.TaskState, "resize"), p.Port.Port.MigratingTo.Or("") != "":
		v.State, v.Missing = Probable, fmt.Sprintf("the end of what Nova is doing with %s (%s): its port may be moved or wired any moment; ask again then", s.Name, doing(s, p.Port.Port.MigratingTo.Or("")))
	}
	return v
}

// doing is what Nova does with a server.
func doing(s runners.Server, to string) string {
	what := strings.TrimSpace(s.Status + " " + s.TaskState)
	if to != "" {
		what += ", to " + to
	}
	return what
}

// of judges one exchange.
func (j *judgement) of(e Exchange) Verdict {
	if v, ok := j.delivered(e); ok {
		return v
	}
	cuts := j.cuts(e, false)
	if slices.ContainsFunc(cuts, func(c cut) bool { return c.finding < 0 }) {
		cuts = j.cuts(e, true)
	}
	// The least certain cut decides what can be said of all of them.
	worst := slices.MinFunc(cuts, func(a, b cut) int { return cmp.Compare(a.rank, b.rank) })
	return j.verdictOf(worst, cuts)
}

type judgement struct {
	p        *Pass
	findings []Finding
	unseen   []Blind
}

// A cut says how surely one branch is known to be cut.
type cut struct {
	rank     cutRank
	branch   Branch
	exchange Exchange
	flow     Flow
	finding  int     // index into the findings, -1 for none
	effect   Finding // what cuts; the finding itself, or what follows from it
}

type cutRank int

const (
	uncut       cutRank = iota // nothing found, nothing lost: looks good
	notSeen                    // could not tell
	lostUnnamed                // frames end on an edge, nothing found explains it
	cutProbably                // a probable finding
	cutProven                  // a proven finding
)

// delivered answers healthy when the guest's tap saw its address being given
// to it: an acknowledgement, not an offer, which the guest may not take.
func (j *judgement) delivered(e Exchange) (Verdict, bool) {
	if j.p.Packets == nil {
		return Verdict{}, false
	}
	for _, b := range j.p.Path.Of(e) {
		if j.p.Packets.Trace(j.p.Path, b, e).State != FlowDelivered {
			continue
		}
		_, replies := j.p.Packets.Count(j.p.Path.Guest[0])
		summary := fmt.Sprintf("DHCP works for %s: the server on %s acknowledged its lease while whybot listened (replies at its tap: %d).", j.p.Server.Name, b.Node, replies)
		if e.V6() {
			summary = fmt.Sprintf("IPv6 works for %s: the %s of %s reached its tap while whybot listened.", j.p.Server.Name, FrameName(e, Reply), b.who())
		}
		return Verdict{State: Healthy, Title: "The guest gets its address", Summary: summary}, true
	}
	return Verdict{}, false
}

// cuts judges every branch, with or without the findings that yield.
func (j *judgement) cuts(e Exchange, yielding bool) []cut {
	branches := j.p.Path.Of(e)
	cuts := make([]cut, 0, len(branches))
	for _, b := range branches {
		cuts = append(cuts, j.cutOf(b, e, yielding))
	}
	return cuts
}

// cutOf judges one branch: the first thing on its way that stops frames.
func (j *judgement) cutOf(b Branch, e Exchange, yielding bool) cut {
	c := cut{branch: b, exchange: e, flow: Flow{State: FlowBlind}}
	if j.p.Packets != nil {
		c.flow = j.p.Packets.Trace(j.p.Path, b, e)
	}
	// Proven findings come first, each kind in path order.
	c.finding = slices.IndexFunc(j.findings, func(f Finding) bool {
		return (yielding || !f.Yields) && j.p.Path.cutBy(f, b, e, c.flow)
	})
	switch {
	case c.finding >= 0:
		c.effect = j.findings[c.finding]
		c.finding = j.root(c.finding)
		c.rank = cutProbably
		// A proven root does not prove that what may follow from it does.
		if j.findings[c.finding].State == Proven && c.effect.State == Proven {
			c.rank = cutProven
		}
	case c.flow.State == FlowLost, c.flow.State == FlowOffered, c.flow.State == FlowRefused:
		c.rank = lostUnnamed
	case j.p.holdsBy(e) && !j.blindOn(b):
		c.rank = uncut
	default:
		c.rank = notSeen
	}
	return c
}

// root returns the finding that finding i follows from in the end, or i. What is
// only probable does not stand for what is proven.
func (j *judgement) root(i int) int {
	for range j.findings { // as many steps as there can be
		f := j.findings[i]
		r := slices.IndexFunc(j.findings, func(g Finding) bool {
			return g.explains(f) && (g.State == Proven || f.State != Proven)
		})
		if r < 0 {
			break
		}
		i = r
	}
	return i
}

// explains reports whether effect follows from f.
func (f Finding) explains(effect Finding) bool {
	return slices.Contains(f.Causes, effect.Cause) && (f.Node == "" || f.Node == effect.Node)
}

// cutBy reports whether f can be what cuts b, where its frames are known to end
// as flow says. A finding without an edge is true of the whole path.
func (p *Path) cutBy(f Finding, b Branch, e Exchange, flow Flow) bool {
	switch {
	case f.Aside, f.Branch != "" && f.Branch != b.Node, !f.concerns(e), !p.passes(b, f.Edge):
		return false
	case flow.State == FlowOffered: // the way is free up to the guest itself
		return f.Edge == (Edge{}) || f.Edge.Direction == Reply && f.Edge.From == p.Guest[0]
	case flow.State == FlowRefused: // and here both ways, up to what the server knows
		return f.Edge == (Edge{}) || f.Edge.To == b.Server() || f.Edge.From == b.Server()
	case flow.State == FlowLost:
		return Within(p.Flow(b), f.Edge, flow.Edge)
	default:
		return true
	}
}

// concerns reports whether f stops an exchange: its own, or one that comes after
// it. Without an answer to ARP there is no echo.
func (f Finding) concerns(e Exchange) bool {
	return f.Exchange == "" || f.Exchange == e || f.Exchange == capture.ARP && e == capture.Echo
}

// passes reports whether the frames of b pass both ends of an edge, as far as
// those are hops of the path at all: what is wrong at one server's tap is
// nothing to another server of the same node.
func (p *Path) passes(b Branch, e Edge) bool {
	flow, hops := p.Flow(b), p.Hops()
	for _, h := range []Hop{e.From, e.To} {
		if slices.Contains(hops, h) && !slices.Contains(flow, h) {
			return false
		}
	}
	return true
}

// blindOn reports whether anything on b's way could not be seen: what was not
// looked at is not clear.
func (j *judgement) blindOn(b Branch) bool {
	return slices.ContainsFunc(j.unseen, func(u Blind) bool { return u.Node == "" || u.Node == b.Node || u.Node == j.p.Path.Node })
}

// guestHolds reports whether the guest answered for its own address: to ARP, or
// to neighbour discovery.
func (p *Pass) guestHolds() bool {
	return p.Packets != nil && p.Packets.Holder != "" && p.Packets.Holder == p.Port.Port.MAC
}

// holdsBy reports whether the guest answers for an address that the exchange e
// gives.
func (p *Pass) holdsBy(e Exchange) bool {
	return p.guestHolds() && e.V6() == strings.Contains(p.address(), ":")
}

// heldIsAsked reports whether the address that the guest is looked for at is one
// that the question is about: that it has its IPv4 address says nothing of IPv6.
func (p *Pass) heldIsAsked() bool {
	return slices.ContainsFunc(p.asked(), func(e Exchange) bool { return e.V6() == strings.Contains(p.address(), ":") })
}

// address is the address of the guest's that it is asked for: of IPv4 where it
// has one.
func (p *Pass) address() string {
	address := ""
	for _, ip := range p.Port.Port.FixedIPs {
		if strings.Count(ip.Address, ".") == 3 {
			return ip.Address
		}
		address = cmp.Or(address, ip.Address)
	}
	return address
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
	at := p.place()
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

// place returns how far along the way of a frame, there and back, a finding
// stops it.
func (p *Pass) place() func(Finding) int {
	rank := map[Hop]int{}
	for i, h := range p.Path.Hops() {
		rank[h] = i
	}
	far := len(rank)
	return func(f Finding) int {
		from, onPath := rank[f.Edge.From]
		switch {
		case f.Edge == (Edge{}):
			return far // what is missing altogether is where the way leads to
		case !onPath:
			return -1 // the guest itself
		case f.Edge.Direction == Reply:
			return 2*far - from
		}
		return from
	}
}

// doubted reports whether something that is only probable yet lies before all
// that is proven: frames may end there first, and then that is the answer.
func (p *Pass) doubted(findings []Finding) bool {
	at := p.place()
	first := -1
	for _, f := range findings {
		switch {
		case f.Aside || f.State != Proven:
		case f.Edge == (Edge{}):
			return false // true of the whole path
		case first < 0 || at(f) < first:
			first = at(f)
		}
	}
	return slices.ContainsFunc(findings, func(f Finding) bool {
		return f.State == Probable && !f.Aside && !f.Yields && f.Edge != (Edge{}) && at(f) < first
	})
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
	first := worst
	for _, c := range cuts {
		if c.rank == worst.rank && c.finding < first.finding {
			first = c
		}
	}
	f := j.findings[first.finding]
	v := rooted(f, first.effect)
	if j.p.holdsBy(first.exchange) {
		v.Summary = strings.TrimSuffix(v.Summary, ".") + fmt.Sprintf(". %s still answers for its address now; the next renewal may fail.", j.p.Server.Name)
	}
	return v
}

// rooted is the verdict that names f for what effect does.
func rooted(f, effect Finding) Verdict {
	v := Verdict{State: f.State, Cause: f.Cause, Title: f.Title, Summary: f.Summary, Edge: f.Edge.JSON(), Missing: f.Missing}
	if v.Edge == nil {
		v.Edge = effect.Edge.JSON()
	}
	if effect.State == Probable && f.State == Proven {
		v.State, v.Missing = Probable, effect.Missing
	}
	return v
}

// who names the server of a branch: by its node, or what it is.
func (b Branch) who() string {
	if b.Node == "" {
		return "a router outside (" + b.Beyond + ")"
	}
	return b.Node
}

func (j *judgement) unnamed(c cut) Verdict {
	switch c.flow.State {
	case FlowOffered:
		return Verdict{
			State: Unclear, Title: "Offers reach the guest, and it does not take them",
			Summary: fmt.Sprintf("Offers of the server on %s reach %s, and no lease was acknowledged: the guest drops them, or what follows is lost.", c.branch.Node, j.p.Path.Guest[0]),
			Missing: "what the guest says of the offers: its console log, its own packet filter, bad UDP checksums (tcpdump -vv on the tap)",
		}
	case FlowRefused:
		if c.exchange == capture.RA {
			return Verdict{
				State: Unclear, Title: "The router advertises something else than the guest's subnet",
				Summary: fmt.Sprintf("Advertisements of %s reach %s, and none of them lets it make an address in %v.", c.branch.who(), j.p.Server.Name, c.branch.Makes),
				Missing: "why the router leaves the prefix out: its configuration",
			}
		}
		return Verdict{
			State: Unclear, Title: "The server has no address for the guest",
			Summary: fmt.Sprintf("The server on %s answers %s that it has no address for it.", c.branch.Node, j.p.Server.Name),
			Missing: "why dnsmasq on " + c.branch.Node + " has none: its log, its range and its host file",
		}
	default:
	}
	e := c.flow.Edge
	v := Verdict{
		State: Unclear, Title: "Lost on a known edge, for a reason whybot does not know",
		Summary: fmt.Sprintf("%d frames (%s) left %s and none arrived at %s. No rule or state that was read is known to do it.",
			c.flow.Lost, FrameName(c.exchange, e.Direction), e.From, e.To),
		Edge: e.JSON(),
	}
	if e.To.Node == "" {
		v.Title = "No advertisement comes in from outside"
		v.Summary = fmt.Sprintf("%d frames (%s) of %s left %s, and no advertisement came in: %s.", c.flow.Lost, FrameName(c.exchange, e.Direction), j.p.Server.Name, e.From, c.branch.Beyond)
	}
	hidden := slices.IndexFunc(j.unseen, func(u Blind) bool { return u.Node != "" && (u.Node == e.From.Node || u.Node == e.To.Node) })
	switch {
	case hidden >= 0:
		v.Missing = j.unseen[hidden].What + ": " + j.unseen[hidden].Why
	case e.To.Node == "" || e.From.Node == "":
		v.Missing = "whether the router outside advertises on this network: " + c.branch.Beyond
	case e.From.Node != e.To.Node:
		v.Missing = "what lies between the two NICs: virtual switch port groups (forged transmits, promiscuous mode, VLAN trunk) and physical switch ports"
	case e.To.Kind == HopServer && j.p.Peer != nil:
		v.Missing = "what " + e.To.Device + " does with it: its own packet filter, its address, whether it runs"
	case e.To.Kind == HopServer:
		v.Missing = "why dnsmasq on " + e.To.Node + " does not answer: its log"
	default:
		v.Missing = "filters that whybot does not evaluate on " + e.To.Node + ": tc, XDP"
	}
	return v
}

// FrameName names the frames of an exchange that go in a direction.
func FrameName(e Exchange, d Direction) string {
	if e != capture.RA {
		return fmt.Sprintf("%s %s", e, d)
	}
	if d == Request {
		return "router solicitation"
	}
	return "router advertisement"
}

// asking is what a guest sends first.
var asking = map[Exchange]string{capture.DHCP: "DHCP request", capture.DHCPv6: "DHCPv6 solicit", capture.RA: "router solicitation"}

func (j *judgement) notSeen(c cut) Verdict {
	v := Verdict{State: Unclear, Title: "Not enough could be seen"}
	switch {
	case j.p.Packets == nil:
		v.Summary = fmt.Sprintf("Nothing that was read stops the %s on the path, but no packets were looked at.", c.exchange)
		v.Missing = fmt.Sprintf("a capture of the guest's %s packets", c.exchange)
	case j.p.holdsBy(c.exchange):
		v.Summary = j.p.Server.Name + " answers for its address now. Whether DHCP would serve it again is not known."
	case c.flow.State == FlowSilent && c.exchange.V6():
		v.Summary = fmt.Sprintf("%s sent no %s in %.0f s, and none of %s came; nothing that was read stops it on the path.",
			j.p.Server.Name, asking[c.exchange], j.p.Packets.Took.Seconds(), c.branch.who())
		v.Missing = "a " + asking[c.exchange] + " of the guest: set its link down and up, then ask again"
	case c.flow.State == FlowSilent:
		v.Summary = fmt.Sprintf("%s sent no DHCP request in %.0f s%s; nothing that was read stops DHCP on the path.",
			j.p.Server.Name, j.p.Packets.Took.Seconds(), j.unanswered())
		v.Missing = "a DHCP request of the guest: renew its lease from the console, then ask again"
	default:
		v.Summary = "The packets could not be followed to " + c.branch.who() + "."
	}
	if i := slices.IndexFunc(j.findings, func(f Finding) bool { return !f.Aside }); i >= 0 {
		v.Summary += fmt.Sprintf(" Found so far: %s (%s).", j.findings[i].Summary, j.findings[i].State)
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

// withoutServers answers when there is no way to follow: what OpenStack says is
// then all there is.
func (j *judgement) withoutServers() Verdict {
	for _, yielding := range []bool{false, true} {
		if i := slices.IndexFunc(j.findings, func(f Finding) bool { return !f.Aside && f.Yields == yielding }); i >= 0 {
			return rooted(j.findings[j.root(i)], j.findings[i])
		}
	}
	if _, ok := j.p.Path.Tap(); !ok {
		v := Verdict{State: Unclear, Title: "The guest is on no node that whybot knows", Summary: "There is nothing to follow."}
		if len(j.unseen) > 0 {
			v.Summary = fmt.Sprintf("There is nothing to follow: %s (%s).", j.unseen[0].What, j.unseen[0].Why)
			v.Missing = j.unseen[0].What
		}
		return v
	}
	return Verdict{
		State: Unclear, Title: "No DHCP server is known",
		Summary: "Neutron shows no DHCP port for network " + j.p.Port.Network.Name + ", so there is no server to follow the path to.",
		Missing: "which DHCP server is meant to serve this network",
	}
}
