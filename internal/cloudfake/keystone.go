package cloudfake

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"slices"
	"time"
)

// A token is a login that was accepted.
type token struct {
	user    User
	expires time.Time
}

// tokenLife is Keystone's default on Debian.
const tokenLife = 24 * time.Hour

// ExpireTokens makes every token that was handed out so far worthless.
func (c *Cloud) ExpireTokens() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.tokens)
}

// authenticated fills q.who from the token header; false when it is no good.
func (q *call) authenticated() bool {
	t, known := q.cloud.tokens[q.Header.Get("X-Auth-Token")]
	if !known || time.Now().After(t.expires) {
		return false
	}
	q.who = t
	return true
}

func keystone(q *call) answer {
	parts := q.rest()
	switch {
	case len(parts) == 0:
		return answer{status: http.StatusMultipleChoices, body: object{"versions": object{"values": []any{q.keystoneVersion()}}}}
	case len(parts) == 1 && parts[0] == "v3" && q.Method == http.MethodGet:
		return ok(object{"version": q.keystoneVersion()})
	case len(parts) == 3 && parts[0] == "v3" && parts[1] == "auth" && parts[2] == "tokens" && q.Method == http.MethodPost:
		return q.login()
	}
	return keystoneError(http.StatusNotFound, "Not Found", "The resource could not be found.")
}

func (q *call) keystoneVersion() object {
	return object{
		"id": "v3.14", "status": "stable", "updated": "2020-04-07T00:00:00Z",
		"links":       []any{object{"rel": "self", "href": q.base + "/identity/v3/"}},
		"media-types": []any{object{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}},
	}
}

func keystoneError(status int, title, message string) answer {
	return answer{status: status, body: object{"error": object{"code": status, "message": message, "title": title}}}
}

// named is how Keystone's requests point at a user, a project or a domain.
type named struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Domain *named `json:"domain"`
}

// points says whether n points at a thing of the default domain.
func (n named) points(id, name string) bool {
	if n.ID != "" {
		return n.ID == id
	}
	return n.Name == name && n.Domain != nil && (n.Domain.ID == "default" || n.Domain.Name == "Default")
}

// A loginRequest is the body of POST /v3/auth/tokens.
type loginRequest struct {
	Auth struct {
		Identity struct {
			Methods  []string `json:"methods"`
			Password struct {
				User struct {
					named
					Password string `json:"password"`
				} `json:"user"`
			} `json:"password"`
		} `json:"identity"`
		Scope struct {
			Project named `json:"project"`
		} `json:"scope"`
	} `json:"auth"`
}

// login knows passwords and project scope only, and is as tight-lipped as
// Keystone about why it refuses.
func (q *call) login() answer {
	var req loginRequest
	if err := json.Unmarshal(q.body, &req); err != nil {
		return keystoneError(http.StatusBadRequest, "Bad Request", "Could not decode the request body.")
	}
	refused := keystoneError(http.StatusUnauthorized, "Unauthorized", "The request you have made requires authentication.")
	refused.header = http.Header{"Www-Authenticate": {`Keystone uri="` + q.base + `/identity/v3"`}}
	id := req.Auth.Identity
	m := q.model()
	u := slices.IndexFunc(m.Users, func(u User) bool { return id.Password.User.points(u.ID, u.Name) })
	if !slices.Contains(id.Methods, "password") || u < 0 || m.Users[u].Password != id.Password.User.Password {
		return refused
	}
	p := slices.IndexFunc(m.Projects, func(p Project) bool {
		return p.ID == m.Users[u].ProjectID && req.Auth.Scope.Project.points(p.ID, p.Name)
	})
	if p < 0 {
		return refused
	}
	now := time.Now().UTC()
	t := token{user: m.Users[u], expires: now.Add(tokenLife)}
	secret := rand.Text()
	q.cloud.tokens[secret] = t
	return answer{
		status: http.StatusCreated, header: http.Header{"X-Subject-Token": {secret}},
		body: object{"token": q.tokenBody(t, m.Projects[p], now)},
	}
}

func (q *call) tokenBody(t token, p Project, now time.Time) object {
	domain := object{"id": "default", "name": "Default"}
	// A stronger role implies the weaker ones, as Keystone's bootstrap sets it up.
	var granted []any
	for _, r := range roles[slices.Index(roles, t.user.Role):] {
		granted = append(granted, object{"id": "09758d13d94a4a20b38dbb5d5e3e-" + r, "name": r})
	}
	const stamp = "2006-01-02T15:04:05.000000Z"
	return object{
		"methods":    []string{"password"},
		"user":       object{"domain": domain, "id": t.user.ID, "name": t.user.Name, "password_expires_at": nil},
		"audit_ids":  []string{rand.Text()},
		"expires_at": t.expires.Format(stamp), "issued_at": now.Format(stamp),
		"project":   object{"domain": domain, "id": p.ID, "name": p.Name},
		"is_domain": false,
		"roles":     granted,
		"catalog": []any{
			q.catalogEntry("compute", "nova", "/compute/v2.1"),
			q.catalogEntry("block-storage", "cinder", "/volume/v3/"+p.ID),
			q.catalogEntry("identity", "keystone", "/identity/v3"),
			q.catalogEntry("network", "neutron", "/networking"),
			q.catalogEntry("volumev3", "cinderv3", "/volume/v3/"+p.ID),
		},
	}
}

func (q *call) catalogEntry(kind, name, path string) object {
	var endpoints []any
	for _, side := range []string{"internal", "admin", "public"} {
		endpoints = append(endpoints, object{
			"id": kind + "-" + side, "interface": side, "region_id": "RegionOne", "region": "RegionOne", "url": q.base + path,
		})
	}
	return object{"endpoints": endpoints, "id": kind, "type": kind, "name": name}
}
