package openstack

import (
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"whybot/runners"
)

// A port is Neutron's answer with the binding extension.
type port struct {
	ID             string
	Name           string
	NetworkID      string `json:"network_id"`
	DeviceID       string `json:"device_id"`
	DeviceOwner    string `json:"device_owner"`
	MAC            string `json:"mac_address"`
	Status         string
	AdminUp        bool              `json:"admin_state_up"`
	FixedIPs       []fixedIP         `json:"fixed_ips"`
	SecurityGroups []string          `json:"security_groups"`
	PortSecurity   optional[bool]    `json:"port_security_enabled"`
	HostID         optional[string]  `json:"binding:host_id"`
	VIFType        optional[string]  `json:"binding:vif_type"`
	Profile        optional[profile] `json:"binding:profile"`
}

// A profile is what Nova tells Neutron of a port's binding.
type profile struct {
	MigratingTo string `json:"migrating_to"`
}

type fixedIP struct {
	SubnetID string `json:"subnet_id"`
	Address  string `json:"ip_address"`
}

func (p port) identity() string { return p.ID }

// has compares addresses, not their spelling.
func (p port) has(ip netip.Addr) bool {
	return slices.ContainsFunc(p.FixedIPs, func(f fixedIP) bool {
		a, err := netip.ParseAddr(f.Address)
		return err == nil && a == ip
	})
}

// ofServer says whether the port is a server's and not a router's or a DHCP
// server's.
func (p port) ofServer() bool {
	return p.DeviceID != "" && (strings.HasPrefix(p.DeviceOwner, "compute:") || strings.HasPrefix(p.DeviceOwner, "baremetal:"))
}

func (p port) vocabulary() runners.Port {
	var ips []runners.FixedIP
	for _, f := range p.FixedIPs {
		ips = append(ips, runners.FixedIP{SubnetID: f.SubnetID, Address: f.Address})
	}
	return runners.Port{
		ID: p.ID, Name: p.Name, NetworkID: p.NetworkID, DeviceID: p.DeviceID, DeviceOwner: p.DeviceOwner,
		MAC: strings.ToLower(p.MAC), Status: p.Status, AdminUp: p.AdminUp, FixedIPs: ips, SecurityGroups: p.SecurityGroups,
		PortSecurity: p.PortSecurity.maybe("Neutron does not send port_security_enabled: the extension is not loaded"),
		HostID:       p.HostID.maybe("needs role admin: binding:host_id is hidden"),
		VIFType:      p.VIFType.maybe("needs role admin: binding:vif_type is hidden"),
		MigratingTo:  p.migratingTo(),
	}
}

func (p port) migratingTo() runners.Maybe[string] {
	bound, ok := p.Profile.maybe("needs role admin: binding:profile is hidden").Get()
	if !ok {
		return runners.NotKnown[string]("needs role admin: binding:profile is hidden")
	}
	return runners.Known(bound.MigratingTo)
}

// A network is Neutron's answer with the provider extension.
type network struct {
	ID             string
	Name           string
	AdminUp        bool `json:"admin_state_up"`
	MTU            int
	Type           optional[string] `json:"provider:network_type"`
	PhysicalNet    optional[string] `json:"provider:physical_network"`
	SegmentationID optional[int]    `json:"provider:segmentation_id"`
	// Segments is there instead of the provider keys when there are several.
	Segments []struct{}
}

func (n network) vocabulary() runners.Network {
	why := func(key string) string {
		if len(n.Segments) > 0 {
			return fmt.Sprintf("the network has %d segments, not one", len(n.Segments))
		}
		return "needs role admin: " + key + " is hidden"
	}
	return runners.Network{
		ID: n.ID, Name: n.Name, AdminUp: n.AdminUp, MTU: n.MTU,
		Type:           n.Type.maybe(why("provider:network_type")),
		PhysicalNet:    n.PhysicalNet.maybe(why("provider:physical_network")),
		SegmentationID: n.SegmentationID.maybe(why("provider:segmentation_id")),
	}
}

// A subnet is Neutron's answer.
type subnet struct {
	ID        string
	NetworkID string `json:"network_id"`
	CIDR      string
	IPVersion int    `json:"ip_version"`
	DHCP      bool   `json:"enable_dhcp"`
	GatewayIP string `json:"gateway_ip"`
	// null where there is no such mode, as on every subnet of IPv4
	AddressMode string `json:"ipv6_address_mode"`
	RAMode      string `json:"ipv6_ra_mode"`
	Pools       []pool `json:"allocation_pools"`
}

type pool struct{ Start, End string }

func (s subnet) identity() string { return s.ID }

func (s subnet) vocabulary() runners.Subnet {
	v := runners.Subnet{
		ID: s.ID, NetworkID: s.NetworkID, CIDR: s.CIDR, IPVersion: s.IPVersion, DHCP: s.DHCP, GatewayIP: s.GatewayIP,
		AddressMode: s.AddressMode, RAMode: s.RAMode,
	}
	for _, p := range s.Pools {
		v.Pools = append(v.Pools, runners.Pool{Start: p.Start, End: p.End})
	}
	return v
}

// Attachments returns the server's ports with everything Neutron says about
// how they get an address, in the order of their ids.
//
// An ordinary member sees the DHCP ports of their own project's networks only:
// that DHCPPorts is empty proves that there are none only where DHCPAgents is
// known.
func (c *Client) Attachments(ctx context.Context, s runners.Server) ([]runners.Attachment, error) {
	if badSegment([]string{s.ID}) >= 0 {
		// Neutron would answer an empty id with the ports that nobody uses.
		return nil, fail(runners.Invalid, neutron, "GET ports", "that is no server id", fmt.Errorf("server id %q", s.ID))
	}
	var (
		ports  []port
		views  map[string]view
		agents agentList
	)
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		ports, err = list[port](gctx, c, neutron, "ports", url.Values{"device_id": {s.ID}}, "ports")
		if err != nil {
			return err
		}
		views, err = c.viewNetworks(gctx, ports)
		return err
	})
	g.Go(func() (err error) {
		agents, err = c.listAgents(gctx)
		return err
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	slices.SortFunc(ports, func(a, b port) int { return strings.Compare(a.ID, b.ID) })
	var all []runners.Attachment
	for _, p := range ports {
		a := views[p.NetworkID].attachment(p)
		a.Agents = agents.known(a.DHCPAgents)
		a.L2Agents = onPath(a)
		all = append(all, a)
	}
	return all, nil
}

// A view is what Neutron says about one network.
type view struct {
	network    network
	subnets    []subnet
	ownPorts   []port // those of its DHCP servers and routers
	dhcpAgents runners.Maybe[[]runners.Agent]
	use        runners.Maybe[map[string]runners.AddressUse]
}

// dhcpOwner is the owner of the port that a DHCP agent serves a network on.
const dhcpOwner = "network:dhcp"

// routerOwners are the owners of ports by which routers reach a network. The
// ports that a distributed router's SNAT uses are not: no guest is told of them.
var routerOwners = []string{
	"network:router_interface", "network:router_interface_distributed", "network:ha_router_replicated_interface",
}

func (v view) attachment(p port) runners.Attachment {
	a := runners.Attachment{Port: p.vocabulary(), Network: v.network.vocabulary(), DHCPAgents: v.dhcpAgents, Use: v.use}
	for _, s := range v.subnets {
		a.Subnets = append(a.Subnets, s.vocabulary())
	}
	for _, d := range v.ownPorts {
		if d.DeviceOwner == dhcpOwner {
			a.DHCPPorts = append(a.DHCPPorts, d.vocabulary())
		} else {
			a.RouterPorts = append(a.RouterPorts, d.vocabulary())
		}
	}
	return a
}

// viewNetworks looks at all networks of the ports at once, each of them once.
func (c *Client) viewNetworks(ctx context.Context, ports []port) (map[string]view, error) {
	var ids []string
	for _, p := range ports {
		if !slices.Contains(ids, p.NetworkID) {
			ids = append(ids, p.NetworkID)
		}
	}
	found := make([]view, len(ids))
	g, gctx := errgroup.WithContext(ctx)
	for i, id := range ids {
		g.Go(func() (err error) {
			found[i], err = c.viewNetwork(gctx, id)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	views := map[string]view{}
	for i, id := range ids {
		views[id] = found[i]
	}
	return views, nil
}

func (c *Client) viewNetwork(ctx context.Context, id string) (v view, err error) {
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		v.network, err = one[network](gctx, c, neutron, "network", "networks", id)
		if isKind(err, runners.NotFound) {
			// The port says that it is there, so it is kept from this role.
			err = fail(runners.Hidden, neutron, "GET networks/{id}", "the port's network is not shown to this project: needs role admin", err)
		}
		return err
	})
	g.Go(func() (err error) {
		v.subnets, err = list[subnet](gctx, c, neutron, "subnets", url.Values{"network_id": {id}}, "subnets")
		return err
	})
	g.Go(func() (err error) {
		query := url.Values{"network_id": {id}, "device_owner": append([]string{dhcpOwner}, routerOwners...)}
		v.ownPorts, err = list[port](gctx, c, neutron, "ports", query, "ports")
		return err
	})
	g.Go(func() (err error) {
		v.dhcpAgents, err = c.dhcpAgents(gctx, id)
		return err
	})
	g.Go(func() (err error) {
		v.use, err = c.addressUse(gctx, id)
		return err
	})
	return v, g.Wait()
}
