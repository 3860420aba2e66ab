package fix

import (
	"fmt"
	"slices"
	"strconv"

	"whybot/commands"
	"whybot/commands/node"
)

// RecreateSegment makes the sub-interface of a network anew, with the right
// VLAN id. Args: device, parent, vlan (the right id), was (the wrong one),
// master.
var RecreateSegment = register(&commands.Fix{
	Name: "recreate-segment",
	Doc: `Make the sub-interface anew with the network's VLAN id and put it back into its
bridge.

For a moment nothing passes between the bridge and the wire. Whatever else
used the wrong VLAN over this device loses it. It needs the kernel's 8021q
module, so it is offered only where that is loaded.`,
	Class: commands.F2,
	Title: func(s commands.Suggestion) string {
		return fmt.Sprintf("Make %s anew with VLAN %s on %s", s.Args["device"], s.Args["vlan"], s.Node)
	},
	Plan: func(p *commands.Pass, s commands.Suggestion) ([]commands.Step, error) {
		if err := needs8021q(p, s.Node); err != nil {
			return nil, err
		}
		links, err := p.Links(s.Node)
		if err != nil {
			return nil, &commands.Error{Code: commands.CodeOutside, Public: "The links of " + s.Node + " could not be read."}
		}
		if name, taken := carrier(links, s.Args["parent"], s.Args["vlan"]); taken {
			return nil, &commands.Error{
				Code: commands.CodeInvalid, Public: fmt.Sprintf("VLAN %s of %s is taken by %s on %s.", s.Args["vlan"], s.Args["parent"], name, s.Node),
				Hint: "Take that device away, or find out what it is for.",
			}
		}
		return []commands.Step{{Kind: changeVLAN.Name, Node: s.Node, Args: map[string]string{
			"device": s.Args["device"], "parent": s.Args["parent"], "vlan": s.Args["vlan"], "was": s.Args["was"], "master": s.Args["master"],
			"mtu": strconv.Itoa(links[s.Args["device"]].MTU),
		}}}, nil
	},
	Touches: func(_ *commands.Pass, s commands.Suggestion) []string {
		return []string{"Every port of " + s.Args["master"] + " on " + s.Node + ": their way out is away for a moment, and leads into another VLAN afterwards."}
	},
})

// carrier returns the VLAN link of parent that has the id.
func carrier(links node.Links, parent, vlan string) (string, bool) {
	var names []string
	for name, l := range links {
		if l.Kind == "vlan" && l.Parent == parent && strconv.Itoa(l.VLAN) == vlan {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return append(names, "")[0], len(names) > 0
}
