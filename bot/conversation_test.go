package bot_test

import (
	"strings"
	"testing"

	"whybot/internal/slackfake"
)

func TestConversation(t *testing.T) {
	f := newFixture(t, setup{})
	root := f.answered()
	first := f.History(slackfake.ChannelOps, root.TS)[0]
	if !strings.Contains(first.Text, "Looking at web-1") {
		t.Errorf("first paint: %q", first.Text)
	}
	golden(t, "asked.txt", f.Transcript())

	f.press(slackfake.UserOperator, root.TS, "apply-0")
	f.shows("Only", "may decide on fixes", "ephemeral to "+slackfake.UserOperator)
	f.press(slackfake.UserApprover, root.TS, "apply-0")
	f.shows("The guest gets its address", "Applied and verified")
	f.shows("Applied and verified by", "Proven: DHCP works")
	golden(t, "applied.txt", f.Transcript())

	f.press(slackfake.UserApprover, root.TS, "Undo: Accept DHCP of tap3d1c2f4a-0b on compute01")
	f.shows("Undone: Accept DHCP", "Ask again")
	f.wantCounts(1, 1, 1)
	golden(t, "undone.txt", f.Transcript())
}
