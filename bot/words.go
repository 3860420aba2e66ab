package bot

import (
	"cmp"
	"slices"
	"strings"

	"whybot/commands"
)

// mark is the emoji before a verdict; its state stands next to it as a word.
func mark(s commands.State) string {
	switch s {
	case commands.Proven:
		return "red_circle"
	case commands.Probable:
		return "large_yellow_circle"
	case commands.Healthy:
		return "large_green_circle"
	default:
		return "white_circle"
	}
}

// stateWord is how sure a verdict is, for a person.
func stateWord(s commands.State) string {
	if s == commands.Probable {
		return "probable, not proven"
	}
	return bare(string(s))
}

// undoWord says how far a fix can be taken back.
func undoWord(p commands.Proposal) string {
	switch {
	case len(p.Undo) == 0:
		return "nothing to undo"
	case p.Class == commands.F2:
		return "can be undone, with a short interruption"
	}
	return "can be undone exactly"
}

// lastWord says how long a fix lasts.
func lastWord(p commands.Proposal) string {
	switch {
	case p.Persistent:
		return "survives a restart"
	case p.InCloud():
		return "stays until it is changed in OpenStack again"
	}
	return "changes the running system only"
}

// outcomeWord names a state that a proposal has come to.
func outcomeWord(s commands.ProposalState) string {
	switch s {
	case commands.Applying:
		return "Being applied"
	case commands.Applied:
		return "Applied"
	case commands.Verified:
		return "Applied and verified"
	case commands.NotCured:
		return "Applied, not cured"
	case commands.Undoing:
		return "Being undone"
	case commands.Undone:
		return "Undone"
	case commands.Refused:
		return "Not applied"
	case commands.Failed:
		return "Failed"
	case commands.Declined:
		return "Declined"
	case commands.Expired:
		return "Expired"
	case commands.Undecided:
		return "Outcome unknown"
	default:
		return "Proposed"
	}
}

// subject is the name that a question is about.
func subject(q commands.Question, f fact) string {
	for _, role := range []string{f.vm, q.Subjects["vm"], q.Subjects["src"], q.Subjects["volume"]} {
		if role != "" {
			return role
		}
	}
	return "this"
}

// namesOf lists what is shown as code wherever prose about an incident
// mentions it.
func namesOf(inc commands.Incident, ps []commands.Proposal, f fact) []string {
	names := append(slices.Clone(inc.Entities), f.vm)
	for _, s := range inc.Question.Subjects {
		names = append(names, s)
	}
	if inc.Verdict != nil && inc.Verdict.Edge != nil {
		names = append(names, hopNames(inc.Verdict.Edge.From)...)
		names = append(names, hopNames(inc.Verdict.Edge.To)...)
	}
	for _, p := range ps {
		for _, s := range p.Steps {
			names = append(names, s.Node, s.Args["port"], s.Args["chain"])
		}
	}
	return names
}

// hopNames are a hop, its node and its device.
func hopNames(hop string) []string {
	node, device, _ := strings.Cut(hop, "/")
	return []string{hop, node, device}
}

// approver is who agreed last.
func approver(p commands.Proposal) (commands.Actor, bool) {
	if len(p.Approved) == 0 {
		return commands.Actor{}, false
	}
	return p.Approved[len(p.Approved)-1], true
}

// sentence ends a line of prose.
func sentence(s string) string {
	s = strings.TrimSpace(s)
	if s == "" || strings.ContainsAny(s[len(s)-1:], ".!?:") || strings.HasSuffix(s, "…") {
		return s
	}
	return s + "."
}

// title is a verdict in a few words.
func title(v commands.Verdict) string { return cmp.Or(v.Title, v.Summary, "No title") }
