package commands

import (
	"cmp"
	"strings"
	"time"
)

// A State says how sure a finding or verdict is.
type State string

// States of findings and verdicts.
const (
	Proven   State = "proven"   // a decisive predicate holds, or counters grew by the packets lost
	Probable State = "probable" // the signature holds, its second fact is missing
	Healthy  State = "healthy"  // looked everywhere, replies arrive
	Unclear  State = "unknown"  // says what could not be seen
)

// Evidence is verbatim output, kept so that a person can disagree.
type Evidence struct {
	Source string `json:"source"` // "controller01: iptables-save -c", "neutron: GET ports"
	Text   string `json:"text"`
}

// A Finding is one thing that is wrong, with what was seen of it.
type Finding struct {
	Cause string // catalogue id, "DHCP-01"
	Title string // the diagnosis' title
	State State  // Proven or Probable
	// Node is where it is.
	Node string
	// Edge is where frames are lost because of it.
	Edge Edge
	// Branch is the node of the DHCP server whose branch it cuts; empty when
	// it cuts the guest's own part and so every branch.
	Branch string
	// Exchange is the only one it concerns; empty when it stops all of them.
	Exchange Exchange
	// Causes are the catalogue ids of findings that follow from this one, on
	// its node, or anywhere when it has none: a dead agent is why a tap is in
	// no bridge. Such a finding is named by this one.
	Causes []string
	// Aside says that it is wrong and does not stop the guest's packets.
	Aside bool
	// Summary is one line to act on: the thing, the number, the limit.
	Summary string
	// Missing names the fact that would prove a probable finding.
	Missing string
	// Yields says that it rests on what did not happen, so that findings which
	// cut every branch by something that is there outrank it.
	Yields   bool
	Evidence []Evidence
	// Fixes are alternatives, best first; at most one is applied.
	Fixes []Suggestion
	// Advice is what no button does, one line each.
	Advice []string
}

// A Blind is something that could not be seen, and why.
type Blind struct {
	Node string `json:"-"` // where, if it is on a node
	What string `json:"what"`
	Why  string `json:"why"`
}

// A Check is one thing that was looked at and found good.
type Check struct {
	At     Hop    // where; a node without a device for what concerns all of it
	What   string // "the firewall lets the reply pass brq91e78b9c-cf"
	Source string // what says so
}

// A Verdict is the answer to a question.
type Verdict struct {
	State   State  `json:"state"`
	Cause   string `json:"cause,omitempty"`
	Title   string `json:"title,omitempty"`
	Summary string `json:"summary"`
	// Edge is where frames are lost; nil when none is known to be.
	Edge *EdgeJSON `json:"edge,omitempty"`
	// Missing names the fact that would turn probable into proven.
	Missing string `json:"missing,omitempty"`
	// Exchange is the one that it is about; empty when there is none to follow.
	Exchange Exchange `json:"-"`
}

// EdgeJSON is an Edge as the JSON contract has it: hops as node/device.
type EdgeJSON struct {
	From      string    `json:"from"`
	To        string    `json:"to"`
	Direction Direction `json:"direction"`
}

// JSON returns e as the contract has it.
func (e Edge) JSON() *EdgeJSON {
	if e.From == (Hop{}) && e.To == (Hop{}) {
		return nil
	}
	return &EdgeJSON{From: e.From.String(), To: e.To.String(), Direction: e.Direction}
}

// HopSeen is what was counted at one hop.
type HopSeen struct {
	Hop
	Observed bool
	Why      string // why not observed
	// Requests and Replies count the guest's DHCP frames.
	Requests, Replies int
}

// An Answer is a verdict with everything it rests on. It holds data only;
// terminal and chat decide how it looks.
type Answer struct {
	Incident string
	Question Question
	VM       string // name of the server the answer is about
	Verdict  Verdict
	Path     []HopSeen
	Findings []Finding // worst first
	Fixes    []Proposal
	Unknown  []Blind
	Checked  []Check
	Notes    []string // true things that are not the cause, one line each
	// Given are the exchanges by which the guest was given its address while
	// whybot listened; Held says that it answered for its address.
	Given []Exchange
	Held  bool
	Took  time.Duration
}

// GoodByNode returns what was looked at and found good, a line a node, in the
// order of the path.
func (a Answer) GoodByNode() []string {
	var nodes []string
	byNode := map[string][]string{}
	for _, c := range a.Checked {
		n := cmp.Or(c.At.Node, "OpenStack")
		if byNode[n] == nil {
			nodes = append(nodes, n)
		}
		byNode[n] = append(byNode[n], c.What)
	}
	lines := make([]string, 0, len(nodes))
	for _, n := range nodes {
		lines = append(lines, n+": "+strings.Join(byNode[n], "; "))
	}
	return lines
}
