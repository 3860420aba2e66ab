package vsphere

import (
	"context"
	"slices"

	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"

	"whybot/runners"
)

// limitDrop is how a distributed port group says that a full table drops.
const limitDrop = "DROP"

// distributedGroup is the port group of a card, as its configuration is: the
// port may have one of its own, which ports adds.
func (in inventory) distributedGroup(p types.DistributedVirtualSwitchPortConnection) runners.VGroup {
	ref := types.ManagedObjectReference{Type: groupType, Value: p.PortgroupKey}
	config, ok := get[types.DVPortgroupConfigInfo](in[ref], "config")
	if !ok {
		return unknownGroup(runners.DistributedSwitch, hiddenPlace)
	}
	g := settingOf(config.DefaultPortConfig, "port group", "switch")
	g.Ref, g.Name = runners.CloudRef{Kind: DistributedGroup, ID: ref.Value}, config.Name
	if own, ok := ownOfDistributed(config.DefaultPortConfig); ok {
		g.Own, g.Version = runners.Known(own), config.ConfigVersion
	} else {
		g.Own = runners.NotKnown[runners.VSecurity]("the switch is older than vSphere 6.7, or does not tell its policy")
	}
	if config.BackingType == string(types.DistributedVirtualPortgroupBackingTypeNsx) {
		g.Kind, g.Ref = runners.ForeignSwitch, runners.CloudRef{} // vCenter may not change it
	}
	if sw := config.DistributedVirtualSwitch; sw != nil {
		g.Switch, _ = get[string](in[*sw], "name")
		if c, ok := get[types.VMwareDVSConfigInfo](in[*sw], "config"); ok && c.MaxMtu > 0 {
			g.MTU = runners.Known(int(c.MaxMtu))
		}
	}
	return g
}

func (in inventory) groupBlocks(p types.DistributedVirtualSwitchPortConnection) runners.Maybe[bool] {
	config, _ := get[types.DVPortgroupConfigInfo](in[types.ManagedObjectReference{Type: groupType, Value: p.PortgroupKey}], "config")
	if s, ok := config.DefaultPortConfig.(*types.VMwareDVSPortSetting); ok && s.Blocked != nil && s.Blocked.Value != nil {
		return runners.Known(*s.Blocked.Value)
	}
	return runners.NotKnown[bool](notInTheAnswers)
}

// settingOf reads a setting. What is inherited in it comes from the level above.
func settingOf(setting types.BaseDVPortSetting, own, above string) runners.VGroup {
	g := unknownGroup(runners.DistributedSwitch, notInTheAnswers)
	s, ok := setting.(*types.VMwareDVSPortSetting)
	if !ok {
		return g
	}
	level := func(inherited bool) string {
		if inherited {
			return above
		}
		return own
	}
	set := func(to *runners.VSetting, v *bool, inherited bool) {
		if v != nil {
			*to = runners.VSetting{Allowed: runners.Known(*v), From: level(inherited)}
		}
	}
	switch {
	case s.MacManagementPolicy != nil: // since vSphere 6.7 it is the one that holds
		m := s.MacManagementPolicy
		set(&g.Promiscuous, m.AllowPromiscuous, m.Inherited)
		set(&g.MACChanges, m.MacChanges, m.Inherited)
		set(&g.Forged, m.ForgedTransmits, m.Inherited)
		g.Learning = runners.Known(learningOf(m.MacLearningPolicy))
	case s.SecurityPolicy != nil:
		for _, one := range []struct {
			to *runners.VSetting
			p  *types.BoolPolicy
		}{{&g.Promiscuous, s.SecurityPolicy.AllowPromiscuous}, {&g.MACChanges, s.SecurityPolicy.MacChanges}, {&g.Forged, s.SecurityPolicy.ForgedTransmits}} {
			if one.p != nil {
				set(one.to, one.p.Value, one.p.Inherited || s.SecurityPolicy.Inherited)
			}
		}
		// A switch that tells no MAC management is too old to learn.
		g.Learning = runners.Known(runners.VLearning{})
	}
	if v, ok := vlansOf(s.Vlan); ok {
		g.VLANs = runners.Known(v)
	}
	if t := s.UplinkTeamingPolicy; t != nil && t.UplinkPortOrder != nil {
		g.Active = runners.Known(t.UplinkPortOrder.ActiveUplinkPort)
	}
	return g
}

func learningOf(p *types.DVSMacLearningPolicy) runners.VLearning {
	if p == nil {
		return runners.VLearning{}
	}
	l := runners.VLearning{
		Enabled: p.Enabled, Flooding: runners.NotKnown[bool](notInTheAnswers),
		Limit: runners.NotKnown[int](notInTheAnswers), Drop: runners.NotKnown[bool](notInTheAnswers),
	}
	if p.AllowUnicastFlooding != nil {
		l.Flooding = runners.Known(*p.AllowUnicastFlooding)
	}
	if p.Limit != nil {
		l.Limit = runners.Known(int(*p.Limit))
	}
	if p.LimitPolicy != "" {
		l.Drop = runners.Known(p.LimitPolicy == limitDrop)
	}
	return l
}

func vlansOf(spec types.BaseVmwareDistributedVirtualSwitchVlanSpec) (runners.VLANs, bool) {
	switch v := spec.(type) {
	case *types.VmwareDistributedVirtualSwitchVlanIdSpec:
		return runners.VLANs{ID: int(v.VlanId)}, true
	case *types.VmwareDistributedVirtualSwitchTrunkVlanSpec:
		trunk := make([]runners.VLANRange, 0, len(v.VlanId))
		for _, r := range v.VlanId {
			trunk = append(trunk, runners.VLANRange{From: int(r.Start), To: int(r.End)})
		}
		return runners.VLANs{Trunk: trunk}, true
	case *types.VmwareDistributedVirtualSwitchPvlanSpec:
		return runners.VLANs{ID: int(v.PvlanId), Private: true}, true
	}
	return runners.VLANs{}, false
}

// ports adds what holds at the distributed ports of a machine's cards. A port
// that cannot be read leaves its card with nothing known: its group's policy may
// not be what holds there.
func (c *Client) ports(ctx context.Context, in inventory, m *runners.VMachine) error {
	for ref, p := range in {
		if ref.Type != groupType {
			continue
		}
		config, ok := get[types.DVPortgroupConfigInfo](p, "config")
		if !ok || config.DistributedVirtualSwitch == nil {
			continue
		}
		found, err := c.fetch(ctx, *config.DistributedVirtualSwitch, config.Key)
		if err != nil && ctx.Err() != nil {
			return err
		}
		for i, card := range m.Cards {
			at := in.portOf(m.ID, card.MAC)
			if at.PortgroupKey != config.Key || at.PortKey == "" {
				continue
			}
			n := slices.IndexFunc(found, func(p types.DistributedVirtualPort) bool { return p.Key == at.PortKey })
			switch {
			case err != nil || n < 0:
				m.Cards[i] = withoutPort(card, portUnknown(err))
			default:
				m.Cards[i] = withPort(card, found[n])
			}
		}
	}
	return nil
}

func portUnknown(err error) string {
	if err != nil {
		return err.Error()
	}
	return "vCenter does not know the card's port"
}

func (c *Client) fetch(ctx context.Context, dvs types.ManagedObjectReference, group string) (ports []types.DistributedVirtualPort, err error) {
	inside := true
	err = c.do(ctx, "FetchDVPorts", func(ctx context.Context, s *vimSession) error {
		res, err := methods.FetchDVPorts(ctx, s, &types.FetchDVPorts{
			This: dvs, Criteria: &types.DistributedVirtualSwitchPortCriteria{PortgroupKey: []string{group}, Inside: &inside},
		})
		if err != nil {
			return err
		}
		ports = res.Returnval
		return nil
	})
	return ports, err
}

// portOf returns the port of a machine's card, by its MAC address.
func (in inventory) portOf(machine, mac string) types.DistributedVirtualSwitchPortConnection {
	for _, c := range in.cards(types.ManagedObjectReference{Type: machineType, Value: machine}) {
		if b, ok := c.Backing.(*types.VirtualEthernetCardDistributedVirtualPortBackingInfo); ok && c.MacAddress == mac {
			return b.Port
		}
	}
	return types.DistributedVirtualSwitchPortConnection{}
}

// withPort is a card with what holds at its port.
func withPort(card runners.VCard, p types.DistributedVirtualPort) runners.VCard {
	own := settingOf(p.Config.Setting, "port", card.Group.Forged.From)
	g := card.Group
	for _, s := range []struct{ to, from *runners.VSetting }{
		{&g.Promiscuous, &own.Promiscuous}, {&g.MACChanges, &own.MACChanges}, {&g.Forged, &own.Forged},
	} {
		if _, known := s.from.Allowed.Get(); known {
			*s.to = *s.from
		}
	}
	if _, known := own.Learning.Get(); known {
		g.Learning = own.Learning
	}
	if _, known := own.VLANs.Get(); known {
		g.VLANs = own.VLANs
	}
	if _, known := own.Active.Get(); known {
		g.Active = own.Active
	}
	card.Group = g
	if s, ok := p.Config.Setting.(*types.VMwareDVSPortSetting); ok && s.Blocked != nil && s.Blocked.Value != nil {
		card.Blocked = runners.Known(*s.Blocked.Value)
	}
	if p.State != nil && p.State.RuntimeInfo != nil {
		card.Blocked = runners.Known(p.State.RuntimeInfo.Blocked)
	}
	return card
}

func withoutPort(card runners.VCard, why string) runners.VCard {
	g := unknownGroup(card.Group.Kind, why)
	g.Own, g.Version = card.Group.Own, card.Group.Version
	g.Ref, g.Name, g.Switch, g.MTU = card.Group.Ref, card.Group.Name, card.Group.Switch, card.Group.MTU
	card.Group, card.Blocked = g, runners.NotKnown[bool](why)
	return card
}
