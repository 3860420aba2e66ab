// Whybot answers why a VM of an OpenStack cloud gets no address: it follows
// the packets hop by hop, names the edge that loses them and the rule or state
// that does it, and offers a fix that a person approves, that is proven and
// can be undone. It talks in Slack and in the terminal.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

// Exit codes.
const (
	exitAnswered = 0 // whatever the verdict
	exitFailed   = 1 // could not be done
	exitUsage    = 2 // the command line or the configuration is wrong
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	env := environment{args: os.Args[1:], environ: os.Environ(), in: os.Stdin, out: os.Stdout, err: os.Stderr}
	code := env.run(ctx)
	stop()
	os.Exit(code)
}

// An environment is what a command gets from the operating system.
type environment struct {
	args    []string
	environ []string
	in      io.Reader
	out     io.Writer
	err     io.Writer
}

// A subcommand is one verb of the command line.
type subcommand struct {
	name, usage string
	run         func(environment, context.Context) error
}

func subcommands() []subcommand {
	return []subcommand{
		{"serve", "[--config F]   the bot", environment.serve},
		{"ask", "[--config F] [--json] [--no-capture] WORDS...   one question from the terminal", environment.ask},
		{"parse", "[--json]   one question per line on stdin, how whybot understands each", environment.parse},
		{"fix", "show|apply|undo|decline ID [--config F] [--json] [--as NAME] [--reason TEXT] [--yes] [--break-glass]", environment.fix},
		{"policy", "test --user U [--fix F] [--class F1] [--channel C] [--asker U2] [--groups S1,S2] [--break-glass] [--config F]   may they approve it?", environment.policy},
		{"timeline", "[--config F] [--json|--csv|--markdown] [WORDS...|verify]   incidents, or what happened", environment.timeline},
		{"check", "[--config F]   reach everything and say what is missing", environment.check},
		{"sudoers", "[--probe|--fix|--helper] [--config F]   what a node's sudo must allow, for who looks and who changes", environment.sudoers},
		{"demo", "[--script]   everything in one process, no accounts", environment.demo},
		{"version", "", environment.version},
	}
}

// usageError is a command line or configuration that is wrong: exit code 2.
type usageError struct{ error }

// silentError ends a command whose message has been written already.
type silentError struct{ code int }

func (silentError) Error() string { return "" }

func (e environment) run(ctx context.Context) int {
	err := e.dispatch(ctx)
	var silent silentError
	var usage usageError
	switch {
	case err == nil:
		return exitAnswered
	case errors.As(err, &silent):
		return silent.code
	case errors.As(err, &usage):
		fmt.Fprintf(e.err, "whybot: %v\n", err)
		return exitUsage
	}
	fmt.Fprintf(e.err, "whybot: %s\n", publicText(err))
	return exitFailed
}

func (e environment) dispatch(ctx context.Context) error {
	if len(e.args) == 0 || e.args[0] == "help" || e.args[0] == "--help" || e.args[0] == "-h" {
		e.help()
		if len(e.args) == 0 {
			return silentError{exitUsage}
		}
		return nil
	}
	for _, c := range subcommands() {
		if c.name == e.args[0] {
			e.args = e.args[1:]
			return c.run(e, ctx)
		}
	}
	return usageError{fmt.Errorf("there is no command %q; see whybot help", e.args[0])}
}

func (e environment) help() {
	fmt.Fprintln(e.err, "whybot finds out why a VM gets no IP address, and offers a fix.")
	fmt.Fprintln(e.err)
	for _, c := range subcommands() {
		fmt.Fprintf(e.err, "  whybot %-9s %s\n", c.name, c.usage)
	}
	fmt.Fprintln(e.err, "\nThe configuration is whybot.yaml here, or --config, or WHYBOT_CONFIG.")
}

func (e environment) version(context.Context) error {
	version := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		version = info.Main.Version
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				version += " " + s.Value
			}
		}
	}
	_, err := fmt.Fprintf(e.out, "whybot %s\n", version)
	return err
}
