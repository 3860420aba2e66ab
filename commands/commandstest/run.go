package commandstest

import (
	"context"
	"path/filepath"
	"testing"
	"testing/synctest"

	"whybot/commands"
	"whybot/commands/fix"
	"whybot/commands/sudoers"
	"whybot/store"
)

// Run asks the fixture's question of a real Engine with the diagnoses ds, in
// simulated time, and returns the answer. It fails the test when the fixture
// does not say what was asked of it, or when anything was changed.
func (f *Fixture) Run(t *testing.T, ds []*commands.Diagnosis) commands.Answer {
	t.Helper()
	var a commands.Answer
	file := filepath.Join(t.TempDir(), "whybot.db")
	synctest.Test(t, func(t *testing.T) { a = f.ask(t, ds, file) })
	return a
}

func (f *Fixture) ask(t *testing.T, ds []*commands.Diagnosis, file string) commands.Answer {
	t.Helper()
	memory, err := store.Open(t.Context(), store.Options{Path: file})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := memory.Close(); err != nil {
			t.Error(err)
		}
	}()
	a, complaints, err := f.Ask(t.Context(), ds, memory)
	for _, c := range complaints {
		t.Error(c)
	}
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Ask asks the fixture's question of a real Engine that remembers in memory.
// Call it in a synctest bubble: it takes as long as a real question. The
// complaints say what the fixture failed to tell.
func (f *Fixture) Ask(ctx context.Context, ds []*commands.Diagnosis, memory commands.Memory) (commands.Answer, []string, error) {
	rules, err := sudoers.Source{Diagnoses: ds, Kinds: fix.Kinds()}.Looking()
	if err != nil {
		return commands.Answer{}, nil, err
	}
	w := newWorld(f, rules)
	e, err := commands.New(commands.Options{
		Diagnoses: ds, Fixes: fix.All(), StepKinds: fix.Kinds(),
		Shell: w, Sniffer: w, Changer: w, Cloud: f.cloud, Volumes: volumeWorld{f.cloud}, Groups: f.cloud, Consoles: consoleWorld{f.cloud}, VSwitches: f.cloud.vcenter(), CloudChanger: w, Memory: memory,
		Policy: commands.PolicyFunc(func(context.Context, commands.Petition) error { return nil }),
		NoEcho: f.has("no-echo"),
	})
	if err != nil {
		return commands.Answer{}, nil, err
	}
	a, err := e.Ask(ctx, commands.Actor{Via: "terminal", ID: "operator"}, f.asked(), commands.AskOptions{NoCapture: f.has("no-capture")})
	w.mu.Lock()
	defer w.mu.Unlock()
	return a, w.complaints, err
}
