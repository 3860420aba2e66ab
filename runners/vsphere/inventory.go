package vsphere

import (
	"context"
	"slices"
	"strings"

	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"whybot/runners"
)

// An inventory is what one round trip said of machines and of everything that
// they are connected to.
type inventory map[types.ManagedObjectReference]properties

// properties are an object's, by their paths. A role is shown some of them.
type properties map[string]types.AnyType

// get returns a property as what it should be.
func get[T any](p properties, path string) (T, bool) {
	v, ok := p[path].(T)
	return v, ok
}

// maybe returns a property, or why it is not known.
func maybe[T any](p properties, path, why string) runners.Maybe[T] {
	if v, ok := get[T](p, path); ok {
		return runners.Known(v)
	}
	return runners.NotKnown[T](why)
}

const (
	machineType     = "VirtualMachine"
	hostType        = "HostSystem"
	networkType     = "HostNetworkSystem"
	clusterType     = "ClusterComputeResource"
	groupType       = "DistributedVirtualPortgroup"
	switchType      = "DistributedVirtualSwitch"
	pathDevices     = "config.hardware.device"
	pathHost        = "runtime.host"
	pathGroups      = "networkInfo.portgroup"
	pathSwitches    = "networkInfo.vswitch"
	pathNetwork     = "configManager.networkSystem"
	hiddenPlace     = "whybot's vCenter user has no role there: give it Read-only"
	notInTheAnswers = "vCenter did not tell"
)

// inventory reads machines, the hosts of their clusters with those hosts'
// networks, and their distributed port groups with the switches: all of it in
// one call.
func (c *Client) inventory(ctx context.Context, machines []types.ManagedObjectReference) (inventory, error) {
	var in inventory
	err := c.do(ctx, "RetrievePropertiesEx", func(ctx context.Context, s *vimSession) error {
		res, err := property.DefaultCollector(s.Client).RetrieveProperties(ctx, types.RetrieveProperties{SpecSet: []types.PropertyFilterSpec{filter(machines)}})
		if err != nil {
			return err
		}
		in, err = read(res.Returnval)
		return err
	})
	return in, err
}

// read takes an answer apart. What a role is not shown is missing in it; that
// the session is gone is told in the same way, and is an error.
func read(answer []types.ObjectContent) (inventory, error) {
	in := inventory{}
	for _, o := range answer {
		p := properties{}
		for _, v := range o.PropSet {
			p[v.Name] = v.Val
		}
		for _, m := range o.MissingSet {
			if _, gone := m.Fault.Fault.(*types.NotAuthenticated); gone {
				return nil, soap.WrapVimFault(m.Fault.Fault)
			}
		}
		in[o.Obj] = p
	}
	return in, nil
}

func filter(machines []types.ManagedObjectReference) types.PropertyFilterSpec {
	named := func(name string) types.BaseSelectionSpec { return &types.SelectionSpec{Name: name} }
	step := func(name, of, path string, next ...string) types.BaseSelectionSpec {
		t := &types.TraversalSpec{SelectionSpec: types.SelectionSpec{Name: name}, Type: of, Path: path}
		for _, n := range next {
			t.SelectSet = append(t.SelectSet, named(n))
		}
		return t
	}
	way := []types.BaseSelectionSpec{
		step("host", machineType, pathHost, "network", "cluster"),
		step("network", hostType, pathNetwork),
		step("cluster", hostType, "parent", "hosts"),
		step("hosts", clusterType, "host", "network"),
		step("groups", machineType, "network", "switch"),
		step("switch", groupType, "config.distributedVirtualSwitch"),
	}
	var spec types.PropertyFilterSpec
	for _, m := range machines {
		spec.ObjectSet = append(spec.ObjectSet, types.ObjectSpec{Obj: m, SelectSet: way})
	}
	for _, p := range []struct {
		of    string
		paths []string
	}{
		{machineType, []string{"name", "config.template", pathDevices, pathHost}},
		{hostType, []string{"name", "parent", "runtime.connectionState", pathNetwork}},
		{networkType, []string{pathGroups, pathSwitches}},
		{clusterType, []string{"name", "host"}},
		{groupType, []string{"name", "key", "config"}},
		{switchType, []string{"name", "config"}}, // those that a real vCenter makes are of a type below it
	} {
		spec.PropSet = append(spec.PropSet, types.PropertySpec{Type: p.of, PathSet: p.paths})
	}
	return spec
}

// is reports whether a machine may be the node: no template, with a card of the
// node's.
func (in inventory) is(ref types.ManagedObjectReference, macs []string) bool {
	template, known := get[bool](in[ref], "config.template")
	if !known || template {
		return false
	}
	return slices.ContainsFunc(in.cards(ref), func(c *types.VirtualEthernetCard) bool {
		return slices.ContainsFunc(macs, func(mac string) bool { return strings.EqualFold(mac, c.MacAddress) })
	})
}

// cards returns the network cards of a machine.
func (in inventory) cards(ref types.ManagedObjectReference) []*types.VirtualEthernetCard {
	devices, _ := get[types.ArrayOfVirtualDevice](in[ref], pathDevices)
	var cards []*types.VirtualEthernetCard
	for _, d := range devices.VirtualDevice {
		if card, ok := d.(types.BaseVirtualEthernetCard); ok {
			cards = append(cards, card.GetVirtualEthernetCard())
		}
	}
	return cards
}

// machine returns what the inventory says of a machine.
func (in inventory) machine(ref types.ManagedObjectReference) runners.VMachine {
	m := runners.VMachine{ID: ref.Value, Host: runners.NotKnown[string](hiddenPlace), Cluster: runners.NotKnown[string](hiddenPlace)}
	m.Name, _ = get[string](in[ref], "name")
	host, _ := get[types.ManagedObjectReference](in[ref], pathHost)
	if in[host] != nil {
		m.Host = maybe[string](in[host], "name", hiddenPlace)
	}
	if cluster, ok := get[types.ManagedObjectReference](in[host], "parent"); ok && in[cluster] != nil {
		m.Cluster = maybe[string](in[cluster], "name", hiddenPlace)
	}
	for _, c := range in.cards(ref) {
		m.Cards = append(m.Cards, in.card(host, c))
	}
	return m
}

func (in inventory) card(host types.ManagedObjectReference, c *types.VirtualEthernetCard) runners.VCard {
	card := runners.VCard{MAC: c.MacAddress, Connected: runners.NotKnown[bool](notInTheAnswers), Blocked: runners.NotKnown[bool](notInTheAnswers)}
	if d := c.DeviceInfo; d != nil {
		card.Label = d.GetDescription().Label
	}
	if c.Connectable != nil {
		card.Connected = runners.Known(c.Connectable.Connected)
	}
	switch b := c.Backing.(type) {
	case *types.VirtualEthernetCardNetworkBackingInfo:
		card.Group = in.standardGroup(host, b.DeviceName)
		card.Elsewhere = in.elsewhere(host, b.DeviceName)
		// Ports of a standard switch cannot be blocked.
		card.Blocked = runners.Known(false)
	case *types.VirtualEthernetCardDistributedVirtualPortBackingInfo:
		card.Group = in.distributedGroup(b.Port)
		card.Elsewhere = runners.Known[[]runners.VGroup](nil)
		card.Blocked = in.groupBlocks(b.Port)
	default:
		card.Group = unknownGroup(runners.ForeignSwitch, "the card is on a network that vCenter does not manage itself, such as NSX's")
		card.Elsewhere = runners.NotKnown[[]runners.VGroup](notInTheAnswers)
	}
	return card
}

// unknownGroup is a port group of which nothing is known.
func unknownGroup(kind runners.VSwitchKind, why string) runners.VGroup {
	none := runners.VSetting{Allowed: runners.NotKnown[bool](why)}
	return runners.VGroup{
		Kind: kind, Promiscuous: none, MACChanges: none, Forged: none,
		Learning: runners.NotKnown[runners.VLearning](why), VLANs: runners.NotKnown[runners.VLANs](why),
		MTU: runners.NotKnown[int](why), Active: runners.NotKnown[[]string](why),
	}
}

// elsewhere is the port group of a name on the other hosts of the cluster.
func (in inventory) elsewhere(host types.ManagedObjectReference, name string) runners.Maybe[[]runners.VGroup] {
	cluster, ok := get[types.ManagedObjectReference](in[host], "parent")
	if !ok {
		return runners.NotKnown[[]runners.VGroup](hiddenPlace)
	}
	if cluster.Type != clusterType {
		return runners.Known[[]runners.VGroup](nil) // a host by itself
	}
	hosts, ok := get[types.ArrayOfManagedObjectReference](in[cluster], "host")
	if !ok {
		return runners.NotKnown[[]runners.VGroup](hiddenPlace)
	}
	var all []runners.VGroup
	for _, h := range hosts.ManagedObjectReference {
		if h != host {
			all = append(all, in.standardGroup(h, name))
		}
	}
	return runners.Known(all)
}
