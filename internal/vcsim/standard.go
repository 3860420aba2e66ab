package vcsim

import (
	"slices"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// A network is the HostNetworkSystem of one host.
type network struct {
	*simulator.HostNetworkSystem
	server *Server
}

// UpdatePortGroup replaces the specification of a port group as a whole.
func (n *network) UpdatePortGroup(ctx *simulator.Context, req *types.UpdatePortGroup) soap.HasFault {
	body := &methods.UpdatePortGroupBody{}
	fail := func(f types.BaseMethodFault) soap.HasFault {
		body.Fault_ = simulator.Fault("", f)
		return body
	}
	groups := slices.Clone(n.NetworkInfo.Portgroup)
	i := slices.IndexFunc(groups, func(g types.HostPortGroup) bool { return g.Spec.Name == req.PgName })
	switch {
	case i < 0:
		return fail(&types.NotFound{})
	case req.Portgrp.VlanId < 0 || req.Portgrp.VlanId > 4095:
		return fail(&types.InvalidArgument{InvalidProperty: "portgrp.vlanId"})
	case req.Portgrp.Name != req.PgName:
		return fail(&types.NotSupported{}) // a rename is more than this simulator does
	case n.vswitch(req.Portgrp.VswitchName) == nil:
		return fail(&types.NotFound{})
	}
	groups[i].Spec = req.Portgrp
	groups[i].ComputedPolicy = n.computed(req.Portgrp)
	info := *n.NetworkInfo
	info.Portgroup = groups
	ctx.Update(n.HostNetworkSystem, []types.PropertyChange{{Name: "networkInfo", Val: &info}})
	if f := n.server.lost("UpdatePortGroup"); f != nil {
		return fail(f)
	}
	body.Res = &types.UpdatePortGroupResponse{}
	return body
}

func (n *network) vswitch(name string) *types.HostVirtualSwitch {
	for i := range n.NetworkInfo.Vswitch {
		if n.NetworkInfo.Vswitch[i].Name == name {
			return &n.NetworkInfo.Vswitch[i]
		}
	}
	return nil
}

// computed is the policy that holds: the port group's own, field by field, and
// else the switch's.
func (n *network) computed(spec types.HostPortGroupSpec) types.HostNetworkPolicy {
	var result types.HostNetworkPolicy
	var above types.HostNetworkPolicy
	if sw := n.vswitch(spec.VswitchName); sw != nil && sw.Spec.Policy != nil {
		above = *sw.Spec.Policy
	}
	own, upper := spec.Policy.Security, above.Security
	if own == nil {
		own = &types.HostNetworkSecurityPolicy{}
	}
	if upper == nil {
		upper = &types.HostNetworkSecurityPolicy{}
	}
	result.Security = &types.HostNetworkSecurityPolicy{
		AllowPromiscuous: first(own.AllowPromiscuous, upper.AllowPromiscuous),
		MacChanges:       first(own.MacChanges, upper.MacChanges),
		ForgedTransmits:  first(own.ForgedTransmits, upper.ForgedTransmits),
	}
	result.NicTeaming = above.NicTeaming
	if t := spec.Policy.NicTeaming; t != nil && t.NicOrder != nil {
		result.NicTeaming = t
	}
	return result
}

func first(values ...*bool) *bool {
	for _, v := range values {
		if v != nil {
			return types.NewBool(*v)
		}
	}
	return nil
}

// standardNetwork is the configuration that every host begins with.
func standardNetwork(all []Standard) types.HostNetworkInfo {
	var info types.HostNetworkInfo
	for _, s := range all {
		mtu := int32(s.MTU)
		if mtu == 0 {
			mtu = 1500
		}
		sw := types.HostVirtualSwitch{
			Name: s.Name, Key: "key-vim.host.VirtualSwitch-" + s.Name, Mtu: mtu, NumPorts: 128,
			Spec: types.HostVirtualSwitchSpec{
				NumPorts: 128, Mtu: mtu,
				Policy: &types.HostNetworkPolicy{Security: s.Security.host(), NicTeaming: teaming(s.Uplinks)},
			},
		}
		if len(s.Uplinks) > 0 {
			sw.Spec.Bridge = &types.HostVirtualSwitchBondBridge{NicDevice: s.Uplinks}
		}
		for _, g := range s.Groups {
			sw.Portgroup = append(sw.Portgroup, "key-vim.host.PortGroup-"+g.Name)
			info.Portgroup = append(info.Portgroup, types.HostPortGroup{
				Key: "key-vim.host.PortGroup-" + g.Name, Vswitch: sw.Key,
				Spec: types.HostPortGroupSpec{
					Name: g.Name, VlanId: int32(g.VLAN), VswitchName: s.Name,
					Policy: types.HostNetworkPolicy{Security: g.Security.host(), NicTeaming: teaming(g.Active)},
				},
			})
		}
		info.Vswitch = append(info.Vswitch, sw)
	}
	return info
}

func teaming(active []string) *types.HostNicTeamingPolicy {
	if len(active) == 0 {
		return nil
	}
	return &types.HostNicTeamingPolicy{Policy: "loadbalance_srcid", NicOrder: &types.HostNicOrderPolicy{ActiveNic: active}}
}

func (s Security) host() *types.HostNetworkSecurityPolicy {
	return &types.HostNetworkSecurityPolicy{AllowPromiscuous: s.Promiscuous, MacChanges: s.MACChanges, ForgedTransmits: s.Forged}
}
