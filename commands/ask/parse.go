package ask

import "whybot/commands"

// Parse reads one question. It is a pure function of the text, it accepts any
// text at all, and what it cannot make sense of is of commands.KindNone:
// guessing wrong costs an operator more than being asked to say it again.
func Parse(text string) commands.Question {
	q := commands.Question{Kind: commands.KindNone, Text: text, Subjects: map[string]string{}}
	tokens := tokenise(normalise(text))
	if asksForHelp(tokens) {
		q.Kind = commands.KindHelp
		return q
	}
	settle(tokens)
	topic, kind := classify(tokens)
	q.Kind = kind
	q.Subjects = fill(tokens, topic, kind)
	q.AsksBack = lacksSubject(kind, q.Subjects)
	return q
}

// required lists the roles without which a kind of question cannot be worked
// on. One of each group is enough.
var required = map[commands.Kind][][]string{
	commands.KindDHCP:        {{roleVM}},
	commands.KindPing:        {{roleSrc}, {roleDst}},
	commands.KindMetadata:    {{roleVM}},
	commands.KindConsole:     {{roleVM}},
	commands.KindVolumeLeft:  {{roleVM, roleVolume}},
	commands.KindVolumeStuck: {{roleVolume}},
}

func lacksSubject(kind commands.Kind, subjects map[string]string) bool {
	for _, group := range required[kind] {
		found := false
		for _, role := range group {
			found = found || subjects[role] != ""
		}
		if !found {
			return true
		}
	}
	return false
}
