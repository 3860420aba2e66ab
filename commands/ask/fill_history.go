package ask

import "strings"

// Queries of the timeline.
const (
	queryIncident     = "incident"
	queryIncidents    = "incidents"
	queryEntity       = "entity"
	queryFixes        = "fixes"
	queryRecurrence   = "recurrence"
	queryApprovals    = "approvals"
	queryVerification = "verification"
)

func fillHistory(tokens []token, out map[string]string) {
	all := meanings(tokens)
	fillNamed(tokens, out)
	query := historyQuery(all, out)
	out[roleQuery] = query
	if when := period(tokens); when != "" {
		out[roleWhen] = when
	}
	switch query {
	case queryIncident, queryApprovals, queryVerification:
		return
	case queryRecurrence:
		setSome(out, roleWhat, troubleWord(all))
	case queryFixes:
		setSome(out, roleWhat, doneWhat(tokens, all))
		if all.has(limitOne) {
			out[roleLimit] = "1"
		}
	}
	switch {
	case query == queryRecurrence:
	case all.has(fail) && all.has(fix):
		out[roleStatus] = "failed"
	case all.has(open) && query == queryIncidents:
		out[roleStatus] = "open"
	}
}

// fillNamed finds who and what the history is of.
func fillNamed(tokens []token, out map[string]string) {
	for i, t := range tokens {
		switch {
		case t.kind == ticket:
			out[roleIncident] = t.text
		case t.means.has(incident) && i+1 < len(tokens) && tokens[i+1].kind == number:
			out[roleIncident] = "inc-" + tokens[i+1].text
		case t.kind == user:
			setSome(out, roleUser, t.text)
		case t.means.has(isName):
			setSome(out, roleTarget, t.text)
		}
	}
	for _, t := range tokens {
		if t.means.has(isIP) {
			setSome(out, roleTarget, t.text)
		}
	}
}

func setSome(out map[string]string, role, value string) {
	if value != "" && out[role] == "" {
		out[role] = value
	}
}

func historyQuery(all meaning, out map[string]string) string {
	if out[roleIncident] != "" {
		return incidentQuery(all)
	}
	switch {
	case all.has(often) || all.has(asksPast|past) && all.has(before):
		return queryRecurrence
	case all.has(fix|who) || out[roleUser] != "" || asksForDeeds(all):
		return queryFixes
	case all.has(incident) && (out[roleTarget] == "" || all.has(which)):
		return queryIncidents
	}
	return queryEntity
}

func incidentQuery(all meaning) string {
	switch {
	case all.has(who | approve):
		return queryApprovals
	case all.has(verify):
		return queryVerification
	}
	return queryIncident
}

// asksForDeeds tells what people did from what changed by itself.
func asksForDeeds(all meaning) bool {
	return all.has(whatDid) && !all.has(change) || all.has(asksWhen) && all.has(resolved)
}

// troubleWord names the trouble that is asked about.
func troubleWord(all meaning) string {
	switch {
	case all.has(addr | dhcp):
		return "no ip"
	case all.has(console):
		return "console"
	case all.has(ping | reach):
		return "ping"
	case all.has(volume):
		return "volume"
	}
	return ""
}

// doneWhat names what was done: an action with its object, or the trouble it
// was done about.
func doneWhat(tokens []token, all meaning) string {
	for i, t := range tokens {
		verb, past := strings.CutSuffix(t.fold, "ed")
		if !past || t.kind != word || !all.has(who) || t.means.has(fix|approve|verify|resolved) || genericActs[verb] {
			continue
		}
		return strings.Join(append([]string{verb}, object(tokens[i+1:])...), " ")
	}
	return troubleWord(all)
}

var genericActs = map[string]bool{"appli": true, "chang": true, "execut": true}

// object returns the words up to the preposition or name that ends them.
func object(tokens []token) []string {
	var out []string
	for _, t := range tokens[:min(4, len(tokens))] {
		if t.kind != word || t.means.has(at|from|to) {
			break
		}
		if !t.means.has(article) {
			out = append(out, t.fold)
		}
	}
	return out
}
