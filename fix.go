package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"

	"whybot/commands"
	"whybot/commands/report"
)

// fixArgs is the command line of `whybot fix`.
type fixArgs struct {
	verb, id, config, as, reason string
	json, yes, glass             bool
}

func (e environment) fix(ctx context.Context) error {
	args, err := e.fixArgs()
	if err != nil {
		return err
	}
	a, err := e.open(ctx, args.config)
	if err != nil {
		return err
	}
	defer a.close()
	if err := e.settle(ctx, a); err != nil {
		return err
	}
	p, err := a.engine.Proposal(ctx, args.id)
	if err != nil {
		return e.failed(args, commands.Outcome{}, err)
	}
	if args.verb == "show" {
		if args.json {
			return report.ProposalJSON(e.out, p)
		}
		report.Proposal(e.out, p, style(e.out))
		return nil
	}
	if err := e.confirm(args, p); err != nil {
		return err
	}
	return e.carryOut(ctx, a, args)
}

// settle finds out what became of changes that a killed whybot left half-made.
// Holding the store's lock, this process is the only one that can be in the
// middle of one, and it is not.
func (e environment) settle(ctx context.Context, a *app) error {
	settled, err := a.engine.Recover(ctx)
	for _, p := range settled {
		fmt.Fprintf(e.err, "whybot: %s: %s\n", p.ID, p.Outcome)
	}
	return err
}

func (e environment) fixArgs() (fixArgs, error) {
	var args fixArgs
	words, err := flags("fix", e.args, func(fs *flag.FlagSet) {
		fs.StringVar(&args.config, "config", "", "")
		fs.StringVar(&args.as, "as", "", "")
		fs.StringVar(&args.reason, "reason", "", "")
		fs.BoolVar(&args.json, "json", false, "")
		fs.BoolVar(&args.yes, "yes", false, "")
		fs.BoolVar(&args.glass, "break-glass", false, "")
	})
	if err != nil {
		return args, err
	}
	if len(words) != 2 {
		return args, usageError{errors.New("fix needs a verb and an id, as in: whybot fix show|apply|undo|decline ID")}
	}
	args.verb, args.id = words[0], words[1]
	switch {
	case args.glass && args.verb != "apply":
		return args, usageError{errors.New("--break-glass is for fix apply")}
	case args.glass && strings.TrimSpace(args.reason) == "":
		return args, usageError{errors.New("--break-glass needs --reason TEXT: why it cannot wait for another person")}
	}
	switch args.verb {
	case "show", "apply", "undo", "decline":
		return args, nil
	}
	return args, usageError{fmt.Errorf("fix cannot %q; it can show, apply, undo and decline", args.verb)}
}

// confirm asks at a terminal; elsewhere --yes must have said it.
func (e environment) confirm(args fixArgs, p commands.Proposal) error {
	if args.yes || args.verb == "decline" {
		return nil
	}
	f, ok := e.in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) || args.json {
		return usageError{fmt.Errorf("fix %s needs --yes when nobody is there to ask", args.verb)}
	}
	report.Proposal(e.err, p, style(e.err))
	fmt.Fprintf(e.err, "\n%s this? [y/N] ", strings.ToUpper(args.verb[:1])+args.verb[1:])
	line, _ := bufio.NewReader(f).ReadString('\n')
	if answer := strings.ToLower(strings.TrimSpace(line)); answer != "y" && answer != "yes" {
		return errors.New("nothing was done")
	}
	return nil
}

// carryOut does what was asked and fails unless it came out that way.
func (e environment) carryOut(ctx context.Context, a *app, args fixArgs) error {
	who := e.person(args.as)
	var out commands.Outcome
	var err error
	wanted := map[commands.ProposalState]bool{}
	switch args.verb {
	case "apply":
		out, err = e.apply(ctx, a, args, who)
		wanted[commands.Verified] = true
	case "undo":
		out, err = a.engine.Undo(ctx, args.id, who, e.progress())
		wanted[commands.Undone] = true
	case "decline":
		out.Proposal, err = a.engine.Decline(ctx, args.id, who, args.reason)
		wanted[commands.Declined] = true
	}
	if err != nil {
		return e.failed(args, out, err)
	}
	if args.json {
		if err := report.OutcomeJSON(e.out, args.id, out, nil); err != nil {
			return err
		}
	} else {
		report.Outcome(e.out, out, style(e.out))
	}
	if !wanted[out.Proposal.State] {
		return silentError{exitFailed}
	}
	return nil
}

// apply approves a fix, alone when the glass is to be broken.
func (e environment) apply(ctx context.Context, a *app, args fixArgs, who commands.Actor) (commands.Outcome, error) {
	if args.glass {
		return a.engine.BreakGlass(ctx, args.id, who, args.reason, e.progress())
	}
	out, err := a.engine.Apply(ctx, args.id, who, e.progress())
	if p := out.Proposal; err == nil && p.State == commands.Proposed {
		fmt.Fprintf(e.err, "whybot: your approval counts: %d of %d people have agreed; nothing is applied before the last of them\n", len(p.Approved), p.Approvals)
	}
	return out, err
}

// failed reports an error in the form that was asked for.
func (e environment) failed(args fixArgs, out commands.Outcome, err error) error {
	if args.json {
		if werr := report.OutcomeJSON(e.out, args.id, out, err); werr != nil {
			return werr
		}
	}
	return err
}
