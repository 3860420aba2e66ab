package demo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"whybot/commands"
	"whybot/commands/ask"
	"whybot/commands/diagnose"
	"whybot/commands/fix"
	"whybot/commands/report"
	"whybot/store"
)

// Options say how to run the demo.
type Options struct {
	// Script runs it unattended: it answers its own questions, echoes the
	// answers, and holds what happens against what must happen.
	Script bool
	// In is where a person types; it is not read with Script.
	In io.Reader
	// Out takes the conversation.
	Out io.Writer
	// Style says how answers are written; the zero Style is plain text.
	Style report.Style
	// Pace is the time between two DISCOVERs of the guest; zero is the usual.
	Pace time.Duration
}

// Run holds the conversation of `whybot demo`. With Script, ok says whether
// everything came out as it must. An error means that the demo could not be
// held at all.
func Run(ctx context.Context, o Options) (ok bool, err error) {
	dir, err := os.MkdirTemp("", "whybot-demo-")
	if err != nil {
		return false, fmt.Errorf("the demo needs a place for its store: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	cloud, err := New(o.Pace)
	if err != nil {
		return false, err
	}
	defer cloud.Close()
	memory, err := store.Open(ctx, store.Options{Path: filepath.Join(dir, "demo.db")})
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, memory.Close()) }()
	engine, err := commands.New(production(cloud, memory))
	if err != nil {
		return false, err
	}
	s := &session{o: o, cloud: cloud, memory: memory, engine: engine}
	s.intro()
	if o.Script {
		return s.script(ctx)
	}
	return true, s.talk(ctx)
}

// production wires the product's catalogue over the simulated cloud. Whoever
// asks may approve.
func production(cloud *Cloud, memory commands.Memory) commands.Options {
	return commands.Options{
		Diagnoses: diagnose.All(), Fixes: fix.All(), StepKinds: fix.Kinds(),
		Shell: cloud, Sniffer: cloud, Changer: cloud, Cloud: cloud, CloudChanger: cloud, Memory: memory,
		Policy: commands.PolicyFunc(func(context.Context, commands.Petition) error { return nil }),
	}
}

// defaultQuestion is the one that the demo is about.
const defaultQuestion = "why can't web-1 get an IP"

// you is the person at the demo.
var you = commands.Actor{Via: "terminal", ID: "you"}

// A session is one conversation.
type session struct {
	o      Options
	cloud  *Cloud
	memory commands.Memory
	engine *commands.Engine
	lines  <-chan string // what the person types
	broken []string      // expectations that did not hold
	held   int           // those that did
}

func (s *session) printf(format string, args ...any) { fmt.Fprintf(s.o.Out, format, args...) }

func (s *session) intro() {
	s.printf("This is a simulation: two nodes, %s and %s, and the guests %s and %s exist only in this process.\n",
		controller, compute, vms[0].name, vms[1].name)
	s.printf("Its frames walk through simulated bridges and are judged by the iptables rules that stand there at that moment.\n")
	s.printf("All else is what runs in production: engine, diagnoses, firewall evaluator, fixes, store and timeline.\n")
	s.printf("Something on the way between %s and its DHCP server loses frames. Time is short here: a lease lasts %d s.\n\n",
		vms[0].name, leaseSeconds(2*s.cloud.pace))
}

func (s *session) progress(p commands.Progress) {
	s.printf("  %s … %s\n", p.Incident, commands.Clean(p.Text, 160))
}

// ask puts a question and shows the answer. ok is false when there is none.
func (s *session) ask(ctx context.Context, text string) (a commands.Answer, ok bool) {
	a, err := s.engine.Ask(ctx, you, ask.Parse(text), commands.AskOptions{Progress: s.progress})
	if err != nil {
		s.printf("%s\n\n", commands.Public(err))
		return a, false
	}
	report.Answer(s.o.Out, a, s.o.Style)
	s.printf("\n")
	return a, true
}

// apply applies a fix and shows the proof and the incident so far.
func (s *session) apply(ctx context.Context, p commands.Proposal) (commands.Outcome, error) {
	out, err := s.engine.Apply(ctx, p.ID, you, s.progress)
	if err != nil {
		s.printf("%s\n\n", commands.Public(err))
		return out, err
	}
	report.Outcome(s.o.Out, out, s.o.Style)
	return out, s.timeline(ctx, p.Incident)
}

func (s *session) timeline(ctx context.Context, incident string) error {
	events, err := s.memory.Events(ctx, commands.EventQuery{Incident: incident})
	if err != nil {
		return err
	}
	s.printf("\nThe timeline of %s, as it will be found months later:\n", incident)
	report.Timeline(s.o.Out, events, s.o.Style)
	n, err := s.memory.VerifyChain(ctx)
	if err != nil {
		return err
	}
	s.printf("%d events, every hash and link is right\n\n", n)
	return nil
}

// undo takes a fix back and waits until the guest asks again.
func (s *session) undo(ctx context.Context, p commands.Proposal) (commands.Outcome, error) {
	out, err := s.engine.Undo(ctx, p.ID, you, s.progress)
	if err != nil {
		s.printf("%s\n\n", commands.Public(err))
		return out, err
	}
	report.Outcome(s.o.Out, out, s.o.Style)
	s.printf("\n  waiting until the lease of %s runs out, so that it asks again\n\n", vms[0].name)
	waiting, cancel := context.WithTimeout(ctx, 5*s.cloud.pace)
	defer cancel()
	if err := s.cloud.AwaitAsking(waiting, vms[0].name); err != nil && ctx.Err() != nil {
		return out, context.Cause(ctx)
	}
	return out, nil // a guest that still holds its lease is the next answer's to say
}

// talk holds the conversation with a person.
func (s *session) talk(ctx context.Context) error {
	s.lines = readLines(ctx, s.o.In)
	s.printf("Ask what you like about %s or %s; Enter asks %q, quit ends.\n\n", vms[0].name, vms[1].name, defaultQuestion)
	for {
		s.printf("you> ")
		line, more := s.line(ctx)
		switch {
		case !more || line == "quit" || line == "exit":
			s.printf("\n")
			return context.Cause(ctx)
		case line == "":
			line = defaultQuestion
			s.printf("you> %s\n", line)
		}
		a, ok := s.ask(ctx, line)
		if !ok {
			continue
		}
		if err := s.offer(ctx, a); err != nil {
			return err
		}
	}
}

// offer asks for each fix in turn until one is approved, and whether to undo
// it. An error is for the demo's own memory only; that a fix was refused has
// been said.
func (s *session) offer(ctx context.Context, a commands.Answer) error {
	for _, p := range a.Fixes {
		if !s.confirm(ctx, "approve fix "+p.ID+" ("+p.Title+")?") {
			continue
		}
		out, err := s.apply(ctx, p)
		if err != nil || len(out.Proposal.Undo) == 0 {
			return ours(err)
		}
		if !s.confirm(ctx, "undo it again?") {
			return nil
		}
		if _, err = s.undo(ctx, p); err == nil {
			s.printf("Press Enter to ask again and to see what became of it.\n\n")
		}
		return ours(err)
	}
	return nil
}

// ours keeps the errors that end the demo from those that were an answer.
func ours(err error) error {
	if _, said := errors.AsType[*commands.Error](err); said {
		return nil
	}
	return err
}

func (s *session) confirm(ctx context.Context, question string) bool {
	s.printf("%s [y/N] ", question)
	line, _ := s.line(ctx)
	return line == "y" || line == "yes"
}

// line returns the next line; more is false at the end.
func (s *session) line(ctx context.Context) (line string, more bool) {
	select {
	case <-ctx.Done():
		return "", false
	case line, more = <-s.lines:
		return line, more
	}
}

// readLines reads in the background, because reading from a terminal cannot be
// interrupted: the reader ends with its next line after ctx has ended.
func readLines(ctx context.Context, in io.Reader) <-chan string {
	lines := make(chan string)
	go func() {
		defer close(lines)
		for sc := bufio.NewScanner(in); sc.Scan(); {
			select {
			case lines <- commands.Clean(sc.Text(), 2000):
			case <-ctx.Done():
				return
			}
		}
	}()
	return lines
}
