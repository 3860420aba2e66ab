package ask

// fillVolume finds the volume that cannot be deleted.
func fillVolume(tokens []token, out map[string]string) {
	best := -100
	for i, t := range tokens {
		if !t.means.has(isName) {
			continue
		}
		if score := volumeScore(tokens, i); score > best {
			best, out[roleVolume] = score, t.text
		}
	}
	for i, t := range tokens {
		switch {
		case t.means.has(isIP) && out[roleIP] == "":
			out[roleIP] = t.text
		case t.means.has(since) && i+1 < len(tokens) && tokens[i+1].text != "":
			out[roleSince] = tokens[i+1].text
		}
	}
}

// fillLeftover tells the volume that stayed from the VM that went.
func fillLeftover(tokens []token, out map[string]string) {
	best, worst := -1, 0
	for i, t := range tokens {
		if t.kind == amount && i+1 < len(tokens) && tokens[i+1].means.has(volume) {
			out[roleSize] = t.text
		}
		if !t.means.has(isName) || introducedBy(tokens, i, host) {
			continue
		}
		switch score := volumeScore(tokens, i) + leftoverScore(tokens, i); {
		case score > best:
			best, out[roleVolume] = score, t.text
		case score < worst:
			worst, out[roleVM] = score, t.text
		}
	}
}

// volumeScore says how much the name at i looks like a volume's.
func volumeScore(tokens []token, i int) int {
	score := 0
	if introducedBy(tokens, i, volume) {
		score += 2
	}
	if introducedBy(tokens, i, machine|host) || tokens[i].owner {
		score -= 5
	}
	if i+1 < len(tokens) && tokens[i+1].means.has(machine) {
		score -= 2
	}
	switch shapeOf(tokens[i].fold) {
	case volumeShape:
		score += 4
	case machineShape, nodeShape:
		score -= 3
	case plainShape:
	}
	return score
}

// leftoverScore says how the removal speaks of the name at i: what was removed
// is the VM, what is left is the volume.
func leftoverScore(tokens []token, i int) int {
	score := 0
	if meanings(clauseBefore(tokens, i, 2)).has(removed) || introducedWith(tokens, i, from) {
		score -= 3
	}
	following := meanings(clauseAfter(tokens, i, 3))
	if following.has(removed) && !following.has(not) {
		score -= 3
	}
	if meanings(clauseAfter(tokens, i, 1)).has(left) {
		score += 3
	}
	return score
}

// clauseAfter returns up to n tokens after i in its clause, not going past the
// next name.
func clauseAfter(tokens []token, i, n int) []token {
	end := i + 1
	for end < len(tokens) && end <= i+n && tokens[end].clause == tokens[i].clause && !tokens[end].means.has(anyName) {
		end++
	}
	return tokens[i+1 : end]
}
