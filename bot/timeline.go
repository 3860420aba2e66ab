package bot

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"whybot/commands"
	"whybot/commands/ask"
)

const timelineLines = 15

var incidentForm = regexp.MustCompile(`\binc-[0-9]{1,12}\b`)

// timelineCommand is /timeline.
func (b *Bot) timelineCommand(ctx context.Context, a asked) {
	if b.welcome(ctx, a) {
		b.history(ctx, a)
	}
}

// history shows the newest events of an incident or of a name, to the person
// who asks.
func (b *Bot) history(ctx context.Context, a asked) {
	q, about := timelineQuery(a.text)
	if about == "" {
		b.out.whisper(ctx, a.from, help("Whose history? Name an incident or a VM."))
		return
	}
	events, err := b.o.Memory.Events(ctx, q)
	if err != nil {
		b.out.whisper(ctx, a.from, simple(b.public(err)))
		return
	}
	b.out.whisper(ctx, a.from, timeline(about, events))
}

// timelineQuery finds what a history question is about.
func timelineQuery(text string) (q commands.EventQuery, about string) {
	q.Limit = timelineLines
	if id := incidentForm.FindString(text); id != "" {
		q.Incident = id
		return q, id
	}
	subjects := ask.Parse(text).Subjects
	for _, role := range []string{"target", "vm", "ip", "host", "volume"} {
		if subjects[role] != "" {
			q.Entity = subjects[role]
			return q, q.Entity
		}
	}
	if words := strings.Fields(text); len(words) == 1 && words[0] != "help" {
		q.Entity = strings.Trim(words[0], "`")
	}
	return q, q.Entity
}

// timeline shows events, the newest last. Text of a long list is cut short so
// that all of it fits one message.
func timeline(about string, events []commands.Event) message {
	if len(events) == 0 {
		return simple("The timeline has nothing about "+bare(about)+".", bare(about))
	}
	head := fmt.Sprintf("Newest events of %s, %d, all dates:", bare(about), len(events))
	m := message{text: notice(head + " " + events[len(events)-1].Text)}
	m.add(newRich([]string{bare(about)}).prose(head, maxSummary).done())
	r := newRich([]string{bare(about)})
	for i, e := range events {
		if i > 0 {
			r.newline()
		}
		r.eventLine(e)
		if e.Incident != about {
			r.text(" (" + bare(e.Incident) + ")")
		}
	}
	m.add(r.done())
	return m
}

// eventLine is one line of a timeline.
func (r *rich) eventLine(e commands.Event) *rich {
	r.date(e.At, "{date_short_pretty} {time_secs}").text(" ").bold(string(e.Kind))
	if e.Text != "" {
		r.text(" ").prose(e.Text, 160)
	}
	if e.Actor.ID != "" {
		r.text(" — ").person(e.Actor)
	}
	return r
}
