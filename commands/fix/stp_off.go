package fix

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"whybot/commands"
	"whybot/commands/node"
)

// STPOff switches the spanning tree of a network's bridge off. Args: bridge,
// port (the one that does not forward).
var STPOff = register(&commands.Fix{
	Name: "stp-off",
	Doc: `Switch spanning tree off on the bridge and let the waiting port forward.

The bridge of a network has one way out of the node, so there is no loop for
spanning tree to break. It is not offered where there are more. A port that
waits would wait to the end in spite of the switch, so it is set to forward.`,
	Class: commands.F1,
	Title: func(s commands.Suggestion) string {
		return fmt.Sprintf("Switch spanning tree off on %s of %s", s.Args["bridge"], s.Node)
	},
	Plan: func(p *commands.Pass, s commands.Suggestion) ([]commands.Step, error) {
		links, err := p.Links(s.Node)
		if err != nil {
			return nil, &commands.Error{Code: commands.CodeOutside, Public: "The links of " + s.Node + " could not be read."}
		}
		bridge := s.Args["bridge"]
		if ways := uplinks(links, bridge); len(ways) > 1 {
			return nil, &commands.Error{
				Code:   commands.CodeInvalid,
				Public: fmt.Sprintf("%s on %s has more than one uplink (%s): without spanning tree they may close a loop.", bridge, s.Node, strings.Join(ways, ", ")),
				Hint:   "Take the ones that are not the network's out of the bridge first.",
			}
		}
		return []commands.Step{{Kind: stpOff.Name, Node: s.Node, Args: map[string]string{
			"bridge": bridge, "port": s.Args["port"], "delay": strconv.FormatInt(int64(links[bridge].ForwardDelay/(10*time.Millisecond)), 10),
		}}}, nil
	},
	Touches: func(_ *commands.Pass, s commands.Suggestion) []string {
		return []string{
			"All ports of " + s.Args["bridge"] + " on " + s.Node + ": if its network has a second way around it outside, frames may circle.",
			"The port " + s.Args["port"] + " forwards at once, and still does after an undo.",
		}
	},
})

// uplinks are the ports of a bridge that are no guest's or server's tap.
func uplinks(links node.Links, bridge string) []string {
	return slices.Sorted(slices.Values(slices.DeleteFunc(links.Members(bridge), func(name string) bool { return strings.HasPrefix(name, "tap") })))
}
