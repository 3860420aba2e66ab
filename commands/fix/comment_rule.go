package fix

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"whybot/commands"
	"whybot/commands/node"
)

// CommentRule takes the rule that drops the frames out of the file the
// firewall starts from. Args: file, line (the rule's text, "-A FORWARD …").
var CommentRule = register(&commands.Fix{
	Name: "comment-rule-in-file",
	Doc: `Comment the rule out in the file the firewall loads at boot.

It changes nothing now and keeps the fault from coming back. Do not restart
the iptables service to load it: that throws neutron's own rules away. The
file before the edit is kept beside it as .whybot-bak.`,
	Class:      commands.F2,
	Persistent: true,
	Title: func(s commands.Suggestion) string {
		return fmt.Sprintf("Comment the rule out in %s on %s", s.Args["file"], s.Node)
	},
	Plan: func(p *commands.Pass, s commands.Suggestion) ([]commands.Step, error) {
		text, err := p.Text(s.Node, node.RuleFileProbe(s.Args["file"]).Name)
		if err != nil {
			return nil, &commands.Error{Code: commands.CodeMissing, Public: s.Args["file"] + " on " + s.Node + " could not be read."}
		}
		lines := strings.Split(text, "\n")
		at, n := 0, 0
		for i, l := range lines {
			if strings.TrimSpace(l) == s.Args["line"] {
				at, n = i, n+1
			}
		}
		if n != 1 {
			return nil, &commands.Error{
				Code:   commands.CodeInvalid,
				Public: fmt.Sprintf("%s on %s has the line %q %d times; exactly one can be commented out.", s.Args["file"], s.Node, s.Args["line"], n),
			}
		}
		lines[at] = commentMark + lines[at]
		return []commands.Step{{
			Kind: commentLine.Name, Node: s.Node,
			Args: map[string]string{
				"file": s.Args["file"], "line": strconv.Itoa(at + 1),
				"before": sum(text), "after": sum(strings.Join(lines, "\n")),
			},
		}}, nil
	},
	Touches: func(_ *commands.Pass, s commands.Suggestion) []string {
		return []string{"Takes effect at the next boot. Do not restart iptables for it: neutron's rules would be lost; if it was restarted, restart neutron-linuxbridge-agent on " + s.Node + "."}
	},
})

func sum(text string) string {
	h := sha256.Sum256([]byte(text))
	return hex.EncodeToString(h[:])
}
