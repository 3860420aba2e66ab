package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"whybot/commands"
	"whybot/commands/ask"
	"whybot/commands/report"
)

// timelineArgs is the command line of `whybot timeline`.
type timelineArgs struct {
	config              string
	json, csv, markdown bool
	words               []string
}

var incidentID = regexp.MustCompile(`(?i)^inc-?\s?([0-9]+)$`)

func (e environment) timeline(ctx context.Context) error {
	var args timelineArgs
	words, err := flags("timeline", e.args, func(fs *flag.FlagSet) {
		fs.StringVar(&args.config, "config", "", "")
		fs.BoolVar(&args.json, "json", false, "")
		fs.BoolVar(&args.csv, "csv", false, "")
		fs.BoolVar(&args.markdown, "markdown", false, "")
	})
	if err != nil {
		return err
	}
	args.words = words
	a, err := e.open(ctx, args.config)
	if err != nil {
		return err
	}
	defer a.close()
	text := strings.Join(words, " ")
	switch text {
	case "verify":
		n, err := a.store.VerifyChain(ctx)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(e.out, "%d events, every hash and link is right\n", n)
		return err
	case "":
		return e.listIncidents(ctx, a, args)
	}
	return e.listEvents(ctx, a, args, text)
}

func (e environment) listIncidents(ctx context.Context, a *app, args timelineArgs) error {
	incs, err := a.store.ListIncidents(ctx, commands.IncidentQuery{Limit: 50})
	if err != nil {
		return err
	}
	if args.json {
		return json.NewEncoder(e.out).Encode(append([]commands.Incident{}, incs...)) // never null
	}
	if len(incs) == 0 {
		_, err := fmt.Fprintln(e.out, "No incident yet: ask a question first.")
		return err
	}
	report.Incidents(e.out, incs, style(e.out))
	return nil
}

func (e environment) listEvents(ctx context.Context, a *app, args timelineArgs, text string) error {
	q, err := eventQuery(text, time.Now())
	if err != nil {
		return usageError{err}
	}
	events, err := a.store.Events(ctx, q)
	if err != nil {
		return err
	}
	if len(events) == 0 {
		return &commands.Error{Code: commands.CodeMissing, Public: "Nothing is recorded for " + commands.Clean(text, 80) + ".", Hint: "whybot timeline lists the incidents."}
	}
	switch {
	case args.json:
		return json.NewEncoder(e.out).Encode(events)
	case args.csv:
		return eventsCSV(e.out, events)
	case args.markdown:
		return eventsMarkdown(e.out, events)
	}
	report.Timeline(e.out, events, style(e.out))
	return nil
}

// eventQuery understands an incident's id, a bare name, or a question about
// the history of something.
func eventQuery(text string, now time.Time) (commands.EventQuery, error) {
	if m := incidentID.FindStringSubmatch(strings.TrimSpace(text)); m != nil {
		return commands.EventQuery{Incident: "inc-" + m[1]}, nil
	}
	if !strings.Contains(text, " ") {
		return commands.EventQuery{Entity: text, Limit: 200}, nil
	}
	parsed := ask.Parse(text)
	if id := parsed.Subjects["incident"]; id != "" {
		return commands.EventQuery{Incident: id}, nil
	}
	target := parsed.Subjects["target"]
	if parsed.Kind != commands.KindHistory || target == "" {
		return commands.EventQuery{}, errors.New("name an incident (inc-17) or a VM: whybot timeline what happened to web-1 yesterday")
	}
	q := commands.EventQuery{Entity: target, Limit: 200}
	var err error
	q.Since, q.Until, err = period(parsed.Subjects["when"], now)
	return q, err
}

// period turns the parser's word for a time into a range in local time.
func period(when string, now time.Time) (since, until time.Time, err error) {
	day := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, now.Location())
	week := day.AddDate(0, 0, -(int(now.Weekday())+6)%7)
	month := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, now.Location())
	switch when {
	case "":
		return since, until, nil
	case "today":
		return day, now, nil
	case "yesterday":
		return day.AddDate(0, 0, -1), day, nil
	case "this_week":
		return week, now, nil
	case "last_week":
		return week.AddDate(0, 0, -7), week, nil
	case "this_month":
		return month, now, nil
	case "last_month":
		return month.AddDate(0, -1, 0), month, nil
	}
	if m := lastUnits.FindStringSubmatch(when); m != nil {
		n, err := strconv.Atoi(m[1])
		return back(now, n, m[2]), now, err
	}
	from, to, ranged := strings.Cut(when, "..")
	if !ranged {
		to = from
	}
	if since, err = date(from, day); err == nil {
		until, err = date(to, day)
	}
	if err != nil {
		return since, until, fmt.Errorf("the time %q is not understood; say today, yesterday, this week, or 2026-11-01..2026-11-05", when)
	}
	return since, until.AddDate(0, 0, 1), nil
}

// lastUnits is the parser's word for a time that reaches back from now.
var lastUnits = regexp.MustCompile(`^last_([0-9]{1,4})([mhdw])$`)

// back goes n units back from now; days and weeks by the calendar, whatever
// the clocks did in between.
func back(now time.Time, n int, unit string) time.Time {
	switch unit {
	case "m":
		return now.Add(-time.Duration(n) * time.Minute)
	case "h":
		return now.Add(-time.Duration(n) * time.Hour)
	case "w":
		return now.AddDate(0, 0, -7*n)
	default:
		return now.AddDate(0, 0, -n)
	}
}

// date reads 2026-11-03 or 11-03: without a year, the last such day.
func date(text string, today time.Time) (time.Time, error) {
	if strings.Count(text, "-") == 2 {
		return time.ParseInLocation(time.DateOnly, text, today.Location())
	}
	d, err := time.ParseInLocation(time.DateOnly, fmt.Sprintf("%d-%s", today.Year(), text), today.Location())
	if err == nil && d.After(today) {
		d = d.AddDate(-1, 0, 0)
	}
	return d, err
}

func eventsCSV(w io.Writer, events []commands.Event) error {
	out := csv.NewWriter(w)
	_ = out.Write([]string{"seq", "incident", "at", "kind", "actor", "text", "hash"}) // errors come from Flush
	for _, ev := range events {
		_ = out.Write([]string{
			fmt.Sprint(ev.Seq), ev.Incident, ev.At.UTC().Format(time.RFC3339), string(ev.Kind), formulaSafe(ev.Actor.String()), formulaSafe(ev.Text), ev.Hash,
		})
	}
	out.Flush()
	return out.Error()
}

// formulaSafe keeps a spreadsheet from running what someone typed.
func formulaSafe(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t", rune(text[0])) {
		return "'" + text
	}
	return text
}

func eventsMarkdown(w io.Writer, events []commands.Event) error {
	if _, err := fmt.Fprintln(w, "| time (UTC) | incident | what | who | text |\n|---|---|---|---|---|"); err != nil {
		return err
	}
	escape := strings.NewReplacer(`\`, `\\`, "|", `\|`, "<", "&lt;", "\n", " ")
	for _, ev := range events {
		who := ""
		if ev.Actor.ID != "" {
			who = ev.Actor.String()
		}
		if _, err := fmt.Fprintf(w, "| %s | %s | %s | %s | %s |\n",
			ev.At.UTC().Format(time.DateTime), ev.Incident, ev.Kind, escape.Replace(who), escape.Replace(ev.Text)); err != nil {
			return err
		}
	}
	return nil
}
