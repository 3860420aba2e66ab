package vcsim

import (
	"strconv"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// A distributedGroup is what a session calls of a port group. The stock object
// stays where the simulator expects it and keeps the state.
type distributedGroup struct {
	*simulator.DistributedVirtualPortgroup
	server *Server
}

// ReconfigureDVPortgroupTask merges what the specification names and refuses
// one that was made for another version.
func (g *distributedGroup) ReconfigureDVPortgroupTask(ctx *simulator.Context, req *types.ReconfigureDVPortgroup_Task) soap.HasFault {
	task := simulator.CreateTask(g.DistributedVirtualPortgroup, "reconfigureDvPortgroup", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		config := g.Config
		if req.Spec.ConfigVersion != config.ConfigVersion {
			return nil, &types.ConcurrentAccess{}
		}
		if s, ok := req.Spec.DefaultPortConfig.(*types.VMwareDVSPortSetting); ok {
			merged, fault := mergeSetting(config.DefaultPortConfig, s)
			if fault != nil {
				return nil, fault
			}
			config.DefaultPortConfig = merged
		}
		n, _ := strconv.Atoi(config.ConfigVersion) // ours are numbers
		config.ConfigVersion = strconv.Itoa(n + 1)
		ctx.Update(g.DistributedVirtualPortgroup, []types.PropertyChange{{Name: "config", Val: config}})
		return nil, g.server.lost("ReconfigureDVPortgroup_Task")
	})
	return &methods.ReconfigureDVPortgroup_TaskBody{Res: &types.ReconfigureDVPortgroup_TaskResponse{Returnval: task.Run(ctx)}}
}

// mergeSetting returns old with the policies that are set in s instead of its
// own.
func mergeSetting(old types.BaseDVPortSetting, s *types.VMwareDVSPortSetting) (types.BaseDVPortSetting, types.BaseMethodFault) {
	var merged types.VMwareDVSPortSetting
	if o, ok := old.(*types.VMwareDVSPortSetting); ok {
		merged = *o
	}
	if s.Vlan != nil {
		if !possible(s.Vlan) {
			return nil, &types.InvalidArgument{InvalidProperty: "spec.defaultPortConfig.vlan"}
		}
		merged.Vlan = s.Vlan
	}
	if s.SecurityPolicy != nil {
		merged.SecurityPolicy = s.SecurityPolicy
	}
	if s.MacManagementPolicy != nil {
		merged.MacManagementPolicy = s.MacManagementPolicy
		// The deprecated policy shows the same values.
		merged.SecurityPolicy = securityOf(s.MacManagementPolicy)
	}
	if s.UplinkTeamingPolicy != nil {
		merged.UplinkTeamingPolicy = s.UplinkTeamingPolicy
	}
	if s.Blocked != nil {
		merged.Blocked = s.Blocked
	}
	return &merged, nil
}

// possible knows that 4095 is a VLAN of standard switches only.
func possible(v types.BaseVmwareDistributedVirtualSwitchVlanSpec) bool {
	switch v := v.(type) {
	case *types.VmwareDistributedVirtualSwitchVlanIdSpec:
		return v.VlanId >= 0 && v.VlanId <= 4094
	case *types.VmwareDistributedVirtualSwitchTrunkVlanSpec:
		for _, r := range v.VlanId {
			if r.Start < 0 || r.End > 4094 || r.Start > r.End {
				return false
			}
		}
	}
	return true
}

func securityOf(m *types.DVSMacManagementPolicy) *types.DVSSecurityPolicy {
	return &types.DVSSecurityPolicy{
		AllowPromiscuous: &types.BoolPolicy{Value: m.AllowPromiscuous},
		MacChanges:       &types.BoolPolicy{Value: m.MacChanges},
		ForgedTransmits:  &types.BoolPolicy{Value: m.ForgedTransmits},
	}
}

// setting is what a distributed port group begins with.
func (g DistributedGroup) setting(uplinks []string) *types.VMwareDVSPortSetting {
	s := &types.VMwareDVSPortSetting{
		DVPortSetting: types.DVPortSetting{Blocked: &types.BoolPolicy{Value: types.NewBool(false)}},
		Vlan:          &types.VmwareDistributedVirtualSwitchVlanIdSpec{VlanId: int32(g.VLAN)},
		UplinkTeamingPolicy: &types.VmwareUplinkPortTeamingPolicy{
			Policy:          &types.StringPolicy{Value: "loadbalance_srcid"},
			UplinkPortOrder: &types.VMwareUplinkPortOrderPolicy{ActiveUplinkPort: uplinks},
		},
	}
	if len(g.Trunk) > 0 {
		trunk := &types.VmwareDistributedVirtualSwitchTrunkVlanSpec{}
		for _, r := range g.Trunk {
			trunk.VlanId = append(trunk.VlanId, types.NumericRange{Start: int32(r[0]), End: int32(r[1])})
		}
		s.Vlan = trunk
	}
	if g.Unset {
		return s
	}
	policy := &types.DVSMacManagementPolicy{
		AllowPromiscuous: first(g.Security.Promiscuous, types.NewBool(false)),
		MacChanges:       first(g.Security.MACChanges, types.NewBool(false)),
		ForgedTransmits:  first(g.Security.Forged, types.NewBool(false)),
	}
	if l := g.Learning; l != nil {
		policy.MacLearningPolicy = &types.DVSMacLearningPolicy{
			Enabled: l.Enabled, AllowUnicastFlooding: types.NewBool(l.Flooding), Limit: types.NewInt32(l.Limit), LimitPolicy: l.Policy,
		}
	}
	s.SecurityPolicy = securityOf(policy)
	if !g.Old {
		s.MacManagementPolicy = policy
	}
	return s
}

// A distributedSwitch is what a session calls of a switch: its ports have
// settings of their own.
type distributedSwitch struct {
	*simulator.DistributedVirtualSwitch
	ports []port
}

// A port is where a machine's card is plugged in.
type port struct {
	key, group string
	blocked    bool
	own        *Security
}

// FetchDVPorts returns the ports with the settings that hold for them.
func (d *distributedSwitch) FetchDVPorts(ctx *simulator.Context, req *types.FetchDVPorts) soap.HasFault {
	body := &methods.FetchDVPortsBody{Res: &types.FetchDVPortsResponse{}}
	for _, p := range d.ports {
		if c := req.Criteria; c != nil && (!wanted(c.PortKey, p.key) || !wanted(c.PortgroupKey, p.group)) {
			continue
		}
		ref := types.ManagedObjectReference{Type: "DistributedVirtualPortgroup", Value: p.group}
		group, ok := ctx.Map.Get(ref).(*simulator.DistributedVirtualPortgroup)
		if !ok {
			continue
		}
		var setting types.BaseDVPortSetting
		ctx.WithLock(group, func() { setting = group.Config.DefaultPortConfig })
		body.Res.Returnval = append(body.Res.Returnval, types.DistributedVirtualPort{
			Key: p.key, DvsUuid: d.Uuid, PortgroupKey: p.group,
			Config: types.DVPortConfigInfo{Setting: p.setting(setting)},
			State: &types.DVPortState{RuntimeInfo: &types.DVPortStatus{
				LinkUp: !p.blocked, Blocked: p.blocked,
			}},
		})
	}
	return body
}

func wanted(keys []string, key string) bool {
	for _, k := range keys {
		if k == key {
			return true
		}
	}
	return len(keys) == 0
}

// setting is what holds at the port: its own, and else its group's, marked as
// inherited.
func (p port) setting(group types.BaseDVPortSetting) types.BaseDVPortSetting {
	g, ok := group.(*types.VMwareDVSPortSetting)
	if !ok {
		return group
	}
	s := *g
	if p.blocked {
		s.Blocked = &types.BoolPolicy{Value: types.NewBool(true)}
	}
	if m := s.MacManagementPolicy; m != nil {
		own := *m
		own.Inherited = p.own == nil
		if p.own != nil {
			own.AllowPromiscuous = first(p.own.Promiscuous, own.AllowPromiscuous)
			own.MacChanges = first(p.own.MACChanges, own.MacChanges)
			own.ForgedTransmits = first(p.own.Forged, own.ForgedTransmits)
		}
		s.MacManagementPolicy = &own
	}
	if o := s.SecurityPolicy; o != nil {
		own := *o
		own.Inherited = p.own == nil
		if p.own != nil {
			own.AllowPromiscuous = policyOf(p.own.Promiscuous, o.AllowPromiscuous)
			own.MacChanges = policyOf(p.own.MACChanges, o.MacChanges)
			own.ForgedTransmits = policyOf(p.own.Forged, o.ForgedTransmits)
		}
		s.SecurityPolicy = &own
	}
	return &s
}

func policyOf(own *bool, above *types.BoolPolicy) *types.BoolPolicy {
	if own != nil {
		return &types.BoolPolicy{Value: types.NewBool(*own)}
	}
	if above == nil {
		return nil
	}
	return &types.BoolPolicy{InheritablePolicy: types.InheritablePolicy{Inherited: true}, Value: above.Value}
}
