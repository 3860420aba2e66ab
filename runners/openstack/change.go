package openstack

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"whybot/runners"
)

// operations are the changes that can be made, by the op of a CloudCall. Each
// can be made again without harm.
var operations = map[string]func(context.Context, *Client, map[string]string) error{
	runners.CloudSet:               set,
	runners.CloudAddDHCPNetwork:    addDHCPNetwork,
	runners.CloudRemoveDHCPNetwork: removeDHCPNetwork,
}

// Do makes one change.
func (c *Client) Do(ctx context.Context, call runners.CloudCall) error {
	op := operations[call.Op]
	if op == nil {
		return fail(runners.Invalid, neutron, call.Op, "whybot has no such call", nil)
	}
	return op(ctx, c, call.Args)
}

// changeable are the attributes that may be read for a change and set, by kind.
var changeable = map[string][]string{
	"network": {"admin_state_up"},
	"subnet":  {"enable_dhcp"},
	"port":    {"admin_state_up"},
}

// Object returns what the API says now of what a change is made to.
func (c *Client) Object(ctx context.Context, ref runners.CloudRef) (runners.CloudObject, error) {
	switch ref.Kind {
	case runners.HostingAgents:
		return c.hosting(ctx, ref.ID)
	case runners.ServerVolume:
		return c.heldVolume(ctx, ref.ID)
	case runners.VolumeBackend:
		return c.backend(ctx, ref.ID)
	}
	_, o, err := c.read(ctx, ref)
	return o, err
}

// hosting returns the ids of the DHCP agents of a network.
func (c *Client) hosting(ctx context.Context, networkID string) (runners.CloudObject, error) {
	agents, err := list[agent](ctx, c, neutron, "agents", nil, "networks", networkID, "dhcp-agents")
	if err != nil {
		return nil, err
	}
	o := runners.CloudObject{}
	for _, a := range agents {
		o[a.ID] = "true"
	}
	return o, nil
}

// read returns the changeable attributes of an object and its revision: nil
// where this Neutron keeps none.
func (c *Client) read(ctx context.Context, ref runners.CloudRef) (revision *int, o runners.CloudObject, err error) {
	op := "GET " + ref.Kind + "s/{id}"
	names, known := changeable[ref.Kind]
	if !known {
		return nil, nil, fail(runners.Invalid, neutron, op, "whybot changes no such thing", nil)
	}
	raw, err := one[map[string]json.RawMessage](ctx, c, neutron, ref.Kind, ref.Kind+"s", ref.ID)
	if err != nil {
		return nil, nil, err
	}
	o = runners.CloudObject{}
	for _, name := range names {
		if o[name], err = canonical(raw[name]); err != nil {
			return nil, nil, fail(runners.Invalid, neutron, op, notThisAPI, fmt.Errorf("%s: %w", name, err))
		}
	}
	if number, has := raw["revision_number"]; has {
		if err := json.Unmarshal(number, &revision); err != nil {
			return nil, nil, fail(runners.Invalid, neutron, op, notThisAPI, err)
		}
	}
	return revision, o, nil
}

// canonical spells a JSON value in the one way in which values are compared.
func canonical(raw json.RawMessage) (string, error) {
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return "", err
	}
	b, err := json.Marshal(v)
	return string(b), err
}

// set changes one attribute from one value to another, and nothing if it has a
// third, or if anything about the object changes between the look and the change.
func set(ctx context.Context, c *Client, args map[string]string) error {
	switch args["kind"] {
	case runners.ServerVolume, runners.VolumeBackend:
		return setVolume(ctx, c, args)
	}
	ref, attribute := runners.CloudRef{Kind: args["kind"], ID: args["id"]}, args["attribute"]
	r := request{service: neutron, method: http.MethodPut, path: []string{ref.Kind + "s", ref.ID}}
	revision, o, err := c.read(ctx, ref)
	if err != nil {
		return err
	}
	now, known := o[attribute]
	switch {
	case !known:
		return fail(runners.Invalid, neutron, r.op(), "whybot does not change "+attribute, nil)
	case now == args["to"]:
		return nil
	case now != args["from"]:
		return fail(runners.Invalid, neutron, r.op(), fmt.Sprintf("nothing was changed: %s of the %s is %.60s now", attribute, ref.Kind, now), nil)
	}
	if revision != nil {
		r.header = map[string]string{"If-Match": fmt.Sprintf("revision_number=%d", *revision)}
	}
	r.body = map[string]any{ref.Kind: map[string]any{attribute: json.RawMessage(args["to"])}}
	return c.do(ctx, r, nil)
}

// removeDHCPNetwork takes a network from a DHCP agent. That the agent does not
// serve it any more, or does not exist, is success.
func removeDHCPNetwork(ctx context.Context, c *Client, args map[string]string) error {
	err := c.do(ctx, request{
		service: neutron, method: http.MethodDelete, path: []string{"agents", args["agent"], "dhcp-networks", args["network"]},
	}, nil)
	switch neutronType(err) {
	case "NetworkNotHostedByDhcpAgent", "AgentNotFound", "NetworkNotFound":
		return nil
	}
	return err
}

// addDHCPNetwork gives a network to a DHCP agent. That the agent serves it
// already is success.
func addDHCPNetwork(ctx context.Context, c *Client, args map[string]string) error {
	r := request{
		service: neutron, method: http.MethodPost, path: []string{"agents", args["agent"], "dhcp-networks"},
		body: map[string]string{"network_id": args["network"]},
	}
	err := c.do(ctx, r, nil)
	switch neutronType(err) {
	case "NetworkHostedByDHCPAgent":
		return nil
	case "InvalidDHCPAgent":
		return fail(runners.NotFound, neutron, r.op(), "the agent is no DHCP agent, or is disabled: openstack network agent set --enable", err)
	}
	return err
}
