package vsphere

import (
	"slices"

	"github.com/vmware/govmomi/vim25/types"

	"whybot/runners"
)

// Kinds of things that Object reads and Do changes.
const (
	// StandardGroup is a port group of a standard switch; its id is the host's
	// network system, a slash and the group's name.
	StandardGroup = runners.VStandardGroup
	// DistributedGroup is a distributed port group, by vCenter's own id.
	DistributedGroup = runners.VDistributedGroup
)

// guestTagging is the VLAN id of a standard port group that lets guests' own
// tags pass, all of them.
const guestTagging = 4095

// standardGroup is a port group of a standard switch on a host.
func (in inventory) standardGroup(host types.ManagedObjectReference, name string) runners.VGroup {
	system, ok := get[types.ManagedObjectReference](in[host], pathNetwork)
	groups, known := get[types.ArrayOfHostPortGroup](in[system], pathGroups)
	if !ok || !known {
		g := unknownGroup(runners.StandardSwitch, hiddenPlace)
		g.Name = name
		g.Host, _ = get[string](in[host], "name")
		return g
	}
	i := slices.IndexFunc(groups.HostPortGroup, func(g types.HostPortGroup) bool { return g.Spec.Name == name })
	if i < 0 {
		g := unknownGroup(runners.StandardSwitch, "the host has no port group of this name")
		g.Name, g.Missing = name, true
		g.Host, _ = get[string](in[host], "name")
		return g
	}
	group := groups.HostPortGroup[i]
	g := runners.VGroup{
		Ref:  runners.CloudRef{Kind: StandardGroup, ID: system.Value + "/" + name},
		Kind: runners.StandardSwitch, Name: name, Switch: group.Spec.VswitchName,
		Learning: runners.Known(runners.VLearning{}), VLANs: runners.Known(standardVLANs(int(group.Spec.VlanId))),
		MTU: runners.NotKnown[int](notInTheAnswers), Active: runners.NotKnown[[]string](notInTheAnswers),
	}
	g.Own = runners.Known(ownOfStandard(group.Spec.Policy.Security))
	g.Host, _ = get[string](in[host], "name")
	var above *types.HostNetworkPolicy
	if sw := in.vswitch(system, group.Spec.VswitchName); sw != nil {
		above = sw.Spec.Policy
		if sw.Mtu > 0 {
			g.MTU = runners.Known(int(sw.Mtu))
		}
	}
	g.Promiscuous = standardSetting(group, above, func(s *types.HostNetworkSecurityPolicy) *bool { return s.AllowPromiscuous })
	g.MACChanges = standardSetting(group, above, func(s *types.HostNetworkSecurityPolicy) *bool { return s.MacChanges })
	g.Forged = standardSetting(group, above, func(s *types.HostNetworkSecurityPolicy) *bool { return s.ForgedTransmits })
	if active, ok := standardUplinks(group, above); ok {
		g.Active = runners.Known(active)
	}
	return g
}

func (in inventory) vswitch(system types.ManagedObjectReference, name string) *types.HostVirtualSwitch {
	all, _ := get[types.ArrayOfHostVirtualSwitch](in[system], pathSwitches)
	i := slices.IndexFunc(all.HostVirtualSwitch, func(s types.HostVirtualSwitch) bool { return s.Name == name })
	if i < 0 {
		return nil
	}
	return &all.HostVirtualSwitch[i]
}

func standardVLANs(id int) runners.VLANs {
	if id == guestTagging {
		return runners.VLANs{Trunk: []runners.VLANRange{{From: 0, To: 4094}}}
	}
	return runners.VLANs{ID: id}
}

// standardSetting is what holds: the group's own word, else the host's own sum,
// else the switch's. A word that is left out is inherited, not a refusal.
func standardSetting(g types.HostPortGroup, above *types.HostNetworkPolicy, of func(*types.HostNetworkSecurityPolicy) *bool) runners.VSetting {
	read := func(p *types.HostNetworkPolicy) *bool {
		if p == nil || p.Security == nil {
			return nil
		}
		return of(p.Security)
	}
	if v := read(&g.Spec.Policy); v != nil {
		return runners.VSetting{Allowed: runners.Known(*v), From: "port group"}
	}
	for _, p := range []*types.HostNetworkPolicy{&g.ComputedPolicy, above} {
		if v := read(p); v != nil {
			return runners.VSetting{Allowed: runners.Known(*v), From: "switch"}
		}
	}
	return runners.VSetting{Allowed: runners.NotKnown[bool]("the host says neither for the port group nor for its switch")}
}

func standardUplinks(g types.HostPortGroup, above *types.HostNetworkPolicy) ([]string, bool) {
	for _, p := range []*types.HostNetworkPolicy{&g.Spec.Policy, &g.ComputedPolicy, above} {
		if p != nil && p.NicTeaming != nil && p.NicTeaming.NicOrder != nil {
			return p.NicTeaming.NicOrder.ActiveNic, true
		}
	}
	return nil, false
}
