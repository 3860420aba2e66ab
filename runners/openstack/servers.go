package openstack

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"whybot/runners"
)

// A NoServer says that no server answers to what was asked for. It is wrapped
// in a runners.Error of kind NotFound.
type NoServer struct {
	// Ref is what was asked for, as typed; quote it before showing it.
	Ref string
	// Near are up to five names of servers that look like Ref, the nearest
	// first. They are the cloud's words; quote them before showing them.
	Near []string
	// OnlyProject says that only whybot's own project could be searched: the
	// server may exist in another one.
	OnlyProject bool
}

// Nearest returns the names close to the one that was not found.
func (e *NoServer) Nearest() []string { return e.Near }

// OnlyOwnProject reports whether the other projects could not be searched.
func (e *NoServer) OnlyOwnProject() bool { return e.OnlyProject }

func (e *NoServer) Error() string {
	s := fmt.Sprintf("no server %q", e.Ref)
	if e.OnlyProject {
		s += " in whybot's own project"
	}
	return s
}

// A server is Nova's answer.
type server struct {
	ID        string
	Name      string
	TenantID  string `json:"tenant_id"`
	Status    string
	TaskState string           `json:"OS-EXT-STS:task_state"`
	Host      optional[string] `json:"OS-EXT-SRV-ATTR:host"`
	Fault     struct{ Message string }
	Created   time.Time
	Addresses map[string][]struct{ Addr string }
	// Terminated is when its guest was ended for good, null of most.
	Terminated stamp `json:"OS-SRV-USG:terminated_at"`
}

func (s server) identity() string { return s.ID }

func (s server) vocabulary() runners.Server {
	var addresses []string
	for _, list := range s.Addresses {
		for _, a := range list {
			addresses = append(addresses, a.Addr)
		}
	}
	slices.Sort(addresses) // a map has no order, an answer should
	return runners.Server{
		ID: s.ID, Name: s.Name, ProjectID: s.TenantID, Status: s.Status, TaskState: s.TaskState,
		Host:  s.Host.maybe("needs role admin: OS-EXT-SRV-ATTR:host is hidden"),
		Fault: s.Fault.Message, Created: s.Created, Addresses: addresses,
	}
}

// FindServers returns the servers that ref may mean: by id, by fixed or
// floating address, or by name. Where servers have exactly that name those are
// returned; only when there is none, those that differ in case. When several
// are left all are returned, for the caller to ask which. When there is none
// the error wraps a NoServer.
//
// All projects are searched if the role allows it, else whybot's own.
func (c *Client) FindServers(ctx context.Context, ref string) ([]runners.Server, error) {
	ref = strings.TrimSpace(ref)
	if !canBeName(ref) {
		return nil, noServer(NoServer{Ref: ref})
	}
	found, err := c.findByIdentifier(ctx, ref)
	if err != nil || len(found) > 0 {
		return vocabulary(found), err
	}
	found, miss, err := c.findByName(ctx, ref)
	if err != nil || len(found) > 0 {
		return vocabulary(found), err
	}
	return nil, noServer(miss)
}

func noServer(miss NoServer) error {
	hint := ""
	if miss.OnlyProject {
		hint = "searched only whybot's own project: all projects need a role that may list them, admin by default"
	}
	return fail(runners.NotFound, nova, "find the server", hint, &miss)
}

func vocabulary(found []server) []runners.Server {
	var all []runners.Server
	for _, s := range found {
		all = append(all, s.vocabulary())
	}
	return all
}

// canBeName keeps from the API what Nova would never have accepted as a name.
func canBeName(ref string) bool {
	return ref != "" && utf8.ValidString(ref) && utf8.RuneCountInString(ref) <= 255 && !strings.ContainsFunc(ref, unicode.IsControl)
}

var uuid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// findByIdentifier looks for a server by an id or an address. A server may
// also be named like either, so nothing found is no answer yet.
func (c *Client) findByIdentifier(ctx context.Context, ref string) ([]server, error) {
	if id := strings.ToLower(ref); uuid.MatchString(id) {
		return c.serversByID(ctx, []string{id})
	}
	if ip, err := netip.ParseAddr(ref); err == nil && ip.Zone() == "" {
		return c.findByAddress(ctx, ip.Unmap())
	}
	return nil, nil
}

// serversByID leaves out ids that Nova does not know or does not show.
func (c *Client) serversByID(ctx context.Context, ids []string) ([]server, error) {
	var found []server
	for _, id := range ids {
		s, err := one[server](ctx, c, nova, "server", "servers", id)
		switch {
		case err == nil:
			found = append(found, s)
		case !isKind(err, runners.NotFound):
			return nil, err
		}
	}
	return found, nil
}

// findByAddress goes by Neutron, whose filter is exact, and not by Nova's
// ip=, which is a regular expression.
func (c *Client) findByAddress(ctx context.Context, ip netip.Addr) ([]server, error) {
	var fixed, floating []port
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		fixed, err = list[port](gctx, c, neutron, "ports", url.Values{"fixed_ips": {"ip_address=" + ip.String()}}, "ports")
		fixed = slices.DeleteFunc(fixed, func(p port) bool { return !p.has(ip) })
		return err
	})
	g.Go(func() (err error) {
		floating, err = c.portsBehind(gctx, ip)
		return err
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	var ids []string
	for _, p := range append(fixed, floating...) {
		if p.ofServer() && !slices.Contains(ids, p.DeviceID) {
			ids = append(ids, p.DeviceID)
		}
	}
	return c.serversByID(ctx, ids)
}

// A floatingIP is Neutron's answer.
type floatingIP struct {
	ID      string
	Address string `json:"floating_ip_address"`
	PortID  string `json:"port_id"`
}

func (f floatingIP) identity() string { return f.ID }

// portsBehind returns the ports that a floating address is mapped to.
func (c *Client) portsBehind(ctx context.Context, ip netip.Addr) ([]port, error) {
	ips, err := list[floatingIP](ctx, c, neutron, "floatingips", url.Values{"floating_ip_address": {ip.String()}}, "floatingips")
	if isKind(err, runners.NotFound) {
		return nil, nil // no router extension, so no floating addresses
	}
	if err != nil {
		return nil, err
	}
	query := url.Values{}
	for _, f := range ips {
		if a, err := netip.ParseAddr(f.Address); err == nil && a == ip && f.PortID != "" {
			query.Add("id", f.PortID)
		}
	}
	if len(query) == 0 {
		return nil, nil
	}
	return list[port](ctx, c, neutron, "ports", query, "ports")
}

// findByName asks for the quoted and anchored name, because Nova reads it as a
// regular expression that is blind to case, and compares once more.
func (c *Client) findByName(ctx context.Context, ref string) ([]server, NoServer, error) {
	pattern := "^" + regexp.QuoteMeta(ref) + "$"
	candidates, onlyProject, err := c.listServers(ctx, url.Values{"name": {pattern}}, "servers", "detail")
	if err != nil {
		return nil, NoServer{}, err
	}
	if found := sameName(candidates, ref); len(found) > 0 {
		return found, NoServer{}, nil
	}
	miss := NoServer{Ref: ref, OnlyProject: onlyProject}
	all, _, err := c.listServers(ctx, url.Values{}, "servers")
	switch {
	case ctx.Err() != nil:
		return nil, NoServer{}, err
	case err != nil: // the name is not there; only the suggestions are lost
		c.log.DebugContext(ctx, "no suggestions for a server name", "failure", runners.KindOf(err).String())
		return nil, miss, nil
	}
	// A database may fold other letters than Go does, or none at all.
	if same := sameName(all, ref); len(same) > 0 {
		found, err := c.serversByID(ctx, identities(same))
		return found, miss, err
	}
	miss.Near = nearest(ref, names(all))
	return nil, miss, nil
}

func identities(servers []server) []string {
	var ids []string
	for _, s := range servers {
		ids = append(ids, s.ID)
	}
	return ids
}

func names(servers []server) []string {
	var all []string
	for _, s := range servers {
		all = append(all, s.Name)
	}
	return all
}

// sameName returns the servers of exactly that name or, failing that, those
// that differ only in case.
func sameName(all []server, name string) []server {
	var exact, folded []server
	for _, s := range all {
		switch {
		case s.Name == name:
			exact = append(exact, s)
		case strings.EqualFold(s.Name, name):
			folded = append(folded, s)
		}
	}
	if len(exact) > 0 {
		return exact
	}
	return folded
}

// listServers lists the servers of all projects, or of whybot's own if the
// role may not see the others.
func (c *Client) listServers(ctx context.Context, query url.Values, path ...string) (found []server, onlyProject bool, err error) {
	query.Set("all_tenants", "1")
	found, err = list[server](ctx, c, nova, "servers", query, path...)
	if !isKind(err, runners.Hidden) {
		return found, false, err
	}
	query.Del("all_tenants")
	found, err = list[server](ctx, c, nova, "servers", query, path...)
	return found, true, err
}

// ConsoleLog returns the last lines of a server's serial console, or all that
// Nova keeps when lines is not positive.
func (c *Client) ConsoleLog(ctx context.Context, serverID string, lines int) (string, error) {
	want := map[string]int{}
	if lines > 0 {
		want["length"] = lines
	}
	var answer struct{ Output *string }
	r := request{
		service: nova, method: http.MethodPost, path: []string{"servers", serverID, "action"},
		body: map[string]any{"os-getConsoleOutput": want}, rpc: true,
	}
	if err := c.do(ctx, r, &answer); err != nil {
		return "", err
	}
	if answer.Output == nil {
		return "", fail(runners.Invalid, nova, r.op(), notThisAPI, errors.New(`the answer has no "output"`))
	}
	return *answer.Output, nil
}
