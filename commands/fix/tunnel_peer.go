package fix

import (
	"fmt"

	"whybot/commands"
)

// TunnelPeer tells a VXLAN device to send broadcasts to a peer. Args: device,
// peer (its tunnel's address).
var TunnelPeer = register(&commands.Fix{
	Name: "tunnel-peer",
	Doc: `Add the entry for broadcasts to the peer that l2_population should have added.

The linuxbridge agent does this itself when the server tells it; when it has not,
restart it or find out why the server did not. Undo takes the entry away, also
if the agent has come to want it meanwhile.`,
	Class: commands.F1,
	Title: func(s commands.Suggestion) string {
		return fmt.Sprintf("Let %s on %s send broadcasts to %s", s.Args["device"], s.Node, s.Args["peer"])
	},
	Plan: func(_ *commands.Pass, s commands.Suggestion) ([]commands.Step, error) {
		return []commands.Step{{Kind: addPeer.Name, Node: s.Node, Args: map[string]string{"device": s.Args["device"], "peer": s.Args["peer"]}}}, nil
	},
	Touches: func(_ *commands.Pass, s commands.Suggestion) []string {
		return []string{"Broadcasts of this one network from " + s.Node + " to " + s.Args["peer"] + "."}
	},
})
