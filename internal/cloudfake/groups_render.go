package cloudfake

// securityGroups are the groups without their rules, which have a collection of
// their own.
func (q *call) securityGroups() []rendered {
	m := q.model()
	var all []rendered
	for i := range m.SecurityGroups {
		g := &m.SecurityGroups[i]
		all = append(all, rendered{visible: q.mayRead(g.ProjectID), object: object{
			"id": g.ID, "name": g.Name, "description": "", "tenant_id": g.ProjectID, "project_id": g.ProjectID, "stateful": true, "shared": false,
			"tags": []any{}, "created_at": stamp, "updated_at": stamp, "revision_number": 1,
		}})
	}
	return all
}

func (q *call) securityRules() []rendered {
	m := q.model()
	var all []rendered
	for i := range m.SecurityGroups {
		g := &m.SecurityGroups[i]
		for _, r := range g.Rules {
			all = append(all, rendered{visible: q.mayRead(g.ProjectID), object: object{
				"id": r.ID, "security_group_id": g.ID, "tenant_id": g.ProjectID, "project_id": g.ProjectID,
				"direction": r.Direction, "ethertype": "IPv4", "protocol": null(r.Protocol),
				"port_range_min": nullNumber(r.PortMin), "port_range_max": nullNumber(r.PortMax),
				"remote_ip_prefix": null(r.RemotePrefix), "remote_group_id": null(r.RemoteGroup), "remote_address_group_id": nil,
				"normalized_cidr": null(r.RemotePrefix), "description": "", "created_at": stamp, "updated_at": stamp, "revision_number": 0,
			}})
		}
	}
	return all
}

func nullNumber(n int) any {
	if n == 0 {
		return nil
	}
	return n
}
