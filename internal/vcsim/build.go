package vcsim

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/types"
)

// A builder fills the model through the simulator's own API.
type builder struct {
	server  *Server
	client  *vim25.Client
	folders *object.DatacenterFolders
	hosts   []*object.HostSystem
	pool    *object.ResourcePool
	// cards says how a card is plugged into a port group, by the group's name.
	cards map[string]func(port string) types.BaseVirtualDeviceBackingInfo
	// dvs is the switch of a distributed port group, and its key.
	dvs map[string]groupPlace
}

type groupPlace struct {
	of  *distributedSwitch
	key string
}

func (s *Server) build(ctx context.Context, inv Inventory) error {
	client, err := vim25.NewClient(ctx, s.model.Service)
	if err != nil {
		return fmt.Errorf("vcsim: %w", err)
	}
	b := &builder{server: s, client: client, cards: map[string]func(string) types.BaseVirtualDeviceBackingInfo{}, dvs: map[string]groupPlace{}}
	for _, step := range []func(context.Context, Inventory) error{b.find, b.standard, b.distributed, b.machines} {
		if err := step(ctx, inv); err != nil {
			return fmt.Errorf("vcsim: build the inventory: %w", err)
		}
	}
	return nil
}

func (b *builder) find(ctx context.Context, _ Inventory) error {
	f := find.NewFinder(b.client)
	dc, err := f.DefaultDatacenter(ctx)
	if err != nil {
		return err
	}
	f.SetDatacenter(dc)
	if b.folders, err = dc.Folders(ctx); err != nil {
		return err
	}
	if b.hosts, err = f.HostSystemList(ctx, "*"); err != nil {
		return err
	}
	slices.SortFunc(b.hosts, func(x, y *object.HostSystem) int { return strings.Compare(x.InventoryPath, y.InventoryPath) })
	b.pool, err = f.DefaultResourcePool(ctx)
	return err
}

// standard gives every host the standard switches. The networks that vCenter
// shows for them are made by the stock simulator, which knows each name once.
func (b *builder) standard(ctx context.Context, inv Inventory) error {
	for i, h := range b.hosts {
		system, err := h.ConfigManager().NetworkSystem(ctx)
		if err != nil {
			return err
		}
		if i == 0 {
			if err := b.networks(ctx, system, inv.Standard); err != nil {
				return err
			}
		}
		stock, ok := b.server.model.Map().Get(system.Reference()).(*simulator.HostNetworkSystem)
		if !ok {
			return fmt.Errorf("host %s has no network system", h.Name())
		}
		info := standardNetwork(inv.Standard)
		stock.NetworkInfo = &info
		n := &network{HostNetworkSystem: stock, server: b.server}
		for j := range info.Portgroup {
			info.Portgroup[j].ComputedPolicy = n.computed(info.Portgroup[j].Spec)
		}
		b.server.model.Map().Put(n)
		b.server.networks = append(b.server.networks, n)
	}
	for _, s := range inv.Standard {
		for _, g := range s.Groups {
			b.cards[g.Name] = func(string) types.BaseVirtualDeviceBackingInfo {
				return &types.VirtualEthernetCardNetworkBackingInfo{
					VirtualDeviceDeviceBackingInfo: types.VirtualDeviceDeviceBackingInfo{DeviceName: g.Name},
				}
			}
		}
	}
	return nil
}

func (b *builder) networks(ctx context.Context, system *object.HostNetworkSystem, all []Standard) error {
	for _, s := range all {
		if s.Name != "vSwitch0" { // the stock simulator has that one
			if err := system.AddVirtualSwitch(ctx, s.Name, nil); err != nil {
				return err
			}
		}
		for _, g := range s.Groups {
			if g.Name == "VM Network" {
				continue // the same
			}
			if err := system.AddPortGroup(ctx, types.HostPortGroupSpec{Name: g.Name, VswitchName: s.Name}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *builder) distributed(ctx context.Context, inv Inventory) error {
	for _, d := range inv.Distributed {
		mtu := int32(d.MTU)
		if mtu == 0 {
			mtu = 1500
		}
		spec := &types.VMwareDVSConfigSpec{MaxMtu: mtu}
		spec.Name = d.Name
		ref, err := b.run(ctx, func() (*object.Task, error) {
			return b.folders.NetworkFolder.CreateDVS(ctx, types.DVSCreateSpec{ConfigSpec: spec})
		})
		if err != nil {
			return err
		}
		dvs := object.NewDistributedVirtualSwitch(b.client, ref)
		if err := b.join(ctx, dvs); err != nil {
			return err
		}
		if err := b.groups(ctx, dvs, d); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) join(ctx context.Context, dvs *object.DistributedVirtualSwitch) error {
	var members types.DVSConfigSpec
	for _, h := range b.hosts {
		members.Host = append(members.Host, types.DistributedVirtualSwitchHostMemberConfigSpec{
			Operation: string(types.ConfigSpecOperationAdd), Host: h.Reference(),
		})
	}
	_, err := b.run(ctx, func() (*object.Task, error) { return dvs.Reconfigure(ctx, &members) })
	return err
}

func (b *builder) groups(ctx context.Context, dvs *object.DistributedVirtualSwitch, d Distributed) error {
	stock, ok := b.server.model.Map().Get(dvs.Reference()).(*simulator.DistributedVirtualSwitch)
	if !ok {
		return fmt.Errorf("%s is no distributed switch", d.Name)
	}
	strict := &distributedSwitch{DistributedVirtualSwitch: stock}
	b.server.switches[dvs.Reference()] = strict
	for _, g := range d.Groups {
		task := func() (*object.Task, error) {
			return dvs.AddPortgroup(ctx, []types.DVPortgroupConfigSpec{{
				Name: g.Name, Type: string(types.DistributedVirtualPortgroupPortgroupTypeEarlyBinding), NumPorts: 8,
				ConfigVersion: "1", DefaultPortConfig: g.setting(d.Uplinks),
			}})
		}
		if _, err := b.run(ctx, task); err != nil {
			return err
		}
		ref := stock.Portgroup[len(stock.Portgroup)-1]
		group, ok := b.server.model.Map().Get(ref).(*simulator.DistributedVirtualPortgroup)
		if !ok {
			return fmt.Errorf("%s is no port group", g.Name)
		}
		b.server.groups[ref] = &distributedGroup{DistributedVirtualPortgroup: group, server: b.server}
		b.dvs[g.Name] = groupPlace{strict, group.Key}
		b.cards[g.Name] = func(port string) types.BaseVirtualDeviceBackingInfo {
			return &types.VirtualEthernetCardDistributedVirtualPortBackingInfo{
				Port: types.DistributedVirtualSwitchPortConnection{SwitchUuid: stock.Uuid, PortgroupKey: group.Key, PortKey: port},
			}
		}
	}
	return nil
}

func (b *builder) machines(ctx context.Context, inv Inventory) error {
	for _, m := range inv.Machines {
		spec := types.VirtualMachineConfigSpec{
			Name: m.Name, Uuid: m.UUID, GuestId: string(types.VirtualMachineGuestOsIdentifierOtherGuest),
			Files: &types.VirtualMachineFileInfo{VmPathName: "[LocalDS_0]"},
		}
		for key, value := range map[string]string{"SET.guest.ipAddress": m.IP, "SET.guest.hostName": m.HostName} {
			if value != "" {
				spec.ExtraConfig = append(spec.ExtraConfig, &types.OptionValue{Key: key, Value: value})
			}
		}
		for i, c := range m.Cards {
			spec.DeviceChange = append(spec.DeviceChange, &types.VirtualDeviceConfigSpec{
				Operation: types.VirtualDeviceConfigSpecOperationAdd, Device: b.card(i, c),
			})
		}
		ref, err := b.run(ctx, func() (*object.Task, error) {
			return b.folders.VmFolder.CreateVM(ctx, spec, b.pool, b.hosts[m.Host])
		})
		if err != nil {
			return fmt.Errorf("machine %s: %w", m.Name, err)
		}
		if err := b.begin(ctx, object.NewVirtualMachine(b.client, ref), m); err != nil {
			return fmt.Errorf("machine %s: %w", m.Name, err)
		}
	}
	return nil
}

// begin switches a machine on, or marks it as a template.
func (b *builder) begin(ctx context.Context, vm *object.VirtualMachine, m Machine) error {
	if m.Template {
		return vm.MarkAsTemplate(ctx)
	}
	_, err := b.run(ctx, func() (*object.Task, error) { return vm.PowerOn(ctx) })
	return err
}

func (b *builder) card(i int, c Card) *types.VirtualVmxnet3 {
	card := &types.VirtualVmxnet3{}
	card.Key = int32(-1 - i)
	card.AddressType, card.MacAddress = string(types.VirtualEthernetCardMacTypeManual), c.MAC
	card.Connectable = &types.VirtualDeviceConnectInfo{StartConnected: !c.Unplugged, Connected: !c.Unplugged, AllowGuestControl: true}
	place, isDistributed := b.dvs[c.Group]
	key := c.Port
	if isDistributed {
		if key == "" {
			key = fmt.Sprint(len(place.of.ports))
		}
		place.of.ports = append(place.of.ports, port{key: key, group: place.key, blocked: c.Blocked, own: c.Own})
	}
	card.Backing = b.cards[c.Group](key)
	return card
}

// run waits for a task of the simulator.
func (b *builder) run(ctx context.Context, start func() (*object.Task, error)) (types.ManagedObjectReference, error) {
	task, err := start()
	if err != nil {
		return types.ManagedObjectReference{}, err
	}
	info, err := task.WaitForResultEx(ctx)
	if err != nil {
		return types.ManagedObjectReference{}, err
	}
	ref, _ := info.Result.(types.ManagedObjectReference)
	return ref, nil
}
