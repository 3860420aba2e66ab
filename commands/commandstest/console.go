package commandstest

import (
	"context"
	"net/url"
	"strconv"
	"strings"

	"whybot/runners"
)

// consoleKeys are the lines of the cloud that are about consoles, by key: url is
// where browsers are sent, door what is behind a token, and refused Nova's status
// with its reason instead of a console, underscores for spaces.
var consoleKeys = map[string]string{"console": "url door refused why", "compute": "", "beside": "", "public": ""}

// A consoleWorld answers about the console of a fixture's server.
type consoleWorld struct{ c cloudFacts }

// ConsoleCase returns what the fixture says of the console.
func (w consoleWorld) ConsoleCase(_ context.Context, s runners.Server) (runners.ConsoleCase, error) {
	cc := runners.ConsoleCase{Server: s}
	name := func(w words) (string, error) { return w[""], nil }
	var err error
	if cc.Machines, err = listed(w.c["machine"], name); err != nil {
		return cc, err
	}
	if cc.Computes, err = listed(w.c["compute"], name); err != nil {
		return cc, err
	}
	if cc.Beside, err = listed(w.c["beside"], name); err != nil {
		return cc, err
	}
	cc.PublicTLS = runners.Known(w.c.first("public")[""] == "https")
	if w.c.first("public")[""] == hidden {
		cc.PublicTLS = runners.NotKnown[bool](hiddenWhy)
	}
	console := w.c.first("console")
	if cc.Offer, err = console.offer(); err != nil {
		return cc, err
	}
	cc.Door, err = console.door()
	return cc, err
}

func (w words) offer() (runners.Maybe[runners.ConsoleOffer], error) {
	if w["url"] == hidden {
		return runners.NotKnown[runners.ConsoleOffer](hiddenWhy), nil
	}
	if w["refused"] != "" {
		status, err := strconv.Atoi(w["refused"])
		return runners.Known(runners.ConsoleOffer{Status: status, Refusal: strings.ReplaceAll(w["why"], "_", " ")}), err
	}
	u, err := url.Parse(w["url"])
	if err != nil {
		return runners.Maybe[runners.ConsoleOffer]{}, err
	}
	port, err := strconv.Atoi(u.Port())
	return runners.Known(runners.ConsoleOffer{URL: runners.ConsoleURL{Scheme: u.Scheme, Host: u.Hostname(), Port: port}}), err
}

func (w words) door() (runners.Maybe[runners.ConsoleDoor], error) {
	if w["refused"] != "" {
		return runners.NotKnown[runners.ConsoleDoor]("Nova made no console"), nil
	}
	if w["door"] == hidden {
		return runners.NotKnown[runners.ConsoleDoor](hiddenWhy), nil
	}
	at := strings.LastIndex(w["door"], ":")
	port, err := strconv.Atoi(w["door"][at+1:])
	return runners.Known(runners.ConsoleDoor{Host: w["door"][:max(at, 0)], Port: port}), err
}
