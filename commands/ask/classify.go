package ask

import (
	"strings"

	"whybot/commands"
)

// asksForHelp reports whether the whole message is a help phrase.
func asksForHelp(tokens []token) bool {
	const most = 10
	if len(tokens) > most {
		return false
	}
	var b strings.Builder
	for _, t := range tokens {
		switch {
		case t.kind == pause || t.kind == question || greetings[t.fold]:
		case t.kind == word:
			b.WriteString(t.fold)
		default:
			return false
		}
	}
	return helpPhrases[strings.Map(dropSpace, b.String())]
}

// polite are words that a short command may carry.
var polite = map[string]bool{"please": true, "pls": true, "请": true, "帮忙": true}

var greetings = map[string]bool{"hi": true, "hey": true, "hello": true, "whybot": true, "请": true, "请问": true}

// settle corrects meanings that depend on their neighbours.
func settle(tokens []token) {
	for i := range tokens {
		t := &tokens[i]
		before := clauseBefore(tokens, i, reachAhead)
		switch {
		case t.means.has(removed) && isPrevented(before):
			t.means = t.means&^removed | remove // "can't be deleted"
		case t.means.has(remove) && isDone(tokens, i):
			t.means = t.means&^remove | removed
		case t.means.has(problem):
			cancelDenied(tokens, i)
		case t.means.has(not|lack) && t.fold == "no longer":
			cancelProblem(tokens, i)
		case t.means.has(not) && isImperative(tokens, i):
			t.means = t.means&^not | dont
		case t.means.has(resolved) && meanings(lastTokens(before, 2)).has(not):
			t.means &^= resolved // "not fixed": still broken
		case t.means.has(asksPast) && i > 0:
			t.means &^= asksPast
		}
	}
}

// isPrevented reports whether what stands before a past participle says that
// it has not come to pass: "can't be deleted", "refuses to be removed".
func isPrevented(before []token) bool {
	m := meanings(before)
	return m.has(not) || m.has(fail) && last(before).fold == "be"
}

// clauseBefore returns up to n tokens before i in its clause.
func clauseBefore(tokens []token, i, n int) []token {
	start := i
	for start > 0 && i-start < n && tokens[start-1].clause == tokens[i].clause {
		start--
	}
	return tokens[start:i]
}

func lastTokens(tokens []token, n int) []token { return tokens[max(0, len(tokens)-n):] }

func last(tokens []token) token { return tokens[len(tokens)-1] }

func meanings(tokens []token) meaning {
	var m meaning
	for _, t := range tokens {
		m |= t.means
	}
	return m
}

// isDone reports whether a removal is told as done: "after deleting web-1",
// "when I remove it", "删机器之后".
func isDone(tokens []token, i int) bool {
	before := clauseBefore(tokens, i, 3)
	if meanings(before).has(not | fail) {
		return false
	}
	if meanings(before).has(after) {
		return true
	}
	if !isHanText(tokens[i].fold) {
		return false
	}
	for _, t := range tokens[i+1 : min(i+5, len(tokens))] {
		if t.clause != tokens[i].clause || t.means.has(broken) {
			return false
		}
		if t.means.has(after) || t.fold == "完" || t.fold == "后" {
			return true
		}
	}
	return false
}

func isHanText(s string) bool {
	for _, r := range s {
		return isHan(r)
	}
	return false
}

// cancelDenied takes back a problem that is said not to be one: "no problem",
// "not a dhcp problem". In "no ip problem" the address is what is missing.
func cancelDenied(tokens []token, i int) {
	for j := i - 1; j >= 0 && j >= i-reachAhead && tokens[j].clause == tokens[i].clause; j-- {
		t := &tokens[j]
		if t.means.has(not) || t.means.has(lack) && j == i-1 || t.fold == "不是" {
			t.means &^= not | lack
			tokens[i].means &^= problem
			return
		}
		if !t.means.has(article | addr | dhcp | at) {
			return
		}
	}
}

// cancelProblem takes back a problem that "no longer" says is over.
func cancelProblem(tokens []token, i int) {
	for j := i + 1; j < min(i+8, len(tokens)) && tokens[j].clause == tokens[i].clause; j++ {
		if tokens[j].means.has(problem) {
			tokens[j].means &^= problem
			tokens[i].means &^= not | lack
		}
	}
}

// isImperative reports whether a "don't" starts its clause, apart from a
// "please": then it asks not to act.
func isImperative(tokens []token, i int) bool {
	if f := tokens[i].fold; f != "don't" && f != "dont" && f != "do not" {
		return false
	}
	for _, t := range clauseBefore(tokens, i, reachAhead) {
		if t.means != 0 || t.kind != word || t.unknown {
			return false
		}
	}
	return true
}

// classify returns the kind of question the tokens add up to. Topic is what
// they are about even where there is nothing to do.
func classify(tokens []token) (topic, kind commands.Kind) {
	kind, weight := commands.KindNone, 0
	clauses := clauseMeanings(tokens)
	all := meanings(tokens)
	for _, c := range cues {
		if c.weight > weight && c.speaks(tokens, clauses, all) {
			kind, weight = c.kind, c.weight
		}
	}
	if weight == 0 {
		kind = shorthand(tokens)
	}
	topic = kind
	if kind == commands.KindNone {
		topic = subjectMatter(all)
	}
	if kind != commands.KindHistory && isOver(tokens) {
		kind = commands.KindNone
	}
	if kind == commands.KindVolumeStuck && isMachineRemoval(tokens) {
		kind = commands.KindNone
	}
	return topic, kind
}

func clauseMeanings(tokens []token) []meaning {
	if len(tokens) == 0 {
		return nil
	}
	out := make([]meaning, last(tokens).clause+1)
	for _, t := range tokens {
		out[t.clause] |= t.means
	}
	return out
}

func (c cue) speaks(tokens []token, clauses []meaning, all meaning) bool {
	switch c.scope {
	case anywhere:
		return c.met(all)
	case clause:
		for _, m := range clauses {
			if c.met(m) {
				return true
			}
		}
		return false
	case inOrder:
		return c.covered(all) && c.startsIn(tokens)
	}
	return false
}

func (c cue) startsIn(tokens []token) bool {
	for i := range tokens {
		if c.inOrderAt(tokens[i:]) {
			return true
		}
	}
	return false
}

func (c cue) met(m meaning) bool { return !m.has(c.without) && c.covered(m) }

func (c cue) covered(m meaning) bool {
	for _, want := range c.all {
		if !m.has(want) {
			return false
		}
	}
	return true
}

// inOrderAt reports whether the cue starts with the first token. A word that
// is two things at once, such as 拿不到, counts for both.
func (c cue) inOrderAt(tokens []token) bool {
	if !tokens[0].means.has(c.all[0]) || tokens[0].means.has(c.without) {
		return false
	}
	at := 0
	for _, want := range c.all[1:] {
		if tokens[at].kind == word && tokens[at].means.has(want) {
			continue
		}
		next := c.next(tokens, at, want)
		if next < 0 {
			return false
		}
		at = next
	}
	return true
}

func (c cue) next(tokens []token, at int, want meaning) int {
	for j := at + 1; j < len(tokens) && j <= at+reachAhead; j++ {
		if tokens[j].clause != tokens[at].clause {
			return -1
		}
		if tokens[j].means.has(want) {
			return j
		}
		if tokens[j].means.has(c.without) {
			return -1
		}
	}
	return -1
}

// shorthand reads a bare topic with names: "console web-1", "ping web-1 db-1".
// Any other word makes it a sentence that means something else.
func shorthand(tokens []token) commands.Kind {
	var topics meaning
	names := 0
	for _, t := range tokens {
		switch {
		case t.means.has(anyName):
			names++
		case t.means.has(ping | console | dhcp):
			topics |= t.means
		case t.kind == arrow || t.means.has(to|machine|article|at|from) || polite[t.fold]:
		default:
			return commands.KindNone
		}
	}
	if names == 0 {
		return commands.KindNone
	}
	return subjectMatter(topics & (ping | console | dhcp))
}

func subjectMatter(m meaning) commands.Kind {
	switch {
	case m.has(ping | reach):
		return commands.KindPing
	case m.has(console):
		return commands.KindConsole
	case m.has(volume | remove | removed | left):
		return commands.KindVolumeLeft
	case m.has(dhcp | addr):
		return commands.KindDHCP
	}
	return commands.KindNone
}

// isOver reports whether the text ends well: the last thing it says is that it
// works, not that it does not.
func isOver(tokens []token) bool {
	over := false
	for _, t := range tokens {
		switch {
		case t.means.has(resolved):
			over = true
		case t.means.has(trouble):
			over = false
		}
	}
	return over
}

// isMachineRemoval reports whether what cannot be deleted is a VM: whybot
// knows why volumes stay, not why servers do.
func isMachineRemoval(tokens []token) bool {
	all := meanings(tokens)
	if all.has(volume) {
		return false
	}
	for _, t := range tokens {
		if t.kind == name && shapeOf(t.fold) != machineShape {
			return false
		}
	}
	return all.has(machine) || all.has(isName)
}
