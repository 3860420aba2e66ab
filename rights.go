package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"whybot/commands/sudoers"
	"whybot/runners"
	"whybot/runners/ssh"
)

// rights are what whybot's users need on every node.
type rights struct{ look, change sudoers.Rules }

func rightsOf(pool *ssh.Pool) (rights, error) {
	users, _ := pool.Users()
	look, err := nodeCommands().Looking(slices.DeleteFunc(users, isRoot)...)
	if err != nil {
		return rights{}, err
	}
	change, err := nodeCommands().Changing()
	return rights{look, change}, err
}

func isRoot(user string) bool { return user == "root" }

// A login is one of whybot's users on a node.
type login struct {
	user  string
	rules sudoers.Rules
	ask   func(context.Context, string, []runners.Probe) ([]runners.Result, error)
	print string // the command that prints what sudo must allow
}

// checkRights looks at what sudo allows on a node, and at the helper, and runs
// nothing as root for it.
func (a *app) checkRights(ctx context.Context, n string, need rights) []row {
	look, change, err := a.nodes.UsersOn(n)
	if err != nil {
		return []row{{what: n + ": sudo", detail: err.Error()}}
	}
	logins := []login{
		{look, need.look, a.nodes.Run, "whybot sudoers --probe"},
		{change, need.change, a.nodes.LookAsChanger, "whybot sudoers --fix"},
	}
	if look == change {
		logins = []login{{look, slices.Concat(need.look, need.change), a.nodes.Run, "whybot sudoers"}}
	}
	var rows []row
	for _, l := range logins {
		rows = append(rows, l.check(ctx, n)...)
	}
	if !isRoot(change) {
		rows = append(rows, a.checkHelper(ctx, n))
	}
	return rows
}

// check asks sudo for each command that the login needs, without running it,
// and for all that it may run.
func (l login) check(ctx context.Context, n string) []row {
	what := n + ": sudo of " + l.user
	probes := []runners.Probe{{Name: "sudo -l", Argv: []string{"sudo", "-n", "-l"}}}
	if isRoot(l.user) {
		probes = []runners.Probe{{Name: "true", Argv: []string{"true"}}}
	} else {
		for _, r := range l.rules {
			probes = append(probes, runners.Probe{Name: "sudo -l", Argv: append([]string{"sudo", "-n", "-l", "--"}, r.Example...)})
		}
	}
	results, err := l.askAll(ctx, n, probes)
	switch {
	case err != nil:
		return []row{{what: what, detail: err.Error()}}
	case results[0].Err != nil:
		return []row{{what: what, detail: results[0].Err.Error()}}
	case isRoot(l.user):
		return []row{{what: what, ok: true, detail: "root needs no rules; " + l.print + " prints those that another user would need"}}
	}
	rows := []row{l.lacking(what, results[1:])}
	if more := l.rules.Surplus(results[0].Output.Stdout); len(more) > 0 {
		rows = append(rows, row{
			what: what, ok: true, warn: true, detail: fmt.Sprintf("may run more than whybot needs: %s", listed(more)),
			cure: "take that away; " + l.print + " prints what is needed",
		})
	}
	return rows
}

// askAll asks in several goes: sudo may have to ask a directory server each time,
// and the time for one go is bounded.
func (l login) askAll(ctx context.Context, n string, probes []runners.Probe) ([]runners.Result, error) {
	const atOnce = 30
	var all []runners.Result
	for some := range slices.Chunk(probes, atOnce) {
		results, err := l.ask(ctx, n, some)
		if err != nil {
			return nil, err
		}
		all = append(all, results...)
	}
	return all, nil
}

// lacking says which commands sudo would refuse. One that is not installed needs
// no rule.
func (l login) lacking(what string, results []runners.Result) row {
	var lack []string
	for i, r := range results {
		switch {
		case r.Err != nil:
			return row{what: what, detail: r.Err.Error()}
		case r.Output.ExitCode != 0 && !strings.Contains(r.Output.Stderr, ": command not found"):
			lack = append(lack, runners.Probe{Argv: l.rules[i].Example}.Command())
		}
	}
	if len(lack) == 0 {
		return row{what: what, ok: true, detail: fmt.Sprintf("%d commands allowed", len(results))}
	}
	return row{
		what: what, detail: fmt.Sprintf("%d of %d commands are not allowed: %s", len(lack), len(results), listed(lack)),
		cure: l.print + " prints the file that allows them, for sudo 1.9.10 and later",
	}
}

// listed shortens a list.
func listed(all []string) string {
	const most = 2
	if len(all) <= most {
		return strings.Join(all, "; ")
	}
	return fmt.Sprintf("%s; and %d more", strings.Join(all[:most], "; "), len(all)-most)
}

// checkHelper looks whether the helper on a node is the one that this whybot
// speaks to, and nobody's but root's.
func (a *app) checkHelper(ctx context.Context, n string) row {
	what, cure := n+": helper", "whybot sudoers --helper | ssh root@"+n+" sh"
	results, err := a.nodes.Run(ctx, n, []runners.Probe{
		{Name: "stat", Argv: []string{"stat", "-c", "%u:%g %a %F", ssh.HelperPath}},
		{Name: "sha256sum", Argv: []string{"sha256sum", ssh.HelperPath}},
	})
	if err != nil {
		return row{what: what, detail: err.Error()}
	}
	for _, r := range results {
		switch {
		case r.Err != nil:
			return row{what: what, detail: r.Err.Error()}
		case r.Output.ExitCode != 0:
			return row{what: what, detail: ssh.HelperPath + " is not there, or cannot be read", cure: cure}
		}
	}
	if as := strings.TrimSpace(results[0].Output.Stdout); as != "0:0 755 regular file" {
		return row{what: what, detail: fmt.Sprintf("%s is %s: it must be a regular file of root:root, mode 755", ssh.HelperPath, as), cure: cure}
	}
	sum := sha256.Sum256([]byte(ssh.Helper))
	if got, _, _ := strings.Cut(results[1].Output.Stdout, " "); got != hex.EncodeToString(sum[:]) {
		return row{what: what, detail: ssh.HelperPath + " is not the one of this whybot", cure: cure}
	}
	return row{what: what, ok: true, detail: ssh.HelperPath}
}
