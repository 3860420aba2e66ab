package cloudfake

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// update answers a PUT: the attributes are checked first and changed together
// or not at all.
func (q *call) update(c collection, id string) answer {
	all := c.all(q)
	i := slices.IndexFunc(all, func(r rendered) bool { return c.idOf(r.object) == id && r.visible })
	if i < 0 {
		return q.show(c, id)
	}
	var body map[string]map[string]json.RawMessage
	if err := json.Unmarshal(q.body, &body); err != nil || len(body) != 1 || body[c.singular] == nil {
		return neutronError(http.StatusBadRequest, "HTTPBadRequest",
			fmt.Sprintf("Request body is not valid: it must hold %q and nothing else", c.singular))
	}
	for name := range body[c.singular] {
		if _, known := all[i].object[name]; !known {
			return neutronError(http.StatusBadRequest, "HTTPBadRequest", fmt.Sprintf("Unrecognized attribute(s) '%s'", name))
		}
		if !q.admin() && slices.Contains(c.hidden, name) {
			return disallowed("(rule:update_" + c.singular + " and rule:update_" + c.singular + ":" + name + ")")
		}
	}
	if !q.mayChange(all[i].object) {
		return disallowed("update_" + c.singular)
	}
	if problem := c.update(q, id, body[c.singular]); problem != nil {
		return *problem
	}
	a := q.show(c, id)
	if q.cloud.OnChange != nil {
		a.after = q.cloud.OnChange
	}
	return a
}

// mayChange says whether the caller owns a resource or administers the cloud.
func (q *call) mayChange(o object) bool {
	return q.admin() || q.who.user.Role == "member" && o["project_id"] == q.who.user.ProjectID
}

// An attribute is a name in a PUT and where its value goes.
type attribute struct {
	name string
	into any
}

// decode reads the attributes that may be changed into their places; one that
// is not among them is read-only.
func decode(attributes map[string]json.RawMessage, known ...attribute) *answer {
	for name, raw := range attributes {
		i := slices.IndexFunc(known, func(a attribute) bool { return a.name == name })
		if i < 0 {
			return refuse(http.StatusBadRequest, "HTTPBadRequest", "Cannot update read-only attribute "+name)
		}
		if err := json.Unmarshal(raw, known[i].into); err != nil {
			return refuse(http.StatusBadRequest, "HTTPBadRequest",
				fmt.Sprintf("Invalid input for %s. Reason: '%s' is not a valid value.", name, strings.Trim(string(raw), `"`)))
		}
	}
	return nil
}

func refuse(status int, kind, message string) *answer {
	a := neutronError(status, kind, message)
	return &a
}

func (q *call) updateNetwork(id string, attributes map[string]json.RawMessage) *answer {
	m := q.model()
	i := slices.IndexFunc(m.Networks, func(n Network) bool { return n.ID == id })
	changed := m.Networks[i]
	up := !changed.AdminDown
	problem := decode(attributes, attribute{"admin_state_up", &up}, attribute{"name", &changed.Name})
	if problem != nil {
		return problem
	}
	changed.AdminDown = !up
	m.Networks[i] = changed
	return nil
}

func (q *call) updateSubnet(id string, attributes map[string]json.RawMessage) *answer {
	m := q.model()
	i := slices.IndexFunc(m.Subnets, func(s Subnet) bool { return s.ID == id })
	changed := m.Subnets[i]
	dhcp := !changed.NoDHCP
	var pools []struct{ Start, End string }
	problem := decode(attributes,
		attribute{"enable_dhcp", &dhcp}, attribute{"name", &changed.Name},
		attribute{"dns_nameservers", &changed.Nameservers}, attribute{"allocation_pools", &pools})
	if problem != nil {
		return problem
	}
	changed.NoDHCP = !dhcp
	if _, has := attributes["allocation_pools"]; has {
		changed.Pools = []Pool{}
		for _, p := range pools {
			changed.Pools = append(changed.Pools, Pool(p))
		}
		if problem := changed.checkPools(); problem != nil {
			return problem
		}
	}
	m.Subnets[i] = changed
	return nil
}

// checkPools holds the pools against the subnet, in Neutron's words.
func (s *Subnet) checkPools() *answer {
	cidr, err := netip.ParsePrefix(s.CIDR)
	if err != nil {
		return nil
	}
	gateway, _ := netip.ParseAddr(s.GatewayIP) // none is in no pool
	for _, p := range s.Pools {
		start, end, ok := p.bounds()
		switch {
		case !ok:
			return refuse(http.StatusBadRequest, "InvalidAllocationPool", fmt.Sprintf("The allocation pool %s-%s is not valid.", p.Start, p.End))
		case !cidr.Contains(start) || !cidr.Contains(end):
			return refuse(http.StatusBadRequest, "OutOfBoundsAllocationPool",
				fmt.Sprintf("The allocation pool %s-%s spans beyond the subnet cidr %s.", p.Start, p.End, s.CIDR))
		case gateway.IsValid() && p.has(gateway):
			return refuse(http.StatusConflict, "GatewayConflictWithAllocationPools",
				fmt.Sprintf("Gateway ip %s conflicts with allocation pool %s-%s.", s.GatewayIP, p.Start, p.End))
		}
	}
	return nil
}

func (q *call) updatePort(id string, attributes map[string]json.RawMessage) *answer {
	m := q.model()
	i := slices.IndexFunc(m.Ports, func(p Port) bool { return p.ID == id })
	changed := m.Ports[i]
	up := !changed.AdminDown
	problem := decode(attributes,
		attribute{"admin_state_up", &up}, attribute{"name", &changed.Name}, attribute{"binding:host_id", &changed.HostID})
	if problem != nil {
		return problem
	}
	changed.AdminDown = !up
	if changed.HostID != m.Ports[i].HostID {
		changed.VIFType = unbound
	}
	m.Ports[i] = changed
	q.bindPort(&m.Ports[i])
	return nil
}

const (
	unbound       = "unbound"
	bindingFailed = "binding_failed"
)

// bindPort tries once more to bind a port that is on a host and not bound, as
// Neutron does with every update of it.
func (q *call) bindPort(p *Port) {
	if p.HostID == "" || p.VIFType != unbound && p.VIFType != bindingFailed {
		return
	}
	p.VIFType = bindingFailed
	m := q.model()
	network := m.network(p.NetworkID)
	for i := range m.Agents {
		a := &m.Agents[i]
		if a.Type == "Linux bridge agent" && a.Host == p.HostID && q.alive(a) && a.reaches(network) {
			p.VIFType, p.Status = "bridge", ""
			return
		}
	}
}

// reaches tells whether an L2 agent has the network's physical network.
func (a *Agent) reaches(n Network) bool {
	if n.PhysicalNet == "" {
		return a.TunnelingIP != ""
	}
	return a.InterfaceMappings[n.PhysicalNet] != ""
}
