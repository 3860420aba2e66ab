package ssh

import (
	"context"
	"fmt"
	"strings"

	"whybot/runners"
)

// refused is sudo's exit code when it does not run the command.
const refused = 1

// soundsLikeSudo says whether an output may be sudo's refusal. The command
// itself may print the same words, so this only raises the doubt that
// confirmSudo settles.
func soundsLikeSudo(o runners.Output) bool {
	if o.ExitCode != refused || o.Stdout != "" {
		return false
	}
	for line := range strings.Lines(o.Stderr) {
		if strings.HasPrefix(line, "sudo: ") || strings.HasPrefix(line, "Sorry, user ") ||
			strings.Contains(line, "is not in the sudoers file") || strings.Contains(line, "may not run sudo") {
			return true
		}
	}
	return false
}

// confirmSudo asks sudo itself, in one more exec, whether it would run the
// probes that are in doubt, and turns the outputs of those it would not into
// errors. `sudo -l COMMAND` runs nothing.
//
// sudo lists a command that it would run for a password only. So where the
// words ask for one, `sudo -v`, which succeeds only if no rule of the user
// needs one, decides. With rules of both sorts the words are believed.
func (p *Pool) confirmSudo(ctx context.Context, node string, w way, results []runners.Result, doubts []doubt) {
	if len(doubts) == 0 {
		return
	}
	var asks []runners.Probe
	password := false
	for _, d := range doubts {
		asks = append(asks, runners.Probe{
			Name: "sudo -l", Argv: append([]string{"sudo", "-n", "-l", "--"}, results[d.index].Probe.Argv...),
		})
		password = password || asksPassword(results[d.index].Output)
	}
	if password {
		asks = append(asks, runners.Probe{Name: "sudo -v", Argv: []string{"sudo", "-n", "-v"}})
	}
	answers, err := p.look(ctx, node, w, asks)
	for k, d := range doubts {
		r := &results[d.index]
		allowed := err == nil && succeeded(answers[k])
		if allowed && (!asksPassword(r.Output) || succeeded(answers[len(doubts)])) {
			continue // the command's own words
		}
		if !d.found || noSuchProgram(r.Output, r.Probe) {
			r.Err = missing(node, r.Probe)
		} else {
			r.Err = sudoRefused(node, w.user, r.Probe, d.path)
		}
		r.Output = runners.Output{}
	}
}

func asksPassword(o runners.Output) bool {
	return strings.Contains(o.Stderr, "a password is required")
}

func succeeded(r runners.Result) bool { return r.Err == nil && r.Output.ExitCode == 0 }

func noSuchProgram(o runners.Output, p runners.Probe) bool {
	return strings.Contains(o.Stderr, "sudo: "+p.Argv[0]+": command not found")
}

func sudoRefused(node, user string, probe runners.Probe, path string) *runners.Error {
	words := []string{path}
	for _, w := range probe.Argv[1:] {
		words = append(words, runners.DisplayQuote(w))
	}
	return failure(runners.Sudo, node, op(probe), fmt.Sprintf(
		"allow %s to run this as root without a password: %s", user, strings.Join(words, " ")), nil)
}

// userOn is the login user on node.
func (p *Pool) userOn(node string) string {
	t, err := p.config.resolve(node)
	if err != nil {
		return "the login user"
	}
	return t.user
}
