package node

import (
	"fmt"
	"strings"
	"time"

	"whybot/runners"
)

// LogDir is where Neutron's agents write their logs.
const LogDir = "/var/log/neutron/"

// AgentLogProbe prints the end of an agent's log, under the names that
// distributions give it. It exits 1 when one of them is not there, which is
// always so.
func AgentLogProbe(agent string) runners.Probe {
	return runners.Probe{
		Name: "log " + agent, Sudo: true,
		Argv: []string{"tail", "-q", "-n", "400", LogDir + agent + ".log", LogDir + strings.TrimPrefix(agent, "neutron-") + ".log"},
	}
}

// ClockProbe prints the node's time with its zone, in which its logs are
// written.
func ClockProbe() runners.Probe {
	return runners.Probe{Name: "date", Argv: []string{"date", "+%Y-%m-%d %H:%M:%S %z"}}
}

// ParseClock reads the output of ClockProbe.
func ParseClock(text string) (time.Time, error) {
	t, err := time.Parse("2006-01-02 15:04:05 -0700", strings.TrimSpace(text))
	if err != nil {
		return time.Time{}, fmt.Errorf("the node's time could not be understood: %w", err)
	}
	return t, nil
}

// A LogLine is one line of an agent's log.
type LogLine struct {
	At   time.Time
	Text string // as it stands there
}

// stampForm is how oslo.log begins a line: "2026-11-23 15:04:05.123 2417 ERROR …".
const stampForm = "2006-01-02 15:04:05.000"

// logBegins is what every agent of Neutron logs first.
const logBegins = "Logging enabled!"

// Recent returns the lines of a log that are at most age older than now and
// that the agent has written since it was last started. A line without a time
// of its own is none.
func Recent(text string, now time.Time, age time.Duration) []LogLine {
	var all []LogLine
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if len(line) < len(stampForm) {
			continue
		}
		at, err := time.ParseInLocation(stampForm, line[:len(stampForm)], now.Location())
		switch {
		case err != nil, now.Sub(at) > age, at.Sub(now) > age:
		case strings.Contains(line, logBegins):
			all = nil
		default:
			all = append(all, LogLine{At: at, Text: line})
		}
	}
	return all
}
