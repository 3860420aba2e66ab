package cloudfake

import "net/http"

// cinder shows its version and lets nobody further: the fake keeps no volumes.
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
	if len(parts) == 1 && parts[0] == "v3" {
		return ok(versions)
	}
	return htmlNotFound()
}
