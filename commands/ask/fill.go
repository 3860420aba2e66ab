package ask

import (
	"strings"

	"whybot/commands"
)

// Roles that subjects play.
const (
	roleVM       = "vm"
	roleIP       = "ip"
	roleHost     = "host"
	roleSrc      = "src"
	roleDst      = "dst"
	roleBoth     = "both"
	roleVolume   = "volume"
	roleSize     = "size"
	roleSince    = "since"
	roleQuery    = "query"
	roleTarget   = "target"
	roleIncident = "incident"
	roleWhen     = "when"
	roleWhat     = "what"
	roleStatus   = "status"
	roleUser     = "user"
	roleLimit    = "limit"
)

// fill finds the names and gives each its role.
func fill(tokens []token, topic, kind commands.Kind) map[string]string {
	out := map[string]string{}
	if kind != commands.KindNone {
		adoptPlainNames(tokens)
	}
	switch topic {
	case commands.KindDHCP:
		fillMachine(tokens, out)
		fillAddress(tokens, out)
	case commands.KindConsole, commands.KindMetadata:
		fillMachine(tokens, out)
		adoptAddress(tokens, out)
	case commands.KindPing:
		fillPing(tokens, out)
	case commands.KindVolumeLeft:
		fillLeftover(tokens, out)
	case commands.KindVolumeStuck:
		fillVolume(tokens, out)
	case commands.KindHistory:
		fillHistory(tokens, out)
	default:
		fillAny(tokens, out)
	}
	return out
}

// fillAny names what a text without a question is about.
func fillAny(tokens []token, out map[string]string) {
	i := pickMachine(tokens)
	if i < 0 {
		return
	}
	if shapeOf(tokens[i].fold) == volumeShape {
		out[roleVolume] = tokens[i].text
		return
	}
	out[roleVM] = tokens[i].text
}

// adoptPlainNames turns a word that is in no table into a name where a name
// has to stand, unless something that looks like a name is there already.
func adoptPlainNames(tokens []token) {
	if meanings(tokens).has(isName) {
		return
	}
	for i := range tokens {
		if tokens[i].unknown && standsLikeName(tokens, i) {
			tokens[i].kind, tokens[i].means = name, isName
		}
	}
}

// standsLikeName reports whether the word at i stands where names stand: as a
// subject, or behind a preposition or a noun that names introduce.
func standsLikeName(tokens []token, i int) bool {
	const introduces = machine | volume | console | called | at | from | to | and | not | lack | why | aux | ping | reach | remove | removed | left | history | addr | dhcp
	if len(tokens[i].text) < 2 {
		return false
	}
	if i+1 < len(tokens) && tokens[i].owner && tokens[i+1].means.has(machine) {
		return false // "carol's vm" is not called carol
	}
	if i == 0 || tokens[i-1].clause != tokens[i].clause {
		return i+1 < len(tokens) && (tokens[i].owner || tokens[i+1].means.has(trouble|aux|get|have|console|ping|reach|removed|volume|addr|dhcp))
	}
	return tokens[i-1].means.has(introduces)
}

// fillMachine finds the VM a question is about, and the node it is said to be
// on.
func fillMachine(tokens []token, out map[string]string) {
	if i := pickMachine(tokens); i >= 0 {
		out[roleVM] = tokens[i].text
	} else if domain := mailDomain(tokens); domain != "" {
		out[roleVM] = domain
	}
	for i := range tokens {
		if tokens[i].means.has(isName) && introducedBy(tokens, i, host) && tokens[i].text != out[roleVM] {
			out[roleHost] = tokens[i].text
			return
		}
	}
}

// pickMachine returns the index of the name that is most likely a VM, or -1.
func pickMachine(tokens []token) int {
	best, index := -100, -1
	for i, t := range tokens {
		if !t.means.has(isName) {
			continue
		}
		if score := machineScore(tokens, i); score > best {
			best, index = score, i
		}
	}
	return index
}

func machineScore(tokens []token, i int) int {
	score := 0
	if introducedBy(tokens, i, machine|called) {
		score += 4
	}
	if introducedBy(tokens, i, host|agent|network) {
		score -= 6
	}
	if introducedBy(tokens, i, volume) {
		score -= 2
	}
	switch shapeOf(tokens[i].fold) {
	case nodeShape:
		score -= 2
	case volumeShape:
		score--
	case plainShape, machineShape:
	}
	return score
}

// introducedBy reports whether a noun stands right before the token at i, with
// nothing between them but "called" or an article.
func introducedBy(tokens []token, i int, noun meaning) bool {
	for j := i - 1; j >= 0 && j >= i-3; j-- {
		if tokens[j].means.has(noun) {
			return !tokens[j].means.has(anyName)
		}
		if !tokens[j].means.has(called | article) {
			return false
		}
	}
	return false
}

// mailDomain offers the part after the @ of a mail address, which is what
// Slack makes of "root@web-1.example.org".
func mailDomain(tokens []token) string {
	for _, t := range tokens {
		if t.kind == person {
			_, domain, _ := strings.Cut(t.text, "@")
			return domain
		}
	}
	return ""
}

// fillAddress finds the address that a VM should have.
func fillAddress(tokens []token, out map[string]string) {
	for i, t := range tokens {
		if t.means.has(isIP) && !introducedBy(tokens, i, agent|dhcp|host|from) {
			out[roleIP] = t.text
			break
		}
	}
	if out[roleVM] == "" && out[roleIP] != "" {
		out[roleVM] = out[roleIP]
		delete(out, roleIP)
	}
}

// adoptAddress takes an address for the VM's name where there is no other.
func adoptAddress(tokens []token, out map[string]string) {
	if out[roleVM] != "" {
		return
	}
	for _, t := range tokens {
		if t.means.has(isIP) {
			out[roleVM] = t.text
			return
		}
	}
}
