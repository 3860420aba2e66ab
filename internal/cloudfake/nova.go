package cloudfake

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Nova of release Zed speaks 2.1 to 2.93.
const (
	minMicroversion = 1
	maxMicroversion = 93
	novaMaxLimit    = 1000 // [api] max_limit
)

func nova(q *call) answer {
	parts := q.rest()
	if len(parts) == 0 {
		return ok(object{"versions": []any{q.novaVersion()}})
	}
	if parts[0] != "v2.1" {
		return htmlNotFound()
	}
	if len(parts) == 1 {
		return ok(object{"version": q.novaVersion()})
	}
	if !q.authenticated() {
		return q.unauthorized()
	}
	if a, bad := q.negotiate(); bad {
		return a
	}
	return q.novaResource(parts[1:])
}

func (q *call) novaResource(parts []string) answer {
	get := q.Method == http.MethodGet
	if parts[0] != "servers" {
		return q.besideServers(parts)
	}
	switch {
	case get && len(parts) == 1:
		return q.listServers("index", q.renderServerName)
	case get && len(parts) == 2 && parts[1] == "detail":
		return q.listServers("detail", func(s *Server) object { return q.renderServer(s, false) })
	case get && len(parts) == 2:
		return q.withServer(parts[1], func(s *Server) answer { return ok(object{"server": q.renderServer(s, true)}) })
	case len(parts) > 2:
		return q.belowServer(parts[1], parts[2], parts[3:])
	}
	return htmlNotFound()
}

// besideServers answers for what has nothing to do with one server.
func (q *call) besideServers(parts []string) answer {
	switch {
	case q.Method != http.MethodGet:
	case len(parts) == 1 && parts[0] == "os-services":
		return q.computeServices()
	case len(parts) == 2 && parts[0] == "os-console-auth-tokens":
		return q.consoleDoor(parts[1])
	}
	return htmlNotFound()
}

// belowServer answers for what hangs below a server.
func (q *call) belowServer(id, what string, below []string) answer {
	switch {
	case what == "action" && q.Method == http.MethodPost && len(below) == 0:
		return q.withServer(id, q.serverAction)
	case what == "remote-consoles" && q.Method == http.MethodPost && len(below) == 0 && q.microversion >= 6:
		return q.withServer(id, q.remoteConsole)
	case what == "os-volume_attachments":
		return q.withServer(id, func(s *Server) answer { return q.serverVolumes(s, below) })
	case what == "os-instance-actions" && q.Method == http.MethodGet && len(below) == 0:
		return q.listActions(id)
	}
	return htmlNotFound()
}

func (q *call) novaVersion() object {
	return object{
		"id": "v2.1", "status": "CURRENT", "version": "2.93", "min_version": "2.1", "updated": "2013-07-23T11:33:21Z",
		"links": []any{
			object{"rel": "self", "href": q.base + "/compute/v2.1/"},
			object{"rel": "describedby", "type": "text/html", "href": "http://docs.openstack.org/"},
		},
		"media-types": []any{object{"base": "application/json", "type": "application/vnd.openstack.compute+json;version=2.1"}},
	}
}

func askedMicroversion(r *http.Request) string {
	if v, found := strings.CutPrefix(r.Header.Get("OpenStack-API-Version"), "compute "); found {
		return v
	}
	return r.Header.Get("X-OpenStack-Nova-API-Version")
}

func (q *call) negotiate() (refusal answer, refused bool) {
	asked := askedMicroversion(q.Request)
	switch asked {
	case "":
		q.microversion = minMicroversion
		return answer{}, false
	case "latest":
		q.microversion = maxMicroversion
		return answer{}, false
	}
	minor, err := strconv.Atoi(strings.TrimPrefix(asked, "2."))
	if err != nil || !strings.HasPrefix(asked, "2.") {
		return novaError("badRequest", http.StatusBadRequest,
			fmt.Sprintf("API Version String %s is of invalid format. Must be of format MajorNum.MinorNum.", asked)), true
	}
	if minor < minMicroversion || minor > maxMicroversion {
		return novaError("computeFault", http.StatusNotAcceptable,
			fmt.Sprintf("Version %s is not supported by the API. Minimum is 2.1 and maximum is 2.93.", asked)), true
	}
	q.microversion = minor
	return answer{}, false
}

func novaError(key string, status int, message string) answer {
	return answer{status: status, body: object{key: object{"code": status, "message": message}}}
}

func noInstance(id string) answer {
	return novaError("itemNotFound", http.StatusNotFound, "Instance "+id+" could not be found.")
}

// withServer answers 404 for another project's server just as for none.
func (q *call) withServer(id string, then func(*Server) answer) answer {
	m := q.model()
	i := slices.IndexFunc(m.Servers, func(s Server) bool { return s.ID == id && s.Deleted.IsZero() })
	if i < 0 || !q.mayRead(m.Servers[i].ProjectID) {
		return noInstance(id)
	}
	return then(&m.Servers[i])
}

func (q *call) listServers(rule string, render func(*Server) object) answer {
	query := q.URL.Query()
	if truthy(query.Get("all_tenants")) && !q.admin() {
		return novaError("forbidden", http.StatusForbidden,
			"Policy doesn't allow os_compute_api:servers:"+rule+":get_all_tenants to be performed.")
	}
	limit, err := strconv.Atoi(query.Get("limit"))
	if query.Has("limit") && (err != nil || limit < 0) {
		return novaError("badRequest", http.StatusBadRequest, fmt.Sprintf(
			"Invalid input for query parameters limit. Value: %[1]s. '%[1]s' does not match '^[0-9]*$'", query.Get("limit")))
	}
	if limit == 0 || limit > novaMaxLimit {
		limit = novaMaxLimit
	}
	wanted, bad := q.serverFilter(query)
	if bad != nil {
		return *bad
	}
	newest := slices.Clone(q.model().Servers)
	slices.SortStableFunc(newest, func(a, b Server) int { return b.Created.Compare(a.Created) })
	found := []object{}
	for i := range newest {
		if wanted(&newest[i]) {
			found = append(found, render(&newest[i]))
		}
	}
	cut, more := page(found, query, limit)
	body := object{"servers": cut}
	if more {
		query.Set("marker", idOf(cut[len(cut)-1]))
		body["servers_links"] = []any{object{"rel": "next", "href": q.base + q.URL.Path + "?" + query.Encode()}}
	}
	return ok(body)
}

// serverFilter reads the filters of a list: all_tenants and host, which count
// for administrators only, and the regular expressions name and ip.
func (q *call) serverFilter(query url.Values) (func(*Server) bool, *answer) {
	name, bad := novaRegexp(query, "name")
	if bad != nil {
		return nil, bad
	}
	ip, bad := novaRegexp(query, "ip")
	if bad != nil {
		return nil, bad
	}
	everywhere, host := truthy(query.Get("all_tenants")), query.Get("host")
	gone, id := truthy(query.Get("deleted")), query.Get("uuid")
	if !q.admin() {
		host, gone, id = "", false, ""
	}
	return func(s *Server) bool {
		if s.Deleted.IsZero() == gone || id != "" && id != s.ID {
			return false
		}
		here := everywhere || s.ProjectID == q.who.user.ProjectID
		onHost := host == "" || host == s.Host
		// A server without addresses matches what the empty address matches.
		hasIP := slices.ContainsFunc(append(q.model().addressesOf(s.ID), ""), ip.MatchString)
		return here && onHost && hasIP && name.MatchString(s.Name)
	}, nil
}

// novaRegexp compiles a filter as the database does: unanchored, blind to
// case. A missing filter matches everything.
func novaRegexp(query url.Values, key string) (*regexp.Regexp, *answer) {
	text := query.Get(key)
	re, err := regexp.Compile("(?i)" + text)
	if err != nil {
		a := novaError("badRequest", http.StatusBadRequest, fmt.Sprintf(
			"Invalid input for query parameters %[1]s. Value: %[2]s. '%[2]s' is not a 'regex'", key, text))
		return nil, &a
	}
	return re, nil
}

// truthy reads a flag as oslo.utils does.
func truthy(s string) bool {
	return slices.Contains([]string{"1", "t", "true", "on", "y", "yes"}, strings.ToLower(s))
}

func (q *call) serverAction(s *Server) answer {
	var actions map[string]json.RawMessage
	if err := json.Unmarshal(q.body, &actions); err != nil || len(actions) != 1 {
		return novaError("badRequest", http.StatusBadRequest, "Malformed request body")
	}
	raw, console := actions["os-getConsoleOutput"]
	if !console {
		for name := range actions {
			return novaError("badRequest", http.StatusBadRequest, "There is no such action: "+name)
		}
	}
	var want struct {
		Length *int `json:"length"`
	}
	if err := json.Unmarshal(raw, &want); err != nil {
		return novaError("badRequest", http.StatusBadRequest, "Invalid input for field/attribute os-getConsoleOutput.")
	}
	return ok(object{"output": lastLines(s.ConsoleLog, want.Length)})
}

func lastLines(text string, n *int) string {
	if n == nil || *n < 0 {
		return text
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-*n):], "\n")
}
