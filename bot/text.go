package bot

import (
	"fmt"
	"strings"
	"time"

	"whybot/commands"
)

const (
	maxName   = 80   // characters of a name that are shown
	maxNotice = 600  // characters of a message's text, which notifications and screen readers use
	maxText   = 2800 // characters of one text that are shown before it is continued elsewhere
)

var entities = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// code returns a name from a person or a machine as a code span for mrkdwn:
// nothing in it formats, links or notifies.
func code(name string) string { return "`" + entities.Replace(bare(name)) + "`" }

// bare returns a name as it may stand in a code span: one line, capped, and
// without the character that would end the span.
func bare(name string) string {
	name = strings.TrimSpace(commands.Clean(strings.ReplaceAll(name, "`", "'"), maxName))
	if name == "" {
		return "?"
	}
	return name
}

// notice makes the plain text of a message from prose with names in it. Slack
// reads it as mrkdwn, so what could notify, format as code or become a link is
// taken apart.
func notice(text string) string {
	text = strings.NewReplacer("`", "'", "://", ": //").Replace(commands.Clean(text, maxNotice))
	return entities.Replace(text)
}

// lines makes text of several lines safe for a block of code: each line is
// cleaned and the whole is cut to limit characters, which is then said.
func lines(text string, limit int) (shown string, whole bool) {
	var b strings.Builder
	left := limit
	for line := range strings.Lines(text) {
		line = commands.Clean(strings.ReplaceAll(strings.TrimRight(line, "\r\n"), "\t", "    "), left)
		left -= len([]rune(line)) + 1
		b.WriteString(line)
		b.WriteByte('\n')
		if left <= 0 {
			break
		}
	}
	shown = strings.TrimRight(b.String(), "\n")
	return shown, left > 0
}

const (
	dateForm = "{date_short_pretty} {time}"
	utcForm  = "2006-01-02 15:04 UTC"
)

// when returns a point in time that each reader sees in their own zone.
func when(t time.Time) string {
	return fmt.Sprintf("<!date^%d^%s|%s>", t.Unix(), dateForm, t.UTC().Format(utcForm))
}

// person returns the mention of somebody Slack knows, or their name as code.
func person(a commands.Actor) string {
	if a.Via == viaSlack && isMember(a.ID) {
		return "<@" + a.ID + ">"
	}
	if a.Name != "" {
		return code(a.Name)
	}
	return code(a.ID)
}

// isMember reports whether id looks like a Slack member id.
func isMember(id string) bool { return isID(id, "UW") }

// isID reports whether id is one of Slack's: a letter of first, then upper case
// letters and digits.
func isID(id, first string) bool {
	if len(id) < 2 || len(id) > 32 || !strings.ContainsRune(first, rune(id[0])) {
		return false
	}
	return strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == ""
}

// duration is how long something took, for a person.
func duration(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// count words a number of things.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
