package differential

import (
	"strings"
	"testing"
)

// TestShrink makes a rule set smaller that fails for as long as one rule of a
// called chain is in it, with one of its matches, and one shot is sent.
func TestShrink(t *testing.T) {
	rs := &ruleSet{Family: "iptables-legacy", Shots: []shot{
		{Kind: udp, From: "p0", To: "p1"}, {Kind: udp, From: "p1", To: "p0", Answers: 1}, {Kind: tcpSYN, From: "r0", To: "r1"},
	}}
	guilty := rule{Matches: []string{"-i br0", "-s 10.0.0.0/8", "-p udp"}, Action: "-j DROP"}
	rs.Tables = []table{
		{Name: "raw", Chains: []chain{{Name: "PREROUTING", Policy: "ACCEPT", Rules: []rule{{Action: "-j ACCEPT"}}}}},
		{Name: "filter", Chains: []chain{
			{Name: "FORWARD", Policy: "ACCEPT", Rules: []rule{{Action: "-j RETURN"}, {Action: "-j u0"}, {Action: "-j u1"}, {}, {}, {}}},
			{Name: "u0", Policy: "-", Rules: []rule{{Action: "-j LOG"}, guilty, {Action: "-j ACCEPT"}}},
			{Name: "u1", Policy: "-", Rules: []rule{{}, {}}},
		}},
	}
	whole := rs.iptablesText()
	tries := 0
	small := shrink(t.Context(), rs, 1000, func(c *ruleSet) bool {
		tries++
		text := c.iptablesText()
		answered := false
		for _, s := range c.Shots {
			answered = answered || s.Answers == 1 && c.Shots[0].Kind == udp
		}
		return answered && strings.Contains(text, "-s 10.0.0.0/8") && strings.Contains(text, "-A FORWARD -j u0")
	})
	want := "*raw\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n*filter\n:FORWARD ACCEPT [0:0]\n:u0 - [0:0]\n" +
		"-A FORWARD -j u0\n-A u0 -s 10.0.0.0/8 -j DROP\nCOMMIT\n"
	if got := small.iptablesText(); got != want || len(small.Shots) != 2 {
		t.Errorf("after %d tries, %d shots and\n%swant\n%s", tries, len(small.Shots), got, want)
	}
	if rs.iptablesText() != whole || len(rs.Shots) != 3 {
		t.Error("the rule set that was given has changed")
	}
	if stuck := shrink(t.Context(), rs, 5, func(*ruleSet) bool { return true }); len(stuck.Shots) == 0 {
		t.Error("no shot is left")
	}
}
