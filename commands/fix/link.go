package fix

import (
	"fmt"

	"whybot/commands"
)

// LinkUp brings a link on the path up. Args: device.
var LinkUp = register(&commands.Fix{
	Name:  "link-up",
	Doc:   `Set the link administratively up. Undo sets it down again.`,
	Class: commands.F1,
	Title: func(s commands.Suggestion) string { return fmt.Sprintf("Bring %s up on %s", s.Args["device"], s.Node) },
	Plan: func(_ *commands.Pass, s commands.Suggestion) ([]commands.Step, error) {
		return []commands.Step{{Kind: setUp.Name, Node: s.Node, Args: map[string]string{"device": s.Args["device"]}}}, nil
	},
	Touches: func(_ *commands.Pass, s commands.Suggestion) []string {
		return []string{"Everything that goes over " + s.Args["device"] + " on " + s.Node + ": someone may have taken it down on purpose."}
	},
})

// Enslave puts a device of the path into its network's bridge. Args: device,
// master (the bridge), before (its master now, "" for none).
var Enslave = register(&commands.Fix{
	Name: "enslave",
	Doc: `Put the device into the bridge of its network.

The linuxbridge agent does this itself; when it has not, find out why (is the
agent alive, what does its log say): it may undo or repeat what is done here.`,
	Class: commands.F1,
	Title: func(s commands.Suggestion) string {
		return fmt.Sprintf("Put %s into %s on %s", s.Args["device"], s.Args["master"], s.Node)
	},
	Plan: func(p *commands.Pass, s commands.Suggestion) ([]commands.Step, error) {
		links, err := p.Links(s.Node)
		if err != nil {
			return nil, &commands.Error{Code: commands.CodeOutside, Public: "The links of " + s.Node + " could not be read."}
		}
		if _, ok := links[s.Args["master"]]; !ok {
			return nil, &commands.Error{
				Code: commands.CodeMissing, Public: fmt.Sprintf("There is no bridge %s on %s.", s.Args["master"], s.Node),
				Hint: "Restart neutron-linuxbridge-agent there: it makes the bridge.",
			}
		}
		steps := []commands.Step{{
			Kind: enslave.Name, Node: s.Node,
			Args: map[string]string{"device": s.Args["device"], "master": s.Args["master"], "before": s.Args["before"]},
		}}
		if !links[s.Args["device"]].Up {
			steps = append(steps, commands.Step{Kind: setUp.Name, Node: s.Node, Args: map[string]string{"device": s.Args["device"]}})
		}
		return steps, nil
	},
})

// AddSegment makes the missing VLAN sub-interface of a network and puts it
// into the network's bridge. Args: device, parent, vlan, master.
var AddSegment = register(&commands.Fix{
	Name: "add-segment",
	Doc: `Make the VLAN sub-interface of the network and put it into its bridge.

The linuxbridge agent does this itself; when it has not, find out why. It
needs the kernel's 8021q module, so it is offered only where that is loaded.`,
	Class: commands.F1,
	Title: func(s commands.Suggestion) string {
		return fmt.Sprintf("Make %s and put it into %s on %s", s.Args["device"], s.Args["master"], s.Node)
	},
	Plan: func(p *commands.Pass, s commands.Suggestion) ([]commands.Step, error) {
		if err := needs8021q(p, s.Node); err != nil {
			return nil, err
		}
		return []commands.Step{
			{Kind: addVLAN.Name, Node: s.Node, Args: map[string]string{"device": s.Args["device"], "parent": s.Args["parent"], "vlan": s.Args["vlan"]}},
			{Kind: enslave.Name, Node: s.Node, Args: map[string]string{"device": s.Args["device"], "master": s.Args["master"], "before": "", "made": "yes"}},
			{Kind: setUp.Name, Node: s.Node, Args: map[string]string{"device": s.Args["device"], "made": "yes"}},
		}, nil
	},
})

// needs8021q refuses where the kernel makes no VLAN links.
func needs8021q(p *commands.Pass, node string) error {
	if out, err := p.Output(node, "vlan-module"); err == nil && out.ExitCode == 0 {
		return nil
	}
	return &commands.Error{
		Code: commands.CodeMissing, Public: "The kernel of " + node + " has no 8021q module loaded.",
		Hint: "Load it (modprobe 8021q) and restart neutron-linuxbridge-agent there: it makes the sub-interface.",
	}
}
