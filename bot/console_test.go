package bot_test

import (
	"strings"
	"testing"

	"whybot/commands"
	"whybot/internal/slackfake"
)

// shutConsole is an answer about a console: one edge, and no path.
func shutConsole() commands.Answer {
	summary := "On compute01, rule 7 of INPUT (`-j REJECT --reject-with icmp-host-prohibited`, iptables) ends the connection of controller01 to 172.30.200.41:5900 (EHOSTUNREACH after 1 ms); its counter grew by 1 meanwhile"
	title := "The compute node's firewall rejects the console's VNC port"
	edge := commands.Edge{
		From: commands.Hop{Node: "controller01", Device: "novncproxy"}, To: commands.Hop{Node: "compute01", Device: "172.30.200.41:5900"}, Direction: commands.Request,
	}
	const rule = "-s 172.30.200.31/32 -p tcp -m tcp --dport 5900:6099 -j ACCEPT"
	return commands.Answer{
		VM:      "web-1",
		Verdict: commands.Verdict{State: commands.Proven, Cause: "CONS-01", Title: title, Summary: summary, Edge: edge.JSON()},
		Findings: []commands.Finding{{
			Cause: "CONS-01", Title: title, State: commands.Proven, Node: "compute01", Edge: edge, Summary: summary,
			Evidence: []commands.Evidence{{Source: "controller01: a TCP connection to 172.30.200.41:5900", Text: "EHOSTUNREACH after 1 ms\n"}},
			Advice:   []string{"compute02 lacks it too: iptables -w 5 -I INPUT 7 " + rule},
		}},
		Fixes: []commands.Proposal{{
			ID: "fx-vnc", Fix: "console-accept", Class: commands.F1, Title: "Let 172.30.200.31 in to TCP port 5900-6099 on compute01", Cause: "CONS-01", Edge: edge.JSON(), Approvals: 1,
			Steps:    []commands.Step{{Kind: "insert-rule", Node: "compute01"}},
			Commands: []string{"compute01# iptables -w 5 -I INPUT 7 " + rule}, Undo: []string{"compute01# iptables -w 5 -D INPUT " + rule},
		}},
		Checked: []commands.Check{{What: "Nova makes a console of the server", Source: "nova: POST remote-consoles"}},
	}
}

func TestConsoleAnswer(t *testing.T) {
	f := newFixture(t, setup{})
	f.engine.answer = shutConsole()
	f.engine.proof = commands.Verdict{State: commands.Healthy, Title: "The console answers its proxies", Summary: "From controller01, 172.30.200.41:5900 answers as a VNC server."}
	f.done(f.Slash(slackfake.UserOperator, slackfake.ChannelOps, "/why", "why does the console of web-1 not open, code 1006"))
	root := f.shows("rejects the console's VNC port", "Proposed fix", "controller01/novncproxy")
	f.shows("EHOSTUNREACH after 1 ms")
	f.shows("compute02 lacks it too")
	for _, m := range f.Messages(slackfake.ChannelOps) {
		for _, absent := range []string{"DHCP", "lease", "packet"} {
			if strings.Contains(m.Text, absent) {
				t.Errorf("an answer about a console speaks of %q: %s", absent, m.Text)
			}
		}
	}
	f.press(slackfake.UserApprover, root.TS, "apply-0")
	f.wantCounts(1, 1, 0)
	golden(t, "console.txt", f.Transcript())
}
