package openstack

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
	"golang.org/x/sync/errgroup"

	"whybot/runners"
)

// maxRefusal is how much of Nova's own reason is kept.
const maxRefusal = 300

// ConsoleCase reads everything about the console of a server. It asks Nova to
// make one, as a browser's user would: that is a token which nobody is told and
// which expires by itself. Each other fact that cannot be read is missing on its
// own.
func (c *Client) ConsoleCase(ctx context.Context, s runners.Server) (runners.ConsoleCase, error) {
	found, err := one[server](ctx, c, nova, "server", "servers", s.ID)
	if err != nil {
		return runners.ConsoleCase{}, err
	}
	cc := runners.ConsoleCase{Server: found.vocabulary()}
	g, gctx := errgroup.WithContext(ctx)
	for _, read := range []func(context.Context, *runners.ConsoleCase){c.readConsole, c.readHosts, c.readBeside, c.readTLS} {
		g.Go(func() error {
			read(gctx, &cc) // each has fields of its own
			return gctx.Err()
		})
	}
	return cc, g.Wait()
}

// readConsole asks for a console, and for what Nova keeps behind its token.
func (c *Client) readConsole(ctx context.Context, cc *runners.ConsoleCase) {
	cc.Door = runners.NotKnown[runners.ConsoleDoor]("Nova made no console")
	var answer struct {
		Console struct{ URL string } `json:"remote_console"`
	}
	r := request{
		service: nova, method: http.MethodPost, path: []string{"servers", cc.Server.ID, "remote-consoles"}, rpc: true,
		body: map[string]any{"remote_console": map[string]string{"protocol": "vnc", "type": "novnc"}},
	}
	err := c.do(ctx, r, &answer)
	if offer, refused := refusal(err); refused {
		cc.Offer = runners.Known(offer)
		return
	}
	if err != nil {
		cc.Offer = runners.NotKnown[runners.ConsoleOffer](err.Error())
		return
	}
	at, token, ok := takeToken(answer.Console.URL)
	if !ok {
		cc.Offer = runners.NotKnown[runners.ConsoleOffer](notThisAPI)
		return
	}
	cc.Offer = runners.Known(runners.ConsoleOffer{URL: at})
	cc.Door = c.behind(ctx, token)
}

// behind reads where the proxy connects to for a token. The token stands in the
// call's address, so nothing of the SDK's error is kept, not even for a log.
func (c *Client) behind(ctx context.Context, token string) runners.Maybe[runners.ConsoleDoor] {
	if token == "" {
		return runners.NotKnown[runners.ConsoleDoor]("the address that Nova gave has no token that whybot finds in it")
	}
	answer, err := one[struct {
		Host string
		Port json.RawMessage
	}](ctx, c, nova, "console", "os-console-auth-tokens", token)
	if known, ok := errors.AsType[*runners.Error](err); ok {
		return runners.NotKnown[runners.ConsoleDoor](known.Error())
	}
	port, bad := strconv.Atoi(strings.Trim(string(answer.Port), `"`)) // Nova writes it either way
	if err != nil || bad != nil || answer.Host == "" {
		return runners.NotKnown[runners.ConsoleDoor]("Nova's answer names no host and port")
	}
	return runners.Known(runners.ConsoleDoor{Host: answer.Host, Port: port})
}

// refusal is what Nova says when it does not make a console: that the server is
// not ready, or that it has no such console.
func refusal(err error) (runners.ConsoleOffer, bool) {
	code, ok := errors.AsType[gophercloud.ErrUnexpectedResponseCode](err)
	if !ok || code.Actual != http.StatusConflict && code.Actual != http.StatusBadRequest {
		return runners.ConsoleOffer{}, false
	}
	var body map[string]struct{ Message string }
	if json.Unmarshal(code.Body, &body) != nil {
		return runners.ConsoleOffer{}, false // not Nova's own words
	}
	for _, said := range body {
		if said.Message != "" {
			return runners.ConsoleOffer{Status: code.Actual, Refusal: said.Message[:min(len(said.Message), maxRefusal)]}, true
		}
	}
	return runners.ConsoleOffer{}, false
}

// takeToken takes the address of a console apart. The token stands behind
// token=, or since noVNC 1.0 inside of path=.
func takeToken(address string) (at runners.ConsoleURL, token string, ok bool) {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" {
		return at, "", false
	}
	at = runners.ConsoleURL{Scheme: u.Scheme, Host: u.Hostname(), Port: map[string]int{"http": 80, "https": 443}[u.Scheme]}
	if u.Port() != "" {
		if at.Port, err = strconv.Atoi(u.Port()); err != nil {
			return at, "", false
		}
	}
	query := u.Query()
	if token = query.Get("token"); token == "" {
		_, inside, _ := strings.Cut(query.Get("path"), "?")
		values, err := url.ParseQuery(inside)
		if err != nil {
			return at, "", at.Port != 0
		}
		token = values.Get("token")
	}
	return at, token, at.Port != 0
}

// readHosts reads the nodes of Nova's services.
func (c *Client) readHosts(ctx context.Context, cc *runners.ConsoleCase) {
	found, err := list[computeService](ctx, c, nova, "services", nil, "os-services")
	var machines, computes []string
	for _, s := range found {
		to := &machines
		if s.Binary == "nova-compute" {
			to = &computes
		}
		if !slices.Contains(*to, s.Host) {
			*to = append(*to, s.Host)
		}
	}
	slices.Sort(machines)
	slices.Sort(computes)
	cc.Machines, cc.Computes = perhaps(machines, err), perhaps(computes, err)
}

// readBeside reads the other servers of the server's node.
func (c *Client) readBeside(ctx context.Context, cc *runners.ConsoleCase) {
	host, shown := cc.Server.Host.Get()
	if !shown || host == "" {
		cc.Beside = runners.NotKnown[[]string]("the server's node is not known")
		return
	}
	found, err := list[server](ctx, c, nova, "servers", url.Values{"all_tenants": {"1"}, "host": {host}}, "servers", "detail")
	names := []string{}
	for _, s := range found {
		if s.ID != cc.Server.ID && s.Host.maybe("").Or("") == host {
			names = append(names, s.Name)
		}
	}
	slices.Sort(names)
	cc.Beside = perhaps(names, err)
}

// readTLS looks at the addresses that the catalogue gives to the public.
func (c *Client) readTLS(ctx context.Context, cc *runners.ConsoleCase) {
	s, err := c.connect(ctx, nil)
	switch {
	case err != nil:
		cc.PublicTLS = runners.NotKnown[bool](err.Error())
	case s.public == "":
		cc.PublicTLS = runners.NotKnown[bool]("the service catalogue has no public address of Nova")
	default:
		cc.PublicTLS = runners.Known(strings.HasPrefix(s.public, "https:"))
	}
}
