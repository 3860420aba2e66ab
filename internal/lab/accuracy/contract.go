// Package accuracy measures whybot from outside: for every fault and decoy of
// the kernel lab it makes a lab, breaks it, asks the built whybot why a
// guest gets no address, compares the answer with what was broken, applies and undoes
// every fix that is offered, and writes down what came of it. It knows whybot
// by its command line and its JSON alone.
package accuracy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// An Answer is what `whybot ask --json` prints, as far as it is judged.
type Answer struct {
	Incident string  `json:"incident"`
	Verdict  Verdict `json:"verdict"`
	Fixes    []Fix   `json:"fixes"`
	TookMS   int     `json:"took_ms"`
}

// A Verdict is the answer's verdict.
type Verdict struct {
	State string `json:"state"`
	Cause string `json:"cause"`
	Title string `json:"title"`
	Edge  *Edge  `json:"edge"`
}

// An Edge is where the packet is lost; From and To are NODE/DEVICE.
type Edge struct {
	From      string `json:"from"`
	To        string `json:"to"`
	Direction string `json:"direction"`
}

// A Fix is one offered fix.
type Fix struct {
	ID         string   `json:"id"`
	Name       string   `json:"name"`
	Class      string   `json:"class"`
	Undo       []string `json:"undo"`
	Persistent bool     `json:"persistent"`
}

// An Outcome is what `whybot fix apply|undo --json` prints.
type Outcome struct {
	State string `json:"state"`
}

// states are the verdict states of the contract.
var states = map[string]bool{"proven": true, "probable": true, "healthy": true, "unknown": true}

const (
	question    = "why can't %s get an IP"
	question6   = "why does %s get no IPv6 address"
	callTimeout = 120 * time.Second
)

// A whybot is the binary under test, aimed at one lab.
type whybot struct {
	binary, config string
	guest          string   // the one that has to get its address
	server         string   // whom it is asked about: the guest's
	ipv6           bool     // it is its IPv6 address that is asked about
	words          string   // the question, where it is about something else
	env            []string // besides the usual
}

// question is what w is asked.
func (w whybot) question() string {
	if w.words != "" {
		return w.words
	}
	if w.ipv6 {
		return fmt.Sprintf(question6, w.server)
	}
	return fmt.Sprintf(question, w.server)
}

func (w whybot) ask(ctx context.Context) (Answer, error) {
	var a Answer
	if err := w.call(ctx, &a, "ask", "--config", w.config, "--json", w.question()); err != nil {
		return a, err
	}
	if !states[a.Verdict.State] {
		return a, fmt.Errorf("ask: verdict state %q is none of the contract's", a.Verdict.State)
	}
	return a, nil
}

// change runs fix apply or fix undo. Exit code 1 is the contract's word for
// another state than the wanted one, which the object names.
func (w whybot) change(ctx context.Context, verb, id string) (Outcome, error) {
	var o Outcome
	err := w.call(ctx, &o, "fix", verb, id, "--config", w.config, "--yes", "--json")
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 1 && o.State != "" {
		return o, nil
	}
	return o, err
}

// call runs whybot and decodes the object it prints, also when it fails.
func (w whybot) call(ctx context.Context, into any, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, w.binary, args...)
	cmd.Dir = filepath.Dir(w.config)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + cmd.Dir, "LC_ALL=C.UTF-8"}, w.env...)
	cmd.WaitDelay = time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	runErr := cmd.Run()
	decodeErr := json.Unmarshal(stdout.Bytes(), into)
	if runErr != nil {
		return fmt.Errorf("whybot %s: %w: %s", strings.Join(args, " "), runErr, lastLine(stderr.String()))
	}
	if decodeErr != nil {
		return fmt.Errorf("whybot %s printed no JSON object: %w", strings.Join(args, " "), decodeErr)
	}
	return nil
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}
