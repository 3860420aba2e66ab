package openstack

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"whybot/runners"
)

// A NoVolume says that no volume answers to what was asked for. It is wrapped in
// a runners.Error of kind NotFound.
type NoVolume struct {
	// Ref is what was asked for, as typed; quote it before showing it.
	Ref string
	// Near are up to five names of volumes that look like Ref, the nearest first.
	// They are the cloud's words; quote them before showing them.
	Near []string
	// OnlyProject says that only whybot's own project could be searched.
	OnlyProject bool
}

// Nearest returns the names close to the one that was not found.
func (e *NoVolume) Nearest() []string { return e.Near }

// OnlyOwnProject reports whether the other projects could not be searched.
func (e *NoVolume) OnlyOwnProject() bool { return e.OnlyProject }

func (e *NoVolume) Error() string { return fmt.Sprintf("no volume %q", e.Ref) }

// A stamp is a time as Nova and Cinder write most of theirs: in UTC, without
// saying so. null is the zero time.
type stamp struct{ time.Time }

// UnmarshalJSON implements json.Unmarshaler.
func (s *stamp) UnmarshalJSON(raw []byte) error {
	if bytes.Equal(raw, []byte("null")) || bytes.Equal(raw, []byte(`""`)) {
		s.Time = time.Time{}
		return nil
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return err
	}
	t, err := time.Parse("2006-01-02T15:04:05", strings.TrimSuffix(text, "Z"))
	s.Time = t
	return err
}

// A volume is Cinder's answer.
type volume struct {
	ID          string
	Name        string // null and "" are the same to a person
	Status      string
	Size        int
	ProjectID   string `json:"os-vol-tenant-attr:tenant_id"`
	UserID      string `json:"user_id"`
	Type        string `json:"volume_type"`
	Bootable    string
	Metadata    map[string]string
	Created     stamp            `json:"created_at"`
	Updated     stamp            `json:"updated_at"`
	Host        optional[string] `json:"os-vol-host-attr:host"`
	Cluster     optional[string] `json:"cluster_name"`
	Migration   optional[string] `json:"migration_status"`
	GroupID     string           `json:"group_id"`
	Consistency string           `json:"consistencygroup_id"`
	Attachments []struct {
		ID       string `json:"attachment_id"`
		ServerID string `json:"server_id"`
		Host     string `json:"host_name"`
		Device   string
		At       stamp `json:"attached_at"`
	}
}

func (v volume) identity() string { return v.ID }

func (v volume) vocabulary() runners.Volume {
	out := runners.Volume{
		ID: v.ID, Name: v.Name, ProjectID: v.ProjectID, UserID: v.UserID, Status: v.Status, Size: v.Size, Type: v.Type,
		Bootable: v.Bootable == "true", Metadata: v.Metadata, Created: v.Created.Time, Updated: v.Updated.Time,
		Host:      v.Host.maybe("needs role admin: os-vol-host-attr:host is hidden"),
		Cluster:   v.Cluster.maybe("needs role admin, and Cinder 3.61: cluster_name is hidden"),
		Migration: v.Migration.maybe("needs role admin: migration_status is hidden"),
		GroupID:   v.GroupID,
	}
	if out.GroupID == "" {
		out.GroupID = v.Consistency
	}
	for _, a := range v.Attachments {
		out.Attached = append(out.Attached, runners.AttachedTo{AttachmentID: a.ID, ServerID: a.ServerID, Host: a.Host, Device: a.Device, At: a.At.Time})
	}
	return out
}

// clusterMicroversion is the first in which a volume tells its cluster.
const clusterMicroversion = "3.61"

// volumeByID reads one volume, with its cluster where this Cinder tells it.
func (c *Client) volumeByID(ctx context.Context, id string) (volume, error) {
	r := request{service: cinder, method: "GET", path: []string{"volumes", id}, microversion: clusterMicroversion}
	var answer map[string]json.RawMessage
	err := c.do(ctx, r, &answer)
	if isNotAcceptable(err) {
		return one[volume](ctx, c, cinder, "volume", "volumes", id)
	}
	if err != nil {
		return volume{}, err
	}
	var v volume
	if err := member(answer, "volume", &v); err != nil {
		return volume{}, fail(runners.Invalid, cinder, r.op(), notThisAPI, err)
	}
	return v, nil
}

// FindVolumes returns the volumes that ref may mean: by id, by the name that
// back ends give them (volume-ID, or the beginning of it), or by name as
// FindServers does. When there is none the error wraps a NoVolume.
//
// All projects are searched if the role allows it, else whybot's own.
func (c *Client) FindVolumes(ctx context.Context, ref string) ([]runners.Volume, error) {
	ref = strings.TrimSpace(ref)
	if !canBeName(ref) {
		return nil, noVolume(NoVolume{Ref: ref})
	}
	if id, whole := volumeID(ref); whole {
		v, err := c.volumeByID(ctx, id)
		if err == nil {
			return []runners.Volume{v.vocabulary()}, nil
		}
		if !isKind(err, runners.NotFound) || c.lacks(ctx, cinder) {
			return nil, err
		}
	}
	found, err := c.listVolumes(ctx, url.Values{"name": {ref}})
	if err != nil {
		return nil, err
	}
	if found = slices.DeleteFunc(found, func(v volume) bool { return v.Name != ref }); len(found) > 0 {
		return volumes(found), nil
	}
	all, err := c.listVolumes(ctx, url.Values{})
	if err != nil {
		return nil, err
	}
	if found := likeNamed(all, ref); len(found) > 0 {
		return volumes(found), nil
	}
	return nil, noVolume(NoVolume{Ref: ref, Near: nearest(ref, volumeNames(all)), OnlyProject: onlyOwn(all) || !c.hasRole(ctx, "admin")})
}

func noVolume(miss NoVolume) error {
	hint := ""
	if miss.OnlyProject {
		hint = "searched only whybot's own project: all projects need role admin"
	}
	return fail(runners.NotFound, cinder, "find the volume", hint, &miss)
}

func volumes(found []volume) []runners.Volume {
	var all []runners.Volume
	for _, v := range found {
		all = append(all, v.vocabulary())
	}
	return all
}

func volumeNames(all []volume) []string {
	var names []string
	for _, v := range all {
		names = append(names, v.Name)
	}
	return names
}

// onlyOwn reports whether Cinder hid from this role what administrators are
// shown of volumes: it then lists its own project's without a word.
func onlyOwn(all []volume) bool {
	return slices.ContainsFunc(all, func(v volume) bool { return !v.Host.shown })
}

var idBegins = regexp.MustCompile(`^[0-9a-f]{8}[0-9a-f-]*$`)

// volumeID returns the id in ref, as Cinder and back ends write it, and whether
// it is a whole one.
func volumeID(ref string) (id string, whole bool) {
	id = strings.TrimPrefix(strings.ToLower(ref), "volume-")
	if !idBegins.MatchString(id) {
		return "", false
	}
	return id, uuid.MatchString(id)
}

// likeNamed returns the volumes whose names differ from ref in case only, or
// else those whose ids begin as it says.
func likeNamed(all []volume, ref string) []volume {
	found := slices.DeleteFunc(slices.Clone(all), func(v volume) bool { return !strings.EqualFold(v.Name, ref) })
	id, _ := volumeID(ref)
	if len(found) > 0 || id == "" {
		return found
	}
	return slices.DeleteFunc(slices.Clone(all), func(v volume) bool { return !strings.HasPrefix(v.ID, id) })
}

// listVolumes lists the volumes of all projects. To a role that may not see them
// Cinder answers with those of its own, and says nothing.
func (c *Client) listVolumes(ctx context.Context, query url.Values) ([]volume, error) {
	query.Set("all_tenants", "1")
	return list[volume](ctx, c, cinder, "volumes", query, "volumes", "detail")
}

// lacks reports whether the service catalogue has no such service.
func (c *Client) lacks(ctx context.Context, service string) bool {
	s, err := c.connect(ctx, nil)
	return err == nil && s.services[service] == nil
}

// hasRole reports whether the login came with a role of that name.
func (c *Client) hasRole(ctx context.Context, role string) bool {
	s, err := c.connect(ctx, nil)
	return err == nil && slices.Contains(s.roles, role)
}

// VolumesOf returns the servers that ref means, deleted ones among them where
// none is alive and the role may see them, each with the volumes that have to do
// with it: those that an attachment ties to it, and of a deleted one those that
// were let go at that time, or failing these, those named after it.
func (c *Client) VolumesOf(ctx context.Context, ref string) ([]runners.Leftover, error) {
	servers, err := c.FindServers(ctx, ref)
	var miss *NoServer
	switch {
	case errors.As(err, &miss):
		if servers, err = c.deletedServers(ctx, ref); err != nil {
			return nil, err
		}
		if len(servers) == 0 {
			return nil, noServer(*miss)
		}
	case err != nil:
		return nil, err
	}
	all, err := c.listVolumes(ctx, url.Values{})
	if err != nil {
		return nil, err
	}
	var left []runners.Leftover
	for _, s := range servers {
		t, err := c.trace(ctx, s.ID)
		if err != nil {
			return nil, err
		}
		left = append(left, runners.Leftover{Server: t, Volumes: volumes(tied(all, t))})
	}
	return left, nil
}

// letGo is how long after a server's end its volumes are changed for the last
// time.
const letGo = 2 * time.Minute

// tied returns the volumes that have to do with a server.
func tied(all []volume, t runners.ServerTrace) []volume {
	having := func(fits func(volume) bool) []volume {
		return slices.DeleteFunc(slices.Clone(all), func(v volume) bool { return !fits(v) })
	}
	held := having(func(v volume) bool {
		_, mapped := t.Mapping(v.ID)
		return mapped || slices.ContainsFunc(v.vocabulary().Attached, func(a runners.AttachedTo) bool { return a.ServerID == t.ID })
	})
	server, known := t.Server.Get()
	if gone, ok := t.Gone.Get(); !ok || !gone || !known {
		return held
	}
	free := func(v volume) bool { return len(v.Attachments) == 0 && v.ProjectID == server.ProjectID }
	deleted, when := t.Deleted.Get()
	then := having(func(v volume) bool {
		since := v.Updated.Sub(deleted)
		return when && free(v) && v.Created.Before(deleted) && since > -letGo && since < letGo
	})
	if held = append(held, then...); len(held) > 0 {
		return held
	}
	return having(func(v volume) bool {
		name, rest := v.Name, strings.TrimPrefix(v.Name, server.Name)
		return free(v) && server.Name != "" && rest != name && (rest == "" || strings.ContainsAny(rest[:1], "-_ ."))
	})
}

// deletedServers returns the servers that ref meant and that are deleted; none
// when the role may not see them.
func (c *Client) deletedServers(ctx context.Context, ref string) ([]runners.Server, error) {
	query := url.Values{"all_tenants": {"1"}, "deleted": {"True"}}
	if id := strings.ToLower(ref); uuid.MatchString(id) {
		query.Set("uuid", id)
	} else {
		query.Set("name", "^"+regexp.QuoteMeta(ref)+"$")
	}
	found, err := list[server](ctx, c, nova, "servers", query, "servers", "detail")
	switch {
	case isKind(err, runners.Hidden):
		return nil, nil
	case err != nil:
		return nil, err
	}
	found = slices.DeleteFunc(found, func(s server) bool { return s.Status != "DELETED" })
	if !uuid.MatchString(strings.ToLower(ref)) {
		found = sameName(found, ref)
	}
	return vocabulary(found), nil
}
