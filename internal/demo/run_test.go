package demo

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
)

func TestScript(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	ok, err := Run(t.Context(), Options{Script: true, Out: &out})
	if err != nil || !ok {
		t.Fatalf("ok %t, %v\n%s", ok, err, out.String())
	}
	at := 0
	for _, want := range []string{
		"This is a simulation", "you> " + defaultQuestion, "now listening", "PROVEN  DHCP-01", "approve fix fx-", "[y/N] y",
		"VERIFIED", "The timeline of inc-1", "every hash and link is right", "undo it again? [y/N] y", "UNDONE",
		"you> " + defaultQuestion, "PROVEN  DHCP-01", "13 of 13 expectations held.",
	} {
		i := strings.Index(out.String()[at:], want)
		if i < 0 {
			t.Fatalf("no %q after byte %d of\n%s", want, at, out.String())
		}
		at += i + len(want)
	}
}

// TestScriptFails shows the script a cloud that is not broken.
func TestScriptFails(t *testing.T) {
	t.Parallel()
	c := brokenCloud(t, []change{{controller, heal}})
	e, memory := engineOver(t, c)
	var out bytes.Buffer
	s := &session{o: Options{Script: true, Out: &out}, cloud: c, memory: memory, engine: e}
	ok, err := s.script(t.Context())
	if err != nil || ok {
		t.Errorf("ok %t, %v", ok, err)
	}
	if !strings.Contains(out.String(), "NOT AS EXPECTED: asked, DHCP-01 is proven; got healthy") {
		t.Errorf("%s", out.String())
	}
}

func TestTalk(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	typed := "\x1b[31mmake me a sandwich\nwhy can't web-9 get an IP\n\nn\nyes\ny\nquit\nnever read\n"
	ok, err := Run(t.Context(), Options{In: strings.NewReader(typed), Out: &out})
	if err != nil || !ok {
		t.Fatalf("ok %t, %v", ok, err)
	}
	text := out.String()
	for _, want := range []string{
		"There is no question in that", `There is no server "web-9"`, "Nearest names: web-1, web-2", "PROVEN  DHCP-01",
		"VERIFIED  Delete the REJECT rule", "UNDONE  Delete the REJECT rule", "Press Enter to ask again",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "\x1b") {
		t.Error("an escape sequence came through")
	}
}

func TestTalkEndsWithItsInput(t *testing.T) {
	var out bytes.Buffer
	if ok, err := Run(t.Context(), Options{In: strings.NewReader(""), Out: &out}); err != nil || !ok {
		t.Errorf("ok %t, %v", ok, err)
	}
}

func TestRunIsInterrupted(t *testing.T) {
	t.Parallel()
	stopped := errors.New("stopped by hand")
	for _, x := range []struct {
		name   string
		script bool
		at     string
	}{{"while it listens", true, "now listening"}, {"at the prompt", false, "you> "}} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			in := endless{make(chan struct{})}
			defer close(in.gone)
			out := &trigger{at: x.at, do: func() { cancel(stopped) }}
			if ok, err := Run(ctx, Options{Script: x.script, In: in, Out: out}); x.script && ok || !errors.Is(err, stopped) {
				t.Errorf("ok %t, %v\n%s", ok, err, out.text)
			}
		})
	}
}

// A trigger does something when a text is written.
type trigger struct {
	at   string
	do   func()
	text string
}

func (w *trigger) Write(p []byte) (int, error) {
	w.text += string(p)
	if strings.Contains(w.text, w.at) {
		w.do()
	}
	return len(p), nil
}

// endless is a terminal at which nobody types.
type endless struct{ gone chan struct{} }

func (e endless) Read([]byte) (int, error) {
	<-e.gone
	return 0, errors.New("the terminal is gone")
}
