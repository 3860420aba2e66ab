package fix

import (
	"fmt"

	"whybot/commands"
	"whybot/commands/node"
)

// StartAgent starts an agent of Neutron that does not run. Args: unit.
var StartAgent = register(&commands.Fix{
	Name: "start-agent",
	Doc: `Start the agent's service on its node.

It then does what has waited for it: for some seconds it may rewire ports and
write rules and files anew. Undo stops it again.`,
	Class: commands.F2,
	Title: func(s commands.Suggestion) string { return fmt.Sprintf("Start %s on %s", s.Args["unit"], s.Node) },
	Plan: func(p *commands.Pass, s commands.Suggestion) ([]commands.Step, error) {
		u, err := agentUnit(p, s)
		switch {
		case err != nil:
			return nil, err
		case u.Active == "activating":
			return nil, &commands.Error{
				Code:   commands.CodeInvalid,
				Public: fmt.Sprintf("systemd is starting %s on %s by itself (%s): to start it once more changes nothing.", s.Args["unit"], s.Node, commands.Clean(u.Sub, 40)),
				Hint:   fmt.Sprintf("If it ends again and again, find out why: journalctl -u %s on %s.", s.Args["unit"], s.Node),
			}
		case u.Runs():
			return nil, &commands.Error{Code: commands.CodeInvalid, Public: s.Args["unit"] + " runs on " + s.Node + " already."}
		}
		return []commands.Step{{Kind: startUnit.Name, Node: s.Node, Args: map[string]string{"unit": s.Args["unit"]}}}, nil
	},
	Touches: touchesNode,
})

// RestartAgent restarts an agent of Neutron that runs. Args: unit.
var RestartAgent = register(&commands.Fix{
	Name: "restart-agent",
	Doc: `Restart the agent's service on its node.

It asks Neutron for everything anew, which is work for both. What it has set up
goes on working meanwhile. It ends as it began, so there is nothing to undo.`,
	Class: commands.F2,
	Title: func(s commands.Suggestion) string { return fmt.Sprintf("Restart %s on %s", s.Args["unit"], s.Node) },
	Plan: func(p *commands.Pass, s commands.Suggestion) ([]commands.Step, error) {
		u, err := agentUnit(p, s)
		switch {
		case err != nil:
			return nil, err
		case !u.Runs() || u.PID == "0":
			return nil, &commands.Error{Code: commands.CodeInvalid, Public: s.Args["unit"] + " does not run on " + s.Node + "."}
		}
		return []commands.Step{{Kind: restartUnit.Name, Node: s.Node, Args: map[string]string{"unit": s.Args["unit"], "pid": u.PID}}}, nil
	},
	Touches: touchesNode,
})

func touchesNode(_ *commands.Pass, s commands.Suggestion) []string {
	return []string{"Every network on " + s.Node + ": the agent goes over all of them when it starts."}
}

// agentUnit returns the agent's service, which must be one of systemd's.
func agentUnit(p *commands.Pass, s commands.Suggestion) (node.Unit, error) {
	text, err := p.Text(s.Node, node.UnitsProbe().Name)
	if err != nil {
		return node.Unit{}, &commands.Error{Code: commands.CodeOutside, Public: "The services of " + s.Node + " could not be read.", Err: err}
	}
	u, err := node.UnitOf(text, s.Args["unit"])
	switch {
	case err != nil:
		return node.Unit{}, &commands.Error{Code: commands.CodeOutside, Public: "The services of " + s.Node + " could not be understood.", Err: err}
	case u.Load != "loaded":
		return node.Unit{}, &commands.Error{
			Code: commands.CodeMissing, Public: fmt.Sprintf("%s has no service %s.", s.Node, s.Args["unit"]),
			Hint: "If the agent runs in a container there, start that.",
		}
	}
	return u, nil
}
