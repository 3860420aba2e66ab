package commands

import (
	"context"
	"fmt"
	"regexp"
	"time"

	"whybot/commands/node"
	"whybot/runners"
)

// A Diagnosis looks for one specific thing that can be wrong.
//
// It is a value, not a type: it can be listed, documented and validated
// without being run. It declares what it must read (Probes); the Engine
// bundles the probes of all diagnoses into one exec per node, and Run judges
// what came back. Run is called once after the static stage and again after
// the packet stage with the captures in the pass.
type Diagnosis struct {
	// Name is the catalogue id, "DHCP-01". Fixtures, timelines and the
	// accuracy run are keyed by it.
	Name string
	// Title says what is wrong in at most 70 characters, without a full stop.
	Title string
	// Doc says how it is told from what looks alike.
	Doc string
	// Explains lists the kinds of question it can account for.
	Explains []Kind
	// Probes lists what Run reads on the node of scope; nil reads nothing.
	Probes func(Scope) []runners.Probe
	// Run judges. An error means "I could not look", never "I found
	// something"; findings already reported stand.
	Run func(context.Context, *Pass) error
}

// A Scope is a node's part in a question.
type Scope struct {
	Node      string
	Guest     bool // the guest's port is on it
	Serves    bool // a DHCP server of the network is on it
	NetworkID string
	// VXLAN is the network's device on the node; empty for other networks.
	VXLAN string
	// IPv6 says that the path is about IPv6 too.
	IPv6 bool
	// Routers are the ids of the routers on it that advertise to the guest.
	Routers []string
	// Volume is the id of the volume that a question is about.
	Volume string
	// Proxy says that a console proxy may run on it.
	Proxy bool
}

// A Pass is one run of one diagnosis. It holds everything Run may read and
// nothing Run could change: a diagnosis cannot change the world because it is
// never handed anything that can.
type Pass struct {
	Diagnosis *Diagnosis
	Question  Question
	Server    runners.Server
	Port      runners.Attachment
	Path      *Path
	// Volume is what a question about a volume is about; Server, Port and Path
	// are empty then. It is nil for other questions.
	Volume *runners.VolumeCase
	// Peer is whom the guest cannot reach, in a question about a ping; nil in
	// others. Path then leads to it: its one branch ends in the peer.
	Peer *Peer
	// Console is what a question about a console is about; Port and Path are empty
	// then. It is nil for other questions.
	Console *Console
	// Packets is what the packet stage saw; nil before it, or without it.
	Packets *Packets

	readings map[string]reading
	// vswitches are the ports of the path's nodes that are virtual machines.
	vswitches map[string]VSwitchPort
	// firewalls holds what Firewall has parsed: several diagnoses ask.
	firewalls map[string]*Firewall
	report    func(Finding)
	good      func(Check)
	remark    func(string)
}

func newPass(q Question, s runners.Server, port runners.Attachment, path *Path) *Pass {
	return &Pass{Question: q, Server: s, Port: port, Path: path, firewalls: map[string]*Firewall{}}
}

// reading is what one node answered: results by probe name, or why none.
type reading struct {
	results map[string]runners.Result
	err     error
	done    time.Time // when it was in, by whybot's clock
}

// Report records a finding under the diagnosis' name and title.
func (p *Pass) Report(f Finding) {
	f.Cause, f.Title = p.Diagnosis.Name, p.Diagnosis.Title
	p.report(f)
}

// Good records that something was looked at and found good: at a hop, on a
// whole node (a Hop without a device) or in OpenStack (the zero Hop).
func (p *Pass) Good(at Hop, what, source string) {
	p.good(Check{At: at, What: what, Source: source})
}

// Remark notes something true that is not the cause as far as the diagnosis can
// tell.
func (p *Pass) Remark(text string) { p.remark(text) }

// Output returns what probe printed on node, or why it is not known.
func (p *Pass) Output(nodeName, probe string) (runners.Output, error) {
	r, ok := p.readings[nodeName]
	if !ok {
		return runners.Output{}, &runners.Error{Runner: "ssh", Target: nodeName, Op: probe, Hint: "the node was not asked"}
	}
	if r.err != nil {
		return runners.Output{}, r.err
	}
	res, ok := r.results[probe]
	if !ok {
		return runners.Output{}, &runners.Error{Runner: "ssh", Target: nodeName, Op: probe, Hint: "the probe was not sent"}
	}
	return res.Output, res.Err
}

// Links returns the links of node, or why they are not known.
func (p *Pass) Links(nodeName string) (node.Links, error) {
	out, err := p.text(nodeName, node.LinksProbe().Name)
	if err != nil {
		return nil, err
	}
	links, err := node.ParseLinks(out)
	if err != nil {
		return nil, &runners.Error{Kind: runners.Invalid, Runner: "ssh", Target: nodeName, Op: "ip link", Err: err}
	}
	return links, nil
}

// text returns the standard output of a probe that must have exited 0 and
// must be whole.
func (p *Pass) text(nodeName, probe string) (string, error) {
	out, err := p.Output(nodeName, probe)
	switch {
	case err != nil:
		return "", err
	case out.Truncated:
		return "", &runners.Error{Kind: runners.Invalid, Runner: "ssh", Target: nodeName, Op: probe, Hint: "the output was cut at the size limit"}
	case out.ExitCode != 0:
		return "", &runners.Error{
			Kind: runners.Invalid, Runner: "ssh", Target: nodeName, Op: probe, Hint: fmt.Sprintf("exit code %d", out.ExitCode),
			Err: fmt.Errorf("stderr: %.200s", out.Stderr),
		}
	}
	return out.Stdout, nil
}

// GuestOff reports whether Nova says that the guest's CPUs do not run: it asks
// for nothing then, and its tap and what only it needs on its node are not
// there.
func (p *Pass) GuestOff() bool {
	switch p.Server.Status {
	case "SHUTOFF", "PAUSED", "SUSPENDED", "SHELVED", "SHELVED_OFFLOADED", "DELETED", "SOFT_DELETED":
		return true
	}
	return p.Path.Node == "" && (p.Server.Status == "ERROR" || p.Server.Status == "BUILD")
}

// Text returns the standard output of probe on node. A failed, cut or missing
// reading is an error.
func (p *Pass) Text(nodeName, probe string) (string, error) { return p.text(nodeName, probe) }

// Evidence returns what probe printed on node as evidence, shortened to text.
func (p *Pass) Evidence(nodeName string, probe runners.Probe, text string) Evidence {
	return Evidence{Source: nodeName + ": " + probe.Command(), Text: text}
}

var nameForm = regexp.MustCompile(`^[A-Z]+-[0-9]{2}$`)

// Validate checks a catalogue of diagnoses as a whole.
func Validate(ds []*Diagnosis) error {
	seen := map[string]bool{}
	for _, d := range ds {
		switch {
		case d == nil:
			return fmt.Errorf("a diagnosis is nil")
		case !nameForm.MatchString(d.Name):
			return fmt.Errorf("diagnosis %q: the name is not a catalogue id", d.Name)
		case seen[d.Name]:
			return fmt.Errorf("diagnosis %s is there twice", d.Name)
		case d.Title == "" || len(d.Title) > 70:
			return fmt.Errorf("diagnosis %s: the title must have 1 to 70 characters", d.Name)
		case d.Doc == "":
			return fmt.Errorf("diagnosis %s is undocumented", d.Name)
		case len(d.Explains) == 0:
			return fmt.Errorf("diagnosis %s explains no kind of question", d.Name)
		case d.Run == nil:
			return fmt.Errorf("diagnosis %s has nothing to run", d.Name)
		}
		seen[d.Name] = true
	}
	return nil
}
