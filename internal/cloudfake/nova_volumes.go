package cloudfake

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// serverVolumes answers below servers/ID/os-volume_attachments.
func (q *call) serverVolumes(s *Server, below []string) answer {
	if len(below) == 0 {
		if q.Method != http.MethodGet {
			return htmlNotFound()
		}
		all := []any{}
		for i, id := range s.VolumeIDs {
			all = append(all, q.renderMapping(s, i, id))
		}
		return ok(object{"volumeAttachments": all})
	}
	i := slices.Index(s.VolumeIDs, below[0])
	if i < 0 || len(below) > 1 {
		return novaError("itemNotFound", http.StatusNotFound,
			fmt.Sprintf("Instance %s is not attached to volume %s", s.ID, below[0]))
	}
	switch q.Method {
	case http.MethodGet:
		return ok(object{"volumeAttachment": q.renderMapping(s, i, below[0])})
	case http.MethodPut:
		return q.updateMapping(s, below[0])
	}
	return htmlNotFound()
}

func (q *call) renderMapping(s *Server, i int, volumeID string) object {
	o := object{"volumeId": volumeID, "serverId": s.ID, "device": "/dev/sd" + string(rune('a'+i))}
	if q.microversion < 89 {
		o["id"] = volumeID
	} else {
		o["attachment_id"], o["bdm_uuid"] = volumeID, volumeID
	}
	if q.microversion >= 70 {
		o["tag"] = nil
	}
	if q.microversion >= 79 {
		o["delete_on_termination"] = slices.Contains(s.DyingVolumes, volumeID)
	}
	return o
}

// updateMapping changes delete_on_termination. Below 2.85 the same request means
// to swap volumes.
func (q *call) updateMapping(s *Server, volumeID string) answer {
	var body struct {
		Attachment struct {
			VolumeID string `json:"volumeId"`
			Delete   *bool  `json:"delete_on_termination"`
		} `json:"volumeAttachment"`
	}
	if err := json.Unmarshal(q.body, &body); err != nil || body.Attachment.VolumeID != volumeID || q.microversion < 85 || body.Attachment.Delete == nil {
		return novaError("badRequest", http.StatusBadRequest, "The fake does not swap volumes.")
	}
	if q.who.user.Role == "reader" {
		return novaError("forbidden", http.StatusForbidden, "Policy doesn't allow os_compute_api:os-volumes-attachments:update to be performed.")
	}
	s.DyingVolumes = slices.DeleteFunc(s.DyingVolumes, func(id string) bool { return id == volumeID })
	if *body.Attachment.Delete {
		s.DyingVolumes = append(s.DyingVolumes, volumeID)
	}
	return answer{status: http.StatusAccepted, body: object{}}
}

// listActions answers for deleted servers too, as Nova does from 2.21 on.
func (q *call) listActions(id string) answer {
	m := q.model()
	i := slices.IndexFunc(m.Servers, func(s Server) bool { return s.ID == id })
	if i < 0 || !q.mayRead(m.Servers[i].ProjectID) || !m.Servers[i].Deleted.IsZero() && q.microversion < 21 {
		return noInstance(id)
	}
	s := &m.Servers[i]
	newest := slices.Clone(s.Actions)
	slices.SortStableFunc(newest, func(a, b ServerAction) int { return b.Started.Compare(a.Started) })
	all := []any{}
	for n, a := range newest {
		var message any
		if a.Failed {
			message = "Error"
		}
		o := object{
			"action": a.Action, "instance_uuid": s.ID, "request_id": fmt.Sprintf("req-%s-%d", strings.ToLower(a.Action), n),
			"user_id": s.UserID, "project_id": s.ProjectID, "start_time": cinderTime(a.Started), "message": message,
		}
		if q.microversion >= 58 {
			o["updated_at"] = cinderTime(later(a.Started, s.Deleted))
		}
		all = append(all, o)
	}
	return ok(object{"instanceActions": all})
}

// computeServices lists Nova's services to administrators; below 2.53 their ids
// are numbers.
func (q *call) computeServices() answer {
	if !q.admin() {
		return novaError("forbidden", http.StatusForbidden, "Policy doesn't allow os_compute_api:os-services:list to be performed.")
	}
	all := []any{}
	for i, s := range q.model().ComputeServices {
		o := object{
			"id": i + 1, "binary": s.Binary, "host": s.Host, "zone": "internal", "status": "enabled", "state": "up",
			"updated_at": cinderTime(time.Now()), "disabled_reason": nil,
		}
		if q.microversion >= 53 {
			o["id"] = fmt.Sprintf("5d643512-d538-459a-9f3b-%012d", i+1)
		}
		if q.microversion >= 11 {
			o["forced_down"] = false
		}
		all = append(all, o)
	}
	return ok(object{"services": all})
}
