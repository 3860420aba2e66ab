package commandstest

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"whybot/commands"
	"whybot/runners"
)

// vsphereKeys are the lines of the cloud that are about the vCenter, by key.
// Without a `vcenter` line none is configured; error=KIND fails every call. A
// `card` line is the card of a node; what it does not say is not known. others=A,B
// are other hosts of the cluster with the same port group, or others=hidden.
var vsphereKeys = map[string]string{
	"vcenter": " error",
	"card":    " mac kind group switch host forged promiscuous learning flooding limit drop trunk vlan connected blocked uplinks others",
}

// A vcenterWorld answers from the card lines.
type vcenterWorld struct{ cloudFacts }

// vcenter is the vCenter that the fixture has, or none.
func (c cloudFacts) vcenter() commands.VSwitches {
	if len(c["vcenter"]) == 0 {
		return nil
	}
	return vcenterWorld{c}
}

// Machine is the one with the name of the node, and a card of its.
func (w vcenterWorld) Machine(_ context.Context, id runners.MachineID) (runners.VMachine, error) {
	op := "find " + id.Node
	if name := w.first("vcenter")["error"]; name != "" {
		kind, err := parseKind(strings.ReplaceAll(name, "_", " "))
		if err != nil {
			return runners.VMachine{}, err
		}
		return runners.VMachine{}, &runners.Error{Kind: kind, Runner: "vsphere", Target: "vcenter", Op: op}
	}
	m := runners.VMachine{Name: id.Node, FoundBy: "product_serial"}
	for _, l := range w.cloudFacts["card"] {
		if l[""] != id.Node {
			continue
		}
		card, err := l.card()
		if err != nil {
			return m, err
		}
		m.Host, m.Cards = l.maybe("host"), append(m.Cards, card)
	}
	if _, ok := m.Card(id.MACs[0]); !ok || id.Serial == "" {
		return runners.VMachine{}, &runners.Error{Kind: runners.NotFound, Runner: "vsphere", Target: "vcenter", Op: op}
	}
	return m, nil
}

// yes is a word that is yes, no, or not said.
func (w words) yes(name string) runners.Maybe[bool] {
	switch w[name] {
	case "yes":
		return runners.Known(true)
	case "no":
		return runners.Known(false)
	}
	return runners.NotKnown[bool]("vCenter did not tell")
}

func (w words) card() (runners.VCard, error) {
	setting := func(name string) runners.VSetting { return runners.VSetting{Allowed: w.yes(name), From: "port group"} }
	g := runners.VGroup{
		Kind: runners.VSwitchKind(w["kind"]), Name: w["group"], Switch: w["switch"], Host: w["host"],
		Forged: setting("forged"), Promiscuous: setting("promiscuous"), MACChanges: setting("forged"),
		Learning: runners.NotKnown[runners.VLearning]("vCenter did not tell"), VLANs: runners.NotKnown[runners.VLANs]("vCenter did not tell"),
	}
	if on, known := w.yes("learning").Get(); known {
		l := runners.VLearning{Enabled: on, Flooding: w.yes("flooding"), Drop: w.yes("drop")}
		if n, err := strconv.Atoi(w["limit"]); err == nil {
			l.Limit = runners.Known(n)
		}
		g.Learning = runners.Known(l)
	}
	if id, err := strconv.Atoi(w["vlan"]); err == nil {
		g.VLANs = runners.Known(runners.VLANs{ID: id})
	}
	if w["trunk"] != "" {
		var r runners.VLANRange
		if _, err := fmt.Sscanf(w["trunk"], "%d-%d", &r.From, &r.To); err != nil {
			return runners.VCard{}, err
		}
		g.VLANs = runners.Known(runners.VLANs{Trunk: []runners.VLANRange{r}})
	}
	if g.Own = runners.NotKnown[runners.VSecurity]("the switch is not vCenter's own"); g.Kind != runners.ForeignSwitch {
		g.Own = runners.Known(own(g))
		g.Ref = runners.CloudRef{Kind: runners.VDistributedGroup, ID: "dvportgroup-" + g.Name}
		if g.Kind == runners.StandardSwitch {
			g.Ref = runners.CloudRef{Kind: runners.VStandardGroup, ID: "networkSystem-1/" + g.Name}
		}
	}
	if w["uplinks"] != "" {
		g.Active = runners.Known(strings.Split(w["uplinks"], ","))
	}
	return runners.VCard{MAC: w["mac"], Label: "Network adapter 1", Connected: w.yes("connected"), Blocked: w.yes("blocked"), Group: g, Elsewhere: w.elsewhere(g)}, nil
}

// elsewhere is the same port group on the other hosts.
func (w words) elsewhere(g runners.VGroup) runners.Maybe[[]runners.VGroup] {
	if w["others"] == hidden {
		return runners.NotKnown[[]runners.VGroup]("the other hosts are hidden")
	}
	var all []runners.VGroup
	for i, host := range strings.FieldsFunc(w["others"], func(r rune) bool { return r == ',' }) {
		g.Host, g.Ref.ID = host, fmt.Sprintf("networkSystem-%d/%s", i+2, g.Name)
		all = append(all, g)
	}
	return runners.Known(all)
}

// own is the policy of a group that inherits nothing.
func own(g runners.VGroup) runners.VSecurity {
	var s runners.VSecurity
	for _, one := range []struct {
		to *(*bool)
		is runners.VSetting
	}{{&s.Promiscuous, g.Promiscuous}, {&s.MACChanges, g.MACChanges}, {&s.Forged, g.Forged}} {
		if v, known := one.is.Allowed.Get(); known {
			*one.to = &v
		}
	}
	return s
}
