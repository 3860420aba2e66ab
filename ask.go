package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"

	"whybot/commands"
	"whybot/commands/ask"
	"whybot/commands/report"
)

// maxQuestion is more than anyone types; what is longer was pasted by mistake.
const maxQuestion = 2000

func (e environment) ask(ctx context.Context) error {
	var configFile string
	var asJSON, noCapture bool
	words, err := flags("ask", e.args, func(fs *flag.FlagSet) {
		fs.StringVar(&configFile, "config", "", "")
		fs.BoolVar(&asJSON, "json", false, "")
		fs.BoolVar(&noCapture, "no-capture", false, "")
	})
	if err != nil {
		return err
	}
	q, err := question(words)
	if err != nil {
		return err
	}
	if q.Kind == commands.KindHelp {
		e.help()
		return nil
	}
	a, err := e.open(ctx, configFile)
	if err != nil {
		return err
	}
	defer a.close()
	answer, err := a.engine.Ask(ctx, e.person(""), q, commands.AskOptions{NoCapture: noCapture, Progress: e.progress()})
	if err != nil {
		a.log.Debug("question not answered", "error", errors.Unwrap(err))
		if asJSON {
			_ = report.ErrorJSON(e.out, answer.Incident, err) // the error itself is reported below
		}
		return err
	}
	if asJSON {
		return report.AnswerJSON(e.out, answer)
	}
	report.Answer(e.out, answer, style(e.out))
	return nil
}

// question reads the words of the command line.
func question(words []string) (commands.Question, error) {
	text := strings.Join(words, " ")
	switch n := utf8.RuneCountInString(text); {
	case strings.TrimSpace(text) == "":
		return commands.Question{}, usageError{errors.New("ask what? For example: whybot ask \"why can't web-1 get an IP\"")}
	case n > maxQuestion:
		return commands.Question{}, usageError{fmt.Errorf("the question has %d characters, at most %d are read; name the VM and what is wrong", n, maxQuestion)}
	}
	q := ask.Parse(text)
	switch {
	case q.Kind == commands.KindNone:
		return q, usageError{errors.New("there is no question in that which whybot knows; try: why can't web-1 get an IP")}
	case q.AsksBack && q.Kind == commands.KindVolumeStuck:
		return q, usageError{errors.New("which volume is it about? Try: why can't volume db-data be deleted")}
	case q.AsksBack && q.Kind == commands.KindVolumeLeft:
		return q, usageError{errors.New("which volume, or which VM, is it about? Try: why is volume db-data left after web-1 was deleted")}
	case q.AsksBack && q.Kind == commands.KindPing:
		return q, usageError{errors.New("which two VMs is it about? Try: why can't web-1 ping web-2")}
	case q.AsksBack && q.Kind == commands.KindConsole:
		return q, usageError{errors.New("which VM is it about? Try: why does the console of web-1 not open")}
	case q.AsksBack:
		return q, usageError{errors.New("which VM is it about? Try: why can't web-1 get an IP")}
	}
	return q, nil
}

// progress writes what is being done to a terminal, one line over the other.
func (e environment) progress() func(commands.Progress) {
	f, ok := e.err.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return func(p commands.Progress) {
		fmt.Fprintf(f, "\r\x1b[K%s %s", p.Incident, commands.Clean(p.Text, 100))
	}
}

// style suits the writer: colour and width of a terminal, plain elsewhere.
func style(w io.Writer) report.Style {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return report.Style{}
	}
	fmt.Fprint(f, "\r\x1b[K") // take the progress line away
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		width = 0
	}
	return report.Style{Color: true, Width: min(width, 120)}
}

// parse shows how questions are understood, one line each.
func (e environment) parse(ctx context.Context) error {
	words, err := flags("parse", e.args, func(fs *flag.FlagSet) { fs.Bool("json", true, "") })
	if err != nil {
		return err
	}
	if len(words) > 0 {
		return usageError{errors.New("parse reads questions from standard input, one a line")}
	}
	enc := json.NewEncoder(e.out)
	enc.SetEscapeHTML(false)
	return eachLine(ctx, e.in, func(line string) error { return enc.Encode(parsed(ask.Parse(line))) })
}

// parsed is a question as `whybot parse` prints it: what is a truth or a
// number is one in JSON too.
func parsed(q commands.Question) any {
	subjects := make(map[string]any, len(q.Subjects))
	for role, value := range q.Subjects {
		subjects[role] = value
	}
	if q.Subjects["both"] == "true" {
		subjects["both"] = true
	}
	if n, err := strconv.Atoi(q.Subjects["limit"]); err == nil {
		subjects["limit"] = n
	}
	return struct {
		Text     string         `json:"text"`
		Kind     commands.Kind  `json:"kind"`
		Subjects map[string]any `json:"subjects"`
		AsksBack bool           `json:"asks_back"`
	}{q.Text, q.Kind, subjects, q.AsksBack}
}
