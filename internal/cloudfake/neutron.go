package cloudfake

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

func neutron(q *call) answer {
	parts := q.rest()
	if len(parts) == 0 {
		return ok(object{"versions": []any{object{
			"id": "v2.0", "status": "CURRENT", "links": []any{object{"rel": "self", "href": q.base + "/networking/v2.0/"}},
		}}})
	}
	if !q.authenticated() {
		return q.unauthorized()
	}
	if parts[0] != "v2.0" || len(parts) < 2 {
		return noResource()
	}
	parts = parts[1:]
	if len(parts) > 2 {
		return q.schedule(parts)
	}
	c, known := collectionNamed(parts[0])
	switch {
	case !known:
	case len(parts) == 2 && q.Method == http.MethodPut && c.update != nil:
		return q.update(c, parts[1])
	case q.Method != http.MethodGet:
	case len(parts) == 2:
		return q.show(c, parts[1])
	default:
		return q.list(strings.ReplaceAll(parts[0], "-", "_"), c)
	}
	return noResource()
}

func neutronError(status int, kind, message string) answer {
	return answer{status: status, body: object{"NeutronError": object{"type": kind, "message": message, "detail": ""}}}
}

func noResource() answer {
	return neutronError(http.StatusNotFound, "HTTPNotFound", "The resource could not be found.")
}

func disallowed(rule string) answer {
	return neutronError(http.StatusForbidden, "PolicyNotAuthorized", "rule:"+rule+" is disallowed by policy")
}

// A collection is one kind of Neutron resource. all renders every resource
// with every key and a readable mark; hidden names the keys that only an
// administrator is shown.
type collection struct {
	singular string
	kind     string // as in "PortNotFound"
	all      func(*call) []rendered
	hidden   []string
	// id is the key that a resource is found by; "id" when empty.
	id string
	// update changes a resource as a PUT asks; nil where the fake knows none.
	update func(q *call, id string, attributes map[string]json.RawMessage) (problem *answer)
	// secret collections are empty to everybody but administrators.
	secret bool
}

func (c collection) idOf(o object) string {
	id, _ := o[cmp.Or(c.id, "id")].(string)
	return id
}

// A rendered resource knows whether the caller may see it at all.
type rendered struct {
	object
	visible bool
}

// collectionNamed knows the collections by their part of the path.
func collectionNamed(name string) (collection, bool) {
	switch name {
	case "networks":
		return collection{
			singular: "network", kind: "Network", all: (*call).networks, update: (*call).updateNetwork,
			hidden: []string{"provider:network_type", "provider:physical_network", "provider:segmentation_id"},
		}, true
	case "subnets":
		return collection{singular: "subnet", kind: "Subnet", all: (*call).subnets, update: (*call).updateSubnet}, true
	case "ports":
		return collection{
			singular: "port", kind: "Port", all: (*call).ports, update: (*call).updatePort,
			hidden: []string{"binding:host_id", "binding:vif_type", "binding:vif_details", "binding:profile", "resource_request"},
		}, true
	case "agents":
		return collection{singular: "agent", kind: "Agent", all: (*call).agents, secret: true}, true
	case "network-ip-availabilities":
		return collection{
			singular: "network_ip_availability", kind: "Network", all: (*call).ipAvailabilities, id: "network_id", secret: true,
		}, true
	case "security-groups":
		return collection{singular: "security_group", kind: "SecurityGroup", all: (*call).securityGroups}, true
	case "security-group-rules":
		return collection{singular: "security_group_rule", kind: "SecurityGroupRule", all: (*call).securityRules}, true
	case "floatingips":
		return collection{singular: "floatingip", kind: "FloatingIP", all: (*call).floatingIPs}, true
	}
	return collection{}, false
}

// shown strips what the caller's role is not shown: the keys go away, they are
// not emptied.
func (q *call) shown(c collection, o object) object {
	if !q.admin() {
		for _, k := range c.hidden {
			delete(o, k)
		}
	}
	return o
}

func (q *call) show(c collection, id string) answer {
	for _, r := range c.all(q) {
		if c.idOf(r.object) == id && r.visible {
			return ok(object{c.singular: q.shown(c, r.object)})
		}
	}
	if c.secret && !q.admin() {
		return noResource()
	}
	return neutronError(http.StatusNotFound, c.kind+"NotFound", fmt.Sprintf("%s %s could not be found.", c.kind, id))
}

// list filters by exact values before the keys are stripped: Neutron lets a
// member filter by what it does not show them.
func (q *call) list(name string, c collection) answer {
	query := q.URL.Query()
	found := []object{}
	for _, r := range c.all(q) {
		for key := range query {
			if _, known := r.object[key]; !known && !slices.Contains(listWords, key) {
				return neutronError(http.StatusBadRequest, "HTTPBadRequest", fmt.Sprintf("['%s'] is invalid attribute for filtering", key))
			}
		}
		if r.visible && matches(r.object, query) {
			found = append(found, q.shown(c, r.object))
		}
	}
	slices.SortFunc(found, func(a, b object) int { return cmp.Compare(c.idOf(a), c.idOf(b)) })
	limit, _ := strconv.Atoi(query.Get("limit")) // what is no number means no limit here
	cut, more := page(found, query, limit)
	body := object{name: cut}
	if len(cut) > 0 && limit > 0 {
		body[name+"_links"] = q.pageLinks(query, cut, more)
	}
	for i := range cut {
		cut[i] = selectFields(cut[i], query["fields"])
	}
	return ok(body)
}

// listWords are the query words that are not filters.
var listWords = []string{"fields", "limit", "marker", "page_reverse", "sort_key", "sort_dir"}

func (q *call) pageLinks(query url.Values, cut []object, more bool) []any {
	var links []any
	link := func(rel, marker string) {
		query.Set("marker", marker)
		links = append(links, object{"rel": rel, "href": q.base + q.URL.Path + "?" + query.Encode()})
	}
	if more {
		link("next", idOf(cut[len(cut)-1]))
	}
	query.Set("page_reverse", "True")
	link("previous", idOf(cut[0]))
	return links
}

func selectFields(o object, fields []string) object {
	if len(fields) == 0 {
		return o
	}
	few := object{}
	for _, k := range fields {
		if v, has := o[k]; has {
			few[k] = v
		}
	}
	return few
}

// matches says whether a resource has, for every filter, one of its values.
func matches(o object, query url.Values) bool {
	for key, wanted := range query {
		if slices.Contains(listWords, key) {
			continue
		}
		if key == "fixed_ips" {
			if !hasFixedIP(o, wanted) {
				return false
			}
			continue
		}
		if !slices.ContainsFunc(wanted, func(w string) bool { return equals(o[key], w) }) {
			return false
		}
	}
	return true
}

// equals compares a value with a filter's text; truth may be spelled either way.
func equals(have any, want string) bool {
	if b, isBool := have.(bool); isBool {
		return strconv.FormatBool(b) == strings.ToLower(want)
	}
	return fmt.Sprint(have) == want
}

// hasFixedIP applies filters such as ip_address=10.0.0.5; those it does not
// know filter nothing, as in Neutron.
func hasFixedIP(o object, filters []string) bool {
	ips, _ := o["fixed_ips"].([]any)
	for _, f := range filters {
		key, value, _ := strings.Cut(f, "=")
		if key != "ip_address" && key != "subnet_id" {
			continue
		}
		has := func(ip any) bool {
			fixed, ok := ip.(object)
			return ok && fixed[key] == value
		}
		if !slices.ContainsFunc(ips, has) {
			return false
		}
	}
	return true
}

// schedule answers for which networks a DHCP agent serves, and the other way.
func (q *call) schedule(parts []string) answer {
	switch {
	case len(parts) == 3 && parts[0] == "networks" && parts[2] == "dhcp-agents" && q.Method == http.MethodGet:
		if !q.admin() {
			return disallowed("get_dhcp-agents")
		}
		return ok(object{"agents": q.agentsOf(parts[1])})
	case parts[0] != "agents" || parts[2] != "dhcp-networks":
		return noResource()
	case len(parts) == 3 && q.Method == http.MethodGet:
		return q.asAdmin("get_dhcp-networks", func() answer { return q.networksOf(parts[1]) })
	case len(parts) == 3 && q.Method == http.MethodPost:
		return q.asAdmin("create_dhcp-network", func() answer { return q.bind(parts[1]) })
	case len(parts) == 4 && q.Method == http.MethodDelete:
		return q.asAdmin("delete_dhcp-network", func() answer { return q.unbind(parts[1], parts[3]) })
	}
	return noResource()
}

func (q *call) asAdmin(rule string, do func() answer) answer {
	if !q.admin() {
		return disallowed(rule)
	}
	return do()
}

// agentsOf renders the DHCP agents of a network; those of an unknown network
// are none, not an error.
func (q *call) agentsOf(networkID string) []object {
	agents := []object{}
	m := q.model()
	for i := range m.Agents {
		if slices.Contains(m.DHCPBindings, DHCPBinding{AgentID: m.Agents[i].ID, NetworkID: networkID}) {
			o := q.renderAgent(&m.Agents[i])
			o["resource_versions"] = object{}
			agents = append(agents, o)
		}
	}
	return agents
}

func (q *call) networksOf(agentID string) answer {
	m := q.model()
	if m.agent(agentID) == nil {
		return noAgent(agentID)
	}
	networks := []object{}
	for _, r := range q.networks() {
		if slices.Contains(m.DHCPBindings, DHCPBinding{AgentID: agentID, NetworkID: idOf(r.object)}) {
			networks = append(networks, r.object)
		}
	}
	return ok(object{"networks": networks})
}

func (m *Model) agent(id string) *Agent {
	for i := range m.Agents {
		if m.Agents[i].ID == id {
			return &m.Agents[i]
		}
	}
	return nil
}

func noAgent(id string) answer {
	return neutronError(http.StatusNotFound, "AgentNotFound", "Agent "+id+" could not be found.")
}

func (q *call) bind(agentID string) answer {
	var req struct {
		NetworkID string `json:"network_id"`
	}
	if err := json.Unmarshal(q.body, &req); err != nil || req.NetworkID == "" {
		return neutronError(http.StatusBadRequest, "HTTPBadRequest", "Invalid input for operation: network_id is needed.")
	}
	m := q.model()
	if !slices.ContainsFunc(m.Networks, func(n Network) bool { return n.ID == req.NetworkID }) {
		return neutronError(http.StatusNotFound, "NetworkNotFound", "Network "+req.NetworkID+" could not be found.")
	}
	agent := m.agent(agentID)
	if agent == nil {
		return noAgent(agentID)
	}
	if agent.Type != "DHCP agent" || agent.AdminDown {
		return neutronError(http.StatusNotFound, "InvalidDHCPAgent", "Agent "+agentID+" is not a valid DHCP Agent or has been disabled.")
	}
	b := DHCPBinding{AgentID: agentID, NetworkID: req.NetworkID}
	if slices.Contains(m.DHCPBindings, b) {
		return neutronError(http.StatusConflict, "NetworkHostedByDHCPAgent",
			fmt.Sprintf("The network %s has been already hosted by the DHCP Agent %s.", req.NetworkID, agentID))
	}
	m.DHCPBindings = append(m.DHCPBindings, b)
	return answer{status: http.StatusCreated, after: q.cloud.tellAgent(agent.Host, req.NetworkID, true)}
}

func (q *call) unbind(agentID, networkID string) answer {
	m := q.model()
	agent := m.agent(agentID)
	if agent == nil {
		return noAgent(agentID)
	}
	i := slices.Index(m.DHCPBindings, DHCPBinding{AgentID: agentID, NetworkID: networkID})
	if i < 0 {
		return neutronError(http.StatusConflict, "NetworkNotHostedByDhcpAgent",
			fmt.Sprintf("The network %s is not hosted by the DHCP agent %s.", networkID, agentID))
	}
	m.DHCPBindings = slices.Delete(m.DHCPBindings, i, i+1)
	m.reserveDHCPPort(agent.Host, networkID)
	return answer{status: http.StatusNoContent, after: q.cloud.tellAgent(agent.Host, networkID, false)}
}

// ReservedDHCPPort is the device_id of the DHCP port of a network that was taken
// from its agent: the next agent of the network takes it over with its address.
const ReservedDHCPPort = "reserved_dhcp_port"

func (m *Model) reserveDHCPPort(host, networkID string) {
	for i := range m.Ports {
		p := &m.Ports[i]
		if p.DeviceOwner == "network:dhcp" && p.HostID == host && p.NetworkID == networkID {
			p.DeviceID = ReservedDHCPPort
		}
	}
}

func (c *Cloud) tellAgent(host, networkID string, added bool) func() {
	return func() {
		if c.OnDHCPNetwork != nil {
			c.OnDHCPNetwork(host, networkID, added)
		}
	}
}
