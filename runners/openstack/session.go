package openstack

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	sdk "github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"

	"whybot/runners"
)

// Names of the services as errors and logs show them.
const (
	keystone = "keystone"
	nova     = "nova"
	neutron  = "neutron"
	cinder   = "cinder"
)

const (
	// novaMicroversion is the one of Train (2019), which every supported cloud
	// has. It must be at least 2.69, where a server in a cell that is down is
	// answered as UNKNOWN by id and not as an internal error; 2.79 is the
	// first in which a volume attachment says whether it dies with its server;
	// and it must stay below 2.88 and 2.89, which take away the numbers of a
	// hypervisor and the id of a volume attachment.
	novaMicroversion = "2.79"
	// cinderMicroversion is the first that has the attachments resource, which
	// is 404 below. Pike (2017) has it.
	cinderMicroversion = "3.27"
)

// serviceTypes are the names under which the catalogue may list a service, the
// preferred one first. Clouds that list the retired volumev2 also list one of
// these.
var serviceTypes = map[string][]string{
	nova:    {"compute"},
	neutron: {"network"},
	cinder:  {"block-storage", "volumev3"},
}

// A session is one login: a token and what came with it.
type session struct {
	services map[string]*gophercloud.ServiceClient
	user     string
	project  string
	roles    []string
	expires  time.Time
	// public is Nova's public address, whichever of its addresses is used.
	public string
}

// connect returns the session, logging in when there is none or when the one
// there is is stale: the one whose token a service has just rejected.
func (c *Client) connect(ctx context.Context, stale *session) (*session, error) {
	const op = "POST auth/tokens"
	ctx, cancel := c.deadline(ctx, keystone, op)
	defer cancel()
	select {
	case c.login <- struct{}{}:
	case <-ctx.Done():
		return nil, c.explain(ctx, keystone, op, ctx.Err())
	}
	defer func() { <-c.login }()
	if c.session != nil && c.session != stale {
		return c.session, nil
	}
	c.session = nil
	started := time.Now()
	s, err := c.authenticate(ctx)
	if err != nil {
		err = c.explain(ctx, keystone, op, err)
		c.logCall(ctx, keystone, op, started, err)
		return nil, err
	}
	c.logCall(ctx, keystone, op, started, nil)
	c.session = s
	return s, nil
}

func (c *Client) authenticate(ctx context.Context) (*session, error) {
	provider, err := sdk.NewClient(c.auth.IdentityEndpoint)
	if err != nil {
		return nil, fail(runners.Invalid, keystone, "read auth_url", "auth_url is no URL", nil)
	}
	provider.HTTPClient = c.http
	provider.UserAgent.Prepend("whybot")
	auth := c.auth // the SDK may write into it
	if err := sdk.AuthenticateV3(ctx, provider, &auth, gophercloud.EndpointOpts{}); err != nil {
		return nil, err
	}
	return c.newSession(provider)
}

// A loginAnswer is the part of Keystone's token that both ways to get one have.
type loginAnswer interface {
	ExtractToken() (*tokens.Token, error)
	ExtractServiceCatalog() (*tokens.ServiceCatalog, error)
	ExtractInto(v any) error
}

func (c *Client) newSession(provider *gophercloud.ProviderClient) (*session, error) {
	answer, ok := provider.GetAuthResult().(loginAnswer)
	if !ok {
		return nil, errors.New("the login was not answered as Identity v3 does")
	}
	token, err := answer.ExtractToken()
	if err != nil {
		return nil, err
	}
	catalog, err := answer.ExtractServiceCatalog()
	if err != nil {
		return nil, err
	}
	var who struct {
		User    tokens.User    `json:"user"`
		Project tokens.Project `json:"project"`
		Roles   []tokens.Role  `json:"roles"`
	}
	if err := answer.ExtractInto(&who); err != nil {
		return nil, err
	}
	s := &session{user: who.User.Name, project: who.Project.Name, expires: token.ExpiresAt}
	for _, r := range who.Roles {
		s.roles = append(s.roles, r.Name)
	}
	s.services = c.services(provider, catalog)
	s.public = findEndpoint(catalog, gophercloud.EndpointOpts{Region: c.where.Region}, serviceTypes[nova])
	return s, nil
}

// services makes the clients from the catalogue. The SDK's own constructors
// are not used: they look for versions over the network without a deadline.
func (c *Client) services(provider *gophercloud.ProviderClient, catalog *tokens.ServiceCatalog) map[string]*gophercloud.ServiceClient {
	clients := map[string]*gophercloud.ServiceClient{}
	for service, types := range serviceTypes {
		endpoint := findEndpoint(catalog, c.where, types)
		if endpoint == "" {
			continue
		}
		sc := &gophercloud.ServiceClient{ProviderClient: provider, Endpoint: endpoint, Type: types[0]}
		switch service {
		case nova:
			sc.Microversion = novaMicroversion
			if !strings.Contains(endpoint, "/v2") {
				sc.ResourceBase = endpoint + "v2.1/"
			}
		case neutron:
			if !strings.HasSuffix(endpoint, "/v2.0/") {
				sc.ResourceBase = endpoint + "v2.0/"
			}
		case cinder:
			sc.Microversion = cinderMicroversion
		}
		clients[service] = sc
	}
	return clients
}

func findEndpoint(catalog *tokens.ServiceCatalog, where gophercloud.EndpointOpts, types []string) string {
	side := where.Availability
	if side == "" {
		side = gophercloud.AvailabilityPublic
	}
	for _, wanted := range types {
		for _, entry := range catalog.Entries {
			if entry.Type != wanted {
				continue
			}
			i := slices.IndexFunc(entry.Endpoints, func(e tokens.Endpoint) bool {
				return e.Interface == string(side) && (where.Region == "" || e.Region == where.Region || e.RegionID == where.Region)
			})
			if i >= 0 {
				return gophercloud.NormalizeURL(entry.Endpoints[i].URL)
			}
		}
	}
	return ""
}

// root returns the address of the service's version document.
func root(sc *gophercloud.ServiceClient, service string) (string, error) {
	u, err := url.Parse(sc.ResourceBaseURL())
	if err != nil {
		return "", err
	}
	// /v3/PROJECT/ and /compute/v2.1/ are both cut behind the version.
	parts := strings.Split(strings.Trim(u.Path, "/"), "/")
	i := slices.IndexFunc(parts, func(p string) bool { return len(p) > 1 && p[0] == 'v' && p[1] >= '0' && p[1] <= '9' })
	if i >= 0 {
		keep := i + 1
		if service == neutron {
			keep = i // its version document stands above
		}
		u.Path = "/" + strings.Join(parts[:keep], "/")
	}
	return gophercloud.NormalizeURL(u.String()), nil
}
