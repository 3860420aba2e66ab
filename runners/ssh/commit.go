package ssh

import (
	"context"
	_ "embed" // the node's helper
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"whybot/runners"
)

// Helper is the program that makes commits on a node. Where whybot does not log
// in as root it has to be installed there, owned by root, as HelperPath, and
// sudo has to allow it.
//
//go:embed commit.sh
var Helper string

// HelperPath is where a node's helper is installed.
const HelperPath = "/usr/local/sbin/whybot-commit"

var helperScript = oneLine(Helper)

// helperTime bounds one call of the helper: it may wait 10 s for the node's
// lock and 5 s for that of the rules.
const helperTime = 25 * time.Second

// Commit makes a change of node that the node takes back by itself when Confirm
// does not come in time. The rollback is armed on the node before anything is
// changed. An error whose Kind is Unknown says that the outcome is: ask
// CommitStatus.
func (p *Pool) Commit(ctx context.Context, node string, c runners.Commit) (runners.CommitStatus, error) {
	words, err := commitWords(c)
	if err != nil {
		return runners.CommitStatus{}, failure(runners.Invalid, node, "commit", err.Error(), err)
	}
	var st runners.CommitStatus
	err = p.changing(ctx, node, "commit", func(w way) (err error) {
		st, err = p.helper(ctx, node, w, words)
		return err
	})
	return st, err
}

// Confirm makes the change last. It comes over a connection of its own, which
// proves that the node still lets whybot in.
func (p *Pool) Confirm(ctx context.Context, node, id string, token uint64) (runners.CommitStatus, error) {
	var st runners.CommitStatus
	err := p.apart(ctx, node, "confirm", func(w way) (err error) {
		st, err = p.helper(ctx, node, w, confirmWords(id, token))
		return err
	})
	return st, err
}

// CommitStatus asks node where a commit stands.
func (p *Pool) CommitStatus(ctx context.Context, node, id string) (runners.CommitStatus, error) {
	var st runners.CommitStatus
	err := p.changing(ctx, node, "status", func(w way) (err error) {
		st, err = p.helper(ctx, node, w, statusWords(id))
		return err
	})
	return st, err
}

// HelperCalls are the commands with which a commit is made, confirmed and asked
// for through the installed helper.
func HelperCalls(c runners.Commit) ([][]string, error) {
	commit, err := commitWords(c)
	if err != nil {
		return nil, err
	}
	var all [][]string
	for _, words := range [][]string{commit, confirmWords(c.ID, c.Token), statusWords(c.ID)} {
		all = append(all, append([]string{HelperPath}, words...))
	}
	return all, nil
}

func confirmWords(id string, token uint64) []string {
	return []string{"confirm", id, strconv.FormatUint(token, 10)}
}

func statusWords(id string) []string { return []string{"status", id} }

// commitWords are the helper's words for c.
func commitWords(c runners.Commit) ([]string, error) {
	if len(c.Guards) == 0 || len(c.Steps) == 0 {
		return nil, errors.New("a commit needs a guard and a step")
	}
	words := []string{"commit", c.ID, strconv.FormatUint(c.Token, 10), strconv.Itoa(int((c.Wait + time.Second - 1) / time.Second))}
	for _, g := range c.Guards {
		words = append(words, "guard", g.Sum, strconv.Itoa(len(g.Argv)))
		words = append(words, g.Argv...)
	}
	for _, s := range c.Steps {
		words = append(words, "step")
		for _, half := range []struct {
			name     string
			commands [][]string
		}{{"do", s.Do}, {"undo", s.Undo}} {
			if len(half.commands) == 0 {
				return nil, fmt.Errorf("a step of a commit has nothing to %s", half.name)
			}
			for _, argv := range half.commands {
				words = append(words, half.name, strconv.Itoa(len(argv)))
				words = append(words, argv...)
			}
		}
	}
	return words, nil
}

// helper runs the node's helper. Root gets the constant text of it; everybody
// else may run the installed one.
func (p *Pool) helper(ctx context.Context, node string, w way, words []string) (runners.CommitStatus, error) {
	argv := []string{HelperPath}
	if w.user == "root" {
		argv = []string{"sh", "-c", `whybot_text=$1; shift; eval "$whybot_text"`, "whybot-commit", helperScript}
	}
	probe := runners.Probe{Name: "whybot-commit " + words[0], Sudo: true, Argv: append(argv, words...), Timeout: helperTime}
	results, err := p.change(ctx, node, w, []runners.Probe{probe})
	if err != nil {
		return runners.CommitStatus{}, err
	}
	r := results[0]
	switch {
	case r.Err != nil:
		return runners.CommitStatus{}, r.Err
	case r.Output.ExitCode != 0:
		return runners.CommitStatus{}, helperRefused(node, probe.Name, r.Output)
	}
	status, err := parseStatus(r.Output.Stdout)
	if err != nil {
		return runners.CommitStatus{}, failure(runners.Invalid, node, probe.Name, err.Error(), err)
	}
	return status, nil
}

// helperRefused is the error of a helper that ended with another code than 0.
// Its own codes say what is certain; any other leaves the outcome open.
func helperRefused(node, op string, o runners.Output) *runners.Error {
	const first, last = 64, 73
	kind := runners.Invalid
	if o.ExitCode < first || o.ExitCode > last {
		kind = runners.Unknown
	}
	lines := strings.Split(strings.TrimSpace(o.Stderr), "\n")
	said := strings.TrimPrefix(lines[len(lines)-1], "whybot-commit: ")
	return failure(kind, node, op, said, fmt.Errorf("exit code %d", o.ExitCode))
}

// parseStatus reads the helper's answer, its only line.
func parseStatus(out string) (runners.CommitStatus, error) {
	words := strings.Fields(out)
	if len(words) != 5 || words[0] != "whybot-commit" {
		return runners.CommitStatus{}, errors.New("what answers is not whybot's helper: install it again")
	}
	if words[1] != "1" {
		return runners.CommitStatus{}, errors.New("the helper there is of another whybot: install it again")
	}
	s := runners.CommitStatus{State: runners.CommitState(words[2])}
	switch s.State {
	case runners.CommitNone, runners.CommitArmed, runners.CommitConfirmed, runners.CommitRolledBack, runners.CommitFailed, runners.CommitBroken:
	default:
		return runners.CommitStatus{}, errors.New("the helper there names a state that whybot does not know: install it again")
	}
	for i, at := range []*time.Time{&s.Began, &s.Ended} {
		if words[3+i] == "-" {
			continue
		}
		seconds, err := strconv.ParseInt(words[3+i], 10, 64)
		if err != nil {
			return runners.CommitStatus{}, fmt.Errorf("the helper there tells no time: %w", err)
		}
		*at = time.Unix(seconds, 0)
	}
	return s, nil
}
