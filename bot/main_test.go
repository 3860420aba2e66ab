package bot_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"whybot/bot"
	"whybot/commands"
	"whybot/commands/policy"
	"whybot/internal/slackfake"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "write the golden files")

// noon is when the clocks of these tests start.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// fixture is a workspace with a bot in it.
type fixture struct {
	*slackfake.Server
	t      *testing.T
	clock  *slackfake.ManualClock
	memory *notebook
	engine *scripted
	bot    *bot.Bot
	space  *bot.Workspace
	rule   commands.Rule // in force
	logs   *buffer
	tune   func(*bot.Options)
	path   string
	halt   func() error
}

// buffer is a log that goroutines share.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

type setup struct {
	slack      func(*slackfake.Options)
	tune       func(*bot.Options)
	rule       func(*commands.Rule) // changes the rule: one of GroupApprovers, anywhere
	violations []string             // expected
}

func newFixture(t *testing.T, s setup) *fixture {
	t.Helper()
	f := &fixture{t: t, clock: slackfake.NewManualClock(noon), logs: &buffer{}, tune: s.tune, path: filepath.Join(t.TempDir(), "whybot.db")}
	options := slackfake.Options{Clock: f.clock, Workspace: slackfake.DefaultWorkspace(), ShareDelay: time.Nanosecond}
	if s.slack != nil {
		s.slack(&options)
	}
	f.Server = slackfake.New(options)
	t.Cleanup(f.Close)
	t.Cleanup(func() {
		for _, v := range f.Violations() {
			if !slices.Contains(s.violations, v.Code) {
				t.Errorf("violation: %s", v)
			}
		}
	})
	f.rule = commands.Rule{Groups: []string{slackfake.GroupApprovers}, Needed: 1, AskerMay: true, Expires: 30 * time.Minute}
	if s.rule != nil {
		s.rule(&f.rule)
	}
	var err error
	f.space, err = bot.NewWorkspace(bot.WorkspaceOptions{BotToken: "xoxb-fake-bot", APIURL: f.URL(), Now: f.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.space.Close)
	keeper := policy.New(policy.Options{
		Rule: func(string, commands.Class) commands.Rule { return f.rule }, Directory: f.space, Now: f.clock.Now,
	})
	f.engine = &scripted{policy: keeper, now: f.clock.Now, answer: blockedReply(), proof: cured, end: commands.Verified}
	f.start()
	return f
}

// start runs a bot over what the store has; the one before must have stopped.
func (f *fixture) start() {
	f.t.Helper()
	f.memory = openNotebook(f.t, f.path, f.clock.Now)
	f.engine.memory = f.memory
	o := bot.Options{
		Mode: bot.Socket, BotToken: "xoxb-fake-bot", AppToken: "xapp-fake-app", APIURL: f.URL(), Engine: f.engine,
		Memory: f.memory, Deliveries: f.memory, Now: f.clock.Now, Drain: 5 * time.Second,
		Log: slog.New(slog.NewTextHandler(f.logs, nil)),
	}
	if f.tune != nil {
		f.tune(&o)
	}
	b, err := bot.New(o)
	if err != nil {
		f.t.Fatal(err)
	}
	f.bot = b
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	stopped := false
	f.halt = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		err := <-ended
		if err == nil {
			err = f.WaitSockets(f.soon(), 0)
		}
		return err
	}
	f.t.Cleanup(func() {
		if err := f.halt(); err != nil {
			f.t.Errorf("Run: %v", err)
		}
	})
	if o.Mode == bot.Socket {
		if err := f.WaitSockets(f.soon(), 2); err != nil {
			f.t.Fatal(err)
		}
	}
}

// stop ends the bot and closes its store.
func (f *fixture) stop() {
	f.t.Helper()
	if err := f.halt(); err != nil {
		f.t.Fatalf("Run: %v", err)
	}
	if err := f.memory.Close(); err != nil {
		f.t.Fatal(err)
	}
}

// logged waits until the log has a line that says this.
func (f *fixture) logged(text string) {
	f.t.Helper()
	for range 1000 {
		if strings.Contains(f.logs.String(), text) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	f.t.Fatalf("not logged: %q", text)
}

func (f *fixture) restart() {
	f.t.Helper()
	f.stop()
	f.start()
}

func (f *fixture) soon() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	f.t.Cleanup(cancel)
	return ctx
}

// done fails the test when somebody could not do what they did, and waits for
// the acknowledgement.
func (f *fixture) done(d *slackfake.Delivery, err error) *slackfake.Delivery {
	f.t.Helper()
	if err == nil {
		err = d.Wait(f.soon())
	}
	if err != nil {
		f.t.Fatal(err)
	}
	return d
}

func (f *fixture) why(text string) {
	f.t.Helper()
	f.done(f.Slash(slackfake.UserOperator, slackfake.ChannelOps, "/why", text))
}

// shows waits for a message in the channel that shows all of words.
func (f *fixture) showsIn(channel string, words ...string) slackfake.Message {
	f.t.Helper()
	m, err := f.WaitMessage(f.soon(), channel, func(m slackfake.Message) bool {
		seen := seen(m)
		return !m.Deleted && !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(seen, w) })
	})
	if err != nil {
		f.t.Fatalf("nothing shows %q: %v\n%s\n%s", words, err, f.Transcript(), f.logs)
	}
	return m
}

func (f *fixture) shows(words ...string) slackfake.Message {
	f.t.Helper()
	return f.showsIn(slackfake.ChannelOps, words...)
}

// seen is all text of a message, unescaped.
func seen(m slackfake.Message) string {
	var b strings.Builder
	b.WriteString(m.Text + "\n")
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, x := range v {
				walk(x)
			}
		case map[string]any:
			if t, ok := v["text"].(string); ok {
				b.WriteString(t)
			}
			for _, k := range []string{"text", "fields", "elements"} {
				walk(v[k])
			}
		}
	}
	var blocks any
	_ = json.Unmarshal(m.Blocks, &blocks)
	walk(blocks)
	if m.EphemeralTo != "" {
		b.WriteString("\nephemeral to " + m.EphemeralTo)
	}
	return strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(b.String())
}

// answered asks and waits for the verdict and the evidence.
func (f *fixture) answered() slackfake.Message {
	f.t.Helper()
	f.why("why can't web-1 get an IP")
	root := f.shows("A packet filter drops the reply", "Proposed fix")
	f.shows("Fix: ", "Comment the rule out")
	return root
}

func (f *fixture) press(user, ts, button string, o ...slackfake.ClickOption) {
	f.t.Helper()
	f.done(f.Click(user, slackfake.ChannelOps, ts, button, o...))
}

// wantCounts ends the bot, so that nothing more can happen, and compares how often
// the engine was asked, has applied and has undone.
func (f *fixture) wantCounts(asked, applied, undone int) {
	f.t.Helper()
	if err := f.halt(); err != nil { // drained: nothing more happens
		f.t.Fatal(err)
	}
	if a, p, u, _ := f.engine.counts(); a != asked || p != applied || u != undone {
		f.t.Fatalf("asked %d, applied %d, undone %d; want %d, %d, %d", a, p, u, asked, applied, undone)
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (go test ./bot -update writes it):\n%s", path, got)
	}
}
