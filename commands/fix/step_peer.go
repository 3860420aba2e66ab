package fix

import (
	"slices"

	"whybot/commands"
	"whybot/commands/node"
	"whybot/runners"
)

// addPeer adds a peer to those that a VXLAN device sends broadcasts to. Args:
// device, peer.
var addPeer = registerKind(&commands.StepKind{
	Name: "add-peer",
	Read: func(s commands.Step) []runners.Probe { return []runners.Probe{node.FDBProbe(s.Args["device"])} },
	State: func(s commands.Step, results []runners.Result) (commands.StepState, string) {
		out := results[0].Output
		places, err := node.ParsePlaces(out.Stdout)
		if err != nil || out.ExitCode != 0 || out.Truncated {
			return commands.StepChanged, "where " + s.Args["device"] + " sends to could not be read"
		}
		if slices.ContainsFunc(places, func(p node.Place) bool { return p.MAC == node.Anywhere && p.Peer.String() == s.Args["peer"] }) {
			return commands.StepDone, s.Args["device"] + " sends broadcasts to " + s.Args["peer"]
		}
		return commands.StepPending, s.Args["device"] + " does not send broadcasts to " + s.Args["peer"]
	},
	Do:   func(s commands.Step) []commands.Action { return changePeer("append", s) },
	Undo: func(s commands.Step) []commands.Action { return changePeer("del", s) },
})

func changePeer(verb string, s commands.Step) []commands.Action {
	return []commands.Action{{Command: runners.Probe{
		Name: "change-peer", Sudo: true,
		Argv: []string{"bridge", "fdb", verb, node.Anywhere, "dev", s.Args["device"], "dst", s.Args["peer"]},
	}}}
}
