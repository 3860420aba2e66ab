package fix

import (
	"strings"

	"whybot/commands"
	"whybot/runners"
)

// commentMark is what whybot puts in front of a line it takes out of force.
const commentMark = "#whybot# "

// commentLine comments one line of a file out. Args: file, line (its number),
// before and after (SHA-256 of the whole file, hex).
var commentLine = registerKind(&commands.StepKind{
	Name: "comment-line",
	Read: func(s commands.Step) []runners.Probe {
		return []runners.Probe{{Name: "sha256", Sudo: true, Argv: []string{"sha256sum", s.Args["file"]}}}
	},
	State: func(s commands.Step, results []runners.Result) (commands.StepState, string) {
		sum, _, _ := strings.Cut(strings.TrimPrefix(results[0].Output.Stdout, `\`), " ")
		switch sum {
		case s.Args["before"]:
			return commands.StepPending, s.Args["file"] + " is as it was"
		case s.Args["after"]:
			return commands.StepDone, s.Args["file"] + " has the line commented out"
		}
		return commands.StepChanged, s.Args["file"] + " has been edited since"
	},
	Do: func(s commands.Step) []commands.Action {
		return sed(s, "-i.whybot-bak", s.Args["line"]+"s/^/"+commentMark+"/")
	},
	Undo: func(s commands.Step) []commands.Action {
		return sed(s, "-i", s.Args["line"]+"s/^"+commentMark+"//")
	},
})

// sed replaces the file by a new one of the same owner and mode in one rename.
func sed(s commands.Step, inPlace, script string) []commands.Action {
	return []commands.Action{{Command: runners.Probe{Name: "edit-file", Sudo: true, Argv: []string{"sed", inPlace, "-e", script, s.Args["file"]}}}}
}
