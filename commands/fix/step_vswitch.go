package fix

import (
	"strings"

	"whybot/commands"
	"whybot/runners"
)

// setSecurity gives a port group of a virtual switch another security policy.
// Args: kind, id, from, to (whole policies as JSON), version (of the configuration
// that the plan was made from; empty where there is none), shown, unshown.
var setSecurity = registerKind(&commands.StepKind{
	Name: "vswitch-security",
	Ref: func(s commands.Step) runners.CloudRef {
		return runners.CloudRef{Kind: s.Args["kind"], ID: s.Args["id"]}
	},
	Compare: func(s commands.Step, o runners.CloudObject) (commands.StepState, string) {
		seen := "the policy of the port group is " + o[runners.VObjectSecurity]
		switch o[runners.VObjectSecurity] {
		case "":
			return commands.StepChanged, "the port group shows no policy"
		case s.Args["to"]:
			return commands.StepDone, seen
		case s.Args["from"]:
			return commands.StepPending, seen
		}
		return commands.StepChanged, seen + " now"
	},
	Do: func(s commands.Step) []commands.Action {
		return securityCall(s, s.Args["from"], s.Args["to"], s.Args["version"], s.Args["shown"])
	},
	Undo: func(s commands.Step) []commands.Action {
		return securityCall(s, s.Args["to"], s.Args["from"], "", s.Args["unshown"])
	},
})

func securityCall(s commands.Step, from, to, version, shown string) []commands.Action {
	return []commands.Action{{Call: &commands.CloudCall{
		Op:   runners.VSetSecurity,
		Args: map[string]string{"kind": s.Args["kind"], "id": s.Args["id"], "from": from, "to": to, "version": version},
		Show: shown,
	}}}
}

// policyText is a policy as a person reads it.
func policyText(s runners.VSecurity) string {
	if s.Inherited {
		return "all inherited"
	}
	words := make([]string, 0, 4)
	for _, one := range []struct {
		name string
		is   *bool
	}{{"promiscuous", s.Promiscuous}, {"MAC changes", s.MACChanges}, {"forged transmits", s.Forged}} {
		word := "inherited"
		if one.is != nil {
			word = map[bool]string{true: "accept", false: "reject"}[*one.is]
		}
		words = append(words, one.name+" "+word)
	}
	if l := s.Learning; l != nil {
		words = append(words, map[bool]string{true: "MAC learning on", false: "MAC learning off"}[l.Enabled])
	}
	return strings.Join(words, ", ")
}
