package ssh

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"whybot/runners"
)

// Run runs all probes on node in one exec, one after another, and returns one
// Result per probe in their order. A probe's failure does not stop the others.
//
// An error means that node could not be asked at all. When the exec dies or
// time runs out midway there is no error: the probes that finished have their
// Output and the others an Err.
func (p *Pool) Run(ctx context.Context, node string, probes []runners.Probe) ([]runners.Result, error) {
	return p.look(ctx, node, p.looking(node), probes)
}

func (p *Pool) look(ctx context.Context, node string, w way, probes []runners.Probe) ([]runners.Result, error) {
	if len(probes) == 0 {
		return nil, nil
	}
	nonce := newNonce()
	command, err := compose(nonce, probes, p.opts.Probe, false)
	if err != nil {
		return nil, failure(runners.Invalid, node, "compose", err.Error(), err)
	}
	t, _, err := p.exec(ctx, node, w.open, command, nonce, len(probes))
	if err != nil {
		return nil, err
	}
	if t.failure != nil && !t.begun() {
		return nil, t.failure
	}
	j := judge{node: node, t: t, opts: &p.opts, left: "not run"}
	results := j.results(probes)
	p.confirmSudo(ctx, node, w, results, j.doubts)
	return results, nil
}

// Change runs commands that change node, in one exec and in order, and stops
// at the first that exits non-zero; those after it have an Err that says "not
// run".
//
// Once sent, nothing is ever sent again. When the connection or the time ends
// before the node has told how it went, the error's Kind is Unknown and its
// hint says that the outcome is unknown; the results then hold what was heard.
// With Options.Fix they run as that login, over a connection of their own.
func (p *Pool) Change(ctx context.Context, node string, cmds []runners.Probe) ([]runners.Result, error) {
	if len(cmds) == 0 {
		return nil, nil
	}
	var results []runners.Result
	err := p.changing(ctx, node, "change", func(w way) (err error) {
		results, err = p.change(ctx, node, w, cmds)
		return err
	})
	return results, err
}

func (p *Pool) change(ctx context.Context, node string, w way, cmds []runners.Probe) ([]runners.Result, error) {
	nonce := newNonce()
	command, err := compose(nonce, cmds, p.opts.Probe, true)
	if err != nil {
		return nil, failure(runners.Invalid, node, "compose", err.Error(), err)
	}
	t, sent, err := p.exec(ctx, node, w.open, command, nonce, len(cmds))
	switch {
	case err != nil && sent && runners.KindOf(err) != runners.Authentication:
		return nil, unknownOutcome(node, err)
	case err != nil:
		return nil, err
	}
	if t.failure != nil && errors.Is(t.failure, errNotBegun) {
		return nil, t.failure
	}
	j := judge{node: node, t: t, opts: &p.opts, change: true, left: "not run: a command before it did not succeed"}
	results := j.results(cmds)
	p.confirmSudo(ctx, node, w, results, j.doubts)
	if t.failure != nil {
		return results, unknownOutcome(node, t.failure)
	}
	return results, nil
}

// readBack is said of a command whose end was not seen, and of those after it.
const readBack = "outcome unknown: read back what it would have changed"

func unknownOutcome(node string, err error) *runners.Error {
	why := err.Error()
	if e, ok := errors.AsType[*runners.Error](err); ok && e.Hint != "" {
		why = e.Hint
	}
	return failure(runners.Unknown, node, "change",
		"outcome unknown: the command was sent and its end was not seen ("+why+"); read back before anything else", err)
}

// A judge turns the frames of one exec into results.
type judge struct {
	node   string
	t      *transcript
	opts   *Options
	left   string // what is said of a probe that did not run
	change bool
	doubts []doubt
}

// A doubt is a sudo probe that failed in words that sudo uses.
type doubt struct {
	index int
	found bool   // the login user's PATH has the program
	path  string // its place, or its name
}

func (j *judge) results(probes []runners.Probe) []runners.Result {
	results := make([]runners.Result, len(probes))
	stuck := ""
	for i, p := range probes {
		results[i].Probe = p
		out, err := &j.t.out.frames[i], &j.t.err.frames[i]
		switch {
		case out.began && (out.truncated || err.truncated):
			results[i].Output = j.cut(out, err)
		case out.ended && err.ended:
			results[i].Output, results[i].Err = j.outcome(i, p, out, err)
		case j.t.failure != nil && (out.began || err.began) && !errors.Is(j.t.cause, errFlood):
			results[i].Err = j.broken(p, j.t.failure)
		default: // also when one stream said that it began after a flood ended the other
			results[i].Err = j.notRun(p, stuck)
		}
		if j.t.out.stuck && out.ended {
			stuck = op(p)
		}
	}
	return results
}

// broken is the error of the probe that was running when the exec ended.
func (j *judge) broken(p runners.Probe, why *runners.Error) error {
	if j.change {
		return failure(runners.Unknown, j.node, op(p), readBack, why)
	}
	return failure(why.Kind, j.node, op(p), why.Hint, why.Err)
}

func (j *judge) notRun(p runners.Probe, stuck string) error {
	f := j.t.failure
	switch {
	case f != nil && j.change:
		return failure(runners.Unknown, j.node, op(p), readBack, f)
	case errors.Is(j.t.cause, errFlood):
		return failure(runners.Unknown, j.node, op(p), j.left+": the output of a probe before it reached the limit", errFlood)
	case f != nil:
		return failure(f.Kind, j.node, op(p), j.left+": "+f.Hint, f.Err)
	case stuck != "":
		return failure(runners.Unknown, j.node, op(p), fmt.Sprintf(
			"not run: %q before it outlived its limit and only root can kill it; set command_timeout in sudoers", stuck), nil)
	default:
		return failure(runners.Unknown, j.node, op(p), j.left, nil)
	}
}

// op names a probe in an error.
func op(p runners.Probe) string {
	if p.Name != "" {
		return p.Name
	}
	return p.Command()
}

// noExit is the exit code of a command whose end was not seen.
const noExit = -1

func (j *judge) cut(out, err *frame) runners.Output {
	return runners.Output{
		Stdout: text(out.data), Stderr: text(err.data), ExitCode: noExit,
		Truncated: true, At: out.at, Took: time.Since(out.at),
	}
}

// text keeps control bytes as they are: what shows an output makes it safe.
func text(b []byte) string { return strings.ToValidUTF8(string(b), "\uFFFD") }

// Exit codes that a shell and timeout(1) give a meaning.
const (
	codeTimedOut = 124 // timeout(1) ended the command
	codeMissing  = 127 // the shell found no such program
	codeKilled   = 137 // timeout(1) had to kill
)

func (j *judge) outcome(i int, p runners.Probe, out, err *frame) (runners.Output, error) {
	o := runners.Output{Stdout: text(out.data), Stderr: text(err.data), ExitCode: out.code, At: out.at}
	took, clocked := out.took()
	o.Took = took
	if !clocked {
		o.Took = err.at.Sub(out.at).Abs()
	}
	bound := boundOf(p, j.opts.Probe)
	switch {
	case out.noSudo:
		return runners.Output{}, failure(runners.Sudo, j.node, op(p), "sudo is not installed there: install it, or log in as root", nil)
	case out.code == codeMissing:
		return runners.Output{}, missing(j.node, p)
	case out.bounded && (out.code == codeTimedOut || out.code == codeKilled) && outlived(took, clocked, out.code, bound):
		return runners.Output{}, failure(runners.TooSlow, j.node, op(p), fmt.Sprintf("the command did not end within its %d s", bound), nil)
	case p.Sudo && !out.direct && soundsLikeSudo(o):
		j.doubts = append(j.doubts, doubt{i, out.found(), out.path(p.Argv[0])})
	}
	return o, nil
}

// outlived tells a time-out from a command that exits with timeout(1)'s codes
// by itself, when the node has a clock to tell by.
func outlived(took time.Duration, clocked bool, code, bound int) bool {
	const tick = 50 * time.Millisecond // uptime counts hundredths
	if !clocked {
		return code == codeTimedOut
	}
	return took+tick >= time.Duration(bound)*time.Second
}

func missing(node string, p runners.Probe) *runners.Error {
	return failure(runners.MissingProgram, node, op(p), fmt.Sprintf("install %s there", runners.DisplayQuote(p.Argv[0])), nil)
}
