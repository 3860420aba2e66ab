package slackfake

import "strings"

// blocksValidate is Slack's online check: exactly one of blocks, message and view; no token. Pointers start at what was
// given, so those of a bare array begin with an index.
func blocksValidate(_ *Server, c *call) (reply, *apiError) {
	var given []string
	for _, name := range []string{"blocks", "message", "view"} {
		if c.has(name) {
			given = append(given, name)
		}
	}
	if len(given) != 1 {
		return nil, fail("invalid_arguments")
	}
	raw := c.get(given[0])
	var problems []Problem
	switch given[0] {
	case "view":
		problems = ValidateView([]byte(raw))
	case "message":
		problems = Validate([]byte(raw))
	default:
		blocks, e := decodeBlocks(raw)
		if e != nil {
			return nil, e
		}
		v := newValidation(forMessage)
		v.message(map[string]any{"text": "-", "blocks": blocks})
		for _, p := range v.problems {
			p.Pointer = strings.TrimPrefix(p.Pointer, "/blocks")
			problems = append(problems, p)
		}
	}
	var hard []Problem
	for _, p := range problems {
		if !p.Warning {
			hard = append(hard, p)
		}
	}
	if len(hard) > 0 {
		return nil, &apiError{code: "invalid_" + given[0], problems: hard, asObjects: true}
	}
	return reply{}, nil
}
