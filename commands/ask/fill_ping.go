package ask

// fillPing finds the two ends of a flow: by their prepositions first, and by
// their order for what is left.
func fillPing(tokens []token, out map[string]string) {
	ends := endpoints(tokens)
	var rest []int
	for _, i := range ends {
		switch {
		case out[roleSrc] == "" && introducedWith(tokens, i, from):
			out[roleSrc] = tokens[i].text
		case out[roleDst] == "" && introducedWith(tokens, i, to):
			out[roleDst] = tokens[i].text
		default:
			rest = append(rest, i)
		}
	}
	if len(ends) == 1 && len(rest) == 1 {
		out[loneRole(tokens, rest[0])] = tokens[rest[0]].text
		return
	}
	directed := out[roleSrc] != "" || out[roleDst] != ""
	for _, i := range rest {
		if out[roleSrc] == "" {
			out[roleSrc] = tokens[i].text
			continue
		}
		setSome(out, roleDst, tokens[i].text)
	}
	if len(ends) == 2 && (meanings(tokens).has(mutual) || !directed && joined(tokens, ends[0], ends[1])) {
		out[roleBoth] = "true"
	}
}

// endpoints returns the indices of names and addresses that can be an end.
// What is said to answer is left out as long as two ends remain: in "can ping
// db-2 but not db-1", db-2 is not in question.
func endpoints(tokens []token) []int {
	clauses := clauseMeanings(tokens)
	var doubtful, every []int
	answers := -1 // a clause in which all is well, from its verb on
	for i, t := range tokens {
		if t.means.has(ping|reach) && !clauses[t.clause].has(trouble) {
			answers = t.clause
		}
		if !t.means.has(anyName) || introducedBy(tokens, i, host|agent) {
			continue
		}
		every = append(every, i)
		if t.clause != answers {
			doubtful = append(doubtful, i)
		}
	}
	if len(doubtful) < 2 {
		return every
	}
	return doubtful
}

// introducedWith is introducedBy for prepositions: a noun may stand between.
func introducedWith(tokens []token, i int, preposition meaning) bool {
	for j := i - 1; j >= 0 && j >= i-3; j-- {
		if tokens[j].means.has(preposition) {
			return true
		}
		if !tokens[j].means.has(machine | called | article) {
			return false
		}
	}
	return false
}

// joined reports whether nothing but "and" stands between two ends.
func joined(tokens []token, i, j int) bool {
	found := false
	for _, t := range tokens[i+1 : j] {
		switch {
		case t.means.has(and):
			found = true
		case t.means.has(machine | article | called):
		default:
			return false
		}
	}
	return found
}

// loneRole returns the role of the only end: what a verb has before it is the
// source, except where the word itself says that it could not be reached.
func loneRole(tokens []token, i int) string {
	for _, t := range tokens[i+1:] {
		if !t.means.has(ping | reach | network) {
			continue
		}
		if t.means.has(network) && !t.means.has(ping|reach) {
			return roleSrc
		}
		if t.means.has(trouble) || isHanText(t.fold) || t.fold == "pingable" || t.fold == "reachable" {
			return roleDst
		}
		return roleSrc
	}
	return roleDst
}
