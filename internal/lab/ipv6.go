package lab

import (
	"fmt"
	"net"
	"net/netip"
	"slices"

	"whybot/internal/cloudfake"
)

// An IPv6Mode says how the guests of payments-net get an IPv6 address besides
// their IPv4 one.
type IPv6Mode string

// Modes of IPv6.
const (
	NoIPv6   IPv6Mode = ""
	SLAAC    IPv6Mode = "slaac"    // they make it of the prefix that the router advertises
	Stateful IPv6Mode = "stateful" // dnsmasq gives it; the router says so
)

// neutronMode is the mode as Neutron calls it.
func (m IPv6Mode) neutronMode() string {
	if m == Stateful {
		return "dhcpv6-stateful"
	}
	return string(m)
}

// A Subnet6 is a network's IPv6 subnet; the zero one is none.
type Subnet6 struct {
	ID     string
	Prefix netip.Prefix // a /64
	Mode   IPv6Mode
}

// payments6 is the IPv6 subnet of payments-net.
func payments6(mode IPv6Mode) Subnet6 {
	return Subnet6{ID: "c7b1d0a9-62e8-4f35-9d14-70a8b6c5e4f2", Prefix: netip.MustParsePrefix("2001:db8:3092::/64"), Mode: mode}
}

// routerID is the router on controller01 that advertises on payments-net.
const routerID = "7d4f2b90-5e1a-4c83-b6d7-09f8e7a6c5b4"

// routerPortID is its port.
const routerPortID = "e9a8b7c6-1d2e-4f30-8a4b-5c6d7e8f9a0b"

// routerPorts are the router ports of the plan.
func routerPorts(n Network) []Port {
	if n.Six.Mode == NoIPv6 {
		return nil
	}
	return []Port{{
		ID: routerPortID, MAC: "fa:16:3e:0c:92:01", Address6: n.Six.at(1), Network: n, Machine: Controller01,
	}}
}

// at is the nth address of the subnet, written as Neutron writes it: the digits
// of n are read as hexadecimal ones.
func (s Subnet6) at(n int) string {
	if s.Mode == NoIPv6 {
		return ""
	}
	return netip.MustParseAddr(fmt.Sprintf("%s%d", s.Prefix.Addr(), n)).String()
}

// of is the address of a port in the subnet: the nth, or where the guests make
// their addresses the one that Neutron expects of the MAC.
func (s Subnet6) of(mac string, n int) string {
	if s.Mode == SLAAC {
		return eui64(s.Prefix, mac)
	}
	return s.at(n)
}

// eui64 is the address that a host makes of a prefix and its MAC.
func eui64(p netip.Prefix, mac string) string {
	hw, err := net.ParseMAC(mac)
	if err != nil || len(hw) != 6 {
		return ""
	}
	b := p.Addr().As16()
	copy(b[8:], []byte{hw[0] ^ 2, hw[1], hw[2], 0xff, 0xfe, hw[3], hw[4], hw[5]})
	return netip.AddrFrom16(b).String()
}

// linkLocal is the link-local address that a host makes of its MAC.
func linkLocal(mac string) string { return eui64(netip.MustParsePrefix("fe80::/64"), mac) }

// routerPortsOf returns the router ports on a machine.
func (p plan) routerPortsOf(machine string) []Port {
	return slices.DeleteFunc(slices.Clone(p.routerPorts), func(port Port) bool { return port.Machine != machine })
}

// trustedPorts are the ports of a machine whose packets Neutron lets pass.
func (p plan) trustedPorts(machine string) []Port {
	return slices.Concat(p.dhcpPortsOf(machine), p.routerPortsOf(machine))
}

// ipv6 tells whether a network of the plan has an IPv6 subnet.
func (p plan) ipv6() bool {
	return slices.ContainsFunc(p.networks, func(n Network) bool { return n.Six.Mode != NoIPv6 })
}

// modelSubnet6 is the subnet as Neutron holds it.
func modelSubnet6(n Network) cloudfake.Subnet {
	mode := n.Six.Mode.neutronMode()
	return cloudfake.Subnet{
		ID: n.Six.ID, Name: n.Name + "-v6", NetworkID: n.ID, ProjectID: projectID,
		CIDR: n.Six.Prefix.String(), GatewayIP: n.Six.at(1), RAMode: mode, AddressMode: mode,
	}
}

const routerOwner = "network:router_interface"

func modelRouterPort(p Port) cloudfake.Port {
	port := modelPort(p)
	port.DeviceID, port.DeviceOwner, port.NoPortSecurity = routerID, routerOwner, true
	return port
}

// handsOut tells whether a network's DHCP server hands out an address of a port:
// those of IPv6 only where the subnet says so.
func handsOut(m *cloudfake.Model, ip cloudfake.FixedIP) bool {
	return !slices.ContainsFunc(m.Subnets, func(s cloudfake.Subnet) bool {
		return s.ID == ip.SubnetID && s.AddressMode != "" && s.AddressMode != Stateful.neutronMode()
	})
}

// dhcpOrders6 is what Neutron tells a DHCP agent about the IPv6 subnet: its own
// address, and what the range starts with.
func dhcpOrders6(p Port) string {
	s := p.Network.Six
	if s.Mode == NoIPv6 {
		return ""
	}
	return fmt.Sprintf("%s %s %s %s\n", s.ID, p.Address6, s.Prefix.Addr(), s.Mode)
}

// routerOrders are the routers' ports of a machine for its L3 agent.
func (p plan) routerOrders(machine string) string {
	orders := ""
	for _, port := range p.routerPortsOf(machine) {
		s := port.Network.Six
		orders += fmt.Sprintf("%s %s %s %s %s %s %s\n", routerID, port.ID, port.MAC, port.Address6, s.Prefix, port.Network.Bridge(), s.Mode)
	}
	return orders
}
