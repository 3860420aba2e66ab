package cloudfake

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"
)

func (q *call) serverLinks(id string) []any {
	return []any{
		object{"rel": "self", "href": q.base + "/compute/v2.1/servers/" + id},
		object{"rel": "bookmark", "href": q.base + "/compute/servers/" + id},
	}
}

func (q *call) renderServerName(s *Server) object {
	return object{"id": s.ID, "name": s.Name, "links": q.serverLinks(s.ID)}
}

// renderServer gives a server the keys that the caller's role and microversion
// are shown. One server by id has a key that the list does not.
func (q *call) renderServer(s *Server, single bool) object {
	status := or(s.Status, "ACTIVE")
	var terminated any
	if !s.Deleted.IsZero() {
		status, terminated = "DELETED", cinderTime(s.Deleted)
	}
	o := object{
		"id": s.ID, "name": s.Name, "status": status,
		"tenant_id": s.ProjectID, "user_id": s.UserID, "metadata": emptyMap(s.Metadata),
		"hostId": hostID(s.ProjectID, s.Host), "image": "", "flavor": q.renderFlavor(),
		"created": novaTime(s.Created), "updated": novaTime(s.Updated),
		"addresses": q.renderAddresses(s.ID), "accessIPv4": "", "accessIPv6": "",
		"links": q.serverLinks(s.ID), "OS-DCF:diskConfig": "MANUAL",
		"OS-EXT-AZ:availability_zone": "nova", "config_drive": "", "key_name": nil,
		"OS-SRV-USG:launched_at": s.Updated.UTC().Format("2006-01-02T15:04:05.000000"), "OS-SRV-USG:terminated_at": terminated,
		"security_groups":                      []any{object{"name": "default"}},
		"OS-EXT-STS:task_state":                null(s.TaskState),
		"OS-EXT-STS:vm_state":                  vmState(status),
		"OS-EXT-STS:power_state":               powerState(status),
		"os-extended-volumes:volumes_attached": q.renderVolumes(s),
	}
	if slices.Contains([]string{"ACTIVE", "BUILD", "DELETED", "REBUILD", "RESIZE", "VERIFY_RESIZE", "MIGRATING"}, status) {
		o["progress"] = 0
	}
	if s.Fault != nil && (status == "ERROR" || status == "DELETED") {
		o["fault"] = q.renderFault(s.Fault)
	}
	q.addSinceKeys(o, s, single)
	if q.admin() {
		q.addHostKeys(o, s)
	}
	return o
}

// addSinceKeys adds what later microversions brought for everybody.
func (q *call) addSinceKeys(o object, s *Server, single bool) {
	for _, k := range []struct {
		since int
		key   string
		value any
	}{
		{9, "locked", false},
		{19, "description", nil},
		{26, "tags", []any{}},
		{63, "trusted_image_certificates", nil},
		{73, "locked_reason", nil},
		{90, "OS-EXT-SRV-ATTR:hostname", s.Name},
	} {
		if q.microversion >= k.since {
			o[k.key] = k.value
		}
	}
	if single && q.microversion >= 71 {
		o["server_groups"] = []any{}
	}
}

// addHostKeys adds what only an administrator is shown.
func (q *call) addHostKeys(o object, s *Server) {
	o["OS-EXT-SRV-ATTR:host"] = null(s.Host)
	o["OS-EXT-SRV-ATTR:instance_name"] = "instance-" + s.ID[:min(8, len(s.ID))]
	o["OS-EXT-SRV-ATTR:hypervisor_hostname"] = null(s.Host)
	if q.microversion >= 3 {
		o["OS-EXT-SRV-ATTR:reservation_id"] = "r-7q8hbt9n"
		o["OS-EXT-SRV-ATTR:launch_index"] = 0
		o["OS-EXT-SRV-ATTR:hostname"] = s.Name
		o["OS-EXT-SRV-ATTR:kernel_id"] = ""
		o["OS-EXT-SRV-ATTR:ramdisk_id"] = ""
		o["OS-EXT-SRV-ATTR:root_device_name"] = "/dev/sda"
		o["OS-EXT-SRV-ATTR:user_data"] = nil
	}
	if q.microversion >= 16 {
		o["host_status"] = ""
		if s.Host != "" {
			o["host_status"] = or(s.HostStatus, "UP")
		}
	}
}

func (q *call) renderFlavor() object {
	if q.microversion >= 47 {
		return object{"vcpus": 1, "ram": 2048, "disk": 20, "ephemeral": 0, "swap": 0, "original_name": "m1.small", "extra_specs": object{}}
	}
	const id = "57e5c54b-6715-4e1f-b528-d8218582dc7d"
	return object{"id": id, "links": []any{object{"rel": "bookmark", "href": q.base + "/compute/flavors/" + id}}}
}

func (q *call) renderVolumes(s *Server) []any {
	volumes := []any{}
	if !s.Deleted.IsZero() {
		return volumes // Nova keeps no mappings of a deleted server
	}
	for _, id := range s.VolumeIDs {
		v := object{"id": id}
		if q.microversion >= 3 {
			v["delete_on_termination"] = slices.Contains(s.DyingVolumes, id)
		}
		volumes = append(volumes, v)
	}
	return volumes
}

// renderFault shows the trace of an internal error to administrators only.
func (q *call) renderFault(f *ServerFault) object {
	o := object{"code": f.Code, "created": novaTime(f.Created), "message": f.Message}
	if f.Details != "" && (f.Code != 500 || q.admin()) {
		o["details"] = f.Details
	}
	return o
}

func (q *call) renderAddresses(serverID string) object {
	m := q.model()
	byNetwork := map[string][]any{}
	for i := range m.Ports {
		p := &m.Ports[i]
		if p.DeviceID != serverID {
			continue
		}
		name := m.networkName(p.NetworkID)
		for _, ip := range p.FixedIPs {
			byNetwork[name] = append(byNetwork[name], renderAddress(p.MAC, ip.Address, "fixed"))
		}
		for _, f := range m.FloatingIPs {
			if f.PortID == p.ID {
				byNetwork[name] = append(byNetwork[name], renderAddress(p.MAC, f.Address, "floating"))
			}
		}
	}
	o := object{}
	for name, list := range byNetwork {
		o[name] = list
	}
	return o
}

func renderAddress(mac, addr, kind string) object {
	version := 4
	if strings.Contains(addr, ":") {
		version = 6
	}
	return object{"version": version, "addr": addr, "OS-EXT-IPS:type": kind, "OS-EXT-IPS-MAC:mac_addr": mac}
}

// addressesOf returns every address of a server's ports.
func (m *Model) addressesOf(serverID string) []string {
	var all []string
	for _, p := range m.Ports {
		if p.DeviceID != serverID {
			continue
		}
		for _, ip := range p.FixedIPs {
			all = append(all, ip.Address)
		}
	}
	return all
}

func (m *Model) networkName(id string) string {
	for _, n := range m.Networks {
		if n.ID == id {
			return n.Name
		}
	}
	return id
}

// hostID is the opaque name by which a project may tell hosts apart.
func hostID(project, host string) string {
	if host == "" {
		return ""
	}
	sum := sha256.Sum224([]byte(project + host))
	return hex.EncodeToString(sum[:])
}

func vmState(status string) string {
	switch status {
	case "SHUTOFF":
		return "stopped"
	case "BUILD":
		return "building"
	default:
		return strings.ToLower(status)
	}
}

func powerState(status string) int {
	switch status {
	case "ACTIVE":
		return 1
	case "SHUTOFF":
		return 4
	default:
		return 0
	}
}

func novaTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// null is JSON's null for the empty string.
func null(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func emptyMap(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}
