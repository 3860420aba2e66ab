package cloudfake

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Cinder of release Zed speaks 3.0 to 3.70.
const (
	cinderMaxMinor = 70
	cinderMaxLimit = 1000 // osapi_max_limit
	// serviceDownTime is after how long without a report a service is down.
	serviceDownTime = time.Minute
)

func cinder(q *call) answer {
	parts := q.rest()
	versions := object{"versions": []any{object{
		"id": "v3.0", "status": "CURRENT", "version": "3.70", "min_version": "3.0", "updated": "2022-08-31T00:00:00Z",
		"links": []any{
			object{"rel": "describedby", "type": "text/html", "href": "https://docs.openstack.org/"},
			object{"rel": "self", "href": q.base + "/volume/v3/"},
		},
		"media-types": []any{object{"base": "application/json", "type": "application/vnd.openstack.volume+json;version=3"}},
	}}}
	if len(parts) == 0 {
		return answer{status: http.StatusMultipleChoices, body: versions}
	}
	if !q.authenticated() {
		return q.unauthorized()
	}
	if parts[0] != "v3" {
		return htmlNotFound()
	}
	if len(parts) == 1 {
		return ok(versions)
	}
	if a, bad := q.negotiateVolume(); bad {
		return a
	}
	if parts[1] == q.who.user.ProjectID { // as older clouds have it in their catalogue
		parts = parts[1:]
	}
	return q.cinderResource(parts[1:])
}

func (q *call) negotiateVolume() (refusal answer, refused bool) {
	asked, has := strings.CutPrefix(q.Header.Get("OpenStack-API-Version"), "volume ")
	if !has {
		q.microversion = 0
		return answer{}, false
	}
	minor, err := strconv.Atoi(strings.TrimPrefix(asked, "3."))
	if err != nil || minor < 0 || minor > cinderMaxMinor {
		return novaError("computeFault", http.StatusNotAcceptable,
			fmt.Sprintf("Version %s is not supported by the API. Minimum is 3.0 and maximum is 3.70.", asked)), true
	}
	q.microversion = minor
	return answer{}, false
}

// cinderLists are the collections, by their path below the version.
var cinderLists = map[string]struct {
	key   string
	since int // microversion
	all   func(*call) []object
}{
	"volumes/detail":            {"volumes", 0, (*call).volumes},
	"snapshots/detail":          {"snapshots", 0, (*call).volumeSnapshots},
	"attachments":               {"attachments", 27, (*call).volumeAttachments},
	"os-volume-transfer/detail": {"transfers", 0, (*call).transfers},
	"messages":                  {"messages", 3, (*call).volumeMessages},
}

func (q *call) cinderResource(parts []string) answer {
	if parts[0] == "os-services" {
		return q.cinderServices(parts[1:])
	}
	if q.Method != http.MethodGet {
		return htmlNotFound()
	}
	path := strings.Join(parts, "/")
	if l, known := cinderLists[path]; known && q.microversion >= l.since {
		return q.listVolumeThings(l.key, l.all(q))
	}
	if len(parts) != 2 {
		return htmlNotFound()
	}
	m := q.model()
	switch parts[0] {
	case "volumes":
		for i := range m.Volumes {
			if v := &m.Volumes[i]; v.ID == parts[1] && q.mayRead(v.ProjectID) {
				return ok(object{"volume": q.renderVolume(v)})
			}
		}
		return novaError("itemNotFound", http.StatusNotFound, "Volume "+parts[1]+" could not be found.")
	case "groups":
		for _, g := range m.VolumeGroups {
			if g.ID == parts[1] && q.mayRead(g.ProjectID) {
				return ok(object{"group": object{
					"id": g.ID, "status": "available", "availability_zone": "nova", "created_at": nil, "name": g.Name, "description": nil,
					"group_type": nil, "volume_types": []any{},
				}})
			}
		}
		return novaError("itemNotFound", http.StatusNotFound, "Group "+parts[1]+" could not be found.")
	}
	return htmlNotFound()
}

// listVolumeThings filters by exact values and cuts pages, as Cinder does. To
// everybody but administrators all_tenants means nothing.
func (q *call) listVolumeThings(key string, all []object) answer {
	query := q.URL.Query()
	found := []object{}
	for _, o := range all {
		project, _ := o["project"].(string)
		delete(o, "project")
		here := project == q.who.user.ProjectID || q.admin() && truthy(query.Get("all_tenants")) && key != "messages"
		fits := true
		for _, filter := range []string{"name", "status", "volume_id", "resource_uuid"} {
			if query.Has(filter) && o[filter] != query.Get(filter) {
				fits = false
			}
		}
		if here && fits {
			found = append(found, o)
		}
	}
	limit, err := strconv.Atoi(query.Get("limit"))
	if err != nil || limit > cinderMaxLimit {
		limit = cinderMaxLimit
	}
	cut, more := page(found, query, limit)
	body := object{key: cut}
	if more {
		query.Set("marker", idOf(cut[len(cut)-1]))
		body[key+"_links"] = []any{object{"rel": "next", "href": q.base + q.URL.Path + "?" + query.Encode()}}
	}
	return ok(body)
}

// volumes are all of them, the newest first, each with its project under a key
// of the fake's own.
func (q *call) volumes() []object {
	newest := slices.Clone(q.model().Volumes)
	slices.SortStableFunc(newest, func(a, b Volume) int { return b.Created.Compare(a.Created) })
	var all []object
	for i := range newest {
		o := q.renderVolume(&newest[i])
		o["project"] = newest[i].ProjectID
		all = append(all, o)
	}
	return all
}

// renderVolume gives a volume the keys that the role and microversion are shown.
func (q *call) renderVolume(v *Volume) object {
	o := object{
		"id": v.ID, "status": v.status(), "size": cmp.Or(v.Size, 1), "availability_zone": "nova",
		"created_at": cinderTime(v.Created), "updated_at": cinderTime(v.Updated), "name": v.Name, "description": nil,
		"volume_type": or(v.Type, "ssd-a"), "snapshot_id": nil, "source_volid": nil, "metadata": emptyMap(v.Metadata),
		"links": []any{
			object{"rel": "self", "href": q.base + "/volume/v3/volumes/" + v.ID},
			object{"rel": "bookmark", "href": q.base + "/volume/volumes/" + v.ID},
		},
		"user_id": v.UserID, "bootable": strconv.FormatBool(v.Bootable), "encrypted": false, "replication_status": nil,
		"consistencygroup_id": nil, "multiattach": false, "attachments": q.renderAttached(v),
		"os-vol-tenant-attr:tenant_id": v.ProjectID,
	}
	for _, k := range []struct {
		since int
		key   string
		value any
		admin bool
	}{
		{0, "migration_status", null(v.MigrationStatus), true},
		{0, "os-vol-mig-status-attr:migstat", null(v.MigrationStatus), true},
		{0, "os-vol-mig-status-attr:name_id", nil, true},
		{0, "os-vol-host-attr:host", null(v.Host), true},
		{13, "group_id", null(v.GroupID), false},
		{21, "provider_id", nil, true},
		{48, "shared_targets", false, false},
		{48, "service_uuid", "f2e637eb-b49d-4b28-b960-150c39ca9267", false},
		{61, "cluster_name", null(v.Cluster), true},
		{63, "volume_type_id", "a2ca097d-3918-4d8f-8f3b-1a64caf8bc07", false},
		{65, "consumes_quota", true, false},
	} {
		if q.microversion >= k.since && (q.admin() || !k.admin) {
			o[k.key] = k.value
		}
	}
	return o
}

// renderAttached shows the attachments that are complete.
func (q *call) renderAttached(v *Volume) []any {
	all := []any{}
	for _, a := range v.Attachments {
		if or(a.Status, "attached") != "attached" {
			continue
		}
		o := object{
			"id": v.ID, "attachment_id": a.ID, "volume_id": v.ID, "server_id": a.ServerID, "host_name": nil, "device": null(a.Device),
			"attached_at": cinderTime(a.Attached),
		}
		if q.admin() {
			o["host_name"] = null(a.Host)
		}
		all = append(all, o)
	}
	return all
}

func (q *call) volumeSnapshots() []object {
	var all []object
	for _, s := range q.model().Snapshots {
		all = append(all, object{
			"id": s.ID, "created_at": cinderTime(s.Created), "updated_at": nil, "name": s.Name, "description": nil, "volume_id": s.VolumeID,
			"status": or(s.Status, "available"), "size": 1, "metadata": object{}, "project": s.ProjectID,
		})
	}
	return all
}

func (q *call) volumeAttachments() []object {
	var all []object
	for _, v := range q.model().Volumes {
		for _, a := range v.Attachments {
			all = append(all, object{
				"id": a.ID, "status": or(a.Status, "attached"), "instance": null(a.ServerID), "volume_id": v.ID, "project": v.ProjectID,
			})
		}
	}
	return all
}

func (q *call) transfers() []object {
	var all []object
	m := q.model()
	for _, t := range m.Transfers {
		i := slices.IndexFunc(m.Volumes, func(v Volume) bool { return v.ID == t.VolumeID })
		if i < 0 {
			continue
		}
		all = append(all, object{
			"id": t.ID, "created_at": cinderTime(t.Created), "name": t.Name, "volume_id": t.VolumeID,
			"links": []any{}, "project": m.Volumes[i].ProjectID,
		})
	}
	return all
}

func (q *call) volumeMessages() []object {
	var all []object
	for _, m := range q.model().VolumeMessages {
		all = append(all, object{
			"id": m.ID, "event_id": "VOLUME_VOLUME_006_003", "user_message": m.Text, "message_level": "ERROR",
			"created_at": cinderTime(m.Created), "guaranteed_until": cinderTime(m.Created.AddDate(0, 1, 0)), "request_id": "req-" + m.ID,
			"links": []any{}, "resource_type": "VOLUME", "resource_uuid": m.VolumeID, "project": m.ProjectID,
		})
	}
	return all
}

// cinderServices lists the services, or freezes and thaws a back end.
func (q *call) cinderServices(below []string) answer {
	verb := strings.Join(below, "/")
	if !q.admin() {
		rule := or(map[string]string{"freeze": "freeze_host", "thaw": "thaw_host"}[verb], "")
		if rule == "" {
			rule = "services:index"
		}
		return novaError("forbidden", http.StatusForbidden, "Policy doesn't allow volume_extension:"+rule+" to be performed.")
	}
	m := q.model()
	if q.Method == http.MethodPut && (verb == "freeze" || verb == "thaw") {
		var body struct{ Host string }
		if err := json.Unmarshal(q.body, &body); err != nil {
			return novaError("badRequest", http.StatusBadRequest, "Malformed request body")
		}
		for i := range m.VolumeServices {
			if s := &m.VolumeServices[i]; s.Host == body.Host && s.binary() == cinderVolume {
				s.Frozen = verb == "freeze"
				return answer{status: http.StatusAccepted, body: object{}}
			}
		}
		return novaError("badRequest", http.StatusBadRequest, "Service cinder-volume could not be found on host "+body.Host+".")
	}
	if q.Method != http.MethodGet || verb != "" {
		return htmlNotFound()
	}
	all := []any{}
	for _, s := range m.VolumeServices {
		all = append(all, q.renderVolumeService(s))
	}
	return ok(object{"services": all})
}

const cinderVolume = "cinder-volume"

func (s VolumeService) binary() string { return or(s.Binary, cinderVolume) }

func (q *call) renderVolumeService(s VolumeService) object {
	o := object{
		"binary": s.binary(), "host": s.Host, "zone": "nova", "status": "enabled", "state": "up",
		"updated_at": cinderTime(time.Now().Add(-s.Silent)), "disabled_reason": null(s.DisabledReason),
	}
	if s.Disabled {
		o["status"] = "disabled"
	}
	down := s.Silent.Abs() > serviceDownTime
	if down {
		o["state"] = "down"
	}
	if q.microversion >= 7 {
		o["cluster"] = null(s.Cluster)
	}
	if s.binary() == cinderVolume {
		o["replication_status"], o["active_backend_id"], o["frozen"] = "disabled", nil, s.Frozen
		if q.microversion >= 49 {
			o["backend_state"] = "up"
			if down {
				o["backend_state"] = nil
			}
		}
	}
	return o
}
