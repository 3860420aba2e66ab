package endtoend

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"whybot/internal/lab"
	"whybot/internal/slackfake"
)

// The whole of it as a team meets it: the binary serves a strict Slack, looks
// at real kernels, is killed between the answer and the click, and the click
// works all the same.
func TestKernelSlack(t *testing.T) { //nolint:tparallel // its scenes follow one another on one stage
	parallelStage(t, lab.Options{}, "DHCP-01/rhel-nft").play(t, scene{"asked, refused, restarted, applied, undone", slackStory})
}

func slackStory(s stage) {
	t := s.t
	slack := slackfake.New(slackfake.Options{})
	t.Cleanup(slack.Close)
	w := newWhybot(t, s.Lab, func(set *settings) {
		set.rest += "slack:\n  mode: socket\n  approvers: {users: [" + slackfake.UserApprover + "]}\n"
	})
	c := conversation{t, slack}

	stop := w.serve(t, slack)
	c.connected()
	asked := time.Now()
	c.sent(slack.Slash(slackfake.UserOperator, slackfake.ChannelOps, "/why", "can't web-1 get an IP"))
	root := c.reads("web-1")
	t.Logf("first words after %d ms", time.Since(asked).Milliseconds())
	c.rootReads(root, "DHCP-01", "controller01/eth3.3092")
	t.Logf("the verdict after %d ms", time.Since(asked).Milliseconds())

	c.sent(slack.Click(slackfake.UserOperator, slackfake.ChannelOps, root.TS, c.button(root, "Apply: Accept")))
	if refusal := c.reads("may decide on fixes"); refusal.EphemeralTo != slackfake.UserOperator {
		t.Errorf("the refusal is seen by %q", refusal.EphemeralTo)
	}
	if rules := s.sh(t, lab.Controller01, "iptables-save"); strings.Contains(rules, acceptReply) {
		t.Error("a refused click changed the rules")
	}

	stop()
	stop = w.serve(t, slack)
	c.connected()
	c.sent(slack.Click(slackfake.UserApprover, slackfake.ChannelOps, root.TS, c.button(root, "Apply: Accept")))
	c.rootReads(root, "Applied and verified")
	if n := accepts(t, s); n != 1 {
		t.Errorf("the rule is there %d times", n)
	}
	if _, err := s.VM(lab.Web1).WaitLease(c.budget()); err != nil {
		t.Errorf("web-1 after the fix: %v", err)
	}
	c.sent(slack.Click(slackfake.UserApprover, slackfake.ChannelOps, root.TS, c.button(root, "Undo")))
	c.rootReads(root, "Undone")
	if n := accepts(t, s); n != 0 {
		t.Errorf("the rule is there %d times after the undo", n)
	}
	stop()
	if v := slack.Violations(); len(v) > 0 {
		t.Errorf("Slack's rules were broken: %v", v)
	}
	t.Log("\n" + slack.Transcript())
}

// serve runs whybot serve and returns what ends it, orderly.
func (w whybot) serve(t *testing.T, slack *slackfake.Server) (stop func()) {
	t.Helper()
	cmd := w.command(t.Context(), "serve")
	cmd.Env = append(cmd.Env, "SLACK_API_URL="+slack.URL(), "WHYBOT_SLACK_BOT_TOKEN=xoxb-fake-bot", "WHYBOT_SLACK_APP_TOKEN=xapp-fake-app")
	log, err := os.Create(filepath.Join(w.dir, "serve.log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := false
	stop = func() {
		if done {
			return
		}
		done = true
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			text, _ := os.ReadFile(log.Name())
			t.Errorf("whybot serve: %v\n%s", err, text)
		}
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return stop
}

// A conversation waits for what people in Slack see.
type conversation struct {
	t     *testing.T
	slack *slackfake.Server
}

// budget bounds one thing to wait for.
func (c conversation) budget() context.Context {
	ctx, cancel := context.WithTimeout(c.t.Context(), stageTimeout)
	c.t.Cleanup(cancel)
	return ctx
}

func (c conversation) connected() {
	c.t.Helper()
	if err := c.slack.WaitSockets(c.budget(), 2); err != nil {
		c.t.Fatal(err)
	}
}

// sent waits until a delivery is acknowledged.
func (c conversation) sent(d *slackfake.Delivery, err error) {
	c.t.Helper()
	if err == nil {
		err = d.Wait(c.budget())
	}
	if err != nil {
		c.t.Fatalf("%v\n%s", err, c.slack.Transcript())
	}
}

// reads waits for a message of the channel with text in it.
func (c conversation) reads(text string) slackfake.Message {
	c.t.Helper()
	m, err := c.slack.WaitMessage(c.budget(), slackfake.ChannelOps, func(m slackfake.Message) bool {
		return m.User == slackfake.UserWhybot && strings.Contains(m.Text+string(m.Blocks), text)
	})
	if err != nil {
		c.t.Fatalf("no message says %q: %v\n%s", text, err, c.slack.Transcript())
	}
	return m
}

// rootReads waits until the root message says all of texts.
func (c conversation) rootReads(root slackfake.Message, texts ...string) {
	c.t.Helper()
	_, err := c.slack.WaitMessage(c.budget(), slackfake.ChannelOps, func(m slackfake.Message) bool {
		for _, text := range texts {
			if !strings.Contains(m.Text+string(m.Blocks), text) {
				return false
			}
		}
		return m.TS == root.TS
	})
	if err != nil {
		c.t.Fatalf("the root does not come to say %q: %v\n%s", texts, err, c.slack.Transcript())
	}
}

// button returns the label of the root's button that begins so.
func (c conversation) button(root slackfake.Message, begins string) string {
	c.t.Helper()
	for _, b := range c.slack.Buttons(slackfake.ChannelOps, root.TS) {
		if strings.HasPrefix(b.Label, begins) {
			return b.Label
		}
	}
	c.t.Fatalf("no button begins with %q\n%s", begins, c.slack.Transcript())
	return ""
}
