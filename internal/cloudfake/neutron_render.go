package cloudfake

import (
	"slices"
	"time"
)

// stamp stands for the creation of what Neutron keeps; nothing reads it.
const stamp = "2026-01-05T09:00:00Z"

func (q *call) networks() []rendered {
	m := q.model()
	var all []rendered
	for i := range m.Networks {
		n := &m.Networks[i]
		subnets := []string{}
		for _, s := range m.Subnets {
			if s.NetworkID == n.ID {
				subnets = append(subnets, s.ID)
			}
		}
		mtu := n.MTU
		if mtu == 0 {
			mtu = 1500
		}
		var segment any
		if n.SegmentationID != 0 {
			segment = n.SegmentationID
		}
		all = append(all, rendered{visible: n.Shared || q.mayRead(n.ProjectID), object: object{
			"id": n.ID, "name": n.Name, "tenant_id": n.ProjectID, "project_id": n.ProjectID,
			"admin_state_up": !n.AdminDown, "mtu": mtu, "status": "ACTIVE", "subnets": subnets, "shared": n.Shared,
			"availability_zone_hints": []any{}, "availability_zones": []any{"nova"},
			"ipv4_address_scope": nil, "ipv6_address_scope": nil, "router:external": false, "description": "",
			"port_security_enabled": true, "qos_policy_id": nil, "tags": []any{},
			"created_at": stamp, "updated_at": stamp, "revision_number": 2,
			"provider:network_type": or(n.Type, "vlan"), "provider:physical_network": null(n.PhysicalNet),
			"provider:segmentation_id": segment,
		}})
	}
	return all
}

// network returns the network of an id, or an empty one.
func (m *Model) network(id string) Network {
	i := slices.IndexFunc(m.Networks, func(n Network) bool { return n.ID == id })
	if i < 0 {
		return Network{}
	}
	return m.Networks[i]
}

func (q *call) subnets() []rendered {
	m := q.model()
	var all []rendered
	for i := range m.Subnets {
		s := &m.Subnets[i]
		nameservers := s.Nameservers
		if nameservers == nil {
			nameservers = []string{}
		}
		all = append(all, rendered{visible: m.network(s.NetworkID).Shared || q.mayRead(s.ProjectID), object: object{
			"id": s.ID, "name": s.Name, "tenant_id": s.ProjectID, "project_id": s.ProjectID, "network_id": s.NetworkID,
			"ip_version": s.version(), "subnetpool_id": nil, "enable_dhcp": !s.NoDHCP,
			"ipv6_ra_mode": null(s.RAMode), "ipv6_address_mode": null(s.AddressMode), "gateway_ip": null(s.GatewayIP), "cidr": s.CIDR,
			"allocation_pools": renderPools(s.pools()), "host_routes": []any{}, "dns_nameservers": nameservers,
			"description": "", "service_types": []any{}, "tags": []any{},
			"created_at": stamp, "updated_at": stamp, "revision_number": 0,
		}})
	}
	return all
}

func renderPools(pools []Pool) []any {
	rendered := []any{}
	for _, p := range pools {
		rendered = append(rendered, object{"start": p.Start, "end": p.End})
	}
	return rendered
}

func (q *call) ports() []rendered {
	m := q.model()
	var all []rendered
	for i := range m.Ports {
		p := &m.Ports[i]
		visible := q.mayRead(p.ProjectID) || m.network(p.NetworkID).ProjectID == q.who.user.ProjectID
		all = append(all, rendered{visible: visible, object: renderPort(p)})
	}
	return all
}

func renderPort(p *Port) object {
	ips := []any{}
	for _, ip := range p.FixedIPs {
		ips = append(ips, object{"subnet_id": ip.SubnetID, "ip_address": ip.Address})
	}
	groups := p.SecurityGroups
	if groups == nil {
		groups = []string{}
	}
	vif := p.VIFType
	if vif == "" {
		vif = "unbound"
		if p.HostID != "" {
			vif = "bridge"
		}
	}
	details, profile := object{}, object{}
	if p.MigratingTo != "" {
		profile["migrating_to"] = p.MigratingTo
	}
	if vif == "bridge" {
		details = object{"connectivity": "l2", "port_filter": true, "bound_drivers": object{"0": "linuxbridge"}}
	}
	return object{
		"id": p.ID, "name": p.Name, "network_id": p.NetworkID, "tenant_id": p.ProjectID, "project_id": p.ProjectID,
		"mac_address": p.MAC, "admin_state_up": !p.AdminDown, "status": or(p.Status, "ACTIVE"),
		"device_id": p.DeviceID, "device_owner": p.DeviceOwner, "fixed_ips": ips,
		"allowed_address_pairs": []any{}, "extra_dhcp_opts": []any{}, "security_groups": groups, "description": "",
		"binding:vnic_type": "normal", "binding:profile": profile, "binding:host_id": p.HostID,
		"binding:vif_type": vif, "binding:vif_details": details,
		"port_security_enabled": !p.NoPortSecurity, "qos_policy_id": nil, "qos_network_policy_id": nil,
		"resource_request": nil, "tags": []any{}, "created_at": stamp, "updated_at": stamp, "revision_number": 4,
	}
}

// agents are invisible to everybody but administrators, who get no error
// either: the list is just empty.
func (q *call) agents() []rendered {
	m := q.model()
	var all []rendered
	for i := range m.Agents {
		all = append(all, rendered{visible: q.admin(), object: q.renderAgent(&m.Agents[i])})
	}
	return all
}

// alive says what Neutron concludes from an agent's heartbeats.
func (q *call) alive(a *Agent) bool {
	return !a.Dead && (q.cloud.AgentAlive == nil || q.cloud.AgentAlive(a.Host, a.Binary))
}

func (q *call) renderAgent(a *Agent) object {
	const layout = "2006-01-02 15:04:05" // UTC, without saying so
	alive := q.alive(a)
	beat := a.Heartbeat
	if beat.IsZero() {
		beat = time.Now()
		if !alive {
			beat = beat.Add(-10 * time.Minute)
		}
	}
	o := object{
		"id": a.ID, "agent_type": a.Type, "binary": a.Binary, "topic": "N/A", "host": a.Host,
		"admin_state_up": !a.AdminDown, "created_at": "2026-01-05 09:00:00", "started_at": "2026-01-05 09:00:00",
		"heartbeat_timestamp": beat.UTC().Format(layout), "description": nil, "resources_synced": nil,
		"availability_zone": nil, "alive": alive,
	}
	if a.Type == "DHCP agent" {
		o["topic"], o["availability_zone"] = "dhcp_agent", "nova"
		served := 0
		for _, b := range q.model().DHCPBindings {
			if b.AgentID == a.ID {
				served++
			}
		}
		o["configurations"] = object{
			"dhcp_driver": "neutron.agent.linux.dhcp.Dnsmasq", "dhcp_lease_duration": 86400, "log_agent_heartbeats": false,
			"networks": served, "ports": 0, "subnets": served,
		}
		return o
	}
	configurations := object{
		"bridge_mappings": object{}, "devices": 0, "extensions": []any{}, "interface_mappings": emptyMap(a.InterfaceMappings),
	}
	if a.TunnelingIP != "" {
		configurations["tunneling_ip"], configurations["tunnel_types"] = a.TunnelingIP, []any{"vxlan"}
		configurations["l2_population"] = a.L2Population
	}
	o["configurations"] = configurations
	return o
}

func (q *call) floatingIPs() []rendered {
	m := q.model()
	var all []rendered
	for i := range m.FloatingIPs {
		f := &m.FloatingIPs[i]
		status := "DOWN"
		if f.PortID != "" {
			status = "ACTIVE"
		}
		all = append(all, rendered{visible: q.mayRead(f.ProjectID), object: object{
			"id": f.ID, "tenant_id": f.ProjectID, "project_id": f.ProjectID,
			"floating_ip_address": f.Address, "floating_network_id": f.FloatingNetworkID, "router_id": nil,
			"port_id": null(f.PortID), "fixed_ip_address": null(f.FixedAddress), "status": status,
			"description": "", "qos_policy_id": nil, "port_details": nil, "dns_domain": "", "dns_name": "",
			"port_forwardings": []any{}, "tags": []any{}, "created_at": stamp, "updated_at": stamp, "revision_number": 0,
		}})
	}
	return all
}
