package vsphere

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"

	"whybot/runners"
)

// Object reads the security policy that a port group itself has.
func (c *Client) Object(ctx context.Context, ref runners.CloudRef) (runners.CloudObject, error) {
	switch ref.Kind {
	case StandardGroup:
		group, err := c.standard(ctx, ref.ID)
		if err != nil {
			return nil, err
		}
		return runners.CloudObject{runners.VObjectSecurity: ownOfStandard(group.Policy.Security).JSON()}, nil
	case DistributedGroup:
		config, own, err := c.distributed(ctx, ref.ID)
		if err != nil {
			return nil, err
		}
		return runners.CloudObject{runners.VObjectSecurity: own.JSON(), runners.VObjectVersion: config.ConfigVersion}, nil
	}
	return nil, c.fail(runners.Invalid, ref.Kind, "whybot changes no such thing", nil)
}

// Do gives a port group another security policy. Whatever else it is configured
// with is read a moment before and stays as it is.
func (c *Client) Do(ctx context.Context, call runners.CloudCall) error {
	var to runners.VSecurity
	if call.Op != runners.VSetSecurity {
		return c.fail(runners.Invalid, call.Op, "whybot has no such call", nil)
	}
	if err := json.Unmarshal([]byte(call.Args["to"]), &to); err != nil {
		return c.fail(runners.Invalid, call.Op, "the policy to set could not be understood", err)
	}
	switch call.Args["kind"] {
	case StandardGroup:
		return c.setStandard(ctx, call.Args, to)
	case DistributedGroup:
		return c.setDistributed(ctx, call.Args, to)
	}
	return c.fail(runners.Invalid, call.Op, "whybot changes no such thing", nil)
}

// settled compares what is there with what a change was planned for. Nothing is
// left to do where it is as it should be.
func (c *Client) settled(args map[string]string, now, version string) (done bool, err error) {
	switch {
	case now == args["to"]:
		return true, nil
	case now != args["from"], args["version"] != "" && args["version"] != version:
		return false, c.fail(runners.Invalid, "change a port group", "nothing was changed: somebody else has changed it since it was looked at", nil)
	}
	return false, nil
}

func (c *Client) setStandard(ctx context.Context, args map[string]string, to runners.VSecurity) error {
	spec, err := c.standard(ctx, args["id"])
	if err != nil {
		return err
	}
	if done, err := c.settled(args, ownOfStandard(spec.Policy.Security).JSON(), ""); done || err != nil {
		return err
	}
	spec.Policy.Security = nil
	if to != (runners.VSecurity{Inherited: true}) {
		spec.Policy.Security = &types.HostNetworkSecurityPolicy{AllowPromiscuous: to.Promiscuous, MacChanges: to.MACChanges, ForgedTransmits: to.Forged}
	}
	system, name, _ := strings.Cut(args["id"], "/")
	return c.do(ctx, "UpdatePortGroup", func(ctx context.Context, s *vimSession) error {
		_, err := methods.UpdatePortGroup(ctx, s, &types.UpdatePortGroup{
			This: types.ManagedObjectReference{Type: networkType, Value: system}, PgName: name, Portgrp: spec,
		})
		return err
	})
}

func (c *Client) setDistributed(ctx context.Context, args map[string]string, to runners.VSecurity) error {
	config, own, err := c.distributed(ctx, args["id"])
	if err != nil {
		return err
	}
	if done, err := c.settled(args, own.JSON(), config.ConfigVersion); done || err != nil {
		return err
	}
	policy := &types.DVSMacManagementPolicy{AllowPromiscuous: to.Promiscuous, MacChanges: to.MACChanges, ForgedTransmits: to.Forged}
	policy.Inherited = to.Inherited
	if l := to.Learning; l != nil {
		policy.MacLearningPolicy = &types.DVSMacLearningPolicy{Enabled: l.Enabled, AllowUnicastFlooding: l.Flooding, Limit: l.Limit, LimitPolicy: l.Policy}
	}
	return c.do(ctx, "ReconfigureDVPortgroup_Task", func(ctx context.Context, s *vimSession) error {
		res, err := methods.ReconfigureDVPortgroup_Task(ctx, s, &types.ReconfigureDVPortgroup_Task{
			This: types.ManagedObjectReference{Type: groupType, Value: args["id"]},
			Spec: types.DVPortgroupConfigSpec{
				ConfigVersion: config.ConfigVersion, DefaultPortConfig: &types.VMwareDVSPortSetting{MacManagementPolicy: policy},
			},
		})
		if err != nil {
			return err
		}
		return object.NewTask(s.Client, res.Returnval).WaitEx(ctx)
	})
}

// standard reads the specification of a standard port group.
func (c *Client) standard(ctx context.Context, id string) (types.HostPortGroupSpec, error) {
	system, name, _ := strings.Cut(id, "/")
	p, err := c.properties(ctx, types.ManagedObjectReference{Type: networkType, Value: system}, pathGroups)
	if err != nil {
		return types.HostPortGroupSpec{}, err
	}
	groups, known := get[types.ArrayOfHostPortGroup](p, pathGroups)
	i := slices.IndexFunc(groups.HostPortGroup, func(g types.HostPortGroup) bool { return g.Spec.Name == name })
	switch {
	case !known:
		return types.HostPortGroupSpec{}, c.fail(runners.Hidden, "read a port group", hiddenPlace, nil)
	case i < 0:
		return types.HostPortGroupSpec{}, c.fail(runners.NotFound, "read a port group", "the host has none of this name any more", nil)
	}
	return groups.HostPortGroup[i].Spec, nil
}

// distributed reads the configuration of a distributed port group, and the policy
// in it.
func (c *Client) distributed(ctx context.Context, id string) (config types.DVPortgroupConfigInfo, own runners.VSecurity, err error) {
	p, err := c.properties(ctx, types.ManagedObjectReference{Type: groupType, Value: id}, "config")
	if err != nil {
		return config, own, err
	}
	config, known := get[types.DVPortgroupConfigInfo](p, "config")
	if !known {
		return config, own, c.fail(runners.Hidden, "read a port group", hiddenPlace, nil)
	}
	own, known = ownOfDistributed(config.DefaultPortConfig)
	if !known {
		return config, own, c.fail(runners.Invalid, "read a port group", "it has no MAC management policy", nil)
	}
	return config, own, nil
}

func (c *Client) properties(ctx context.Context, ref types.ManagedObjectReference, path string) (properties, error) {
	var in inventory
	err := c.do(ctx, "RetrieveProperties", func(ctx context.Context, s *vimSession) error {
		res, err := property.DefaultCollector(s.Client).RetrieveProperties(ctx, types.RetrieveProperties{SpecSet: []types.PropertyFilterSpec{{
			ObjectSet: []types.ObjectSpec{{Obj: ref}}, PropSet: []types.PropertySpec{{Type: ref.Type, PathSet: []string{path}}},
		}}})
		if err != nil {
			return err
		}
		in, err = read(res.Returnval)
		return err
	})
	return in[ref], err
}

// ownOfStandard is the policy that a standard port group itself has. That there is
// none is kept apart from one in which every word is left out.
func ownOfStandard(s *types.HostNetworkSecurityPolicy) runners.VSecurity {
	if s == nil {
		return runners.VSecurity{Inherited: true}
	}
	return runners.VSecurity{Promiscuous: s.AllowPromiscuous, MACChanges: s.MacChanges, Forged: s.ForgedTransmits}
}

// ownOfDistributed is the policy of a distributed port group, where it is the one
// that can be changed as a whole.
func ownOfDistributed(setting types.BaseDVPortSetting) (runners.VSecurity, bool) {
	s, ok := setting.(*types.VMwareDVSPortSetting)
	if !ok || s.MacManagementPolicy == nil {
		return runners.VSecurity{}, false
	}
	m := s.MacManagementPolicy
	own := runners.VSecurity{Inherited: m.Inherited, Promiscuous: m.AllowPromiscuous, MACChanges: m.MacChanges, Forged: m.ForgedTransmits}
	if l := m.MacLearningPolicy; l != nil {
		own.Learning = &runners.VLearningRule{Enabled: l.Enabled, Flooding: l.AllowUnicastFlooding, Limit: l.Limit, Policy: l.LimitPolicy}
	}
	return own, true
}
