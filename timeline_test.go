package main

import (
	"encoding/csv"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"whybot/commands"
	"whybot/commands/ask"
	"whybot/store"
)

func TestPeriod(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	day := func(month time.Month, d int) time.Time { return time.Date(2026, month, d, 0, 0, 0, 0, zone) }
	monday := time.Date(2026, 11, 23, 15, 4, 5, 0, zone)
	sunday := time.Date(2026, 11, 29, 0, 30, 0, 0, zone)
	autumn := time.Date(2026, 10, 26, 1, 0, 0, 0, zone) // the day after the clocks went back
	for _, c := range []struct {
		when         string
		now          time.Time
		since, until time.Time
	}{
		{"", monday, time.Time{}, time.Time{}},
		{"today", monday, day(11, 23), monday},
		{"yesterday", monday, day(11, 22), day(11, 23)},
		{"yesterday", autumn, day(10, 25), day(10, 26)},
		{"last_24h", monday, monday.Add(-24 * time.Hour), monday},
		{"this_week", monday, day(11, 23), monday},
		{"this_week", sunday, day(11, 23), sunday},
		{"last_week", monday, day(11, 16), day(11, 23)},
		{"last_week", sunday, day(11, 16), day(11, 23)},
		{"this_month", monday, day(11, 1), monday},
		{"last_month", monday, day(10, 1), day(11, 1)},
		{"last_month", time.Date(2026, 3, 31, 9, 0, 0, 0, zone), day(2, 1), day(3, 1)},
		{"last_month", time.Date(2026, 1, 5, 9, 0, 0, 0, zone), time.Date(2025, 12, 1, 0, 0, 0, 0, zone), day(1, 1)},
		{"last_30d", monday, monday.AddDate(0, 0, -30), monday},
		{"2026-11-01..2026-11-05", monday, day(11, 1), day(11, 6)},
		{"2026-11-05..2026-11-05", monday, day(11, 5), day(11, 6)},
	} {
		since, until, err := period(c.when, c.now)
		if err != nil || !since.Equal(c.since) || !until.Equal(c.until) {
			t.Errorf("%q at %s: %s to %s, %v; want %s to %s", c.when, c.now, since, until, err, c.since, c.until)
		}
	}
	if length := day(10, 26).Sub(day(10, 25)); length != 25*time.Hour {
		t.Fatalf("the day the clocks went back has %s", length)
	}
	for _, bad := range []string{"soon", "2026-13-01..2026-13-05", "..", "2026-11-01..", "last_", "tomorrow"} {
		if since, until, err := period(bad, monday); err == nil {
			t.Errorf("%q is understood as %s to %s", bad, since, until)
		}
	}
}

// Every time that the parser takes for one must be one to the timeline.
func TestPeriodsOfTheParser(t *testing.T) {
	now := time.Date(2026, 11, 23, 15, 4, 5, 0, time.UTC)
	for _, words := range []string{
		"today", "yesterday", "this week", "last week", "this month", "last month", "in the last 24 hours", "in the last 3 days",
		"in the last 30 days", "in the last 2 weeks", "last 45 minutes", "in the last 12h", "on nov 3rd", "on 2026-11-03", "from 2026-11-01 to 2026-11-05",
	} {
		q := ask.Parse("what happened to web-1 " + words)
		if q.Kind != commands.KindHistory || q.Subjects["target"] != "web-1" {
			t.Errorf("%q is parsed as %+v", words, q)
			continue
		}
		since, until, err := period(q.Subjects["when"], now)
		if err != nil {
			t.Errorf("%q is %q to the parser: %v", words, q.Subjects["when"], err)
			continue
		}
		if since.IsZero() || !since.Before(until) || now.AddDate(0, -2, 0).After(since) {
			t.Errorf("%q is %q to the parser, and %s to %s here", words, q.Subjects["when"], since, until)
		}
	}
}

func TestEventQuery(t *testing.T) {
	now := time.Date(2026, 11, 23, 15, 4, 5, 0, time.UTC)
	for text, want := range map[string]commands.EventQuery{
		"inc-17":                 {Incident: "inc-17"},
		"INC-17":                 {Incident: "inc-17"},
		"inc 17":                 {Incident: "inc-17"},
		" inc17 ":                {Incident: "inc-17"},
		"web-1":                  {Entity: "web-1", Limit: 200},
		"inc-x":                  {Entity: "inc-x", Limit: 200},
		"what happened to web-1": {Entity: "web-1", Limit: 200},
		"what happened to web-1 yesterday": {
			Entity: "web-1", Limit: 200, Since: now.Truncate(24 * time.Hour).Add(-24 * time.Hour), Until: now.Truncate(24 * time.Hour),
		},
	} {
		if got, err := eventQuery(text, now); err != nil || got != want {
			t.Errorf("%q: %+v, %v; want %+v", text, got, err, want)
		}
	}
}

// story stores an incident whose words try to be something else in every
// format.
func (s *scene) story() {
	s.t.Helper()
	alice := commands.Actor{Via: "terminal", ID: "=cmd()"}
	start := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	s.remember(func(memory *store.Store) {
		_, err := memory.OpenIncident(s.t.Context(), commands.Incident{
			Opened: start, Asker: alice, Entities: []string{"web-1"}, Question: commands.Question{Kind: commands.KindDHCP, Text: question1},
		},
			commands.Event{Kind: commands.EventAsked, At: start, Actor: alice, Text: `=HYPERLINK("http://x"), "why"`},
			commands.Event{Kind: commands.EventNote, At: start.Add(time.Second), Text: "a | b <script> and\nmore"},
			commands.Event{Kind: commands.EventNote, At: start.Add(2 * time.Second), Text: "+1 -1 @x"},
		)
		if err != nil {
			s.t.Fatal(err)
		}
	})
}

func TestTimelineFormats(t *testing.T) {
	s := newScene(t)
	s.story()
	s.run("timeline").want(t, exitAnswered, "inc-1", "")
	s.run("timeline", "web-1").want(t, exitAnswered, "asked", "")
	s.run("timeline", "inc-1").want(t, exitAnswered, "Monday 2026-11-23 (UTC)", "")
	s.run("timeline", "verify").want(t, exitAnswered, "3 events, every hash and link is right", "")

	var events []commands.Event
	if err := json.Unmarshal([]byte(s.run("timeline", "--json", "inc-1").out), &events); err != nil || len(events) != 3 || events[0].Hash == "" || events[1].Prev != events[0].Hash {
		t.Errorf("%d events, %v", len(events), err)
	}
	var incidents []commands.Incident
	if err := json.Unmarshal([]byte(s.run("timeline", "--json").out), &incidents); err != nil || len(incidents) != 1 {
		t.Errorf("%d incidents, %v", len(incidents), err)
	}
}

func TestTimelineCSV(t *testing.T) {
	s := newScene(t)
	s.story()
	rows, err := csv.NewReader(strings.NewReader(s.run("timeline", "inc-1", "--csv").out)).ReadAll()
	if err != nil || len(rows) != 4 {
		t.Fatalf("%q, %v", rows, err)
	}
	for _, row := range rows[1:] {
		for _, field := range row {
			if field != "" && strings.ContainsAny(field[:1], "=+-@") {
				t.Errorf("a spreadsheet would run %q", field)
			}
		}
	}
}

func TestTimelineMarkdown(t *testing.T) {
	s := newScene(t)
	s.story()
	markdown := s.run("timeline", "--markdown", "inc-1").out
	lines := strings.Split(strings.TrimSpace(markdown), "\n")
	if len(lines) != 5 || strings.Contains(markdown, "<script>") {
		t.Errorf("markdown\n%s", markdown)
	}
	for _, line := range lines {
		if n := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|"); n != 6 {
			t.Errorf("%d bars in %q", n, line)
		}
	}
}

func TestTimelineOfNothing(t *testing.T) {
	s := newScene(t)
	s.run("timeline").want(t, exitAnswered, "No incident yet", "")
	s.run("timeline", "verify").want(t, exitAnswered, "0 events", "")
	s.run("timeline", "web-1").want(t, exitFailed, "", "Nothing is recorded for web-1")
	s.run("timeline", "inc-9").want(t, exitFailed, "", "Nothing is recorded for inc-9")
	r := s.run("timeline", "\x1b[2Jweb-1")
	r.want(t, exitFailed, "", "Nothing is recorded")
	if strings.Contains(r.err, "\x1b") {
		t.Errorf("%q", r.err)
	}
}

// A list of none is an empty list.
func TestTimelineJSONOfNothing(t *testing.T) {
	s := newScene(t)
	if r := s.run("timeline", "--json"); r.code != exitAnswered || strings.TrimSpace(r.out) != "[]" {
		t.Errorf("exit code %d, %q", r.code, r.out)
	}
}

// A backslash in front of a bar must not set the bar free.
func TestMarkdownCannotBeBrokenOut(t *testing.T) {
	var out strings.Builder
	if err := eventsMarkdown(&out, []commands.Event{{Incident: "inc-1", Kind: commands.EventNote, Text: `a \| b`}}); err != nil {
		t.Fatal(err)
	}
	row := strings.Split(strings.TrimSpace(out.String()), "\n")[2]
	bars, escaped := 0, false
	for _, r := range row {
		switch {
		case escaped:
			escaped = false
		case r == '\\':
			escaped = true
		case r == '|':
			bars++
		}
	}
	if bars != 6 {
		t.Errorf("%d cells' bars in %s", bars, row)
	}
}
