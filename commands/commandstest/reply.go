package commandstest

import (
	"fmt"
	"strconv"
	"strings"

	"whybot/runners"
)

// kinds are the failures a fixture can name.
var kinds = map[string]runners.Kind{
	"unreachable": runners.Unreachable, "refused": runners.Refused, "host key": runners.HostKey, "authentication": runners.Authentication,
	"sudo": runners.Sudo, "missing program": runners.MissingProgram, "too slow": runners.TooSlow, "not found": runners.NotFound,
	"invalid": runners.Invalid, "hidden": runners.Hidden,
}

// A reply is what a probe comes to.
type reply struct {
	fails  runners.Kind // Unknown when it does not
	output runners.Output
}

// parseReply reads a probe's section.
func parseReply(text string) (reply, error) {
	var r reply
	for {
		line, rest, _ := strings.Cut(text, "\n")
		key, value, _ := strings.Cut(line, ": ")
		var err error
		switch key {
		case "error":
			r.fails, err = parseKind(value)
		case "exit":
			r.output.ExitCode, err = strconv.Atoi(value)
		case "stderr":
			r.output.Stderr += value + "\n"
		case "truncated":
			r.output.Truncated = true
		default:
			r.output.Stdout = text
			return r, nil
		}
		if err != nil {
			return reply{}, err
		}
		text = rest
	}
}

func parseKind(name string) (runners.Kind, error) {
	k, ok := kinds[name]
	if !ok {
		return 0, fmt.Errorf("%q is no failure that a fixture knows", name)
	}
	return k, nil
}
