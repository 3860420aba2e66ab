package openstack

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"whybot/runners"
)

// mappingMicroversion is the first in which a volume's delete_on_termination may
// be changed while the server has it; before, the same call is another one, which
// swaps volumes.
const mappingMicroversion = "2.85"

// The attributes that may be changed.
const (
	deleteOnTermination = "delete_on_termination"
	frozen              = "frozen"
)

// heldVolume returns what Nova holds of a volume for a server, id being both.
func (c *Client) heldVolume(ctx context.Context, id string) (runners.CloudObject, error) {
	serverID, volumeID, _ := strings.Cut(id, "/")
	held, err := one[mapping](ctx, c, nova, "volumeAttachment", "servers", serverID, "os-volume_attachments", volumeID)
	if err != nil {
		return nil, err
	}
	if !held.Delete.shown {
		return nil, fail(runners.Invalid, nova, "GET servers/{id}/os-volume_attachments/{id}", "this Nova does not tell delete_on_termination", nil)
	}
	return runners.CloudObject{deleteOnTermination: strconv.FormatBool(held.Delete.value)}, nil
}

// backend returns what Cinder says of a back end's service.
func (c *Client) backend(ctx context.Context, host string) (runners.CloudObject, error) {
	found, err := list[volumeService](ctx, c, cinder, "services", nil, "os-services")
	if err != nil {
		return nil, err
	}
	for _, s := range found {
		if s.Binary == "cinder-volume" && s.Host == host && s.Frozen.shown {
			return runners.CloudObject{frozen: strconv.FormatBool(s.Frozen.value)}, nil
		}
	}
	return nil, fail(runners.NotFound, cinder, "GET os-services", "there is no such back end", nil)
}

// setVolume makes a change to what Object shows of a volume's mapping or back
// end, and nothing if that has changed.
func setVolume(ctx context.Context, c *Client, args map[string]string) error {
	ref := runners.CloudRef{Kind: args["kind"], ID: args["id"]}
	r, err := volumeChange(ref, args["attribute"], args["to"])
	if err != nil {
		return err
	}
	o, err := c.Object(ctx, ref)
	if err != nil {
		return err
	}
	switch now := o[args["attribute"]]; now {
	case args["to"]:
		return nil
	case args["from"]:
		return c.do(ctx, r, nil)
	default:
		return fail(runners.Invalid, r.service, r.op(), fmt.Sprintf("nothing was changed: %s is %.60q now", args["attribute"], now), nil)
	}
}

// volumeChange is the request that gives an attribute the value to.
func volumeChange(ref runners.CloudRef, attribute, to string) (request, error) {
	on, err := strconv.ParseBool(to)
	switch {
	case err != nil:
	case ref.Kind == runners.ServerVolume && attribute == deleteOnTermination:
		serverID, volumeID, _ := strings.Cut(ref.ID, "/")
		return request{
			service: nova, method: http.MethodPut, path: []string{"servers", serverID, "os-volume_attachments", volumeID},
			microversion: mappingMicroversion,
			body:         map[string]any{"volumeAttachment": map[string]any{"volumeId": volumeID, deleteOnTermination: on}},
		}, nil
	case ref.Kind == runners.VolumeBackend && attribute == frozen:
		verb := map[bool]string{true: "freeze", false: "thaw"}[on]
		return request{service: cinder, method: http.MethodPut, path: []string{"os-services", verb}, body: map[string]string{"host": ref.ID}}, nil
	}
	return request{}, fail(runners.Invalid, ref.Kind, "PUT", "whybot does not change "+attribute+" of it", nil)
}
