package openstack

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"whybot/runners"
)

// A CheckResult is one line of `whybot check`.
type CheckResult struct {
	What   string
	OK     bool
	Detail string // what was seen
	Cure   string // what to do about it; empty when OK
}

// maxSkew is how far two clocks may be apart before their logs cannot be laid
// side by side.
const maxSkew = 5 * time.Second

// Check tries everything that whybot needs of the cloud and changes nothing.
// When the login fails that is the only result, because nothing else can be
// tried.
func (c *Client) Check(ctx context.Context) []CheckResult {
	s, err := c.connect(ctx, nil)
	if err != nil {
		return []CheckResult{failed("keystone: login", err)}
	}
	// The login may be hours old; a fresh one proves the password of today.
	if s, err = c.connect(ctx, s); err != nil {
		return []CheckResult{failed("keystone: login", err)}
	}
	login := CheckResult{What: "keystone: login", OK: true, Detail: fmt.Sprintf(
		"user %q in project %q, roles %q, token until %s", s.user, s.project, s.roles, s.expires.UTC().Format(time.RFC3339))}
	checks := []func(context.Context) []CheckResult{
		c.checkNova, c.checkNeutron, c.checkCinder, c.checkAllProjects, c.checkAgents, c.checkBindings,
	}
	lists, errs := runners.Each(ctx, len(checks), checks, func(ctx context.Context, check func(context.Context) []CheckResult) ([]CheckResult, error) {
		return check(ctx), nil
	})
	all := []CheckResult{login}
	for i, list := range lists {
		if errs[i] != nil {
			list = []CheckResult{{What: "openstack", Detail: "the check was cut short", Cure: "run it again"}}
		}
		all = append(all, list...)
	}
	return all
}

// failed tells a failure with the words of the error, which are safe to show.
func failed(what string, err error) CheckResult {
	var cure string
	switch runners.KindOf(err) {
	case runners.Authentication:
		cure = "look at the credentials in clouds.yaml"
	case runners.Refused, runners.Unreachable, runners.TooSlow:
		cure = "can this host reach the endpoint? Is the service up?"
	case runners.Hidden:
		cure = "give whybot's user a role that may, admin by default"
	case runners.NotFound:
		cure = "look at auth_url, region_name and interface in clouds.yaml"
	default:
		cure = "see whybot's log at level debug"
	}
	return CheckResult{What: what, Detail: err.Error(), Cure: cure}
}

func (c *Client) checkNova(ctx context.Context) []CheckResult {
	doc, err := c.readVersions(ctx, nova)
	if err != nil {
		return []CheckResult{failed("nova: microversion "+novaMicroversion, err)}
	}
	return []CheckResult{doc.supports(nova, novaMicroversion), doc.clock()}
}

func (c *Client) checkCinder(ctx context.Context) []CheckResult {
	doc, err := c.readVersions(ctx, cinder)
	if err != nil {
		r := failed("cinder: microversion "+cinderMicroversion, err)
		r.Cure += " (only questions about volumes need Cinder)"
		return []CheckResult{r}
	}
	return []CheckResult{doc.supports(cinder, cinderMicroversion)}
}

func (c *Client) checkNeutron(ctx context.Context) []CheckResult {
	const what = "neutron: networks"
	networks, err := list[idOnly](ctx, c, neutron, "networks", url.Values{"fields": {"id"}}, "networks")
	if err != nil {
		return []CheckResult{failed(what, err)}
	}
	return []CheckResult{{What: what, OK: true, Detail: strconv.Itoa(len(networks)) + " are shown"}}
}

type idOnly struct{ ID string }

func (i idOnly) identity() string { return i.ID }

func (c *Client) checkAllProjects(ctx context.Context) []CheckResult {
	const what = "nova: servers of all projects"
	var page struct{ Servers *[]idOnly }
	err := c.do(ctx, request{
		service: nova, method: http.MethodGet, path: []string{"servers"}, query: url.Values{"all_tenants": {"1"}, "limit": {"1"}},
	}, &page)
	switch {
	case isKind(err, runners.Hidden):
		r := failed(what, err)
		r.Detail = "hidden: servers are searched in whybot's own project only"
		return []CheckResult{r}
	case err != nil:
		return []CheckResult{failed(what, err)}
	case page.Servers == nil:
		return []CheckResult{{What: what, Detail: notThisAPI, Cure: "look at the compute endpoint in the service catalogue"}}
	}
	return []CheckResult{{What: what, OK: true, Detail: "shown"}}
}

func (c *Client) checkAgents(ctx context.Context) []CheckResult {
	const what = "neutron: agents"
	agents, err := list[agent](ctx, c, neutron, "agents", nil, "agents")
	if err != nil {
		return []CheckResult{failed(what, err)}
	}
	if len(agents) == 0 {
		return []CheckResult{{
			What: what, Detail: "the list is empty, which is also what Neutron answers to a role that may not see agents",
			Cure: "give whybot's user a role that may list agents, admin by default",
		}}
	}
	dead := 0
	for _, a := range agents {
		if !a.Alive {
			dead++
		}
	}
	return []CheckResult{{What: what, OK: true, Detail: fmt.Sprintf("%d are shown, %d of them dead", len(agents), dead)}}
}

func (c *Client) checkBindings(ctx context.Context) []CheckResult {
	const what = "neutron: port bindings"
	var page struct{ Ports []port }
	err := c.do(ctx, request{
		service: neutron, method: http.MethodGet, path: []string{"ports"},
		query: url.Values{"limit": {"1"}, "fields": {"id", "binding:host_id"}},
	}, &page)
	switch {
	case err != nil:
		return []CheckResult{failed(what, err)}
	case len(page.Ports) == 0:
		return []CheckResult{{What: what, Detail: "not known: no port is shown to look at", Cure: "check again when there is a server"}}
	case !page.Ports[0].HostID.shown:
		return []CheckResult{{
			What: what, Detail: "hidden: binding:host_id is not in the answer, so no server can be traced to its node",
			Cure: "give whybot's user a role that is shown port bindings, admin by default",
		}}
	}
	return []CheckResult{{What: what, OK: true, Detail: "shown"}}
}

// A versionDoc is what stands at the root of a service, with what its clock
// said and when.
type versionDoc struct {
	lowest, highest string
	date            string
	sent, received  time.Time
}

func (c *Client) readVersions(ctx context.Context, service string) (versionDoc, error) {
	s, err := c.connect(ctx, nil)
	if err != nil {
		return versionDoc{}, err
	}
	r := request{service: service, method: http.MethodGet, url: "/"}
	if sc := s.services[service]; sc != nil {
		if r.url, err = root(sc, service); err != nil {
			return versionDoc{}, fail(runners.Invalid, service, r.op(), "the endpoint in the catalogue is no URL", err)
		}
	}
	type version struct {
		ID      string
		Lowest  string `json:"min_version"`
		Highest string `json:"version"`
	}
	var answer struct {
		Version  version
		Versions []version
	}
	doc := versionDoc{sent: time.Now()}
	ctx, cancel := c.deadline(ctx, service, r.op())
	defer cancel()
	header, err := c.exchange(ctx, s, r, &answer)
	if err != nil {
		return versionDoc{}, c.explain(ctx, service, r.op(), err)
	}
	doc.received, doc.date = time.Now(), header.Get("Date")
	// Several versions stand in one list; the one with microversions counts.
	for _, v := range append(answer.Versions, answer.Version) {
		if v.Highest != "" {
			doc.lowest, doc.highest = v.Lowest, v.Highest
		}
	}
	return doc, nil
}

func (d versionDoc) supports(service, wanted string) CheckResult {
	r := CheckResult{What: service + ": microversion " + wanted, Detail: "the service says no range of microversions"}
	w, l, h := microversion(wanted), microversion(d.lowest), microversion(d.highest)
	if l != nil && h != nil {
		r.OK = !before(w, l) && !before(h, w)
		r.Detail = d.lowest + " to " + d.highest + " are supported"
	}
	if !r.OK {
		r.Cure = "whybot needs a release of " + service + " that has " + wanted
	}
	return r
}

// microversion reads "2.79" as its two numbers, or nil.
func microversion(s string) []int {
	major, minor, found := strings.Cut(s, ".")
	a, errA := strconv.Atoi(major)
	b, errB := strconv.Atoi(minor)
	if !found || errA != nil || errB != nil {
		return nil
	}
	return []int{a, b}
}

// before compares numbers: 2.9 is before 2.79.
func before(a, b []int) bool { return a[0] < b[0] || (a[0] == b[0] && a[1] < b[1]) }

// clock compares the clocks. The header counts whole seconds and the answer
// was under way for a while, so only what neither explains is a difference.
func (d versionDoc) clock() CheckResult {
	const what = "clock: this host and the API"
	date, err := http.ParseTime(d.date)
	if err != nil {
		return CheckResult{What: what, Detail: "not known: the API sends no Date header", Cure: "compare the clocks by hand"}
	}
	skew := time.Duration(0)
	if ahead := date.Sub(d.received); ahead > 0 {
		skew = ahead
	} else if behind := d.sent.Sub(date.Add(time.Second)); behind > 0 {
		skew = -behind
	}
	r := CheckResult{What: what, OK: skew.Abs() <= maxSkew, Detail: "they agree"}
	if !r.OK {
		r.Detail = fmt.Sprintf("the API's clock is %s %s", skew.Abs().Round(time.Second), map[bool]string{true: "ahead", false: "behind"}[skew > 0])
		r.Cure = "synchronise both with NTP: timelines and the API's times cannot be compared"
	}
	return r
}
