package commands

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"whybot/commands/node"
	"whybot/runners"
)

// VSwitches knows the virtual machines that nodes are, and what the virtual
// switches do with their frames.
type VSwitches interface {
	// Machine finds the machine that a node is: exactly one, or an error.
	Machine(ctx context.Context, id runners.MachineID) (runners.VMachine, error)
}

// A VSwitchPort is where the NIC of a node that is a virtual machine meets the
// virtual switch.
type VSwitchPort struct {
	// Hop is the switch, NIC the node's end of the wire.
	Hop, NIC Hop
	// Card is the other end, of Machine; both are empty where Err is set.
	Card    runners.VCard
	Machine runners.VMachine
	// Err says why nothing is known of the switch; nil when it was read.
	Err error
}

// VSwitchPort returns the port of a node's NIC, and false for a node that is not
// known to be a VMware virtual machine.
func (p *Pass) VSwitchPort(nodeName string) (VSwitchPort, bool) {
	v, ok := p.vswitches[nodeName]
	return v, ok
}

// findVSwitches finds out which nodes of the path are virtual machines, puts the
// switches into the path, and asks the vCenter about them.
func (x *examination) findVSwitches(ctx context.Context) {
	p := x.pass
	if len(p.Path.Tunnels) > 0 { // what leaves the nodes is theirs
		return
	}
	virtual := slices.DeleteFunc(p.Path.Nodes(), func(n string) bool {
		vendor, err := p.text(n, node.VendorProbe().Name)
		return err != nil || !node.IsVMware(vendor) || len(p.Path.On(n, HopNIC)) != 1
	})
	if len(virtual) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, x.e.o.Static)
	defer cancel()
	ports, errs := runners.Each(ctx, x.e.o.FanOut, virtual, func(ctx context.Context, n string) (VSwitchPort, error) {
		v := VSwitchPort{Hop: Hop{n, vswitchDevice, HopVSwitch}, NIC: p.Path.On(n, HopNIC)[0]}
		var err error
		if v.Machine, v.Card, err = x.cardOf(ctx, v.NIC); err != nil {
			v.Err = unreadSwitch(n, err)
		}
		return v, nil
	})
	p.vswitches = make(map[string]VSwitchPort, len(virtual))
	for i, n := range virtual {
		if errs[i] != nil {
			ports[i] = VSwitchPort{Hop: Hop{n, vswitchDevice, HopVSwitch}, NIC: p.Path.On(n, HopNIC)[0], Err: unreadSwitch(n, errs[i])}
		}
		p.vswitches[n] = ports[i]
	}
	p.Path.addVSwitches(p.vswitches)
}

// unreadSwitch says why nothing is known of the switch under a node.
func unreadSwitch(nodeName string, err error) error {
	e := &runners.Error{Kind: runners.TooSlow, Runner: "vsphere", Target: nodeName, Op: "virtual switch", Err: err}
	if inner, ok := errors.AsType[*runners.Error](err); ok {
		e.Kind, e.Hint = inner.Kind, inner.Hint
		if inner.Runner == "ssh" && inner.Hint == "" {
			e.Hint = inner.Op
		}
	}
	return e
}

// errNoVCenter says that nobody can be asked about a virtual switch.
var errNoVCenter = &runners.Error{Runner: "vsphere", Target: "vcenter", Hint: "the node is a VMware virtual machine, and no vCenter is configured (vsphere in whybot.yaml)"}

// cardOf asks the vCenter for the card that is a node's NIC.
func (x *examination) cardOf(ctx context.Context, nic Hop) (runners.VMachine, runners.VCard, error) {
	if x.e.o.VSwitches == nil {
		return runners.VMachine{}, runners.VCard{}, errNoVCenter
	}
	id, err := x.identity(ctx, nic)
	if err != nil {
		return runners.VMachine{}, runners.VCard{}, err
	}
	m, err := x.e.o.VSwitches.Machine(ctx, id)
	if err != nil {
		x.e.o.Log.Warn("virtual machine not found", slog.String("node", nic.Node), slog.Any("error", err))
		return runners.VMachine{}, runners.VCard{}, err
	}
	card, ok := m.Card(id.MACs[0])
	if !ok {
		return runners.VMachine{}, runners.VCard{}, &runners.Error{Kind: runners.NotFound, Runner: "vsphere", Target: "vcenter", Hint: "the virtual machine has no card with the MAC address of " + nic.Device}
	}
	return m, card, nil
}

// identity reads by what a node can be found. The MAC address of the NIC that the
// network's frames leave by is the first.
func (x *examination) identity(ctx context.Context, nic Hop) (runners.MachineID, error) {
	id := runners.MachineID{Node: nic.Node, Name: nic.Node}
	links, err := x.pass.Links(nic.Node)
	if err != nil {
		return id, err
	}
	own := links[nic.Device]
	switch {
	case own.MAC == "":
		return id, &runners.Error{Kind: runners.NotFound, Runner: "ssh", Target: nic.Node, Op: nic.Device, Hint: "its MAC address is not shown"}
	case own.Kind == "bond" || own.Kind == "team":
		return id, &runners.Error{Kind: runners.Invalid, Runner: "ssh", Target: nic.Node, Op: nic.Device, Hint: "it is a " + own.Kind + " of several cards"}
	}
	id.MACs = []string{own.MAC}
	out, err := x.e.o.Shell.Run(ctx, nic.Node, []runners.Probe{node.IdentityProbe()})
	if err == nil && len(out) == 1 {
		err = out[0].Err
	}
	if err != nil {
		return id, err
	}
	if len(out) == 1 {
		id.Serial, id.UUID = node.ParseIdentity(out[0].Output.Stdout)
	}
	return id, nil
}

// vswitchDevice is what a path calls a virtual switch.
const vswitchDevice = "vS"

// addVSwitches puts the virtual switches of nodes behind their NICs.
func (p *Path) addVSwitches(ports map[string]VSwitchPort) {
	for i, h := range slices.Backward(p.Guest) {
		if v, ok := ports[h.Node]; ok && v.NIC == h {
			p.Guest = slices.Insert(slices.Clone(p.Guest), i+1, v.Hop)
		}
	}
	for b := range p.Branches {
		for i, h := range slices.Backward(p.Branches[b].Hops) {
			if v, ok := ports[h.Node]; ok && v.NIC == h {
				p.Branches[b].Hops = slices.Insert(slices.Clone(p.Branches[b].Hops), i, v.Hop)
			}
		}
	}
}

// A Control says what became of a node's own frames on the way to another node.
type Control string

// Outcomes of the control.
const (
	ControlPassed  Control = "passed"
	ControlLost    Control = "lost"
	ControlUnknown Control = "unknown"
)

// freshly is how long ago a bridge may have seen a frame that was sent a moment
// ago.
const freshly = 10 * time.Second

// OwnFrames says whether frames under the sending node's own MAC address get from
// it to another node on the network's own VLAN, and what says so. It tells a
// switch that stops strangers' addresses from one that stops the VLAN.
func (p *Pass) OwnFrames(from, to string) (Control, []Evidence) {
	links, err := p.Links(from)
	bridge := p.Path.Bridge(from).Device
	nics := p.Path.On(from, HopNIC)
	if err != nil || len(nics) != 1 || links[bridge].MAC == "" || links[bridge].MAC != links[nics[0].Device].MAC {
		return ControlUnknown, nil
	}
	sent, err := p.Output(from, node.OwnFrameProbe("").Name)
	if err != nil || sent.ExitCode > 1 {
		return ControlUnknown, nil
	}
	text, err := p.text(to, node.LearntProbe("").Name)
	if err != nil {
		return ControlUnknown, nil
	}
	learnt, err := node.ParseLearnt(text)
	if err != nil {
		return ControlUnknown, nil
	}
	evidence := []Evidence{p.Evidence(to, node.LearntProbe(p.Path.Bridge(to).Device), text)}
	for _, l := range learnt {
		if l.MAC == links[bridge].MAC && l.Ago <= freshly && !strings.HasPrefix(l.Device, "tap") {
			return ControlPassed, evidence
		}
	}
	return ControlLost, evidence
}

// control has the nodes on both sides of the wire send a frame of their own, and
// reads what the bridges have learnt, if the guest's frames are lost on a path with
// virtual switches.
func (x *examination) control(ctx context.Context) {
	p := x.pass
	if x.e.o.NoEcho || len(p.vswitches) == 0 || p.Packets == nil || !p.lostOnWire() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, x.e.o.Static)
	defer cancel()
	x.tell("sending frames of the nodes' own along the same way")
	for _, probe := range []func(string) runners.Probe{node.OwnFrameProbe, node.LearntProbe} {
		ask := func(s Scope) []runners.Probe { return []runners.Probe{probe(p.Path.Bridge(s.Node).Device)} }
		for n, r := range x.e.readAll(ctx, p.wireEnds(), ask) {
			p.addReading(n, r)
		}
	}
}

// lostOnWire reports whether frames were seen to be lost between two nodes.
func (p *Pass) lostOnWire() bool {
	return slices.ContainsFunc(p.Path.Branches, func(b Branch) bool {
		return slices.ContainsFunc(b.Exchanges, func(e Exchange) bool {
			f := p.Packets.Trace(p.Path, b, e)
			return f.State == FlowLost && f.Edge.From.Node != f.Edge.To.Node
		})
	})
}

// wireEnds are the nodes at both ends of the wires.
func (p *Pass) wireEnds() []Scope {
	ends := []Scope{{Node: p.Path.Node}}
	for _, b := range p.Path.Branches {
		if !b.Local && b.Node != "" && !slices.ContainsFunc(ends, func(s Scope) bool { return s.Node == b.Node }) {
			ends = append(ends, Scope{Node: b.Node})
		}
	}
	return ends
}

// addReading adds what a node answered later.
func (p *Pass) addReading(nodeName string, r reading) {
	if known := p.readings[nodeName]; known.err == nil && r.err == nil {
		maps.Copy(known.results, r.results)
	}
}
